"""The search for a plan whose promises are kept: plans are made for more and more until their forecasts are enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from qkdrmp.entanglement.quantum.bell_diagonal import Basis
from qkdrmp.entanglement.rulesets.forecast import Forecast, forecast, is_playable
from qkdrmp.entanglement.rulesets.link_budget import (
    Infeasible,
    InnerPath,
    LinkPlan,
    Physics,
    QCap,
    choose,
    end_to_end,
    level_plans,
    quality,
)
from qkdrmp.entanglement.rulesets.planner import ConnectionPlan, plan, plan_with, swap_tree
from qkdrmp.entanglement.rulesets.swap_tree import SwapOrder, midpoint

NOISE = 0.25
"""Fidelity of two halves that have nothing to do with each other: who asks for no more asks for none."""
MOST_PLANS = 8
"""How many plans are tried before a fidelity is called infeasible."""
MOST_RAW = 500
"""How many pairs of links a pair of the users may take if all links purify alike."""
FAR = 0.1
"""A fidelity that would be so much too low if halves never waited for each other is not looked at."""
STEP = 1e-4
"""Fidelity by which a plan is to be better than the one before, at least."""


def plan_to_keep(
    connection: str,
    attempt: int,
    qcaps: Sequence[QCap],
    need: int | None,
    minimum_fidelity: float,
    minimum_rate: float = 0.0,
    swap_order: SwapOrder = midpoint,
    physics: Physics | None = None,
    outer: str | None = None,
    basis: Basis | None = None,
) -> ConnectionPlan:
    """Return the plan of the highest rate found whose promises meet both bounds (see `PlanSearch` and `forecast`).

    Promised is what is asked for, a fidelity above 1/4 or a rate. If neither is, or the path cannot be played, there is
    no forecast, and the plan has the fewest raw pairs (see `plan`).

    Raises
    ------
    Infeasible
        If no plan is found whose promises meet both bounds.
    """

    is_asked = minimum_fidelity > NOISE or minimum_rate > 0
    if not is_asked or not is_playable(InnerPath(tuple(qcaps), swap_tree(qcaps, swap_order), ())):
        return plan(connection, attempt, qcaps, need, minimum_fidelity, minimum_rate, swap_order, physics, outer, basis)
    found = PlanSearch(qcaps, need, minimum_fidelity, minimum_rate, swap_order, physics or Physics()).best()
    made = plan_with(found.links, connection, attempt, qcaps, need, swap_order, physics, outer, basis)
    return replace(made, forecast=found.forecast.only(minimum_fidelity > NOISE, minimum_rate > 0))


class Candidate(NamedTuple):
    """A way to use the links of a path, with what it is expected to give."""

    links: tuple[LinkPlan, ...]
    forecast: Forecast


class PlanSearch:
    """The search for the way to use the links of a path.

    Links that purify alike wait the least for each other; others may do with fewer pairs. Both are looked at.

    Parameters
    ----------
    qcaps : sequence of QCap
    need : int or None
    minimum_fidelity, minimum_rate : float
    swap_order : callable
    physics : Physics
    """

    def __init__(
        self,
        qcaps: Sequence[QCap],
        need: int | None,
        minimum_fidelity: float,
        minimum_rate: float,
        swap_order: SwapOrder,
        physics: Physics,
    ) -> None:
        self.qcaps = tuple(qcaps)
        self.need = need
        self.wanted = minimum_fidelity, minimum_rate
        self.tree = swap_tree(qcaps, swap_order)
        self.physics = physics
        self.quality = quality(self.qcaps, physics)
        self.tried: dict[tuple[int, ...], Candidate] = {}

    def best(self) -> Candidate:
        """Return the one of the highest rate of those found whose promises are enough.

        Raises
        ------
        Infeasible
            If there is none.
        """
        self._try_alike()
        if not self.enough or max(link.rounds for link in self.enough[0].links) > 0:
            self._try_others()
        if not self.enough:
            raise self._shortage()
        return max(self.enough, key=lambda one: one.forecast.promised_rate)

    @property
    def enough(self) -> list[Candidate]:
        """Those tried whose promises are enough."""
        return [one for one in self.tried.values() if one.forecast.keeps(*self.wanted)]

    def _try_alike(self) -> None:
        """Try more and more rounds on all links, until they are enough or the rate is not."""
        for links in level_plans(self.qcaps, self.physics):
            if sum(link.pairs for link in links) > MOST_RAW:
                return
            if end_to_end(links, self.quality) < self.wanted[0] - FAR:
                continue
            promised = self._forecast(links)
            if promised.keeps(*self.wanted) or promised.promised_rate < self.wanted[1]:
                return

    def _try_others(self) -> None:
        """Try the fewest pairs for what is asked, and for more, as far as that may be better than what there is."""
        aim = self.wanted[0]
        for _ in range(MOST_PLANS):
            try:
                links = choose(self.qcaps, aim, self.wanted[1], self.physics)
            except Infeasible:
                if not self.tried:
                    raise
                return
            promised = self._forecast(links)
            if promised.keeps(*self.wanted) or promised.promised_rate < max(self.wanted[1], self._rate):
                return
            reached = end_to_end(links, self.quality)
            aim = max(aim, reached) + max(STEP, self.wanted[0] - promised.promised_fidelity)

    @property
    def _rate(self) -> float:
        return max((one.forecast.promised_rate for one in self.enough), default=0.0)

    def _forecast(self, links: tuple[LinkPlan, ...]) -> Forecast:
        rounds = tuple(link.rounds for link in links)
        if rounds not in self.tried:
            expected = forecast(InnerPath(self.qcaps, self.tree, rounds), links, self.need, *self.wanted)
            self.tried[rounds] = Candidate(links, expected)
        return self.tried[rounds].forecast

    def _shortage(self) -> Infeasible:
        """Return what those tried come nearest with."""
        fidelity, rate = self.wanted
        found = [one.forecast for one in self.tried.values()]
        return Infeasible(
            max((one.promised_fidelity for one in found if one.promised_rate >= rate), default=0.0),
            max((one.promised_rate for one in found if one.promised_fidelity >= fidelity), default=0.0),
        )
