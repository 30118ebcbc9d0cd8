"""Pair buffers: the pairs a node shares with one partner in one stage, by number, and which of them are next."""

from __future__ import annotations

from collections.abc import Callable

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
    waits : bool
        Whether such a rule needs more than one pair, or something else, so that pairs lie idle here.
    delivers : bool
        Whether such a rule delivers them.
    level : int
        Of the swap that such a rule makes of them, from 1; 0 if none does.
    restart : callable or None
        If both spans of that swap begin again after it, lets them.
    is_pool : bool
        Whether it is a `PairPool`.
    mate : PairBuffer or None
        What its pairs are swapped with, one by one, if no rule does anything else with either of them.
    pairs : dict of int to Qubit
    results : dict of int to SwapResult
        Results of the partner for pairs that have not come yet.
    lost : set of int
        Pairs that have not come yet, and that the partner has discarded.
    after : PairBuffer or None
        Where a rule promotes pairs to.
    onwards : callable or None
        If a rule passes pairs on under their numbers, leaves a number out there.
    discarded : set of int
        Pairs that this node has discarded, of which the partner may say something yet.
    """

    __slots__ = (
        "after",
        "delivers",
        "discarded",
        "is_pool",
        "level",
        "lost",
        "mate",
        "next",
        "onwards",
        "pairs",
        "partner",
        "restart",
        "results",
        "stage",
        "used",
        "void",
        "waits",
    )

    def __init__(self, partner: str, stage: int) -> None:
        self.partner = partner
        self.stage = stage
        self.used = False
        self.waits = False
        self.delivers = False
        self.level = 0
        self.restart: Callable[[], None] | None = None
        self.is_pool = False
        self.mate: PairBuffer | None = None
        self.pairs: dict[int, Qubit] = {}
        self.results: dict[int, SwapResult] = {}
        self.void: set[int] = set()
        self.lost: set[int] = set()
        self.discarded: set[int] = set()
        self.after: PairBuffer | None = None
        self.onwards: Callable[[int], None] | None = None
        self.next = 0

    def leave_out(self, number: int) -> None:
        """Note that the pair of this number failed and will never come, nor reach where a rule would pass it on."""
        if self.used:
            self.void.add(number)
            self._skip()
        if self.onwards is not None:
            self.onwards(number)

    def has(self, n: int) -> bool:
        """Return whether the next `n` pairs are here."""
        return self.peek(n - 1) is not None

    def peek(self, place: int) -> Qubit | None:
        """Return the pair that is taken after `place` others; None unless it and they are here."""
        number = self.next
        for _ in range(place):
            if number not in self.pairs:
                return None
            number += 1
            while number in self.void:
                number += 1
        return self.pairs.get(number)

    def add(self, number: int, qubit: Qubit) -> None:
        """Add a pair; it lies idle if it has to wait here for others."""
        self.pairs[number] = qubit
        if self.waits:
            qubit.share.add_idle(1)

    def keeps(self, qubit: Qubit) -> bool:
        """Return whether a half is here."""
        return self.pairs.get(qubit.number) is qubit

    def remove(self, number: int) -> Qubit | None:
        """Take out a pair by its number; return None if it is not here."""
        qubit = self.pairs.pop(number, None)
        if self.waits and qubit is not None:
            qubit.share.add_idle(-1)
        return qubit

    def clear(self) -> list[Qubit]:
        """Take out all pairs."""
        return [qubit for number in list(self.pairs) if (qubit := self.remove(number)) is not None]

    def take(self) -> Qubit:
        """Take out the next pair, which must be here."""
        qubit = self.pairs.pop(self.next)
        if self.waits:
            qubit.share.add_idle(-1)
        self.next += 1
        if self.void:
            self._skip()
        return qubit

    def _skip(self) -> None:
        while self.next in self.void:
            self.void.remove(self.next)
            self.next += 1
