"""The command that says what it costs if a link or a repeater is gone."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

import qkdrmp
from qkdrmp.cli.group import (
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
from qkdrmp.outages.cuts import REPLICATIONS
from qkdrmp.stats.table_files import write_tables
from qkdrmp.sweeps.workers import processes

ROWS = 15


@main.command()
@scenario_argument
@click.option("--pairs", is_flag=True, help="Also lose any two of them at once; targets are for single ones only.")
@target_option
@click.option(
    "--replications",
    type=click.IntRange(min=2),
    default=REPLICATIONS,
    show_default=True,
    help="Runs of each cut, if there are targets.",
)
@jobs_option
@seed_option
@out_option
@format_option
@output_options
def failures(
    scenario: qkdrmp.Scenario,
    pairs: bool,
    targets: dict[str, Any],
    replications: int,
    jobs: int | None,
    seed: int,
    out: Path | None,
    table_format: str,
    output: Output,
) -> None:
    """Say what it costs if a link or a repeater is gone.

    For every single one: which users lose their service, whose way is longer, which links are overloaded, how long key
    pools bridge it, and which targets break. Writes the tables cuts and cut_users, and the map.
    """
    scenario = scenario.replace(targets)
    folder = results_folder(out, scenario.name)
    say_known(scenario, output)
    found = qkdrmp.failures(
        scenario, pairs, replications, seed, executor=partial(processes, jobs), progress=not output.quiet
    )
    output.lines(found.sentences)
    output.line(found.shown(ROWS).to_string(index=False, float_format="{:.4g}".format, na_rep="-"))
    if len(found.cuts) > ROWS:
        output.line(f"the {ROWS} worst of {len(found.cuts)} cuts; the file has all")
    output.facts |= {"scenario": scenario.name, "kind": scenario.kind, "seed": seed, "sentences": found.sentences}
    output.facts |= {"cuts": found.cuts}
    written = write_tables({"cuts": found.cuts, "cut_users": found.users}, folder, table_format)
    qkdrmp.plots.save(found.draw(), folder / "cuts.png")
    output.written(folder, [*written, "cuts.png"])
