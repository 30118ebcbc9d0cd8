"""Scenarios into files: TOML for people, JSON for what a sweep leaves behind."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import tomli_w

from qkdrmp.config.bundled import bundled_names
from qkdrmp.config.own_objects import file_of, references_in
from qkdrmp.config.points import label
from qkdrmp.errors import ScenarioError
from qkdrmp.network.formats import load_topology, save_topology

TOPOLOGY = "topology.json"
WITH_FILES = {"demand": "demand.csv", "key_rate": "key_rate.csv"}
"""Sections that may name a file, a list or a trace, and what a copy of it is called."""
OBJECT = "python object"
"""Marks, in a file, the name of an object that the file cannot hold."""


class Writable(Protocol):
    """What can be written: a scenario."""

    @property
    def kind(self) -> str:
        """Its protocol family."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def topology(self) -> Any:
        """Its network."""

    @property
    def folder(self) -> Path | None:
        """The folder in which files that it names are looked for first."""

    def is_given_by_preset(self, path: str) -> bool:
        """Return whether its preset has a value for a field."""

    def as_mapping(self) -> dict[str, Any]:
        """Return what it was made from."""


def is_writable(scenario: Writable) -> bool:
    """Return whether a file can hold a scenario: it cannot hold objects that were given in Python."""
    return not any(objects_in(_writable({**scenario.as_mapping(), "topology": ""})))


def save_scenario(scenario: Writable, path: Path) -> None:
    """Write a scenario into a JSON file, with the files that it needs beside it (see `is_writable`)."""
    raw = _with_files(scenario, path.parent)
    save_topology(scenario.topology, path.parent / TOPOLOGY)
    raw["topology"] = TOPOLOGY
    path.write_text(json.dumps(_writable(raw), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def save_toml(scenario: Writable, path: Path) -> None:
    """Write a scenario into a TOML file; see `Scenario.save`."""
    raw = _writable({**scenario.as_mapping(), "topology": ""})
    if found := [*objects_in(raw), *_unfit(raw, scenario)]:
        raise ScenarioError(f"{path}: {found[0]} cannot be written, because a TOML file holds no such value")
    try:
        raw = _with_files(scenario, path.parent, f"{path.stem}_")
        raw["topology"] = _topology(scenario.topology, path)
        named = {"kind": scenario.kind, "name": scenario.name, **raw}
        path.write_text(tomli_w.dumps(_without_none(_writable(named))), encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{error.filename or path}: cannot be written: {error.strerror}") from None


def _topology(topology: Any, path: Path) -> str:
    """Return how a scenario names its topology; one that does not come with the package is written beside it."""
    if topology.name in bundled_names("topologies") and load_topology(topology.name) == topology:
        return str(topology.name)
    file = path.parent / f"{path.stem}_{TOPOLOGY}"
    save_topology(topology, file)
    return file.name


def _unfit(raw: Mapping[str, Any], scenario: Writable, path: str = "") -> Iterator[str]:
    """Yield each empty value that has to be written down, for TOML does not know any: in a list, or over a preset."""
    for name, value in raw.items():
        where = f"{path}{name}"
        if isinstance(value, Mapping):
            yield from _unfit(value, scenario, f"{where}.")
        elif isinstance(value, list) and None in value:
            yield f"{where} = {value}"
        elif value is None and scenario.is_given_by_preset(where):
            yield f"{where} = None"


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_none(entry) for name, entry in value.items() if entry is not None}
    return [_without_none(entry) for entry in value] if isinstance(value, list) else value


def _with_files(scenario: Writable, folder: Path, before: str = "") -> dict[str, Any]:
    """Return what a scenario was made from, with the Python files and the lists that it names copied into a folder."""
    raw, renamed = scenario.as_mapping(), {}
    for reference in references_in(raw):
        place, _, name = reference.rpartition(":")
        if file := file_of(reference, scenario.folder):
            is_inside = not Path(place).is_absolute() and ".." not in Path(place).parts
            mark = hashlib.blake2b(file.read_bytes(), digest_size=4).hexdigest()
            copy = place if is_inside else f"{file.stem}_{mark}.py"
            _copy(file, folder / copy)
            renamed[reference] = f"{copy}:{name}"
    raw = {name: _renamed(value, renamed) for name, value in raw.items()}
    for name, file_name in WITH_FILES.items():
        section = raw.get(name)
        if isinstance(section, dict) and isinstance(section.get("file"), str | Path):
            _copy(Path(section["file"]), folder / f"{before}{file_name}")
            section["file"] = f"{before}{file_name}"
    return raw


def _copy(file: Path, to: Path) -> None:
    if not to.exists() or not to.samefile(file):
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return nested mappings and lists with other names for the references in them."""
    if isinstance(value, Mapping):
        return {key: _renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def _writable(value: Any) -> Any:
    """Return a value fit for JSON, with objects replaced by their names."""
    if isinstance(value, Mapping):
        return {str(name): _writable(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(entry) for entry in value]
    return value if value is None or isinstance(value, str | int | float) else {OBJECT: str(label(value))}


def objects_in(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path and the name of each object that a file cannot hold."""
    if isinstance(value, Mapping):
        if OBJECT in value:
            yield f"{path} = {value[OBJECT]}"
        for name, entry in value.items():
            yield from objects_in(entry, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for number, entry in enumerate(value, start=1):
            yield from objects_in(entry, f"{path}, entry {number}")
