"""Swaps as soon as possible: any two neighbouring pairs in any order, with partners followed by messages alone."""

from __future__ import annotations

import json
from math import sqrt
from typing import Any

import numpy as np
import pytest

from qkdrmp.entanglement.messages import Half, NewPartner
from qkdrmp.entanglement.rulesets.planner import compose
from qkdrmp.entanglement.rulesets.ruleset import RuleSetError, RuleSetStack
from qkdrmp.entanglement.rulesets.swap_tree import asap, midpoint
from tests.entanglement.runtime.test_session import ATTEMPT, Bench
from tests.entanglement.small_networks import (
    FOR_EVER,
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
from tests.entanglement.test_failing_swaps import P, slotted, waits

NAMES = ("A", "R1", "R2", "R3", "R4", "R5", "R6", "B")
KM = (20, 5, 12, 30, 7, 20, 9)


def names(links: int) -> tuple[str, ...]:
    return (*NAMES[:links], "B")


# RuleSets


def test_each_node_swaps_what_it_has_and_the_first_one_numbers_what_is_whole() -> None:
    stack = compose("c1", 1, asap(["A", "R", "S", "B"]), [0, 1, 0], 10)
    found = [(node, stage, f"{conditions} -> {actions}") for node, stage, _, conditions, actions in stack.in_words()]
    purify = "purify k by s (bbpssw), to stage 1"
    assert found == [
        ("A", 0, "a pair p with R -> promote p to stage 1"),
        ("A", 1, "a pair p towards R with B -> promote p to stage 2"),
        ("A", 2, "delivered >= 10 -> terminate"),
        ("A", 2, "a pair p with B -> deliver p"),
        ("R", 0, "a pair p with A -> promote p to stage 1"),
        ("R", 0, f"pairs k, s with S -> {purify}"),
        ("R", 1, "a pair l towards A, a pair r towards S -> swap l and r"),
        ("S", 0, f"pairs k, s with R -> {purify}"),
        ("S", 0, "a pair p with B -> promote p to stage 1"),
        ("S", 1, "a pair l towards R, a pair r towards B -> swap l and r"),
        ("B", 0, "a pair p with S -> promote p to stage 1"),
        ("B", 2, "delivered >= 10 -> terminate"),
        ("B", 2, "a pair p with A -> deliver p"),
    ]
    assert RuleSetStack.from_json(stack.to_json()) == stack


def test_with_two_links_there_is_nothing_to_choose() -> None:
    assert compose("c1", 1, asap("ARB"), [0, 1], 10) == compose("c1", 1, midpoint("ARB"), [0, 1], 10)


L, R, X = ({"towards": {"neighbour": node, "as": name}} for node, name in (("R", "l"), ("S", "r"), ("X", "r")))
WITH_B = {"towards": {"neighbour": "R", "partner": "B", "as": "l"}}


@pytest.mark.parametrize(
    ("conditions", "action", "said"),
    [
        (
            [L, R],
            {"swap": {"left": "l", "right": "r", "to": 1}},
            "swap.to must be there, unless both pairs are of towards",
        ),
        (
            [L, X],
            {"swap": {"left": "l", "right": "r"}},
            "towards.neighbour = 'X' must be another node of the path (A, R, S, B)",
        ),
        ([L], {"promote": {"pair": "l", "to": 1}}, "towards.partner must be there to promote 'l'"),
        ([L], {"deliver": {"pair": "l"}}, "deliver cannot be of a pair of towards, such as 'l'"),
    ],
)
def test_wrong_rules_are_refused(conditions: list[Any], action: dict[str, Any], said: str) -> None:
    assert problems({"if": conditions, "do": [action]}) == [f"rulesets.Q, stage 0, rule 1: {said}"]


def test_rules_for_a_neighbour_wait_for_the_same_partner() -> None:
    free = {"free": {"pair": "l"}}
    [said] = problems({"if": [L], "do": [free]}, {"if": [WITH_B], "do": [free]})
    assert said == "rulesets.Q, stage 0: towards.partner must be the same in all rules for the neighbour 'R'"


def problems(*rules: dict[str, Any]) -> list[str]:
    rulesets = {"Q": [{"stage": 0, "rules": rules}]}
    with pytest.raises(RuleSetError) as caught:
        RuleSetStack.from_json(json.dumps({"connection": "c1", "path": list("ARQSB"), "rulesets": rulesets}))
    return str(caught.value).splitlines()


# Messages that cross, by hand: A - R - S - B, where R and S swap before either hears of the other


def swapper(name: str, left: str, right: str) -> Bench:
    pairs = [{"towards": {"neighbour": left, "as": "l"}}, {"towards": {"neighbour": right, "as": "r"}}]
    rule = {"if": pairs, "do": [{"swap": {"left": "l", "right": "r"}}]}
    return Bench(name, (0, rule), path=("A", "R", "S", "B"))


def test_two_swaps_at_once_find_their_ends() -> None:
    r, s = swapper("R", "A", "S"), swapper("S", "R", "B")
    for bench, (left, right) in ((r, "AS"), (s, "RB")):
        bench.arrive(left, 0)
        bench.arrive(right, 0)
    one = (1.0, 1.0, 1.0)
    ra, rs, sr, sb = Half("R", "A", 0), Half("R", "S", 0), Half("S", "R", 0), Half("S", "B", 0)
    a, b = Half("A", "R", 0), Half("B", "S", 0)

    def message(half: Half, before: Half, after: Half | None) -> tuple[str, NewPartner]:
        return half.node, NewPartner(ATTEMPT, 0, half, before, after, pytest.approx(one))

    assert r.wire.sent == [message(a, ra, sr), message(sr, rs, a)]
    assert s.wire.sent == [message(rs, sr, b), message(b, sb, rs)]
    r.session.take(s.wire.sent[0][1])
    s.session.take(r.wire.sent[1][1])
    assert r.wire.sent[2:] == [message(b, rs, a)]
    assert s.wire.sent[2:] == [message(a, sr, b)]

    # At A these two come in the wrong order, and its half later than both.
    wanted = {"towards": {"neighbour": "R", "partner": "B", "as": "p"}}
    end = Bench("A", (0, {"if": [wanted], "do": [{"promote": {"pair": "p", "to": 1}}]}), path=("A", "R", "S", "B"))
    for _, one_of_two in (s.wire.sent[2], r.wire.sent[0]):
        end.session.take(one_of_two)
    assert end.wire.sent == []
    end.arrive("R", 0)
    number = NewPartner(ATTEMPT, 0, b, a, a, pytest.approx(one), to=1, number=0)
    assert end.wire.sent == [("B", number)]

    # B follows nobody: it takes the number that A gives, and delivers.
    given = {"if": [{"res": {"partner": "A", "n": 1, "as": ["p"]}}], "do": [{"deliver": {"pair": "p"}}]}
    last = Bench("B", (1, given), path=("A", "R", "S", "B"))
    last.session.take(end.wire.sent[0][1])
    last.arrive("S", 0)
    assert last.names == [0]


def test_a_half_that_is_lost_while_its_partner_is_swapped_takes_the_new_partner_with_it() -> None:
    # S has swapped its half of R-S with B's when R loses its own: B's half has no partner any more.
    r = swapper("R", "A", "S")
    there = r.arrive("S", 0)
    r.session.take(NewPartner(ATTEMPT, 0, Half("R", "S", 0), Half("S", "R", 0), None, (0.0,) * 3))
    assert there.partner is None
    assert r.share.released == 1
    b = Half("B", "S", 0)
    r.session.take(NewPartner(ATTEMPT, 0, Half("R", "S", 0), Half("S", "R", 0), b, (1.0,) * 3))
    assert [(target, message.half, message.after) for target, message in r.wire.sent] == [
        ("S", Half("S", "R", 0), None),
        ("B", b, None),
    ]


# Networks


def test_three_links_wait_for_the_slowest() -> None:
    # Each link has one memory, and nothing is free before all three have a pair: the longest of three geometric times.
    network = slotted("ARSB", 1.0, setup={"processing_s": 0.0, "swap_order": "asap"})
    run(network, 10.0)
    q = 1 - P
    longest = 3 / (1 - q) - 3 / (1 - q**2) + 1 / (1 - q**3)
    found = waits(network)
    assert found.mean() == pytest.approx(longest, abs=3 * found.std() / sqrt(len(found)))
    assert np.mean([pair.fidelity for pair in deliveries(network)]) == pytest.approx(fidelity_of(werner(0.95) ** 3))


@pytest.mark.parametrize("links", [3, 4, 5, 7])
def test_chains_have_the_product_of_the_werner_parameters(links: int) -> None:
    network = network_of(
        chain(names(links), loss=0.2),
        [{"memories": 3, "pairs": 50, "minimum_fidelity": 0.3}],
        memories=FOR_EVER,
        gates=PERFECT,
        setup={"swap_order": "asap"},
    )
    run(network, 2)
    expected = fidelity_of(werner(0.98) ** links)
    assert [pair.fidelity for pair in deliveries(network)] == pytest.approx([expected] * 50)
    assert left_over(network) == []


FAULTS = {"loss": 0.2, "duplication": 0.2, "extra_delay_s": 5e-4}


@pytest.mark.parametrize("swap_success", [1.0, 0.85])
@pytest.mark.parametrize("cutoff_s", [None, 6e-4])
@pytest.mark.parametrize("faults", [{}, FAULTS], ids=["", "faults"])
def test_whatever_is_lost_both_ends_have_the_same_pairs_and_know_how_good_they_are(
    swap_success: float, cutoff_s: float | None, faults: dict[str, float]
) -> None:
    # What the ends estimate is what is true, so every message has found whom it was about, in whichever order it came.
    for seed, model in ((1, "mm"), (2, "mim")):
        network = network_of(
            chain(names(7), KM, loss=0.2),
            [{"pairs": 40, "memories": 3, "minimum_fidelity": 0.3}],
            seed=seed,
            links={"fidelity": 0.99, "model": model},
            memories={"cutoff_s": cutoff_s},
            gates={"swap_success": swap_success},
            setup={"swap_order": "asap"},
            faults=faults,
        )
        run(network, 20.0)
        assert (entry_of(network).state, entry_of(network).pairs) == ("delivered", 40)
        assert entry_of(network).wrong_partner == 0
        assert [pair.estimated for pair in deliveries(network)] == pytest.approx(
            [pair.fidelity for pair in deliveries(network)]
        )
        assert left_over(network) == []
