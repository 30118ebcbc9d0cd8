"""Commands that run a scenario a few times: run, ladder and warmup."""

from __future__ import annotations

import re
import time
import warnings
from pathlib import Path

import click

import qkdrmp
from qkdrmp.cli.group import main, out_option, results_folder, seed_option
from qkdrmp.cli.summaries import REPORTS, save_all, summary_lines
from qkdrmp.family import Results, RunWarning, family_of
from qkdrmp.scenario_file import load_scenario
from qkdrmp.simulation import predict, run_once
from qkdrmp.sweeps.warmup import suggest_warmup


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
    folder = results_folder(out, scenario)
    for sentence in predict(scenario):
        click.echo(f"predicted: {sentence}")
    family, report = family_of(scenario), REPORTS[scenario.kind]
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
    summary = results.summary.to_frame("value").rename_axis("metric").reset_index()
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
    """Draw the messages of one request or connection.

    The scenario is run once; the ladder diagram is written as a picture and for Mermaid.
    """
    if request is not None and connection is not None:
        raise click.UsageError("Give --request or --connection, not both.")
    scenario = load_scenario(name_or_file)
    asked = connection if request is None else request
    if asked is not None:
        qkdrmp.ladder.check_noun(scenario, "connection" if request is None else "request")  # before a long run
    results = run_once(scenario, seed, ["messages"])
    chosen = qkdrmp.ladder.first(results) if asked is None else asked
    drawn = qkdrmp.ladder.tell(results, chosen, pairs=pairs)
    folder = results_folder(out, scenario)
    name = f"ladder_{re.sub(r'[^-.0-9A-Za-z_]', '_', str(chosen))}"
    qkdrmp.plots.save(drawn.draw(), folder / f"{name}.png")
    (folder / f"{name}.mmd").write_text(drawn.mermaid(), encoding="utf-8")
    click.echo(f"{drawn.title}: {len(drawn.arrows)} messages")
    click.echo(f"written to {folder}: {name}.png, {name}.mmd")


@main.command()
@click.argument("name_or_file")
@click.option("--replications", type=click.IntRange(min=1), default=5, show_default=True, help="Number of runs.")
@seed_option
@out_option
def warmup(name_or_file: str, replications: int, seed: int, out: Path | None) -> None:
    """Suggest a warm-up by the rule MSER-5, and draw why.

    That is how much of the beginning of a run to leave out of the statistics, for pools and queues are empty then.
    """
    scenario = load_scenario(name_or_file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)  # the sentences say the same
        found = suggest_warmup(scenario, seed, replications)
    for sentence in found.sentences():
        click.echo(sentence)
    folder = results_folder(out, scenario)
    found.series.to_csv(folder / "warmup.csv", index=False)
    qkdrmp.plots.save(qkdrmp.plots.warmup(found)[0], folder / "warmup.png")
    click.echo(f"written to {folder}: warmup.csv, warmup.png")
