"""What is said and drawn about coins: everything that the module of their family leaves to this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp import plots
from qkdrmp.family import (
    FigureFile,
    LinkStory,
    MessagePresentation,
    MessageSequence,
    Presentation,
    Results,
    Run,
    Series,
    Story,
)
from qkdrmp.family.story import edges, served_by
from qkdrmp.stats.words import plus_minus


def _cell_summary(runs: pd.DataFrame) -> str:
    return f"{plus_minus(runs['heads'], 1)} heads"


def _run_figures(results: Results) -> Iterator[FigureFile]:
    axes = plots.figure()
    axes.set_title(f"{len(results.table('tosses'))} coins")
    yield "coins.png", axes


def _sweep_figures(
    runs: pd.DataFrame, laws: pd.DataFrame, run_last_cell: Callable[[], Results]
) -> Iterator[FigureFile]:
    yield "heads.png", plots.curve(runs, "heads")
    yield from _run_figures(run_last_cell())


def _story(run: Run, results: Results) -> Story:
    tosses, scenario = results.table("tosses"), results.scenario
    bins = edges(scenario.duration_s)
    heads, fallen = (
        np.histogram(tosses.loc[one, "time_s"], bins)[0] for one in (tosses["state"] == "delivered", slice(None))
    )
    share = heads / np.maximum(fallen, 1)
    link = scenario.topology.links[0]
    return Story(
        results=results,
        links=[LinkStory(link.ends, (Series("heads", share, share, share),), share)],
        served=served_by(list(scenario.topology.nodes), tosses.assign(path=tosses["src"]), scenario.duration_s),
        served_label="coins that the node asked for so far",
        load_label="share of heads",
        level_label="heads (share)",
        load_is_good=True,
        bottleneck=None,
        finding="Coins have no bottleneck.",
        tables={"Tosses": tosses},
    )


def _cautions(cells: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    for words, runs in cells.items():
        if not runs["heads"].any():
            yield f"No coin showed heads with {words}."


def _sequence(results: Results, toss: int) -> MessageSequence:
    messages = results.table("messages")
    row: Any = next(results.table("tosses").query("id == @toss").itertuples())
    notes = pd.DataFrame([(row.time_s, row.dst, "coin tossed")], columns=["time_s", "node", "text"])
    return MessageSequence(
        f"{row.src} to {row.dst}, {row.state}", [row.src, row.dst], messages[messages["toss"] == toss], notes
    )


PRESENTATION = Presentation(
    cell_summary=_cell_summary,
    run_figures=_run_figures,
    sweep_figures=_sweep_figures,
    story_record=("messages",),
    story=_story,
    cautions=_cautions,
    messages=MessagePresentation(
        ids=lambda results: list(results.table("tosses")["id"]),
        sequence=_sequence,
        colours={"TOSS": "red", "RESULT": "green"},
    ),
)
