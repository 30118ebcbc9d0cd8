import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

import qkdrmp
from qkdrmp.config.bundled import bundled_names
from qkdrmp.errors import TopologyError
from qkdrmp.network.formats import TOPOLOGY_READERS, load_topology, save_topology
from qkdrmp.network.lengths import great_circle_km
from qkdrmp.topology import Link, Node, NodeKind, Topology

QNET = Path(__file__).parent / "data" / "small_qnet.json"
OWN: dict[str, Any] = {
    "format": "qkdrmp-topology/1",
    "name": "small",
    "nodes": [{"name": "A", "kind": "end"}, {"name": "B", "kind": "repeater"}],
    "links": [{"ends": ["A", "B"], "length_km": 1}],
}
GRAPH: dict[str, Any] = {
    "directed": False,
    "multigraph": False,
    "graph": {},
    "nodes": [
        {"id": "A", "kind": "end", "latitude": 48.0, "longitude": 11.0, "label": "Alice"},
        {"id": 2, "kind": "repeater", "latitude": 49.0, "longitude": 11.0},
        {"id": "C", "kind": "end"},
    ],
    "links": [
        {"source": 2, "target": "C", "length_km": 7.5, "attenuation_db_per_km": 0.16, "name": "east"},
        {"source": "A", "target": 2},
    ],
}


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def complaint(path: Path | str, format: str | None = None) -> str:
    with pytest.raises(TopologyError) as caught:
        load_topology(path, format)
    return str(caught.value)


# Bundled topologies


def test_the_beijing_network() -> None:
    beijing = load_topology("beijing_qman")
    assert beijing.name == "beijing_qman"
    assert "QNET 1.3.0" in beijing.source
    assert "not published link data" in beijing.source
    assert (len(beijing.nodes), len(beijing.links)) == (35, 37)
    assert (len(beijing.ends), len(beijing.repeaters)) == (18, 16)
    assert beijing.ends == [f"EN{i}" for i in range(1, 19)]
    assert beijing.repeaters == [f"TR{i}" for i in range(1, 17)]
    assert beijing.nodes["Beijing_Backbone"].kind is NodeKind.PASSIVE
    assert beijing.link("TR1", "TR2").length_km == 6.706
    assert beijing.link("TR15", "EN6").length_km == 0.869
    assert beijing.link("TR13", "EN14").length_km == 21.47
    assert sum(round(link.length_km * 1000) for link in beijing.links) == 245_367
    assert {link.attenuation_db_per_km for link in beijing.links} == {0.2}
    assert all(link.classical_length_km == link.length_km for link in beijing.links)
    assert (beijing.nodes["EN1"].latitude, beijing.nodes["EN1"].longitude) == (39.80083333, 116.2263889)
    assert all(node.latitude is not None and not node.extra for node in beijing.nodes.values())
    assert beijing.neighbours("EN2") == ("TR1", "EN3", "TR15", "EN4")
    assert "end nodes that touch no repeater: EN3, EN4\n" in beijing.summary()


def test_the_line_for_teaching() -> None:
    line = load_topology("line")
    assert [(node.name, node.kind) for node in line.nodes.values()] == [
        ("Alice", NodeKind.END),
        ("R", NodeKind.REPEATER),
        ("Bob", NodeKind.END),
    ]
    assert [(link.ends, link.length_km) for link in line.links] == [(("Alice", "R"), 10), (("R", "Bob"), 10)]
    assert "made up for teaching" in line.source


@pytest.mark.parametrize("name", ["beijing_qman", "line"])
def test_bundled_files_are_written_the_way_we_write_them(name: str, tmp_path: Path) -> None:
    topology = load_topology(name)
    save_topology(topology, tmp_path / "again.json")
    assert load_topology(tmp_path / "again.json") == topology
    bundled = Path(__file__).parents[2] / "topologies" / f"{name}.json"
    assert (tmp_path / "again.json").read_bytes() == bundled.read_bytes()


# Our own format


def test_saving_and_loading_gives_an_equal_topology(tmp_path: Path) -> None:
    nodes = [
        Node("Zoë", NodeKind.END, 48.1, -0.25, {"since": 2020}),
        Node("R", NodeKind.REPEATER),
        Node("P", NodeKind.PASSIVE),
        Node("Q", NodeKind.ROUTER),
    ]
    links = [Link(("R", "Zoë"), 0.1 + 0.2, 0.17, 3.5, {"fibres": [1, 2]}), Link(("Q", "R"), 1e-3, 0.0)]
    topology = Topology('the "small" one', nodes, links, "made up")
    save_topology(topology, tmp_path / "t.json")
    assert load_topology(tmp_path / "t.json") == topology
    assert load_topology(str(tmp_path / "t.json"), "qkdrmp") == topology


def test_a_node_or_link_is_one_line(tmp_path: Path) -> None:
    save_topology(Topology("t", [Node("A", NodeKind.END)], []), tmp_path / "t.json")
    assert (tmp_path / "t.json").read_text() == (
        '{\n  "format": "qkdrmp-topology/1",\n  "name": "t",\n  "nodes": [\n'
        '    {"name": "A", "kind": "end"}\n  ],\n  "links": [\n  ]\n}\n'
    )


def test_a_file_without_a_name_is_called_after_the_file(tmp_path: Path) -> None:
    content = {key: value for key, value in OWN.items() if key != "name"}
    topology = load_topology(write(tmp_path / "mine.json", content))
    assert topology.name == "mine"
    assert topology.link("A", "B") == Link(("A", "B"), 1.0, 0.2, 1.0)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert load_topology(write(tmp_path / "t.json", "\ufeff" + json.dumps(OWN))).name == "small"


def test_a_place_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="cannot be written: No such file or directory"):
        save_topology(load_topology("line"), tmp_path / "no" / "t.json")


def changed(place: str, index: int = 0, **fields: Any) -> Callable[[], dict[str, Any]]:
    """Return our small file with fields of one node or link changed, or left out where they are `...`."""

    def content() -> dict[str, Any]:
        copy: dict[str, Any] = json.loads(json.dumps(OWN))
        item = copy[place][index] if place else copy
        item.update(fields)
        for name in [name for name, value in item.items() if value is ...]:
            del item[name]
        return copy

    return content


WRONG_FIELDS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "typo in a node": (
        changed("nodes", 1, latitud=1.0),
        ["node B: unknown field 'latitud' (did you mean 'latitude'?)", "under 'extra'"],
    ),
    "typo in a link": (
        changed("links", lenght_km=2, length_km=...),
        ["link A-B: length_km is missing", "link A-B: unknown field 'lenght_km' (did you mean 'length_km'?)"],
    ),
    "typo at the top": (changed("", sorce="x"), ["unknown field 'sorce' (did you mean 'source'?)"]),
    "length as text": (changed("links", length_km="3"), ["link A-B: length_km = '3' must be a number"]),
    "length as truth": (changed("links", length_km=True), ["link A-B: length_km = True must be a number"]),
    "length as null": (changed("links", length_km=None), ["link A-B: length_km = None must be a number"]),
    "huge length": (changed("links", length_km=10**400), ["link A-B: length_km = 1000"]),
    "negative length": (
        changed("links", length_km=-3),
        ["link A-B: length_km = -3.0 must be greater than 0"],
    ),
    "infinite length": (
        changed("links", length_km=float("inf")),
        ["link A-B: length_km = inf must be finite"],
    ),
    "three ends": (
        changed("links", ends=["A", "B", "C"]),
        ["link A-B-C: ends = ['A', 'B', 'C'] must hold two names"],
    ),
    "one end": (changed("links", ends=["A"]), ["link A: ends = ['A'] must hold two names"]),
    "ends as text": (changed("links", ends="A-B"), ["link number 1: ends = 'A-B' must be a list"]),
    "end as number": (changed("links", ends=["A", 2]), ["link A-2: ends.1 = 2 must be text"]),
    "unknown end": (
        changed("links", ends=["A", "BB"]),
        ["link A-BB: the topology has no node 'BB' (did you mean 'B'?)"],
    ),
    "no name": (changed("nodes", name=...), ["node number 1: name is missing"]),
    "name as number": (changed("nodes", name=5), ["node 5: name = 5 must be text"]),
    "no kind": (changed("nodes", kind=...), ["node A: kind is missing"]),
    "unknown kind": (
        changed("nodes", kind="ends"),
        ["node A: kind = 'ends' must be one of end, repeater, router, passive (did you mean 'end'?)"],
    ),
    "latitude alone": (
        changed("nodes", latitude=1),
        ["node A: latitude and longitude must be given together"],
    ),
    "extra as list": (changed("nodes", extra=[]), ["node A: extra = [] must be an object"]),
    "node as text": (changed("", nodes=["A"]), ["node number 1: the entry = 'A' must be an object"]),
    "nodes as object": (changed("", nodes={}), ["nodes = {} must be a list"]),
    "no nodes": (changed("", nodes=...), ["nodes is missing"]),
    "links as text": (changed("", links="A-B"), ["links = 'A-B' must be a list"]),
    "name of the network": (changed("", name=1), ["name = 1 must be text"]),
    "empty name of the network": (changed("", name=""), ["name = '' must not be empty"]),
    "later version": (
        changed("", format="qkdrmp-topology/2"),
        ["format = 'qkdrmp-topology/2' must be 'qkdrmp-topology/1'"],
    ),
}


@pytest.mark.parametrize(("content", "sentences"), WRONG_FIELDS.values(), ids=list(WRONG_FIELDS))
def test_wrong_fields_are_reported_with_file_and_place(
    content: Callable[[], Any], sentences: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path / "t.json", content())
    message = complaint(path)
    assert all(line.startswith(f"{path}: ") for line in message.splitlines())
    for sentence in sentences:
        assert sentence in message


def test_every_wrong_field_is_reported_at_once(tmp_path: Path) -> None:
    nodes = [{"name": "A", "kind": 1, "latitude": "north"}, {"nam": "B", "kind": "end"}]
    message = complaint(write(tmp_path / "t.json", {"format": "qkdrmp-topology/1", "nodes": nodes}))
    assert len(message.splitlines()) == 4


# Files that are no topology


def test_unknown_names_list_the_bundled_ones() -> None:
    message = complaint("bejing_qman")
    bundled = ", ".join(bundled_names("topologies"))
    assert message == (
        f"topology = 'bejing_qman' must be a file or one of the bundled topologies, {bundled} "
        "(did you mean 'beijing_qman'?)"
    )


def test_unknown_formats_list_the_known_ones() -> None:
    message = complaint("line", "qnett")
    assert message == (
        "format = 'qnett' must be one of qkdrmp, qnet, node-link, graphml, csv (did you mean 'qnet'?), "
        "or a topology reader of your own"
    )


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.json", '{"nodes": [\n  {"name": }\n]}', "broken JSON at line 2, column 12: Expecting value"),
        ("t.topology", '{"nodes": ', "broken JSON at line 1, column 11"),
        ("t.json", "", "broken JSON at line 1, column 1"),
        ("t.txt", "", "must be in one of the formats qkdrmp, qnet, node-link, graphml"),
        ("t.json", "[]", "in one of the formats"),
        ("t.json", "3", "in one of the formats"),
        ("t.json", '{"nodes": 3, "links": [4]}', 'our own says "format": "qkdrmp-topology/1"'),
        ("t.graphml", "<graphml", "broken GraphML: unclosed token"),
        ("t.graphml", "<graphml></graphml>", "broken GraphML"),
    ],
)
def test_unreadable_files_are_reported(name: str, content: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, content)
    message = complaint(path)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


def test_bytes_that_are_no_text_are_reported(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read: 'utf-8' codec can't decode" in complaint(tmp_path / "t.json")


@pytest.mark.parametrize("format", TOPOLOGY_READERS)
@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"', "text", "<xml/>"])
def test_content_of_another_format_is_refused_by_every_reader(format: str, content: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", content)
    assert complaint(path, format).startswith(f"{path}: ")


def test_a_notebook_may_bring_its_own_reader(tmp_path: Path) -> None:
    def read(path: Path, content: Any) -> Topology:
        return Topology(path.stem, [Node(name, NodeKind.END) for name in content.split()], [])

    path = write(tmp_path / "names.txt", "A B C")
    topology = load_topology(path, read)
    assert topology.ends == ["A", "B", "C"]


def test_a_reader_that_returns_something_else_is_refused(tmp_path: Path) -> None:
    def read(path: Path, content: Any) -> Any:
        return content.split()

    path = write(tmp_path / "names.txt", "A B")
    with pytest.raises(TopologyError, match=r"names\.txt: format = read must return a Topology, not \['A', 'B'\]$"):
        load_topology(path, read)


# QNET


def test_a_qnet_file_is_read_in_kilometres() -> None:
    topology = load_topology(QNET)
    assert topology == load_topology(QNET, "qnet")
    assert topology.name == "small_qnet"
    assert list(topology.nodes.values()) == [
        Node("Core", NodeKind.PASSIVE, 48.0, 11.0, {"type": "BackboneNode"}),
        Node("T1", NodeKind.REPEATER, 48.1, 11.1, pool_capacity=20, pool_key_length_bits=32),
        Node("T2", NodeKind.REPEATER),
        Node("U1", NodeKind.END, 48.2, 11.2),
        Node("U2", NodeKind.END),
        Node("U3", NodeKind.END),
    ]
    assert topology.links == (
        Link(("Core", "T1"), 0.5),
        Link(("T1", "T2"), 9.806, 0.16, 9.807),
        Link(("U1", "T1"), 1.12, extra={"key_length": 64, "qchannel": {"frequency": 8e7}}),
        Link(("T2", "U2"), 3.0),
        Link(("U2", "U3"), 0.2505),
    )


def test_the_key_pools_of_a_qnet_file_are_those_of_a_scenario_that_says_nothing_of_them(tmp_path: Path) -> None:
    content = json.loads(QNET.read_text())
    for node in content["nodes"]:
        if node["type"] == "RMPRepeaterNode":
            node |= {"key_pool_volume": 24, "key_length": 64}
    (tmp_path / "net.json").write_text(json.dumps(content))
    topology = load_topology(tmp_path / "net.json")
    assert "key_pool_volume and key_length of 2 nodes are the sizes of their key pools" in topology.notes[1]
    silent = qkdrmp.make_scenario({"topology": topology, "duration_s": 0.1})
    found = silent.stream("T1", "T2")
    assert (found.thresholds.capacity, found.thresholds.interrupt, found.key_bits) == (24, 6, 64)
    assert qkdrmp.simulate(silent).pools["capacity"].to_list() == [24, 24]
    given = silent.replace({"pools.capacity": 8, "pools.at": [{"link": ["T1", "T2"], "key_length_bits": 32}]})
    assert (given.stream("T1", "T2").thresholds.capacity, given.stream("T1", "T2").key_bits) == (8, 32)


def test_a_size_of_key_pools_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(QNET.read_text().replace('"key_pool_volume": 20', '"key_pool_volume": 0'))
    with pytest.raises(TopologyError, match=r"node T1: pool_capacity = 0 must be at least 1"):
        load_topology(tmp_path / "net.json")


def test_a_qnet_file_in_our_own_format_is_the_same(tmp_path: Path) -> None:
    topology = load_topology(QNET)
    save_topology(topology, tmp_path / "small.json")
    assert load_topology(tmp_path / "small.json") == topology


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"distance": 3000', '"distance": "far"', "link T2-U2: qchannel.distance = 'far' must be a number"),
        ('"distance": 3000', '"range": 3000', "link T2-U2: qchannel.distance is missing"),
        ('"distance": 3000', '"distance": -3', "link T2-U2: length_km = -0.003 must be greater than 0"),
        (
            '"qchannel": {"distance": 3000}',
            '"qchannel": 3000',
            "link T2-U2: qchannel = 3000 must be an object",
        ),
        ('"node2": "U2"', '"node3": "U2"', "link number 4: node2 is missing"),
        ('"type": "BackboneNode"', '"kind": "end"', "node Core: type is missing"),
        ('"node1": "U1"', '"node1": "U7"', "link U7-T1: the topology has no node 'U7'"),
    ],
)
def test_wrong_qnet_files_are_reported(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    text = QNET.read_text()
    assert text.count(old) == 1
    path = write(tmp_path / "q.json", text.replace(old, new))
    assert f"{path}: {sentence}" in complaint(path).splitlines()[0]


# Graph files


@pytest.mark.parametrize("key", ["links", "edges"])
def test_a_node_link_file_is_read_under_either_key(key: str, tmp_path: Path) -> None:
    content = {**{name: value for name, value in GRAPH.items() if name != "links"}, key: GRAPH["links"]}
    topology = load_topology(write(tmp_path / "g.json", content))
    assert topology == load_topology(tmp_path / "g.json", "node-link")
    assert topology.name == "g"
    assert list(topology.nodes.values()) == [
        Node("A", NodeKind.END, 48.0, 11.0, {"label": "Alice"}),
        Node("2", NodeKind.REPEATER, 49.0, 11.0),
        Node("C", NodeKind.END),
    ]
    assert topology.links[0] == Link(("2", "C"), 7.5, 0.16, extra={"name": "east"})
    assert topology.links[1].length_km == pytest.approx(111.195, abs=0.001)


def test_what_networkx_writes_is_read(tmp_path: Path) -> None:
    content = nx.node_link_data(load_topology("beijing_qman").graph)
    again = load_topology(write(tmp_path / "g.json", content), "node-link")
    assert list(again.nodes.values()) == list(load_topology("beijing_qman").nodes.values())
    assert {frozenset(link.ends): link.length_km for link in again.links} == {
        frozenset(link.ends): link.length_km for link in load_topology("beijing_qman").links
    }


def graphml(*edges: str, kind: str = "repeater") -> str:
    keys = [
        ("kind", "node", "string"),
        ("latitude", "node", "double"),
        ("longitude", "node", "double"),
        ("length_km", "edge", "double"),
        ("attenuation_db_per_km", "edge", "double"),
        ("cable", "edge", "string"),
    ]
    lines = [f'<key id="{k}" for="{f}" attr.name="{k}" attr.type="{t}"/>' for k, f, t in keys]
    lines.append('<graph edgedefault="undirected">')
    for name, of_kind, latitude in (("A", "end", "48.0"), ("B", kind, "49.0"), ("C", "end", "")):
        data = f'<data key="kind">{of_kind}</data>' if of_kind else ""
        if latitude:
            data += f'<data key="latitude">{latitude}</data><data key="longitude">11.0</data>'
        lines.append(f'<node id="{name}">{data}</node>')
    head = '<?xml version="1.0" encoding="utf-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    return "\n".join([head, *lines, *edges, "</graph></graphml>"])


EAST = (
    '<edge source="B" target="C"><data key="length_km">7.5</data>'
    '<data key="attenuation_db_per_km">0.16</data><data key="cable">old</data></edge>'
)
WEST = '<edge source="A" target="B"/>'


def test_a_graphml_file_is_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    topology = load_topology(write(tmp_path / "g.graphml", graphml(EAST, WEST)))
    assert topology == load_topology(tmp_path / "g.graphml", "graphml")
    assert list(topology.nodes.values()) == [
        Node("A", NodeKind.END, 48.0, 11.0),
        Node("B", NodeKind.REPEATER, 49.0, 11.0),
        Node("C", NodeKind.END),
    ]
    assert topology.links[0] == Link(("B", "C"), 7.5, 0.16, extra={"cable": "old"})
    assert topology.links[1].length_km == pytest.approx(great_circle_km(48.0, 11.0, 49.0, 11.0))


def test_what_networkx_writes_as_graphml_is_read(tmp_path: Path) -> None:
    graph = nx.Graph(load_topology("line").graph)
    for attributes in graph.nodes.values():
        attributes["kind"] = str(attributes["kind"])
    nx.write_graphml(graph, tmp_path / "line.graphml")
    line = load_topology("line")
    assert load_topology(tmp_path / "line.graphml") == Topology("line", line.nodes.values(), line.links)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (graphml('<edge source="A" target="C"/>'), "link A-C: length_km is missing"),
        (graphml(WEST, kind=""), "node B: kind is missing"),
        (graphml(WEST, kind="switch"), "node B: kind = 'switch' must be one of end, repeater, router, passive"),
        (graphml('<edge source="A" target="D"/>'), "link A-D: there is no node 'D'"),
        (graphml(WEST).replace("48.0", "116.4"), "node A: latitude = 116.4 must be from -90 to 90"),
        (graphml(WEST).replace("48.0", "north"), "broken GraphML: could not convert string to float"),
        (graphml('<edge source="A"/>'), "broken GraphML: "),
    ],
)
def test_wrong_graph_files_are_reported(content: str, sentence: str, tmp_path: Path) -> None:
    path = write(tmp_path / "g.graphml", content)
    assert f"{path}: {sentence}" in complaint(path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"id": "C"', '"id": null', "node number 3: id = None must be text"),
        ('"id": "C", ', "", "node number 3: id is missing"),
        ('"target": "C", ', "", "link number 1: target is missing"),
        ('"kind": "repeater", ', "", "node 2: kind is missing"),
        ("49.0", '"49"', "link A-2: length_km is missing"),
        ("49.0", "Infinity", "link A-2: length_km is missing"),
        ("7.5", "[7.5]", "link 2-C: length_km = [7.5] must be a number"),
    ],
)
def test_wrong_node_link_files_are_reported(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    text = json.dumps(GRAPH)
    assert text.count(old) == 1
    path = write(tmp_path / "g.json", text.replace(old, new))
    assert f"{path}: {sentence}" in complaint(path)


def test_great_circle_distances() -> None:
    assert great_circle_km(10, 20, 10, 20) == 0
    assert great_circle_km(0, 0, 0, 180) == pytest.approx(20015.115, abs=0.01)
    assert great_circle_km(39.9042, 116.4074, 31.2304, 121.4737) == pytest.approx(1067.3, abs=0.5)
