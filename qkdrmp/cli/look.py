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
@click.option("--kinds", metavar="sites|leaves", help="What nodes are if the file has no kinds; sites if left out.")
@click.option("--detour", type=float, help="Fibre per great circle where lengths come from coordinates; 1 if left out.")
@click.option("--nodes", help="A CSV file of nodes that belongs to a CSV file of links; nodes.csv beside links.csv.")
@click.option("--draw", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into this PNG (PDF, SVG) file.")
def topology(
    name_or_file: str,
    reader: str | None,
    kinds: str | None,
    detour: float | None,
    nodes: str | None,
    draw: Path | None,
) -> None:
    """Check a topology and describe it.

    NAME_OR_FILE may also be a folder that holds a links.csv. What was left out or completed is said in notes.
    """
    network = qkdrmp.load_topology(name_or_file, reader, kinds=kinds, detour=detour, nodes=nodes)
    click.echo(network.summary())
    if draw is not None:
        qkdrmp.plots.save(qkdrmp.plots.network(network), draw)
        click.echo(f"drawn: {draw}")
