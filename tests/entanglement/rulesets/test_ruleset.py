"""RuleSets: the JSON they read and write, and a sentence for everything that can be wrong with them."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from qkdrmp.entanglement.rulesets import language as rule
from qkdrmp.entanglement.rulesets.language import OPERATORS, Operator, Res, Swap, Term
from qkdrmp.entanglement.rulesets.ruleset import RuleSetError, RuleSetStack, Stage

EXAMPLE = """
{"connection": "c7", "attempt": 1, "path": ["A", "R", "B"], "need": 100, "rulesets": {
 "R": [{"stage": 0, "rules": [
   {"if": [{"res": {"partner": "A", "n": 2, "as": ["k", "s"]}}],
    "do": [{"purify": {"keep": "k", "sacrifice": "s", "protocol": "bbpssw", "to": 1}}]},
   {"if": [{"res": {"partner": "B", "n": 2, "as": ["k", "s"]}}],
    "do": [{"purify": {"keep": "k", "sacrifice": "s", "protocol": "bbpssw", "to": 1}}]}]},
  {"stage": 1, "rules": [
   {"if": [{"res": {"partner": "A", "n": 1, "as": ["l"]}}, {"res": {"partner": "B", "n": 1, "as": ["r"]}}],
    "do": [{"swap": {"left": "l", "right": "r", "to": 2}}]}]}],
 "A": [{"stage": 0, "rules": [
   {"if": [{"res": {"partner": "R", "n": 2, "as": ["k", "s"]}}],
    "do": [{"purify": {"keep": "k", "sacrifice": "s", "protocol": "bbpssw", "to": 1}}]}]},
  {"stage": 2, "rules": [
   {"if": [{"count": {"name": "delivered", "op": ">=", "value": 100}}], "do": [{"terminate": {}}]},
   {"if": [{"res": {"partner": "B", "n": 1, "as": ["p"]}}], "do": [{"deliver": {"pair": "p"}}]}]}]}}
"""

RES = {"res": {"partner": "R", "n": 1, "as": ["p"]}}
DELIVER = {"deliver": {"pair": "p"}}
RULE = {"if": [RES], "do": [DELIVER]}
fixed = settings(derandomize=True, deadline=None, database=None)


def of_a(*stages: Any, **changes: Any) -> str:
    """Return a stack A - R - B with these stages at A."""
    stack = {"connection": "c", "attempt": 1, "path": ["A", "R", "B"], "need": 1, "rulesets": {"A": stages}}
    return json.dumps(stack | changes)


def of_rule(conditions: Any = (RES,), actions: Any = (DELIVER,)) -> str:
    return of_a({"stage": 0, "rules": [{"if": conditions, "do": actions}]})


def problems(text: str) -> list[str]:
    with pytest.raises(RuleSetError) as caught:
        RuleSetStack.from_json(text)
    return str(caught.value).splitlines()


def test_example_reads_and_writes_back_equal() -> None:
    stack = RuleSetStack.from_json(EXAMPLE)
    assert json.loads(stack.to_json()) == json.loads(EXAMPLE)
    assert RuleSetStack.from_json(stack.to_json()) == stack
    rules = stack.rulesets["R"][1].rules
    assert rules[0].actions == (Swap(left="l", right="r", to=2),)
    assert rules[0].conditions[0] == Res(partner="A", n=1, names=("l",))


def test_every_term_reads_and_writes_back_equal() -> None:
    conditions = [
        {"res": {"partner": "R", "n": 5, "as": ["a", "b", "c", "d", "e"]}},
        {"res": {"partner": "B", "n": 2, "as": ["f", "g"]}},
        {"towards": {"neighbour": "R", "partner": "B", "as": "h"}},
        {"count": {"name": "delivered", "op": "<", "value": 3}},
        {"timer": {"name": "t"}},
        {"recv": {"kind": "SWAPRESULT"}},
        {"fidelity": {"pair": "e", "op": "<", "value": 0.5}},
    ]
    actions = [
        {"swap": {"left": "a", "right": "f", "to": 1}},
        {"purify": {"keep": "b", "sacrifice": "c", "protocol": "dejmps", "to": 2}},
        {"deliver": {"pair": "d", "basis": "Z"}},
        {"promote": {"pair": "g", "to": 3}},
        {"promote": {"pair": "h", "to": 3}},
        {"free": {"pair": "e"}},
        {"settimer": {"name": "t", "seconds": 0.5}},
        {"terminate": {}},
    ]
    handover = {"if": [RES], "do": [{"handover": {"pair": "p", "outer": "c/1", "side": "left"}}]}
    text = of_a({"stage": 0, "rules": [{"if": conditions, "do": actions}, handover]}, need=None)
    stack = RuleSetStack.from_json(text)
    assert json.loads(stack.to_json()) == json.loads(text)
    assert RuleSetStack.from_json(stack.to_json()) == stack
    rule, last = stack.rulesets["A"][0].rules
    kinds = {type(term) for term in (*rule.conditions, *rule.actions, *last.actions)}
    assert kinds == set(Term.__subclasses__())


def test_popping_leaves_the_others() -> None:
    stack = RuleSetStack.from_json(EXAMPLE)
    own, rest = stack.popped("R")
    assert own == stack.rulesets["R"]
    assert list(rest.rulesets) == ["A"]
    assert list(stack.rulesets) == ["R", "A"]
    assert (rest.connection, rest.attempt, rest.path, rest.need) == ("c7", 1, ("A", "R", "B"), 100)


def test_parts_are_frozen() -> None:
    stack = RuleSetStack.from_json(EXAMPLE)
    with pytest.raises(ValidationError, match="frozen"):
        stack.need = 1  # type: ignore[misc]


def test_operators_are_all_there() -> None:
    assert set(OPERATORS) == set(get_args(Operator))
    assert [op for op in OPERATORS if OPERATORS[op](1, 2)] == ["<", "<=", "!="]
    assert [op for op in OPERATORS if OPERATORS[op](2, 2)] == ["<=", "==", ">="]


AT = "rulesets.A, entry 1: rules, entry 1: "
IN = "rulesets.A, stage 0, rule 1: "
CONDITIONS = "res, towards, count, timer, recv, fidelity"
ACTIONS = "swap, purify, deliver, promote, free, settimer, handover, terminate"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1", "RuleSets must be JSON: Expecting ',' delimiter: line 1 column 3 (char 2)"),
        ("[]", "RuleSets must be a JSON object, not []"),
        (of_a(attempt=0), "attempt = 0 must be at least 1"),
        (of_a(need=-1), "need = -1 must be at least 0"),
        (of_a(path="AB"), "path = 'AB' must be a list"),
        (of_a(path=["A"]), "path = ['A'] must be a list of at least two different nodes"),
        (of_a(path=["A", "B", "A"]), "path = ['A', 'B', 'A'] must be a list of at least two different nodes"),
        (of_a(rulesets={"X": []}), "rulesets: the node 'X' is not on the path A, R, B"),
        (of_a(hurry=1), "unknown field 'hurry'; known are connection, attempt, path, need, rulesets"),
        (of_a({"stage": -1, "rules": []}), "rulesets.A, entry 1: stage = -1 must be at least 0"),
        (of_a({"stage": 0}), "rulesets.A, entry 1: rules is missing"),
        (
            of_a({"stage": 0, "ruls": [], "rules": []}),
            "rulesets.A, entry 1: unknown field 'ruls' (did you mean 'rules'?); known are stage, rules",
        ),
        (
            of_a({"stage": 1, "rules": []}, {"stage": 1, "rules": []}),
            "rulesets.A: stage 1 comes after stage 1, but stages must rise",
        ),
        (of_rule((), [{"terminate": {}}]), IN + "'if' is empty"),
        (of_rule(actions=()), IN + "'do' is empty"),
        (
            of_rule([{"rez": {}}], [{"terminate": {}}]),
            AT + "if, entry 1 = {'rez': {}} must be a table with one of " + CONDITIONS,
        ),
        (of_rule([RES], [{}]), AT + "do, entry 1 = {} must be a table with one of " + ACTIONS),
        (
            of_rule([RES], [DELIVER | {"free": {"pair": "p"}}]),
            AT
            + "do, entry 1 = {'deliver': {'pair': 'p'}, 'free': {'pair': 'p'}} must be a table with one of "
            + ACTIONS,
        ),
        (of_rule([{"res": 5}], [{"terminate": {}}]), AT + "if, entry 1: res = 5 must be a table"),
        (
            of_rule([RES], [{"terminate": {"now": 1}}]),
            AT + "do, entry 1: terminate: unknown field 'now'; known are none",
        ),
        (of_rule([RES], [{"deliver": {}}]), AT + "do, entry 1: deliver.pair is missing"),
        (
            of_rule([RES], [{"deliver": {"pair": "p", "basis": "W"}}]),
            AT + "do, entry 1: deliver.basis = 'W' must be 'X', 'Y' or 'Z'",
        ),
        (
            of_rule([{"count": {"name": "n", "op": "=>", "value": 1}}], [{"terminate": {}}]),
            AT + "if, entry 1: count.op = '=>' must be '<', '<=', '==', '!=', '>=' or '>'",
        ),
        (
            of_rule([RES, {"fidelity": {"pair": "p", "op": "<", "value": 1.5}}]),
            AT + "if, entry 2: fidelity.value = 1.5 must be at most 1",
        ),
        (
            of_rule([RES], [{"settimer": {"name": "t", "seconds": 0}}]),
            AT + "do, entry 1: settimer.seconds = 0 must be greater than 0",
        ),
        (
            of_rule([{"res": {"partner": "R", "n": 0, "as": []}}], [{"terminate": {}}]),
            IN + "res.n = 0 must be at least 1 and the number of names in res.as = []",
        ),
        (
            of_rule([{"res": {"partner": "R", "n": 2, "as": ["p"]}}]),
            IN + "res.n = 2 must be at least 1 and the number of names in res.as = ['p']",
        ),
        (
            of_rule([{"res": {"partner": "X", "n": 1, "as": ["p"]}}]),
            IN + "res.partner = 'X' must be another node of the path (R, B)",
        ),
        (
            of_rule([{"res": {"partner": "A", "n": 1, "as": ["p"]}}]),
            IN + "res.partner = 'A' must be another node of the path (R, B)",
        ),
        (of_rule([RES, RES]), IN + "the name 'p' is bound 2 times"),
        (of_rule([RES], [DELIVER, {"free": {"pair": "p"}}]), IN + "the pair 'p' is used by 2 actions"),
        (
            of_rule([RES], [{"free": {"pair": "q"}}]),
            IN + "free.pair = 'q' must be a name that a res condition binds (here p)",
        ),
        (
            of_rule([{"fidelity": {"pair": "q", "op": "<", "value": 0.5}}], [{"terminate": {}}]),
            IN + "fidelity.pair = 'q' must be a name that a res condition binds (here none)",
        ),
        (
            of_rule([RES], [{"swap": {"left": "p", "right": "p", "to": 1}}]),
            IN + "swap.left and swap.right must be different pairs, not both 'p'",
        ),
        (
            of_rule([RES], [{"purify": {"keep": "p", "sacrifice": "p", "protocol": "bbpssw", "to": 1}}]),
            IN + "purify.keep and purify.sacrifice must be different pairs, not both 'p'",
        ),
        (of_rule([RES], [{"promote": {"pair": "p", "to": 0}}]), IN + "promote.to = 0 must be a stage after 0"),
    ],
)
def test_each_problem_is_one_sentence(text: str, sentence: str) -> None:
    assert problems(text) == [sentence]


def test_all_problems_come_at_once() -> None:
    swap = {
        "if": [{"res": {"partner": "Y", "n": 0, "as": ["l"]}}],
        "do": [{"swap": {"left": "l", "right": "l", "to": 9}}],
    }
    text = of_a({"stage": 3, "rules": [RULE]}, {"stage": 2, "rules": [swap, {"if": [RES], "do": []}]}, path=["A", "R"])
    assert len(problems(text)) == 5
    shape = of_a({"stage": "x", "rules": [{"if": [{"x": {}}]}]}, need="many")
    assert len(problems(shape)) == 4


def test_a_stack_made_in_python_is_checked_too() -> None:
    stage = {"stage": 0, "rules": [{"if": [RES], "do": [{"free": {"pair": "q"}}]}]}
    made = Stage.model_validate(stage)
    with pytest.raises(ValidationError, match="'q' must be a name"):
        RuleSetStack(connection="c", attempt=1, path=("A", "R"), need=1, rulesets={"A": (made,)})


names = st.text(min_size=1, max_size=4)
counts = st.builds(rule.Count, name=names, op=st.sampled_from(list(OPERATORS)), value=st.integers())
timers = st.builds(rule.TimerExpired, name=names)
messages = st.builds(rule.Recv, kind=st.sampled_from(["SWAPRESULT", "PURIFYRESULT"]))


@st.composite
def rules(draw: st.DrawFn, others: list[str], stage: int) -> rule.Rule:
    """A valid rule: resources, perhaps more conditions, and one use for each pair."""
    bound = tuple(draw(st.lists(names, min_size=1, max_size=6, unique=True)))
    res = Res(partner=draw(st.sampled_from(others)), n=len(bound), names=bound)
    more = draw(st.lists(st.one_of(counts, timers, messages), max_size=2))
    left, to = list(bound), draw(st.integers(stage + 1, stage + 9))
    actions: list[Any] = []
    if len(left) >= 2 and draw(st.booleans()):
        actions.append(Swap(left=left.pop(), right=left.pop(), to=to))
    if len(left) >= 2 and draw(st.booleans()):
        protocol = draw(st.sampled_from(["bbpssw", "dejmps"]))
        actions.append(rule.Purify(keep=left.pop(), sacrifice=left.pop(), protocol=protocol, to=to))
    for pair in left:
        basis = draw(st.sampled_from(["X", "Y", "Z", None]))
        ways = [rule.Deliver(pair=pair, basis=basis), rule.Promote(pair=pair, to=to), rule.Free(pair=pair)]
        actions.append(draw(st.sampled_from(ways)))
    fidelity = rule.Fidelity(pair=bound[0], op="<", value=draw(st.floats(0, 1)))
    return rule.Rule(conditions=(res, *more, fidelity), actions=tuple(actions))


@st.composite
def stacks(draw: st.DrawFn) -> RuleSetStack:
    path = draw(st.lists(names, min_size=2, max_size=6, unique=True))
    rulesets = {}
    for node in draw(st.lists(st.sampled_from(path), unique=True)):
        others = [name for name in path if name != node]
        numbers = sorted(draw(st.sets(st.integers(0, 20), max_size=3)))
        rulesets[node] = tuple(
            Stage(number=number, rules=tuple(draw(st.lists(rules(others, number), max_size=2)))) for number in numbers
        )
    need = draw(st.none() | st.integers(0))
    return RuleSetStack(connection=draw(names), attempt=1, path=tuple(path), need=need, rulesets=rulesets)


@fixed
@given(stacks())
def test_round_trip(stack: RuleSetStack) -> None:
    text = stack.to_json()
    again = RuleSetStack.from_json(text)
    assert again == stack
    assert again.to_json() == text
