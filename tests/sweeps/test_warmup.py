import math
import re
import warnings
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdrmp import QKDRMPError, Scenario, load_scenario
from qkdrmp.family import FAMILIES, RunWarning
from qkdrmp.kernel.randomness import replication_seed
from qkdrmp.scenario_file import make_scenario
from qkdrmp.simulation import run_once, simulate
from qkdrmp.stats.time_bins import mean_of_steps, number_in_progress
from qkdrmp.sweeps.warmup import WarmUp, suggest_warmup


def filling(**changes: Any) -> Scenario:
    """Pools that are empty at first and serve nobody until they are full, after some time."""
    sizes = {"pools.interrupt_share": 0.25, "pools.recover_share": 1.0}
    return load_scenario("line").replace({"duration_s": 20.0, "demand.rate_per_s": 5.0, **sizes, **changes})


@pytest.fixture(scope="module")
def found() -> WarmUp:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RunWarning)
        return suggest_warmup(filling(), replications=3)


# What the runs show


def test_the_mean_of_steps_by_hand() -> None:
    # 0 until 0.5, 2 until 1.5, 3 until 2.25, then 0; the jumps come in any order
    means = mean_of_steps([1.5, 0.5, 2.25], [1, 2, -3], np.array([0.0, 1, 2, 3, 4]))
    assert means == pytest.approx([1.0, 2.5, 0.75, 0.0], abs=1e-12)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(-5, 5)), max_size=20), st.integers(1, 7))
def test_the_means_of_steps_are_those_of_a_fine_grid(jumps: list[tuple[float, int]], bins: int) -> None:
    times, sizes = (np.array([jump[end] for jump in jumps]) for end in (0, 1))
    edges = np.linspace(0, 10, bins + 1)
    expected = [
        sum(size * min(1.0, max(0.0, end - time) / (end - start)) for time, size in jumps)
        for start, end in pairwise(edges)
    ]
    assert mean_of_steps(times, sizes, edges) == pytest.approx(expected, abs=1e-9)


def test_the_number_in_progress_by_hand() -> None:
    begin, end = pd.Series([0.0, 0.5, 1.0, math.nan]), pd.Series([1.0, math.nan, 1.5, 1.75])
    assert number_in_progress(begin, end, np.array([0.0, 1, 2])) == pytest.approx([1.5, 1.5])


def test_what_is_shown_adds_up_to_what_the_run_says() -> None:
    scenario = filling(duration_s=5.0, warmup_s=0.0)
    run = run_once(scenario, 3, ["levels"])
    edges = np.linspace(0, 5, 51)
    shown = {one.name: one.measure(run, edges) for one in FAMILIES["qkd"].settling}
    assert shown["pool_level_mean"].mean() == pytest.approx(run.summary["pool_level_mean"])
    assert shown["request_rate_hz"].mean() * 5 == pytest.approx(run.summary["requests_delivered"])
    waits = np.nansum(shown["wait_mean_s"] * shown["request_rate_hz"] * 0.1)
    assert waits == pytest.approx(run.summary["wait_mean_s"] * run.summary["requests_delivered"])
    lasted = run.requests["end_s"].fillna(5.0) - run.requests["start_s"]
    assert shown["requests_in_progress"].mean() * 5 == pytest.approx(lasted.sum())


def test_pairs_and_connections_add_up_too() -> None:
    scenario = load_scenario("blocking").replace({"duration_s": 0.1, "warmup_s": 0.0})
    run = simulate(scenario, 3, record=["pairs"])
    edges = np.linspace(0, 0.1, 51)
    shown = {one.name: one.measure(run, edges) for one in FAMILIES["entanglement"].settling}
    assert shown["pair_rate_hz"].mean() * 0.1 == pytest.approx(run.summary["pairs_delivered"])
    active = run.connections[run.connections["active_s"].notna()]
    lasted = active["done_s"].fillna(0.1) - active["active_s"]
    assert shown["connections_active"].mean() * 0.1 == pytest.approx(lasted.sum())


# What is found


def test_empty_pools_take_their_time_to_fill(found: WarmUp) -> None:
    # 20 kbit/s of 256 bits are 39 keys a second on each link, for its two pools of 8: 0.4 s without demand.
    cuts = found.quantities.set_index("quantity")["truncation_s"]
    assert not found.too_short
    assert 0.4 <= cuts["pool_level_mean"] <= 1.5
    assert found.suggested_s == cuts.max()
    assert list(found.quantities["quantity"]) == [one.name for one in FAMILIES["qkd"].settling]


def test_full_pools_need_no_warm_up() -> None:
    full = suggest_warmup(filling(**{"pools.initial": 8}), replications=3)
    assert full.quantities.set_index("quantity").loc["pool_level_mean", "truncation_s"] <= 0.5
    assert full.series["pool_level_mean"].min() > 0.5


def test_the_series_is_the_mean_over_the_replications_without_a_warm_up(found: WarmUp) -> None:
    assert list(found.series.columns) == ["time_s", *(one.name for one in FAMILIES["qkd"].settling)]
    assert len(found.series) == 200
    assert list(found.series["time_s"][:2]) == pytest.approx([0.05, 0.15])
    assert found.series["pool_level_mean"][0] < 0.3 < 0.8 < found.series["pool_level_mean"].iloc[-1]
    cold = filling(warmup_s=0)
    delivered = [run_once(cold, replication_seed(1, number)).summary["requests_delivered"] for number in range(3)]
    assert found.series["request_rate_hz"].mean() * 20 == pytest.approx(np.mean(delivered))


def test_the_present_warm_up_and_the_seed_decide_nothing_and_everything(found: WarmUp) -> None:
    again = suggest_warmup(filling(warmup_s=0.0), replications=3)
    pd.testing.assert_frame_equal(again.series, found.series)
    assert (found.present_s, again.present_s) == (1.0, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)
        other = suggest_warmup(filling(), seed=2, replications=3)
    assert not other.series.equals(found.series)


def test_a_run_that_never_settles_is_too_short_and_says_so() -> None:
    # Pools that would take 26 s to fill, with nearly no demand
    slow = filling(**{"key_rate.rate_bps": 160, "demand.rate_per_s": 0.01})
    with pytest.warns(
        RunWarning, match=r"^line: 2 runs of 20 s are too short to find a warm-up: make duration_s longe"
    ):
        found = suggest_warmup(slow, replications=2)
    row = found.quantities.set_index("quantity").loc["pool_level_mean"]
    assert (row["truncation_s"], row["too_short"]) == (10.0, True)
    assert row["verdict"] == "had not settled in the first half, after 10 s"
    waits = found.quantities.set_index("quantity").loc["wait_mean_s"] if "wait_mean_s" in found.series else None
    assert waits is None or "intervals, and 50 are needed" in waits["verdict"]
    assert found.too_short


def test_the_sentences_say_what_to_write_and_whether_it_is_written(found: WarmUp) -> None:
    cold = suggest_warmup(filling(warmup_s=0.0), replications=3)
    first, *others = cold.sentences()
    suggested = f"line: warmup_s = {cold.suggested_s:g} or more is suggested by 3 runs of 20 s; the 0 s that it has"
    assert first == f"{suggested} is too little"
    assert [line.partition(": ")[0] for line in others] == [one.name for one in FAMILIES["qkd"].settling]
    assert all("settled" in line for line in others)
    assert replace(found, present_s=found.suggested_s).sentences()[0].endswith("s that it has is enough")


def test_full_pools_of_the_published_experiment_change_a_level_and_nothing_that_users_get() -> None:
    scenario = load_scenario("beijing_figure3").replace({"pools.capacity": 80})
    found = suggest_warmup(scenario, replications=3)
    quantities = found.quantities.set_index("quantity")
    assert quantities["matters"].to_dict() == {name: name == "pool_level_mean" for name in quantities.index}
    # Requests in progress are cut for longer, by chance: that decides nothing.
    assert found.suggested_s == quantities.loc["pool_level_mean", "truncation_s"] < quantities["truncation_s"].max()
    assert found.sentences()[0] == (
        "beijing_figure3: what users get needs no longer warm-up; the state of the network settles after 0.135 s in "
        "3 runs of 0.6 s, and what comes before changes the mean of pool_level_mean by 4 %"
    )


def test_what_empty_pools_change_matters_and_what_chance_changes_does_not() -> None:
    cold = suggest_warmup(filling(warmup_s=0.0, duration_s=5.0), replications=5).quantities.set_index("quantity")
    assert cold.loc["pool_level_mean", "matters"]
    assert cold.loc["pool_level_mean", "bias"] < -0.02  # lower with the time of filling
    late = suggest_warmup(filling(warmup_s=2.0), replications=5)
    assert late.is_enough
    assert not late.quantities["matters"].any()


def test_a_warm_up_that_is_long_enough_is_seldom_called_too_little() -> None:
    # The pools of this scenario have filled after 0.4 s; what MSER-5 cuts beyond the 1 s that it has is chance.
    scenario = filling(duration_s=10.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)
        judged = [suggest_warmup(scenario, seed=seed, replications=3, bins=100) for seed in range(20)]
    assert sum(not one.is_enough for one in judged) <= 4
    assert sum(one.too_short for one in judged) <= 2


def test_demand_that_ends_has_no_steady_state_and_gets_no_advice() -> None:
    for name in ("chain", "busy_repeater", "two_networks", "shared_link"):
        with warnings.catch_warnings():
            warnings.simplefilter("error", RunWarning)
            found = suggest_warmup(load_scenario(name), replications=2)
        assert found.sentences() == [f"{name}: no warm-up to leave out: the demand is a list, without a steady state"]
        assert (found.is_enough, found.too_short, found.suggested_s) == (True, False, 0.0)
    assert FAMILIES["entanglement"].has_steady_state(load_scenario("multiplexing"))
    assert FAMILIES["entanglement"].has_steady_state(load_scenario("blocking"))
    listed = {"model": "list", "requests": [{"start_s": 0.1, "src": "Alice", "dst": "Bob"}]}
    assert not FAMILIES["qkd"].has_steady_state(load_scenario("line").replace({"demand": listed}))


@pytest.mark.parametrize("suggested_s", [3 * 0.1, 1 / 3, 1025.0, 0.1 + 0.2 - 1e-9])
def test_the_suggestion_as_it_is_printed_is_enough(found: WarmUp, suggested_s: float) -> None:
    found = replace(found, quantities=found.quantities.assign(matters=True))
    suggestion = replace(found, suggested_s=suggested_s).sentences()[0]
    printed = float(re.search(r"warmup_s = (\S+) or more", suggestion)[1])  # type: ignore[index]
    assert replace(found, suggested_s=suggested_s, present_s=printed).is_as_long
    assert not replace(found, suggested_s=suggested_s, present_s=0.999 * printed).is_as_long


def test_networks_without_pools_have_no_level() -> None:
    bare = {"topology": "line", "duration_s": 2.0, "access": {"mode": "per-request"}}
    scenario = make_scenario({**bare, "demand": {"model": "poisson", "rate_per_s": 100}})
    assert "pool_level_mean" not in suggest_warmup(scenario, replications=1).series


def test_connections_have_a_warm_up_too() -> None:
    found = suggest_warmup(load_scenario("blocking"), replications=8)  # about 50 connections in each
    assert list(found.series.columns) == ["time_s", "connections_active", "pair_rate_hz"]
    assert 0 < found.suggested_s <= 0.1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"bins": 49}, "bins = 49 must be at least 50"), ({"replications": 0}, "replications = 0 must be at least 1")],
)
def test_too_little_to_find_a_warm_up_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(QKDRMPError, match=words):
        suggest_warmup(filling(), **wrong)
