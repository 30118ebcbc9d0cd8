"""Transport: messages from a node to any other that arrive exactly once, whatever the channels do to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from simpy.events import Event, Timeout

from qkdrmp.kernel.environment import Environment
from qkdrmp.network.channel import Channel
from qkdrmp.network.layer import Message, Protocol, on
from qkdrmp.network.node import Node


class Timer:
    """An action that is to happen after a delay, unless the timer is cancelled or started again before.

    SimPy cannot take an event out of its queue: the event of a timer that was cancelled or restarted stays there and
    does nothing when its time comes.

    Parameters
    ----------
    env : Environment
    action : callable
        What happens when the time is up. It may start the timer again.
    """

    __slots__ = ("_action", "_env", "_pending")

    def __init__(self, env: Environment, action: Callable[[], None]) -> None:
        self._env = env
        self._action = action
        self._pending: Event | None = None

    @property
    def running(self) -> bool:
        """Whether the action is still to come; False already while it happens."""
        return self._pending is not None

    def start(self, delay: int) -> None:
        """Let the action happen in `delay` ticks, and not when an earlier start has set it."""
        self._pending = timeout = Timeout(self._env, delay)
        timeout.callbacks.append(self._ring)

    def cancel(self) -> None:
        """Let the action not happen; do nothing if it is not to come."""
        self._pending = None

    def _ring(self, event: Event) -> None:
        if event is self._pending:
            self._pending = None
            self._action()


@dataclass(frozen=True, slots=True)
class Letter(Message):
    """A message that must arrive exactly once, as it crosses the wire.

    A `Hop` notes the letter, once for every copy; what a reader of the trace wants to see is its `content`.

    Parameters
    ----------
    source : str
        Who sends it.
    number : int
        Its place among the letters from `source` to the node that gets it: 0, 1, 2, ...
    content : Message
    """

    source: str
    number: int
    content: Message


@dataclass(frozen=True, slots=True)
class Receipt(Message):
    """The answer to every copy of a letter: "I have your letter `number`".

    Parameters
    ----------
    source : str
        Who got the letter.
    number : int
        The letter's number.
    """

    source: str
    number: int


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
    """The letters from one node to one other, each sent again and again until its receipt comes.

    Parameters
    ----------
    channel : Channel
        From the one to the other.
    patience : int
        Ticks after which a letter without a receipt is sent again.

    Attributes
    ----------
    resent : int
        Letters sent again so far.
    """

    def __init__(self, channel: Channel, patience: int) -> None:
        self.channel = channel
        self.patience = patience
        self.resent = 0
        self._written = 0
        self._open: dict[int, Timer] = {}

    def send(self, message: Message) -> None:
        """Put a message into a letter and send it."""
        letter = Letter(self.channel.source, self._written, message)
        self._written += 1
        self._open[letter.number] = Timer(self.channel.env, partial(self._resend, letter))
        self._post(letter)

    def close(self, number: int) -> None:
        """Send a letter no more: its receipt has come, perhaps not for the first time."""
        timer = self._open.pop(number, None)
        if timer is not None:
            timer.cancel()

    def _post(self, letter: Letter) -> None:
        self.channel.send(letter)
        self._open[letter.number].start(self.patience)

    def _resend(self, letter: Letter) -> None:
        self.resent += 1
        self._post(letter)


class Ways(dict[str, Callable[[Message], None]]):
    """By target, the function that sends a message there: made at the first message, then one look-up.

    Parameters
    ----------
    make : callable
        Returns the function for a target.
    """

    def __init__(self, make: Callable[[str], Callable[[Message], None]]) -> None:
        self._make = make

    def __missing__(self, target: str) -> Callable[[Message], None]:
        self[target] = way = self._make(target)
        return way


class Transport(Protocol):
    """The layer by which a node sends messages to any node of the network, itself included.

    A message takes one event, after the delay of the whole path. A reliable transport gets each message to its target
    exactly once, though not always in the order sent; what a node sends itself always arrives, at the same instant.

    Parameters
    ----------
    node : Node
    channel_to : callable
        Returns the channel from the node to a target, always the same; asked at the first messages only.
    margin : int
        Ticks beyond the round trip after which a letter without a receipt is sent again; at least 1 if `reliable`.
    reliable : bool
        Whether messages travel as letters. On channels without faults they need not: they are sent as they are, at no
        cost.

    Raises
    ------
    ValueError
        If the margin of a reliable transport is below 1.
    """

    def __init__(self, node: Node, channel_to: Callable[[str], Channel], margin: int, reliable: bool) -> None:
        # A letter would be sent again just before its receipt comes, or without end within one instant.
        if reliable and margin < 1:
            raise ValueError(f"margin = {margin} must be 1 tick or more")
        self.node = node
        self.margin = margin
        self._channel_to = channel_to
        self._outboxes: dict[str, Outbox] = {}
        self._seen: defaultdict[str, Seen] = defaultdict(Seen)
        self._as_is = Ways(lambda target: channel_to(target).send)
        self._once = Ways(lambda target: self._outbox(target).send) if reliable else self._as_is
        self._as_is[node.name] = self._once[node.name] = self._send_to_self

    @property
    def resent(self) -> int:
        """Letters sent again so far."""
        return sum(outbox.resent for outbox in self._outboxes.values())

    def send(self, target: str, message: Message) -> None:
        """Send a message that is to arrive exactly once."""
        self._once[target](message)

    def send_unreliably(self, target: str, message: Message) -> None:
        """Send a message as it is: it may be lost or doubled."""
        self._as_is[target](message)

    @on(Letter)
    def receive(self, letter: Letter) -> None:
        """Answer a letter, and hand its content on if it comes for the first time."""
        # Every copy is answered: the receipt of an earlier one may have been lost.
        self.send_unreliably(letter.source, Receipt(self.node.name, letter.number))
        if self._seen[letter.source].add(letter.number):
            self.node.handle(letter.content)

    @on(Receipt)
    def close(self, receipt: Receipt) -> None:
        """Send a letter no more that has arrived."""
        self._outboxes[receipt.source].close(receipt.number)

    def _outbox(self, target: str) -> Outbox:
        channel = self._channel_to(target)
        self._outboxes[target] = outbox = Outbox(channel, 2 * channel.delay + self.margin)
        return outbox

    def _send_to_self(self, message: Message) -> None:
        Timeout(self.node.env, 0, message).callbacks.append(self._deliver_to_self)

    def _deliver_to_self(self, event: Event) -> None:
        self.node.handle(event._value)
