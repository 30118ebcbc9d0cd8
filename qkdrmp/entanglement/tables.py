"""What comes out of a run of an entanglement network: its metrics, which a sweep has in one row, and its tables.

Column names carry their unit: ``_s`` seconds, ``_hz`` pairs per second; pairs, trials and connections are counts.
Fidelities are the true ones unless the name says estimated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import nan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from qkdrmp.entanglement.ledger import Attempt, ConnectionEntry, ConnectionStatus, Delivery, Milestone
from qkdrmp.entanglement.links.epoch import LAU, Barrier
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.links.policies import Agreement, LinkPolicy, period_of
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.request import REJECTIONS, AttemptId, EndReason
from qkdrmp.family import Results
from qkdrmp.kernel.units import to_seconds
from qkdrmp.network.channel import Transmission
from qkdrmp.network.transport import Segment
from qkdrmp.stats.columns import Column, Table
from qkdrmp.stats.estimators import jain, quantiles


class ConnectionOutcome:
    """What the metrics of a run are computed from: its network, and the connections asked for after the warm-up.

    Parameters
    ----------
    network : EntanglementNetwork
    warmup : int
        Connections asked for before this tick do not count.
    """

    def __init__(self, network: EntanglementNetwork, warmup: int) -> None:
        self.network = network
        self.now = network.env.now
        self.observed_s = to_seconds(self.now - warmup)
        self.entries = [entry for entry in network.ledger.entries.values() if entry.asked >= warmup]
        self.states = Counter(entry.state for entry in self.entries)
        self.reasons = Counter(entry.reason for entry in self.entries if entry.state is ConnectionStatus.REJECTED)
        self.ended = len(self.entries) - self.states[ConnectionStatus.UNFINISHED]
        self.pairs = sum(entry.pairs for entry in self.entries)

    @cached_property
    def setups(self) -> dict[str, float]:
        """Mean and percentiles of the time from asking to the installation, under their column names."""
        installed = [entry for entry in self.entries if entry.installed is not None]
        return quantiles("setup", [to_seconds((entry.installed or 0) - entry.asked) for entry in installed])

    @property
    def completions(self) -> list[float]:
        """Time from asking to the last pair, of each connection that has all it needs, s."""
        finished = [
            entry for entry in self.entries if entry.state is ConnectionStatus.DELIVERED and entry.request.spec.pairs
        ]
        return [to_seconds(entry.done - entry.asked) for entry in finished if entry.done is not None]

    def per_pair(self, total: Callable[[ConnectionEntry], float]) -> float:
        """Return the mean over all delivered pairs of what each connection has the sum of; nan without pairs."""
        return sum(total(entry) for entry in self.entries) / self.pairs if self.pairs else nan


def _state(state: ConnectionStatus) -> Column[ConnectionOutcome]:
    title = f"connections {state}"
    return Column(f"connections_{state}", f"of these, {state} at the end", lambda outcome: outcome.states[state], title)


def _rejected(reason: EndReason) -> Column[ConnectionOutcome]:
    meaning = f"connections rejected, at last, with the reason {reason}"
    return Column(f"rejected_{reason}", meaning, lambda outcome: outcome.reasons[reason])


def _setup(measure: str, meaning: str, title: str) -> Column[ConnectionOutcome]:
    name = f"setup_{measure}_s"
    return Column(name, meaning, lambda outcome: outcome.setups[name], title)


METRICS: tuple[Column[ConnectionOutcome], ...] = (
    Column(
        "connections_asked",
        "connections asked for after the warm-up; all about connections is about these",
        lambda outcome: len(outcome.entries),
        "connections asked for",
    ),
    *map(_state, ConnectionStatus),
    *map(_rejected, REJECTIONS),
    Column(
        "blocking",
        "share of the connections asked for and ended that were rejected",
        lambda outcome: outcome.states[ConnectionStatus.REJECTED] / outcome.ended if outcome.ended else nan,
        "blocking (rejected share)",
    ),
    Column(
        "attempts_mean",
        "mean number of setup attempts",
        lambda outcome: float(np.mean([len(e.attempts) for e in outcome.entries])) if outcome.entries else nan,
        "mean setup attempts",
    ),
    _setup("mean", "mean time from asking to the installation at the Initiator, retries included", "mean setup time"),
    _setup("p50", "median of that time", "setup time, median"),
    _setup("p95", "95th percentile of that time", "setup time, 95th percentile"),
    _setup("p99", "99th percentile of that time", "setup time, 99th percentile"),
    Column(
        "completion_mean_s",
        "mean time from asking to the last pair, of connections that have all they need",
        lambda outcome: float(np.mean(outcome.completions)) if outcome.completions else nan,
        "mean time to the last pair",
    ),
    Column("pairs_delivered", "end-to-end pairs that both users have", lambda outcome: outcome.pairs),
    Column(
        "pair_rate_hz",
        "these, per second after the warm-up",
        lambda outcome: outcome.pairs / outcome.observed_s if outcome.observed_s > 0 else 0.0,
        "delivered pairs",
    ),
    Column(
        "fairness",
        "Jain's index, over the connections that have been active, of their pairs per second from then to "
        "their end (or now): 1 if all have the same rate, 1/n if one of n has everything",
        lambda outcome: jain(e.pairs / active for e in outcome.entries if (active := _active_s(e, outcome.now))),
        "fairness (Jain's index)",
    ),
    Column(
        "fidelity_mean",
        "mean true fidelity of these pairs at delivery",
        lambda outcome: outcome.per_pair(lambda entry: entry.fidelity_sum),
        "mean fidelity of pairs",
    ),
    Column(
        "fidelity_min",
        "lowest true fidelity of these pairs",
        lambda outcome: min((e.fidelity_min for e in outcome.entries if e.pairs), default=nan),
        "lowest fidelity of a pair",
    ),
    Column(
        "estimated_fidelity",
        "mean fidelity that the users estimate them to have",
        lambda outcome: outcome.per_pair(lambda entry: entry.estimated_sum),
        "estimated fidelity of pairs",
    ),
    Column(
        "wrong_partner",
        "delivered pairs whose halves are not each other's partners",
        lambda outcome: sum(entry.wrong_partner for entry in outcome.entries),
        "pairs with wrong partners",
    ),
    Column(
        "elementary_pairs",
        "pairs made by links, warm-up included",
        lambda outcome: sum(link.successes for link in outcome.network.links.values()),
    ),
    Column(
        "stall_s",
        "time for which trials of a link were void because the peer's Barrier had not come, summed over link ends",
        lambda outcome: to_seconds(sum(interface.stalled for interface in _interfaces(outcome.network))),
        "void time of links",
    ),
    Column("events", "events processed, warm-up included", lambda outcome: outcome.network.env.events),
    Column(
        "messages",
        "messages sent, warm-up and retransmissions included",
        lambda outcome: outcome.network.messages,
    ),
)
"""The metrics of a run: its summary, and a row of a sweep."""


def _interfaces(network: EntanglementNetwork) -> Iterator[Interface]:
    for by_peer in network.interfaces.values():
        yield from by_peer.values()


def _active_s(entry: ConnectionEntry, now: int) -> float:
    """Return for how long a connection has been active, s."""
    until = now if entry.done is None else entry.done
    return 0.0 if entry.active is None else to_seconds(max(0, until - entry.active))


def _seconds(ticks: int | None) -> float:
    return nan if ticks is None else to_seconds(ticks)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """What a row of the table of connections is about: a connection, now."""

    entry: ConnectionEntry
    now: int

    @property
    def rate(self) -> float:
        """Pairs per second while it was active."""
        active_s = _active_s(self.entry, self.now)
        return self.entry.pairs / active_s if active_s else 0.0

    def per_pair(self, total: float) -> float:
        """Return a sum over its pairs as a mean; nan without pairs."""
        return total / self.entry.pairs if self.entry.pairs else nan


@dataclass(frozen=True, slots=True)
class StackRow:
    """What a row of the table of nodes is about: a node, and how many attempts each has rejected."""

    network: EntanglementNetwork
    name: str
    rejected: Counter[str | None]

    @property
    def stack(self) -> Any:
        """Its protocols."""
        return self.network.stacks[self.name]


@dataclass(frozen=True, slots=True)
class LinkRow:
    """What a row of the table of links is about: a link, its two ends (sender first), and who was given its trials."""

    network: EntanglementNetwork
    ends: tuple[str, str]
    given: Counter[AttemptId]

    @property
    def link(self) -> Any:
        """The link."""
        return self.network.links[self.ends]

    @property
    def sides(self) -> tuple[Interface, Interface]:
        """Its two interfaces, that of the sender first."""
        return _sides(self.network, self.ends)


class AllocationRow(NamedTuple):
    """What a row of the table of allocations is about: what an attempt at a connection was given of a link."""

    link: str
    attempt: AttemptId
    trials: int
    pairs: int


class MessageRow(NamedTuple):
    """What a row of the table of messages is about: a transmission, its message, and the connections concerned."""

    hop: Transmission
    message: Any
    connections: list[str]


class EntanglementResults(Results):
    """What came out of one run of an entanglement network.

    `pairs` is there only if pairs were recorded; `messages` and `milestones` only if messages were.
    """

    connections = Table[ConnectionRow](
        "a connection",
        [
            Column("id", "name of the connection", lambda row: row.entry.id),
            Column("src", "Initiator", lambda row: row.entry.request.src),
            Column("dst", "Responder", lambda row: row.entry.request.dst),
            Column("path", "nodes of the route, joined by >", lambda row: ">".join(row.entry.path)),
            Column("asked_s", "when it was asked for", lambda row: to_seconds(row.entry.asked)),
            Column(
                "installed_s",
                "when its RuleSets were installed at the Initiator",
                lambda row: _seconds(row.entry.installed),
            ),
            Column(
                "active_s",
                "when the last link of the path switched to it",
                lambda row: _seconds(row.entry.active),
            ),
            Column(
                "done_s",
                "when both users had all pairs, or it was rejected at last or torn down",
                lambda row: _seconds(row.entry.done),
            ),
            Column("state", "delivered, rejected, aborted or unfinished", lambda row: str(row.entry.state)),
            Column("reason", "why it was rejected or aborted", lambda row: _text(row.entry.reason)),
            Column("attempts", "setup attempts", lambda row: len(row.entry.attempts)),
            Column(
                "need",
                "pairs asked for; empty if endless",
                lambda row: nan if row.entry.request.spec.pairs is None else row.entry.request.spec.pairs,
            ),
            Column("pairs", "pairs that both users have", lambda row: row.entry.pairs),
            Column("rate_hz", "pairs per second from active_s to done_s (or the end)", lambda row: row.rate),
            Column(
                "fidelity_mean",
                "mean true fidelity at delivery",
                lambda row: row.per_pair(row.entry.fidelity_sum),
            ),
            Column(
                "fidelity_min",
                "lowest true fidelity",
                lambda row: row.entry.fidelity_min if row.entry.pairs else nan,
            ),
            Column(
                "estimated_fidelity",
                "mean fidelity that the users estimate the pairs to have",
                lambda row: row.per_pair(row.entry.estimated_sum),
            ),
            Column(
                "predicted_fidelity",
                "fidelity that the Responder predicted when it made the RuleSets",
                lambda row: nan if row.entry.predicted is None else row.entry.predicted,
            ),
            Column(
                "wrong_partner",
                "pairs whose halves are not each other's partners",
                lambda row: row.entry.wrong_partner,
            ),
            Column(
                "error_rate",
                "share of measured pairs whose bits were not those of Phi+ (the QBER); empty unless measured",
                lambda row: row.per_pair(row.entry.measured_errors) if row.entry.request.spec.basis else nan,
            ),
        ],
    )
    attempts = Table[Attempt](
        "a setup attempt",
        [
            Column("connection", "name of the connection", lambda attempt: attempt.id.connection),
            Column("attempt", "from 1", lambda attempt: attempt.id.number),
            Column("asked_s", "when it began", lambda attempt: to_seconds(attempt.asked)),
            Column("ended_s", "when the Initiator learned how it had ended", lambda attempt: _seconds(attempt.ended)),
            Column("outcome", "installed, or the reason why not", lambda attempt: attempt.outcome),
            Column("rejected_by", "node that rejected it", lambda attempt: attempt.by),
            Column("detail", "more about the reason; what a null setup has reported", lambda attempt: attempt.detail),
            Column(
                "estimated_s",
                "when the rejecting node expected enough memories to be free",
                lambda attempt: _seconds(attempt.available),
            ),
            Column("available_s", "when enough were free", lambda attempt: _seconds(attempt.freed)),
        ],
    )
    links = Table[LinkRow](
        "a link",
        [
            Column("link", "its two ends, sender first", lambda row: "-".join(row.ends)),
            Column("lanes", "trials side by side", lambda row: row.link.lanes),
            Column(
                "success_probability",
                "of a trial",
                lambda row: row.sides[0].pairs_per_s * to_seconds(row.link.slot_ticks),
            ),
            Column(
                "trials",
                "trials of the clock so far, void and unowned ones included",
                lambda row: row.link.next_trial(0),
            ),
            Column("successes", "pairs made", lambda row: row.link.successes),
            Column("allocated", "trials given to a connection", lambda row: sum(row.given.values())),
            Column(
                "connections",
                "connections that were given trials",
                lambda row: len({attempt.connection for attempt in row.given}),
            ),
            Column("epochs", "agreements closed", lambda row: row.sides[0].allocation.epoch),
            Column(
                "stall_s",
                "time for which trials were void because the peer's Barrier had not come, mean of both ends",
                lambda row: to_seconds(sum(side.stalled for side in row.sides)) / 2,
            ),
            Column(
                "memory_used",
                "memories with a half in them at the end of the run, both ends",
                lambda row: sum(side.occupied for side in row.sides),
            ),
        ],
    )
    nodes = Table[StackRow](
        "a node",
        [
            Column("node", "name", lambda row: row.name),
            Column("kind", "end, repeater or router", lambda row: str(row.network.topology.nodes[row.name].kind)),
            Column("rejected", "setup attempts that it rejected", lambda row: row.rejected[row.name]),
            Column(
                "expired_holds",
                "connections whose memories it released because no RESPONSE had come in time",
                lambda row: row.stack.records.expired_holds,
            ),
            Column(
                "late_responses",
                "RESPONSEs that came after that, or after the connection had ended",
                lambda row: row.stack.records.late_responses,
            ),
            Column(
                "late_messages",
                "other messages for connections that had ended, dropped",
                lambda row: row.stack.records.late_messages,
            ),
            Column(
                "retransmissions",
                "SEGMENTs, LAUs and BARRIERs that it sent again because no answer had come",
                lambda row: row.stack.transport.resent + row.stack.sharing.resent,
            ),
        ],
    )
    allocations = Table[AllocationRow](
        "what an attempt at a connection was given of a link",
        [
            Column("link", "its two ends, sender first", lambda row: row.link),
            Column("connection", "connection, or connection within a network", lambda row: row.attempt.connection),
            Column("attempt", "setup attempt", lambda row: row.attempt.number),
            Column("trials", "trials of the clock given to it, seen from the sender", lambda row: row.trials),
            Column("pairs", "halves heralded for it at the sender", lambda row: row.pairs),
        ],
    )
    pairs = Table[Delivery](
        "an end-to-end pair that both users have",
        [
            Column("connection", "name of the connection", lambda pair: pair.connection),
            Column("number", "name of the pair at both users", lambda pair: pair.number),
            Column("time_s", "when the second user had it", lambda pair: to_seconds(pair.tick)),
            Column("fidelity", "true fidelity then", lambda pair: pair.fidelity),
            Column(
                "estimated_fidelity",
                "what the users estimate it to be, averaged over the two, whose waits differ",
                lambda pair: pair.estimated,
            ),
            Column("right_partner", "whether the two halves are each other's partners", lambda pair: pair.right),
        ],
        record="pairs",
    )
    messages = Table[MessageRow](
        "a message",
        [
            Column(
                "connections", "connections the message is about, joined by ,", lambda row: ",".join(row.connections)
            ),
            Column("message", "type", lambda row: row.message.wire_name),
            Column("source", "node that sent it", lambda row: row.hop.source),
            Column("target", "node it goes to", lambda row: row.hop.target),
            Column("sent_s", "when it was sent", lambda row: to_seconds(row.hop.sent)),
            Column("received_s", "when it arrives; empty if it is lost", lambda row: _seconds(row.hop.received)),
            Column("detail", "what else it says", lambda row: row.message.label),
        ],
        record="messages",
    )
    milestones = Table[Milestone](
        "a step in the life of a connection at a node",
        [
            Column("connection", "name of the connection", lambda milestone: milestone.connection),
            Column("time_s", "when it happened", lambda milestone: to_seconds(milestone.tick)),
            Column("node", "where", lambda milestone: milestone.node),
            Column("event", "what", lambda milestone: milestone.event),
        ],
        record="messages",
    )


def summary(network: EntanglementNetwork, warmup: int) -> dict[str, float]:
    """Return the metrics of one run up to now, as a row of a sweep."""
    outcome = ConnectionOutcome(network, warmup)
    return {metric.name: metric.get(outcome) for metric in METRICS}


def tables(network: EntanglementNetwork) -> dict[str, pd.DataFrame]:
    """Return the tables of a run, by name."""
    ledger, now, kinds = network.ledger, network.env.now, EntanglementResults
    links = [LinkRow(network, ends, _given(network, ends)) for ends in network.links]
    made = {
        "connections": kinds.connections.frame(ConnectionRow(entry, now) for entry in ledger.entries.values()),
        "attempts": kinds.attempts.frame(attempt for entry in ledger.entries.values() for attempt in entry.attempts),
        "links": kinds.links.frame(links),
        "nodes": kinds.nodes.frame(_nodes(network)),
        "allocations": kinds.allocations.frame(row for link in links for row in _allocations(link)),
    }
    if ledger.deliveries is not None:
        made["pairs"] = kinds.pairs.frame(ledger.deliveries)
    if network.hops is not None:
        made["messages"] = kinds.messages.frame(_messages(network.hops))
        made["milestones"] = kinds.milestones.frame(ledger.milestones or ())
    return made


def _sides(network: EntanglementNetwork, ends: tuple[str, str]) -> tuple[Interface, Interface]:
    return network.interfaces[ends[0]][ends[1]], network.interfaces[ends[1]][ends[0]]


def _nodes(network: EntanglementNetwork) -> Iterator[StackRow]:
    rejected = Counter(attempt.by for entry in network.ledger.entries.values() for attempt in entry.attempts)
    yield from (StackRow(network, name, rejected) for name in network.stacks)


def _allocations(link: LinkRow) -> Iterator[AllocationRow]:
    halves = link.sides[0].pairs_by_attempt()
    for attempt, trials in link.given.items():
        yield AllocationRow("-".join(link.ends), attempt, trials, halves[attempt])


def _given(network: EntanglementNetwork, ends: tuple[str, str]) -> Counter[AttemptId]:
    """Return how many trials of the clock were given to each connection, seen from the sender."""
    link, sender = network.links[ends], _sides(network, ends)[0]
    given: Counter[AttemptId] = Counter()
    agreements = sender.allocation.agreements
    bounds = [*(agreement.since for agreement in agreements), link.next_trial(0)]
    for agreement, (first, end) in zip(agreements, pairwise(bounds), strict=True):
        given += _owned(sender.allocation.policy, agreement, first, max(first, end))
    return given


def _owned(policy: LinkPolicy, agreement: Agreement, first: int, end: int) -> Counter[AttemptId]:
    """Return how many of the trials from `first` up to `end` each connection owns."""
    if not agreement.entries or end <= first:
        return Counter()
    period = period_of(policy, agreement) or end - first
    rounds, rest = divmod(end - first, period)
    owners = [policy.owner(trial, agreement) for trial in range(first, first + min(period, end - first))]
    counted = Counter(owner for owner in owners if owner is not None)
    owned = Counter({owner: count * rounds for owner, count in counted.items()}) if rounds else Counter[AttemptId]()
    return owned + Counter(owner for owner in owners[:rest] if owner is not None)


def _messages(hops: list[Transmission]) -> Iterator[MessageRow]:
    epochs: dict[tuple[str, int], dict[str, None]] = {}
    for hop in hops:
        message: Any = hop.message.content if isinstance(hop.message, Segment) else hop.message
        about = _about(message)
        if isinstance(message, LAU | Barrier):  # a Barrier is about what the two LAUs before it are about
            known = epochs.setdefault((message.link, message.epoch), {})
            known.update(dict.fromkeys(about))
            about = about or list(known)
        yield MessageRow(hop, message, about)


def _about(message: Any) -> list[str]:
    if isinstance(message, LAU):
        return [attempt.connection for attempt in dict.fromkeys(entry.id for entry in (*message.active, *message.next))]
    return [message.attempt.connection] if hasattr(message, "attempt") else []
