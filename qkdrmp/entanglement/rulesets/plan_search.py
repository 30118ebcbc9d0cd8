"""The search for a plan whose promises are kept: plans are made for more and more until their forecasts are enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from qkdrmp.entanglement.rulesets.forecast import Forecast, forecast, is_playable
from qkdrmp.entanglement.rulesets.link_budget import (
    Infeasible,
    InnerPath,
    LinkPlan,
    choose,
    end_to_end,
    level_plans,
    of_links,
    raw_pairs,
)
from qkdrmp.entanglement.rulesets.plan_request import NOISE, PlanRequest
from qkdrmp.entanglement.rulesets.planner import ConnectionPlan, plan, plan_with
from qkdrmp.entanglement.rulesets.purification import PROTOCOLS, Purification, PurificationProtocol

MOST_PLANS = 8
"""How many plans are tried before a fidelity is called infeasible."""
MOST_RAW = 500
"""How many pairs of links a pair of the users may take if all links purify alike."""
FAR = 0.1
"""A fidelity that would be so much too low if halves never waited for each other is not looked at."""
STEP = 1e-4
"""Fidelity by which a plan is to be better than the one before, at least."""


def plan_to_keep(request: PlanRequest) -> ConnectionPlan:
    """Return the plan of the highest rate found whose promises meet both bounds (see `PlanSearch` and `forecast`).

    Promised is what is asked for, a fidelity above 1/4 or a rate. If neither is, or the path cannot be played, as with
    `restart`, there is no forecast, and the plan has the fewest raw pairs (see `plan`).

    Raises
    ------
    Infeasible
        If no plan is found whose promises meet both bounds.
    ValueError
        If the swap tree is not over the links of the path.
    """
    path = InnerPath(request.qcaps, request.tree(), Purification(()))
    if not request.is_bound or request.restart or not is_playable(path):
        return plan(request)
    found = PlanSearch(request).best()
    made = plan_with(request, found.links, found.purification)
    return replace(made, forecast=found.forecast.only(request.minimum_fidelity > NOISE, request.minimum_rate > 0))


class Candidate(NamedTuple):
    """A way to use the links of a path, with what it is expected to give."""

    links: tuple[LinkPlan, ...]
    purification: Purification
    forecast: Forecast


class PlanSearch:
    """The search for the way to use the links of a path.

    Links that purify alike wait the least for each other; others may do with fewer pairs. Both are looked at.

    Parameters
    ----------
    request : PlanRequest
    """

    def __init__(self, request: PlanRequest) -> None:
        self.request = request
        self.wanted = request.bounds
        self.tree = request.tree()
        self.quality = request.quality
        self.tried: dict[Purification, Candidate] = {}

    def best(self) -> Candidate:
        """Return the one of the highest rate of those found whose promises are enough.

        Raises
        ------
        Infeasible
            If there is none.
        """
        for protocol, heights in self._ways():
            self._try_alike(protocol, heights)
            if self.enough and not self.enough[0].purification.most:
                break
        else:
            if self.request.purification != "dejmps":
                self._try_others()
        if not self.enough:
            raise self._shortage()
        return max(self.enough, key=lambda one: one.forecast.promised_rate)

    @property
    def enough(self) -> list[Candidate]:
        """Those tried whose promises are enough."""
        return [one for one in self.tried.values() if one.forecast.keeps(*self.wanted)]

    def _ways(self) -> Iterator[tuple[PurificationProtocol, tuple[int, ...]]]:
        """Yield by which protocols, and how often after the swaps of each height, pairs may be purified."""
        for protocol in PROTOCOLS if self.request.purification == "any" else (self.request.purification,):
            yield protocol, ()
        if self.request.purification == "any" and self.tree.height > 0 and len(self.tree.halves) == 2:
            last = (*(0,) * (self.tree.height - 1), 1)
            for heights in dict.fromkeys([last, (1,) * self.tree.height]):
                for protocol in PROTOCOLS:
                    yield protocol, heights

    def _try_alike(self, protocol: PurificationProtocol, heights: tuple[int, ...]) -> None:
        """Try more and more rounds on all links, until they are enough, or are no better, or the rate is not enough."""
        memories = min(qcap.free_memories for qcap in self.request.qcaps)
        best, worse = 0.0, 0
        for links in level_plans(self.request.qcaps, self.request.physics, protocol):
            purification = Purification(of_links(links).links, heights, protocol)
            highest_rate = min(link.rate for link in links) / 2 ** sum(heights)
            if raw_pairs(purification, links) > MOST_RAW or purification.most >= memories or highest_rate < self._rate:
                return
            if protocol == "bbpssw" and not heights and end_to_end(links, self.quality) < self.wanted[0] - FAR:
                continue
            promised = self._forecast(links, purification)
            worse = 0 if promised.promised_fidelity > best else worse + 1
            best = max(best, promised.promised_fidelity)
            is_slow = promised.rate == 0 or promised.promised_rate < max(self.wanted[1], self._rate)
            if promised.keeps(*self.wanted) or is_slow or worse == 2:
                return

    def _try_others(self) -> None:
        """Try the fewest pairs for what is asked, and for more, as far as that may be better than what there is."""
        aim = self.wanted[0]
        for _ in range(MOST_PLANS):
            try:
                links = choose(self.request.qcaps, aim, self.wanted[1], self.request.physics)
            except Infeasible:
                if not self.tried:
                    raise
                return
            promised = self._forecast(links, of_links(links))
            if promised.keeps(*self.wanted) or promised.promised_rate < max(self.wanted[1], self._rate):
                return
            reached = end_to_end(links, self.quality)
            aim = max(aim, reached) + max(STEP, self.wanted[0] - promised.promised_fidelity)

    @property
    def _rate(self) -> float:
        return max((one.forecast.promised_rate for one in self.enough), default=0.0)

    def _forecast(self, links: tuple[LinkPlan, ...], purification: Purification) -> Forecast:
        if purification not in self.tried:
            expected = forecast(
                InnerPath(self.request.qcaps, self.tree, purification), links, self.request.need, *self.wanted
            )
            self.tried[purification] = Candidate(links, purification, expected)
        return self.tried[purification].forecast

    def _shortage(self) -> Infeasible:
        """Return what those tried come nearest with."""
        fidelity, rate = self.wanted
        found = [one.forecast for one in self.tried.values()]
        return Infeasible(
            max((one.promised_fidelity for one in found if one.promised_rate >= rate), default=0.0),
            max((one.promised_rate for one in found if one.promised_fidelity >= fidelity), default=0.0),
        )
