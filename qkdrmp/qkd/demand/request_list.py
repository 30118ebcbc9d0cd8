"""Lists of requests: demand that is planned beforehand, in a scenario or in a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import simpy
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from simpy.events import ProcessGenerator

from qkdrmp.config.sections import sentences
from qkdrmp.errors import ScenarioError, unknown
from qkdrmp.kernel import arrivals
from qkdrmp.kernel.units import to_ticks
from qkdrmp.qkd.demand.workload import (
    NonNegativeFloat,
    Pair,
    PositiveFloat,
    PositiveInt,
    RequestWorkload,
    check_pair,
)


@dataclass(frozen=True)
class PlannedRequest:
    """One line of a list of requests: who asks whom, when (s), for what; deadline (s) is a time of the simulation."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    start_s: NonNegativeFloat
    src: str
    dst: str
    keys: PositiveInt = 1
    key_bits: PositiveInt = 256
    priority: Annotated[int, Field(strict=True)] = 0
    deadline_s: PositiveFloat | None = None
    patience_s: PositiveFloat | None = None

    def __post_init__(self) -> None:
        check_pair(self.src, self.dst)


PLANNED = TypeAdapter(PlannedRequest)
REQUIRED = ("start_s", "src", "dst")


@dataclass(frozen=True, kw_only=True)
class FixedList:
    """The requests of a list, each at its time.

    Parameters
    ----------
    file : path, optional
        A CSV file with the columns start_s, src, dst and, where wanted, keys, key_bits, priority, deadline_s and
        patience_s (see `PlannedRequest`).
    requests : sequence of PlannedRequest
        The same, given directly.
    """

    file: Path | None = None
    requests: tuple[PlannedRequest, ...] = ()

    concurrent: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        if not self.planned():
            raise ValueError("give a file, or requests, with at least one request")

    def planned(self) -> list[PlannedRequest]:
        """Return all requests in the order of time."""
        rows = list(self.requests) + (list(read_requests(self.file)) if self.file else [])
        return sorted(rows, key=lambda row: row.start_s)

    def request_sizes(self) -> set[int]:
        """Return the sizes of the requests, in bits."""
        return {row.keys * row.key_bits for row in self.planned()}

    def offered_bps(self, pairs: Sequence[Pair], duration_s: float) -> Mapping[Pair, float]:
        """Return the key bits of each pair's requests that start in time, spread over the whole duration."""
        found = dict.fromkeys(pairs, 0.0)
        for row in self.planned():
            if row.start_s < duration_s and (row.src, row.dst) in found:
                found[row.src, row.dst] += row.keys * row.key_bits / duration_s
        return found

    def processes(self, workload: RequestWorkload, sources: Sequence[str]) -> Iterable[ProcessGenerator]:
        """Return the one process that goes through the list."""
        plan = [
            (to_ticks(row.start_s), partial(_ask_for, workload, row)) for row in self.planned() if row.src in sources
        ]
        return [arrivals.at_times(workload.env, plan)]

    def users_named(self) -> Iterable[str]:
        """Return the users in the list."""
        return [name for row in self.planned() for name in (row.src, row.dst)]


def _ask_for(workload: RequestWorkload, row: PlannedRequest) -> simpy.Event:
    return workload.ask(row.src, row.dst, row.keys, row.key_bits, row.priority, row.deadline_s, row.patience_s)


def read_requests(path: Path) -> tuple[PlannedRequest, ...]:
    """Read a list of requests from a CSV file.

    Raises
    ------
    ScenarioError
        If the file cannot be read, or with one sentence for each wrong line.
    """
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError(f"{path}: cannot be read as a CSV file: {error}") from None


@lru_cache(maxsize=32)
def _read(path: Path, changed: int) -> tuple[PlannedRequest, ...]:
    planned, problems = [], []
    with open(path, newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, skipinitialspace=True)
        _check_columns(path, reader.fieldnames or ())
        for row in reader:
            try:
                planned.append(PLANNED.validate_strings(_cells(row)))
            except ValidationError as error:
                problems += [f"{path}: line {reader.line_num}: {line}" for line in sentences(error, PlannedRequest)]
    if problems:
        raise ScenarioError("\n".join(problems))
    return tuple(planned)


def _cells(row: Mapping[str | Any, Any]) -> dict[str, str]:
    """Return what a line says; an empty cell says nothing, and what lies beyond the last column is not known."""
    named = {"beyond the last column" if name is None else name: value for name, value in row.items() if value}
    return {name: value if isinstance(value, str) else ", ".join(value) for name, value in named.items()}


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    known = [field.name for field in fields(PlannedRequest)]
    problems = [f"{path}: unknown column {unknown(name, known)}" for name in columns if name not in known]
    problems += [f"{path}: column {name} is missing" for name in REQUIRED if name not in columns]
    if problems and columns:
        raise ScenarioError("\n".join(problems))
