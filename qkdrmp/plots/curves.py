"""Figures of sweeps: means over swept fields, with confidence intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from qkdrmp.errors import QKDRMPError
from qkdrmp.plots.canvas import COLOURS, canvas, figures
from qkdrmp.plots.labels import in_unit, label, value_text
from qkdrmp.stats.estimators import half_width

MARKERS = "osD^vPX<>h"
DASHES = ("-", "--", "-.", ":")
WIDEST_NAMES = 40
LEGEND_LETTERS = 24
EQUAL = 1e-9
MAGNITUDES = 50.0  # values that span so much are drawn on a logarithmic axis
PLAIN = 1e-4, 1e6  # between these, numbers along it are written out
COMPARED = ("pair_rate_hz", "completion_mean_s", "setup_mean_s", "blocking", "fidelity_mean")
LEAST_POINTS = 3
PANEL_SIZE, LEGEND_WIDTH = (3.1, 3.4), 1.9


def swept(runs: pd.DataFrame) -> list[str]:
    """Return the swept columns of a table of runs: those before ``replication`` that take several values.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4], "queue.policy": ["fcfs"]}, replications=1)
    >>> qkdrmp.plots.swept(runs)
    ['pools.capacity']
    """
    before = list(runs.columns[: runs.columns.get_loc("replication")])
    several = [name for name in before if runs[name].nunique(dropna=False) > 1]
    return several or before[:1]


def along(runs: pd.DataFrame) -> str:
    """Return the swept field that tells most along x: the first scale of three numbers or more, else names."""
    fields = swept(runs)
    scales = [name for name in fields if is_scale(runs[name]) and runs[name].nunique() >= LEAST_POINTS]
    return [*scales, *(name for name in fields if not is_scale(runs[name])), *fields][0]


def is_scattered(runs: pd.DataFrame, x: str) -> bool:
    """Return whether no two points differ in `x` alone, as in a design that is no grid: lines would mean nothing."""
    fields = swept(runs)
    others = [name for name in fields if name != x]
    points = runs[fields].drop_duplicates()
    return x in fields and bool(others) and not points.duplicated(others).any()


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
        One swept field along x, as lines with bands, or as points with bars if its values are no numbers; one colour
        for each value of the others. Points of a design that is no grid are all in one colour.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8]}, replications=2)
    >>> ax = qkdrmp.plots.curve(runs, "queue_mean")
    >>> ax.set_title("Queues are short") and ax.get_xlabel()
    'key pool capacity $V_m$ (keys)'
    """
    fields = swept(runs)
    x = fields[0] if x is None else x
    others = [] if is_scattered(runs, x) else [name for name in fields if name != x]
    names = None if is_scale(runs[x]) else [value_text(value) for value in runs[x].unique()]
    with canvas(ax) as ax:
        _draw_lines(ax, runs, metric, scale, x, others, names)
        if names is None and 0 < MAGNITUDES * runs[x].min() <= runs[x].max():
            _make_logarithmic(ax, runs[x])
        elif names is None and pd.api.types.is_integer_dtype(runs[x]):
            ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
        _finish(ax, label(x), label(metric), names)
        if others:
            _add_legend(ax, others)
        _say_replications(ax, runs, names)
    return ax


def _make_logarithmic(ax: Axes, values: pd.Series[Any]) -> None:
    ax.set_xscale("log")
    if PLAIN[0] <= values.min() and values.max() < PLAIN[1]:
        ax.xaxis.set_major_formatter("{x:g}")


def _draw_lines(
    ax: Axes, runs: pd.DataFrame, metric: str, scale: float, x: str, others: list[str], names: list[str] | None
) -> None:
    in_order = all(pd.api.types.is_numeric_dtype(runs[name]) for name in others)
    lines = list(runs.groupby(others, sort=in_order, dropna=False)) if others else [((), runs)]
    # Numbers have an order, which viridis shows; names have none.
    ordered = len(lines) > 1 and (in_order or len(lines) > len(COLOURS))
    colours = sns.color_palette("viridis", len(lines) + 1) if ordered else sns.color_palette(COLOURS)
    scattered = is_scattered(runs, x)
    point = swept(runs) if scattered else [x]
    for number, (values, group) in enumerate(lines):
        cells = group.groupby(point, sort=names is None, dropna=False)[metric]
        mean, half = scale * cells.mean(), scale * cells.apply(half_width)
        places = list(mean.index.get_level_values(x))
        name, marker = ", ".join(map(value_text, values)), MARKERS[number % len(MARKERS)]
        style: dict[str, Any] = {"label": name, "marker": marker, "color": colours[number]}
        if names is None and not scattered:
            ax.plot(places, mean, linestyle="-" if ordered else DASHES[number % len(DASHES)], **style)
            ax.fill_between(places, mean - half, mean + half, color=colours[number], alpha=0.25, linewidth=0)
        else:
            beside = 0.6 * (number - (len(lines) - 1) / 2) / len(lines)
            at = places if names is None else [names.index(value_text(value)) + beside for value in places]
            ax.errorbar(at, mean, half, linestyle="", capsize=3, **style)


def is_scale(values: pd.Series[Any]) -> bool:
    """Return whether values can be points of an axis: several numbers, none of them missing.

    Examples
    --------
    >>> import pandas as pd
    >>> import qkdrmp
    >>> qkdrmp.plots.is_scale(pd.Series([2, 4, 8])), qkdrmp.plots.is_scale(pd.Series(["fcfs", "priority"]))
    (True, False)
    """
    kinds = pd.api.types
    number = kinds.is_numeric_dtype(values) and not kinds.is_bool_dtype(values)
    return bool(number and not values.isna().any() and values.nunique() > 1)


def _finish(ax: Axes, x: str, y: str, names: Sequence[str] | None) -> None:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    low, high = ax.dataLim.intervaly
    if low < high / 2:
        ax.set_ylim(bottom=0)
    elif high - low < EQUAL * high:  # else the axis would show nothing but rounding errors
        ax.set_ylim(0, 1.5 * high)
    if names is not None:
        ax.set_xticks(range(len(names)), names)
        ax.set_xlim(-0.5, len(names) - 0.5)
        if max(map(len, names)) * len(names) > WIDEST_NAMES:
            plt.setp(ax.get_xticklabels(), rotation=20, ha="right")
    sns.despine(ax=ax)


def _add_legend(ax: Axes, fields: Sequence[str]) -> None:
    handles, labels = ax.get_legend_handles_labels()
    title = "\n".join(textwrap.fill(label(name), LEGEND_LETTERS) for name in fields)
    beside = (1.0, 0.5)
    ax.legend(handles[::-1], labels[::-1], title=title, frameon=False, loc="center left", bbox_to_anchor=beside)


def _say_replications(ax: Axes, runs: pd.DataFrame, names: Sequence[str] | None) -> None:
    replications = runs["replication"].nunique()
    if replications > 1:
        what = "bands" if names is None else "bars"
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

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> ax = qkdrmp.plots.wait(qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8]}, replications=2))
    """
    ax = curve(runs, "wait_mean_s", ax, scale=1e3)
    ax.set_ylabel("mean waiting time (ms)")
    return ax


def readable(runs: pd.DataFrame, metric: str, ax: Axes | None = None, x: str | None = None) -> Axes:
    """Draw a column as `curve` does, times in a unit that suits them.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8]}, replications=2)
    >>> qkdrmp.plots.readable(runs, "wait_p95_s").get_ylabel()
    'waiting time, 95th percentile (ms)'
    """
    scale, name = in_unit(metric, runs[metric].abs().max())
    ax = curve(runs, metric, ax, scale, x)
    ax.set_ylabel(name)
    return ax


def multiplexing(
    runs: pd.DataFrame, metrics: Iterable[str] = COMPARED, axes: Sequence[Axes] | None = None
) -> list[Axes]:
    """Compare policies, or other values of swept fields that are no numbers, in several figures side by side.

    Parameters
    ----------
    runs : pandas.DataFrame
        As `sweep` returns it.
    metrics : iterable of str
        Columns, one for each figure; those that the runs do not have, or that are never known or always 0, are
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
    >>> scenario = qkdrmp.load_scenario("multiplexing").replace({"duration_s": 0.1})
    >>> runs = qkdrmp.sweep(scenario, {"allocation.policy": ["circuit", "round-robin"]}, replications=2)
    >>> panels = qkdrmp.plots.multiplexing(runs, ["pair_rate_hz", "fidelity_mean"])
    >>> [ax.get_ylabel() for ax in panels]
    ['delivered pairs (1/s)', 'mean fidelity of pairs']
    """
    told = [name for name in metrics if name in runs and runs[name].fillna(0).any()]
    if not told:
        raise QKDRMPError(f"there is nothing to compare: the runs have none of {', '.join(metrics)}")
    if axes is not None and len(axes) < len(told):
        raise QKDRMPError(f"{len(told)} metrics need as many axes, not {len(axes)}: {', '.join(told)}")
    fields, x = swept(runs), along(runs)
    width, height = PANEL_SIZE
    panels = list(axes or figures(len(told), width * len(told) + (LEGEND_WIDTH if len(fields) > 1 else 0), height))
    for name, ax in zip(told, panels, strict=False):
        readable(runs, name, ax, x)
        ax.set_title("", loc="left")
    for ax in panels[: len(told) - 1]:  # one legend, at the right, is enough
        if legend := ax.get_legend():
            legend.remove()
    _say_replications(panels[0], runs, None if is_scale(runs[x]) else [])
    return panels[: len(told)]
