from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdrmp.network.formats import load_topology
from qkdrmp.network.routing import Route, end_node_routes, repeater_routes
from qkdrmp.topology import Link, Node, NodeKind, Topology

KINDS = {"U": NodeKind.END, "T": NodeKind.REPEATER, "P": NodeKind.PASSIVE, "Q": NodeKind.ROUTER}


def network(*links: tuple[str, str, float]) -> Topology:
    """Return a topology whose nodes are named after their kind, such as U1 for a user."""
    names = dict.fromkeys(name for a, b, _ in links for name in (a, b))
    nodes = [Node(name, KINDS[name[0]]) for name in names]
    return Topology("test", nodes, [Link((a, b), length) for a, b, length in links])


@st.composite
def networks(draw: st.DrawFn) -> Topology:
    names = [f"{draw(st.sampled_from('UUUTTTPQ'))}{i}" for i in range(draw(st.integers(2, 9)))]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[:i]]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=20))
    # Few different lengths make for many ties.
    lengths = st.sampled_from([0.001, 0.1, 0.2, 0.3, 1.0, 7.654321])
    links = [Link(pair, draw(lengths)) for pair in chosen]
    return Topology("random", [Node(name, KINDS[name[0]]) for name in names], links)


def length_mm(topology: Topology, route: Route) -> int:
    return sum(round(topology.link(a, b).length_km * 1_000_000) for a, b in pairwise(route))


def shortest(topology: Topology, source: str, destination: str, relays: set[str]) -> tuple[int, int] | None:
    """Return the least length in mm, and the number of links it takes, among all paths there are."""
    graph = topology.graph.subgraph({source, destination} | relays)
    paths = nx.all_simple_paths(graph, source, destination)
    return min(((length_mm(topology, tuple(path)), len(path) - 1) for path in paths), default=None)


@given(networks())
def test_repeater_routes_are_the_shortest_through_repeaters(topology: Topology) -> None:
    routes = repeater_routes(topology)
    assert set(routes) == {(a, b) for a in topology.ends for b in topology.ends if a != b}
    for (source, destination), route in routes.items():
        best = shortest(topology, source, destination, set(topology.repeaters))
        if route is None:
            assert best is None
            continue
        assert (route[0], route[-1]) == (source, destination)
        assert len(set(route)) == len(route)
        assert all(topology.nodes[name].kind is NodeKind.REPEATER for name in route[1:-1])
        assert (length_mm(topology, route), len(route) - 1) == best


@given(networks())
def test_end_node_routes_follow_their_rule(topology: Topology) -> None:
    for (source, destination), route in end_node_routes(topology).items():
        neighbours = topology.neighbours(source)
        gateways = [name for name in neighbours if name in topology.repeaters]
        if destination in neighbours:
            assert route == (source, destination)
        elif not gateways or not nx.has_path(topology.graph, source, destination):
            assert route is None
        elif route is not None:
            assert route[:2] == (source, gateways[-1])
            assert all(topology.nodes[name].kind is NodeKind.REPEATER for name in route[1:-1])
            assert topology.nodes[route[-1]].kind is NodeKind.END
            onward = shortest(topology, gateways[-1], route[-1], set(topology.nodes))
            assert (length_mm(topology, route[1:]), len(route) - 2) == onward


@given(networks())
def test_routes_are_the_same_every_time(topology: Topology) -> None:
    again = Topology(topology.name, topology.nodes.values(), topology.links)
    assert repeater_routes(topology) == repeater_routes(again)
    assert end_node_routes(topology) == end_node_routes(again)


def test_users_never_relay() -> None:
    topology = network(("U1", "U2", 1), ("U2", "U3", 1), ("U1", "T1", 9), ("T1", "U3", 9))
    assert repeater_routes(topology)["U1", "U3"] == ("U1", "T1", "U3")


def test_a_direct_link_is_used_only_where_it_is_the_shortest_way() -> None:
    topology = network(("U1", "U2", 5), ("U1", "T1", 2), ("T1", "U2", 2), ("T1", "U3", 1), ("U2", "U3", 1))
    assert repeater_routes(topology)["U1", "U2"] == ("U1", "T1", "U2")
    assert repeater_routes(topology)["U2", "U3"] == ("U2", "U3")
    assert end_node_routes(topology)["U1", "U2"] == ("U1", "U2")


def test_of_equal_lengths_the_fewest_links_win_even_where_floats_would_differ() -> None:
    # 0.1 + 0.2 is more than 0.3 in floating point, and 0.1 + 0.1 + 0.1 is too.
    topology = network(("U1", "T1", 0.1), ("T1", "T2", 0.1), ("T2", "U2", 0.1), ("T1", "U2", 0.2))
    assert repeater_routes(topology)["U1", "U2"] == ("U1", "T1", "U2")


def test_of_equal_routes_the_first_in_the_file_wins() -> None:
    links = [("U1", "T1", 1.0), ("U1", "T2", 1.0), ("T1", "U2", 1.0), ("T2", "U2", 1.0)]
    assert repeater_routes(network(*links))["U1", "U2"] == ("U1", "T1", "U2")
    assert repeater_routes(network(*links[1:], links[0]))["U1", "U2"] == ("U1", "T2", "U2")


@pytest.mark.parametrize("other", ["P1", "Q1"])
def test_passive_nodes_and_routers_do_not_relay(other: str) -> None:
    topology = network(("U1", "T1", 1), ("T1", other, 1), (other, "U2", 1))
    assert repeater_routes(topology)["U1", "U2"] is None
    assert end_node_routes(topology)["U1", "U2"] is None


def test_end_node_routes_leave_by_the_repeater_listed_last() -> None:
    topology = network(("U1", "T1", 1), ("U1", "T2", 9), ("T1", "U2", 1), ("T2", "U2", 9), ("U2", "U3", 1))
    routes = end_node_routes(topology)
    assert routes["U1", "U2"] == ("U1", "T2", "U2")
    assert routes["U1", "U3"] == ("U1", "T2", "U2")  # ends at a user who refuses
    assert routes["U3", "U1"] is None  # touches no repeater


def test_an_end_node_route_may_come_back_to_its_source() -> None:
    topology = network(("U1", "T1", 1), ("U1", "T2", 1), ("T1", "U2", 1))
    assert end_node_routes(topology)["U1", "U2"] == ("U1", "T2", "U1")


def test_routes_of_the_beijing_network() -> None:
    beijing = load_topology("beijing_qman")
    routes, refused = repeater_routes(beijing), end_node_routes(beijing)
    assert len(routes) == len(refused) == 306
    assert sum(route is None for route in routes.values()) == 60
    served = [pair for pair, route in refused.items() if route and route[-1] == pair[1]]
    assert len(served) == 306 - 97
    assert {name for pair, route in routes.items() if route is None for name in pair} >= {"EN3", "EN4"}
    assert routes["EN3", "EN2"] == ("EN3", "EN2")
    assert routes["EN1", "EN16"] == ("EN1", "TR11", "TR10", "EN16")
    assert refused["EN3", "EN1"] is None
    assert refused["EN6", "EN3"] == ("EN6", "TR15", "EN2")
