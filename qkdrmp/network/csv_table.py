"""Tables as people write them: CSV with any usual delimiter, with titles of columns that are understood."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from qkdrmp.errors import TopologyError, did_you_mean

Columns = Mapping[str, tuple[str, ...]]
"""What each column may be called, in small letters with ``_`` for everything else; the first name is the usual one."""

_UNITLESS = {"length": "km", "distance": "km", "dist": "km", "attenuation": "dB/km", "alpha": "dB/km"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DELIMITERS = ",;\t|"
_MOST = 10


class NumberRange(NamedTuple):
    """Which numbers a column allows, in words and as a test."""

    words: str
    allows: Callable[[float], bool]


POSITIVE = NumberRange("must be a number greater than 0", lambda value: value > 0)
NOT_NEGATIVE = NumberRange("must be a number of at least 0", lambda value: value >= 0)
ANY = NumberRange("must be a number", lambda value: True)
LATITUDE = NumberRange("must be a number from -90 to 90", lambda value: abs(value) <= 90)
LONGITUDE = NumberRange("must be a number from -180 to 180", lambda value: abs(value) <= 180)


def titles_of(text: str) -> set[str]:
    """Return the titles of the columns of a text that may be CSV, in small letters with ``_`` for everything else."""
    head = _head(text)
    return {_plain(title) for title in head.split(_delimiter(head))}


def _head(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def _plain(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", title.casefold()).strip("_")


def _delimiter(head: str) -> str:
    return max(_DELIMITERS, key=head.count)


@dataclass
class CsvTable:
    """A CSV file: its header, and its rows that are not empty, by their numbers in the file.

    Parameters
    ----------
    path : Path
    known : Columns
        What columns are understood.
    columns : mapping of str to str
        The title of each of them that is there.
    others : tuple of str
        The titles of all other columns.
    rows : mapping of int to mapping of str to str
        Cells by the title of the column; the header is row 1.
    decimal_comma : bool
        Whether a comma in a number stands before its decimals, as it does not separate cells.
    problems : list of str
        What is wrong, a sentence each.
    """

    path: Path
    known: Columns
    columns: Mapping[str, str]
    others: tuple[str, ...]
    rows: Mapping[int, Mapping[str, str]]
    decimal_comma: bool
    problems: list[str] = field(default_factory=list)
    _commas: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, text: str, known: Columns) -> CsvTable:
        """Return the table that a file holds.

        Raises
        ------
        TopologyError
            If it is broken, has no rows, or two columns of the same meaning.
        """
        delimiter = _delimiter(_head(text))
        records = _records(path, text, delimiter)
        if len(records) < 2:
            raise TopologyError(
                f"{path}: must have a header and rows beneath it, but has {'no rows' if records else 'neither'}"
            )
        (first, titles), *rows = records
        columns = _columns(path, titles, known)
        others = tuple(title for title in titles if title and title not in columns.values())
        cells = {number: dict(zip(titles, [*row, *[""] * len(titles)], strict=False)) for number, row in rows}
        made = cls(path, known, columns, others, cells, delimiter != ",")
        for number, row in rows:
            if any(row[len(titles) :]):
                made.problems.append(
                    f"row {number} has {len(row)} cells, but the header, row {first}, has {len(titles)}"
                )
        return made

    def require(self, *meanings: str) -> None:
        """Raise an error if a column is not there."""
        for meaning in (meaning for meaning in meanings if meaning not in self.columns):
            known, there = self.known[meaning], [*self.columns.values(), *self.others]
            near = next(filter(None, (did_you_mean(_plain(other), known) for other in self.others)), "")
            also = f" (or {', '.join(known[1:4])})" if len(known) > 1 else ""
            raise TopologyError(f"{self.path}: column {meaning}{also} is missing{near}; there are {', '.join(there)}")

    def text(self, row: int, meaning: str) -> str:
        """Return a cell, empty if there is no such column."""
        title = self.columns.get(meaning)
        return self.rows[row][title] if title else ""

    def complain(self, row: int, meaning: str, sentence: str) -> None:
        """Note that a cell is wrong."""
        value = self.text(row, meaning)
        what = f"column {self.columns[meaning]}{f' = {value!r}' if value else ''}"
        self.problems.append(f"row {row}, {what} {sentence}")

    def number(self, row: int, meaning: str, allowed: NumberRange) -> float | None:
        """Return the number in a cell; None if it is empty, or wrong, which is noted."""
        said = self.text(row, meaning)
        text = said.replace(",", ".") if self.decimal_comma and said.count(",") == 1 and "." not in said else said
        if not said:
            return None
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value) or not allowed.allows(value):
            self.complain(row, meaning, allowed.words)
            return None
        self._commas += [said] if text != said else []
        return value

    def extra(self, row: int) -> dict[str, Any]:
        """Return the cells of columns that are not understood, as far as they are not empty."""
        return {title: cell for title in self.others if (cell := self.rows[row][title])}

    def notes(self) -> list[str]:
        """Return what has to be said about how cells were read, a sentence each.

        Raises
        ------
        TopologyError
            If anything was wrong, with a line for each of the first problems.
        """
        if self.problems:
            left = len(self.problems) - _MOST
            lines = [*self.problems[:_MOST], *([f"and {left} more problems"] if left > 0 else [])]
            raise TopologyError("\n".join(f"{self.path}: {line}" for line in lines))
        units = [(title, _UNITLESS[_plain(title)]) for title in self.columns.values() if _plain(title) in _UNITLESS]
        read = [f"column {title} of {self.path.name} is read in {unit}" for title, unit in units]
        commas = (
            [f"numbers of {self.path.name} have a decimal comma, such as {self._commas[0]}"] if self._commas else []
        )
        return read + commas


def _records(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        records = [(reader.line_num, [" ".join(cell.split()) for cell in row]) for row in reader]
    except csv.Error as error:
        raise TopologyError(f"{path}: row {reader.line_num}: broken CSV: {error}") from None
    return [(number, row) for number, row in records if any(row)]


def _columns(path: Path, titles: list[str], known: Columns) -> dict[str, str]:
    meanings = {alias: meaning for meaning, aliases in known.items() for alias in aliases}
    found: dict[str, str] = {}
    for title in filter(None, titles):
        meaning = meanings.get(_plain(title), f"as it is: {title}")
        if meaning in found:
            raise TopologyError(f"{path}: columns '{found[meaning]}' and '{title}' mean the same: one of them must go")
        found[meaning] = title
    return {meaning: title for meaning, title in found.items() if meaning in known}
