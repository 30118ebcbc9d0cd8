"""QKDRMP, the resource management layer: reserve, queue, serve, reject.

At every node a request needs the key of its upstream link and the key of its downstream link (the two users need one).
On a link with pools the downstream end chooses the keys when it serves the request, and notifies the upstream end by a
claim, on the ACCEPT or in a CLAIM. So a request can be served at a node when the claim for the downstream link has
come and the pool of the upstream link suffices; it takes a slot of the queue while only the latter is missing.
"""

from __future__ import annotations

from functools import partial

from qkdrmp.kernel.monitor import PresenceMonitor
from qkdrmp.network.layer import Layer, on
from qkdrmp.network.node import NetworkNode
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.layers.application import QKDApp
from qkdrmp.qkd.layers.claims import Claims
from qkdrmp.qkd.layers.deadline import Deadline
from qkdrmp.qkd.layers.generation import KeyGeneration
from qkdrmp.qkd.layers.queue import RequestQueue
from qkdrmp.qkd.layers.reservation import PoolShare, Reservation
from qkdrmp.qkd.layers.routing import QKDRouting
from qkdrmp.qkd.messages import Accept, Ciphertext, Claim, Confirm, Reject
from qkdrmp.qkd.request import RejectReason


class QKDRMP(Layer):
    """Resource management at one node.

    Parameters
    ----------
    node : NetworkNode
    routing : QKDRouting
    generation : KeyGeneration
    app : QKDApp or None
        The application, on an end node.
    queue : RequestQueue

    Attributes
    ----------
    busy : PresenceMonitor
        1 while there is an accepted request that is not served yet.
    """

    def __init__(
        self,
        node: NetworkNode,
        routing: QKDRouting,
        generation: KeyGeneration,
        app: QKDApp | None,
        queue: RequestQueue,
    ) -> None:
        self.node = node
        self.routing = routing
        self.generation = generation
        self.app = app
        self.queue = queue
        self.claims = Claims(routing)
        self.deadline = Deadline(node.env, partial(self.reject, reason=RejectReason.EXPIRED))
        self.busy = PresenceMonitor()
        routing.resource = self

    def connect(self) -> None:
        """Scan the queue whenever a pool has become able to serve."""
        for neighbour in self.routing.neighbours.values():
            if neighbour.incoming is not None:
                self.watch(neighbour.incoming.downstream)

    def watch(self, pool: KeyPool) -> None:
        """Scan the queue whenever this pool has become able to serve."""
        pool.on_ready = partial(self.scan, pool)

    def reset_statistics(self, now: int) -> None:
        """Forget what was observed before tick `now`."""
        self.busy.reset(now)
        self.queue.length.reset(now)
        self.routing.relayed = 0

    # On the way out: could the request be served at all?

    def admissible(self, reservation: Reservation) -> bool:
        """Check a request on its way out (PATH); True if it is to travel on."""
        down = reservation.down
        if down is None:
            self._arrive(reservation)
            return False
        if isinstance(down, PoolShare) and down.count > down.pool.settings.most_keys:
            self.reject(reservation, RejectReason.REFUSED, accepted_downstream=False)
            return False
        return True

    def _arrive(self, reservation: Reservation) -> None:
        assert self.app is not None
        if not self.app.receive(reservation):
            self.reject(reservation, RejectReason.PEER_BUSY)
        else:
            self.admit(reservation)

    # On the way back: serve it, queue it, or reject it

    @on(Accept)
    def accept(self, message: Accept) -> None:
        """Take an ACCEPT from downstream, with the claim that may ride on it (RESERVE)."""
        if message.claim is None:
            self._accepted(message.request_id)
        else:
            self.claims.take(message.sender, message.claim, message.request_id, self._accepted)

    def _accepted(self, request_id: int, claim_is_new: bool = False) -> None:
        reservation = self.routing.find(request_id)
        if reservation is not None and not reservation.accepted:
            self.admit(reservation)

    @on(Claim)
    def claim(self, message: Claim) -> None:
        """Take a CLAIM: the request that waited for it is served now, or queues for its other key."""
        self.claims.take(message.sender, message.keys, message.request_id, self._claimed)

    def _claimed(self, request_id: int, claim_is_new: bool) -> None:
        reservation = self.routing.find(request_id)
        # A CLAIM that has overtaken its ACCEPT leaves the keys for that to find.
        if claim_is_new and reservation is not None and reservation.accepted:
            self._go_on(reservation)

    def _go_on(self, reservation: Reservation) -> None:
        """Serve or queue a request whose claim has arrived, or reject it."""
        if obstacle := self._obstacle(reservation):
            self.reject(reservation, obstacle)
            return
        if self.queue.is_next(reservation):
            self._serve_waiting(reservation)
            reservation.review_pools()
        else:
            self.queue.join(reservation)
        self.deadline.watch(reservation)

    def _obstacle(self, reservation: Reservation) -> RejectReason | None:
        """Return why a request can be neither served nor queued now; None if it can."""
        if self.deadline.has_passed(reservation):
            return RejectReason.EXPIRED
        if self.queue.is_full and not reservation.awaits_claim and not self.queue.is_next(reservation):
            return RejectReason.QUEUE_FULL
        return None

    def admit(self, reservation: Reservation) -> None:
        """Serve or queue a request and notify the sender's side and the receiver, or reject it."""
        if obstacle := self._obstacle(reservation):
            self.reject(reservation, obstacle)
            return
        reservation.accepted = True
        if self.app is None:
            self.busy.enter(self.node.env.now)
        self.generation.generate(reservation, self.progress)
        if self.queue.is_next(reservation):
            reservation.serve()
        else:
            self.queue.join(reservation)
        self._forward(reservation)
        self.progress(reservation)
        reservation.review_pools()
        self.deadline.watch(reservation)

    def _forward(self, reservation: Reservation) -> None:
        if reservation.up is None:
            return
        request_id, name = reservation.request.id, self.node.name
        reservation.up.channel.put(Accept(request_id, name, reservation.to_announce))
        if reservation.down is not None:
            reservation.down.channel.put(Confirm(request_id, name))

    # Serving those that wait

    def _serve_waiting(self, reservation: Reservation) -> None:
        self.queue.leave(reservation)
        reservation.serve()
        keys = reservation.to_announce
        if keys is not None and reservation.up is not None:
            reservation.up.channel.put(Claim(reservation.request.id, self.node.name, keys))
        self.progress(reservation)

    def scan(self, pool: KeyPool) -> None:
        """Scan the requests that wait for `pool` once, in the policy's order, and serve all that can be served.

        One that cannot be served is passed by the next ones, unless the pool keeps their order.
        To be called when keys have come in. Serving one request never makes another one possible, so one scan is
        enough.
        """
        served = []
        for reservation in self.queue.waiting_for(pool):
            if reservation.can_be_served:
                self._serve_waiting(reservation)
                served.append(reservation)
            elif pool.settings.keeps_order:
                break
        for reservation in served:
            reservation.review_pools()
        pool.review()

    # Once the keys are there

    def progress(self, reservation: Reservation) -> None:
        """Go on with a request as far as its keys allow (READY)."""
        if reservation.over or reservation.served or not reservation.has_keys:
            return
        if self.app is not None:
            self.app.progress(reservation)
            return
        up, down = reservation.up, reservation.down
        if up is not None and down is not None and up.key is not None and down.key is not None:
            down.channel.put(Ciphertext(reservation.request.id, self.node.name, up.key ^ down.key))
            reservation.served = True
            self.busy.leave(self.node.env.now)

    def ciphertext(self, reservation: Reservation, message: Ciphertext) -> None:
        """Hand a ciphertext to the user."""
        assert self.app is not None
        self.app.ciphertext(reservation, message)

    # Giving up

    def reject(self, reservation: Reservation, reason: RejectReason, accepted_downstream: bool = True) -> None:
        """Reject a request here: report why to the sender, and cancel it downstream where it was accepted."""
        self._drop(reservation)
        self._notify_upstream(reservation, Reject(reservation.request.id, reason, self.node.name))
        if accepted_downstream and reservation.down is not None:
            cancellation = Reject(reservation.request.id, RejectReason.CANCELLED, self.node.name)
            reservation.down.channel.put(cancellation)

    @on(Reject)
    def rejected(self, message: Reject) -> None:
        """Drop a request that another node has rejected, and pass the message on."""
        reservation = self.routing.find(message.request_id)
        if reservation is None:
            return
        self._drop(reservation)
        if message.reason is not RejectReason.CANCELLED:
            self._notify_upstream(reservation, message)
        elif reservation.down is not None:
            reservation.down.channel.put(message)

    def _notify_upstream(self, reservation: Reservation, message: Reject) -> None:
        if reservation.up is not None:
            reservation.up.channel.put(message)
        elif self.app is not None:
            self.app.rejected(reservation.request, message.reason, message.by)

    def _drop(self, reservation: Reservation) -> None:
        """Free what a request has here; its keys are discarded at both ends and never reused."""
        self.routing.forget(reservation)
        self.queue.leave(reservation)
        reservation.void_keys()
        if self.app is not None:
            self.app.forget(reservation.request)
        elif reservation.accepted and not reservation.served:
            self.busy.leave(self.node.env.now)
        reservation.review_pools()
