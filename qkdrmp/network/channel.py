"""Classical channels: latency-delayed Stores, first in first out, also among messages of the same instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import simpy
from simpy.events import Event, Timeout

from qkdrmp.kernel.environment import Environment
from qkdrmp.network.layer import Message

if TYPE_CHECKING:
    import numpy as np

    from qkdrmp.network.impairment import Impairment


class Transmission(NamedTuple):
    """One message on one link: the row behind the `messages` table and the ladder diagrams."""

    message: Message
    source: str
    target: str
    sent: int
    received: int


class Arrival(Event):
    """The event of the next message, for which the reader of an inbox waits.

    It happens within the event that ends the message's delay, not as one more event of the queue at the same instant:
    the reader goes on at once, and a message costs one event instead of two.
    """

    def happen(self, message: Message) -> None:
        """Let the reader go on with `message`, as SimPy does when it takes an event from its queue."""
        self._ok = True
        self._value = message
        callbacks, self.callbacks = self.callbacks, None  # type: ignore[assignment]  # SimPy's mark of a past event
        for callback in callbacks:
            callback(self)


class Inbox(simpy.Store):
    """The receiving end of a node's channels: a Store filled by arrivals.

    An arrival hands its message to the node that waits for it, or leaves it in `items`, without the put and get events
    of a plain Store.
    """

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        self._next: Arrival | None = None

    def wait(self) -> Event:
        """Return the event of the next message, for the one process that reads an inbox without messages."""
        self._next = arrival = Arrival(self._env)
        return arrival

    def arrive(self, delay: Event) -> None:
        """Take in the message that an event carries (the callback of its delay)."""
        self.deliver(delay._value)

    def deliver(self, message: Message) -> None:
        """Take in a message."""
        arrival = self._next
        if arrival is None:
            self.items.append(message)
        else:
            self._next = None
            arrival.happen(message)


class Channel:
    """One direction of a classical link.

    Parameters
    ----------
    env : Environment
    source, target : str
        Names of the two nodes.
    delay : int
        One-way delay in ticks.
    inbox : Inbox
        Where messages arrive.
    trace : list of Transmission, optional
        If given, every message is noted there when it is sent.

    Attributes
    ----------
    sent : int
        Messages sent so far.
    """

    __slots__ = ("_arrive", "delay", "env", "inbox", "sent", "source", "target", "trace")

    def __init__(
        self,
        env: Environment,
        source: str,
        target: str,
        delay: int,
        inbox: Inbox,
        trace: list[Transmission] | None = None,
    ) -> None:
        self.env = env
        self.source = source
        self.target = target
        self.delay = delay
        self.inbox = inbox
        self.trace = trace
        self.sent = 0
        self._arrive = inbox.arrive

    def send(self, message: Message) -> None:
        """Put a message on the wire; it arrives after the channel's delay."""
        self.sent += 1
        Timeout(self.env, self.delay, message).callbacks.append(self._arrive)
        if self.trace is not None:
            self._note(message, self.delay)

    def _note(self, message: Message, delay: int) -> None:
        now = self.env.now
        assert self.trace is not None
        self.trace.append(Transmission(message, self.source, self.target, now, now + delay))


class ImpairedChannel(Channel):
    """A channel on which messages may be lost, doubled or delayed (see `Impairment`)."""

    __slots__ = ("impairment", "random")

    impairment: Impairment
    random: np.random.Generator

    def send(self, message: Message) -> None:
        """Put a message on the wire; the impairment decides how many copies arrive, and when."""
        self.sent += 1
        for extra in self.impairment.copies(self.random):
            Timeout(self.env, self.delay + extra, message).callbacks.append(self._arrive)
            if self.trace is not None:
                self._note(message, self.delay + extra)
