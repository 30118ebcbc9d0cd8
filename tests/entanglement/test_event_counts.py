"""Event counts of fixed runs of chains, so that a slowdown shows as a number that changed.

A change that moves them is no defect as such, but has to be meant: more events for the same pairs cost time on every
run of every user. What else a run with the same seed gives must stay as it is, whatever is recorded.
"""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise

import pytest

from qkdrmp.entanglement.ledger import ConnectionEntry, ConnectionStatus
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.kernel.units import to_ticks
from qkdrmp.topology import Link, Node, NodeKind, Topology

# Nodes, connections and end-to-end pairs of a run: its elementary pairs, messages and events. When one of them has been
# changed on purpose, the failing test says what to write here.
PINNED = {
    (2, 3, 300): (979, 1384, 1654),
    (3, 1, 500): (2075, 3142, 3583),
    (10, 1, 500): (5830, 10600, 11901),
    (10, 10, 1000): (6278, 11452, 14425),
}

MOST = 4
"""Events per elementary pair."""

FLAT = 0.2
"""By how much of the lower one two figures may differ that are to be the same."""

SEED = 1


def chain(nodes: int, connections: int, pairs: int) -> EntanglementSettings:
    """Return a chain with links of 20 km, a user at each node, and connections of random span.

    One connection alone goes from end to end, and on two nodes all of them share the one link between the two. The
    quotas fit into the memories, so that none is rejected.
    """
    draw = random.Random(SEED)
    spans = [sorted(draw.sample(range(nodes), 2)) if connections > 1 else (0, nodes - 1) for _ in range(connections)]
    relays = [Node(f"r{i}", NodeKind.ROUTER) for i in range(nodes)]
    users = [Node(f"u{i}", NodeKind.END) for i in range(nodes)]
    links = [(a.name, b.name) for a, b in pairwise(relays)] + [(f"r{i}", f"u{i}") for i in range(nodes)]
    asked = [{"src": f"u{a}", "dst": f"u{b}", "pairs": pairs // connections, "minimum_fidelity": 0.0} for a, b in spans]
    return EntanglementSettings(
        topology=Topology("chain", [*relays, *users], [Link(ends, 20.0) for ends in links]),
        duration_s=1.0,
        memories={"per_interface": 64},
        demand={"model": "listed", "connections": asked},
    )


@cache
def run(nodes: int, connections: int, pairs: int, record: bool = False) -> EntanglementNetwork:
    """Return the network after all connections are over."""
    network = EntanglementNetwork(chain(nodes, connections, pairs), SEED, trace=record, pairs=record)
    network.env.advance(1)
    while any(entry.done is None for entry in network.ledger.entries.values()):
        network.env.advance(network.env.now + to_ticks(0.01))
    entries = network.ledger.entries.values()
    assert {entry.state for entry in entries} == {ConnectionStatus.DELIVERED}
    assert [len(entry.attempts) for entry in entries] == [1] * connections, "none is rejected"
    assert sum(entry.pairs for entry in entries) == pairs
    return network


def counts(network: EntanglementNetwork) -> tuple[int, int, int]:
    """Return elementary pairs, messages and events."""
    return sum(link.successes for link in network.links.values()), network.messages, network.env.events


def events_per_elementary_pair(nodes: int, connections: int, pairs: int) -> float:
    elementary, _, events = counts(run(nodes, connections, pairs))
    return events / elementary


def results(network: EntanglementNetwork) -> list[tuple[object, ...]]:
    """Return what became of each connection."""

    def of(entry: ConnectionEntry) -> tuple[object, ...]:
        times = entry.installed, entry.active, entry.first, entry.last, entry.done
        return entry.id, entry.pairs, entry.fidelity_sum, entry.fidelity_min, entry.estimated_sum, *times

    return [of(entry) for entry in network.ledger.entries.values()]


@pytest.mark.parametrize(("nodes", "connections", "pairs"), PINNED)
def test_the_counts_of_a_run_are_pinned(nodes: int, connections: int, pairs: int) -> None:
    assert counts(run(nodes, connections, pairs)) == PINNED[nodes, connections, pairs]
    assert events_per_elementary_pair(nodes, connections, pairs) <= MOST


def test_events_per_elementary_pair_are_as_many_on_40_nodes_as_on_10() -> None:
    low, high = sorted((events_per_elementary_pair(10, 1, 500), events_per_elementary_pair(40, 1, 500)))
    assert high <= MOST
    assert high / low <= 1 + FLAT


def test_twenty_connections_cost_little_more_than_ten() -> None:
    # Where connections share a link they pause for each other, which costs messages.
    low, high = sorted((events_per_elementary_pair(10, 10, 1000), events_per_elementary_pair(10, 20, 2000)))
    assert high <= MOST
    assert high / low <= 1 + FLAT


def test_recording_changes_neither_events_nor_results() -> None:
    plain, recorded = run(10, 10, 1000), run(10, 10, 1000, record=True)
    assert recorded.hops is not None
    assert len(recorded.hops) == recorded.messages
    assert recorded.ledger.deliveries is not None
    assert len(recorded.ledger.deliveries) == 1000
    assert counts(recorded) == counts(plain)
    assert results(recorded) == results(plain)
