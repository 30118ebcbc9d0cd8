"""The load of links and the filling of pools, known before a run, against hand and against runs."""

import pandas as pd
import pytest

import qkdrmp
from qkdrmp.qkd.filling import fill_times_s, late_filling
from qkdrmp.qkd.loads import link_loads, offered, overload, overloaded
from qkdrmp.qkd.prediction import known_beforehand, predict
from tests.qkd.helpers import ask, line, network_of, scenario

STAR = network_of(("Alice", "R", 1), ("R", "Bob", 2), ("R", "Carol", 2))
RATE = {"model": "constant", "rate_bps": 1000}


def poisson(**sections):
    demand = {"model": "poisson", "rate_per_s": 1.0, "key_num": 1, "key_length_bits": 100}
    return scenario(STAR, demand=demand, key_rate=RATE, access={"mode": "pool"}, duration_s=10.0, **sections)


def test_loads_by_hand() -> None:
    # Each link carries four of the six ordered pairs, 100 bit/s each, and makes 1000 bit/s.
    assert link_loads(poisson()) == {("Alice", "R"): 0.4, ("R", "Bob"): 0.4, ("R", "Carol"): 0.4}
    own_devices = poisson().replace({"key_rate.per_direction": True})
    assert set(link_loads(own_devices).values()) == {0.2}


def test_a_list_is_spread_over_the_duration() -> None:
    asked = [ask(keys=10, key_bits=100), ask(keys=20, key_bits=100, at_us=5e6), ask(keys=9, at_us=11e6)]
    listed = scenario(STAR, asked, key_rate=RATE, access={"mode": "pool"}, duration_s=10.0)
    assert offered(listed) == {("Alice", "Bob"): 300.0}
    assert link_loads(listed) == {("Alice", "R"): 0.3, ("R", "Bob"): 0.3}


def test_what_closed_loops_ask_for_depends_on_what_they_get() -> None:
    assert offered(qkdrmp.load_scenario("beijing_figure3")) == {}
    assert "Load" not in known_beforehand(qkdrmp.load_scenario("beijing_figure3"))


def test_an_overloaded_link_and_who_uses_it_are_named() -> None:
    slow = poisson().replace({"key_rate.at": [{"link": ["R", "Bob"], "rate_bps": 40}]})
    found = overload(slow)
    assert found.loads == {("R", "Bob"): 10.0}
    assert set(found.pairs) == {("Alice", "Bob"), ("Bob", "Alice"), ("Carol", "Bob"), ("Bob", "Carol")}
    (sentence,) = overloaded(slow)
    assert sentence.startswith("1 of 3 links is asked for more keys than can be made there, R-Bob for 10 times as many")
    assert "the requests of 4 of 6 pairs of users queue up" in sentence
    assert any("R-Bob for 10 times" in said for said in predict(slow))
    assert not [*overloaded(poisson())]


@pytest.mark.parametrize(("factor", "is_overloaded"), [(0.9, False), (1.3, True)])
def test_an_overload_is_what_a_run_cannot_deliver(factor: float, is_overloaded: bool) -> None:
    here = poisson().replace({"demand.rate_per_s": 2.5 * factor, "duration_s": 200.0, "pools.capacity": 100})
    assert bool(overload(here).loads) is is_overloaded
    summary = qkdrmp.simulate(here.replace({"queue.capacity": 10000}), seed=1).summary
    assert (summary["undelivered"] > 0.1) is is_overloaded


def test_keys_that_pools_have_at_first_are_no_overload() -> None:
    asked = [ask(keys=60, key_bits=100)]
    sections = {"key_rate": RATE, "access": {"mode": "pool"}, "duration_s": 5.0}
    empty = scenario(STAR, asked, pools={"capacity": 100, "key_length_bits": 100}, **sections)
    full = scenario(STAR, asked, pools={"capacity": 100, "key_length_bits": 100, "initial": 100}, **sections)
    assert set(overload(empty).loads) == {("Alice", "R"), ("R", "Bob")}
    assert not overload(full).loads
    assert qkdrmp.simulate(full).summary["requests_delivered"] == 1


@pytest.mark.parametrize("per_direction", [False, True])
@pytest.mark.parametrize("replenish", ["continuous", "demand", "threshold"])
def test_pools_serve_when_it_was_known_that_they_would(replenish: str, per_direction: bool) -> None:
    sizes = {"capacity": 40, "interrupt": 10, "recover": 30, "initial": 5}
    pools = {"key_length_bits": 100, "replenish": replenish, **sizes}
    rate = {**RATE, "per_direction": per_direction}
    here = scenario(line(1, 2), [ask(keys=1, key_bits=1)], pools=pools, key_rate=rate, access={"mode": "pool"})
    known = fill_times_s(here.replace({"duration_s": 20.0}))
    # 25 keys of 100 bits for each of two directions, at 1000 bit/s
    assert set(known.values()) == {2.5 if per_direction else 5.0}
    levels = qkdrmp.simulate(here.replace({"duration_s": 20.0}), record="levels").levels
    filled = levels[(levels["end"] == "downstream") & (levels["level"] >= 30)].groupby("stream")["time_s"].min()
    assert filled.max() == pytest.approx(max(known.values()), rel=0.05)


def test_full_pools_are_not_filled() -> None:
    full = qkdrmp.load_scenario("line").replace({"pools.initial_share": 1.0})
    assert set(fill_times_s(full).values()) == {0.0}
    assert "Filling" not in known_beforehand(full)
    assert full.pools.thresholds().initial == 8


def test_an_initial_share_is_of_the_capacity_where_it_holds() -> None:
    made = scenario(line(1, 2, 3), pools={"capacity": 10, "initial_share": 0.59})
    assert made.pools.thresholds().initial == 5
    assert made.replace({"pools.initial": 3}).pools.thresholds().initial == 3
    assert made.replace({"pools.capacity": 100}).pools.thresholds().initial == 59


def test_larger_empty_pools_wait_longer_which_is_known_before() -> None:
    base = qkdrmp.load_scenario("line").replace({"warmup_s": 0, "key_rate.rate_bps": 15500, "duration_s": 3.0})
    base = base.replace({"pools.replenish": "demand"})
    large = base.replace({"pools.capacity": 64})
    (sentence,) = late_filling(large)
    assert "4 of 4 key streams serve nobody before their empty pools hold V_r keys, Alice>R for 2.11 s" in sentence
    waits = [qkdrmp.simulate(one, seed=1).requests["wait_s"].max() for one in (base, large)]
    assert waits[1] > 1.5 > 1 > waits[0]
    assert not [*late_filling(large.replace({"pools.initial_share": 1.0}))]
    assert not [*late_filling(large.replace({"duration_s": 100.0, "warmup_s": 5.0}))]
    always_on = large.replace({"pools.replenish": "continuous"})  # the same pools serve from their first keys on
    assert not [*late_filling(always_on)]
    assert qkdrmp.simulate(always_on, seed=1).requests["wait_s"].max() < waits[0]


def test_the_bundled_scenarios_are_not_scolded_for_how_pools_fill() -> None:
    for name in ("line", "beijing", "beijing_figure3"):
        assert not [*late_filling(qkdrmp.load_scenario(name))]


def test_a_demand_of_your_own_may_know_its_rates() -> None:
    class Steady:
        def offered_bps(self, pairs, duration_s):
            return dict.fromkeys(pairs, 50.0)

        def processes(self, workload, users):
            return ()

    own = poisson().replace({"demand": {"model": Steady()}})
    assert set(link_loads(own).values()) == {0.2}


def test_links_are_sorted_by_their_load_and_the_first_are_said() -> None:
    (load,) = known_beforehand(qkdrmp.load_scenario("beijing"))["Load"]
    assert load.startswith("offered load of links, as a share of the keys they can make: TR10-TR15 80 %, ")
    assert "none of 37 links are overloaded; in bit/s, of 246 pairs of users with 28.6 each" in load


def test_loads_are_in_every_verdict() -> None:
    runs = pd.DataFrame(
        {"pools.capacity": [2, 4], "duration_s": 1.0, "replication": 0, "seed": 1, "requests_delivered": 1}
    )
    runs = runs.assign(requests_started=2)
    over = qkdrmp.load_scenario("line").replace({"demand.rate_per_s": 300})
    (sentence,) = qkdrmp.verdict(runs, over)["Load"]
    assert "Alice-R 1536 %, R-Bob 1536 %; 2 of 2 links are overloaded" in sentence
    varied = runs.rename(columns={"pools.capacity": "demand.rate_per_s"})
    low, high = qkdrmp.verdict(varied, over)["Load"]
    assert low.startswith("With requests of a pair of users = 2 per s: offered load of links")
    assert high.startswith("With requests of a pair of users = 4 per s: offered load of links")
