"""The command that compares key-rate models over a fibre."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

import qkdrmp
from qkdrmp.cli.group import change, format_option, main, out_option, results_folder
from qkdrmp.cli.output import Output, output_options
from qkdrmp.errors import QKDRMPError
from qkdrmp.stats.table_files import write_tables

ROWS = 11
"""How many points of the table are printed."""
END = {"distance": 500.0, "loss": 100.0}
COLUMN = {"distance": "length_km", "loss": "loss_db"}


@main.command()
@click.option("--model", "models", multiple=True, metavar="MODEL", help="A key-rate model; repeatable.  [default: all]")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Another value for a parameter: of one model, --set decoy-bb84.misalignment=0.01, or of every chosen one that "
    "has it, --set key_rate.optimise=true; repeatable.",
)
@click.option("--over", type=click.Choice(["distance", "loss"]), default="distance", show_default=True, help="Along x.")
@click.option("--start", type=float, default=0.0, show_default=True, help="First distance in km, or loss in dB.")
@click.option("--stop", type=float, help="Last distance in km, or loss in dB.  [default: 500 km, 100 dB]")
@click.option("--points", type=click.IntRange(min=2), default=101, show_default=True, help="How many of them.")
@click.option("--attenuation", type=float, default=0.2, show_default=True, help="Of the fibre, in dB/km.")
@click.option(
    "--per",
    type=click.Choice(["pulse", "second"]),
    default="pulse",
    show_default=True,
    help="Unit of the rates that are printed and drawn.",
)
@out_option
@format_option
@output_options
def keyrate(
    models: tuple[str, ...],
    changes: tuple[str, ...],
    over: str,
    start: float,
    stop: float | None,
    points: int,
    attenuation: float,
    per: str,
    out: Path | None,
    table_format: str,
    output: Output,
) -> None:
    """Compare key-rate models over the length or the loss of a fibre.

    Prints secret bits per pulse, or per second, writes the table key_rates with all points, and draws it beside the
    bound that no protocol without repeaters exceeds (PLOB).
    """
    last = END[over] if stop is None else stop
    if not 0 <= start < last:
        raise QKDRMPError(f"--start = {start:g} must be at least 0 and less than --stop = {last:g}")
    along, y = COLUMN[over], "bits_per_pulse" if per == "pulse" else "rate_bps"
    known: dict[str, Any] = {along: np.linspace(start, last, points).round(9)}
    parameters = {field.removeprefix("key_rate."): value for field, value in map(change, changes)}
    table = qkdrmp.key_rate_table(models or None, attenuation_db_per_km=attenuation, parameters=parameters, **known)
    folder = results_folder(out, "keyrate")
    output.line(f"secret bits per {per} over a fibre of {attenuation:g} dB/km")
    output.line(_shown(table, along, y))
    reach = list(_reach(table))
    output.lines(reach)
    output.facts |= {"over": over, "attenuation_db_per_km": attenuation, "sentences": reach, "key_rates": table}
    written = write_tables({"key_rates": table}, folder, table_format)
    qkdrmp.plots.save(qkdrmp.plots.key_rates(table, over=along, y=y), folder / "key_rates.png")
    output.written(folder, [*written, "key_rates.png"])


def _shown(table: pd.DataFrame, along: str, y: str) -> str:
    """Return the rates of all models at some of the points, as text."""
    points = np.unique(table[along].to_numpy(dtype=float))
    some = points[np.unique(np.linspace(0, len(points) - 1, ROWS).round().astype(int))]
    wide = table[table[along].isin(some)].pivot(index=along, columns="model", values=y)
    wide = wide.reindex(columns=table["model"].unique())
    # Parameters stand in the sentences below the table.
    short = [str(name).partition(" (")[0] for name in wide.columns]
    wide.columns = pd.Index(short if len(set(short)) == len(short) else list(wide.columns))
    if y == "bits_per_pulse":
        wide["PLOB"] = table.drop_duplicates(along).set_index(along)["plob_bits_per_pulse"]
    return wide.reset_index().to_string(index=False, float_format="{:.4g}".format, na_rep="-")


def _reach(table: pd.DataFrame) -> Iterable[str]:
    """Yield for each model how far it makes keys."""
    for name, points in table.groupby("model", sort=False):
        making = points[points["rate_bps"] > 0]
        if making.empty:
            yield f"{name} makes no keys at any of the points"
            continue
        last = making.nlargest(1, "loss_db").iloc[0]
        farthest = " at least" * bool(last["loss_db"] == points["loss_db"].max())
        yield f"{name} makes keys up to{farthest} {last['length_km']:.4g} km ({last['loss_db']:.4g} dB)"
