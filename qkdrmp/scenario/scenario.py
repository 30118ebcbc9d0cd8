"""Scenarios: everything a run depends on except its seed, checked when it is made and never changed afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Self

import numpy as np
import pandas as pd
from pydantic import ConfigDict, Field, PrivateAttr, ValidationError, model_validator
from typing_extensions import TypeVar

from qkdrmp.config.differences import NONE, brief, differences
from qkdrmp.config.own_objects import OwnFiles
from qkdrmp.config.registry import Surroundings
from qkdrmp.config.sections import ModelSection, Section, sentences
from qkdrmp.config.sweep_settings import SweepSettings
from qkdrmp.errors import ScenarioError, TopologyError, did_you_mean, one_of
from qkdrmp.kernel.units import to_seconds
from qkdrmp.metric import METRICS, KnowsBetter, RunMetric
from qkdrmp.network.settings import NetworkSettings
from qkdrmp.scenario.writing import WITH_FILES, save_toml
from qkdrmp.stats.columns import Better, Column

ResultsT = TypeVar("ResultsT", default=Any)
LONGEST_S = 1e15
DESIGN = ("sweep.over", "sweep.points", "sweep.latin_hypercube")
"""The fields that say which points a sweep has."""


class Scenario(NetworkSettings, Generic[ResultsT]):
    """What all scenarios have; each protocol family adds its own sections.

    To a type checker, its parameter is the class of the results of its runs.

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
    targets : dict of str to float
        What the metrics of runs should be, by their names: the most that they may be, or, of those of which more is
        better, the least. Sweeps say which of their cells meet them.
    metrics : list
        Metrics of your own, beside those of the family: each a `Metric`, or a function of the results of a run.
    sweep : SweepSettings
    """

    model_config = ConfigDict(strict=True)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    family_metrics: ClassVar[tuple[Column[Any], ...]] = ()

    kind: str
    name: str = "scenario"
    description: str = ""
    preset: str | None = None
    targets: dict[str, Annotated[float, Field(strict=False, allow_inf_nan=False)]] = Field(default_factory=dict)
    metrics: Annotated[tuple[Annotated[Any, METRICS], ...], Field(strict=False)] = ()
    sweep: SweepSettings = SweepSettings()

    # What the scenario was made from, and where: a copy with changes is made from that, changed.
    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)
    _folder: Path | None = PrivateAttr(default=None)
    _own_files: OwnFiles = PrivateAttr(default=OwnFiles())

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        """Yield what is wrong with the scenario as a whole though each of its sections is right."""
        shortest_s = to_seconds(1)
        if not shortest_s <= self.duration_s <= LONGEST_S:
            yield f"duration_s = {self.duration_s} must be from {shortest_s:g} (a tick) to {LONGEST_S:g}"
        if self.duration_s - self.warmup_s < shortest_s / 2:  # one tick, or the same but for rounding
            yield f"warmup_s = {self.warmup_s} must be less than duration_s = {self.duration_s}"
        names = [metric.name for metric in self.own_metrics()]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"metrics must have different names, not '{name}' twice"
        yield from self._impossible_targets()
        for name in self.sections():
            yield from self._unknown_places(name)

    def _impossible_targets(self) -> Iterator[str]:
        better = self.better()
        for name in self.targets:
            if name not in better:
                yield f"targets.{name} must be the name of a metric{did_you_mean(name, better)}"
            elif not better[name]:
                yield f"targets.{name} must be a metric of which more, or less, is better"

    def better(self) -> dict[str, Better]:
        """Return whether more or less of each metric is better, those of the user's own included."""
        known: list[Column[Any] | RunMetric] = [*self.family_metrics, *self.own_metrics()]
        return {metric.name: metric.better if isinstance(metric, KnowsBetter) else "" for metric in known}

    def _read_in(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return what the scenario was made from with the content of files, so that copies need not read them again."""
        return {**raw, "topology": self.topology}

    def own_metrics(self) -> list[RunMetric]:
        """Return the metrics of the user's own."""
        return [METRICS.made(metric) for metric in self.metrics]

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
            New values by path, such as ``{"pools.capacity": 60}``. A mapping for a section, ``{"pools": {"capacity":
            60}}``, is the same: the other fields of the section stay as they are, but new points of a sweep take the
            place of those it has.

        Raises
        ------
        ScenarioError
            If there is no such field, or a value is not allowed.

        Examples
        --------
        >>> import qkdrmp
        >>> scenario = qkdrmp.load_scenario("line")
        >>> larger = scenario.replace({"pools.capacity": 60, "duration_s": 2})
        >>> scenario.pools.capacity, larger.pools.capacity
        (8, 60)
        >>> scenario.replace({"pools.capacty": 60})
        Traceback (most recent call last):
            ...
        qkdrmp.errors.ScenarioError: line: pools: unknown field 'capacty' (did you mean 'capacity'?); known are ...
        """
        raw, changes = copy_of(self._raw), dict(self._by_path(changes))
        if not {"sweep.over", "sweep.points"}.isdisjoint(changes):  # a design takes the place of another one
            _drop(raw.get("sweep"), DESIGN)
        # The parameters of a model go with the model, so those that are given with another one come after it.
        for path, value in sorted(changes.items(), key=lambda change: not change[0].endswith(".model")):
            if path.endswith(".model") and value != self.value(path) and value != _get(raw, path.split(".")):
                self._drop_parameters(raw, path.removesuffix(".model"))
            _set(raw, path.split("."), value.item() if isinstance(value, np.generic) else value)
        return type(self).from_mapping(raw, self.name, self._folder)

    def _by_path(self, changes: Any) -> Iterator[tuple[str, Any]]:
        """Yield changes, those of whole sections field by field."""
        if not isinstance(changes, Mapping):
            raise ScenarioError(f"{self.name}: changes = {changes!r} must be a mapping of fields to their values")
        for path, value in changes.items():
            if not isinstance(path, str):
                raise ScenarioError(f"{self.name}: changes: {path!r} must be the path of a field, as text")
            if isinstance(value, Mapping) and path in (*self.sections(), "sweep"):
                yield from ((f"{path}.{name}", inner) for name, inner in value.items())
            else:
                yield path, value

    def save(self, path: str | Path) -> None:
        """Write it into a TOML file, from which `load_scenario` makes an equal one.

        A topology that does not come with the package is written beside it, into ``NAME_topology.json``; files of your
        own that it names, a list of requests (into ``NAME_demand.csv``) and a trace (``NAME_key_rate.csv``) are
        copied there.

        Raises
        ------
        ScenarioError
            If it has objects that were given in Python, which no file can hold, or the file cannot be written.

        Examples
        --------
        >>> import qkdrmp
        >>> larger = qkdrmp.load_scenario("line").replace({"pools.capacity": 60})
        >>> larger.save("larger.toml")
        >>> qkdrmp.load_scenario("larger.toml") == larger
        True
        """
        save_toml(self, Path(path))

    def __eq__(self, other: object) -> bool:
        # Not how it was written down, and where.
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def _repr_html_(self) -> str:
        """Return what notebooks show: its name, and the fields that are not defaults."""
        rows = [
            (one.path, brief(one.value), "" if one.default is NONE else brief(one.default))
            for one in differences(self, leave_out=("kind", "name", "description", "topology"))
        ]
        table = pd.DataFrame(rows, columns=["field", "value", "default"]).to_html(index=False)
        about = f"{self.description}; topology {self.topology.name}" if self.description else self.topology.name
        return f"<p><b>{escape(self.name)}</b> ({escape(self.kind)}): {escape(about)}</p>{table}"

    def __reduce__(self) -> tuple[Any, ...]:
        # The files of the user's own come first: objects from them can only be made once those are loaded.
        return _unpickled, (self._own_files, type(self), self.__getstate__())

    @property
    def folder(self) -> Path | None:
        """The folder in which files that the scenario names are looked for first."""
        return self._folder

    def is_given_by_preset(self, path: str) -> bool:
        """Return whether its preset has a value for a field."""
        return _get(self.presets.get(self.preset or "", {}), path.split(".")) is not None

    def as_mapping(self) -> dict[str, Any]:
        """Return what the scenario was made from: a structure like that of a scenario file, the topology an object."""
        return copy_of(self._raw)

    def value(self, path: str) -> Any:
        """Return the value of a field by its path, such as ``pools.capacity``; None if there is none.

        Examples
        --------
        >>> import qkdrmp
        >>> scenario = qkdrmp.load_scenario("line")
        >>> scenario.value("pools.capacity"), scenario.value("key_rate.rate_bps")
        (8, 20000.0)
        """
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

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], where: str = "scenario", folder: Path | None = None) -> Self:
        """Return the scenario of this family that `raw`, with the structure of a scenario file, describes.

        Parameters
        ----------
        where : str
            What error messages call the input.
        folder : Path, optional
            Where to look first for files that it names.

        Raises
        ------
        ScenarioError
            With one sentence for each problem.
        """
        raw = copy_of(raw)
        _find_lists(raw, folder)
        around = Surroundings(folder, set())
        try:
            scenario = cls.model_validate(_with_preset(raw, cls, where), context=around)
        except ValidationError as error:
            raise ScenarioError("\n".join(f"{where}: {line}" for line in sentences(error, cls))) from None
        scenario._raw = scenario._read_in(raw)
        scenario._folder = folder
        scenario._own_files = OwnFiles(sorted(around.files))
        return scenario


def _unpickled(own_files: OwnFiles, kind: type[Scenario[Any]], state: dict[str, Any]) -> Scenario[Any]:
    scenario = kind.__new__(kind)
    scenario.__setstate__(state)
    return scenario


def copy_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of nested mappings; the values themselves, which may be functions, are shared."""
    return {key: copy_of(value) if isinstance(value, Mapping) else value for key, value in raw.items()}


def _drop(section: Any, paths: Iterable[str]) -> None:
    """Take fields, given by their paths, out of a section, if there is one."""
    if isinstance(section, dict):
        for path in paths:
            section.pop(path.rpartition(".")[2], None)


def _get(raw: Any, path: list[str]) -> Any:
    for part in path:
        raw = raw.get(part) if isinstance(raw, Mapping) else None
    return raw


def _set(raw: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner = raw.get(part)
        raw[part] = inner if isinstance(inner, dict) else {}
        raw = raw[part]
    raw[path[-1]] = value


def _find_lists(raw: dict[str, Any], folder: Path | None) -> None:
    """Let the list of requests and the trace that a scenario names be found beside it."""
    for section in map(raw.get, WITH_FILES):
        if folder and isinstance(section, dict) and isinstance(section.get("file"), str):
            beside = folder / section["file"]
            if beside.is_file():
                section["file"] = str(beside)


def _with_preset(raw: dict[str, Any], family: type[Scenario[Any]], where: str) -> dict[str, Any]:
    name = raw.get("preset")
    if name is None:
        return raw
    if not isinstance(name, str) or name not in family.presets:
        raise ScenarioError(f"{where}: preset = {name!r} must be {one_of(family.presets, name)}")
    merged = copy_of(family.presets[name])
    for key, value in raw.items():
        below = merged.get(key)
        merged[key] = _upon(below, value, family, key) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _upon(below: dict[str, Any], value: dict[str, Any], family: type[Scenario[Any]], section: str) -> dict[str, Any]:
    """Return a section with defaults beneath it; the parameters of a model go with the model."""
    if "model" in value and value["model"] != below.get("model"):
        own = getattr(family.model_fields[section].annotation, "model_fields", {})
        below = {name: default for name, default in below.items() if name in own}
    return {**below, **value}
