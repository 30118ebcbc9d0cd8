"""The allocation protocol: how a node and its neighbours agree on who uses which trial of their links."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qkdrmp.entanglement.links.agreement import AllocationEntry
from qkdrmp.entanglement.links.epoch import LAU, Barrier
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.links.memory_share import MemoryShare
from qkdrmp.entanglement.links.policies import conserves_work
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.simpy_marks import TimedDelivery
from qkdrmp.kernel.timer import Timer
from qkdrmp.network.layer import Layer, Message, on
from qkdrmp.network.node import NetworkNode
from qkdrmp.network.transport import Transport


class AllocationProtocol(Layer):
    """The agreements of one node with its neighbours.

    LAU and Barrier are sent again by their own timeouts, so they need no reliable transport.

    Parameters
    ----------
    node : NetworkNode
    transport : Transport
    skew : int
        By how many trials receivers of links switch late (0 unless the failure is to be shown).
    skew_from : int
        The tick from which on they do so.

    Attributes
    ----------
    armed : callable
        Called with an attempt, an interface and a tick when a new agreement gives a connection its trials from then on.
    silent : callable
        Called with an interface whose peer no longer answers.
    changed : callable
        Called with an interface whose link is shared anew.
    resent : int
        Messages that it has sent again because no answer had come.
    """

    def __init__(self, node: NetworkNode, transport: Transport, skew: int = 0, skew_from: int = 0) -> None:
        self.node = node
        self.transport = transport
        self.skew = skew
        self.skew_from = skew_from
        self.armed: Callable[[AttemptId, Interface, int], None] = lambda attempt, interface, tick: None
        self.silent: Callable[[Interface], None] = lambda interface: None
        self.changed: Callable[[Interface], None] = lambda interface: None
        self.resent = 0
        self._interfaces: dict[str, Interface] = {}
        self._timers: dict[str, Timer] = {}
        self._timeouts: dict[str, int] = {}
        self._round_trips: dict[str, int] = {}
        self._entries: dict[tuple[str, AttemptId], AllocationEntry] = {}

    def connect(self, interface: Interface, round_trip: int, margin: int) -> None:
        """Take over one end of a link; its peer is asked again `margin` ticks after an answer should have come."""
        link = interface.allocation.link
        self._interfaces[link] = interface
        self._timeouts[link] = round_trip + margin
        self._round_trips[link] = round_trip
        if conserves_work(interface.allocation.policy):  # a pause takes a round trip to begin, and one to end
            interface.patience = 2 * round_trip
        interface.passed_over = partial(self._pass_over, interface)
        interface.drained = partial(self._resume, interface)
        self._timers[link] = Timer(self.node.env, lambda: self._ask_again(interface))

    def round_trip(self, interface: Interface) -> int:
        """Return how long a message takes to the other end of a link and back, in ticks."""
        return self._round_trips[interface.allocation.link]

    def add(self, interface: Interface, entry: AllocationEntry) -> None:
        """Let a connection share a link, as soon as the peer wants that, too."""
        self._entries[interface.peer, entry.id] = entry
        self._send(interface, interface.allocation.add(entry))

    def remove(self, interface: Interface, attempt: AttemptId) -> None:
        """Let a connection no longer share a link."""
        self._entries.pop((interface.peer, attempt), None)
        self._send(interface, interface.allocation.remove(attempt))

    # Work conservation: a connection whose quota of halves lies idle leaves its trials to others until half are used.

    def _pass_over(self, interface: Interface, share: MemoryShare) -> None:
        """Pause a connection that has kept its trials for long enough."""
        share.is_paused = True
        # Not within this event, in which the link draws its successes.
        TimedDelivery(self.node.env, 0, share, partial(self._pause, interface))

    def _pause(self, interface: Interface, delivery: TimedDelivery) -> None:
        share: MemoryShare = delivery.item
        if share.is_paused:
            self._send(interface, interface.allocation.remove(share.attempt))

    def _resume(self, interface: Interface, share: MemoryShare) -> None:
        share.is_paused = False
        entry = self._entries.get((interface.peer, share.attempt))
        if entry is not None:
            self._send(interface, interface.allocation.add(entry))

    @on(LAU, Barrier)
    def take(self, message: LAU | Barrier) -> None:
        """Handle LINK ALLOCATION UPDATE and BARRIER."""
        interface = self._interfaces[message.link]
        allocation, link = interface.allocation, interface.link
        allocation.skew = self.skew if interface.end == 1 and self.node.env.now >= self.skew_from else 0
        before = len(allocation.agreements)
        replies = allocation.receive(message, link.next_trial(interface.end) - 1)
        if len(allocation.agreements) > before:
            self._agreed(interface)
        self._send(interface, replies)

    def _agreed(self, interface: Interface) -> None:
        allocation, link = interface.allocation, interface.link
        earlier, agreement = allocation.agreements[-2:]
        if allocation.last_barrier is not None:
            voided = link.next_trial(interface.end) - allocation.last_barrier
            interface.stalled += max(0, voided) * link.slot_ticks // link.lanes
        tick = max(self.node.env.now, link.start_of(agreement.since, interface.end))
        before = set(earlier.entries)
        for entry in agreement.entries:
            share = interface.shares.get(entry.id)
            if entry not in before and share is not None:
                is_first, share.has_trials = not share.has_trials, True
                if is_first:
                    self.armed(entry.id, interface, tick)
        self.changed(interface)

    def _send(self, interface: Interface, messages: tuple[Message, ...]) -> None:
        link = interface.allocation.link
        for message in messages:
            self.transport.send_unreliably(interface.peer, message)
        timer = self._timers[link]
        if not interface.allocation.waiting:
            timer.cancel()
        elif messages or not timer.running:
            timer.start(self._timeouts[link])
        interface.review()

    def _ask_again(self, interface: Interface) -> None:
        messages = interface.allocation.timeout()
        self.resent += len(messages)
        self._send(interface, messages)
        if interface.allocation.silent:
            self.silent(interface)
