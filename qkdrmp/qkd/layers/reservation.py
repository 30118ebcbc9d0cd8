"""What one node knows of one request, from its REQUEST to its DONE or REJECT, and what it knows of a neighbour."""

from __future__ import annotations

from dataclasses import dataclass

from qkdrmp.network.channel import Channel
from qkdrmp.qkd.keys.key_get import KeyRange
from qkdrmp.qkd.keys.key_pool import KeyPool
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


class LinkShare:
    """What one request has of one of a node's links: key bits that are made for it alone.

    Parameters
    ----------
    neighbour : Neighbour

    Attributes
    ----------
    channel : Channel
        The classical channel to the neighbour.
    key : int or None
        The key bits shared with the neighbour, as soon as they are known.
    """

    __slots__ = ("channel", "key", "neighbour")

    def __init__(self, neighbour: Neighbour) -> None:
        self.neighbour = neighbour
        self.channel = neighbour.channel
        self.key: int | None = None


class PoolShare(LinkShare):
    """What one request has of one of a node's links that has pools.

    Parameters
    ----------
    neighbour : Neighbour
    pool : KeyPool
        This node's copy of the stream that it takes keys of.
    bits : int
        Key bits the request takes.

    Attributes
    ----------
    count : int
        How many keys of the pool it takes.
    keys : KeyRange or None
        Which keys of the pool it has.
    """

    __slots__ = ("count", "excess", "keys", "pool")

    def __init__(self, neighbour: Neighbour, pool: KeyPool, bits: int) -> None:
        super().__init__(neighbour)
        self.pool = pool
        self.count = pool.settings.keys_for(bits)
        self.excess = self.count * pool.settings.key_bits - bits
        self.keys: KeyRange | None = None

    def claim(self) -> None:
        """Claim its keys, as the end that chooses them."""
        self.keys = self.pool.claim(self.count)

    def use(self) -> None:
        """Turn the pool keys it has into key bits; what the last key has more is discarded."""
        if self.keys is not None:
            self.key = self.pool.use(self.keys) >> self.excess
            self.pool.excess_bits += self.excess

    def void(self) -> None:
        """Discard the pool keys it has, used or not."""
        if self.keys is not None:
            self.pool.void(self.keys)
            if self.key is not None:
                self.pool.excess_bits -= self.excess


class Reservation:
    """One request at one node.

    Parameters
    ----------
    request : KeyRequest
    up, down : Neighbour or None
        The neighbours on its path towards the sender and the receiver; None at the ends.

    Attributes
    ----------
    up, down : LinkShare or None
        What it has of the two links.
    chosen : tuple of PoolShare
        The shares whose keys this node chooses.
    claimed : PoolShare or None
        The share whose keys the neighbour downstream chooses.
    claims : bool
        Whether who chooses keys announces them to the other end of the link.
    accepted, served, done, over : bool
        Whether ACCEPT has passed, whether a repeater has sent its ciphertext, whether DONE has come, and whether the
        node takes no further part in it.
    """

    __slots__ = ("accepted", "chosen", "claimed", "claims", "done", "down", "over", "request", "served", "up")

    def __init__(self, request: KeyRequest, up: Neighbour | None, down: Neighbour | None) -> None:
        self.request = request
        self.up: LinkShare | None = None
        self.down: LinkShare | None = None
        self.chosen: tuple[PoolShare, ...] = ()
        self.claimed: PoolShare | None = None
        self.claims = True
        self.accepted = self.served = self.done = self.over = False
        if up is not None and up.incoming is not None:
            self.up = share = PoolShare(up, up.incoming.downstream, request.bits)
            self.chosen = (share,)
        elif up is not None:
            self.up = LinkShare(up)
        if down is not None and down.outgoing is not None:
            self.down = self.claimed = PoolShare(down, down.outgoing.upstream, request.bits)
        elif down is not None:
            self.down = LinkShare(down)

    def choose_all(self) -> None:
        """Let this node choose the keys of both links, without a claim either way."""
        if self.claimed is not None:
            self.chosen = (*self.chosen, self.claimed)
            self.claimed = None
        self.claims = False

    @property
    def to_announce(self) -> KeyRange | None:
        """The keys that the neighbour upstream has to be notified of by a claim."""
        return self.chosen[0].keys if self.claims and self.chosen else None

    @property
    def from_pools(self) -> tuple[PoolShare, ...]:
        """Its shares of the links that have pools."""
        return self.chosen if self.claimed is None else (*self.chosen, self.claimed)

    @property
    def has_keys(self) -> bool:
        """Whether the node has all the link keys it needs."""
        return (self.up is None or self.up.key is not None) and (self.down is None or self.down.key is not None)

    @property
    def awaits_claim(self) -> bool:
        """Whether the keys that the neighbour downstream chooses are still to come."""
        return self.claimed is not None and self.claimed.keys is None

    @property
    def can_be_served(self) -> bool:
        """Whether it can have its pool keys now."""
        return not self.awaits_claim and all(share.pool.can_serve(share.count) for share in self.chosen)

    @property
    def waits_here(self) -> bool:
        """Whether it is this node at which it waits, and not one that this node depends on.

        It waits at repeaters, at a receiver that takes keys of a pool, and at a receiver without repeaters on the way.
        """
        between = self.up is not None and self.down is not None
        without_repeater = self.down is None and len(self.request.route) == 2
        return (between or isinstance(self.up, PoolShare) or without_repeater) and not self.awaits_claim

    def serve(self) -> None:
        """Claim the pool keys that this node chooses, and turn all pool keys into key bits."""
        for share in self.chosen:
            share.claim()
            share.pool.taken_by[self.request.users] += share.count
        for share in self.from_pools:
            share.use()

    def void_keys(self) -> None:
        """Discard the pool keys it has, used or not."""
        for share in self.chosen:
            if share.keys is not None:
                share.pool.voided_for[self.request.id] += share.count
        for share in self.from_pools:
            share.void()

    def review_pools(self) -> None:
        """Let the pools whose keys this node chooses look whether they are interrupted by what has happened to it."""
        for share in self.chosen:
            share.pool.review()
