"""RuleSets being executed: each condition and action in a session, and the example of the design in a network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from qkdrmp.entanglement.messages import Discarded, PurifyResult, Response, SwapResult
from qkdrmp.entanglement.quantum.bell_diagonal import BellDiagonal, Memory
from qkdrmp.entanglement.quantum.pairs import Device, Qubit, correlations, fidelity, new_pair
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.entanglement.rulesets.link_budget import LinkPlan
from qkdrmp.entanglement.rulesets.planner import ConnectionPlan
from qkdrmp.entanglement.rulesets.ruleset import RuleSetStack
from qkdrmp.entanglement.runtime.compiled_rule import compiled
from qkdrmp.entanglement.runtime.session import Workbench
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.units import to_ticks
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    chain,
    deliveries,
    entry_of,
    left_over,
    network_of,
    run,
)

MS = to_ticks(1e-3)
DEVICE = Device(Memory(1e12, 1e12))
ATTEMPT = AttemptId("c7")

# --- A session with a pretended owner and transport -------------------------------------------------------------------


class MemoryShare:
    """Counts the memories that are freed."""

    def __init__(self) -> None:
        self.released = self.idle = 0

    def release(self) -> None:
        self.released += 1

    def add_idle(self, halves: int) -> None:
        self.idle += halves


@dataclass
class Owner:
    """Notes what the session asks of it."""

    attempt: AttemptId = ATTEMPT
    path: tuple[str, ...] = ()
    delivered: list[tuple[int, str | None]] = field(default_factory=list)
    handed_over: list[tuple[str, int]] = field(default_factory=list)
    retracted: list[int] = field(default_factory=list)
    left_out: list[tuple[str, int]] = field(default_factory=list)
    completed: int = 0
    at_end: Callable[[], None] = lambda: None

    def deliver(self, qubit: Qubit, basis: str | None) -> None:
        self.delivered.append((qubit.number, basis))

    def hand_over(self, partner: str, qubit: Qubit) -> None:
        self.handed_over.append((partner, qubit.number))

    def leave_out(self, partner: str, number: int) -> None:
        self.left_out.append((partner, number))

    def retract(self, number: int) -> None:
        self.retracted.append(number)

    def complete(self) -> None:
        self.completed += 1
        self.at_end()


class Wire:
    """A transport that notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def send(self, target: str, message: Any) -> None:
        self.sent.append((target, message))


class Bench:
    """A node with one session, and halves to put into it."""

    def __init__(
        self,
        name: str,
        *rules: tuple[int, dict[str, Any]],
        path: tuple[str, ...] = ("A", "R", "B"),
        swap_success: float = 1.0,
    ) -> None:
        self.env, self.wire, self.owner, self.share = Environment(), Wire(), Owner(path=path), MemoryShare()
        stages: dict[int, list[dict[str, Any]]] = {}
        for stage, rule in rules:
            stages.setdefault(stage, []).append(rule)
        ruleset = [{"stage": stage, "rules": stages[stage]} for stage in sorted(stages)]
        data = {"connection": "c7", "attempt": 1, "path": path, "need": None, "rulesets": {name: ruleset}}
        stack = RuleSetStack.from_json(json.dumps(data))
        random = np.random.default_rng(1)
        draws = iter([0.9, 0.1, 0.6]).__next__
        workbench = Workbench(self.env, name, DEVICE, self.wire, random, swap_success, draws)  # type: ignore[arg-type]
        self.session = compiled(self.owner, workbench, stack.popped(name)[0])

    def pair(self, fidelity: float = 1.0) -> tuple[Qubit, Qubit]:
        """Return a new pair, of which the first half is this node's."""
        state = correlations(BellDiagonal.werner(fidelity))
        here, there = new_pair(state, (DEVICE, DEVICE), (self.env.now, self.env.now))
        here.share = there.share = self.share  # type: ignore[assignment]
        return here, there

    def arrive(self, partner: str, number: int, fidelity: float = 1.0) -> Qubit:
        """Let a pair of the link to `partner` arrive; return the half that is there."""
        here, there = self.pair(fidelity)
        self.session.source(partner)(number, here)
        return there

    @property
    def names(self) -> list[int]:
        return [number for number, _ in self.owner.delivered]


def res(partner: str, *names: str) -> dict[str, Any]:
    return {"res": {"partner": partner, "n": len(names), "as": list(names)}}


def rule(conditions: list[dict[str, Any]], *actions: dict[str, Any]) -> dict[str, Any]:
    return {"if": conditions, "do": list(actions)}


DELIVER = {"deliver": {"pair": "p"}}
SWAP = rule([res("A", "l"), res("B", "r")], {"swap": {"left": "l", "right": "r", "to": 1}})
PURIFY = rule([res("B", "k", "s")], {"purify": {"keep": "k", "sacrifice": "s", "protocol": "bbpssw", "to": 1}})


def swapped(number: int, new: int, source: str = "R", partner: str = "B", werner: float = 0.9) -> SwapResult:
    return SwapResult(ATTEMPT, source, 0, number, partner, 1, new, (werner,) * 3)


# --- Conditions -------------------------------------------------------------------------------------------------------


def test_pairs_are_used_in_the_order_of_their_numbers_however_they_come() -> None:
    bench = Bench("A", (0, rule([res("R", "p")], DELIVER)))
    for number, then in ((2, []), (1, []), (0, [0, 1, 2]), (4, [0, 1, 2]), (3, [0, 1, 2, 3, 4])):
        bench.arrive("R", number)
        assert bench.names == then
    assert bench.share.released == 5


def test_a_rule_that_needs_two_pairs_waits_for_the_two_lowest_numbers() -> None:
    bench = Bench("A", (0, rule([res("R", "p", "q")], {"free": {"pair": "q"}}, DELIVER)))
    bench.arrive("R", 0)
    bench.arrive("R", 2)
    assert bench.names == []
    bench.arrive("R", 1)
    assert bench.names == [0]
    bench.arrive("R", 3)
    assert bench.names == [0, 2]


def test_the_first_rule_that_is_ready_goes_first() -> None:
    bench = Bench(
        "A",
        (0, rule([res("R", "p", "q")], {"free": {"pair": "p"}}, {"free": {"pair": "q"}})),
        (0, rule([res("R", "p")], DELIVER)),
    )
    bench.arrive("R", 1)
    bench.arrive("R", 0)  # now there are two at once
    assert bench.names == []
    bench.arrive("R", 2)
    assert bench.names == [2]


def test_count_ends_the_connection_when_enough_are_delivered() -> None:
    enough = rule([{"count": {"name": "delivered", "op": ">=", "value": 2}}], {"terminate": {}})
    bench = Bench("A", (0, enough), (0, rule([res("R", "p")], DELIVER)))
    bench.owner.at_end = bench.session.stop
    for number in range(4):
        bench.arrive("R", number)
    assert bench.names == [0, 1]
    assert bench.owner.completed == 1


def test_fidelity_lets_a_rule_look_at_the_pair_it_would_take() -> None:
    good = {"fidelity": {"pair": "p", "op": ">=", "value": 0.9}}
    poor = {"fidelity": {"pair": "p", "op": "<", "value": 0.9}}
    bench = Bench(
        "A", (0, rule([res("R", "p"), good], DELIVER)), (0, rule([res("R", "p"), poor], {"free": {"pair": "p"}}))
    )
    nearly = math.nextafter(0.9, 0)
    there = [bench.arrive("R", number, quality) for number, quality in enumerate((0.95, 0.85, 0.9, 0.3, nearly))]
    assert bench.names == [0, 2, 4]
    assert bench.share.released == 5
    assert [half.partner is None for half in there] == [False, True, False, True, False]


def test_a_timer_rings_once_it_has_been_set() -> None:
    set_it = rule([res("R", "p")], {"settimer": {"name": "tea", "seconds": 0.003}}, DELIVER)
    bench = Bench("A", (0, rule([{"timer": {"name": "tea"}}], {"terminate": {}})), (0, set_it))
    bench.owner.at_end = bench.session.stop
    bench.arrive("R", 0)
    bench.env.advance(3 * MS)  # everything before 3 ms
    assert (bench.names, bench.owner.completed) == ([0], 0)
    bench.env.advance(3 * MS + 1)
    assert bench.owner.completed == 1


def test_a_timer_that_is_set_again_starts_anew() -> None:
    set_it = rule([res("R", "p")], {"settimer": {"name": "tea", "seconds": 0.003}}, DELIVER)
    bench = Bench("A", (0, rule([{"timer": {"name": "tea"}}], {"terminate": {}})), (0, set_it))
    bench.owner.at_end = bench.session.stop
    bench.arrive("R", 0)
    bench.env.advance(2 * MS)
    bench.arrive("R", 1)
    bench.env.advance(5 * MS)
    assert bench.owner.completed == 0
    bench.env.advance(5 * MS + 1)
    assert bench.owner.completed == 1


def test_a_session_that_is_stopped_lets_no_timer_ring() -> None:
    set_it = rule([res("R", "p")], {"settimer": {"name": "tea", "seconds": 0.003}}, DELIVER)
    bench = Bench("A", (0, rule([{"timer": {"name": "tea"}}], {"terminate": {}})), (0, set_it))
    bench.arrive("R", 0)
    bench.session.stop()
    bench.env.advance(10 * MS)
    assert bench.session.expired == set()
    assert bench.owner.completed == 0


def test_recv_waits_for_a_message_of_its_kind_and_uses_it_once() -> None:
    bench = Bench("A", (0, rule([{"recv": {"kind": "SWAPRESULT"}}, res("R", "p")], DELIVER)))
    bench.arrive("R", 0)
    bench.arrive("R", 1)
    bench.session.take(PurifyResult(ATTEMPT, "B", 1, 0, 1))
    assert bench.names == []
    bench.session.take(swapped(0, 0, source="B"))
    assert bench.names == [0]
    bench.session.take(swapped(1, 1, source="B"))
    assert bench.names == [0, 1]


def test_recv_waits_for_the_result_of_a_round() -> None:
    bench = Bench("A", (0, rule([{"recv": {"kind": "PURIFYRESULT"}}, res("R", "p")], DELIVER)))
    bench.arrive("R", 0)
    bench.session.take(swapped(5, 5))
    assert bench.names == []
    bench.session.take(PurifyResult(ATTEMPT, "R", 0, 0, 1))
    assert bench.names == [0]


def test_recv_waits_for_the_word_that_a_pair_is_discarded() -> None:
    bench = Bench("A", (0, rule([{"recv": {"kind": "DISCARDED"}}, res("R", "p")], DELIVER)))
    bench.arrive("R", 0)
    bench.session.take(swapped(5, 5))
    assert bench.names == []
    bench.session.take(Discarded(ATTEMPT, "B", 1, 0))
    assert bench.names == [0]


def test_fidelity_looks_at_the_pair_it_names() -> None:
    # The rule takes two pairs, and asks about the second one only.
    good = {"fidelity": {"pair": "s", "op": ">=", "value": 0.9}}
    bench = Bench("A", (0, rule([res("R", "p", "s"), good], DELIVER, {"free": {"pair": "s"}})))
    for number, quality in enumerate((0.6, 0.95)):
        bench.arrive("R", number, quality)
    assert bench.names == [0]
    other = Bench("A", (0, rule([res("R", "p", "s"), good], DELIVER, {"free": {"pair": "s"}})))
    for number, quality in enumerate((0.95, 0.6)):
        other.arrive("R", number, quality)
    assert other.names == []


def test_rules_without_pairs_run_once_when_their_conditions_come_to_hold() -> None:
    # With such a rule a run used to end in a loop without end, or the rule slept until the first pair came.
    always = {"count": {"name": "delivered", "op": ">=", "value": 0}}
    tea = {"settimer": {"name": "tea", "seconds": 0.003}}
    bench = Bench("A", (0, rule([always], tea)), (0, rule([{"timer": {"name": "tea"}}], {"terminate": {}})))
    bench.owner.at_end = bench.session.stop
    bench.session.work()
    bench.env.advance(3 * MS + 1)
    assert bench.owner.completed == 1


def test_a_rule_without_pairs_runs_again_after_its_conditions_have_not_held() -> None:
    few = {"count": {"name": "delivered", "op": "<", "value": 1}}
    bench = Bench(
        "A", (0, rule([few], {"settimer": {"name": "tea", "seconds": 0.001}})), (0, rule([res("R", "p")], DELIVER))
    )
    bench.session.work()
    bench.env.advance(2 * MS)
    assert bench.session.expired == {"tea"}
    bench.arrive("R", 0)  # from here on there is one delivered
    bench.session.take(Discarded(ATTEMPT, "R", 0, 0))  # and now there is none again
    bench.session.work()
    assert bench.session.expired == set()
    assert bench.owner.retracted == [0]


# --- Discarded pairs --------------------------------------------------------------------------------------------------


def test_who_discards_a_pair_lets_its_other_end_know() -> None:
    bench = Bench("A", (0, rule([res("R", "p")], {"free": {"pair": "p"}})))
    bench.arrive("R", 0)
    assert bench.wire.sent == [("R", Discarded(ATTEMPT, "A", 0, 0))]


def test_a_pair_whose_other_half_was_discarded_is_left_out() -> None:
    bench = Bench("A", (0, rule([res("R", "p", "q")], DELIVER, {"promote": {"pair": "q", "to": 1}})))
    there = bench.arrive("R", 0)
    bench.session.take(Discarded(ATTEMPT, "R", 0, 0))
    assert there.partner is None
    assert (bench.share.released, bench.share.idle) == (1, 0)
    bench.arrive("R", 1)
    bench.arrive("R", 2)
    assert bench.names == [1]


def test_a_pair_that_comes_after_the_word_that_it_is_discarded_is_discarded_at_once() -> None:
    bench = Bench("A", (0, rule([res("R", "p")], DELIVER)))
    bench.session.take(Discarded(ATTEMPT, "R", 0, 0))
    bench.arrive("R", 0)
    bench.arrive("R", 1)
    assert bench.names == [1]
    assert bench.share.released == 2


def test_what_was_swapped_onto_a_discarded_pair_is_discarded_too_and_so_on() -> None:
    # R swaps pair 0 before it hears that A has discarded it: B's half has no partner, and B has to know.
    bench = Bench("A", (0, rule([res("R", "p")], {"free": {"pair": "p"}})), (1, rule([res("B", "p")], DELIVER)))
    bench.arrive("R", 0)
    bench.session.take(swapped(0, 0))
    assert bench.wire.sent == [("R", Discarded(ATTEMPT, "A", 0, 0)), ("B", Discarded(ATTEMPT, "A", 1, 0))]
    bench.session.take(swapped(1, 1))  # of a pair that is not discarded but not here yet either
    assert bench.names == []


PROMOTE = rule([res("R", "p")], {"promote": {"pair": "p", "to": 1}})


def test_a_number_that_is_left_out_does_not_block_the_stages_after() -> None:
    bench = Bench("A", (0, PROMOTE), (1, rule([res("R", "p")], DELIVER)))
    bench.session.take(Discarded(ATTEMPT, "R", 0, 0))
    bench.arrive("R", 0)
    bench.arrive("R", 1)
    assert bench.names == [1]


def test_what_a_rule_discards_does_not_block_the_stages_after() -> None:
    poor = {"fidelity": {"pair": "p", "op": "<", "value": 0.9}}
    free = rule([res("R", "p"), poor], {"free": {"pair": "p"}})
    bench = Bench("A", (0, free), (0, PROMOTE), (1, rule([res("R", "p")], DELIVER)))
    bench.arrive("R", 0, 0.8)
    bench.arrive("R", 1)
    assert bench.names == [1]
    bench.session.take_swap(SwapResult(ATTEMPT, "R", 1, 0, "B", 2, 0, (1.0,) * 3))  # of what was not promoted here
    assert bench.wire.sent[1:] == [("B", Discarded(ATTEMPT, "A", 2, 0))]


def test_a_pair_that_has_been_promoted_is_discarded_where_it_is() -> None:
    bench = Bench("A", (0, PROMOTE))
    there = bench.arrive("R", 0)
    bench.session.take(Discarded(ATTEMPT, "R", 0, 0))
    assert there.partner is None
    assert bench.share.released == 1


# --- Actions ----------------------------------------------------------------------------------------------------------


def test_free_gives_up_the_pair_and_its_memory() -> None:
    bench = Bench("A", (0, rule([res("R", "p")], {"free": {"pair": "p"}})))
    there = bench.arrive("R", 0)
    assert there.partner is None
    assert bench.share.released == 1


def test_promote_moves_a_pair_as_it_is() -> None:
    bench = Bench(
        "A", (0, rule([res("R", "p")], {"promote": {"pair": "p", "to": 3}})), (3, rule([res("R", "p")], DELIVER))
    )
    bench.arrive("R", 0)
    assert bench.names == [0]
    assert bench.share.released == 1


def test_deliver_names_the_pair_and_the_basis() -> None:
    bench = Bench("A", (0, rule([res("R", "p")], {"deliver": {"pair": "p", "basis": "X"}})))
    bench.arrive("R", 0)
    assert bench.owner.delivered == [(0, "X")]
    assert bench.session.counters["delivered"] == bench.session.progress == 1


def test_handover_keeps_the_memory() -> None:
    action = {"handover": {"pair": "p", "outer": "c1#1", "side": "left"}}
    bench = Bench("A", (0, rule([res("R", "p")], action)))
    bench.arrive("R", 0)
    assert bench.owner.handed_over == [("R", 0)]
    assert bench.share.released == 0
    bench.session.take(Discarded(ATTEMPT, "R", 0, 1))
    bench.arrive("R", 1)
    assert bench.owner.left_out == [("R", 1)]


def test_a_swap_tells_both_far_ends_what_their_pairs_are_now() -> None:
    bench = Bench("R", (0, SWAP))
    bench.arrive("B", 1, 0.9)
    b = bench.arrive("B", 0, 0.9)
    assert bench.wire.sent == []
    a = bench.arrive("A", 0, 0.8)
    assert a.partner is b
    w = (4 * 0.9 - 1) / 3 * (4 * 0.8 - 1) / 3
    assert bench.wire.sent == [
        ("A", SwapResult(ATTEMPT, "R", 0, 0, "B", 1, 0, pytest.approx((w, w, w)))),
        ("B", SwapResult(ATTEMPT, "R", 0, 0, "A", 1, 0, pytest.approx((w, w, w)))),
    ]
    bench.arrive("A", 1, 0.8)
    assert [(target, m.number, m.new_number) for target, m in bench.wire.sent[2:]] == [("A", 1, 1), ("B", 1, 1)]
    assert bench.share.released == 4


def test_a_swap_that_fails_lets_both_far_ends_know_and_uses_up_a_number() -> None:
    bench = Bench("R", (0, SWAP), swap_success=0.5)
    a, b = bench.arrive("A", 0), bench.arrive("B", 0)
    lost = (0.0, 0.0, 0.0)
    assert bench.wire.sent == [
        ("A", SwapResult(ATTEMPT, "R", 0, 0, "B", 1, 0, lost, success=False)),
        ("B", SwapResult(ATTEMPT, "R", 0, 0, "A", 1, 0, lost, success=False)),
    ]
    assert (a.partner, b.partner) == (None, None)
    assert (bench.share.released, bench.session.progress) == (2, 0)
    a, b = bench.arrive("A", 1), bench.arrive("B", 1)
    assert a.partner is b
    assert [(message.new_number, message.success) for _, message in bench.wire.sent[2:]] == [(1, True)] * 2


# --- Results, early and late ------------------------------------------------------------------------------------------

FROM_B = (1, rule([res("B", "p")], DELIVER))


def test_a_swap_result_gives_a_pair_its_new_partner_number_and_quality() -> None:
    bench = Bench("A", FROM_B)
    bench.arrive("R", 0)
    bench.arrive("R", 1)
    assert bench.names == []
    bench.session.take_swap(swapped(1, 0))
    assert bench.names == [0]
    bench.session.take_swap(swapped(0, 1))
    assert bench.names == [0, 1]


def test_a_swap_result_that_comes_before_its_pair_waits_for_it() -> None:
    bench = Bench("A", FROM_B)
    bench.session.take_swap(swapped(0, 0, werner=0.7))
    assert bench.names == []
    there = bench.arrive("R", 0)
    assert bench.names == [0]
    assert there.partner is not None
    assert there.partner.estimate == pytest.approx((0.7,) * 3)


def test_a_swap_result_from_a_node_that_is_not_the_partner_is_held() -> None:
    # A - R - S - B: S has swapped R-B, of which A hears before R's own result: A's pair is with R only after R's word.
    bench = Bench("A", (2, rule([res("B", "p")], DELIVER)), path=("A", "R", "S", "B"))
    bench.arrive("R", 0)
    from_s = SwapResult(ATTEMPT, "S", 1, 0, "B", 2, 0, 0.8)
    bench.session.take_swap(from_s)
    assert bench.names == []
    bench.session.take_swap(SwapResult(ATTEMPT, "R", 0, 0, "S", 1, 0, 0.9))
    assert bench.names == [0]


def test_results_of_many_swaps_come_in_any_order() -> None:
    # The same, with three pairs and every message in the worst order.
    bench = Bench("A", (2, rule([res("B", "p")], DELIVER)), path=("A", "R", "S", "B"))
    for number in (2, 0, 1):
        bench.session.take_swap(SwapResult(ATTEMPT, "S", 1, number, "B", 2, number, 0.8))
    for number in (1, 2, 0):
        bench.session.take_swap(SwapResult(ATTEMPT, "R", 0, number, "S", 1, number, 0.9))
    for number in (2, 1, 0):
        bench.arrive("R", number)
    assert bench.names == [0, 1, 2]


def failed(number: int, new: int) -> SwapResult:
    return SwapResult(ATTEMPT, "R", 0, number, "B", 1, new, (0.0,) * 3, success=False)


def test_a_pair_lost_in_a_swap_is_freed_and_left_out_whenever_the_result_comes() -> None:
    bench = Bench("A", FROM_B)
    bench.session.take_swap(failed(1, 1))  # before the pair
    there = [bench.arrive("R", number) for number in range(4)]
    bench.session.take_swap(failed(0, 0))  # after it
    bench.session.take_swap(swapped(3, 3))
    assert bench.names == []
    bench.session.take_swap(swapped(2, 2))
    assert bench.names == [2, 3]
    assert bench.share.released == 4
    assert [half.partner for half in there[:2]] == [None, None]


def test_a_pair_that_is_discarded_at_one_end_and_lost_at_the_other_is_nowhere() -> None:
    bench = Bench("A", (0, rule([res("R", "p")], {"free": {"pair": "p"}})), FROM_B)
    bench.arrive("R", 0)
    bench.session.take_swap(failed(0, 0))
    assert bench.wire.sent == [("R", Discarded(ATTEMPT, "A", 0, 0))]
    bench.arrive("R", 1)
    bench.session.take_discarded(Discarded(ATTEMPT, "R", 0, 1))  # both ends have discarded it at once
    assert (bench.share.released, len(bench.wire.sent)) == (2, 2)
    buffer = bench.session.buffer("R", 0)
    assert (buffer.lost, buffer.discarded) == (set(), set())


def test_a_bit_that_comes_before_the_own_round_waits_for_it() -> None:
    bench = Bench("A", (0, PURIFY), FROM_B, path=("A", "B"))
    bench.session.take_bit(PurifyResult(ATTEMPT, "B", 0, 0, 0))
    bench.arrive("B", 0)
    bench.arrive("B", 1)
    [(target, message)] = bench.wire.sent
    assert (target, message.stage, message.number) == ("B", 0, 0)
    assert bench.names == ([0] if message.bit == 0 else [])
    assert bench.share.released == 2  # delivered or failed


def test_failed_purification_leaves_no_gap() -> None:
    # Each end sends the other its bit; here B always sends the right one or always the wrong one, round by round.
    bench = Bench("A", (0, PURIFY), FROM_B, path=("A", "B"))
    agrees = [False, True, False, False, True, True]
    for number in range(2 * len(agrees)):
        bench.arrive("B", number)
    assert bench.names == []
    bits = [message.bit for _, message in bench.wire.sent]
    for number, (mine, agree) in enumerate(zip(bits, agrees, strict=True)):
        bench.session.take_bit(PurifyResult(ATTEMPT, "B", 0, number, mine if agree else 1 - mine))
    assert bench.names == [1, 4, 5]
    assert bench.share.released == 12


def test_rounds_that_end_out_of_order_are_still_used_in_order() -> None:
    bench = Bench("A", (0, PURIFY), FROM_B, path=("A", "B"))
    for number in range(8):
        bench.arrive("B", number)
    bits = [message.bit for _, message in bench.wire.sent]
    for number, agree, then in ((3, True, []), (1, False, []), (2, True, []), (0, True, [0, 2, 3])):
        bench.session.take_bit(PurifyResult(ATTEMPT, "B", 0, number, bits[number] if agree else 1 - bits[number]))
        assert bench.names == then


def test_two_rounds_skip_the_failures_of_the_first() -> None:
    again = rule([res("B", "k", "s")], {"purify": {"keep": "k", "sacrifice": "s", "protocol": "bbpssw", "to": 2}})
    bench = Bench("A", (0, PURIFY), (1, again), (2, rule([res("B", "p")], DELIVER)), path=("A", "B"))
    for number in range(6):
        bench.arrive("B", number)
    bits = [message.bit for _, message in bench.wire.sent]
    for number, agree in enumerate((True, False, True)):
        bench.session.take_bit(PurifyResult(ATTEMPT, "B", 0, number, bits[number] if agree else 1 - bits[number]))
    _, last = bench.wire.sent[-1]
    assert (last.stage, last.number) == (1, 0)  # survivors 0 and 2 of the first round are round 0 of the second
    bench.session.take_bit(PurifyResult(ATTEMPT, "B", 1, 0, last.bit))
    assert bench.names == [0]


def test_a_stopped_session_frees_every_pair_wherever_it_is() -> None:
    bench = Bench("A", (0, PURIFY), FROM_B, path=("A", "B"))
    there = [bench.arrive("B", number) for number in range(3)]  # one kept for the partner's bit, one waits
    bench.session.stop()
    assert bench.share.released == 3
    assert [half.partner for half in there] == [None, there[1].partner, None]
    bench.session.take_swap(swapped(0, 0, source="B"))  # late, and harmless


# --- The design's example ---------------------------------------------------------------------------------------------


def purify_with(partner: str) -> dict[str, Any]:
    return rule([res(partner, "k", "s")], {"purify": {"keep": "k", "sacrifice": "s", "protocol": "bbpssw", "to": 1}})


def end_towards(partner: str) -> list[dict[str, Any]]:
    enough = rule([{"count": {"name": "delivered", "op": ">=", "value": 100}}], {"terminate": {}})
    rules = [enough, rule([res(partner, "p")], DELIVER)]
    return [{"stage": 0, "rules": [purify_with("R")]}, {"stage": 2, "rules": rules}]


EXAMPLE: dict[str, Any] = {
    "connection": "c7",
    "attempt": 1,
    "path": ["A", "R", "B"],
    "need": 100,
    "rulesets": {
        "R": [
            {"stage": 0, "rules": [purify_with("A"), purify_with("B")]},
            {
                "stage": 1,
                "rules": [rule([res("A", "l"), res("B", "r")], {"swap": {"left": "l", "right": "r", "to": 2}})],
            },
        ],
        "A": end_towards("B"),
        "B": end_towards("A"),
    },
}
"""A - R - B: a round of BBPSSW on each link, then the swap, and 100 pairs delivered."""

ONE_ROUND = (0.9**2 + (0.1 / 3) ** 2) / 0.875556
"""Fidelity of a link's pairs of 0.9 after a round."""


def network_for_example(minimum_fidelity: float) -> Any:
    return network_of(
        chain("ARB", loss=0.2),
        [{"id": "c7", "pairs": 100, "memories": 4, "minimum_fidelity": minimum_fidelity}],
        trace=True,
        links={"model": "msm", "fidelity": 0.9},
        memories=FOR_EVER,
        gates=PERFECT,
    )


def expected_fidelity() -> float:
    w = (4 * ONE_ROUND - 1) / 3
    return (1 + 3 * w * w) / 4


def test_the_example_runs_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = RuleSetStack.from_json(json.dumps(EXAMPLE))
    network = network_for_example(0.25)  # so that a plan of the Responder's own would not purify
    made = ConnectionPlan(stack, (LinkPlan(1, 2.3, 1.0, 0.9),) * 2, 0.8)
    monkeypatch.setattr("qkdrmp.entanglement.connections.setup.plan_to_keep", lambda *_, **__: made)
    run(network, 1)

    assert entry_of(network, "c7").state == "delivered"
    assert entry_of(network, "c7").wrong_partner == 0
    assert [pair.number for pair in deliveries(network)] == list(range(100))
    found = [pair.fidelity for pair in deliveries(network)]
    assert found == pytest.approx([expected_fidelity()] * 100, abs=1e-6)
    assert left_over(network) == []


def test_the_responder_writes_the_example_if_that_is_what_it_takes() -> None:
    network = network_for_example(expected_fidelity() - 1e-6)
    run(network, 1)

    on_the_way = [hop.message for hop in network.hops if isinstance(hop.message, Response)]
    assert [sorted(response.stack.rulesets) for response in on_the_way] == [["A", "R"], ["A"]]
    for response in on_the_way:
        written = json.loads(response.stack.to_json())
        assert written["rulesets"] == {node: EXAMPLE["rulesets"][node] for node in response.stack.rulesets}
        assert {name: written[name] for name in ("connection", "attempt", "path", "need")} == {
            name: EXAMPLE[name] for name in ("connection", "attempt", "path", "need")
        }
    found = [pair.fidelity for pair in deliveries(network)]
    assert found == pytest.approx([expected_fidelity()] * 100, abs=1e-6)


def test_two_sessions_at_the_ends_of_a_link_come_to_the_same_pairs() -> None:
    # Real halves at both ends, and bits that cross: whatever survives at one end survives at the other.
    ends = {
        name: Bench(name, (0, purify_with(other)), (1, rule([res(other, "p")], DELIVER)), path=("A", "B"))
        for name, other in ("AB", "BA")
    }
    kept: dict[str, list[Qubit]] = {"A": [], "B": []}
    for name, bench in ends.items():
        bench.owner.deliver = lambda qubit, basis, name=name: kept[name].append(qubit)  # type: ignore[method-assign]
    random = np.random.default_rng(5)
    pairs = [ends["A"].pair(0.8) for _ in range(400)]
    for end, name in enumerate("AB"):
        for number in random.permutation(400):
            ends[name].session.source("B" if name == "A" else "A")(int(number), pairs[number][end])
    letters = [(target, message) for bench in ends.values() for target, message in bench.wire.sent]
    for index in random.permutation(len(letters)):
        target, message = letters[index]
        ends[target].session.take_bit(message)

    p, better = 0.8**2 + 2 * 0.8 * 0.2 / 3 + 5 * (0.2 / 3) ** 2, 0.838150
    assert len(kept["A"]) == len(kept["B"])
    assert len(kept["A"]) / 200 == pytest.approx(p, abs=3 * (p * (1 - p) / 200) ** 0.5)
    for mine, theirs in zip(kept["A"], kept["B"], strict=True):
        assert mine.partner is theirs
        assert fidelity(mine, theirs) == pytest.approx(better, abs=5e-7)


def test_each_link_makes_as_many_rounds_as_the_pairs_delivered_take() -> None:
    network = network_of(
        chain("ARB"),
        [{"id": "c7", "pairs": 100, "memories": 2, "minimum_fidelity": expected_fidelity() - 1e-6}],
        links={**CERTAIN, "fidelity": 0.9},
        memories=FOR_EVER,
        gates=PERFECT,
    )
    run(network, 1)
    p = 0.875556
    for link in network.links.values():  # rounds until 100 succeed, and one that is ahead of the other link
        rounds = link.successes / 2
        assert rounds == pytest.approx(100 / p, abs=3 * (100 * (1 - p)) ** 0.5 / p + 2)
