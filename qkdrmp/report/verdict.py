"""What a sweep found, in sentences: where throughput saturates, what is best, and why requests were rejected.

Every function reads a table of runs and yields sentences that hold for this table; those about a mean give its 95 %
interval by Student's t over the replications, or say that there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from qkdrmp.plots.labels import value_text
from qkdrmp.report.comparison import WORTHWHILE, cells, improvement, longest, saturation, scales, varied
from qkdrmp.report.words import cell_words, interval, listed, name_and_unit, percent
from qkdrmp.stats.estimators import half_width

MOST_LINES = 6
WIDE = 0.1
"""An interval whose half-width is more than this share of its mean is wide."""


@dataclass(frozen=True)
class Wording:
    """What is counted in the runs of a protocol family.

    Parameters
    ----------
    main : str
        The column of the metric that sums up a run; more is better.
    asked : str
        The column with how many were asked for.
    noun : str
        What they are, in the plural.
    """

    main: str
    asked: str
    noun: str


def question(runs: pd.DataFrame) -> str:
    """Return in one line what was swept."""
    fields = varied(runs)
    told = [f"{name_and_unit(field)[0]} ({_values(runs[field])})" for field in fields]
    counts = [len(group) for _, group in cells(runs, fields)]
    least, most = min(counts), max(counts)
    replications = f"{most:,} replication{_s(most)}" if least == most else f"{least:,} to {most:,} replications"
    counted = f"{len(counts):,} cell{_s(len(counts))}, {replications}"
    swept = f"Swept: {'; '.join(told)}" if told else "One cell, nothing was varied"
    return f"{swept}. {counted}, {len(runs):,} runs in all."


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _values(values: pd.Series[Any]) -> str:
    unit, known = name_and_unit(str(values.name))[1], list(values.drop_duplicates())
    if pd.api.types.is_numeric_dtype(values) and not values.isna().any():
        known = sorted(known)
    shown = listed(map(value_text, known), 12)
    return f"{shown} {unit}" if unit and not unit.startswith("share") else shown


def saturates(runs: pd.DataFrame, wording: Wording) -> Iterator[str]:
    """Say for each value of the other fields where the main metric saturates over the first scale."""
    ends = longest(runs)
    if not (found := scales(ends)):
        return
    field, others = found[0], [name for name in varied(ends) if name != found[0]]
    where: dict[str, list[dict[str, Any]]] = {}
    for cell, group in cells(ends, others):
        if group[field].nunique() > 1:
            where.setdefault(_saturates(group, field, wording.main), []).append(cell)
    if not where:
        yield f"It cannot be told: no two cells differ in {name_and_unit(field)[0]} alone."
    for sentence, named in list(where.items())[:MOST_LINES]:
        yield _capital(f"with {_either(named)}, {sentence}" if others else sentence)
    if len(where) > MOST_LINES:
        yield "The other combinations are in the figures and tables below."


def _either(alternatives: Sequence[dict[str, Any]]) -> str:
    """Return several cells in words; of a single field, its name only once."""
    words = [cell_words(cell) for cell in alternatives]
    shared = f"{name_and_unit(next(iter(alternatives[0])))[0]} = " if len(alternatives[0]) == 1 else ""
    return " or ".join([words[0], *(other.removeprefix(shared) for other in words[1:])])


def _saturates(runs: pd.DataFrame, field: str, main: str) -> str:
    (metric, unit), name = name_and_unit(main), name_and_unit(field)[0]
    found, largest = saturation(runs, field, main), runs[field].max()
    if not found.pairs:
        return f"where {metric} saturate cannot be told, for want of runs to compare."
    test = (
        f"paired differences over {found.pairs} replications, 95 % intervals"
        if found.pairs > 1
        else "from one replication, so without any measure of chance"
    )
    if found.value is None:
        return (
            f"{metric} do not saturate within what was swept, {name} up to "
            f"{value_text(largest)}: every smaller value is improved on, by more than {percent(WORTHWHILE)}, by a "
            f"larger one ({test})."
        )
    here = interval(runs.loc[runs[field] == found.value, main], unit=unit)
    headroom = ""
    if found.headroom == found.headroom:
        most = f"at most {percent(found.headroom)} more" if found.headroom > 0 else "none at all"
        headroom = f"; the intervals allow for {most}"
    a_gain = f"{'a significant' if found.pairs > 1 else 'an'} improvement of more than {percent(WORTHWHILE)}"
    if found.value == runs[field].min():
        start = f"{metric} are saturated from the smallest value on, {cell_words({field: found.value})}"
    else:
        start = f"{metric} saturate at {cell_words({field: found.value})}"
    return f"{start}, with {here}: no larger value brings {a_gain} ({test}{headroom})."


def extremes(runs: pd.DataFrame, wording: Wording) -> Iterator[str]:
    """Name the best and the worst cell, those of the longest duration compared."""
    ends = longest(runs)
    fields, (metric, unit) = varied(ends), name_and_unit(wording.main)
    known = [(cell, group) for cell, group in cells(ends, fields) if group[wording.main].notna().any()]
    if not known:
        yield "No run gave any metrics."
        return
    ranked = sorted(known, key=lambda one: -one[1][wording.main].mean())
    (best, top), (worst, bottom) = ranked[0], ranked[-1]
    told = f"after {ends['duration_s'].iloc[0]:g} s of simulated time"
    if len(ranked) == 1:
        yield f"{_capital(metric)} {told}: {interval(top[wording.main], unit=unit)}."
        return
    if top[wording.main].mean() == bottom[wording.main].mean():
        yield f"All cells have the same {metric} {told}: {interval(top[wording.main], unit=unit)}."
        return
    yield (
        f"Most {metric} {told}: {interval(top[wording.main], unit=unit)}, with {cell_words(best)}"
        f"{_ties(top, [group for _, group in ranked[1:]], wording.main)}."
    )
    yield f"Fewest: {interval(bottom[wording.main], unit=unit)}, with {cell_words(worst)}."


def _ties(top: pd.DataFrame, others: Sequence[pd.DataFrame], main: str) -> str:
    """Return how many cells cannot be told from the best by their paired differences."""
    best = top.set_index("replication")[main]
    compared = [improvement(group.set_index("replication")[main], best) for group in others]
    tied = sum(pairs > 1 and not one.half < one.mean for one, pairs in compared)
    if not tied:
        return ""
    return f"; {tied} other cell{_s(tied)} cannot be told from it (paired differences, 95 %)"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def rejections(runs: pd.DataFrame, wording: Wording) -> Iterator[str]:
    """Say which share was rejected, for which reasons, over all cells of the longest duration."""
    ends = longest(runs)
    reasons = [name for name in ends.columns if name.startswith("rejected_")]
    sums = _in_all_cells(ends).groupby("replication")[[wording.asked, *reasons]].sum()
    sums = sums[sums[wording.asked] > 0]
    if sums.empty:
        yield f"There are no {wording.noun} to tell of."
        return
    shares = sums[reasons].div(sums[wording.asked], axis=0)
    total = int(sums[reasons].sum().sum())
    over = "over all cells" if varied(ends) else "over all runs"
    if not total:
        yield f"None of the {int(sums[wording.asked].sum()):,} {wording.noun} was rejected ({over})."
        return
    found = shares.mean().sort_values(ascending=False)
    told = [f"{interval(shares[name], 100, '%')} {_reason(str(name))}" for name, share in found.items() if share > 0]
    all_told = interval(shares.sum(axis=1), 100, "%")
    yield f"Rejected, {over}: {all_told} of the {wording.noun}. By reason: {'; '.join(told)}."


def _in_all_cells(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of those replications that every cell has, so that their sums are alike."""
    counts = runs.groupby("replication").size()
    whole = counts[counts == sum(1 for _ in cells(runs, varied(runs)))].index
    return runs[runs["replication"].isin(whole)]


def _reason(column: str) -> str:
    return column.removeprefix("rejected_").replace("_", " ")


def cautions(runs: pd.DataFrame, wording: Wording, failed: int) -> Iterator[str]:
    """Warn of what makes the metrics of a sweep less sure: failed runs, few replications, wide intervals."""
    if failed:
        yield f"{failed:,} of {len(runs):,} runs failed; their metrics are left out of everything here."
    replications = runs["replication"].nunique()
    if replications < 2:
        yield "There is one replication: no interval can be given, and differences between cells may be chance."
        return
    groups = [group[wording.main] for _, group in cells(runs, varied(runs))]
    wide = sum(half_width(group) > WIDE * abs(group.mean()) for group in groups)
    if wide:
        yield (
            f"In {wide} of {len(groups)} cells the interval of {name_and_unit(wording.main)[0]} is wider than "
            f"± {percent(WIDE)} of its mean: more replications would tell more."
        )


def stuck(runs: pd.DataFrame) -> Iterator[str]:
    """Say in which cells key pools ended stuck, if the runs count them."""
    if "stuck_pools" not in runs:
        return
    found = [
        (cell, group["stuck_pools"]) for cell, group in cells(runs, varied(runs)) if (group["stuck_pools"] > 0).any()
    ]
    if found:
        cell, worst = max(found, key=lambda one: one[1].mean())
        of = sum(1 for _ in cells(runs, varied(runs)))
        runs_of_it = f"on average over {len(worst)} runs" if len(worst) > 1 else "in its only run"
        yield (
            f"Key pools ended stuck, with too few keys for a waiting request and no more to come, in {len(found)} of "
            f"{of} cell{_s(of)}; most with {cell_words(cell) or 'this scenario'}: {interval(worst)} pools {runs_of_it}."
        )
