"""Which trials of a link succeed: drawn success by success instead of trial by trial, without any clock running.

In each slot an end attempts at most so many trials as it can find memories for (its *limit*), in an order that both
ends know (see `schedule`); a trial that both ends attempt succeeds with probability P. Drawn are the successes among
the trials whose ranks are below both limits. Which of these an end really attempts (memories may be reserved for
others than its owner) is asked when the slot is heralded: what an end did not attempt has not succeeded.

A geometric draw says how many trials fail before the next success. A `SuccessCandidate` is that success, as long as
nothing changes before its first herald. This stays exact because

- trials are taken in order of rank: if the limit is k, they are the first k of a slot. When k grows only trials of
  ranks above the old k are new, and an earlier candidate among them is stacked on the one that waits already, which
  stays valid;
- when k shrinks, what was drawn for ranks above it is forgotten, whatever it was. A candidate forgotten so leaves only
  failures at the ranks below, thus the search goes on behind its slot;
- when the allocation changes from slot x on, what was drawn for slots before x stays and all the rest is forgotten.
  The draws forgotten depend on x alone, never on what they were, and none has been observed: new ones are as good;
- slots heralded are done and never drawn again; a slot that has started is judged by the allocation and the limits as
  they were at its start, which the regions and the `Limit` of each end remember.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qkdrmp.entanglement.links.policies import Agreement, LinkPolicy, OwnersOfSlots, scramble
from qkdrmp.entanglement.links.schedule import Regions, TrialSchedule, clip, governing
from qkdrmp.entanglement.links.trial_clock import TrialClock
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.units import NEVER

_BATCH = 256

Limits = tuple[int, int]
"""How many trials of a slot the sender and the receiver attempt at the most."""


class SlotSuccess(NamedTuple):
    """A trial that succeeds if both ends attempt it.

    Parameters
    ----------
    trial : int
    rank : int
        Its rank among the trials of the slot that have owners at both ends.
    agreed : bool
        Whether these are all that have owners, so that each end decides on `rank` trials before.
    alone : bool
        Whether all of them have the same owner.
    owners : tuple of AttemptId
        To whom the sender and the receiver give it.
    """

    trial: int
    rank: int
    agreed: bool
    alone: bool
    owners: tuple[AttemptId, AttemptId]


class SuccessGaps:
    """How many independent trials it takes up to and including the next success (>= 1): a geometric law.

    One draw skips all the failures; the mean is 1/P, the variance (1 - P)/P^2.

    Parameters
    ----------
    random : numpy.random.Generator
    probability : float
        Probability P that a trial succeeds (above 0, at most 1).

    Raises
    ------
    ValueError
        If the probability is outside its range.
    """

    def __init__(self, random: np.random.Generator, probability: float) -> None:
        if not 0 < probability <= 1:
            raise ValueError(f"probability = {probability!r} must be above 0 and at most 1")
        self._random = random
        self._probability = probability
        self._drawn: list[int] = []

    def draw(self) -> int:
        """Return the next number of trials."""
        if not self._drawn:
            self._drawn = self._random.geometric(self._probability, _BATCH).tolist()
        return self._drawn.pop()


class Limit:
    """How many trials of a slot an end attempts at the most, and how far that changed too late for the slot started."""

    __slots__ = ("late", "slot", "value")

    def __init__(self) -> None:
        self.value = 0
        self.slot = -1
        self.late = 0

    def at(self, slot: int) -> int:
        """Return the limit of `slot`."""
        return self.value - self.late if slot == self.slot else self.value

    def update(self, slot: int, value: int) -> bool:
        """Set the limit of the slots after `slot`; return whether it has changed."""
        change, self.value = value - self.value, value
        if slot > self.slot:
            self.slot, self.late = slot, change
        elif slot == self.slot:
            self.late += change
        return change != 0


@dataclass(slots=True, eq=False)
class SuccessCandidate:
    """A trial that succeeds unless something changes before it.

    Attributes
    ----------
    slot, rank : int
        The slot of the trial, and its rank among the trials that the slot has.
    limit : int
        Trials of lower ranks than this, in the slots that the candidate covers, are known to fail.
    """

    slot: int
    rank: int
    limit: int


class SuccessSampler:
    """The successes of a link, as a function of a random generator, P, the trial clock, regions and limits.

    What the nodes do with their halves cannot be known in advance, so limits are not looked up: each step is given
    them as an argument, with the tick at which it happens. Each step returns the candidates it has drawn; the caller
    presents each of them (`realise`, then `resume`) at the tick of its first herald, in order of time and after
    everything else that happens at that tick.

    The top of the stack of candidates is the next success. Each covers the slots between the one above it (the top:
    between now) and its own: their trials of ranks below its limit fail. The bottom covers what follows all candidates.

    Parameters
    ----------
    clock : TrialClock
    policy : LinkPolicy
        Says which trials have owners.
    probability : float
        Probability P that a trial attempted by both ends succeeds (above 0, at most 1).
    random : numpy.random.Generator
        Decides which trials succeed.
    """

    def __init__(self, clock: TrialClock, policy: LinkPolicy, probability: float, random: np.random.Generator) -> None:
        self._clock = clock
        self._policy = policy
        self._draw = SuccessGaps(random, probability).draw
        self._owners = OwnersOfSlots(policy, clock.lanes), OwnersOfSlots(policy, clock.lanes)
        self._regions: list[list[tuple[int, Agreement | None]]] = [[(0, None)], [(0, None)]]
        self._schedule = TrialSchedule(policy, clock.lanes, *self._regions)
        self._limits = Limit(), Limit()
        self._stack = [SuccessCandidate(NEVER, -1, 0)]
        self._done = 0  # the first slot that has not been heralded
        self._gap = 0  # how many trials after the slot heralded last the next one succeeds

    def reallocate(self, now: int, regions: tuple[Regions, Regions], limits: Limits) -> Iterable[SuccessCandidate]:
        """Apply changed regions: what governs the trials not yet started at each end, at tick `now`."""
        slots = self._clock.next_slot(0, now), self._clock.next_slot(1, now)
        start, before = min(slots), self._schedule
        self._govern(regions, slots)
        changed = [
            limit.update(slot - 1, value) for limit, slot, value in zip(self._limits, slots, limits, strict=True)
        ]
        begin = start if any(changed) else self._schedule.difference(before, start)
        return self._restart(begin) if begin < NEVER else ()

    def limit(self, now: int, end: int, value: int) -> Iterable[SuccessCandidate]:
        """Apply that an end attempts at most `value` trials of each slot that it has not started at tick `now`."""
        own, other = self._limits[end], self._limits[1 - end]
        before = own.value
        if value == before:
            return ()
        slot = self._clock.next_slot(end, now)
        own.update(slot - 1, value)
        reached = max(slot, self._done)
        least, then = min(value, before), other.at(reached)
        if least >= then and least >= other.value:  # the other end attempts no more than that
            return ()
        return self._grow(reached, min(before, then)) if value > before else self._restart(reached)

    def realise(self, candidate: SuccessCandidate) -> list[SlotSuccess] | None:
        """Return the trials of a candidate's slot that succeed if both ends attempt them; None if it was forgotten.

        The memories of the successes are occupied at both ends before `resume`, which must follow.
        """
        if self._stack[-1] is not candidate:
            return None
        slot, rank = candidate.slot, candidate.rank
        self._stack.pop()
        self._done = slot + 1
        limit = min(self._limit(slot), self._schedule.width(slot))
        found: list[SlotSuccess] = []
        self._gap = 0 if rank < limit else self._draw()
        while rank < limit:
            found += self._success(self._schedule.trial(slot, rank), rank)
            rank += self._draw()
        self._gap = self._gap or rank - limit + 1
        return sorted(found) if len(found) > 1 else found

    def _success(self, trial: int, rank: int) -> list[SlotSuccess]:
        here, there = governing(self._regions[0], trial), governing(self._regions[1], trial)
        agreed = here is there or here == there
        left = self._owner_by(here, trial)
        right = left if agreed else self._owner_by(there, trial)
        if left is None or right is None:  # a lane of a policy of your own that has an owner in some slots only
            return []
        alone = agreed and here is not None and len(here.entries) == 1
        return [SlotSuccess(trial, rank, agreed, alone, (left, right))]

    def _owner_by(self, agreement: Agreement | None, trial: int) -> AttemptId | None:
        return None if agreement is None else self._policy.owner(trial, agreement)

    def owners_before(self, trial: int, end: int) -> list[AttemptId]:
        """Return the owners of the trials of a slot on which an end (0, 1) decides before `trial`, in order."""
        lanes, regions = self._clock.lanes, self._regions[end]
        slot, lane = divmod(trial, lanes)
        begin = scramble(slot) % lanes
        agreement = governing(regions, slot * lanes)
        if agreement is not None and agreement is governing(regions, slot * lanes + lanes - 1):
            owners = self._owners[end].of(slot, agreement)
        else:
            owners = [self._owner_by(governing(regions, one), one) for one in range(slot * lanes, slot * lanes + lanes)]
        before = owners[begin:lane] if lane >= begin else owners[begin:] + owners[:lane]
        return [owner for owner in before if owner is not None]

    def resume(self, limits: Limits) -> Iterable[SuccessCandidate]:
        """Go on behind the slot realised last, with the limits as they are now."""
        self._limits[0].update(self._done - 1, limits[0])
        self._limits[1].update(self._done - 1, limits[1])
        return self._aim(self._done, self._gap)

    def _govern(self, regions: tuple[Regions, Regions], slots: tuple[int, int]) -> None:
        """Let `regions` govern from each end's next slot on."""
        lanes = self._clock.lanes
        since = max(0, min(slots) - 1) * lanes  # the slot before may still await its herald
        for end, slot in enumerate(slots):
            first = slot * lanes
            self._regions[end] = clip(self._regions[end], since, first) + clip(regions[end], first, NEVER)
        self._schedule = TrialSchedule(self._policy, lanes, *self._regions)

    def _limit(self, slot: int) -> int:
        left, right = self._limits
        return min(left.at(slot), right.at(slot))

    # Which trial succeeds next

    def _push(self, slot: int, rank: int, limit: int) -> tuple[SuccessCandidate]:
        candidate = SuccessCandidate(slot, rank, limit)
        self._stack.append(candidate)
        return (candidate,)

    def _aim(self, slot: int, count: int) -> Iterable[SuccessCandidate]:
        """Let the top of the stack be the next success from `slot` on, with limits that hold from there on.

        The next success is the `count`-th trial among those that have not been drawn yet.
        """
        limit = min(self._limits[0].value, self._limits[1].value)
        while True:
            top = self._stack[-1]
            if limit > top.limit:
                found = self._schedule.find(slot, count, limit, top.limit, top.slot)
                if found is None:
                    top.limit = limit
                    return ()
                return self._push(*found, limit)
            top.limit = limit
            if top.rank < limit:
                return ()
            self._stack.pop()
            slot = top.slot + 1

    def _grow(self, slot: int, before: int) -> Iterable[SuccessCandidate]:
        """Draw the trials gained from `slot` on, of which the limit was `before`."""
        if self._stack[-1].slot <= slot:
            return ()  # the rest of that slot is drawn when it is heralded, and later slots after that
        begin, count, drawn = self._try_started(slot, before)
        return self._aim(begin, count) if count else drawn

    def _restart(self, slot: int) -> Iterable[SuccessCandidate]:
        """Forget what was drawn from `slot` on, and draw again unless an earlier candidate remains."""
        slot = max(slot, self._done)
        self._stack = [SuccessCandidate(NEVER, -1, 0), *(one for one in self._stack if one.slot < slot)]
        if len(self._stack) > 1:
            return ()
        begin, count, drawn = self._try_started(slot, 0)
        return self._aim(begin, count) if count else drawn

    def _try_started(self, slot: int, low: int) -> tuple[int, int, Iterable[SuccessCandidate]]:
        """Return where to go on and with which trial, or 0 and the candidate found in `slot` at rank `low` or above.

        Only a slot that has started at one end, with another limit than those to come, is tried here.
        """
        count, limit = self._draw(), self._limit(slot)
        if limit == self._limit(NEVER):
            return slot, count, ()
        fresh = max(0, min(limit, self._schedule.width(slot)) - low)
        if count > fresh:
            return slot + 1, count - fresh, ()
        return slot + 1, 0, self._push(slot, low + count - 1, limit)
