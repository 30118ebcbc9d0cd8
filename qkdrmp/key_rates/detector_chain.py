"""How many sifted bits a round of pulses gives two detectors with dead time: moments from the Markov chain.

The state is how many slots each of the two detectors stays dead. Three tables over the states go from slot to
slot: the probability of the state, and the mean and mean square of the bits counted so far on the event of
being in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
from numpy.typing import NDArray

Tables = NDArray[np.float64]
"""Probability, bit count and squared bit count (axis 0) by the two detectors' dead slots (axes 1 and 2)."""

_TOLERANCE = 1e-8
_LARGEST_MATRIX = 300  # rows; beyond, going from slot to slot is faster than powers of a matrix


@dataclass(frozen=True, slots=True)
class RoundMoments:
    """Moments of the sifted bits Y of a round.

    Parameters
    ----------
    mean : float
        Long-run mean of Y (`m` of the law).
    mean_square : float
        Long-run mean of Y squared.
    variance : float
        Variance that one more round adds to the sum of many: that of Y and its covariances with all other
        rounds (`v` of the law).
    head_start : float
        Bits a session gains in all because it starts with live detectors (`y1 - m` of the law, if a round is
        much longer than the dead time).
    """

    mean: float
    mean_square: float
    variance: float
    head_start: float


@lru_cache(maxsize=4096)
def round_moments(photons: float, slots: int, dead_slots: int) -> RoundMoments:
    """Return the moments of the sifted bits per round: exact, but for the long run being a finite one.

    The chain runs until one more round changes the mean and variance of a round by less than 1e-8 of them.

    Parameters
    ----------
    photons : float
        Mean photons per pulse that the receiver detects, before dead time (`lam` of the law; > 0).
    slots : int
        Pulses per round (>= 1); one idle slot follows them.
    dead_slots : int
        Slots a detector stays dead after the slot of its click (>= 0).
    """
    slot = _Slot.of(photons)
    tables = np.zeros((3, dead_slots + 2, dead_slots + 2))
    tables[0, 0, 0] = 1.0  # a fresh session: both detectors are live
    next_round = slot.rounds(slots, dead_slots + 2)
    rounds, total, last, step = 0, np.zeros(2), np.zeros(2), np.full(2, np.inf)
    while not np.allclose(step, last, rtol=_TOLERANCE, atol=0):
        tables = next_round(tables)
        before, total = total, _mean_and_variance(tables)
        rounds, last, step = rounds + 1, step, total - before
    mean, variance = step.tolist()
    tables[1:] = 0.0  # count the next round alone, from the long-run state
    mean_square = float(next_round(tables)[2].sum())
    return RoundMoments(mean, mean_square, variance, float(total[0]) - rounds * mean)


def _mean_and_variance(tables: Tables) -> NDArray[np.float64]:
    """Return the mean and the variance of the bits counted so far."""
    _, mean, square = tables.sum(axis=(1, 2)).tolist()
    return np.array([mean, square - mean * mean])


@dataclass(frozen=True, slots=True)
class _Slot:
    """Probabilities of the candidate clicks in a slot, before dead detectors drop theirs."""

    sifted: float  # bases match, and the one detector that gets the light is a given one
    one: float  # bases differ, and only a given one of the detectors has a candidate
    both: float  # bases differ, and both detectors have a candidate

    @classmethod
    def of(cls, photons: float) -> _Slot:
        full, half = -math.expm1(-photons), -math.expm1(-photons / 2)
        return cls(full / 4, half * (1 - half) / 2, half * half / 2)

    def rounds(self, slots: int, size: int) -> Callable[[Tables], Tables]:
        """Return what takes tables over `size` states a detector through `slots` pulses and the idle slot."""
        numbers = 3 * size * size
        if numbers > _LARGEST_MATRIX:
            return lambda tables: _age(reduce(lambda before, _: self._pulse(before), range(slots), tables))
        # A pulse is linear: all unit tables at once, along a last axis, give its matrix.
        units = np.eye(numbers).reshape(3, size, size, numbers)
        matrix = np.linalg.matrix_power(self._pulse(units).reshape(numbers, numbers), slots)
        return lambda tables: _age((matrix @ tables.ravel()).reshape(tables.shape))

    def _pulse(self, tables: Tables) -> Tables:
        none = 1 - 2 * (self.sifted + self.one) - self.both
        click = _click(tables)
        both = _click(click.swapaxes(1, 2))
        click = self.one * click + self.sifted * _count(click)
        # The detectors are alike, so the second one's click is the first one's with the axes exchanged.
        return _age(none * tables + click + click.swapaxes(1, 2) + self.both * both)


def _click(tables: Tables) -> Tables:
    """Return the tables after a click is offered to the first detector: live (0), it goes dead (last row)."""
    clicked = tables.copy()
    clicked[:, -1] += clicked[:, 0]
    clicked[:, 0] = 0.0
    return clicked


def _count(clicked: Tables) -> Tables:
    """Return the tables with one more bit where the first detector has just clicked (last row)."""
    counted = clicked.copy()
    probability, count, square = clicked[:, -1]
    counted[1, -1] = count + probability
    counted[2, -1] = square + 2 * count + probability
    return counted


def _age(tables: Tables) -> Tables:
    """Return the tables one slot later: every dead detector has a slot less to wait."""
    for _ in range(2):
        aged = np.zeros_like(tables)
        aged[:, :-1] = tables[:, 1:]
        aged[:, 0] += tables[:, 0]
        tables = aged.swapaxes(1, 2)
    return tables
