"""Deadlines: a request that waits longer than its user does is given up by the node at which it waits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.timer import Timer
from qkdrmp.qkd.layers.reservation import Reservation


class Deadline:
    """The end of the time within which requests have to be served, at one node.

    Only the node at which a request waits gives it up: not one that still awaits a claim from further down.

    Parameters
    ----------
    env : Environment
    expire : callable
        Called with a request that still waits when its time is over.
    """

    def __init__(self, env: Environment, expire: Callable[[Reservation], None]) -> None:
        self.env = env
        self.expire = expire

    def has_passed(self, reservation: Reservation) -> bool:
        """Return whether a request that would wait here has no time left."""
        expires = reservation.request.expires
        return expires is not None and expires <= self.env.now and reservation.waits_here

    def watch(self, reservation: Reservation) -> None:
        """Give a request up when its time is over, if it waits here now and still does then."""
        expires = reservation.request.expires
        if expires is None or reservation.has_keys or not reservation.waits_here:
            return
        Timer(self.env, partial(self._ring, reservation)).start(max(0, expires - self.env.now))

    def _ring(self, reservation: Reservation) -> None:
        if not reservation.over and not reservation.has_keys:
            self.expire(reservation)
