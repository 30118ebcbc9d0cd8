"""Statistics of replications and of what happens in a run: intervals of means, quantiles, fairness, warm-up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from qkdrmp.errors import QKDRMPError, one_of

Values: TypeAlias = "Sequence[float] | NDArray[np.float64] | pd.Series[float]"

CONFIDENCE = 0.95
ROUNDING = 1e-9  # relative: what differs by less differs by rounding
TIME = "time_s"  # the column of a table of series that has the middle of each interval
BATCH = 5
LEAST_BATCHES = 10
LEAST_KEPT = 5, 1 / 4  # batches, share of them
NO_METRICS = ("replication", "seed", "failed")


def half_width(values: Values, confidence: float = CONFIDENCE) -> float:
    """Return the half-width of the confidence interval of the mean of independent values.

    By Student's t; values that are not numbers (nan) are left out. It is nan for fewer than two values.

    Examples
    --------
    >>> import qkdrmp
    >>> round(qkdrmp.half_width([9, 10, 11]), 2)
    2.48
    """
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    if len(known) < 2:
        return float("nan")
    # By way of scipy itself, which loads this part when it is first needed: it takes longer than the rest of a start.
    quantile = scipy.special.stdtrit(len(known) - 1, (1 + confidence) / 2)
    return float(quantile * known.std(ddof=1) / np.sqrt(len(known)))


def summarise(
    runs: pd.DataFrame, by: str | Sequence[str] | None = None, confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """Return one row for each cell of a sweep: the mean of every metric and its interval.

    Parameters
    ----------
    runs : pandas.DataFrame
        One row a run, as `sweep` returns it.
    by : str or sequence of str, optional
        The columns that define the cells; by default the swept ones, which come before ``replication``.
    confidence : float
        Of the intervals, above 0 and below 1.

    Returns
    -------
    pandas.DataFrame
        The columns `by`, `replications` (runs that did not fail; the others are left out), and for each metric
        ``<metric>_mean``, ``<metric>_low`` and ``<metric>_high`` (the ends of the interval; nan for a single
        replication).

    Raises
    ------
    QKDRMPError
        If `runs` is no table of runs, or has no such column, or there is no such confidence.

    Examples
    --------
    >>> import qkdrmp
    >>> runs = qkdrmp.sweep(qkdrmp.load_scenario("line"), {"pools.capacity": [2, 8]}, replications=3)
    >>> cells = qkdrmp.summarise(runs, ["pools.capacity"]).set_index("pools.capacity")
    >>> cells[["wait_mean_s_mean", "wait_mean_s_low", "wait_mean_s_high"]].round(4)
                    wait_mean_s_mean  wait_mean_s_low  wait_mean_s_high
    pools.capacity
    2                         0.0209           0.0033            0.0385
    8                         0.0015          -0.0046            0.0076
    """
    if not 0 < confidence < 1:
        raise QKDRMPError(f"confidence = {confidence!r} must be above 0 and below 1, such as 0.95")
    by = swept_columns(runs) if by is None else [by] if isinstance(by, str) else list(by)
    for name in by:
        if name not in checked_runs(runs):
            raise QKDRMPError(
                f"by = {name!r} must be {one_of(swept_columns(runs), name)}, or another column of the runs"
            )
    names = metrics_of(runs, by)
    rows = []
    groups = runs.groupby(by, sort=False, dropna=False) if by else [((), runs)]
    for cell, group in groups:
        good = group[has_succeeded(group)]
        row = dict(zip(by, cell, strict=True)) | {"replications": len(good)}
        for name in names:
            mean, half = good[name].mean(), half_width(good[name], confidence)
            row |= {f"{name}_mean": mean, f"{name}_low": mean - half, f"{name}_high": mean + half}
        rows.append(row)
    return pd.DataFrame(rows)


def checked_runs(runs: Any) -> pd.DataFrame:
    """Return a table of runs.

    Raises
    ------
    QKDRMPError
        If it is something else, such as the results of one run.
    """
    if isinstance(runs, pd.DataFrame):
        return runs
    what = "the results of a single run" if hasattr(runs, "summary") else f"a {type(runs).__name__}"
    raise QKDRMPError(f"runs must be a table of runs, as sweep returns it, not {what}")


def swept_columns(runs: pd.DataFrame) -> list[str]:
    """Return the swept columns of a table of runs: those before ``replication``.

    Raises
    ------
    QKDRMPError
        If it is no such table.
    """
    if "replication" not in checked_runs(runs):
        raise QKDRMPError("the runs have no column replication: give what sweep returns")
    return [str(name) for name in runs.columns[: runs.columns.get_loc("replication")]]


def metrics_of(runs: pd.DataFrame, swept: Sequence[str]) -> list[str]:
    """Return the columns that are metrics: numbers that a run yielded, not settings of it."""
    kinds = pd.api.types
    names = [name for name in runs.columns if name not in (*swept, *NO_METRICS)]
    return [name for name in names if kinds.is_numeric_dtype(runs[name]) and not kinds.is_bool_dtype(runs[name])]


def differ(values: pd.Series[float]) -> bool:
    """Return whether some values differ, and not by rounding only."""
    return bool(values.max() - values.min() > ROUNDING * values.abs().max())


def has_succeeded(runs: pd.DataFrame) -> pd.Series[bool]:
    """Return which runs did not fail."""
    failed = runs["failed"] if "failed" in runs else pd.Series(False, runs.index)
    return ~failed.astype(bool)


def quantiles(name: str, times_s: Values) -> dict[str, float]:
    """Return the mean, median, 95th and 99th percentile of times, under their column names; nan for no times."""
    known = np.asarray(times_s, dtype=float)
    measures = [known.mean(), *np.quantile(known, (0.5, 0.95, 0.99))] if len(known) else [float("nan")] * 4
    columns = (f"{name}_{measure}_s" for measure in ("mean", "p50", "p95", "p99"))
    return dict(zip(columns, map(float, measures), strict=True))


def jain(values: Iterable[float]) -> float:
    """Return Jain's index of fairness: 1 if all have the same, 1/n if one of n has everything.

    ``(sum x)^2 / (n sum x^2)``, by R. Jain, D.-M. Chiu and W. Hawe, A Quantitative Measure of Fairness and
    Discrimination for Resource Allocation in Shared Computer Systems, DEC-TR-301 (1984). Values that are not numbers
    (nan) are left out; it is nan for no values, and 1 if all are 0, since all have the same then.

    Raises
    ------
    QKDRMPError
        If a value is negative.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.jain([5, 5, 5, 5]), qkdrmp.jain([20, 0, 0, 0])
    (1.0, 0.25)
    """
    shares = np.array([value for value in values if value == value], dtype=float)
    if (shares < 0).any():
        raise QKDRMPError(f"shares = {shares.min():g} must be at least 0 for an index of fairness")
    if not shares.any():
        return 1.0 if len(shares) else float("nan")
    shares /= shares.max()  # a scale on which no square is too large or too small
    return float(shares.sum() ** 2 / (len(shares) * (shares**2).sum()))


class Truncation(NamedTuple):
    """How much of the beginning of a series belongs to the warm-up.

    Attributes
    ----------
    observations : int
        Number of observations to leave out.
    too_short : bool
        Whether the series had not settled in its first half; `observations` is then that half.
    """

    observations: int
    too_short: bool


def mser5(series: Values) -> Truncation:
    """Return how many observations at the beginning of a series to leave out, by the rule MSER-5.

    The observations are averaged in batches of five (a rest of fewer is dropped). Of the b batches the first d are
    left out such that the marginal standard error of the others, ``sum (z - mean z)^2 / (b - d)^2``, is the least. If
    this would take half of the series or more, or there are fewer than ten batches, the series is too short. The last
    five, and the last quarter, are never left out: a few batches often agree by chance. Sources: K. P. White,
    Simulation 69 (1997) 323 (the rule); K. P. White, M. J. Cobb and S. C. Spratt, Proc. Winter Simulation Conf. (2000)
    755 (batches of five, the half); K. Hoad, S. Robinson and R. Davies, J. Operational Research Society 61 (2010) 1389
    (the last five). The quarter is our own choice: it halves how often a steady series of 40 batches seems too short.

    Raises
    ------
    QKDRMPError
        If an observation is not finite.

    Examples
    --------
    >>> import qkdrmp
    >>> qkdrmp.mser5([9, 8, 6, 5, 4, 3, 2, 2, 2, 2] + [1, 2] * 50)
    Truncation(observations=10, too_short=False)
    """
    values = np.asarray(series, dtype=float)
    if not np.isfinite(values).all():
        raise QKDRMPError("a series with missing or infinite observations has no warm-up that MSER-5 could find")
    count = len(values) // BATCH
    half = count // 2
    if count < LEAST_BATCHES:
        return Truncation(half * BATCH, True)
    batches = values[: count * BATCH].reshape(count, BATCH).mean(axis=1)
    batches -= batches[-1]  # a steady end is then 0, without rounding errors that could decide the minimum
    left = np.arange(count, 0, -1)
    sums, squares = (np.cumsum(power[::-1])[::-1] for power in (batches, batches**2))
    errors = (squares - sums**2 / left) / left**2
    most = count - max(LEAST_KEPT[0], int(count * LEAST_KEPT[1]))
    best = int(np.argmin(errors[: most + 1]))
    return Truncation(min(best, half) * BATCH, best >= half)
