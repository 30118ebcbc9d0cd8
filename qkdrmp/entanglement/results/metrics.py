"""The metrics of a run of an entanglement network: numbers that sum it up, and a row of a sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property
from math import nan

import numpy as np

from qkdrmp.entanglement.ledger import ConnectionEntry, ConnectionStatus
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.request import REJECTIONS, STRUCTURAL, EndReason
from qkdrmp.kernel.units import to_seconds
from qkdrmp.stats.columns import Column, quantile_columns, values_of
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
        self.unservable = sum(self.reasons[reason] for reason in STRUCTURAL)

    @property
    def blocking(self) -> float:
        """Share of the ended connections that could have been served and were rejected; nan if there are none."""
        ended = self.ended - self.unservable
        return (self.states[ConnectionStatus.REJECTED] - self.unservable) / ended if ended else nan

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

    @property
    def rates(self) -> list[float]:
        """Pairs per second of each connection that has been active, while it was, 1/s."""
        return [entry.pairs / active for entry in self.entries if (active := entry.active_s(self.now))]

    @property
    def wanted(self) -> list[ConnectionEntry]:
        """The connections that asked for a number of pairs."""
        return [entry for entry in self.entries if entry.request.spec.pairs]

    @property
    def pairs_asked(self) -> float:
        """Pairs that all connections together asked for; nan if there are none, or one takes as many as it gets."""
        everyone = len(self.wanted) == len(self.entries) > 0
        return float(sum(entry.request.spec.pairs or 0 for entry in self.wanted)) if everyone else nan

    @property
    def undelivered(self) -> float:
        """Share of the connections that asked for a number of pairs that did not get them all; nan if none did."""
        delivered = sum(entry.state is ConnectionStatus.DELIVERED for entry in self.wanted)
        return 1 - delivered / len(self.wanted) if self.wanted else nan

    @property
    def interfaces(self) -> Iterator[Interface]:
        """The interfaces of all nodes."""
        for by_peer in self.network.interfaces.values():
            yield from by_peer.values()

    def per_pair(self, total: Callable[[ConnectionEntry], float]) -> float:
        """Return the mean over all delivered pairs of what each connection has the sum of; nan without pairs."""
        return sum(total(entry) for entry in self.entries) / self.pairs if self.pairs else nan


def _state(state: ConnectionStatus) -> Column[ConnectionOutcome]:
    title = f"connections {state}"
    return Column(f"connections_{state}", f"of these, {state} at the end", lambda outcome: outcome.states[state], title)


def _rejected(reason: EndReason) -> Column[ConnectionOutcome]:
    meaning = f"connections rejected, at last, with the reason {reason}"
    return Column(f"rejected_{reason}", meaning, lambda outcome: outcome.reasons[reason], better="less")


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
        "connections_servable",
        "connections that the network could serve in some state: all but those rejected as infeasible, no_route or "
        "unauthorised",
        lambda outcome: len(outcome.entries) - outcome.unservable,
        "servable connections",
    ),
    Column(
        "blocking",
        "share of the servable connections asked for and ended that were rejected",
        lambda outcome: outcome.blocking,
        "blocking (rejected share)",
        better="less",
        given="unservable",
    ),
    Column(
        "unservable",
        "share of the connections asked for that no state of the network could serve: rejected as infeasible, no_route "
        "or unauthorised",
        lambda outcome: outcome.unservable / len(outcome.entries) if outcome.entries else nan,
        "not servable (share)",
        better="less",
    ),
    Column(
        "undelivered",
        "share of the connections that asked for a number of pairs that had not got them all at the end; empty if all "
        "take as many as they get",
        lambda outcome: outcome.undelivered,
        "not delivered (share)",
        better="less",
    ),
    Column(
        "attempts_mean",
        "mean number of setup attempts",
        lambda outcome: float(np.mean([len(e.attempts) for e in outcome.entries])) if outcome.entries else nan,
        "mean setup attempts",
        better="less",
    ),
    *quantile_columns(
        "setup",
        "time from asking to the installation at the Initiator, retries included",
        "setup time",
        lambda outcome: outcome.setups,
    ),
    Column(
        "completion_mean_s",
        "mean time from asking to the last pair, of connections that have all they need",
        lambda outcome: float(np.mean(outcome.completions)) if outcome.completions else nan,
        "mean time to the last pair",
        better="less",
        given="undelivered",
    ),
    Column(
        "pairs_asked",
        "pairs that the connections asked for; empty if one of them takes as many as it gets",
        lambda outcome: outcome.pairs_asked,
        "pairs asked for",
    ),
    Column("pairs_delivered", "end-to-end pairs that both users have", lambda outcome: outcome.pairs, better="more"),
    Column(
        "pair_rate_hz",
        "these, per second after the warm-up, of all connections together; where connections end, it says what was "
        "asked for rather than what the network can do",
        lambda outcome: outcome.pairs / outcome.observed_s if outcome.observed_s > 0 else 0.0,
        "delivered pairs",
        better="more",
    ),
    Column(
        "connection_rate_hz",
        "mean, over the connections that have been active, of their own pairs per second from then to their end or now",
        lambda outcome: float(np.mean(outcome.rates)) if outcome.rates else nan,
        "pairs of a connection while it is active",
        better="more",
    ),
    Column(
        "fairness",
        "Jain's index, over the connections that have been active, of their pairs per second from then to "
        "their end (or now): 1 if all have the same rate, 1/n if one of n has everything",
        lambda outcome: jain(outcome.rates),
        "fairness (Jain's index)",
        better="more",
    ),
    Column(
        "fidelity_mean",
        "mean true fidelity of these pairs at delivery",
        lambda outcome: outcome.per_pair(lambda entry: entry.fidelity_sum),
        "mean fidelity of pairs",
        better="more",
    ),
    Column(
        "fidelity_min",
        "lowest true fidelity of these pairs",
        lambda outcome: min((e.fidelity_min for e in outcome.entries if e.pairs), default=nan),
        "lowest fidelity of a pair",
        better="more",
    ),
    Column(
        "estimated_fidelity",
        "mean fidelity that the users estimate them to have",
        lambda outcome: outcome.per_pair(lambda entry: entry.estimated_sum),
        "estimated fidelity of pairs",
        better="more",
    ),
    Column(
        "secret_bps",
        "secret bits of keys from these pairs (basis bbm92), per second after the warm-up",
        lambda outcome: sum(e.secret_bits for e in outcome.entries) / outcome.observed_s if outcome.observed_s else 0.0,
        "secret bits of keys from pairs",
        better="more",
    ),
    Column(
        "wrong_partner",
        "delivered pairs whose halves are not each other's partners",
        lambda outcome: sum(entry.wrong_partner for entry in outcome.entries),
        "pairs with wrong partners",
        better="less",
    ),
    Column(
        "elementary_pairs",
        "pairs made by links, warm-up included",
        lambda outcome: sum(link.successes for link in outcome.network.links.values()),
    ),
    Column(
        "stall_s",
        "time for which trials of a link were void because the peer's Barrier had not come, summed over link ends",
        lambda outcome: to_seconds(sum(interface.stalled for interface in outcome.interfaces)),
        "void time of links",
        better="less",
    ),
    Column("events", "events processed, warm-up included", lambda outcome: outcome.network.env.events),
    Column(
        "messages",
        "messages sent, warm-up and retransmissions included",
        lambda outcome: outcome.network.messages,
    ),
)
"""The metrics of a run: its summary, and a row of a sweep."""


def summary(network: EntanglementNetwork, warmup: int) -> dict[str, float]:
    """Return the metrics of one run up to now, as a row of a sweep."""
    return values_of(METRICS, ConnectionOutcome(network, warmup))
