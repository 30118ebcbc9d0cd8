"""Commands that run a scenario a few times: run, ladder, rulesets and warmup."""

from __future__ import annotations

import re
import time
import warnings
from pathlib import Path

import click

import qkdrmp
from qkdrmp.cli.group import (
    command_line,
    format_option,
    main,
    out_option,
    results_folder,
    scenario_argument,
    seed_option,
)
from qkdrmp.cli.output import Output, output_options
from qkdrmp.cli.summaries import run_lines, save_all, say_known
from qkdrmp.errors import QKDRMPError, one_of
from qkdrmp.family import RunWarning, family_of
from qkdrmp.simulation import predict, run_once, run_to_end
from qkdrmp.sweeps.single_run import describe_run
from qkdrmp.sweeps.warmup import suggest_warmup


@main.command()
@scenario_argument
@seed_option
@out_option
@click.option(
    "--trace", is_flag=True, help="Record everything: every message, every change of a pool's level, every pair."
)
@format_option
@output_options
def run(scenario: qkdrmp.Scenario, seed: int, out: Path | None, trace: bool, table_format: str, output: Output) -> None:
    """Run a scenario once and write its tables and figures."""
    folder = results_folder(out, scenario.name)
    say_known(scenario, output)
    output.warn("predicted", predict(scenario))
    family = family_of(scenario)
    begun = time.perf_counter()
    results = run_once(scenario, seed, family.records if trace else family.figures_record or ())
    wall = time.perf_counter() - begun
    output.line(f"{scenario.name}, seed {seed}: {scenario.duration_s:g} s simulated in {wall:.2f} s")
    output.lines(run_lines(results))
    output.warn("warning", results.findings)
    written = results.save(folder, table_format)
    written += describe_run(results, folder, command_line())
    if family.figures_record is not None:
        written += save_all(family.presentation.run_figures(results), folder)
    output.facts |= {"scenario": scenario.name, "kind": scenario.kind, "seed": seed, "duration_s": scenario.duration_s}
    output.facts |= {"wall_s": wall, "summary": results.summary}
    output.written(folder, written)


@main.command()
@scenario_argument
@click.option("--id", "wanted", help="Number of a request, or id of a connection.  [default: the first delivered]")
@click.option("--all", "all_messages", is_flag=True, help="Show frequent messages too, such as those about each pair.")
@seed_option
@out_option
@output_options
def ladder(
    scenario: qkdrmp.Scenario, wanted: str | None, all_messages: bool, seed: int, out: Path | None, output: Output
) -> None:
    """Draw the messages of one request or connection.

    The scenario is run once; the ladder diagram is written as a picture and for Mermaid.
    """
    qkdrmp.ladder.diagram.messages_of(family_of(scenario))  # an error, if any, before a long run
    results = run_once(scenario, seed, ["messages"])
    chosen = qkdrmp.ladder.first(results) if wanted is None else wanted
    drawn = qkdrmp.ladder.of(results, chosen, all_messages=all_messages)
    folder = results_folder(out, scenario.name)
    name = f"ladder_{re.sub(r'[^-.0-9A-Za-z_]', '_', str(chosen))}"
    qkdrmp.plots.save(drawn.draw(), folder / f"{name}.png")
    (folder / f"{name}.mmd").write_text(drawn.mermaid(), encoding="utf-8")
    output.line(f"{drawn.title}: {len(drawn.arrows)} messages")
    output.facts |= {"scenario": scenario.name, "seed": seed, "id": chosen, "messages": len(drawn.arrows)}
    output.written(folder, [f"{name}.png", f"{name}.mmd"])


@main.command()
@scenario_argument
@click.option("--connection", metavar="ID", help="Id of a connection.  [default: the first one]")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON, which setup.rulesets takes.")
@seed_option
def rulesets(scenario: qkdrmp.Scenario, connection: str | None, as_json: bool, seed: int) -> None:
    """Print the RuleSets that a connection got: what each node does with its pairs, in the order of the path.

    The scenario is run once.
    """
    shown = family_of(scenario).presentation
    if shown.rulesets is None:
        raise QKDRMPError(f"{scenario.name}: runs of kind '{scenario.kind}' have no RuleSets")
    found = shown.rulesets(run_to_end(scenario, seed, shown.rulesets_record))
    if not found:
        raise QKDRMPError(f"{scenario.name}: no connection got RuleSets")
    wanted = next(iter(found)) if connection is None else connection
    if wanted not in found:
        raise QKDRMPError(f"--connection = {wanted!r} must be {one_of(found, wanted)}, which got RuleSets")
    click.echo(found[wanted].json if as_json else "\n".join(found[wanted].lines))


@main.command()
@scenario_argument
@click.option("--replications", type=click.IntRange(min=1), default=5, show_default=True, help="Number of runs.")
@seed_option
@out_option
@output_options
def warmup(scenario: qkdrmp.Scenario, replications: int, seed: int, out: Path | None, output: Output) -> None:
    """Suggest a warm-up by the rule MSER-5, and draw why.

    That is how much of the beginning of a run to leave out of the statistics, for pools and queues are empty then.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)  # the sentences say the same
        found = suggest_warmup(scenario, seed, replications)
    output.lines(found.sentences())
    output.facts |= {"scenario": scenario.name, "suggested_s": None if found.too_short else found.suggested_s}
    output.facts |= {"present_s": found.present_s, "is_enough": found.is_enough, "quantities": found.quantities}
    folder = results_folder(out, scenario.name)
    found.series.to_csv(folder / "warmup.csv", index=False)
    qkdrmp.plots.save(qkdrmp.plots.warmup(found)[0], folder / "warmup.png")
    output.written(folder, ["warmup.csv", "warmup.png"])
