"""The text of a run and of a sweep on the command line, and the figures beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import qkdrmp
from qkdrmp.cli.output import Output
from qkdrmp.family import Family, FigureFile, Results, family_of
from qkdrmp.simulation import predict
from qkdrmp.stats.words import shortened
from qkdrmp.sweeps.plan import Plan


def save_all(figures: Iterator[FigureFile], folder: Path) -> list[str]:
    """Write figures into a folder, one after the other; return the names of the files."""
    written = []
    for name, axes in figures:
        qkdrmp.plots.save(axes, folder / name)
        written.append(name)
    return written


def predictions(plan: Plan) -> Iterator[str]:
    """Yield what is predicted to go wrong in the cells of a sweep: ``with pools.capacity = 20: ...``."""
    for cell in plan.cells:
        where = ", ".join(
            f"{path} = {value}" for path, value in cell.labels(plan.swept).items() if path != "duration_s"
        )
        for sentence in predict(cell.scenario):
            yield f"with {where}: {shortened(sentence)}" if where else shortened(sentence)


def sweep_lines(runs: pd.DataFrame, family: Family) -> Iterator[str]:
    """Yield, line by line, what came out of each cell of a sweep at the longest duration."""
    longest = runs[runs["duration_s"] == runs["duration_s"].max()]
    fields = [name for name in qkdrmp.plots.swept(runs) if name != "duration_s"]
    yield f"after {longest['duration_s'].iloc[0]:g} s (mean and 95 % interval over replications):"
    cells = longest.groupby(fields, sort=False, dropna=False) if fields else [((), longest)]
    lines = [
        (
            ", ".join(f"{name} = {qkdrmp.plots.value_text(value)}" for name, value in zip(fields, cell, strict=True))
            or "all",
            group,
        )
        for cell, group in cells
    ]
    width = max(24, *(len(where) + 2 for where, _ in lines))
    for where, group in lines:
        yield f"  {where:<{width}}{family.presentation.cell_summary(group)}"


def say_known(scenario: qkdrmp.Scenario, output: Output) -> None:
    """Say what is known of a scenario without a run: what its topology notes, and what its family says."""
    known = family_of(scenario).known_beforehand(scenario)
    output.lines(f"note: {note}" for note in scenario.topology.notes)
    output.lines(f"known: {sentence}" for sentences in known.values() for sentence in sentences)
    output.facts |= {"notes": scenario.topology.notes, "known": known}


def verdict_lines(found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield, line by line, a verdict."""
    yield "verdict:"
    for topic, sentences in found.items():
        yield from (f"  {topic}: {sentence}" for sentence in sentences)


def run_lines(results: Results) -> Iterator[str]:
    """Yield the metrics of one run, line by line, but for reasons for which nothing was rejected."""
    shown = {name: value for name, value in results.summary.items() if value or not str(name).startswith("rejected_")}
    width = max(22, *(len(str(name)) + 2 for name in shown))
    for name, value in shown.items():
        yield f"  {name:<{width}}{_number(value)}"


def _number(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if math.isnan(value) else f"{value:,.6g}"
