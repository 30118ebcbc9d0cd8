"""The command that sweeps."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

import qkdrmp
from qkdrmp.cli.group import (
    EXIT_INTERRUPTED,
    command_line,
    extra,
    fail,
    format_option,
    jobs_option,
    main,
    out_option,
    results_folder,
    scenario_argument,
    seed_option,
    target_option,
    unswept,
)
from qkdrmp.cli.output import Output, output_options
from qkdrmp.cli.summaries import predictions, save_all, say_known, sweep_lines, verdict_lines
from qkdrmp.errors import SweepWarning, counted
from qkdrmp.family import family_of
from qkdrmp.simulation import run_once
from qkdrmp.stats.table_files import write_tables
from qkdrmp.sweeps.experiment import STORE
from qkdrmp.sweeps.plan import Plan
from qkdrmp.sweeps.store import discard
from qkdrmp.sweeps.sweep import SweepInterrupted, carry_out
from qkdrmp.sweeps.workers import processes


@main.command()
@scenario_argument
@out_option
@click.option("--replications", type=click.IntRange(min=1), help="Runs of each cell.  [default: the scenario's]")
@click.option("--precision", type=float, help="Add runs until intervals are within this share of the mean, e.g. 0.05.")
@click.option("--metric", metavar="METRIC", help="Metric for --precision.  [default: requests or pairs delivered]")
@click.option("--max-replications", type=click.IntRange(min=2), help="Limit of --precision for a cell.  [default: 100]")
@jobs_option
@click.option("--cluster", metavar="ADDRESS", help="Run on a dask cluster, such as tcp://127.0.0.1:8786.")
@click.option("--restart", is_flag=True, help="Discard the runs that the folder has.")
@target_option
@seed_option
@format_option
@output_options
def sweep(
    scenario: qkdrmp.Scenario,
    output: Output,
    out: Path | None,
    jobs: int | None,
    cluster: str | None,
    restart: bool,
    targets: dict[str, Any],
    seed: int,
    table_format: str,
    **rule: Any,
) -> None:
    """Run a scenario at all its points; write tables and figures.

    Each finished run is kept at once. Stopped and started again, a sweep goes on from there; with more values or
    replications it only runs what is new.
    """
    unswept(scenario)
    scenario = scenario.replace(targets)
    plan = Plan(scenario, seed=seed, **rule)
    folder = results_folder(out, scenario.name)
    cells = plan.planned // plan.replications
    of = f"{counted(cells, 'cell')} x {counted(plan.replications, 'replication')}"
    output.line(f"{scenario.name}: {of} = {counted(plan.planned, 'run')}, seed {seed}")
    say_known(scenario, output)
    output.warn("predicted", predictions(plan))
    if restart:
        discard(folder / STORE)
    begun = time.perf_counter()
    try:
        with _executor(jobs, cluster) as executor, warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always", SweepWarning)
            found = carry_out(plan, folder, executor, progress=not output.quiet, command=command_line())
    except SweepInterrupted as interruption:
        found_so_far = "" if interruption.experiment.runs.empty else f"; they are in {folder / 'runs.csv'}"
        fail(f"{interruption}{found_so_far}", EXIT_INTERRUPTED)
    wall = time.perf_counter() - begun
    output.warn("warning", [str(warning.message) for warning in heard])
    family, last = family_of(scenario), plan.cells[-1]
    run_last_cell = partial(run_once, last.scenario, plan.seed_of(0))
    laws = qkdrmp.law_table(found.runs, found.scenario)
    figures = save_all(family.presentation.sweep_figures(found.runs, laws, run_last_cell), folder)
    output.line(_carried_out(found, wall))
    output.lines(sweep_lines(found.runs, family))
    found_out = qkdrmp.verdict(found.runs, found.scenario, laws)
    output.lines(verdict_lines(found_out))
    output.facts |= {"scenario": scenario.name, "kind": scenario.kind, "seed": seed, "swept": found.swept}
    output.facts |= {"runs": len(found.runs), "new_runs": found.new_runs, "failed_runs": len(found.failures)}
    output.facts |= {"wall_s": wall, "summary": found.tables["summary"], "verdict": found_out}
    output.facts["laws"] = laws
    tables = [f"{table}.csv" for table in found.tables]
    if table_format != "csv":  # beside those that the other commands read
        tables += write_tables(found.tables, folder, table_format)
    output.written(folder, [*tables, *figures])
    output.line(f"next: qkdrmp report {folder} (a page with all of it), qkdrmp figures {folder} (for print)")


def _carried_out(found: qkdrmp.Experiment, wall_s: float) -> str:
    """Return in a line what a sweep has run, and what the folder had already."""
    all_runs = counted(len(found.runs), "run")
    if not found.new_runs:
        return f"nothing is new: the folder had all {all_runs}"
    # The shorter durations are part of the longest: their events are the same ones.
    events = found.runs.loc[found.runs["duration_s"] == found.runs["duration_s"].max(), "events"].sum()
    detail = f"{counted(len(found.timings), 'simulation')}, {events:,.0f} events"
    if found.new_runs < len(found.runs):
        return f"{counted(found.new_runs, 'new run')} in {wall_s:.1f} s, {all_runs} in all ({detail})"
    return f"{all_runs} in {wall_s:.1f} s ({detail})"


@contextmanager
def _executor(jobs: int | None, address: str | None) -> Iterator[Executor | Callable[[], Executor]]:
    if address is None:
        yield partial(processes, jobs)
        return
    if jobs is not None:
        raise click.UsageError("Give --jobs or --cluster, not both.")
    with extra("cluster", "qkdrmp.sweeps.dask_cluster").cluster(address) as executor:
        yield executor
