"""Figures of comparisons: paired differences with their confidence intervals, and where zero is."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from qkdrmp.errors import QKDRMPError, did_you_mean, listed
from qkdrmp.plots.canvas import COLOURS, canvas
from qkdrmp.plots.curves import LEGEND_LETTERS, MARKERS
from qkdrmp.plots.labels import in_unit, label, name_and_unit, value_text
from qkdrmp.stats.comparison import COMPARISON_NAMES

WIDTH, ROW_HEIGHT, MARGIN = 8.0, 0.24, 1.2
ZERO = "0.4"
SPREAD = 0.7  # of the distance of two rows, for the values within a row


def differences(compared: pd.DataFrame, metric: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw paired differences from a baseline with their confidence intervals (a forest plot).

    Parameters
    ----------
    compared : pandas.DataFrame
        As `compare` returns it.
    metric : str, optional
        One metric, whose differences are drawn in its unit, a row for each cell of the other swept fields. By default
        all metrics are drawn, as percentages of the baseline's mean, a row for each metric and cell; those without
        such a percentage, because that mean is 0, are left out.

    Returns
    -------
    matplotlib.axes.Axes
        With one mark for each value of the compared field: filled if its interval leaves out zero, hollow if the
        difference may be none.

    Raises
    ------
    QKDRMPError
        If nothing was compared, or not this metric.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8]}, replications=3)
    >>> compared = qkdrmp.compare(runs, "pools.capacity", baseline=2)
    >>> ax = qkdrmp.plots.differences(compared, "wait_mean_s")
    >>> ax.get_xlabel()
    'difference in mean waiting time of delivered requests (ms)'
    """
    *cell, field = compared.columns[: compared.columns.get_loc(COMPARISON_NAMES[0])]
    chosen, along = _in_percent(compared) if metric is None else _in_its_unit(compared, metric)
    if chosen.empty:
        raise QKDRMPError("there is nothing to draw: no metric differs from a baseline that is not 0")
    cell = [name for name in cell if chosen[name].nunique(dropna=False) > 1]
    rows = ["metric", *cell] if metric is None or not cell else cell
    chosen = chosen.sort_values("metric", key=lambda names: names.map(list(names.unique()).index), kind="stable")
    titles = list(dict.fromkeys(_title(row, rows) for row in chosen.to_dict("records")))
    values = list(dict.fromkeys(map(value_text, chosen[field])))
    height = MARGIN + ROW_HEIGHT * max(len(titles) * len(values), 3)
    with canvas(ax, WIDTH, height) as ax:
        for row in chosen.to_dict("records"):
            number = values.index(value_text(row[field]))
            beside = SPREAD * ((number + 0.5) / len(values) - 0.5)
            _draw(ax, row, titles.index(_title(row, rows)) + beside, number)
        _finish(ax, titles, along, ", ".join(map(label, cell)))
        _add_legend(ax, field, values, value_text(chosen["baseline"].iloc[0]))
        _say_pairs(ax, chosen["pairs"])
    return ax


def _in_percent(compared: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    known = compared[compared["relative"].notna()]
    scale = 100 / known["baseline_mean"].abs()
    shares = {end: known[end] * scale for end in ("difference", "low", "high")}
    return known.assign(**shares), "difference (% of the baseline's mean)"


def _in_its_unit(compared: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, str]:
    chosen = compared[(compared["metric"] == metric) & compared["difference"].notna()]
    if chosen.empty:
        known = compared["metric"].unique()
        hint = did_you_mean(metric, known)
        raise QKDRMPError(f"the comparison has no metric '{metric}'{hint}; known are {listed(known)}")
    scale, name = in_unit(metric, chosen[["difference", "low", "high"]].abs().max().max())
    scaled = {end: scale * chosen[end] for end in ("difference", "low", "high")}
    return chosen.assign(**scaled), f"difference in {name}"


def _title(row: dict[Any, Any], rows: Sequence[str]) -> str:
    return ", ".join(name_and_unit(row[name])[0] if name == "metric" else value_text(row[name]) for name in rows)


def _draw(ax: Axes, row: dict[Any, Any], y: float, number: int) -> None:
    colour, differs = COLOURS[number % len(COLOURS)], not row["low"] <= 0 <= row["high"] and row["low"] == row["low"]
    ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.5)
    face = colour if differs else "white"
    ax.plot(row["difference"], y, MARKERS[number % len(MARKERS)], color=colour, markerfacecolor=face, markersize=5.5)


def _finish(ax: Axes, titles: Sequence[str], along: str, upright: str) -> None:
    ax.set_yticks(range(len(titles)), titles)
    ax.set_ylim(len(titles) - 0.5, -0.5)
    for between in range(1, len(titles)):
        ax.axhline(between - 0.5, color="0.9", linewidth=0.8, zorder=0)
    ax.axvline(0, color=ZERO, linewidth=1, zorder=0)
    ax.set_xlabel(along)
    ax.set_ylabel(upright)
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)


def _add_legend(ax: Axes, field: str, values: Sequence[str], baseline: str) -> None:
    zero = ax.plot([], [], color=ZERO, linewidth=1, label=f"{baseline} (baseline)")[0]
    marks = [
        ax.plot([], [], MARKERS[number % len(MARKERS)], color=COLOURS[number % len(COLOURS)], label=value)[0]
        for number, value in enumerate(values)
    ]
    title = textwrap.fill(label(field), LEGEND_LETTERS)
    beside = (1.0, 0.5)
    ax.legend(handles=[zero, *marks], title=title, frameon=False, loc="center left", bbox_to_anchor=beside)


def _say_pairs(ax: Axes, pairs: pd.Series[int]) -> None:
    least, most = pairs.min(), pairs.max()
    number = f"{least}" if least == most else f"{least} to {most}"
    note = f"intervals of {number} pairs of runs; hollow: may be no difference"
    ax.set_title(note, loc="left", fontsize=8, color="0.35")
