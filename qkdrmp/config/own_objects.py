"""Objects of the user's own that a scenario names: ``my_models.py:MyPolicy``, or ``package.module:name``.

What is loaded from a file belongs to a module that nobody could import by its name. So a pickle of something that uses
it begins with `OwnFiles`, the text of the file, from which a worker makes the same module.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from qkdrmp.errors import did_you_mean

REFERENCE = re.compile(r"(?P<place>.+\.py|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)")


class OwnFile(NamedTuple):
    """A Python file as it was when it was loaded."""

    module: str
    path: str
    text: str


LOADED: dict[str, OwnFile] = {}
"""The files loaded so far in this process, by the name of their module."""


class OwnFiles(tuple[OwnFile, ...]):
    """Files that are loaded, again if need be, when a pickle of them is."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _loaded, (tuple(self),)


def _loaded(files: Iterable[OwnFile]) -> OwnFiles:
    for file in files:
        _module_of(file)
    return OwnFiles(files)


def is_reference(value: Any) -> bool:
    """Return whether a value names an object of the user's own."""
    return isinstance(value, str) and REFERENCE.fullmatch(value) is not None


def load_object(reference: str, folder: Path | None = None) -> tuple[Any, OwnFile | None]:
    """Return the object that a reference names, and the file that it is from unless it was imported.

    Parameters
    ----------
    folder : Path, optional
        Where to look first for a file.

    Raises
    ------
    ValueError
        If there is no such object; the message says what the reference must be.
    """
    place, name = _parts(reference)
    module = _module_in(place, folder) if place.endswith(".py") else _imported(place)
    if not hasattr(module, name):
        known = [public for public in vars(module) if not public.startswith("_")]
        raise ValueError(f"must name something in {place}, which has no '{name}'{did_you_mean(name, known)}")
    return getattr(module, name), LOADED.get(module.__name__)


def file_of(reference: str, folder: Path | None = None) -> Path | None:
    """Return the file that a reference names an object in; None if there is none."""
    place, _ = _parts(reference)
    beside = (folder or Path()) / place
    path = beside if beside.is_file() else Path(place)
    return path.resolve() if place.endswith(".py") and path.is_file() else None


def references_in(value: Any) -> Iterator[str]:
    """Yield each reference in a value, in nested mappings and lists as well."""
    if isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from references_in(inner)
    elif is_reference(value):
        yield value


def names_objects(value: Any) -> bool:
    """Return whether there is a reference in a value."""
    return any(True for _ in references_in(value))


def _parts(reference: str) -> tuple[str, str]:
    place, _, name = reference.rpartition(":")
    return place, name


def _module_in(place: str, folder: Path | None) -> ModuleType:
    path = file_of(f"{place}:_", folder)
    if path is None:
        raise ValueError(f"must name a file, but there is no {(folder or Path()) / place}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        mark = hashlib.blake2b(f"{path}\0{text}".encode(), digest_size=4).hexdigest()
        return _module_of(OwnFile(f"{path.stem}_{mark}", str(path), text))
    except Exception as error:
        raise ValueError(f"must name a file that can be loaded: {_what_happened(error, path)}") from error


def _module_of(file: OwnFile) -> ModuleType:
    """Return the module of a file, which is made of its text once in a process."""
    if file.module not in LOADED:
        module = sys.modules[file.module] = ModuleType(file.module)
        module.__file__ = file.path
        try:
            exec(compile(file.text, file.path, "exec"), vars(module))
        except BaseException:
            del sys.modules[file.module]
            raise
        LOADED[file.module] = file
    return sys.modules[file.module]


def _what_happened(error: Exception, path: Path) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    said = error.msg if isinstance(error, SyntaxError) else error
    return f"{path.name}{f', line {line}' if line else ''}: {type(error).__name__}: {said}"


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ValueError(f"must name a module that can be imported: {error}") from error
