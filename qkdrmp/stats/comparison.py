"""Paired differences: how one design differs from another, replication by replication."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, nan
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from qkdrmp.errors import QKDRMPError, one_of, unknown
from qkdrmp.stats.columns import Column
from qkdrmp.stats.estimators import CONFIDENCE, ROUNDING, half_width, has_succeeded, metrics_of

PAIRED_BY = ["replication", "seed"]
OF_BASELINE = " of the baseline"


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


class Compared(NamedTuple):
    """What a row of a comparison is about: a metric, the value of the baseline, and the paired difference from it."""

    baseline: Any
    metric: str
    paired: PairedDifference


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
)
"""The columns of a comparison, after the swept fields."""
COMPARISON_NAMES = [column.name for column in COMPARISON]


def compare(
    runs: pd.DataFrame,
    field: str,
    baseline: Any = None,
    metrics: Iterable[str] | None = None,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Compare the values of one swept field with a baseline, by paired differences.

    Replication r has the same random numbers in every cell of a sweep, so the difference of two designs is taken
    replication by replication, and its interval is the paired t interval (A. M. Law, Simulation Modeling and Analysis,
    5th ed., 2015, sections 10.2 and 11.2). Each interval holds by itself: of many, some will miss (for k of them to
    hold together, with at least 95 %, ask for a confidence of 1 - 0.05 / k each).

    Parameters
    ----------
    runs : pandas.DataFrame
        One row a run, as `sweep` returns it. Failed runs are left out, and cells may have different numbers of
        replications: a pair is what both have.
    field : str
        The swept field whose values are compared.
    baseline : object, optional
        The value that the others are compared with; by default the first in the table. A missing value (None in the
        scenario) is asked for as ``float("nan")``.
    metrics : iterable of str, optional
        What is compared; by default all metrics that differ at all.
    confidence : float
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        One row for each cell of the other swept fields, each value but the baseline, and each metric: the other
        fields, `field`, and `COMPARISON`.

    Raises
    ------
    QKDRMPError
        If the field, the baseline or a metric is not in the table, a cell has a replication twice, or there is no
        pair at all.

    Examples
    --------
    >>> import qkdrmp
    >>> runs = qkdrmp.sweep(qkdrmp.load_scenario("line"), {"pools.capacity": [2, 8]}, replications=3)
    >>> compared = qkdrmp.compare(runs, "pools.capacity", baseline=2, metrics=["wait_mean_s"])
    >>> compared[["pools.capacity", "pairs", "difference", "low", "high"]].round(4)
       pools.capacity  pairs  difference     low    high
    0               8      3     -0.0145 -0.0172 -0.0119
    """
    swept = _swept(runs, field)
    cell = [name for name in swept if name != field]
    is_baseline = _is_baseline(runs, field, baseline)
    names = _checked_metrics(runs, swept, metrics)
    known = runs.assign(**{name: runs[name].where(has_succeeded(runs)) for name in names})
    paired_by = [*cell, *(name for name in PAIRED_BY if name in runs)]
    if runs.duplicated([*paired_by, field]).any():
        raise QKDRMPError(f"the runs have the same replication twice in a cell of {', '.join(swept)}")
    pairs = known[~is_baseline].merge(
        known.loc[is_baseline, [*paired_by, *names]], "left", paired_by, suffixes=("", OF_BASELINE)
    )
    value = runs.loc[is_baseline, field].iloc[0]
    compared = [
        (where, Compared(value, name, paired_difference(group[name], group[name + OF_BASELINE], confidence)))
        for where, group in pairs.groupby([*cell, field], sort=False, dropna=False)
        for name in names
    ]
    if not any(row.paired.pairs for _, row in compared):
        raise QKDRMPError(f"no replication has {field} = {value} and another value, with all other fields the same")
    rows = [(*where, *(column.get(row) for column in COMPARISON)) for where, row in compared]
    table = pd.DataFrame(rows, columns=[*cell, field, *COMPARISON_NAMES])
    if metrics is not None:
        return table
    spread = table[["difference", "low", "high"]].abs().max(axis=1)
    differs = spread > ROUNDING * table[["mean", "baseline_mean"]].abs().max(axis=1)
    return table[table["metric"].isin(table["metric"][differs])].reset_index(drop=True)


def paired_difference(
    values: pd.Series[float], baseline: pd.Series[float], confidence: float = CONFIDENCE
) -> PairedDifference:
    """Return how some values differ from those of a baseline, place by place; pairs with a nan are left out."""
    both = np.column_stack([values, baseline]).astype(float)
    both = both[~np.isnan(both).any(axis=1)]
    if not len(both):
        return PairedDifference(0)
    mean, reference = both.mean(axis=0)
    differences = both[:, 0] - both[:, 1]
    difference, half = differences.mean(), half_width(differences, confidence)
    relative, ratio = difference / abs(reference) if reference else nan, nan
    if len(both) > 1 and both.var(axis=0).any():
        independent, paired = both.var(axis=0, ddof=1).sum(), differences.var(ddof=1)
        ratio = independent / paired if paired else inf
    return PairedDifference(
        len(both), reference, mean, difference, difference - half, difference + half, relative, ratio
    )


def _swept(runs: pd.DataFrame, field: str) -> list[str]:
    if "replication" not in runs:
        raise QKDRMPError("the runs have no column replication: give what sweep returns")
    swept = [str(name) for name in runs.columns[: runs.columns.get_loc("replication")]]
    if field not in swept:
        raise QKDRMPError(f"the runs have no swept field {unknown(field, swept)}")
    return swept


def _is_baseline(runs: pd.DataFrame, field: str, baseline: Any) -> pd.Series[bool]:
    values = runs[field].unique()
    if len(values) < 2:
        raise QKDRMPError(f"{field} has fewer than two values in the runs: there is nothing to compare")
    chosen = values[0] if baseline is None else baseline
    found = _equals(runs[field], chosen)
    if not found.any():
        raise QKDRMPError(f"{field} = {baseline!r} must be {one_of(list(map(str, values)), baseline)}, as in the runs")
    return found


def _equals(values: pd.Series[Any], chosen: Any) -> pd.Series[bool]:
    """Return which values are a chosen one: 0.1 * 3 is 0.3, and a missing value is nan."""
    if pd.isna(chosen):
        return values.isna()
    if pd.api.types.is_float_dtype(values) and isinstance(chosen, int | float):
        return pd.Series(np.isclose(values, chosen, rtol=ROUNDING, atol=0), values.index)
    return cast("pd.Series[bool]", values == chosen)


def _checked_metrics(runs: pd.DataFrame, swept: Sequence[str], metrics: Iterable[str] | None) -> list[str]:
    known = metrics_of(runs, swept)
    names = known if metrics is None else list(dict.fromkeys(metrics))
    for name in names:
        if name not in known:
            raise QKDRMPError(f"the runs have no metric {unknown(name, known)}")
    return names
