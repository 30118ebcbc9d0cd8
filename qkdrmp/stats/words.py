"""How sentences are put together: numbers, shares, and means with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp.errors import listed
from qkdrmp.stats.estimators import ROUNDING, half_width

DIGITS = 4


def number(value: float, digits: int = DIGITS) -> str:
    """Return a number with so many digits at least, thousands apart; one that is not known is a dash."""
    if not math.isfinite(value):
        return "–"
    if value == int(value) or abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}" if abs(value) < 1000 else f"{value:,.{max(0, digits - 4)}f}"


def percent(share: float) -> str:
    """Return a share in percent; a small one is not rounded to 0."""
    value = 100 * share
    return f"{value:.0f} %" if value == 0 or abs(value) >= 9.95 else f"{value:.2g} %"


def interval(
    values: Sequence[float] | pd.Series[Any], scale: float = 1.0, unit: str = "", most: float = math.inf
) -> str:
    """Return the mean of independent values with its 95 % interval in words; of a single value, that one alone.

    Parameters
    ----------
    values : sequence of float
        Values that are not numbers are left out.
    scale : float
        Factor on them, such as 100 for percent.
    unit : str
        Written behind the number.
    most : float
        The largest value that there can be, before `scale`: no interval goes beyond it.
    """
    known = scale * np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    if not len(known):
        return "not known"
    mean, half = float(known.mean()), half_width(known)
    behind = f" {unit}" if unit else ""
    if not half > ROUNDING * abs(mean):
        return f"{number(mean)}{behind}"
    digits = max(0, 1 - math.floor(math.log10(half)))
    low = max(mean - half, 0.0) if known.min() >= 0 else mean - half  # counts and times are never negative
    high = min(mean + half, scale * most)
    return f"{mean:,.{digits}f}{behind} (95 % interval {low:,.{digits}f} to {high:,.{digits}f})"


def plus_minus(values: pd.Series[Any], digits: int | None = None) -> str:
    """Return the mean of independent values, and half of its 95 % interval behind a ± if there is one.

    Parameters
    ----------
    values : pandas.Series
    digits : int, optional
        Behind the decimal point; by default down to the first digit of the half-width, and an interval that is empty
        but for rounding is left out.
    """
    mean, half = float(values.mean()), half_width(values)
    if digits is None:
        if not half > ROUNDING * abs(mean):
            return f"{mean:.0f}" if abs(mean) >= 1000 else f"{mean:.4g}"
        digits = max(0, -math.floor(math.log10(half / 2)))
    return f"{mean:.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def capital(sentence: str) -> str:
    """Return a sentence that begins with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def shortened(sentence: str) -> str:
    """Return a sentence with only some of the names that it ends in, if it ends in a colon and a list of names."""
    head, colon, names = sentence.rpartition(": ")
    return f"{head}{colon}{listed(names.split(', '))}" if colon else sentence
