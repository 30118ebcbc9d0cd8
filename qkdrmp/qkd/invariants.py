"""What must always hold in a QKD network."""

from __future__ import annotations

from qkdrmp.kernel.invariants import require
from qkdrmp.network.channel import FaultyChannel
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.network import QKDNetwork, QKDStack
from qkdrmp.qkd.request import RequestLedger, RequestStatus


def check_network(network: QKDNetwork) -> None:
    """Check everything that holds at any moment between two events.

    Raises
    ------
    InvariantError
        If something does not hold; it says what and where.
    """
    claimed = network.settings.pools.mirrors == "claimed"
    check_ledger(network.ledger, equal_keys=claimed)
    for stream in network.streams:
        for pool in (stream.upstream, stream.downstream):
            check_pool(stream.name, pool)
        decided = (stream.downstream,) if claimed else (stream.downstream, stream.upstream)
        for pool in decided:
            check_state(stream.name, pool)
    for stack in network.stacks.values():
        check_queue(stack)


def check_ledger(ledger: RequestLedger, equal_keys: bool = True) -> None:
    """Every request has one state, and the two users of a delivered one have equal keys of the length asked for."""
    states = [entry.state for entry in ledger.entries]
    ended = states.count(RequestStatus.DELIVERED) + states.count(RequestStatus.REJECTED)
    require(
        len(states) == ended + states.count(RequestStatus.UNFINISHED), "started = delivered + rejected + unfinished"
    )
    for entry in ledger.entries:
        name = f"request {entry.request.id}"
        require(
            (entry.state is RequestStatus.REJECTED) == (entry.reason is not None), f"{name}: reason only if rejected"
        )
        require(
            (entry.end is None) == (entry.state is RequestStatus.UNFINISHED), f"{name}: an end only if it has ended"
        )
        if entry.state is RequestStatus.DELIVERED:
            require(entry.alice_key is not None and entry.bob_key is not None, f"{name}: both have keys")
            require((entry.alice_key or 0).bit_length() <= entry.request.bits, f"{name}: no more bits than asked")
            require(not equal_keys or entry.mismatched_bits == 0, f"{name}: both have the same keys")


def check_pool(name: str, pool: KeyPool) -> None:
    """Keys are conserved and the level is within its bounds."""
    level = pool.level
    require(0 <= level <= pool.settings.thresholds.capacity, f"{name}: 0 <= level {level} <= capacity")
    require(min(pool.claimed, pool.used, pool.voided) >= 0, f"{name}: no count of keys is negative")
    total = level + pool.claimed + pool.used + pool.voided
    require(pool.stored == total, f"{name}: stored {pool.stored} = level + claimed + used + voided = {total}")


def check_state(name: str, pool: KeyPool) -> None:
    """A serving pool is above its interrupt threshold; an interrupted one is below its recovery threshold."""
    sizes, level = pool.settings.thresholds, pool.level
    if pool.serving:
        require(level > sizes.interrupt, f"{name}: serving at level {level}, interrupt at {sizes.interrupt}")
    else:
        require(level < sizes.recover, f"{name}: interrupted at level {level}, recover at {sizes.recover}")


def check_queue(stack: QKDStack) -> None:
    """The queue holds no more than its slots, and nothing waits beside pools that could serve it."""
    queue, name = stack.resource.queue, stack.node.name
    require(len(queue) <= queue.capacity, f"{name}: queue within its capacity")
    for reservation in queue:
        waiting = f"{name}: request {reservation.request.id} waits"
        require(not queue.is_next(reservation), f"{waiting} though it could be served")


def is_quiescent(network: QKDNetwork) -> bool:
    """Return whether all requests have ended and nothing is on its way, in a network whose ends agree by claims."""
    claimed = network.settings.pools.mirrors == "claimed"
    faultless = not any(isinstance(channel, FaultyChannel) for channel in network.channels)
    ended = all(entry.end is not None for entry in network.ledger.entries)
    return claimed and faultless and ended and network.env.is_idle


def check_quiescent(network: QKDNetwork) -> None:
    """When all requests have ended and nothing is on its way, both ends of every stream account for the same keys."""
    for stack in network.stacks.values():
        require(not stack.routing.reservations, f"{stack.node.name}: knows no request any more")
    for stream in network.streams:
        require(stream.upstream.claimed == stream.downstream.claimed == 0, f"{stream.name}: no claim is left")
        require(_account(stream, "upstream") == _account(stream, "downstream"), f"{stream.name}: both ends alike")


def _account(stream: KeyStream, end: str) -> tuple[int, int, int]:
    pool: KeyPool = getattr(stream, end)
    return pool.stored, pool.used, pool.voided
