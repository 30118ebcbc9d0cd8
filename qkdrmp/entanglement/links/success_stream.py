"""The successes among some trials of a link: drawn success by success instead of trial by trial.

In each slot an end attempts at most so many of the trials as it can find memories for (its *limit*), in an order that
both ends know (see `own_trials`); a trial that both ends attempt succeeds with probability P. A geometric draw says how
many trials fail before the next success. A `SuccessCandidate` is that success, as long as nothing changes before its
first herald. This stays exact because

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

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from qkdrmp.entanglement.links.schedule import Owner, TrialSchedule
from qkdrmp.kernel.units import NEVER

_BATCH = 256

Limits = tuple[int, int]
"""How many trials of a slot the sender and the receiver attempt at the most."""


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

    def update(self, slot: int, value: int) -> None:
        """Set the limit of the slots after `slot`."""
        change, self.value = value - self.value, value
        if slot > self.slot:
            self.slot, self.late = slot, change
        elif slot == self.slot:
            self.late += change


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


class SuccessStream:
    """The successes of the trials of one owner, as a function of random gaps, the schedule and the limits of the ends.

    What the nodes do with their halves cannot be known in advance, so limits are not looked up: each step is given
    them as an argument, with the slot from which on they hold. Each step returns the candidates it has drawn; the
    caller presents each of them (`realise`, then `resume`) at its first herald, in order of time and after everything
    else that happens at that tick.

    The top of the stack of candidates is the next success. Each covers the slots between the one above it (the top:
    between now) and its own: their trials of ranks below its limit fail. The bottom covers what follows all candidates.

    Parameters
    ----------
    owner : AttemptId or None
        Whose trials they are (see `schedule.Owner`).
    draw : callable
        Draws after how many trials the next success comes (see `SuccessGaps`).
    """

    def __init__(self, owner: Owner, draw: Callable[[], int]) -> None:
        self.owner = owner
        self._draw = draw
        self._schedule: TrialSchedule
        self._bounds = 0, 0
        self._limits = Limit(), Limit()
        self._stack = [SuccessCandidate(NEVER, -1, 0)]
        self._done = 0  # the first slot that has not been heralded

    def reschedule(self, schedule: TrialSchedule, begin: int) -> Iterable[SuccessCandidate]:
        """Apply a schedule that differs from the one before from slot `begin` on (`NEVER`: it does not)."""
        self._schedule = schedule
        if begin == NEVER:
            return ()
        self._bounds = schedule.bounds(self.owner)
        return self._restart(begin)

    def relimit(self, slots: tuple[int, int], limits: Limits, begin: int) -> Iterable[SuccessCandidate]:
        """Apply the limits of the slots that each end has not started, of which `begin` is the first."""
        changed = False
        for limit, slot, value in zip(self._limits, slots, limits, strict=True):
            changed |= limit.value != value
            limit.update(slot - 1, value)
        return self._restart(begin) if changed else ()

    def limit_of(self, end: int) -> int:
        """Return how many trials of a slot to come an end attempts at the most."""
        return self._limits[end].value

    def limit(self, end: int, slot: int, value: int) -> Iterable[SuccessCandidate]:
        """Apply that an end attempts at most `value` trials of each slot from `slot` on, which it has not started."""
        own, other = self._limits[end], self._limits[1 - end]
        before, after = self._ranks(own.value), self._ranks(value)
        own.update(slot - 1, value)
        if before == after:
            return ()
        slot = max(slot, self._done)
        least, then = min(before, after), self._ranks(other.at(slot))
        if least >= then and least >= self._ranks(other.value):  # the other end attempts no more than that
            return ()
        return self._grow(slot, min(before, then)) if after > before else self._restart(slot)

    def realise(self, candidate: SuccessCandidate) -> list[tuple[int, int]] | None:
        """Return the trials of a candidate's slot that succeed if both ends attempt them, each with its rank.

        None if the candidate was forgotten. Otherwise the memories of the successes are occupied at both ends, and then
        `resume` follows.
        """
        if self._stack[-1] is not candidate:
            return None
        slot, rank = candidate.slot, candidate.rank
        self._stack.pop()
        self._done = slot + 1
        limit = min(*(limit.at(slot) for limit in self._limits), self._schedule.width(self.owner, slot))
        found = []
        while rank < limit:
            found.append((self._schedule.trial(self.owner, slot, rank), rank))
            rank += self._draw()
        return found

    def resume(self, limits: Limits) -> Iterable[SuccessCandidate]:
        """Go on behind the slot realised last, with the limits as they are now."""
        self._limits[0].update(self._done - 1, limits[0])
        self._limits[1].update(self._done - 1, limits[1])
        return self._aim(self._done, self._draw())

    def _ranks(self, limit: int) -> int:
        """Return below which rank trials are drawn: where slots differ in how many they have, perhaps all of them."""
        least, most = self._bounds
        return limit if limit <= least else most

    def _limit(self, slot: int) -> int:
        left, right = self._limits
        return self._ranks(min(left.at(slot), right.at(slot)))

    # Which trial succeeds next

    def _push(self, slot: int, rank: int, limit: int) -> tuple[SuccessCandidate]:
        candidate = SuccessCandidate(slot, rank, limit)
        self._stack.append(candidate)
        return (candidate,)

    def _aim(self, slot: int, count: int) -> Iterable[SuccessCandidate]:
        """Let the top of the stack be the next success from `slot` on, with limits that hold from there on.

        The next success is the `count`-th trial among those that have not been drawn yet.
        """
        limit = self._ranks(min(self._limits[0].value, self._limits[1].value))
        while True:
            top = self._stack[-1]
            if limit > top.limit:
                found = self._schedule.find(self.owner, slot, count, limit, top.limit, top.slot)
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
        self._stack[0].limit = 0
        if len(self._stack) > 1:
            self._stack[1:] = [one for one in self._stack[1:] if one.slot < slot]
        if len(self._stack) > 1 or not (self._limit(slot) or self._limit(NEVER)):
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
        fresh = max(0, min(limit, self._schedule.width(self.owner, slot)) - low)
        if count > fresh:
            return slot + 1, count - fresh, ()
        return slot + 1, 0, self._push(slot, low + count - 1, limit)
