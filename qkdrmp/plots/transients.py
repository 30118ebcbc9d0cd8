"""Figures of how runs settle, and where their warm-up ends."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from numpy.typing import NDArray

from qkdrmp.errors import QKDRMPError
from qkdrmp.plots.canvas import COLOURS, canvas, figures, label_upright
from qkdrmp.plots.inputs import WarmUpSuggestion
from qkdrmp.plots.labels import in_unit
from qkdrmp.stats.estimators import BATCH, TIME

PANEL_SIZE = (3.2, 2.9)
SETTLED, UNSETTLED, CUT = COLOURS[0], COLOURS[3], "0.2"


def warmup(found: WarmUpSuggestion, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw how each quantity of a scenario settles, and the truncation that MSER-5 suggests for it.

    Parameters
    ----------
    found : WarmUp
        As `suggest_warmup` returns it.
    axes : sequence of matplotlib.axes.Axes, optional
        Where to draw, at least one for each quantity.

    Returns
    -------
    list of matplotlib.axes.Axes
        In each, pale, the mean over the replications in every interval; strong, in batches of five, as MSER-5 sees
        it; and, unless the demand is a list, the warm-up of this quantity shaded, in red if it had not settled and that
        matters.

    Raises
    ------
    QKDRMPError
        If there are not enough axes.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 30})
    >>> found = qkdrmp.suggest_warmup(scenario, replications=2)
    >>> panels = qkdrmp.plots.warmup(found)
    >>> len(panels) == len(found.quantities)
    True
    """
    count, (width, height) = len(found.quantities), PANEL_SIZE
    if axes is not None and len(axes) < count:
        names = ", ".join(found.quantities["quantity"])
        raise QKDRMPError(f"{count} quantities need as many axes, not {len(axes)}: {names}")
    panels = list(axes or figures(count, width * count, height))[:count]
    for row, ax in zip(found.quantities.to_dict("records"), panels, strict=True):
        with canvas(ax) as ax:
            _draw(ax, found.series[TIME], found.series[str(row["quantity"])], found.duration_s)
            _mark(ax, row, found)
            sns.despine(ax=ax)
    return panels


def _draw(ax: Axes, time_s: pd.Series[float], values: pd.Series[float], duration_s: float) -> None:
    known = values.notna().to_numpy()
    per_s, along = in_unit(TIME, duration_s)
    scale, name = in_unit(str(values.name), values.abs().max())
    times, shown = per_s * time_s.to_numpy(dtype=float)[known], scale * values.to_numpy(dtype=float)[known]
    ax.plot(times, shown, color=SETTLED, alpha=0.35, linewidth=0.8)
    ax.plot(_batched(times), _batched(shown), color=SETTLED, linewidth=1.8)
    ax.set_xlim(0, per_s * duration_s)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(along)
    label_upright(ax, name)


def _batched(values: NDArray[np.floating[Any]]) -> list[float]:
    whole = len(values) // BATCH * BATCH
    return list(values[:whole].reshape(-1, BATCH).mean(axis=1))


def _mark(ax: Axes, row: Mapping[Hashable, Any], found: WarmUpSuggestion) -> None:
    """Mark the warm-up of a quantity, if there is anything to settle into, and say when it has settled."""
    per_s, along = in_unit(TIME, found.duration_s)
    truncation, unit = per_s * float(row["truncation_s"]), along.rpartition("(")[2].removesuffix(")")
    alarming = found.has_steady_state and row["too_short"] and row["matters"]
    colour = UNSETTLED if alarming else CUT
    if found.has_steady_state:
        ax.axvspan(0, truncation, color=colour, alpha=0.1, linewidth=0)
        ax.axvline(truncation, color=colour, linestyle="--", linewidth=1.2)
        settled = f"settled after {truncation:.3g} {unit}" if truncation else "settled from the beginning"
        chance = "not settled, which is not significant"
        words = "not settled: too short a run" if alarming else chance if row["too_short"] else settled
    else:
        words = "a list of demand: no steady state"
    ax.set_title(words, loc="left", fontsize=8, color=colour)
