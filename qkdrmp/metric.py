"""Metrics of the user's own: numbers out of the results of a run, beside those of its protocol family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from qkdrmp.config.registry import Registry
from qkdrmp.stats.columns import Better, Column


class RunMetric(Protocol):
    """A number out of the results of a run, which its summary and the rows of a sweep have as well."""

    @property
    def name(self) -> str:
        """What it is called in tables; see `Column`."""

    @property
    def record(self) -> Sequence[str]:
        """What a run has to record for it, such as ``messages``."""

    def get(self, results: Any, /) -> float:
        """Return the number, given the `Results` of a run."""


@runtime_checkable
class KnowsBetter(Protocol):
    """A metric that says whether more or less of it is better, so that it can be a target."""

    @property
    def better(self) -> Better:
        """``more`` or ``less``; an empty text where neither is."""


@dataclass(frozen=True, slots=True)
class Metric(Column[Any]):
    """A metric of the user's own: a column whose value is got from the `Results` of a run.

    Parameters
    ----------
    name, meaning, get, title, unit, better, given
        See `Column`; `get` is given the results of the run up to then, and returns a number.
    record : sequence of str
        What a run has to record for it, such as ``messages``.
    """

    record: Sequence[str] = ()

    def __post_init__(self) -> None:
        Column.__post_init__(self)
        OWN_METRICS[self.name] = self


OWN_METRICS: dict[str, Metric] = {}
"""Metrics of the user's own by name, as they were last made in this process."""


def metric_of(value: Any) -> Any:
    """Return a metric: a function of the results is one of its name, and a column needs nothing recorded."""
    if isinstance(value, Column) and not isinstance(value, Metric):
        return Metric(value.name, value.meaning, value.get, value.title, value.unit, value.better, value.given)
    if callable(value) and hasattr(value, "__name__"):
        return Metric(value.__name__, (value.__doc__ or "").strip().partition("\n")[0], value)
    return value


METRICS: Registry[RunMetric] = Registry("metric", RunMetric, {}, metric_of)
"""Metrics of the user's own; those of each protocol family are in every summary anyway."""
