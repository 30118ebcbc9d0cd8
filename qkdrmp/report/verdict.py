"""What a sweep found, in sentences: where throughput saturates, what is best, and why requests were rejected.

Every function reads a table of runs and yields sentences that hold for this table; those about a mean give its 95 %
interval by Student's t over the replications, or say that there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from qkdrmp.errors import listed
from qkdrmp.family import Family
from qkdrmp.plots.axes import cells, varied
from qkdrmp.plots.labels import name_and_unit, value_text
from qkdrmp.report.comparison import WORTHWHILE, improvement, longest, saturation, scales
from qkdrmp.report.words import cell_words
from qkdrmp.stats.estimators import half_width
from qkdrmp.stats.words import interval, percent

MOST_LINES = 6
WIDE = 0.1
"""An interval whose half-width is more than this share of its mean is wide."""


def question(runs: pd.DataFrame) -> str:
    """Return in one line what was swept."""
    fields = varied(runs)
    values = [f"{name_and_unit(field)[0]} ({_values(runs[field])})" for field in fields]
    counts = [len(group) for _, group in cells(runs, fields)]
    least, most = min(counts), max(counts)
    replications = f"{most:,} replication{_s(most)}" if least == most else f"{least:,} to {most:,} replications"
    counted = f"{len(counts):,} cell{_s(len(counts))}, {replications}"
    swept = f"Swept: {'; '.join(values)}" if values else "One cell, nothing was varied"
    return f"{swept}. {counted}, {len(runs):,} run{_s(len(runs))} in all."


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _values(values: pd.Series[Any]) -> str:
    unit, known = name_and_unit(str(values.name))[1], list(values.drop_duplicates())
    if pd.api.types.is_numeric_dtype(values) and not values.isna().any():
        known = sorted(known)
    shown = listed(map(value_text, known), 12)
    return f"{shown} {unit}" if unit and not unit.startswith("share") else shown


def saturates(runs: pd.DataFrame, family: Family) -> Iterator[str]:
    """Say for each value of the other fields where the main metric saturates over the first scale."""
    ends = longest(runs)
    if not (found := scales(ends)):
        return
    field, others = found[0], [name for name in varied(ends) if name != found[0]]
    where: dict[str, list[dict[str, Any]]] = {}
    for cell, group in cells(ends, others):
        if group[field].nunique() > 1:
            where.setdefault(_saturates(group, field, family.main_metric), []).append(cell)
    if not where:
        yield f"Saturation cannot be judged: no two cells differ in {name_and_unit(field)[0]} alone."
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
        return f"whether {metric} saturate cannot be judged: no replication is in two cells."
    test = (
        f"paired differences over {found.pairs} replications, 95 % intervals"
        if found.pairs > 1
        else "from one replication, so nothing shows how much is chance"
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


def extremes(runs: pd.DataFrame, family: Family) -> Iterator[str]:
    """Name the best and the worst cell, those of the longest duration compared."""
    ends = longest(runs)
    fields, (metric, unit) = varied(ends), name_and_unit(family.main_metric)
    known = [(cell, group) for cell, group in cells(ends, fields) if group[family.main_metric].notna().any()]
    if not known:
        yield f"No run has a value of {metric}."
        return
    ranked = sorted(known, key=lambda one: -one[1][family.main_metric].mean())
    (best, top), (worst, bottom) = ranked[0], ranked[-1]
    when = f"after {ends['duration_s'].iloc[0]:g} s of simulated time"
    if len(ranked) == 1:
        yield f"{_capital(metric)} {when}: {interval(top[family.main_metric], unit=unit)}."
        return
    if top[family.main_metric].mean() == bottom[family.main_metric].mean():
        yield f"All cells have the same {metric} {when}: {interval(top[family.main_metric], unit=unit)}."
        return
    yield (
        f"Most {metric} {when}: {interval(top[family.main_metric], unit=unit)}, with {cell_words(best)}"
        f"{_ties(top, [group for _, group in ranked[1:]], family.main_metric)}."
    )
    yield f"Fewest: {interval(bottom[family.main_metric], unit=unit)}, with {cell_words(worst)}."


def _ties(top: pd.DataFrame, others: Sequence[pd.DataFrame], main: str) -> str:
    """Return how many cells do not differ significantly from the best, by their paired differences."""
    best = top.set_index("replication")[main]
    compared = [improvement(group.set_index("replication")[main], best) for group in others]
    tied = sum(pairs > 1 and not one.half < one.mean for one, pairs in compared)
    if not tied:
        return ""
    differ = "cells do not differ" if tied > 1 else "cell does not differ"
    return f"; {tied} other {differ} from it significantly (paired differences, 95 %)"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def rejections(runs: pd.DataFrame, family: Family) -> Iterator[str]:
    """Say which share was rejected, for which reasons, over all cells of the longest duration, if runs count that."""
    ends = longest(runs)
    reasons = [name for name in ends.columns if name.startswith("rejected_")]
    if not reasons:
        return
    sums = _in_all_cells(ends).groupby("replication")[[family.counted.asked, *reasons]].sum()
    sums = sums[sums[family.counted.asked] > 0]
    if sums.empty:
        yield f"There were no {family.counted.nouns}."
        return
    shares = sums[reasons].div(sums[family.counted.asked], axis=0)
    total = int(sums[reasons].sum().sum())
    over = "over all cells" if varied(ends) else "over all runs"
    if not total:
        yield f"None of the {int(sums[family.counted.asked].sum()):,} {family.counted.nouns} was rejected ({over})."
        return
    found = shares.mean().sort_values(ascending=False)
    each = [f"{interval(shares[name], 100, '%')} {_reason(str(name))}" for name, share in found.items() if share > 0]
    of_all = f"{interval(shares.sum(axis=1), 100, '%')} of the {family.counted.nouns}"
    yield f"Rejected, {over}: {of_all}. By reason: {'; '.join(each)}."


def _in_all_cells(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of those replications that every cell has, so that their sums are alike."""
    counts = runs.groupby("replication").size()
    whole = counts[counts == sum(1 for _ in cells(runs, varied(runs)))].index
    return runs[runs["replication"].isin(whole)]


def _reason(column: str) -> str:
    return column.removeprefix("rejected_").replace("_", " ")


def cautions(runs: pd.DataFrame, family: Family, failed: int) -> Iterator[str]:
    """Warn of what makes the metrics of a sweep less sure: failed runs, few replications, wide intervals."""
    if failed:
        yield f"{failed:,} of {len(runs):,} runs failed; their metrics are left out of everything here."
    replications = runs["replication"].nunique()
    if replications < 2:
        yield "There is one replication: no interval can be given, and differences between cells may be chance."
        return
    groups = [group[family.main_metric] for _, group in cells(runs, varied(runs))]
    wide = sum(half_width(group) > WIDE * abs(group.mean()) for group in groups)
    if wide:
        yield (
            f"In {wide} of {len(groups)} cells the interval of {name_and_unit(family.main_metric)[0]} is wider than "
            f"± {percent(WIDE)} of its mean: more replications would narrow it."
        )
