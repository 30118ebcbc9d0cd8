"""Forecasts: which fidelity and rate a plan will reach, from a small simulation of the queues along its path.

What no formula gives is how long halves wait for each other: links fill their memories while another link is slow,
purification fails now and then, and every swap takes a message to both far ends. So the Responder plays the path by
itself, with nothing but what the nodes have reported (see `path_queues`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy

from qkdrmp.entanglement.rulesets.link_budget import InnerPath, LinkPlan, raw_pairs
from qkdrmp.entanglement.rulesets.path_queues import Chance, PathQueues, Stalled
from qkdrmp.kernel.units import TICKS_PER_SECOND

QUICK, THOROUGH = 150, 2000
"""How many pairs of links a forecast follows, if that is enough to promise what is asked, and if not."""
SAMPLES, FEWEST_PAIRS = 8, 32
"""Of how many samples, at least, and of how many delivered pairs, even if that takes more pairs of links."""
MOST_SAMPLES, MOST_SUCCESSES = 32, 16_000
"""But not if it takes so many."""
ROUGH, MANY = 0.01, 100
"""A quick forecast whose fidelity is more uncertain than that is not enough for a connection of so many pairs."""
CHANCE = 1 / 740
"""How likely chance makes a connection fall below what is promised: three standard deviations, if they are known."""


class Forecast(NamedTuple):
    """What a connection is expected to get, and what can be promised to it; nan where that is not known.

    Parameters
    ----------
    fidelity, rate : float
        Expected mean fidelity of its pairs, and pairs per second from its first trial to its last pair.
    promised_fidelity, promised_rate : float
        What a connection of as many pairs falls below by chance about once in 740 times.
    """

    fidelity: float
    rate: float
    promised_fidelity: float
    promised_rate: float

    def keeps(self, minimum_fidelity: float, minimum_rate: float) -> bool:
        """Return whether so much can be promised."""
        return self.promised_fidelity >= minimum_fidelity and self.promised_rate >= minimum_rate

    def only(self, fidelity: bool, rate: bool) -> Forecast:
        """Return what is left if a fidelity, or a rate, is not promised."""
        return self._replace(
            promised_fidelity=self.promised_fidelity if fidelity else math.nan,
            promised_rate=self.promised_rate if rate else math.nan,
        )

    def may_keep(self, minimum_fidelity: float, minimum_rate: float) -> bool:
        """Return whether a forecast that leaves less to chance might promise so much."""
        fidelity, rate = 2 * self.fidelity - self.promised_fidelity, 2 * self.rate - self.promised_rate
        return fidelity >= minimum_fidelity and rate >= minimum_rate


NO_FORECAST = Forecast(math.nan, math.nan, math.nan, math.nan)
NOISE_ONLY = Forecast(0.25, 0.0, 0.25, 0.0)


def is_playable(path: InnerPath) -> bool:
    """Return whether a path can be played.

    It cannot if the policy of a link does not say which trials connections can count on. Nor can it if pairs are
    swapped in any order and may get lost: then those that are swapped with each other are not those made in turn.
    """
    any_order = any(len(span.halves) > 2 for span in path.tree.spans)
    may_lose = any(qcap.swap_success < 1 or any(qcap.cutoffs) for qcap in path.qcaps[1:-1])
    known = all(qcap.hop.is_assured and (qcap.inner is None or is_playable(qcap.inner)) for qcap in path.qcaps)
    return known and not (any_order and may_lose)


def forecast(
    path: InnerPath,
    links: Sequence[LinkPlan],
    need: int | None,
    minimum_fidelity: float | None = None,
    minimum_rate: float = 0.0,
) -> Forecast:
    """Return what a plan will deliver to a connection of `need` pairs, or of no certain number.

    The rate is that beside others that take their shares of every link. The fidelity is the lowest of three cases, as
    others may come and go: beside them on all links, on none, and only on the link that is the slowest then.

    Parameters
    ----------
    path : InnerPath
    links : sequence of LinkPlan
        How each link is used.
    need : int or None
    minimum_fidelity, minimum_rate : float
        What is asked: a quick forecast is enough if it promises that or is far from it. By default a thorough one is
        made.
    """
    plan = PlayedPlan(path.as_it_is, links, need)
    if minimum_fidelity is not None:
        quick = plan.expected(plan.cases[:1], QUICK)
        if quick.may_keep(minimum_fidelity, minimum_rate):
            quick = plan.expected(plan.cases, QUICK)
        is_rough = quick.fidelity - quick.promised_fidelity > ROUGH and (need is None or need >= MANY)
        if quick.keeps(minimum_fidelity, minimum_rate) and not is_rough:
            return quick
        if not quick.may_keep(minimum_fidelity, minimum_rate):
            return quick
    return plan.expected(plan.cases, THOROUGH)


class PlayedPlan:
    """A plan for a connection of `need` pairs, as it is played.

    Parameters
    ----------
    path : InnerPath
    links : sequence of LinkPlan
    need : int or None

    Attributes
    ----------
    cases : list of tuple of bool
        On which links others take their shares; the first one is that they do on all.
    """

    def __init__(self, path: InnerPath, links: Sequence[LinkPlan], need: int | None) -> None:
        self.path = path
        self.need = need
        self.raw = raw_pairs(path.purification, links)
        self.full = math.ceil(max(qcap.free_memories for qcap in path.qcaps) * len(links) / self.raw)
        slowest = min(links, key=lambda link: link.rate)
        beside, alone = (True,) * len(links), (False,) * len(links)
        others = () if path.is_whole else (alone, tuple(link is slowest for link in links))
        self.cases = [beside, *(case for case in others if case != beside)]
        # Each pair takes so many successes of the slowest link, whose gaps are geometric: no gaps vary less than that.
        self.least_variance = (1 - path.qcaps[1 + links.index(slowest)].hop.success) / slowest.pairs

    def expected(self, cases: Sequence[tuple[bool, ...]], successes: int) -> Forecast:
        """Return what the connection gets in these cases, by following so many pairs of links."""
        need = self.need
        fewest = max(FEWEST_PAIRS, 2 * SAMPLES * self.full)  # samples of fewer pairs than wait at once would be alike
        pairs = max(SAMPLES, min(fewest, round(MOST_SUCCESSES / self.raw)), round(successes / self.raw))
        whole = need if need is not None and SAMPLES * need <= pairs else None
        plays = [_play(self.path, case, pairs, whole, self.full) for case in cases]
        beside, *others = (None if one is None else self._expectation(one) for one in plays)
        known = [one for one in (beside, *others) if one]
        least = min(known, key=lambda one: one.promised_fidelity, default=NOISE_ONLY)
        rates = beside or NOISE_ONLY  # who gets no trials beside others may wait for them to end
        return Forecast(least.fidelity, rates.rate, least.promised_fidelity, rates.promised_rate)

    def _expectation(self, found: Samples) -> Forecast:
        """Return what samples let expect, and what can be promised."""
        number, need = len(found.gaps), self.need
        uncertain = _quantile(number) * math.sqrt(found.pairs / max(found.pairs, need or 0) + 1 / number)
        fidelity, gap = float(np.mean(found.fidelities)), float(np.mean(found.gaps))
        spread = max(float(np.std(found.gaps, ddof=1)), gap * math.sqrt(self.least_variance / found.pairs))
        least, longest = fidelity - uncertain * float(np.std(found.fidelities, ddof=1)), gap + uncertain * spread
        lead = found.lead / need if need else 0.0
        return Forecast(
            fidelity, TICKS_PER_SECOND / max(lead + gap, 1), max(0.25, least), TICKS_PER_SECOND / max(lead + longest, 1)
        )


class Samples(NamedTuple):
    """What connections get, or parts of one: all of so many pairs.

    Parameters
    ----------
    pairs : int
    fidelities, gaps : list of float
        Means: of fidelity, and of ticks from one pair to the next.
    lead : float
        How much longer the first pair takes, in ticks.
    """

    pairs: int
    fidelities: list[float]
    gaps: list[float]
    lead: float


@lru_cache(maxsize=1024)
def _play(path: InnerPath, shared: tuple[bool, ...], pairs: int, whole: int | None, full: int) -> Samples | None:
    """Return samples of what a connection gets over so many pairs in all; None if it gets nothing.

    Those of a connection of `whole` pairs are whole ones; those of a longer one follow each other, after `full` pairs,
    when memories may be full.
    """
    chance = Chance()
    try:
        if whole is not None:
            parts = [PathQueues(path, shared, chance).deliver(whole) for _ in range(min(MOST_SAMPLES, pairs // whole))]
            return Samples(whole, [part.fidelity for part in parts], [part.until / whole for part in parts], 0.0)
        queues = PathQueues(path, shared, chance)
        first = queues.deliver(1).until
        begun = queues.deliver(max(pairs // 4, full)).until
        samples = max(SAMPLES, min(2 * SAMPLES, pairs // max(1, 2 * full)))
        each = pairs // samples
        parts = [queues.deliver(each) for _ in range(samples)]
    except Stalled:
        return None
    ends = [begun, *(part.until for part in parts)]
    gaps = [(end - begin) / each for begin, end in pairwise(ends)]
    return Samples(each, [part.fidelity for part in parts], gaps, max(0.0, first - sum(gaps) / samples))


@lru_cache
def _quantile(samples: int) -> float:
    """Return how many standard deviations, estimated from so many samples, are to be allowed for (Student's t)."""
    # By way of scipy itself, which loads this part when it is first needed.
    return float(scipy.special.stdtrit(samples - 1, 1 - CHANCE))
