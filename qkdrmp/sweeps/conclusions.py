"""What a comparison of designs comes to, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from qkdrmp.errors import counted
from qkdrmp.family import declared_metrics
from qkdrmp.stats.comparison import COMPARISON_NAMES
from qkdrmp.stats.estimators import CONFIDENCE
from qkdrmp.stats.words import number, percent

JUDGED = {"better": "is better in", "worse": "is worse in"}
CHANGED = {"more": "has more", "less": "has less"}
"""Verdicts that are said with a number, and how; the latter only for want of the former."""
DIGITS = 3
MOST = 3
"""How many metrics of one verdict are described in a sentence."""


def conclusions(compared: pd.DataFrame) -> list[str]:
    """Return which design is better in what, and by how much: a sentence for each row of cells and values.

    Parameters
    ----------
    compared : pandas.DataFrame
        As `compare` returns it.

    Returns
    -------
    list of str
        What is claimed holds together (see `compare`); the intervals are those of each metric by itself.

    Examples
    --------
    >>> import qkdrmp
    >>> runs = qkdrmp.sweep(qkdrmp.load_scenario("line"), {"pools.capacity": [2, 8]}, replications=3)
    >>> qkdrmp.conclusions(qkdrmp.compare(runs, "pools.capacity", metrics="wait_mean_s"))[0][:74]
    'pools.capacity = 8 instead of 2 is better in mean waiting time of delivere'
    """
    *cell, field = (str(name) for name in compared.columns[: compared.columns.get_loc(COMPARISON_NAMES[0])])
    cell = [name for name in cell if compared[name].nunique(dropna=False) > 1]
    groups = compared.groupby([*cell, field], sort=False, dropna=False)
    return [_sentence(field, dict(zip((*cell, field), where, strict=True)), group) for where, group in groups]


def _sentence(field: str, where: dict[str, Any], rows: pd.DataFrame) -> str:
    others = ", ".join(f"{name} = {_text(value)}" for name, value in where.items() if name != field)
    instead = f"{field} = {_text(where[field])} instead of {_text(rows['baseline'].iloc[0])}"
    design = f"{instead}, with {others}," if others else instead
    said = _claims(JUDGED, rows) or _claims(CHANGED, rows)
    unclear, same = (int((rows["verdict"] == verdict).sum()) for verdict in ("unclear", "same"))
    rest = ", ".join(f"{count} {word}" for count, word in ((unclear, "unclear"), (same, "the same")) if count)
    compared = f"{counted(len(rows), 'metric')} compared{f', {rest}' if said and rest else ''}"
    else_said = "makes no difference that is shown" if rows["pairs"].max() > 1 else "needs more than one pair of runs"
    return f"{design} {said or else_said} ({compared})"


def _claims(verdicts: Mapping[str, str], rows: pd.DataFrame) -> str:
    claims = [_claim(words, rows[rows["verdict"] == verdict]) for verdict, words in verdicts.items()]
    return "; ".join(claim for claim in claims if claim)


def _claim(words: str, rows: pd.DataFrame) -> str:
    """Return in which metrics a design is better, or worse, and by how much; an empty text if in none."""
    confidence = rows.attrs.get("confidence", CONFIDENCE)
    described = ", ".join(_described(row, confidence) for row in rows.head(MOST).to_dict("records"))
    more = f" and {len(rows) - MOST} more" if len(rows) > MOST else ""
    return f"{words} {described}{more}" if described else ""


def _described(row: dict[Any, Any], confidence: float) -> str:
    name, unit = _name_and_unit(row["metric"])
    change = "more" if row["difference"] > 0 else "less"
    low, high = sorted((abs(row["low"]), abs(row["high"])))
    size = f"{number(abs(row['difference']), DIGITS)}{unit} {change}"
    relative = f", {percent(abs(row['relative']))}" if row["relative"] == row["relative"] else ""
    return f"{name} ({size}, {percent(confidence)} interval {number(low, DIGITS)} to {number(high, DIGITS)}{relative})"


def _name_and_unit(metric: str) -> tuple[str, str]:
    found = next((one for one in declared_metrics() if one.name == metric), None)
    if found is None:
        return metric, ""
    words = found.title or found.label.removesuffix(f" ({found.unit})")
    return words, f" {found.unit.replace('1/', 'per ')}" if found.unit else ""


def _text(value: Any) -> str:
    if value is None or value != value:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
