"""Sweeps: a grid of scenarios, each run several times, into one tidy table.

Runs that differ only in their duration are one simulation: a run of 0.6 s has, on its way, been a run of 0.1 s with the
same seed, and what the table says of that is noted as it passes. Every replication has the same random numbers at
every point of the grid (common random numbers), so that differences between points are not differences in luck.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

import loky
import numpy as np
import pandas as pd
from tqdm import tqdm

from qkdrmp.errors import QKDRMPError, ScenarioError
from qkdrmp.randomness import replication_seed
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import start
from qkdrmp.units import to_ticks

DURATION = "duration_s"
# Marks executors that are killed if a sweep is left: loky cannot bear tasks that have been cancelled before.
KILLED = "killed_if_left"
NOT_TO_SWEEP = ("kind", "name", "description", "sweep")


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


class SweepFailed(QKDRMPError):
    """A run of a sweep ended with an error; the cause is attached."""


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
        over = scenario.sweep.over if over is None else over
        self.over = {path: _checked_values(path, values) for path, values in over.items()}
        self.replications = scenario.sweep.replications if replications is None else replications
        self.seed = seed
        for name, number, least in (("replications", self.replications, 1), ("seed", seed, 0)):
            if not isinstance(number, int | np.integer) or number < least:
                raise ScenarioError(f"{name} = {number!r} must be a whole number, {least} or more")
        self.swept = list(dict.fromkeys((*self.over, DURATION)))
        self.tasks = list(self._tasks())

    @property
    def planned(self) -> int:
        """See the class."""
        return sum(len(task.durations_s) for task in self.tasks)

    def _tasks(self) -> Iterator[Task]:
        seeds = [replication_seed(self.seed, number) for number in range(self.replications)]
        given = self.over.get(DURATION, [self.scenario.duration_s])
        durations = tuple(sorted(self.scenario.replace({DURATION: duration_s}).duration_s for duration_s in given))
        others = {path: values for path, values in self.over.items() if path != DURATION}
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
        SweepFailed
            If a run ended with an error, such as one in a policy of the user's own.
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
            with _ctrl_c_later():
                futures: dict[Future[Any], int] = {
                    chosen.submit(run_task, task): number for number, task in enumerate(self.tasks)
                }
            try:
                for future in as_completed(futures):
                    yield futures[future], self._result(future, self.tasks[futures[future]])
            finally:
                for future in futures if not hasattr(chosen, KILLED) else ():
                    future.cancel()

    def _result(self, future: Future[Any], task: Task) -> Any:
        try:
            return future.result()
        except QKDRMPError:
            raise
        except Exception as error:
            where = ", ".join(f"{path} = {value}" for path, value in self.label(task).items())
            run = f"{self.scenario.name}: the run with {where}, seed {task.seed}"
            raise SweepFailed(f"{run}, failed: {type(error).__name__}: {error}") from error

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
    if value is None or isinstance(value, str | int | float):
        return value
    # The default text of an object is its address, which is another one in every run.
    return type(value).__name__ if str(value) == object.__repr__(value) else str(value)


def _checked_values(path: str, values: Any) -> list[Any]:
    """Return the values of one swept field, those of numpy as plain numbers."""
    if path.partition(".")[0] in NOT_TO_SWEEP:
        raise ScenarioError(f"sweep.over: {path} cannot be swept, because it does not change a run")
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise ScenarioError(f"sweep.over: {path} = {values!r} must be a list")
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    labels = [_label(value) for value in plain]
    repeated = [label for number, label in enumerate(labels) if label in labels[:number]]
    if not plain:
        raise ScenarioError(f"sweep.over: {path} needs at least one value")
    if repeated:
        raise ScenarioError(f"sweep.over: {path} has two values called {repeated[0]!r}, which nobody could tell apart")
    return plain


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Hold Ctrl-C back for a moment; processes that are started in it leave it to the one that started them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # lets Ctrl-C through again when it starts, so it had better run already
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def processes(jobs: int | None = None) -> Iterator[Executor]:
    """Return an executor with `jobs` processes on this machine; by default one for each core."""
    own = loky.ProcessPoolExecutor(jobs, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
    setattr(own, KILLED, True)
    try:
        yield own
    except BaseException:
        own.shutdown(wait=True, kill_workers=True)
        raise
    own.shutdown(wait=True)
