import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import qkdrmp
from qkdrmp import Link, Node, Topology, load_scenario, load_topology, plots, simulate, sweep
from qkdrmp.statistics import half_width

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def table(**columns: list[Any]) -> pd.DataFrame:
    """Return runs over all combinations of `columns`, three each; a dot in a name is written __."""
    index = pd.MultiIndex.from_product(
        [*columns.values(), range(3)], names=[*(name.replace("__", ".") for name in columns), "replication"]
    )
    runs = index.to_frame(index=False)
    luck = np.random.default_rng(1)
    runs["seed"] = 1
    runs["requests_delivered"] = luck.integers(50, 60, len(runs))
    runs["wait_mean_s"] = luck.random(len(runs)) / 1000
    return runs


def names_of(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def saved_size(ax: Axes, folder: Path) -> int:
    path = folder / "figure.png"
    ax.figure.savefig(path)
    return path.stat().st_size


@pytest.mark.parametrize(
    ("draw", "label"), [(plots.throughput, "requests processed"), (plots.wait, "mean waiting time (ms)")]
)
@pytest.mark.parametrize(
    ("columns", "x", "lines"),
    [
        ({"pools__capacity": [2, 4, 8], "duration_s": [1.0]}, "key pool capacity $V_m$ (keys)", 1),
        ({"pools__capacity": [2, 4, 8], "duration_s": [0.1, 0.6]}, "key pool capacity $V_m$ (keys)", 2),
        ({"duration_s": [0.1, 0.6], "queue__policy": ["fcfs", "mine"]}, "simulated time (s)", 2),
        ({"queue__capacity": [1, 2], "pools__capacity": [2, 4], "duration_s": [1.0, 2.0]}, "queue capacity (req", 4),
        ({"queue__policy": ["fcfs", "mine"], "pools__capacity": [2, 4]}, "queue policy", 2),
        ({"duration_s": [1.0]}, "simulated time (s)", 1),
        ({"pools__interrupt": [None, 1, 2], "duration_s": [1.0, 2.0]}, "interrupt threshold $V_i$ (keys)", 2),
        ({"routing__through_end_nodes": [False, True], "duration_s": [1.0]}, "routing.through_end_nodes", 1),
        ({"pools__capacity": [1, 2], "queue__capacity": list(range(12))}, "key pool capacity", 12),
    ],
)
def test_curves_have_labels_with_units_and_a_legend_entry_a_line(
    draw: Any, label: str, columns: dict[str, list[Any]], x: str, lines: int, tmp_path: Path
) -> None:
    ax = draw(table(**columns))
    assert ax.get_xlabel().startswith(x)
    assert ax.get_ylabel() == label
    assert len(names_of(ax)) == (lines if lines > 1 else 0)
    assert len(set(names_of(ax))) == len(names_of(ax))
    assert saved_size(ax, tmp_path) > 5000


def test_the_line_is_the_mean_and_the_band_its_interval() -> None:
    runs = table(pools__capacity=[2, 4, 8])
    ax = plots.wait(runs)
    cells = 1000 * runs.set_index("pools.capacity")["wait_mean_s"]
    assert list(ax.lines[0].get_xdata()) == [2, 4, 8]
    assert list(ax.lines[0].get_ydata()) == pytest.approx([cells[value].mean() for value in (2, 4, 8)])
    ends = ax.collections[0].get_paths()[0].vertices
    for value in (2, 4, 8):
        at = ends[ends[:, 0] == value][:, 1]
        mean, half = cells[value].mean(), half_width(cells[value])
        assert (at.min(), at.max()) == pytest.approx((mean - half, mean + half))


def test_no_value_is_left_out_of_a_figure() -> None:
    ax = plots.throughput(table(pools__interrupt=[None, 1, 2]))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["none", "1", "2"]
    assert names_of(plots.throughput(table(pools__capacity=[4, 8], pools__interrupt=[1, None]))) == ["none", "1"]


def test_names_are_drawn_as_points_in_the_order_of_the_sweep() -> None:
    ax = plots.throughput(table(queue__policy=["mine", "fcfs", "another"]))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["mine", "fcfs", "another"]
    assert ax.containers[0].lines[0].get_linestyle() == "None"


def test_the_legend_is_in_the_order_of_the_lines_on_the_page() -> None:
    runs = table(pools__capacity=[4, 8], duration_s=[0.1, 0.5, 0.6])
    ax = plots.throughput(runs)
    assert names_of(ax) == ["0.6", "0.5", "0.1"]
    assert ax.get_legend().get_title().get_text() == "simulated time (s)"


def test_figures_go_where_they_are_told() -> None:
    _, (left, right) = plt.subplots(1, 2)
    runs = table(pools__capacity=[2, 4])
    assert plots.throughput(runs, left) is left
    assert plots.curve(runs, "wait_mean_s", right, scale=1e6) is right
    assert right.get_ylabel() == "mean waiting time (s)"


def test_a_figure_that_nobody_was_served_in() -> None:
    runs = table(pools__capacity=[2, 4]).assign(requests_delivered=0, wait_mean_s=math.nan)
    assert plots.throughput(runs).get_ylim()[0] <= 0
    assert plots.wait(runs).get_ylabel() == "mean waiting time (ms)"


def test_a_real_sweep_can_be_drawn(tmp_path: Path) -> None:
    scenario = load_scenario("line").replace({"duration_s": 0.3, "warmup_s": 0})
    runs = sweep(scenario, replications=2, progress=False)
    for draw in (plots.throughput, plots.wait):
        assert saved_size(draw(runs), tmp_path) > 5000


# Maps

NO_PLACES = Topology(
    "small",
    [Node("A", "end"), Node("R", "repeater"), Node("B", "end"), Node("X", "passive"), Node("Q", "router")],  # type: ignore[arg-type]
    [Link(("A", "R"), 1.0), Link(("R", "B"), 20.0)],
)
ONE = Topology("one", [Node("R", "repeater")], [])  # type: ignore[arg-type]


def overlapping_names(ax: Axes) -> list[tuple[str, str]]:
    ax.figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in ax.texts]
    return [(a, b) for i, (a, box) in enumerate(boxes) for b, other in boxes[i + 1 :] if box.overlaps(other)]


@pytest.mark.parametrize("topology", [load_topology("beijing_qman"), load_topology("line"), NO_PLACES, ONE], ids=str)
def test_a_map_names_every_node_once_and_apart(topology: Topology, tmp_path: Path) -> None:
    ax = plots.network(topology)
    assert [text.get_text() for text in ax.texts] == list(topology.nodes)
    assert overlapping_names(ax) == []
    assert saved_size(ax, tmp_path) > 3000


def test_a_map_with_places_has_degrees_and_one_without_has_no_axes() -> None:
    ax = plots.network(load_topology("line"))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("longitude (degrees east)", "latitude (degrees north)")
    assert names_of(ax) == ["repeater", "user"]
    assert not plots.network(NO_PLACES).axison


@pytest.mark.parametrize("name", ["line", "beijing_figure3"])
def test_the_legend_of_a_map_covers_no_node(name: str) -> None:
    scenario = load_scenario(name)
    results = simulate(scenario.replace({"duration_s": 0.05, "warmup_s": 0}))
    ax = plots.load(results.nodes, scenario.topology)
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    places = ax.transData.transform(list(plots.positions(scenario.topology).values()))
    assert not any(legend.contains(x, y) for x, y in places)
    assert overlapping_names(ax) == []


def test_a_load_map_has_a_bar_for_its_colours() -> None:
    scenario = load_scenario("line").replace({"duration_s": 0.5, "warmup_s": 0})
    ax = plots.load(simulate(scenario).nodes, scenario.topology)
    assert [other.get_ylabel() for other in ax.figure.axes if other is not ax] == ["requests served as relay"]


def test_the_means_of_several_runs_can_be_drawn() -> None:
    scenario = load_scenario("line").replace({"duration_s": 0.5, "warmup_s": 0})
    tables = [simulate(scenario, seed).nodes for seed in (1, 2)]
    mean = pd.concat(tables).groupby("node", as_index=False)["served"].mean()
    assert plots.load(mean, scenario.topology).texts


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("a", b"\x89PNG")]
)
def test_a_figure_is_saved_and_closed(name: str, start: bytes, tmp_path: Path) -> None:
    plots.save(plots.wait(table(pools__capacity=[2, 4])), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)
    assert plt.get_fignums() == []


def test_a_figure_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(qkdrmp.QKDRMPError, match=r"a\.pgn: cannot draw a 'pgn' file \(did you mean 'png'\?\): .*svg"):
        plots.save(plots.wait(table(pools__capacity=[2, 4])), tmp_path / "a.pgn")


def test_plots_are_loaded_when_first_wanted() -> None:
    assert qkdrmp.plots is plots
    with pytest.raises(AttributeError, match="no attribute 'plot'"):
        _ = qkdrmp.plot
