"""What one node knows of one request, from its REQUEST to its DONE or REJECT, and what it knows of a neighbour."""

from __future__ import annotations

from dataclasses import dataclass

from qkdrmp.network.channel import Channel
from qkdrmp.qkd.keys.key_pool import KeyPool, KeyRange
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.keys.quantum_link import QuantumLink
from qkdrmp.qkd.request import KeyRequest


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The link to a neighbour, as one node sees it.

    Parameters
    ----------
    name : str
    channel : Channel
        The classical channel to it.
    link : QuantumLink
        The quantum side of the link.
    incoming, outgoing : KeyStream or None
        The streams of requests that come from the neighbour and that go to it; None on an access link without pools.
    """

    name: str
    channel: Channel
    link: QuantumLink
    incoming: KeyStream | None
    outgoing: KeyStream | None


class Reservation:
    """One request at one node.

    Parameters
    ----------
    request : KeyRequest
    up, down : Neighbour or None
        The neighbours on its path towards the sender and the receiver; None at the ends.

    Attributes
    ----------
    up_pool, down_pool : KeyPool or None
        This node's copies of the two streams it takes keys of.
    up_count, down_count : int
        How many keys it takes of each.
    chosen : tuple of (KeyPool, int)
        The pools whose keys this node chooses for the request, with their number; see `QKDRMP.chosen_here`.
    up_keys, down_keys : KeyRange or None
        Which keys it got: claimed here for the upstream link, claimed by the neighbour for the downstream link.
    up_key, down_key : int or None
        The key bits shared with each neighbour, as soon as they are known.
    accepted, served, done : bool
        Whether ACCEPT has passed, whether a repeater has sent its ciphertext, whether DONE has come.
    """

    __slots__ = (
        "accepted",
        "chosen",
        "done",
        "down",
        "down_count",
        "down_key",
        "down_keys",
        "down_pool",
        "request",
        "served",
        "up",
        "up_count",
        "up_key",
        "up_keys",
        "up_pool",
    )

    def __init__(self, request: KeyRequest, up: Neighbour | None, down: Neighbour | None) -> None:
        self.request = request
        self.up = up
        self.down = down
        incoming = up.incoming if up else None
        outgoing = down.outgoing if down else None
        self.up_pool: KeyPool | None = incoming.downstream if incoming else None
        self.down_pool: KeyPool | None = outgoing.upstream if outgoing else None
        self.up_count = incoming.settings.keys_for(request.bits) if incoming else 0
        self.down_count = outgoing.settings.keys_for(request.bits) if outgoing else 0
        self.chosen: tuple[tuple[KeyPool, int], ...] = ()
        self.up_keys: KeyRange | None = None
        self.down_keys: KeyRange | None = None
        self.up_key: int | None = None
        self.down_key: int | None = None
        self.accepted = False
        self.served = False
        self.done = False

    @property
    def has_keys(self) -> bool:
        """Whether the node has all the link keys it needs."""
        return (self.up is None or self.up_key is not None) and (self.down is None or self.down_key is not None)

    @property
    def pools(self) -> list[KeyPool]:
        """The pools whose keys this node chooses."""
        return [pool for pool, _ in self.chosen]

    def use_keys(self) -> None:
        """Turn the keys it got into key bits; what the last key has more is discarded."""
        if self.up_pool is not None and self.up_keys is not None:
            excess = self._excess(self.up_pool, self.up_keys)
            self.up_key = self.up_pool.use(self.up_keys) >> excess
            self.up_pool.excess_bits += excess
        if self.down_pool is not None and self.down_keys is not None:
            excess = self._excess(self.down_pool, self.down_keys)
            self.down_key = self.down_pool.use(self.down_keys) >> excess
            self.down_pool.excess_bits += excess

    def void_keys(self) -> None:
        """Discard the pool keys it got, used or not."""
        for pool, keys, key in (
            (self.up_pool, self.up_keys, self.up_key),
            (self.down_pool, self.down_keys, self.down_key),
        ):
            if pool is not None and keys is not None:
                pool.void(keys)
                pool.excess_bits -= 0 if key is None else self._excess(pool, keys)

    def _excess(self, pool: KeyPool, keys: KeyRange) -> int:
        return keys.count * pool.settings.key_bits - self.request.bits
