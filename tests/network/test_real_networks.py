"""Networks as people have them: of the Topology Zoo, of topohub, in CSV files; what is completed is noted."""

import json
import math
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qkdrmp
from qkdrmp.errors import TopologyError
from qkdrmp.network.formats import load_topology, save_topology
from qkdrmp.network.lengths import LOCAL_KM, great_circle_km
from qkdrmp.network.node_kinds import SYNONYMS
from qkdrmp.topology import NodeKind, Topology

DATA = Path(__file__).parent / "data"
ZOO, TOPOHUB, COUNTY = DATA / "zoo.graphml", DATA / "topohub.json", DATA / "county"
FAST = {"model": "constant", "rate_bps": 1e5}
DEGREE_KM = great_circle_km(50, 10, 51, 10)


def refusal(path: Path | str, **options: object) -> str:
    with pytest.raises(TopologyError) as caught:
        load_topology(path, **options)  # type: ignore[arg-type]
    return str(caught.value)


# The Topology Zoo


def test_nodes_of_the_zoo_are_called_by_their_labels() -> None:
    zoo = load_topology(ZOO, kinds="leaves")
    assert list(zoo.nodes) == ["Ashby", "Brook", "Cole (2)", "Cole (3)", "Peer", "5", "Isle"]
    assert "2 nodes share a name and have their id behind it: Cole (2), Cole (3)" in zoo.notes
    assert "nodes without a name are called by their id (1)" in zoo.notes
    assert zoo.source == "Made up for tests"


def test_lengths_are_great_circles_times_the_detour() -> None:
    straight, longer = load_topology(ZOO), load_topology(ZOO, detour=1.5)
    assert straight.link("Ashby", "Brook").length_km == pytest.approx(DEGREE_KM)
    assert longer.link("Ashby", "Brook").length_km == pytest.approx(1.5 * DEGREE_KM)
    assert "5 links without a length: taken as the great circle between the coordinates, times 1.5" in longer.notes


def test_a_node_without_coordinates_stands_among_its_neighbours_and_what_is_in_one_place_is_one_km() -> None:
    zoo = load_topology(ZOO)
    assert (zoo.nodes["Peer"].latitude, zoo.nodes["Peer"].longitude) == (51.0, 10.0)
    assert (zoo.nodes["5"].latitude, zoo.nodes["5"].longitude) == (50.0, 11.0)
    assert (zoo.nodes["Isle"].latitude, zoo.nodes["Isle"].longitude) == (50.0, 11.0)  # by way of the junction
    assert "3 nodes without coordinates stand in the middle of their neighbours: Peer, 5, Isle" in zoo.notes
    assert zoo.link("Cole (2)", "Cole (3)").length_km == zoo.link("5", "Isle").length_km == LOCAL_KM
    assert "3 links between equal coordinates: taken as 1 km: Cole (2)-Cole (3), Peer-Brook, 5-Isle" in zoo.notes


def test_parallel_links_are_merged_and_loops_left_out_in_so_many_words() -> None:
    zoo = load_topology(ZOO)
    assert zoo.link("Ashby", "Brook").extra["parallel"] == 2
    assert zoo.link("Ashby", "Brook").extra["LinkLabel"] == "STM-16"
    assert "1 pair of nodes with several links: the shortest is kept: Brook-Ashby (2)" in zoo.notes
    assert "1 link from a node to itself left out: Cole (3)" in zoo.notes


def test_every_site_relays_and_has_a_user_unless_the_file_knows_better() -> None:
    zoo = load_topology(ZOO)
    assert zoo.repeaters == ["Ashby", "Brook", "Cole (2)", "Cole (3)", "5"]
    assert zoo.ends == ["Peer", "Isle", "Ashby user", "Brook user", "Cole (2) user", "Cole (3) user"]
    assert zoo.link("Ashby user", "Ashby").length_km == LOCAL_KM
    assert (zoo.nodes["Ashby user"].latitude, zoo.nodes["Ashby user"].longitude) == (50.0, 10.0)
    assert any(note.startswith("no node has a kind: 4 nodes are repeaters, each with a user") for note in zoo.notes)
    assert "nodes outside of the network are users, by what the file says of them: Peer, Isle" in zoo.notes
    assert "nodes that join links relay, by what the file says of them: 5" in zoo.notes


def test_leaves_may_be_the_users() -> None:
    zoo = load_topology(ZOO, kinds="leaves")
    assert zoo.ends == ["Cole (3)", "Peer", "Isle"]
    note = "no node has a kind: those with one link are users (1), the others repeaters (3) (kinds = leaves)"
    assert note in zoo.notes


def test_a_ring_has_no_leaves(tmp_path: Path) -> None:
    (tmp_path / "ring.csv").write_text("a,b,km\nA,B,1\nB,C,1\nC,A,1\n")
    assert refusal(tmp_path / "ring.csv", kinds="leaves") == (
        f"{tmp_path / 'ring.csv'}: kinds = leaves needs a node with one link, but every node has more of them"
    )


def test_a_network_of_the_zoo_can_be_simulated() -> None:
    scenario = qkdrmp.load_scenario("beijing").replace(
        {"topology": load_topology(ZOO), "duration_s": 1, "warmup_s": 0, "key_rate": FAST}
    )
    assert qkdrmp.simulate(scenario, seed=1).summary["requests_delivered"] > 0


@pytest.mark.parametrize("path", [ZOO, TOPOHUB, COUNTY], ids=lambda path: path.stem)
def test_what_was_completed_is_saved_with_its_notes(path: Path, tmp_path: Path) -> None:
    topology = load_topology(path)
    save_topology(topology, tmp_path / "again.json")
    again = load_topology(tmp_path / "again.json")
    assert again == topology
    assert again.notes == topology.notes != ()
    assert all(f"note: {note}" in again.summary().splitlines() for note in topology.notes)


# topohub


def test_a_file_of_topohub_has_its_names_places_and_lengths() -> None:
    hub = load_topology(TOPOHUB)
    assert list(hub.nodes)[:3] == ["Nordby", "Südby", "Ostby"]
    assert (hub.nodes["Ostby"].latitude, hub.nodes["Ostby"].longitude) == (50.5, 12.0)
    assert hub.link("Nordby", "Südby").length_km == 111.19
    assert hub.link("Nordby", "Südby").extra == {"ecmp_fwd": {"uni": 50.0}}
    assert "the demands of the file are left out" in hub.notes


@pytest.mark.parametrize(("distance", "noted"), [(50.0, False), (500.0, True)])
def test_positions_in_a_plane_are_not_taken_for_degrees(distance: float, noted: bool, tmp_path: Path) -> None:
    nodes = [{"id": "A", "pos": [10.0, 20.0]}, {"id": "B", "pos": [40.0, 60.0]}]  # 50 apart in the plane
    content = {"nodes": nodes, "links": [{"source": "A", "target": "B", "dist": distance}]}
    (tmp_path / "plane.json").write_text(json.dumps(content))
    plane = load_topology(tmp_path / "plane.json")
    assert plane.link("A", "B").length_km == distance
    assert (plane.nodes["A"].latitude, plane.nodes["A"].x, plane.nodes["A"].y) == (None, 10.0, 20.0)
    assert any("do not fit its positions" in note for note in plane.notes) is noted


def test_nodes_of_topohub_in_one_place_are_one_km_apart(tmp_path: Path) -> None:
    nodes = [{"id": 0, "name": "A", "pos": [10, 50]}, {"id": 1, "name": "B", "pos": [10, 50]}]
    content = {"nodes": nodes, "links": [{"source": 0, "target": 1, "dist": 0.0}]}
    (tmp_path / "near.json").write_text(json.dumps(content))
    assert load_topology(tmp_path / "near.json").link("A", "B").length_km == LOCAL_KM


def test_a_graph_without_lengths_and_coordinates_is_refused_in_one_sentence(tmp_path: Path) -> None:
    nodes = [{"id": name} for name in "ABCDE"]
    content = {"nodes": nodes, "links": [{"source": "A", "target": name} for name in "BCDE"]}
    (tmp_path / "bare.json").write_text(json.dumps(content))
    said = "4 links have no length, and not both ends have coordinates: A-B, A-C, A-D, A-E"
    assert refusal(tmp_path / "bare.json") == f"{tmp_path / 'bare.json'}: {said}"


# CSV


def test_a_folder_of_two_files_is_a_network() -> None:
    county = load_topology(COUNTY)
    assert (county.name, county.ends, county.repeaters) == ("county", ["Ashby", "Brook"], ["Hub 1", "Hub 2"])
    assert county == load_topology(COUNTY / "links.csv")
    first = county.link("Ashby", "Hub 1")
    assert (first.length_km, first.attenuation_db_per_km, first.extra) == (12.5, 0.21, {"cable": "C7"})
    assert county.link("Hub 1", "Hub 2").length_km == pytest.approx(great_circle_km(50.1, 10, 50.5, 10))
    assert county.nodes["Hub 1"].extra == {"floor": "2"}
    assert county.notes[:3] == (
        "nodes are those of nodes.csv",
        "kind 'user' is read as end (1 node)",
        "kind 'Trusted Node' is read as repeater (1 node)",
    )


def csv_file(folder: Path, text: str, name: str = "links.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "source,target,length_km\nA,B,1.5\nB,C,20\n",
        "\ufeffSource;Target;Distance (km)\r\nA;B;1,5\r\n\r\nB;C;20\r\n",
        "from\tto\tkm\nA\tB\t1.5\nB\tC\t2e1\n",
        '"a", "b","Length"\n"A","B", "1.5"\n"B","C","20"\n',
        "node1|node2|length_m\nA|B|1500\nB|C|20000\n",
    ],
)
def test_columns_have_the_names_and_delimiters_that_people_use(text: str, tmp_path: Path) -> None:
    topology = load_topology(csv_file(tmp_path, text), kinds="leaves")
    assert [(link.ends, link.length_km) for link in topology.links] == [(("A", "B"), 1.5), (("B", "C"), 20.0)]
    assert (topology.ends, topology.repeaters) == (["A", "C"], ["B"])


def test_the_loss_of_a_whole_link_is_spread_over_it(tmp_path: Path) -> None:
    topology = load_topology(csv_file(tmp_path, "a,b,km,loss_db\nA,B,90,30\n"))
    assert topology.link("A", "B").loss_db == pytest.approx(30)


def test_what_has_no_unit_in_its_title_is_said_with_one(tmp_path: Path) -> None:
    topology = load_topology(csv_file(tmp_path, "a;b;distance;attenuation\nA;B;90,5;0,2\n"))
    assert "column distance of links.csv is read in km" in topology.notes
    assert "column attenuation of links.csv is read in dB/km" in topology.notes
    assert "numbers of links.csv have a decimal comma, such as 90,5" in topology.notes


def test_links_name_nodes_by_id_or_by_name(tmp_path: Path) -> None:
    csv_file(tmp_path, "id,name,kind\n1,Ashby,user\n2,Brook,user\n", "nodes.csv")
    by_id = load_topology(csv_file(tmp_path, "a,b,km\n1,2,5\n"))
    by_name = load_topology(csv_file(tmp_path, "a,b,km\nAshby,Brook,5\n"))
    assert by_id.links[0].ends == by_name.links[0].ends == ("Ashby", "Brook")


def test_nodes_may_be_in_any_file_and_in_kilometres(tmp_path: Path) -> None:
    sites = csv_file(tmp_path, "name,x_km,y_km\nA,0,0\nB,3,4\n", "sites.csv")
    topology = load_topology(csv_file(tmp_path, "a,b\nA,B\n"), nodes=sites, detour=2)
    assert topology.link("A", "B").length_km == 10
    assert (topology.nodes["B"].x, topology.nodes["B"].y) == (3.0, 4.0)


def test_links_in_both_directions_are_one_link(tmp_path: Path) -> None:
    topology = load_topology(csv_file(tmp_path, "a,b,km\nA,B,10\nB,A,10\nA,B,9\n"))
    assert topology.link("A", "B").length_km == 9
    assert "1 pair of nodes with several links: the shortest is kept: A-B (3)" in topology.notes


HOSTILE = {
    "empty": ("", "must have a header and rows beneath it, but has neither"),
    "blank": ("\n\n  \n", "must have a header and rows beneath it, but has neither"),
    "header only": ("a,b,km\n", "must have a header and rows beneath it, but has no rows"),
    "no target": ("source,km\nA,1\n", "column target (or to, b, dst) is missing; there are source, km"),
    "typo": (
        "source,targett,km\nA,B,1\n",
        "column target (or to, b, dst) is missing (did you mean 'target'?); there are source, km, targett",
    ),
    "no length": ("a,b\nA,B\n", "column length_km (or length, distance, km) is missing; there are a, b"),
    "empty length": (
        "a,b,km\nA,B,\n",
        "row 2: the link A-B has no length, and A no coordinates to compute it from",
    ),
    "negative": ("a,b,km\nA,B,1\nB,C,-4\n", "row 3, column km = '-4' must be a number greater than 0"),
    "zero": ("a,b,km\nA,B,0\n", "row 2, column km = '0' must be a number greater than 0"),
    "nan": ("a,b,km\nA,B,NaN\n", "row 2, column km = 'NaN' must be a number greater than 0"),
    "infinite": ("a,b,km\nA,B,1e999\n", "row 2, column km = '1e999' must be a number greater than 0"),
    "words": ("a,b,km\nA,B,12 km\n", "row 2, column km = '12 km' must be a number greater than 0"),
    "underscore": ("a,b,km\nA,B,1_0\n", "row 2, column km = '1_0' must be a number greater than 0"),
    "gain": ("a,b,km,loss_db\nA,B,1,-1\n", "row 2, column loss_db = '-1' must be a number of at least 0"),
    "two lengths": (
        "a,b,km,length_m\nA,B,1,1000\n",
        "row 2, column length_m = '1000' is given besides the length in km: one of them must go",
    ),
    "two columns": ("a,b,km,distance\nA,B,1,1\n", "columns 'km' and 'distance' mean the same: one of them must go"),
    "no name": ("a,b,km\nA,,1\n", "row 2, column b is empty, but must name a node"),
    "too many cells": ("a,b,km\nA,B,1,2,5\n", "row 2 has 5 cells, but the header, row 1, has 3"),
    "open quote": ('a,b,km\nA,"B,1\n', "row 2: broken CSV: unexpected end of data"),
}


@pytest.mark.parametrize(("text", "sentence"), HOSTILE.values(), ids=list(HOSTILE))
def test_a_wrong_file_of_links_is_refused_in_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    path = csv_file(tmp_path, text)
    assert refusal(path) == f"{path}: {sentence}"


HOSTILE_NODES = {
    "unknown": (
        "name,kind\nAshby,end\nBrok,end\n",
        "links.csv: row 2, column b = 'Brook' must be a node of nodes.csv (did you mean 'Brok'?)",
    ),
    "twice": ("name\nAshby\nBrook\nAshby\n", "nodes.csv: row 4, column name = 'Ashby' is that of row 2 already"),
    "no names": ("kind,lat\nend,1\n", "nodes.csv: column name (or node, site, label) is missing; there are kind, lat"),
    "latitude": (
        "name,lat,lon\nAshby,95,1\nBrook,1,1\n",
        "nodes.csv: row 2, column lat = '95' must be a number from -90 to 90",
    ),
    "kind": (
        "name,kind\nAshby,end\nBrook,switch\n",
        "links.csv: node Brook: kind = 'switch' must be one of end, repeater, router, passive",
    ),
    "kind missing": ("name,kind\nAshby,end\nBrook,\n", "links.csv: node Brook: kind is missing"),
    "empty": ("", "nodes.csv: must have a header and rows beneath it, but has neither"),
}


@pytest.mark.parametrize(("text", "sentence"), HOSTILE_NODES.values(), ids=list(HOSTILE_NODES))
def test_a_wrong_file_of_nodes_is_refused_in_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    csv_file(tmp_path, text, "nodes.csv")
    assert refusal(csv_file(tmp_path, "a,b,km\nAshby,Brook,1\n")) == f"{tmp_path}/{sentence}"


def test_many_problems_are_not_all_listed(tmp_path: Path) -> None:
    lines = refusal(csv_file(tmp_path, "a,b,km\n" + "A,B,x\n" * 25)).splitlines()
    assert len(lines) == 11
    assert lines[-1].endswith("links.csv: and 15 more problems")


def test_a_folder_without_links_and_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: a folder must hold a links.csv, and has none"
    assert refusal(TOPOHUB, nodes="x.csv") == f"{TOPOHUB}: nodes = x.csv is for a CSV file of links only"
    assert refusal(ZOO, kinds="leafs") == "kinds = 'leafs' must be one of sites, leaves (did you mean 'leaves'?)"
    assert refusal(ZOO, detour=0.5) == "detour = 0.5 must be at least 1, and finite"
    assert refusal(ZOO, detour=math.nan) == "detour = nan must be at least 1, and finite"
    assert "which says everything" in refusal("line", detour=1.5)
    assert "no effect" in load_topology(TOPOHUB, detour=2).notes[1]
    assert "no effect" in load_topology(COUNTY, kinds="sites").notes[-1]


def test_a_scenario_names_a_folder_beside_it_and_how_it_is_completed(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    csv_file(tmp_path / "net", "a,b\nA,B\n")
    csv_file(tmp_path, "name,lat,lon\nA,50,10\nB,51,10\n", "sites.csv")
    table = {"file": "net", "nodes": "sites.csv", "detour": 1.5}
    made = qkdrmp.make_scenario({"kind": "qkd", "topology": table, "duration_s": 1}, folder=tmp_path)
    assert made.topology.link("A", "B").length_km == pytest.approx(1.5 * DEGREE_KM)
    csv_file(tmp_path / "net", "a,b,km\nA,B,1\n")
    made = qkdrmp.make_scenario({"kind": "qkd", "topology": "net", "duration_s": 1}, folder=tmp_path)
    assert made.topology.name == "net"


# Kinds in other words


@pytest.mark.parametrize("word", [*SYNONYMS, "End", "REPEATER", "Trusted_Node", "end-node"])
def test_other_words_for_kinds_are_understood_in_files(word: str, tmp_path: Path) -> None:
    content = {"format": "qkdrmp-topology/1", "nodes": [{"name": "A", "kind": word}]}
    (tmp_path / "t.json").write_text(json.dumps(content))
    topology = load_topology(tmp_path / "t.json")
    kind = topology.nodes["A"].kind
    assert kind in (NodeKind.END, NodeKind.REPEATER)
    assert topology.notes == (f"kind '{word}' is read as {kind} (1 node)",)


# Any file

# A name with several spaces in a row is read as one with single ones.
NAMES = st.text(string.ascii_letters + "äß ,;\"'|-", min_size=1, max_size=6)
NAMES = NAMES.map(lambda text: " ".join(text.split())).filter(bool)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    names=st.lists(NAMES, min_size=2, max_size=6, unique=True),
    data=st.data(),
    delimiter=st.sampled_from(",;\t|"),
    source=st.sampled_from(["source", "From", "a", " SRC "]),
    length=st.sampled_from(["length_km", "Length (km)", "km"]),
)
def test_what_is_written_as_csv_is_read_as_it_was(
    names: list[str], data: st.DataObject, delimiter: str, source: str, length: str, tmp_path: Path
) -> None:
    pairs = [(a, b) for number, a in enumerate(names) for b in names[number + 1 :]]
    chosen = data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=8, unique=True))
    lengths = [data.draw(st.floats(1e-3, 1e4)) for _ in chosen]

    def row(*cells: object) -> str:
        return delimiter.join(f'"{str(cell).replace(chr(34), chr(34) * 2)}"' for cell in cells) + "\n"

    rows = [row(a, b, km) for (a, b), km in zip(chosen, lengths, strict=True)]
    text = delimiter.join([source, "target", length]) + "\n" + "".join(rows)
    topology = load_topology(csv_file(tmp_path, text))
    found = topology.links[: len(chosen)]
    assert [(link.ends, link.length_km) for link in found] == list(zip(chosen, lengths, strict=True))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(rows=st.lists(st.lists(st.sampled_from(["", "A", "B", "1", "-1", "nan", '"', "\x00", "a", "é"]), max_size=5)))
def test_any_text_is_a_topology_or_refused_with_its_file(rows: list[list[str]], tmp_path: Path) -> None:
    path = csv_file(tmp_path, "a,b,km\n" + "\n".join(",".join(row) for row in rows))
    said = [f"{path}: "]
    try:
        assert isinstance(load_topology(path), Topology)
    except TopologyError as error:
        said = str(error).splitlines()
    assert all(line.startswith(f"{path}: ") for line in said)
