"""Promises: what Responders forecast is what connections get, in closed forms and on random networks."""

import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import networkx as nx
import pandas as pd
import pytest

from qkdrmp import load_scenario, make_scenario, simulate
from qkdrmp.entanglement.links.agreement import Agreement, AllocationEntry
from qkdrmp.entanglement.links.policies import LINK_POLICIES, AssuresTrials
from qkdrmp.entanglement.presentation.promises import broken_promises
from qkdrmp.entanglement.quantum.bell_diagonal import Memory
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.entanglement.rulesets.forecast import _play, forecast
from qkdrmp.entanglement.rulesets.link_budget import InnerPath, LinkPlan, QCap
from qkdrmp.entanglement.rulesets.plan_request import PlanRequest
from qkdrmp.entanglement.rulesets.plan_search import plan_to_keep
from qkdrmp.entanglement.rulesets.planner import compose
from qkdrmp.entanglement.rulesets.purification import Purification
from qkdrmp.entanglement.rulesets.swap_tree import midpoint
from qkdrmp.topology import Link, Node, Topology

SLACK = 0.005  # of fidelities
SHARE = 0.95  # of rates


def played(qcaps: list[QCap], need: int | None = None) -> Any:
    path = InnerPath(tuple(qcaps), midpoint([qcap.node for qcap in qcaps]), Purification((0,) * (len(qcaps) - 1)))
    links = [LinkPlan(0, 1.0, qcap.rate, qcap.fidelity) for qcap in qcaps[1:]]
    return forecast(path, links, need)


def test_a_single_link_is_expected_to_give_what_it_makes() -> None:
    found = played([QCap("A"), QCap("B", 100.0, 0.9)])
    assert found.fidelity == pytest.approx(0.9)
    assert found.rate == pytest.approx(100, rel=3 / 2000**0.5)
    assert found.promised_rate < found.rate


def test_two_links_that_hold_one_pair_each_wait_as_the_closed_form_says() -> None:
    # Both gaps are exponential: the later of two takes 1.5 times as long, and the earlier pair waits as long as one.
    memory = Memory(1.0, 0.05)
    found = played(
        [
            QCap("A", after=memory),
            QCap("R", 100.0, 1.0, before=memory, after=memory),
            QCap("B", 100.0, 1.0, before=memory),
        ]
    )
    assert found.rate == pytest.approx(100 / 1.5, rel=3 * 0.75 / 1000**0.5)
    factors = [1 / (1 + 2 * rate / 100) for rate in (1 / memory.t2_s, 1 / memory.t2_s, 1 / memory.t1_s)]
    assert found.fidelity == pytest.approx((1 + sum(factors)) / 4, abs=0.02)


def test_a_fast_link_fills_its_quota_and_waits_for_all_of_it() -> None:
    # A hundred times as fast, it always has its 8 pairs; by Little's law each waits for as long as 8 slow ones take.
    memory = Memory(1000.0, 1000.0)
    ends = QCap("A", after=memory, free_memories=8, attempts=8)
    middle = QCap("R", 10_000.0, 1.0, before=memory, after=memory, free_memories=8, attempts=8)
    found = played([ends, middle, QCap("B", 100.0, 1.0, before=memory, free_memories=8, attempts=8)])
    waited = 2 * 8 / 100 / 1000  # of both halves of the fast pair, in memory times
    assert 1 - found.fidelity == pytest.approx(0.75 * waited, rel=0.15)


def test_the_fidelity_that_was_not_kept_is_not_promised() -> None:
    # Links of 20 and 100 km, a quota of 8: the pairs of the short link wait for 8 of the long one's.
    nodes = [Node("A", "end"), Node("R", "repeater"), Node("B", "end")]
    topology = Topology("uneven", nodes, [Link(("A", "R"), 20.0), Link(("R", "B"), 100.0)])
    asked = {"src": "A", "dst": "B", "pairs": 300, "memories": 8, "minimum_fidelity": 0.8}
    settings = {
        "kind": "entanglement",
        "topology": topology,
        "duration_s": 20.0,
        "demand": {"model": "listed", "connections": [asked]},
    }
    scenario = make_scenario(settings)
    (row,) = simulate(scenario).connections.to_dict("records")
    assert row["fidelity_mean"] >= row["promised_fidelity"] - SLACK
    assert row["predicted_fidelity"] == pytest.approx(row["fidelity_mean"], abs=0.01)
    refused = make_scenario(
        {**settings, "demand": {"model": "listed", "connections": [{**asked, "minimum_fidelity": 0.9}]}}
    )
    assert simulate(refused).connections["reason"].tolist() == ["infeasible"]


def rows(scenario: Any, **asked: Any) -> dict[str, Any]:
    """Return the row of the only connection of a scenario, if it asks for this."""
    (spec,) = scenario.demand.build().connections
    wish = {"src": spec.src, "dst": spec.dst, "memories": 8, **asked}
    (row,) = simulate(scenario.replace({"demand.connections": [wish]})).connections.to_dict("records")
    return row


@pytest.mark.parametrize("memories", [2, 8])
@pytest.mark.parametrize("rate", [500.0, 1500.0, 5000.0, 20_000.0])
def test_a_rate_that_is_too_high_is_refused_and_one_that_is_promised_is_kept(memories: int, rate: float) -> None:
    row = rows(load_scenario("chain"), pairs=1000, minimum_fidelity=0.8, minimum_rate=rate, memories=memories)
    assert (row["state"], row["reason"]) in [("delivered", None), ("rejected", "infeasible")]
    assert row["state"] == ("delivered" if rate <= 700 * memories else "rejected")
    if row["state"] == "delivered":
        assert row["rate_hz"] >= SHARE * row["promised_rate_hz"] >= SHARE * rate


def test_a_circuit_is_promised_the_rate_of_its_one_lane() -> None:
    chain = load_scenario("chain").replace({"allocation.policy": "circuit"})
    assert rows(chain, pairs=200, minimum_rate=10_000.0)["reason"] == "infeasible"
    row = rows(chain, pairs=200, minimum_rate=300.0)
    assert row["state"] == "delivered"
    assert row["rate_hz"] >= SHARE * row["promised_rate_hz"] >= SHARE * 300


def test_unequal_states_of_links_are_played_as_they_are() -> None:
    # Phase errors alone: 0.9 and 0.9 swap to 0.82. Werner states of the same fidelity would to 0.8133.
    nodes = [Node("A", "end"), Node("R", "repeater"), Node("B", "end")]
    asked = {"src": "A", "dst": "B", "pairs": 100, "memories": 4, "minimum_fidelity": 0.819}
    scenario = make_scenario(
        {
            "kind": "entanglement",
            "topology": Topology("two", nodes, [Link(("A", "R"), 20.0), Link(("R", "B"), 20.0)]),
            "duration_s": 2.0,
            "links": {"state": (0.9, 0.0, 0.0, 0.1)},
            "memories": {"t1_s": 1e6, "t2_s": 1e6},
            "gates": {"error": 0.0, "readout_error": 0.0},
            "demand": {"model": "listed", "connections": [asked]},
        }
    )
    (row,) = simulate(scenario).connections.to_dict("records")
    assert row["fidelity_mean"] == pytest.approx(0.82, abs=1e-4)
    assert row["predicted_fidelity"] == pytest.approx(0.82, abs=1e-4)


@pytest.mark.parametrize(("purification", "fidelity"), [("bbpssw", 0.9), ("dejmps", 0.93), ("any", 0.9), ("any", 0.93)])
def test_each_way_to_purify_gives_what_is_forecast(purification: str, fidelity: float) -> None:
    chain = load_scenario("chain").replace({"setup.purification": purification})
    row = rows(chain, pairs=300, minimum_fidelity=fidelity, minimum_rate=1.0)
    assert row["fidelity_mean"] == pytest.approx(row["predicted_fidelity"], abs=0.003)
    assert row["fidelity_mean"] >= row["promised_fidelity"] - SLACK
    likely = row["predicted_rate_hz"] - row["promised_rate_hz"]  # as far as chance may change it
    assert row["rate_hz"] == pytest.approx(row["predicted_rate_hz"], abs=likely)
    assert row["wrong_partner"] == 0


def test_the_choice_of_all_ways_to_purify_is_faster_and_reaches_more() -> None:
    # BBPSSW on links alone gives 800 pairs per second of 0.9, and no 0.93 at all.
    found = {}
    for purification in ("bbpssw", "any"):
        chain = load_scenario("chain").replace({"setup.purification": purification})
        found[purification] = [rows(chain, pairs=300, minimum_fidelity=bound) for bound in (0.9, 0.93)]
    (slow, none), (fast, better) = found["bbpssw"], found["any"]
    assert fast["rate_hz"] > 2 * slow["rate_hz"]
    assert (none["reason"], better["state"]) == ("infeasible", "delivered")


def test_a_circuit_has_its_lane_also_on_a_link_without_others() -> None:
    # So no link fills its memories while another one is shared; the pairs of this scenario wait for nobody else's.
    memories = {"per_interface": 50, "t1_s": 0.1, "t2_s": 0.1}  # shared by the node's interfaces, nothing is promised
    circuits = load_scenario("multiplexing").replace(
        {"allocation.policy": "circuit", "memories": {"per_node": None, **memories}}
    )
    table = simulate(circuits).connections
    assert list(table["state"]) == ["unfinished"] * 5
    assert (table["fidelity_mean"] >= table["promised_fidelity"] - SLACK).all()


@pytest.mark.parametrize("bound", [0.8, 0.86, 0.88, 0.89, 0.9])
def test_a_fidelity_asked_of_networks_in_networks_is_kept(bound: float) -> None:
    row = rows(load_scenario("two_networks"), pairs=300, minimum_fidelity=bound, memories=4)
    assert row["state"] == "delivered" or row["reason"] == "infeasible"
    if row["state"] == "delivered":
        assert row["fidelity_mean"] >= bound - SLACK


def test_later_connections_do_not_take_away_a_rate_that_was_promised() -> None:
    nodes = [Node("A", "end"), Node("B", "end")]
    topology = Topology("one", nodes, [Link(("A", "B"), 20.0)])
    first = {"id": "first", "src": "A", "dst": "B", "pairs": 2000, "memories": 4, "minimum_rate": 5000.0}
    later = {"id": "later", "src": "B", "dst": "A", "pairs": 500, "memories": 4, "weight": 9, "at_s": 0.05}

    def run(**first_changes: Any) -> pd.DataFrame:
        connections = [{**first, **first_changes}, later]
        settings = {
            "kind": "entanglement",
            "topology": topology,
            "duration_s": 3.0,
            "allocation": {"policy": "buffer-space"},  # lanes by weight: alone it has all 8, beside the other one
            "demand": {"model": "listed", "connections": connections},
        }
        return simulate(make_scenario(settings)).connections.set_index("id")

    kept = run()
    assert kept.loc["first", "rate_hz"] >= SHARE * 5000
    assert kept.loc["later", "active_s"] > kept.loc["first", "done_s"]  # it was busy until then
    free = run(minimum_rate=0.0)
    assert free.loc["later", "active_s"] < free.loc["first", "done_s"]


class Alternate:
    """Each slot belongs to another connection; it does not say what they can count on."""

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return whose slot it is."""
        entries = agreement.entries
        return entries[trial // agreement.lanes % len(entries)].id if entries else None


class AssuredAlternate(Alternate):
    """The same, and it says so."""

    def assured(self, agreement: Agreement) -> Mapping[AttemptId, float]:
        """Return an equal share for all."""
        return {entry.id: agreement.lanes / len(agreement.entries) for entry in agreement.entries}


PROMISES = {"predicted_fidelity": "f", "promised_fidelity": "p", "predicted_rate_hz": "r", "promised_rate_hz": "q"}


@pytest.mark.parametrize(
    ("changes", "asked", "promised"),
    [
        ({}, {"minimum_fidelity": 0.8}, "fpr"),
        ({}, {"minimum_fidelity": 0.0}, ""),
        ({}, {"minimum_fidelity": 0.0, "minimum_rate": 100.0}, "frq"),
        ({}, {"minimum_fidelity": 0.8, "pairs": 0}, ""),
        ({"allocation.policy": "statistical"}, {"minimum_fidelity": 0.8}, ""),
        ({"allocation.policy": Alternate()}, {"minimum_fidelity": 0.8}, ""),
        ({"allocation.policy": AssuredAlternate()}, {"minimum_fidelity": 0.8}, "fpr"),
        ({"setup.swap_order": "asap"}, {"minimum_fidelity": 0.8}, "fpr"),
        ({"setup.swap_order": "asap", "gates.swap_success": 0.9}, {"minimum_fidelity": 0.8}, ""),
        ({"setup.swap_order": "asap", "memories.cutoff_s": 0.1}, {"minimum_fidelity": 0.8}, ""),
        ({"memories.cutoff_s": [0.1, 0.2]}, {"minimum_fidelity": 0.8}, "fpr"),
        ({"setup.spans_restart": True}, {"minimum_fidelity": 0.8}, ""),
    ],
)
def test_nothing_is_promised_where_nothing_is_asked_or_can_be_known(
    changes: dict[str, Any], asked: dict[str, Any], promised: str
) -> None:
    row = rows(load_scenario("chain").replace(changes), **{"pairs": 50, **asked})
    assert row["state"] == "delivered"
    assert {name for name, letter in PROMISES.items() if not math.isnan(row[name])} == {
        name for name, letter in PROMISES.items() if letter in promised
    }


def test_nothing_is_promised_with_rulesets_of_ones_own() -> None:
    chain = load_scenario("chain")
    (asked,) = chain.demand.build().connections
    path = nx.shortest_path(chain.topology.graph, asked.src, asked.dst)
    stack = compose("c1", 1, midpoint(path), [0] * (len(path) - 1), 100)
    row = rows(chain.replace({"setup.rulesets": [stack]}), pairs=50, minimum_fidelity=0.8, minimum_rate=100.0)
    assert row["state"] == "delivered"
    assert all(math.isnan(row[name]) for name in PROMISES)


def test_a_plan_that_is_asked_for_nothing_plays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # With fifty connections over a hundred nodes, plays would take longer than the run.
    monkeypatch.setattr("qkdrmp.entanglement.rulesets.plan_search.forecast", None)
    qcaps = [QCap(f"n{i}", 100.0, 0.99, free_memories=4, attempts=4) for i in range(100)]
    assert plan_to_keep(PlanRequest("c1", 1, tuple(qcaps), 10, 0.0)).forecast is None


def test_equal_paths_are_played_once() -> None:
    memory = Memory(1.0, 1.0)
    qcaps = [QCap(name, 100.0, 0.97, before=memory, after=memory, free_memories=4, attempts=4) for name in "ARB"]
    plan_to_keep(PlanRequest("c1", 1, tuple(qcaps), 1000, 0.8))
    before = _play.cache_info()
    later = [replace(qcap, later=((100, 200.0),)) for qcap in qcaps]
    assert plan_to_keep(PlanRequest("c2", 3, tuple(later), 1001, 0.81)).forecast is not None
    after = _play.cache_info()
    assert (after.hits > before.hits, after.misses) == (True, before.misses)


@pytest.mark.parametrize("policy", sorted({*LINK_POLICIES} - {"statistical"}))
@pytest.mark.parametrize("seed", range(20))
def test_policies_assure_what_they_give(policy: str, seed: int) -> None:
    draw = random.Random(seed)
    lanes = draw.randint(1, 12)
    entries = tuple(
        AllocationEntry(AttemptId(f"c{i}"), draw.randint(1, 5), draw.randint(0, 2), draw.randint(1, 3))
        for i in range(draw.randint(1, min(5, lanes)))
    )
    agreement = Agreement(1, 0, seed, entries, tuple(range(len(entries))), lanes)
    one = LINK_POLICIES[policy]
    assert isinstance(one, AssuresTrials)
    owners = Counter(one.owner(trial, agreement) for trial in range(2000 * lanes))
    for id_, assured in one.assured(agreement).items():
        assert owners[id_] / 2000 == pytest.approx(assured, abs=0.1 if policy == "lottery" else 1 / 1000)


def test_the_story_names_connections_below_their_promise() -> None:
    connections = pd.DataFrame(
        [("good", "delivered", 0.9, 90.0), ("poor", "delivered", 0.9, 90.0), ("slow", "delivered", 0.8, 200.0)],
        columns=["id", "state", "promised_fidelity", "promised_rate_hz"],
    )
    draw = random.Random(1)
    rows = [
        (name, 0.01 * n + draw.uniform(0, 0.002), fidelity + draw.uniform(-0.01, 0.01))
        for name, fidelity in (("good", 0.92), ("poor", 0.85), ("slow", 0.85))
        for n in range(200)
    ]
    poor, slow = broken_promises(connections, pd.DataFrame(rows, columns=["connection", "time_s", "fidelity"]))
    assert poor.startswith("poor was promised a fidelity of 0.9 but got 0.85")
    assert slow.startswith("slow was promised 200 pairs per second but got 100")


def network(seed: int, purification: str) -> dict[str, Any]:
    """Return the settings of a random network: a chain of 1 to 5 links, with a nested network or not."""
    draw = random.Random(seed)
    hops = draw.randint(1, 5)
    names = [f"n{i}" for i in range(hops + 1)]
    nested = hops >= 4 and draw.random() < 0.4
    inside = {name: {"extra": {"network": "core"}} for name in names[1:4]} if nested else {}
    nodes = [Node(name, "end" if name in (names[0], names[-1]) else "router", **inside.get(name, {})) for name in names]
    links = [Link(ends, draw.uniform(5, 120)) for ends in pairwise(names)]
    quota, t2_s = draw.randint(1, 16), 10 ** draw.uniform(-3, 1)
    bound = draw.choice([0.3, 0.5, draw.uniform(0.5, 0.97)])
    asked = {"src": names[0], "dst": names[-1], "pairs": draw.choice([50, 200, 1000]), "memories": quota}
    return {
        "kind": "entanglement",
        "topology": Topology(f"random {seed}", nodes, links),
        "duration_s": 30.0,
        "links": {"model": draw.choice(["mim", "msm", "mm"]), "fidelity": draw.uniform(0.93, 0.999)},
        "memories": {"per_interface": quota + draw.randint(0, 8), "t2_s": t2_s, "t1_s": t2_s * draw.uniform(0.5, 10)},
        "gates": {"swap_success": draw.choice([1.0, 1.0, draw.uniform(0.3, 1)])},
        "layers": {"nested": ["core"] if nested else []},
        "setup": {"purification": purification},
        "demand": {"model": "listed", "connections": [{**asked, "minimum_fidelity": bound, "minimum_rate": 1e-3}]},
    }


@pytest.mark.parametrize(
    ("networks", "purification"), [(30, "bbpssw"), (6, "any"), pytest.param(2000, "bbpssw", marks=pytest.mark.slow)]
)
def test_promises_are_kept_on_random_networks(networks: int, purification: str) -> None:
    runs = [simulate(make_scenario(network(seed, purification)), seed=seed).connections for seed in range(networks)]
    table = pd.concat(runs, ignore_index=True)
    delivered = table[table["state"] == "delivered"]
    assert len(delivered) > 0.3 * networks
    low = delivered["fidelity_mean"] < delivered["promised_fidelity"] - SLACK
    slow = delivered["rate_hz"] < SHARE * delivered["promised_rate_hz"]
    assert low.mean() <= 0.01, delivered[low]
    assert slow.mean() <= 0.01, delivered[slow]
