"""Promises that were not kept: connections that got a lower fidelity or rate than their Responders had promised."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from qkdrmp.stats.estimators import half_width

BATCHES = 10
"""Parts of a connection whose means are taken for independent, for the interval of its own mean."""


def broken_promises(connections: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """Return a sentence for each delivered connection that certainly stayed below what it was promised.

    Parameters
    ----------
    connections, pairs : pandas.DataFrame
        The tables of a run.
    """
    delivered = connections[connections["state"] == "delivered"].set_index("id")
    by_connection = {str(name): group for name, group in pairs.groupby("connection")}
    lines = [
        (name, [*_shortfalls(row, by_connection[name])]) for name, row in delivered.iterrows() if name in by_connection
    ]
    return [f"{name} was promised {' and '.join(found)}." for name, found in lines if found]


def _shortfalls(row: pd.Series, pairs: pd.DataFrame) -> Iterator[str]:
    """Yield what was promised and what came instead, where the whole interval lies below the promise."""
    fidelity, gap = _mean(pairs["fidelity"].to_numpy()), _mean(np.diff(pairs["time_s"].to_numpy()))
    if fidelity[0] + fidelity[1] < row["promised_fidelity"]:
        yield f"a fidelity of {row['promised_fidelity']:.4g} but got {fidelity[0]:.4g} ± {fidelity[1]:.2g}"
    if gap[0] > gap[1] and 1 / (gap[0] - gap[1]) < row["promised_rate_hz"]:
        rate, width = 1 / gap[0], 1 / (gap[0] - gap[1]) - 1 / gap[0]
        yield f"{row['promised_rate_hz']:,.4g} pairs per second but got {rate:,.4g} ± {width:.2g}"


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Return the mean of values in a row and the half-width of its 95 % interval; nan for too few."""
    if len(values) < 2 * BATCHES:
        return float("nan"), float("nan")
    return float(values.mean()), half_width([part.mean() for part in np.array_split(values, BATCHES)])
