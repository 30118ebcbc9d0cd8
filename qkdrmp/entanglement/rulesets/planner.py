"""Planning: how the Responder composes the RuleSets of a connection from what the nodes on its path can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from qkdrmp.entanglement.quantum.bell_diagonal import Basis
from qkdrmp.entanglement.rulesets.forecast import NO_FORECAST, Forecast
from qkdrmp.entanglement.rulesets.language import (
    Action,
    Count,
    Deliver,
    Handover,
    Promote,
    Purify,
    Res,
    Rule,
    Swap,
    Terminate,
    Towards,
)
from qkdrmp.entanglement.rulesets.link_budget import (
    InnerPath,
    LinkPlan,
    QCap,
    choose,
    end_to_end,
    of_links,
)
from qkdrmp.entanglement.rulesets.plan_request import PlanRequest
from qkdrmp.entanglement.rulesets.purification import Purification
from qkdrmp.entanglement.rulesets.ruleset import RuleSet, RuleSetStack, Stage
from qkdrmp.entanglement.rulesets.swap_tree import Span, SwapOrder

Side = Literal["left", "right"]

Placed = tuple[str, int, Rule]
"""A rule with its node and stage."""


def _rule(resources: Mapping[str, tuple[str, ...]], action: Action) -> Rule:
    conditions = tuple(Res(partner=partner, n=len(names), names=names) for partner, names in resources.items())
    return Rule(conditions=conditions, actions=(action,))


class SpanRules:
    """The rules of all nodes for the spans of a swap tree.

    Parameters
    ----------
    tree : Span
    purification : Purification
    with_levels : bool
        Whether swaps say at which level they are.
    restart : bool
        Whether the spans of each swap begin again after it.
    """

    def __init__(self, tree: Span, purification: Purification, with_levels: bool, restart: bool) -> None:
        self.purification = purification
        self.with_levels = with_levels
        self.restart = restart or None
        self.rounds = dict(zip(tree.links, purification.links, strict=True))
        self.last = self.stage(tree.height)

    def stage(self, height: int) -> int:
        """Return the stage of pairs for which everything is done up to the swaps of a height."""
        return max(self.rounds.values()) + sum(1 + self.purification.after(one) for one in range(1, height + 1))

    def of(self, span: Span, to: int) -> Iterator[Placed]:
        """Yield the rules that bring the pairs of a span to stage `to`, at all its nodes."""
        if not span.halves:
            yield from self._of_link(span, self.rounds[span.left, span.right], to)
            return
        stage = self.stage(span.height - 1)
        if len(span.halves) > 2:
            yield from self._in_any_order(span, stage, to)
            return
        rounds = self.purification.after(span.height)
        level = span.height if self.with_levels else None
        swap = Swap(left="l", right="r", to=stage + 1 if rounds else to, level=level, restart=self.restart)
        yield span.halves[0].right, stage, _rule({span.left: ("l",), span.right: ("r",)}, swap)
        yield from self._purify(span, stage + 1, rounds, to)
        for half in span.halves:
            yield from self.of(half, stage)

    def _of_link(self, link: Span, rounds: int, to: int) -> Iterator[Placed]:
        yield from self._purify(link, 0, rounds, to)
        if to and not rounds:
            for node, partner in ((link.left, link.right), (link.right, link.left)):
                yield node, 0, _rule({partner: ("p",)}, Promote(pair="p", to=to))

    def _purify(self, span: Span, first: int, rounds: int, to: int) -> Iterator[Placed]:
        """Yield the rules of rounds of purification from stage `first` on, at both ends."""
        for node, partner in ((span.left, span.right), (span.right, span.left)):
            for stage in range(first, first + rounds):
                after = stage + 1 if stage + 1 < first + rounds else to
                action = Purify(keep="k", sacrifice="s", protocol=self.purification.protocol, to=after)
                yield node, stage, _rule({partner: ("k", "s")}, action)

    def _in_any_order(self, span: Span, stage: int, to: int) -> Iterator[Placed]:
        """Yield the rules by which each inner node swaps as soon as it can.

        The first node of the path numbers what reaches the last one.
        """
        for left, right in pairwise(span.halves):
            pairs = Towards(neighbour=left.left, name="l"), Towards(neighbour=right.right, name="r")
            yield left.right, stage, Rule(conditions=pairs, actions=(Swap(left="l", right="r"),))
        whole = Towards(neighbour=span.halves[0].right, partner=span.right, name="p")
        yield span.left, stage, Rule(conditions=(whole,), actions=(Promote(pair="p", to=to),))
        for half in span.halves:
            yield from self.of(half, stage)


def compose(
    connection: str,
    attempt: int,
    tree: Span,
    rounds: Sequence[int] | Purification,
    need: int | None,
    outer: str | None = None,
    basis: Basis | None = None,
    with_levels: bool = False,
    restart: bool = False,
) -> RuleSetStack:
    """Return the RuleSets that purify, swap by the tree, and deliver at both ends.

    Links are purified first, so all swaps of one height in the tree share a stage; pairs that are ready earlier are
    sent straight to the stage where they are swapped.

    Parameters
    ----------
    connection : str
    attempt : int
    tree : Span
    rounds : sequence of int or Purification
        Rounds of purification of each link, from left to right, by BBPSSW; or all that is purified.
    need : int or None
        Pairs to deliver; None is endless.
    outer : str, optional
        The connection to hand the pairs over to, instead of delivering them.
    basis : {"X", "Y", "Z"}, optional
        In which the ends measure what they deliver.
    with_levels : bool
        Whether swaps say at which level they are, for nodes that have a cut-off for each.
    restart : bool
        Whether the spans of each swap begin again after it.
    """
    purification = rounds if isinstance(rounds, Purification) else Purification(tuple(rounds))
    rules = SpanRules(tree, purification, with_levels, restart)
    path = (tree.left, *(right for _, right in tree.links))
    stages: dict[str, dict[int, list[Rule]]] = {node: {} for node in path}
    sides: tuple[Side, Side] = ("left", "right")
    ends = (rule for side in sides for rule in _rules_of_end(tree, rules.last, need, outer, basis, side))
    for node, stage, rule in (*rules.of(tree, rules.last), *ends):
        stages[node].setdefault(stage, []).append(rule)
    rulesets = {node: _ruleset(rules) for node, rules in stages.items()}
    return RuleSetStack(connection=connection, attempt=attempt, path=path, need=need, rulesets=rulesets)


def _rules_of_end(
    tree: Span, stage: int, need: int | None, outer: str | None, basis: Basis | None, side: Side
) -> Iterator[Placed]:
    node, partner = (tree.left, tree.right) if side == "left" else (tree.right, tree.left)
    if need is not None:
        enough = Count(name="delivered", op=">=", value=need)
        yield node, stage, Rule(conditions=(enough,), actions=(Terminate(),))
    give = Handover(pair="p", outer=outer, side=side) if outer is not None else Deliver(pair="p", basis=basis)
    yield node, stage, _rule({partner: ("p",)}, give)


def _ruleset(rules: Mapping[int, Sequence[Rule]]) -> RuleSet:
    return tuple(Stage(number=number, rules=tuple(rules[number])) for number in sorted(rules))


def null_stack(connection: str, attempt: int, path: Sequence[str]) -> RuleSetStack:
    """Return the empty RuleSets of a null setup."""
    rulesets: dict[str, RuleSet] = dict.fromkeys(path, ())
    return RuleSetStack(connection=connection, attempt=attempt, path=tuple(path), need=0, rulesets=rulesets)


@dataclass(frozen=True, slots=True)
class ConnectionPlan:
    """The RuleSets of a connection and what they promise.

    Parameters
    ----------
    stack : RuleSetStack
    links : tuple of LinkPlan
        How each link of the path is used, from the Initiator on.
    fidelity : float
        Of the delivered pairs, if halves never waited for each other.
    forecast : Forecast, optional
        What can be promised; without one, nothing is.
    purification : Purification, optional
        Without it, that of the links.
    """

    stack: RuleSetStack
    links: tuple[LinkPlan, ...]
    fidelity: float
    forecast: Forecast | None = None
    purification: Purification | None = None

    def path(self, qcaps: Sequence[QCap], swap_order: SwapOrder) -> InnerPath:
        """Return the path with this plan for it."""
        tree = swap_order([qcap.node for qcap in qcaps])
        return InnerPath(tuple(qcaps), tree, self.purified)

    @property
    def purified(self) -> Purification:
        """How pairs are purified."""
        return self.purification or of_links(self.links)

    @property
    def promise(self) -> Forecast:
        """What can be promised: nothing without a forecast."""
        return self.forecast or NO_FORECAST

    @property
    def expected_fidelity(self) -> float:
        """As forecast; else what it would be if halves never waited for each other."""
        return self.forecast.fidelity if self.forecast else self.fidelity

    @property
    def expected_rate(self) -> float:
        """As forecast; else what the slowest link allows."""
        return self.forecast.rate if self.forecast else self.rate

    @property
    def rate(self) -> float:
        """Pairs per second that the slowest link allows; waiting for each other makes the true rate lower."""
        return min(link.rate for link in self.links)


def plan(request: PlanRequest) -> ConnectionPlan:
    """Return the RuleSets that meet both bounds with the fewest raw pairs, and what they promise.

    Raises
    ------
    Infeasible
        If no plan meets both bounds.
    ValueError
        If the swap tree is not over the links of the path.
    """
    return plan_with(request, choose(request.qcaps, *request.bounds, request.physics))


def plan_with(
    request: PlanRequest, links: tuple[LinkPlan, ...], purification: Purification | None = None
) -> ConnectionPlan:
    """Return the RuleSets that use the links in these ways (see `plan`)."""
    stack = compose(
        request.connection,
        request.attempt,
        request.tree(),
        purification or of_links(links),
        request.need,
        request.outer,
        request.basis,
        with_levels=any(len(cutoffs) > 1 for qcap in request.qcaps for cutoffs in qcap.cutoffs),
        restart=request.restart,
    )
    return ConnectionPlan(stack, links, end_to_end(links, request.quality), purification=purification)
