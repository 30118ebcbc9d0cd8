"""The `qkdrmp` command."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import click

import qkdrmp
from qkdrmp.bundled import bundled_names
from qkdrmp.errors import QKDRMPError
from qkdrmp.experiment import STORE
from qkdrmp.network.formats import load_topology
from qkdrmp.plan import Plan
from qkdrmp.reporting import REPORTS, save_all, summary_lines, told
from qkdrmp.scenario import SCENARIOS, Scenario
from qkdrmp.scenario_file import load_scenario
from qkdrmp.simulation import FAMILIES, Results, check, run_once
from qkdrmp.sweep import SweepInterrupted, SweepWarning, carry_out
from qkdrmp.workers import processes

# Pictures go to files; no window is ever opened.
os.environ.setdefault("MPLBACKEND", "Agg")

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
NAMES_SHOWN = 6
HOW_NOT_WHAT = ("jobs", "cluster", "restart")
"""Options that change how a sweep is carried out, but not what comes out."""

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
    scenarios = {name: load_scenario(name) for name in bundled_names("scenarios")}
    for kind in SCENARIOS:
        click.echo(f"Scenarios of {REPORTS[kind].title} (qkdrmp run, sweep or ladder NAME):")
        for name, scenario in scenarios.items():
            if scenario.kind == kind:
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
@click.option(
    "--trace", is_flag=True, help="Record everything: every message, every change of a pool's level, every pair."
)
def run(name_or_file: str, seed: int, out: Path | None, trace: bool) -> None:
    """Run a scenario once and write its tables and figures."""
    scenario = load_scenario(name_or_file)
    folder = _folder(out, scenario)
    _foresee(scenario)
    family, report = FAMILIES[scenario.kind], REPORTS[scenario.kind]
    begun = time.perf_counter()
    results = run_once(scenario, seed, family.records if trace else report.records)
    wall = time.perf_counter() - begun
    click.echo(f"{scenario.name}, seed {seed}: {scenario.duration_s:g} s simulated in {wall:.2f} s")
    for line in summary_lines(results):
        click.echo(line)
    for finding in results.findings:
        click.echo(f"warning: {finding}")
    written = [*_write_tables(results, folder), *save_all(report.of_run(results), folder)]
    click.echo(f"written to {folder}: {', '.join(written)}")


def _write_tables(results: Results, folder: Path) -> list[str]:
    summary = results.summary.to_frame("value").rename_axis("figure").reset_index()
    tables = {f"{name}.csv": table for name, table in {"run_summary": summary, **results.tables}.items()}
    for name, table in tables.items():
        table.to_csv(folder / name, index=False)
    return list(tables)


@main.command()
@click.argument("name_or_file")
@click.option("--request", type=click.IntRange(min=1), help="Number of a request.  [default: the first delivered]")
@click.option("--connection", help="Id of a connection, in an entanglement network.")
@click.option("--pairs", is_flag=True, help="Show the messages about single pairs of a connection as well.")
@seed_option
@out_option
def ladder(
    name_or_file: str, request: int | None, connection: str | None, pairs: bool, seed: int, out: Path | None
) -> None:
    """Run a scenario and draw the messages of one request or connection."""
    if request is not None and connection is not None:
        raise click.UsageError("Give --request or --connection, not both.")
    scenario = load_scenario(name_or_file)
    asked = connection if request is None else request
    if asked is not None:
        qkdrmp.ladder.check_noun(scenario, "connection" if request is None else "request")  # before a long run
    results = run_once(scenario, seed, ["messages"])
    chosen = qkdrmp.ladder.first(results) if asked is None else asked
    drawn = qkdrmp.ladder.tell(results, chosen, pairs=pairs)
    folder = _folder(out, scenario)
    name = f"ladder_{re.sub(r'[^-.0-9A-Za-z_]', '_', str(chosen))}"
    qkdrmp.plots.save(drawn.draw(), folder / f"{name}.png")
    (folder / f"{name}.mmd").write_text(drawn.mermaid(), encoding="utf-8")
    click.echo(f"{drawn.title}: {len(drawn.arrows)} messages")
    click.echo(f"written to {folder}: {name}.png, {name}.mmd")


@main.command()
@click.argument("name_or_file")
@out_option
@click.option("--replications", type=click.IntRange(min=1), help="Runs of each cell.  [default: the scenario's]")
@click.option("--precision", type=float, help="Add runs until intervals are within this share of the mean, e.g. 0.05.")
@click.option("--of", metavar="FIGURE", help="Figure for --precision.  [default: requests or pairs delivered]")
@click.option("--most", type=click.IntRange(min=2), help="Most runs of a cell for --precision.  [default: 100]")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one for each core]")
@click.option("--cluster", metavar="ADDRESS", help="Run on a dask cluster, such as tcp://127.0.0.1:8786.")
@click.option("--restart", is_flag=True, help="Discard the runs that the folder has.")
@seed_option
def sweep(
    name_or_file: str, out: Path | None, jobs: int | None, cluster: str | None, restart: bool, seed: int, **rule: Any
) -> None:
    """Run a scenario at all its points; write tables and figures.

    Each finished run is kept at once. Stopped and started again, a sweep goes on from there; with more values or
    replications it only runs what is new.
    """
    scenario = load_scenario(name_or_file)
    plan = Plan(scenario, seed=seed, **rule)
    folder = _folder(out, scenario)
    cells = plan.planned // plan.replications
    click.echo(f"{scenario.name}: {cells} cells x {plan.replications} replications = {plan.planned} runs, seed {seed}")
    _foresee_sweep(plan)
    if restart:
        (folder / STORE).unlink(missing_ok=True)
    begun = time.perf_counter()
    try:
        with _executor(jobs, cluster) as executor, warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always", SweepWarning)
            found = carry_out(plan, folder, executor, progress=sys.stderr.isatty(), command=_command())
    except SweepInterrupted as interruption:
        found_so_far = "" if interruption.experiment.runs.empty else f"; they are in {folder / 'runs.csv'}"
        _fail(f"{interruption}{found_so_far}", EXIT_INTERRUPTED)
    wall = time.perf_counter() - begun
    for warning in heard:
        click.echo(f"warning: {warning.message}")
    pictures = save_all(REPORTS[scenario.kind].of_sweep(found.runs, plan), folder)
    # The shorter durations are part of the longest: their events are the same ones.
    events = found.runs.loc[found.runs["duration_s"] == found.runs["duration_s"].max(), "events"].sum()
    click.echo(f"{len(found.runs)} runs in {wall:.1f} s ({len(found.timings)} simulations, {events:,.0f} events)")
    for line in told(found.runs, scenario.kind):
        click.echo(line)
    click.echo(f"written to {folder}: {', '.join([*(f'{table}.csv' for table in found.tables), *pictures])}")


@contextmanager
def _executor(jobs: int | None, address: str | None) -> Iterator[Executor | Callable[[], Executor]]:
    if address is None:
        yield partial(processes, jobs)
        return
    if jobs is not None:
        raise click.UsageError("Give --jobs or --cluster, not both.")
    with _extra("cluster").cluster(address) as executor:
        yield executor


def _extra(name: str) -> ModuleType:
    """Return a module of this package that needs packages of the extra of the same name."""
    try:
        return importlib.import_module(f"qkdrmp.{name}")
    except ModuleNotFoundError as error:
        if str(error.name).startswith("qkdrmp"):
            raise
        _fail(f"this needs the package {error.name}: pip install 'qkdrmp[{name}]'", EXIT_USAGE)


def _command() -> str:
    """Return the command that is being carried out, with all that its results depend on."""
    context = click.get_current_context()
    words = ["qkdrmp", str(context.info_name)]
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if isinstance(parameter, click.Argument):
            words.append(str(value))
        elif value not in (None, False) and parameter.name not in HOW_NOT_WHAT:
            words += [parameter.opts[-1], str(value)]
    return shlex.join(words)


def _foresee(scenario: Scenario) -> None:
    for sentence in check(scenario):
        click.echo(f"foreseen: {sentence}")


def _foresee_sweep(plan: Plan) -> None:
    for cell in plan.cells:
        where = ", ".join(
            f"{path} = {value}" for path, value in cell.labels(plan.swept).items() if path != "duration_s"
        )
        for sentence in check(cell.scenario):
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
