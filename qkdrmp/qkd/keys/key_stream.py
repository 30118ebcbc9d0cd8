"""Key streams: the keys of one direction of a link, indexed, held in two mirrored copies.

Every key has an index, as both ends name a key by its identifier in ETSI GS QKD 004 and 014. The downstream end
chooses which indices a request gets and announces them to the upstream end, so the copies cannot disagree.
"""

from __future__ import annotations

from qkdrmp.kernel.environment import Environment
from qkdrmp.qkd.keys.key_bits import KeyBits
from qkdrmp.qkd.keys.key_pool import KeyPool, Replenish, Thresholds


class KeyStream:
    """One direction of one link.

    Parameters
    ----------
    env : Environment
    ends : tuple of str
        The upstream and the downstream node; requests that travel this way use these keys.
    thresholds : Thresholds
    key_bits : int
        Length of one key.
    replenish : Replenish
    refill_lead_delays : float or None
        None: the downstream end asks for a refill by REFILL. A number: no message, and a refill starts that many
        one-way delays after it is due (QNET: 5).
    bits : KeyBits
        Where the key bits come from, the same for both ends.

    Attributes
    ----------
    upstream, downstream : KeyPool
        The two copies.
    overflow : int
        Keys that were generated without free capacity for them, and dropped.
    """

    def __init__(
        self,
        env: Environment,
        ends: tuple[str, str],
        thresholds: Thresholds,
        key_bits: int,
        replenish: Replenish,
        refill_lead_delays: float | None,
        bits: KeyBits,
    ) -> None:
        self.ends = ends
        self.name = f"{ends[0]}>{ends[1]}"
        self.thresholds = thresholds
        self.key_bits = key_bits
        self.replenish = replenish
        self.refill_lead_delays = refill_lead_delays
        self.upstream = KeyPool(env, thresholds, key_bits, replenish)
        self.downstream = KeyPool(env, thresholds, key_bits, replenish)
        self.overflow = 0
        self._bits = bits
        if thresholds.initial:
            keys = self.draw(thresholds.initial)
            self.upstream.store(keys)
            self.downstream.store(keys)

    def keys_for(self, bits: int) -> int:
        """Return how many keys of this stream a request for `bits` bits takes."""
        return -(-bits // self.key_bits)

    @property
    def free(self) -> int:
        """How many keys fit in at both ends, with those on their way to the upstream end."""
        coming = self.downstream.stored - self.upstream.stored
        return min(self.upstream.free - coming, self.downstream.free)

    def draw(self, count: int) -> list[int]:
        """Return the bits of the next `count` keys."""
        return self._bits.take(count, self.key_bits)
