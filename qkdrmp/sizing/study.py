"""A study: runs that look at values of a field, all with the same random numbers, and sweeps that confirm them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from qkdrmp.scenario import Scenario
from qkdrmp.sizing.search import smallest
from qkdrmp.stats.estimators import CONFIDENCE
from qkdrmp.sweeps.experiment import STORE, Experiment
from qkdrmp.sweeps.plan import Plan
from qkdrmp.sweeps.store import discard
from qkdrmp.sweeps.sweep import carry_out
from qkdrmp.verdicts.design import metric_name, placed, single
from qkdrmp.verdicts.targets import Step, Target, assessed, tightest

SEARCHED = 3
"""Replications of each value that is looked at."""
ABOVE = (1, 2, 4)
"""How many steps above a candidate the more generous values are that are confirmed first."""
ATTEMPTS = 3
"""How often a larger candidate is tried if one is not confirmed; the confidence of each allows for all of them."""
EACH = 1 - (1 - CONFIDENCE) / ATTEMPTS

Say = Callable[[str], None]


class Study:
    """Looks at values of fields of scenarios, and remembers what it saw.

    Parameters
    ----------
    targets : sequence of Target
    seed : int
        Of the search; what is confirmed has other seeds.
    replications : int
        Of each value that is confirmed.
    executor : Executor
    say : callable
        Is given a line for each step.
    command : str
        What a user would write to do it again.

    Attributes
    ----------
    rows : list of dict
        What was looked at.
    last_seed : int
        Of the last sweep that confirmed.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        seed: int,
        replications: int,
        executor: Executor,
        say: Say,
        command: str = "",
    ) -> None:
        self.targets, self.seed, self.replications = tuple(targets), seed, replications
        self._executor, self.say, self._command = executor, say, command
        self.last_seed = seed
        self.rows: list[dict[str, Any]] = []

    def smallest(self, scenario: Scenario, name: str, values: Sequence[Any], about: str = "") -> int | None:
        """Return the position of the smallest value of a field whose means are within all targets."""
        return smallest(values, lambda some: self._looked_at(scenario, name, some, about), scenario.value(name))

    def _looked_at(self, scenario: Scenario, name: str, values: Sequence[Any], about: str) -> list[bool]:
        runs = self.sweep(scenario, name, values, SEARCHED, self.seed).runs
        answers = []
        for value in values:
            means = {one.metric: float(runs.loc[runs[name] == value, one.metric].mean()) for one in self.targets}
            answers.append(all(one.allows(means[one.metric]) for one in self.targets))
            self.rows.append({"field": name, "value": value, "about": about, **means, "meets": answers[-1]})
            found = ", ".join(f"{metric_name(metric)} {single(metric, mean)}" for metric, mean in means.items())
            with_it = f"{placed(name, value)}{f', {about}' if about else ''}"
            self.say(f"looked at {with_it}: {found}: {'enough' if answers[-1] else 'too little'}")
        return answers

    def sweep(
        self,
        scenario: Scenario,
        name: str,
        values: Sequence[Any],
        replications: int,
        seed: int,
        folder: Path | None = None,
    ) -> Experiment:
        """Carry out a sweep over some values of a field."""
        plan = Plan(scenario, {name: list(values)}, replications, seed)
        return carry_out(plan, folder, self._executor, progress=False, command=self._command)

    def confirmed(
        self, scenario: Scenario, name: str, values: Sequence[Any], found: int, folder: Path | None = None
    ) -> tuple[Experiment, list[Step], int]:
        """Test a candidate and its neighbours with new seeds; if it fails, larger ones with others.

        Returns
        -------
        tuple
            The last sweep, how the targets stand in it, the most generous value first, and how many of these meet all
            targets before one does not (see `verdicts.targets.tightest`): 0 if none was confirmed.
        """
        for attempt in range(1, ATTEMPTS + 1):
            places = sorted({min(found + step, len(values) - 1) for step in (0, *ABOVE)} | {max(found - 1, 0)})
            chosen = [values[place] for place in places]
            shown = ", ".join(placed(name, value) for value in chosen)
            self.say(f"confirming by {self.replications} runs each with other seeds: {shown}")
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                discard(folder / STORE)
            self.last_seed = self.seed + attempt
            sweep = self.sweep(scenario, name, chosen, self.replications, self.last_seed, folder)
            steps = [
                Step(value, tuple(assessed(sweep.runs[sweep.runs[name] == value], one, EACH) for one in self.targets))
                for value in reversed(chosen)
            ]
            passed = tightest(steps)
            if passed or places[-1] == len(values) - 1:
                break
            found = places[-1] + ABOVE[0]
            found = min(found, len(values) - 1)
        return sweep, steps, passed
