"""QKDRMP, the resource management layer: reserve, queue, serve, reject.

At every node a request needs the key of its upstream link and the key of its downstream link (the two users need one).
On a link with pools the downstream end chooses the keys when it serves the request, and notifies the upstream end by a
claim, on the ACCEPT or in a CLAIM. So a request can be served at a node when the claim for the downstream link has
come and the pool of the upstream link suffices; it takes a slot of the queue while only the latter is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from simpy.events import Timeout

from qkdrmp.kernel.monitor import Monitor
from qkdrmp.network.layer import Layer, on
from qkdrmp.network.node import NetworkNode
from qkdrmp.qkd.keys.key_pool import KeyPool, KeyRange
from qkdrmp.qkd.layers.application import QKDApp
from qkdrmp.qkd.layers.generation import KeyGeneration
from qkdrmp.qkd.layers.queue import RequestQueue
from qkdrmp.qkd.layers.reservation import Neighbour, Reservation
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
    busy : Monitor
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
        self.busy = Monitor()
        self._pending = 0
        routing.resource = self

    def connect(self, neighbours: Iterable[Neighbour]) -> None:
        """Scan the queue whenever a pool has become able to serve."""
        for neighbour in neighbours:
            if neighbour.incoming is not None:
                self._watch(neighbour.incoming.downstream)

    def _watch(self, pool: KeyPool) -> None:
        pool.on_ready = partial(self.scan, pool)

    def reset_statistics(self, now: int) -> None:
        """Forget what was observed before tick `now`."""
        self.busy.reset(now)
        self.queue.length.reset(now)
        self.routing.relayed = 0

    # On the way out: could the request be served at all?

    def admissible(self, reservation: Reservation) -> bool:
        """Check a request on its way out (PATH); True if it is to travel on."""
        reservation.chosen = self.chosen_here(reservation)
        if reservation.down is None:
            self._arrive(reservation)
            return False
        stream = reservation.down.outgoing
        if stream is not None and not stream.settings.thresholds.could_ever_serve(reservation.down_count):
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
        if message.claim is not None:
            pool = self._copy_shared_with(message.sender)
            if not pool.has(message.claim):
                pool.defer(partial(self.accept, message))
                return
            self._take(pool, message.claim, message.request_id)
        reservation = self.routing.find(message.request_id)
        if reservation is not None and not reservation.accepted:
            self.admit(reservation)

    @on(Claim)
    def claim(self, message: Claim) -> None:
        """Take a CLAIM: the request that waited for it is served now, or queues for its other key."""
        pool = self._copy_shared_with(message.sender)
        if not pool.has(message.keys):
            pool.defer(partial(self.claim, message))
            return
        taken = self._take(pool, message.keys, message.request_id)
        reservation = self.routing.find(message.request_id)
        # A CLAIM that has overtaken its ACCEPT leaves the keys for that to find.
        if taken and reservation is not None and reservation.accepted:
            self._go_on(reservation)

    def _go_on(self, reservation: Reservation) -> None:
        """Serve or queue a request that holds its claim at last, or reject it."""
        if obstacle := self._obstacle(reservation):
            self.reject(reservation, obstacle)
            return
        if self.can_serve(reservation):
            self._serve_waiting(reservation)
            self._review_pools(reservation)
        else:
            self.queue.push(reservation, self.node.env.now)
        self._expire_in_time(reservation)

    def _obstacle(self, reservation: Reservation) -> RejectReason | None:
        """Return why a request cannot even be queued now."""
        expires = reservation.request.expires
        if expires is not None and expires <= self.node.env.now and self._answers_for(reservation):
            return RejectReason.EXPIRED
        if self.is_eligible(reservation) and self.queue.is_full and not self.can_serve(reservation):
            return RejectReason.QUEUE_FULL
        return None

    def _copy_shared_with(self, neighbour: str) -> KeyPool:
        stream = self.routing.neighbours[neighbour].outgoing
        assert stream is not None
        return stream.upstream

    def _take(self, pool: KeyPool, keys: KeyRange, request_id: int) -> bool:
        """Set claimed keys aside for a request, or discard them if it is unknown or over."""
        if not pool.hold(keys):
            return False
        reservation = self.routing.reservations.get(request_id)
        if reservation is None:
            pool.void(keys)
        else:
            reservation.down_keys = keys
        return True

    def admit(self, reservation: Reservation) -> None:
        """Serve or queue a request and notify the sender's side and the receiver, or reject it."""
        if obstacle := self._obstacle(reservation):
            self.reject(reservation, obstacle)
            return
        reservation.accepted = True
        if self.app is None:
            self._count_pending(+1)
        self.generation.generate(reservation, self.progress)
        if self.can_serve(reservation):
            self._serve(reservation)
        else:
            self._wait(reservation)
        self._forward(reservation)
        self.progress(reservation)
        self._review_pools(reservation)
        self._expire_in_time(reservation)

    def _forward(self, reservation: Reservation) -> None:
        if reservation.up is None:
            return
        request_id, name = reservation.request.id, self.node.name
        reservation.up.channel.put(Accept(request_id, name, self._claimed(reservation)))
        if reservation.down is not None:
            reservation.down.channel.put(Confirm(request_id, name))

    def _count_pending(self, change: int) -> None:
        self._pending += change
        if self._pending <= 1:
            self.busy.set(self._pending, self.node.env.now)

    # Serving from the pools

    def chosen_here(self, reservation: Reservation) -> tuple[tuple[KeyPool, int], ...]:
        """Return the pools whose keys this node chooses, each with the number of keys the request takes."""
        return () if reservation.up_pool is None else ((reservation.up_pool, reservation.up_count),)

    def is_eligible(self, reservation: Reservation) -> bool:
        """Return whether a request holds the claim of its downstream link, or needs none."""
        return reservation.down_pool is None or reservation.down_keys is not None

    def can_serve(self, reservation: Reservation) -> bool:
        """Return whether a request can have its pool keys now."""
        return self.is_eligible(reservation) and all(pool.can_serve(count) for pool, count in reservation.chosen)

    def _serve(self, reservation: Reservation) -> None:
        if reservation.up_pool is not None:
            reservation.up_keys = reservation.up_pool.claim(reservation.up_count)
        reservation.use_keys()

    def _claimed(self, reservation: Reservation) -> KeyRange | None:
        """Return the keys that have to be announced to the upstream neighbour."""
        return reservation.up_keys

    def _serve_waiting(self, reservation: Reservation) -> None:
        self._stop_waiting(reservation)
        self._serve(reservation)
        claimed = self._claimed(reservation)
        if claimed is not None and reservation.up is not None:
            reservation.up.channel.put(Claim(reservation.request.id, self.node.name, claimed))
        self.progress(reservation)

    def scan(self, pool: KeyPool) -> None:
        """Look once through the requests that wait for `pool`, in the policy's order, and serve all that can be.

        To be called when keys have come in. Serving one request never makes another one possible, so one look is
        enough.
        """
        served = []
        if len(self.queue):
            for reservation in self.queue.ordered(lambda one: pool in one.pools, self.node.env.now):
                if self.can_serve(reservation):
                    self._serve_waiting(reservation)
                    served.append(reservation)
        for reservation in served:
            self._review_pools(reservation)
        pool.review()

    def _wait(self, reservation: Reservation) -> None:
        for pool, count in reservation.chosen:
            pool.want(reservation.request.id, count)
        if self.is_eligible(reservation):
            self.queue.push(reservation, self.node.env.now)

    def _stop_waiting(self, reservation: Reservation) -> None:
        for pool, _ in reservation.chosen:
            pool.unwant(reservation.request.id)
        self.queue.remove(reservation, self.node.env.now)

    def _review_pools(self, reservation: Reservation) -> None:
        for pool, _ in reservation.chosen:
            pool.review()

    # Once the keys are there

    def progress(self, reservation: Reservation) -> None:
        """Go on with a request as far as its keys allow (READY)."""
        if not self.routing.knows(reservation) or not reservation.has_keys or reservation.served:
            return
        if self.app is not None:
            self.app.progress(reservation)
        elif reservation.down is not None and reservation.up_key is not None and reservation.down_key is not None:
            ciphertext = reservation.up_key ^ reservation.down_key
            reservation.down.channel.put(Ciphertext(reservation.request.id, self.node.name, ciphertext))
            reservation.served = True
            self._count_pending(-1)

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
        """Free what a request holds here; its keys are discarded at both ends and never reused."""
        self.routing.forget(reservation)
        self._stop_waiting(reservation)
        reservation.void_keys()
        if self.app is None and reservation.accepted and not reservation.served:
            self._count_pending(-1)
        if self.app is not None:
            self.app.forget(reservation.request)
        self._review_pools(reservation)

    def _expire_in_time(self, reservation: Reservation) -> None:
        """Reject a request that still waits here when its time is over.

        Only the node it waits at does so: not one that still awaits a claim from further down.
        """
        expires = reservation.request.expires
        if expires is None or reservation.has_keys or not self._answers_for(reservation):
            return
        timer = Timeout(self.node.env, max(0, expires - self.node.env.now))
        timer.callbacks.append(lambda event: self._expire(reservation))

    def _answers_for(self, reservation: Reservation) -> bool:
        """Return whether it is this node at which a request waits, not one that it depends on."""
        without_repeater = len(reservation.request.route) == 2 and reservation.down is None
        at_work = self.app is None or reservation.up_pool is not None or without_repeater
        return at_work and self.is_eligible(reservation)

    def _expire(self, reservation: Reservation) -> None:
        if self.routing.knows(reservation) and not reservation.has_keys:
            self.reject(reservation, RejectReason.EXPIRED)
