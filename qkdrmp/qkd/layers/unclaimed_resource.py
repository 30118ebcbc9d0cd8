"""QNET's rule for the two copies of a key stream, kept to show what goes wrong with it.

Each end takes keys from the head of its own copy whenever it happens to serve, and no message informs the other end
which keys a request got. Two requests that are served in different orders at the two ends get each other's keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from qkdrmp.qkd.keys.key_pool import KeyPool, KeyRange
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.layers.reservation import Neighbour, Reservation
from qkdrmp.qkd.layers.resource import QKDRMP


class HeadOfCopyRMP(QKDRMP):
    """Resource management without claims: both pools of a request are this node's to choose from."""

    def connect(self, neighbours: Iterable[Neighbour]) -> None:
        """Scan the queue whenever any copy here can serve again; refill when both copies want it."""
        for neighbour in neighbours:
            if neighbour.incoming is not None:
                self._watch_copy(neighbour, neighbour.incoming, neighbour.incoming.downstream)
            if neighbour.outgoing is not None:
                self._watch_copy(neighbour, neighbour.outgoing, neighbour.outgoing.upstream)

    def _watch_copy(self, neighbour: Neighbour, stream: KeyStream, pool: KeyPool) -> None:
        self._watch(pool)
        pool.on_interrupt = partial(self._refill_if_both_wait, neighbour, stream)

    def _refill_if_both_wait(self, neighbour: Neighbour, stream: KeyStream) -> None:
        if not stream.upstream.serving and not stream.downstream.serving:
            self.generation.after_lead(neighbour, stream)

    def is_eligible(self, reservation: Reservation) -> bool:
        """Return True: there are no claims to wait for."""
        return True

    def chosen_here(self, reservation: Reservation) -> tuple[tuple[KeyPool, int], ...]:
        """Return both pools, with the number of keys the request takes of each."""
        below = () if reservation.down_pool is None else ((reservation.down_pool, reservation.down_count),)
        return super().chosen_here(reservation) + below

    def _serve(self, reservation: Reservation) -> None:
        if reservation.down_pool is not None:
            reservation.down_keys = reservation.down_pool.claim(reservation.down_count)
        super()._serve(reservation)

    def _claimed(self, reservation: Reservation) -> KeyRange | None:
        return None
