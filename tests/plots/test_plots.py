import math
from collections.abc import Iterator
from functools import cache
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
from qkdrmp.entanglement.results.tables import EntanglementResults
from qkdrmp.family import Results
from qkdrmp.plots.labels import name_and_unit
from qkdrmp.stats.estimators import half_width
from tests.report.experiments import HERE

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
    ("draw", "label"),
    [(plots.throughput, "requests processed"), (plots.wait, "mean waiting time of delivered requests (ms)")],
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
        ({"key_rate__per_direction": [False, True], "duration_s": [1.0]}, "key_rate.per_direction", 1),
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
        assert (at.min(), at.max()) == pytest.approx((max(mean - half, 0), mean + half))


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
    assert right.get_ylabel() == "mean waiting time of delivered requests (s)"


def test_a_figure_that_nobody_was_served_in() -> None:
    runs = table(pools__capacity=[2, 4]).assign(requests_delivered=0, wait_mean_s=math.nan)
    assert plots.throughput(runs).get_ylim()[0] <= 0
    assert plots.wait(runs).get_ylabel() == "mean waiting time of delivered requests (ms)"


def test_a_real_sweep_can_be_drawn(tmp_path: Path) -> None:
    scenario = load_scenario("line").replace({"duration_s": 0.3, "warmup_s": 0})
    runs = sweep(scenario, replications=2, executor=HERE, progress=False)
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
    assert [text.get_text() for text in ax.texts if text.get_text() in topology.nodes] == list(topology.nodes)
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


def test_a_kind_of_nodes_that_numbers_colour_has_no_colour_in_the_legend() -> None:
    topology = load_topology("line")

    def faces(ax: Axes) -> dict[str, Any]:
        return {handle.get_label(): handle.get_markerfacecolor() for handle in ax.get_legend().legend_handles}

    assert faces(plots.coloured(topology, nodes={"R": 1.0}, nodes_label="load"))["repeater"] == "white"
    assert "white" not in faces(plots.network(topology)).values()


def test_links_are_coloured_by_what_they_are_said_to_carry() -> None:
    scenario = load_scenario("line").replace({"duration_s": 0.5, "warmup_s": 0})
    used = {("R", "Alice"): 3.0}
    words = "keys used from the pools of the link"
    ax = plots.load(simulate(scenario).nodes, scenario.topology, links=used, links_label=words)
    ax.figure.canvas.draw()
    beside = [bar.yaxis.label.get_window_extent() for bar in ax.figure.axes if bar is not ax]
    assert all(0 <= text.y0 < text.y1 <= ax.figure.bbox.height for text in beside)  # none is cut off
    assert words in [other.get_ylabel().replace("\n", " ") for other in ax.figure.axes]
    first, second = ax.collections[0].get_colors()
    assert len({*first[:3]}) > 1  # a colour
    assert len({*second[:3]}) == 1  # grey


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
    with pytest.raises(
        qkdrmp.QKDRMPError, match=r"a\.pgn: figures have no format 'pgn' \(did you mean 'png'\?\); known are .*svg"
    ):
        plots.save(plots.wait(table(pools__capacity=[2, 4])), tmp_path / "a.pgn")


def test_plots_are_loaded_when_first_wanted() -> None:
    assert qkdrmp.plots is plots
    with pytest.raises(AttributeError, match="no attribute 'plot'"):
        _ = qkdrmp.plot


def test_a_theme_of_ones_own_survives(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    plots.save(plots.throughput(table(pools__capacity=[2, 4])), tmp_path / "a.png")
    plots.network(load_topology("line"))
    assert {name for name, value in mpl.rcParams.items() if value != before[name]} == set()
    with mpl.rc_context({"lines.linewidth": 7.0}):
        mine, ours = plt.subplots()[1], plots.figure()
        assert plots.throughput(table(pools__capacity=[2, 4]), mine).lines[0].get_linewidth() == 7
        assert plots.throughput(table(pools__capacity=[2, 4]), ours).lines[0].get_linewidth() < 2


def test_a_picture_is_the_same_whatever_the_theme(tmp_path: Path) -> None:
    runs = table(pools__capacity=[2, 4], duration_s=[1.0, 2.0])
    plots.save(plots.wait(runs), tmp_path / "a.png")
    with mpl.rc_context({"xtick.major.size": 20, "ytick.labelsize": 3, "legend.fontsize": 3, "axes.linewidth": 5}):
        plots.save(plots.wait(runs), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_values_over_orders_of_magnitude_have_a_logarithmic_axis() -> None:
    assert plots.throughput(table(memories__t2_s=[0.01, 0.1, 1.0])).get_xscale() == "log"
    assert plots.throughput(table(pools__capacity=[2, 4, 8])).get_xscale() == "linear"


def test_values_that_are_all_the_same_are_drawn_upon_an_axis_from_zero() -> None:
    runs = table(pools__capacity=[2, 4])
    assert plots.curve(runs.assign(wait_mean_s=440.0), "wait_mean_s").get_ylim() == (0, 660)


# Connections


@cache
def connected(name: str = "shared_link", **changes: Any) -> Results:
    changed = {path.replace("__", "."): value for path, value in changes.items()}
    return simulate(load_scenario(name).replace({"duration_s": 0.15, **changed}), record=["pairs"])


def lines_of(ax: Axes) -> list[Any]:
    """Return the lines of pairs, not those of the lanes beneath."""
    return [line for line in ax.lines if line.get_drawstyle() == "steps-post"]


def test_pairs_over_time_has_a_line_and_a_lane_for_each_connection(tmp_path: Path) -> None:
    results = connected()
    ax = plots.pairs_over_time(results)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ms)", "pairs delivered")
    table = results.connections.set_index("id")
    assert [line.get_ydata()[-1] for line in lines_of(ax)] == list(table["pairs"])
    assert [text.get_text() for text in ax.get_yticklabels()][-3:] == ["A", "B", "C"]
    assert names_of(ax) == ["asked", "installed", "links switched", "done or torn down"]
    times = results.pairs.loc[results.pairs["connection"] == "C", "time_s"]
    drawn = lines_of(ax)[2].get_xdata()
    assert list(drawn[1:-1]) == pytest.approx(sorted(1e3 * times))
    assert drawn[0] == pytest.approx(1e3 * table.loc["C", "active_s"])
    said = [text.get_text() for text in ax.texts]
    assert len(said) == 3
    assert all(text.startswith("set up in ") for text in said)
    assert saved_size(ax, tmp_path) > 5000


def test_the_moments_of_a_connection_are_marked_where_they_were() -> None:
    results = connected()
    row = results.connections.set_index("id").loc["C"]
    marked = [line.get_xdata()[0] for line in plots.pairs_over_time(results).lines if line.get_linestyle() == "None"]
    for column in ("asked_s", "installed_s", "active_s", "done_s"):
        assert 1e3 * row[column] in [pytest.approx(x) for x in marked]


def test_a_rejected_connection_has_a_lane_that_says_so() -> None:
    never = {"src": "Alice", "dst": "Bob", "pairs": 10, "minimum_fidelity": 0.999}
    changes = {"duration_s": 0.02, "setup.retries": 0, "demand.connections": [never]}
    results = simulate(load_scenario("chain").replace(changes), record=["pairs"])
    ax = plots.pairs_over_time(results)
    assert [text.get_text() for text in ax.texts] == ["rejected, infeasible"]
    assert "rejected or aborted" in names_of(ax)
    assert plots.fidelity_histogram(results).get_xlabel() == "fidelity at delivery"


def test_of_many_connections_there_are_only_the_lines() -> None:
    results = connected("blocking")
    ax = plots.pairs_over_time(results)
    assert ax.get_title(loc="left").endswith(f": {len(results.connections)} connections")
    assert len(lines_of(ax)) == (results.connections["pairs"] > 0).sum()
    assert ax.get_legend() is None
    assert names_of(plots.fidelity_histogram(results))[0].startswith("all (")


def test_nobody_asked_for_anything() -> None:
    results = connected("chain", demand__connections=())
    assert plots.pairs_over_time(results).get_ylim()[0] == 0
    assert plots.fidelity_histogram(results).get_ylabel() == "pairs"


def test_a_histogram_counts_every_pair_and_marks_what_is_estimated() -> None:
    results = connected()
    ax = plots.fidelity_histogram(results)
    counts = [patch.get_data().values.sum() for patch in ax.patches if patch.get_fill()]
    assert counts == [len(group) for _, group in results.pairs.groupby("connection", sort=False)]
    estimated = [line.get_xdata()[0] for line in ax.lines]
    expected = results.pairs.groupby("connection", sort=False)["estimated_fidelity"].mean()
    assert estimated == pytest.approx(list(expected))
    assert names_of(ax)[-1] == "mean the users estimate"
    assert ax.get_yscale() == "linear"


def test_a_few_pairs_with_wrong_partners_are_seen() -> None:
    results = connected()
    pairs = results.pairs.copy()
    pairs.loc[:1, "fidelity"] = 0.25
    wrong = EntanglementResults(results.scenario, 1, results.summary, {**results.tables, "pairs": pairs})
    ax = plots.fidelity_histogram(wrong)
    assert ax.get_yscale() == "log"
    assert ax.get_xlim()[0] < 0.25 < ax.get_xlim()[1]


def compared(**columns: list[Any]) -> pd.DataFrame:
    runs = table(**columns).drop(columns=["requests_delivered", "wait_mean_s"])
    luck = np.random.default_rng(2)
    count = len(runs)
    return runs.assign(
        pair_rate_hz=luck.normal(5000, 100, count),
        setup_mean_s=4e-4,
        blocking=luck.random(count) / 5,
        fidelity_mean=luck.normal(0.9, 0.01, count),
        wrong_partner=0,
    )


def test_policies_are_compared_side_by_side(tmp_path: Path) -> None:
    axes = plots.multiplexing(compared(allocation__policy=["circuit", "round-robin"]))
    labels = ["delivered pairs (1/s)", "mean setup time (µs)", "blocking (rejected share)", "mean fidelity of pairs"]
    assert [ax.get_ylabel() for ax in axes] == labels
    assert [text.get_text() for text in axes[0].get_xticklabels()] == ["circuit", "round-robin"]
    assert len({ax.figure for ax in axes}) == 1
    assert saved_size(axes[0], tmp_path) > 5000


def test_policies_are_compared_over_a_load() -> None:
    runs = compared(allocation__policy=["circuit", "round-robin"], demand__rate_per_s=[5, 10, 20])
    axes = plots.multiplexing(runs, ["blocking", "fidelity_mean", "wrong_partner", "unknown"])
    assert [ax.get_xlabel() for ax in axes] == ["requests of a pair of users (1/s)"] * 2
    assert [names_of(ax) for ax in axes] == [[], ["round-robin", "circuit"]]
    assert len(axes[0].lines) == 2


def test_two_values_are_no_scale_to_compare_over() -> None:
    runs = compared(demand__memories=[1, 2], allocation__policy=["circuit", "round-robin"])
    axes = plots.multiplexing(runs, ["blocking", "pair_rate_hz"])
    assert [text.get_text() for text in axes[0].get_xticklabels()] == ["circuit", "round-robin"]
    assert [names_of(ax) for ax in axes] == [[], ["2", "1"]]


def test_a_comparison_goes_where_it_is_told() -> None:
    runs = compared(allocation__policy=["circuit", "round-robin"])
    mine = list(plt.subplots(1, 3)[1])
    assert plots.multiplexing(runs, ["blocking", "pair_rate_hz"], mine) == mine[:2]
    with pytest.raises(qkdrmp.QKDRMPError, match="2 metrics need as many axes, not 1: blocking, pair_rate_hz"):
        plots.multiplexing(runs, ["blocking", "pair_rate_hz"], mine[:1])
    with pytest.raises(qkdrmp.QKDRMPError, match="the runs have none of wrong_partner, unknown"):
        plots.multiplexing(runs, ["wrong_partner", "unknown"])


@pytest.mark.parametrize(
    ("largest", "label"), [(2.0, "(s)"), (0.0009, "(µs)"), (0.0009996, "(ms)"), (0.0, "(s)"), (math.nan, "(s)")]
)
def test_times_have_a_unit_that_suits_them(largest: float, label: str) -> None:
    runs = table(pools__capacity=[2, 4]).assign(setup_mean_s=largest)
    assert plots.readable(runs, "setup_mean_s").get_ylabel() == f"mean setup time {label}"


def test_names_have_their_units_apart_and_no_symbols_in_sentences() -> None:
    assert name_and_unit("pools.capacity") == ("key pool capacity", "keys")
    assert name_and_unit("pair_rate_hz") == ("delivered pairs", "per s")  # as it stands behind a number
    assert name_and_unit("requests_delivered") == ("requests processed", "")
    assert plots.label("pools.capacity") == "key pool capacity $V_m$ (keys)"
    assert plots.label("my_own_bits") == "my own (bit)"


def shares(*values: float) -> pd.DataFrame:
    rows = [
        {"pools.capacity": capacity, "replication": number, "fidelity_mean": value + 1e-5 * number}
        for capacity, value in zip((2, 4, 8), values, strict=True)
        for number in range(2)
    ]
    return pd.DataFrame(rows)


def test_tiny_differences_do_not_fill_an_axis_which_says_that_it_does_not_begin_at_zero() -> None:
    ax = plots.curve(shares(0.9157, 0.9158, 0.9161), "fidelity_mean")
    ax.figure.canvas.draw()
    bottom, top = ax.get_ylim()
    assert bottom < 0.907 < 0.925 < top
    assert ax.yaxis.get_offset_text().get_text() == ""
    assert all(0.5 < float(text.get_text()) < 1.5 for text in ax.get_yticklabels())
    assert "axis does not begin at 0" in [text.get_text() for text in ax.texts]
    ax.set_ylim(0, 1)
    assert list(ax.texts) == []
    ax.set_ylim(0.8, 1)
    ax.set_ylim(0.7, 1)
    assert [text.get_text() for text in ax.texts] == ["axis does not begin at 0"]
    low = plots.curve(shares(0.1, 0.2, 0.9), "fidelity_mean")
    assert (low.get_ylim()[0], list(low.texts)) == (0.0, [])


def test_no_axis_of_a_users_own_has_an_offset() -> None:
    ax = plots.curve(shares(0.9157, 0.9158, 0.9161), "fidelity_mean", plt.figure().add_subplot())
    ax.set_ylim(0.91571, 0.91572)
    ax.figure.canvas.draw()
    assert ax.yaxis.get_offset_text().get_text() == ""
