"""Commands that show what is there: list and topology."""

from __future__ import annotations

from pathlib import Path

import click

import qkdrmp
from qkdrmp.cli.group import main
from qkdrmp.config.bundled import bundled_names
from qkdrmp.family import FAMILIES
from qkdrmp.scenario_file import load_scenario


@main.command("list")
def list_bundled() -> None:
    """Show the bundled scenarios and topologies."""
    scenarios = {name: load_scenario(name) for name in bundled_names("scenarios")}
    for family in FAMILIES.values():
        lines = [f"  {name:<18}{one.description}" for name, one in scenarios.items() if one.kind == family.kind]
        if lines:
            click.echo("\n".join([f"Scenarios of {family.title} (qkdrmp run, sweep or ladder NAME):", *lines]))
    click.echo("Topologies (qkdrmp topology NAME):")
    for name in bundled_names("topologies"):
        network = qkdrmp.load_topology(name)
        click.echo(f"  {name:<18}{network.summary().splitlines()[0].removeprefix(f'{network.name}: ')}")


@main.command()
@click.argument("name_or_file")
@click.option("--format", "reader", help="Its format, by name or as FILE.py:NAME; otherwise it is recognised.")
@click.option("--draw", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into this PNG (PDF, SVG) file.")
def topology(name_or_file: str, reader: str | None, draw: Path | None) -> None:
    """Check a topology and describe it."""
    network = qkdrmp.load_topology(name_or_file, reader)
    click.echo(network.summary())
    if draw is not None:
        qkdrmp.plots.save(qkdrmp.plots.network(network), draw)
        click.echo(f"drawn: {draw}")
