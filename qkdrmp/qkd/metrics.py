"""The metrics of a run of QKD resource management: numbers that sum it up, and a row of a sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from math import nan

import numpy as np

from qkdrmp.kernel.units import to_seconds
from qkdrmp.qkd.network import QKDNetwork
from qkdrmp.qkd.request import REASONS, STRUCTURAL, RejectReason, RequestEntry, RequestStatus
from qkdrmp.stats.columns import Column, quantile_columns, values_of
from qkdrmp.stats.estimators import jain, quantiles


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
        self.unservable = sum(self.rejected[reason] for reason in STRUCTURAL)

    @cached_property
    def waits(self) -> dict[str, float]:
        """Mean and percentiles of the time for which delivered requests waited, under their column names."""
        return quantiles("wait", [to_seconds(entry.wait) for entry in self.delivered])

    @cached_property
    def deliveries(self) -> dict[str, float]:
        """Mean and percentiles of the time from start to delivery, under their column names."""
        return quantiles("delivery", [to_seconds(entry.duration) for entry in self.delivered])

    @cached_property
    def mismatched(self) -> list[int]:
        """Keys that differ between the two users, of each delivered request."""
        return [mismatched_keys(entry) for entry in self.delivered]

    @property
    def blocking(self) -> float:
        """Share of the ended requests that could have been served and were rejected; nan if there are none."""
        ended = self.ended - self.unservable
        return (self.rejected.total() - self.unservable) / ended if ended else nan

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
    return Column(f"rejected_{reason}", meaning, lambda outcome: outcome.rejected[reason], better="less")


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
        better="more",
    ),
    Column(
        "requests_late",
        "delivered requests whose keys came after their deadline or the end of the user's patience",
        lambda outcome: sum(entry.is_late for entry in outcome.delivered),
        "requests delivered late",
        better="less",
    ),
    Column(
        "requests_unfinished",
        "requests that had not ended at the end of the run",
        lambda outcome: len(outcome.entries) - outcome.ended,
        "requests not ended",
        better="less",
    ),
    *map(_rejected, REASONS),
    Column(
        "requests_servable",
        "requests that the network could serve in some state: all but those rejected as no_route or refused",
        lambda outcome: len(outcome.entries) - outcome.unservable,
        "servable requests",
    ),
    Column(
        "blocking",
        "share of the servable requests asked for and ended that were rejected",
        lambda outcome: outcome.blocking,
        "blocking (rejected share)",
        better="less",
        given="unservable",
    ),
    Column(
        "unservable",
        "share of the requests asked for that no state of the network could serve: rejected as no_route or refused",
        lambda outcome: outcome.unservable / len(outcome.entries) if outcome.entries else nan,
        "not servable (share)",
        better="less",
    ),
    Column(
        "undelivered",
        "share of the requests asked for that had not been delivered at the end: rejected, or not ended yet",
        lambda outcome: 1 - len(outcome.delivered) / len(outcome.entries) if outcome.entries else nan,
        "not delivered (share)",
        better="less",
    ),
    Column(
        "fairness",
        "Jain's index, over the ordered pairs of users that asked, of the share of the key bits they asked for "
        "that was delivered: 1 if all get the same share, 1/n if one of n gets everything",
        lambda outcome: _fairness(outcome.entries),
        "fairness (Jain's index)",
        better="more",
    ),
    Column(
        "keys_delivered",
        "keys of delivered requests",
        lambda outcome: sum(entry.request.keys for entry in outcome.delivered),
        better="more",
    ),
    Column(
        "key_rate_bps",
        "key bits of delivered requests per second after the warm-up",
        lambda outcome: outcome.bits / outcome.observed_s if outcome.observed_s > 0 else 0.0,
        "delivered key rate",
        better="more",
    ),
    Column(
        "pool_keys_made",
        "keys made for pools, each link and direction counted, warm-up included",
        lambda outcome: sum(stream.downstream.stored for stream in outcome.network.streams),
        "keys made for pools",
    ),
    Column(
        "pool_keys_used",
        "of these, used by requests, warm-up included",
        lambda outcome: sum(stream.downstream.used for stream in outcome.network.streams),
        "pool keys used",
    ),
    Column(
        "pool_keys_voided",
        "of these, discarded with cancelled requests, warm-up included; the others are in the pools, or set aside",
        lambda outcome: sum(stream.downstream.voided for stream in outcome.network.streams),
        "pool keys discarded",
        better="less",
    ),
    *quantile_columns(
        "delivery",
        "time from start to delivery of delivered requests",
        "time to delivery of delivered requests",
        lambda outcome: outcome.deliveries,
        given="undelivered",
    ),
    *quantile_columns(
        "wait",
        "time for which delivered requests waited for keys: that to delivery less what their messages need to travel",
        "waiting time of delivered requests",
        lambda outcome: outcome.waits,
        given="undelivered",
    ),
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
        better="less",
    ),
    Column(
        "mismatched_keys",
        "keys of delivered requests that differ between the two users",
        lambda outcome: sum(outcome.mismatched),
        better="less",
    ),
    Column(
        "mismatched_requests",
        "delivered requests with at least one such key",
        lambda outcome: sum(count > 0 for count in outcome.mismatched),
        better="less",
    ),
    Column(
        "stuck_pools",
        "key streams that, at the end, have too few keys for a waiting request and get no more",
        lambda outcome: sum(stream.is_stuck for stream in outcome.network.streams),
        better="less",
    ),
    Column("events", "events processed, warm-up included", lambda outcome: outcome.network.env.events),
    Column("messages", "messages sent, each hop counted, warm-up included", lambda outcome: outcome.network.messages),
)
"""The metrics of a run: its summary, and a row of a sweep."""


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


def summary(network: QKDNetwork, warmup: int) -> dict[str, float]:
    """Return the metrics of one run up to now, as a row of a sweep."""
    return values_of(METRICS, RequestOutcome(network, warmup))
