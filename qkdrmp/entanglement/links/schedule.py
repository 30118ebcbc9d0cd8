"""The trial schedule of a link: which lanes both ends have given away, slot by slot, from now on without end.

Who owns a trial is asked of the policy when the trial has succeeded. To draw successes it is enough to know how many
trials of a slot have owners, which does not change while an agreement holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from qkdrmp.entanglement.links.policies import Agreement, LinkPolicy, owned_lanes_of, scramble
from qkdrmp.kernel.units import NEVER

Regions = Sequence[tuple[int, Agreement | None]]
"""First trials in ascending order, each with the agreement that governs from there on (None: void)."""


class Stretch(NamedTuple):
    """Slots in a row that are alike.

    Parameters
    ----------
    first, end : int
        The first slot, and the first one after them.
    lanes : frozenset of int
        The lanes that have owners at both ends.
    """

    first: int
    end: int
    lanes: frozenset[int]


class TrialSchedule:
    """Which trials of a link have owners at both ends, from now on without end, as both ends see it now.

    The trials of a slot are attempted in an order that starts at a lane drawn by lot from the slot's number: where
    memories do not suffice for all, none of the owners is favoured.

    Parameters
    ----------
    policy : LinkPolicy
    lanes : int
        How many trials run side by side.
    left, right : sequence of (int, Agreement or None)
        The regions at the sender and at the receiver, beginning at the same trial.
    """

    def __init__(self, policy: LinkPolicy, lanes: int, left: Regions, right: Regions) -> None:
        self._policy = policy
        self._lanes = lanes
        starts = sorted({start for start, _ in (*left, *right)})
        self._segments = [(start, governing(left, start), governing(right, start)) for start in starts]
        self._stretches = list(self._plan())
        self._firsts = [stretch.first for stretch in self._stretches]

    def trial(self, slot: int, rank: int) -> int:
        """Return the trial of a rank among those of a slot that have owners at both ends."""
        lanes, count = self._at(slot).lanes, self._lanes
        if len(lanes) == count:
            return slot * count + (scramble(slot) + rank) % count
        return slot * count + order(slot, lanes, count)[rank]

    def find(self, slot: int, count: int, free: int, skip: int = 0, until: int = NEVER) -> tuple[int, int] | None:
        """Return the slot of a trial and its rank in it, or None if there are not so many trials.

        Parameters
        ----------
        slot, until : int
            Where to begin, and before which slot to stop.
        count : int
            Which of the trials to find, from 1.
        free, skip : int
            Only trials of the ranks from `skip` to `free` - 1 of each slot count.
        """
        for first, end, lanes in self._stretches[bisect_right(self._firsts, slot) - 1 :]:
            begin, stop, width = max(first, slot), min(end, until), min(free, len(lanes)) - skip
            if begin >= until:
                break
            if width <= 0:
                continue
            if count <= (stop - begin) * width:
                slots, rank = divmod(count - 1, width)
                return begin + slots, skip + rank
            count -= (stop - begin) * width
        return None

    def width(self, slot: int) -> int:
        """Return how many trials of a slot have owners at both ends."""
        return len(self._at(slot).lanes)

    def difference(self, other: TrialSchedule, slot: int) -> int:
        """Return the first slot from `slot` on in which `other` differs from this, or `NEVER`."""
        starts = {start for start, _, _ in (*self._stretches, *other._stretches) if start > slot}
        return next((at for at in (slot, *sorted(starts)) if self._at(at).lanes != other._at(at).lanes), NEVER)

    def _at(self, slot: int) -> Stretch:
        return self._stretches[bisect_right(self._firsts, slot) - 1]

    def _plan(self) -> Iterator[Stretch]:
        """Yield the stretches; a slot in which something changes stands alone."""
        lanes = self._lanes
        reached = self._segments[0][0] // lanes
        for (start, left, right), (stop, _, _) in pairwise([*self._segments, (NEVER * lanes, None, None)]):
            if reached * lanes < start:
                yield Stretch(reached, reached + 1, self._mixed(reached))
                reached += 1
            if reached * lanes < stop // lanes * lanes:
                yield Stretch(reached, stop // lanes, self._common(left, right))
                reached = stop // lanes

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


def order(slot: int, lanes: Iterable[int], count: int) -> list[int]:
    """Return some of the `count` lanes of a link in the order in which the trials of a slot are attempted."""
    begin = scramble(slot) % count
    return sorted(lanes, key=lambda lane: (lane - begin) % count)


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
