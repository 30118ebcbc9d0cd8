"""Keys made at a rate that changes by steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from qkdrmp.kernel.units import TICKS_PER_SECOND, to_ticks
from qkdrmp.key_rates.model import Block

_PARTS = 1 << 20
"""Of a tick, to which times are rounded: fractions would grow without end, and this cannot add up to a tick."""


@dataclass(frozen=True, slots=True)
class RateStep:
    """What holds from a tick on.

    Parameters
    ----------
    start : int
        The tick.
    rate : Fraction
        Bits per tick (>= 0).
    up : bool
        Whether the link works; if not, the block that it is making is lost.
    """

    start: int
    rate: Fraction
    up: bool

    @classmethod
    def of(cls, time_s: float, rate_bps: float, up: bool) -> RateStep:
        """Return the step that begins at a time in seconds, with a rate in bits per second."""
        return cls(to_ticks(time_s), Fraction(rate_bps) / TICKS_PER_SECOND, up)


class TraceSession:
    """Blocks of keys at a rate that changes by steps.

    Parameters
    ----------
    steps : sequence of RateStep
        In the order of time, at least one; before the first one the link is down.
    repeats : bool
        Whether the first step follows again at the time of the last one, which has to be above 0.
    block_bits : int
        Secret bits of a block; 0 for keys that come one by one.
    key_bits : int
        Length of a key, in bits (>= 1).
    """

    __slots__ = ("_bits", "_blockwise", "_exact", "_key_bits", "_period", "_ready", "_starts", "_steps", "_unit")

    def __init__(self, steps: Sequence[RateStep], repeats: bool, block_bits: int, key_bits: int) -> None:
        self._period = steps[-1].start if repeats else 0
        self._steps = list(steps[:-1] if repeats else steps)
        self._starts = [step.start for step in self._steps]
        self._key_bits, self._unit, self._blockwise = key_bits, block_bits or key_bits, block_bits > 0
        self._bits, self._ready, self._exact = 0, -1, Fraction(0)

    def block_at(self, keys: int, now: int) -> Block | None:
        """Return the next block that is begun at tick `now`, with `keys` keys or all of a block; None if none comes.

        A block that is begun when the one before it was ready goes on from there, without a loss of parts of a tick.
        """
        begin = self._exact if now == self._ready else Fraction(now)
        wanted = 1 if self._blockwise else keys
        for end in self._ends(begin):
            self._bits += self._unit
            if self._bits >= wanted * self._key_bits:
                made, self._bits = divmod(self._bits, self._key_bits)
                self._exact, self._ready = end, max(math.floor(end), now + 1)
                return Block(self._ready - now, made)
        return None

    def _ends(self, begin: Fraction) -> Iterator[Fraction]:
        """Yield when one unit after the other is finished, from a time on; come to an end if no more will be."""
        done, idle, at = Fraction(0), 0, begin
        for start, end, step in self._pieces(begin):
            at, idle = max(start, at), idle + 1
            if not step.up:
                done = Fraction(0)
            while step.up and step.rate:
                finish = _rounded(at + (self._unit - done) / step.rate)
                if end is not None and finish > end:
                    done += (end - at) * step.rate
                    break
                at, done, idle = finish, Fraction(0), 0
                yield at
            if idle > 2 * len(self._steps) and (not done or self._loses()):
                return  # a whole period went by, and the next one is like it

    def _loses(self) -> bool:
        return not all(step.up for step in self._steps)

    def _pieces(self, begin: Fraction) -> Iterator[tuple[Fraction, Fraction | None, RateStep]]:
        """Yield the steps from a time on, with their starts and ends; the last one has none, unless they repeat."""
        cycle = int(begin // self._period) if self._period else 0
        number = max(bisect_right(self._starts, begin - cycle * self._period) - 1, 0)
        while True:
            offset = cycle * self._period
            for index in range(number, len(self._steps)):
                following = self._starts[index + 1] if index + 1 < len(self._steps) else self._period
                is_last = index + 1 == len(self._steps) and not self._period
                start, end = Fraction(offset + self._starts[index]), None if is_last else Fraction(offset + following)
                yield start, end, self._steps[index]
            if not self._period:
                return
            cycle, number = cycle + 1, 0


def _rounded(time: Fraction) -> Fraction:
    return Fraction(math.ceil(time * _PARTS), _PARTS)
