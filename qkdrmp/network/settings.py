"""Settings of the network that both protocol families stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from qkdrmp.config.registry import Registry, Surroundings
from qkdrmp.config.sections import ModelSection, Section, sentences
from qkdrmp.network.faults import FAULT_MODELS, BoundedDelay, FaultModel, RandomFaults
from qkdrmp.network.formats import LINKS, TOPOLOGY_READERS, load_topology
from qkdrmp.topology import Topology


class ChannelSettings(Section):
    """Classical channels: their delay is the length of the link over the signal speed."""

    signal_speed_m_per_s: Annotated[float, Field(ge=1e3, le=3e8)] = 2e8


class FaultSettings(ModelSection):
    """Faults of the classical channels: a model of `faults` by name with its parameters, or an object."""

    registry: ClassVar[Registry[Any]] = FAULT_MODELS
    exceptions_by: ClassVar[tuple[str, ...]] = ()

    model: Any = "random"

    def active(self) -> FaultModel | None:
        """Return the model, or None if it is one by which nothing goes wrong."""
        chosen: FaultModel = self.build()
        return None if chosen == RandomFaults() else chosen

    @property
    def longest_delay_s(self) -> float:
        """By how much a message may be late, s, as far as the model says."""
        chosen = self.build()
        return chosen.extra_delay_s if isinstance(chosen, BoundedDelay) else 0.0


class TopologyFile(BaseModel):
    """A file that describes a topology, its format, and how what it leaves out is completed.

    Attributes
    ----------
    file : str
        Its path, or a bundled name.
    format
        A name, or a reader of your own; without it, the format is recognised.
    kinds : str or None
        Where no node of the file has a kind: ``sites``, the default, makes each a repeater with a user of its own;
        ``leaves`` makes nodes with one link users, and all others repeaters.
    detour : float or None
        How many times as long as the great circle a fibre is whose length is computed from coordinates; 1 if left out.
    nodes : str or None
        The path of a CSV file of nodes, for a CSV file of links; ``nodes.csv`` beside ``links.csv`` if left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: str
    format: Annotated[Any, TOPOLOGY_READERS] = None
    kinds: str | None = None
    detour: float | None = None
    nodes: str | None = None

    def load(self, folder: Path | None) -> Topology:
        """Return the topology; files are looked for in `folder` first."""
        nodes = None if self.nodes is None else _beside(self.nodes, folder)
        file = _beside(self.file, folder)
        return load_topology(file, self.format, kinds=self.kinds, detour=self.detour, nodes=nodes)


def _beside(file: str | Path, folder: Path | None) -> str | Path:
    """Return the file of that name in a folder, or the folder in it that holds a network, or else what was given."""
    beside = Path(folder or "", file)
    return beside if folder and (beside.is_file() or (beside / LINKS).is_file()) else file


class NetworkSettings(BaseModel):
    """What every network needs.

    Attributes
    ----------
    topology : Topology
        Given as a bundled name, a path or an object; or as a table of its ``file``, with its ``format`` (a name or a
        reader of your own), and with ``kinds``, ``detour`` and ``nodes``, which complete what the file leaves out.
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
    def _load_topology(cls, value: Any, info: ValidationInfo) -> Any:
        folder = info.context.folder if isinstance(info.context, Surroundings) else None
        if isinstance(value, str | Path):
            return load_topology(_beside(value, folder))
        if isinstance(value, dict):
            try:
                file = TopologyFile.model_validate(value, context=info.context)
            except ValidationError as error:
                raise ValueError("\n".join(sentences(error, TopologyFile))) from None
            return file.load(folder)
        return value
