"""Figures of entanglement connections: when their pairs came, and how good they were."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from qkdrmp.family import Results
from qkdrmp.plots.canvas import COLOURS, canvas
from qkdrmp.plots.times import brief, time_unit

OWN = [COLOURS[number] for number in (0, 1, 2, 4, 3, 9, 5, 6)]
"""Colours of connections, as long as there are enough."""
PALE = 8
"""The palest one of so many shades is left out: it is hard to see on white."""
LANE = 0.085  # height of a connection's lane beneath the lines, as a share of theirs
BINS = 60
NARROWEST_BIN = 1e-4
USELESS = 0.5  # pairs that are not entangled, such as those with wrong partners, must be seen however few they are


class Mark(NamedTuple):
    """How a moment of a connection is marked in its lane: those that are close in time stand at different heights."""

    column: str
    name: str
    above: float
    style: dict[str, Any]


MARKS = (
    Mark("asked_s", "asked", 0.3, {"marker": "v", "markersize": 4.5}),
    Mark("installed_s", "installed", 0.0, {"marker": "o", "markersize": 4.5, "markerfacecolor": "white"}),
    Mark("active_s", "links switched", -0.3, {"marker": "^", "markersize": 4.5}),
    Mark("done_s", "done or torn down", 0.0, {"marker": "s", "markersize": 4.5}),
)
REFUSED = Mark("done_s", "rejected or aborted", 0.0, {"marker": "x", "markersize": 5.5, "markeredgewidth": 1.6})


def pairs_over_time(results: Results, ax: Axes | None = None) -> Axes:
    """Draw the pairs delivered so far over time, and beneath it when each connection was set up and torn down.

    Parameters
    ----------
    results : Results
        Of a run that recorded its pairs.

    Returns
    -------
    matplotlib.axes.Axes
        One line for each connection, and a lane for each beneath: from when it was asked for to its installation, to
        the switch of its last link, and to its end. Of more connections than there are colours, only the lines.

    Examples
    --------
    >>> import qkdrmp
    >>> results = qkdrmp.simulate(qkdrmp.load_scenario("shared_link"), seed=1, record=["pairs"])
    >>> ax = qkdrmp.plots.pairs_over_time(results)
    >>> ax.get_ylabel()
    'pairs delivered'
    """
    connections, pairs = results.table("connections"), results.table("pairs")
    end = _end(results)
    size, unit = time_unit(end)
    most = max(int(connections["pairs"].max()) if len(connections) else 0, 1)
    few = len(connections) <= len(OWN)
    with canvas(ax, 7.2, 4.4) as ax:
        times = dict(iter(pairs.groupby("connection")["time_s"]))
        shades = sns.color_palette("viridis", len(connections) + len(connections) // PALE + 1)
        for number, row in enumerate(_rows(connections)):
            colour = OWN[number] if few else shades[number]
            _draw_line(ax, np.sort(times.get(row.id, pd.Series(dtype=float))) / size, row, size, end, colour, few)
            if few:
                _draw_lane(ax, row, number, most * LANE, size, end, colour)
        _finish_times(ax, connections, most, few)
        ax.set_xlabel(f"time ({unit})")
        many = "" if few else f": {len(connections)} connections"
        ax.set_title(f"{results.scenario.name}, seed {results.seed}{many}", loc="left", fontsize=9)
    return ax


def _rows(connections: pd.DataFrame) -> list[Any]:
    return list(connections.itertuples(index=False))


def _end(results: Results) -> float:
    """Return when the last thing happened, s; the end of the run if something was still going on."""
    done = results.table("connections")["done_s"]
    whole = results.scenario.duration_s
    return float(done.max()) if len(done) and done.notna().all() else whole


def _draw_line(
    ax: Axes, times: np.ndarray[Any, Any], row: Any, size: float, end: float, colour: Any, few: bool
) -> None:
    if not len(times):
        return
    stop = end if math.isnan(row.done_s) else row.done_s
    x = np.concatenate([[row.active_s / size], times, [max(stop / size, times[-1])]])
    y = np.concatenate([[0], np.arange(1, len(times) + 1), [len(times)]])
    ax.step(x, y, where="post", color=colour, linewidth=1.6 if few else 0.9, zorder=3, solid_joinstyle="round")


def _draw_lane(ax: Axes, row: Any, number: int, height: float, size: float, end: float, colour: Any) -> None:
    """Draw when a connection was requested, installed, active and finished."""
    y = -height * (number + 1)
    stop = end if math.isnan(row.done_s) else row.done_s
    refused = row.state in ("rejected", "aborted")
    busy = row.active_s if not math.isnan(row.active_s) else stop
    ax.plot([row.asked_s / size, busy / size], [y, y], color=colour, linewidth=1.2, linestyle=(0, (1, 1)), zorder=2)
    ax.plot([busy / size, stop / size], [y, y], color=colour, linewidth=4, alpha=0.35, solid_capstyle="butt", zorder=2)
    for mark in (*MARKS[:-1], REFUSED if refused else MARKS[-1]):
        moment = getattr(row, mark.column)
        if not math.isnan(moment):
            ax.plot(moment / size, y + mark.above * height, linestyle="", color=colour, zorder=4, **mark.style)
    ax.annotate(
        _lane_text(row),
        (1.0, y),
        (6, 0),
        xycoords=ax.get_yaxis_transform(),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color="0.2",
        annotation_clip=False,
    )


def _lane_text(row: Any) -> str:
    if math.isnan(row.installed_s):
        return f"{row.state}, {row.reason}" if isinstance(row.reason, str) else str(row.state)
    return f"set up in {brief(row.installed_s - row.asked_s)}" + (f", {row.state}" if row.state != "delivered" else "")


def _finish_times(ax: Axes, connections: pd.DataFrame, most: int, few: bool) -> None:
    lanes = len(connections) if few else 0
    ax.set_ylim(-most * LANE * (lanes + 0.6) if lanes else 0, most * 1.04)
    ticks = [tick for tick in MaxNLocator(6, integer=True).tick_values(0, most) if 0 <= tick <= most * 1.04]
    names = [str(row.id) for row in _rows(connections)][:lanes]
    ax.set_yticks(
        [*ticks, *(-most * LANE * (number + 1) for number in range(lanes))],
        [*(f"{tick:,.0f}" for tick in ticks), *names],
    )
    for number, text in enumerate(ax.get_yticklabels()[len(ticks) :]):
        text.set(color=OWN[number], fontweight="bold")
    for tick in ax.yaxis.get_major_ticks()[len(ticks) :]:
        tick.tick1line.set_visible(False)
    ax.set_ylabel("pairs delivered")
    sns.despine(ax=ax)
    if lanes:
        ax.axhline(0, color="0.6", linewidth=0.7, zorder=1)
        _explain_marks(ax, connections)


def _explain_marks(ax: Axes, connections: pd.DataFrame) -> None:
    states = set(connections["state"])
    marks = [*MARKS[:-1], *([MARKS[-1]] if "delivered" in states or "unfinished" in states else [])]
    marks += [REFUSED] if states & {"rejected", "aborted"} else []
    handles = [Line2D([], [], linestyle="", label=mark.name, color="0.3", **mark.style) for mark in marks]
    beneath = (0.5, -0.13)
    ax.legend(
        handles=handles,
        ncols=len(handles),
        loc="upper center",
        bbox_to_anchor=beneath,
        frameon=False,
        fontsize=8,
        handletextpad=0.2,
        columnspacing=1.4,
    )


def fidelity_histogram(results: Results, ax: Axes | None = None) -> Axes:
    """Draw how often pairs of each fidelity were delivered, and the mean that the users estimate.

    Parameters
    ----------
    results : Results
        Of a run that recorded its pairs.

    Returns
    -------
    matplotlib.axes.Axes
        One histogram for each connection with pairs, or one for all if there are more connections than colours. The
        axis of counts is logarithmic if some pairs are not entangled, such as those with wrong partners at 0.25.

    Examples
    --------
    >>> import qkdrmp
    >>> results = qkdrmp.simulate(qkdrmp.load_scenario("shared_link"), seed=1, record=["pairs"])
    >>> ax = qkdrmp.plots.fidelity_histogram(results)
    >>> ax.get_xlabel()
    'fidelity at delivery'
    """
    pairs = results.table("pairs")
    names = list(results.table("connections")["id"])
    few = len(names) <= len(OWN)
    known = dict(iter(pairs.groupby("connection")))
    groups = [(name, known[name]) for name in names if name in known] if few else [("all", pairs)]
    edges = _edges(pairs["fidelity"])
    with canvas(ax, 6.4, 4.0) as ax:
        for name, group in groups:
            colour = OWN[names.index(name) if few else 0]  # the same as in `pairs_over_time`
            count = np.histogram(group["fidelity"], edges)[0]
            ax.stairs(count, edges, fill=True, color=colour, alpha=0.3)
            ax.stairs(count, edges, color=colour, linewidth=1.2, label=f"{name!s} ({len(group):,} pairs)")
            ax.axvline(group["estimated_fidelity"].mean(), color=colour, linestyle=(0, (4, 2)), linewidth=1.3)
        if len(pairs) and pairs["fidelity"].min() <= USELESS:
            ax.set_yscale("log")
            ax.set_ylim(bottom=0.7)
        _finish_fidelity(ax, results)
    return ax


def _edges(fidelity: pd.Series[float]) -> np.ndarray[Any, Any]:
    low, high = (float(fidelity.min()), float(fidelity.max())) if len(fidelity) else (0.25, 1.0)
    step = max((high - low) / BINS, NARROWEST_BIN)
    bins = max(1, math.ceil((high - low) / step))
    # Half a bin is left at either side, so that the lowest and the highest bar do not touch the frame.
    return low - step / 2 + step * np.arange(bins + 2)


def _finish_fidelity(ax: Axes, results: Results) -> None:
    ax.set_xlabel("fidelity at delivery")
    ax.set_ylabel("pairs")
    ax.set_title(f"{results.scenario.name}, seed {results.seed}", loc="left", fontsize=9)
    handles, labels = ax.get_legend_handles_labels()
    estimated = Line2D([], [], color="0.3", linestyle=(0, (4, 2)), linewidth=1.3, label="mean the users estimate")
    ax.legend([*handles, estimated], [*labels, "mean the users estimate"], frameon=False, fontsize=8)
    sns.despine(ax=ax)
