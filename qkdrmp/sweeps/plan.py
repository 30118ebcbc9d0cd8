"""Plans of sweeps: which scenarios are run, for how long, how often, and with which seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qkdrmp.config.own_objects import names_objects
from qkdrmp.config.points import Point, checked_grid, checked_points, combinations, label, varied
from qkdrmp.errors import ScenarioError
from qkdrmp.family import checked_scenario, family_of
from qkdrmp.kernel.randomness import replication_seed
from qkdrmp.kernel.units import to_seconds, to_ticks
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import start, summary_of
from qkdrmp.stats.stopping import Precision
from qkdrmp.sweeps.fingerprint import NoSource, digest, facts_of, model_version

DURATION = "duration_s"
NO_CHANGE = ("kind", "name", "description", "targets", "sweep", DURATION)
"""Fields that may differ from run to run (the duration), or that do not change a run."""


@dataclass(frozen=True)
class Task:
    """One simulation, with the durations at which its metrics are noted.

    Parameters
    ----------
    scenario : Scenario
        With the longest of the durations, or a longer one.
    point : dict of str to object
        The values of the swept fields, the duration left out.
    durations_s : tuple of float
        In rising order.
    seed : int
    simulation : str
        A digest that no other simulation of the same plan has.
    """

    scenario: Scenario
    point: Point
    durations_s: tuple[float, ...]
    seed: int
    simulation: str


Simulate = Callable[[Task], Sequence[Mapping[str, Any]]]
"""What carries out a task: returns the metrics at each of its durations."""


def run_task(task: Task) -> list[dict[str, float]]:
    """Return the metrics at each duration of a task."""
    run = start(task.scenario, task.seed)
    metrics = []
    for duration_s in task.durations_s:
        run.advance(to_ticks(duration_s))
        metrics.append(summary_of(run, _lasting(task.scenario, duration_s), task.seed))
    return metrics


def _lasting(scenario: Scenario, duration_s: float) -> Scenario:
    # Only metrics of the user's own look at the scenario.
    return scenario.replace({DURATION: duration_s}) if scenario.metrics else scenario


@dataclass(frozen=True)
class Cell:
    """A point of a sweep, all its durations together.

    Parameters
    ----------
    scenario : Scenario
        With the longest of the durations.
    point : dict of str to object
        The values of the swept fields, the duration left out.
    durations_s : tuple of float
        In rising order.
    facts : dict of str to object
        What distinguishes it from other cells.
    """

    scenario: Scenario
    point: Point
    durations_s: tuple[float, ...]
    facts: dict[str, Any]

    def simulation(self, seed: int) -> str:
        """Return the digest of the simulation of this cell with a seed; no other one of the same plan has it."""
        return digest([self.facts, seed])

    def labels(self, swept: Sequence[str], duration_s: float | None = None) -> dict[str, Any]:
        """Return the swept fields with their values, as they are in a table."""
        values = {**self.point, DURATION: self.durations_s[-1] if duration_s is None else duration_s}
        return {path: label(values[path]) for path in swept}


class Plan:
    """A sweep, planned and checked.

    Parameters
    ----------
    scenario, over, replications, seed, precision, metric, max_replications
        See `sweep.sweep`.
    simulate : callable
        What carries out a task; by default a run of the scenario's family.

    Attributes
    ----------
    grid : dict of str to list, or None
        The values of each field, if it is a grid.
    points : list of dict
        All points.
    swept : list of str
        The columns that define the cells.
    cells : list of Cell
    replications : int
        Of each cell; with `precision`, of each cell at first.
    no_source : str or None
        Why something in it could not be checked for changes when the sweep is resumed; None if everything can.

    Raises
    ------
    ScenarioError
        If a swept field does not exist, or one of its values is not allowed.
    """

    def __init__(
        self,
        scenario: Scenario,
        over: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | None = None,
        replications: int | None = None,
        seed: int = 1,
        *,
        precision: float | None = None,
        metric: str | None = None,
        max_replications: int | None = None,
        simulate: Simulate = run_task,
    ) -> None:
        given = checked_scenario(scenario).sweep
        replications = given.replications if replications is None else replications
        for name, number, least in (("replications", replications, 1), ("seed", seed, 0)):
            if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < least:
                raise ScenarioError(f"{name} = {number!r} must be a whole number of at least {least}")
        self.scenario, self.seed, self.simulate = scenario, int(seed), simulate
        share = given.precision if precision is None else precision
        metric = metric or given.metric or family_of(scenario).main_metric
        most = given.max_replications if max_replications is None else max_replications
        self.precision = None if share is None else Precision(share, metric, most)
        self.replications = max(int(replications), self.precision.least if self.precision else 1)
        design = given.design(self.seed) if over is None else over
        self.grid = checked_grid(design) if isinstance(design, Mapping) else None
        self.points = checked_points(design) if self.grid is None else combinations(self.grid)
        self.swept = list(dict.fromkeys((*varied(self.points), DURATION)))
        self.no_source: str | None = None
        self.cells = list(self._cells(self.points))

    def _cells(self, points: list[Point]) -> Iterator[Cell]:
        """Yield the cells of some points: those that differ only in their duration are one."""
        merged: dict[str, tuple[Point, dict[str, Any], list[float]]] = {}
        for point in points:
            others = {path: value for path, value in point.items() if path != DURATION}
            there = self.scenario.replace(point)
            duration_s = to_seconds(to_ticks(there.duration_s))  # 0.1 * 3 is 0.3
            meant = {path: there.value(path) if names_objects(value) else value for path, value in others.items()}
            facts = {path: self._facts_of(value) for path, value in meant.items()}
            merged.setdefault(digest(facts), (others, facts, []))[2].append(duration_s)
        for others, facts, durations in merged.values():
            scenario = self.scenario.replace({**others, DURATION: max(durations)})
            whole = {path: others.get(path, scenario.value(path)) for path in self.swept if path != DURATION}
            yield Cell(scenario, whole, tuple(sorted(set(durations))), facts)

    def _facts_of(self, value: Any) -> Any:
        try:
            return facts_of(value)
        except NoSource as error:
            self.no_source = str(error)
            return {"no source": label(value)}

    @property
    def planned(self) -> int:
        """Number of runs, that is of rows in the table; with `precision`, of those that are made at least."""
        return self.replications * sum(len(cell.durations_s) for cell in self.cells)

    def seed_of(self, replication: int) -> int:
        """Return the seed of replication 0, 1, ... of every cell."""
        return replication_seed(self.seed, replication)

    def simulations(self, counts: Sequence[int]) -> Iterator[tuple[Cell, int]]:
        """Yield all simulations, cell by cell with so many replications each: the cell and the replication."""
        for cell, count in zip(self.cells, counts, strict=True):
            for replication in range(count):
                yield cell, replication

    def settings(self) -> dict[str, Any]:
        """Return the plan as the sweep section of a scenario."""
        design = {"points": self.points} if self.grid is None else {"over": self.grid}
        settings = {**design, "replications": self.replications}
        if rule := self.precision:
            settings |= {"precision": rule.share, "metric": rule.metric, "max_replications": rule.max_replications}
        return settings

    def facts(self) -> dict[str, Any]:
        """Return what all runs of this plan have in common, and what stands behind the names of its values."""
        scenario = {name: getattr(self.scenario, name) for name in type(self.scenario).model_fields}
        version = dict(model_version(self.scenario.kind))
        if self.simulate is not run_task:
            version["simulate"] = digest(self._facts_of(self.simulate))
        return {
            "version": version,
            "scenario": {name: self._facts_of(value) for name, value in scenario.items() if name not in NO_CHANGE},
            "values": {
                f"{path} = {label(cell.point[path])}": digest(facts)
                for cell in self.cells
                for path, facts in cell.facts.items()
            },
        }
