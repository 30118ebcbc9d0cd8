"""Settings of the network that both protocol families stand on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from qkdrmp.config.sections import ModelSection, Section
from qkdrmp.network.faults import FAULT_MODELS, BoundedDelay, FaultModel, RandomFaults
from qkdrmp.network.formats import load_topology
from qkdrmp.topology import Topology


class ChannelSettings(Section):
    """Classical channels: their delay is the length of the link over the signal speed."""

    signal_speed_m_per_s: Annotated[float, Field(ge=1e3, le=3e8)] = 2e8


class FaultSettings(ModelSection):
    """Faults of the classical channels: a model of `faults` by name with its parameters, or an object."""

    registry: ClassVar[Mapping[str, type]] = FAULT_MODELS
    noun: ClassVar[str] = "fault model"

    exceptions_by: ClassVar[tuple[str, ...]] = ()

    model: Any = "random"

    @classmethod
    def fits(cls, model: Any) -> bool:
        """Return whether an object can be used as a model."""
        return super().fits(model) and hasattr(model, "session")

    def active(self) -> FaultModel | None:
        """Return the model, or None if it is one by which nothing goes wrong."""
        chosen: FaultModel = self.build()
        return None if chosen == RandomFaults() else chosen

    @property
    def longest_delay_s(self) -> float:
        """By how much a message may be late, s, as far as the model says."""
        chosen = self.build()
        return chosen.extra_delay_s if isinstance(chosen, BoundedDelay) else 0.0


class NetworkSettings(BaseModel):
    """What every network needs.

    Attributes
    ----------
    topology : Topology
        Given as a bundled name, a path or an object.
    duration_s : float
        Simulated time, in seconds.
    warmup_s : float
        Requests that start earlier, and what happens to pools and nodes before, do not count in the statistics.
    channels : ChannelSettings
    faults : FaultSettings
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    topology: Topology
    duration_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    warmup_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    channels: ChannelSettings = ChannelSettings()
    faults: FaultSettings = FaultSettings()

    @field_validator("topology", mode="before")
    @classmethod
    def _load_topology(cls, value: Any) -> Any:
        return load_topology(value) if isinstance(value, (str, Path)) else value
