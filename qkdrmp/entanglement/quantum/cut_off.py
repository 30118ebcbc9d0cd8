"""Cut-off: a half that has waited too long is discarded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from simpy.events import Event, EventPriority

from qkdrmp.entanglement.quantum.pairs import Qubit
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.simpy_marks import ScheduledEvent

AFTER_HERALDS = EventPriority(3)
"""A pair that is heralded at the very tick still comes in time; heralds have priority 2."""


class CutOff:
    """Watches halves in one place, which all have the same time.

    Parameters
    ----------
    env : Environment
    ticks : int
        How long a half may wait.
    is_there : callable
        Returns whether a half still waits.
    discard : callable
        Called with each half that has waited so long and is still there.
    """

    __slots__ = ("_discard", "_env", "_is_armed", "_is_there", "_ticks", "_waiting")

    def __init__(
        self, env: Environment, ticks: int, is_there: Callable[[Qubit], bool], discard: Callable[[Qubit], None]
    ) -> None:
        self._env = env
        self._ticks = ticks
        self._is_there = is_there
        self._discard = discard
        self._waiting: deque[tuple[int, Qubit]] = deque()
        self._is_armed = False

    def add(self, qubit: Qubit) -> None:
        """Watch a half that has come just now."""
        self._waiting.append((self._env.now + self._ticks, qubit))
        if not self._is_armed:
            self._arm()

    def _arm(self) -> None:
        """Wait for the end of the time of the half that has been there longest."""
        while self._waiting and not self._is_there(self._waiting[0][1]):
            self._waiting.popleft()
        self._is_armed = bool(self._waiting)
        if self._is_armed:
            delay = self._waiting[0][0] - self._env.now
            ScheduledEvent(self._env, delay, AFTER_HERALDS).callbacks.append(self._look)

    def _look(self, event: Event) -> None:
        while self._waiting and self._waiting[0][0] <= self._env.now:
            _, qubit = self._waiting.popleft()
            if self._is_there(qubit):
                self._discard(qubit)
        self._arm()
