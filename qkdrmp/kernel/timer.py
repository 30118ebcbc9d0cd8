"""Timers: actions that happen after a delay, unless they are cancelled."""

from __future__ import annotations

from collections.abc import Callable

import simpy
from simpy.events import Event, Timeout


class Timer:
    """An action that happens after a delay, unless the timer is cancelled or started again before.

    SimPy cannot take an event out of its queue: the event of a timer that was cancelled or restarted stays there and
    does nothing when its time comes.

    Parameters
    ----------
    env : simpy.Environment
    action : callable
        Called when the time is up. It may start the timer again.
    """

    __slots__ = ("_action", "_env", "_pending")

    def __init__(self, env: simpy.Environment, action: Callable[[], None]) -> None:
        self._env = env
        self._action = action
        self._pending: Event | None = None

    @classmethod
    def started(cls, env: simpy.Environment, delay: int, action: Callable[[], None]) -> Timer:
        """Return a timer whose action is to happen in `delay` ticks."""
        timer = cls(env, action)
        timer.start(delay)
        return timer

    @property
    def running(self) -> bool:
        """Whether the action is pending; False while it happens."""
        return self._pending is not None

    def start(self, delay: int) -> None:
        """Schedule the action in `delay` ticks, in place of any earlier start."""
        self._pending = timeout = Timeout(self._env, delay)
        timeout.callbacks.append(self._ring)

    def cancel(self) -> None:
        """Cancel the action, if it is pending."""
        self._pending = None

    def _ring(self, event: Event) -> None:
        if event is self._pending:
            self._pending = None
            self._action()
