"""What comes out of a run of QKD resource management: its metrics, which a sweep has in one row, and its tables.

Column names carry their unit: ``_s`` seconds, ``_bps`` bits per second, ``_bits`` bits; keys and requests are counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from qkdrmp.family import Results
from qkdrmp.kernel.monitor import Monitor
from qkdrmp.kernel.units import to_seconds
from qkdrmp.network.channel import Transmission
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.network import QKDNetwork, QKDStack
from qkdrmp.qkd.request import RejectReason, RequestEntry, RequestStatus
from qkdrmp.stats.columns import Column, Table
from qkdrmp.stats.estimators import jain, quantiles
from qkdrmp.topology import NodeKind

REASONS = tuple(reason for reason in RejectReason if reason is not RejectReason.CANCELLED)


class RequestOutcome:
    """What the metrics of a run are computed from: its network, and the outcomes of the requests after the warm-up.

    Parameters
    ----------
    network : QKDNetwork
    warmup : int
        Requests that start before this tick do not count.
    """

    def __init__(self, network: QKDNetwork, warmup: int) -> None:
        self.network = network
        self.now = network.env.now
        self.observed_s = to_seconds(self.now - warmup)
        self.entries = [entry for entry in network.ledger.entries if entry.request.start >= warmup]
        self.delivered = [entry for entry in self.entries if entry.state is RequestStatus.DELIVERED]
        self.rejected = Counter(entry.reason for entry in self.entries if entry.state is RequestStatus.REJECTED)
        self.ended = len(self.delivered) + self.rejected.total()

    @cached_property
    def waits(self) -> dict[str, float]:
        """Mean and percentiles of the time from start to delivery, under their column names."""
        return quantiles("wait", [to_seconds(_duration(entry)) for entry in self.delivered])

    @cached_property
    def mismatched(self) -> list[int]:
        """Keys that differ between the two users, of each delivered request."""
        return [mismatched_keys(entry) for entry in self.delivered]

    @property
    def bits(self) -> int:
        """Key bits of delivered requests."""
        return sum(entry.request.bits for entry in self.delivered)

    @property
    def levels(self) -> list[float]:
        """Time-weighted mean level of each pool as a share of its capacity."""
        pools = [stream.downstream for stream in self.network.streams]
        return [pool.level_monitor.mean(self.now) / pool.capacity for pool in pools]


def _rejected(reason: RejectReason) -> Column[RequestOutcome]:
    meaning = f"requests rejected with the reason {reason}"
    return Column(f"rejected_{reason}", meaning, lambda outcome: outcome.rejected[reason])


def _wait(measure: str, meaning: str, title: str) -> Column[RequestOutcome]:
    name = f"wait_{measure}_s"
    return Column(name, meaning, lambda outcome: outcome.waits[name], title)


METRICS: tuple[Column[RequestOutcome], ...] = (
    Column(
        "requests_started",
        "requests asked for after the warm-up; all that follows is about these",
        lambda outcome: len(outcome.entries),
        "requests started",
    ),
    Column(
        "requests_delivered",
        "requests whose two users both have the keys",
        lambda outcome: len(outcome.delivered),
        "requests processed",
    ),
    Column(
        "requests_unfinished",
        "requests that had not ended at the end of the run",
        lambda outcome: len(outcome.entries) - outcome.ended,
        "requests not ended",
    ),
    *map(_rejected, REASONS),
    Column(
        "blocking",
        "share of the requests asked for and ended that were rejected",
        lambda outcome: outcome.rejected.total() / outcome.ended if outcome.ended else nan,
        "blocking (rejected share)",
    ),
    Column(
        "fairness",
        "Jain's index, over the ordered pairs of users that asked, of the share of the key bits they asked for "
        "that was delivered: 1 if all get the same share, 1/n if one of n gets everything",
        lambda outcome: _fairness(outcome.entries),
        "fairness (Jain's index)",
    ),
    Column(
        "keys_delivered",
        "keys of delivered requests",
        lambda outcome: sum(entry.request.keys for entry in outcome.delivered),
    ),
    Column(
        "key_rate_bps",
        "key bits of delivered requests per second after the warm-up",
        lambda outcome: outcome.bits / outcome.observed_s if outcome.observed_s > 0 else 0.0,
        "delivered key rate",
    ),
    _wait("mean", "mean time from start to delivery", "mean waiting time"),
    _wait("p50", "median of that time", "waiting time, median"),
    _wait("p95", "95th percentile of that time", "waiting time, 95th percentile"),
    _wait("p99", "99th percentile of that time", "waiting time, 99th percentile"),
    Column(
        "pool_level_mean",
        "time-weighted mean level of a key pool as a share of its capacity, mean over the pools",
        lambda outcome: float(np.mean(outcome.levels)) if outcome.levels else nan,
        "mean level of key pools (share)",
    ),
    Column(
        "queue_mean",
        "time-weighted mean number of requests in the queues of all nodes together",
        lambda outcome: sum(stack.resource.queue.length.mean(outcome.now) for stack in outcome.network.stacks.values()),
        "mean number of queued requests",
    ),
    Column(
        "mismatched_keys",
        "keys of delivered requests that differ between the two users",
        lambda outcome: sum(outcome.mismatched),
    ),
    Column(
        "mismatched_requests",
        "delivered requests with at least one such key",
        lambda outcome: sum(count > 0 for count in outcome.mismatched),
    ),
    Column(
        "stuck_pools",
        "key streams that, at the end, have too few keys for a waiting request and get no more",
        lambda outcome: len(stuck_streams(outcome.network)),
    ),
    Column("events", "events processed, warm-up included", lambda outcome: outcome.network.env.events),
    Column("messages", "messages sent, each hop counted, warm-up included", lambda outcome: outcome.network.messages),
)
"""The metrics of a run: its summary, and a row of a sweep."""


def _duration(entry: RequestEntry) -> int:
    assert entry.end is not None
    return entry.end - entry.request.start


def _seconds(ticks: int | None) -> float:
    return nan if ticks is None else to_seconds(ticks)


def _fairness(entries: Iterable[RequestEntry]) -> float:
    """Return Jain's index of the delivered shares of the ordered pairs of users (see `METRICS`)."""
    asked: Counter[tuple[str, str]] = Counter()
    given: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        users = entry.request.src, entry.request.dst
        asked[users] += entry.request.bits
        given[users] += entry.request.bits * (entry.state is RequestStatus.DELIVERED)
    return jain(given[users] / bits for users, bits in asked.items())


def mismatched_keys(entry: RequestEntry) -> int:
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


@dataclass(frozen=True, slots=True)
class NodeRow:
    """What a row of the table of nodes is about: a node, now, and the rejections of all nodes by reason."""

    stack: QKDStack
    now: int
    rejected: Counter[tuple[str | None, RejectReason | None]]


@dataclass(frozen=True, slots=True)
class PoolRow:
    """What a row of the table of pools is about: a key stream, observed at its downstream copy, now."""

    stream: KeyStream
    now: int

    @property
    def pool(self) -> KeyPool:
        """The copy that is observed."""
        return self.stream.downstream

    def spent_s(self, monitor: Monitor) -> float:
        """Return how long a monitor of 0 and 1 has shown 1, s."""
        return to_seconds(monitor.integral(self.now))


class LevelChange(NamedTuple):
    """A change of the level of one copy of a key stream, at a tick."""

    stream: str
    end: str
    tick: int
    level: int


def _rejected_here(reason: RejectReason) -> Column[NodeRow]:
    return Column(
        f"rejected_{reason}",
        f"requests it rejected with the reason {reason}",
        lambda row: row.rejected[row.stack.node.name, reason],
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _if_delivered(value: Callable[[RequestEntry], float], otherwise: float) -> Callable[[RequestEntry], float]:
    return lambda entry: value(entry) if entry.state is RequestStatus.DELIVERED else otherwise


_DETAILS = ("reason", "claim", "keys")


def _detail(hop: Transmission) -> str:
    """Return what else a message says: the first of `_DETAILS` that it has."""
    return str(next((getattr(hop.message, name) for name in _DETAILS if getattr(hop.message, name, None)), ""))


def _request_id(hop: Transmission) -> int:
    message: Any = hop.message
    number: int = message.request_id
    return number


class QKDResults(Results):
    """What came out of one run of QKD resource management; `messages` and `levels` only if they were recorded."""

    requests = Table[RequestEntry](
        "a request",
        [
            Column("id", "number of the request, in the order of starts", lambda entry: entry.request.id),
            Column("src", "user who asked", lambda entry: entry.request.src),
            Column("dst", "user asked", lambda entry: entry.request.dst),
            Column(
                "path",
                "nodes of the route, joined by >; empty if there is none",
                lambda entry: ">".join(entry.request.route),
            ),
            Column("start_s", "when it was asked for", lambda entry: to_seconds(entry.request.start)),
            Column(
                "end_s", "when the sender had the keys or learned of the rejection", lambda entry: _seconds(entry.end)
            ),
            Column("state", "delivered, rejected or unfinished", lambda entry: str(entry.state)),
            Column("reason", "why it was rejected", lambda entry: _text(entry.reason)),
            Column("rejected_by", "node that rejected it", lambda entry: entry.rejected_by),
            Column("keys", "number of keys asked for", lambda entry: entry.request.keys),
            Column("key_bits", "length of each key", lambda entry: entry.request.key_bits),
            Column("priority", "priority", lambda entry: entry.request.priority),
            Column(
                "deadline_s",
                "time by which every repeater must have served it",
                lambda entry: _seconds(entry.request.deadline),
            ),
            Column(
                "wait_s",
                "time from start to delivery; empty unless delivered",
                _if_delivered(lambda entry: to_seconds(_duration(entry)), nan),
            ),
            Column(
                "mismatched_bits",
                "bits in which the two users' keys differ",
                _if_delivered(lambda entry: entry.mismatched_bits, 0),
            ),
        ],
    )
    nodes = Table[NodeRow](
        "a node",
        [
            Column("node", "name", lambda row: row.stack.node.name),
            Column(
                "kind",
                "end or repeater",
                lambda row: str(NodeKind.REPEATER if row.stack.app is None else NodeKind.END),
            ),
            Column("served", "delivered requests it has relayed", lambda row: row.stack.routing.relayed),
            *(_rejected_here(reason) for reason in REASONS),
            Column(
                "queue_mean",
                "mean number of requests in its queue",
                lambda row: row.stack.resource.queue.length.mean(row.now),
            ),
            Column(
                "queue_max", "largest number of requests in its queue", lambda row: row.stack.resource.queue.length.high
            ),
            Column(
                "busy_s",
                "time with an accepted request not yet served",
                lambda row: to_seconds(row.stack.resource.busy.integral(row.now)),
            ),
            Column(
                "late_messages",
                "messages for requests that were over, dropped (warm-up included)",
                lambda row: row.stack.routing.late,
            ),
        ],
    )
    pools = Table[PoolRow](
        "a key stream, observed at its downstream copy",
        [
            Column("stream", "upstream node > downstream node", lambda row: row.stream.name),
            Column("upstream", "node that sends the photons", lambda row: row.stream.ends[0]),
            Column("downstream", "node that chooses the keys", lambda row: row.stream.ends[1]),
            Column("capacity", "V_m", lambda row: row.stream.settings.thresholds.capacity, unit="keys"),
            Column("interrupt", "V_i", lambda row: row.stream.settings.thresholds.interrupt, unit="keys"),
            Column("recover", "V_r", lambda row: row.stream.settings.thresholds.recover, unit="keys"),
            Column(
                "level_mean", "time-weighted mean level", lambda row: row.pool.level_monitor.mean(row.now), unit="keys"
            ),
            Column("level_min", "lowest level", lambda row: row.pool.level_monitor.low, unit="keys"),
            Column("level_end", "level at the end", lambda row: row.pool.level, unit="keys"),
            Column("interrupted_s", "time INTERRUPTED", lambda row: row.spent_s(row.pool.interrupted)),
            Column("interrupts", "times service was interrupted", lambda row: row.pool.interrupts),
            Column(
                "stuck_s",
                "time SERVING without a refill due, with too few keys for a waiting request",
                lambda row: max(row.spent_s(row.pool.stuck), row.spent_s(row.stream.upstream.stuck)),
            ),
            Column("stuck", "whether it is stuck at the end", lambda row: _is_stuck(row.stream)),
            Column("generated", "keys made, warm-up included", lambda row: row.pool.stored),
            Column("used", "keys given to requests, warm-up included", lambda row: row.pool.used),
            Column("voided", "keys discarded with cancelled requests, warm-up included", lambda row: row.pool.voided),
            Column(
                "overflow",
                "keys made beyond the capacity and dropped, warm-up included",
                lambda row: row.stream.overflow,
            ),
            Column(
                "excess_bits",
                "bits of keys that requests took and did not need, warm-up included",
                lambda row: row.pool.excess_bits,
            ),
        ],
    )
    messages = Table[Transmission](
        "a message on one link",
        [
            Column("request", "number of the request; 0 for REFILL", _request_id),
            Column("message", "type", lambda hop: hop.message.wire_name),
            Column("source", "node that sent it on this hop", lambda hop: hop.source),
            Column("target", "node it goes to on this hop", lambda hop: hop.target),
            Column("sent_s", "when it was sent", lambda hop: to_seconds(hop.sent)),
            Column("received_s", "when it arrives; empty if it is lost", lambda hop: _seconds(hop.received)),
            Column("detail", "reason of a REJECT, keys of a claim", _detail),
        ],
        record="messages",
    )
    levels = Table[LevelChange](
        "a change of the level of one copy of a key pool",
        [
            Column("stream", "upstream node > downstream node", lambda change: change.stream),
            Column("end", "upstream or downstream copy", lambda change: change.end),
            Column("time_s", "when the level changed", lambda change: to_seconds(change.tick)),
            Column("level", "level from then on", lambda change: change.level, unit="keys"),
        ],
        record="levels",
    )


def summary(network: QKDNetwork, warmup: int) -> dict[str, float]:
    """Return the metrics of one run up to now, as a row of a sweep."""
    outcome = RequestOutcome(network, warmup)
    return {metric.name: metric.get(outcome) for metric in METRICS}


def tables(network: QKDNetwork, warmup: int = 0) -> dict[str, pd.DataFrame]:
    """Return the tables of a run, by name."""
    now = network.env.now
    rejected: Counter[tuple[str | None, RejectReason | None]] = Counter(
        (entry.rejected_by, entry.reason) for entry in network.ledger.entries if entry.request.start >= warmup
    )
    made = {
        "requests": QKDResults.requests.frame(network.ledger.entries),
        "nodes": QKDResults.nodes.frame(NodeRow(stack, now, rejected) for stack in network.stacks.values()),
        "pools": QKDResults.pools.frame(PoolRow(stream, now) for stream in network.streams),
    }
    if network.hops is not None:
        made["messages"] = QKDResults.messages.frame(network.hops)
    if network.histories:
        made["levels"] = QKDResults.levels.frame(_levels(network))
    return made


def _levels(network: QKDNetwork) -> Iterator[LevelChange]:
    for stream in network.streams:
        for end, pool in (("upstream", stream.upstream), ("downstream", stream.downstream)):
            for tick, level in pool.history or ():
                yield LevelChange(stream.name, end, tick, level)
