"""Files that come with the package: scenarios and topologies, found by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from qkdrmp.errors import QKDRMPError, did_you_mean

Folder = Literal["scenarios", "topologies"]

_SUFFIX: dict[Folder, str] = {"scenarios": ".toml", "topologies": ".json"}
NOUNS: dict[Folder, str] = {"scenarios": "scenario", "topologies": "topology"}
_PACKAGE = Path(__file__).resolve().parent.parent


def bundled_path(folder: Folder) -> Path:
    """Return the directory of the bundled files of one sort.

    A wheel carries them inside the package; in a checkout they lie beside it.

    Parameters
    ----------
    folder
        ``"scenarios"`` or ``"topologies"``.
    """
    inside = _PACKAGE / "_bundled" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


def bundled_names(folder: Folder) -> list[str]:
    """Return the names of the bundled files of one sort, without suffix, in alphabetical order.

    Parameters
    ----------
    folder
        ``"scenarios"`` or ``"topologies"``.
    """
    return sorted(path.stem for path in bundled_path(folder).glob(f"*{_SUFFIX[folder]}"))


def resolve(folder: Folder, name_or_path: str | Path, error: type[QKDRMPError] = QKDRMPError) -> Path:
    """Return the path of a file that is given by bundled name or by path.

    A bundled name wins over a file of that name in the current directory; write ``./name`` for the file.

    Parameters
    ----------
    folder
        Where bundled names are looked up: ``"scenarios"`` or ``"topologies"``.
    name_or_path
        A bundled name such as ``"beijing_qman"``, or the path of a file.
    error
        The class to raise.

    Raises
    ------
    QKDRMPError
        Of class `error`, if there is neither such a name nor such a file, or it is no text or path.
    """
    names = bundled_names(folder)
    if not isinstance(name_or_path, str | Path):
        raise error(f"{NOUNS[folder]} = {name_or_path!r} must be a name or the path of a file")
    if name_or_path in names:
        return bundled_path(folder) / f"{name_or_path}{_SUFFIX[folder]}"
    path = Path(name_or_path)
    if path.is_file():
        return path
    bundled = f"one of the bundled {folder}, {', '.join(names) or 'none'}{did_you_mean(path.stem, names)}"
    raise error(f"{NOUNS[folder]} = '{name_or_path}' must be a file or {bundled}")
