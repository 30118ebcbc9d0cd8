"""What is said and drawn about runs of QKD resource management."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pandas as pd

from qkdrmp import plots
from qkdrmp.errors import counted
from qkdrmp.family import FigureFile, Presentation, Results
from qkdrmp.qkd.presentation.messages import MESSAGES
from qkdrmp.qkd.presentation.story import story
from qkdrmp.stats.estimators import swept_columns
from qkdrmp.stats.words import interval, plus_minus


def _cell_summary(runs: pd.DataFrame) -> str:
    wait, stuck = 1e3 * runs["wait_mean_s"], runs["stuck_pools"].mean()
    return (
        f"{plus_minus(runs['requests_delivered'], 1)} requests processed of {runs['requests_started'].mean():.1f}"
        + (f", mean wait {plus_minus(wait, 3)} ms" if wait.notna().any() else "")
        + (f", {stuck:.1f} pools stuck" if stuck else "")
    )


def _sweep_figures(
    runs: pd.DataFrame, laws: pd.DataFrame, run_last_cell: Callable[[], Results]
) -> Iterator[FigureFile]:
    yield "throughput.png", plots.add_laws(plots.throughput(runs), runs, laws, "requests_delivered")
    yield "wait.png", plots.wait(runs)
    results = run_last_cell()
    cell = ", ".join(f"{field} = {plots.value_text(runs[field].iloc[-1])}" for field in swept_columns(runs))
    nodes, topology, used = results.table("nodes"), results.scenario.topology, keys_used(results)
    axes = plots.load(nodes, topology, links=used, links_label="keys used from the pools of the link")
    axes.set_title(f"{results.scenario.name}: one run with {cell}, seed {results.seed}", fontsize=9)
    yield "load.png", axes


def keys_used(results: Results) -> dict[tuple[str, str], int]:
    """Return for each link how many keys requests took from its pools, of both directions."""
    used: dict[tuple[str, str], int] = {}
    for up, down, keys in results.table("pools")[["upstream", "downstream", "used"]].itertuples(index=False):
        ends = (down, up) if (down, up) in used else (up, down)
        used[ends] = used.get(ends, 0) + int(keys)
    return used


def stuck_pools(cells: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Say in which cells key pools ended stuck."""
    counts = {words: runs["stuck_pools"] for words, runs in cells.items()}
    found = {words: stuck for words, stuck in counts.items() if (stuck > 0).any()}
    if found:
        words, worst = max(found.items(), key=lambda cell: cell[1].mean())
        of = counted(len(cells), "cell")
        shown = f"on average over {len(worst)} runs" if len(worst) > 1 else "in its only run"
        yield (
            f"Key pools ended stuck, with too few keys for a waiting request and no more to come, in {len(found)} of "
            f"{of}; most with {words or 'this scenario'}: {interval(worst)} pools {shown}."
        )


PRESENTATION = Presentation(
    cell_summary=_cell_summary,
    sweep_figures=_sweep_figures,
    story_record=("messages", "levels"),
    story=story,
    cautions=stuck_pools,
    messages=MESSAGES,
)
"""The presentation of the family of kind ``qkd``."""
