"""The largest multicommodity flow, by other algorithms."""

from __future__ import annotations

from itertools import combinations, pairwise

import networkx as nx
import numpy as np
import pytest
import scipy

from qkdrmp.qkd.theory.flows import FlowLimit, Hop, largest_flow


def drawn(seed: int) -> tuple[list[FlowLimit], nx.DiGraph, set[str], list[str]]:
    """Return the limits of a random network, the same as a graph, its relays, and its users."""
    random = np.random.default_rng(seed)
    relays = [f"R{number}" for number in range(random.integers(2, 9))]
    users = [f"U{number}" for number in range(random.integers(2, 5))]
    links = [pair for pair in combinations(relays, 2) if random.random() < 0.5]
    links += [(user, str(random.choice(relays))) for user in users for _ in range(random.integers(1, 3))]
    graph = nx.DiGraph()
    graph.add_nodes_from([*relays, *users])
    limits = []
    for a, b in dict.fromkeys(links):
        most = float(random.integers(1, 50))
        apart = random.random() < 0.5
        limits += (
            [FlowLimit((way,), most) for way in ((a, b), (b, a))] if apart else [FlowLimit(((a, b), (b, a)), most)]
        )
        graph.add_edge(a, b, capacity=most)
        graph.add_edge(b, a, capacity=most)  # a flow from one source never needs both directions
    return limits, graph, set(relays), users


@pytest.mark.parametrize("seed", range(200))
def test_flows_from_one_source_are_the_maximum_flow_of_networkx(seed: int) -> None:
    limits, graph, relays, users = drawn(seed)
    source, *sinks = users
    asked = {(source, sink): float(np.random.default_rng(seed).integers(1, 40)) for sink in sinks}
    others_do_not_relay = graph.copy()
    for sink in sinks:
        others_do_not_relay.remove_edges_from([*graph.out_edges(sink)])
        others_do_not_relay.add_edge(sink, "sink", capacity=asked[source, sink])
    expected = nx.maximum_flow_value(others_do_not_relay, source, "sink")
    assert largest_flow(limits, asked, relays).value == pytest.approx(expected, abs=1e-6)


def over_all_paths(limits: list[FlowLimit], graph: nx.DiGraph, relays: set[str], asked: dict[Hop, float]) -> float:
    """Return the largest flow by a program with a variable for each simple path."""
    paths = [
        (pair, list(pairwise(path)))
        for pair in asked
        for path in nx.all_simple_paths(graph.subgraph({*relays, *pair}), *pair)
    ]
    if not paths:
        return 0.0
    over = [[sum(hop in path for hop in limit.hops) for _, path in paths] for limit in limits]
    ends = [[float(pair == of) for of, _ in paths] for pair in asked]
    most = [*(limit.most for limit in limits), *asked.values()]
    found = scipy.optimize.linprog(-np.ones(len(paths)), A_ub=[*over, *ends], b_ub=most)
    return float(-found.fun)


@pytest.mark.parametrize("seed", range(40))
def test_flows_of_many_pairs_are_those_over_all_paths(seed: int) -> None:
    limits, graph, relays, users = drawn(seed)
    random = np.random.default_rng(seed)
    few = set(sorted(relays)[:5])
    asked = {(a, b): float(random.integers(1, 40)) for a in users for b in users if a != b}
    limits = [limit for limit in limits if all(end in few or end in users for end in limit.hops[0])]
    expected = over_all_paths(limits, graph, few, asked)
    assert largest_flow(limits, asked, few).value == pytest.approx(expected, abs=1e-6)


def test_the_price_of_a_limit_is_what_a_unit_more_of_it_brings() -> None:
    limits = [FlowLimit((("A", "R"), ("R", "A")), 5.0), FlowLimit((("R", "B"), ("B", "R")), 3.0)]
    flow = largest_flow(limits, {("A", "B"): 100.0}, {"R"})
    assert (flow.value, flow.prices) == (3.0, {("R", "B"): 1.0})
    more = largest_flow([limits[0], FlowLimit(limits[1].hops, 4.0)], {("A", "B"): 100.0}, {"R"})
    assert more.value == 4.0


def test_worth_decides_who_is_served() -> None:
    limits = [FlowLimit((("A", "R"),), 10.0), FlowLimit((("R", "B"),), 4.0), FlowLimit((("R", "C"),), 10.0)]
    asked = {("A", "B"): 4.0, ("A", "C"): 10.0}
    flow = largest_flow(limits, asked, {"R"}, {("A", "B"): 3.0, ("A", "C"): 1.0})
    assert flow.value == pytest.approx(4 * 3 + 6)


def test_without_links_or_demand_nothing_flows() -> None:
    assert largest_flow([], {("A", "B"): 1.0}, set()).value == 0.0
    assert largest_flow([FlowLimit((("A", "B"),), 1.0)], {}, set()).value == 0.0
