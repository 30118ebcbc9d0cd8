"""Rules in words: what each of them waits for and does, in a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from qkdrmp.entanglement.rulesets.language import (
    Action,
    Condition,
    Count,
    Deliver,
    Fidelity,
    Free,
    Handover,
    Promote,
    Purify,
    Recv,
    Res,
    Rule,
    SetTimer,
    Swap,
    Terminate,
    TimerExpired,
    Towards,
)


class RuleInWords(NamedTuple):
    """A rule with its place: the node, the stage, and which of its rules it is, from 1."""

    node: str
    stage: int
    number: int
    conditions: str
    actions: str


def _res(res: Res) -> str:
    return f"{'a pair' if res.n == 1 else 'pairs'} {', '.join(res.names)} with {res.partner}"


def _deliver(deliver: Deliver) -> str:
    return f"deliver {deliver.pair}" + (f" measured in {deliver.basis}" if deliver.basis else "")


def _swap(swap: Swap) -> str:
    said = f"swap {swap.left} and {swap.right}" + ("" if swap.to is None else f", to stage {swap.to}")
    return said + (f", at level {swap.level}" if swap.level else "") + (", then restart" if swap.restart else "")


WORDS: dict[type[Condition] | type[Action], Callable[[Any], str]] = {
    Res: _res,
    Towards: lambda one: f"a pair {one.name} towards {one.neighbour}" + (f" with {one.partner}" if one.partner else ""),
    Count: lambda count: f"{count.name} {count.op} {count.value}",
    TimerExpired: lambda timer: f"timer {timer.name} has run out",
    Recv: lambda recv: f"a {recv.kind} has come",
    Fidelity: lambda fidelity: f"fidelity of {fidelity.pair} {fidelity.op} {fidelity.value:g}",
    Swap: _swap,
    Purify: lambda one: f"purify {one.keep} by {one.sacrifice} ({one.protocol}), to stage {one.to}",
    Deliver: _deliver,
    Promote: lambda promote: f"promote {promote.pair} to stage {promote.to}",
    Free: lambda free: f"free {free.pair}",
    SetTimer: lambda timer: f"set timer {timer.name} to {timer.seconds:g} s",
    Handover: lambda one: f"hand {one.pair} over to {one.outer}",
    Terminate: lambda terminate: "terminate",
}


def in_words(node: str, stage: int, number: int, rule: Rule) -> RuleInWords:
    """Return a rule in words, with its place."""
    conditions = ", ".join(WORDS[type(condition)](condition) for condition in rule.conditions)
    actions = ", ".join(WORDS[type(action)](action) for action in rule.actions)
    return RuleInWords(node, stage, number, conditions, actions)
