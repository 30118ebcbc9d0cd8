"""How many sifted bits a round of pulses gives two detectors with dead time: moments from the Markov chain.

The state is how many slots each of the two detectors stays dead. Three tables over the states go from slot to
slot: the probability of the state, and the mean and mean square of the excess on the event of being in it. The
excess is the bits counted so far less what as many pulses give on average: it stays small, so that its variance
is no difference of large numbers, however many bits a round gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Tables = NDArray[np.float64]
"""Probability, excess and squared excess (axis 0) by the two detectors' dead slots (axes 1 and 2)."""

_TOLERANCE = 1e-8
_SETTLED = 1e-14  # of the tables; what a slot changes by less is what all further slots change


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
    slot = _Slot.of(photons, dead_slots)
    usual = slot.bits * slots
    tables = np.zeros((3, dead_slots + 2, dead_slots + 2))
    tables[0, 0, 0] = 1.0  # a fresh session: both detectors are live
    rounds, total, last, step = 0, np.zeros(2), np.zeros(2), np.full(2, np.inf)
    while not np.allclose(step, last, rtol=_TOLERANCE, atol=0):
        tables = slot.round(tables, slots)
        before, total = total, _mean_and_variance(tables)
        rounds, last, step = rounds + 1, step, total - before + [usual, 0.0]
    mean, variance = step.tolist()
    tables[1:] = 0.0  # count the next round alone, from the long-run state
    _, excess, square = slot.round(tables, slots).sum(axis=(1, 2)).tolist()
    mean_square = square + 2 * usual * excess + usual * usual
    return RoundMoments(mean, mean_square, variance, float(total[0]) - rounds * (mean - usual))


def _mean_and_variance(tables: Tables) -> NDArray[np.float64]:
    """Return the mean and the variance of the excess."""
    _, mean, square = tables.sum(axis=(1, 2)).tolist()
    return np.array([mean, square - mean * mean])


@dataclass(frozen=True, slots=True)
class _Slot:
    """Probabilities of the candidate clicks in a slot, before dead detectors drop theirs; the usual bits per pulse."""

    sifted: float  # bases match, and the one detector that gets the light is a given one
    one: float  # bases differ, and only a given one of the detectors has a candidate
    both: float  # bases differ, and both detectors have a candidate
    bits: float  # in the long run without idle slots: each detector by itself is a renewal process

    @classmethod
    def of(cls, photons: float, dead_slots: int) -> _Slot:
        full, half = -math.expm1(-photons), -math.expm1(-photons / 2)
        click = full / 4 + half / 2
        return cls(full / 4, half * (1 - half) / 2, half * half / 2, full / 2 / (1 + dead_slots * click))

    def round(self, tables: Tables, slots: int) -> Tables:
        """Return the tables after `slots` pulses and the idle slot."""
        change = np.zeros_like(tables)
        for left in range(slots - 1, -1, -1):
            before, last = tables, change
            tables = self._pulse(before)
            change = tables - before
            if np.all(abs(change - last).max(axis=(1, 2)) <= _SETTLED * abs(tables).max(axis=(1, 2))):
                tables = tables + left * change
                break
        return _age(tables)

    def _pulse(self, tables: Tables) -> Tables:
        none = 1 - 2 * (self.sifted + self.one) - self.both
        click = _click(tables)
        both = _click(click.swapaxes(1, 2))
        click = self.one * click + self.sifted * _count(click)
        # The detectors are alike, so the second one's click is the first one's with the axes exchanged.
        after = none * tables + click + click.swapaxes(1, 2) + self.both * both
        return _age(_add(after, -self.bits))


def _click(tables: Tables) -> Tables:
    """Return the tables after a click is offered to the first detector: live (0), it goes dead (last row)."""
    clicked = tables.copy()
    clicked[:, -1] += clicked[:, 0]
    clicked[:, 0] = 0.0
    return clicked


def _count(clicked: Tables) -> Tables:
    """Return the tables with one more bit where the first detector has just clicked (last row)."""
    counted = clicked.copy()
    counted[:, -1] = _add(clicked[:, -1], 1.0)
    return counted


def _add(tables: Tables, bits: float) -> Tables:
    """Return the tables with the excess changed by some bits."""
    probability, excess, square = tables
    return np.stack([probability, excess + bits * probability, square + bits * (2 * excess + bits * probability)])


def _age(tables: Tables) -> Tables:
    """Return the tables one slot later: every dead detector has a slot less to wait."""
    for _ in range(2):
        aged = np.zeros_like(tables)
        aged[:, :-1] = tables[:, 1:]
        aged[:, 0] += tables[:, 0]
        tables = aged.swapaxes(1, 2)
    return tables
