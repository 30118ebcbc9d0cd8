"""Interfaces: a node's end of a link, with the memories there and the connections that share them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from qkdrmp.entanglement.links.link import ElementaryLink
from qkdrmp.entanglement.links.models import TrialLaw
from qkdrmp.entanglement.links.negotiation import LinkEnd
from qkdrmp.entanglement.links.node_memories import MemoryQuota, NodeMemories
from qkdrmp.entanglement.links.policies import Agreement
from qkdrmp.entanglement.links.success_sampler import SlotSuccess
from qkdrmp.entanglement.quantum.bell_diagonal import BellDiagonal
from qkdrmp.entanglement.quantum.pairs import Device, Qubit, trace_out
from qkdrmp.entanglement.request import AttemptId


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
    interface : Interface
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
    released : int
        When a half was released last, or the connection got its trials, in ticks.
    is_here : bool
        Whether its quota is still reserved.
    is_paused : bool
        Whether it has no use for its trials for the time being, so that others are to get them.
    """

    __slots__ = (
        "arrived",
        "attempt",
        "held",
        "idle",
        "interface",
        "is_here",
        "is_paused",
        "pairs",
        "quota",
        "released",
        "resume",
        "use",
    )

    def __init__(self, interface: Interface, attempt: AttemptId, quota: int) -> None:
        self.interface = interface
        self.attempt = attempt
        self.quota = quota
        self.held = 0
        self.idle = 0
        self.pairs = 0
        self.released = 0
        self.is_here = True
        self.is_paused = False
        self.arrived: Callable[[int, Qubit], None] | None = None
        self.use: PairUse | None = None
        self.resume = quota // 2

    @property
    def reserved(self) -> int:
        """Free memories that are reserved for the connection."""
        return self.quota - self.held if self.held < self.quota else 0

    @property
    def offered(self) -> int | None:
        """Free memories that are reserved for its trials; None while nothing is attempted for it."""
        if self.arrived is None or self.idle >= self.quota:
            return None
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

    def release(self) -> None:
        """Free one memory, so that it can be filled again."""
        self.interface.vacate(self)


@dataclass(slots=True)
class AtSlotStart:
    """What an interface had when a slot started, as far as it has changed since.

    Parameters
    ----------
    free, spare : int
        Free memories, and those of them that were reserved for nobody.
    offered : dict of AttemptId to (int or None)
        See `MemoryShare`.
    """

    free: int
    spare: int
    offered: dict[AttemptId, int | None]


class HopPhysics(NamedTuple):
    """What a node knows of a link besides its rate.

    Parameters
    ----------
    law : TrialLaw
        Of its trials.
    state : BellDiagonal
        Of its new pairs.
    delay : int
        How long a message takes along it, without its processing, in ticks.
    device : Device
        The memories here, with the gates of the node.
    """

    law: TrialLaw
    state: BellDiagonal
    delay: int
    device: Device


class Interface:
    """A node's end of a link.

    Parameters
    ----------
    node, peer : str
        The node, and the one at the other end.
    end : int
        0 for the sender of the link, 1 for its receiver.
    memories : int
        How many there are; now, if the interfaces of the node share them.
    pairs_per_s, fidelity : float
        Of the link, with one memory at each end.
    allocation : LinkEnd
        This end's part in the agreement on who uses which trial.

    Attributes
    ----------
    link : ElementaryLink
        The link; set once both ends exist.
    binds_late : bool
        Whether pairs are given to connections once they exist, instead of trials before.
    physics : HopPhysics
        What else is known of it; set with the link.
    pool : NodeMemories or None
        The memories of the node, if its interfaces share them.
    memories_move : bool
        Whether either end shares its memories so.
    shares : dict of AttemptId to MemoryShare
        The connections that hold memories here.
    occupied : int
        Memories with a half in them.
    stalled : int
        Ticks for which trials were void between this end's Barrier and its peer's.
    passed_over, drained : callable
        Called with a share whose connection has a trial but no use for it, as its quota of halves lies idle; and with a
        paused one of which no more than half the quota does any more, or than may wait for one more pair.
    """

    link: ElementaryLink[Qubit]
    binds_late: ClassVar[bool] = False
    physics: HopPhysics

    def __init__(
        self, node: str, peer: str, end: int, memories: int, pairs_per_s: float, fidelity: float, allocation: LinkEnd
    ) -> None:
        self.node = node
        self.peer = peer
        self.end = end
        self.memories = memories
        self.pool: NodeMemories | None = None
        self.memories_move = False
        self.pairs_per_s = pairs_per_s
        self.fidelity = fidelity
        self.allocation = allocation
        self.shares: dict[AttemptId, MemoryShare] = {}
        self.pairs_of: Counter[AttemptId] = Counter()
        self._watches: list[tuple[int, Callable[[], None]]] = []
        self.occupied = 0
        self.stalled = 0
        self._reviewed: tuple[int, int | None] = (1, None)
        self.passed_over: Callable[[MemoryShare], None] = lambda share: None
        self.drained: Callable[[MemoryShare], None] = lambda share: None
        self._owners: set[AttemptId] = set()
        self._reserved = 0
        self._slot = -1
        self._at_start = AtSlotStart(memories, 0, {})

    # Admission

    @property
    def free(self) -> int:
        """Memories that are in nobody's quota, here or, if they are shared, at the node."""
        return self.total - sum(share.quota for share in self.rivals)

    @property
    def total(self) -> int:
        """The memories here, or at the node if they are shared."""
        return self.memories if self.pool is None else self.pool.count

    @property
    def reservations(self) -> Sequence[MemoryShare]:
        """What connections have reserved here."""
        return [*self.shares.values()]

    @property
    def rivals(self) -> Iterable[MemoryQuota]:
        """What connections have reserved of the same memories."""
        return self.shares.values() if self.pool is None else self.pool.reservations

    def needed(self, quota: int, beside: Iterable[Interface]) -> int:
        """Return what a connection with this quota at some interfaces of the node needs of the memories of this one."""
        return quota if self.pool is None else quota * sum(other.pool is self.pool for other in beside)

    def join(self, pool: NodeMemories) -> None:
        """Share the memories of the node."""
        self.pool, self.memories = pool, 0
        pool.join(self, self.physics.law.slot_ticks + max(self.physics.law.heralds))

    def resize(self, memories: int) -> None:
        """Have so many memories from now on."""
        self._keep_slot_start()
        self.memories = memories
        self._limit()

    def _requota(self) -> None:
        """Apply that quotas have changed."""
        if self.pool is None:
            self._limit()
            self.check_watches()
        else:
            self.pool.share_out()
            self._limit()

    def hold(self, attempt: AttemptId, quota: int) -> None:
        """Reserve memories for a connection."""
        self._keep_slot_start()
        self.shares[attempt] = MemoryShare(self, attempt, quota)
        self._reserved += quota
        self._requota()

    def release(self, attempt: AttemptId) -> None:
        """Release the memories of a connection; halves that are heralded later are discarded."""
        share = self.shares.get(attempt)
        if share is not None:
            self._keep_slot_start(share)
            del self.shares[attempt]
            share.is_here = False
            self._reserved -= share.reserved
            share.arrived = None
            self.pairs_of[attempt] = share.pairs
            self._requota()

    def pairs_by_attempt(self) -> Counter[AttemptId]:
        """Return the halves heralded so far for each connection, also for those that are over."""
        return self.pairs_of + Counter({attempt: share.pairs for attempt, share in self.shares.items()})

    def watch(self, memories: int, freed: Callable[[], None]) -> None:
        """Call `freed` as soon as so many memories are in nobody's quota."""
        self._watches.append((memories, freed))
        self.check_watches()

    def check_watches(self) -> None:
        """Call who waits for free memories."""
        if not self._watches:
            return
        free = self.free
        for memories, freed in self._watches:
            if memories <= free:
                freed()
        self._watches = [one for one in self._watches if one[0] > free]

    def open(
        self, attempt: AttemptId, arrived: Callable[[int, Qubit], None], unused: int = 0, use: PairUse | None = None
    ) -> None:
        """Let trials be attempted for a connection; `arrived` takes its halves.

        Up to `unused` of them may lie idle until there is one more.
        """
        share = self.shares[attempt]
        self._keep_slot_start(share)
        share.arrived, share.use = arrived, use
        share.resume = max(share.resume, min(unused, share.quota - 1))
        self._limit()

    def vacate(self, share: MemoryShare) -> None:
        """Free a memory that holds a half of a connection."""
        self._keep_slot_start(share)
        self.occupied -= 1
        share.held -= 1
        if share.held < share.quota and share.is_here:
            self._reserved += 1
        self._limit()
        share.released = self.link.now

    def change_idle(self, share: MemoryShare, halves: int) -> None:
        """Count idle halves of a connection that begins or ceases to be served."""
        self._keep_slot_start(share)
        share.idle += halves
        self._limit()

    # Which trials are attempted. A half has a memory of its connection's quota, or one that is reserved for nobody.

    @property
    def _spare(self) -> int:
        """Free memories that are reserved for nobody."""
        return self.memories - self.occupied - self._reserved

    def limit(self) -> int:
        """Return below which rank trials of a slot may be attempted here, as things stand.

        Where some owner has no memory left while others have, trials are passed over, so that any rank may be reached.
        """
        if len(self._owners) == 1:
            return self._limit_of(*self._owners)
        if len(self._owners) > 1 and any(share.offered for share in self.shares.values()):
            return max(self.memories, self.link.lanes)
        offered = {attempt: share.offered for attempt, share in self.shares.items() if share.offered is not None}
        memories = sum(offered.values()) + max(0, self._spare) if offered else 0
        if memories and self._owners - offered.keys():
            return max(self.memories, self.link.lanes)
        return min(max(0, self.memories - self.occupied), memories)

    def _limit_of(self, owner: AttemptId) -> int:
        """Return how many trials of a slot may be attempted here for the only owner."""
        share = self.shares.get(owner)
        offered = None if share is None else share.offered
        if offered is None:
            return 0
        return min(max(0, self.memories - self.occupied), offered + max(0, self._spare))

    def _limit(self) -> None:
        self.link.limited(self.end, self.limit())
        if self.pool is not None:
            self.pool.settle()

    def _keep_slot_start(self, share: MemoryShare | None = None) -> None:
        """Before a change, remember what holds for the slot that has started."""
        slot = self.link.last_slot(self.end)
        if slot > self._slot:
            free = self.memories - self.occupied
            self._slot, self._at_start = slot, AtSlotStart(free, free - self._reserved, {})
        if share is not None and share.attempt not in self._at_start.offered:
            self._at_start.offered[share.attempt] = share.offered

    def attempts(self, slot: int, success: SlotSuccess) -> bool:
        """Return whether a trial of a slot that has started was attempted here."""
        start = self._at_start if slot == self._slot else AtSlotStart(self.memories - self.occupied, self._spare, {})
        owner = success.owners[self.end]
        offered = self._offered_at(start, owner)
        if offered is None:
            share = self.shares.get(owner)
            if share is not None and share.idle >= share.quota and not share.is_paused:
                self.passed_over(share)
            return False
        if success.alone:
            return success.rank < min(start.free, offered + max(0, start.spare))
        if success.rank < start.spare and success.agreed:
            return True
        return self._attempts_shared(start, success.trial, owner, offered)

    def _attempts_shared(self, start: AtSlotStart, trial: int, owner: AttemptId, offered: int) -> bool:
        """Return whether a trial was attempted, as the memories were given out to one trial after the other.

        Each owner has those that are reserved for it, and takes those that it needs beyond from the spare ones.
        """
        before = self.link.owners_before(trial, self.end)
        reserved = {one: self._offered_at(start, one) for one in {*before, owner}}
        if start.spare < 0:  # some keep more than their quota, so that not all that is reserved is free
            return self._is_served([*before, owner], start.free, reserved)
        if before.count(owner) < offered:
            return True
        beyond = (trials - (reserved[one] or 0) for one, trials in Counter(before).items() if reserved[one] is not None)
        return sum(number for number in beyond if number > 0) < start.spare

    @staticmethod
    def _is_served(owners: Sequence[AttemptId], free: int, reserved: Mapping[AttemptId, int | None]) -> bool:
        """Return whether the last of these trials in order finds a memory, if none is spare."""
        used, finds = Counter[AttemptId](), False
        for one in owners:
            finds = free > 0 and used[one] < (reserved[one] or 0)
            free -= finds
            used[one] += finds
        return finds

    def _offered_at(self, start: AtSlotStart, owner: AttemptId) -> int | None:
        """Return `MemoryShare.offered` as it was at the start of a slot."""
        if owner in start.offered:
            return start.offered[owner]
        share = self.shares.get(owner)
        return None if share is None else share.offered

    # What the link sees (see `link.LinkSide`)

    def review(self) -> None:
        """Inform the link if trials to come belong to others than before."""
        now = len(self.allocation.agreements), self.allocation.void_from
        if now != self._reviewed:
            self._reviewed = now
            self._owners = {entry.id for _, one in self.regions() if one is not None for entry in one.entries}
            self.link.reallocated()

    def regions(self) -> Sequence[tuple[int, Agreement | None]]:
        """Return who governs the trials that this end has not started: from which trial on, which agreement."""
        return self.allocation.regions(self.link.next_trial(self.end))

    def occupy(self, owner: AttemptId) -> None:
        """Count a memory as filled by a trial that has succeeded."""
        share = self.shares.get(owner)
        self._keep_slot_start(share)
        self.occupied += 1
        if share is not None:
            self._reserved -= share.held < share.quota
            share.held += 1

    def take(self, owner: AttemptId, half: Qubit, trial: int) -> None:
        """Take in a half that has been heralded."""
        share = self.shares.get(owner)
        if share is None or share.arrived is None:
            self._keep_slot_start()
            self.occupied -= 1
            self._limit()
            trace_out(half)
            return
        half.share = share
        number = share.pairs
        share.pairs = number + 1
        share.arrived(number, half)
