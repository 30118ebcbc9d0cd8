"""Compiled rules: what a rule of a RuleSet waits for at its node, and what it then does there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from qkdrmp.entanglement.messages import NewPartner, SwapResult
from qkdrmp.entanglement.quantum.pairs import Correlations, Qubit, join, swap_factor, trace_out
from qkdrmp.entanglement.rulesets.language import (
    OPERATORS,
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
from qkdrmp.entanglement.rulesets.ruleset import RuleSet
from qkdrmp.entanglement.runtime.pair_buffer import PairBuffer
from qkdrmp.entanglement.runtime.pair_pool import Onward, PairPool
from qkdrmp.entanglement.runtime.session import Owner, RuleSetSession, Workbench
from qkdrmp.entanglement.runtime.span_restart import SpanRestart
from qkdrmp.kernel.units import to_ticks

Taken = Sequence[Qubit]
Places = Mapping[str, tuple[int, PairBuffer]]
"""For each name of a pair, its position among the pairs taken, and where it is taken from."""
NOISE: Correlations = (0.0, 0.0, 0.0)
DIGITS = 9  # of estimated fidelities: what differs by less differs by rounding


@dataclass(slots=True)
class CompiledRule:
    """A rule made ready for one node.

    A rule that takes pairs runs as long as there are some; one that takes none runs when its conditions come to hold,
    and again only after they have not held.

    Parameters
    ----------
    needs : list of (PairBuffer, int)
        How many pairs it takes from where.
    conditions : list of callable
        What else must hold.
    actions : list of callable
        Each is called with the pairs taken.
    """

    needs: list[tuple[PairBuffer, int]]
    conditions: list[Callable[[], bool]]
    actions: list[Callable[[Taken], None]]
    _has_run: bool = False

    def holds(self) -> bool:
        """Return whether all its conditions hold."""
        for buffer, n in self.needs:
            # Rules are scanned all the time, and mostly for a pair that is not there.
            if buffer.next not in buffer.pairs or not (n == 1 or buffer.has(n)):
                return False
        holds = not self.conditions or all(condition() for condition in self.conditions)
        if not self.needs:
            holds, self._has_run = holds and not self._has_run, holds
        return holds

    def run(self) -> None:
        """Take the pairs it needs and do what it says."""
        taken = [buffer.take() for buffer, n in self.needs for _ in range(n)]
        for action in self.actions:
            action(taken)


def compiled(owner: Owner, bench: Workbench, ruleset: RuleSet) -> RuleSetSession:
    """Return a session that runs a RuleSet.

    Parameters
    ----------
    owner : Owner
        The connection it works for.
    bench : Workbench
        What its node has.
    ruleset : RuleSet
    """
    session = RuleSetSession(owner, bench)
    for stage in ruleset:
        for condition in (condition for rule in stage.rules for condition in rule.conditions):
            if isinstance(condition, Towards):
                session.pool(condition.neighbour, stage.number).wanted = condition.partner
    rules = [_prepared(session, rule, stage.number) for stage in ruleset for rule in stage.rules]
    session.rules += rules
    session.unused = sum(rule.needs[0][1] - 1 for rule in rules if len(rule.needs) == 1)
    _mate(rules)
    return session


def _mate(rules: Sequence[CompiledRule]) -> None:
    """Note which buffers are only ever emptied together, one pair of each."""
    takers = Counter(buffer for rule in rules for buffer, _ in rule.needs)
    for rule in rules:
        if len(rule.needs) == 2 and not rule.conditions:
            (left, n), (right, m) = rule.needs
            if n == m == takers[left] == takers[right] == 1:
                left.mate, right.mate = right, left


def _prepared(session: RuleSetSession, rule: Rule, stage: int) -> CompiledRule:
    needs: list[tuple[PairBuffer, int]] = []
    places: dict[str, tuple[int, PairBuffer]] = {}
    for condition in rule.conditions:
        if isinstance(condition, Res):
            buffer = session.buffer(condition.partner, stage)
            buffer.used = True
            needs.append((buffer, condition.n))
            places |= {name: (len(places) + i, buffer) for i, name in enumerate(condition.names)}
        elif isinstance(condition, Towards):
            pool = session.pool(condition.neighbour, stage)
            pool.used = True
            needs.append((pool, 1))
            places[condition.name] = len(places), pool
    others = [condition for condition in rule.conditions if not isinstance(condition, Res | Towards)]
    for buffer, _ in needs:
        buffer.waits = buffer.waits or len(places) > 1 or bool(others)
    conditions = [_condition(session, condition, places) for condition in others]
    actions = [ACTIONS[type(action)](session, action, places) for action in rule.actions]
    actions += [_consumption(session, condition) for condition in others if isinstance(condition, Recv)]
    return CompiledRule(needs, conditions, actions)


def _condition(session: RuleSetSession, condition: Condition, places: Places) -> Callable[[], bool]:
    if isinstance(condition, Count):
        compare, name, value = OPERATORS[condition.op], condition.name, condition.value
        return lambda: compare(session.counters[name], value)
    if isinstance(condition, TimerExpired):
        return lambda: condition.name in session.expired
    if isinstance(condition, Recv):
        session.awaited.add(condition.kind)
        return lambda: session.heard[condition.kind] > 0
    assert isinstance(condition, Fidelity)
    compare, bound = OPERATORS[condition.op], round(condition.value, DIGITS)
    place, buffer = places[condition.pair]
    place -= min(first for first, other in places.values() if other is buffer)

    def holds() -> bool:
        qubit = buffer.peek(place)
        return qubit is not None and compare(round(session.estimated(qubit), DIGITS), bound)

    return holds


def _consumption(session: RuleSetSession, condition: Recv) -> Callable[[Taken], None]:
    """Return what counts a message as used: a rule runs once for each."""

    def use(taken: Taken) -> None:
        session.heard[condition.kind] -= 1

    return use


# Actions: each function returns what is to be called with the pairs taken.


class _Swap:
    """A swap, by far the most frequent action: one object with slots instead of a function."""

    __slots__ = (
        "_a",
        "_attempt",
        "_b",
        "_env",
        "_i",
        "_j",
        "_name",
        "_random",
        "_restart",
        "_send",
        "_session",
        "_stage",
        "_success",
        "_swaps",
        "_to",
    )

    def __init__(self, session: RuleSetSession, action: Swap, places: Places) -> None:
        (self._i, left), (self._j, right) = places[action.left], places[action.right]
        self._a, self._b = left.partner, right.partner
        left.level = right.level = action.level or 1
        self._restart = SpanRestart(session, (left, right)) if action.restart else None
        left.restart = right.restart = self._restart
        self._stage, self._to = left.stage, cast(int, action.to)
        self._session = session
        self._env, self._name = session.bench.env, session.bench.name
        self._send, self._attempt = session.bench.transport.send, session.owner.attempt
        self._swaps = 0
        self._success, self._random = session.bench.swap_success, session.bench.swap_random

    def __call__(self, taken: Taken) -> None:
        first, second = taken[self._i], taken[self._j]
        success = self._success == 1 or self._random() < self._success
        if success:
            estimate = join(first, second, self._env.now)
            self._session.progress += 1
        else:
            estimate = NOISE
            trace_out(first)
            trace_out(second)
        a, b, attempt, name, stage, to = self._a, self._b, self._attempt, self._name, self._stage, self._to
        number = self._swaps
        self._swaps = number + 1
        self._send(a, SwapResult(attempt, name, stage, first.number, b, to, number, estimate, success))
        self._send(b, SwapResult(attempt, name, stage, second.number, a, to, number, estimate, success))
        first.share.release()
        second.share.release()
        if self._restart is not None:
            self._restart()


def _swap(session: RuleSetSession, action: Swap, places: Places) -> Callable[[Taken], None]:
    if action.to is not None:
        return _Swap(session, action, places)
    (i, left), (j, right) = places[action.left], places[action.right]
    assert isinstance(left, PairPool)
    assert isinstance(right, PairPool)
    left.level = right.level = 1
    return lambda taken: _swap_in_any_order(session, left, right, taken[i], taken[j])


def _swap_in_any_order(session: RuleSetSession, left: PairPool, right: PairPool, first: Qubit, second: Qubit) -> None:
    bench = session.bench
    if bench.swap_success < 1 and bench.swap_random() >= bench.swap_success:
        session.lose(left, first)
        session.lose(right, second)
        return
    now = bench.env.now
    a, b, c = swap_factor(first, second, now)
    to_left, to_right = ((x * a, y * b, z * c) for x, y, z in (second.estimate, first.estimate))
    join(first, second, now)
    session.progress += 1
    ends = left.partners[first.number], right.partners[second.number]
    session.pass_on(left, first.number, Onward(ends[1], to_left))
    session.pass_on(right, second.number, Onward(ends[0], to_right))
    first.share.release()
    second.share.release()


def _purify(session: RuleSetSession, action: Purify, places: Places) -> Callable[[Taken], None]:
    (i, buffer), (j, _) = places[action.keep], places[action.sacrifice]
    return lambda taken: session.purify(buffer, taken[i], taken[j], action.protocol, action.to)


def _deliver(session: RuleSetSession, action: Deliver, places: Places) -> Callable[[Taken], None]:
    i, buffer = places[action.pair]
    buffer.delivers = True

    def run(taken: Taken) -> None:
        session.counters["delivered"] += 1
        session.progress += 1
        session.owner.deliver(taken[i], action.basis)
        taken[i].share.release()

    return run


def _handover(session: RuleSetSession, action: Handover, places: Places) -> Callable[[Taken], None]:
    i, buffer = places[action.pair]
    buffer.onwards = partial(session.owner.leave_out, buffer.partner)

    def run(taken: Taken) -> None:
        session.progress += 1
        session.owner.hand_over(buffer.partner, taken[i])

    return run


def _promote(session: RuleSetSession, action: Promote, places: Places) -> Callable[[Taken], None]:
    i, buffer = places[action.pair]
    if isinstance(buffer, PairPool):
        return partial(_number, session, buffer, i, action.to)
    after = session.buffer(buffer.partner, action.to)
    buffer.after, buffer.onwards = after, after.leave_out
    return lambda taken: session.put(after, taken[i].number, taken[i])


def _number(session: RuleSetSession, pool: PairPool, i: int, to: int, taken: Taken) -> None:
    """Give a pair between the ends its number in a later stage, and let the other end know."""
    qubit, attempt = taken[i], session.owner.attempt
    name, number = pool.name(qubit.number), pool.numbered
    pool.numbered += 1
    partner = session.pass_on(pool, qubit.number, None)
    message = NewPartner(attempt, pool.stage, partner, name, name, qubit.estimate, to, number)
    session.bench.transport.send(partner.node, message)
    session.put(session.buffer(partner.node, to), number, qubit)


def _free(session: RuleSetSession, action: Free, places: Places) -> Callable[[Taken], None]:
    i, buffer = places[action.pair]
    return lambda taken: session.discard_pair(buffer, taken[i])


def _settimer(session: RuleSetSession, action: SetTimer, places: Places) -> Callable[[Taken], None]:
    ticks = to_ticks(action.seconds)
    return lambda taken: session.start_timer(action.name, ticks)


def _terminate(session: RuleSetSession, action: Terminate, places: Places) -> Callable[[Taken], None]:
    return lambda taken: session.owner.complete()


ACTIONS: dict[type[Action], Callable[[RuleSetSession, Any, Places], Callable[[Taken], None]]] = {
    Swap: _swap,
    Purify: _purify,
    Deliver: _deliver,
    Handover: _handover,
    Promote: _promote,
    Free: _free,
    SetTimer: _settimer,
    Terminate: _terminate,
}
