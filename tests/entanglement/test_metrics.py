"""The metrics of entanglement runs that are about single connections, against their table."""

import math

import pytest

import qkdrmp


def test_the_rate_of_a_connection_is_its_own_and_does_not_depend_on_how_long_the_run_goes_on() -> None:
    scenario = qkdrmp.load_scenario("chain")
    short, long = (qkdrmp.simulate(scenario.replace({"duration_s": duration_s})) for duration_s in (1, 4))
    row = long.connections.iloc[0]
    assert long.summary["connection_rate_hz"] == pytest.approx(1000 / (row["done_s"] - row["active_s"]))
    assert short.summary["connection_rate_hz"] == long.summary["connection_rate_hz"]
    assert short.summary["pair_rate_hz"] == pytest.approx(4 * long.summary["pair_rate_hz"])  # the demand, over time


def test_what_was_asked_for_is_known_only_if_every_connection_says_how_many_pairs_it_wants() -> None:
    assert qkdrmp.simulate(qkdrmp.load_scenario("chain")).summary["pairs_asked"] == 1000
    shared = qkdrmp.simulate(qkdrmp.load_scenario("shared_link")).summary
    assert math.isnan(shared["pairs_asked"])
    assert shared["undelivered"] == 0  # only C wants a number of pairs
    rates = qkdrmp.simulate(qkdrmp.load_scenario("shared_link")).connections.set_index("id")
    assert rates["state"].to_dict() == {"A": "unfinished", "B": "unfinished", "C": "delivered"}


def test_a_connection_that_runs_out_of_time_or_is_rejected_is_not_delivered() -> None:
    chain = qkdrmp.load_scenario("chain")
    assert qkdrmp.simulate(chain.replace({"duration_s": 0.02})).summary["undelivered"] == 1
    assert qkdrmp.simulate(chain).summary["undelivered"] == 0
    busy = qkdrmp.load_scenario("busy_repeater").replace({"setup.retries": 0})
    assert qkdrmp.simulate(busy).summary["undelivered"] == 0.5


def test_what_not_even_an_empty_network_could_give_is_apart_from_what_is_blocked() -> None:
    busy = qkdrmp.load_scenario("busy_repeater").replace({"setup.retries": 0})
    made = qkdrmp.simulate(busy).summary
    assert (made["rejected_busy"], made["blocking"], made["unservable"]) == (1, 0.5, 0)
    first, *others = qkdrmp.load_scenario("busy_repeater").demand.build().connections
    wanted = [{"src": one.src, "dst": one.dst, "pairs": 10} for one in (first, *others)]
    wanted[0]["minimum_fidelity"] = 0.9999
    made = qkdrmp.simulate(busy.replace({"demand.connections": wanted})).summary
    assert (made["rejected_infeasible"], made["blocking"], made["unservable"]) == (1, 0, 0.5)
    assert made["connections_servable"] == len(wanted) - 1
