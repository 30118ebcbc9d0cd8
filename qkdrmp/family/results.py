"""Runs in progress, and what comes out of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from qkdrmp.errors import did_you_mean
from qkdrmp.scenario import Scenario
from qkdrmp.stats.columns import tables_of
from qkdrmp.stats.table_files import write_tables

RUN_SUMMARY = "run_summary"
"""Name of the file of the summary of a single run; ``summary`` is that of a sweep."""


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

    def save(self, folder: str | Path, format: str = "csv") -> list[str]:
        """Write the summary and all tables into a folder; return the names of the files.

        Parameters
        ----------
        folder : path
            It is made if it is not there.
        format : {"csv", "parquet"}
            Parquet is smaller and keeps the types of columns; it needs ``pip install 'qkdrmp[parquet]'``.

        Raises
        ------
        QKDRMPError
            If there is no such format, or a file cannot be written.

        Examples
        --------
        >>> import qkdrmp
        >>> results = qkdrmp.simulate(qkdrmp.load_scenario("line"), seed=1)
        >>> results.save("results/line")
        ['run_summary.csv', 'requests.csv', 'nodes.csv', 'pools.csv', 'pairs.csv']
        """
        summary = (
            self.summary.astype(float).to_frame("value") if format == "parquet" else self.summary.to_frame("value")
        )
        named = {RUN_SUMMARY: summary.rename_axis("metric").reset_index(), **self.tables}
        return write_tables(named, Path(folder), format)

    def _repr_html_(self) -> str:
        """Return what notebooks show: the summary, what deserves attention, and which tables there are."""
        findings = "".join(f"<li>{escape(finding)}</li>" for finding in self.findings)
        tables = ", ".join(f"{name} ({len(table)} rows)" for name, table in self.tables.items())
        about = f"<b>{escape(self.scenario.name)}</b>, seed {self.seed}, {self.scenario.duration_s:g} s simulated"
        summary = self.summary.to_frame("value").rename_axis("metric").reset_index().to_html(index=False)
        return f"<p>{about}</p>{f'<ul>{findings}</ul>' if findings else ''}{summary}<p>Tables: {escape(tables)}</p>"

    if not TYPE_CHECKING:  # to a type checker, a name that is no table is an error

        def __getattr__(self, name: str) -> pd.DataFrame:
            known = tables_of(type(self))
            if name in known:
                raise known[name].missing()
            raise AttributeError(f"results have no '{name}'{did_you_mean(name, known)}; tables are {', '.join(known)}")
