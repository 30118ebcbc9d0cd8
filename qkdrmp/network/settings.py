"""Settings of the network that both protocol families stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from qkdrmp.config.sections import Section
from qkdrmp.network.formats import load_topology
from qkdrmp.topology import Topology


class ChannelSettings(Section):
    """Classical channels: their delay is the length of the link over the signal speed."""

    signal_speed_m_per_s: Annotated[float, Field(ge=1e3, le=3e8)] = 2e8


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
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    topology: Topology
    duration_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    warmup_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    channels: ChannelSettings = ChannelSettings()

    @field_validator("topology", mode="before")
    @classmethod
    def _load_topology(cls, value: Any) -> Any:
        return load_topology(value) if isinstance(value, (str, Path)) else value
