"""Scenarios out of files: TOML for people, JSON for what a sweep leaves behind."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from qkdrmp.config.bundled import bundled_names, resolve
from qkdrmp.errors import QKDRMPError, ScenarioError, one_of
from qkdrmp.family import FAMILIES
from qkdrmp.network.formats import load_topology
from qkdrmp.scenario import Scenario
from qkdrmp.scenario.writing import objects_in
from qkdrmp.simulation import AnyResults

DEFAULT_KIND = "qkd"


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
    if missing := list(objects_in(raw)):
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
    if not isinstance(raw, Mapping):
        raise ScenarioError(f"{where} = {raw!r} must be a mapping of fields to their values")
    kind = raw.get("kind", DEFAULT_KIND)
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ScenarioError(f"{where}: kind = {kind!r} must be {one_of(FAMILIES, kind)}")
    return FAMILIES[kind].scenario.from_mapping({**raw, "kind": kind}, where, folder)


def list_scenarios() -> pd.DataFrame:
    """Return the scenarios that come with the package, one row each: ``name``, ``kind``, ``topology``, ``description``.

    Examples
    --------
    >>> import qkdrmp
    >>> "line" in list(qkdrmp.list_scenarios()["name"])
    True
    """
    found = [load_scenario(name) for name in bundled_names("scenarios")]
    rows = [(one.name, one.kind, one.topology.name, one.description) for one in found]
    return pd.DataFrame(rows, columns=["name", "kind", "topology", "description"])


def list_topologies() -> pd.DataFrame:
    """Return the topologies that come with the package, one row each: ``name``, ``nodes``, ``links``, ``source``.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.list_topologies().set_index("name").loc["line", ["nodes", "links"]].to_list()
    [3, 2]
    """
    found = [load_topology(name) for name in bundled_names("topologies")]
    rows = [(one.name, len(one.nodes), len(one.links), one.source) for one in found]
    return pd.DataFrame(rows, columns=["name", "nodes", "links", "source"])
