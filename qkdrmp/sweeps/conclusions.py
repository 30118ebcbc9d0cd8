"""What a comparison of designs comes to, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from qkdrmp.errors import counted, listed
from qkdrmp.family import declared_metrics
from qkdrmp.stats.comparison import COMPARISON_NAMES
from qkdrmp.stats.estimators import CONFIDENCE
from qkdrmp.stats.words import number, percent

JUDGED = {"better": "is better in", "worse": "is worse in"}
CHANGED = {"more": "has more", "less": "has less"}
"""Verdicts that are said with a number, and how; the latter only for want of the former."""
DIGITS = 3
MOST, MOST_LISTED, MOST_CELLS = 3, 12, 3
"""How many metrics of one verdict are described in a sentence, and how many values and cells are listed in one."""
MANIFOLD = 10
"""A difference of more than so many times the baseline is not given in percent."""


def conclusions(compared: pd.DataFrame) -> list[str]:
    """Return which design is better in what, and by how much: what is shown first, then what is not.

    Parameters
    ----------
    compared : pandas.DataFrame
        As `compare` returns it.

    Returns
    -------
    list of str
        A sentence for each row of cells and values that differs from the baseline in a metric; and one about all those
        that are not shown to. What is claimed holds together (see `compare`); the intervals are those of each metric by
        itself.

    Examples
    --------
    >>> import qkdrmp
    >>> runs = qkdrmp.sweep(qkdrmp.load_scenario("line"), {"pools.capacity": [2, 8]}, replications=3)
    >>> qkdrmp.conclusions(qkdrmp.compare(runs, "pools.capacity", metrics="wait_mean_s"))[0][:74]
    'pools.capacity = 8 instead of 2 is better in mean waiting time of delivere'
    """
    *cell, field = (str(name) for name in compared.columns[: compared.columns.get_loc(COMPARISON_NAMES[0])])
    if compared.empty:
        return [f"no metric differs between the values of {field}, in any pair of runs"]
    cell = [name for name in cell if compared[name].nunique(dropna=False) > 1]
    designs = [
        _Design(field, dict(zip((*cell, field), where, strict=True)), group)
        for where, group in compared.groupby([*cell, field], sort=False, dropna=False)
    ]
    values = list(compared[field].map(_text).unique())
    silent = sorted((one for one in designs if not one.claims), key=lambda one: values.index(one.value))
    gathered = {
        "no difference is shown": [one for one in silent if one.pairs > 1],
        "more than one pair of runs is needed": [one for one in silent if one.pairs <= 1],
    }
    return [
        *(one.sentence for one in designs if one.claims),
        *(_gathered(what, some) for what, some in gathered.items() if some),
    ]


@dataclass(frozen=True)
class _Design:
    """A value of the compared field in a cell of the other fields, and how it differs from the baseline."""

    field: str
    where: dict[str, Any]
    rows: pd.DataFrame

    @property
    def value(self) -> str:
        return _text(self.where[self.field])

    @property
    def instead(self) -> str:
        return f"instead of {_text(self.rows['baseline'].iloc[0])}"

    @property
    def cell(self) -> str:
        """The values of the other fields."""
        return ", ".join(f"{name} = {_text(value)}" for name, value in self.where.items() if name != self.field)

    @property
    def pairs(self) -> int:
        return int(self.rows["pairs"].max())

    @cached_property
    def claims(self) -> str:
        """What is claimed of it; an empty text if nothing."""
        return _claims(JUDGED, self.rows) or _claims(CHANGED, self.rows)

    @property
    def sentence(self) -> str:
        cell = f", with {self.cell}," if self.cell else ""
        unclear, same = (int((self.rows["verdict"] == verdict).sum()) for verdict in ("unclear", "same"))
        rest = "".join(f", {count} {word}" for count, word in ((unclear, "unclear"), (same, "the same")) if count)
        compared = f"{counted(len(self.rows), 'metric')} compared{rest}"
        return f"{self.field} = {self.value} {self.instead}{cell} {self.claims} ({compared})"


def _gathered(what: str, designs: Sequence[_Design]) -> str:
    """Say of designs that nothing is claimed of them: values that it is said of in the same cells, together."""
    cells: dict[str, list[str]] = {}
    for one in designs:
        cells.setdefault(one.value, []).append(one.cell)
    values: dict[tuple[str, ...], list[str]] = {}
    for value, where in cells.items():
        values.setdefault(tuple(where), []).append(value)
    named = "; ".join(f"{listed(some, MOST_LISTED)}{_among(where)}" for where, some in values.items())
    least, most = (choose(len(one.rows) for one in designs) for choose in (min, max))
    metrics = counted(most, "metric") if least == most else f"{least} to {most} metrics"
    each = " each" if len(designs) > 1 else ""
    return f"{what} for {designs[0].field} = {named} {designs[0].instead} ({metrics} compared{each})"


def _among(cells: Sequence[str]) -> str:
    """Return in which cells something is said, in brackets; of cells of a single field, this field once."""
    if cells == ("",):
        return ""
    if ", " in cells[0]:
        return f" ({listed((f'with {cell}' for cell in cells), MOST_CELLS)})"
    field = cells[0].partition(" = ")[0]
    return f" (with {field} = {listed((cell.partition(' = ')[2] for cell in cells), MOST_LISTED)})"


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
    ends = f"{percent(confidence)} interval {number(low, DIGITS)} to {number(high, DIGITS)}"
    return f"{name} ({size}, {ends}{_relative(row['relative'])})"


def _relative(share: float) -> str:
    """Return a difference as a share of the baseline, or, if it is many times that, how many times."""
    if share != share:
        return ""
    return f", {number(1 + share, DIGITS)} times as much" if share > MANIFOLD else f", {percent(abs(share))}"


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
