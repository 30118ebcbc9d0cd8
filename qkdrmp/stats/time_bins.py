"""Quantities of a run in intervals of time: means of what changes in steps, numbers in progress, rates."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Numbers: TypeAlias = NDArray[np.float64]


def mean_of_steps(times: ArrayLike, jumps: ArrayLike, edges: Numbers) -> Numbers:
    """Return the mean in each interval of a quantity that is 0 at first and jumps by `jumps` at `times`."""
    at, by = np.asarray(times, dtype=float), np.asarray(jumps, dtype=float)
    order = np.argsort(at, kind="stable")
    before = np.searchsorted(at[order], edges, side="right")
    # The integral up to t is the sum of jump * (t - time) over the jumps before t.
    height, moment = (np.concatenate([[0.0], np.cumsum(part[order])])[before] for part in (by, by * at))
    means: Numbers = np.diff(height * edges - moment) / np.diff(edges)
    return means


def number_in_progress(begin: pd.Series[float], end: pd.Series[float], edges: Numbers) -> Numbers:
    """Return the mean number, in each interval, of what lasts from `begin` to `end` (nan: never)."""
    begin, end = begin.dropna(), end[begin.notna()].dropna()
    return mean_of_steps([*begin, *end], [1] * len(begin) + [-1] * len(end), edges)


def rate(times: pd.Series[float], edges: Numbers) -> Numbers:
    """Return how many of the times lie in each interval, per second."""
    rates: Numbers = np.histogram(times, edges)[0] / np.diff(edges)
    return rates
