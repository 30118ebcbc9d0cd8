"""The load that is offered to links in the cells of a sweep, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from qkdrmp.errors import QKDRMPError, listed
from qkdrmp.family import family_of
from qkdrmp.plots.axes import cells, varied
from qkdrmp.scenario import Scenario
from qkdrmp.stats.words import capital
from qkdrmp.verdicts.design import DURATION, cell_words, made

TOPIC = "Load"
MOST_LINES, MOST_CELLS = 6, 3


def offered(runs: pd.DataFrame, scenario: Scenario) -> Iterator[str]:
    """Say how loaded links are, for all cells at once if it is the same in all."""
    found: dict[str, list[str]] = {}
    fields = [field for field in varied(runs) if field != DURATION]
    for cell, _ in cells(runs, fields):
        try:
            there = made(scenario, cell)
        except QKDRMPError:  # a policy of the user's own is known by its name only
            continue
        for sentence in family_of(scenario).known_beforehand(there).get(TOPIC, ()):
            found.setdefault(sentence, []).append(cell_words(cell))
    for sentence, where in list(found.items())[:MOST_LINES]:
        yield capital(f"with {listed(where, MOST_CELLS)}: {sentence}." if len(found) > 1 else f"{sentence}.")
    if len(found) > MOST_LINES:
        yield f"{len(found) - MOST_LINES} other loads are not shown."
