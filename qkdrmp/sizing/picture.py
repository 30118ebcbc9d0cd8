"""The picture of a plan: how the targets stand at each size that was confirmed."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from qkdrmp.plots.canvas import figures
from qkdrmp.plots.curves import readable
from qkdrmp.plots.labels import in_unit
from qkdrmp.verdicts.targets import Target

PANEL = (3.6, 3.4)
MARGIN = 1.15
"""How far above all else an axis goes."""


def draw(runs: pd.DataFrame, field: str, value: float | None, targets: Sequence[Target]) -> list[Axes]:
    """Draw the metric of each target over the size, with 95 % intervals, and the target as a dashed line."""
    panels = list(figures(len(targets), PANEL[0] * len(targets), PANEL[1]))
    for target, ax in zip(targets, panels, strict=True):
        readable(runs, target.metric, ax, field)
        scale, _ = in_unit(target.metric, runs[target.metric].abs().max())
        bound = scale * target.bound
        ax.axhline(bound, color="0.2", linestyle="--", linewidth=1.2)
        ax.set_ylim(0, MARGIN * max(bound, *ax.dataLim.intervaly))
        if value is not None:
            ax.axvline(value, color="0.2", linestyle=":", linewidth=1.2)
        ax.set_title("dashed: target; dotted: smallest that meets all", loc="left", fontsize=8, color="0.35")
    return panels
