"""Epochs of a link: each is one change of the allocation, and consists of a LAU and perhaps a Barrier of both ends."""

from __future__ import annotations

from dataclasses import dataclass

from qkdrmp.entanglement.links.agreement import AllocationEntry
from qkdrmp.network.layer import Message


@dataclass(frozen=True, slots=True)
class LAU(Message):
    """LINK ALLOCATION UPDATE, from one end of a link to the other: who shares the link now, and who shall."""

    link: str
    epoch: int
    active: tuple[AllocationEntry, ...]
    """Who shares the link now."""
    next: tuple[AllocationEntry, ...]
    """Who shall share it, in the order in which this end learned of them."""
    random: int
    """The higher one decides the order of new entries, and feeds the policies that draw lots."""
    reply: bool = False
    """Sent again because the other end asked; never answered."""

    @property
    def label(self) -> str:
        """The connections that shall share the link."""
        return " ".join(str(entry.id) for entry in self.next) or "nobody"


@dataclass(frozen=True, slots=True)
class Barrier(Message):
    """BARRIER, from one end of a link to the other: the first trial not promised to the old allocation."""

    link: str
    epoch: int
    pptsn: int
    """Number of the photon pair trial."""
    reply: bool = False
    """Sent again because the other end asked; never answered."""

    @property
    def label(self) -> str:
        """The trial."""
        return f"trial {self.pptsn}"


@dataclass(slots=True)
class Epoch:
    """One change of the allocation, as one end sees it: what both have sent; closed once both know the outcome.

    It is open from this end's LAU on. Both lists `merged` make the next one, with the higher of the two random numbers.
    """

    lau: LAU | None = None
    barrier: Barrier | None = None
    peer_lau: LAU | None = None
    peer_barrier: Barrier | None = None
    merged: tuple[tuple[AllocationEntry, ...], int] | None = None

    @property
    def is_open(self) -> bool:
        """Whether this end has sent its LAU."""
        return self.lau is not None

    @property
    def sent(self) -> tuple[LAU | Barrier, ...]:
        """What this end has sent."""
        return tuple(message for message in (self.lau, self.barrier) if message is not None)

    @property
    def own_switch(self) -> int | None:
        """The first trial that this end has not promised to the old allocation; None before it sends its Barrier."""
        return None if self.barrier is None else self.barrier.pptsn

    @property
    def switch(self) -> int | None:
        """The trial from which on both hold to the new allocation; None until both Barriers are there."""
        if self.barrier is None or self.peer_barrier is None:
            return None
        return max(self.barrier.pptsn, self.peer_barrier.pptsn)
