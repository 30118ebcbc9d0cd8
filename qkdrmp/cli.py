"""The `qkdrmp` command."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import pandas as pd

import qkdrmp
from qkdrmp.bundled import bundled_names
from qkdrmp.errors import QKDRMPError
from qkdrmp.network.formats import load_topology
from qkdrmp.scenario import Scenario, load_scenario
from qkdrmp.simulation import Results, check, run_once
from qkdrmp.statistics import half_width, summarise
from qkdrmp.sweep import Sweep, SweepInterrupted, processes

# Pictures go to files; no window is ever opened.
os.environ.setdefault("MPLBACKEND", "Agg")

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
NAMES_SHOWN = 6

out_option = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for results.  [default: results/NAME]"
)
seed_option = click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Random seed.")


class FriendlyGroup(click.Group):
    """Commands whose errors are sentences: no traceback reaches the user."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except QKDRMPError as error:
            _fail(str(error), EXIT_USAGE)
        except BrokenPipeError:
            raise
        except OSError as error:
            _fail(f"{error.filename or 'file'}: {error.strerror or error}", EXIT_USAGE)
        except KeyboardInterrupt:
            _fail("interrupted", EXIT_INTERRUPTED)


def _fail(message: str, code: int) -> NoReturn:
    for line in message.splitlines():
        click.echo(f"error: {line}", err=True)
    raise SystemExit(code)


@click.group(cls=FriendlyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="qkdrmp")
def main() -> None:
    """Simulate the resource management of quantum networks.

    NAME is a bundled scenario or topology (see `qkdrmp list`); FILE is one of your own.
    """


@main.command("list")
def list_bundled() -> None:
    """Show the bundled scenarios and topologies."""
    click.echo("Scenarios (qkdrmp run NAME, qkdrmp sweep NAME):")
    for name in bundled_names("scenarios"):
        scenario = load_scenario(name)
        click.echo(f"  {name:<18}{scenario.description}")
    click.echo("Topologies (qkdrmp topology NAME):")
    for name in bundled_names("topologies"):
        network = load_topology(name)
        click.echo(f"  {name:<18}{network.summary().splitlines()[0].removeprefix(f'{network.name}: ')}")


@main.command()
@click.argument("name_or_file")
@click.option("--draw", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into this PNG (PDF, SVG) file.")
def topology(name_or_file: str, draw: Path | None) -> None:
    """Check a topology and describe it."""
    network = load_topology(name_or_file)
    click.echo(network.summary())
    if draw is not None:
        qkdrmp.plots.save(qkdrmp.plots.network(network), draw)
        click.echo(f"drawn: {draw}")


@main.command()
@click.argument("name_or_file")
@seed_option
@out_option
@click.option("--trace", is_flag=True, help="Record every message and every change of a pool's level as well.")
def run(name_or_file: str, seed: int, out: Path | None, trace: bool) -> None:
    """Run a scenario once and write its tables."""
    scenario = load_scenario(name_or_file)
    folder = _folder(out, scenario)
    _foresee(scenario)
    begun = time.perf_counter()
    results = run_once(scenario, seed, messages=trace, levels=trace)
    wall = time.perf_counter() - begun
    click.echo(f"{scenario.name}, seed {seed}: {scenario.duration_s:g} s simulated in {wall:.2f} s")
    for figure, value in results.summary.items():
        click.echo(f"  {figure:<22}{_number(value)}")
    for finding in results.findings:
        click.echo(f"warning: {finding}")
    _write_tables(results, folder)


def _write_tables(results: Results, folder: Path) -> None:
    summary = results.summary.to_frame("value").rename_axis("figure").reset_index()
    tables = {"run_summary": summary, **results.tables}
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    click.echo(f"written to {folder}: {', '.join(f'{name}.csv' for name in tables)}")


@main.command()
@click.argument("name_or_file")
@out_option
@click.option("--replications", type=click.IntRange(min=1), help="Runs of each cell.  [default: the scenario's]")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one for each core]")
@seed_option
def sweep(name_or_file: str, out: Path | None, replications: int | None, jobs: int | None, seed: int) -> None:
    """Run a scenario over its grid; write tables and figures."""
    scenario = load_scenario(name_or_file)
    plan = Sweep(scenario, replications=replications, seed=seed)
    folder = _folder(out, scenario)
    cells = plan.planned // plan.replications
    click.echo(f"{scenario.name}: {cells} cells x {plan.replications} replications = {plan.planned} runs, seed {seed}")
    _foresee_sweep(plan)
    begun = time.perf_counter()
    try:
        with processes(jobs) as executor:
            runs, timings = plan.run(executor, progress=sys.stderr.isatty())
    except SweepInterrupted as interruption:
        if interruption.runs.empty:
            _fail(str(interruption), EXIT_INTERRUPTED)
        _write_runs(interruption.runs, interruption.timings, folder)
        _fail(f"{interruption}; they are in {folder / 'runs.csv'}", EXIT_INTERRUPTED)
    wall = time.perf_counter() - begun
    _write_runs(runs, timings, folder)
    summarise(runs, plan.swept).to_csv(folder / "summary.csv", index=False)
    _draw(runs, plan, folder)
    # The shorter durations are part of the longest: their events are the same ones.
    events = runs.loc[runs["duration_s"] == runs["duration_s"].max(), "events"].sum()
    click.echo(f"{len(runs)} runs in {wall:.1f} s ({len(timings)} simulations, {events:,} events)")
    _report(runs)
    click.echo(f"written to {folder}: runs.csv, timings.csv, summary.csv, throughput.png, wait.png, load.png")


def _write_runs(runs: pd.DataFrame, timings: pd.DataFrame, folder: Path) -> None:
    runs.to_csv(folder / "runs.csv", index=False)
    timings.to_csv(folder / "timings.csv", index=False)


def _draw(runs: pd.DataFrame, plan: Sweep, folder: Path) -> None:
    qkdrmp.plots.save(qkdrmp.plots.throughput(runs), folder / "throughput.png")
    qkdrmp.plots.save(qkdrmp.plots.wait(runs), folder / "wait.png")
    last = plan.tasks[-plan.replications]  # the first replication of the last cell
    results = run_once(last.scenario, last.seed)
    where = ", ".join(f"{path} = {value}" for path, value in plan.label(last).items())
    axes = qkdrmp.plots.load(results.nodes, last.scenario.topology)
    axes.set_title(f"{plan.scenario.name}: one run with {where}, seed {last.seed}", fontsize=9)
    qkdrmp.plots.save(axes, folder / "load.png")


def _report(runs: pd.DataFrame) -> None:
    """Print what was found, for the longest duration."""
    longest = runs[runs["duration_s"] == runs["duration_s"].max()]
    fields = [name for name in qkdrmp.plots.swept(runs) if name != "duration_s"]
    click.echo(f"after {longest['duration_s'].iloc[0]:g} s (mean and 95 % interval over replications):")
    for cell, group in longest.groupby(fields, sort=False, dropna=False) if fields else [((), longest)]:
        where = ", ".join(f"{name} = {value}" for name, value in zip(fields, cell, strict=True))
        click.echo(f"  {where or 'all':<24}{_found(group)}")


def _found(group: pd.DataFrame) -> str:
    delivered, wait = group["requests_delivered"], 1e3 * group["wait_mean_s"]
    asked = group["requests_started"].sum()
    stuck = group["stuck_pools"].mean()
    return (
        f"{_interval(delivered)} requests processed of {asked / len(group):.1f}"
        + (f", mean wait {_interval(wait, 3)} ms" if wait.notna().any() else "")
        + (f", {stuck:.1f} pools stuck" if stuck else "")
    )


def _interval(values: pd.Series[Any], digits: int = 1) -> str:
    half = half_width(values)
    return f"{values.mean():.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def _foresee(scenario: Scenario) -> None:
    for sentence in check(scenario):
        click.echo(f"foreseen: {sentence}")


def _foresee_sweep(plan: Sweep) -> None:
    for task in plan.tasks[:: plan.replications]:  # the first replication of each cell
        where = ", ".join(f"{path} = {value}" for path, value in plan.label(task).items() if path != "duration_s")
        for sentence in check(task.scenario):
            click.echo(f"foreseen{' with ' if where else ''}{where}: {_shortened(sentence)}")


def _shortened(sentence: str) -> str:
    head, _, names = sentence.rpartition(": ")
    listed: Sequence[str] = names.split(", ")
    more = f" and {len(listed) - NAMES_SHOWN} more" if len(listed) > NAMES_SHOWN else ""
    return f"{head}: {', '.join(listed[:NAMES_SHOWN])}{more}"


def _folder(out: Path | None, scenario: Scenario) -> Path:
    # A name may hold a slash, which must not lead elsewhere.
    folder = Path("results") / (scenario.name.replace("/", "_").strip(". ") or "scenario") if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
