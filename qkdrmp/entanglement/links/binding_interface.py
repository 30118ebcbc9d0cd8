"""Interfaces of links whose pairs are nobody's at first: trials are made for the link, and each pair is bound later.

Halves that are not bound yet may be in any memory that is free. So that no connection takes the memories of another,
one is only bound to a connection that has less than its quota there, or if something is left of the memories of that
end after the sum, over all connections, of the greater of quota and halves. This holds for both ends. Each connection
can then always get its quota: from memories that are free, or from unbound halves, which may be bound to it.

The end that binds attempts no more trials while as many halves are unbound as may lie idle: what the quotas of all that
share the link exceed their idle halves by. More would only grow old.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import ClassVar

from qkdrmp.entanglement.links.agreement import AllocationEntry
from qkdrmp.entanglement.links.bind import Bind
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.links.memory_share import MemoryShare, PairUse
from qkdrmp.entanglement.links.negotiation import LinkEnd
from qkdrmp.entanglement.links.schedule import Owner
from qkdrmp.entanglement.links.success_sampler import SlotSuccess
from qkdrmp.entanglement.quantum.cut_off import CutOff
from qkdrmp.entanglement.quantum.pairs import Qubit, trace_out
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.environment import Environment


class BindingShare(MemoryShare):
    """What a connection has at an interface to which pairs are bound.

    Attributes
    ----------
    there : int
        Halves bound to it by this end whose memories at the other end are not free again as far as is known.
    finish : Fraction
        When its last turn ended (see `BindingInterface.turn`).
    """

    __slots__ = ("finish", "there")

    interface: BindingInterface

    def __init__(self, interface: BindingInterface, attempt: AttemptId, quota: int) -> None:
        super().__init__(interface, attempt, quota)
        self.there = 0
        self.finish = Fraction(0)

    def add_idle(self, halves: int) -> None:
        """Count halves that wait for a rule to take them."""
        self.interface.change_idle(self, halves)
        if self.is_paused and self.idle <= self.resume:
            self.interface.drained(self)


class BindingInterface(Interface):
    """A node's end of a link whose pairs are bound.

    Parameters
    ----------
    env : Environment
    node, peer : str
    end : int
    memories : int
    pairs_per_s, fidelity : float
    allocation : LinkEnd
        See `Interface`.
    is_binder : bool
        Whether this end says whose a pair is.
    memories_there : int
        At the other end; 0 if its interfaces share them, and more than the quotas must not be taken for granted.
    cutoff : int, optional
        After how many ticks the binder discards a half that is not bound.

    Attributes
    ----------
    unbound : dict of int to Qubit
        The halves that are not bound, by trial, the oldest first.
    serve : callable
        Called when more can be bound than before.
    send_bind : callable
        Sends a BIND to the other end.
    send_vacated : callable
        Called with a connection when a memory with a half of it is free again.
    """

    binds_late: ClassVar[bool] = True
    shares: dict[AttemptId, BindingShare]  # type: ignore[assignment]

    def __init__(
        self,
        env: Environment,
        node: str,
        peer: str,
        end: int,
        memories: int,
        pairs_per_s: float,
        fidelity: float,
        allocation: LinkEnd,
        is_binder: bool,
        memories_there: int,
        cutoff: int | None = None,
    ) -> None:
        super().__init__(node, peer, end, memories, pairs_per_s, fidelity, allocation)
        self.is_binder = is_binder
        self.memories_there = memories_there
        self._cut_off = None if cutoff is None else CutOff(env, cutoff, self._is_unbound, self._discard)
        self.unbound: dict[int, Qubit] = {}
        self.entries: dict[AttemptId, AllocationEntry] = {}
        self.serve: Callable[[], None] = lambda: None
        self.serve_soon: Callable[[], None] = lambda: None
        self.send_bind: Callable[[Bind], None] = lambda bind: None
        self.send_vacated: Callable[[AttemptId], None] = lambda attempt: None
        self._early: dict[int, Bind] = {}
        self._unbound = 0
        self._virtual = Fraction(0)

    # Shares

    def hold(self, attempt: AttemptId, quota: int) -> None:
        """Reserve memories for a connection."""
        self.shares[attempt] = BindingShare(self, attempt, quota)
        self._requota()

    def release(self, attempt: AttemptId) -> None:
        """Release the memories of a connection; once nobody has any, unbound halves are discarded."""
        super().release(attempt)
        if self.is_binder and not self.shares:
            for half in [*self.unbound.values()]:
                self._discard(half)

    def open(self, attempt: AttemptId, arrived: Callable[[int, Qubit], None], use: PairUse | None = None) -> None:
        """Let pairs be bound to a connection (see `Interface.open`)."""
        super().open(attempt, arrived, use)
        self.serve()

    def vacate(self, share: MemoryShare) -> None:
        """Free a memory that holds a half of a connection."""
        super().vacate(share)
        if not self.is_binder and share.is_here:
            self.send_vacated(share.attempt)
        self.serve()

    def change_idle(self, share: MemoryShare, halves: int) -> None:
        """Count idle halves of a connection."""
        share.idle += halves
        self._note_idle(share)
        self._limit()
        if halves < 0 and share.idle < share.quota <= share.idle - halves:
            self.serve_soon()  # not within the rule that has taken them, which goes on

    # Which trials are attempted

    def limit(self, owner: Owner) -> int:
        """Return below which rank trials of a slot are attempted here, as things stand; all belong together."""
        free = max(0, self.memories - self.occupied)
        if not (self.is_binder and free):
            return free
        shares = (self.shares.get(attempt) for attempt in self.entries)
        may_idle = sum(max(0, s.quota - s.idle) for s in shares if s is not None and s.arrived is not None)
        return free if may_idle > self._unbound else 0

    def attempted(self, slot: int, successes: list[SlotSuccess]) -> list[SlotSuccess]:
        """Return them all: no trial has an owner who could lack a memory, and those below the limit are attempted."""
        return successes

    def _limit(self, share: MemoryShare | None = None) -> None:
        self.link.limited(self.end, None, self.limit(None))
        self._settle()

    def _limit_all(self) -> bool:
        self._limit()
        return True

    @property
    def _is_short_of_memories(self) -> bool:
        """False: what nobody has a use for yet waits in memories that all share."""
        return False

    def _keep_slot_start(self) -> None:
        """Do nothing: the limit says all."""

    def review(self) -> None:
        """Inform the link if the list of those that share it has changed."""
        super().review()
        self.entries = {entry.id: entry for entry in self.allocation.active}
        self._limit()
        self.serve()

    def occupy(self, owner: AttemptId) -> None:
        """Count a memory as filled by a trial that has succeeded."""
        self.occupied += 1
        self._unbound += 1

    def occupied_all(self, owners: Sequence[AttemptId]) -> None:
        """Do nothing: the link has asked for the limit."""

    def take(self, owner: AttemptId, half: Qubit, trial: int) -> None:
        """Take in a half that has been heralded."""
        self.unbound[trial] = half
        half.number = trial
        if not self.is_binder:
            if trial in self._early:
                self.bound(self._early.pop(trial))
        elif not self.shares:
            self._discard(half)
        else:
            self.serve()
            if self._cut_off is not None:
                self._cut_off.add(half)

    # Whose a pair is

    def is_open_to(self, share: BindingShare) -> bool:
        """Return whether the binder may bind a half to a connection: both ends want it, and have the memories."""
        if share.arrived is None or share.is_paused or share.attempt not in self.entries:
            return False
        shares = self.shares.values()
        return (share.held < share.quota or sum(max(s.held, s.quota) for s in shares) < self.memories) and (
            share.there < share.quota or sum(max(s.there, s.quota) for s in shares) < self.memories_there
        )

    def turn(self, share: BindingShare) -> Fraction:
        """Return when it is the turn of a connection: the earliest has been given the fewest pairs for its weight.

        Each turn takes 1/weight. Who has had no use for pairs for a while does not get more afterwards (start-time fair
        queueing: Goyal, Vin and Cheng, IEEE/ACM Trans. Netw. 5, 690 (1997)).
        """
        return max(self._virtual, share.finish)

    def bind(self, share: BindingShare) -> None:
        """Bind the oldest half to a connection."""
        self._virtual = start = self.turn(share)
        share.finish = start + Fraction(1, self.entries[share.attempt].weight)
        trial = next(iter(self.unbound))
        bind = Bind(self.allocation.link, trial, share.attempt, share.pairs)
        share.there += 1
        self.send_bind(bind)
        self.bound(bind)

    def _is_unbound(self, half: Qubit) -> bool:
        return self.unbound.get(half.number) is half

    def _discard(self, half: Qubit) -> None:
        """Discard a half that is not bound."""
        bind = Bind(self.allocation.link, half.number, None, 0)
        self.send_bind(bind)
        self.bound(bind)

    def bound(self, bind: Bind) -> None:
        """Give a half to the connection that a BIND names; one that is not heralded yet, as soon as it is."""
        half = self.unbound.pop(bind.trial, None)
        if half is None:
            self._early[bind.trial] = bind
            return
        self._unbound -= 1
        share = None if bind.attempt is None else self.shares.get(bind.attempt)
        if share is None or share.arrived is None:
            self.occupied -= 1
            trace_out(half)
            self._limit()
            return
        share.held += 1
        share.pairs += 1
        half.share = share
        self._limit()
        share.arrived(bind.number, half)
        if not self.is_binder and self.link.now >= self._next_review:
            self._pass_over()

    def vacated(self, attempt: AttemptId) -> None:
        """Note that a memory with a half of a connection is free again at the other end."""
        share = self.shares.get(attempt)
        if share is not None:
            share.there -= 1
            self.serve()
