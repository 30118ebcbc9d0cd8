"""The store of a sweep: every finished run is kept at once, so that an interrupted sweep can be resumed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qkdrmp.errors import QKDRMPError

MEMORY = ":memory:"
TABLES = """
create table if not exists facts (name text primary key, content text not null) without rowid;
create table if not exists runs (simulation text, duration_s real, metrics text not null,
    primary key (simulation, duration_s)) without rowid;
create table if not exists failures (simulation text, duration_s real, error text not null, traceback text not null,
    primary key (simulation, duration_s)) without rowid;
create table if not exists timings (simulation text primary key, wall_s real not null) without rowid;
"""

Key = tuple[str, float]
"""Which run: the digest of its simulation, and its duration in seconds."""


class StoreError(QKDRMPError):
    """A store cannot be used: it is in use, damaged, or holds runs of another sweep."""


class StoreInUse(StoreError):
    """Another sweep has the store open."""


@dataclass(frozen=True)
class Failure:
    """How a run failed.

    Parameters
    ----------
    error : str
        One line.
    traceback : str
    """

    error: str
    traceback: str = ""


class Store:
    """The finished runs of one sweep, in a file that only one sweep at a time can have open.

    Parameters
    ----------
    path : Path or None
        The file; without one, the store lasts as long as the object.

    Attributes
    ----------
    runs : dict of Key to dict
        The metrics of all finished runs.
    failures : dict of Key to Failure
        How the runs failed that did.
    timings : dict of str to float
        The wall time that each simulation took, s.

    Raises
    ------
    StoreInUse
        If another sweep has the file open.
    StoreError
        If it is no store.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        try:
            self._database = sqlite3.connect(path or MEMORY, timeout=0.5, isolation_level=None)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be opened ({error})") from None
        try:
            # The lock is held until the store is closed, or its process ends in whatever way.
            self._database.execute("pragma locking_mode = exclusive")
            self._database.execute("pragma synchronous = normal")
            self._database.executescript(f"begin exclusive; {TABLES} commit;")
            self._read()
        except sqlite3.DatabaseError as error:
            self.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise StoreInUse(f"{path}: another sweep is running in this folder ({error})") from None
            raise StoreError(f"{path}: is not the file of a sweep ({error})") from None

    def _read(self) -> None:
        runs = self._database.execute("select simulation, duration_s, metrics from runs")
        self.runs: dict[Key, dict[str, Any]] = {(key, time_s): json.loads(metrics) for key, time_s, metrics in runs}
        failures = self._database.execute("select simulation, duration_s, error, traceback from failures")
        self.failures: dict[Key, Failure] = {(key, time_s): Failure(*texts) for key, time_s, *texts in failures}
        self.timings: dict[str, float] = dict(self._database.execute("select simulation, wall_s from timings"))

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def facts(self, name: str) -> Any:
        """Return what is known under a name, or None."""
        row = self._database.execute("select content from facts where name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def record(self, name: str, facts: Any) -> None:
        """Keep facts, fit for JSON, under a name."""
        self._database.execute("insert or replace into facts values (?, ?)", (name, json.dumps(facts)))

    def add(self, simulation: str, rows: Mapping[float, Mapping[str, Any]], wall_s: float) -> None:
        """Keep the metrics of a simulation at some durations, all of them or, if the process is killed, none."""
        # What is kept in memory is what was written, to the last bit, so that both ways of reading give the same.
        written = {duration_s: json.dumps(dict(row), default=np.generic.item) for duration_s, row in rows.items()}
        self.runs |= {(simulation, duration_s): json.loads(row) for duration_s, row in written.items()}
        self.timings[simulation] = self.timings.get(simulation, 0.0) + wall_s
        with self._database:
            self._database.execute("begin")
            self._database.executemany(
                "insert or replace into runs values (?, ?, ?)",
                [(simulation, duration_s, row) for duration_s, row in written.items()],
            )
            self._database.execute(
                "insert or replace into timings values (?, ?)", (simulation, self.timings[simulation])
            )

    def fail(self, simulation: str, durations_s: Iterable[float], failure: Failure) -> None:
        """Keep how a simulation failed."""
        self.failures |= {(simulation, duration_s): failure for duration_s in durations_s}
        rows = [(simulation, duration_s, failure.error, failure.traceback) for duration_s in durations_s]
        with self._database:
            self._database.execute("begin")
            self._database.executemany("insert or replace into failures values (?, ?, ?, ?)", rows)

    def clear_failures(self) -> None:
        """Forget failures, so that what failed is tried again."""
        self.failures.clear()
        self._database.execute("delete from failures")


def discard(path: Path) -> None:
    """Delete a store, whatever state it is in.

    Raises
    ------
    StoreInUse
        If a sweep has it open.
    """
    try:
        Store(path).close()
    except StoreInUse:
        raise
    except StoreError:
        pass  # a damaged one is deleted as well
    for file in (path, path.with_name(f"{path.name}-journal")):  # a journal must not outlive its store
        file.unlink(missing_ok=True)
