"""Which trials of a slot belong to whom, and how they repeat from slot to slot.

Both ends of a link give each trial to a connection, normally to the same one: its two *owners*. What two agreements
give repeats after some slots (`PeriodicTrialTable`) or, if it is drawn by lot, is worked out block by block
(`BlockTrialTable`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from qkdrmp.entanglement.links.policies import Agreement, LinkPolicy
from qkdrmp.entanglement.request import AttemptId

Owners = tuple[AttemptId, AttemptId]
"""The owners of a trial at the sender and at the receiver."""

FreeMemories = tuple[int, int]
"""How many memories the owners may still fill at the sender and at the receiver."""

OwnerRow = Sequence[AttemptId | None]
"""The owners of some trials in a row."""

KEPT = 8
"""How many tables are kept, in case they are needed again."""

_BLOCK_SLOTS = 64


class SlotTrials(NamedTuple):
    """The trials that one slot has for one pair of owners, in order."""

    lanes: Sequence[int]
    left: Sequence[int]
    """The rank of each one among all trials of its owner in this slot at the sender, from 1."""
    right: Sequence[int]
    """The same at the receiver."""

    def eligible(self, free: FreeMemories) -> int:
        """Return how many of them find a memory at both ends; they are the first ones, for both counts ascend."""
        if self.left is self.right:  # both ends count alike: 1, 2, 3...
            return min(free[0], free[1], len(self.lanes))
        return min(bisect_right(self.left, free[0]), bisect_right(self.right, free[1]))


class PeriodicTrialTable:
    """The trials of slots that repeat.

    Parameters
    ----------
    left, right : sequence of sequence of (AttemptId or None)
        For each slot of one period and each lane, the owner at the sender and at the receiver. Slot s is like slot s
        modulo the period.
    """

    def __init__(self, left: Sequence[OwnerRow], right: Sequence[OwnerRow]) -> None:
        self.period = len(left)
        self._slots = [
            _agreed_trials(a) if a == b else _disputed_trials(a, b) for a, b in zip(left, right, strict=True)
        ]
        self._bands: dict[tuple[Owners, FreeMemories, int], tuple[list[int], list[int]]] = {}

    def owners(self) -> set[Owners]:
        """Return the pairs of owners that have trials."""
        return set().union(*self._slots)

    def trials_of(self, owners: Owners, slot: int) -> SlotTrials | None:
        """Return the trials of `owners` in `slot`, or None if they have none."""
        return self._slots[slot % self.period].get(owners)

    def find(
        self, owners: Owners, first: int, end: int, count: int, free: FreeMemories, skip: int
    ) -> tuple[int, int] | int:
        """Return slot and place of a trial as `TrialSchedule.find` does, or how many of `count` the slots lack.

        Trials are counted from slot 0, so many per period; a division finds the one that is meant.
        """
        offsets, places = self._band(owners, free, skip)
        size = len(offsets)
        if not size:
            return count
        cycles, offset = divmod(first, self.period)
        index = cycles * size + bisect_left(offsets, offset) + count - 1
        cycles, rest = divmod(index, size)
        slot = cycles * self.period + offsets[rest]
        if slot < end:
            return slot, places[rest]
        cycles, offset = divmod(end, self.period)
        return index + 1 - cycles * size - bisect_left(offsets, offset)

    def _band(self, owners: Owners, free: FreeMemories, skip: int) -> tuple[list[int], list[int]]:
        """Return the trials of one period from place `skip` of each slot on that fit into `free`: slots and places."""
        name = owners, free, skip
        if name not in self._bands:
            band = [
                (offset, place)
                for offset, slot in enumerate(self._slots)
                if owners in slot
                for place in range(skip, slot[owners].eligible(free))
            ]
            self._bands[name] = [offset for offset, _ in band], [place for _, place in band]
        return self._bands[name]


class BlockTrialTable:
    """The trials of slots that never repeat, worked out a block of slots at a time, and kept for a while.

    Parameters
    ----------
    policy : LinkPolicy
        Says who owns a trial.
    lanes : int
        How many trials run side by side.
    left, right : Agreement or None
        The agreements of the sender and of the receiver.
    """

    def __init__(self, policy: LinkPolicy, lanes: int, left: Agreement | None, right: Agreement | None) -> None:
        self._policy = policy
        self._lanes = lanes
        self._agreements = left, right
        self._tables: dict[int, PeriodicTrialTable] = {}
        ids = [[entry.id for entry in agreement.entries] if agreement else [] for agreement in (left, right)]
        self._all_owners = set(zip(*ids, strict=True)) if left == right else set(product(*ids))

    def owners(self) -> set[Owners]:
        """Return the pairs of owners that may have trials."""
        return self._all_owners  # type: ignore[return-value]  # there are two lists of ids

    def trials_of(self, owners: Owners, slot: int) -> SlotTrials | None:
        """Return the trials of `owners` in `slot`, or None if they have none."""
        return self._table(slot // _BLOCK_SLOTS).trials_of(owners, slot)

    def find(
        self, owners: Owners, first: int, end: int, count: int, free: FreeMemories, skip: int
    ) -> tuple[int, int] | int:
        """Return slot and place of a trial as `TrialSchedule.find` does, or how many of `count` the slots lack.

        A band above place 0 may be empty indefinitely, so a band that no trial can be in is not searched.
        """
        if owners not in self._all_owners or min(free) <= skip or skip >= self._lanes:
            return count
        while first < end:
            block = first // _BLOCK_SLOTS
            stop = min(end, (block + 1) * _BLOCK_SLOTS)
            found = self._table(block).find(owners, first, stop, count, free, skip)
            if isinstance(found, tuple):
                return found
            first, count = stop, found
        return count

    def _table(self, block: int) -> PeriodicTrialTable:
        if block not in self._tables:
            if len(self._tables) >= KEPT:
                del self._tables[next(iter(self._tables))]
            left, right = self._agreements
            ours = self._owners(block, left)
            self._tables[block] = PeriodicTrialTable(ours, ours if left == right else self._owners(block, right))
        return self._tables[block]

    def _owners(self, block: int, agreement: Agreement | None) -> list[OwnerRow]:
        lanes = self._lanes
        slots = range(block * _BLOCK_SLOTS, (block + 1) * _BLOCK_SLOTS)
        return [[owner_of(self._policy, s * lanes + lane, agreement) for lane in range(lanes)] for s in slots]


def owner_of(policy: LinkPolicy, trial: int, agreement: Agreement | None) -> AttemptId | None:
    """Return whom a trial belongs to; None in a void stretch."""
    return policy.owner(trial, agreement) if agreement else None


def _agreed_trials(owners: OwnerRow) -> dict[Owners, SlotTrials]:
    """Return the trials of a slot that both ends see alike."""
    lanes: dict[AttemptId, list[int]] = {}
    for lane, owner in enumerate(owners):
        if owner is not None:
            lanes.setdefault(owner, []).append(lane)
    orders = {count: range(1, count + 1) for count in map(len, lanes.values())}
    return {(own, own): SlotTrials(has, orders[len(has)], orders[len(has)]) for own, has in lanes.items()}


def _disputed_trials(left: OwnerRow, right: OwnerRow) -> dict[Owners, SlotTrials]:
    """Return the trials of a slot that the ends see differently: each end counts the trials of its own owners."""
    trials: dict[Owners, SlotTrials] = {}
    counts: tuple[dict[AttemptId, int], dict[AttemptId, int]] = {}, {}
    for lane, (ours, theirs) in enumerate(zip(left, right, strict=True)):
        for count, owner in zip(counts, (ours, theirs), strict=True):
            if owner is not None:
                count[owner] = count.get(owner, 0) + 1
        if ours is not None and theirs is not None:
            columns = trials.setdefault((ours, theirs), SlotTrials([], [], []))
            for column, value in zip(columns, (lane, counts[0][ours], counts[1][theirs]), strict=True):
                column.append(value)  # type: ignore[attr-defined]  # made as a list above
    return trials
