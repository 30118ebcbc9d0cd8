"""Statistics of replications: means with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

CONFIDENCE = 0.95


def half_width(values: Sequence[float] | pd.Series[float], confidence: float = CONFIDENCE) -> float:
    """Return the half-width of the confidence interval of the mean of independent values.

    By Student's t; values that are not numbers (nan) are left out. It is nan for fewer than two values.
    """
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    if len(known) < 2:
        return float("nan")
    quantile = special.stdtrit(len(known) - 1, (1 + confidence) / 2)
    return float(quantile * known.std(ddof=1) / np.sqrt(len(known)))


def summarise(runs: pd.DataFrame, by: Sequence[str], confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Return one row for each cell of a sweep: the mean of every figure and its interval.

    Parameters
    ----------
    runs : pandas.DataFrame
        One row a run, as `sweep` returns it.
    by : sequence of str
        The swept columns, which define the cells.

    Returns
    -------
    pandas.DataFrame
        The columns `by`, `replications`, and for each figure ``<figure>_mean``, ``<figure>_low`` and
        ``<figure>_high`` (the ends of the interval; nan for a single replication).
    """
    figures = [name for name in runs.columns if name not in (*by, "replication", "seed")]
    rows = []
    groups = runs.groupby(list(by), sort=False, dropna=False) if by else [((), runs)]
    for cell, group in groups:
        row = dict(zip(by, cell, strict=True)) | {"replications": len(group)}
        for name in figures:
            mean, half = group[name].mean(), half_width(group[name], confidence)
            row |= {f"{name}_mean": mean, f"{name}_low": mean - half, f"{name}_high": mean + half}
        rows.append(row)
    return pd.DataFrame(rows)
