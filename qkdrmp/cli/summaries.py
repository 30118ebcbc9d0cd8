"""What the command line tells and draws of a run and of a sweep, for each protocol family."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import qkdrmp
from qkdrmp.family import Results
from qkdrmp.simulation import run_once
from qkdrmp.stats.estimators import half_width
from qkdrmp.sweeps.plan import Plan

Picture = tuple[str, Any]
"""The name of a file, and the axes of what goes into it."""


@dataclass(frozen=True)
class Report:
    """How a protocol family is told about.

    Parameters
    ----------
    title : str
        What its scenarios are about.
    records : tuple of str
        What a single run has to record for its figures.
    of_run : callable
        Yields the figures of one run.
    of_sweep : callable
        Yields the figures of a table of runs and the sweep that made it.
    found : callable
        Says what came out of the runs of one cell.
    """

    title: str
    records: tuple[str, ...]
    of_run: Callable[[Results], Iterator[Picture]]
    of_sweep: Callable[[pd.DataFrame, Plan], Iterator[Picture]]
    found: Callable[[pd.DataFrame], str]


def save_all(pictures: Iterator[Picture], folder: Path) -> list[str]:
    """Write figures into a folder, one after the other; return the names of the files."""
    written = []
    for name, axes in pictures:
        qkdrmp.plots.save(axes, folder / name)
        written.append(name)
    return written


def told(runs: pd.DataFrame, kind: str) -> Iterator[str]:
    """Yield, line by line, what a sweep found for the longest duration."""
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
        yield f"  {where:<{width}}{REPORTS[kind].found(group)}"


def summary_lines(results: Results) -> Iterator[str]:
    """Yield the metrics of one run, line by line, but for reasons for which nothing was rejected."""
    shown = {name: value for name, value in results.summary.items() if value or not str(name).startswith("rejected_")}
    width = max(22, *(len(str(name)) + 2 for name in shown))
    for name, value in shown.items():
        yield f"  {name:<{width}}{_number(value)}"


def _number(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if math.isnan(value) else f"{value:,.6g}"


# QKD


def _no_pictures(results: Results) -> Iterator[Picture]:
    yield from ()


def _qkd_sweep(runs: pd.DataFrame, plan: Plan) -> Iterator[Picture]:
    yield "throughput.png", qkdrmp.plots.throughput(runs)
    yield "wait.png", qkdrmp.plots.wait(runs)
    last, seed = plan.cells[-1], plan.seed_of(0)
    results = run_once(last.scenario, seed)
    where = ", ".join(f"{path} = {value}" for path, value in last.labels(plan.swept).items())
    axes = qkdrmp.plots.load(results.table("nodes"), last.scenario.topology)
    axes.set_title(f"{plan.scenario.name}: one run with {where}, seed {seed}", fontsize=9)
    yield "load.png", axes


def _qkd_found(group: pd.DataFrame) -> str:
    delivered, wait = group["requests_delivered"], 1e3 * group["wait_mean_s"]
    asked = group["requests_started"].sum()
    stuck = group["stuck_pools"].mean()
    return (
        f"{_interval(delivered, 1)} requests processed of {asked / len(group):.1f}"
        + (f", mean wait {_interval(wait, 3)} ms" if wait.notna().any() else "")
        + (f", {stuck:.1f} pools stuck" if stuck else "")
    )


# Entanglement

CURVES = {
    "rate.png": "pair_rate_hz",
    "mean_fidelity.png": "fidelity_mean",
    "setup.png": "setup_mean_s",
    "completion.png": "completion_mean_s",
    "blocking.png": "blocking",
    "stall.png": "stall_s",
}
SAME = 1e-9  # what differs by less differs by rounding


def _entanglement_run(results: Results) -> Iterator[Picture]:
    yield "pairs.png", qkdrmp.plots.pairs_over_time(results)
    if len(results.table("pairs")):
        yield "fidelity.png", qkdrmp.plots.fidelity_histogram(results)


def _entanglement_sweep(runs: pd.DataFrame, plan: Plan) -> Iterator[Picture]:
    for number, (name, metric) in enumerate(CURVES.items()):
        if number == 0 or _differs(runs[metric]):
            yield name, qkdrmp.plots.readable(runs, metric)
    if any(not qkdrmp.plots.is_scale(runs[field]) for field in qkdrmp.plots.swept(runs) if runs[field].nunique() > 1):
        yield "multiplexing.png", qkdrmp.plots.multiplexing(runs)[0]


def _differs(values: pd.Series[Any]) -> bool:
    return bool(values.max() - values.min() > SAME * abs(values.max()))


def _entanglement_found(group: pd.DataFrame) -> str:
    parts = [f"pair rate {_measured(group['pair_rate_hz'])} per s"]
    if group["fidelity_mean"].notna().any():
        parts.append(f"fidelity {_measured(group['fidelity_mean'])}")
    if group["blocking"].any():
        parts.append(f"blocking {_measured(group['blocking'])}")
    if group["setup_mean_s"].notna().any():
        parts.append(f"setup {_measured(1e3 * group['setup_mean_s'])} ms")
    if group["stall_s"].any():
        parts.append(f"stall {_measured(1e3 * group['stall_s'])} ms")
    wrong = group["wrong_partner"].mean()
    return ", ".join(parts) + (f", {wrong:.1f} pairs with wrong partners" if wrong else "")


def _interval(values: pd.Series[Any], digits: int) -> str:
    half = half_width(values)
    return f"{values.mean():.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def _measured(values: pd.Series[Any]) -> str:
    """Return a mean with its interval, to the last digit that means something; without one that is nothing."""
    mean, half = float(values.mean()), half_width(values)
    if not half > SAME * abs(mean):
        return f"{mean:.0f}" if abs(mean) >= 1000 else f"{mean:.4g}"
    return _interval(values, max(0, -math.floor(math.log10(half / 2))))


REPORTS: Mapping[str, Report] = {
    "qkd": Report("key requests", (), _no_pictures, _qkd_sweep, _qkd_found),
    "entanglement": Report(
        "entanglement connections", ("pairs",), _entanglement_run, _entanglement_sweep, _entanglement_found
    ),
}
