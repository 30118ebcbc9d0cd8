"""Memory offers: for which trials of a slot an end of a link finds memories."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from qkdrmp.entanglement.links.own_trials import SlotOrder
from qkdrmp.entanglement.request import AttemptId


@dataclass(slots=True)
class MemoryOffer:
    """What an interface offers to the trials of a slot.

    A half has a memory of its connection's quota, or one that is reserved for nobody.

    Parameters
    ----------
    free, spare : int
        Free memories, and those of them that are reserved for nobody; below zero if some are in use that others have
        reserved meanwhile.
    reserved : dict of AttemptId to int
        How many are reserved for each owner whose trials are attempted.
    """

    free: int
    spare: int
    reserved: Mapping[AttemptId, int]

    def attempted(self, order: SlotOrder, places: Collection[int]) -> set[int]:
        """Return which of some places in the order of a slot have a trial that finds a memory.

        Memories are given out to one trial after the other.
        """
        left = [None if owner is None else self.reserved.get(owner) for owner in order.owners]
        free, spare, found = self.free, self.spare, set[int]()
        for place, turn in enumerate(order.turns[: max(places) + 1]):
            reserved = left[turn]
            if free <= 0:
                break
            if reserved:
                left[turn] = reserved - 1
            elif reserved is not None and spare > 0:
                spare -= 1
            else:
                continue
            free -= 1
            if place in places:
                found.add(place)
        return found
