import math
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import networkx as nx
import pytest

from qkdrmp.errors import TopologyError
from qkdrmp.topology import Link, Node, NodeKind, Topology

END, REPEATER = NodeKind.END, NodeKind.REPEATER
NODES = [
    Node("Alice", END, 48.0, 11.0),
    Node("R", REPEATER, 48.1, 11.1),
    Node("Bob", END),
    Node("Carol", END),
    Node("Eve", NodeKind.PASSIVE),
]
LINKS = [
    Link(("R", "Bob"), 5.0, 0.16, 6.0),
    Link(("Bob", "Carol"), 2.5),
    Link(("Alice", "R"), 10.0, extra={"colour": "red"}),
]


@pytest.fixture
def topology() -> Topology:
    return Topology("small", NODES, LINKS, "made up")


def test_a_topology_keeps_what_it_was_given_in_order(topology: Topology) -> None:
    assert list(topology.nodes) == ["Alice", "R", "Bob", "Carol", "Eve"]
    assert list(topology.nodes.values()) == NODES
    assert topology.links == tuple(LINKS)
    assert topology.ends == ["Alice", "Bob", "Carol"]
    assert topology.repeaters == ["R"]
    assert topology.neighbours("R") == ("Bob", "Alice")
    assert topology.neighbours("Eve") == ()
    assert repr(topology) == "<Topology small: 5 nodes, 3 links>"


def test_a_link_is_found_from_either_end(topology: Topology) -> None:
    assert topology.link("Bob", "R") is topology.link("R", "Bob") is LINKS[0]


def test_lengths_and_loss() -> None:
    assert LINKS[0].loss_db == pytest.approx(0.8)
    assert LINKS[0].classical_length_km == 6.0
    assert LINKS[1].classical_length_km == 2.5
    assert LINKS[1].attenuation_db_per_km == 0.2


def test_the_graph_carries_kinds_places_and_lengths(topology: Topology) -> None:
    graph = topology.graph
    assert graph.nodes["Alice"] == {"kind": "end", "latitude": 48.0, "longitude": 11.0}
    assert graph.nodes["Bob"] == {"kind": NodeKind.END}
    assert graph.edges["Bob", "R"] == {
        "length_km": 5.0,
        "classical_length_km": 6.0,
        "attenuation_db_per_km": 0.16,
    }


def test_nothing_in_use_can_be_changed(topology: Topology) -> None:
    with pytest.raises(nx.NetworkXError):
        topology.graph.remove_node("R")
    with pytest.raises(TypeError):
        topology.nodes["New"] = NODES[0]  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        topology.nodes["Bob"].name = "Bill"  # type: ignore[misc]


def test_kinds_may_be_written_as_text() -> None:
    assert Node("A", "end").kind is NodeKind.END  # type: ignore[arg-type]


def test_ends_of_a_link_may_be_written_as_a_list() -> None:
    assert Link(["A", "B"], 1.0) == Link(("A", "B"), 1.0)  # type: ignore[arg-type]


def test_a_pickle_is_small_and_comes_back_equal(topology: Topology) -> None:
    pickled = pickle.dumps(topology)
    again = pickle.loads(pickled)
    assert again == topology
    assert hash(again) == hash(topology)
    assert again.neighbours("R") == ("Bob", "Alice")
    assert again.source == "made up"
    assert len(pickled) < 1000


def test_equality_looks_at_everything(topology: Topology) -> None:
    assert topology == Topology("small", NODES, LINKS, "made up")
    assert topology != Topology("small", NODES, LINKS)
    assert topology != Topology("small", NODES, LINKS[::-1], "made up")
    assert topology != Topology("small", NODES[::-1], LINKS, "made up")
    assert topology != "small"


def test_the_summary_counts_and_names(topology: Topology) -> None:
    assert topology.summary().splitlines() == [
        "small: 5 nodes (3 end, 1 repeater, 1 passive)",
        "links: 3, 17.500 km in all, from 2.500 to 10.000 km each",
        "connected pieces: 2",
        "end nodes that touch no repeater: Carol",
        "source: made up",
    ]


def test_the_summary_of_a_single_node() -> None:
    assert Topology("one", [Node("R", REPEATER)], []).summary().splitlines() == [
        "one: 1 nodes (1 repeater)",
        "connected pieces: 1",
    ]


def test_unknown_names_are_reported_with_the_nearest(topology: Topology) -> None:
    for ask in (lambda: topology.neighbours("Alise"), lambda: topology.link("R", "Alise")):
        with pytest.raises(TopologyError, match=r"small has no node 'Alise' \(did you mean 'Alice'\?\)"):
            ask()
    with pytest.raises(TopologyError, match="small has no link between 'Alice' and 'Bob'"):
        topology.link("Alice", "Bob")


def node(name: str = "D", kind: Any = END, *place: Any) -> tuple[list[Node], list[Link]]:
    return [*NODES, Node(name, kind, *place)], LINKS


def link(*facts: Any) -> tuple[list[Node], list[Link]]:
    return NODES, [*LINKS, Link(("Alice", "Bob"), *facts)]


def ends(a: str, b: str) -> tuple[list[Node], list[Link]]:
    return NODES, [*LINKS, Link((a, b), 1.0)]


WRONG = {
    "duplicate node": (node("R"), "node R: the name must be unique, but 2 nodes have it"),
    "empty node name": (node(" "), "node number 6: name = ' ' must not be empty"),
    "unknown kind": (
        node("D", "repeeter"),
        "node D: kind = 'repeeter' must be one of end, repeater, router, passive (did you mean 'repeater'?)",
    ),
    "latitude alone": (node("D", END, 1.0), "node D: latitude and longitude must be given together"),
    "longitude alone": (node("D", END, None, 1.0), "node D: latitude and longitude must be given together"),
    "latitude": (node("D", END, 91, 0), "node D: latitude = 91 must be from -90 to 90 degrees"),
    "longitude": (node("D", END, 0, -181), "node D: longitude = -181 must be from -180 to 180 degrees"),
    "no number": (node("D", END, math.nan, 0), "node D: latitude = nan must be from -90 to 90 degrees"),
    "unknown end": (ends("R", "Bop"), "link R-Bop: the topology has no node 'Bop' (did you mean 'Bob'?)"),
    "self-loop": (ends("R", "R"), "link R-R: its ends must be two different nodes"),
    "duplicate link": (ends("Bob", "R"), "link Bob-R: these two nodes are linked already"),
    "negative length": (link(-3), "link Alice-Bob: length_km = -3 must be greater than 0"),
    "zero length": (link(0.0), "link Alice-Bob: length_km = 0.0 must be greater than 0"),
    "endless": (link(math.inf), "link Alice-Bob: length_km = inf must be finite"),
    "gain": (link(1.0, -0.2), "link Alice-Bob: attenuation_db_per_km = -0.2 must be at least 0"),
    "endless loss": (link(1.0, math.inf), "link Alice-Bob: attenuation_db_per_km = inf must be finite"),
    "loss no number": (link(1.0, math.nan), "link Alice-Bob: attenuation_db_per_km = nan must be at least 0"),
    "classical": (link(1.0, 0.2, 0.0), "link Alice-Bob: classical_length_km = 0.0 must be greater than 0"),
    "no nodes": (([], []), "nodes = [] must have at least one entry"),
}


@pytest.mark.parametrize(("network", "sentence"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_network_is_refused_in_one_sentence(network: tuple[list[Node], list[Link]], sentence: str) -> None:
    with pytest.raises(TopologyError) as caught:
        Topology("small", *network)
    assert str(caught.value) == f"small: {sentence}"


def test_the_name_must_not_be_empty() -> None:
    with pytest.raises(TopologyError, match=r"^topology: name = '' must not be empty$"):
        Topology("", NODES, LINKS)


def test_every_problem_is_reported_at_once_with_the_file() -> None:
    nodes = [*NODES, Node("R", END), Node("X", "user")]  # type: ignore[arg-type]
    links = [Link(("R", "Q"), -1.0, -1.0), Link(("R", "R"), 1.0)]
    with pytest.raises(TopologyError) as caught:
        Topology("small", nodes, links, where="nets/small.json")
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert all(line.startswith("nets/small.json: ") for line in lines)


def test_lossless_links_are_allowed() -> None:
    assert Topology("ideal", NODES, [Link(("R", "Bob"), 1.0, 0.0)]).links[0].loss_db == 0
