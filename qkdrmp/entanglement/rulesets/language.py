"""Rules: conditions that must all hold, and the actions that follow, as models that read and write JSON."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from qkdrmp.errors import did_you_mean

Operator = Literal["<", "<=", "==", "!=", ">=", ">"]

OPERATORS: Mapping[Operator, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


class Part(BaseModel):
    """A part of a RuleSet: frozen, and strict about its fields."""

    model_config = ConfigDict(frozen=True, strict=True, validate_by_name=True, validate_by_alias=True)

    @model_validator(mode="before")
    @classmethod
    def _check_fields(cls, data: Any) -> Any:
        data = cls._content(data)
        known = {field.alias or name: name for name, field in cls.model_fields.items()}
        unknown = [name for name in data if name not in {*known, *known.values()}] if isinstance(data, Mapping) else []
        if unknown:
            allowed = ", ".join(known) or "none"
            hints = {name: did_you_mean(name, known) for name in unknown}
            raise ValueError("\n".join(f"unknown field '{name}'{hints[name]}; known are {allowed}" for name in unknown))
        return data

    @classmethod
    def _content(cls, data: Any) -> Any:
        return data


class Term(Part):
    """A condition or an action: in JSON ``{kind: {field: value, ...}}``, where the kind is the name of the class."""

    pair_fields: ClassVar[tuple[str, ...]] = ()
    """The fields that name pairs."""

    @classmethod
    def key(cls) -> str:
        """Return the key that stands for the class in JSON."""
        return cls.__name__.lower()

    @classmethod
    def _content(cls, data: Any) -> Any:
        return data[cls.key()] if isinstance(data, Mapping) and data.keys() == {cls.key()} else data

    @model_serializer(mode="wrap")
    def _wrap(self, content: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {self.key(): {name: value for name, value in content(self).items() if value is not None}}

    def pairs(self) -> dict[str, str]:
        """Return the names of the pairs that are used, by field."""
        return {field: getattr(self, field) for field in self.pair_fields}


class Res(Term):
    """Pairs are there: the `n` lowest sequence numbers shared with `partner` in this stage, bound to `names`."""

    partner: str
    n: int
    names: Annotated[tuple[str, ...], Field(alias="as", strict=False)]


class Towards(Term):
    """A pair made with a neighbour is there, whoever has its other half by now, or with `partner` having it."""

    neighbour: str
    partner: str | None = None
    name: Annotated[str, Field(alias="as")]


class Count(Term):
    """A counter of the node, such as ``delivered``, compares so with a value."""

    name: str
    op: Operator
    value: int


class TimerExpired(Term):
    """A timer that `settimer` started has run out; ``timer`` in JSON."""

    name: str

    @classmethod
    def key(cls) -> str:
        """Return the key that stands for the class in JSON."""
        return "timer"


class Recv(Term):
    """A message of a kind has come for the connection; each one that comes lets the rule run once."""

    kind: Literal["SWAPRESULT", "PURIFYRESULT", "DISCARDED", "NEWPARTNER"]


class Fidelity(Term):
    """The estimated fidelity of a pair compares so with a value; both are rounded to nine digits."""

    pair_fields = ("pair",)

    pair: str
    op: Operator
    value: Annotated[float, Field(ge=0, le=1)]


class Swap(Term):
    """Measure both pairs in the Bell basis; their far ends then share a pair in stage `to`.

    Without `to` they are pairs of `towards`, and so is what the far ends share. `level`, by default 1, says which of
    the node's cut-offs holds for pairs that wait for it. With `restart`, both spans begin again from nothing after it,
    and after a cut-off: what waits for a swap between the node and the far ends is discarded.
    """

    pair_fields = ("left", "right")

    left: str
    right: str
    to: int | None = None
    level: Annotated[int, Field(ge=1)] | None = None
    restart: bool | None = None


class Purify(Term):
    """Sacrifice one pair for a better other one, which goes to stage `to`; failure frees both."""

    pair_fields = ("keep", "sacrifice")

    keep: str
    sacrifice: str
    protocol: Literal["bbpssw", "dejmps"]
    to: int


class Deliver(Term):
    """Give a pair to the application, measured in a basis or whole."""

    pair_fields = ("pair",)

    pair: str
    basis: Literal["X", "Y", "Z"] | None = None


class Promote(Term):
    """Move a pair to stage `to` as it is; one of `towards` gets a number there, of which its other end is informed."""

    pair_fields = ("pair",)

    pair: str
    to: int


class Free(Term):
    """Discard a pair and free its memory."""

    pair_fields = ("pair",)

    pair: str


class SetTimer(Term):
    """Start a timer that runs out after so many seconds."""

    name: str
    seconds: Annotated[float, Field(gt=0)]


class Handover(Term):
    """Give a pair to the connection `outer` as a pair of its virtual link, whose `side` this node is."""

    pair_fields = ("pair",)

    pair: str
    outer: str
    side: Literal["left", "right"]


class Terminate(Term):
    """End the connection."""


def _key(term: Any) -> str | None:
    if isinstance(term, Term):
        return term.key()
    return str(*term) if isinstance(term, Mapping) and len(term) == 1 else None


def _one_of(keys: str) -> Discriminator:
    return Discriminator(_key, custom_error_type="kind", custom_error_message=f"must be a table with one of {keys}")


Condition = Annotated[
    Annotated[Res, Tag("res")]
    | Annotated[Towards, Tag("towards")]
    | Annotated[Count, Tag("count")]
    | Annotated[TimerExpired, Tag("timer")]
    | Annotated[Recv, Tag("recv")]
    | Annotated[Fidelity, Tag("fidelity")],
    _one_of("res, towards, count, timer, recv, fidelity"),
]

Action = Annotated[
    Annotated[Swap, Tag("swap")]
    | Annotated[Purify, Tag("purify")]
    | Annotated[Deliver, Tag("deliver")]
    | Annotated[Promote, Tag("promote")]
    | Annotated[Free, Tag("free")]
    | Annotated[SetTimer, Tag("settimer")]
    | Annotated[Handover, Tag("handover")]
    | Annotated[Terminate, Tag("terminate")],
    _one_of("swap, purify, deliver, promote, free, settimer, handover, terminate"),
]


class Rule(Part):
    """Actions to take, in order, whenever all conditions hold."""

    conditions: Annotated[tuple[Condition, ...], Field(alias="if", strict=False)]
    actions: Annotated[tuple[Action, ...], Field(alias="do", strict=False)]

    def partners(self) -> dict[str, str]:
        """Return with whom each pair is that the rule takes, or with which neighbour it was made."""
        found = {name: res.partner for res in self.conditions if isinstance(res, Res) for name in res.names}
        return found | {one.name: one.neighbour for one in self.conditions if isinstance(one, Towards)}

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the rule by itself."""
        yield from (f"'{key}' is empty" for key, terms in (("if", self.conditions), ("do", self.actions)) if not terms)
        resources = [condition for condition in self.conditions if isinstance(condition, Res)]
        for res in resources:
            if res.n < 1 or res.n != len(res.names):
                yield f"res.n = {res.n} must be at least 1 and the number of names in res.as = {list(res.names)}"
        bound = [name for res in resources for name in res.names]
        bound += [condition.name for condition in self.conditions if isinstance(condition, Towards)]
        yield from (f"the name '{name}' is bound {bound.count(name)} times" for name in sorted(doubles(bound)))
        for term in (*self.conditions, *self.actions):
            yield from self._problems_of_pairs(term, bound)
        used = [name for action in self.actions for name in set(action.pairs().values())]
        yield from (f"the pair '{name}' is used by {used.count(name)} actions" for name in sorted(doubles(used)))

    @staticmethod
    def _problems_of_pairs(term: Term, bound: list[str]) -> Iterator[str]:
        pairs, known = term.pairs(), ", ".join(bound) or "none"
        for field, name in pairs.items():
            if name not in bound:
                yield f"{term.key()}.{field} = '{name}' must be a name that a res condition binds (here {known})"
        if len(set(pairs.values())) < len(pairs):
            fields = " and ".join(f"{term.key()}.{field}" for field in pairs)
            yield f"{fields} must be different pairs, not both '{next(iter(pairs.values()))}'"


def doubles(names: list[str] | tuple[str, ...]) -> set[str]:
    """Return the names that occur more than once."""
    return {name for name in names if names.count(name) > 1}
