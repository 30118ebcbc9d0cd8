"""Link allocation: how the two ends of a link agree which connections share it, and from which trial on.

An epoch changes the allocation once. Each end sends the list it wants (LAU); both merge the two lists alike. Then each
names the first trial it has not yet promised to the old allocation (Barrier), and both switch at the later one.
Nothing here knows the time: a `LinkEnd` is called with what has happened, and its caller sends what it returns.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from itertools import count, islice

from qkdrmp.entanglement.links.agreement import Agreement, AllocationEntry, AllocationError
from qkdrmp.entanglement.links.epoch import LAU, Barrier, Epoch
from qkdrmp.entanglement.links.policies import LinkPolicy
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.network.layer import Message

SILENT_AFTER = 20
"""After so many tries without an answer the peer counts as silent."""


class NegotiationState(StrEnum):
    """How far an end is with its next epoch: a Barrier is sent as soon as both lists are there.

    STABLE and ARMED ends have closed their epoch and may open the next.
    """

    STABLE = "stable"
    LAU_SENT = "lau-sent"
    BARRIER_SENT = "barrier-sent"
    ARMED = "armed"


def merge(
    active: tuple[AllocationEntry, ...], leading: tuple[AllocationEntry, ...], other: tuple[AllocationEntry, ...]
) -> tuple[AllocationEntry, ...]:
    """Return the next active list: what both ends want, first what is active, then the rest as the leading end has it.

    An entry that one end does not have, not yet or no longer, is left out; one with another weight or priority is new.
    """
    wanted, known = set(other).intersection(leading), set(active)
    return tuple([e for e in active if e in wanted] + [e for e in leading if e in wanted and e not in known])


def places(before: Agreement, entries: tuple[AllocationEntry, ...]) -> tuple[int, ...]:
    """Return the place of each entry: the one it had in the agreement `before`, or the lowest that is free."""
    staying = set(entries)
    old = {entry: place for entry, place in zip(before.entries, before.places, strict=True) if entry in staying}
    new = [entry for entry in entries if entry not in old]
    held = set(old.values())
    free = islice((place for place in count() if place not in held), len(new))
    taken = old | dict(zip(new, free, strict=True))
    return tuple(taken[entry] for entry in entries)


class LinkEnd:
    """One end of a link: its part in the agreement with the other end.

    Every method that changes something returns the messages to send to the peer, in order. While `waiting`, the caller
    calls `timeout` whenever the round-trip time plus a margin has passed since the last message was sent.

    Parameters
    ----------
    link, name, peer : str
        The link, the node at this end, and the one at the other.
    policy : LinkPolicy
        The same at both ends.
    draw : callable
        Draws a random number for each LAU, below 2 to the power of 64.
    lead : int
        How many trials ahead a Barrier looks; ceil(round-trip time / trial time) * lanes keeps the link from stalling.
    skew : int
        Switch so many trials late, to show what goes wrong without a common barrier; 0 otherwise.
    lanes : int
        How many trials of the link run side by side (>= 1).
    barrier : bool
        Whether the ends send each other Barriers; else each switches as soon as it has both lists, at its next trial.

    Attributes
    ----------
    epoch : int
        The last epoch this end has closed.
    agreements : list of Agreement
        All agreements so far; the last one governs from its `since` on, which may be a trial to come.
    """

    def __init__(
        self,
        link: str,
        name: str,
        peer: str,
        policy: LinkPolicy,
        draw: Callable[[], int],
        lead: int = 0,
        skew: int = 0,
        lanes: int = 1,
        barrier: bool = True,
    ) -> None:
        self.link = link
        self.name = name
        self.peer = peer
        self.policy = policy
        self.lead = lead
        self.skew = skew
        self.barrier = barrier
        self.epoch = 0
        self.agreements = [Agreement(lanes=lanes)]
        self._draw = draw
        self._wanted: dict[AttemptId, AllocationEntry] = {}
        self._next = Epoch()
        self._closed = Epoch()
        self._tries = 0

    # What holds now

    @property
    def active(self) -> tuple[AllocationEntry, ...]:
        """The list last agreed on, even if its first trial is still to come."""
        return self.agreements[-1].entries

    @property
    def waiting(self) -> bool:
        """Whether an epoch is open, so that messages of the peer are due."""
        return self._next.is_open

    @property
    def void_from(self) -> int | None:
        """The first trial that is void because the peer's Barrier has not come; None if there is none."""
        return self._next.own_switch

    @property
    def last_barrier(self) -> int | None:
        """The trial this end named in the Barrier of the epoch it closed last; None if that had none."""
        return self._closed.own_switch

    @property
    def silent(self) -> bool:
        """Whether the peer has left so many tries unanswered that its connections are to be aborted."""
        return self._tries >= SILENT_AFTER

    def state(self, highest_started: int) -> NegotiationState:
        """Return how far this end is, given the highest trial it has started (-1: none)."""
        if self.waiting:
            return NegotiationState.LAU_SENT if self.void_from is None else NegotiationState.BARRIER_SENT
        return NegotiationState.ARMED if self.agreements[-1].since > highest_started + 1 else NegotiationState.STABLE

    def may_attempt(self, trial: int) -> bool:
        """Return whether it is known which allocation governs `trial`; between the two Barriers it is not."""
        return self.void_from is None or trial < self.void_from

    def owner(self, trial: int) -> AttemptId | None:
        """Return the connection `trial` belongs to if started now, or None if it is void or nobody's."""
        if not self.may_attempt(trial):
            return None
        index = bisect_right(self.agreements, trial, key=lambda agreement: agreement.since)
        return self.policy.owner(trial, self.agreements[index - 1]) if index else None

    def regions(self, trial: int) -> list[tuple[int, Agreement | None]]:
        """Return what governs the trials from `trial` on: pairs of a first trial and its agreement, None if void."""
        first = max(0, bisect_right(self.agreements, trial, key=lambda agreement: agreement.since) - 1)
        found: list[tuple[int, Agreement | None]] = [(a.since, a) for a in self.agreements[first:]]
        void = self.void_from
        return found if void is None else [*(region for region in found if region[0] < void), (void, None)]

    # What happens

    def add(self, entry: AllocationEntry) -> tuple[Message, ...]:
        """Want `entry` from now on."""
        if entry.weight < 1:
            raise AllocationError(f"weight = {entry.weight} of {entry.id} must be at least 1")
        self._wanted[entry.id] = entry
        return self._review()

    def remove(self, attempt: AttemptId) -> tuple[Message, ...]:
        """Want the connection no longer; unknown ones are ignored."""
        self._wanted.pop(attempt, None)
        return self._review()

    def receive(self, message: LAU | Barrier, highest_started: int) -> tuple[Message, ...]:
        """Take in a message of the peer, having started trials up to `highest_started` (-1: none)."""
        self._tries = 0
        if message.epoch == self.epoch and not message.reply:
            return self._repeat(message)
        if message.epoch != self.epoch + 1:
            return ()
        if isinstance(message, Barrier):
            self._next.peer_barrier = message
            return self._advance(highest_started)
        opened = () if self.waiting else self._open()
        self._next.peer_lau = message
        return opened + self._advance(highest_started)

    def timeout(self) -> tuple[Message, ...]:
        """Send again what the open epoch has sent so far; an epoch is never abandoned."""
        self._tries += self.waiting
        return self._next.sent

    # Steps of an epoch

    def _review(self) -> tuple[Message, ...]:
        """Open an epoch if one is due: for a removal, or for an addition that the last one has not offered."""
        if self.waiting:
            return ()
        wanted, offered = set(self._wanted.values()), self._closed.lau.next if self._closed.lau else ()
        gone, fresh = not wanted.issuperset(self.active), wanted.difference(self.active, offered)
        return self._open() if gone or fresh else ()

    def _open(self) -> tuple[Message, ...]:
        lau = LAU(self.link, self.epoch + 1, self.active, tuple(self._wanted.values()), self._draw())
        self._next.lau = lau
        self._tries = 1
        return (lau,)

    def _advance(self, highest_started: int) -> tuple[Message, ...]:
        """Take the steps of the open epoch that the messages of both ends allow."""
        epoch = self._next
        if epoch.lau is None or epoch.peer_lau is None:
            return ()
        if epoch.merged is None:
            epoch.merged = self._merged(epoch.lau, epoch.peer_lau)
        entries, random = epoch.merged
        if entries == self.active:
            return self._close()
        if not self.barrier:
            return self._switch(1 + highest_started, random, entries)
        sent: tuple[Message, ...] = ()
        if epoch.barrier is None:
            epoch.barrier = Barrier(self.link, self.epoch + 1, 1 + highest_started + self.lead)
            sent = (epoch.barrier,)
        if epoch.switch is None:
            return sent
        return sent + self._switch(epoch.switch + self.skew, random, entries)

    def _switch(self, since: int, random: int, entries: tuple[AllocationEntry, ...]) -> tuple[Message, ...]:
        """Switch to another list at a trial."""
        before = self.agreements[-1]
        agreement = Agreement(self.epoch + 1, since, random, entries, places(before, entries), before.lanes)
        self.agreements.append(agreement)
        return self._close()

    def _merged(self, mine: LAU, peers: LAU) -> tuple[tuple[AllocationEntry, ...], int]:
        """Return the next active list and the higher of the random numbers; of equal ones the lower name leads."""
        if mine.active != peers.active:
            raise AllocationError(f"{self.name} and {self.peer} disagree on who shares link {self.link} now.")
        ahead = mine.random > peers.random or (mine.random == peers.random and self.name < self.peer)
        leading, other = (mine, peers) if ahead else (peers, mine)
        return merge(mine.active, leading.next, other.next), leading.random

    def _close(self) -> tuple[Message, ...]:
        """Close the epoch, whose messages are kept for the peer, and open the next one if something has changed."""
        self._closed, self._next = self._next, Epoch()
        self._tries = 0
        self.epoch += 1
        return self._review()

    def _repeat(self, message: LAU | Barrier) -> tuple[Message, ...]:
        """Send the peer again what it lacks of the closed epoch; a peer that sent its Barrier has our LAU."""
        missing = self._closed.sent if isinstance(message, LAU) else self._closed.sent[1:]
        return tuple(replace(said, reply=True) for said in missing)
