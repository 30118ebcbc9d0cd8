"""Paired differences: how one design differs from another, replication by replication."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from qkdrmp.stats.columns import Better, Column
from qkdrmp.stats.estimators import CONFIDENCE, ROUNDING, half_width

NOISE = 1e-12
"""Relative to the largest value of a metric anywhere: what differs by less differs by rounding."""


class PairedDifference(NamedTuple):
    """How the values of a metric in one cell differ from those in another, replication by replication.

    The meaning of each field is that of its column in `COMPARISON`; it is nan where it is not known.
    """

    pairs: int
    baseline_mean: float = nan
    mean: float = nan
    difference: float = nan
    low: float = nan
    high: float = nan
    relative: float = nan
    variance_ratio: float = nan
    p: float = nan

    @property
    def is_none(self) -> bool:
        """Whether the values are the same in all pairs."""
        return self.difference == 0 and not self.high > self.low


class Compared(NamedTuple):
    """What a row of a comparison is about: a metric, the value of the baseline, and the paired difference from it.

    Parameters
    ----------
    baseline : object
    metric : str
    paired : PairedDifference
    p_holm, level : float
        The p-value corrected for all comparisons made, and up to which it is no luck.
    better : {"more", "less", ""}
        Whether more or less of the metric is better.
    """

    baseline: Any
    metric: str
    paired: PairedDifference
    p_holm: float
    level: float
    better: Better

    @property
    def verdict(self) -> str:
        """What the difference is, in a word; see `COMPARISON`."""
        if self.paired.is_none:
            return "same"
        if not self.p_holm <= self.level:
            return "unclear"
        change = "more" if self.paired.difference > 0 else "less"
        return change if not self.better else "better" if change == self.better else "worse"


def _of_difference(name: str, meaning: str) -> Column[Compared]:
    return Column(name, meaning, lambda row: getattr(row.paired, name))


COMPARISON: tuple[Column[Compared], ...] = (
    Column("baseline", "value of the compared field that the others are compared with", lambda row: row.baseline),
    Column(
        "metric",
        "name of the metric; all that follows is in its unit unless it says otherwise",
        lambda row: row.metric,
    ),
    _of_difference("pairs", "replications in which both have the metric, with the same seed"),
    _of_difference("baseline_mean", "mean of the metric at the baseline, over these"),
    _of_difference("mean", "mean of the metric at the value of this row, over these"),
    _of_difference("difference", "mean difference, this value's minus the baseline's"),
    _of_difference("low", "lower end of the difference's confidence interval; empty for fewer than two pairs"),
    _of_difference("high", "upper end"),
    _of_difference("relative", "difference as a share of the size of the baseline's mean; empty if that is 0"),
    _of_difference(
        "variance_ratio",
        "variance that the difference of independent runs would have over the variance of the paired "
        "one: above 1, common random numbers have helped",
    ),
    _of_difference(
        "p",
        "p-value of the paired t test that there is no difference; of counts that all differ by the same number, that "
        "of the sign test",
    ),
    Column("p_holm", "p-value corrected, by Holm's method, for all comparisons in the table", lambda row: row.p_holm),
    Column(
        "verdict",
        "better or worse if the corrected p-value is small enough, or more or less of a metric of which neither is "
        "better; unclear if the difference may be luck; same if there is none",
        lambda row: row.verdict,
    ),
)
"""The columns of a comparison, after the swept fields."""
COMPARISON_NAMES = [column.name for column in COMPARISON]


def paired_difference(
    values: pd.Series[float], baseline: pd.Series[float], confidence: float = CONFIDENCE, scale: float = 0.0
) -> PairedDifference:
    """Return how some values differ from those of a baseline, place by place; pairs with a nan are left out.

    Parameters
    ----------
    scale : float
        The largest size of such a value anywhere. Differences that are `NOISE` to it, or `ROUNDING` to these values,
        are none.
    """
    both = np.column_stack([values, baseline]).astype(float)
    both = both[~np.isnan(both).any(axis=1)]
    if not len(both):
        return PairedDifference(0)
    mean, reference = both.mean(axis=0)
    differences = both[:, 0] - both[:, 1]
    differences[abs(differences) <= max(ROUNDING * abs(both).max(), NOISE * scale)] = 0.0
    difference, half = differences.mean(), half_width(differences, confidence)
    relative, ratio = difference / abs(reference) if reference else nan, nan
    if len(both) > 1 and both.var(axis=0).any():
        independent, paired = both.var(axis=0, ddof=1).sum(), differences.var(ddof=1)
        ratio = independent / paired if paired else inf
    p = _p_value(differences, difference, bool((both == both.round()).all()))
    low, high = difference - half, difference + half
    return PairedDifference(len(both), reference, mean, difference, low, high, relative, ratio, p)


def _p_value(differences: NDArray[np.float64], mean: float, are_counts: bool) -> float:
    """Return the p-value, on both sides, of the mean of differences; nan for fewer than two."""
    number = len(differences)
    if number < 2:
        return nan
    if not differences.any():
        return 1.0
    error = differences.std(ddof=1) / np.sqrt(number)
    if error > ROUNDING * abs(mean):
        return float(2 * scipy.special.stdtr(number - 1, -abs(mean) / error))
    # Counts may differ by the same number in a few pairs by chance, which the t test cannot see: it finds no spread.
    return float(2.0 ** (1 - number)) if are_counts else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that are corrected for their number: that any is below 5 % by chance has a chance of 5 %.

    Holm's step-down method (S. Holm, Scandinavian J. Statistics 6 (1979) 65), which needs no independence. Values that
    are nan stay so, and do not count.

    Examples
    --------
    >>> from qkdrmp.stats.comparison import holm
    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.09, 0.09, 0.5]
    """
    known = np.asarray(p_values, dtype=float)
    order = [place for place in np.argsort(known) if not np.isnan(known[place])]
    largest, corrected = 0.0, known.copy()
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * known[place]))
        corrected[place] = largest
    return [float(p) for p in corrected]
