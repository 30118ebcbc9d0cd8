"""Sweeps: many scenarios, each run several times, into one tidy table.

Runs that differ only in their duration are one simulation: a run of 0.6 s has, on its way, been a run of 0.1 s with the
same seed, and its metrics at that time are read as it passes. Every replication has the same random numbers at
every point (common random numbers), so that differences between points are not differences in luck.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from qkdrmp.errors import QKDRMPError, ScenarioError, SweepWarning, unknown
from qkdrmp.scenario import Scenario
from qkdrmp.sweeps.experiment import STORE, Experiment, gather
from qkdrmp.sweeps.plan import Cell, Plan, Task
from qkdrmp.sweeps.progress import Progress
from qkdrmp.sweeps.resume import agree, missing
from qkdrmp.sweeps.store import Failure, Store
from qkdrmp.sweeps.workers import Workers, WorkersGone, processes


class SweepInterrupted(QKDRMPError):
    """A sweep was stopped, by the user or for lack of workers.

    Attributes
    ----------
    experiment : Experiment
        With the runs that were finished.
    """

    def __init__(self, reason: str, experiment: Experiment, planned: int) -> None:
        done = len(experiment.runs)
        again = "; started again, the sweep goes on from there" if experiment.folder and done else ""
        super().__init__(f"{reason} after {done} of {planned} runs{again}")
        self.experiment = experiment


class SweepFailed(QKDRMPError):
    """All runs of a sweep ended with an error."""


def sweep(
    scenario: Scenario,
    over: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | None = None,
    replications: int | None = None,
    seed: int = 1,
    *,
    folder: str | Path | None = None,
    executor: Executor | Callable[[], Executor] | None = None,
    precision: float | None = None,
    metric: str | None = None,
    max_replications: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run a scenario at many points, several times each.

    Parameters
    ----------
    scenario : Scenario
    over : mapping or sequence, optional
        Values for each swept field, by its path in the scenario, of which all combinations are run; or a list of
        points, each a mapping from paths to values, as `latin_hypercube` makes it. By default what the scenario's own
        sweep section says.
    replications : int, optional
        Runs of each point, with other random numbers each time; by default what the scenario says.
    seed : int
        Seed of the whole sweep; each replication has one of its own, derived from it.
    folder : path, optional
        Where each finished run is kept at once, and in the end the tables. Started again, the sweep only runs what is
        missing; a run that failed is tried again. What the folder has of other points is kept for later.
    executor : concurrent.futures.Executor or callable, optional
        Where to run it, or a function that makes an executor, which is called again if a worker dies and breaks the
        executor; by default one process for each core of this machine.
    precision : float, optional
        Replications are added to each point until the 95 % interval of `metric` is at most this share of its
        mean to either side, 0.05 for 5 %.
    metric : str, optional
        The metric for `precision`; by default requests_delivered or pair_rate_hz.
    max_replications : int, optional
        The largest number of replications of a point that `precision` may ask for; by default 100.
    progress : bool
        Whether to show a progress bar; where nobody could see it move, such as in a log, there are lines instead.

    Returns
    -------
    pandas.DataFrame
        One row a run: the swept fields under their path, ``duration_s``, ``replication``, the ``seed`` with which
        `simulate` repeats the run, whether it ``failed`` (it then has no metrics), and its metrics (see
        ``qkd.metrics.METRICS`` and ``entanglement.results.metrics.METRICS``). The table is the same on any
        executor, and whether or not the sweep was interrupted on the way.

    Raises
    ------
    ScenarioError
        If a swept field does not exist, or one of its values is not allowed.
    StoreError
        If the folder has runs of another scenario or another version of the package, or another sweep is using it.
    SweepInterrupted
        On Ctrl-C, or if the workers are gone, with what was finished.
    SweepFailed
        If no run came to an end without an error, such as one in a policy of your own.

    Warns
    -----
    SweepWarning
        If runs failed, if the sweep cannot be resumed, or if an interval is wider than asked for.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line")
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 8], "queue.policy": ["fcfs", "priority"]}, replications=2)
    >>> list(runs.columns[:6])
    ['pools.capacity', 'queue.policy', 'duration_s', 'replication', 'seed', 'failed']
    >>> len(runs)
    8

    Points that are no grid, kept in a folder as they finish:

    >>> points = [{"pools.capacity": 2, "queue.capacity": 4}, {"pools.capacity": 8, "queue.capacity": 16}]
    >>> runs = qkdrmp.sweep(scenario, points, replications=2, folder="results/line")
    """
    plan = Plan(
        scenario, over, replications, seed, precision=precision, metric=metric, max_replications=max_replications
    )
    return carry_out(plan, None if folder is None else Path(folder), executor, progress).runs


def carry_out(
    plan: Plan,
    folder: Path | None = None,
    executor: Executor | Callable[[], Executor] | None = None,
    progress: bool = True,
    command: str = "",
) -> Experiment:
    """Run what is missing of a plan; return everything. For parameters, errors and warnings see `sweep`.

    Parameters
    ----------
    command : str
        What a user would write to run it again, if it is not a call of `sweep`.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with Store(None if folder is None else folder / STORE) as store:
        agree(plan, store)
        counts = [plan.replications] * len(plan.cells)
        try:
            with Workers(plan.simulate, executor or processes) as workers, Progress(plan, progress) as bar:
                while tasks := list(missing(plan, store, counts)):
                    bar.expect(sum(len(task.durations_s) for task in tasks), _rows(plan, counts))
                    _work(tasks, store, workers, bar)
                    counts = _enough(plan, store, counts)
        except (KeyboardInterrupt, WorkersGone) as error:
            found = gather(plan, store, counts, folder, command)
            raise SweepInterrupted(str(error) or "the sweep was interrupted", found, plan.planned) from None
        found = gather(plan, store, counts, folder, command)
        _warn(plan, found)
    return replace(found, new_runs=bar.counted)


def _rows(plan: Plan, counts: Sequence[int]) -> int:
    return sum(count * len(cell.durations_s) for cell, count in zip(plan.cells, counts, strict=True))


def _warn(plan: Plan, found: Experiment) -> None:
    """Warn if runs failed, or if an interval is wider than asked for.

    Raises
    ------
    SweepFailed
        If all runs failed.
    """
    if failed := len(found.failures):
        first = found.failures.iloc[0]
        where = ", ".join(f"{name} = {first[name]}" for name in (*plan.swept, "seed"))
        what = f"{failed} of {len(found.runs)} runs failed; the one with {where}: {first['error']}"
        if failed == len(found.runs):
            raise SweepFailed(f"{plan.scenario.name}: {what}")
        warnings.warn(f"{plan.scenario.name}: {what}", SweepWarning, stacklevel=4)
    if rule := plan.precision:
        cells = found.runs.groupby(plan.swept, sort=False, dropna=False)[rule.metric]
        wide = sum(not rule.is_reached(list(values)) for _, values in cells)
        if wide:
            width = f"wider than {rule.share:g} of the mean in {wide} of {len(cells)} cells"
            tried = f"after {rule.max_replications} replications"
            sentence = f"{plan.scenario.name}: the interval of {rule.metric} is {width}, {tried}"
            warnings.warn(sentence, SweepWarning, stacklevel=4)


def _work(tasks: Sequence[Task], store: Store, workers: Workers[Task, Any], bar: Progress) -> None:
    """Carry out tasks and store each outcome at once."""
    for number, done in workers.outcomes(tasks):
        task = tasks[number]
        if isinstance(done.result, Failure):
            store.fail(task.simulation, task.durations_s, done.result)
        else:
            store.add(task.simulation, dict(zip(task.durations_s, done.result, strict=True)), done.wall_s)
        bar.count(task, done)


def _enough(plan: Plan, store: Store, counts: Sequence[int]) -> list[int]:
    """Return how many replications of each cell there should be after those that are in a store."""
    rule = plan.precision
    if rule is None:
        return list(counts)
    wanted = []
    for cell, count in zip(plan.cells, counts, strict=True):
        wanted.append(max(rule.wanted(values) for values in _samples(plan, store, cell, count, rule.metric)))
    return wanted


def _samples(plan: Plan, store: Store, cell: Cell, count: int, metric: str) -> Iterator[list[float]]:
    """Yield the values of a metric in all replications of a cell, for each of its durations; nan for those failed.

    Raises
    ------
    ScenarioError
        If there is no such metric.
    """
    simulations = [cell.simulation(plan.seed_of(replication)) for replication in range(count)]
    for duration_s in cell.durations_s:
        rows = [store.runs.get((simulation, duration_s), {}) for simulation in simulations]
        for row in rows:
            if row and metric not in row:
                raise ScenarioError(f"the runs have no metric {unknown(metric, row)}")
        yield [row.get(metric, float("nan")) for row in rows]
