"""The run that is shown: which it is, and what its links and nodes did in the course of time."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import qkdrmp
from qkdrmp import Link, Node, Scenario, Topology
from qkdrmp.errors import QKDRMPError
from qkdrmp.family.story import BINS, served_by
from qkdrmp.ladder.diagram import ARROW_COLUMNS, NOTE_COLUMNS
from qkdrmp.ladder.layout import LadderLayout
from qkdrmp.qkd.presentation.story import binned, refusals
from qkdrmp.report.ladders import MOST_LADDERS, SCALE, chosen, drawing, ladders
from qkdrmp.report.replay import MOST_CHOSEN, MOST_RUNS, choose, story_of
from qkdrmp.scenario_file import make_scenario
from qkdrmp.verdicts.design import made, value_of
from tests.report.experiments import POOLS, experiment, keys, pairs


def steps(*changes: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(changes, columns=["time_s", "level"])


def test_a_level_is_binned_by_time() -> None:
    # Bins of 1 s: in the first 10 for 0.25 s, then 30; in the third 30 for half of it, then 0 to the end.
    found = binned("A>B", steps((0, 10), (0.25, 30), (2.5, 0)), float(BINS))
    assert found.mean[:4] == pytest.approx([0.25 * 10 + 0.75 * 30, 30, 15, 0])
    assert found.low[:4].tolist() == [10, 30, 0, 0]
    assert found.high[:4].tolist() == [30, 30, 30, 0]
    assert len(found.mean) == BINS


def test_a_level_that_changes_at_the_edge_of_a_bin_or_twice_at_once_counts_from_there_on() -> None:
    found = binned("A>B", steps((0, 10), (1.0, 99), (1.0, 20), (BINS, 5)), float(BINS))
    assert found.mean[:2].tolist() == [10, 20]
    assert found.high.max() == 20
    assert found.low.min() == 10


def test_binned_levels_have_the_mean_of_the_table_of_pools() -> None:
    results = qkdrmp.simulate(
        qkdrmp.load_scenario("beijing_figure3").replace({"duration_s": 0.05}), seed=2, record=["levels"]
    )
    levels = results.levels[results.levels["end"] == "downstream"]
    for row in results.pools.itertuples():
        series = binned(row.stream, levels[levels["stream"] == row.stream], 0.05)
        assert series.mean.mean() == pytest.approx(row.level_mean, rel=1e-9)
        assert series.low.min() <= row.level_min


def test_nodes_serve_what_goes_by_way_of_them() -> None:
    done = pd.DataFrame({"time_s": [0.5, 1.0, 2.5], "path": ["A>R>B", "A>R>B", "R>B"]})
    served = served_by(["A", "R", "B", "X"], done, float(BINS))
    assert served["A"][:4].tolist() == [2, 2, 2, 2]
    assert served["R"][:4].tolist() == [2, 2, 3, 3]
    assert served["X"].max() == 0


def test_served_requests_of_repeaters_are_those_of_the_table_of_nodes() -> None:
    story = story_of(qkdrmp.load_scenario("beijing_figure3").replace({"duration_s": 0.05}), 3)
    nodes = story.results.nodes[story.results.nodes["kind"] == "repeater"]
    assert nodes["served"].sum() > 0
    assert {row.node: row.served for row in nodes.itertuples()} == {
        name: story.served[name][-1] for name in nodes["node"]
    }


def test_load_of_entanglement_links_is_that_of_the_table_of_links() -> None:
    story = story_of(qkdrmp.load_scenario("blocking").replace({"duration_s": 0.1}), 1)
    table = story.results.links.set_index("link")
    for link in story.links:
        row = table.loc["-".join(link.ends)]
        assert link.load.mean() == pytest.approx(row["allocated"] / row["trials"], abs=0.02)
    assert story.bottleneck is not None
    assert story.bottleneck.ends == ("R1", "R2")
    assert "The bottleneck is the link R1-R2: connections were given" in story.finding


def test_of_links_that_are_as_busy_the_bottleneck_is_good_for_the_fewest_pairs() -> None:
    story = story_of(qkdrmp.load_scenario("shared_link").replace({"duration_s": 0.04}), 1)
    links = story.results.links.set_index("link")
    assert (links.loc[["R1-R2", "A1-R1", "R2-B2"], "allocated"] > 0.9 * links.loc["R1-R2", "trials"]).all()
    assert story.bottleneck is not None
    assert story.bottleneck.ends == ("R1", "R2")
    shared = links.loc["R1-R2"]
    each = shared["success_probability"] * shared["allocated"] / 2
    assert f"good for {each:,.0f} pairs of each of its 2 connections, the fewest of the 5 links" in story.finding


def test_of_a_link_with_one_connection_that_one_is_named() -> None:
    story = story_of(qkdrmp.load_scenario("chain").replace({"duration_s": 0.04}), 1)
    row = story.results.links.set_index("link").loc["-".join(story.bottleneck.ends if story.bottleneck else ())]
    each = row["success_probability"] * row["allocated"]
    assert f"good for {each:,.0f} pairs of its one connection, the fewest of the 4 links" in story.finding


def test_the_story_is_of_the_run_that_simulate_gives() -> None:
    scenario = qkdrmp.load_scenario("blocking").replace({"duration_s": 0.06})
    results = story_of(scenario, 5).results
    pd.testing.assert_series_equal(results.summary, qkdrmp.simulate(scenario, seed=5).summary)


def short_of_keys(rate_bps: float) -> Scenario:
    nodes = [Node("A", "end"), Node("R1", "repeater"), Node("R2", "repeater"), Node("B", "end")]  # type: ignore[arg-type]
    links = [Link(("A", "R1"), 1.0), Link(("R1", "R2"), 1.0), Link(("R2", "B"), 1.0)]
    raw = {"topology": Topology("row", nodes, links), "duration_s": 0.05, "pools": {"capacity": 40}}
    return make_scenario({**raw, "key_rate": {"model": "constant", "rate_bps": rate_bps}})


def test_the_bottleneck_is_the_pool_that_is_longest_out_of_service() -> None:
    story = story_of(short_of_keys(1e5), 1)
    pools = story.results.pools
    out = (pools["interrupted_s"] + pools["stuck_s"]) / 0.05
    worst = pools.loc[out.idxmax()]
    assert f"The bottleneck is the key pool {worst['stream']}: interrupted for" in story.finding
    assert story.bottleneck is not None
    assert set(story.bottleneck.ends) == {worst["upstream"], worst["downstream"]}


def test_pools_that_are_hardly_ever_short_are_no_bottleneck() -> None:
    assert "The bottleneck" not in story_of(short_of_keys(1e9), 1).finding


def test_a_run_of_each_cell_of_the_longest_duration_is_shown_and_the_last_cell_first() -> None:
    done = keys()
    shown = choose(done)
    assert [one.scenario.pools.capacity for one in shown] == [40, 20, 30]  # type: ignore[attr-defined]
    assert {one.scenario.duration_s for one in shown} == {0.03}
    runs = done.runs
    (row,) = runs[(runs[POOLS] == 40) & (runs["duration_s"] == 0.03) & (runs["replication"] == 0)].to_dict("records")
    assert shown[0].seed == row["seed"]
    again = qkdrmp.simulate(shown[0].scenario, shown[0].seed).summary
    assert again["requests_delivered"] == row["requests_delivered"]


@pytest.mark.parametrize(
    ("cells", "replications", "found"),
    [
        ({POOLS: 20}, (), [(20, 0.03, 0)]),
        ({POOLS: "20"}, (1,), [(20, 0.03, 1)]),
        ({POOLS: [30, 20], "duration_s": 0.02}, (), [(20, 0.02, 0), (30, 0.02, 0)]),
        ({POOLS: 40.0}, (1, 0), [(40, 0.03, 0), (40, 0.03, 1)]),
        ({}, (1,), [(20, 0.03, 1), (30, 0.03, 1), (40, 0.03, 1)]),
    ],
)
def test_any_cell_and_replication_can_be_chosen(
    cells: dict[str, object], replications: tuple[int, ...], found: list[tuple[int, float, int]]
) -> None:
    done = keys()
    seeds = done.runs.set_index([POOLS, "duration_s", "replication"])["seed"]
    shown = choose(done, cells, replications)
    assert (
        [(one.scenario.pools.capacity, one.scenario.duration_s, one.seed) for one in shown]
        == [  # type: ignore[attr-defined]
            (*which[:2], seeds[which]) for which in found
        ]
    )
    assert shown[0].words == f"key pool capacity = {found[0][0]} keys, simulated time = {found[0][1]} s; " + (
        f"replication {found[0][2]}, seed {shown[0].seed}"
    )


@pytest.mark.parametrize(
    ("cells", "replications", "sentence"),
    [
        ({"pools.capacit": 20}, (), "cells: unknown field 'pools.capacit' (did you mean 'pools.capacity'?); known are"),
        ({POOLS: 25}, (), "cells: pools.capacity = 25 must be one of 20, 30, 40"),
        ({}, (7,), "replications = 7 must be one of 0, 1"),
    ],
)
def test_what_was_not_swept_cannot_be_chosen(
    cells: dict[str, object], replications: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(QKDRMPError) as caught:
        choose(keys(), cells, replications)
    assert str(caught.value).startswith(sentence)


def test_of_many_cells_some_are_shown_evenly_and_of_many_chosen_runs_the_first() -> None:
    done = keys()
    many = pd.concat([done.runs.assign(**{POOLS: capacity}) for capacity in range(20, 80)], ignore_index=True)
    shown = choose(replace(done, runs=many))
    found = sorted(one.scenario.pools.capacity for one in shown)  # type: ignore[attr-defined]
    assert (len(found), found[0], found[-1]) == (MOST_RUNS, 20, 79)
    assert len(choose(replace(done, runs=many), {}, [0])) == MOST_CHOSEN


def test_where_a_run_takes_long_few_are_shown() -> None:
    done = keys()
    assert len(choose(replace(done, timings=pd.DataFrame({"wall_s": [1e3]})))) == 1


def test_failed_runs_are_not_shown() -> None:
    done = keys()
    done.runs.loc[done.runs[POOLS] == 40, "failed"] = True
    assert choose(done)[0].scenario.pools.capacity == 30  # type: ignore[attr-defined]


def mine(waiting: list[object], now: int) -> list[object]:
    return waiting


def test_values_that_the_table_only_names_come_from_the_sweep_section() -> None:
    over = {"queue.policy": ["fcfs", mine], "pools.capacity": [20, 40]}
    scenario = qkdrmp.load_scenario("beijing_figure3").replace({"sweep": {"over": over, "replications": 1}})
    found = made(scenario, {"queue.policy": "mine", "pools.capacity": np.int64(40)})
    assert (found.queue.policy, found.pools.capacity) == (mine, 40)  # type: ignore[attr-defined]


def test_a_policy_of_ones_own_is_replaced_by_the_scenario_as_it_is() -> None:
    scenario = qkdrmp.load_scenario("beijing_figure3").replace({"duration_s": 0.01})
    done = experiment(scenario, {"queue.policy": ["fcfs", mine]}, 1)
    (shown,) = choose(replace(done, runs=done.runs[done.runs["queue.policy"] == "mine"]))
    assert "without the sweep" in shown.words


@pytest.mark.parametrize(
    ("value", "plain"), [(np.float64(40), 40), (np.int64(3), 3), (np.nan, None), ("fcfs", "fcfs"), (0.5, 0.5)]
)
def test_values_of_a_table_become_values_of_a_scenario(value: object, plain: object) -> None:
    assert value_of(value) == plain
    assert type(value_of(value)) is type(plain)


def test_chosen_ladders_have_the_first_the_slowest_and_each_reason() -> None:
    rows = [(1, "delivered", None, 1.0), (2, "rejected", "busy", 9.0), (3, "delivered", None, 5.0)]
    rows += [(4, "rejected", "busy", 1.0), (5, "unfinished", None, np.nan)]
    table = pd.DataFrame(rows, columns=["id", "state", "reason", "end_s"]).assign(start_s=0.0, src="A", dst="B")
    found = chosen(table, "start_s", "end_s")
    assert list(found) == [1, 3, 2, 5, 4]
    assert list(found.values())[:4] == [
        "the first delivered",
        "the slowest delivered",
        "the first rejected, busy",
        "the first unfinished",
    ]


def test_there_are_not_too_many_ladders() -> None:
    table = pd.DataFrame({"id": range(1000), "state": "delivered", "reason": None, "start_s": 0.0, "end_s": 1.0})
    assert len(chosen(table.assign(src="A", dst="B"), "start_s", "end_s")) == MOST_LADDERS


def test_ladders_are_laid_out_in_the_order_of_time() -> None:
    shown = choose(pairs())[0]
    results = story_of(shown.scenario, shown.seed).results
    (first, *_) = ladders(results)
    heights = [[down for _, down in arrow["path"]] for arrow in first["arrows"]]
    assert [start for start, *_ in heights] == sorted(start for start, *_ in heights)
    assert all(downs == sorted(downs) for downs in heights)
    assert max(downs[-1] for downs in heights) <= first["height"]
    assert {kind for arrow in first["arrows"] for kind in arrow["kinds"]} <= set(first["colours"])


def layout_of(*rows: tuple[object, ...], notes: tuple[tuple[float, str, str], ...] = ()) -> LadderLayout:
    messages = pd.DataFrame(list(rows), columns=ARROW_COLUMNS)
    return LadderLayout.of("title", ("A", "B", "C"), messages, pd.DataFrame(list(notes), columns=NOTE_COLUMNS))


def test_the_page_has_every_arrow_with_its_label_in_pixels() -> None:
    layout = layout_of(("A", "B", "X", 0.0, 1.0, "1"), ("B", "C", "Y", 1.0, np.nan, ""), notes=((1.0, "B,C", "armed"),))
    drawn = drawing(layout)
    assert drawn["nodes"] == [["A", 0], ["B", SCALE.column], ["C", 2 * SCALE.column]]
    assert [arrow["path"][0] for arrow in drawn["arrows"]] == [[0, 0], [SCALE.column, drawn["height"] / 2]]
    assert [(arrow["kinds"], arrow["lost"]) for arrow in drawn["arrows"]] == [(("X",), False), (("Y",), True)]
    assert [arrow["label"][0] for arrow in drawn["arrows"]] == ["X 1", "Y"]
    assert drawn["notes"] == [
        {"columns": [SCALE.column, 2 * SCALE.column], "down": drawn["height"] / 2, "text": "B, C: armed"}
    ]


def test_the_page_says_which_of_very_many_messages_it_shows() -> None:
    drawn = drawing(layout_of(*(("A", "B", "X", float(number), number + 1.0, "") for number in range(1000))))
    assert drawn["title"] == "title (the first 100 and the last 100 of 1,000 messages)"
    assert len(drawn["arrows"]) == 200


def test_the_two_meanings_of_a_refusal_are_told_apart() -> None:
    rows = [
        ("Alice", "Bob", "refused", "A>R1>Carol", "Carol"),  # led into Carol, who does not relay
        ("Alice", "Bob", "refused", "Alice>R1>R2>Bob", "R1"),  # wanted more keys than the pool of R1 can give
        ("Alice", "Bob", "refused", "Alice>R1>Carol", "R1"),  # before it came to Carol
        ("Alice", "Bob", "expired", "Alice>R1>R2>Bob", "R1"),
        ("Alice", "Bob", None, "Alice>R1>R2>Bob", None),
    ]
    table = pd.DataFrame(rows, columns=["src", "dst", "reason", "path", "rejected_by"])
    assert list(refusals(table)) == [
        "Of the 5 requests of this run, 2 wanted more keys than a pool on the way could ever give (refused by R1) and "
        "1 had a path that leads into a user, who does not relay (refused by Carol)."
    ]
    assert list(refusals(table[3:])) == []
