"""The progress of what takes long: a bar where people see it move, and lines in a log."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from qkdrmp.sweeps.plan import Plan, Task
from qkdrmp.sweeps.store import Failure
from qkdrmp.sweeps.workers import TaskResult

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # without ipywidgets a notebook shows a bar of text
    from tqdm.auto import tqdm

T = TypeVar("T")

LINE_SHARE = 0.1
LEAST_BETWEEN_S, MOST_BETWEEN_S = 5.0, 60.0
"""A line comes with each tenth of the work, but not so soon after the last one, nor so late."""


def is_watched() -> bool:
    """Return whether a bar would be seen: the error output is a terminal, or this is a notebook."""
    return sys.stderr.isatty() or hasattr(sys, "ps1")


def watched(items: Sequence[T], name: str, noun: str, shown: bool) -> Iterator[T]:
    """Yield items one after the other, and show how many of them are done.

    Parameters
    ----------
    items : sequence
    name : str
        Of what is done.
    noun : str
        What one of them is called.
    shown : bool
    """
    if not shown or is_watched():
        yield from tqdm(items, name, disable=not shown, unit=noun)
        return
    lines = _Lines(name, noun)
    for done, item in enumerate(items, 1):
        yield item
        lines.say(done, len(items), done)


class _Lines:
    """Says in a log how far something is, not too often."""

    def __init__(self, name: str, noun: str) -> None:
        self._name, self._noun = name, noun
        self._begun = self._said_at = time.perf_counter()
        self._said = 0

    def begin(self, done: int) -> None:
        """Take it that so much was done before."""
        self._said = max(self._said, done)

    def say(self, done: int, total: int, counted: int, detail: str = "") -> None:
        """Print a line if it is time for one; `counted` of what is done was done here."""
        now = time.perf_counter()
        since, tenth = now - self._said_at, (done - self._said) >= LINE_SHARE * total
        if done < total and (since >= MOST_BETWEEN_S or (tenth and since >= LEAST_BETWEEN_S)):
            self._said, self._said_at = done, now
            left = (now - self._begun) / counted * (total - done)
            share = f"{done} of {total} {self._noun}s ({done / total:.0%})"
            more = f", {detail}" if detail else ""
            sys.stderr.write(f"{self._name}: {share}, about {left:.0f} s left{more}\n")
            sys.stderr.flush()


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
        self._lines = _Lines(self._name, "run") if shown and not is_watched() else None
        self._bar = tqdm(total=0, unit="run", disable=not shown or self._lines is not None, desc=self._name)
        self._begun = time.perf_counter()
        self._done = self._total = 0
        self._failed, self._events = 0, 0
        self.counted = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def expect(self, runs: int, of: int) -> None:
        """Set how many runs are still to come, of how many in all."""
        self._total, self._done = of, max(self._done, of - runs)
        if self._lines:
            self._lines.begin(self._done)
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
        detail = f"{self._failed} failed, {self._events / (time.perf_counter() - self._begun):,.0f} events/s"
        if self._lines:
            self._lines.say(self._done, self._total, self.counted, detail)
        self._bar.set_postfix_str(detail, refresh=False)
        self._bar.update(runs)
