"""What comes out of a run of QKD resource management: the tables, and the one line of a sweep.

Column names carry their unit: ``_s`` seconds, ``_bps`` bits per second, ``_bits`` bits; keys and requests are counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp.kernel.monitor import Monitor
from qkdrmp.kernel.units import to_seconds
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.network import QKDNetwork, Stack
from qkdrmp.qkd.request import Entry, Reason, State
from qkdrmp.stats.estimators import jain, quantiles
from qkdrmp.topology import NodeKind

REASONS = tuple(reason for reason in Reason if reason is not Reason.CANCELLED)

SUMMARY_COLUMNS: dict[str, str] = {
    "requests_started": "requests asked for after the warm-up; all that follows is about these",
    "requests_delivered": "requests whose two users both have the keys",
    "requests_unfinished": "requests that had not ended at the end of the run",
    **{f"rejected_{reason}": f"requests rejected with the reason {reason}" for reason in REASONS},
    "blocking": "share of the requests asked for and ended that were rejected",
    "fairness": "Jain's index, over the ordered pairs of users that asked, of the share of the key bits they asked for "
    "that was delivered: 1 if all get the same share, 1/n if one of n gets everything",
    "keys_delivered": "keys of delivered requests",
    "key_rate_bps": "key bits of delivered requests per second after the warm-up, bit/s",
    "wait_mean_s": "mean time from start to delivery, s",
    "wait_p50_s": "median of that time, s",
    "wait_p95_s": "95th percentile of that time, s",
    "wait_p99_s": "99th percentile of that time, s",
    "pool_level_mean": "time-weighted mean level of a key pool as a share of its capacity, mean over the pools",
    "queue_mean": "time-weighted mean number of requests in the queues of all nodes together",
    "mismatched_keys": "keys of delivered requests that differ between the two users",
    "mismatched_requests": "delivered requests with at least one such key",
    "stuck_pools": "key streams that, at the end, have too few keys for a waiting request and get no more",
    "events": "events processed, warm-up included",
    "messages": "messages sent, each hop counted, warm-up included",
}

REQUEST_COLUMNS: dict[str, str] = {
    "id": "number of the request, in the order of starts",
    "src": "user who asked",
    "dst": "user asked",
    "path": "nodes of the route, joined by >; empty if there is none",
    "start_s": "when it was asked, s",
    "end_s": "when the sender had the keys or learned of the rejection, s",
    "state": "delivered, rejected or unfinished",
    "reason": "why it was rejected",
    "rejected_by": "node that rejected it",
    "keys": "number of keys asked for",
    "key_bits": "length of each key, bits",
    "priority": "priority",
    "deadline_s": "time by which every repeater must have served it, s",
    "wait_s": "time from start to delivery, s; empty unless delivered",
    "mismatched_bits": "bits in which the two users' keys differ",
}

NODE_COLUMNS: dict[str, str] = {
    "node": "name",
    "kind": "end or repeater",
    "served": "delivered requests it has relayed",
    **{f"rejected_{reason}": f"requests it rejected with the reason {reason}" for reason in REASONS},
    "queue_mean": "mean number of requests in its queue",
    "queue_max": "largest number of requests in its queue",
    "busy_s": "time with an accepted request not yet served, s",
    "late_messages": "messages for requests that were over, dropped (warm-up included)",
}

POOL_COLUMNS: dict[str, str] = {
    "stream": "upstream node > downstream node; one row a key stream, observed at its downstream copy",
    "upstream": "node that sends the photons",
    "downstream": "node that chooses the keys",
    "capacity": "V_m, keys",
    "interrupt": "V_i, keys",
    "recover": "V_r, keys",
    "level_mean": "time-weighted mean level, keys",
    "level_min": "lowest level, keys",
    "level_end": "level at the end, keys",
    "interrupted_s": "time INTERRUPTED, s",
    "interrupts": "times service was interrupted",
    "stuck_s": "time SERVING without a refill due, with too few keys for a waiting request, s",
    "stuck": "whether it is stuck at the end",
    "generated": "keys made, warm-up included",
    "used": "keys given to requests, warm-up included",
    "voided": "keys discarded with cancelled requests, warm-up included",
    "overflow": "keys made without room for them and dropped, warm-up included",
    "excess_bits": "bits of keys that requests took and did not need, warm-up included",
}

MESSAGE_COLUMNS: dict[str, str] = {
    "request": "number of the request; 0 for REFILL",
    "message": "type",
    "source": "node that sent it on this hop",
    "target": "node it goes to on this hop",
    "sent_s": "when it was sent, s",
    "received_s": "when it arrives, s",
    "detail": "reason of a REJECT, keys of a claim",
}

LEVEL_COLUMNS: dict[str, str] = {
    "stream": "upstream node > downstream node",
    "end": "upstream or downstream copy",
    "time_s": "when the level changed, s",
    "level": "level from then on, keys",
}


def summary(network: QKDNetwork, warmup: int) -> dict[str, float]:
    """Return the figures of one run up to now, as a row of a sweep (see `SUMMARY_COLUMNS`)."""
    entries = [entry for entry in network.ledger.entries if entry.request.start >= warmup]
    delivered = [entry for entry in entries if entry.state is State.DELIVERED]
    waits = [to_seconds(_duration(entry)) for entry in delivered]
    bits = sum(entry.request.bits for entry in delivered)
    wrong = [mismatched_keys(entry) for entry in delivered]
    now, nothing = network.env.now, float("nan")
    observed = to_seconds(now - warmup)
    levels = [stream.downstream.gauge.mean(now) / stream.thresholds.capacity for stream in network.streams]
    rejected = [entry.reason for entry in entries if entry.state is State.REJECTED]
    ended = len(delivered) + len(rejected)
    return {
        "requests_started": len(entries),
        "requests_delivered": len(delivered),
        "requests_unfinished": len(entries) - ended,
        **{f"rejected_{reason}": rejected.count(reason) for reason in REASONS},
        "blocking": len(rejected) / ended if ended else nothing,
        "fairness": _fairness(entries),
        "keys_delivered": sum(entry.request.keys for entry in delivered),
        "key_rate_bps": bits / observed if observed > 0 else 0.0,
        **quantiles("wait", waits),
        "pool_level_mean": float(np.mean(levels)) if levels else nothing,
        "queue_mean": sum(stack.resource.queue.length.mean(now) for stack in network.stacks.values()),
        "mismatched_keys": sum(wrong),
        "mismatched_requests": sum(count > 0 for count in wrong),
        "stuck_pools": len(stuck_streams(network)),
        "events": network.env.events,
        "messages": network.messages,
    }


def _fairness(entries: Iterable[Entry]) -> float:
    """Return Jain's index of the delivered shares of the ordered pairs of users (see `SUMMARY_COLUMNS`)."""
    asked: Counter[tuple[str, str]] = Counter()
    given: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        users = entry.request.src, entry.request.dst
        asked[users] += entry.request.bits
        given[users] += entry.request.bits * (entry.state is State.DELIVERED)
    return jain(given[users] / bits for users, bits in asked.items())


def _duration(entry: Entry) -> int:
    assert entry.end is not None
    return entry.end - entry.request.start


def mismatched_keys(entry: Entry) -> int:
    """Return how many of a request's keys differ between its two users."""
    if not entry.mismatched_bits or entry.alice_key is None or entry.bob_key is None:
        return 0
    difference, mask = entry.alice_key ^ entry.bob_key, (1 << entry.request.key_bits) - 1
    shifts = range(0, entry.request.bits, entry.request.key_bits)
    return sum(difference >> shift & mask > 0 for shift in shifts)


def stuck_streams(network: QKDNetwork) -> list[str]:
    """Return the names of the key streams that are stuck now."""
    return [stream.name for stream in network.streams if _is_stuck(stream)]


def _is_stuck(stream: KeyStream) -> bool:
    return bool(stream.downstream.stuck.value or stream.upstream.stuck.value)


def tables(network: QKDNetwork, warmup: int = 0) -> dict[str, pd.DataFrame]:
    """Return the tables of a run, by name."""
    made = {"requests": _requests(network), "nodes": _nodes(network, warmup), "pools": _pools(network)}
    if network.hops is not None:
        made["messages"] = _messages(network)
    if network.histories:
        made["levels"] = _levels(network)
    return made


def _frame(rows: list[tuple[Any, ...]], columns: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def _seconds(ticks: int | None) -> float:
    return float("nan") if ticks is None else to_seconds(ticks)


def _requests(network: QKDNetwork) -> pd.DataFrame:
    rows = []
    for entry in network.ledger.entries:
        request = entry.request
        delivered = entry.state is State.DELIVERED
        rows.append(
            (
                request.id,
                request.src,
                request.dst,
                ">".join(request.route),
                to_seconds(request.start),
                _seconds(entry.end),
                str(entry.state),
                None if entry.reason is None else str(entry.reason),
                entry.rejected_by,
                request.keys,
                request.key_bits,
                request.priority,
                _seconds(request.deadline),
                to_seconds(_duration(entry)) if delivered else float("nan"),
                entry.mismatched_bits if delivered else 0,
            )
        )
    return _frame(rows, REQUEST_COLUMNS)


def _nodes(network: QKDNetwork, warmup: int) -> pd.DataFrame:
    rejected: Counter[tuple[str | None, Reason | None]] = Counter(
        (entry.rejected_by, entry.reason) for entry in network.ledger.entries if entry.request.start >= warmup
    )
    now = network.env.now
    return _frame([_node_row(stack, now, rejected) for stack in network.stacks.values()], NODE_COLUMNS)


def _node_row(stack: Stack, now: int, rejected: Counter[tuple[str | None, Reason | None]]) -> tuple[Any, ...]:
    resource, name = stack.resource, stack.node.name
    return (
        name,
        str(NodeKind.REPEATER if stack.app is None else NodeKind.END),
        stack.routing.relayed,
        *(rejected[name, reason] for reason in REASONS),
        resource.queue.length.mean(now),
        resource.queue.length.high,
        to_seconds(resource.busy.integral(now)),
        stack.routing.late,
    )


def _pools(network: QKDNetwork) -> pd.DataFrame:
    return _frame([_pool_row(stream, network.env.now) for stream in network.streams], POOL_COLUMNS)


def _pool_row(stream: KeyStream, now: int) -> tuple[Any, ...]:
    pool = stream.downstream

    def spent(gauge: Monitor) -> float:
        return to_seconds(gauge.integral(now))

    return (
        stream.name,
        *stream.ends,
        stream.thresholds.capacity,
        stream.thresholds.interrupt,
        stream.thresholds.recover,
        pool.gauge.mean(now),
        pool.gauge.low,
        int(pool.level),
        spent(pool.interrupted),
        pool.interrupts,
        max(spent(pool.stuck), spent(stream.upstream.stuck)),
        _is_stuck(stream),
        pool.stored,
        pool.used,
        pool.voided,
        stream.overflow,
        pool.excess_bits,
    )


_DETAILS = ("reason", "claim", "keys")


def _messages(network: QKDNetwork) -> pd.DataFrame:
    rows = []
    for hop in network.hops or ():
        message: Any = hop.message
        detail = next((getattr(message, name) for name in _DETAILS if getattr(message, name, None)), "")
        rows.append(
            (
                message.request_id,
                message.wire_name,
                hop.source,
                hop.target,
                to_seconds(hop.sent),
                to_seconds(hop.received),
                str(detail),
            )
        )
    return _frame(rows, MESSAGE_COLUMNS)


def _levels(network: QKDNetwork) -> pd.DataFrame:
    copies = [
        (stream.name, end, pool)
        for stream in network.streams
        for end, pool in (("upstream", stream.upstream), ("downstream", stream.downstream))
    ]
    rows = [(name, end, to_seconds(tick), level) for name, end, pool in copies for tick, level in _history(pool)]
    return _frame(rows, LEVEL_COLUMNS)


def _history(pool: KeyPool) -> list[tuple[int, int]]:
    return pool.history or []
