"""Erlang's formula where it applies, against runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import factorial
from typing import Any

import pytest

import qkdrmp
from qkdrmp.entanglement.laws import erlang_b
from qkdrmp.family import Law, family_of
from qkdrmp.scenario import Scenario
from qkdrmp.stats.estimators import half_width
from tests.entanglement.small_networks import FOR_EVER, chain

FEW_PAIRS = {"source_efficiency": 1e-3, "detector_efficiency": 1e-2}


@pytest.mark.parametrize(("circuits", "load"), [(1, 2.0), (4, 2.0), (20, 13.0)])
def test_the_recursion_is_erlangs_formula(circuits: int, load: float) -> None:
    terms = [load**k / factorial(k) for k in range(circuits + 1)]
    assert erlang_b(circuits, load) == pytest.approx(terms[-1] / sum(terms))


def shared(**changes: Any) -> Scenario:
    """Return a link of eight memories for connections of two each, which are held for half a second: 2 Erlang."""
    raw = {
        "kind": "entanglement",
        "topology": chain("AB", 20.0),
        "duration_s": 60,
        "warmup_s": 5,
        "setup": {"retries": 0},
        "allocation": {"policy": "circuit"},
        "memories": {**FOR_EVER, "per_interface": 8},
        "links": FEW_PAIRS,
        "demand": {"model": "poisson", "rate_per_s": 4, "users": [["A", "B"]], "mean_lasts_s": 0.5, "memories": 2},
    }
    return qkdrmp.make_scenario(raw).replace(changes)


def laws(scenario: Scenario) -> list[Law]:
    return list(family_of(scenario).laws(scenario))


def test_connections_on_one_link_are_blocked_as_calls() -> None:
    (law,) = laws(shared())
    assert (law.metric, law.value) == ("blocking", pytest.approx(0.095238, abs=1e-6))
    runs = qkdrmp.sweep(shared(), {"demand.memories": [2]}, replications=4, executor=ThreadPoolExecutor(1))
    assert runs["blocking"].mean() == pytest.approx(law.value, abs=1.5 * half_width(runs["blocking"]))
    assert half_width(runs["blocking"]) < 0.06


@pytest.mark.parametrize(
    "changes",
    [{"setup.retries": 1}, {"demand.pairs": 5}, {"allocation.policy": "round-robin"}, {"demand.mean_lasts_s": 1e-3}],
)
def test_where_it_does_not_apply_nothing_is_said(changes: dict[str, Any]) -> None:
    assert laws(shared(**changes)) == []
