"""Interfaces: a node's end of a link, with the memories there and the connections that share them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from qkdrmp.entanglement.links.link import ElementaryLink
from qkdrmp.entanglement.links.negotiation import LinkEnd
from qkdrmp.entanglement.links.policies import Agreement
from qkdrmp.entanglement.quantum.pairs import Qubit, trace_out
from qkdrmp.entanglement.request import AttemptId


class MemoryShare:
    """What a connection has at an interface: a quota of memories, and the halves it keeps in them.

    Attributes
    ----------
    interface : Interface
    attempt : AttemptId
        The attempt at the connection.
    quota : int
    held : int
        Halves in memory, those whose success is still to be heralded included.
    arrived : callable or None
        Takes each half as it is heralded, with its ordinal; None while the connection is not installed here, and no
        trial is attempted for it.
    pairs : int
        Halves heralded so far.
    """

    __slots__ = ("arrived", "attempt", "held", "interface", "pairs", "quota")

    def __init__(self, interface: Interface, attempt: AttemptId, quota: int) -> None:
        self.interface = interface
        self.attempt = attempt
        self.quota = quota
        self.held = 0
        self.pairs = 0
        self.arrived: Callable[[int, Qubit], None] | None = None

    def release(self) -> None:
        """Free one memory, so that it can be filled again."""
        self.held -= 1
        interface = self.interface
        interface.occupied -= 1
        if self.arrived is not None:
            interface.link.freed(interface.end, self.attempt)


class Interface:
    """A node's end of a link.

    Parameters
    ----------
    node, peer : str
        The node, and the one at the other end.
    end : int
        0 for the sender of the link, 1 for its receiver.
    memories : int
        How many there are.
    pairs_per_s, fidelity : float
        Of the link, with one memory at each end.
    allocation : LinkEnd
        This end's part in the agreement on who uses which trial.

    Attributes
    ----------
    link : ElementaryLink
        The link; set once both ends exist.
    shares : dict of AttemptId to MemoryShare
        The connections that hold memories here.
    occupied : int
        Memories with a half in them.
    stalled : int
        Ticks for which trials were void between this end's Barrier and its peer's.
    """

    link: ElementaryLink[Qubit]

    def __init__(
        self, node: str, peer: str, end: int, memories: int, pairs_per_s: float, fidelity: float, allocation: LinkEnd
    ) -> None:
        self.node = node
        self.peer = peer
        self.end = end
        self.memories = memories
        self.pairs_per_s = pairs_per_s
        self.fidelity = fidelity
        self.allocation = allocation
        self.shares: dict[AttemptId, MemoryShare] = {}
        self.pairs_of: Counter[AttemptId] = Counter()
        self._watches: list[tuple[int, Callable[[], None]]] = []
        self.occupied = 0
        self.stalled = 0
        self._reviewed: tuple[int, int | None] = (1, None)

    # Admission

    @property
    def free(self) -> int:
        """Memories that are in nobody's quota."""
        return self.memories - sum(share.quota for share in self.shares.values())

    def hold(self, attempt: AttemptId, quota: int) -> None:
        """Set memories aside for a connection."""
        self.shares[attempt] = MemoryShare(self, attempt, quota)

    def release(self, attempt: AttemptId) -> None:
        """Release the memories of a connection; halves that are heralded later are discarded."""
        share = self.shares.pop(attempt, None)
        if share is not None:
            share.arrived = None
            self.pairs_of[attempt] = share.pairs
            self.link.reallocated()
            self._check_watches()

    def pairs_by_attempt(self) -> Counter[AttemptId]:
        """Return the halves heralded so far for each connection, also for those that are over."""
        return self.pairs_of + Counter({attempt: share.pairs for attempt, share in self.shares.items()})

    def watch(self, memories: int, freed: Callable[[], None]) -> None:
        """Call `freed` as soon as so many memories are in nobody's quota."""
        self._watches.append((memories, freed))
        self._check_watches()

    def _check_watches(self) -> None:
        if not self._watches:
            return
        free = self.free
        for memories, freed in self._watches:
            if memories <= free:
                freed()
        self._watches = [one for one in self._watches if one[0] > free]

    def open(self, attempt: AttemptId, arrived: Callable[[int, Qubit], None]) -> None:
        """Let trials be attempted for a connection; `arrived` takes its halves."""
        self.shares[attempt].arrived = arrived
        self.link.reallocated()

    # What the link sees (see `link.LinkSide`)

    def review(self) -> None:
        """Inform the link if trials to come belong to others than before."""
        now = len(self.allocation.agreements), self.allocation.void_from
        if now != self._reviewed:
            self._reviewed = now
            self.link.reallocated()

    def regions(self) -> Sequence[tuple[int, Agreement | None]]:
        """Return who governs the trials that this end has not started: from which trial on, which agreement."""
        return self.allocation.regions(self.link.next_trial(self.end))

    def free_memories(self, owner: AttemptId) -> int:
        """Return how many memories an owner of trials may still fill."""
        share = self.shares.get(owner)
        return 0 if share is None or share.arrived is None else share.quota - share.held

    def occupy(self, owner: AttemptId) -> None:
        """Count a memory as filled by a trial that has succeeded."""
        self.occupied += 1
        share = self.shares.get(owner)
        if share is not None:
            share.held += 1

    def take(self, owner: AttemptId, half: Qubit, trial: int) -> None:
        """Take in a half that has been heralded."""
        share = self.shares.get(owner)
        if share is None or share.arrived is None:
            self.occupied -= 1
            trace_out(half)
            return
        half.share = share
        number = share.pairs
        share.pairs = number + 1
        share.arrived(number, half)
