"""Figures of comparisons: paired differences with their confidence intervals, and where zero is."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qkdrmp.errors import QKDRMPError, counted, did_you_mean, listed
from qkdrmp.plots.canvas import COLOURS, canvas, figures, label_upright, whole
from qkdrmp.plots.curves import LEGEND_LETTERS, MARKERS
from qkdrmp.plots.labels import in_unit, label, name_and_unit, value_text
from qkdrmp.stats.comparison import COMPARISON_NAMES
from qkdrmp.stats.estimators import CONFIDENCE
from qkdrmp.stats.words import percent

WIDTH, ROW_HEIGHT, MARGIN = 7.0, 0.24, 1.2
ROW_LETTERS, ROW_LINE = 30, 0.18
"""Letters of a line of a row's title, and inches of a line: a title on one line can leave no space for the marks."""
ZERO = "0.4"
SPREAD = 0.7  # of the distance of two rows, for the values within a row
NO_DIFFERENCE = "same", "unclear"
"""Verdicts whose marks are hollow."""

PAGE_HEIGHT, PANEL_MARGIN, PANEL_ROW, ACROSS = 9.2, 0.62, 0.15, 3
"""Inches of a page of panels, of what a panel needs besides its marks, and of a mark; and how many panels stand side by
side."""
LINE_HEIGHT, PAGE_LETTERS, TITLE_LETTERS, SMALL = 0.145, 116, 30, 8
MOST_LINES, ROW_REACH = 16, 0.8
"""Lines of words on a page, of which the last sentence is always one: `conclusions` ends in what is not shown;
and how long the label of a row of panels is, as a share of its height."""


def differences(compared: pd.DataFrame, metric: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw paired differences from a baseline with their confidence intervals (a forest plot).

    Parameters
    ----------
    compared : pandas.DataFrame
        As `compare` returns it.
    metric : str, optional
        One metric, whose differences are drawn in its unit, a row for each cell of the other swept fields. By default
        all metrics are drawn, as percentages of the baseline's mean, a row for each metric and cell; those without
        such a percentage, because that mean is 0, are left out. For many metrics see `comparison`.

    Returns
    -------
    matplotlib.axes.Axes
        With one mark for each value of the compared field: filled if there is a difference (see the column ``verdict``
        of `compare`), hollow if there may be none.

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
    chosen, along = _in_percent(compared) if metric is None else _in_its_unit(compared, metric)
    if chosen.empty:
        raise QKDRMPError("there is nothing to draw: no metric differs from a baseline that is not 0")
    rows = _Rows.of(chosen, ["metric"] if metric is None or chosen["metric"].nunique() > 1 else [])
    titles = [textwrap.fill(title, ROW_LETTERS) for title in rows.titles]
    row = max(ROW_HEIGHT * len(rows.values), *(ROW_LINE * (title.count("\n") + 1) for title in titles))
    with canvas(ax, WIDTH, MARGIN + max(row * len(titles), 3 * ROW_HEIGHT)) as ax:
        rows.draw(ax, chosen)
        ax.set_yticks(range(len(titles)), titles)
        ax.set_xlabel(along)
        ax.set_ylabel(", ".join(map(label, rows.cell)))
        title = textwrap.fill(label(rows.field), LEGEND_LETTERS)
        beside = (1.0, 0.5)
        ax.legend(handles=rows.marks(ax), title=title, frameon=False, loc="center left", bbox_to_anchor=beside)
        ax.set_title(_note(compared), loc="left", fontsize=SMALL, color="0.35")
    return ax


def comparison(compared: pd.DataFrame, words: Sequence[str] = ()) -> list[Axes]:
    """Draw the paired differences of many metrics on one page: a panel for each metric, in its unit.

    Parameters
    ----------
    compared : pandas.DataFrame
        As `compare` returns it.
    words : sequence of str
        What is written above the panels, such as the `conclusions` of the comparison.

    Returns
    -------
    list of matplotlib.axes.Axes
        The panels of the metrics in the table's order. The page says which metrics do not differ at all, which have no
        panel, and how many have none because the page is full.

    Raises
    ------
    QKDRMPError
        If no metric differs.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8]}, replications=3)
    >>> compared = qkdrmp.compare(runs, "pools.capacity", metrics=["mismatched_keys", "wait_mean_s"])
    >>> [ax.get_title(loc="left") for ax in qkdrmp.plots.comparison(compared, qkdrmp.conclusions(compared))]
    ['mean waiting time of delivered\\nrequests (ms)']
    """
    known = compared[compared["difference"].notna()]
    names = list(known["metric"].unique())
    differing = [name for name in names if (known.loc[known["metric"] == name, "verdict"] != "same").any()]
    if not differing:
        raise QKDRMPError("there is nothing to draw: no metric differs from the baseline")
    rows = _Rows.of(known)
    said = _on_lines(words)
    around = LINE_HEIGHT * (len(said) + 5)
    height = PANEL_MARGIN + min(PANEL_ROW * max(len(rows.titles) * len(rows.values), 3), PAGE_HEIGHT / 2)
    shown = _most_telling(known, differing, ACROSS * max(1, int((PAGE_HEIGHT - around) / height)))
    across = min(ACROSS, len(shown))
    panels = figures(len(shown), WIDTH, around + height * -(-len(shown) // across), across=across)
    for number, (metric, ax) in enumerate(zip(shown, panels, strict=True)):
        with canvas(ax):
            _draw_panel(ax, rows, known, metric, is_first=number % across == 0)
    notes = _on_lines([_note(compared), *_left_out(names, differing, shown)])
    _write(
        whole(panels[0]), said, rows.marks(panels[0]), [f"difference from the baseline: {label(rows.field)}", *notes]
    )
    return panels


def _most_telling(known: pd.DataFrame, metrics: Sequence[str], most: int) -> list[str]:
    """Return the metrics that fit on a page: first those whose differences are no luck, then in their order."""
    clear = set(known.loc[~known["verdict"].isin(NO_DIFFERENCE), "metric"])
    chosen = sorted(metrics, key=lambda name: name not in clear)[:most]
    return [name for name in metrics if name in chosen]


def _draw_panel(ax: Axes, rows: _Rows, known: pd.DataFrame, metric: str, *, is_first: bool) -> None:
    chosen, along = _in_its_unit(known, metric)
    rows.draw(ax, chosen)
    title = textwrap.fill(along.removeprefix("difference in "), TITLE_LETTERS)
    ax.set_title(title, loc="left", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL, labelleft=is_first)
    if is_first:
        ax.yaxis.label.set_fontsize(SMALL)
        label_upright(ax, ", ".join(map(label, rows.cell)), ROW_REACH)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.xaxis.set_major_formatter("{x:g}")


def _on_lines(sentences: Sequence[str]) -> list[str]:
    """Return sentences as lines of a page, as many whole ones as fit, how many are left out, and the last one."""
    wrapped = [_wrapped(sentence) for sentence in sentences]
    if sum(map(len, wrapped)) <= MOST_LINES:
        return [*chain.from_iterable(wrapped)]
    *others, last = wrapped
    space = MOST_LINES - min(len(last), MOST_LINES)
    fitting = [number for number, high in enumerate(accumulate(map(len, others)), 1) if high <= space]
    shown = max(fitting, default=0)
    left_out = counted(len(others) - shown, "more sentence")
    return [*chain.from_iterable(others[:shown]), f"and {left_out}", *last[:MOST_LINES]]


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence.replace(" %", "\N{NO-BREAK SPACE}%"), PAGE_LETTERS, subsequent_indent="    ")


def _left_out(names: Sequence[str], differing: Sequence[str], shown: Sequence[str]) -> list[str]:
    same = [name_and_unit(name)[0] for name in names if name not in differing]
    said = [f"no difference at all: {', '.join(same)}"] if same else []
    more = len(differing) - len(shown)
    return [*said, f"{counted(more, 'more metric')}: see the table"] if more else said


def _write(drawn: Figure, words: Sequence[str], marks: Sequence[Any], notes: Sequence[str]) -> None:
    """Write words above the panels, and below them what the marks stand for."""
    drawn.suptitle("\n".join(words), x=0.01, ha="left", fontsize=SMALL)
    longest = max(len(str(mark.get_label())) for mark in marks)
    columns = max(1, min(len(marks), int(PAGE_LETTERS / (longest + 3))))
    where: Any = {"loc": "outside lower left", "ncols": columns, "frameon": False, "alignment": "left"}
    drawn.legend(handles=marks, title="\n".join(notes), title_fontsize=SMALL, fontsize=SMALL, **where)


class _Rows(NamedTuple):
    """Where the differences of a comparison stand: a row for each cell, in it a place for each value."""

    field: str
    cell: list[str]
    named: list[str]
    titles: list[str]
    values: list[str]
    baseline: str

    @classmethod
    def of(cls, compared: pd.DataFrame, first: Sequence[str] = ()) -> _Rows:
        *cell, field = (str(name) for name in compared.columns[: compared.columns.get_loc(COMPARISON_NAMES[0])])
        cell = [name for name in cell if compared[name].nunique(dropna=False) > 1]
        named = [*first, *cell]
        order = compared.sort_values("metric", key=lambda names: names.map(list(names.unique()).index), kind="stable")
        titles = list(dict.fromkeys(_title(row, named) for row in order.to_dict("records")))
        values = list(dict.fromkeys(map(value_text, compared[field])))
        return cls(field, cell, named, titles, values, value_text(compared["baseline"].iloc[0]))

    def draw(self, ax: Axes, chosen: pd.DataFrame) -> None:
        for row in chosen.to_dict("records"):
            number = self.values.index(value_text(row[self.field]))
            beside = SPREAD * ((number + 0.5) / len(self.values) - 0.5)
            _draw(ax, row, self.titles.index(_title(row, self.named)) + beside, number)
        _finish(ax, self.titles)

    def marks(self, ax: Axes) -> list[Any]:
        zero = ax.plot([], [], color=ZERO, linewidth=1, label=f"{self.baseline} (baseline)")[0]
        marks = [
            ax.plot([], [], MARKERS[number % len(MARKERS)], color=COLOURS[number % len(COLOURS)], label=value)[0]
            for number, value in enumerate(self.values)
        ]
        return [zero, *marks]


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
    colour, differs = COLOURS[number % len(COLOURS)], row["verdict"] not in NO_DIFFERENCE
    ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.5)
    face = colour if differs else "white"
    ax.plot(row["difference"], y, MARKERS[number % len(MARKERS)], color=colour, markerfacecolor=face, markersize=5.5)


def _finish(ax: Axes, titles: Sequence[str]) -> None:
    ax.set_yticks(range(len(titles)), titles)
    ax.set_ylim(len(titles) - 0.5, -0.5)
    for between in range(1, len(titles)):
        ax.axhline(between - 0.5, color="0.9", linewidth=0.8, zorder=0)
    ax.axvline(0, color=ZERO, linewidth=1, zorder=0)
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)


def _note(compared: pd.DataFrame) -> str:
    least, most = compared["pairs"].min(), compared["pairs"].max()
    number = f"{least}" if least == most else f"{least} to {most}"
    interval = f"{percent(compared.attrs.get('confidence', CONFIDENCE))} intervals of {number} pairs of runs"
    return f"{interval}; hollow: may be no difference (corrected for {counted(len(compared), 'comparison')})"
