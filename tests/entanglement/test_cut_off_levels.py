"""Cut-offs by level of the swap tree, with spans that begin again: by hand, and the published numbers of chains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import e, hypot, sqrt
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import qkdrmp
from qkdrmp.entanglement.messages import Discarded, Restart, SwapResult
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.quantum.pairs import Device
from qkdrmp.entanglement.results.tables import EntanglementResults
from qkdrmp.entanglement.rulesets.planner import compose
from qkdrmp.entanglement.rulesets.ruleset import RuleSetError, RuleSetStack
from qkdrmp.entanglement.rulesets.swap_tree import asap, midpoint, sequential
from qkdrmp.errors import QKDRMPError
from tests.entanglement.runtime.test_session import ATTEMPT, DEVICE, MS, Bench, res, rule
from tests.entanglement.small_networks import (
    PERFECT,
    chain,
    deliveries,
    entry_of,
    fidelity_of,
    left_over,
    network_of,
    run,
    werner,
)
from tests.entanglement.test_cut_off import COHERENCE, SLOT_S, W0, P, secret_fraction
from tests.entanglement.test_failing_swaps import one_in_ten, waits

Array = np.ndarray[Any, Any]

# Levels


def results_of(nodes: str = "AQRSB", inside: str = "", **sections: Any) -> EntanglementResults:
    """Return what a connection over a chain gets that has all memories of it."""
    asked = {"src": "A", "dst": "B", "pairs": 300, "memories": 3, "minimum_fidelity": 0.5, "minimum_rate": 1.0}
    raw = {
        "kind": "entanglement",
        "topology": chain(nodes, loss=0.2, networks=dict.fromkeys(inside, "N")),
        "duration_s": 5.0,
        "memories": {"per_interface": 3, **sections.pop("memories")},
        "demand": {"model": "listed", "connections": [asked]},
        "layers": {"nested": ["N"] if inside else []},
        **sections,
    }
    results = qkdrmp.simulate(qkdrmp.make_scenario(raw), record=["messages"], check=True)
    assert list(results.connections["state"]) == ["delivered"]
    return results


@pytest.mark.parametrize(
    ("order", "cutoffs", "nodes"),
    [
        ("midpoint", [2e-4, 1.0], "QS"),
        ("midpoint", [1.0, 2e-4], "R"),
        ("sequential", [2e-4, 1.0, 1.0], "Q"),
        ("sequential", [1.0, 1.0, 2e-4], "S"),
        ("sequential", [1.0, 2e-4], "RS"),
        ("sequential", [2e-4], "QRS"),
    ],
)
def test_a_cut_off_by_level_is_one_of_the_nodes_that_swap_there(order: str, cutoffs: list[float], nodes: str) -> None:
    by_level = results_of(memories={"cutoff_s": cutoffs}, setup={"swap_order": order})
    messages = by_level.messages
    assert {*messages[messages["message"] == "DISCARDED"]["source"]} == {*nodes}
    at = [{"node": node, "cutoff_s": 2e-4 if node in nodes else 1.0} for node in "QRS"]
    by_node = results_of(memories={"at": at}, setup={"swap_order": order})
    pd.testing.assert_frame_equal(by_level.connections, by_node.connections)  # with what was promised


def test_purification_does_not_change_levels() -> None:
    stack = compose("c1", 1, midpoint("AQRSB"), [2, 1, 0, 2], 10, with_levels=True)
    said = {one.node: one.actions for one in stack.in_words() if one.actions.startswith("swap")}
    assert said == {
        "Q": "swap l and r, to stage 3, at level 1",
        "R": "swap l and r, to stage 4, at level 2",
        "S": "swap l and r, to stage 3, at level 1",
    }
    assert RuleSetStack.from_json(stack.to_json()) == stack


def test_without_several_cut_offs_rulesets_say_nothing_of_levels() -> None:
    assert "level" not in compose("c1", 1, sequential("AQRSB"), [0] * 4, 10).to_json()


def test_a_promise_knows_the_cut_off_of_a_border_also_for_pairs_of_the_network() -> None:
    [row] = results_of(
        "APQRB", "PQR", memories={"cutoff_s": [3e-4]}, gates={"swap_success": 0.9}
    ).connections.itertuples()
    assert row.rate_hz > 0.95 * row.predicted_rate_hz > 0.95 * row.promised_rate_hz > 0


def test_higher_levels_have_the_last_cut_off() -> None:
    device = Device(DEVICE.memory, cutoffs=(3, 5))
    assert [device.cutoff(level) for level in (1, 2, 3, 9)] == [3, 5, 5, 5]
    assert DEVICE.cutoff(1) is None


ASAP = {"setup": {"swap_order": "asap"}}
NO_LEVELS = 'must be one time, because there are no levels with setup.swap_order = "asap"'


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {**ASAP, "memories": {"cutoff_s": [0.1, 0.2]}},
            f"memories.cutoff_s = [0.1, 0.2] {NO_LEVELS}",
        ),
        (
            {**ASAP, "memories": {"at": [{"node": "R", "cutoff_s": [0.1]}]}},
            f"memories.cutoff_s = [0.1] {NO_LEVELS}",
        ),
        (
            {"memories": {"cutoff_s": [0.1, -0.2]}},
            "memories.cutoff_s = [0.1, -0.2] must be greater than 0, or a list of such times by level of the swap tree",
        ),
        (
            {"setup": {"swap_order": "asap", "spans_restart": True}},
            'setup.spans_restart = true must not be set with swap_order = "asap", which has no spans',
        ),
        (
            {"setup": {"at": [{"node": "R", "spans_restart": True}]}},
            "setup.at, entry 1: spans_restart cannot be set for a single node",
        ),
    ],
)
def test_what_has_no_levels_is_refused(sections: dict[str, Any], said: str) -> None:
    with pytest.raises(QKDRMPError) as caught:
        qkdrmp.make_scenario({"kind": "entanglement", "topology": chain("ARSB"), "duration_s": 1.0, **sections})
    assert said in str(caught.value)


# Spans that begin again, by hand


def swapping(name: str, left: str, right: str, **bench: Any) -> Bench:
    swap = {"swap": {"left": "l", "right": "r", "to": 1, "restart": True}}
    return Bench(name, (0, rule([res(left, "l"), res(right, "r")], swap)), path=tuple("AQRSTB"), **bench)


@pytest.mark.parametrize("swap_success", [1.0, 0.5])
def test_after_a_swap_the_nodes_between_are_informed_once_all_heralds_have_come(swap_success: float) -> None:
    bench = swapping("R", "A", "B", swap_success=swap_success)  # the swap fails, as 0.9 is drawn
    bench.arrive("A", 0)
    bench.arrive("A", 1)
    bench.arrive("B", 0)
    assert {type(message) for _, message in bench.wire.sent} == {SwapResult}
    bench.arrive("A", 2)
    bench.env.advance(1)
    towards_b = Restart(ATTEMPT, ("R", "S", "T", "B"))
    assert bench.wire.sent[2:] == [
        ("Q", Restart(ATTEMPT, ("R", "Q", "A"))),
        ("A", Discarded(ATTEMPT, "R", 0, 1)),
        ("A", Discarded(ATTEMPT, "R", 0, 2)),
        ("S", towards_b),
        ("T", towards_b),
    ]
    assert towards_b.label == "to B"


def test_a_node_within_a_span_discards_what_waits_for_a_swap_there_and_nothing_else() -> None:
    bench = swapping("Q", "A", "R")
    for partner, numbers in (("A", (0, 2)), ("R", (1,)), ("B", (5,))):
        for number in numbers:
            bench.arrive(partner, number)
    bench.session.take(Restart(ATTEMPT, ("R", "Q", "A")))
    assert bench.wire.sent == [
        ("A", Discarded(ATTEMPT, "Q", 0, 0)),
        ("A", Discarded(ATTEMPT, "Q", 0, 2)),
        ("R", Discarded(ATTEMPT, "Q", 0, 1)),
    ]
    assert bench.share.released == 3
    # What comes later has later numbers; 1 of A and 0 of R were never here, and may come yet.
    bench.arrive("A", 1)
    bench.arrive("R", 0)
    assert [message.number for _, message in bench.wire.sent[3:]] == [1, 0]


def test_a_session_that_is_stopped_lets_nothing_begin_again() -> None:
    bench = swapping("R", "A", "B")
    bench.arrive("A", 0)
    bench.arrive("B", 0)
    bench.session.stop()
    bench.env.advance(MS)
    assert {type(message) for _, message in bench.wire.sent} == {SwapResult}


def test_rules_for_pairs_of_towards_have_no_spans() -> None:
    pairs = [{"towards": {"neighbour": "A", "as": "l"}}, {"towards": {"neighbour": "B", "as": "r"}}]
    rules = [rule(pairs, {"swap": {"left": "l", "right": "r", "restart": True}})]
    stack = {"connection": "c1", "path": list("ARB"), "rulesets": {"R": [{"stage": 0, "rules": rules}]}}
    with pytest.raises(RuleSetError, match=r"swap\.level and swap\.restart must not be there with pairs of towards"):
        RuleSetStack.from_json(json.dumps(stack))
    whole = compose("c1", 1, asap("AQRSB"), [0] * 4, 10, with_levels=True, restart=True)
    assert "restart" not in whole.to_json()


def test_spans_that_begin_again_leave_nothing_behind() -> None:
    network = network_of(
        chain("AQRSB", loss=0.2),
        [{"pairs": 100, "memories": 3, "minimum_fidelity": 0.5}],
        trace=True,
        memories={"cutoff_s": [3e-4, 1e-3]},
        gates={"swap_success": 0.7},
        setup={"spans_restart": True},
    )
    run(network, 5.0)
    informed = {(hop.source, hop.target) for hop in network.hops or () if isinstance(hop.message, Restart)}
    assert informed == {("R", "Q"), ("R", "S")}
    assert entry_of(network).state == "delivered"
    assert left_over(network) == []


# The exact law: Li, Coopmans and Elkouss, arXiv:2005.04946
#
# Both spans of a swap begin at the same time. If the later one comes more than a cut-off after the earlier one, or if
# the swap fails, both begin again; otherwise the earlier one has waited for the later one.

SWAP_SUCCESS = 0.5
CUTOFFS = (16, 31, 55)
TRUNCATED = 3000


class Law(NamedTuple):
    """By slots: the probability that a pair takes so many, and the mean Werner parameter of one that does, times it."""

    probability: Array
    parameter: Array

    @property
    def within(self) -> float:
        """The probability that is within the slots."""
        return float(self.probability.sum())

    @property
    def slots(self) -> float:
        """The mean of those within."""
        return float((np.arange(len(self.probability)) * self.probability).sum() / self.within)

    @property
    def mean_parameter(self) -> float:
        """The mean Werner parameter of those within."""
        return float(self.parameter.sum() / self.within)

    @property
    def secret_rate(self) -> float:
        """Secret key per slot, as the authors count it."""
        return secret_rate(self.within, self.slots, self.mean_parameter)


def secret_rate(within: float, slots: float, parameter: float) -> float:
    """Return that where what takes longer is a loss of all slots, by their program with entropies in nats."""
    return secret_fraction(parameter, e) / (slots + (1 / within - 1) * TRUNCATED)


def of_link(slots: int) -> Law:
    number = np.arange(slots)
    probability = np.where(number > 0, P * (1 - P) ** (number - 1.0), 0.0)
    return Law(probability, W0 * probability)


def swapped(one: Law, cutoff: int | None) -> Law:
    """Return the law of a pair that is swapped from two of the same law."""
    slots = len(one.probability)
    met, parameter, lost = np.zeros((3, slots))
    for behind in range(slots if cutoff is None else cutoff + 1):
        ways = 1 if behind == 0 else 2
        early = slice(0, slots - behind)
        met[behind:] += ways * one.probability[early] * one.probability[behind:]
        both = one.parameter[early] * one.parameter[behind:]
        parameter[behind:] += ways * both * np.exp(-behind / COHERENCE)
    if cutoff is not None:
        later = 1 - np.cumsum(one.probability)
        lost[cutoff:] = 2 * one.probability[: slots - cutoff] * later[cutoff:]
    again = lost + (1 - SWAP_SUCCESS) * met
    return Law(after_failures(SWAP_SUCCESS * met, again), after_failures(SWAP_SUCCESS * parameter, again))


def after_failures(last: Array, again: Array) -> Array:
    """Return what takes any number of failed tries before the last one: the solution of x = last + again * x."""
    found = last.copy()
    for slot in range(1, len(last)):
        found[slot] += again[slot:0:-1] @ found[:slot]
    return found


def law_of(cutoffs: Sequence[int | None], slots: int = TRUNCATED) -> Law:
    law = of_link(slots)
    for cutoff in cutoffs:
        law = swapped(law, cutoff)
    return law


def test_the_published_numbers_of_eight_links_are_exact() -> None:
    law = law_of(CUTOFFS)
    assert (law.within, law.slots, law.mean_parameter) == pytest.approx((0.9986, 467.83, 0.70703), rel=3e-5)
    assert law.secret_rate == pytest.approx(3.5355e-4, abs=5e-9)
    assert secret_fraction(law.mean_parameter) < 0  # in bits there is none


def test_without_levels_the_law_is_that_of_two_links() -> None:
    assert law_of([None]).slots == pytest.approx((3 - 2 * P) / (P * (2 - P)) / SWAP_SUCCESS)


# Simulated


def simulated(links: int, cutoffs: Sequence[int] | None, seconds: float, seed: int = 1) -> EntanglementNetwork:
    halves_s = 2 * COHERENCE * SLOT_S
    network = network_of(
        chain("ABCDEFGHI"[: links + 1], classical_km=[1e-9] * links),
        seed=seed,
        links={"model": one_in_ten, "fidelity": fidelity_of(W0 * np.exp(1 / COHERENCE))},
        memories={
            "t1_s": halves_s,
            "t2_s": halves_s,
            "per_interface": 1,
            "cutoff_s": None if cutoffs is None else [cutoff * SLOT_S for cutoff in cutoffs],
        },
        gates={**PERFECT, "swap_success": SWAP_SUCCESS},
        setup={"processing_s": 0.0, "spans_restart": True},
    )
    run(network, seconds)
    assert entry_of(network).wrong_partner == 0
    return network


Sample = tuple[Array, Array]
"""Slots from pair to pair, and Werner parameters of the later ones."""


def sample(network: EntanglementNetwork) -> Sample:
    return waits(network), np.array([werner(pair.fidelity) for pair in deliveries(network)[1:]])


def check(law: Law, samples: Sequence[Sample], within: float) -> None:
    """Check both means and the secret rate, each within three standard errors, and those within a share of it."""
    slots, parameters = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    kept = slots < len(law.probability)
    found = [float(one[kept].mean()) for one in (slots, parameters)]
    errors = [float(np.std(one[kept])) / sqrt(kept.sum()) for one in (slots, parameters)]
    more = secret_rate(law.within, law.slots, law.mean_parameter + errors[1]) / law.secret_rate - 1
    errors.append(law.secret_rate * hypot(errors[0] / law.slots, more))
    found.append(secret_rate(float(kept.mean()), *found))
    for one, expected, error in zip(found, (law.slots, law.mean_parameter, law.secret_rate), errors, strict=True):
        assert 3 * error / expected < within
        assert one == pytest.approx(expected, abs=3 * error)
    rare = max(0.0, 1 - law.within)
    assert 1 - kept.mean() == pytest.approx(rare, abs=3 * sqrt((rare + 1 / len(slots)) / len(slots)))


CHAINS = [(2, CUTOFFS[:1]), (4, None), (4, CUTOFFS[:2]), (8, CUTOFFS)]


def levels(links: int, cutoffs: Sequence[int] | None) -> Sequence[int | None]:
    return [None] * (links.bit_length() - 1) if cutoffs is None else cutoffs


@pytest.mark.parametrize(("links", "cutoffs"), CHAINS)
def test_chains_have_the_exact_numbers(links: int, cutoffs: Sequence[int] | None) -> None:
    seconds = {2: 4.0, 4: 6.0, 8: 20.0}[links]
    check(law_of(levels(links, cutoffs)), [sample(simulated(links, cutoffs, seconds))], within=0.2)


@pytest.mark.slow
@pytest.mark.parametrize(("links", "cutoffs"), CHAINS)
def test_chains_have_the_exact_numbers_within_a_percent(links: int, cutoffs: Sequence[int] | None) -> None:
    law = law_of(levels(links, cutoffs))
    seconds = 1.1e5 * law.slots * SLOT_S / 8
    check(law, [sample(simulated(links, cutoffs, seconds, seed)) for seed in range(2, 10)], within=0.01)


# What is predicted


def predicted(quota: int, **sections: Any) -> list[str]:
    """Return what is predicted for a connection over four links of which a trial takes 0.1 ms."""
    asked = {"src": "A", "dst": "B", "pairs": 300, "memories": quota}
    raw = {"kind": "entanglement", "topology": chain("AQRSB"), "duration_s": 5.0}
    return qkdrmp.predict(
        qkdrmp.make_scenario({**raw, "demand": {"model": "listed", "connections": [asked]}, **sections})
    )


@pytest.mark.parametrize(("quota", "restart", "said"), [(1, True, False), (2, True, True), (2, False, False)])
def test_it_is_predicted_that_spans_that_restart_waste_what_waits_in_other_memories(
    quota: int, restart: bool, said: bool
) -> None:
    sentence = (
        "connections from A to B have 2 memories at every interface, but with setup.spans_restart each swap discards "
        "the pairs that wait in the others"
    )
    assert predicted(quota, setup={"spans_restart": restart}) == [sentence] * said


@pytest.mark.parametrize(
    ("section", "nodes"),
    [
        ({"cutoff_s": 9e-5}, "Q, R, S"),
        ({"cutoff_s": [1e-5, 9e-5]}, "Q, R, S"),
        ({"cutoff_s": [1e-5, 1e-4]}, ""),
        ({"cutoff_s": 1e-4}, ""),
        ({"at": [{"node": "R", "cutoff_s": 9e-5}, {"node": "B", "cutoff_s": 1e-9}]}, "R"),
        ({"at": [{"link": ["R", "S"], "cutoff_s": 9e-5}]}, ""),
    ],
)
def test_it_is_predicted_that_a_cut_off_ends_before_the_next_trial(section: dict[str, Any], nodes: str) -> None:
    sentence = (
        "a cut-off of 9e-05 s (memories.cutoff_s) ends before the next trial of a link, which takes 0.0001 s, so that "
        f"only pairs that come at about the same time are swapped at these nodes: {nodes}"
    )
    assert predicted(1, memories=section) == [sentence] * bool(nodes)


def test_pairs_that_come_at_the_same_time_are_swapped_in_spite_of_a_cut_off_that_is_shorter_than_a_trial() -> None:
    short = {"cutoff_s": 1e-6}
    even, uneven = (
        run(network_of(chain("ARB", lengths), [{"memories": 1}], memories=short), 0.1)
        for lengths in (20.0, [20.0, 20.5])
    )
    assert len(deliveries(even)) > 10 * len(deliveries(uneven))
