"""Late binding: a pair of a link is nobody's until it exists, and is then given to a connection that has a use for it.

Both ends agree by LAU who may be given pairs at all. As long as there is somebody, every trial is made for the link.
One of the two ends is the binder: it says by BIND whose a pair is, and the other end uses it from then on. So they
cannot contradict each other; the price is that the other end waits for as long as a message takes. No trial has an
owner, so it does not matter if the ends switch to a new list at different trials, and no Barrier is sent.

The binder is the end that is not a user's node; of two such, or of none, it is the sender. So on the way from A over R
to B, R binds the pairs of both its links, and gives a connection one of each at once. On R1 - R2 R1 binds; R2 learns of
it and then gives the same connection a pair of its next link.

A connection *has a use* for a pair of a link

- that is swapped, as it comes, with one of another link of this policy (most often with ``swap_order = "asap"``), if
  more of those wait here for it, or if this node is the binder of both links and both have a pair that is not bound;
- else, if fewer halves than its quota of the link lie idle here: it is purified, delivered, or waits for another node.

Of several that have one, the highest priority comes first, and then whoever has been given the fewest for its weight.
Of the unbound halves the oldest is taken.

That no connection waits without end for another one follows from the quotas, which are to be had at both ends at any
time (see `binding_interface`). The other end says by VACATED that a memory is free again, so that the binder knows.
Messages arrive exactly once (`transport`), in any order: a BIND that comes before the half waits for it, and the number
in it is what both ends call the pair. A BIND for a connection that is over frees the half. A connection of which too
many halves lie idle at the other end is taken off the list by that one (see `allocation_protocol`).

When no connection is left at the binder it discards the halves that are not bound, and says so by BIND, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial

from qkdrmp.entanglement.links.bind import Bind, Vacated
from qkdrmp.entanglement.links.binding_interface import BindingInterface, BindingShare
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.simpy_marks import TimedDelivery
from qkdrmp.network.layer import Layer, on
from qkdrmp.network.node import NetworkNode
from qkdrmp.network.transport import Transport

Choice = tuple[BindingShare, ...]
"""Where a connection is given a pair at once."""


class Binder(Layer):
    """The binding of pairs at a node.

    Parameters
    ----------
    node : NetworkNode
    transport : Transport
    """

    def __init__(self, node: NetworkNode, transport: Transport) -> None:
        self.node = node
        self.transport = transport
        self._interfaces: dict[str, BindingInterface] = {}
        self._by_link: dict[str, BindingInterface] = {}
        self._serving = False
        self._is_due = False

    def connect(self, interface: BindingInterface) -> None:
        """Take over one end of a link."""
        self._interfaces[interface.peer] = self._by_link[interface.allocation.link] = interface
        interface.serve, interface.serve_soon = self.serve, self._serve_soon
        interface.send_bind = partial(self.transport.send, interface.peer)
        interface.send_vacated = partial(self._send_vacated, interface)

    def _send_vacated(self, interface: BindingInterface, attempt: AttemptId) -> None:
        self.transport.send(interface.peer, Vacated(interface.allocation.link, attempt))

    @on(Bind)
    def take_bind(self, message: Bind) -> None:
        """Handle BIND."""
        self._by_link[message.link].bound(message)
        self.serve()

    @on(Vacated)
    def take_vacated(self, message: Vacated) -> None:
        """Handle VACATED."""
        self._by_link[message.link].vacated(message.attempt)

    def serve(self) -> None:
        """Bind pairs as long as a connection has a use for one."""
        if self._serving:  # what a connection does with the pair has caused this; the loop below goes on after it
            return
        self._serving = True
        while choices := list(self._choices()):
            for share in _first(choices):
                share.interface.bind(share)
        self._serving = False

    def _serve_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            TimedDelivery(self.node.env, 0, None, self._serve_now)

    def _serve_now(self, delivery: TimedDelivery) -> None:
        self._is_due = False
        self.serve()

    def _choices(self) -> Iterator[Choice]:
        for interface in self._interfaces.values():
            if interface.unbound and interface.is_binder:
                for share in interface.shares.values():
                    if interface.is_open_to(share) and (choice := self._use(share)):
                        yield choice

    def _use(self, share: BindingShare) -> Choice:
        """Return where a connection has a use for one pair each, one of the link of this share among them."""
        other = self._mate(share)
        if other is None:
            return (share,) if share.idle < share.quota else ()
        assert share.use is not None
        assert other.use is not None
        ahead = len(other.use.pairs) - len(share.use.pairs)
        if ahead > 0:
            return (share,)
        interface = other.interface
        both = ahead == 0 and interface.is_binder and interface.unbound and interface.is_open_to(other)
        return (share, other) if both else ()

    def _mate(self, share: BindingShare) -> BindingShare | None:
        """Return the share of the same connection whose pairs are swapped with those of this one as they come."""
        mate = None if share.use is None else share.use.mate
        interface = None if mate is None else self._interfaces.get(mate.partner)
        other = None if interface is None else interface.shares.get(share.attempt)
        return other if other is not None and other.use is mate else None


def _first(choices: Sequence[Choice]) -> Choice:
    """Return the choice of the highest priority that comes first; its turn is on the link where it is furthest away.

    On each link turns count from the first one of those that have a use for a pair.
    """
    first: dict[BindingInterface, Fraction] = {}
    for share in (share for choice in choices for share in choice):
        turn = share.interface.turn(share)
        first[share.interface] = min(turn, first.get(share.interface, turn))

    def place(choice: Choice) -> tuple[int, Fraction]:
        entry = choice[0].interface.entries[choice[0].attempt]
        return -entry.priority, max(share.interface.turn(share) - first[share.interface] for share in choice)

    return min(choices, key=place)
