"""Successes drawn ahead: for each pair of owners of a link's trials, a stream of the next ones."""

from __future__ import annotations

from dataclasses import dataclass

from qkdrmp.entanglement.links.trial_table import FreeMemories, Owners
from qkdrmp.kernel.units import NEVER


class FreeMemoryCount:
    """Free memories of a connection at an end, and how far they changed too late for the slot that started last."""

    __slots__ = ("free", "late", "slot")

    def __init__(self) -> None:
        self.free = 0
        self.slot = -1
        self.late = 0

    def at(self, slot: int) -> int:
        """Return how many memories the trials of `slot` found free, or will find free."""
        return self.free - self.late if slot == self.slot else self.free

    def update(self, slot: int, free: int) -> bool:
        """Set the number of free memories, which counts after `slot` only; return whether it has changed."""
        change = free - self.free
        self.free = free
        if slot > self.slot:
            self.slot, self.late = slot, change
        elif slot == self.slot:
            self.late += change
        return change != 0


class SuccessStream:
    """The successes of the trials that belong to one pair of owners.

    The top of the stack is the next success. Each candidate covers the slots between the one above it (the top:
    between now) and its own: their trials at places below `free` fail. The bottom covers what follows all candidates.

    Attributes
    ----------
    owners : tuple of AttemptId
        The owners at the sender and at the receiver.
    counts : tuple of FreeMemoryCount
        Their free memories.
    stack : list of SuccessCandidate or EndOfStream
    done : int
        The first slot that has not been heralded.
    gap : int
        How many trials after the slot heralded last the next one succeeds.
    """

    __slots__ = ("counts", "done", "gap", "owners", "stack")

    def __init__(self, owners: Owners, counts: tuple[FreeMemoryCount, FreeMemoryCount]) -> None:
        self.owners = owners
        self.counts = counts
        self.done = 0
        self.gap = 0
        self.stack: list[SuccessCandidate | EndOfStream] = [EndOfStream()]

    def forget(self, slot: int = 0) -> None:
        """Forget the candidates from `slot` on."""
        self.stack = [EndOfStream(), *(candidate for candidate in self.stack if candidate.slot < slot)]

    def free(self, slot: int) -> FreeMemories:
        """Return how many memories the trials of `slot` found free, or will find free, at both ends."""
        left, right = self.counts
        return (
            left.free - left.late if slot == left.slot else left.free,
            right.free - right.late if slot == right.slot else right.free,
        )


@dataclass(slots=True, eq=False)
class SuccessCandidate:
    """A trial that succeeds unless something changes before it.

    Attributes
    ----------
    stream : SuccessStream
    slot, place : int
        The slot of the trial, and its place among the trials that the slot has for the owners.
    free : int
        Trials at places below this, in the slots that the candidate covers, are known to fail.
    """

    stream: SuccessStream
    slot: int
    place: int
    free: int


class EndOfStream:
    """The bottom of the stack: what follows all candidates."""

    slot = NEVER
    place = -1
    free = 0
