"""The bundled scenarios of entanglement networks, and what is said about wrong ones."""

from __future__ import annotations

import json
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any

import pandas as pd
import pytest

from qkdrmp import load_scenario, simulate, sweep
from qkdrmp.config.bundled import bundled_names
from qkdrmp.entanglement.family import ENTANGLEMENT, EntanglementScenario
from qkdrmp.entanglement.links.agreement import Agreement
from qkdrmp.entanglement.links.models import OpticalLink, TrialLaw, mim
from qkdrmp.entanglement.links.policies import LINK_POLICIES
from qkdrmp.entanglement.messages import VOCABULARY
from qkdrmp.errors import ScenarioError
from qkdrmp.family import Results
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import predict

NAMES = [name for name in bundled_names("scenarios") if load_scenario(name).kind == "entanglement"]
COLUMNS = {name: kind.names for name, kind in ENTANGLEMENT.tables.items()}
METRIC_NAMES = [metric.name for metric in ENTANGLEMENT.metrics]


@cache
def run(name: str, seed: int = 1) -> Results:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return simulate(load_scenario(name), seed, record=["messages", "pairs", "rulesets"], check=True)


def short(name: str) -> Scenario:
    """Return a scenario that takes no time."""
    return load_scenario(name).replace({"duration_s": 0.06})


def test_there_is_a_scenario_for_each_part_of_the_draft() -> None:
    assert {"chain", "shared_link", "two_networks", "busy_repeater", "blocking", "multiplexing"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_scenario_is_described_and_nothing_is_predicted_to_go_wrong(name: str) -> None:
    scenario = load_scenario(name)
    assert isinstance(scenario, EntanglementScenario)
    assert scenario.name == name
    assert 10 < len(scenario.description) < 120
    assert "\n" not in scenario.description
    assert scenario.sweep.over
    assert scenario.sweep.replications > 1
    assert predict(scenario) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_scenario_runs_without_findings_and_every_pair_has_its_true_partner(name: str) -> None:
    results = run(name)
    assert results.findings == []
    summary = results.summary
    assert summary["pairs_delivered"] > 100
    assert summary["wrong_partner"] == 0
    assert summary["connections_asked"] == sum(
        summary[f"connections_{state}"] for state in ("delivered", "rejected", "aborted", "unfinished")
    )
    assert summary["stall_s"] == 0, "the lead that the scenarios take is enough"
    least = 0.6 if name == "multiplexing" else 0.8  # where memories forget within 0.1 s
    assert least < summary["fidelity_min"] <= summary["fidelity_mean"] < 1
    assert abs(summary["estimated_fidelity"] - summary["fidelity_mean"]) < 0.001


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_have_the_columns_that_are_documented(name: str) -> None:
    results = run(name)
    assert {name: list(table.columns) for name, table in results.tables.items()} == {
        name: list(columns) for name, columns in COLUMNS.items()
    }
    assert list(results.summary.index) == METRIC_NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_agree_with_each_other(name: str) -> None:
    results = run(name)
    connections = results.connections.set_index("id")
    assert len(results.pairs) == connections["pairs"].sum()
    per_connection = results.pairs.groupby("connection").size().reindex(connections.index, fill_value=0)
    assert (per_connection == connections["pairs"]).all()
    assert (results.attempts.groupby("connection").size() == connections["attempts"].sort_index()).all()
    given = results.allocations.groupby("link")["trials"].sum().reindex(results.links["link"], fill_value=0)
    assert list(given) == list(results.links["allocated"])
    assert (results.links["allocated"] <= results.links["trials"]).all()
    assert (results.messages["received_s"] >= results.messages["sent_s"]).all()
    assert set(results.messages["message"]) <= {kind.wire_name for kind in VOCABULARY}
    assert (results.messages["connections"] != "").all(), "every message, Barriers too, is about some connection"


@pytest.mark.parametrize("name", NAMES)
def test_the_summary_agrees_with_the_connections(name: str) -> None:
    results = run(name)
    counted = results.connections[results.connections["asked_s"] >= results.scenario.warmup_s]
    setup_s = (counted["installed_s"] - counted["asked_s"]).dropna()
    for share in (0.5, 0.95, 0.99):
        assert results.summary[f"setup_p{100 * share:.0f}_s"] == pytest.approx(setup_s.quantile(share), nan_ok=True)
    ended = counted["done_s"].fillna(results.scenario.duration_s)
    rates = counted[ended > counted["active_s"]]["rate_hz"]
    assert results.summary["fairness"] == pytest.approx(rates.sum() ** 2 / (len(rates) * (rates**2).sum()))
    assert 0 < results.summary["fairness"] <= 1


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_tables_again_and_another_one_others(name: str) -> None:
    first = simulate(short(name), 3, record=["messages", "pairs"])
    again = simulate(short(name), 3, record=["messages", "pairs"])
    for table in first.tables:
        pd.testing.assert_frame_equal(first.tables[table], again.tables[table])
    assert list(first.summary) == pytest.approx(list(again.summary), nan_ok=True, abs=0)
    other = simulate(short(name), 4, record=["pairs"])
    assert not first.pairs.equals(other.pairs)


@pytest.mark.parametrize("name", NAMES)
def test_recording_changes_nothing(name: str) -> None:
    plain = simulate(short(name), 3)
    traced = simulate(short(name), 3, record=["messages", "pairs"])
    pd.testing.assert_frame_equal(plain.connections, traced.connections)
    assert list(plain.summary) == pytest.approx(list(traced.summary), nan_ok=True, abs=0)


@pytest.mark.parametrize("name", NAMES)
def test_the_sweep_of_a_bundled_scenario_works(name: str) -> None:
    scenario = short(name)
    over = {path: [values[0], values[-1]] for path, values in scenario.sweep.over.items()}
    with ThreadPoolExecutor(1) as executor:
        runs = sweep(scenario, over, replications=2, executor=executor, progress=False)
    assert len(runs) == 2 * 2 ** len(over)
    assert set(over) | set(METRIC_NAMES) <= set(runs.columns)
    assert (runs["wrong_partner"] == 0).all()
    for path, values in scenario.sweep.over.items():
        for value in values:
            scenario.replace({path: value})


# What the single scenarios are about


def test_the_chain_does_as_its_comment_says_when_it_is_asked_for_more_fidelity() -> None:
    asked = load_scenario("chain").demand.build().connections[0]
    outcomes = []
    for bound in (0.85, 0.9, 0.92):
        wanted = {"src": asked.src, "dst": asked.dst, "pairs": 100, "memories": 8, "minimum_fidelity": bound}
        scenario = load_scenario("chain").replace({"demand.connections": [wanted]})
        results = simulate(scenario, record=["messages"], check=True)
        purified = bool((results.messages["message"] == "PURIFYRESULT").any())
        outcomes.append((results.connections["state"].iloc[0], results.connections["reason"].iloc[0], purified))
    assert outcomes == [("delivered", None, False), ("delivered", None, True), ("rejected", "infeasible", False)]


def test_a_busy_repeater_says_when_it_will_have_room_and_that_is_about_when_it_has() -> None:
    errors = []
    for seed in range(1, 17):
        results = simulate(load_scenario("busy_repeater"), seed, check=True)
        first, second = (results.attempts[results.attempts["connection"] == name] for name in ("first", "second"))
        turned_away, success = second[second["outcome"] == "busy"], second.iloc[-1]
        assert len(turned_away) >= 1
        assert set(turned_away["rejected_by"]) == {"Repeater B"}
        assert success["outcome"] == "installed"
        assert list(results.connections["state"]) == ["delivered", "delivered"]
        freed = turned_away["available_s"].iloc[0]
        ended = results.connections.set_index("id").loc["first", "done_s"]
        assert first["outcome"].tolist() == ["installed"]
        assert abs(freed - ended) < 0.001, "memories are free as soon as the Termination of the first one has come"
        for row, after in zip(turned_away.itertuples(), second["asked_s"].iloc[1:], strict=True):
            assert after >= row.estimated_s - 1e-12, "nobody tries again before memories should be free"
            assert row.available_s >= row.ended_s - 0.001
        assert success["asked_s"] >= freed
        estimated = turned_away["estimated_s"].iloc[0]
        errors.append((estimated - freed) / (freed - 0.03))
    assert max(map(abs, errors)) < 0.25
    assert min(errors) < 0 < max(errors), "now too early, now too late"


def test_a_nested_network_gives_the_same_fidelity_as_a_flat_one_under_the_same_swap_tree() -> None:
    nested, flat = (load_scenario("two_networks").replace({"layers.nested": names}) for names in (["A"], []))
    first, second = (simulate(scenario, check=True) for scenario in (nested, flat))
    means = [results.summary["fidelity_mean"] for results in (first, second)]
    rates = [results.connections["rate_hz"].iloc[0] for results in (first, second)]
    assert means[0] == pytest.approx(means[1], abs=0.001)
    assert rates[0] == pytest.approx(rates[1], rel=0.05)
    assert set(first.allocations["connection"]) == {"c1", "c1/A/1"}
    assert set(second.allocations["connection"]) == {"c1"}


def test_a_lead_below_the_round_trip_stalls_the_shared_link_and_the_own_one_does_not() -> None:
    scenario = short("shared_link")
    stalls = [simulate(scenario.replace({"allocation.lead": lead})).summary["stall_s"] for lead in (0, 8, 24, "auto")]
    assert stalls[0] > stalls[1] > 0
    assert stalls[2:] == [0, 0]


@pytest.mark.parametrize("policy", LINK_POLICIES)
def test_the_workload_runs_under_every_policy(policy: str) -> None:
    results = simulate(load_scenario("blocking").replace({"allocation.policy": policy}), check=True)
    assert results.findings == []
    assert results.summary["pairs_delivered"] > 100


def test_alone_a_connection_has_every_lane_but_on_a_circuit_one_of_eight() -> None:
    scenario = load_scenario("blocking").replace(
        {"demand": {"model": "listed", "connections": [{"src": "A1", "dst": "A2"}]}, "duration_s": 0.2}
    )
    rates = {
        policy: simulate(scenario.replace({"allocation.policy": policy})).connections["rate_hz"].iloc[0]
        for policy in ("circuit", "buffer-space", "round-robin", "lottery")
    }
    assert 1 / 8 < rates["circuit"] / rates["round-robin"] < 1 / 4, "one lane, whose memory is busy less often"
    assert rates["buffer-space"] == rates["round-robin"] == rates["lottery"], "alone it has every lane"


def test_every_topology_of_a_bundled_scenario_says_where_it_is_from() -> None:
    for name in NAMES:
        topology = load_scenario(name).topology
        assert topology.source
        assert all(node.latitude is not None for node in topology.nodes.values())


# Wrong scenarios

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("shared_link", {"demand.connections": [{"src": "A1", "dst": "A3"}]}, "has no end node 'A3'"),
    ("shared_link", {"demand.connections": [{"src": "A1", "dst": "R1"}]}, "has no end node 'R1'"),
    ("shared_link", {"demand.connections": [{"src": "A1", "dst": "A1"}]}, "src and dst are both 'A1'"),
    ("shared_link", {"demand.connections": [{"src": "A1"}]}, "entry 1: dst is missing"),
    ("shared_link", {"demand.connections": [{"src": "A1", "dst": "A2", "pair": 9}]}, "did you mean 'pairs'?"),
    ("shared_link", {"demand.connections": [{"src": "A1", "dst": "A2", "id": "A/B"}]}, "without '/', '#' and ','"),
    ("shared_link", {"demand.connections": [{"src": "A1", "dst": "A2", "id": "A"}] * 2}, "two have the id 'A'"),
    (
        "shared_link",
        {"demand.connections": [{"src": "A1", "dst": "A2"}, {"src": "B1", "dst": "B2", "id": "c1"}]},
        "two have the id 'c1'",
    ),
    (
        "shared_link",
        {"demand.connections": [{"src": "A1", "dst": "A2", "at_s": 0.2, "teardown_s": 0.1}]},
        "teardown_s = 0.1 must not be before at_s = 0.2",
    ),
    ("shared_link", {"allocation.lead": -1}, 'must be "auto" or a whole number of at least 0'),
    ("shared_link", {"faults.at": [{"node": "R1", "loss": 0.1}]}, "there can be no exceptions"),
    ("blocking", {"demand.users": [["A1", "A1"]]}, "a connection needs two users"),
    ("shared_link", {"demand.connections": [{"src": "A1", "dst": "A2", "memories": 0}]}, "memories = 0 must be"),
    ("shared_link", {"allocation.skew_trials": 1}, "skew_trials needs barrier = false"),
    ("shared_link", {"allocation.policy": "round-robbin"}, "did you mean 'round-robin'?"),
    ("shared_link", {"allocation.at": [{"link": ["R1", "R2"], "barrier": False}]}, "cannot be set for a single link"),
    ("shared_link", {"links.model": "msn"}, "did you mean 'msm'?"),
    ("shared_link", {"links.fidelity": 0.2}, "links.fidelity = 0.2 must be greater than 0.25"),
    ("shared_link", {"links.at": [{"link": ["R1", "A2"], "fidelity": 0.9}]}, "no link between 'R1' and 'A2'"),
    ("shared_link", {"memories.per_interface": 0}, "memories.per_interface = 0 must be at least 1"),
    ("shared_link", {"memories.t2_s": 50.0}, "at most twice t1_s"),
    ("shared_link", {"memories.at": [{"node": "R9", "per_interface": 2}]}, "has no node 'R9'"),
    ("shared_link", {"setup.swap_order": "midpint"}, "did you mean 'midpoint'?"),
    ("shared_link", {"setup.hold_round_trips": 1.0}, "must be at least timeout_round_trips"),
    ("shared_link", {"faults.loss": 1.0}, "faults.loss = 1.0 must be at least 0 and less than 1"),
    ("two_networks", {"layers.nested": ["C"]}, "two_networks has no network 'C'; known are A, B"),
    ("blocking", {"demand.users": [["A1", "B9"]]}, "has no end node 'B9'"),
    ("blocking", {"demand.rate_per_s": 0}, "rate_per_s = 0 must be greater than 0"),
]


@pytest.mark.parametrize(("name", "changes", "said"), WRONG, ids=[json.dumps(changes) for _, changes, _ in WRONG])
def test_what_is_wrong_is_said_in_one_sentence(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(name).replace(changes)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert message.startswith(f"{name}: ")
    assert not re.search(r"Traceback|pydantic|object at 0x|\bfunction-|\[type=", message)


def test_several_wrong_things_are_said_each_in_its_line() -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario("shared_link").replace({"links.fidelity": 0.2, "memories.per_interface": 0})
    assert len(str(caught.value).splitlines()) == 2


# --- What users bring along -------------------------------------------------------------------------------------------


class FirstComeTakesMost:
    """The connection that has been there longest gets three trials of four; a policy of one method."""

    def owner(self, trial: int, agreement: Agreement) -> str | None:
        entries = agreement.entries
        return entries[0 if trial % 4 else trial // 4 % len(entries)].id if entries else None


def all_four(link: OpticalLink) -> TrialLaw:
    """An analyser that distinguishes all four Bell states."""
    law = mim(link)
    return replace(law, success_probability=2 * law.success_probability)


def test_a_policy_of_ones_own_shares_the_links() -> None:
    scenario = load_scenario("shared_link").replace({"allocation.policy": FirstComeTakesMost})
    results = simulate(scenario, check=True)
    given = results.allocations.query("link == 'R1-R2'").set_index("connection")["trials"]
    assert given["A"] > 2 * given["B"] > 0
    assert results.summary["wrong_partner"] == 0


def test_a_link_model_of_ones_own_makes_the_pairs() -> None:
    plain, twice = (simulate(load_scenario("chain").replace({"links.model": model})) for model in ("mim", all_four))
    assert twice.links["success_probability"].iloc[0] == pytest.approx(2 * plain.links["success_probability"].iloc[0])
    assert twice.connections["rate_hz"].iloc[0] > 1.3 * plain.connections["rate_hz"].iloc[0]


def test_policies_of_ones_own_can_be_swept_by_their_names() -> None:
    runs = sweep(
        load_scenario("shared_link"),
        over={"allocation.policy": ["round-robin", FirstComeTakesMost]},
        replications=2,
        executor=ThreadPoolExecutor(1),
        progress=False,
    )
    assert list(runs["allocation.policy"].unique()) == ["round-robin", "FirstComeTakesMost"]


def test_policies_and_states_that_are_swept_have_names_in_words() -> None:
    assert ENTANGLEMENT.field_labels["setup.purification"] == "purification"
    assert ENTANGLEMENT.field_labels["links.state"] == "weights of the Bell states in a new pair of a link"


@pytest.mark.parametrize("t2_s", [0.02, 0.05, 0.2, 1.0])
def test_what_the_responder_predicts_is_about_what_comes_out(t2_s: float) -> None:
    found = simulate(load_scenario("chain").replace({"memories.t2_s": t2_s})).connections.iloc[0]
    assert found["state"] == "delivered"
    assert found["predicted_fidelity"] == pytest.approx(found["fidelity_mean"], abs=0.01)
