"""Maps: north is up and east to the right, everything can be told apart, and what does not fit is said."""

import itertools
import resource

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from qkdrmp import Link, Node, Topology, load_topology, plots
from qkdrmp.plots.map_layout import _joined
from tests.plots.placing_steps import counted_steps


def topology(places: dict[str, tuple[float, float]], *, plane: bool = False) -> Topology:
    """Return a network of repeaters, each linked to the one before, at places to the right and up."""
    nodes = [
        Node(name, "repeater", x=x, y=y) if plane else Node(name, "repeater", y, x)  # type: ignore[arg-type]
        for name, (x, y) in places.items()
    ]
    names = list(places)
    links = [Link((a, b), 10.0) for a, b in itertools.pairwise(names)]
    return Topology("made", nodes, links)


COMPASS = {
    "middle": (10.0, 50.0),
    "north": (10.0, 51.0),
    "east": (11.0, 50.0),
    "south": (10.0, 49.0),
    "west": (9.0, 50.0),
}


def drawn_places(ax: Axes) -> np.ndarray:
    """Return where the repeaters of a map are, in pixels to the right and up."""
    ax.figure.canvas.draw()
    (nodes,) = [one for one in ax.collections if isinstance(one, PathCollection)]
    return np.asarray(ax.transData.transform(nodes.get_offsets()))


@pytest.mark.parametrize("plane", [False, True], ids=["degrees", "plane"])
def test_north_is_up_and_east_is_to_the_right(plane: bool) -> None:
    ax = plots.network(topology(COMPASS, plane=plane))
    middle, north, east, south, west = drawn_places(ax)
    assert north[1] > middle[1] > south[1]
    assert west[0] < middle[0] < east[0]
    assert north[0] == pytest.approx(south[0]) == pytest.approx(middle[0])
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        ("x", "y") if plane else ("longitude (degrees east)", "latitude (degrees north)")
    )


@pytest.mark.parametrize(("plane", "share"), [(True, 1.0), (False, np.cos(np.radians(50)))])
def test_a_map_is_true_to_scale(plane: bool, share: float) -> None:
    middle, north, east, *_ = drawn_places(plots.network(topology(COMPASS, plane=plane)))
    assert (east - middle)[0] / (north - middle)[1] == pytest.approx(share, rel=1e-3)


@pytest.mark.parametrize(
    ("longitudes", "joined"),
    [
        ([170, -170, 175], [170, 190, 175]),
        ([-150, -170, 170], [210, 190, 170]),
        ([10, 20, -5], [10, 20, -5]),
        ([-122, -74], [-122, -74]),
        ([116], [116]),
        ([-90, 90], [-90, 90]),
    ],
)
def test_a_network_across_the_antimeridian_is_in_one_piece(longitudes: list[float], joined: list[float]) -> None:
    assert _joined(longitudes) == joined


def test_longitudes_are_named_as_usual_beyond_the_antimeridian() -> None:
    ax = plots.network(topology({"Suva": (178.4, -18.1), "Apia": (-171.8, -13.8), "Nukualofa": (-175.2, -21.1)}))
    ax.figure.canvas.draw()
    assert "-174" in [label.get_text().replace("\N{MINUS SIGN}", "-") for label in ax.get_xticklabels()]
    suva, apia, _ = drawn_places(ax)
    assert suva[0] < apia[0]


def test_nodes_in_one_place_are_drawn_side_by_side() -> None:
    ax = plots.network(topology({"A": (10.0, 50.0), "B": (10.0, 50.0), "C": (10.0, 50.0), "D": (12.0, 50.0)}))
    at = drawn_places(ax)
    apart = [np.hypot(*(a - b)) for number, a in enumerate(at) for b in at[number + 1 :]]
    assert min(apart) > 10


# A layout without coordinates


def grid(size: int) -> Topology:
    names = [(x, y) for x in range(size) for y in range(size)]
    nodes = [Node(f"{x}.{y}", "repeater") for x, y in names]  # type: ignore[arg-type]
    links = [
        Link((f"{x}.{y}", f"{x + right}.{y + up}"), 10.0)
        for x, y in names
        for right, up in ((1, 0), (0, 1))
        if x + right < size and y + up < size
    ]
    return Topology("grid", nodes, links)


@pytest.mark.parametrize("size", [4, 9])
def test_a_layout_is_the_same_each_time_and_links_are_about_as_long_as_they_are(size: int) -> None:
    network = grid(size)
    places = plots.positions(network)
    assert places == plots.positions(network)
    lengths = [float(np.hypot(*np.subtract(places[link.ends[0]], places[link.ends[1]]))) for link in network.links]
    assert np.mean(lengths) == pytest.approx(10.0)
    assert np.std(lengths) < 2.5


def test_pieces_of_a_network_stand_side_by_side() -> None:
    nodes = [Node(name, "end") for name in "ABCDE"]  # type: ignore[arg-type]
    places = plots.positions(Topology("pieces", nodes, [Link(("A", "B"), 10.0), Link(("C", "D"), 10.0)]))
    first, second, third = max(places[name][0] for name in "AB"), [places[name][0] for name in "CD"], places["E"][0]
    assert first < min(second)
    assert max(second) < third


def test_nodes_a_metre_apart_are_told_apart_beside_long_links() -> None:
    """The solver of the layout took over a minute for them, too."""
    lengths = {
        "R1 R2": 0.001,
        "R1 R6": 1,
        "R2 R3": 10,
        "R3 R4": 10,
        "R4 R5": 7.3,
        "R4 U1": 55,
        "R5 R6": 1,
        "R5 U5": 0.001,
    }
    nodes = [Node(name, "repeater") for name in sorted({name for pair in lengths for name in pair.split()})]  # type: ignore[arg-type]
    links = [Link((pair[:2], pair[3:]), float(length)) for pair, length in lengths.items()]
    at = np.array([*plots.positions(Topology("uneven", nodes, links)).values()])
    apart = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1))[np.triu_indices(len(at), 1)]
    assert apart.min() > apart.max() / 100


# Large maps

MOST_STEPS = 100_000
"""Boxes times lines that are compared."""


def large(count: int, letters: int) -> Topology:
    random = np.random.default_rng(1)
    places = {
        f"{number:0{letters}d}": (float(x), float(y)) for number, (x, y) in enumerate(random.uniform(5, 15, (count, 2)))
    }
    return topology(places)


@pytest.mark.parametrize("letters", [3, 25])
def test_names_of_a_map_of_200_nodes_cover_no_name_and_no_node_and_what_is_left_out_is_said(
    letters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = counted_steps(monkeypatch)
    network = large(200, letters)
    ax = plots.network(network)
    at = drawn_places(ax)
    assert 0 < sum(steps) < MOST_STEPS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1e6  # KB, of the whole process that runs the tests
    names = [text for text in ax.texts if text.get_text() in network.nodes]
    frames = np.array([text.get_window_extent().extents for text in names])
    for number, frame in enumerate(frames):
        apart = (frames[:, :2] >= frame[2:]) | (frames[:, 2:] <= frame[:2])
        assert apart.any(axis=1).sum() == len(frames) - 1, names[number]
        assert not ((at > frame[:2]) & (at < frame[2:])).all(axis=1).any()
    left_out = len(network.nodes) - len(names)
    said = [text.get_text() for text in ax.texts if text not in names]
    if left_out:
        assert said == [f"{left_out} of 200 names do not fit and are left out; nodes with more links come first"]
    assert (left_out > 20) == (letters == 25)


def test_nodes_with_more_links_are_named_first() -> None:
    names = ["a hub with a long name", *(f"a leaf with a long name {number}" for number in range(30))]
    nodes = [Node(name, "repeater", x=0.001 * number, y=0) for number, name in enumerate(names)]  # type: ignore[arg-type]
    ax = plots.network(Topology("star", nodes, [Link((names[0], leaf), 1.0) for leaf in names[1:]]), plots.figure(4, 4))
    named = {text.get_text() for text in ax.texts}
    assert names[0] in named
    assert not named >= set(names)


def test_a_map_of_the_same_network_is_the_same_picture(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for name in ("a.png", "b.png"):
        plots.save(plots.network(load_topology("beijing_qman")), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
