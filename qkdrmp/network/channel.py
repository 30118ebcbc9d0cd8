"""Classical channels: latency-delayed Stores, first in first out, also among messages of the same instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import simpy
from simpy.events import Timeout

from qkdrmp.network.environment import Environment
from qkdrmp.network.protocol import Message

if TYPE_CHECKING:
    import numpy as np

    from qkdrmp.network.impairment import Impairment


class Hop(NamedTuple):
    """One message on one link: the row behind the `messages` table and the ladder diagrams."""

    message: Message
    source: str
    target: str
    sent: int
    received: int


class Inbox(simpy.Store):
    """The receiving end of a node's channels: a Store filled by arrivals.

    An arrival hands its message to the waiting reader, or leaves it in `items`. It does so without the put event of
    a plain Store, which nobody waits for: a message then costs two events, its delay and its reader's wake-up.
    """

    def deliver(self, message: Message) -> None:
        """Take in a message that has arrived."""
        if self.get_queue:
            self.get_queue.pop(0).succeed(message)
        else:
            self.items.append(message)


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
    trace : list of Hop, optional
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
        trace: list[Hop] | None = None,
    ) -> None:
        self.env = env
        self.source = source
        self.target = target
        self.delay = delay
        self.inbox = inbox
        self.trace = trace
        self.sent = 0
        self._arrive = lambda event: inbox.deliver(event._value)

    def send(self, message: Message) -> None:
        """Put a message on the wire; it arrives after the channel's delay."""
        self.sent += 1
        self._carry(message, self.delay)

    def _carry(self, message: Message, delay: int) -> None:
        arrival = Timeout(self.env, delay, message)
        arrival.callbacks.append(self._arrive)
        if self.trace is not None:
            now = self.env.now
            self.trace.append(Hop(message, self.source, self.target, now, now + delay))


class ImpairedChannel(Channel):
    """A channel on which messages may be lost, doubled or delayed (see `Impairment`)."""

    __slots__ = ("impairment", "random")

    impairment: Impairment
    random: np.random.Generator

    def send(self, message: Message) -> None:
        """Put a message on the wire; the impairment decides how many copies arrive, and when."""
        self.sent += 1
        for extra in self.impairment.copies(self.random):
            self._carry(message, self.delay + extra)
