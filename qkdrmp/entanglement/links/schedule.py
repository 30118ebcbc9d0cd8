"""The trial schedule of a link: whose the trials are, slot by slot, from now on without end, as both ends see it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from qkdrmp.entanglement.links.agreement import Agreement
from qkdrmp.entanglement.links.own_trials import FixedLanes, OwnTrials, SlotOrder, TrialsByOwner
from qkdrmp.entanglement.links.policies import LinkPolicy, owned_lanes_of, period_of
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.units import NEVER

Regions = Sequence[tuple[int, Agreement | None]]
"""First trials in ascending order, each with the agreement that governs from there on (None: void)."""

Owner = AttemptId | None
"""Whose trials are looked for; None for all of which it is not known in advance to whom the two ends give them."""


class Trials(Protocol):
    """The trials of slots that are alike, by owner."""

    def __iter__(self) -> Iterator[Owner]:
        """Iterate over the owners."""

    def get(self, owner: Owner, /) -> FixedLanes | OwnTrials | None:
        """Return the trials of an owner; None if it has none."""


class Stretch(NamedTuple):
    """Slots in a row that are alike.

    Parameters
    ----------
    first, end : int
        The first slot, and the first one after them.
    trials : Trials
        Those that have owners at both ends.
    """

    first: int
    end: int
    trials: Trials


class TrialSchedule:
    """Which trials of a link have owners at both ends, from now on without end, as both ends see it now.

    Parameters
    ----------
    policy : LinkPolicy
    lanes : int
        How many trials run side by side.
    left, right : sequence of (int, Agreement or None)
        The regions at the sender and at the receiver, beginning at the same trial.
    earlier : TrialSchedule, optional
        One that holds until now, so that what it has worked out for an agreement need not be worked out again.

    Attributes
    ----------
    owners : dict of (AttemptId or None)
        All of them, in order; the values mean nothing.
    """

    def __init__(
        self, policy: LinkPolicy, lanes: int, left: Regions, right: Regions, earlier: TrialSchedule | None = None
    ) -> None:
        self._policy = policy
        self._lanes = lanes
        self._known: list[tuple[Agreement, TrialsByOwner]] = [] if earlier is None else earlier._known[-3:]
        starts = sorted({start for start, _ in (*left, *right)})
        self._segments = [(start, governing(left, start), governing(right, start)) for start in starts]
        self._stretches = list(self._plan())
        self._bounds: dict[Owner, tuple[int, int]] = {}
        self._firsts = [stretch.first for stretch in self._stretches]
        self.owners = dict.fromkeys(owner for stretch in self._stretches for owner in stretch.trials)

    def bounds(self, owner: Owner) -> tuple[int, int]:
        """Return the least and the most trials that a slot has of an owner, where it has any."""
        bounds = self._bounds.get(owner)
        if bounds is None:
            found = [trials for stretch in self._stretches if (trials := stretch.trials.get(owner)) is not None]
            bounds = (min(one.least for one in found), max(one.most for one in found)) if found else (0, 0)
            self._bounds[owner] = bounds
        return bounds

    def trial(self, owner: Owner, slot: int, rank: int) -> int:
        """Return the trial of a rank among the owner's trials of a slot, in the order in which they are attempted."""
        trials = self._at(slot).trials.get(owner)
        if trials is None or rank >= trials.width(slot):
            raise IndexError(f"{owner} has no trial {rank} in slot {slot}")
        return trials.trial(slot, rank)

    def find(self, owner: Owner, slot: int, count: int, free: int, skip: int, until: int) -> tuple[int, int] | None:
        """Return the slot of a trial and its rank in it, or None if there are not so many trials.

        Parameters
        ----------
        owner : AttemptId or None
            Whose trials count.
        slot, until : int
            Where to begin, and before which slot to stop.
        count : int
            Which of the trials to find, from 1.
        free, skip : int
            Only trials of the ranks from `skip` to `free` - 1 of each slot count; where slots differ in how many they
            have, perhaps some more.
        """
        for first, end, by_owner in self._stretches[bisect_right(self._firsts, slot) - 1 :]:
            begin, stop = max(first, slot), min(end, until)
            if begin >= until:
                break
            trials = by_owner.get(owner)
            if trials is None:
                continue
            there = trials.count(begin, stop, free, skip)
            if count <= there:
                return trials.find(begin, count, free, skip)
            count -= there
        return None

    def width(self, owner: Owner, slot: int) -> int:
        """Return how many trials of a slot an owner has."""
        trials = self._at(slot).trials.get(owner)
        return 0 if trials is None else trials.width(slot)

    def difference(self, other: TrialSchedule, slot: int) -> int:
        """Return the first slot from `slot` on in which `other` differs from this, or `NEVER`."""
        starts = {start for start, _, _ in (*self._stretches, *other._stretches) if start > slot}
        return next((at for at in (slot, *sorted(starts)) if self._at(at).trials != other._at(at).trials), NEVER)

    def order(self, slot: int, agreement: Agreement) -> SlotOrder | None:
        """Return the order of a slot under an agreement; None if it is not known whether owners repeat."""
        known = self._by_owner(agreement)
        return None if known is None else known.order(slot)

    def _at(self, slot: int) -> Stretch:
        return self._stretches[bisect_right(self._firsts, slot) - 1]

    def _plan(self) -> Iterator[Stretch]:
        """Yield the stretches; a slot in which something changes stands alone."""
        lanes = self._lanes
        reached = self._segments[0][0] // lanes
        for (start, left, right), (stop, _, _) in pairwise([*self._segments, (NEVER * lanes, None, None)]):
            if reached * lanes < start:
                yield Stretch(reached, reached + 1, self._together(self._mixed(reached)))
                reached += 1
            if reached * lanes < stop // lanes * lanes:
                yield Stretch(reached, stop // lanes, self._trials(left, right))
                reached = stop // lanes

    def _trials(self, left: Agreement | None, right: Agreement | None) -> Trials:
        if left is None or right is None:
            return {}
        if left is right or left == right:
            known = self._by_owner(left)
            if known is not None:
                return known
        return self._together(self._common(left, right))

    def _by_owner(self, agreement: Agreement) -> TrialsByOwner | None:
        for one, trials in reversed(self._known):
            if one is agreement or one == agreement:
                return trials
        period = period_of(self._policy, agreement)
        if period is None:
            return None
        trials = TrialsByOwner(self._policy, agreement, self._lanes, period)
        self._known.append((agreement, trials))
        return trials

    def _together(self, lanes: Collection[int]) -> Trials:
        return {None: FixedLanes(lanes, self._lanes)} if lanes else {}

    def _common(self, left: Agreement | None, right: Agreement | None) -> frozenset[int]:
        if left is None or right is None:
            return frozenset()
        return frozenset(owned_lanes_of(self._policy, left)).intersection(owned_lanes_of(self._policy, right))

    def _mixed(self, slot: int) -> frozenset[int]:
        """Return the lanes of a slot in which something changes."""
        begin, found = slot * self._lanes, set()
        for lane in range(self._lanes):
            _, left, right = self._segments[bisect_right(self._segments, begin + lane, key=lambda one: one[0]) - 1]
            found |= {lane} & self._common(left, right)
        return frozenset(found)


def governing(regions: Regions, trial: int) -> Agreement | None:
    """Return the agreement of `regions` that governs `trial`."""
    if len(regions) == 1:
        return regions[0][1]
    return regions[max(0, bisect_right(regions, trial, key=lambda region: region[0]) - 1)][1]


def clip(regions: Regions, first: int, end: int) -> list[tuple[int, Agreement | None]]:
    """Return the part of `regions` from trial `first` on and before trial `end`."""
    ends = [*(start for start, _ in regions[1:]), NEVER]
    clipped = zip(regions, ends, strict=True)
    return [
        (max(start, first), agreement) for (start, agreement), stop in clipped if stop > first and start < end > first
    ]
