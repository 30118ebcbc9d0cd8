"""What a run depends on, as plain facts: two runs with the same facts, seed and package version are the same run.

Functions and classes of the user's own are identified by their source and by what it refers to, so that a sweep that is
resumed notices a change.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import pickle
import platform
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from pydantic import BaseModel

from qkdrmp.config.sections import ModelSection
from qkdrmp.errors import QKDRMPError
from qkdrmp.family import FAMILIES, Family
from qkdrmp.topology import Topology

PACKAGE = Path(__file__).resolve().parent.parent
PARTS = (
    *("kernel", "network", "key_rates"),
    *(
        "config/sections.py",
        "config/registry.py",
        "config/own_objects.py",
        "metric.py",
        "scenario/scenario.py",
        "simulation.py",
        "topology.py",
        "stats/estimators.py",
        "sweeps/plan.py",
    ),
)
"""The parts of the package that the metrics of a run come from, beside its protocol family."""
LIBRARIES = ("numpy", "scipy", "simpy", "networkx")
"""The libraries that they depend on."""
INSTALLED = ("site-packages", "dist-packages")


class NoSource(QKDRMPError):
    """A function or class has no source, so that it cannot be checked later for changes."""


def digest(facts: Any) -> str:
    """Return a short text that is the same for the same facts, and no others."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@lru_cache
def model_version(kind: str) -> dict[str, str]:
    """Return what the metrics of a kind of runs depend on besides scenario and seed: source, versions of libraries."""
    source = hashlib.blake2b(digest_size=16)
    for path in (*_own_files(), *_files_of(FAMILIES[kind])):
        source.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return {"source": source.hexdigest(), **_installed()}


def _own_files() -> Iterator[Path]:
    for part in PARTS:
        yield from [PACKAGE / part] if part.endswith(".py") else sorted((PACKAGE / part).rglob("*.py"), key=str)


def _files_of(family: Family) -> Iterator[Path]:
    """Yield the files of the package that declares a family, but for those that only say and draw what came out."""
    package = Path(inspect.getfile(family.scenario)).parent
    presentation = family.presentation_module.rpartition(".")[2]
    for path in sorted(package.rglob("*.py"), key=str):
        if presentation not in path.relative_to(package).with_suffix("").parts:
            yield path


def _installed() -> dict[str, str]:
    return {name: version(name) for name in ("qkdrmp", *LIBRARIES)}


def versions() -> dict[str, str]:
    """Return the versions that a result is reported with."""
    return {**_installed(), "Python": platform.python_version(), "platform": platform.platform(terse=True)}


def changes(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two facts differ, by their path, with what was there before and is there now."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys((*before, *after)):
            yield from changes(before.get(name), after.get(name), f"{path}.{name}" if path else name)
    elif before != after:
        yield path, before, after


def facts_of(value: Any) -> Any:
    """Return plain facts, fit for JSON, that are the same for the same value and for no other.

    Raises
    ------
    NoSource
        If nothing that outlasts this process identifies a function, a class or an object.
    """
    return _facts(value, ())


def _facts(value: Any, above: tuple[int, ...]) -> Any:
    """Return the facts of a value inside others; `above` are the ids of these, for values that contain themselves."""
    if value is None or isinstance(value, bool | int | float | str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, np.generic):
        return value.item()
    if id(value) in above:
        return "itself"
    inside: Callable[[Any], Any] = partial(_facts, above=(*above, id(value)))
    for kinds, describe in DESCRIPTIONS:
        if isinstance(value, kinds):
            return describe(value, inside)
    return _object(value, inside)


def _mapping(value: Mapping[Any, Any], inside: Callable[[Any], Any]) -> Any:
    return {str(key): inside(entry) for key, entry in value.items()}


def _list(value: Any, inside: Callable[[Any], Any]) -> Any:
    return [inside(entry) for entry in value]


def _set(value: Any, inside: Callable[[Any], Any]) -> Any:
    return sorted((inside(entry) for entry in value), key=digest)


def _path(value: Path, inside: Callable[[Any], Any]) -> Any:
    return _file(value)


def _file(path: Path) -> dict[str, Any]:
    """Return the content of a file: its name does not change a run."""
    return {"file": hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()}


def _topology(value: Topology, inside: Callable[[Any], Any]) -> Any:
    nodes = [inside([n.name, n.kind, n.latitude, n.longitude, n.extra]) for n in value.nodes.values()]
    lengths = [(k.ends, k.length_km, k.attenuation_db_per_km, k.classical_length_km, k.extra) for k in value.links]
    return {"nodes": nodes, "links": inside(lengths)}


def _model_section(value: ModelSection, inside: Callable[[Any], Any]) -> Any:
    own = {name: inside(getattr(value, name)) for name in type(value).model_fields if name != "parameters"}
    return own | inside(_state(value.build())) if isinstance(value.model, str) else own


def _settings(value: BaseModel, inside: Callable[[Any], Any]) -> Any:
    return {name: inside(getattr(value, name)) for name in type(value).model_fields}


def _partial(value: partial[Any], inside: Callable[[Any], Any]) -> Any:
    return {"partial": [inside(value.func), inside(value.args), inside(value.keywords)]}


def _method(value: MethodType, inside: Callable[[Any], Any]) -> Any:
    return {"method": [inside(value.__self__), inside(value.__func__)]}


def _module(value: ModuleType, inside: Callable[[Any], Any]) -> Any:
    return {"module": value.__name__}


def _function(value: FunctionType, inside: Callable[[Any], Any]) -> Any:
    if (packaged := _packaged(value)) is not None:
        return {"function": f"{value.__module__}.{value.__qualname__}", **packaged}
    try:
        source = inspect.getsource(value)
    except (OSError, TypeError):
        raise NoSource(f"the function {value.__qualname__} has no source") from None
    used = inspect.getclosurevars(value)
    around = {**used.globals, **used.nonlocals}
    return {"source": inspect.cleandoc(source), "uses": inside(around), "defaults": inside(_defaults(value))}


def _defaults(value: FunctionType) -> list[Any]:
    return [*(value.__defaults__ or ()), value.__kwdefaults__ or {}]


def _class(value: type, inside: Callable[[Any], Any]) -> Any:
    if (packaged := _packaged(value)) is not None:
        return {"class": f"{value.__module__}.{value.__qualname__}", **packaged}
    bases = [inside(base) for base in value.__bases__ if base is not object]
    return {"class": value.__qualname__, "bases": bases, "members": dict(_members(value, inside))}


def _members(value: type, inside: Callable[[Any], Any]) -> Iterator[tuple[str, Any]]:
    """Yield the members of a class of the user's own, without those that Python or `dataclass` has added."""
    for name, member in vars(value).items():
        plain = getattr(member, "__func__", getattr(member, "fget", member))  # of class methods and properties
        if isinstance(plain, FunctionType):
            if plain.__code__.co_filename not in ("<string>", dataclasses.__file__):
                yield name, inside(plain)
        elif not name.startswith("_") and not inspect.isdatadescriptor(plain):
            yield name, inside(plain)


def _array(value: np.ndarray[Any, Any], inside: Callable[[Any], Any]) -> Any:
    return {"array": inside(value.tolist()), "type": str(value.dtype)}


def _object(value: Any, inside: Callable[[Any], Any]) -> Any:
    kind = type(value)
    if isinstance(value, BuiltinFunctionType):
        return {"function": f"{value.__module__}.{value.__qualname__}"}
    state = _state(value)
    if state or _packaged(kind) is None:
        return {"of": inside(kind), "state": inside(state)}
    try:
        return {"of": inside(kind), "pickle": hashlib.blake2b(pickle.dumps(value), digest_size=16).hexdigest()}
    except Exception:
        raise NoSource(f"an object of the class {kind.__qualname__} has no content that identifies it") from None


def _state(value: Any) -> dict[str, Any]:
    slots = [name for base in type(value).__mro__ for name in _slots(base) if hasattr(value, name)]
    return {name: getattr(value, name) for name in slots} | getattr(value, "__dict__", {})


def _slots(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    return [slots] if isinstance(slots, str) else list(slots)


def _packaged(value: FunctionType | type) -> dict[str, Any] | None:
    """Return what identifies, beside its name, what comes with a package; None for what is the user's own.

    This package and Python are identified by their versions, what is installed beside them by the file that it is in.
    """
    if (value.__module__ or "").partition(".")[0] in ("qkdrmp", "builtins"):
        return {}
    try:
        file = Path(inspect.getfile(value))
    except (TypeError, OSError):
        return None
    if any(part in INSTALLED for part in file.parts):
        return _file(file)
    return {} if file.is_relative_to(Path(inspect.__file__).parent) else None


DESCRIPTIONS: tuple[tuple[Any, Callable[[Any, Callable[[Any], Any]], Any]], ...] = (
    (Mapping, _mapping),
    ((list, tuple), _list),
    ((set, frozenset), _set),
    (Path, _path),
    (Topology, _topology),
    (ModelSection, _model_section),
    (BaseModel, _settings),
    (partial, _partial),
    (MethodType, _method),
    (ModuleType, _module),
    (FunctionType, _function),
    (type, _class),
    (np.ndarray, _array),
)
"""How things are described, by their class; the first that fits."""
