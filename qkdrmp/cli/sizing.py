"""The command that finds the smallest design which meets targets."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

import qkdrmp
from qkdrmp.cli.group import (
    EXIT_PREDICTED,
    command_line,
    format_option,
    jobs_option,
    main,
    out_option,
    results_folder,
    scenario_argument,
    seed_option,
    target_option,
)
from qkdrmp.cli.output import Output, output_options
from qkdrmp.cli.summaries import say_known
from qkdrmp.simulation import predict
from qkdrmp.stats.words import shortened
from qkdrmp.sweeps.workers import processes


@main.command()
@scenario_argument
@target_option
@click.option("--size", metavar="FIELD", help="What is sized.  [default: pools.capacity or memories.per_interface]")
@click.option("--by-link", is_flag=True, help="Look for a size for each link as well.")
@click.option(
    "--replications",
    type=click.IntRange(min=3),
    default=10,
    show_default=True,
    help="Runs of each size that is confirmed.",
)
@jobs_option
@seed_option
@out_option
@format_option
@output_options
def plan(
    scenario: qkdrmp.Scenario,
    targets: dict[str, Any],
    size: str | None,
    by_link: bool,
    replications: int,
    jobs: int | None,
    seed: int,
    out: Path | None,
    table_format: str,
    output: Output,
) -> None:
    """Find the smallest design that meets targets, and what to upgrade first.

    Few runs search for the smallest key pools (or memories), with the thresholds of the scenario and with others, and
    with faster links where no size will do; a sweep with other seeds confirms what they find. The folder has that
    sweep, the tables of the plan, and the scenario that meets the targets.

    Exit code: 0 if a design meets all targets, 1 if none does, 2 if the scenario has errors.
    """
    scenario = scenario.replace(targets)
    folder = results_folder(out, f"{scenario.name}_plan")
    say_known(scenario, output)
    output.warn("predicted", map(shortened, predict(scenario)))
    found = qkdrmp.plan(
        scenario,
        size,
        by_link=by_link,
        replications=replications,
        seed=seed,
        folder=folder,
        executor=partial(processes, jobs),
        say=output.line,
        command=command_line(),
    )
    output.line("plan:")
    output.lines(f"  {sentence}" for sentence in found.sentences)
    output.facts |= {"scenario": scenario.name, "kind": scenario.kind, "seed": seed, "is_met": found.is_met}
    output.facts |= {"plan": found.sentences, **found.tables}
    if found.confirmed is not None:
        output.facts |= {"field": found.confirmed.field, "value": found.confirmed.value}
    output.written(folder, found.save(folder, table_format))
    if found.confirmed is not None:
        output.line(f"next: qkdrmp report {folder} (a page with the plan and the sweep that confirms it)")
    if not found.is_met:
        output.exit_code = EXIT_PREDICTED
