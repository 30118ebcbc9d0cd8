"""What to say beneath a figure of a sweep: what is shown, and how it was made."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd

from qkdrmp.plots.axes import SweepAxes, is_scale, swept
from qkdrmp.plots.inputs import SweepResults
from qkdrmp.plots.labels import label, value_text
from qkdrmp.stats.words import capital

LINE = 100
IN_VALUES = ("(s)", "(keys)", "(requests)")  # units that are named with values, not with the quantity
TOGETHER = " All points share their random numbers, so that chance may move them together."
DRAWN_WITH = ("qkdrmp", "matplotlib", "seaborn")


def of_curve(experiment: SweepResults, metric: str, x: str) -> str:
    """Return the caption of a curve of a metric over `x`."""
    runs, sweep = experiment.runs, SweepAxes.of(experiment.runs, x)
    if sweep.is_scattered:
        lines = f" Each point has its own {_joined([_named(name) for name in swept(runs) if name != x])}."
    else:
        lines = "".join(f" {capital(_named(name))}: {_values(runs[name])}." for name in sweep.others)
    bars = "Bands" if sweep.has_lines else "Bars"
    head = f"{capital(_named(metric))} over {_named(x)}."
    return f"{head}{lines} {_replications(runs, metric, bars)} {_origin(experiment)}"


def of_heatmap(experiment: SweepResults, metric: str, x: str) -> str:
    """Return the caption of a heatmap of a metric over `x` and the other swept field."""
    other = next(name for name in swept(experiment.runs) if name != x)
    head = f"{capital(_named(metric))} over {_named(x)} and {_named(other)}."
    return f"{head} {_replications(experiment.runs, metric, None)} {_origin(experiment)}"


def provenance(experiment: SweepResults, numbers: str, metric: str, command: str) -> str:
    """Return how a figure and the runs in it were made, a line for each fact."""
    made = ", ".join(f"{name} {number}" for name, number in experiment.versions.items())
    facts = {
        "Scenario": experiment.scenario.name,
        "Seed": str(experiment.seed),
        "Runs": experiment.command,
        "Runs made by": made,
        "Figure": command,
        "Figure made by": ", ".join(f"{name} {version(name)}" for name in DRAWN_WITH),
        "Numbers": f"{numbers}: mean, and low and high end of its interval, of {metric} as in the table of runs; "
        "times in it are in seconds.",
    }
    return "\n".join(f"{name}: {fact}" for name, fact in facts.items() if fact)


def wrapped(caption: str) -> str:
    """Return a caption in lines that fit a window."""
    return textwrap.fill(caption, LINE, break_long_words=False, break_on_hyphens=False)


def _named(field: str) -> str:
    name = label(field).replace("$", "")
    return name.rpartition(" (")[0] if name.endswith(IN_VALUES) else name


def _joined(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _values(values: pd.Series[Any]) -> str:
    known = sorted(values.unique()) if is_scale(values) else list(values.unique())
    unit = next((unit for unit in IN_VALUES if label(str(values.name)).endswith(unit)), "")
    return f"{', '.join(map(value_text, known))} {unit.strip('()')}".rstrip()


def _replications(runs: pd.DataFrame, metric: str, bars: str | None) -> str:
    counts = runs.groupby(swept(runs), dropna=False)[metric].count()
    least, most = counts.min(), counts.max()
    if most < 2:
        return "Single runs, without intervals."
    number = f"{most}" if least == most else f"{least} to {most}"
    shown = f"Means over {number} replications"
    if bars is None:
        return f"{shown}."
    return f"{shown}. {bars}: 95 % confidence intervals of the mean (Student's t).{TOGETHER if len(counts) > 1 else ''}"


def _origin(experiment: SweepResults) -> str:
    fixed = [name for name in experiment.swept if name not in swept(experiment.runs)]
    at = [f"{_named(name)} {_values(experiment.runs[name])}" for name in fixed]
    failed = int(experiment.runs["failed"].sum()) if "failed" in experiment.runs else 0
    left_out = f" {failed} failed runs are left out." if failed else ""
    return f"{', '.join([f'Scenario {experiment.scenario.name}', *at, f'seed {experiment.seed}'])}.{left_out}"
