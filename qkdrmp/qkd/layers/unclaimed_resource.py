"""QNET's rule for the two copies of a key stream, kept to show what goes wrong with it.

Each end takes keys from the head of its own copy whenever it happens to serve, and no message informs the other end
which keys a request got. Two requests that are served in different orders at the two ends get each other's keys.
"""

from __future__ import annotations

from functools import partial

from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.layers.reservation import Neighbour, Reservation
from qkdrmp.qkd.layers.resource import QKDRMP


class HeadOfCopyRMP(QKDRMP):
    """Resource management without claims: both pools of a request are this node's to choose from."""

    def connect(self) -> None:
        """Scan the queue whenever any copy here can serve again; refill when both copies want it."""
        for neighbour in self.routing.neighbours.values():
            if neighbour.incoming is not None:
                self._watch_copy(neighbour, neighbour.incoming, neighbour.incoming.downstream)
            if neighbour.outgoing is not None:
                self._watch_copy(neighbour, neighbour.outgoing, neighbour.outgoing.upstream)

    def _watch_copy(self, neighbour: Neighbour, stream: KeyStream, pool: KeyPool) -> None:
        self.watch(pool)
        pool.on_interrupt = partial(self._refill_if_both_wait, neighbour, stream)

    def _refill_if_both_wait(self, neighbour: Neighbour, stream: KeyStream) -> None:
        if not stream.upstream.serving and not stream.downstream.serving:
            self.generation.after_lead(neighbour, stream)

    def admissible(self, reservation: Reservation) -> bool:
        """Check a request on its way out, and let this node choose the keys of both its links."""
        reservation.choose_all()
        return super().admissible(reservation)
