"""Turns: which trials of a slot belong to whom, and how they repeat from slot to slot.

Both ends of a link give each trial to a connection, normally to the same one. The trials given to one pair of owners
are the turns of that pair. What two agreements give repeats after some slots (a `Table`) or, if it is drawn by lot,
is worked out block by block (`Blocks`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from qkdrmp.entanglement.links.policies import Agreement, Policy

Key = tuple[str, str]
"""The owners of a trial at the sender and at the receiver."""

Rooms = tuple[int, int]
"""How many memories the owners may still fill at the sender and at the receiver."""

Owners = Sequence[str | None]
"""The owners of some trials in a row."""

KEPT = 8
"""So many tables are kept, in case they are asked for again."""

_BLOCK_SLOTS = 64


class Turns(NamedTuple):
    """The trials that one slot has for one pair of owners, in order."""

    lanes: Sequence[int]
    left: Sequence[int]
    """The how manieth of all trials of its owner in this slot each one is at the sender, from 1."""
    right: Sequence[int]
    """The same at the receiver."""

    def eligible(self, rooms: Rooms) -> int:
        """Return how many of them find a memory at both ends; they are the first ones, for both counts ascend."""
        if self.left is self.right:  # both ends count alike: 1, 2, 3...
            return min(rooms[0], rooms[1], len(self.lanes))
        return min(bisect_right(self.left, rooms[0]), bisect_right(self.right, rooms[1]))


class Table:
    """What happens in slots that repeat.

    Parameters
    ----------
    left, right : sequence of sequence of (str or None)
        For each slot of one period and each lane, the owner at the sender and at the receiver. Slot s is like slot s
        modulo the period.
    """

    def __init__(self, left: Sequence[Owners], right: Sequence[Owners]) -> None:
        self.period = len(left)
        self._slots = [_alike(a) if a == b else _apart(a, b) for a, b in zip(left, right, strict=True)]
        self._bands: dict[tuple[Key, Rooms, int], tuple[list[int], list[int]]] = {}

    def keys(self) -> set[Key]:
        """Return the pairs of owners that have turns."""
        return set().union(*self._slots)

    def turns(self, key: Key, slot: int) -> Turns | None:
        """Return the turns of `key` in `slot`, or None if it has none."""
        return self._slots[slot % self.period].get(key)

    def find(self, key: Key, first: int, end: int, count: int, rooms: Rooms, low: int) -> tuple[int, int] | int:
        """Return slot and place of a turn as `Timetable.find` does, or by how many the slots before `end` fall short.

        Turns are counted from the start of time, so many per period; a division finds the one that is meant.
        """
        offsets, places = self._band(key, rooms, low)
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

    def _band(self, key: Key, rooms: Rooms, low: int) -> tuple[list[int], list[int]]:
        """Return the turns of one period from place `low` of each slot on that fit into `rooms`: slots and places."""
        name = key, rooms, low
        if name not in self._bands:
            band = [
                (offset, place)
                for offset, slot in enumerate(self._slots)
                if key in slot
                for place in range(low, slot[key].eligible(rooms))
            ]
            self._bands[name] = [offset for offset, _ in band], [place for _, place in band]
        return self._bands[name]


class Blocks:
    """What happens in slots that never repeat, worked out a block of slots at a time, and kept for a while.

    Parameters
    ----------
    policy : Policy
        Says who owns a trial.
    left, right : Agreement or None
        What the two ends hold to.
    """

    def __init__(self, policy: Policy, left: Agreement | None, right: Agreement | None) -> None:
        self._policy = policy
        self._agreements = left, right
        self._tables: dict[int, Table] = {}
        ids = [[entry.id for entry in agreement.entries] if agreement else [] for agreement in (left, right)]
        self._keys = set(zip(*ids, strict=True)) if left == right else set(product(*ids))

    def keys(self) -> set[Key]:
        """Return the pairs of owners that may have turns."""
        return self._keys  # type: ignore[return-value]  # there are two lists of ids

    def turns(self, key: Key, slot: int) -> Turns | None:
        """Return the turns of `key` in `slot`, or None if it has none."""
        return self._table(slot // _BLOCK_SLOTS).turns(key, slot)

    def find(self, key: Key, first: int, end: int, count: int, rooms: Rooms, low: int) -> tuple[int, int] | int:
        """Return slot and place of a turn as `Timetable.find` does, or by how many the slots before `end` fall short.

        A band above place 0 may be empty for ever, so the search ends with the first slot that nobody can reach.
        """
        if key not in self._keys or min(rooms) <= low or low >= self._policy.lanes:
            return count
        while first < end:
            block = first // _BLOCK_SLOTS
            stop = min(end, (block + 1) * _BLOCK_SLOTS)
            found = self._table(block).find(key, first, stop, count, rooms, low)
            if isinstance(found, tuple):
                return found
            first, count = stop, found
        return count

    def _table(self, block: int) -> Table:
        if block not in self._tables:
            if len(self._tables) >= KEPT:
                del self._tables[next(iter(self._tables))]
            left, right = self._agreements
            ours = self._owners(block, left)
            self._tables[block] = Table(ours, ours if left == right else self._owners(block, right))
        return self._tables[block]

    def _owners(self, block: int, agreement: Agreement | None) -> list[Owners]:
        lanes = self._policy.lanes
        slots = range(block * _BLOCK_SLOTS, (block + 1) * _BLOCK_SLOTS)
        return [[owner_of(self._policy, s * lanes + lane, agreement) for lane in range(lanes)] for s in slots]


def owner_of(policy: Policy, trial: int, agreement: Agreement | None) -> str | None:
    """Return whom a trial belongs to; nobody in a void stretch."""
    return policy.owner(trial, agreement) if agreement else None


def _alike(owners: Owners) -> dict[Key, Turns]:
    """Return the turns of a slot that both ends see alike."""
    lanes: dict[str, list[int]] = {}
    for lane, owner in enumerate(owners):
        if owner is not None:
            lanes.setdefault(owner, []).append(lane)
    orders = {count: range(1, count + 1) for count in map(len, lanes.values())}
    return {(own, own): Turns(has, orders[len(has)], orders[len(has)]) for own, has in lanes.items()}


def _apart(left: Owners, right: Owners) -> dict[Key, Turns]:
    """Return the turns of a slot that the ends see differently: each end counts the trials of its own owners."""
    turns: dict[Key, Turns] = {}
    counts: tuple[dict[str, int], dict[str, int]] = {}, {}
    for lane, (ours, theirs) in enumerate(zip(left, right, strict=True)):
        for count, owner in zip(counts, (ours, theirs), strict=True):
            if owner is not None:
                count[owner] = count.get(owner, 0) + 1
        if ours is not None and theirs is not None:
            columns = turns.setdefault((ours, theirs), Turns([], [], []))
            for column, value in zip(columns, (lane, counts[0][ours], counts[1][theirs]), strict=True):
                column.append(value)  # type: ignore[attr-defined]  # made as a list above
    return turns
