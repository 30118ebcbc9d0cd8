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

    def take(self, bits: int) -> int:
        """Return the next key of `bits` bits, as a number."""
        size = (bits + 7) // 8
        end = self._used + size
        if end > len(self._buffer):
            # A draw from the generator costs as much as a hundred keys of 32 bits.
            self._buffer = self._random.bytes(max(BUFFER_BYTES, size))
            end = size
        key = int.from_bytes(self._buffer[end - size : end], "big")
        self._used = end
        return key >> (8 * size - bits)
