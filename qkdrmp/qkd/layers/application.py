"""QKDApp, the application layer of a user: asks for keys, answers requests, and ends up with the keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import xor

from qkdrmp.network.layer import Layer
from qkdrmp.network.node import NetworkNode
from qkdrmp.qkd.layers.reservation import Reservation
from qkdrmp.qkd.layers.routing import QKDRouting
from qkdrmp.qkd.messages import Acknowledge, Ciphertext, Done
from qkdrmp.qkd.request import KeyRequest, RejectReason, RequestEntry, RequestLedger


class QKDApp(Layer):
    """One user.

    Parameters
    ----------
    node : NetworkNode
    routing : QKDRouting
    ledger : RequestLedger
        Where the course of requests is noted.
    routes : mapping of (str, str) to tuple of str or None
        The route from every user to every other.
    concurrent : int or None
        How many requests the user may have at once, as sender or receiver; None: any number.
    """

    def __init__(
        self,
        node: NetworkNode,
        routing: QKDRouting,
        ledger: RequestLedger,
        routes: Mapping[tuple[str, str], tuple[str, ...] | None],
        concurrent: int | None,
    ) -> None:
        self.node = node
        self.routing = routing
        self.ledger = ledger
        self.routes = routes
        self.concurrent = concurrent
        self._active: set[int] = set()
        self._ciphertexts: dict[int, dict[str, int]] = {}

    @property
    def is_busy(self) -> bool:
        """Whether the user has as many requests as allowed."""
        return self.concurrent is not None and len(self._active) >= self.concurrent

    def ask(
        self,
        dst: str,
        keys: int,
        key_bits: int,
        priority: int = 0,
        deadline: int | None = None,
        patience: int | None = None,
    ) -> RequestEntry:
        """Ask for `keys` keys of `key_bits` bits to share with `dst`, now.

        Parameters
        ----------
        deadline : int, optional
            Tick by which every repeater must have served the request.
        patience : int, optional
            Ticks from now within which every repeater must have served it.
        """
        src = self.node.name
        request = KeyRequest(
            id=len(self.ledger.entries) + 1,
            src=src,
            dst=dst,
            route=self.routes[src, dst] or (),
            keys=keys,
            key_bits=key_bits,
            priority=priority,
            start=self.node.env.now,
            deadline=deadline,
            patience=patience,
        )
        entry = self.ledger.open(request)
        if self.is_busy:
            self.ledger.reject(request, RejectReason.USER_BUSY, src)
        elif not request.route:
            self.ledger.reject(request, RejectReason.NO_ROUTE, src)
        else:
            self._active.add(request.id)
            self.routing.originate(request)
        return entry

    def receive(self, reservation: Reservation) -> bool:
        """Take part in a request of another user; return False if the user has too many."""
        if self.is_busy:
            return False
        self._active.add(reservation.request.id)
        self._ciphertexts[reservation.request.id] = {}
        return True

    def ciphertext(self, reservation: Reservation, message: Ciphertext) -> None:
        """Keep a repeater's ciphertext and acknowledge it."""
        assert reservation.up is not None
        self._ciphertexts[message.request_id][message.sender] = message.bits
        reservation.up.channel.put(Acknowledge(message.request_id, message.sender))
        self.progress(reservation)

    def progress(self, reservation: Reservation) -> None:
        """End the request if this user has all that the keys are computed from."""
        if reservation.up is None:
            self._progress_as_sender(reservation)
        else:
            self._progress_as_receiver(reservation)

    def _progress_as_sender(self, reservation: Reservation) -> None:
        direct = len(reservation.request.route) == 2
        key = None if reservation.down is None else reservation.down.key
        if key is not None and (reservation.done or direct):
            self._leave(reservation)
            self.ledger.deliver(reservation.request, key)

    def _progress_as_receiver(self, reservation: Reservation) -> None:
        request, up = reservation.request, reservation.up
        ciphertexts = self._ciphertexts[request.id]
        repeaters = len(request.route) - 2
        if up is None or up.key is None or len(ciphertexts) < repeaters:
            return
        self.ledger.receiver_has(request, reduce(xor, ciphertexts.values(), up.key))
        if repeaters:
            up.channel.put(Done(request.id))
        self._leave(reservation)

    def _leave(self, reservation: Reservation) -> None:
        self.routing.forget(reservation)
        self.forget(reservation.request)

    def forget(self, request: KeyRequest) -> None:
        """Drop a request that is over."""
        self._active.discard(request.id)
        self._ciphertexts.pop(request.id, None)

    def rejected(self, request: KeyRequest, reason: RejectReason, by: str) -> None:
        """Note that the user's own request was rejected."""
        self.forget(request)
        self.ledger.reject(request, reason, by)
