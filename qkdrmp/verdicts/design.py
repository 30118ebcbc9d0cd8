"""What was swept, and the words for it: cells, values, and the fields that are a scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from qkdrmp.config.points import label
from qkdrmp.plots.axes import is_scale, varied
from qkdrmp.plots.labels import largest, name_and_unit, value_text
from qkdrmp.plots.times import time_unit
from qkdrmp.scenario import Scenario
from qkdrmp.stats.estimators import Values
from qkdrmp.stats.words import interval, number

DURATION = "duration_s"
LOADS = ("demand", "faults")
"""Sections whose fields are no choice of a design, but what it has to bear."""
SHARE = "share"


def longest(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the longest duration."""
    ends: pd.DataFrame = runs[runs[DURATION] == runs[DURATION].max()]
    return ends


def scales(runs: pd.DataFrame) -> list[str]:
    """Return the swept fields that are scales, other than the duration; those of the design first."""
    found = [field for field in varied(runs) if field != DURATION and is_scale(runs[field])]
    return sorted(found, key=is_load)


def is_load(field: str) -> bool:
    """Return whether a field is no choice of a design, but what it has to bear."""
    return field.partition(".")[0] in LOADS


def cell_words(cell: Mapping[str, Any]) -> str:
    """Return the values of some swept fields in words, such as ``key pool capacity = 40 keys``."""
    return ", ".join(f"{name_and_unit(field)[0]} = {with_unit(field, value)}" for field, value in cell.items())


def with_unit(field: str, value: Any) -> str:
    """Return a value of a swept field with its unit, such as ``40 keys``."""
    unit = name_and_unit(field)[1]
    if not unit or unit.startswith(SHARE) or value != value or value is None:
        return value_text(value)
    return f"{value_text(value)} {unit.removesuffix('s') if value == 1 and len(unit) > 1 else unit}"


def placed(field: str, value: Any) -> str:
    """Return a value of a swept field so that it can stand behind ``with``: by its unit, or else by its name."""
    text = with_unit(field, value)
    return text if text != value_text(value) else cell_words({field: value})


def metric_name(metric: str) -> str:
    """Return what a metric is called in a sentence."""
    return name_and_unit(metric)[0]


def amount(metric: str, values: Values) -> str:
    """Return the mean of some values of a metric with its interval, times and shares in units that suit them."""
    known = pd.Series(values, dtype=float).dropna()
    scale, unit = unit_of(metric, float(known.abs().mean()) if len(known) else 0.0)
    return interval(known, scale, unit, largest(metric))


def single(metric: str, value: float) -> str:
    """Return a single value of a metric with its unit."""
    scale, unit = unit_of(metric, abs(value))
    return f"{number(scale * value)}{f' {unit}' if unit else ''}"


def change(metric: str, size: float) -> str:
    """Return about by how much a metric differs, a share in percentage points."""
    scale, unit = unit_of(metric, abs(size))
    if unit != "%":
        return f"{number(scale * size, 2)} {unit}".rstrip()
    points = number(scale * size, 1)
    return f"{points} percentage point{'' if points == '1' else 's'}"


def unit_of(metric: str, size: float) -> tuple[float, str]:
    """Return the factor on a metric, and its unit, for values of about that size."""
    unit = name_and_unit(metric)[1]
    if unit == "s":
        seconds, name = time_unit(size)
        return 1 / seconds, name
    return (100.0, "%") if unit.endswith(SHARE) else (1.0, "" if " " in unit.removeprefix("per ") else unit)


def made(scenario: Scenario, cell: Mapping[str, Any]) -> Scenario:
    """Return the scenario of a cell, whose values are as they are written in the table of runs.

    Raises
    ------
    ScenarioError
        If a value is an object that the scenario's own sweep section does not have.
    """
    over = {field: values for field, values in scenario.sweep.over.items() if isinstance(values, Sequence)}
    points = [*scenario.sweep.points, *({field: value} for field, values in over.items() for value in values)]
    known = {(field, label(value)): value for point in points for field, value in point.items()}
    plain = {field: value_of(value) for field, value in cell.items()}
    return scenario.replace({field: known.get((field, value), value) for field, value in plain.items()})


def value_of(value: Any) -> Any:
    """Return a value of a table as a scenario takes it: whole numbers as such, what is missing as None."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float):
        return None if math.isnan(plain) else int(plain) if plain.is_integer() else plain
    return plain
