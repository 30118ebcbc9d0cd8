"""Interleavings: how those that take turns in proportion to their weights follow each other, without end."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

LONGEST_CYCLE = 4096
"""Interleavings of more turns are not written out."""


def turns(count: int, weights: Sequence[int]) -> list[int]:
    """Return how many of the first `count` turns each index has, if all take turns in proportion to their weights.

    Of W = sum of the weights turns, the j-th (from 0) of an index with weight w is due at (2j + 1) W / 2w; turns are
    taken in this order, those due at once in the order of the indices. Then the count of each index is never further
    from its share than the larger of 1/2 and (n - 1)/2, with n indices (Sainte-Lague's rule, turn by turn).
    """
    total = sum(weights)
    has = [(2 * count * weight + total) // (2 * total) for weight in weights]  # what is due at `count`
    surplus = sum(has) - count
    for _ in range(surplus):
        has[max(range(len(has)), key=lambda i: (Fraction(2 * has[i] - 1, weights[i]) if has[i] else -1, i))] -= 1
    for _ in range(-surplus):
        owners = (i for i, weight in enumerate(weights) if weight)
        has[min(owners, key=lambda i: (Fraction(2 * has[i] + 1, weights[i]), i))] += 1
    return has


def turn(position: int, weights: Sequence[int]) -> int:
    """Return the index whose turn is at `position` of the endless interleaving by `turns`."""
    before, after = turns(position, weights), turns(position + 1, weights)
    return next(index for index, (has, has_then) in enumerate(zip(before, after, strict=True)) if has != has_then)


@lru_cache(maxsize=1024)
def interleave(weights: tuple[int, ...]) -> tuple[int, ...]:
    """Return one cycle of the interleaving by `turns`, in which index i occurs ``weights[i]`` times."""
    total = sum(weights)
    due = sorted((Fraction((2 * j + 1) * total, 2 * w), i) for i, w in enumerate(weights) for j in range(w))
    return tuple(index for _, index in due)


class Interleaving:
    """The turns of some indices, from position 0 on without end (see `turns`).

    Parameters
    ----------
    weights : tuple of int
        How often each index has a turn, relative to the others (>= 0).

    Attributes
    ----------
    period : int
        After how many turns they repeat.
    """

    def __init__(self, weights: tuple[int, ...]) -> None:
        self.weights = weights
        self.period = sum(weights)
        self._cycle = interleave(weights) if self.period <= LONGEST_CYCLE else None

    def at(self, position: int) -> int:
        """Return the index whose turn is at a position."""
        place = position % self.period
        return turn(place, self.weights) if self._cycle is None else self._cycle[place]

    def count(self, first: int, end: int) -> list[int]:
        """Return how many of the turns from position `first` up to `end` each index has."""
        return [
            after - before for before, after in zip(turns(first, self.weights), turns(end, self.weights), strict=True)
        ]
