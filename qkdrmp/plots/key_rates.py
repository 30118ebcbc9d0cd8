"""What key-rate models give, beside the bound that no protocol without repeaters exceeds."""

from __future__ import annotations

import textwrap
from itertools import cycle
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from qkdrmp.plots.canvas import COLOURS, canvas

LABELS = {
    "length_km": "Length of the fibre (km)",
    "loss_db": "Loss of the fibre (dB)",
    "bits_per_pulse": "Secret bits per pulse",
    "rate_bps": "Secret bits per second (bit/s)",
}
DASHES = ("-", "--", "-.", (0, (4, 1, 1, 1, 1, 1)))
"""Beside the colours, so that lines differ without them as well."""
SMALLEST = 1e-10
"""Of the values shown, as a share of the largest."""


def key_rates(
    table: pd.DataFrame,
    over: Literal["length_km", "loss_db"] = "length_km",
    y: Literal["bits_per_pulse", "rate_bps"] = "bits_per_pulse",
    ax: Axes | None = None,
) -> Axes:
    """Draw the rates of key-rate models over the length or the loss of a fibre, on a logarithmic axis.

    Beside bits per pulse stands the bound of all protocols without repeaters (PLOB), and, if a model is above it, that
    of protocols with one station in the middle, -log2(1 - sqrt(eta)). A line ends where the link makes no more keys.

    Parameters
    ----------
    table : pandas.DataFrame
        As `key_rate_table` returns it.
    over : {"length_km", "loss_db"}
        What goes along x.
    y : {"bits_per_pulse", "rate_bps"}
        What goes along y.
    ax : matplotlib.axes.Axes, optional

    Examples
    --------
    >>> import qkdrmp
    >>> table = qkdrmp.key_rate_table(["decoy-bb84", "twin-field"])
    >>> ax = qkdrmp.plots.key_rates(table)
    """
    with canvas(ax, 7.6, 4.2) as drawn:
        styles = cycle(zip(COLOURS, cycle(DASHES), strict=False))
        for (name, points), (colour, dashes) in zip(_by_reach(table, over, y), styles, strict=False):
            drawn.plot(
                points[over], points[y], color=colour, linestyle=dashes, linewidth=1.8, label=textwrap.fill(name, 28)
            )
        if y == "bits_per_pulse":
            _add_bounds(drawn, table, over)
        drawn.set_yscale("log")
        drawn.set_xlabel(LABELS[over])
        drawn.set_ylabel(LABELS[y])
        shown = table.loc[table[y] > 0]
        if not shown.empty:
            highest = float(shown[y].max())
            drawn.set_ylim(max(float(shown[y].min()) / 2, SMALLEST * highest), 5 * highest)
            drawn.set_xlim(0, 1.02 * float(shown[over].max()) or 1)
        drawn.grid(alpha=0.25)
        drawn.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, frameon=False)
    return drawn


def _by_reach(table: pd.DataFrame, over: str, y: str) -> list[tuple[str, pd.DataFrame]]:
    """Return the names and the points of all models that make keys somewhere, those that reach farthest first."""
    lines = [(str(name), points.loc[points[y] > 0].sort_values(over)) for name, points in table.groupby("model")]
    found = [(name, points) for name, points in lines if not points.empty]
    return sorted(found, key=lambda line: (-line[1][over].max(), -line[1][y].iloc[0]))


def _add_bounds(ax: Axes, table: pd.DataFrame, over: str) -> None:
    points = table.drop_duplicates(over).sort_values(over)
    points = points[np.isfinite(points["plob_bits_per_pulse"])]
    bound = points["plob_bits_per_pulse"].to_numpy(dtype=float)
    ax.plot(points[over], bound, color="black", linestyle=":", linewidth=1.6, label="bound without repeaters\n(PLOB)")
    if (table["bits_per_pulse"] > table["plob_bits_per_pulse"]).any():
        with_station = -np.log2(-np.expm1(np.log(-np.expm1(-bound * np.log(2))) / 2))
        ax.plot(points[over], with_station, color="0.55", linestyle=":", linewidth=1.6, label="bound with one station")
