"""What columns and cells are called in the sentences of a report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qkdrmp.plots.labels import label, value_text


def plain(name: str) -> str:
    """Return what a column is called, with its unit, without mathematical symbols."""
    known = re.sub(r"\s*\$[^$]*\$", "", label(name))
    if known != name or "." in name:
        return known
    words, suffix, _ = name.rpartition("_") if name.endswith("_s") else (name, "", "")
    return words.replace("_", " ") + (" (s)" if suffix else "")


def name_and_unit(name: str) -> tuple[str, str]:
    """Return what a column is called, and its unit as it stands behind a number; no unit is an empty text."""
    found = re.fullmatch(r"(.*) \((\S.*)\)", plain(name))
    return (found[1], re.sub("^1/", "per ", found[2])) if found else (plain(name), "")


def cell_words(cell: Mapping[str, Any]) -> str:
    """Return the values of some swept fields in words, such as ``key pool capacity = 40 keys``."""
    phrases = []
    for field, value in cell.items():
        name, unit = name_and_unit(field)
        counted = unit and not unit.startswith("share") and value == value and value is not None
        phrases.append(f"{name} = {value_text(value)}{f' {unit}' if counted else ''}")
    return ", ".join(phrases)
