"""The keys of the two users of a request never differ, however slow the links and however full the queues."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from qkdrmp.family import Results
from qkdrmp.qkd.family import StuckPoolWarning
from qkdrmp.scenario_file import load_scenario, make_scenario
from qkdrmp.simulation import simulate

FIGURE_3 = load_scenario("beijing_figure3")
SLOW = {"1 ms a key": 32 / 1e-3, "3 ms a key": 32 / 3e-3}

slow_links = pytest.mark.parametrize("rate_bps", SLOW.values(), ids=SLOW)


def figure_3(changes: dict[str, Any], **recorded: bool) -> Results:
    """Run the published scenario with claimed mirrors, unless the changes say otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StuckPoolWarning)
        return simulate(FIGURE_3.replace({"pools.mirrors": "claimed", "duration_s": 0.6, **changes}), check=True)


def beijing(rate_bps: float, demand: dict[str, Any], **sections: Any) -> Results:
    """Run the Beijing network with the default rules."""
    raw = {"topology": "beijing_qman", "duration_s": 0.5, "key_rate": {"model": "constant", "rate_bps": rate_bps}}
    return simulate(make_scenario({**raw, "demand": demand, **sections}), check=True)


def check_keys(results: Results) -> None:
    assert results.summary["requests_delivered"] > 20
    assert results.summary["mismatched_keys"] == 0
    assert results.summary["mismatched_requests"] == 0
    assert (results.requests["mismatched_bits"] == 0).all()


@slow_links
@pytest.mark.parametrize("capacity", [24, 40])
def test_published_scenario(rate_bps: float, capacity: int) -> None:
    results = figure_3({"key_rate": {"model": "constant", "rate_bps": rate_bps}, "pools.capacity": capacity})
    check_keys(results)


@slow_links
def test_the_same_without_claims_has_keys_that_differ(rate_bps: float) -> None:
    # Otherwise the tests here would not show anything.
    results = figure_3({"key_rate": {"model": "constant", "rate_bps": rate_bps}, "pools.mirrors": "head"})
    assert results.summary["mismatched_keys"] > 0


@slow_links
@pytest.mark.parametrize("replenish", ["demand", "continuous"])
def test_most_requests_rejected_by_full_queues(rate_bps: float, replenish: str) -> None:
    demand = {"model": "poisson", "rate_per_s": 25.0, "key_num": 10, "key_length_bits": 32}
    results = beijing(rate_bps, demand, queue={"capacity": 1}, pools={"replenish": replenish})
    check_keys(results)
    row = results.summary
    share = row["rejected_queue_full"] / row["requests_started"]
    assert share > 0.6


@slow_links
def test_unequal_capacities(rate_bps: float) -> None:
    at = [{"node": f"TR{number}", "capacity": 10 + 7 * (number % 5)} for number in range(1, 16)]
    demand = {"model": "poisson", "rate_per_s": 4.0, "key_num": 10, "key_length_bits": 32}
    results = beijing(rate_bps, demand, pools={"capacity": 60, "at": at}, queue={"capacity": 2})
    assert results.pools["capacity"].nunique() > 3
    check_keys(results)


@slow_links
@pytest.mark.parametrize("key_bits", [48, 256])
@pytest.mark.parametrize("access", ["per-request", "pool"])
def test_request_keys_longer_than_pool_keys(rate_bps: float, key_bits: int, access: str) -> None:
    demand = {"model": "poisson", "rate_per_s": 4.0, "key_num": 3, "key_length_bits": key_bits}
    results = beijing(rate_bps, demand, pools={"key_length_bits": 32}, access={"mode": access})
    check_keys(results)
    assert (results.pools["excess_bits"].sum() > 0) == (key_bits == 48)
