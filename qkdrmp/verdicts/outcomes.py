"""What a sweep found, in sentences: what is best, why requests were rejected, and what makes that doubtful.

Every function reads a table of runs and yields sentences that hold for this table; those about a mean give its 95 %
interval by Student's t over the replications, or say that there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from qkdrmp.errors import counted, listed
from qkdrmp.family import Family, Quality
from qkdrmp.plots.axes import cells, varied
from qkdrmp.plots.labels import name_and_unit, value_text
from qkdrmp.stats.estimators import differ, half_width
from qkdrmp.stats.words import capital, interval, percent
from qkdrmp.verdicts.design import DURATION, amount, cell_words, longest, metric_name, scales
from qkdrmp.verdicts.qualities import at_least, meets_demand, share_of_demand
from qkdrmp.verdicts.saturation import improvement

MOST_NAMED = 8
"""Of more cells than these that are alike, the others are counted."""
WIDE = 0.1
"""An interval whose half-width is more than this share of its mean is wide."""


def question(runs: pd.DataFrame) -> str:
    """Return in one line what was swept."""
    fields = varied(runs)
    if len(runs) == 1:
        (duration_s,), (seed,) = runs[DURATION], runs["seed"]
        return f"A single run of {duration_s:g} s, seed {seed}: no intervals, and nothing to compare it with."
    values = [f"{name_and_unit(field)[0]} ({_values(runs[field])})" for field in fields]
    counts = [len(group) for _, group in cells(runs, fields)]
    least, most = min(counts), max(counts)
    replications = counted(most, "replication") if least == most else f"{least:,} to {most:,} replications"
    swept = f"Swept: {'; '.join(values)}" if values else "One cell, nothing was varied"
    return f"{swept}. {counted(len(counts), 'cell')}, {replications}, {counted(len(runs), 'run')} in all."


def _values(values: pd.Series[Any]) -> str:
    unit, known = name_and_unit(str(values.name))[1], list(values.drop_duplicates())
    if pd.api.types.is_numeric_dtype(values) and not values.isna().any():
        known = sorted(known)
    shown = listed(map(value_text, known), 12)
    return f"{shown} {unit}" if unit and not unit.startswith("share") else shown


def extremes(runs: pd.DataFrame, family: Family) -> Iterator[str]:
    """Name the best and the worst cell in each quality in which cells of the longest duration differ."""
    ends = longest(runs)
    parts = list(cells(ends, varied(ends)))
    when = f"after {ends[DURATION].iloc[0]:g} s of simulated time"
    throughput, *others = family.qualities
    if len(parts) == 1 or not _differ(parts, throughput.metric):
        name, values = metric_name(throughput.metric), ends[throughput.metric]
        every = "all cells have the same " if len(parts) > 1 else ""
        yield capital(f"{every}{name} {when}: {amount(throughput.metric, values)}{_of_demand(ends, family)}.")
    elif all(meets_demand(group, family) for _, group in parts):
        least = at_least(share_of_demand(group, family) for _, group in parts)
        yield f"All cells deliver what was asked for, or nearly so ({least}): throughput does not distinguish them."
    else:
        yield _best_and_worst(parts, throughput, family, when)
    if scales(ends):
        return  # what changes along a scale is said elsewhere
    known = [one for one in others if one.metric in ends and _differ(parts, one.metric)]
    apart = [one for one in known if len(_tied(parts, one, family)) < len(parts) - 1]
    yield from (_best_and_worst(parts, one, family, when) for one in apart)
    if alike := [
        f"{metric_name(one.metric)}, {amount(one.metric, ends[one.metric])}" for one in known if one not in apart
    ]:
        yield f"No cell is significantly better than all others in: {'; '.join(alike)}."


Parts = Sequence[tuple[dict[str, Any], pd.DataFrame]]


def _differ(parts: Parts, metric: str) -> bool:
    means = pd.Series([group[metric].mean() for _, group in parts])
    return differ(means.dropna()) if means.notna().sum() > 1 else False


def _of_demand(runs: pd.DataFrame, family: Family) -> str:
    share = share_of_demand(runs, family)
    return "" if share != share else f", {percent(share)} of what was asked for"


def _ranked(parts: Parts, quality: Quality, family: Family) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """Return the cells in which a quality is known, the best one first."""
    sign = 1 if family.better.get(quality.metric) == "less" else -1
    known = [(cell, group) for cell, group in parts if group[quality.metric].notna().any()]
    return sorted(known, key=lambda one: sign * one[1][quality.metric].mean())


def _tied(parts: Parts, quality: Quality, family: Family) -> list[dict[str, Any]]:
    """Return the cells that do not differ significantly from the best, by their paired differences."""
    better = family.better.get(quality.metric) or "more"
    (_, best), *others = [(cell, _by_replication(group, quality)) for cell, group in _ranked(parts, quality, family)]
    compared = [(cell, improvement(other, best, quality, better)) for cell, other in others]
    return [cell for cell, (one, pairs) in compared if pairs > 1 and not one.half < one.mean]


def _by_replication(runs: pd.DataFrame, quality: Quality) -> pd.Series[float]:
    return runs.set_index("replication")[quality.metric]


def _alike(tied: Sequence[dict[str, Any]]) -> str:
    """Name the cells that do not differ significantly from the best one."""
    if not tied:
        return ""
    shared = f"{name_and_unit(next(iter(tied[0])))[0]} = " if len(tied[0]) == 1 else ""
    named = [cell_words(cell) for cell in tied]
    words = listed([named[0], *(name.removeprefix(shared) for name in named[1:])] if shared else named, MOST_NAMED)
    return f" (not significantly different from it, by paired differences: {words})"


def _best_and_worst(parts: Parts, quality: Quality, family: Family, when: str) -> str:
    metric, ranked = quality.metric, _ranked(parts, quality, family)
    (best, top), (worst, bottom) = ranked[0], ranked[-1]
    words = ("most", "fewest") if quality is family.qualities[0] else ("best", "worst")
    ties = _alike(_tied(parts, quality, family))
    return capital(
        f"{words[0]} {metric_name(metric)} {when}: {amount(metric, top[metric])}, with {cell_words(best)}{ties}; "
        f"{words[1]}: {amount(metric, bottom[metric])}, with {cell_words(worst)}."
    )


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
    each = [
        f"{interval(shares[name], 100, '%')} {_reason(str(name), family)}" for name, share in found.items() if share > 0
    ]
    of_all = f"{interval(shares.sum(axis=1), 100, '%')} of the {family.counted.nouns}"
    yield f"Rejected, {over}: {of_all}. By reason: {'; '.join(each)}."


def _in_all_cells(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of those replications that every cell has, so that their sums are alike."""
    counts = runs.groupby("replication").size()
    whole = counts[counts == sum(1 for _ in cells(runs, varied(runs)))].index
    return runs[runs["replication"].isin(whole)]


def _reason(column: str, family: Family) -> str:
    """Return a reason of rejections in words, and what it means."""
    reason = column.removeprefix("rejected_")
    meaning = family.counted.reasons.get(reason, "")
    return f"{reason.replace('_', ' ')}{f' ({meaning})' if meaning else ''}"


def cautions(runs: pd.DataFrame, family: Family, failed: int) -> Iterator[str]:
    """Warn of what makes the metrics of a sweep less sure: failed runs, few replications, wide intervals."""
    if failed:
        yield f"{failed:,} of {len(runs):,} runs failed; their metrics are left out of everything here."
    replications = runs["replication"].nunique()
    if len(runs) == 1:
        yield "It is one run: how much of it is chance is not known; a sweep with several replications shows that."
        return
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
