"""QKDRouting: carries messages along the path of a request and keeps what the node knows of each request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from qkdrmp.kernel.numbers import NumberSet
from qkdrmp.network.layer import Layer, on
from qkdrmp.network.node import NetworkNode
from qkdrmp.qkd.layers.reservation import Neighbour, Reservation
from qkdrmp.qkd.messages import Acknowledge, Ciphertext, Confirm, Done, Reject, Request
from qkdrmp.qkd.request import KeyRequest, RejectReason


class ResourceLayer(Protocol):
    """What routing needs of the layer above."""

    def admissible(self, reservation: Reservation) -> bool:
        """Check a request on its way out; True if it is to travel on."""

    def ciphertext(self, reservation: Reservation, message: Ciphertext) -> None:
        """Take a ciphertext for this node's user."""

    def progress(self, reservation: Reservation) -> None:
        """Go on with a request as far as its keys allow."""


class QKDRouting(Layer):
    """The routing layer of one node.

    Parameters
    ----------
    node : NetworkNode
    neighbours : mapping of str to Neighbour
        The node's neighbours, by name.

    Attributes
    ----------
    reservations : dict of int to Reservation
        The requests the node takes part in, by number.
    over : NumberSet
        Those it took part in and that are over. What still comes for them is dropped, and counted in `late`.
    relayed : int
        Requests that were delivered with this node's help: their DONE has passed.
    """

    resource: ResourceLayer

    def __init__(self, node: NetworkNode, neighbours: Mapping[str, Neighbour]) -> None:
        self.node = node
        self.neighbours = neighbours
        self.reservations: dict[int, Reservation] = {}
        self.over = NumberSet()
        self.late = 0
        self.relayed = 0

    def find(self, request_id: int) -> Reservation | None:
        """Return what is known of a request; None, and counted, if it is unknown or over."""
        reservation = self.reservations.get(request_id)
        if reservation is None:
            self.late += 1
        return reservation

    def forget(self, reservation: Reservation) -> None:
        """Drop what is known of a request that is over."""
        del self.reservations[reservation.request.id]
        self.over.add(reservation.request.id)
        reservation.over = True
        for share in (reservation.up, reservation.down):
            if share is not None:
                share.neighbour.link.leave(reservation.request.id)

    def originate(self, request: KeyRequest) -> None:
        """Start a request of this node's user."""
        self._enter(request, path=())

    @on(Request)
    def request(self, message: Request) -> None:
        """Take a REQUEST that is on its way."""
        request = message.key_request
        if request.id in self.over:
            self.late += 1
        elif len(message.path) + 1 == len(request.route) and request.dst != self.node.name:
            # Perhaps its own: some route policies lead a request back to its sender.
            self.over.add(request.id)
            self.neighbours[message.path[-1]].channel.put(Reject(request.id, RejectReason.REFUSED, self.node.name))
        elif request.id in self.reservations:
            self.late += 1
        else:
            self._enter(request, message.path)

    def _enter(self, request: KeyRequest, path: tuple[str, ...]) -> None:
        here = len(path)
        route = request.route
        up = self.neighbours[path[-1]] if path else None
        down = self.neighbours[route[here + 1]] if here + 1 < len(route) else None
        reservation = Reservation(request, up, down)
        self.reservations[request.id] = reservation
        if self.resource.admissible(reservation) and down is not None:
            down.channel.put(Request(request, (*path, self.node.name)))

    @on(Confirm)
    def confirm(self, message: Confirm) -> None:
        """Pass a CONFIRM on; the receiver needs nothing more of it."""
        reservation = self.find(message.request_id)
        if reservation is not None and reservation.down is not None:
            reservation.down.channel.put(message)

    @on(Ciphertext)
    def ciphertext(self, message: Ciphertext) -> None:
        """Pass a CIPHERTEXT on, or up if this is the receiver."""
        reservation = self.find(message.request_id)
        if reservation is None:
            return
        if reservation.down is not None:
            reservation.down.channel.put(message)
        else:
            self.resource.ciphertext(reservation, message)

    @on(Acknowledge)
    def acknowledge(self, message: Acknowledge) -> None:
        """Pass an ACKNOWLEDGE on to the repeater it is for."""
        reservation = self.find(message.request_id)
        if reservation is not None and reservation.up is not None and message.to != self.node.name:
            reservation.up.channel.put(message)

    @on(Done)
    def done(self, message: Done) -> None:
        """Pass a DONE on and forget the request, or report it to the sender."""
        reservation = self.find(message.request_id)
        if reservation is None:
            return
        if reservation.up is not None:
            self.forget(reservation)
            self.relayed += 1
            reservation.up.channel.put(message)
        else:
            reservation.done = True
            self.resource.progress(reservation)
