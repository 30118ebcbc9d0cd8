"""What swept fields and metrics are called along axes, with their units, as their family declares it."""

from __future__ import annotations

import math
import re
from itertools import chain

from qkdrmp.family import FAMILIES, declared_metrics
from qkdrmp.plots.times import time_unit
from qkdrmp.stats.columns import UNITS

AT_MOST_1 = ("share", "index")
"""How the units of metrics end that are never above 1."""


def value_text(value: object) -> str:
    """Return a value of a swept field as people read it.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.plots.value_text(0.1 * 3), qkdrmp.plots.value_text(None)
    ('0.3', 'none')
    """
    if value is None or value != value:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def label(name: str) -> str:
    """Return what a metric or a field is called along an axis, with its unit; an unknown column by its name in words.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.plots.label("wait_mean_s")
    'mean waiting time of delivered requests (s)'
    """
    known = (family.labels[name] for family in FAMILIES.values() if name in family.labels)
    own = (metric.label for metric in declared_metrics() if metric.name == name)
    return next(chain(known, own), _in_words(name))


def _in_words(name: str) -> str:
    if "." in name:  # the path of a field
        return name
    ending = next((ending for ending in UNITS if name.endswith(ending)), "")
    words = name.removesuffix(ending).replace("_", " ")
    return f"{words} ({UNITS[ending]})" if ending else words


def plain(words: str) -> str:
    """Return a label without mathematical symbols, for where they cannot be set."""
    return re.sub(r"\s*\$[^$]*\$", "", words)


def name_and_unit(name: str) -> tuple[str, str]:
    """Return what a metric or a field is called in a sentence, and its unit as it stands behind a number.

    No unit is an empty text.
    """
    words = plain(label(name))
    found = re.fullmatch(r"(.*) \((\S.*)\)", words)
    return (found[1], re.sub("^1/", "per ", found[2])) if found else (words, "")


def largest(metric: str) -> float:
    """Return the largest value that a metric can have: 1 for shares, and for Jain's index."""
    return 1.0 if name_and_unit(metric)[1].endswith(AT_MOST_1) else math.inf


def in_unit(name: str, largest: float) -> tuple[float, str]:
    """Return the factor on a column, and what it is called then: times in a unit that suits the largest."""
    words = label(name)
    if not words.endswith(" (s)"):
        return 1.0, words
    size, unit = time_unit(largest)
    return 1 / size, f"{words.removesuffix('(s)')}({unit})"
