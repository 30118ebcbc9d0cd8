"""What a Barrier is for: without one, the ends of a shared link give trials to different connections from then on."""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd
import pytest

from qkdrmp import load_scenario, simulate
from qkdrmp.entanglement.run import EntanglementRun
from qkdrmp.family import Results, RunWarning
from qkdrmp.kernel.units import to_ticks
from qkdrmp.scenario import Scenario
from qkdrmp.scenario_file import make_scenario
from qkdrmp.simulation import predict
from qkdrmp.topology import Link, Node, NodeKind, Topology

MODELS = ("msm", "mim", "mm")
JOINS_S = 0.05
FORCED = {"barrier": False, "skew_trials": 1, "skew_from_s": JOINS_S}


def one_hop(model: str, allocation: dict[str, Any]) -> Scenario:
    """Return three connections A, B and C between the two ends of one link; C joins later, and none of them ends."""
    ends = [Node("left", NodeKind.END), Node("right", NodeKind.END)]
    asked = [{"id": name, "src": "left", "dst": "right", "at_s": JOINS_S * (name == "C")} for name in "ABC"]
    return make_scenario(
        {
            "kind": "entanglement",
            "topology": Topology("one hop", ends, [Link(("left", "right"), 20.0)]),
            "duration_s": 0.15,
            "links": {"model": model},
            "allocation": allocation,
            "demand": {"model": "listed", "connections": asked},
        }
    )


def three_hops(model: str, allocation: dict[str, Any]) -> Scenario:
    """Return the bundled scenario, with eight memories an interface and a quota of two, up to before C ends."""
    changes = {f"allocation.{name}": value for name, value in allocation.items()}
    scenario = load_scenario("shared_link").replace({**changes, "links.model": model, "duration_s": 0.1})
    assert scenario.memories.per_interface == 8
    assert {wanted.memories for wanted in scenario.demand.build().connections} == {2}
    return scenario


SCENARIOS = {"one hop": one_hop, "three hops": three_hops}


def run(hops: str, model: str, allocation: dict[str, Any], seed: int) -> Results:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)  # that pairs are wrong is what this is about
        results = simulate(SCENARIOS[hops](model, allocation), seed, record=["pairs"], check=True)
    assert set(results.connections["state"]) == {"unfinished"}
    shared = results.links[results.links["link"].isin(["left-right", "R1-R2"])].iloc[0]
    assert shared["allocated"] > 3000
    return results


def pairs_of(results: Results, connection: str) -> pd.DataFrame:
    pairs = results.pairs[results.pairs["connection"] == connection].reset_index(drop=True)
    assert list(pairs["number"]) == list(range(len(pairs)))
    return pairs


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("hops", SCENARIOS)
def test_with_the_barrier_every_pair_of_the_three_has_its_true_partner(hops: str, model: str, seed: int) -> None:
    results = run(hops, model, {}, seed)
    assert results.findings == []
    for connection in "ABC":
        pairs = pairs_of(results, connection)
        assert len(pairs) > 50
        assert pairs["right_partner"].all()
        assert pairs["fidelity"].min() > 0.88
        assert (pairs["fidelity"] - pairs["estimated_fidelity"]).abs().max() < 0.02


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("hops", SCENARIOS)
def test_if_one_end_switches_a_trial_late_no_connection_has_a_right_pair_ever_after(
    hops: str, model: str, seed: int
) -> None:
    results = run(hops, model, FORCED, seed)
    for connection in "ABC":
        pairs = pairs_of(results, connection)
        first = int((~pairs["right_partner"]).to_numpy().argmax())
        before, after = pairs[:first], pairs[first:]
        assert len(after) > 30
        assert not after["right_partner"].any()
        assert (after["fidelity"] == 0.25).all(), "halves of different pairs are uncorrelated"
        assert after["estimated_fidelity"].min() > 0.88, "and nobody notices"
        assert after["time_s"].iloc[0] > JOINS_S
        if connection == "C":
            assert before.empty
        else:
            assert len(before) > 30
            assert before["right_partner"].all()
            assert before["fidelity"].min() > 0.88
            shared_until = before["time_s"].iloc[-1]
            assert shared_until < JOINS_S + 0.005, "it begins within a few pairs of C's arrival"
    wrong = int(results.summary["wrong_partner"])
    assert wrong == (~results.pairs["right_partner"]).sum()
    assert results.findings == [
        f"{wrong} of {len(results.pairs)} delivered pairs have halves that are not each other's partners: A, B, C"
    ]


@pytest.mark.parametrize("model", MODELS)
def test_the_forced_ends_switch_exactly_one_trial_apart_and_only_from_the_given_time_on(model: str) -> None:
    run = EntanglementRun(one_hop(model, FORCED), seed=1)
    run.advance(to_ticks(0.15))
    ends = run.network.interfaces["left"]["right"], run.network.interfaces["right"]["left"]
    early, late = (end.allocation.agreements for end in ends)
    assert [[str(entry.id) for entry in agreement.entries] for agreement in early][-1] == ["A#1", "B#1", "C#1"]
    assert [(a.epoch, a.entries) for a in early] == [(a.epoch, a.entries) for a in late]
    apart = [there.since - here.since for here, there in zip(early, late, strict=True)]
    assert apart == [0] * (len(apart) - 1) + [1]


@pytest.mark.parametrize("hops", SCENARIOS)
def test_without_a_barrier_the_delays_of_messages_are_enough_for_wrong_pairs(hops: str) -> None:
    results = run(hops, "msm", {"barrier": False}, seed=1)
    later = results.pairs[results.pairs["time_s"] > JOINS_S + 0.005]
    assert not later.loc[later["connection"] != "C", "right_partner"].any()


def test_the_run_says_so_and_so_does_the_check_before_it() -> None:
    scenario = one_hop("msm", FORCED)
    with pytest.warns(RunWarning, match="not each other's partners: A, B, C"):
        simulate(scenario)
    assert any("without a Barrier" in sentence for sentence in predict(scenario))
    assert predict(one_hop("msm", {})) == []
