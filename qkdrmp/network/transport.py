"""Transport: messages from a node to any other that arrive exactly once, whatever the channels do to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from qkdrmp.kernel.simpy_marks import TimedDelivery
from qkdrmp.kernel.timer import Timer
from qkdrmp.network.channel import Channel
from qkdrmp.network.layer import Layer, Message, on
from qkdrmp.network.node import NetworkNode


@dataclass(frozen=True, slots=True)
class Segment(Message):
    """A message that must arrive exactly once, as it crosses the wire.

    A `Transmission` notes the segment, once for every copy; what a reader of the trace wants to see is its `content`.

    Parameters
    ----------
    source : str
        Who sends it.
    number : int
        Its place among the segments from `source` to the node that gets it: 0, 1, 2, ...
    content : Message
    """

    source: str
    number: int
    content: Message


@dataclass(frozen=True, slots=True)
class Ack(Message):
    """The answer to every copy of a segment: "I have your segment `number`".

    Parameters
    ----------
    source : str
        Who got the segment.
    number : int
        The segment's number.
    """

    source: str
    number: int

    @property
    def label(self) -> str:
        """The number of the segment."""
        return f"number {self.number}"


class Seen:
    """Which of the numbers 0, 1, 2, ... have come.

    All below the watermark have; only those that came ahead of a missing one are kept one by one, so that memory grows
    with the disorder and not with the count.
    """

    __slots__ = ("ahead", "watermark")

    def __init__(self) -> None:
        self.watermark = 0
        self.ahead: set[int] = set()

    def add(self, number: int) -> bool:
        """Note a number; return whether it came for the first time."""
        if number < self.watermark or number in self.ahead:
            return False
        self.ahead.add(number)
        while self.watermark in self.ahead:
            self.ahead.remove(self.watermark)
            self.watermark += 1
        return True


class Outbox:
    """The segments from one node to one other, each sent again and again until its ack comes.

    Parameters
    ----------
    channel : Channel
        From the one to the other.
    patience : int
        Ticks after which a segment without an ack is sent again.

    Attributes
    ----------
    resent : int
        Segments retransmitted so far.
    """

    def __init__(self, channel: Channel, patience: int) -> None:
        self.channel = channel
        self.patience = patience
        self.resent = 0
        self._written = 0
        self._open: dict[int, Timer] = {}

    def send(self, message: Message) -> None:
        """Put a message into a segment and send it."""
        segment = Segment(self.channel.source, self._written, message)
        self._written += 1
        self._open[segment.number] = Timer(self.channel.env, partial(self._resend, segment))
        self._post(segment)

    def close(self, number: int) -> None:
        """Send a segment no more: its ack has come, perhaps not for the first time."""
        timer = self._open.pop(number, None)
        if timer is not None:
            timer.cancel()

    def _post(self, segment: Segment) -> None:
        self.channel.put(segment)
        self._open[segment.number].start(self.patience)

    def _resend(self, segment: Segment) -> None:
        self.resent += 1
        self._post(segment)


class Ways(dict[str, Callable[[Message], object]]):
    """By target, the function that sends a message there: made at the first message, then one look-up.

    Parameters
    ----------
    make : callable
        Returns the function for a target.
    """

    def __init__(self, make: Callable[[str], Callable[[Message], object]]) -> None:
        self._make = make

    def __missing__(self, target: str) -> Callable[[Message], object]:
        self[target] = way = self._make(target)
        return way


class Transport(Layer):
    """The layer by which a node sends messages to any node of the network, itself included.

    A message takes one event, after the delay of the whole path. A reliable transport gets each message to its target
    exactly once, though not always in the order sent; what a node sends itself always arrives, at the same instant.

    Parameters
    ----------
    node : NetworkNode
    channel_to : callable
        Returns the channel from the node to a target, always the same; asked at the first messages only.
    margin : int
        Ticks beyond the round trip after which a segment without an ack is sent again; at least 1 if `reliable`.
    reliable : bool
        Whether messages travel as segments. On channels without faults they need not: they are sent as they are, at no
        cost.

    Raises
    ------
    ValueError
        If the margin of a reliable transport is below 1.
    """

    def __init__(self, node: NetworkNode, channel_to: Callable[[str], Channel], margin: int, reliable: bool) -> None:
        # A segment would be sent again just before its ack comes, or without end within one instant.
        if reliable and margin < 1:
            raise ValueError(f"margin = {margin} must be 1 tick or more")
        self.node = node
        self.margin = margin
        self._channel_to = channel_to
        self._outboxes: dict[str, Outbox] = {}
        self._seen: defaultdict[str, Seen] = defaultdict(Seen)
        self._as_is = Ways(lambda target: channel_to(target).put)
        self._once = Ways(lambda target: self._outbox(target).send) if reliable else self._as_is
        self._as_is[node.name] = self._once[node.name] = self._send_to_self

    @property
    def resent(self) -> int:
        """Segments retransmitted so far."""
        return sum(outbox.resent for outbox in self._outboxes.values())

    def send(self, target: str, message: Message) -> None:
        """Send a message that is to arrive exactly once."""
        self._once[target](message)

    def send_unreliably(self, target: str, message: Message) -> None:
        """Send a message as it is: it may be lost or duplicated."""
        self._as_is[target](message)

    @on(Segment)
    def receive(self, segment: Segment) -> None:
        """Answer a segment, and hand its content on if it comes for the first time."""
        # Every copy is answered: the ack of an earlier one may have been lost.
        self.send_unreliably(segment.source, Ack(self.node.name, segment.number))
        if self._seen[segment.source].add(segment.number):
            self.node.handle(segment.content)

    @on(Ack)
    def close(self, ack: Ack) -> None:
        """Send a segment no more that has arrived."""
        self._outboxes[ack.source].close(ack.number)

    def _outbox(self, target: str) -> Outbox:
        channel = self._channel_to(target)
        self._outboxes[target] = outbox = Outbox(channel, 2 * channel.delay + self.margin)
        return outbox

    def _send_to_self(self, message: Message) -> None:
        TimedDelivery(self.node.env, 0, message, self._deliver_to_self)

    def _deliver_to_self(self, delivery: TimedDelivery) -> None:
        self.node.handle(delivery.item)
