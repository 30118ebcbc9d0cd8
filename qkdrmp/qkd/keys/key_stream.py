"""Key streams: the keys of one direction of a link, indexed, held in two mirrored copies.

Every key has an index, as both ends name a key by its identifier in ETSI GS QKD 004 and 014. The downstream end
chooses which indices a request gets and announces them to the upstream end, so the copies cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import simpy
from simpy.events import Timeout

from qkdrmp.kernel.simpy_marks import succeed_later
from qkdrmp.qkd.keys.key_bits import IndexedKeys
from qkdrmp.qkd.keys.key_get import KeyGet, KeyRange
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.keys.thresholds import StreamSettings


class KeyStream:
    """One direction of one link.

    Parameters
    ----------
    env : simpy.Environment
    ends : tuple of str
        The upstream and the downstream node; requests that travel this way use these keys.
    settings : StreamSettings
    random : numpy.random.Generator
        Where the key bits come from, the same for both ends.
    delay : int
        Ticks by which the upstream copy is later than the downstream one: what is made, got or discarded changes the
        downstream copy at once and the upstream copy after the delay (>= 0).

    Raises
    ------
    ValueError
        If the delay is negative.

    Attributes
    ----------
    name : str
        The two nodes, as in R1>R2.
    upstream, downstream : KeyPool
        The two copies.
    overflow : int
        Keys that were generated without free capacity for them, and dropped.
    """

    def __init__(
        self,
        env: simpy.Environment,
        ends: tuple[str, str],
        settings: StreamSettings,
        random: np.random.Generator,
        delay: int = 0,
    ) -> None:
        if delay < 0:
            raise ValueError(f"delay = {delay} must be at least 0")
        self.env = env
        self.ends = ends
        self.name = f"{ends[0]}>{ends[1]}"
        self.settings = settings
        self.delay = delay
        self.overflow = 0
        self._keys = IndexedKeys(random, settings.key_bits)
        self.upstream = KeyPool(env, self, settings)
        self.downstream = KeyPool(env, self, settings)
        if settings.thresholds.initial:
            for pool in (self.upstream, self.downstream):
                pool.store(settings.thresholds.initial)
                pool.reset_statistics(pool.env.now)  # it was never empty
        self.downstream.review()

    @property
    def free(self) -> int:
        """How many keys fit in at both ends, with those on their way to the upstream end."""
        coming = self.downstream.stored - self.upstream.stored
        return min(self.upstream.free - coming, self.downstream.free)

    @property
    def is_stuck(self) -> bool:
        """Whether a copy is SERVING, so that it gets no keys, and has too few for a request that waits."""
        return bool(self.downstream.stuck.value or self.upstream.stuck.value)

    def bits(self, keys: KeyRange) -> int:
        """Return the bits of keys, whoever has them, as one number that begins with the first."""
        return self._keys.joined(keys.first, keys.count)

    def put(self, count: int) -> int:
        """Add `count` new keys to both copies; return for how many there was free capacity."""
        fitting = self.admit(count)
        if fitting:
            self.add(fitting)
        return fitting

    def admit(self, count: int, most: int | None = None) -> int:
        """Return how many of `count` new keys to add: at most `most`, and what there is free capacity for.

        The others are dropped and counted.
        """
        fitting = min(count, self.free) if most is None else min(count, self.free, most)
        self.overflow += count - fitting
        return fitting

    def add(self, count: int, filled: bool = False) -> None:
        """Add `count` new keys, for which there is free capacity, to both copies; see `KeyPool.store` for `filled`."""
        self._at_upstream(partial(self.upstream.store, count, filled))
        self.downstream.store(count, filled)

    def claim_for(self, get: KeyGet) -> None:
        """Set keys aside at both copies for a get; it happens when the copy that was asked has them aside."""
        keys = self.downstream.claim(int(get.amount))
        self._at_upstream(partial(self.upstream.hold, keys))
        succeed_later(get, keys, self.delay if get.pool is self.upstream else 0)

    def void(self, keys: KeyRange) -> None:
        """Discard keys that were set aside, at both copies."""
        self.downstream.void(keys)
        self._at_upstream(partial(self.upstream.void, keys))

    def _at_upstream(self, action: Callable[[], Any]) -> None:
        """Let something happen at the upstream copy, which is one delay away."""
        if self.delay:
            Timeout(self.env, self.delay).callbacks.append(lambda event: action())
        else:
            action()
