"""RuleSets of the user's own: where they are read from, and how they fit the connections that they are for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from qkdrmp.entanglement.rulesets.language import Count, Deliver, Handover, Purify, Rule, Swap, doubles
from qkdrmp.entanglement.rulesets.ruleset import RuleSet, RuleSetError, RuleSetStack

OwnRuleSets = tuple[RuleSetStack, ...]


def read(value: Any, folder: Path | None = None) -> OwnRuleSets:
    """Return the RuleSets that a setting stands for: a file of JSON, or what such a file holds, or objects.

    Parameters
    ----------
    value : object
        The path of a file, or the RuleSets of one connection or a list of them, as tables or `RuleSetStack`.
    folder : Path, optional
        That a relative path starts from; by default the working directory.

    Raises
    ------
    ValueError
        With one sentence a line for everything that is wrong, and the file that it is in.
    """
    if isinstance(value, str | Path):
        return _read_file(Path(value), folder)
    stacks = value if isinstance(value, list | tuple) else (value,)
    found = tuple(one if isinstance(one, RuleSetStack) else RuleSetStack.from_data(one) for one in stacks)
    if problems := [*_doubles(found), *chain.from_iterable(map(_problems, found))]:
        raise RuleSetError("\n".join(problems))
    return found


def _read_file(file: Path, folder: Path | None) -> OwnRuleSets:
    beside = (folder or Path()) / file
    try:
        data = json.loads(beside.read_text(encoding="utf-8-sig"))
        return read(data if isinstance(data, list) else (data,))
    except RuleSetError as error:
        raise ValueError("\n".join(f"{file}: {line}" for line in str(error).splitlines())) from None
    except OSError as error:
        raise ValueError(f"{beside} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{beside} cannot be read as text: {error}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{beside} must be JSON: {error}") from None


def _doubles(stacks: OwnRuleSets) -> Iterator[str]:
    for name in sorted(doubles([stack.connection for stack in stacks])):
        yield f"connection = '{name}' has RuleSets twice"


def _problems(stack: RuleSetStack) -> Iterator[str]:
    """Yield what no connection can do with RuleSets, though each rule is right by itself."""
    for node in stack.path:
        if not stack.rulesets.get(node):
            yield f"rulesets.{node} is missing, because the path of the connection '{stack.connection}' has this node"
    for node, ruleset in stack.rulesets.items():
        for stage in ruleset:
            for number, rule in enumerate(stage.rules, start=1):
                for problem in _problems_of_rule(rule, node in (stack.path[0], stack.path[-1])):
                    yield f"rulesets.{node}, stage {stage.number}, rule {number}: {problem}"


def _problems_of_rule(rule: Rule, at_end: bool) -> Iterator[str]:
    partners = rule.partners()
    used = {name for action in rule.actions for name in action.pairs().values()}
    yield from (f"the pair '{name}' is taken, but no action uses it" for name in partners if name not in used)
    for action in rule.actions:
        if isinstance(action, Deliver | Handover) and not at_end:
            yield f"{action.key()} must be at an end of the path"
        if isinstance(action, Purify) and partners[action.keep] != partners[action.sacrifice]:
            yield "purify.keep and purify.sacrifice must be pairs with the same partner"
        if isinstance(action, Swap) and partners[action.left] == partners[action.right]:
            yield "swap.left and swap.right must be pairs with different partners"


def fitted(stack: RuleSetStack, attempt: int, path: tuple[str, ...], need: int | None, inside: bool) -> RuleSetStack:
    """Return RuleSets of the user's own as they are for an attempt at their connection.

    Where a rule counts up to the need that they were written for, it then counts up to the need asked for.

    Parameters
    ----------
    stack : RuleSetStack
    attempt : int
    path : tuple of str
        The nodes from Initiator to Responder, as the request came.
    need : int or None
        Pairs asked for; None is endless.
    inside : bool
        Whether it is a connection within a network, which hands its pairs over instead of delivering them.

    Raises
    ------
    RuleSetError
        If they are for another path, or do with the pairs what no such connection can do.
    """
    if stack.path != path:
        raise RuleSetError(f"the RuleSets given are for the path {', '.join(stack.path)}, not {', '.join(path)}")
    wrong = Deliver if inside else Handover
    rules = (rule for ruleset in stack.rulesets.values() for stage in ruleset for rule in stage.rules)
    if any(isinstance(action, wrong) for rule in rules for action in rule.actions):
        where = "within a network" if inside else "that is not within a network"
        raise RuleSetError(f"the RuleSets given have the action {wrong.key()}, of no use in a connection {where}")
    before = stack.need
    rulesets = stack.rulesets if before is None or need is None else _counting(stack.rulesets, before, need)
    return stack.model_copy(update={"attempt": attempt, "need": need, "rulesets": rulesets})


def _counting(rulesets: Mapping[str, RuleSet], before: int, need: int) -> dict[str, RuleSet]:
    """Return RuleSets that count up to `need` pairs instead of as many as before."""

    def counted(rule: Rule) -> Rule:
        return rule.model_copy(
            update={
                "conditions": tuple(
                    condition.model_copy(update={"value": need})
                    if isinstance(condition, Count) and (condition.name, condition.value) == ("delivered", before)
                    else condition
                    for condition in rule.conditions
                )
            }
        )

    return {
        node: tuple(stage.model_copy(update={"rules": tuple(map(counted, stage.rules))}) for stage in ruleset)
        for node, ruleset in rulesets.items()
    }
