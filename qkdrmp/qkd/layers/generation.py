"""KeyGeneration, the lowest layer: when the keys of this node's links are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from simpy.events import Timeout

from qkdrmp.network.layer import Layer, on
from qkdrmp.network.node import NetworkNode
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.keys.quantum_link import Supply
from qkdrmp.qkd.keys.thresholds import Replenish
from qkdrmp.qkd.layers.reservation import LinkShare, Neighbour, PoolShare, Reservation
from qkdrmp.qkd.messages import Refill


class KeyGeneration(Layer):
    """Refills pools and makes the keys of access links.

    Parameters
    ----------
    node : NetworkNode
    neighbours : mapping of str to Neighbour
        The node's neighbours, by name.
    supplies : dict of KeyStream to Supply
        What fills the streams that start or end here.
    """

    def __init__(
        self, node: NetworkNode, neighbours: Mapping[str, Neighbour], supplies: Mapping[KeyStream, Supply]
    ) -> None:
        self.node = node
        self.neighbours = neighbours
        self.supplies = supplies

    def connect(self) -> None:
        """Watch this node's copies of the streams that come from its neighbours."""
        for neighbour in self.neighbours.values():
            if neighbour.incoming is not None:
                pool = neighbour.incoming.downstream
                pool.on_interrupt = partial(self._refill, neighbour, neighbour.incoming)

    def _refill(self, neighbour: Neighbour, stream: KeyStream) -> None:
        if stream.settings.replenish is Replenish.CONTINUOUS:
            return
        if stream.settings.refill_lead_delays is None:
            neighbour.channel.put(Refill(self.node.name))
        else:
            self.after_lead(neighbour, stream)

    def after_lead(self, neighbour: Neighbour, stream: KeyStream) -> None:
        """Start a refill some one-way delays from now, without a message."""
        supply = self.supplies[stream]
        delays = 1 if stream.settings.refill_lead_delays is None else stream.settings.refill_lead_delays
        lead = round(delays * neighbour.channel.delay)
        Timeout(self.node.env, lead).callbacks.append(lambda event: supply.start())

    @on(Refill)
    def refill(self, message: Refill) -> None:
        """Start the refill that the downstream end asks for."""
        stream = self.neighbours[message.sender].outgoing
        assert stream is not None
        self.supplies[stream].start()

    def generate(self, reservation: Reservation, ready: Callable[[Reservation], None]) -> None:
        """Make the request's keys on its access links here (GENERATE); `ready` is called with each that is there."""
        request = reservation.request
        for share in (reservation.up, reservation.down):
            if share is not None and not isinstance(share, PoolShare):
                neighbour = share.neighbour
                upstream = neighbour.name if share is reservation.up else self.node.name
                session = neighbour.link.session_for(request.id, upstream, request.keys, request.key_bits)
                session.join(partial(_take, reservation, share, ready), receives=share is reservation.up)


def _take(reservation: Reservation, share: LinkShare, ready: Callable[[Reservation], None], key: int) -> None:
    share.key = key
    ready(reservation)
