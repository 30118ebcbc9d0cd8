"""Heatmaps of sweeps: means over two swept fields."""

from __future__ import annotations

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from qkdrmp.errors import QKDRMPError
from qkdrmp.plots.axes import along, is_grid, swept
from qkdrmp.plots.canvas import canvas, whole
from qkdrmp.plots.labels import in_unit, label, value_text

SHADES = "viridis"  # for the colour-blind, and in grey from dark to light
MOST_NAMES = 12


def heatmap(runs: pd.DataFrame, metric: str, ax: Axes | None = None, x: str | None = None) -> Axes:
    """Draw the mean of one column over two swept fields as a heatmap, times in a unit that suits them.

    Parameters
    ----------
    runs : pandas.DataFrame
        As `sweep` returns it.
    metric : str
        The column.
    x : str, optional
        The swept field along x; by default the one that `multiplexing` takes.

    Returns
    -------
    matplotlib.axes.Axes
        One cell for each point, light where the mean is high, white where there is none.

    Raises
    ------
    QKDRMPError
        If the runs are not over two swept fields that are scales of three numbers or more.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8], "queue.capacity": [1, 2, 4]}, replications=1)
    >>> ax = qkdrmp.plots.heatmap(runs, "blocking")
    """
    if not is_grid(runs):
        raise QKDRMPError("a heatmap needs runs over two swept fields, each with three numbers or more")
    x = along(runs) if x is None else x
    y = next(name for name in swept(runs) if name != x)
    scale, name = in_unit(metric, runs[metric].abs().max())
    means = scale * runs.pivot_table(metric, y, x, dropna=False)
    means.index, means.columns = (pd.Index(list(map(value_text, axis))) for axis in (means.index, means.columns))
    every_x, every_y = (-(-len(axis) // MOST_NAMES) for axis in (means.columns, means.index))
    with canvas(ax) as ax:
        sns.heatmap(means, ax=ax, cmap=SHADES, cbar=False, xticklabels=every_x, yticklabels=every_y)
        shades: Any = whole(ax).colorbar(ax.collections[0], ax=ax, label=name)
        shades.outline.set_visible(False)
        shades.solids.set_edgecolor("face")  # else some viewers show white lines
        ax.invert_yaxis()
        ax.set_xlabel(label(x))
        ax.set_ylabel(label(y))
        ax.tick_params(axis="both", length=0, labelrotation=0)
    return ax
