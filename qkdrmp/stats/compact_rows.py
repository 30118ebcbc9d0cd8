"""Rows of long tables, kept so that millions of them take little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qkdrmp.stats.columns import Column

T = TypeVar("T")

CODES = "BHIQ"
"""Types of arrays for the numbers of texts: the first that is large enough is taken."""


class Values(Protocol):
    """The values of a column so far."""

    def append(self, value: Any, /) -> None:
        """Add the value of the next row."""

    def series(self) -> Any:
        """Return all values, as a column of a data frame."""


class Numbers:
    """Numbers, in as many bytes as they need.

    Parameters
    ----------
    code : str
        Of their type, ``q`` or ``d``, as for `array.array`.
    """

    def __init__(self, code: str) -> None:
        self._values = array(code)
        self.append = self._values.append

    def series(self) -> NDArray[Any]:
        """Return all numbers."""
        return np.array(self._values)


class Texts:
    """Texts of which many are the same, each kept once."""

    def __init__(self) -> None:
        self._numbers = array(CODES[0])
        self._known: dict[str, int] = {}

    def append(self, text: str) -> None:
        """Add the text of the next row."""
        number = self._known.setdefault(text, len(self._known))
        try:
            self._numbers.append(number)
        except OverflowError:
            self._numbers = array(CODES[CODES.index(self._numbers.typecode) + 1], self._numbers)
            self._numbers.append(number)

    def series(self) -> Any:
        """Return all texts, as a categorical whose categories are in alphabetical order."""
        texts = sorted(self._known)
        place = np.empty(len(texts), np.min_scalar_type(-max(len(texts), 1)))
        place[[self._known[text] for text in texts]] = range(len(texts))
        codes = place[np.frombuffer(self._numbers, self._numbers.typecode)]
        return pd.Categorical.from_codes(codes, categories=pd.Index(texts))


class CompactRows(Generic[T]):
    """Rows of a table, kept column by column: numbers in arrays, texts as numbers of those known.

    The first row decides the kind of each column: whole numbers, numbers, or texts.

    Parameters
    ----------
    columns : iterable of Column
    rows : iterable, optional
        What the first rows are about.
    """

    def __init__(self, columns: Iterable[Column[T]], rows: Iterable[T] = ()) -> None:
        self._columns = tuple(columns)
        self._values: list[Values] = []
        for row in rows:
            self.append(row)

    def append(self, row: T) -> None:
        """Add a row, given by what it is about."""
        if not self._values:
            self._values = [_kept(column.get(row)) for column in self._columns]
        for column, values in zip(self._columns, self._values, strict=True):
            values.append(column.get(row))

    def frame(self) -> pd.DataFrame:
        """Return the table of all rows; texts are categorical."""
        names = [column.name for column in self._columns]
        if not self._values:
            return pd.DataFrame(columns=names)
        made = {name: values.series() for name, values in zip(names, self._values, strict=True)}
        return pd.DataFrame(made, copy=False)


def _kept(first: Any) -> Values:
    """Return where values like a first one are kept."""
    if isinstance(first, str):
        return Texts()
    return Numbers("d" if isinstance(first, float) else "q")
