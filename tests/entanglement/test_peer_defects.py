"""Defects that other simulators of quantum networks have had, and that must not be found here.

QuISP (Satoh et al., QCE 2022), SeQUeNCe (Wu et al., Quantum Sci. Technol. 6, 045027 (2021)) and QuantumSavory keep
lists of their issues in public; each test has the name of one of them.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

import qkdrmp
from qkdrmp.entanglement.messages import NewPartner, PurifyResult, SwapResult
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.scenario_file import make_scenario
from qkdrmp.topology import Link, Node, Topology
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    chain,
    deliveries,
    entry_of,
    fidelity_of,
    left_over,
    milestones,
    network_of,
    run,
    werner,
)

EIGHT = "ABCDEFGH"


def elementary(network: EntanglementNetwork) -> dict[tuple[str, str], int]:
    return {ends: link.successes for ends, link in network.links.items()}


# QuISP


@pytest.mark.parametrize("swap_order", ["sequential", "midpoint", "asap"])
def test_quisp_no_rule_set_runs_before_setup_is_complete_on_eight_nodes_with_mm_links(swap_order: str) -> None:
    network = network_of(
        chain(EIGHT),
        [{"pairs": 20, "memories": 2, "minimum_fidelity": 0.0}],
        trace=True,
        links={"model": "mm"},
        setup={"swap_order": swap_order},
    )
    run(network, 3.0)
    installed = milestones(network, "RuleSet installed")
    assert set(installed) == set(EIGHT)
    swaps = [hop for hop in network.hops or () if isinstance(hop.message, SwapResult | NewPartner)]
    assert {hop.source for hop in swaps} >= set(EIGHT[1:-1])
    armed = {(node, peer): milestones(network, f"armed towards {peer}").get(node) for node in EIGHT for peer in EIGHT}
    for hop in swaps:
        at = EIGHT.index(hop.source)
        waits = [
            installed[hop.source],
            *(armed[hop.source, EIGHT[there]] for there in (at - 1, at + 1) if 0 <= there < 8),
        ]
        assert all(when is not None and hop.sent > when for when in waits), "its links have switched before it swaps"
    assert (entry_of(network).pairs, entry_of(network).wrong_partner) == (20, 0)
    assert left_over(network) == []


def test_quisp_every_rejection_has_a_reason() -> None:
    asked = {"src": "Initiator", "dst": "Responder", "at_s": 0.03, "pairs": 10, "memories": 4}
    wanted = {
        "too many": {**asked, "id": "too many", "memories": 100},
        "too good": {**asked, "id": "too good", "memories": 2, "minimum_fidelity": 0.999},
        "too fast": {**asked, "id": "too fast", "at_s": 0.06, "memories": 2, "minimum_rate": 1e9},
        "in the way": {**asked, "id": "in the way", "memories": 8},
    }
    first = {"id": "first", "src": "Neighbour", "dst": "Responder", "pairs": 100_000, "memories": 6}
    scenario = qkdrmp.load_scenario("busy_repeater").replace(
        {"demand.connections": [first, *wanted.values()], "setup.retries": 0, "duration_s": 0.1}
    )
    results = qkdrmp.simulate(scenario, seed=1)
    reasons = results.connections.set_index("id").loc[list(wanted), "reason"]
    assert reasons.to_dict() == {
        "too many": "infeasible",
        "too good": "infeasible",
        "too fast": "infeasible",
        "in the way": "busy",
    }
    rejected = results.attempts[results.attempts["outcome"] != "installed"]
    assert len(rejected) == 4
    assert rejected["rejected_by"].notna().all()
    assert rejected["detail"].str.len().gt(0).all()
    assert "6 of 8 memories towards Repeater A are free, not 8" in set(rejected["detail"])


def test_quisp_every_message_says_for_which_connection_it_is() -> None:
    any_pairs = {"memories": 2, "minimum_fidelity": 0.0}
    asked = [{"id": "a", "pairs": 7, **any_pairs}, {"id": "b", "pairs": 11, **any_pairs}]
    network = network_of(chain("AXB"), asked, trace=True)  # between the same users, at the same time
    run(network, 1.0)
    for hop in network.hops or ():
        attempt = getattr(hop.message, "attempt", None)
        entries = getattr(hop.message, "next", ())
        assert attempt is not None or hasattr(hop.message, "link"), hop.message
        assert {one.connection for one in (attempt, *(entry.id for entry in entries)) if one is not None} <= {"a", "b"}
    assert Counter(pair.connection for pair in deliveries(network)) == {"a": 7, "b": 11}
    assert all(pair.right for pair in deliveries(network))


@pytest.mark.parametrize("nodes", ["AB", "AXB", EIGHT])
@pytest.mark.parametrize("model", ["mm", "mim", "msm"])
def test_quisp_a_perfect_network_makes_perfect_pairs(nodes: str, model: str) -> None:
    network = network_of(
        chain(nodes),
        [{"pairs": 10, "memories": 4, "minimum_fidelity": 0.0}],
        links={"model": model, "fidelity": 1.0},
        memories=FOR_EVER,
        gates=PERFECT,
    )
    run(network, 1.0)
    assert [pair.fidelity for pair in deliveries(network)] == pytest.approx([1.0] * 10, abs=1e-12)


# SeQUeNCe


def test_sequence_the_responder_purifies_no_longer_than_pairs_are_wanted() -> None:
    network = network_of(
        chain("AXB"),
        [{"pairs": 10, "memories": 8, "minimum_fidelity": 0.9}],
        trace=True,
        links={"fidelity": 0.93},
        memories={"per_interface": 8, **FOR_EVER},
    )
    run(network, 1.0)
    ended = entry_of(network).done
    assert ended is not None
    rounds = [hop for hop in network.hops or () if isinstance(hop.message, PurifyResult)]
    assert rounds, "it has to purify"
    over = milestones(network, "RuleSet terminated")
    assert all(hop.sent <= over[hop.source] for hop in rounds)
    assert left_over(network) == []
    pairs = sum(elementary(network).values())
    network.env.advance(2 * network.env.now)
    assert sum(elementary(network).values()) == pairs, "and no pairs are made any more"


@pytest.mark.parametrize("fidelity", [0.8, 0.95])
def test_sequence_fidelity_means_one_thing_for_new_swapped_and_estimated_pairs(fidelity: float) -> None:
    for nodes in ("AB", "AXB", "AXYB"):
        network = network_of(
            chain(nodes),
            [{"pairs": 10, "memories": 2, "minimum_fidelity": 0.0}],
            links={"fidelity": fidelity},
            memories=FOR_EVER,
            gates=PERFECT,
        )
        run(network, 1.0)
        expected = fidelity_of(werner(fidelity) ** (len(nodes) - 1))
        assert [pair.fidelity for pair in deliveries(network)] == pytest.approx([expected] * 10)
        assert [pair.estimated for pair in deliveries(network)] == pytest.approx([expected] * 10)


@pytest.mark.parametrize("seed", range(5))
def test_sequence_both_ends_purify_the_same_pairs(seed: int) -> None:
    raw = 0.9
    network = network_of(
        chain("AB"),
        [{"pairs": 30, "memories": 8, "minimum_fidelity": 0.92}],
        seed=seed,
        trace=True,
        links={"fidelity": raw},
        memories={"per_interface": 8, **FOR_EVER},
        gates=PERFECT,
    )
    run(network, 1.0)
    f, e = raw, (1 - raw) / 3
    once = (f * f + e * e) / (f * f + 2 * f * e + 5 * e * e)  # Bennett et al., PRL 76, 722 (1996)
    assert [pair.fidelity for pair in deliveries(network)] == pytest.approx([once] * 30)
    numbers = {
        node: [(hop.message.stage, hop.message.number) for hop in network.hops or () if _is_round(hop, node)]
        for node in "AB"
    }
    assert all(len(set(rounds)) == len(rounds) >= 30 for rounds in numbers.values()), "no round twice"
    assert set(numbers["A"]) ^ set(numbers["B"]) <= set(max(numbers.values(), key=len)[-8:]), "but for the last ones"


def _is_round(hop: Any, node: str) -> bool:
    return isinstance(hop.message, PurifyResult) and hop.source == node


# QuantumSavory


@pytest.mark.parametrize("swap_order", ["sequential", "asap"])
@pytest.mark.parametrize("seed", range(3))
def test_quantumsavory_no_pair_is_lost_track_of(swap_order: str, seed: int) -> None:
    network = network_of(
        chain("AXYB"),
        [{"pairs": 40, "memories": 4, "minimum_fidelity": 0.0}],
        seed=seed,
        links={"detector_efficiency": 0.5},
        memories={"per_interface": 4, "cutoff_s": 0.002},
        gates={"swap_success": 0.6},
        setup={"swap_order": swap_order},
    )
    run(network, 5.0)
    assert (entry_of(network).pairs, entry_of(network).wrong_partner) == (40, 0)
    assert left_over(network) == [], "every half of a pair that was not delivered has been discarded at both ends"
    for here, there in pairwise("AXYB"):  # both ends have counted each pair of their link
        ends = network.interfaces[here][there], network.interfaces[there][here]
        counts = [sum(end.pairs_by_attempt().values()) for end in ends]
        assert max(counts) <= elementary(network)[here, there]
        assert elementary(network)[here, there] - min(counts) <= 4  # heralded to a connection that was over


@pytest.mark.parametrize("swap_order", ["sequential", "midpoint", "asap"])
def test_quantumsavory_swaps_that_cross_do_not_wait_for_each_other(swap_order: str) -> None:
    # All links make their pairs at the same tick, so that X, Y and Z swap at once and their results cross.
    network = network_of(
        chain("AXYZB", classical_km=[20.0] * 4),
        [{"pairs": 50, "memories": 2, "minimum_fidelity": 0.0}],
        trace=True,
        links=CERTAIN,
        memories={"per_interface": 2},
        setup={"swap_order": swap_order},
    )
    run(network, 1.0)
    assert (entry_of(network).pairs, entry_of(network).wrong_partner) == (50, 0)
    if swap_order == "asap":
        swaps = Counter(hop.sent for hop in network.hops or () if isinstance(hop.message, NewPartner))
        assert max(swaps.values()) >= 4, "several nodes swap at the same tick"
    assert left_over(network) == []


def test_quantumsavory_swaps_of_two_connections_that_cross_do_not_wait_for_each_other() -> None:
    names = ["U1", "R1", "R2", "R3", "U2"]
    nodes = [Node(name, "end" if name[0] == "U" else "repeater") for name in names]
    there = {"src": "U1", "dst": "U2", "pairs": 30, "memories": 2, "minimum_fidelity": 0.0}
    back = {**there, "src": "U2", "dst": "U1"}
    scenario = make_scenario(
        {
            "kind": "entanglement",
            "topology": Topology("row", nodes, [Link(ends, 20.0, 0.0) for ends in pairwise(names)]),
            "duration_s": 1.0,
            "links": CERTAIN,
            "memories": {"per_interface": 4},
            "demand": {"model": "listed", "connections": [there, back]},
        }
    )
    results = qkdrmp.simulate(scenario, seed=1, check=True)
    assert results.connections["state"].tolist() == ["delivered"] * 2
    assert results.connections["wrong_partner"].sum() == 0
