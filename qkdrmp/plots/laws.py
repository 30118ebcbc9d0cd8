"""What theory says, drawn beside the simulated values."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from qkdrmp.plots.axes import SweepAxes, cells

FAR = 2.0
"""A value that is so many times the highest of an axis would make all else flat: it is left to words."""
SMALL: dict[str, Any] = {"fontsize": 8, "color": "0.25"}


def add_laws(ax: Axes, runs: pd.DataFrame, laws: pd.DataFrame, metric: str, scale: float = 1.0) -> Axes:
    """Draw what theory says of a metric, as dashed lines in the colours of the simulated ones.

    What is far above everything simulated is not drawn.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        With the simulated values, as `curve` draws them.
    runs : pandas.DataFrame
        As `sweep` returns it.
    laws : pandas.DataFrame
        As `law_table` returns it.
    metric : str
        The column.
    scale : float
        Factor on the column, as in `curve`.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 5, "demand.rate_per_s": 40})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8]}, replications=2)
    >>> laws = qkdrmp.law_table(runs, scenario)
    >>> ax = qkdrmp.plots.add_laws(qkdrmp.plots.throughput(runs), runs, laws, "requests_delivered")
    """
    known = laws[laws["metric"] == metric]
    sweep = SweepAxes.of(runs)
    if known.empty or not sweep.has_lines:
        return ax
    bottom, top = ax.get_ylim()
    highest = scale * float(known["value"].max())
    name = f"{known['law'].iloc[0]} ({'bound on the expected value' if known['is_bound'].all() else 'theory'})"
    if highest > FAR * top:
        return ax
    for cell, group in cells(known, list(sweep.others)):
        points = group.sort_values(sweep.x)
        ax.plot(points[sweep.x], scale * points["value"], "--", color=_colour(sweep, cell), linewidth=1.2)
    ax.set_ylim(bottom, max(top, 1.05 * highest))
    ax.text(0.99, 0.01, f"dashed: {name}", transform=ax.transAxes, ha="right", **SMALL)
    return ax


def _colour(sweep: SweepAxes, cell: dict[str, Any]) -> str:
    """Return the colour of the line of a cell; black where there is only one."""
    if not cell:
        return "0.2"
    keys = [found for found, _ in cells(sweep.runs, list(sweep.others))]
    return sweep.colours[keys.index(cell)]
