"""Closed laws of a single pool, against runs and other formulas."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import qkdrmp
from qkdrmp import Link, Node, NodeKind, Topology
from qkdrmp.family import family_of
from qkdrmp.qkd.theory.laws import shortfall
from qkdrmp.scenario import Scenario
from qkdrmp.stats.estimators import half_width


def two_users(**changes: Any) -> Scenario:
    """Return two users with a link of which one asks the other: a key takes 10 ms, and 80 are asked for a second."""
    ends = [Node("A", NodeKind.END), Node("B", NodeKind.END)]
    pools = {"capacity": 3, "interrupt": 0, "recover": 1, "replenish": "continuous", "key_length_bits": 100}
    raw = {
        "kind": "qkd",
        "topology": Topology("pair", ends, [Link(("A", "B"), 1.0)]),
        "duration_s": 40,
        "warmup_s": 5,
        "pools": pools,
        "access": {"mode": "pool"},
        "queue": {"capacity": 10_000},
        "key_rate": {"model": "constant", "rate_bps": 10_000, "per_direction": True},
        "demand": {
            "model": "poisson",
            "matrix": [{"src": "A", "dst": "B", "rate_per_s": 80}],
            "key_num": 1,
            "key_length_bits": 100,
        },
    }
    return qkdrmp.make_scenario(raw).replace(changes)


def wait_law(scenario: Scenario) -> float | None:
    return next((law.value for law in family_of(scenario).laws(scenario) if law.metric == "wait_mean_s"), None)


@pytest.mark.parametrize("capacity", [1, 4])
def test_the_wait_at_a_pool_is_that_of_its_missing_keys(capacity: int) -> None:
    scenario = two_users(**{"pools.capacity": capacity})
    runs = qkdrmp.sweep(scenario, {"pools.capacity": [capacity]}, replications=8, executor=ThreadPoolExecutor(1))
    waits = runs["wait_mean_s"].to_numpy()
    expected = wait_law(scenario)
    assert expected == pytest.approx(waits.mean(), abs=2 * half_width(waits))
    assert half_width(waits) < 0.5 * waits.mean()


@pytest.mark.parametrize("load", [0.3, 0.8, 0.95])
def test_without_a_pool_it_is_the_queue_of_pollaczek_and_khinchine(load: float) -> None:
    assert shortfall(load, 0) == pytest.approx(load + load**2 / (2 * (1 - load)))


def test_with_a_pool_it_is_what_the_recursion_of_lindley_gives() -> None:
    random = np.random.default_rng(1)
    load, capacity, count = 0.7, 2, 400_000
    arrivals = np.cumsum(random.exponential(1 / load, count))
    gone = np.maximum.accumulate(arrivals - np.arange(count)) + np.arange(count) + 1  # one server, a unit each
    waits = np.maximum(gone[:-capacity] - arrivals[capacity:], 0)  # for the key that replaces the last but one
    means = [batch.mean() for batch in np.array_split(waits, 20)]
    assert shortfall(load, capacity) / load == pytest.approx(np.mean(means), abs=1.5 * half_width(means))


@pytest.mark.parametrize(
    "changes",
    [
        {"pools.recover": 3},
        {"pools.interrupt": 1, "pools.recover": 2},
        {"demand.key_num": 2},
        {"demand.patience_s": 0.1},
        {"demand.matrix": [{"src": "A", "dst": "B", "rate_per_s": 120}]},
        {"demand.rate_per_s": 10},
        {"pools.replenish": "demand"},
    ],
)
def test_where_the_law_does_not_apply_nothing_is_said(changes: dict[str, Any]) -> None:
    assert wait_law(two_users(**changes)) is None
    assert wait_law(two_users()) is not None


def test_a_network_of_several_links_has_only_a_bound() -> None:
    line = qkdrmp.load_scenario("line")
    assert {law.metric for law in family_of(line).laws(line)} == {"key_rate_bps", "requests_delivered"}
