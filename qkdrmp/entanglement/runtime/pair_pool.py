"""Pair pools: the halves of a link whose partners change in any order, each with the partner it has as far as is known.

A half keeps its name for as long as it exists (see `messages.Half`). One that has been measured stays known with what
it was swapped onto: whoever takes it for a partner still is sent on from there.
"""

from __future__ import annotations

from typing import NamedTuple

from qkdrmp.entanglement.messages import Half, NewPartner
from qkdrmp.entanglement.quantum.pairs import Correlations, Qubit
from qkdrmp.entanglement.runtime.pair_buffer import PairBuffer

NOBODY = -1


class Onward(NamedTuple):
    """What a half that is gone leaves to its partner: another one, and what that multiplies the correlations by."""

    partner: Half | None
    """None if the pair is lost."""
    factor: Correlations


LOST = Onward(None, (0.0, 0.0, 0.0))


class PairPool(PairBuffer):
    """The halves of the link to a neighbour, of which rules take whichever fits and has been there longest.

    Parameters
    ----------
    node, neighbour : str
    stage : int

    Attributes
    ----------
    wanted : str or None
        Which partner a rule waits for; None if any.
    partners : dict of int to Half
        Of each half that is here.
    gone : dict of int to (Onward or None)
        Of each half that was here; None if both ends know it by another number now.
    held : dict of int to list of NewPartner
        What has come about halves too early.
    numbered : int
        How many pairs have got a number in a later stage.
    """

    __slots__ = ("gone", "held", "node", "numbered", "partners", "wanted")

    def __init__(self, node: str, neighbour: str, stage: int) -> None:
        super().__init__(neighbour, stage)
        self.is_pool = True
        self.node = node
        self.next = NOBODY
        self.wanted: str | None = None
        self.partners: dict[int, Half] = {}
        self.gone: dict[int, Onward | None] = {}
        self.held: dict[int, list[NewPartner]] = {}
        self.numbered = 0

    def name(self, number: int) -> Half:
        """Return the name of a half."""
        return Half(self.node, self.partner, number)

    def leave_out(self, number: int) -> None:
        """Do nothing: numbers are not used in order."""

    def has(self, n: int) -> bool:
        """Return whether there is a half that fits."""
        return n == 1 and self.next in self.pairs

    def peek(self, place: int) -> Qubit | None:
        """Return the half that is taken next."""
        return self.pairs.get(self.next) if place == 0 else None

    def add(self, number: int, qubit: Qubit) -> None:
        """Add a half of a new pair of the link."""
        super().add(number, qubit)
        self.partners[number] = Half(self.partner, self.node, number)
        self._choose()

    def remove(self, number: int) -> Qubit | None:
        """Take out a half; its partner stays known until it is taken out as well."""
        qubit = super().remove(number)
        self._choose()
        return qubit

    def take(self) -> Qubit:
        """Take out the half that fits and has been there longest."""
        qubit = self.remove(self.next)
        assert qubit is not None
        return qubit

    def follow(self, message: NewPartner) -> bool:
        """Give a half the partner that a message says, unless that is about another partner than it has."""
        number = message.half.number
        if message.after is None or self.partners[number] != message.before:
            return False
        self.partners[number] = message.after
        x, y, z = self.pairs[number].estimate
        a, b, c = message.factor
        self.pairs[number].estimate = x * a, y * b, z * c
        self._choose()
        return True

    def _choose(self) -> None:
        fitting = (n for n in self.pairs if self.wanted is None or self.partners[n].node == self.wanted)
        self.next = next(fitting, NOBODY)
