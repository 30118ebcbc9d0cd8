"""Pair buffers: the pairs a node shares with one partner in one stage, by number, and which of them are next."""

from __future__ import annotations

from qkdrmp.entanglement.messages import SwapResult
from qkdrmp.entanglement.quantum.pairs import Qubit


class PairBuffer:
    """Pairs that both ends know by the same numbers: 0, 1, 2, ... in the order in which they were made.

    Rules use them in that order without leaving one out, as pairs may come in another order at each end.

    Attributes
    ----------
    partner : str
    stage : int
    used : bool
        Whether a rule of this node takes pairs from here; elsewhere they wait for the partner to use them.
    pairs : dict of int to Qubit
    results : dict of int to SwapResult
        Results of the partner for pairs that have not come yet.
    """

    __slots__ = ("next", "pairs", "partner", "results", "stage", "used", "void")

    def __init__(self, partner: str, stage: int) -> None:
        self.partner = partner
        self.stage = stage
        self.used = False
        self.pairs: dict[int, Qubit] = {}
        self.results: dict[int, SwapResult] = {}
        self.void: set[int] = set()
        self.next = 0

    def leave_out(self, number: int) -> None:
        """Note that the pair of this number failed and will never come."""
        if self.used:
            self.void.add(number)
            self._skip()

    def has(self, n: int) -> bool:
        """Return whether the next `n` pairs are here."""
        number = self.next
        if number not in self.pairs:
            return False
        for _ in range(n - 1):
            number += 1
            while number in self.void:
                number += 1
            if number not in self.pairs:
                return False
        return True

    def take(self) -> Qubit:
        """Take out the next pair, which must be here."""
        qubit = self.pairs.pop(self.next)
        self.next += 1
        if self.void:
            self._skip()
        return qubit

    def _skip(self) -> None:
        while self.next in self.void:
            self.void.remove(self.next)
            self.next += 1
