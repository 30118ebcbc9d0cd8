"""Key rates over time, as measured or made up: a trace."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from qkdrmp.config.sections import sentences
from qkdrmp.key_rates.model import Fibre, TimedSession
from qkdrmp.key_rates.ranges import check, check_parameters
from qkdrmp.key_rates.trace_session import RateStep, TraceSession


@dataclass(frozen=True)
class TraceRow:
    """What a link makes from a time on.

    Parameters
    ----------
    time_s : float
        The time, in seconds (0 to 1e9).
    rate_bps : float
        Secret bits per second (0 to 1e12).
    qber : float
        Quantum bit error rate, as a share (0 to 1).
    state : {"up", "down"}
        Whether it works.
    link : str
        The link by its two ends, as in A-B; empty for all links that have no rows of their own.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    time_s: Annotated[float, Field(ge=0, le=1e9)]
    rate_bps: Annotated[float, Field(ge=0, le=1e12)]
    qber: Annotated[float, Field(ge=0, le=1)] = 0.0
    state: Literal["up", "down"] = "up"
    link: str = ""


Rows = tuple[TraceRow, ...]
ROW = TypeAdapter(TraceRow)
REQUIRED = ("time_s", "rate_bps")


@dataclass(frozen=True, kw_only=True)
class RateTrace:
    """Key rates that change over time by steps, such as those measured in a day.

    Each row of the trace holds from its time to that of the next row. Before the first row a link is down. While it is
    down, or its QBER is above `qber_limit`, it makes no keys, and the block that is not finished then is lost at both
    ends; with a rate of 0 it only waits.

    Parameters
    ----------
    file : path, optional
        A CSV file with the columns time_s and rate_bps (secret bits per second, 0 to 1e12) and, where wanted, qber (0
        to 1), state (up or down) and link (as in A-B); rows without a link are for all links that have none of their
        own.
    rows : sequence of TraceRow
        The same, given directly.
    after : {"hold", "repeat"}
        Whether the last row holds to the end, or the trace begins anew at its time, in place of its values.
    block_bits : int
        Secret bits of a block, all of which are ready together (0 to 1e15); 0 for keys that come one by one.
    qber_limit : float
        QBER above which the link makes no keys (1e-6 to 0.5).

    Raises
    ------
    ValueError
        If a parameter is outside its range, the file cannot be read, or times do not rise.

    Notes
    -----
    If keys are wanted all the time, as many are made as the rate integrated over time has bits for, but for a block.
    The mean rate depends on when it is asked for, so that loads of links and bounds are not known.
    """

    file: Path | None = None
    rows: tuple[TraceRow, ...] = ()
    after: Literal["hold", "repeat"] = "hold"
    block_bits: int = 0
    qber_limit: float = 0.11

    def __post_init__(self) -> None:
        check_parameters(self)
        check("block_bits", self.block_bits, 0 <= self.block_bits <= 1e15, "from 0 to 1e15")
        if bool(self.file) == bool(self.rows):
            raise ValueError("give either a file or rows")
        for link, rows in self._by_link().items():
            enough = rows[0].time_s == 0 and len(rows) > 1
            check(f"time_s{_where(link)}", rows[0].time_s, self.after == "hold" or enough, "0 in the first of two rows")

    def check_fibre(self, fibre: Fibre) -> None:
        """Raise a ValueError if the trace has no rows for the link of a fibre."""
        if not self._of(fibre.ends):
            raise ValueError("trace has no rows for this link, and none for all links")

    def session(self, fibre: Fibre, key_bits: int, random: np.random.Generator) -> TimedSession:
        """Open a session that makes keys of `key_bits` bits; `random` is not used."""
        return TraceSession(self._steps(fibre.ends), self.after == "repeat", self.block_bits, key_bits)

    def _by_link(self) -> Mapping[str, Rows]:
        return read_trace(self.file) if self.file else _grouped(self.rows)

    def _of(self, ends: tuple[str, str]) -> Rows:
        rows = self._by_link()
        return rows.get("-".join(ends)) or rows.get("-".join(ends[::-1])) or rows.get("", ())

    def _steps(self, ends: tuple[str, str]) -> list[RateStep]:
        if ends not in self._opened:
            rows, limit = self._of(ends), self.qber_limit
            self._opened[ends] = [
                RateStep.of(row.time_s, row.rate_bps, row.state == "up" and row.qber <= limit) for row in rows
            ]
        return self._opened[ends]

    @cached_property
    def _opened(self) -> dict[tuple[str, str], list[RateStep]]:
        """The steps of the links on which sessions were opened."""
        return {}


def _grouped(rows: Iterable[TraceRow]) -> dict[str, Rows]:
    """Return rows by their link, the times of each rising."""
    found: dict[str, list[TraceRow]] = {}
    for row in rows:
        before = found.setdefault(row.link, [])
        if before:
            last = before[-1].time_s
            check(f"time_s{_where(row.link)}", row.time_s, row.time_s > last, f"above {last:g}, that of the row before")
        before.append(row)
    return {link: tuple(of_link) for link, of_link in found.items()}


def _where(link: str) -> str:
    return f" of {link}" * bool(link)


def read_trace(path: Path) -> Mapping[str, Rows]:
    """Read a trace from a CSV file, and return its rows by their link.

    Raises
    ------
    ValueError
        If the file cannot be read, or with one sentence for each wrong line.
    """
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read as a CSV file: {error}") from None


@lru_cache(maxsize=32)
def _read(path: Path, changed: int) -> Mapping[str, Rows]:
    rows, problems = [], []
    with open(path, newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, skipinitialspace=True)
        known, columns = [field.name for field in fields(TraceRow)], reader.fieldnames or ()
        problems += [
            f"{path}: unknown column '{name}'; known are {', '.join(known)}" for name in columns if name not in known
        ]
        problems += [f"{path}: column {name} is missing" for name in REQUIRED if name not in columns]
        for row in reader if not problems else ():
            try:
                rows.append(ROW.validate_strings(_cells(row)))
            except ValidationError as error:
                problems += [f"{path}: line {reader.line_num}: {line}" for line in sentences(error, TraceRow)]
    if not rows and not problems:
        problems = [f"{path}: there must be at least one row"]
    if problems:
        raise ValueError("\n".join(problems))
    return _grouped(rows)


def _cells(row: Mapping[str | Any, Any]) -> dict[str, str]:
    """Return what a line says; an empty cell says nothing."""
    return {str(name): str(value) for name, value in row.items() if value and name is not None}
