"""The progress of a sweep: a bar where people see it move, and lines in a log."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

from qkdrmp.sweeps.plan import Plan, Task
from qkdrmp.sweeps.store import Failure
from qkdrmp.sweeps.workers import TaskResult

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # without ipywidgets a notebook shows a bar of text
    from tqdm.auto import tqdm

LINE_SHARE = 0.1
LEAST_BETWEEN_S, MOST_BETWEEN_S = 5.0, 60.0
"""A line comes with each tenth of the runs, but not so soon after the last one, nor so late."""


def is_watched() -> bool:
    """Return whether a bar would be seen: the error output is a terminal, or this is a notebook."""
    return sys.stderr.isatty() or hasattr(sys, "ps1")


class Progress:
    """Counts runs, failures among them, and events per second, and shows them.

    Parameters
    ----------
    plan : Plan
    shown : bool

    Attributes
    ----------
    counted : int
        Runs that have ended.
    """

    def __init__(self, plan: Plan, shown: bool) -> None:
        self._name = plan.scenario.name
        self._lines = shown and not is_watched()
        self._bar = tqdm(total=0, unit="run", disable=not shown or self._lines, desc=self._name)
        self._begun = self._said_at = time.perf_counter()
        self._done = self._said = self._total = 0
        self._failed, self._events = 0, 0
        self.counted = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def expect(self, runs: int, of: int) -> None:
        """Set how many runs are still to come, of how many in all."""
        self._total, self._done = of, max(self._done, of - runs)
        self._said = max(self._said, self._done)
        self._bar.total = of
        self._bar.n = self._bar.initial = max(self._bar.n, of - runs)
        self._bar.refresh()

    def count(self, task: Task, done: TaskResult[Any]) -> None:
        """Count the runs of a task that has ended."""
        runs = len(task.durations_s)
        self.counted += runs
        self._done += runs
        if isinstance(done.result, Failure):
            self._failed += runs
        else:
            self._events += dict(done.result[-1]).get("events", 0)
        if self._lines:
            self._say()
        self._bar.set_postfix_str(self._detail(time.perf_counter()), refresh=False)
        self._bar.update(runs)

    def _detail(self, now: float) -> str:
        return f"{self._failed} failed, {self._events / (now - self._begun):,.0f} events/s"

    def _say(self) -> None:
        """Print a line if it is time for one."""
        now = time.perf_counter()
        since, tenth = now - self._said_at, (self._done - self._said) >= LINE_SHARE * self._total
        if self._done < self._total and (since >= MOST_BETWEEN_S or (tenth and since >= LEAST_BETWEEN_S)):
            self._said, self._said_at = self._done, now
            left = (now - self._begun) / self.counted * (self._total - self._done)
            share = f"{self._done} of {self._total} runs ({self._done / self._total:.0%})"
            sys.stderr.write(f"{self._name}: {share}, about {left:.0f} s left, {self._detail(now)}\n")
            sys.stderr.flush()
