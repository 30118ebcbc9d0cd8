"""Which runs a report shows in full, and such a run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp.errors import QKDRMPError, ScenarioError, listed, unknown
from qkdrmp.family import Story, family_of
from qkdrmp.plots.axes import cells as cells_of
from qkdrmp.plots.labels import value_text
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import results_of, run_to_end
from qkdrmp.stats.estimators import has_succeeded
from qkdrmp.sweeps.experiment import Experiment
from qkdrmp.verdicts.design import DURATION, cell_words, longest, made

MOST_RUNS, MOST_CHOSEN = 12, 40
"""How many runs a page shows in full: of its own choice, and of the user's."""
MOST_S = 60.0
"""Runs of the page's own choice may take so long to simulate again, altogether."""


@dataclass(frozen=True)
class Shown:
    """A run that is shown.

    Parameters
    ----------
    scenario : Scenario
    seed : int
    words : str
        Which run it is.
    """

    scenario: Scenario
    seed: int
    words: str


def choose(
    experiment: Experiment, cells: Mapping[str, Any] | None = None, replications: Sequence[int] = ()
) -> list[Shown]:
    """Return the runs to show; there is at least one.

    By default they are the first run of each cell of the longest duration, the last cell before the others; of many
    cells, or cells whose runs take long, some. If no cell can be made again, it is the base scenario.

    Parameters
    ----------
    experiment : Experiment
        With a run that succeeded.
    cells : mapping of str to object, optional
        Swept fields, and the value of each, or a list of values, in the cells to show; by default all values, but of
        the duration the longest.
    replications : sequence of int, optional
        The replications to show of each cell; by default the first.

    Raises
    ------
    QKDRMPError
        If there is no such field, value or replication.
    """
    good = experiment.runs[has_succeeded(experiment.runs)]
    asked = {field: value if _is_list(value) else [value] for field, value in (cells or {}).items()}
    for field, values in asked.items():
        good = _having(good, field, values, experiment.swept)
    if DURATION not in asked:
        good = longest(good)
    good = _replications(good, replications)
    firsts = [group for _, group in cells_of(good, [*experiment.swept])]
    rows = [row for group in firsts for row in _rows(group if replications else group.head(1))]
    if asked or replications:
        return _shown(experiment, rows[:MOST_CHOSEN])
    *others, last = _some(rows, _affordable(experiment))
    return _shown(experiment, [last, *others])


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _rows(runs: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in runs.to_dict("records")]


def _having(runs: pd.DataFrame, field: str, values: Sequence[Any], swept: Sequence[str]) -> pd.DataFrame:
    """Return the runs in which a field has one of some values."""
    if field not in swept:
        raise QKDRMPError(f"cells: unknown field {unknown(field, swept)}")
    for value in values:
        if not any(_is(known, value) for known in runs[field].unique()):
            known = listed(dict.fromkeys(map(value_text, runs[field])), 12)
            raise QKDRMPError(f"cells: {field} = {value_text(value)} must be one of {known}")
    chosen: pd.DataFrame = runs[[any(_is(known, value) for value in values) for known in runs[field]]]
    return chosen


def _is(known: Any, given: Any) -> bool:
    if isinstance(known, Real) and isinstance(given, Real):
        return bool(known == given)
    return value_text(known) == value_text(given)


def _replications(runs: pd.DataFrame, wanted: Sequence[int]) -> pd.DataFrame:
    for number in wanted:
        if number not in runs["replication"].unique():
            known = listed(map(str, sorted(runs["replication"].unique())), 12)
            raise QKDRMPError(f"replications = {number} must be one of {known}")
    chosen: pd.DataFrame = runs[runs["replication"].isin(wanted)] if wanted else runs
    return chosen


def _affordable(experiment: Experiment) -> int:
    """Return how many runs to show, by the time that those of the sweep took."""
    took_s = experiment.timings["wall_s"].mean() if "wall_s" in experiment.timings else float("nan")
    return int(np.clip(MOST_S / took_s, 1, MOST_RUNS)) if took_s > 0 else MOST_RUNS


def _some(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Return so many rows, from the first to the last at even distances; of one, the last."""
    if most == 1:
        return rows[-1:]
    return [rows[number] for number in np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))]


def _shown(experiment: Experiment, rows: Sequence[Mapping[str, Any]]) -> list[Shown]:
    found = []
    for row in rows:
        cell = {field: row[field] for field in experiment.swept}
        try:
            scenario = made(experiment.scenario, cell)
        except ScenarioError:  # a policy of the user's own is known by its name only
            continue
        which = f"replication {int(row['replication'])}, seed {int(row['seed'])}"
        found.append(Shown(scenario, int(row["seed"]), f"{cell_words(cell)}; {which}"))
    words = f"the scenario as it is without the sweep, seed {experiment.seed}"
    return found or [Shown(experiment.scenario, experiment.seed, words)]


def story_of(scenario: Scenario, seed: int) -> Story:
    """Run a scenario once and return the story of the run."""
    presentation = family_of(scenario).presentation
    run = run_to_end(scenario, seed, presentation.story_record)
    return presentation.story(run, results_of(run, scenario, seed))
