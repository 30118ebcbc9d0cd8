"""The environment of a simulation: SimPy's, with integer time from tick 0 on and a count of processed events."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import simpy

from qkdrmp.kernel.simpy_marks import events_pending, events_scheduled

COLLECT_AFTER = (100_000, 20, 100)
"""When Python collects garbage during a run. A run creates and drops millions of small objects that rarely form
reference cycles; to search for cycles after every 700 new objects, as Python does by default, takes a tenth of the time
of a large run."""


class Environment(simpy.Environment):
    """SimPy's environment with integer time in ticks and a count of events."""

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self._stops = 0

    if TYPE_CHECKING:  # a whole number plus whole numbers of ticks

        @property
        def now(self) -> int:
            """Ticks (picoseconds) since the start."""

    def advance(self, until: int) -> None:
        """Process all events before tick `until`; do nothing if that time has passed already."""
        if until > self.now:
            with _rare_garbage_collection():
                self.run(until=until)
            self._stops += 1

    @property
    def is_idle(self) -> bool:
        """Whether no event is pending, so that nothing will happen any more."""
        return events_pending(self) == self._stops_pending

    @property
    def _stops_pending(self) -> int:
        # A stop is scheduled twice: once to stop the loop, once more by SimPy to end its own event; the second of
        # the latest stop is still in the queue.
        return 1 if self._stops else 0

    @property
    def events(self) -> int:
        """Events processed so far; the events by which `advance` stops do not count."""
        own = 2 * self._stops - self._stops_pending
        return events_scheduled(self) - own - events_pending(self)


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
