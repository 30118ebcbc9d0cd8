"""Targets: which cells of a sweep meet all of them with 95 % confidence, the smallest that does, and what binds.

A target is met if the one-sided 95 % limit of the mean over the replications is within it. To meet several, each has
to be met by itself at that level, and no correction is needed (an intersection-union test: R. L. Berger, Technometrics
24 (1982) 295). Along a scale the cells are tested from the most generous one on, and only as long as all targets are
met, so that the size which is named is too small with a probability of 5 % at most, however many were tried (a test in
a fixed sequence: W. Maurer, L. A. Hothorn and W. Lehmacher, in Biometrie in der chemisch-pharmazeutischen Industrie 6
(1995) 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import scipy

from qkdrmp.errors import QKDRMPError, unknown
from qkdrmp.family import family_of
from qkdrmp.plots.axes import cells, varied
from qkdrmp.plots.labels import name_and_unit
from qkdrmp.scenario import Scenario
from qkdrmp.stats.columns import Better
from qkdrmp.stats.estimators import CONFIDENCE, metrics_of, swept_columns
from qkdrmp.stats.words import capital
from qkdrmp.verdicts.design import amount, cell_words, is_load, longest, metric_name, placed, scales, single

MOST_LINES = 8
LOST = {"p50": 0.5, "p95": 0.05, "p99": 0.01}
"""What may be lost where a percentile is judged, by its name; for means as for the 95th."""


@dataclass(frozen=True)
class Target:
    """What a metric has to be.

    Parameters
    ----------
    metric : str
    bound : float
        The most that it may be, or the least, if more of it is better.
    better : {"more", "less"}
    share_of : str
        If it is a share of things counted, the metric with their number.
    because : str
        Why it is asked for, if the user has not.
    """

    metric: str
    bound: float
    better: Better
    share_of: str = ""
    because: str = ""

    def allows(self, value: float) -> bool:
        """Return whether a value is within it."""
        return value >= self.bound if self.better == "more" else value <= self.bound

    @property
    def words(self) -> str:
        """The target in words, such as ``blocking at most 1 %``."""
        limit = "at least" if self.better == "more" else "at most"
        return f"{metric_name(self.metric)} {limit} {single(self.metric, self.bound)}"


@dataclass(frozen=True)
class Assessment:
    """A target, tested by some runs.

    Parameters
    ----------
    target : Target
    values : pandas.Series
        The metric in each run.
    low, high : float
        The one-sided 95 % limits of its mean; infinite where there is none.
    """

    target: Target
    values: pd.Series[Any]
    low: float
    high: float

    @property
    def is_met(self) -> bool:
        """Whether it is met with 95 % confidence."""
        return self.low >= self.target.bound if self.target.better == "more" else self.high <= self.target.bound

    @property
    def is_missed(self) -> bool:
        """Whether it is missed with 95 % confidence; neither met nor missed is undecided."""
        return self.high < self.target.bound if self.target.better == "more" else self.low > self.target.bound

    @property
    def words(self) -> str:
        """How it stands, in words."""
        known = int(self.values.notna().sum())
        if not known:
            why = "there was nothing to serve" if self.target.share_of else "nothing was delivered"
            return f"{metric_name(self.target.metric)} is not known, because {why}"
        state = "met" if self.is_met else "missed" if self.is_missed else "undecided"
        enough = ", for want of replications" if known < 2 else ""
        return f"{self.target.words}: {state}{enough}, {amount(self.target.metric, self.values)}"


def targets_of(scenario: Scenario) -> tuple[Target, ...]:
    """Return the targets of a scenario, and those that they imply.

    A wait is only that of what was delivered, and blocking only that of what could be served.
    """
    family = family_of(scenario)
    better = scenario.better()
    found = [
        Target(name, bound, better[name], family.counted.shares.get(name, ""))
        for name, bound in scenario.targets.items()
    ]
    implied = [
        Target(
            lost,
            one.bound if one.share_of else _most_lost(one.metric),
            "less",
            family.counted.shares[lost],
            f"{metric_name(one.metric)} is that of the others",
        )
        for one in found
        if (lost := family.given.get(one.metric)) and lost not in scenario.targets
    ]
    strictest = [min(group, key=lambda one: one.bound) for group in _by_metric(implied)]
    return (*found, *strictest)


def _by_metric(targets: Sequence[Target]) -> Iterator[list[Target]]:
    for metric in dict.fromkeys(one.metric for one in targets):
        yield [one for one in targets if one.metric == metric]


def _most_lost(metric: str) -> float:
    """Return the share that may be lost if a percentile, or a mean, is to be that of all that was asked for."""
    return next((share for measure, share in LOST.items() if f"_{measure}_" in metric), LOST["p95"])


def assessed(runs: pd.DataFrame, target: Target, confidence: float = CONFIDENCE) -> Assessment:
    """Return a target, tested by the runs of one cell.

    Raises
    ------
    QKDRMPError
        If the runs do not have its metric, such as those of an earlier version.
    """
    if target.metric not in runs:
        raise QKDRMPError(f"the runs have no metric {unknown(target.metric, metrics_of(runs, swept_columns(runs)))}")
    values: pd.Series[Any] = runs[target.metric].astype(float)
    known = values.dropna()
    if len(known) < 2:
        return Assessment(target, values, -math.inf, math.inf)
    half = float(scipy.special.stdtrit(len(known) - 1, confidence) * known.std(ddof=1) / math.sqrt(len(known)))
    low, high = float(known.mean()) - half, float(known.mean()) + half
    if len(known) < len(values):  # who delivered nothing has no wait: the others must not hide that
        low, high = (-math.inf, high) if target.better == "more" else (low, math.inf)
    if target.share_of:
        low, high = _with_exact(runs, target, confidence, low, high)
    return Assessment(target, values, low, high)


def _with_exact(runs: pd.DataFrame, target: Target, confidence: float, low: float, high: float) -> tuple[float, float]:
    """Return the limits of a share, at least as wide as the exact ones of as many independent trials.

    If nothing was lost in any run, the runs do not differ, but few trials show little (C. J. Clopper and E. S. Pearson,
    Biometrika 26 (1934) 404).
    """
    trials = float(runs[target.share_of].sum())
    hits = float((runs[target.metric].fillna(0) * runs[target.share_of]).sum())
    above = scipy.special.betaincinv(hits + 1, trials - hits, confidence) if trials > hits else 1.0
    below = scipy.special.betaincinv(hits, trials - hits + 1, 1 - confidence) if hits > 0 else 0.0
    return min(low, float(below)), max(high, float(above))


@dataclass(frozen=True)
class Step:
    """A value of a scale, and how the targets stand there."""

    value: float
    tests: tuple[Assessment, ...]

    @property
    def meets_all(self) -> bool:
        """Whether all targets are met with 95 % confidence."""
        return all(one.is_met for one in self.tests)


def steps(runs: pd.DataFrame, field: str, targets: Sequence[Target]) -> list[Step]:
    """Return how the targets stand at each value of a scale, the most generous one first."""
    values = sorted(runs[field].unique(), reverse=not is_load(field))
    by_value: Mapping[Any, pd.DataFrame] = dict(list(runs.groupby(field)))
    return [Step(value, tuple(assessed(by_value[value], one) for one in targets)) for value in values]


def tightest(found: Sequence[Step]) -> int:
    """Return how many steps from the first one on meet all targets."""
    met = [step.meets_all for step in found]
    return met.index(False) if False in met else len(met)


def meets(runs: pd.DataFrame, scenario: Scenario) -> Iterator[str]:
    """Say which is the smallest design that meets all targets of a scenario, or that none does, and what binds."""
    targets = targets_of(scenario)
    ends = longest(runs)
    if not targets:
        return
    asked = "; ".join(f"{one.words}{f' ({one.because})' if one.because else ''}" for one in targets)
    yield f"Asked for: {asked}."
    along = scales(ends)
    others = [name for name in varied(ends) if name not in along[:1]]
    sentences = [
        (cell, _along(group, along[0], targets) if along else _alone(group, targets))
        for cell, group in cells(ends, others)
    ]
    for cell, sentence in sentences[:MOST_LINES]:
        yield capital(f"with {cell_words(cell)}, {sentence}" if cell else sentence)
    if len(sentences) > MOST_LINES:
        yield "The other combinations are in the tables below."


def _alone(runs: pd.DataFrame, targets: Sequence[Target]) -> str:
    tests = [assessed(runs, one) for one in targets]
    if all(one.is_met for one in tests):
        return f"all targets are met with 95 % confidence ({'; '.join(one.words for one in tests)})."
    return f"not all targets are met with 95 % confidence: {_binding(tests)}."


def _binding(tests: Sequence[Assessment]) -> str:
    return "; ".join(one.words for one in tests if not one.is_met)


def _along(runs: pd.DataFrame, field: str, targets: Sequence[Target]) -> str:
    found = steps(runs, field, targets)
    passed = tightest(found)
    if not passed:
        return _none(field, found)
    extreme, beyond = ("largest", "larger") if is_load(field) else ("smallest", "smaller")
    answer = found[passed - 1]
    how = "; ".join(f"{metric_name(one.target.metric)} {amount(one.target.metric, one.values)}" for one in answer.tests)
    sentence = (
        f"{cell_words({field: answer.value})} is the {extreme} that meets all targets with 95 % confidence: {how}."
    )
    if passed == len(found):
        return f"{sentence} It is the {extreme} that was swept: a {beyond} one may do."
    return f"{sentence} With {placed(field, found[passed].value)}: {_binding(found[passed].tests)}."


def _none(field: str, found: Sequence[Step]) -> str:
    """Say that the most generous value misses targets, and which; a tighter one that meets them may be chance."""
    name, best = name_and_unit(field)[0], found[0]
    sentence = f"no {name} that was swept meets all targets; with {placed(field, best.value)}: {_binding(best.tests)}."
    if late := [step.value for step in found if step.meets_all]:
        return f"{sentence} With {placed(field, late[0])} all seem to be met, which may be chance."
    return sentence
