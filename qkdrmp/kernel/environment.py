"""The clock: SimPy's environment, started at tick 0, that can say how many events it has processed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import simpy

COLLECT_AFTER = (100_000, 20, 100)
"""A run makes and drops millions of small objects that hardly ever form circles: to look for those after every 700 new
objects, as Python does, takes a tenth of the time of a large run."""


class Environment(simpy.Environment):
    """SimPy's environment with integer time in ticks and a count of events."""

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self._stops = 0
        self._looks = 0

    @property
    def now(self) -> int:
        """Ticks (picoseconds) since the start."""
        return self._now  # type: ignore[return-value]  # a whole number plus whole numbers of ticks

    def advance(self, until: int) -> None:
        """Process all events before tick `until`; do nothing if that time has come already."""
        if until > self.now:
            with _seldom_collecting():
                self.run(until=until)
            self._stops += 1

    @property
    def events(self) -> int:
        """Events processed so far; the events by which `advance` stops do not count."""
        scheduled = next(self._eid) - self._looks
        self._looks += 1
        # A stop is scheduled twice: once to stop the loop, once more by SimPy to end its own event; the second of
        # the latest stop is still in the queue.
        own = 2 * self._stops - (1 if self._stops else 0)
        return scheduled - own - len(self._queue)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
