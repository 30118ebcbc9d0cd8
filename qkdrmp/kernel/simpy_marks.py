"""What SimPy keeps to itself: the only module of the package that touches SimPy's private marks.

Events that happen within others, events scheduled with the least work, stores and containers that change without the
put and get events of SimPy, and the counts of an environment. Each is tested against what SimPy's own classes do.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any, TypeVar

import simpy
from simpy.events import NORMAL, Event, EventPriority

EventT = TypeVar("EventT", bound=Event)


# Events


class Arrival(Event):
    """An event that happens within another one and can be waited for again and again.

    It is never scheduled: `happen` lets those who wait go on at once, within the event that is being processed, so
    what arrives costs no second event at the same instant. Afterwards it can be waited for anew.
    """

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self._ok = True

    def happen(self, value: Any) -> None:
        """Let those who wait go on with `value`, as SimPy does when it takes an event from its queue."""
        callbacks, self.callbacks = self.callbacks, []
        self._value = value
        for callback in callbacks:
            callback(self)


class ScheduledEvent(Event):
    """An event that is sure to happen after a delay: a Timeout with a priority of its own.

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
    """A Timeout that hands an item to one function, made with the least work.

    Parameters
    ----------
    env : simpy.Environment
    delay : int
        Ticks from now (>= 0).
    item
        What is delivered; also the event's value.
    receive : callable
        Called with the event, whose `item` it reads.
    """

    def __init__(self, env: Any, delay: int, item: Any, receive: Callable[[Any], None]) -> None:
        self.env = env
        self.callbacks = [receive]
        self.item = self._value = item
        self._ok = True
        heappush(env._queue, (env._now + delay, NORMAL, next(env._eid), self))


def processed(event: EventT, value: Any = None) -> EventT:
    """Mark an event as one that has happened with `value`, and return it: a process that yields it goes on at once."""
    event._ok = True
    event._value = value
    event.callbacks = None  # type: ignore[assignment]  # SimPy's mark of a past event
    return event


def past_event(env: Any) -> Event:
    """Return an event without a value that has happened: always the same one of an environment."""
    try:
        event: Event = env.past_event
    except AttributeError:
        event = env.past_event = processed(Event(env))
    return event


# Stores and containers


def deposit(store: simpy.Store, item: Any) -> None:
    """Add an item to a store of unlimited capacity without a put event, and serve the get events that wait."""
    store.items.append(item)
    store._trigger_get(None)


def set_level(container: simpy.Container, level: int) -> None:
    """Set the level of a container; neither put nor get events take part."""
    container._level = level


# Environments


def events_scheduled(env: simpy.Environment) -> int:
    """Return how many events have ever been scheduled."""
    # The count shows its next number without giving it away only in its text, "count(7)".
    return int(repr(env._eid)[len("count(") : -1])


def events_pending(env: simpy.Environment) -> int:
    """Return how many scheduled events have not happened yet."""
    return len(env._queue)
