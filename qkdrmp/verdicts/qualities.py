"""Where each quality stops to improve along a swept scale, in sentences, and which of them decides the size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from qkdrmp.errors import listed
from qkdrmp.family import Family, Quality
from qkdrmp.plots.axes import cells, varied
from qkdrmp.plots.labels import name_and_unit, value_text
from qkdrmp.stats.columns import Better
from qkdrmp.stats.estimators import differ
from qkdrmp.stats.words import capital, percent
from qkdrmp.verdicts.design import amount, cell_words, change, is_load, longest, metric_name, placed, scales
from qkdrmp.verdicts.saturation import Saturation, saturation

MOST_LINES = 12
DEMAND_MET = 0.99
"""What delivers at least this share of what was asked for is limited by the demand."""
LOST_MORE = 0.05
"""Metrics of what was delivered are compared where the lost share is larger by this at most."""


@dataclass(frozen=True)
class Judged:
    """A quality along a scale.

    Parameters
    ----------
    quality : Quality
    field : str
        The scale.
    found : Saturation
    runs : pandas.DataFrame
        Those it was judged by.
    """

    quality: Quality
    field: str
    found: Saturation
    runs: pd.DataFrame

    def at(self, value: float) -> str:
        """Return the quality at a value of the scale, in words."""
        return amount(self.quality.metric, self.runs.loc[self.runs[self.field] == value, self.quality.metric])

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return metric_name(self.quality.metric)

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value of the scale."""
        return self.runs[self.field].min(), self.runs[self.field].max()


def share_of_demand(runs: pd.DataFrame, family: Family) -> float:
    """Return which share of what was asked for was delivered by some runs together; nan where that is not known."""
    goods, asked = family.counted.goods, family.counted.goods_asked
    if not {goods, asked} <= set(runs) or runs[asked].isna().any() or not runs[asked].sum():
        return float("nan")
    return float(runs[goods].sum() / runs[asked].sum())


def meets_demand(runs: pd.DataFrame, family: Family) -> bool:
    """Return whether runs delivered what was asked for, so that their throughput says nothing about the network."""
    return share_of_demand(runs, family) >= DEMAND_MET


def judged(runs: pd.DataFrame, field: str, family: Family) -> Iterator[Judged]:
    """Yield each quality that differs along a scale; what is known of delivered goods only, where enough of it is."""
    before: list[Quality] = []
    for quality in family.qualities[1:]:
        lost = family.given.get(quality.metric)
        shown = _delivering(runs, field, lost) if lost else runs
        if quality.metric not in shown or not differ(shown.groupby(field)[quality.metric].mean()):
            continue
        found = saturation(shown, field, quality, _better(family, quality))
        if found.pairs and not any(_is_like(runs, quality, one) for one in before):
            before.append(quality)
            yield Judged(quality, field, found, shown)


def _is_like(runs: pd.DataFrame, quality: Quality, other: Quality) -> bool:
    """Return whether two shares hardly differ in any run, such as blocking and all that was not delivered."""
    if quality.is_relative or other.is_relative:
        return False
    apart = (runs[quality.metric] - runs[other.metric]).abs().max()
    return bool(apart <= max(quality.worthwhile, other.worthwhile))


def _better(family: Family, quality: Quality) -> Better:
    return family.better.get(quality.metric) or "more"


def _delivering(runs: pd.DataFrame, field: str, lost: str) -> pd.DataFrame:
    """Return the runs at those values at which little more is lost than at the best one: who is lost does not wait."""
    if lost not in runs:
        return runs
    share = runs.groupby(field)[lost].mean()
    return runs[runs[field].isin(share.index[share <= share.min() + LOST_MORE])]


def saturates(runs: pd.DataFrame, family: Family) -> Iterator[str]:
    """Say for each value of the other fields where each quality stops to improve over the first scale."""
    ends = longest(runs)
    if not (found := scales(ends)):
        return
    field, others = found[0], [name for name in varied(ends) if name != found[0]]
    where: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for cell, group in cells(ends, others):
        if group[field].nunique() > 1:
            where.setdefault(tuple(_sentences(group, field, family)), []).append(cell)
    if not where:
        yield f"Saturation cannot be judged: no two cells differ in {name_and_unit(field)[0]} alone."
    lines = [
        capital(f"with {_either(named)}, {sentence}" if others else sentence)
        for sentences, named in where.items()
        for sentence in sentences
    ]
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield "The other combinations are in the figures and tables below."


def _either(alternatives: Sequence[dict[str, Any]]) -> str:
    """Return several cells in words; of a single field, its name only once."""
    words = [cell_words(cell) for cell in alternatives]
    shared = f"{name_and_unit(next(iter(alternatives[0])))[0]} = " if len(alternatives[0]) == 1 else ""
    return " or ".join([words[0], *(other.removeprefix(shared) for other in words[1:])])


def _sentences(runs: pd.DataFrame, field: str, family: Family) -> Iterator[str]:
    throughput = family.qualities[0]
    first = Judged(throughput, field, saturation(runs, field, throughput), runs)
    others = [] if is_load(field) else list(judged(runs, field, family))
    yield _throughput(first, family)
    improved = [one for one in others if one.found.value != one.ends[0]]
    yield from map(_quality, improved)
    level = [one for one in others if one.found.value == one.ends[0]]
    for start in sorted({one.ends[0] for one in level}):
        same = [f"{one.name}, {one.at(start)}" for one in level if one.ends[0] == start]
        yield f"no value larger than {placed(field, start)} is significantly better in: {'; '.join(same)}."
    if others:
        decides = [] if meets_demand(runs, family) else [first]
        yield _conclusion(runs, field, [*improved, *decides], [*improved, *level])


def _throughput(one: Judged, family: Family) -> str:
    quality, field, found, runs = one.quality, one.field, one.found, one.runs
    name, along, (smallest, largest) = one.name, name_and_unit(field)[0], one.ends
    met = {value: share_of_demand(group, family) for value, group in runs.groupby(field)}
    if all(share >= DEMAND_MET for share in met.values()):
        return (
            f"{name} are what was asked for, or nearly so ({at_least(met.values())}), with every {along}: "
            "throughput says nothing about its size."
        )
    if not found.pairs:
        return f"whether {name} saturate cannot be judged: no replication is in two cells."
    test = _test(found)
    if found.value is None:
        return (
            f"{name} do not saturate within what was swept, {along} up to {value_text(largest)}: every smaller value "
            f"is improved on, by more than {percent(quality.worthwhile)}, by a larger one ({test})."
        )
    here, level = one.at(found.value), float(runs.loc[runs[field] == found.value, quality.metric].mean())
    a_gain = f"{'a significant' if found.pairs > 1 else 'an'} improvement of more than {percent(quality.worthwhile)}"
    if met[found.value] >= DEMAND_MET:
        return f"{name} rise up to {cell_words({field: found.value})}: with {here} they are what was asked for."
    if found.value == smallest:
        start = f"{name} are saturated from the smallest value on, {cell_words({field: found.value})}"
    else:
        start = f"{name} saturate at {cell_words({field: found.value})}"
    return f"{start}, with {here}: no larger value brings {a_gain} ({test}{_headroom(found, level)})."


def at_least(shares: Iterable[float]) -> str:
    """Return the least of some shares, in words for all of them."""
    least = percent(min(shares))
    return least if least == "100 %" else f"{least} and more"


def _test(found: Saturation) -> str:
    if found.pairs > 1:
        return f"paired differences over {found.pairs} replications, 95 % intervals"
    return "from one replication, so nothing shows how much is chance"


def _headroom(found: Saturation, base: float) -> str:
    if found.headroom != found.headroom or not base:
        return ""
    most = f"at most {percent(found.headroom / base)} more" if found.headroom > 0 else "none at all"
    return f"; the intervals allow for {most}"


def _quality(one: Judged) -> str:
    """Say from where on a quality improves no more, with its values there and at the first value it was judged at."""
    smallest, largest = one.ends
    first = f"{one.at(smallest)} with {placed(one.field, smallest)}"
    if one.found.value is None:
        return f"{one.name} still improves at the end: {first}, {one.at(largest)} with {placed(one.field, largest)}."
    there = f"{one.at(one.found.value)} with {placed(one.field, one.found.value)}"
    return f"{one.name}: {first}, {there}; no still larger value is significantly better."


def _conclusion(runs: pd.DataFrame, field: str, improved: Sequence[Judged], shown: Sequence[Judged]) -> str:
    """Say which value is large enough for all that improves, what decides that, and what the others do not show."""
    found = {one.name: one.found.value for one in improved}
    along = name_and_unit(field)[0]
    if open_ended := [name for name, value in found.items() if value is None]:
        largest = cell_words({field: runs[field].max()})
        return f"so {along} should be larger than what was swept: {listed(open_ended)} still improves at {largest}."
    size = max((value for value in found.values() if value is not None), default=runs[field].min())
    deciding = listed(name for name, value in found.items() if value == size)
    decided = f"; what decides it is {deciding}" if size > runs[field].min() else ""
    sentence = (
        f"so {cell_words({field: size})} is the smallest on which nothing larger significantly improves{decided}."
    )
    doubts = [one for one in shown if one.found.value == size and not one.found.is_shown]
    known = [f"{change(one.quality.metric, one.found.headroom)} in {one.name}" for one in doubts if one.found.pairs > 1]
    if known:
        sentence += f" Better by up to {listed(known)} cannot be excluded: more replications would show."
    return sentence
