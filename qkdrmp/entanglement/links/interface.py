"""Interfaces: a node's end of a link, with the memories there and the connections that share them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from qkdrmp.entanglement.links.agreement import Agreement
from qkdrmp.entanglement.links.link import ElementaryLink
from qkdrmp.entanglement.links.memory_offer import MemoryOffer
from qkdrmp.entanglement.links.memory_share import MemoryShare, PairUse
from qkdrmp.entanglement.links.models import TrialLaw
from qkdrmp.entanglement.links.negotiation import LinkEnd
from qkdrmp.entanglement.links.node_memories import MemoryQuota, NodeMemories
from qkdrmp.entanglement.links.policies import attempts_per_slot
from qkdrmp.entanglement.links.schedule import Owner
from qkdrmp.entanglement.links.success_sampler import SlotSuccess
from qkdrmp.entanglement.quantum.bell_diagonal import BellDiagonal
from qkdrmp.entanglement.quantum.pairs import Device, Qubit, trace_out
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.units import NEVER


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
    patience : int
        For how long a connection keeps its trials without any use for them, as its quota of halves lies idle, if half
        its quota is one memory: in ticks. With more memories it is as much shorter.
    passed_over, drained : callable
        Called with a share whose connection has kept its trials so long, while others use theirs; and with a paused one
        of which no more than half the quota lies idle any more, or than may wait for one more pair.
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
        self._reviewed = 1
        self._void = range(0)
        self.patience = NEVER
        self.passed_over: Callable[[MemoryShare], None] = lambda share: None
        self.drained: Callable[[MemoryShare], None] = lambda share: None
        self._several = False, False  # whether connections share the trials: before a slot, and from it on
        self._several_since = 0
        self._keep_until: dict[MemoryShare, int] = {}  # of the connections that have no use for their trials
        self._next_review = NEVER
        self._reserved = 0
        self._known_spare = memories  # for which the link knows the limits
        self._offered: dict[AttemptId, int] = {}  # what is reserved for each connection whose trials are attempted
        self._slot, self._kept_until = -1, -1
        self._at_start = MemoryOffer(memories, 0, {})
        self._trials: tuple[Agreement | None, Mapping[AttemptId, float]] = None, {}  # of each in a slot, on average

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
        self._limit_all()

    def _requota(self) -> None:
        """Apply that quotas have changed."""
        if self.pool is not None:
            self.pool.share_out()
            self._limit_all()
            self.pool.settle()
        else:
            self._limit_all()
            self.check_watches()

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
            self._keep_slot_start()
            self._offered.pop(attempt, None)
            del self.shares[attempt]
            share.is_here = False
            self._reserved -= share.reserved
            share.arrived = None
            self.pairs_of[attempt] = share.pairs
            self._keep_until.pop(share, None)
            self.link.limited(self.end, attempt, 0)
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

    def open(self, attempt: AttemptId, arrived: Callable[[int, Qubit], None], use: PairUse | None = None) -> None:
        """Let trials be attempted for a connection; `arrived` takes its halves."""
        share = self.shares[attempt]
        self._keep_slot_start()
        share.arrived, share.use = arrived, use
        self._offer(share)
        self._limit(share)

    def vacate(self, share: MemoryShare) -> None:
        """Free a memory that holds a half of a connection."""
        self._keep_slot_start()
        self.occupied -= 1
        share.held -= 1
        if share.held < share.quota and share.is_here:
            self._reserved += 1
            self._offer(share)
        self._limit(share)

    def change_idle(self, share: MemoryShare, halves: int) -> None:
        """Count idle halves of a connection that begins or ceases to be served."""
        self._keep_slot_start()
        share.idle += halves
        self._note_idle(share)
        self._offer(share)
        self._limit(share)

    def _offer(self, share: MemoryShare) -> None:
        """Note what is reserved for the trials of a connection."""
        if share.is_here:
            if share.arrived is not None and share.idle < share.quota:
                self._offered[share.attempt] = share.reserved
            else:
                self._offered.pop(share.attempt, None)

    def _note_idle(self, share: MemoryShare) -> None:
        """Note until when a connection of which a quota of halves lies idle keeps its trials."""
        if share.idle < share.quota:
            self._keep_until.pop(share, None)
        elif share not in self._keep_until and not share.is_paused:
            due = self._keep_until[share] = self.link.now + self.patience // max(1, share.quota // 2)
            self._next_review = min(self._next_review, due)

    def _pass_over(self) -> None:
        """Pass over the connections that have kept trials too long without any use for them."""
        now = self.link.now
        if self._is_short_of_memories:
            self._next_review = now + self.patience
            return
        for share in [share for share, due in self._keep_until.items() if due <= now]:
            del self._keep_until[share]
            self.passed_over(share)
        self._next_review = min(self._keep_until.values(), default=NEVER)

    @property
    def _is_short_of_memories(self) -> bool:
        """Whether those that use their trials have found no memories for more of them in the slot started last."""
        agreement, start = self.allocation.agreements[-1], self._at_start
        if self._trials[0] is not agreement:  # asked once, as policies of one's own may take long to say it
            self._trials = agreement, attempts_per_slot(self.allocation.policy, agreement)
        trials = sum(self._trials[1].get(one, 0) for one in start.reserved)
        return trials >= sum(start.reserved.values()) + max(0, start.spare)

    # Which trials are attempted. A half has a memory of its connection's quota, or one that is reserved for nobody.

    @property
    def _spare(self) -> int:
        """Free memories that are reserved for nobody."""
        return self.memories - self.occupied - self._reserved

    def limit(self, owner: Owner) -> int:
        """Return below which rank an owner's trials of a slot may be attempted here, as things stand.

        That is a bound: others may take spare memories first. Of trials whose owner is not known, any may be attempted.
        """
        if owner is None:
            offered = self._offered.values()
            return self.link.lanes if any(offered) or (offered and self._spare > 0) else 0
        reserved, spare = self._offered.get(owner), self._spare
        if reserved is None:
            return 0
        return reserved + spare if spare >= 0 else min(max(0, self.memories - self.occupied), reserved)

    def _limit(self, share: MemoryShare) -> None:
        """Inform the link what has changed with the memories of one connection, and perhaps with the spare ones."""
        if self._spare == self._known_spare >= 0 or not self._limit_all():
            self.link.limited(self.end, share.attempt, self.limit(share.attempt))
            self._limit_unknown()
        self._settle()

    def _settle(self) -> None:
        """Let interfaces of the node that share its memories have those that are free now."""
        if self.pool is not None:
            self.pool.settle()

    def _limit_unknown(self) -> None:
        """Inform the link of the limit of the trials whose owner is not known in advance, if there are any."""
        if self.link.has_unknown:
            self.link.limited(self.end, None, self.limit(None))

    def _limit_all(self) -> bool:
        """Inform the link of the limits of all connections, if the spare memories have changed so that it matters."""
        spare, known, most = self._spare, self._known_spare, self.link.most
        self._known_spare = spare
        least = min(spare, known)
        if spare == known >= 0 or least >= most:
            return False
        for attempt in self.shares if least < 0 else [one for one, has in self._offered.items() if has + least < most]:
            self.link.limited(self.end, attempt, self.limit(attempt))
        self._limit_unknown()
        return True

    def _keep_slot_start(self) -> None:
        """Before a change, remember what holds for the slot that has started, where connections share the trials."""
        if (self._several[1] or self.link.has_unknown) and self.link.now > self._kept_until:
            slot = self.link.last_slot(self.end)
            self._kept_until = self.link.start_of((slot + 1) * self.link.lanes, self.end)
            self._slot, self._at_start = slot, self._offer_now()

    def _offer_now(self) -> MemoryOffer:
        return MemoryOffer(self.memories - self.occupied, self._spare, {**self._offered})

    def attempted(self, slot: int, successes: list[SlotSuccess]) -> list[SlotSuccess]:
        """Return those of some trials of a slot that has started that were attempted here.

        If nobody else has trials, those above the limit have been left out already.
        """
        void, void_from = self._void, self.allocation.void_from
        if void or void_from is not None:
            end = NEVER if void_from is None else void_from
            successes = [one for one in successes if one.trial not in void and one.trial < end]
        if not successes or (successes[0].rank is not None and not self._several[slot >= self._several_since]):
            return successes
        start = self._at_start if slot == self._slot else self._offer_now()
        places = [self.link.place(one.trial) for one in successes]
        found = start.attempted(self.link.order(slot, self.end), places)
        return [one for one, place in zip(successes, places, strict=True) if place in found]

    # What the link sees (see `link.LinkSide`)

    def review(self) -> None:
        """Inform the link if trials to come belong to others than before."""
        allocation, reviewed = self.allocation, self._reviewed
        self._reviewed = len(allocation.agreements)
        if self._reviewed == reviewed:
            return
        if allocation.last_barrier is not None:
            self._void = range(allocation.last_barrier, self.link.next_trial(self.end))
        self._review_owners()
        if allocation.barrier:
            self.link.agreed(self.end, allocation.epoch)
        else:
            self.link.reallocated()

    def _review_owners(self) -> None:
        """Note from which slot on several connections share the trials, or one alone has them."""
        several = len({entry.id for _, one in self.regions() if one is not None for entry in one.entries}) > 1
        if several != self._several[1]:
            if not several:
                self._keep_slot_start()
            self._several_since = self.link.last_slot(self.end) + 1
            self._several = self._several[1], several

    def regions(self) -> Sequence[tuple[int, Agreement | None]]:
        """Return who governs the trials that this end has not started: from which trial on, which agreement."""
        return self.allocation.regions(self.link.next_trial(self.end))

    def occupy(self, owner: AttemptId) -> None:
        """Count a memory as filled by a trial that has succeeded."""
        share = self.shares.get(owner)
        self._keep_slot_start()
        self.occupied += 1
        if share is not None:
            self._reserved -= share.held < share.quota
            share.held += 1
            self._offer(share)

    def occupied_all(self, owners: Sequence[AttemptId]) -> None:
        """Inform the link which limits the pairs of a slot have changed, and see who is to pause."""
        self._limit_all()
        if self.link.has_unknown:
            for owner in owners:
                self.link.limited(self.end, owner, self.limit(owner))
            self._limit_unknown()
        if self.link.now >= self._next_review:
            self._pass_over()

    def take(self, owner: AttemptId, half: Qubit, trial: int) -> None:
        """Take in a half that has been heralded."""
        share = self.shares.get(owner)
        if share is None or share.arrived is None:
            self._keep_slot_start()
            self.occupied -= 1
            self._limit_all()
            self._settle()
            trace_out(half)
            return
        half.share = share
        number = share.pairs
        share.pairs = number + 1
        share.arrived(number, half)
