"""Protocol families: what each declares, once, for everything that runs, reports and draws scenarios of any kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qkdrmp.errors import did_you_mean
from qkdrmp.scenario import Scenario
from qkdrmp.stats.columns import Column, NotRecorded, Table, tables_of


class RunWarning(UserWarning):
    """A run ended in a way that deserves attention."""


class Run(Protocol):
    """A run in progress, of any protocol family."""

    def advance(self, until: int) -> None:
        """Simulate up to tick `until`, warm-up included."""

    def summary(self) -> dict[str, float]:
        """Return the metrics up to now, as a row of a sweep."""

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables up to now, by name."""

    def findings(self) -> list[str]:
        """Return what deserves the user's attention, in sentences."""

    def check(self) -> None:
        """Raise `InvariantError` if an invariant does not hold."""


@dataclass(frozen=True)
class Results:
    """What came out of one run.

    Each protocol family has a subclass of its own, whose attributes are its tables, such as ``results.requests``.

    Attributes
    ----------
    scenario : Scenario
    seed : int
    summary : pandas.Series
        The metrics of the run, which a sweep has in one row.
    tables : dict of str to pandas.DataFrame
        All tables by name; each is an attribute as well.
    findings : list of str
        What deserves attention, in sentences.

    Raises
    ------
    NotRecorded
        If an attribute is a table that the run did not record.
    """

    scenario: Scenario[Any]
    seed: int
    summary: pd.Series[Any]
    tables: dict[str, pd.DataFrame] = field(repr=False)
    findings: list[str] = field(default_factory=list)

    def table(self, name: str) -> pd.DataFrame:
        """Return a table by its name.

        Raises
        ------
        NotRecorded
            If the run did not record it.
        AttributeError
            If there is no such table in the family.
        """
        found: pd.DataFrame = getattr(self, name)
        return found

    if not TYPE_CHECKING:  # to a type checker, a name that is no table is an error

        def __getattr__(self, name: str) -> pd.DataFrame:
            known = tables_of(type(self))
            if name in known:
                raise known[name].missing()
            raise AttributeError(f"results have no '{name}'{did_you_mean(name, known)}; tables are {', '.join(known)}")


@dataclass(frozen=True)
class Quantity:
    """Something that a run shows in the course of time.

    Parameters
    ----------
    name : str
    label : str
        What it is called along an axis, with its unit.
    measure : callable
        Returns what the results of a run show in each interval between some edges, s; nan where they show nothing.
    """

    name: str
    label: str
    measure: Callable[[Any, NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What the runs of a family count: the requests or connections that users ask for.

    Parameters
    ----------
    noun, nouns : str
        What one of them is called, and several; the table of all of them has the latter name.
    begun, ended : str
        The columns of that table with when one was asked for, and when it ended.
    asked : str
        The metric with how many were asked for.
    """

    noun: str
    nouns: str
    begun: str
    ended: str
    asked: str


@dataclass(frozen=True, kw_only=True)
class Family:
    """A protocol family, as it declares itself.

    Parameters
    ----------
    kind : str
        Its name in scenarios.
    title : str
        What its scenarios are about, in words.
    scenario : type of Scenario
    results : type of Results
    start : callable
        Returns a run at tick 0 of a scenario, a seed, and the names of what to record.
    predict : callable
        Returns, in sentences, what will go wrong in runs of a scenario.
    metrics : tuple of Column
        The metrics of a run; its summary has these columns.
    main_metric : str
        The metric that sums up a run; more is better.
    counted : Counted
    field_labels : mapping of str to str
        What the fields of its scenarios are called along an axis, by path, units included.
    warning : type of RunWarning
        Of the warnings about how a run ended.
    settling : tuple of Quantity
        By which the end of the warm-up is recognised.
    settling_record : tuple of str
        What runs have to record for these.
    """

    kind: str
    title: str
    scenario: type[Scenario[Any]]
    results: type[Results]
    start: Callable[[Any, int, Collection[str]], Run]
    predict: Callable[[Any], list[str]]
    metrics: tuple[Column[Any], ...]
    main_metric: str
    counted: Counted
    field_labels: Mapping[str, str]
    warning: type[RunWarning] = RunWarning
    settling: tuple[Quantity, ...]
    settling_record: tuple[str, ...]

    @property
    def tables(self) -> dict[str, Table[Any]]:
        """The kinds of table that its results have, by name."""
        return tables_of(self.results)

    @property
    def records(self) -> tuple[str, ...]:
        """What its runs record only if asked to."""
        asked = (table.record for table in self.tables.values())
        return tuple(dict.fromkeys(record for record in asked if record is not None))


FAMILIES: dict[str, Family] = {}
"""All protocol families by kind; see `simulation`, where they are entered."""


def family_of(scenario: Scenario[Any]) -> Family:
    """Return the protocol family of a scenario."""
    return FAMILIES[scenario.kind]


__all__ = [
    "FAMILIES",
    "Counted",
    "Family",
    "NotRecorded",
    "Quantity",
    "Results",
    "Run",
    "RunWarning",
    "family_of",
]
