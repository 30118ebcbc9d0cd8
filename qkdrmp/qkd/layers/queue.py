"""The request queue of a node: a bounded number of slots, scanned in a policy's order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from qkdrmp.errors import QKDRMPError
from qkdrmp.kernel.monitor import Monitor
from qkdrmp.qkd.layers.queue_policies import QueuePolicy
from qkdrmp.qkd.layers.reservation import Reservation
from qkdrmp.qkd.request import KeyRequest


class RequestQueue:
    """Requests that wait for keys at one node.

    Parameters
    ----------
    capacity : int
        Number of slots (>= 0).
    policy : callable
        The order in which they are looked at (see `scheduling`).

    Attributes
    ----------
    length : Monitor
        Slots taken.
    """

    def __init__(self, capacity: int, policy: QueuePolicy) -> None:
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

    def push(self, reservation: Reservation, now: int) -> None:
        """Give a slot to a request."""
        self._slots[reservation.request.id] = reservation
        self.length.set(len(self._slots), now)

    def remove(self, reservation: Reservation, now: int) -> None:
        """Free the slot of a request, if it has one."""
        if self._slots.pop(reservation.request.id, None) is not None:
            self.length.set(len(self._slots), now)

    def ordered(self, candidate: Callable[[Reservation], bool], now: int) -> list[Reservation]:
        """Return the requests that are `candidate`, in the policy's order.

        Raises
        ------
        QKDRMPError
            If the policy does not return each of the requests it was given exactly once.
        """
        waiting = [reservation for reservation in self._slots.values() if candidate(reservation)]
        if len(waiting) < 2:
            return waiting
        requests = [one.request for one in waiting]
        ordered = self.policy(list(requests), now)
        order = [request.id for request in ordered] if _are_requests(ordered) else []
        if sorted(order) != sorted(request.id for request in requests):
            name = getattr(self.policy, "__name__", repr(self.policy))
            raise QKDRMPError(f"queue policy {name} must return every waiting request exactly once")
        return [self._slots[request_id] for request_id in order]


def _are_requests(returned: Any) -> bool:
    return isinstance(returned, Sequence) and all(isinstance(one, KeyRequest) for one in returned)
