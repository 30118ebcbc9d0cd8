"""Classical channels: latency-delayed Stores, first in first out, also among messages of the same instant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import simpy
from simpy.resources.base import Put
from simpy.resources.store import StoreGet

from qkdrmp.kernel.randomness import Streams, joined
from qkdrmp.kernel.simpy_marks import PastPut, TimedDelivery, deposit
from qkdrmp.kernel.units import seconds_or_nan, to_seconds
from qkdrmp.network.faults import FaultModel, FaultSession
from qkdrmp.network.layer import Message


class Transmission(NamedTuple):
    """One copy of a message on one channel: the row behind the `messages` table and the ladder diagrams.

    `received` is None if the message is lost.
    """

    message: Message
    source: str
    target: str
    sent: int
    received: int | None

    @property
    def sent_s(self) -> float:
        """When it was sent, s."""
        return to_seconds(self.sent)

    @property
    def received_s(self) -> float:
        """When it arrives, s; nan if it is lost."""
        return seconds_or_nan(self.received)


class Trace(Protocol):
    """Where transmissions are noted, such as a list."""

    def append(self, hop: Transmission, /) -> None:
        """Note a transmission."""


class Channel(simpy.Store):
    """One direction of a classical link: a Store that a message reaches a delay after it was put in.

    ``yield channel.put(message)`` goes on at once, ``message = yield channel.get()`` when a message has arrived.
    Messages arrive in the order sent and are got in the order of the gets. A channel holds any number of messages.

    A node does not get its messages one by one but subscribes to its channels. A message that arrives goes to the get
    that waits longest; if none waits, to the subscriber; if there is none, it is kept in `items`.

    Parameters
    ----------
    env : simpy.Environment
    source, target : str
        Names of the two nodes.
    delay : int
        One-way delay in ticks (>= 0).
    trace : Trace, optional
        If given, every copy of a message is noted there when it is sent.

    Attributes
    ----------
    sent : int
        Messages sent so far.

    Raises
    ------
    ValueError
        If the delay is negative.
    """

    def __init__(
        self, env: simpy.Environment, source: str, target: str, delay: int, trace: Trace | None = None
    ) -> None:
        super().__init__(env)
        if delay < 0:
            raise ValueError(f"delay = {delay} must be at least 0")
        self.env = env
        self.source = source
        self.target = target
        self.delay = delay
        self.trace = trace
        self.sent = 0
        self._is_sent = PastPut(env)

    def subscribe(self, receive: Callable[[Any], None]) -> None:
        """Call `receive` with each message that no get waits for, and now with those kept so far."""
        self._subscriber = receive
        self._take_in = self._distribute if self.get_queue else receive
        kept, self.items = self.items, []
        for message in kept:
            receive(message)

    def put(self, message: Any) -> Put[Any]:  # type: ignore[override]  # no StorePut: there is nothing to wait for
        """Send a message, which arrives after the channel's delay; the event returned has happened already."""
        self.sent += 1
        TimedDelivery(self.env, self.delay, message, self._arrive)
        if self.trace is not None:
            self._note(message, self.delay)
        return self._is_sent

    def get(self) -> StoreGet:
        """Return the event of the next message that has arrived, or will; `cancel` it if it is no longer wanted."""
        self._take_in = self._distribute
        return super().get()

    def _arrive(self, delivery: TimedDelivery) -> None:
        self._take_in(delivery.item)

    def _distribute(self, message: Any) -> None:
        if self._subscriber is None or self.get_queue:
            deposit(self, message)
        else:
            self._take_in = self._subscriber  # the gets are over
            self._subscriber(message)

    _subscriber: Callable[[Any], None] | None = None
    _take_in: Callable[[Any], None] = _distribute  # type: ignore[assignment]  # bound when read from a channel

    def _note(self, message: Any, delay: int | None) -> None:
        now: int = self.env.now  # type: ignore[assignment]
        assert self.trace is not None
        received = None if delay is None else now + delay
        self.trace.append(Transmission(message, self.source, self.target, now, received))


class FaultyChannel(Channel):
    """A channel on which messages may be lost, duplicated or late.

    Attributes
    ----------
    faults : FaultSession
        Decides how many copies of each message arrive, and when.
    """

    faults: FaultSession

    def put(self, message: Any) -> Put[Any]:  # type: ignore[override]
        """Send a message; every copy that arrives does so after the channel's delay and an extra delay of its own."""
        self.sent += 1
        copies = self.faults.copies(message)
        for extra in copies:
            TimedDelivery(self.env, self.delay + extra, message, self._arrive)
            if self.trace is not None:
                self._note(message, self.delay + extra)
        if not copies and self.trace is not None:
            self._note(message, None)
        return self._is_sent


def open_channel(
    env: simpy.Environment,
    ends: tuple[str, str],
    delay: int,
    trace: Trace | None,
    faults: FaultModel | None,
    streams: Streams,
) -> Channel:
    """Return the channel from the first of two nodes to the second; a plain one if it has no faults."""
    source, target = ends
    if faults is None:
        return Channel(env, source, target, delay, trace)
    channel = FaultyChannel(env, source, target, delay, trace)
    channel.faults = faults.session(source, target, streams.stream(f"channel {joined('>', source, target)}"))
    return channel
