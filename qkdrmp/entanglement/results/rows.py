"""What the rows of the tables of an entanglement network are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import nan
from typing import Any, NamedTuple

from qkdrmp.entanglement.ledger import ConnectionEntry, Installed
from qkdrmp.entanglement.links.epoch import LAU, Barrier
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.links.policies import trials_given
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.network.channel import Transmission
from qkdrmp.network.transport import Segment


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """What a row of the table of connections is about: a connection, now."""

    entry: ConnectionEntry
    now: int

    @property
    def rate(self) -> float:
        """Pairs per second while it was active."""
        active_s = self.entry.active_s(self.now)
        return self.entry.pairs / active_s if active_s else 0.0

    def per_pair(self, total: float) -> float:
        """Return a sum over its pairs as a mean; nan without pairs."""
        return total / self.entry.pairs if self.entry.pairs else nan

    def of_key(self, value: float) -> float:
        """Return what belongs to the key that is made of its pairs; nan if none is."""
        return value if self.entry.request.spec.basis == "bbm92" else nan

    @property
    def secret_bps(self) -> float:
        """Secret bits of the key per second while it was active; nan if none is made."""
        active_s = self.entry.active_s(self.now)
        return self.of_key(self.entry.secret_bits / active_s if active_s else 0.0)


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
        here, there = self.ends
        return self.network.interfaces[here][there], self.network.interfaces[there][here]


class AllocationRow(NamedTuple):
    """What a row of the table of allocations is about: what an attempt at a connection was given of a link."""

    link: str
    attempt: AttemptId
    trials: int
    pairs: int


class RuleRow(NamedTuple):
    """What a row of the table of RuleSets is about: a rule that a node was given for an attempt at a connection."""

    attempt: AttemptId
    node: str
    stage: int
    number: int
    conditions: str
    actions: str


class MessageRow(NamedTuple):
    """What a row of the table of messages is about: a transmission, without its segment, and its connections."""

    hop: Transmission
    connections: list[str]


def node_rows(network: EntanglementNetwork) -> Iterator[StackRow]:
    """Yield what the table of nodes has a row for."""
    rejected = Counter(attempt.by for entry in network.ledger.entries.values() for attempt in entry.attempts)
    yield from (StackRow(network, name, rejected) for name in network.stacks)


def link_rows(network: EntanglementNetwork) -> Iterator[LinkRow]:
    """Yield what the table of links has a row for."""
    yield from (LinkRow(network, ends, _given(network, ends)) for ends in network.links)


def allocation_rows(link: LinkRow) -> Iterator[AllocationRow]:
    """Yield what the table of allocations has a row for, of one link."""
    halves = link.sides[0].pairs_by_attempt()
    for attempt, trials in link.given.items():
        yield AllocationRow("-".join(link.ends), attempt, trials, halves[attempt])


def _given(network: EntanglementNetwork, ends: tuple[str, str]) -> Counter[AttemptId]:
    """Return how many trials of the clock were given to each connection, seen from the sender."""
    link, sender = network.links[ends], network.interfaces[ends[0]][ends[1]]
    given: Counter[AttemptId] = Counter()
    agreements = sender.allocation.agreements
    bounds = [*(agreement.since for agreement in agreements), link.next_trial(0)]
    for agreement, (first, end) in zip(agreements, pairwise(bounds), strict=True):
        given += trials_given(sender.allocation.policy, first, end, agreement)
    return given


def rule_rows(rulesets: Mapping[AttemptId, Installed]) -> Iterator[RuleRow]:
    """Yield what the table of RuleSets has a row for."""
    yield from (RuleRow(attempt, *rule) for attempt, stack in rulesets.items() for rule in stack.in_words())


class MessageRows:
    """Makes the rows of the table of messages in their order: a Barrier is about what the LAUs before it are about."""

    def __init__(self) -> None:
        self._epochs: dict[tuple[str, int], dict[str, None]] = {}

    def row(self, hop: Transmission) -> MessageRow:
        """Return what the row of a transmission is about."""
        message = hop.message
        if isinstance(message, Segment):
            message = message.content
            hop = hop._replace(message=message)
        about = _about(message)
        if isinstance(message, LAU | Barrier):
            known = self._epochs.setdefault((message.link, message.epoch), {})
            known.update(dict.fromkeys(about))
            about = about or list(known)
        return MessageRow(hop, about)


def _about(message: Any) -> list[str]:
    if isinstance(message, LAU):
        return [attempt.connection for attempt in dict.fromkeys(entry.id for entry in (*message.active, *message.next))]
    attempt: AttemptId | None = getattr(message, "attempt", None)
    return [] if attempt is None else [attempt.connection]
