"""Comparisons of designs: the values of one swept field, each with a baseline, metric by metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from qkdrmp.errors import QKDRMPError, listed, one_of, unknown
from qkdrmp.family import FAMILIES, declared_metrics
from qkdrmp.stats.columns import Better
from qkdrmp.stats.comparison import COMPARISON, COMPARISON_NAMES, Compared, holm, paired_difference
from qkdrmp.stats.estimators import CONFIDENCE, ROUNDING, has_succeeded, metrics_of, swept_columns

PAIRED_BY = ["replication", "seed"]
OF_BASELINE = " of the baseline"


def compare(
    runs: pd.DataFrame,
    field: str,
    baseline: Any = None,
    metrics: str | Iterable[str] | None = None,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Compare the values of one swept field with a baseline, by paired differences.

    Replication r has the same random numbers in every cell of a sweep, so the difference of two designs is taken
    replication by replication, and its interval is the paired t interval (A. M. Law, Simulation Modeling and Analysis,
    5th ed., 2015, sections 10.2 and 11.2). Each interval holds by itself: of many, some will miss. The verdicts hold
    together: p-values are corrected for all comparisons in the table by Holm's method, so that the chance of any
    difference being claimed where there is none is at most 1 - `confidence`. Fewer `metrics` need less correction.

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
    metrics : str or iterable of str, optional
        What is compared; by default all metrics that differ at all, the main ones first.
    confidence : float
        Of the intervals, each by itself, and of the verdicts, all together.

    Returns
    -------
    pandas.DataFrame
        One row for each cell of the other swept fields, each value but the baseline, and each metric: the other
        fields, `field`, and ``stats.comparison.COMPARISON``. `conclusions` says it in sentences.

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
    0               8      3     -0.0194 -0.0312 -0.0077
    """
    swept = _swept(runs, field)
    cell = [name for name in swept if name != field]
    is_baseline = _is_baseline(runs, field, baseline)
    names = _checked_metrics(runs, swept, metrics)
    known = runs.assign(**{name: runs[name].where(has_succeeded(runs)) for name in names})
    if known[names].isna().all(axis=None):
        raise QKDRMPError(f"no run has a value of {listed(names, 3)}, so there is nothing to compare")
    paired_by = [*cell, *(name for name in PAIRED_BY if name in runs)]
    if runs.duplicated([*paired_by, field]).any():
        raise QKDRMPError(f"the runs have the same replication twice in a cell of {', '.join(swept)}")
    pairs = known[~is_baseline].merge(
        known.loc[is_baseline, [*paired_by, *names]], "left", paired_by, suffixes=("", OF_BASELINE)
    )
    value = runs.loc[is_baseline, field].iloc[0]
    scales = {name: float(known[name].abs().max()) for name in names}
    paired = [
        (where, name, paired_difference(group[name], group[name + OF_BASELINE], confidence, scales[name]))
        for where, group in pairs.groupby([*cell, field], sort=False, dropna=False)
        for name in names
    ]
    if not any(difference.pairs for *_, difference in paired):
        raise QKDRMPError(f"no replication has {field} = {value} and another value, with all other fields the same")
    if metrics is None:
        differing = {name for _, name, one in paired if one.pairs and not one.is_none}
        paired = [row for row in paired if row[1] in differing]
    corrected = holm([difference.p for *_, difference in paired])
    rows = []
    for (where, name, difference), p_holm in zip(paired, corrected, strict=True):
        row = Compared(value, name, difference, p_holm, 1 - confidence, better(name))
        rows.append((*where, *(column.get(row) for column in COMPARISON)))
    table = pd.DataFrame(rows, columns=[*cell, field, *COMPARISON_NAMES])
    table.attrs["confidence"] = confidence
    return table


def better(metric: str) -> Better:
    """Return whether more or less of a metric is better, as its family or its own declaration says."""
    return next((one.better for one in declared_metrics() if one.name == metric and one.better), "")


def _main_first(names: list[str]) -> list[str]:
    """Return metrics with the main ones first, then those of which more or less is better, then the others."""
    main = [name for family in FAMILIES.values() for name in family.print_metrics]
    judged = [name for name in names if better(name)]
    return [name for name in dict.fromkeys((*main, *judged, *names)) if name in names]


def _swept(runs: pd.DataFrame, field: str) -> list[str]:
    swept = swept_columns(runs)
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


def _checked_metrics(runs: pd.DataFrame, swept: Sequence[str], metrics: str | Iterable[str] | None) -> list[str]:
    known = metrics_of(runs, swept)
    asked = [metrics] if isinstance(metrics, str) else metrics
    names = _main_first(known) if asked is None else list(dict.fromkeys(asked))
    for name in names:
        if name not in known:
            raise QKDRMPError(f"the runs have no metric {unknown(name, known)}")
    return names
