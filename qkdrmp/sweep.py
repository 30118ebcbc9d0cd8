"""Sweeps: a grid of scenarios, each run several times, into one tidy table.

Runs that differ only in their duration are one simulation: a run of 0.6 s has, on its way, been a run of 0.1 s with the
same seed, and what the table says of that is noted as it passes. Every replication has the same random numbers at
every point of the grid (common random numbers), so that differences between points are not differences in luck.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import loky
import pandas as pd
from tqdm.auto import tqdm

from qkdrmp.errors import QKDRMPError, ScenarioError
from qkdrmp.randomness import replication_seed
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import start
from qkdrmp.units import to_ticks

DURATION = "duration_s"


class SweepInterrupted(QKDRMPError):
    """A sweep was stopped by the user.

    Attributes
    ----------
    runs, timings : pandas.DataFrame
        The tables of the runs that were finished.
    """

    def __init__(self, runs: pd.DataFrame, timings: pd.DataFrame, planned: int) -> None:
        super().__init__(f"the sweep was interrupted after {len(runs)} of {planned} runs")
        self.runs = runs
        self.timings = timings


@dataclass(frozen=True)
class Task:
    """One simulation, with the durations at which its figures are noted.

    Parameters
    ----------
    scenario : Scenario
        With the longest of the durations.
    point : dict of str to object
        The values of the swept fields, the duration left out.
    durations_s : tuple of float
        In rising order.
    replication, seed : int
    """

    scenario: Scenario
    point: dict[str, Any]
    durations_s: tuple[float, ...]
    replication: int
    seed: int


def run_task(task: Task) -> tuple[list[dict[str, Any]], float]:
    """Return the figures at each duration of a task, and the wall time it took in seconds."""
    begun = time.perf_counter()
    run = start(task.scenario, task.seed)
    figures = []
    for duration_s in task.durations_s:
        run.advance(to_ticks(duration_s))
        figures.append(dict(run.summary()))
    return figures, time.perf_counter() - begun


class Sweep:
    """A sweep, planned and checked.

    Parameters
    ----------
    scenario : Scenario
    over : mapping of str to sequence, optional
        Values for each swept field, by its path in the scenario; all combinations are run. By default what the
        scenario's own sweep section says.
    replications : int, optional
        Runs of each combination; by default what the scenario says.
    seed : int
        Seed of the whole sweep; each replication has one of its own, derived from it.

    Attributes
    ----------
    swept : list of str
        The columns that tell the cells apart.
    tasks : list of Task
    planned : int
        Number of runs, that is of rows in the table.

    Raises
    ------
    ScenarioError
        If a swept field does not exist, or one of its values is not allowed.
    """

    def __init__(
        self,
        scenario: Scenario,
        over: Mapping[str, Sequence[Any]] | None = None,
        replications: int | None = None,
        seed: int = 1,
    ) -> None:
        self.scenario = scenario
        self.over = {path: list(values) for path, values in (scenario.sweep.over if over is None else over).items()}
        self.replications = scenario.sweep.replications if replications is None else replications
        self.seed = seed
        if self.replications < 1:
            raise ScenarioError(f"replications = {self.replications} must be at least 1")
        for path, values in self.over.items():
            if not values or len({repr(value) for value in values}) < len(values):
                raise ScenarioError(f"sweep.over: {path} = {values} must be a list of different values, at least one")
        self.swept = list(dict.fromkeys((*self.over, DURATION)))
        self.tasks = list(self._tasks())

    @property
    def planned(self) -> int:
        """See the class."""
        return sum(len(task.durations_s) for task in self.tasks)

    def _tasks(self) -> Iterator[Task]:
        seeds = [replication_seed(self.seed, number) for number in range(self.replications)]
        durations = tuple(sorted(self.over.get(DURATION, [self.scenario.duration_s])))
        others = {path: values for path, values in self.over.items() if path != DURATION}
        for duration in durations:
            self.scenario.replace({DURATION: duration})
        for values in itertools.product(*others.values()):
            point = dict(zip(others, values, strict=True))
            scenario = self.scenario.replace({**point, DURATION: durations[-1]})
            for number, seed in enumerate(seeds):
                yield Task(scenario, point, durations, number, seed)

    def run(self, executor: Executor | None = None, progress: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Run everything; return the table of runs and the table of wall times.

        Parameters
        ----------
        executor : concurrent.futures.Executor, optional
            Where to run it; by default one process for each core of this machine.
        progress : bool
            Whether to show a progress bar.

        Raises
        ------
        SweepInterrupted
            On Ctrl-C, with what was finished.
        """
        done: dict[int, tuple[list[dict[str, Any]], float]] = {}
        try:
            with tqdm(total=self.planned, unit="run", disable=not progress, desc=self.scenario.name) as bar:
                for number, outcome in self._outcomes(executor):
                    done[number] = outcome
                    bar.update(len(outcome[0]))
        except KeyboardInterrupt:
            raise SweepInterrupted(self._runs(done), self._timings(done), self.planned) from None
        return self._runs(done), self._timings(done)

    def _outcomes(self, executor: Executor | None) -> Iterator[tuple[int, tuple[list[dict[str, Any]], float]]]:
        with nullcontext(executor) if executor is not None else processes() as chosen:
            futures: dict[Future[Any], int] = {
                chosen.submit(run_task, task): number for number, task in enumerate(self.tasks)
            }
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                for future in futures:
                    future.cancel()

    def _runs(self, done: Mapping[int, tuple[list[dict[str, Any]], float]]) -> pd.DataFrame:
        rows = [
            {**self._cell(self.tasks[number], duration), **figures}
            for number, (all_figures, _) in sorted(done.items())
            for duration, figures in zip(self.tasks[number].durations_s, all_figures, strict=True)
        ]
        return pd.DataFrame(rows)

    def label(self, task: Task, duration_s: float | None = None) -> dict[str, Any]:
        """Return the swept fields of a task with their values, as they are in the table."""
        values = {**task.point, DURATION: task.durations_s[-1] if duration_s is None else duration_s}
        return {path: _label(values[path]) for path in self.swept}

    def _cell(self, task: Task, duration_s: float) -> dict[str, Any]:
        return {**self.label(task, duration_s), "replication": task.replication, "seed": task.seed}

    def _timings(self, done: Mapping[int, tuple[list[dict[str, Any]], float]]) -> pd.DataFrame:
        rows = [
            {**self._cell(self.tasks[number], self.tasks[number].durations_s[-1]), "wall_s": wall}
            for number, (_, wall) in sorted(done.items())
        ]
        return pd.DataFrame(rows)


def sweep(
    scenario: Scenario,
    over: Mapping[str, Sequence[Any]] | None = None,
    replications: int | None = None,
    seed: int = 1,
    executor: Executor | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run a scenario at all combinations of some fields' values, several times each.

    Parameters
    ----------
    scenario, over, replications, seed
        See `Sweep`.
    executor : concurrent.futures.Executor, optional
        Where to run it; by default one process for each core of this machine.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    pandas.DataFrame
        One row a run: the swept fields under their path, ``duration_s``, ``replication``, the ``seed`` with which
        `simulate` repeats the run, and its figures (for the QKD family see ``qkd.tables.SUMMARY_COLUMNS``). The table
        is the same on any executor.
    """
    return Sweep(scenario, over, replications, seed).run(executor, progress)[0]


def _label(value: Any) -> Any:
    """Return how a swept value is written in the table: functions and objects by their name."""
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


@contextmanager
def processes(jobs: int | None = None) -> Iterator[Executor]:
    """Return an executor with `jobs` processes on this machine; by default one for each core."""
    # Workers leave Ctrl-C to the process that started them.
    own = loky.ProcessPoolExecutor(jobs, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
    try:
        yield own
    finally:
        own.shutdown(wait=True, kill_workers=True)
