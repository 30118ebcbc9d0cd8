"""Claims: the keys that neighbours downstream have chosen, and the requests they are for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qkdrmp.qkd.keys.key_get import KeyRange
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.layers.routing import QKDRouting


class Claims:
    """The claims that reach one node.

    Parameters
    ----------
    routing : QKDRouting
        Which knows the requests, and the neighbours.
    """

    def __init__(self, routing: QKDRouting) -> None:
        self.routing = routing

    def take(self, sender: str, keys: KeyRange, request_id: int, go_on: Callable[[int, bool], None]) -> None:
        """Set the keys that a neighbour has claimed aside for a request, as soon as they have come in.

        They are discarded if the request is unknown or over. Then `go_on` is called with the number of the request and
        with whether the claim has come for the first time.
        """
        stream = self.routing.neighbours[sender].outgoing
        assert stream is not None
        pool = stream.upstream
        pool.once_stored(keys, partial(self._set_aside, pool, keys, request_id, go_on))

    def _set_aside(self, pool: KeyPool, keys: KeyRange, request_id: int, go_on: Callable[[int, bool], None]) -> None:
        is_new = pool.hold(keys)
        if is_new:
            reservation = self.routing.reservations.get(request_id)
            if reservation is None or reservation.claimed is None:
                pool.void(keys)
            else:
                reservation.claimed.keys = keys
        go_on(request_id, is_new)
