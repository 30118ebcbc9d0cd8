"""Bounds on deliverable keys: known values, and no run above them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

import qkdrmp
from qkdrmp.kernel.invariants import InvariantError
from qkdrmp.kernel.units import to_ticks
from qkdrmp.qkd.request import RequestStatus
from qkdrmp.qkd.run import QKDRun
from qkdrmp.qkd.theory.bounds import check_bound, key_bound
from qkdrmp.scenario import Scenario


def overloaded() -> Scenario:
    return qkdrmp.load_scenario("line").replace({"demand.rate_per_s": 100})


def test_little_demand_is_its_own_bound() -> None:
    bound = key_bound(qkdrmp.load_scenario("line"))
    assert bound.key_rate_bps == pytest.approx(2 * 15 * 512)
    assert bound.requests == pytest.approx(2 * 15 * 10)
    assert bound.binding == {}


def test_a_link_that_both_directions_share_bounds_much_demand() -> None:
    # Each link makes 20 kbit/s; after the warm-up its two pools may hold 8 keys each, and one more is being made.
    bound = key_bound(overloaded())
    assert bound.key_rate_bps == pytest.approx(20_000 + 2 * 9 * 256 / 10)
    assert set(bound.binding) <= {("Alice", "R"), ("R", "Bob")}
    assert bound.binding


def test_directions_with_devices_of_their_own_give_twice_as_much() -> None:
    bound = key_bound(overloaded().replace({"key_rate.per_direction": True}))
    assert bound.key_rate_bps == pytest.approx(40_000 + 2 * 9 * 256 / 10)


def test_without_a_warm_up_pools_have_what_they_begin_with() -> None:
    full = overloaded().replace({"warmup_s": 0, "duration_s": 10, "pools.initial": 4})
    assert key_bound(full).key_rate_bps == pytest.approx(20_000 + 2 * 4 * 256 / 10)


def test_users_who_ask_as_fast_as_they_get_are_bounded_by_links_alone() -> None:
    bound = key_bound(
        qkdrmp.load_scenario("line").replace({"demand": {"model": "closed-loop", "key_length_bits": 256}})
    )
    assert bound.asked_bps == math.inf
    assert bound.key_rate_bps == pytest.approx(20_000 + 2 * 9 * 256 / 10)


def test_sizes_that_differ_count_requests_by_the_smallest() -> None:
    at = [{"node": "Bob", "key_num": 4}]
    bound = key_bound(overloaded().replace({"demand.at": at}))
    assert bound.requests == pytest.approx(bound.key_rate_bps / 512 * 10)


@pytest.mark.parametrize("rate", [0.1, 0.3, 1.0])
def test_no_run_is_above_what_its_keys_allow(rate: float) -> None:
    scenario = qkdrmp.load_scenario("beijing").replace({"demand.rate_per_s": rate, "duration_s": 10, "warmup_s": 0})
    qkdrmp.simulate(scenario, check=True)


def test_a_run_that_delivers_more_than_its_keys_is_an_error() -> None:
    run = QKDRun(overloaded(), 1)  # type: ignore[arg-type]
    run.advance(to_ticks(11))
    check_bound(run.network)
    waiting = [entry for entry in run.network.ledger.entries if entry.state is not RequestStatus.DELIVERED]
    for entry in waiting[: len(waiting) // 2]:
        entry.state = RequestStatus.DELIVERED
    with pytest.raises(InvariantError, match=r"delivered .* bits"):
        check_bound(run.network)


def test_saturated_beijing_comes_near_its_bound_with_shortest_paths() -> None:
    scenario = qkdrmp.load_scenario("beijing").replace({"demand.rate_per_s": 0.25, "duration_s": 50})
    runs = qkdrmp.sweep(scenario, {"pools.capacity": [24]}, replications=3, executor=ThreadPoolExecutor(1))
    table = qkdrmp.law_table(runs, scenario).query("metric == 'key_rate_bps'")
    assert 0.85 < table["share"].iloc[0] <= 1.005
    assert "TR10-TR15" in table["because"].iloc[0]
