"""What each link of a path contributes: how often its pairs are purified, at which cost, rate and fidelity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from qkdrmp.entanglement.quantum.bell_diagonal import (
    BellDiagonal,
    Memory,
    dejmps,
    shared_gate_error,
    shared_readout_error,
    swap,
)
from qkdrmp.entanglement.quantum.bell_diagonal import bbpssw as purify
from qkdrmp.entanglement.quantum.pairs import Device
from qkdrmp.entanglement.rulesets.purification import Purification, PurificationProtocol
from qkdrmp.entanglement.rulesets.swap_tree import Span
from qkdrmp.errors import QKDRMPError
from qkdrmp.kernel.units import TICKS_PER_SECOND

_CLOSE = 1e-12
"""Werner parameters, fidelities, and rates (as a share) that are closer than this are the same."""

_SLACK = 1e-9
"""What `_CLOSE` may add up to along a path."""

ROUND = 2.2
"""About how many pairs a round of purification takes for each that it leaves."""


PERFECT_MEMORY = Memory(math.inf, math.inf)

LaterRate = tuple[int | None, float]
"""A rate, and from which tick on it is expected; None if that is not known."""


@dataclass(frozen=True, slots=True)
class HopReport:
    """What a node knows of the link to the previous hop besides its rate; times are in ticks.

    Parameters
    ----------
    slot : int
        Time of a trial; 0 if pairs come at any time.
    starts, heralds : tuple of int
        When the halves come into memory, and when the ends know of a success, after the start of a slot; first at the
        previous hop.
    delay : int
        How long a message takes, without its processing.
    lanes : int
        Trials of a slot.
    alone : float
        Those of them that the connection has while there are no others.
    success : float
        Probability that a trial succeeds.
    state : BellDiagonal, optional
        Of new pairs; without it, the Werner state of their fidelity.
    is_assured : bool
        Whether the connection can count on its attempts, as the policy of the link assures it of them.
    """

    slot: int = 0
    starts: tuple[int, int] = (0, 0)
    heralds: tuple[int, int] = (0, 0)
    delay: int = 0
    lanes: int = 1
    alone: float = 1.0
    success: float = 1.0
    state: BellDiagonal | None = None
    is_assured: bool = True


NO_REPORT = HopReport()


@dataclass(frozen=True, slots=True)
class QCap:
    """What a node reports to the Responder.

    Parameters
    ----------
    node : str
    rate, fidelity : float
        Pairs per second and raw fidelity of the link to the previous hop; the Initiator's are not used.
    gate_error, readout_error : float
        Chance that a two-qubit gate, or a readout, depolarises.
    before, after : Memory
        The memories towards the previous and the next hop.
    free_memories : int
        Memories the connection may have at each of the node's interfaces on the path.
    later : tuple of (int or None, float)
        Higher rates to come: from which tick on, and how many pairs per second. None is for what the connection would
        have by itself, where it is not known when the others will end.
    attempts : float
        Trials of a slot that the connection has on average beside others, with memories for them.
    processing : int
        Ticks that a message takes to be processed.
    hop : HopReport
        Of the link to the previous hop.
    inner : InnerPath, optional
        How the network between the previous hop and this one is crossed, if there is one.
    swap_success : float
        Probability that a swap succeeds.
    cutoffs : tuple of tuple of int
        Ticks after which a half that waits for a swap is discarded, by level, in the memories before and after.
    """

    node: str
    rate: float = math.inf
    fidelity: float = 1.0
    gate_error: float = 0.0
    readout_error: float = 0.0
    before: Memory = PERFECT_MEMORY
    after: Memory = PERFECT_MEMORY
    free_memories: int = 1
    later: tuple[LaterRate, ...] = ()
    attempts: float = 1.0
    processing: int = 0
    hop: HopReport = NO_REPORT
    inner: InnerPath | None = None
    swap_success: float = 1.0
    cutoffs: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def device(self, after: bool) -> Device:
        """Return the memories towards the next or the previous hop, with the gates."""
        memory = self.after if after else self.before
        return Device(memory, self.gate_error, self.readout_error, self.cutoffs[after])

    @property
    def has_all(self) -> bool:
        """Whether there are no more trials or memories of the link to the previous hop for it without others."""
        return self.attempts >= self.hop.alone and self.free_memories >= self.hop.lanes

    def at(self, tick: int | None) -> QCap:
        """Return what the node will report at a tick, as far as it knows; for None, what it would without others."""
        rates = [rate for since, rate in self.later if tick is None or (since is not None and since <= tick)]
        if not rates:
            return self
        attempts = rates[-1] * self.hop.slot / TICKS_PER_SECOND / self.hop.success if self.hop.slot else self.attempts
        return replace(self, rate=rates[-1], attempts=attempts, later=(), inner=self.inner and self.inner.at(tick))


@dataclass(frozen=True, slots=True)
class InnerPath:
    """A path with the plan for it, as it is played in a forecast.

    Parameters
    ----------
    qcaps : tuple of QCap
        Of all its nodes, from left to right.
    tree : Span
        In which order its pairs are swapped.
    purification : Purification
    """

    qcaps: tuple[QCap, ...]
    tree: Span
    purification: Purification

    def at(self, tick: int | None) -> InnerPath:
        """Return what its nodes will report at a tick (see `QCap.at`)."""
        return replace(self, qcaps=tuple(qcap.at(tick) for qcap in self.qcaps))

    @property
    def as_it_is(self) -> InnerPath:
        """The path without the rates to come: what is the same now has the same forecast."""
        return replace(self, qcaps=tuple(replace(q, later=(), inner=q.inner and q.inner.as_it_is) for q in self.qcaps))

    @property
    def is_whole(self) -> bool:
        """Whether a connection has no more trials or memories of any link without others."""
        return all(q.inner.is_whole if q.inner else q.has_all for q in self.qcaps[1:])


def later_ticks(qcaps: Sequence[QCap]) -> list[int | None]:
    """Return when rates of a path are expected to rise; None, at last, is for what it would have without others."""
    ticks = {tick for qcap in qcaps for tick, _ in qcap.later}
    return [*sorted(tick for tick in ticks if tick is not None), *([None] if ticks else [])]


class Infeasible(QKDRMPError):
    """No plan meets both bounds.

    Parameters
    ----------
    best_fidelity : float
        The highest fidelity at the asked rate; 0 if that rate cannot be had.
    best_rate : float
        The highest rate at the asked fidelity; 0 if that fidelity cannot be had.
    """

    def __init__(self, best_fidelity: float, best_rate: float) -> None:
        super().__init__(
            f"The path cannot meet both bounds: at the asked rate the best fidelity is {best_fidelity:.6g}, "
            f"at the asked fidelity the best rate is {best_rate:.6g} pairs/s (0 is none at all)."
        )
        self.best_fidelity = best_fidelity
        self.best_rate = best_rate


# Fidelities


def werner(fidelity: float) -> float:
    """Return the Werner parameter w of a fidelity; that of swapped pairs is the product."""
    return (4 * fidelity - 1) / 3


def bbpssw(fidelity: float) -> tuple[float, float]:
    """Return the success probability and the fidelity after a round of BBPSSW on Werner pairs with perfect gates."""
    pair = BellDiagonal.werner(fidelity)
    probability, kept = purify(pair, pair)
    return probability, kept.fidelity


class Physics:
    """What swaps and purification do to Werner pairs, here with perfect gates; a subclass may add noise."""

    def purified(self, fidelity: float, left: QCap, right: QCap) -> tuple[float, float]:
        """Return success probability and fidelity of a round on two pairs of a fidelity between two nodes."""
        return bbpssw(fidelity)

    def swap_quality(self, at: QCap) -> float:
        """Return the factor by which a swap at a node lowers the Werner parameter (above 0)."""
        return 1.0

    def waited(self, fidelity: float, seconds: float, left: QCap, right: QCap) -> float:
        """Return the fidelity of a pair that waits for the second one of a round of purification."""
        return fidelity

    def wait_quality(self, qcaps: Sequence[QCap]) -> float:
        """Return the factor by which waiting that cannot be avoided lowers the Werner parameter (above 0)."""
        return 1.0


class NoisyPhysics(Physics):
    """What swaps, purification and waiting do with the gates, readouts and memories that the nodes report.

    Parameters
    ----------
    one_way_s : float
        How long a message takes from one end of the path to the other, in seconds.
    """

    def __init__(self, one_way_s: float = 0.0) -> None:
        self.one_way_s = one_way_s

    def purified(self, fidelity: float, left: QCap, right: QCap) -> tuple[float, float]:
        """Return success probability and fidelity of a round on two pairs of a fidelity between two nodes."""
        pair = BellDiagonal.werner(fidelity)
        gate = shared_gate_error(left.gate_error, right.gate_error)
        probability, kept = purify(pair, pair, gate, shared_readout_error(left.readout_error, right.readout_error))
        return probability, kept.fidelity

    def swap_quality(self, at: QCap) -> float:
        """Return the factor by which a swap at a node lowers the Werner parameter."""
        perfect = BellDiagonal.werner(1.0)
        return werner(swap(perfect, perfect, at.gate_error, at.readout_error).fidelity)

    def waited(self, fidelity: float, seconds: float, left: QCap, right: QCap) -> float:
        """Return the fidelity of a pair that waits for the second one of a round of purification."""
        return (1 + 3 * werner(fidelity) * math.exp(-seconds * (_decay(left.after) + _decay(right.before)))) / 4

    def wait_quality(self, qcaps: Sequence[QCap]) -> float:
        """Return the factor by which waiting that cannot be avoided lowers the Werner parameter (above 0).

        Every half waits for its herald, which takes as long as a message along the link; the ends wait for the result
        of the last swap, the nodes between them for those of the swaps before it. How long halves wait for each other
        is for a forecast to say.
        """
        decays = [_decay(left.after) + _decay(right.before) for left, right in pairwise(qcaps)]
        lost = sum(decays) * self.one_way_s / len(decays)
        if len(decays) > 1:
            inner = sum(_decay(qcap.before) + _decay(qcap.after) for qcap in qcaps[1:-1])
            lost += self.one_way_s * (_decay(qcaps[0].after) + _decay(qcaps[-1].before) + inner / 4)
        return math.exp(-lost)


def _decay(memory: Memory) -> float:
    """Return how fast a half in a memory lowers the Werner parameter, per second."""
    return (1 / memory.t1_s + 2 / memory.t2_s) / 3


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """How a link is used: rounds of purification, the raw pairs they take on average, and the purified pairs.

    Parameters
    ----------
    rounds : int
    pairs : float
        Raw pairs of the link for each purified pair.
    rate, fidelity : float
        Of the purified pairs.
    """

    rounds: int
    pairs: float
    rate: float
    fidelity: float


def link_plans(left: QCap, right: QCap, physics: Physics) -> list[LinkPlan]:
    """Return the ways to use a link: 0, 1, 2... rounds, while they improve the fidelity and memories suffice.

    There are none without a free memory, nor for pairs that are no better than noise.
    """
    quota, pairs, fidelity = min(left.free_memories, right.free_memories), 1.0, right.fidelity
    plans = [LinkPlan(0, pairs, right.rate, fidelity)] if quota and fidelity > 0.25 + _CLOSE else []
    for rounds in range(1, quota if plans else 0):
        waited = physics.waited(fidelity, pairs / right.rate, left, right) if right.rate > 0 else 0.25
        success, better = physics.purified(waited, left, right)
        if better <= fidelity + _CLOSE:
            break
        pairs, fidelity = pairs * 2 / success, better
        plans.append(LinkPlan(rounds, pairs, right.rate / pairs, fidelity))
    return plans


def of_links(plans: Sequence[LinkPlan]) -> Purification:
    """Return the purification of links that are used in these ways."""
    return Purification(tuple(plan.rounds for plan in plans))


def raw_pairs(purification: Purification, links: Sequence[LinkPlan]) -> float:
    """Return about how many pairs of links a pair of the users takes; a round after swaps takes two, if it succeeds."""
    return float(sum(plan.pairs for plan in links) * ROUND ** sum(purification.heights))


def level_plans(
    qcaps: Sequence[QCap], physics: Physics, protocol: PurificationProtocol = "bbpssw"
) -> list[tuple[LinkPlan, ...]]:
    """Return the ways to use all links alike, with 0, 1, 2... rounds each, as far as all of them can."""
    found = (
        dejmps_plans(left, right) if protocol == "dejmps" else link_plans(left, right, physics)
        for left, right in pairwise(qcaps)
    )
    return list(zip(*found, strict=False))


def dejmps_plans(left: QCap, right: QCap) -> list[LinkPlan]:
    """Return the ways to use a link if it is purified by DEJMPS, with 0, 1, 2... rounds, as far as memories suffice.

    Its first round may make the fidelity lower and a later one higher, so they are not judged here.
    """
    state = first = right.hop.state or BellDiagonal.werner(right.fidelity)
    gate = shared_gate_error(left.gate_error, right.gate_error)
    readout = shared_readout_error(left.readout_error, right.readout_error)
    quota, pairs = min(left.free_memories, right.free_memories), 1.0
    plans = [LinkPlan(0, pairs, right.rate, first.fidelity)] if quota else []
    for rounds in range(1, quota):
        success, state = dejmps(state, state, gate, readout)
        pairs *= 2 / success
        plans.append(LinkPlan(rounds, pairs, right.rate / pairs, state.fidelity))
    return plans


Choices = Sequence[Sequence[LinkPlan]]
"""For each link the ways to use it, from the fewest rounds to the most."""


def quality(qcaps: Sequence[QCap], physics: Physics) -> float:
    """Return the factor by which swaps and waits that cannot be avoided lower the Werner parameter."""
    return physics.wait_quality(qcaps) * math.prod(physics.swap_quality(qcap) for qcap in qcaps[1:-1])


def _at_rate(choices: Choices, rate: float) -> list[list[LinkPlan]]:
    return [[plan for plan in plans if plan.rate >= rate * (1 - _CLOSE)] for plans in choices]


def end_to_end(plans: Sequence[LinkPlan], quality: float) -> float:
    """Return the fidelity of the pairs that the links of a path give after their swaps."""
    return (1 + 3 * quality * math.prod(werner(plan.fidelity) for plan in plans)) / 4


def _best_fidelity(choices: Choices, quality: float) -> float:
    return end_to_end([plans[-1] for plans in choices], quality) if all(choices) else 0.0


def _best_rate(choices: Choices, quality: float, fidelity: float) -> float:
    rates = sorted({plan.rate for plans in choices for plan in plans}, reverse=True)
    enough = (rate for rate in rates if _best_fidelity(_at_rate(choices, rate), quality) >= fidelity - _CLOSE)
    return next(enough, 0.0)


def _met(plans: Sequence[LinkPlan], least: float) -> bool:
    return math.prod(werner(plan.fidelity) for plan in plans) >= least - _SLACK


def _priced(plan: LinkPlan, price: float) -> float:
    return plan.pairs - price * math.log(werner(plan.fidelity))


def _at_price(choices: Choices, price: float) -> tuple[LinkPlan, ...]:
    """Return each link's best plan if log w is worth `price` raw pairs."""
    return tuple(min(plans, key=lambda plan: _priced(plan, price)) for plans in choices)


def _fair_price(choices: Choices, least: float) -> float:
    """Return nearly the lowest price at which the links' best plans meet the bound."""
    low, high = 0.0, 1.0
    while not _met(_at_price(choices, high), least):
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if _met(_at_price(choices, middle), least) else (middle, high)
    return high


def _cheapest(choices: Choices, least: float) -> tuple[LinkPlan, ...]:
    """Return one plan a link with the fewest pairs in all whose Werner parameters multiply to at least `least`.

    Link by link, it keeps the selections that no other beats in both pairs and Werner parameter, that can still meet
    the bound, and that can still do with as few pairs as the plans at the fair price (a Lagrangian bound).
    """
    if _met(_at_price(choices, 0), least):
        return _at_price(choices, 0)
    price = _fair_price(choices, least)
    priced = _at_price(choices, price)
    budget = sum(plan.pairs for plan in priced) - price * math.log(least) + _SLACK * (1 + price / least)
    front: list[tuple[float, float, tuple[LinkPlan, ...]]] = [(0.0, 1.0, ())]
    for done, plans in enumerate(choices, start=1):
        rest = math.prod(werner(others[-1].fidelity) for others in choices[done:])
        to_come = sum(_priced(plan, price) for plan in priced[done:])
        longer = [(n + p.pairs, w * werner(p.fidelity), (*chosen, p)) for n, w, chosen in front for p in plans]
        front, best = [], -math.inf
        for pairs, w, chosen in sorted(longer, key=lambda entry: (entry[0], -entry[1])):
            if w > best + _CLOSE and w * rest >= least - _SLACK and pairs - price * math.log(w) + to_come <= budget:
                front.append((pairs, w, chosen))
                best = w
    return front[0][2]


def choose(
    qcaps: Sequence[QCap], minimum_fidelity: float, minimum_rate: float, physics: Physics
) -> tuple[LinkPlan, ...]:
    """Return how to use each link so that both bounds are met with the fewest raw pairs.

    Raises
    ------
    Infeasible
        If no choice meets both bounds.
    """
    choices = [link_plans(left, right, physics) for left, right in pairwise(qcaps)]
    fast, kept = _at_rate(choices, minimum_rate), quality(qcaps, physics)
    best = _best_fidelity(fast, kept)
    if not all(fast) or best < minimum_fidelity - _CLOSE:
        raise Infeasible(best, _best_rate(choices, kept, minimum_fidelity))
    # Rounding, or waits that leave nothing, must not ask for more than there is.
    most = math.prod(werner(plans[-1].fidelity) for plans in fast)
    return _cheapest(fast, min(most, werner(minimum_fidelity) / kept) if kept else 0.0)
