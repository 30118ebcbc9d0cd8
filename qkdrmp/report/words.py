"""How numbers, cells and columns are written in the sentences of a report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp.plots.labels import label, value_text
from qkdrmp.stats.estimators import half_width

SAME = 1e-9  # what differs by less, as a share, differs by rounding
DIGITS = 4


def plain(name: str) -> str:
    """Return what a column is called, with its unit, without mathematical symbols."""
    known = re.sub(r"\s*\$[^$]*\$", "", label(name))
    if known != name or "." in name:
        return known
    words, suffix, _ = name.rpartition("_") if name.endswith("_s") else (name, "", "")
    return words.replace("_", " ") + (" (s)" if suffix else "")


def name_and_unit(name: str) -> tuple[str, str]:
    """Return what a column is called, and its unit; no unit is an empty text."""
    found = re.fullmatch(r"(.*) \((\S.*)\)", plain(name))
    return (found[1], found[2]) if found else (plain(name), "")


def number(value: float, digits: int = DIGITS) -> str:
    """Return a number with so many digits at least, thousands apart; one that is not known is a dash."""
    if not math.isfinite(value):
        return "–"
    if value == int(value) or abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}" if abs(value) < 1000 else f"{value:,.{max(0, digits - 4)}f}"


def interval(values: Sequence[float] | pd.Series[Any], scale: float = 1.0, unit: str = "") -> str:
    """Return the mean of independent values with its 95 % interval; of a single value, that one alone.

    Parameters
    ----------
    values : sequence of float
        Values that are not numbers are left out.
    scale : float
        Factor on them, such as 100 for percent.
    unit : str
        Written behind the number.
    """
    known = scale * np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    if not len(known):
        return "not known"
    mean, half = float(known.mean()), half_width(known)
    behind = f" {unit}" if unit else ""
    if not half > SAME * abs(mean):
        return f"{number(mean)}{behind}"
    digits = max(0, 1 - math.floor(math.log10(half)))
    low = max(mean - half, 0.0) if known.min() >= 0 else mean - half  # counts and times are never negative
    return f"{mean:,.{digits}f}{behind} (95 % interval {low:,.{digits}f} to {mean + half:,.{digits}f})"


def cell_words(cell: Mapping[str, Any]) -> str:
    """Return the values of some swept fields in words, such as ``key pool capacity = 40 keys``."""
    told = []
    for field, value in cell.items():
        name, unit = name_and_unit(field)
        counted = unit and not unit.startswith("share") and value == value and value is not None
        told.append(f"{name} = {value_text(value)}{f' {unit}' if counted else ''}")
    return ", ".join(told)


def percent(share: float) -> str:
    """Return a share in percent; one that is little is not rounded to nothing."""
    value = 100 * share
    return f"{value:.0f} %" if value == 0 or abs(value) >= 9.95 else f"{value:.2g} %"


def listed(names: Iterable[str], most: int = 6) -> str:
    """Return names joined by commas, at most so many of them."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
