"""Scenario files: TOML for people, JSON for what a sweep leaves behind."""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qkdrmp.config.bundled import bundled_names, resolve
from qkdrmp.config.own_objects import file_of, references_in
from qkdrmp.config.points import label
from qkdrmp.errors import QKDRMPError, ScenarioError, one_of
from qkdrmp.family import FAMILIES
from qkdrmp.network.formats import load_topology, save_topology
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import AnyResults

DEFAULT_KIND = "qkd"
TOPOLOGY, DEMAND = "topology.json", "demand.csv"
OBJECT = "python object"
"""Marks, in a file, the name of an object that the file cannot hold."""


def load_scenario(name_or_path: str | Path) -> Scenario[AnyResults]:
    """Return a bundled scenario, or the one a file describes: TOML, or JSON as a sweep writes it.

    Raises
    ------
    ScenarioError
        If there is no such scenario, or with one sentence for each problem in it.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("beijing_figure3")
    >>> scenario.pools.capacity
    40
    """
    path = _path_of(name_or_path)
    parse, language = (json.loads, "JSON") if path.suffix.lower() == ".json" else (tomllib.loads, "TOML")
    try:
        raw = parse(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: cannot be read as text: {error}") from None
    except ValueError as error:
        _refuse_topology(path)
        raise ScenarioError(f"{path}: is not valid {language}: {error}") from None
    if not isinstance(raw, dict):
        raise ScenarioError(f"{path}: must be a table of fields and their values")
    if "topology" not in raw:
        _refuse_topology(path, certain="nodes" in raw)
    if missing := list(_objects(raw)):
        raise ScenarioError(f"{path}: {missing[0]} must be given in Python, because no file can hold an object")
    raw.setdefault("name", path.stem)
    return make_scenario(raw, where=str(path), folder=path.parent)


def _path_of(name_or_path: str | Path) -> Path:
    """Return the path of a scenario, by its bundled name or as it is given."""
    try:
        return resolve("scenarios", name_or_path, ScenarioError)
    except ScenarioError:
        if name_or_path in bundled_names("topologies"):
            raise _is_topology(name_or_path) from None
        raise


def _is_topology(name_or_path: str | Path) -> ScenarioError:
    use = f'name it in a scenario, topology = "{name_or_path}", or look at it with: qkdrmp topology {name_or_path}'
    return ScenarioError(f"{name_or_path}: is a topology, not a scenario; {use}")


def _refuse_topology(path: Path, certain: bool = False) -> None:
    """Raise an error if a file that is no scenario is a topology for certain, or can be read as one."""
    try:
        load_topology(path)
    except QKDRMPError:
        if not certain:
            return
    raise _is_topology(path)


def make_scenario(raw: Mapping[str, Any], where: str = "scenario", folder: Path | None = None) -> Scenario[AnyResults]:
    """Return the scenario that nested mappings describe, with the structure of a scenario file.

    Parameters
    ----------
    raw : mapping of str to object
        Objects, such as a policy of your own, may stand where a file has names.
    where : str
        What error messages call the input.
    folder : Path, optional
        Where to look first for files that it names.

    Raises
    ------
    ScenarioError
        With one sentence for each problem.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.make_scenario({"topology": "line", "duration_s": 2.0, "pools": {"capacity": 60}})
    >>> scenario.kind
    'qkd'
    """
    kind = raw.get("kind", DEFAULT_KIND)
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ScenarioError(f"{where}: kind = {kind!r} must be {one_of(FAMILIES, kind)}")
    return FAMILIES[kind].scenario.from_mapping({**raw, "kind": kind}, where, folder)


def is_writable(scenario: Scenario[Any]) -> bool:
    """Return whether a file can hold a scenario: it cannot hold objects that were given in Python."""
    return not any(_objects(_writable({**scenario.as_mapping(), "topology": ""})))


def save_scenario(scenario: Scenario[Any], path: Path) -> None:
    """Write a scenario into a JSON file, with the files that it needs beside it (see `is_writable`)."""
    raw = _with_own_files(scenario, path.parent)
    save_topology(scenario.topology, path.parent / TOPOLOGY)
    raw["topology"] = TOPOLOGY
    demand = raw.get("demand")
    if isinstance(demand, dict) and isinstance(demand.get("file"), str | Path):
        _copy(Path(demand["file"]), path.parent / DEMAND)
        demand["file"] = DEMAND
    path.write_text(json.dumps(_writable(raw), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _with_own_files(scenario: Scenario[Any], folder: Path) -> dict[str, Any]:
    """Return what a scenario was made from, with the Python files that it names copied into a folder."""
    raw, renamed = scenario.as_mapping(), {}
    for reference in references_in(raw):
        place, _, name = reference.rpartition(":")
        if file := file_of(reference, scenario.folder):
            is_inside = not Path(place).is_absolute() and ".." not in Path(place).parts
            mark = hashlib.blake2b(file.read_bytes(), digest_size=4).hexdigest()
            copy = place if is_inside else f"{file.stem}_{mark}.py"
            _copy(file, folder / copy)
            renamed[reference] = f"{copy}:{name}"
    return {name: _renamed(value, renamed) for name, value in raw.items()}


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


def _objects(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path and the name of each object that a file cannot hold."""
    if isinstance(value, Mapping):
        if OBJECT in value:
            yield f"{path} = {value[OBJECT]}"
        for name, entry in value.items():
            yield from _objects(entry, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for number, entry in enumerate(value, start=1):
            yield from _objects(entry, f"{path}, entry {number}")
