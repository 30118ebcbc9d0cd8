"""What needs SimPy's private attributes: no other module of the package uses them.

Events that happen within other events, events scheduled with the least work, stores and containers that change without
put and get events, and the counts of an environment. Each is tested against SimPy's own classes.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any

import simpy
from simpy.events import NORMAL, Event, EventPriority
from simpy.resources.base import Put
from simpy.resources.container import ContainerGet

# Events


class Inbox(Event):
    """The event that an item comes in, which happens within other events and can be waited for again and again.

    It is never scheduled: with `put`, the process that waits goes on at once, within the event that is being processed,
    so what comes in costs no second event at the same instant. Items that come in while nobody waits are kept.

    Attributes
    ----------
    kept : list
        What has come in while nobody waited, the oldest first; a process takes these before it waits again.
    """

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self._ok = True
        self.kept: list[Any] = []

    def put(self, item: Any) -> None:
        """Let the process that waits go on with an item, as SimPy does with an event's value; or keep the item."""
        callbacks = self.callbacks
        if callbacks:
            self.callbacks = []
            self._value = item
            for callback in callbacks:
                callback(self)
        else:
            self.kept.append(item)


class ScheduledEvent(Event):
    """An event that happens after a delay: a Timeout with a priority of its own.

    Parameters
    ----------
    env : simpy.Environment
    delay : int
        Ticks from now.
    priority : EventPriority
        Events of the same tick happen in the order of their priorities; SimPy's own are 0 (urgent) and 1 (normal).
    """

    def __init__(self, env: simpy.Environment, delay: int, priority: EventPriority) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        env.schedule(self, priority, delay)


class TimedDelivery(Event):
    """An event that hands an item to one function after a delay, as a Timeout would, made with the least work.

    Parameters
    ----------
    env : simpy.Environment
    delay : int
        Ticks from now (>= 0).
    item
        What is delivered.
    receive : callable
        Called with the event, whose `item` it reads.
    """

    _ok = True
    _value = None

    def __init__(self, env: Any, delay: int, item: Any, receive: Callable[[Any], None]) -> None:
        self.env = env
        self.item = item
        self.callbacks = [receive]
        heappush(env._queue, (env._now + delay, NORMAL, next(env._eid), self))


def succeed_later(event: Event, value: Any, delay: int) -> None:
    """Trigger an event now, with `value`; those who wait for it go on after `delay` ticks."""
    event._ok = True
    event._value = value
    event.env.schedule(event, delay=delay)


class PastPut(Put[Any]):
    """A put that has happened already: a process that yields it goes on at once, and it costs no event.

    Parameters
    ----------
    env : simpy.Environment
    value
        The event's value.
    """

    def __init__(self, env: simpy.Environment, value: Any = None) -> None:
        Event.__init__(self, env)
        self._ok = True
        self._value = value
        self.callbacks = None  # type: ignore[assignment]  # SimPy's mark of a past event


# Stores and containers


def deposit(store: simpy.Store, item: Any) -> None:
    """Add an item to a store of unlimited capacity without a put event, and serve the get events that wait."""
    store.items.append(item)
    store._trigger_get(None)


class RuledContainer(simpy.Container):
    """A Container whose gets are served by a rule of its own, first come, first served.

    A subclass says by `may_get` whether a get can be served now, and serves it in `grant`; it has its own `put` and its
    own `level`, and calls `serve_gets` whenever a get may have become possible.
    """

    def may_get(self, get: ContainerGet) -> bool:
        """Return whether a waiting get can be served now."""
        raise NotImplementedError

    def grant(self, get: ContainerGet) -> None:
        """Serve a get, which no longer waits: it has to succeed."""
        raise NotImplementedError

    def serve_gets(self) -> None:
        """Serve the gets that wait, in their order, up to the first that cannot be served now."""
        waiting = self.get_queue
        while waiting and self.may_get(waiting[0]):
            self.grant(waiting.pop(0))

    def _trigger_get(self, put_event: object) -> None:
        # SimPy calls this when a get has joined the queue.
        self.serve_gets()


# Environments


def events_scheduled(env: simpy.Environment) -> int:
    """Return how many events have ever been scheduled."""
    # The count shows its next number without giving it away only in its text, "count(7)".
    return int(repr(env._eid)[len("count(") : -1])


def events_pending(env: simpy.Environment) -> int:
    """Return how many scheduled events have not happened yet."""
    return len(env._queue)
