"""Trials of a link that belong together: which of them come in which slot, and in which order they are attempted.

The trials of a slot are attempted in an order that starts at a lane drawn by lot from the slot's number: where memories
do not suffice for all, none of the owners is favoured.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from qkdrmp.entanglement.links.agreement import Agreement
from qkdrmp.entanglement.links.policies import LinkPolicy, scramble
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.units import NEVER


@lru_cache(maxsize=256)
def first_lane(slot: int, lanes: int) -> int:
    """Return the lane at which the order of a slot starts."""
    return scramble(slot) % lanes


def order(slot: int, lanes: Iterable[int], count: int) -> list[int]:
    """Return some of the `count` lanes of a link in the order in which the trials of a slot are attempted."""
    begin = first_lane(slot, count)
    return sorted(lanes, key=lambda lane: (lane - begin) % count)


class SlotOrder(NamedTuple):
    """Whose the trials of a slot are, in the order in which they are attempted.

    Parameters
    ----------
    owners : sequence of (AttemptId or None)
        Each owner once.
    turns : sequence of int
        Which of them each trial belongs to.
    """

    owners: Sequence[AttemptId | None]
    turns: Sequence[int]


def turns_of(owners: Sequence[AttemptId | None]) -> list[int]:
    """Return, for each of some owners, its number among those that differ (see `SlotOrder`)."""
    numbers = {owner: number for number, owner in enumerate(dict.fromkeys(owners))}
    return [numbers[owner] for owner in owners]


class FixedLanes:
    """The trials of some lanes, the same ones in each slot.

    Parameters
    ----------
    own : collection of int
        These lanes.
    lanes : int
        How many lanes the link has.

    Attributes
    ----------
    least, most : int
        How many a slot has.
    """

    def __init__(self, own: Collection[int], lanes: int) -> None:
        self.least = self.most = len(own)
        self._own = sorted(own)
        self._lanes = lanes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FixedLanes) and self._own == other._own

    def __hash__(self) -> int:
        return hash(tuple(self._own))

    def width(self, slot: int) -> int:
        """Return how many of the trials come in a slot."""
        return self.most

    def trial(self, slot: int, rank: int) -> int:
        """Return the trial of a rank in the order of a slot."""
        begin = bisect_left(self._own, first_lane(slot, self._lanes))
        return slot * self._lanes + self._own[(begin + rank) % self.most]

    def count(self, first: int, end: int, free: int, skip: int) -> int:
        """Return how many trials of the ranks from `skip` to `free` - 1 the slots from `first` up to `end` have."""
        return max(0, min(free, self.most) - skip) * (end - first)

    def find(self, first: int, count: int, free: int, skip: int) -> tuple[int, int]:
        """Return the slot and the rank of the `count`-th (from 1) of these trials, which must exist."""
        slots, rank = divmod(count - 1, min(free, self.most) - skip)
        return first + slots, skip + rank


class OwnTrials:
    """The trials of one owner, where the owners of a link repeat.

    Slots differ in how many of them they have. Ranks count up to the number that every slot has: of more
    than that, `count` and `find` take in all that a slot has.

    Parameters
    ----------
    places : sequence of int
        Where in the period the owner's trials are, in ascending order; at least one.
    period : int
        After how many trials the owners repeat.
    lanes : int
        How many lanes the link has.

    Attributes
    ----------
    least, most : int
        No slot has fewer, or more of them.
    """

    def __init__(self, places: Sequence[int], period: int, lanes: int) -> None:
        self._places = places
        self._period = period
        self._lanes = lanes
        if len(places) == 1:
            self.least, self.most = lanes // period, -(-lanes // period)
        else:
            self.least = min(self.before(place + 1 + lanes) - self.before(place + 1) for place in places)
            self.most = max(self.before(place + lanes) - self.before(place) for place in places)

    def before(self, trial: int) -> int:
        """Return how many of them have lower numbers than `trial`."""
        periods, place = divmod(trial, self._period)
        return periods * len(self._places) + bisect_left(self._places, place)

    def _numbered(self, index: int) -> int:
        """Return the trial before which there are `index` others."""
        periods, place = divmod(index, len(self._places))
        return periods * self._period + self._places[place]

    def width(self, slot: int) -> int:
        """Return how many of the trials come in a slot."""
        return self.before((slot + 1) * self._lanes) - self.before(slot * self._lanes)

    def trial(self, slot: int, rank: int) -> int:
        """Return the trial of a rank in the order of a slot."""
        start = slot * self._lanes
        index = self.before(start + first_lane(slot, self._lanes)) + rank
        end = self.before(start + self._lanes)
        return self._numbered(index if index < end else self.before(start) + index - end)

    def _ranks(self, limit: int) -> int:
        return limit if limit <= self.least else self.most

    def count(self, first: int, end: int, free: int, skip: int) -> int:
        """Return how many trials of the ranks from `skip` to `free` - 1 the slots from `first` up to `end` have.

        `NEVER` if there is no end of them.
        """
        low, high = self._ranks(skip), self._ranks(free)
        if high <= low:
            return 0
        if end == NEVER:
            return NEVER
        if high <= self.least:
            return (high - low) * (end - first)
        return self.before(end * self._lanes) - self.before(first * self._lanes) - low * (end - first)

    def find(self, first: int, count: int, free: int, skip: int) -> tuple[int, int]:
        """Return the slot and the rank of the `count`-th (from 1) of these trials, which must exist."""
        low, high = self._ranks(skip), self._ranks(free)
        if high <= self.least:
            slots, rank = divmod(count - 1, high - low)
            return first + slots, low + rank
        own, period, lanes = len(self._places), self._period, self._lanes
        slot = first + (count - 1) * period // (own * lanes - low * period)  # the one due: right, or one near it
        start = self.before(first * lanes)
        before, after = (self.before(at * lanes) - start - low * (at - first) for at in (slot, slot + 1))
        while before >= count:
            slot, after = slot - 1, before
            before = self.before(slot * lanes) - start - low * (slot - first)
        while after < count:
            slot, before = slot + 1, after
            after = self.before((slot + 1) * lanes) - start - low * (slot + 1 - first)
        return slot, low + count - 1 - before


class TrialsByOwner:
    """All trials of a link under an agreement, by owner, as far as the policy says that the owners repeat.

    Parameters
    ----------
    policy : LinkPolicy
    agreement : Agreement
    lanes : int
        How many lanes the link has.
    period : int
        After how many trials the owners repeat (>= 1).

    Attributes
    ----------
    owners : list of (AttemptId or None)
        The owner at each place of the period.
    """

    def __init__(self, policy: LinkPolicy, agreement: Agreement, lanes: int, period: int) -> None:
        self.owners = [policy.owner(trial, agreement) for trial in range(period)]
        self._lanes = lanes
        self._names = [*dict.fromkeys(self.owners)]
        self._turns = turns_of(self.owners) * (lanes // period + 2)
        self._order = -1, SlotOrder((), ())
        self._places: dict[AttemptId, list[int]] = {}
        for place, owner in enumerate(self.owners):
            if owner is not None:
                self._places.setdefault(owner, []).append(place)
        self._own: dict[AttemptId | None, FixedLanes | OwnTrials] = {}

    def __iter__(self) -> Iterator[AttemptId]:
        """Iterate over the owners."""
        return iter(self._places)

    def order(self, slot: int) -> SlotOrder:
        """Return the order of a slot."""
        if self._order[0] != slot:
            begin, first = slot * self._lanes % len(self.owners), first_lane(slot, self._lanes)
            middle, end = begin + first, begin + self._lanes
            self._order = slot, SlotOrder(self._names, self._turns[middle:end] + self._turns[begin:middle])
        return self._order[1]

    def get(self, owner: AttemptId | None) -> FixedLanes | OwnTrials | None:
        """Return the trials of an owner; None if it has none."""
        found = self._own.get(owner)
        if found is None and owner in self._places:
            places, period, lanes = self._places[owner], len(self.owners), self._lanes
            if lanes % period:
                found = OwnTrials(places, period, lanes)
            else:
                found = FixedLanes([start + place for start in range(0, lanes, period) for place in places], lanes)
            self._own[owner] = found
        return found
