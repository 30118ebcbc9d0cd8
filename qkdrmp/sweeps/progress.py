"""The progress bar of a sweep."""

from __future__ import annotations

import time
import warnings
from typing import Any

from qkdrmp.sweeps.plan import Plan, Task
from qkdrmp.sweeps.store import Failure
from qkdrmp.sweeps.workers import TaskResult

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # without ipywidgets a notebook shows a bar of text
    from tqdm.auto import tqdm


class Progress:
    """A progress bar that counts runs, failures among them, and events per second.

    Parameters
    ----------
    plan : Plan
    shown : bool
    """

    def __init__(self, plan: Plan, shown: bool) -> None:
        self._bar = tqdm(total=0, unit="run", disable=not shown, desc=plan.scenario.name)
        self._begun = time.perf_counter()
        self._failed, self._events = 0, 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def expect(self, runs: int, of: int) -> None:
        """Set how many runs are still to come, of how many in all."""
        self._bar.total = of
        self._bar.n = self._bar.initial = max(self._bar.n, of - runs)
        self._bar.refresh()

    def count(self, task: Task, done: TaskResult[Any]) -> None:
        """Count the runs of a task that has ended."""
        if isinstance(done.result, Failure):
            self._failed += len(task.durations_s)
        else:
            self._events += dict(done.result[-1]).get("events", 0)
        speed = self._events / (time.perf_counter() - self._begun)
        self._bar.set_postfix_str(f"{self._failed} failed, {speed:,.0f} events/s", refresh=False)
        self._bar.update(len(task.durations_s))
