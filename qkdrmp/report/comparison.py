"""Comparisons of the cells of a sweep: by paired differences, since all cells have the same random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp.plots.axes import is_scale, varied
from qkdrmp.stats.comparison import paired_difference

DURATION = "duration_s"
WORTHWHILE = 0.02
"""An improvement by less than this share is not worth a larger value."""


@dataclass(frozen=True)
class Improvement:
    """How much better one cell is than another, the base.

    Parameters
    ----------
    mean, half : float
        Of the paired differences, and the half-width of their 95 % interval (nan for a single pair).
    base : float
        The mean of the base.
    """

    mean: float
    half: float
    base: float

    @property
    def worthwhile(self) -> bool:
        """Whether it is more than a share of `WORTHWHILE`, and its interval, if there is one, leaves out 0."""
        return self.mean > WORTHWHILE * abs(self.base) and not self.half >= self.mean

    @property
    def headroom(self) -> float:
        """The largest improvement that the interval allows for, as a share; nan for a single pair or a base of 0."""
        return (self.mean + self.half) / abs(self.base) if self.base else float("nan")


@dataclass(frozen=True)
class Saturation:
    """From where on larger values of a field bring no more.

    Parameters
    ----------
    value : float or None
        The smallest value from which no larger one is a worthwhile improvement; None if that is only the largest.
    headroom : float
        The largest improvement on it, as a share, for which the intervals allow; nan without intervals.
    pairs : int
        The least number of replications in a comparison.
    """

    value: float | None
    headroom: float
    pairs: int


def improvement(base: pd.Series[Any], other: pd.Series[Any]) -> tuple[Improvement, int]:
    """Return how much better `other` is than `base`, both by replication, and the number of pairs."""
    aligned = pd.concat([base, other], axis=1, join="inner")
    paired = paired_difference(aligned.iloc[:, 1], aligned.iloc[:, 0])
    return Improvement(paired.difference, (paired.high - paired.low) / 2, paired.baseline_mean), paired.pairs


def saturation(runs: pd.DataFrame, field: str, metric: str) -> Saturation:
    """Return where a metric saturates over a field.

    Parameters
    ----------
    runs : pandas.DataFrame
        Runs that differ in `field` and in their replication alone.
    field, metric : str
        The column of a scale, and that of a metric of which more is better.
    """
    groups: Any = runs.groupby(field)
    by_value: dict[float, pd.Series[Any]] = {value: group.set_index("replication")[metric] for value, group in groups}
    values = sorted(value for value, group in by_value.items() if group.notna().any())
    for place, value in enumerate(values[:-1]):
        compared = [improvement(by_value[value], by_value[larger]) for larger in values[place + 1 :]]
        if not any(one.worthwhile for one, _ in compared):
            known = [one.headroom for one, _ in compared if not np.isnan(one.headroom)]
            return Saturation(value, max(known, default=float("nan")), min(pairs for _, pairs in compared))
    return Saturation(None, float("nan"), int(min((by_value[value].count() for value in values), default=0)))


def longest(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the longest duration."""
    ends: pd.DataFrame = runs[runs[DURATION] == runs[DURATION].max()]
    return ends


def scales(runs: pd.DataFrame) -> list[str]:
    """Return the swept fields that are scales, other than the duration."""
    return [field for field in varied(runs) if field != DURATION and is_scale(runs[field])]
