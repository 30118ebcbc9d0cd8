"""KeyGeneration, the lowest layer: when the keys of this node's links are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from simpy.events import Timeout

from qkdrmp.network.layer import Layer, on
from qkdrmp.network.node import NetworkNode
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.keys.quantum_link import Supply
from qkdrmp.qkd.keys.thresholds import Replenish
from qkdrmp.qkd.layers.reservation import Neighbour, Reservation
from qkdrmp.qkd.messages import Refill


class KeyGeneration(Layer):
    """Refills pools and makes the keys of access links.

    Parameters
    ----------
    node : NetworkNode
    supplies : dict of KeyStream to Supply
        What fills the streams that start or end here.
    """

    def __init__(self, node: NetworkNode, supplies: dict[KeyStream, Supply]) -> None:
        self.node = node
        self.supplies = supplies
        self.neighbours: dict[str, Neighbour] = {}

    def connect(self, neighbours: Iterable[Neighbour]) -> None:
        """Watch this node's copies of the streams that come from its neighbours."""
        for neighbour in neighbours:
            self.neighbours[neighbour.name] = neighbour
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
        request, name = reservation.request, self.node.name
        up, down = reservation.up, reservation.down
        if up is not None and reservation.up_pool is None:
            up.link.join(request, up.name, name, partial(_take_up_key, reservation, ready))
        if down is not None and reservation.down_pool is None:
            down.link.join(request, name, name, partial(_take_down_key, reservation, ready))


def _take_up_key(reservation: Reservation, ready: Callable[[Reservation], None], key: int) -> None:
    reservation.up_key = key
    ready(reservation)


def _take_down_key(reservation: Reservation, ready: Callable[[Reservation], None], key: int) -> None:
    reservation.down_key = key
    ready(reservation)
