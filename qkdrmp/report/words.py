"""What cells are called in the sentences of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qkdrmp.plots.labels import name_and_unit, value_text


def cell_words(cell: Mapping[str, Any]) -> str:
    """Return the values of some swept fields in words, such as ``key pool capacity = 40 keys``."""
    phrases = []
    for field, value in cell.items():
        name, unit = name_and_unit(field)
        counted = unit and not unit.startswith("share") and value == value and value is not None
        phrases.append(f"{name} = {value_text(value)}{f' {unit}' if counted else ''}")
    return ", ".join(phrases)
