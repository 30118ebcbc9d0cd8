"""What is said and drawn about runs of entanglement networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from qkdrmp import plots
from qkdrmp.entanglement.presentation.messages import MESSAGES
from qkdrmp.entanglement.presentation.rulesets import rulesets
from qkdrmp.entanglement.presentation.story import story
from qkdrmp.family import FigureFile, Presentation, Results
from qkdrmp.plots.curves import COMPARED
from qkdrmp.stats.estimators import differ
from qkdrmp.stats.words import plus_minus

RATES = "pair_rate_hz", "connection_rate_hz"
"""Pairs per second of all connections, and of one: the former is only the demand where all that was asked for came."""
CURVES = {
    "mean_fidelity.png": "fidelity_mean",
    "setup.png": "setup_mean_s",
    "completion.png": "completion_mean_s",
    "blocking.png": "blocking",
    "stall.png": "stall_s",
}
"""The metrics that are drawn of a sweep beside a rate, by the name of the file, if they differ."""


def _meets_demand(runs: pd.DataFrame) -> bool:
    return bool((runs["pairs_delivered"] == runs["pairs_asked"]).all())


def _cell_summary(runs: pd.DataFrame) -> str:
    metric, words = (RATES[1], "pairs per s of a connection") if _meets_demand(runs) else (RATES[0], "pairs per s")
    phrases = [f"{plus_minus(runs[metric])} {words}"]
    if runs["fidelity_mean"].notna().any():
        phrases.append(f"fidelity {plus_minus(runs['fidelity_mean'])}")
    if runs["blocking"].any():
        phrases.append(f"blocking {plus_minus(runs['blocking'])}")
    if runs["setup_mean_s"].notna().any():
        phrases.append(f"setup {plus_minus(1e3 * runs['setup_mean_s'])} ms")
    if runs["stall_s"].any():
        phrases.append(f"stall {plus_minus(1e3 * runs['stall_s'])} ms")
    if wrong := runs["wrong_partner"].mean():
        phrases.append(f"{wrong:.1f} pairs with wrong partners")
    return ", ".join(phrases)


def _run_figures(results: Results) -> Iterator[FigureFile]:
    yield "pairs.png", plots.pairs_over_time(results)
    if len(results.table("pairs")):
        yield "fidelity.png", plots.fidelity_histogram(results)


def _sweep_figures(
    runs: pd.DataFrame, laws: pd.DataFrame, run_last_cell: Callable[[], Results]
) -> Iterator[FigureFile]:
    yield "rate.png", plots.readable(runs, RATES[_meets_demand(runs)])
    for file, metric in CURVES.items():
        if differ(runs[metric]):
            yield file, plots.readable(runs, metric)
    has_names = any(not plots.is_scale(runs[field]) for field in plots.swept(runs) if runs[field].nunique() > 1)
    if has_names and any(runs[metric].fillna(0).any() for metric in COMPARED if metric in runs):
        yield "multiplexing.png", plots.multiplexing(runs)[0]


PRESENTATION = Presentation(
    cell_summary=_cell_summary,
    run_figures=_run_figures,
    sweep_figures=_sweep_figures,
    story_record=("messages", "pairs", "rulesets"),
    story=story,
    messages=MESSAGES,
    rulesets_record=("rulesets",),
    rulesets=rulesets,
)
"""The presentation of the family of kind ``entanglement``."""
