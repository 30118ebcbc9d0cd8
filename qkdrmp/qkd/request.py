"""Requests for end-to-end keys: what is asked, how it ended, and the ledger of all of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import simpy

from qkdrmp.kernel.environment import Environment


class RequestStatus(StrEnum):
    """How a request stands; each ends at most once."""

    UNFINISHED = "unfinished"
    DELIVERED = "delivered"
    REJECTED = "rejected"


class RejectReason(StrEnum):
    """Why a request was rejected."""

    NO_ROUTE = "no_route"
    """No path leads to the peer."""
    REFUSED = "refused"
    """A node on the way could never serve it."""
    PEER_BUSY = "peer_busy"
    """The receiver has as many requests as allowed."""
    USER_BUSY = "user_busy"
    """The sender has as many requests as allowed."""
    QUEUE_FULL = "queue_full"
    """A node had to queue it and had no slot left."""
    EXPIRED = "expired"
    """It still waited when the user's patience or its deadline ended."""
    CANCELLED = "cancelled"
    """What a rejecting node sends downstream; never the reason of a request."""


REASONS = tuple(reason for reason in RejectReason if reason is not RejectReason.CANCELLED)
"""Why requests may be rejected."""

STRUCTURAL = (RejectReason.NO_ROUTE, RejectReason.REFUSED)
"""Why a request is rejected that no state of the network could serve."""

ON_THE_WAY = (RejectReason.QUEUE_FULL, RejectReason.EXPIRED)
"""Why a request may be rejected for which keys have been set aside."""


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What a user asks for.

    Parameters
    ----------
    id : int
        Number of the request in its run, from 1.
    src, dst : str
        The two users.
    route : tuple of str
        Nodes from `src` to `dst`, both included, as the source chose them (empty if there is no route).
    keys, key_bits : int
        Number of keys and the length of each.
    priority : int
        Higher is more urgent; used by the policy "priority".
    start : int
        Tick at which it was asked.
    deadline : int or None
        Tick by which every repeater must have served it.
    patience : int or None
        Ticks from `start` within which every repeater must have served it.

    Attributes
    ----------
    expires : int or None
        The earlier of the deadline and the end of the user's patience, as a tick; None if there is neither.
    """

    id: int
    src: str
    dst: str
    route: tuple[str, ...]
    keys: int
    key_bits: int
    priority: int
    start: int
    deadline: int | None
    patience: int | None
    expires: int | None = field(init=False)

    def __post_init__(self) -> None:
        end = None if self.patience is None else self.start + self.patience
        limits = [tick for tick in (self.deadline, end) if tick is not None]
        object.__setattr__(self, "expires", min(limits, default=None))

    @property
    def users(self) -> tuple[str, str]:
        """The two users, who asks first."""
        return self.src, self.dst

    @property
    def bits(self) -> int:
        """Key bits the request takes in all."""
        return self.keys * self.key_bits


class RequestEntry:
    """One request in the ledger, and its outcome.

    Parameters
    ----------
    request : KeyRequest
    ended : simpy.Event
        Succeeds when it ends.
    travel : int
        Ticks for which its messages travel if nothing has to wait for keys.
    """

    __slots__ = ("alice_key", "bob_key", "end", "ended", "reason", "rejected_by", "request", "state", "travel")

    def __init__(self, request: KeyRequest, ended: simpy.Event, travel: int) -> None:
        self.request = request
        self.ended = ended
        self.travel = travel
        self.end: int | None = None
        self.state = RequestStatus.UNFINISHED
        self.reason: RejectReason | None = None
        self.rejected_by: str | None = None
        self.alice_key: int | None = None
        self.bob_key: int | None = None

    @property
    def duration(self) -> int:
        """Ticks from its start to its end; it must have ended."""
        assert self.end is not None
        return self.end - self.request.start

    @property
    def wait(self) -> int:
        """Ticks of its duration in which it waited for keys, its own or those of others before it."""
        return self.duration - self.travel

    @property
    def is_late(self) -> bool:
        """Whether it was delivered after its deadline, or when the user's patience had ended."""
        expires = self.request.expires
        return (
            self.state is RequestStatus.DELIVERED
            and expires is not None
            and self.request.start + self.duration > expires
        )

    @property
    def mismatched_bits(self) -> int:
        """In how many bits the two users' keys differ, once both are known."""
        if self.alice_key is None or self.bob_key is None:
            return 0
        return (self.alice_key ^ self.bob_key).bit_count()


class RequestLedger:
    """All requests of a run, in the order they were asked. It only observes: no protocol reads it.

    Parameters
    ----------
    env : Environment
    travel : callable
        Returns for how many ticks the messages about a request travel along a route.
    """

    def __init__(self, env: Environment, travel: Callable[[tuple[str, ...]], int]) -> None:
        self.env = env
        self.travel = travel
        self.entries: list[RequestEntry] = []

    def open(self, request: KeyRequest) -> RequestEntry:
        """Note a request that starts now."""
        entry = RequestEntry(request, self.env.event(), self.travel(request.route))
        self.entries.append(entry)
        return entry

    def receiver_has(self, request: KeyRequest, key: int) -> None:
        """Note the receiver's key bits."""
        self.entries[request.id - 1].bob_key = key

    def deliver(self, request: KeyRequest, key: int) -> None:
        """Note that the sender has the key bits and the request is done."""
        entry = self.entries[request.id - 1]
        entry.alice_key = key
        self._close(entry, RequestStatus.DELIVERED)

    def reject(self, request: KeyRequest, reason: RejectReason, by: str) -> None:
        """Note that the rejection has reached the sender."""
        entry = self.entries[request.id - 1]
        entry.reason, entry.rejected_by = reason, by
        self._close(entry, RequestStatus.REJECTED)

    def _close(self, entry: RequestEntry, state: RequestStatus) -> None:
        assert entry.state is RequestStatus.UNFINISHED, f"request {entry.request.id} ended twice"
        entry.state = state
        entry.end = self.env.now
        entry.ended.succeed()
