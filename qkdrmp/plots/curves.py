"""Figures of sweeps: means over swept fields, with confidence intervals."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from qkdrmp.errors import QKDRMPError
from qkdrmp.plots.axes import Line, SweepAxes, say_where_it_begins, swept, value_range
from qkdrmp.plots.canvas import canvas, figures, label_upright, plainly_numbered
from qkdrmp.plots.labels import in_unit, label, largest

MARKERS = "osD^vPX<>h"
DASHES = ("-", "--", "-.", ":")
WIDEST_NAMES = 40
LEGEND_LETTERS = 24
PLAIN = 1e-4, 1e6  # between these, numbers along it are written out
COMPARED = ("pair_rate_hz", "completion_mean_s", "setup_mean_s", "blocking", "fidelity_mean")
SPREAD = 0.6  # of the distance of two names, for the lines
TOP_SHARE, NOTE_SHARE = 0.05, 0.13
"""What an axis of values that does not begin at 0 has above them, and below, where that is said, as shares of them."""
PANEL_SIZE, LEGEND_WIDTH = (3.1, 3.4), 1.9


def curve(runs: pd.DataFrame, metric: str, ax: Axes | None = None, scale: float = 1.0, x: str | None = None) -> Axes:
    """Draw the mean of one column over the swept fields, with 95 % confidence intervals.

    Parameters
    ----------
    runs : pandas.DataFrame
        As `sweep` returns it.
    metric : str
        The column.
    scale : float
        Factor on the column, such as 1e3 for milliseconds.
    x : str, optional
        The swept field along x; by default the first.

    Returns
    -------
    matplotlib.axes.Axes
        One swept field along x, as lines with bands, or as points with bars if its values are not numbers; one colour
        for each value of the others. A mark stands where there are runs; between marks, lines and bands only guide the
        eye, also between whole numbers. Points of a design that is not a grid are all in one colour.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8]}, replications=2)
    >>> ax = qkdrmp.plots.curve(runs, "queue_mean")
    >>> ax.set_title("Queues are short") and ax.get_xlabel()
    'key pool capacity $V_m$ (keys)'
    """
    sweep = SweepAxes.of(runs, swept(runs)[0] if x is None else x)
    with canvas(ax) as ax:
        lines = sweep.lines(metric, scale)
        for number, line in enumerate(lines):
            _draw_line(ax, sweep, line, number, _ends(line, runs, metric, scale))
        _finish_x(ax, sweep)
        _finish_y(ax, min(line.points["mean"].min() for line in lines))
        label_upright(ax, label(metric))
        sns.despine(ax=ax)
        if sweep.others:
            _add_legend(ax, sweep.others)
        _say_replications(ax, sweep)
    return ax


def _ends(line: Line, runs: pd.DataFrame, metric: str, scale: float) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Return the ends of the intervals of a line, none beyond what the metric can be."""
    mean, half = line.points["mean"], line.points["half"]
    least = 0 if runs[metric].min() >= 0 else -math.inf  # counts and times are never negative
    return (mean - half).clip(lower=least), (mean + half).clip(upper=scale * largest(metric))


def _draw_line(ax: Axes, sweep: SweepAxes, line: Line, number: int, ends: tuple[Any, Any]) -> None:
    """Draw a line with its band, or its points with bars."""
    x, mean = line.points["x"], line.points["mean"]
    style: dict[str, Any] = {"label": line.name, "marker": MARKERS[number % len(MARKERS)], "color": line.colour}
    if sweep.has_lines:
        dashes = "-" if sweep.has_order else DASHES[number % len(DASHES)]
        ax.plot(x, mean, linestyle=dashes, **style)
        ax.fill_between(x, *ends, color=line.colour, alpha=0.25, linewidth=0)
        return
    if not sweep.is_scale:
        count = len(sweep.groups)
        x = line.points["name"].map(sweep.names.index) + SPREAD * (number - (count - 1) / 2) / count
    ax.errorbar(x, mean, [mean - ends[0], ends[1] - mean], linestyle="", capsize=3, **style)


def _finish_x(ax: Axes, sweep: SweepAxes) -> None:
    values, names = sweep.runs[sweep.x], sweep.names
    ax.set_xlabel(label(sweep.x))
    if not sweep.is_scale:
        ax.set_xticks(range(len(names)), names)
        ax.set_xlim(-0.5, len(names) - 0.5)
        if max(map(len, names)) * len(names) > WIDEST_NAMES:
            plt.setp(ax.get_xticklabels(), rotation=20, ha="right")
    elif sweep.is_logarithmic:
        ax.set_xscale("log")
        if PLAIN[0] <= values.min() and values.max() < PLAIN[1]:
            ax.xaxis.set_major_formatter("{x:g}")
    elif pd.api.types.is_integer_dtype(values):
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def _finish_y(ax: Axes, lowest_mean: float) -> None:
    low, high = ax.dataLim.intervaly
    if not low <= high < math.inf:  # nothing was drawn
        return
    bottom, top = value_range(low, high, lowest_mean)
    if bottom > 0:
        ax.set_ylim(bottom - NOTE_SHARE * (top - bottom), top + TOP_SHARE * (top - bottom))
    elif top != high:
        ax.set_ylim(bottom, top)
    elif bottom == 0:
        ax.set_ylim(bottom=0)
    say_where_it_begins(ax)
    plainly_numbered(ax.yaxis)


def _add_legend(ax: Axes, fields: Sequence[str]) -> None:
    handles, labels = ax.get_legend_handles_labels()
    title = "\n".join(textwrap.fill(label(name), LEGEND_LETTERS) for name in fields)
    beside = (1.0, 0.5)
    ax.legend(handles[::-1], labels[::-1], title=title, frameon=False, loc="center left", bbox_to_anchor=beside)


def _say_replications(ax: Axes, sweep: SweepAxes) -> None:
    replications = sweep.runs["replication"].nunique()
    if replications > 1:
        what = "bands" if sweep.has_lines else "bars"
        note = f"{what}: 95 % confidence intervals, {replications} replications"
        ax.set_title(note, loc="left", fontsize=8, color="0.35")


def throughput(runs: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw requests processed over the swept fields (figure 3(a) when these are capacity and duration).

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line")
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8], "duration_s": [2, 3]}, replications=2)
    >>> ax = qkdrmp.plots.throughput(runs)
    >>> ax.get_ylabel()
    'requests processed'
    """
    return curve(runs, "requests_delivered", ax)


def wait(runs: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the mean waiting time of delivered requests over the swept fields, in milliseconds.

    Without `ax` the share of requests that were not delivered, and so have no waiting time, stands beside it: where
    that is large, short waits are no merit.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> ax = qkdrmp.plots.wait(qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8]}, replications=2))
    """
    if ax is None and "undelivered" in runs:
        ax, beside = figures(2, 2 * PANEL_SIZE[0] + 3 * LEGEND_WIDTH, PANEL_SIZE[1] + 0.8)
        curve(runs, "undelivered", beside)
    ax = curve(runs, "wait_mean_s", ax, scale=1e3)
    label_upright(ax, label("wait_mean_s").replace("(s)", "(ms)"))
    return ax


def readable(runs: pd.DataFrame, metric: str, ax: Axes | None = None, x: str | None = None) -> Axes:
    """Draw a column as `curve` does, times in a unit that suits them.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8]}, replications=2)
    >>> qkdrmp.plots.readable(runs, "wait_p95_s").get_ylabel()
    'waiting time of delivered\\nrequests, 95th percentile (ms)'
    """
    scale, name = in_unit(metric, runs[metric].abs().max())
    ax = curve(runs, metric, ax, scale, x)
    label_upright(ax, name)
    return ax


def multiplexing(
    runs: pd.DataFrame, metrics: Iterable[str] = COMPARED, axes: Sequence[Axes] | None = None
) -> list[Axes]:
    """Compare policies, or other values of swept fields that are not numbers, in several panels side by side.

    Parameters
    ----------
    runs : pandas.DataFrame
        As `sweep` returns it.
    metrics : iterable of str
        Columns, one for each panel; those that the runs do not have, or that are never known or always 0, are
        left out.
    axes : sequence of matplotlib.axes.Axes, optional
        Where to draw, at least one for each column that is left.

    Returns
    -------
    list of matplotlib.axes.Axes
        In each, means with 95 % confidence intervals: over the first swept field that is a scale of three numbers or
        more, with one line for each value of the others, or, if there is none, over the policies.

    Raises
    ------
    QKDRMPError
        If none of the columns is left, or there are not enough axes.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("blocking").replace({"duration_s": 0.1})
    >>> runs = qkdrmp.sweep(scenario, {"allocation.policy": ["circuit", "round-robin"]}, replications=2)
    >>> panels = qkdrmp.plots.multiplexing(runs, ["pair_rate_hz", "fidelity_mean"])
    >>> [ax.get_ylabel() for ax in panels]
    ['delivered pairs (1/s)', 'mean fidelity of pairs']
    """
    shown = [name for name in metrics if name in runs and runs[name].fillna(0).any()]
    if not shown:
        raise QKDRMPError(f"there is nothing to compare: the runs have none of {', '.join(metrics)}")
    if axes is not None and len(axes) < len(shown):
        raise QKDRMPError(f"{len(shown)} metrics need as many axes, not {len(axes)}: {', '.join(shown)}")
    sweep = SweepAxes.of(runs)
    width, height = PANEL_SIZE
    panels = list(axes or figures(len(shown), width * len(shown) + LEGEND_WIDTH * bool(sweep.others), height))
    for name, ax in zip(shown, panels, strict=False):
        readable(runs, name, ax, sweep.x)
        ax.set_title("", loc="left")
    for ax in panels[: len(shown) - 1]:  # one legend, at the right, is enough
        if legend := ax.get_legend():
            legend.remove()
    _say_replications(panels[0], sweep)
    return panels[: len(shown)]
