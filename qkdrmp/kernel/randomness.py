"""Named random streams: every component draws from its own, derived from one seed and the component's name."""

from __future__ import annotations

import hashlib
import json

import numpy as np

_LIST = "\0"


class Streams:
    """The random streams of one run.

    A stream depends on the seed and its name alone, so a component that is added, removed or configured otherwise
    leaves every other stream as it was: runs that differ in one parameter share their random numbers.

    Parameters
    ----------
    seed : int
        Any non-negative whole number.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, name: str) -> np.random.Generator:
        """Return a new generator at the start of the stream called `name`."""
        digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
        words = tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=words)))


def joined(separator: str, *names: str) -> str:
    """Return names as one that no other names give.

    They are joined by the separator; where one of them contains it, so that the names could not be read back,
    they are written as a list in JSON instead.

    Examples
    --------
    >>> joined("-", "A", "B")
    'A-B'
    >>> joined("-", "A-B", "C") == joined("-", "A", "B-C")
    False
    """
    plain = separator.join(names)
    if plain.split(separator) == [*names] and _LIST not in plain:
        return plain
    return _LIST + json.dumps(names)


def replication_seed(seed: int, replication: int) -> int:
    """Return the seed of replication number `replication` (0, 1, ...) of an experiment with `seed`."""
    return int(np.random.SeedSequence(seed, spawn_key=(replication,)).generate_state(1, np.uint32)[0])
