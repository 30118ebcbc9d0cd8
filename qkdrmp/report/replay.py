"""Which run a report shows in full, and that run again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp.errors import ScenarioError
from qkdrmp.family import Story, family_of
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import results_of, run_to_end
from qkdrmp.stats.estimators import has_succeeded
from qkdrmp.sweeps.experiment import Experiment
from qkdrmp.verdicts.design import cell_words, longest, made


@dataclass(frozen=True)
class Shown:
    """The run that is shown.

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


def choose(experiment: Experiment) -> Shown:
    """Return the first run of the last cell of the longest duration, or of the base scenario if it cannot be made."""
    runs = experiment.runs
    good = longest(runs[has_succeeded(runs)])
    if good.empty:
        return _base(experiment)
    last = good.iloc[-1]
    same = np.all([_equals(good[field], last[field]) for field in experiment.swept], axis=0)
    row = good[same].iloc[0]
    cell = {field: row[field] for field in experiment.swept}
    try:
        scenario = made(experiment.scenario, cell)
    except ScenarioError:  # a policy of the user's own is known by its name only
        return _base(experiment)
    which = f"replication {int(row['replication'])}, seed {int(row['seed'])}"
    return Shown(scenario, int(row["seed"]), f"{cell_words(cell)}; {which} (the last cell of the sweep)")


def story_of(scenario: Scenario, seed: int) -> Story:
    """Run a scenario once and return the story of the run."""
    presentation = family_of(scenario).presentation
    run = run_to_end(scenario, seed, presentation.story_record)
    return presentation.story(run, results_of(run, scenario, seed))


def _base(experiment: Experiment) -> Shown:
    words = f"the scenario as it is without the sweep, seed {experiment.seed}"
    return Shown(experiment.scenario, experiment.seed, words)


def _equals(values: pd.Series[Any], value: Any) -> pd.Series[Any]:
    return values.isna() if pd.isna(value) else values == value
