"""Keys at a constant rate: no physics but the flight of the light, no randomness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qkdrmp.kernel.units import TICKS_PER_SECOND
from qkdrmp.key_rates.model import Block, Fibre


@dataclass(frozen=True)
class Constant:
    """A key rate that depends on nothing: `n` keys of `K` bits take `n K / rate_bps` seconds.

    When a session starts, light is sent: the first keys are at the receiving end one delay of the fibre later.

    Parameters
    ----------
    rate_bps : float
        Key bits per second; above 0 and at most 1e12 (one bit per tick).

    Raises
    ------
    ValueError
        If `rate_bps` is outside its range.
    """

    rate_bps: float

    def __post_init__(self) -> None:
        if not 0 < self.rate_bps <= TICKS_PER_SECOND:
            raise ValueError(f"rate_bps = {self.rate_bps!r} must be above 0 and at most 1e12 bit/s")

    def session(self, fibre: Fibre, key_bits: int, random: np.random.Generator) -> ConstantSession:
        """Open a session that makes keys of `key_bits` bits; of the fibre, the delay counts; `random` is not used."""
        return ConstantSession(self.rate_bps, key_bits, fibre.delay_ticks)

    def mean_rate_bps(self, fibre: Fibre, key_bits: int) -> float:
        """Return `rate_bps`, whatever the fibre and the key length."""
        return self.rate_bps


class ConstantSession:
    """Blocks at a constant rate, without drift.

    Parameters
    ----------
    rate_bps : float
        Key bits per second.
    key_bits : int
        Length of a key, in bits (>= 1).
    flight_ticks : int
        Time until the first light is at the receiving end (>= 0).
    """

    __slots__ = ("_divisor", "_flight", "_owed", "_per_key")

    def __init__(self, rate_bps: float, key_bits: int, flight_ticks: int = 0) -> None:
        # A float is a ratio of two integers, so whole numbers can carry the fraction of a tick exactly.
        self._divisor, denominator = float(rate_bps).as_integer_ratio()
        self._per_key = key_bits * TICKS_PER_SECOND * denominator
        self._owed = 0
        self._flight = flight_ticks

    def block(self, keys: int) -> Block:
        """Return the next block, with `keys` keys (>= 1)."""
        ticks, self._owed = divmod(self._owed + keys * self._per_key, self._divisor)
        flight, self._flight = self._flight, 0
        return Block(flight + ticks, keys)
