"""Planning: RuleSets that, executed, deliver the asked pairs end to end, at the fidelity and cost of closed forms."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qkdrmp.entanglement.quantum.bell_diagonal import Memory
from qkdrmp.entanglement.rulesets import planner
from qkdrmp.entanglement.rulesets.language import (
    OPERATORS,
    Count,
    Deliver,
    Handover,
    Promote,
    Purify,
    Res,
    Rule,
    Swap,
    Terminate,
)
from qkdrmp.entanglement.rulesets.link_budget import Infeasible, NoisyPhysics, Physics, QCap, bbpssw, werner
from qkdrmp.entanglement.rulesets.plan_request import PlanRequest
from qkdrmp.entanglement.rulesets.planner import ConnectionPlan, compose, null_stack
from qkdrmp.entanglement.rulesets.purification import Purification, PurificationProtocol
from qkdrmp.entanglement.rulesets.ruleset import RuleSetStack
from qkdrmp.entanglement.rulesets.swap_tree import Span, SwapOrder, joined, midpoint, sequential


def plan(connection: str, attempt: int, qcaps: Sequence[QCap], *asked: Any, **more: Any) -> ConnectionPlan:
    return planner.plan(PlanRequest(connection, attempt, tuple(qcaps), *asked, **more))


fixed = settings(derandomize=True, deadline=None, database=None)

EXAMPLE = {
    "R": [
        {
            "stage": 0,
            "rules": [
                {
                    "if": [{"res": {"partner": partner, "n": 2, "as": ["k", "s"]}}],
                    "do": [{"purify": {"keep": "k", "sacrifice": "s", "protocol": "bbpssw", "to": 1}}],
                }
                for partner in "AB"
            ],
        },
        {
            "stage": 1,
            "rules": [
                {
                    "if": [
                        {"res": {"partner": "A", "n": 1, "as": ["l"]}},
                        {"res": {"partner": "B", "n": 1, "as": ["r"]}},
                    ],
                    "do": [{"swap": {"left": "l", "right": "r", "to": 2}}],
                }
            ],
        },
    ],
    "A": [
        {
            "stage": 0,
            "rules": [
                {
                    "if": [{"res": {"partner": "R", "n": 2, "as": ["k", "s"]}}],
                    "do": [{"purify": {"keep": "k", "sacrifice": "s", "protocol": "bbpssw", "to": 1}}],
                }
            ],
        },
        {
            "stage": 2,
            "rules": [
                {"if": [{"count": {"name": "delivered", "op": ">=", "value": 100}}], "do": [{"terminate": {}}]},
                {"if": [{"res": {"partner": "B", "n": 1, "as": ["p"]}}], "do": [{"deliver": {"pair": "p"}}]},
            ],
        },
    ],
}


def names(count: int) -> list[str]:
    return [f"N{number}" for number in range(count)]


def chain(*fidelities: float, rate: float = 100.0, memories: int = 4) -> list[QCap]:
    links = [QCap(f"N{i}", rate, fidelity, free_memories=memories) for i, fidelity in enumerate(fidelities, start=1)]
    return [QCap("N0", free_memories=memories), *links]


def rounds_of(planned: ConnectionPlan) -> tuple[int, ...]:
    return tuple(link.rounds for link in planned.links)


# A world that executes a stack symbolically: no time, no loss, links make pairs on demand, purification succeeds.


@dataclass(eq=False)
class Pair:
    ends: set[str]
    raw: int = 1
    """How many link pairs went into it."""


@dataclass(eq=False)
class Half:
    """What a node knows about its half of a pair."""

    pair: Pair
    partner: str
    number: int
    stage: int = 0


@dataclass
class World:
    stack: RuleSetStack
    order: random.Random
    halves: dict[str, list[Half]] = field(default_factory=dict)
    begun: dict[frozenset[Pair], Half] = field(default_factory=dict)
    delivered: dict[str, list[Pair]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.halves = {node: [] for node in self.stack.path}
        self.delivered = {node: [] for node in self.stack.path}

    @property
    def ends(self) -> tuple[str, str]:
        return self.stack.path[0], self.stack.path[-1]

    def run(self) -> None:
        for _ in range(10_000):
            while self.fire_one():
                pass
            if self.ended == set(self.ends):
                return
            left, right = self.order.choice(list(itertools.pairwise(self.stack.path)))
            self.share(left, right, 0, Pair({left, right}))
        raise AssertionError("the connection never ends")

    def share(self, left: str, right: str, stage: int, pair: Pair) -> None:
        number = next(self.numbers)
        self.halves[left].append(Half(pair, right, number, stage))
        self.halves[right].append(Half(pair, left, number, stage))

    def fire_one(self) -> bool:
        nodes = [node for node in self.stack.path if node not in self.ended]
        self.order.shuffle(nodes)
        return any(self.fire_at(node) for node in nodes)

    def fire_at(self, node: str) -> bool:
        """Fire the first rule of a node that can, looking from its first rule on."""
        for stage in self.stack.rulesets[node]:
            for rule in stage.rules:
                bound = self.bind(node, stage.number, rule)
                if bound is not None:
                    for action in rule.actions:
                        self.act(node, action, bound)
                    return True
        return False

    def bind(self, node: str, stage: int, rule: Rule) -> dict[str, Half] | None:
        bound: dict[str, Half] = {}
        for condition in rule.conditions:
            match condition:
                case Count(name="delivered"):
                    if not OPERATORS[condition.op](len(self.delivered[node]), condition.value):
                        return None
                case Res():
                    mine = [h for h in self.halves[node] if (h.partner, h.stage) == (condition.partner, stage)]
                    mine.sort(key=lambda half: half.number)
                    if len(mine) < condition.n:
                        return None
                    bound |= zip(condition.names, mine, strict=False)
                case _:
                    raise AssertionError(condition)
        return bound

    def act(self, node: str, action: object, bound: dict[str, Half]) -> None:
        match action:
            case Promote():
                bound[action.pair].stage = action.to
            case Purify():
                self.purify(node, bound[action.keep], bound[action.sacrifice], action.to)
            case Swap():
                self.swap(node, bound[action.left], bound[action.right], action.to)
            case Deliver():
                half = bound[action.pair]
                self.halves[node].remove(half)
                assert half.pair.ends == {node, half.partner} == set(self.ends)
                self.delivered[node].append(half.pair)
            case Terminate():
                self.ended.add(node)
            case _:
                raise AssertionError(action)

    def purify(self, node: str, keep: Half, sacrifice: Half, to: int) -> None:
        """Measure at one end; when the other has done so, with the same pairs, both halves go on."""
        assert keep.pair.ends == sacrifice.pair.ends == {node, keep.partner}
        self.halves[node].remove(keep)
        self.halves[node].remove(sacrifice)
        both = frozenset((keep.pair, sacrifice.pair))
        other = self.begun.pop(both, None)
        if other is None:
            self.begun[both] = keep
            return
        assert other.pair is keep.pair
        keep.pair.raw += sacrifice.pair.raw
        for half, at in ((keep, node), (other, keep.partner)):
            half.stage = to
            self.halves[at].append(half)

    def swap(self, node: str, left: Half, right: Half, to: int) -> None:
        assert left.pair.ends == {node, left.partner}
        assert right.pair.ends == {node, right.partner}
        for half in (left, right):
            self.halves[node].remove(half)
            self.halves[half.partner] = [h for h in self.halves[half.partner] if h.pair is not half.pair]
        pair = Pair({left.partner, right.partner}, left.pair.raw + right.pair.raw)
        self.share(left.partner, right.partner, to, pair)


@pytest.mark.parametrize("swap_order", [midpoint, sequential])
@pytest.mark.parametrize("nodes", range(2, 10))
@pytest.mark.parametrize("rounds", range(4))
def test_both_ends_deliver_the_need_end_to_end(swap_order: SwapOrder, nodes: int, rounds: int) -> None:
    check_delivery(swap_order(names(nodes)), [rounds] * (nodes - 1), need=3, seed=nodes)


def check_delivery(
    tree: Span, rounds: Sequence[int] | Purification, need: int, seed: int, raw: int | None = None
) -> None:
    stack = compose("c", 1, tree, rounds, need)
    world = World(stack, random.Random(seed))
    world.run()
    first, last = world.ends
    assert len(world.delivered[first]) == need
    assert world.delivered[first] == world.delivered[last]
    plain = rounds.links if isinstance(rounds, Purification) else rounds
    assert {pair.raw for pair in world.delivered[first]} == {raw or sum(2**number for number in plain)}


@st.composite
def trees(draw: st.DrawFn, path: Sequence[str]) -> Span:
    if len(path) == 2:
        return Span(path[0], path[1])
    at = draw(st.integers(1, len(path) - 2))
    return joined(draw(trees(path[: at + 1])), draw(trees(path[at:])))


@fixed
@given(st.data(), st.integers(2, 9), st.integers(1, 4), st.integers())
def test_any_tree_with_any_rounds_delivers(data: st.DataObject, nodes: int, need: int, seed: int) -> None:
    tree = data.draw(trees(names(nodes)))
    rounds = data.draw(st.lists(st.integers(0, 3), min_size=nodes - 1, max_size=nodes - 1))
    check_delivery(tree, rounds, need, seed)


def raw_pairs(span: Span, purification: Purification) -> int:
    """Return how many pairs of links a pair of a span takes if no round fails."""
    if not span.halves:
        return 2 ** purification.links[0]
    return 2 ** purification.after(span.height) * sum(raw_pairs(half, purification) for half in span.halves)


@fixed
@given(st.data(), st.integers(2, 6), st.integers(0, 1), st.sampled_from(["bbpssw", "dejmps"]), st.integers())
def test_any_tree_purified_after_its_swaps_delivers(
    data: st.DataObject, nodes: int, rounds: int, protocol: PurificationProtocol, seed: int
) -> None:
    tree = data.draw(trees(names(nodes)))
    heights = tuple(data.draw(st.lists(st.integers(0, 2), max_size=tree.height)))
    purification = Purification((rounds,) * (nodes - 1), heights, protocol)
    check_delivery(tree, purification, 2, seed, raw_pairs(tree, purification))


# RuleSets


def test_the_example_is_what_is_planned() -> None:
    qcaps = [QCap("A", free_memories=2), QCap("R", 100, 0.9, free_memories=2), QCap("B", 100, 0.9, free_memories=2)]
    planned = plan("c7", 1, qcaps, 100, minimum_fidelity=0.85)
    written = json.loads(planned.stack.to_json())
    rulesets = written.pop("rulesets")
    assert written == {"connection": "c7", "attempt": 1, "path": ["A", "R", "B"], "need": 100}
    assert {node: rulesets[node] for node in "RA"} == EXAMPLE
    assert json.dumps(rulesets["B"]) == json.dumps(rulesets["A"]).replace('"partner": "B"', '"partner": "A"')
    assert rounds_of(planned) == (1, 1)


@fixed
@given(st.data(), st.integers(1, 8), st.floats(0.3, 0.9), st.none() | st.integers(1, 10**6))
def test_planned_stacks_round_trip(data: st.DataObject, links: int, bound: float, need: int | None) -> None:
    fidelities = data.draw(st.lists(st.floats(0.9, 1), min_size=links, max_size=links))
    bound = min(bound, swapped(fidelities))
    stack = plan("c", 2, chain(*fidelities), need, bound).stack
    assert RuleSetStack.from_json(stack.to_json()) == stack
    assert stack.need == need


def test_partners_follow_the_tree() -> None:
    by_node = compose("c", 1, midpoint(names(5)), [0] * 4, 1).rulesets
    partners = {
        node: [c.partner for stage in ruleset for rule in stage.rules for c in rule.conditions if isinstance(c, Res)]
        for node, ruleset in by_node.items()
    }
    assert partners == {
        "N0": ["N4"],
        "N1": ["N0", "N2"],
        "N2": ["N0", "N4"],
        "N3": ["N2", "N4"],
        "N4": ["N0"],
    }


def test_trees() -> None:
    assert [midpoint(names(nodes)).height for nodes in range(2, 10)] == [0, 1, 2, 2, 3, 3, 3, 3]
    assert [sequential(names(nodes)).height for nodes in range(2, 10)] == list(range(8))
    for tree in (midpoint(names(9)), sequential(names(9))):
        assert tree.links == tuple(itertools.pairwise(names(9)))


def test_a_tree_over_another_path_is_refused() -> None:
    with pytest.raises(ValueError, match="swap_order must return a tree over the links of the path"):
        plan("c", 1, chain(0.98, 0.98), 1, 0.5, swap_order=lambda path: sequential(path[::-1]))
    with pytest.raises(ValueError, match="over the links of the path"):
        plan("c", 1, [QCap("A")], 1, 0.5)


def test_endless_pairs_are_handed_over() -> None:
    stack = plan("c/1", 1, chain(0.98, 0.98), None, 0.5, outer="c").stack
    for node, side in (("N0", "left"), ("N2", "right")):
        (rule,) = stack.rulesets[node][-1].rules
        assert rule.actions == (Handover(pair="p", outer="c", side=side),)


def test_null_setup_has_empty_rulesets() -> None:
    stack = null_stack("c", 1, names(3))
    assert stack.rulesets == {"N0": (), "N1": (), "N2": ()}
    assert RuleSetStack.from_json(stack.to_json()) == stack


# Fidelity, cost and refusals


@pytest.mark.parametrize(("before", "after"), [(0.70, 0.735294), (0.75, 0.788462), (0.80, 0.838150), (0.90, 0.926396)])
def test_bbpssw_table(before: float, after: float) -> None:
    assert bbpssw(before)[1] == pytest.approx(after, abs=5e-7)


def swapped(fidelities: Sequence[float]) -> float:
    """Return the fidelity after all swaps, pair by pair: F1 F2 + (1 - F1)(1 - F2) / 3."""
    result = fidelities[0]
    for other in fidelities[1:]:
        result = result * other + (1 - result) * (1 - other) / 3
    return result


def purified(fidelity: float, rounds: int) -> tuple[float, float]:
    """Return the fidelity after some rounds of BBPSSW and the raw pairs that takes."""
    pairs = 1.0
    for _ in range(rounds):
        noise = (1 - fidelity) / 3
        chance = (fidelity + noise) ** 2 + (2 * noise) ** 2
        fidelity, pairs = (fidelity**2 + noise**2) / chance, 2 * pairs / chance
    return fidelity, pairs


def test_swapped_pairs() -> None:
    assert plan("c", 1, chain(0.9, 0.9), 1, 0.8).fidelity == pytest.approx(0.813333, abs=5e-7)
    w = werner(0.98)
    assert plan("c", 1, chain(*[0.98] * 6), 1, 0.5).fidelity == pytest.approx((1 + 3 * w**6) / 4)


@settings(fixed, max_examples=300)
@given(st.lists(st.floats(0.6, 0.99), min_size=1, max_size=4), st.floats(0.3, 0.98), st.floats(0, 100))
def test_plans_are_the_cheapest_of_all(fidelities: list[float], bound: float, rate: float) -> None:
    every = {}
    for rounds in itertools.product(range(4), repeat=len(fidelities)):
        links = [purified(fidelity, number) for fidelity, number in zip(fidelities, rounds, strict=True)]
        every[rounds] = swapped([f for f, _ in links]), 100 / max(n for _, n in links), sum(n for _, n in links)
    assume(all(abs(f - bound) > 1e-7 for f, _, _ in every.values()))
    good = {rounds: cost for rounds, (f, r, cost) in every.items() if f >= bound and r >= rate}
    if not good:
        with pytest.raises(Infeasible) as caught:
            plan("c", 1, chain(*fidelities), 1, bound, rate)
        fast = [f for f, r, _ in every.values() if r >= rate]
        fine = [r for f, r, _ in every.values() if f >= bound]
        assert caught.value.best_fidelity == pytest.approx(max(fast, default=0))
        assert caught.value.best_rate == pytest.approx(max(fine, default=0))
        return
    planned = plan("c", 1, chain(*fidelities), 1, bound, rate)
    chosen = tuple(link.rounds for link in planned.links)
    fidelity, slowest, cost = every[chosen]
    assert cost == pytest.approx(min(good.values()))
    assert planned.fidelity == pytest.approx(fidelity)
    assert planned.rate == pytest.approx(slowest)
    assert planned.fidelity >= bound - 1e-9
    assert rounds_of(planned) == tuple(chosen)


def test_a_bound_met_exactly_is_met() -> None:
    assert rounds_of(plan("c", 1, chain(0.9, 0.9), 1, swapped([0.9, 0.9]))) == (0, 0)
    assert rounds_of(plan("c", 1, chain(0.9), 1, purified(0.9, 3)[0], 100 / purified(0.9, 3)[1])) == (3,)


def test_a_rate_met_but_for_rounding_is_met() -> None:
    slower = math.nextafter(300.0, 0)
    assert rounds_of(plan("c", 1, chain(0.9, 0.9, rate=slower), 1, 0.5, minimum_rate=300)) == (0, 0)


def test_too_few_memories_are_refused_with_what_they_allow() -> None:
    bound, raw = 0.85, swapped([0.9, 0.9])
    with pytest.raises(Infeasible, match=r"the best fidelity is 0\.813333, .* the best rate is 0 pairs/s") as caught:
        plan("c", 1, chain(0.9, 0.9, memories=1), 1, bound)
    assert caught.value.best_fidelity == pytest.approx(raw)
    with pytest.raises(Infeasible) as caught:
        plan("c", 1, chain(0.9, memories=0), 1, bound)
    assert (caught.value.best_fidelity, caught.value.best_rate) == (0, 0)


def test_too_high_a_rate_is_refused_with_the_best() -> None:
    with pytest.raises(Infeasible) as caught:
        plan("c", 1, chain(0.9, 0.9), 1, 0.85, minimum_rate=90)
    assert caught.value.best_fidelity == pytest.approx(swapped([0.9, 0.9]))
    assert caught.value.best_rate == pytest.approx(100 / purified(0.9, 1)[1])
    plan("c", 1, chain(0.9, 0.9), 1, 0.85, minimum_rate=caught.value.best_rate)
    plan("c", 1, chain(0.9, 0.9), 1, caught.value.best_fidelity, minimum_rate=90)


@pytest.mark.parametrize("noise", [0.25, math.nextafter(0.25, 1)])
def test_links_no_better_than_noise_are_refused(noise: float) -> None:
    with pytest.raises(Infeasible) as caught:
        plan("c", 1, chain(0.9, noise), 1, 0.2)
    assert (caught.value.best_fidelity, caught.value.best_rate) == (0, 0)


class Noisy(Physics):
    """Gates that depolarise, for swaps only."""

    def swap_quality(self, at: QCap) -> float:
        return 1 - at.gate_error


def test_other_physics_counts() -> None:
    qcaps = [QCap("A"), QCap("R", 100, 0.98, gate_error=0.1), QCap("B", 100, 0.98)]
    planned = plan("c", 1, qcaps, 1, 0.8, physics=Noisy())
    assert planned.fidelity == pytest.approx((1 + 3 * 0.9 * werner(0.98) ** 2) / 4)
    with pytest.raises(Infeasible):
        plan("c", 1, qcaps, 1, 0.95, physics=Noisy())


def test_long_paths_are_planned_too() -> None:
    planned = plan("c", 1, chain(*[0.99 - i % 5 / 200 for i in range(30)], memories=8), 1, 0.8)
    assert planned.fidelity == pytest.approx(0.8, abs=2e-3)
    assert math.isfinite(planned.rate)
    assert set(planned.stack.rulesets) == set(names(31))


# --- Waiting ----------------------------------------------------------------------------------------------------------


def memories(*rates: float, t1: float = 10.0, t2: float = 1.0) -> list[QCap]:
    kept = {"before": Memory(t1, t2), "after": Memory(t1, t2), "free_memories": 4}
    return [QCap(f"n{i}", rate=rate, fidelity=0.98, **kept) for i, rate in enumerate(rates)]


def test_the_halves_of_a_single_link_wait_for_nothing_but_their_herald() -> None:
    qcaps = memories(math.inf, 100.0)
    assert NoisyPhysics(0.01).wait_quality(qcaps) == pytest.approx(math.exp(-2 * 0.01 * 0.7))


def test_all_halves_wait_for_their_heralds_and_the_ends_for_the_word_of_the_swap() -> None:
    # For each other they wait as well; that is forecast, not worked out by a formula.
    qcaps = memories(math.inf, 100.0, 10.0)
    waits = 4 * 0.01 + 2 * 0.02 + 0.02 / 2
    assert NoisyPhysics(0.02).wait_quality(qcaps) == pytest.approx(math.exp(-0.7 * waits))


def test_a_pair_to_be_purified_waits_for_its_mate() -> None:
    slow, fast = (plan("c", 1, memories(math.inf, rate), 1, 0.985, physics=NoisyPhysics()) for rate in (500.0, 1e6))
    assert [link.rounds for link in (*fast.links, *slow.links)] == [1, 2]  # what waits gains less
    with pytest.raises(Infeasible):
        plan("c", 1, memories(math.inf, 1.0), 1, 0.985, physics=NoisyPhysics())


def test_links_that_purify_give_fewer_and_better_pairs() -> None:
    qcaps = memories(math.inf, 2000.0, 2000.0, 2000.0)
    plain, better = (plan("c", 1, qcaps, 1, bound, physics=NoisyPhysics()) for bound in (0.5, 0.955))
    assert better.rate < plain.rate
    assert better.fidelity >= 0.955
    alone = math.prod(werner(link.fidelity) for link in better.links)
    waits = NoisyPhysics().wait_quality(qcaps)
    assert better.fidelity == pytest.approx((1 + 3 * alone * waits) / 4)
