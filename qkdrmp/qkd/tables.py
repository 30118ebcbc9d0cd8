"""The tables that come out of a run of QKD resource management.

Column names carry their unit: ``_s`` seconds, ``_bps`` bits per second, ``_bits`` bits; keys and requests are counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import nan
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from qkdrmp.family import Results, message_columns
from qkdrmp.kernel.monitor import Monitor
from qkdrmp.kernel.units import seconds_or_nan, to_seconds
from qkdrmp.network.channel import Transmission
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.network import QKDNetwork, QKDStack
from qkdrmp.qkd.request import ON_THE_WAY, REASONS, STRUCTURAL, RejectReason, RequestEntry, RequestStatus
from qkdrmp.stats.columns import Column, Table
from qkdrmp.stats.compact_rows import CompactRows
from qkdrmp.topology import NodeKind


@dataclass(frozen=True, slots=True)
class NodeRow:
    """What a row of the table of nodes is about: a node, now, and the rejections of all nodes by reason."""

    stack: QKDStack
    now: int
    rejected: Counter[tuple[str | None, RejectReason | None]]


@dataclass(frozen=True, slots=True)
class PoolRow:
    """What a row of the table of pools is about: a key stream, observed at its downstream copy, now; all requests."""

    stream: KeyStream
    now: int
    entries: Sequence[RequestEntry]

    @property
    def pool(self) -> KeyPool:
        """The copy that is observed."""
        return self.stream.downstream

    def spent_s(self, monitor: Monitor) -> float:
        """Return how long a monitor of 0 and 1 has shown 1, s."""
        return to_seconds(monitor.integral(self.now))

    @property
    def voided(self) -> Counter[RejectReason | None]:
        """How many keys were discarded with cancelled requests, by why these were rejected; None for all others."""
        found: Counter[RejectReason | None] = Counter()
        for request_id, keys in self.pool.voided_for.items():
            found[self.entries[request_id - 1].reason] += keys
        found[None] += self.pool.voided - found.total()
        return found


@dataclass(frozen=True, slots=True)
class PairRow:
    """What a row of the table of pairs is about: an ordered pair of users, its requests, and the keys they took."""

    users: tuple[str, str]
    entries: list[RequestEntry]
    taken: int
    voided: int

    def count(self, status: RequestStatus) -> int:
        """Return how many of its requests stand so."""
        return sum(entry.state is status for entry in self.entries)

    @property
    def delivered(self) -> list[RequestEntry]:
        """Its delivered requests."""
        return [entry for entry in self.entries if entry.state is RequestStatus.DELIVERED]

    @property
    def unservable(self) -> int:
        """How many of its requests no state of the network could serve."""
        return sum(entry.reason in STRUCTURAL for entry in self.entries)


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


def _voided_for(reason: RejectReason) -> Column[PoolRow]:
    return Column(
        f"voided_{reason}", f"of these, with requests rejected with the reason {reason}", lambda row: row.voided[reason]
    )


def _if_delivered(value: Callable[[RequestEntry], float], otherwise: float) -> Callable[[RequestEntry], float]:
    return lambda entry: value(entry) if entry.state is RequestStatus.DELIVERED else otherwise


def _hop(hop: Transmission) -> Transmission:
    return hop


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
                "end_s",
                "when the sender had the keys or learned of the rejection",
                lambda entry: seconds_or_nan(entry.end),
            ),
            Column("state", "delivered, rejected or unfinished", lambda entry: str(entry.state)),
            Column("reason", "why it was rejected", lambda entry: entry.reason and str(entry.reason)),
            Column("rejected_by", "node that rejected it", lambda entry: entry.rejected_by),
            Column("keys", "number of keys asked for", lambda entry: entry.request.keys),
            Column("key_bits", "length of each key", lambda entry: entry.request.key_bits),
            Column("priority", "priority", lambda entry: entry.request.priority),
            Column(
                "deadline_s",
                "time by which every repeater must have served it",
                lambda entry: seconds_or_nan(entry.request.deadline),
            ),
            Column(
                "delivery_s",
                "time from start to delivery; empty unless delivered",
                _if_delivered(lambda entry: to_seconds(entry.duration), nan),
            ),
            Column(
                "wait_s",
                "what of that time it waited for keys while none of its messages travelled; empty unless delivered",
                _if_delivered(lambda entry: to_seconds(entry.wait), nan),
            ),
            Column(
                "late",
                "whether it was delivered after its deadline or the end of the user's patience, within which repeaters "
                "have to serve it: the last messages may still be on their way",
                lambda entry: entry.is_late,
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
            Column("stuck", "whether it is stuck at the end", lambda row: row.stream.is_stuck),
            Column("generated", "keys made, warm-up included", lambda row: row.pool.stored),
            Column("used", "keys given to requests, warm-up included", lambda row: row.pool.used),
            Column("voided", "keys discarded with cancelled requests, warm-up included", lambda row: row.pool.voided),
            *(_voided_for(reason) for reason in ON_THE_WAY),
            Column(
                "voided_other",
                "of these, with requests that were cancelled otherwise, or whose rejection has not reached the sender",
                lambda row: row.voided.total() - sum(row.voided[reason] for reason in ON_THE_WAY),
            ),
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
    pairs = Table[PairRow](
        "an ordered pair of users that asked",
        [
            Column("src", "user who asked", lambda row: row.users[0]),
            Column("dst", "user asked", lambda row: row.users[1]),
            Column("requests", "requests asked for after the warm-up", lambda row: len(row.entries)),
            Column("delivered", "of these, delivered", lambda row: row.count(RequestStatus.DELIVERED)),
            Column("rejected", "of these, rejected", lambda row: row.count(RequestStatus.REJECTED)),
            Column(
                "unservable",
                "of the rejected ones, those that no state of the network could serve: no_route or refused",
                lambda row: row.unservable,
            ),
            Column(
                "keys_delivered",
                "keys of the delivered requests",
                lambda row: sum(entry.request.keys for entry in row.delivered),
            ),
            Column(
                "wait_mean_s",
                "mean time for which the delivered requests waited for keys",
                lambda row: fmean(to_seconds(entry.wait) for entry in row.delivered) if row.delivered else nan,
            ),
            Column(
                "pool_keys_used",
                "keys of all pools together that its requests took and used, warm-up included",
                lambda row: row.taken - row.voided,
            ),
            Column(
                "pool_keys_voided",
                "keys of all pools together that were discarded with its cancelled requests, warm-up included",
                lambda row: row.voided,
            ),
        ],
    )
    messages = Table[Transmission](
        "a message on one link",
        [
            Column("request", "number of the request; 0 for REFILL", _request_id),
            *message_columns(_hop),
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


def tables(network: QKDNetwork, warmup: int = 0) -> dict[str, pd.DataFrame]:
    """Return the tables of a run, by name."""
    now = network.env.now
    rejected: Counter[tuple[str | None, RejectReason | None]] = Counter(
        (entry.rejected_by, entry.reason) for entry in network.ledger.entries if entry.request.start >= warmup
    )
    made = {
        "requests": QKDResults.requests.frame(network.ledger.entries),
        "nodes": QKDResults.nodes.frame(NodeRow(stack, now, rejected) for stack in network.stacks.values()),
        "pools": QKDResults.pools.frame(PoolRow(stream, now, network.ledger.entries) for stream in network.streams),
        "pairs": QKDResults.pairs.frame(_pairs(network, warmup)),
    }
    if network.trace is not None:
        noted = network.trace
        rows = noted if isinstance(noted, CompactRows) else message_rows(network.hops or ())
        made["messages"] = rows.frame()
    if network.histories:
        made["levels"] = QKDResults.levels.frame(_levels(network))
    return made


def message_rows(hops: Iterable[Transmission] = ()) -> CompactRows[Transmission]:
    """Return the rows of the table of messages, to which more may be added."""
    return CompactRows(QKDResults.messages.columns, hops)


def _pairs(network: QKDNetwork, warmup: int) -> Iterator[PairRow]:
    entries, pools = network.ledger.entries, [stream.downstream for stream in network.streams]
    asked: dict[tuple[str, str], list[RequestEntry]] = {entry.request.users: [] for entry in entries}
    for entry in entries:
        if entry.request.start >= warmup:
            asked[entry.request.users].append(entry)
    taken, voided = (Counter[tuple[str, str]]() for _ in range(2))
    for pool in pools:
        taken += pool.taken_by
        for request_id, keys in pool.voided_for.items():
            voided[entries[request_id - 1].request.users] += keys
    return (PairRow(users, found, taken[users], voided[users]) for users, found in asked.items())


def _levels(network: QKDNetwork) -> Iterator[LevelChange]:
    for stream in network.streams:
        for end, pool in (("upstream", stream.upstream), ("downstream", stream.downstream)):
            for tick, level in pool.history or ():
                yield LevelChange(stream.name, end, tick, level)
