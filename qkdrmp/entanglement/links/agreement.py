"""Agreements of the two ends of a link: which connections share it, from which trial on, and how much each may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import gcd, lcm
from typing import NamedTuple

from qkdrmp.entanglement.links.interleaving import Interleaving
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.errors import QKDRMPError


class AllocationError(QKDRMPError, ValueError):
    """An allocation cannot be used, or the two ends of a link contradict each other."""


class LinkClaim(NamedTuple):
    """What shares depend on: weight, priority and quota, as in `AllocationEntry`."""

    weight: int
    priority: int
    memories: int | None


class AllocationEntry(NamedTuple):
    """A connection's claim on a link: a tuple, as lists of them are compared with every agreement.

    Parameters
    ----------
    id : AttemptId
        The connection, by the attempt at it.
    weight : int
        Its share relative to the others (>= 1).
    priority : int
        Its class; the highest number comes first.
    memories : int, optional
        Its quota of memories at both ends (>= 1), which bounds how many trials of a slot it can use. Without it there
        is no bound.
    """

    id: AttemptId
    weight: int = 1
    priority: int = 0
    memories: int | None = None

    @property
    def claim(self) -> LinkClaim:
        """What its share depends on."""
        return LinkClaim(self.weight, self.priority, self.memories)


@dataclass(frozen=True)
class Agreement:
    """What both ends of a link have agreed on from one trial on.

    Parameters
    ----------
    epoch : int
        The epoch in which they agreed.
    since : int
        The switch trial K: the first trial it governs.
    random : int
        The higher of the two random numbers.
    entries : tuple of AllocationEntry
        The active list, in the agreed order.
    places : tuple of int
        For each entry, the lowest place that was free when it joined; it keeps the place while it lives.
    lanes : int
        How many trials of the link run side by side: m, the memories at the end that has fewer (>= 1).
    """

    epoch: int = 0
    since: int = 0
    random: int = 0
    entries: tuple[AllocationEntry, ...] = ()
    places: tuple[int, ...] = ()
    lanes: int = 1

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise AllocationError(f"lanes = {self.lanes} of a link must be at least 1")

    @cached_property
    def turns(self) -> Interleaving:
        """The turns of the entries, if all share alike by weight."""
        return interleaving(self.claims, self.lanes)

    @cached_property
    def turns_by_class(self) -> Interleaving:
        """The turns of the entries, if the highest priority comes first."""
        return interleaving(self.claims, self.lanes, by_class=True)

    @property
    def lane_shares(self) -> tuple[Fraction, ...]:
        """How many trials of a slot each entry is to have on average, if all share alike by weight."""
        return lane_shares(self.claims, self.lanes)

    @cached_property
    def claims(self) -> tuple[LinkClaim, ...]:
        """Of the entries."""
        return tuple(entry.claim for entry in self.entries)


@lru_cache(maxsize=4096)
def lane_shares(claims: tuple[LinkClaim, ...], lanes: int, by_class: bool = False) -> tuple[Fraction, ...]:
    """Return how many trials of a slot each claim is to have on average: in proportion to the weights.

    None has more than it can find memories for: its quota, and the memories that are in nobody's quota. What one
    cannot use goes to the others; with `by_class`, to those of the same priority first, and then to the next lower one.
    """
    quotas = [lanes if claim.memories is None else claim.memories for claim in claims]
    left, spare = lanes, max(0, lanes - sum(quotas))
    shares = [Fraction(0)] * len(claims)
    for priority in sorted({claim.priority for claim in claims}, reverse=True) if by_class else [None]:
        members = [i for i, claim in enumerate(claims) if priority in (None, claim.priority)]
        reserved = sum(quotas[i] for i in members)
        amount = min(left, reserved + spare)
        filled = fill(amount, [claims[i].weight for i in members], [quotas[i] + spare for i in members])
        for i, share in zip(members, filled, strict=True):
            shares[i] = share
        left, spare = left - amount, max(0, reserved + spare - amount)
    return tuple(shares)


@lru_cache(maxsize=4096)
def interleaving(claims: tuple[LinkClaim, ...], lanes: int, by_class: bool = False) -> Interleaving:
    """Return the turns of claims, so that each has its share as by `lane_shares`."""
    return Interleaving(whole(lane_shares(claims, lanes, by_class)))


def fill(amount: int, weights: Sequence[int], most: Sequence[int]) -> list[Fraction]:
    """Return `amount` divided in proportion to `weights`, but to nobody more than `most`, unless all have that."""
    shares = [Fraction(0)] * len(weights)
    open_, left = set(range(len(weights))), amount
    while open_:
        total = sum(weights[i] for i in open_)
        full = {i for i in open_ if left * weights[i] > most[i] * total}
        for i in full or open_:
            shares[i] = Fraction(most[i]) if full else Fraction(left * weights[i], total)
        left -= sum(most[i] for i in full)
        open_ = open_ - full if full else set()
    return shares


def whole(shares: tuple[Fraction, ...]) -> tuple[int, ...]:
    """Return the smallest whole numbers in proportion to `shares`."""
    common = lcm(*(share.denominator for share in shares))
    numbers = [share.numerator * (common // share.denominator) for share in shares]
    divisor = gcd(*numbers)
    return tuple(number // divisor for number in numbers)
