"""Scenarios: everything a run depends on except its seed, checked when it is made and never changed afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import (
    ConfigDict,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from qkdrmp.config.sections import ModelSection, Section, sentences
from qkdrmp.config.sweep_settings import SweepSettings
from qkdrmp.entanglement.nesting import networks_of
from qkdrmp.entanglement.settings import PRESETS as ENTANGLEMENT_PRESETS
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.errors import ScenarioError, TopologyError, did_you_mean
from qkdrmp.kernel.units import to_seconds
from qkdrmp.network.settings import NetworkSettings
from qkdrmp.qkd.network import TAKES_PART, has_pools
from qkdrmp.qkd.settings import PRESETS as QKD_PRESETS
from qkdrmp.qkd.settings import QKDSettings

LONGEST_S = 1e15


class Scenario(NetworkSettings):
    """What all scenarios have; each protocol family adds its own sections.

    Attributes
    ----------
    kind : str
        The protocol family.
    name : str
        What the scenario is called in tables and figures.
    description : str
        One line for people.
    preset : str or None
        A named set of defaults, underneath what the scenario says itself.
    """

    model_config = ConfigDict(strict=True)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    kind: str
    name: str = "scenario"
    description: str = ""
    preset: str | None = None
    sweep: SweepSettings = SweepSettings()

    # What the scenario was made from: a copy with changes is made from that, changed.
    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        """Return what is wrong with the scenario as a whole, though each part by itself is right."""
        shortest_s = to_seconds(1)
        if not shortest_s <= self.duration_s <= LONGEST_S:
            yield f"duration_s = {self.duration_s} must be from {shortest_s:g} (a tick) to {LONGEST_S:g}"
        if self.warmup_s >= self.duration_s:
            yield f"warmup_s = {self.warmup_s} must be less than duration_s = {self.duration_s}"
        for name in self.sections():
            yield from self._unknown_places(name)

    @classmethod
    def sections(cls) -> list[str]:
        """Return the names of the sections."""
        return [
            name
            for name, field in cls.model_fields.items()
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        ]

    def _unknown_places(self, section: str) -> Iterator[str]:
        for number, exception in enumerate(getattr(self, section).at, start=1):
            try:
                if "node" in exception:
                    self.topology.neighbours(exception["node"])
                else:
                    self.topology.link(*exception["link"])
            except TopologyError as error:
                yield f"{section}.at, entry {number}: {error}"

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with other values for some fields.

        Parameters
        ----------
        changes : mapping of str to object
            New values by path, such as ``{"pools.capacity": 60}``.

        Raises
        ------
        ScenarioError
            If there is no such field, or a value is not allowed.
        """
        raw = copy_of(self._raw)
        # The parameters of a model go with the model, so those that are given with another one come after it.
        for path, value in sorted(changes.items(), key=lambda change: not change[0].endswith(".model")):
            if path.endswith(".model") and value != self.value(path):
                self._drop_parameters(raw, path.removesuffix(".model"))
            _set(raw, path.split("."), value.item() if isinstance(value, np.generic) else value)
        return type(self).from_mapping(raw, where=self.name)  # type: ignore[return-value]

    def as_mapping(self) -> dict[str, Any]:
        """Return what the scenario was made from: a structure like that of a scenario file, the topology an object."""
        return copy_of(self._raw)

    def value(self, path: str) -> Any:
        """Return the value of a field by its path, such as ``pools.capacity``; None if nothing is said of it."""
        value: Any = self
        for part in path.split("."):
            inside = isinstance(value, ModelSection) and part not in type(value).model_fields
            value = getattr(value.build() if inside else value, part, None)
        return value

    def _drop_parameters(self, raw: dict[str, Any], section: str) -> None:
        """Take the parameters of its model out of a section; exceptions keep theirs."""
        given, own = raw.get(section), type(getattr(self, section, None))
        if isinstance(given, dict) and issubclass(own, ModelSection):
            raw[section] = {name: given[name] for name in given.keys() & own.model_fields if name != "parameters"}

    @staticmethod
    def from_mapping(raw: Mapping[str, Any], where: str = "scenario", folder: Path | None = None) -> Scenario:
        """Return the scenario that `raw`, with the structure of a scenario file, describes.

        Parameters
        ----------
        where : str
            What error messages call the input.
        folder : Path, optional
            Where to look first for files that it names.

        Raises
        ------
        ScenarioError
            With one sentence for each thing that is wrong.
        """
        raw = copy_of(raw)
        kind = raw.setdefault("kind", "qkd")
        if not isinstance(kind, str) or kind not in SCENARIOS:
            hint = did_you_mean(str(kind), SCENARIOS)
            raise ScenarioError(f"{where}: kind = {kind!r} must be one of {', '.join(SCENARIOS)}{hint}")
        family = SCENARIOS[kind]
        _find_files(raw, folder)
        try:
            scenario = family.model_validate(_with_preset(raw, family, where))
        except ValidationError as error:
            raise ScenarioError("\n".join(f"{where}: {line}" for line in sentences(error, family))) from None
        scenario._raw = {**raw, "topology": scenario.topology}  # copies need not read the file again
        return scenario


class QKDScenario(Scenario, QKDSettings):
    """A scenario of QKD resource management."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = QKD_PRESETS

    kind: Literal["qkd"] = "qkd"

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        yield from self._unknown_users()
        yield from self._unequal_ends()

    def _unknown_users(self) -> Iterator[str]:
        users = self.topology.ends
        demands = [self.demand, *(self.demand.here(node=exception["node"]) for exception in self.demand.at)]
        models = [section.build() for section in demands]
        named = [("demand", name) for model in models for name in getattr(model, "users_named", tuple[str, ...])()]
        for section in ("demand", "routing"):
            at = enumerate(getattr(self, section).at, start=1)
            named += [(f"{section}.at, entry {number}", exception["node"]) for number, exception in at]
        for where, name in dict.fromkeys(named):
            if name not in users:
                yield f"{where}: {self.topology.name} has no end node '{name}'{did_you_mean(name, users)}"

    def _unequal_ends(self) -> Iterator[str]:
        kinds = {name: node.kind for name, node in self.topology.nodes.items()}
        for link in self.topology.links if self.pools.at else ():
            if all(kinds[end] in TAKES_PART for end in link.ends) and has_pools(self, link):
                try:
                    self.stream(*link.ends)
                except ScenarioError as error:
                    yield str(error)


class EntanglementScenario(Scenario, EntanglementSettings):
    """A scenario of entanglement connections."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = ENTANGLEMENT_PRESETS

    kind: Literal["entanglement"]

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        yield from self._unknown_names()
        yield from self._impossible_links()

    def _unknown_names(self) -> Iterator[str]:
        users, model = self.topology.ends, self.demand.build()
        for name in dict.fromkeys(getattr(model, "users_named", tuple[str, ...])()):
            if name not in users:
                yield f"demand: {self.topology.name} has no end node '{name}'{did_you_mean(name, users)}"
        known = {n for node in self.topology.nodes.values() for n in networks_of(node.extra.get("network"))}
        for name in self.layers.nested:
            if name not in known:
                hint = did_you_mean(name, known) or f"; known are {', '.join(sorted(known)) or 'none'}"
                yield f"layers.nested: {self.topology.name} has no network '{name}'{hint}"

    def _impossible_links(self) -> Iterator[str]:
        for link in self.topology.links:
            speed = self.channels.here(link=link.ends).signal_speed_m_per_s
            try:
                self.links.here(link=link.ends).build(link, speed)
            except ValueError as error:
                yield f"link {link}: {error}"


SCENARIOS: dict[str, type[Scenario]] = {"qkd": QKDScenario, "entanglement": EntanglementScenario}


def copy_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of nested mappings; the values themselves, which may be functions, are shared."""
    return {key: copy_of(value) if isinstance(value, Mapping) else value for key, value in raw.items()}


def _set(raw: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner = raw.get(part)
        raw[part] = inner if isinstance(inner, dict) else {}
        raw = raw[part]
    raw[path[-1]] = value


def _find_files(raw: dict[str, Any], folder: Path | None) -> None:
    """Let the files that a scenario names be found beside it."""
    demand = raw.get("demand")
    for section, field in ((raw, "topology"), (demand, "file")):
        if folder and isinstance(section, dict) and isinstance(section.get(field), str):
            beside = folder / section[field]
            if beside.is_file():
                section[field] = str(beside)


def _with_preset(raw: dict[str, Any], family: type[Scenario], where: str) -> dict[str, Any]:
    name = raw.get("preset")
    if name is None:
        return raw
    if not isinstance(name, str) or name not in family.presets:
        hint = did_you_mean(str(name), family.presets)
        raise ScenarioError(f"{where}: preset = {name!r} must be one of {', '.join(family.presets)}{hint}")
    merged = copy_of(family.presets[name])
    for key, value in raw.items():
        below = merged.get(key)
        merged[key] = _upon(below, value, family, key) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _upon(below: dict[str, Any], value: dict[str, Any], family: type[Scenario], section: str) -> dict[str, Any]:
    """Return a section with defaults beneath it; the parameters of a model go with the model."""
    if "model" in value and value["model"] != below.get("model"):
        own = getattr(family.model_fields[section].annotation, "model_fields", {})
        below = {name: default for name, default in below.items() if name in own}
    return {**below, **value}
