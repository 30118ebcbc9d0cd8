"""Second routes: where a connection goes after the first way was full."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import networkx as nx
import pytest

from qkdrmp.entanglement.ledger import ConnectionStatus
from qkdrmp.entanglement.messages import CSR
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.request import EndReason
from qkdrmp.entanglement.results.tables import tables
from qkdrmp.network.routing import routes_to, shortest_routes
from qkdrmp.topology import Link, Node, Topology
from tests.entanglement.networks import random_topology
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    US,
    deliveries,
    entry_of,
    left_over,
    network_of,
    run,
)


def two_ways(long_km: float = 20.0) -> Topology:
    """A - R - B, and the longer way A - S - T - B."""
    nodes = [Node(name, "end") for name in "AB"] + [Node(name, "repeater") for name in "RST"]
    links = [Link(ends, 20.0, 0.0) for ends in ("AR", "RB")]
    links += [Link(ends, long_km, 0.0) for ends in ("AS", "ST", "TB")]
    return Topology("two ways", nodes, links)


def asking(
    connections: Sequence[Mapping[str, Any]], routes: int, topology: Topology | None = None, **setup: Any
) -> EntanglementNetwork:
    return network_of(
        topology or two_ways(),
        [{"src": "A", "dst": "B", **one} for one in connections],
        trace=True,
        links=CERTAIN,
        gates=PERFECT,
        memories={**FOR_EVER, "per_interface": 8, "at": [{"node": name, "per_interface": 1} for name in "RST"]},
        setup={"routes": routes, **setup},
    )


def asked_by_way_of(network: EntanglementNetwork, connection: str) -> list[tuple[str, str, int]]:
    found = [hop for hop in network.hops or () if isinstance(hop.message, CSR)]
    return [(h.source, h.target, h.sent) for h in found if h.message.attempt.connection == connection]


HOLDER = {"teardown_s": 0.3}


def test_after_a_busy_first_route_the_second_one_is_tried_without_waiting_for_the_first() -> None:
    network = run(asking([HOLDER, {"at_s": 0.01, "pairs": 5}], routes=2), 0.2)
    entry = entry_of(network, "c2")
    first, second = entry.attempts
    assert (first.reason, first.by, first.path) == (EndReason.BUSY, "R", ("A", "R", "B"))
    assert first.available == 300_110 * US
    assert (second.reason, second.path) == (None, ("A", "S", "T", "B"))
    assert first.ended is not None
    assert 25_000 * US <= second.asked - first.ended <= 75_000 * US, "the back-off alone, with its jitter"
    at = second.asked
    assert asked_by_way_of(network, "c2")[1:] == [
        ("A", "S", at),
        ("S", "T", at + 110 * US),
        ("T", "B", at + 220 * US),
    ]
    assert second.ended == at + 6 * 110 * US
    assert (entry.state, entry.pairs, entry.wrong_partner) == (ConnectionStatus.DELIVERED, 5, 0)
    assert entry.active is not None
    table = tables(network)
    assert list(table["connections"]["path"]) == ["A>R>B", "A>S>T>B"]
    assert list(table["attempts"]["path"]) == ["A>R>B", "A>R>B", "A>S>T>B"]
    assert len([pair for pair in deliveries(network) if pair.connection == "c2"]) == 5


def test_by_default_there_is_one_route() -> None:
    network = run(asking([HOLDER, {"at_s": 0.01, "pairs": 5}], routes=1), 0.5)
    assert [attempt.path for attempt in entry_of(network, "c2").attempts] == [("A", "R", "B")] * 2
    assert {hop.message.route for hop in network.hops or () if isinstance(hop.message, CSR)} == {()}


@pytest.mark.parametrize("routes", [2, 5])
def test_if_all_are_full_they_are_tried_in_turn_and_each_not_before_it_expects_to_be_free(routes: int) -> None:
    # c1 has the short way until 0.3 s, c2 the long one until 0.2 s.
    network = asking(
        [HOLDER, {"at_s": 0.01, "teardown_s": 0.2}, {"at_s": 0.1, "pairs": 1}], routes, retries=9, backoff_most_s=0.05
    )
    run(network, 0.5)
    entry = entry_of(network, "c3")
    ways = [attempt.path for attempt in entry.attempts]
    assert ways == [("A", "R", "B"), ("A", "S", "T", "B"), ("A", "R", "B")]
    assert [attempt.by for attempt in entry.attempts] == ["R", "S", None]
    short, long_, again = entry.attempts
    assert (short.available, long_.available) == (300_110 * US, 200_110 * US)
    assert again.asked == 300_110 * US
    assert entry.state is ConnectionStatus.DELIVERED
    assert left_over(network) == []


def test_an_initiator_waits_as_long_as_the_longer_way_takes() -> None:
    # 10,000 km a link: 50 ms each, so the Response takes 300 ms.
    network = asking([HOLDER, {"at_s": 0.01, "pairs": 1}], 2, two_ways(10_000.0))
    run(network, 2.0)
    entry = entry_of(network, "c2")
    assert [attempt.outcome for attempt in entry.attempts] == ["busy", "installed"]
    assert entry.state is ConnectionStatus.DELIVERED
    assert all(stack.records.expired_holds == 0 for stack in network.stacks.values())


def test_a_release_on_the_second_route_frees_all_of_it() -> None:
    network = run(asking([HOLDER, {"at_s": 0.01, "teardown_s": 0.2}], routes=2), 0.25)
    assert entry_of(network, "c2").path == ("A", "S", "T", "B")
    run(network, 0.4)
    assert left_over(network) == []


def test_networks_in_networks_have_one_route() -> None:
    plain = two_ways()
    nodes = [Node(name, "repeater", extra={"network": "x"}) for name in "RST"] + [Node(name, "end") for name in "AB"]
    nested = Topology("two ways", nodes, plain.links)
    network = network_of(
        nested,
        [{"src": "A", "dst": "B", **one} for one in (HOLDER, {"at_s": 0.01})],
        memories={"per_interface": 1},
        setup={"routes": 2},
        layers={"nested": ["x"]},
    )
    run(network, 0.5)
    assert {attempt.path for attempt in entry_of(network, "c2").attempts} == {("A", "R", "B")}


def length_mm(topology: Topology, route: Sequence[str]) -> tuple[int, int]:
    return sum(round(topology.link(*hop).length_km * 10**6) for hop in pairwise(route)), len(route)


@pytest.mark.parametrize("seed", range(40))
def test_routes_are_the_shortest_of_all_simple_paths_in_which_no_user_relays(seed: int) -> None:
    topology = random_topology(random.Random(seed), nested=False)
    users = set(topology.ends)
    for src, dst in [(a, b) for a in sorted(users) for b in sorted(users) if a != b]:
        every = [
            tuple(path) for path in nx.all_simple_paths(topology.graph, src, dst) if not users.intersection(path[1:-1])
        ]
        for most in (1, 2, 4, 1000):
            found = shortest_routes(topology, src, dst, most)
            assert len(set(found)) == len(found) == min(most, len(every))
            assert set(found) <= set(every)
            best = sorted(length_mm(topology, path) for path in every)[:most]
            assert [length_mm(topology, path) for path in found] == best
            if every:
                assert found[0] == routes_to(topology, dst)[src]
