"""Memory shares: what one connection has of the memories of an interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from qkdrmp.entanglement.quantum.pairs import Qubit
from qkdrmp.entanglement.request import AttemptId


class SharedInterface(Protocol):
    """What a share needs of its interface."""

    def change_idle(self, share: MemoryShare, halves: int, /) -> None:
        """Count idle halves of a connection that begins or ceases to be served."""

    def vacate(self, share: MemoryShare, /) -> None:
        """Free a memory that holds a half of a connection."""

    @property
    def drained(self) -> Callable[[MemoryShare], None]:
        """Called with a paused share that wants its trials back."""


class PairUse(Protocol):
    """What becomes of the pairs of a link at a node (see `pair_buffer.PairBuffer`)."""

    @property
    def partner(self) -> str:
        """The node at the other end of the link."""

    @property
    def pairs(self) -> Mapping[int, Qubit]:
        """Those that wait."""

    @property
    def mate(self) -> PairUse | None:
        """With what one by one is swapped as they come; None if there is more to it."""


class MemoryShare:
    """What a connection has at an interface: a quota of memories reserved for it, and the halves it keeps.

    It may keep more halves than its quota, in memories that are reserved for nobody, but attempts nothing while as many
    as its quota lie idle: more would only grow old.

    Attributes
    ----------
    interface : SharedInterface
    attempt : AttemptId
        The attempt at the connection.
    quota : int
    held : int
        Halves in memory, those whose success is still to be heralded included.
    idle : int
        Halves that wait for a rule to take them, with another pair that is not there yet.
    arrived : callable or None
        Takes each half as it is heralded, with its ordinal; None while the connection is not installed here, and no
        trial is attempted for it.
    resume : int
        Once paused, it gets its trials back when no more than so many halves lie idle.
    use : PairUse or None
        For what it wants halves, if that is known.
    pairs : int
        Halves heralded so far.
    has_trials : bool
        Whether the connection has got trials by an agreement, once at least.
    is_here : bool
        Whether its quota is still reserved.
    is_paused : bool
        Whether it has no use for its trials for the time being, so that others are to get them.
    """

    __slots__ = (
        "arrived",
        "attempt",
        "has_trials",
        "held",
        "idle",
        "interface",
        "is_here",
        "is_paused",
        "pairs",
        "quota",
        "resume",
        "use",
    )

    def __init__(self, interface: SharedInterface, attempt: AttemptId, quota: int) -> None:
        self.interface = interface
        self.attempt = attempt
        self.quota = quota
        self.held = 0
        self.idle = 0
        self.pairs = 0
        self.has_trials = False
        self.is_here = True
        self.is_paused = False
        self.arrived: Callable[[int, Qubit], None] | None = None
        self.use: PairUse | None = None
        self.resume = quota // 2

    @property
    def reserved(self) -> int:
        """Free memories that are reserved for the connection."""
        return self.quota - self.held if self.held < self.quota else 0

    def add_idle(self, halves: int) -> None:
        """Count halves that wait for a rule to take them."""
        idle = self.idle + halves
        if idle == self.quota or self.idle == self.quota:
            self.interface.change_idle(self, halves)
        else:
            self.idle = idle
        if self.is_paused and self.idle <= self.resume:
            self.interface.drained(self)

    def let_wait(self, unused: int) -> None:
        """Get the trials back although so many halves lie idle: they may have to wait for one more."""
        self.resume = max(self.resume, min(unused, self.quota - 1))

    def release(self) -> None:
        """Free one memory, so that it can be filled again."""
        self.interface.vacate(self)
