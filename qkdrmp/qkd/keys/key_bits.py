"""Real key bits: uniformly random, taken from a random stream one key after the other."""

from __future__ import annotations

import numpy as np

BUFFER_BYTES = 4096


class KeyBits:
    """The key bits that a link makes.

    Parameters
    ----------
    random : numpy.random.Generator
    """

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._buffer = b""
        self._used = 0

    def take(self, count: int, bits: int) -> list[int]:
        """Return the next `count` keys of `bits` bits each, as numbers."""
        size = (bits + 7) // 8
        end = self._used + count * size
        if end > len(self._buffer):
            # A draw from the generator costs as much as a hundred keys of 32 bits.
            self._buffer = self._random.bytes(max(BUFFER_BYTES, count * size))
            end = count * size
        taken, self._used = self._buffer[end - count * size : end], end
        excess = 8 * size - bits
        return [int.from_bytes(taken[i : i + size], "big") >> excess for i in range(0, count * size, size)]
