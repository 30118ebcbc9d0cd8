"""The request queue of a node: a bounded number of slots, scanned in a policy's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from qkdrmp.errors import QKDRMPError
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.monitor import Monitor
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.layers.queue_policies import QueuePolicy
from qkdrmp.qkd.layers.reservation import Reservation
from qkdrmp.qkd.request import KeyRequest


class RequestQueue:
    """Requests that wait for keys at one node.

    The pools that a request waits for know of it, so that they are refilled. It takes a slot once this node is the only
    one it waits for: those that still await a claim from further down wait outside.

    Parameters
    ----------
    env : Environment
    capacity : int
        Number of slots (>= 0).
    policy : callable
        The order in which they are looked at (see `queue_policies`).

    Attributes
    ----------
    length : Monitor
        Slots taken.
    """

    def __init__(self, env: Environment, capacity: int, policy: QueuePolicy) -> None:
        self.env = env
        self.capacity = capacity
        self.policy = policy
        self.length = Monitor()
        self._slots: dict[int, Reservation] = {}

    @property
    def is_full(self) -> bool:
        """Whether no slot is left."""
        return len(self._slots) >= self.capacity

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Reservation]:
        return iter(self._slots.values())

    def join(self, reservation: Reservation) -> None:
        """Let a request wait, in a slot unless it awaits a claim; it joins again when that has come."""
        for share in reservation.chosen:
            share.pool.want(reservation.request.id, share.count)
        if not reservation.awaits_claim:
            self._slots[reservation.request.id] = reservation
            self.length.set(len(self._slots), self.env.now)

    def leave(self, reservation: Reservation) -> None:
        """Let a request wait no longer, if it does."""
        for share in reservation.chosen:
            share.pool.unwant(reservation.request.id)
        if self._slots.pop(reservation.request.id, None) is not None:
            self.length.set(len(self._slots), self.env.now)

    def is_next(self, reservation: Reservation) -> bool:
        """Return whether a request can be served now, and passes none that waits where waiting requests keep order."""
        return reservation.can_be_served and not any(
            share.pool.settings.keeps_order and self._passes(reservation, share.pool) for share in reservation.chosen
        )

    def _passes(self, reservation: Reservation, pool: KeyPool) -> bool:
        waiting = self._waiting_for(pool)
        if reservation not in waiting:
            waiting.append(reservation)
        return self._ordered(waiting)[0] is not reservation

    def waiting_for(self, pool: KeyPool) -> list[Reservation]:
        """Return the requests in slots that wait for keys of `pool`, in the policy's order.

        Raises
        ------
        QKDRMPError
            If the policy does not return each of the requests it was given exactly once.
        """
        return self._ordered(self._waiting_for(pool))

    def _waiting_for(self, pool: KeyPool) -> list[Reservation]:
        return [one for one in self._slots.values() if any(share.pool is pool for share in one.chosen)]

    def _ordered(self, waiting: list[Reservation]) -> list[Reservation]:
        if len(waiting) < 2:
            return waiting
        requests = [one.request for one in waiting]
        ordered = self.policy(list(requests), self.env.now)
        order = [request.id for request in ordered] if _are_requests(ordered) else []
        by_id = {one.request.id: one for one in waiting}
        if sorted(order) != sorted(request.id for request in requests):
            name = getattr(self.policy, "__name__", repr(self.policy))
            raise QKDRMPError(f"queue policy {name} must return every waiting request exactly once")
        return [by_id[request_id] for request_id in order]


def _are_requests(returned: Any) -> bool:
    return isinstance(returned, Sequence) and all(isinstance(one, KeyRequest) for one in returned)
