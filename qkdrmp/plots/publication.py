"""Figures for print: at the widths of journals, as PDF and PNG, each with its numbers, its caption, and its origin."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from qkdrmp.errors import QKDRMPError, did_you_mean, listed
from qkdrmp.family import FAMILIES
from qkdrmp.plots import captions
from qkdrmp.plots.axes import along, is_grid, swept
from qkdrmp.plots.canvas import STYLE, canvas, figure, save, whole
from qkdrmp.plots.curves import readable
from qkdrmp.plots.heatmap import heatmap
from qkdrmp.plots.inputs import SweepResults
from qkdrmp.plots.labels import label
from qkdrmp.stats.estimators import differ, summarise

DPI = 600
ABOVE: Any = {
    "loc": "outside upper center",
    "frameon": False,
    "columnspacing": 1,
    "handletextpad": 0.4,
    "handlelength": 1.6,
}
TITLE_LETTERS = 46
PRINT: Any = {
    **STYLE,
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so it is the same everywhere
    "font.size": 8,
    "axes.labelsize": 9,  # so that an index in it still has 6 pt
    "legend.title_fontsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 2,
    "ytick.minor.size": 2,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "savefig.bbox": "standard",  # cropping would change the width
}


class Format(NamedTuple):
    """A width in a journal, and what fits there."""

    width: float
    height: float
    beside: int  # entries of a legend that fit beside the axes
    letters: int  # of a line of the label of the y axis


FORMATS = {"column": Format(3.5, 2.5, 0, 28), "page": Format(7.2, 3.4, 14, 46)}
"""By name, in inches: 89 mm and 183 mm wide."""


class FigureKind(NamedTuple):
    """A kind of figure: how it is called in file names, drawn, and captioned."""

    suffix: str
    draw: Callable[[pd.DataFrame, str, Axes, str], Axes]
    caption: Callable[[SweepResults, str, str], str]


CURVE, MAP = FigureKind("", readable, captions.of_curve), FigureKind("_map", heatmap, captions.of_heatmap)


def publish(
    experiment: SweepResults,
    folder: str | Path,
    width: str = "column",
    metrics: Iterable[str] | None = None,
    x: str | None = None,
) -> list[Path]:
    """Write figures of an experiment for print, with their numbers and captions.

    Of each metric there is a curve with 95 % confidence intervals and, where two fields are swept over three numbers
    or more each (and no others), a heatmap, ``METRIC_map``. Each is a PDF with embedded TrueType fonts, a PNG of
    600 dots an inch, a CSV of the numbers in it, and a text: a caption, and the commands and versions that made it. The
    same experiment gives the same files, byte for byte.

    Parameters
    ----------
    experiment : Experiment
        As `load_experiment` returns it.
    folder : path
        Where they are written; it is made if need be.
    width : {"column", "page"}
        3.5 or 7.2 inches.
    metrics : iterable of str, optional
        Columns of the runs; by default the main ones of the family that are not the same in all runs.
    x : str, optional
        The swept field along x; by default the first scale of three numbers or more, else the first of names.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    QKDRMPError
        If there is no such width, metric or swept field, or nothing to draw.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 3})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 4, 8]}, replications=2, folder="results/line")
    >>> experiment = qkdrmp.load_experiment("results/line")
    >>> files = qkdrmp.plots.publish(experiment, "paper", metrics=["wait_mean_s"])
    >>> [file.name for file in files]
    ['wait_mean_s.pdf', 'wait_mean_s.png', 'wait_mean_s.csv', 'wait_mean_s.txt']
    """
    if width not in FORMATS:
        raise QKDRMPError(f"width = {width!r} must be one of {', '.join(FORMATS)}{did_you_mean(width, FORMATS)}")
    x = _checked_field(experiment.runs, x)
    summary = summarise(experiment.runs, experiment.swept)
    chosen = _checked_metrics(experiment, summary, metrics)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [CURVE, MAP] if is_grid(experiment.runs) else [CURVE]
    written: list[Path] = []
    for name in chosen:
        made = _command(experiment, folder, width, name, x)
        numbers = _numbers(experiment, summary, name)
        for kind in kinds:
            pdf, png, csv, txt = (folder / f"{name}{kind.suffix}.{ending}" for ending in ("pdf", "png", "csv", "txt"))
            save(_drawn(kind, experiment.runs, name, x, FORMATS[width]), pdf, png, dpi=DPI)
            numbers.to_csv(csv, index=False)
            caption = captions.wrapped(kind.caption(experiment, name, x))
            txt.write_text(f"{caption}\n\n{captions.provenance(experiment, csv.name, name, made)}\n", encoding="utf-8")
            written += [pdf, png, csv, txt]
    return written


def _checked_field(runs: pd.DataFrame, x: str | None) -> str:
    if runs.empty:
        raise QKDRMPError("the experiment has no runs, and so no figures")
    fields = swept(runs)
    if x is not None and x not in fields:
        hint = did_you_mean(x, fields)
        raise QKDRMPError(f"x = '{x}' must be a field that varies in the runs{hint}; known are {', '.join(fields)}")
    return along(runs) if x is None else x


def _checked_metrics(experiment: SweepResults, summary: pd.DataFrame, metrics: Iterable[str] | None) -> list[str]:
    runs = experiment.runs
    known = [str(name) for name in runs if f"{name}_mean" in summary]
    main = FAMILIES[experiment.scenario.kind].print_metrics
    names = list(dict.fromkeys(main if metrics is None else metrics))
    if metrics is None:
        drawn = [name for name in names if name in known and runs[name].notna().any()]
        names = [name for name in drawn if differ(runs[name])] or drawn[:1]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise QKDRMPError(f"the runs have no metric '{name}'{hint}; known are {listed(known)}")
        if runs[name].isna().all():
            raise QKDRMPError(f"the metric '{name}' has no value in any run: there is nothing to draw")
    if not names:
        raise QKDRMPError("there is nothing to draw: no run has any of the metrics")
    return names


def _numbers(experiment: SweepResults, summary: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the swept fields, and the mean, its interval and the number of replications that have the metric."""
    by = experiment.swept
    known = experiment.runs.groupby(by, sort=False, dropna=False)[name].count()
    ends = {end: summary[f"{name}_{end}"] for end in ("mean", "low", "high")}
    return summary[by].assign(**ends, replications=known.to_numpy())


def _command(experiment: SweepResults, folder: Path, width: str, name: str, x: str) -> str:
    if experiment.folder is None:
        return f"qkdrmp.plots.publish(experiment, {str(folder)!r}, {width!r}, [{name!r}], {x!r}), in Python"
    words = ["qkdrmp", "figures", str(experiment.folder), "--width", width, "--metric", name, "--x", x]
    return shlex.join([*words, "--out", str(folder)])


def _drawn(kind: FigureKind, runs: pd.DataFrame, name: str, x: str, size: Format) -> Axes:
    ax = figure(size.width, size.height, PRINT)
    kind.draw(runs, name, ax, x)
    with canvas(ax):
        ax.set_title("", loc="left")  # the caption says it
        for upright in whole(ax).axes:  # that of the colours is beside
            upright.set_ylabel(textwrap.fill(upright.get_ylabel(), size.letters))
        if (legend := ax.get_legend()) and len(legend.get_texts()) > size.beside:
            legend.remove()
            _add_legend_above(ax, [field for field in swept(runs) if field != x])
        _turn_names(ax)
    return ax


def _add_legend_above(ax: Axes, fields: Sequence[str]) -> None:
    """Add a legend above the axes, in rows as wide as the figure, and make the figure as much taller."""
    drawn = whole(ax)
    entries = list(zip(*ax.get_legend_handles_labels(), strict=True))
    title = ", ".join(map(label, fields))
    if len(title) > TITLE_LETTERS:
        title = ",\n".join(textwrap.fill(label(field), TITLE_LETTERS) for field in fields)
    for columns in dict.fromkeys(-(-len(entries) // rows) for rows in range(1, len(entries) + 1)):
        # A legend is filled column by column, but read row by row.
        in_rows = [entry for column in range(columns) for entry in entries[column::columns]]
        legend = drawn.legend(*zip(*in_rows, strict=True), ncols=columns, title=title, **ABOVE)
        box = legend.get_window_extent()
        if columns == 1 or box.width <= drawn.bbox.width:
            break
        legend.remove()
    drawn.set_figheight(drawn.get_figheight() + box.height / drawn.dpi)


def _turn_names(ax: Axes) -> None:
    """Turn the names along x if, and only if, they would run into each other."""
    plt.setp(ax.get_xticklabels(), rotation=0, ha="center")
    whole(ax).canvas.draw()  # numbers along x are chosen for the width that is left beside the y axis
    names = [name for name in ax.get_xticklabels() if name.get_text()]
    boxes = [name.get_window_extent() for name in names]
    if any(right.x0 - left.x1 < 2 for left, right in pairwise(boxes)):
        plt.setp(names, rotation=25, ha="right", rotation_mode="anchor")
