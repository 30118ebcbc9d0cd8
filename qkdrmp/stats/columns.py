"""Columns and tables: the name, unit and meaning of each number that leaves a run, and how it is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, overload

import pandas as pd

from qkdrmp.errors import QKDRMPError

T = TypeVar("T")

UNITS = {"_s": "s", "_hz": "1/s", "_bps": "bit/s", "_bits": "bit", "_km": "km"}
"""Units that the name of a column carries, by its ending."""

Better: TypeAlias = Literal["more", "less", ""]
"""Whether more or less of a metric is better; an empty text where neither is."""


class NotRecorded(QKDRMPError, AttributeError):
    """A table was asked for that the run did not record."""


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of a table.

    Parameters
    ----------
    name : str
        As it is in the table; it carries its unit by an ending of `UNITS`, if it has one of these.
    meaning : str
        For the documentation.
    get : callable
        Returns the value of the column, given what a row is about.
    title : str
        What it is called along an axis, without its unit; by default its name in words.
    unit : str
        If no ending of a name carries it, such as ``keys``.
    better : {"more", "less", ""}
        Of a metric, whether more or less of it is better; empty where neither is.
    given : str
        If it is a metric of what was delivered only, the metric with the share that was not.

    Raises
    ------
    ValueError
        If the unit contradicts the ending of the name.
    """

    name: str
    meaning: str
    get: Callable[[T], Any]
    title: str = ""
    unit: str = ""
    better: Better = ""
    given: str = ""

    def __post_init__(self) -> None:
        carried = unit_of(self.name)
        if carried and self.unit not in ("", carried):
            raise ValueError(f"column {self.name}: unit = {self.unit!r} must be {carried!r}, as its name says")
        object.__setattr__(self, "unit", self.unit or carried)

    @property
    def label(self) -> str:
        """What it is called along an axis, with its unit."""
        words = self.title or self.name.removesuffix(_ending_of(self.name)).replace("_", " ")
        return f"{words} ({self.unit})" if self.unit else words


def values_of(columns: Iterable[Column[T]], what: T) -> dict[str, Any]:
    """Return the values of columns by name, given what their row is about."""
    return {column.name: column.get(what) for column in columns}


def quantile_columns(
    name: str, meaning: str, title: str, get: Callable[[T], Mapping[str, float]], given: str = ""
) -> tuple[Column[T], ...]:
    """Return the columns of the mean and of percentiles of times, which are better if they are shorter.

    Parameters
    ----------
    name, meaning, title, given : str
        Of the times; see `Column`.
    get : callable
        Returns the values by column, as `estimators.quantiles` does.
    """
    measures = {
        "mean": (f"mean {meaning}", f"mean {title}"),
        "p50": ("median of that time", f"{title}, median"),
        "p95": ("95th percentile of that time", f"{title}, 95th percentile"),
        "p99": ("99th percentile of that time", f"{title}, 99th percentile"),
    }

    def column(measure: str, meaning: str, title: str) -> Column[T]:
        full = f"{name}_{measure}_s"
        return Column(full, meaning, lambda what: get(what)[full], title, better="less", given=given)

    return tuple(column(measure, *words) for measure, words in measures.items())


def unit_of(name: str) -> str:
    """Return the unit that a column's name carries, or an empty text."""
    return UNITS.get(_ending_of(name), "")


def _ending_of(name: str) -> str:
    return next((ending for ending in UNITS if name.endswith(ending)), "")


class HasTables(Protocol):
    """What a table can be an attribute of: results, with the tables of their run by name."""

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables, by name."""


class Table(Generic[T]):
    """A kind of table: what a row is, and its columns.

    As an attribute of a class of results it stands for the table of that name: ``results.requests``.

    Parameters
    ----------
    row : str
        What one row is.
    columns : iterable of Column
    record : str, optional
        What a run has to record for it; by default every run has it.

    Attributes
    ----------
    name : str
        The attribute it was assigned to.
    """

    def __init__(self, row: str, columns: Iterable[Column[T]], record: str | None = None) -> None:
        self.row = row
        self.columns = tuple(columns)
        self.record = record
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, results: None, owner: type) -> Table[T]: ...
    @overload
    def __get__(self, results: HasTables, owner: type) -> pd.DataFrame: ...
    def __get__(self, results: HasTables | None, owner: type) -> Table[T] | pd.DataFrame:
        if results is None:
            return self
        if self.name in results.tables:
            return results.tables[self.name]
        raise self.missing()

    def missing(self) -> NotRecorded:
        """Return the error that results do not have this table."""
        return NotRecorded(f"{self.name} were not recorded: call simulate(..., record=['{self.record}'])")

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    def frame(self, rows: Iterable[T]) -> pd.DataFrame:
        """Return the table of some rows, each given by what it is about."""
        getters = [column.get for column in self.columns]
        return pd.DataFrame([tuple(get(row) for get in getters) for row in rows], columns=self.names)


def tables_of(results: type) -> dict[str, Table[Any]]:
    """Return the kinds of table that a class of results has, by name, in the order in which it declares them."""
    found: dict[str, Table[Any]] = {}
    for base in reversed(results.__mro__):
        found |= {name: value for name, value in vars(base).items() if isinstance(value, Table)}
    return found
