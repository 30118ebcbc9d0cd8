"""Real key bits: uniformly random, taken from a random stream one after the other, or by the index of a key."""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import numpy as np

BUFFER_BYTES = 4096
WORD_BITS = 64
MOST_BLOCKS = 4


class KeyBits:
    """The key bits that a link makes for one request after the other.

    Parameters
    ----------
    random : numpy.random.Generator
    """

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._buffer = b""
        self._used = 0

    def take(self, bits: int) -> int:
        """Return the next `bits` bits, as a number."""
        size = (bits + 7) // 8
        end = self._used + size
        if end > len(self._buffer):
            # A draw from the generator costs as much as a hundred keys of 32 bits.
            self._buffer = self._random.bytes(max(BUFFER_BYTES, size))
            end = size
        taken, self._used = self._buffer[end - size : end], end
        return int.from_bytes(taken, "big") >> 8 * size - bits


class IndexedKeys:
    """The keys of a stream, by their index.

    They are made when they are asked for, each time anew and alike: so both ends of a link have the same ones, and
    pools of any size take no memory for them.

    Parameters
    ----------
    random : numpy.random.Generator
        A PCG64, from whose present state on they are drawn.
    bits : int
        Length of a key (>= 1).
    """

    def __init__(self, random: np.random.Generator, bits: int) -> None:
        self._start = cast(np.random.PCG64, deepcopy(random.bit_generator))
        self._bits = bits
        self._words = -(-bits // WORD_BITS)
        self._in_block = max(1, BUFFER_BYTES * 8 // (self._words * WORD_BITS))
        self._blocks: dict[int, bytes] = {}

    def joined(self, first: int, count: int) -> int:
        """Return `count` keys from index `first` on as one number, which begins with the first."""
        joined = 0
        for index in range(first, first + count):
            joined = joined << self._bits | self._key(index)
        return joined

    def _key(self, index: int) -> int:
        number, place = divmod(index, self._in_block)
        block = self._blocks.get(number) or self._block(number)
        size = self._words * WORD_BITS // 8
        return int.from_bytes(block[place * size : (place + 1) * size], "big") >> 8 * size - self._bits

    def _block(self, number: int) -> bytes:
        """Return a block of keys; the last few that were asked for are kept, as the two ends are seldom far apart."""
        source = deepcopy(self._start)
        words = self._in_block * self._words
        source.advance(number * words)
        if len(self._blocks) >= MOST_BLOCKS:
            del self._blocks[next(iter(self._blocks))]
        self._blocks[number] = source.random_raw(words).astype(">u8").tobytes()
        return self._blocks[number]
