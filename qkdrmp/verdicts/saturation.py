"""Where larger values of a field bring no more: by paired differences, since all cells have the same random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp.family import Quality
from qkdrmp.stats.columns import Better
from qkdrmp.stats.comparison import paired_difference


@dataclass(frozen=True)
class Improvement:
    """How much better one cell is than another, the base.

    Parameters
    ----------
    mean, half : float
        Of the paired differences, positive if the cell is better, and the half-width of their 95 % interval (nan for a
        single pair).
    base : float
        The mean of the base.
    least : float
        The smallest improvement that is worth anything.
    """

    mean: float
    half: float
    base: float
    least: float

    @property
    def worthwhile(self) -> bool:
        """Whether it is worth anything, and its interval, if there is one, leaves out 0."""
        return self.mean > self.least and not self.half >= self.mean

    @property
    def headroom(self) -> float:
        """The largest improvement that the interval allows for; nan for a single pair."""
        return self.mean + self.half


@dataclass(frozen=True)
class Saturation:
    """From where on larger values of a field bring no more.

    Parameters
    ----------
    value : float or None
        The smallest value from which no larger one is a worthwhile improvement; None if that is only the largest.
    headroom : float
        The largest improvement on it for which the intervals allow; nan without intervals.
    is_shown : bool
        Whether that is not worth anything, so that larger values are shown to bring no more.
    pairs : int
        The least number of replications in a comparison.
    """

    value: float | None
    headroom: float
    is_shown: bool
    pairs: int


def improvement(
    base: pd.Series[Any], other: pd.Series[Any], quality: Quality, better: Better = "more"
) -> tuple[Improvement, int]:
    """Return how much better `other` is than `base`, both by replication, and the number of pairs."""
    aligned = pd.concat([base, other], axis=1, join="inner")
    paired = paired_difference(aligned.iloc[:, 1], aligned.iloc[:, 0])
    gain = -paired.difference if better == "less" else paired.difference
    reference = paired.baseline_mean
    return Improvement(gain, (paired.high - paired.low) / 2, reference, quality.least(reference)), paired.pairs


def saturation(runs: pd.DataFrame, field: str, quality: Quality, better: Better = "more") -> Saturation:
    """Return where a quality saturates over a field.

    Parameters
    ----------
    runs : pandas.DataFrame
        Runs that differ in `field` and in their replication alone.
    field : str
        The column of a scale.
    quality : Quality
    better : {"more", "less"}
        Whether more or less of it is better.
    """
    groups: Any = runs.groupby(field)
    by_value: dict[float, pd.Series[Any]] = {
        value: group.set_index("replication")[quality.metric] for value, group in groups
    }
    values = sorted(value for value, group in by_value.items() if group.notna().any())
    for place, value in enumerate(values[:-1]):
        compared = [improvement(by_value[value], by_value[larger], quality, better) for larger in values[place + 1 :]]
        if not any(one.worthwhile for one, _ in compared):
            known = [one.headroom for one, _ in compared if not np.isnan(one.headroom)]
            is_shown = all(one.headroom <= one.least for one, _ in compared)
            pairs = min(pairs for _, pairs in compared)
            return Saturation(value, max(known, default=float("nan")), is_shown, pairs)
    pairs = int(min((by_value[value].count() for value in values), default=0))
    return Saturation(None, float("nan"), True, pairs)
