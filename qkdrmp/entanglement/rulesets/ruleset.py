"""RuleSets: what every node on the path of a connection does with its pairs, as models that read and write JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    ValidationError,
    model_validator,
)

from qkdrmp.config.sections import sentences
from qkdrmp.entanglement.rulesets.language import (
    Action,
    Condition,
    Free,
    Part,
    Promote,
    Purify,
    Res,
    Rule,
    Swap,
    Towards,
    doubles,
)
from qkdrmp.entanglement.rulesets.wording import RuleInWords, in_words
from qkdrmp.errors import QKDRMPError


class RuleSetError(QKDRMPError, ValueError):
    """RuleSets, or the JSON that describes them, cannot be used."""


class Stage(Part):
    """The rules for pairs that have come as far as this stage; fresh pairs of a link are in stage 0."""

    number: Annotated[int, Field(alias="stage", ge=0)]
    rules: Annotated[tuple[Rule, ...], Field(strict=False)]


RuleSet = Annotated[tuple[Stage, ...], Field(strict=False)]
"""All stages of one node."""


class RuleSetStack(Part):
    """The RuleSets of a connection, by node.

    Parameters
    ----------
    connection : str
    attempt : int, optional
        From 1; a retry of a setup is a new attempt.
    path : tuple of str
        Nodes from Initiator to Responder.
    need : int, optional
        Pairs to deliver; None is endless, 0 a null setup.
    rulesets : mapping
        RuleSets by node; nodes that have popped theirs are absent.
    """

    connection: str
    attempt: Annotated[int, Field(ge=1)] = 1
    path: Annotated[tuple[str, ...], Field(strict=False)]
    need: Annotated[int, Field(ge=0)] | None = None
    rulesets: dict[str, RuleSet]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if problems := [*self._problems_of_path(), *self._problems()]:
            raise ValueError("\n".join(problems))
        return self

    def _problems_of_path(self) -> Iterator[str]:
        if len(self.path) < 2 or doubles(self.path):
            yield f"path = {list(self.path)} must be a list of at least two different nodes"

    def _problems(self) -> Iterator[str]:
        for node, ruleset in self.rulesets.items():
            if node not in self.path:
                yield f"rulesets: the node '{node}' is not on the path {', '.join(self.path)}"
            for before, after in pairwise(stage.number for stage in ruleset):
                if before >= after:
                    yield f"rulesets.{node}: stage {after} comes after stage {before}, but stages must rise"
            for stage in ruleset:
                if problem := _disagreement(stage):
                    yield f"rulesets.{node}, stage {stage.number}: {problem}"
                for number, rule in enumerate(stage.rules, start=1):
                    place = f"rulesets.{node}, stage {stage.number}, rule {number}"
                    problems = (*rule.problems(), *self._problems_of_rule(node, stage, rule))
                    yield from (f"{place}: {problem}" for problem in problems)

    def _problems_of_rule(self, node: str, stage: Stage, rule: Rule) -> Iterator[str]:
        others = [name for name in self.path if name != node]
        for condition in rule.conditions:
            yield from _unknown_nodes(condition, others)
        for action in rule.actions:
            to = action.to if isinstance(action, Swap | Purify | Promote) else None
            if to is not None and to <= stage.number:
                yield f"{action.key()}.to = {to} must be a stage after {stage.number}"
            yield from _misuse(action, {one.name: one for one in rule.conditions if isinstance(one, Towards)})

    def popped(self, node: str) -> tuple[RuleSet, RuleSetStack]:
        """Return the RuleSet of a node, and the stack without it."""
        left = {name: ruleset for name, ruleset in self.rulesets.items() if name != node}
        return self.rulesets[node], self.model_copy(update={"rulesets": left})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the stack that a JSON text describes.

        Raises
        ------
        RuleSetError
            With one sentence a line for everything that is wrong.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise RuleSetError(f"RuleSets must be JSON: {error}") from None
        return cls.from_data(data)

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """Return the stack that nested mappings describe, with the structure of the JSON.

        Raises
        ------
        RuleSetError
            With one sentence a line for everything that is wrong.
        """
        if not isinstance(data, Mapping):
            raise RuleSetError(f"RuleSets must be a JSON object, not {json.dumps(data, default=repr):.40}")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise RuleSetError("\n".join(sentences(error, cls))) from None

    def in_words(self) -> Iterator[RuleInWords]:
        """Yield all rules in words, node by node along the path."""
        for node in self.path:
            for stage in self.rulesets.get(node, ()):
                for number, rule in enumerate(stage.rules, start=1):
                    yield in_words(node, stage.number, number, rule)

    def to_json(self) -> str:
        """Return the stack as JSON."""
        return json.dumps(self.model_dump(mode="json", by_alias=True))


def _unknown_nodes(condition: Condition, others: Sequence[str]) -> Iterator[str]:
    """Yield which nodes a condition names that are no others of the path."""
    fields = ("partner",) if isinstance(condition, Res) else ("neighbour", "partner")
    for field in fields if isinstance(condition, Res | Towards) else ():
        name = getattr(condition, field)
        if name is not None and name not in others:
            yield f"{condition.key()}.{field} = '{name}' must be another node of the path ({', '.join(others)})"


def _misuse(action: Action, towards: Mapping[str, Towards]) -> Iterator[str]:
    """Yield what is wrong with an action on pairs of `towards`, which are swapped in pairs, numbered, or freed."""
    used = {name: towards[name] for name in action.pairs().values() if name in towards}
    if isinstance(action, Swap):
        if (action.to is None) != (len(used) == 2):
            yield "swap.to must be there, unless both pairs are of towards"
        if used and (action.level or action.restart):
            yield "swap.level and swap.restart must not be there with pairs of towards, which have no levels"
    elif isinstance(action, Promote):
        yield from (
            f"towards.partner must be there to promote '{name}'" for name, one in used.items() if not one.partner
        )
    elif not isinstance(action, Free):
        yield from (f"{action.key()} cannot be of a pair of towards, such as '{name}'" for name in used)


def _disagreement(stage: Stage) -> str | None:
    """Return what is wrong if rules wait for different partners of the pairs with one neighbour."""
    conditions = [one for rule in stage.rules for one in rule.conditions if isinstance(one, Towards)]
    wanted = {(one.neighbour, one.partner) for one in conditions}
    twice = sorted(doubles([neighbour for neighbour, _ in wanted]))
    return f"towards.partner must be the same in all rules for the neighbour '{twice[0]}'" if twice else None
