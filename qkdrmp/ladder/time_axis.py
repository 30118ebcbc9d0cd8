"""The time axis of a ladder diagram, which leaves out long stretches in which nothing happens."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from qkdrmp.plots.times import brief, exact

LONG_GAP, LONG_SHARE = (
    4,
    0.1,
)  # empty stretches are cut if longer than 4 usual latencies and 10 % of the busy time
CUT_INCHES, TICK_INCHES = 0.55, 0.55


@dataclass(frozen=True)
class TimeAxis:
    """A map from seconds to inches: linear, but for long empty stretches, each cut to `CUT_INCHES`.

    Parameters
    ----------
    seconds, inches : tuple of float
        The start and the end of each stretch that is not cut, one after the other.
    """

    seconds: tuple[float, ...]
    inches: tuple[float, ...]

    @classmethod
    def fit(cls, busy: Sequence[tuple[float, float]], height: float) -> TimeAxis:
        """Return the map that shows all busy times, and little else, on `height` inches and those of the cuts."""
        flights = [end - start for start, end in busy if end > start]
        joined = _joined(busy, 0)
        gaps = [after[0] - before[1] for before, after in itertools.pairwise(joined)]
        busy_s = sum(end - start for start, end in joined)
        usual = float(np.median(flights or gaps or [0.0]))
        stretches = _joined(joined, max(LONG_GAP * usual, LONG_SHARE * busy_s))
        kept = sum(end - start for start, end in stretches)
        inches, below = [], 0.0
        for start, end in stretches:
            inches += [below, below + (height * (end - start) / kept if kept else 0.0)]
            below = inches[-1] + CUT_INCHES
        return cls(tuple(itertools.chain(*stretches)), tuple(inches))

    @property
    def stretches(self) -> list[tuple[float, float]]:
        """Where time is linear: start and end of each stretch, s."""
        return list(zip(self.seconds[::2], self.seconds[1::2], strict=True))

    @property
    def cuts(self) -> list[tuple[float, float]]:
        """The empty stretches that are cut: start and end of each, s."""
        return list(zip(self.seconds[1:-1:2], self.seconds[2::2], strict=True))

    def place(self, time: float) -> float:
        """Return how far down the page a time is, inches."""
        return float(np.interp(time, self.seconds, self.inches))

    def time(self, place: float) -> float:
        """Return the time at a place, s."""
        return float(np.interp(place, self.inches, self.seconds))

    def ticks(self) -> list[tuple[float, str]]:
        """Return times and their names: in full where a stretch starts, and within it the time since its start."""
        kept = sum(end - start for start, end in self.stretches)
        step = _round_up(kept * TICK_INCHES / (self.inches[-1] - CUT_INCHES * len(self.cuts))) if kept else 0.0
        ticks = []
        for start, end in self.stretches:
            later = [] if not step else [step * count for count in range(1, int((end - start) / step + 1e-9) + 1)]
            ticks += [(start, exact(start, step)), *((start + much, f"+{brief(much)}") for much in later)]
        return ticks


def _joined(spans: Iterable[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Return spans of time in order, those joined that are not farther apart than `gap`."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _round_up(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= step), 10 * power)
