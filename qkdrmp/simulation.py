"""One run: a scenario and a seed in, tables out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from qkdrmp.entanglement.run import EntanglementRun
from qkdrmp.entanglement.run import foresee as foresee_entanglement
from qkdrmp.errors import QKDRMPError
from qkdrmp.kernel.units import to_ticks
from qkdrmp.qkd.prediction import foresee
from qkdrmp.qkd.run import QKDRun
from qkdrmp.scenario import Scenario

RECORDS = ("messages", "levels", "pairs")
"""Tables that a run has only if it is told to record them."""


class RunWarning(UserWarning):
    """A run ended in a way that deserves attention."""


class StuckPoolWarning(RunWarning):
    """Key pools ended a run with too few keys to serve and too many to be refilled."""


class NotRecorded(QKDRMPError, AttributeError):
    """A table was asked for that the run was not told to record."""


class Run(Protocol):
    """A run under way, of any protocol family."""

    def advance(self, until: int) -> None:
        """Simulate up to tick `until`, warm-up included."""

    def summary(self) -> dict[str, float]:
        """Return the figures up to now, as a row of a sweep."""

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables up to now, by name."""

    def findings(self) -> list[str]:
        """Return what a user should be told, in sentences."""

    def check(self) -> None:
        """Raise `InvariantError` if something that must always hold does not."""


@dataclass(frozen=True)
class Family:
    """What the rest of the package needs of a protocol family.

    Parameters
    ----------
    start : callable
        Makes a run at time 0 of a scenario, a seed, and the names of what to record.
    foresee : callable
        Says, in sentences, what is wrong with a scenario before it runs.
    records : tuple of str
        What it can record.
    warning : type
        Of the warnings about how a run ended.
    figure : str
        What a sweep is about, unless it is told: a figure of `Run.summary`.
    """

    start: Callable[[Any, int, Collection[str]], Run]
    foresee: Callable[[Any], list[str]]
    records: tuple[str, ...]
    warning: type[RunWarning]
    figure: str


FAMILIES: Mapping[str, Family] = {
    "qkd": Family(QKDRun, foresee, ("messages", "levels"), StuckPoolWarning, "requests_delivered"),
    "entanglement": Family(EntanglementRun, foresee_entanglement, ("messages", "pairs"), RunWarning, "pair_rate_hz"),
}


@dataclass(frozen=True)
class Results:
    """What came out of one run.

    Attributes
    ----------
    scenario : Scenario
    seed : int
    summary : pandas.Series
        The figures that a sweep has in one row.
    tables : dict of str to pandas.DataFrame
        All tables by name; each is an attribute as well, such as ``results.requests``.
    findings : list of str
        What deserves attention, in sentences.
    """

    scenario: Scenario
    seed: int
    summary: pd.Series[Any]
    tables: dict[str, pd.DataFrame] = field(repr=False)
    findings: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> pd.DataFrame:
        tables: dict[str, pd.DataFrame] = self.__dict__.get("tables", {})
        if name in tables:
            return tables[name]
        scenario = self.__dict__.get("scenario")  # not there yet while a copy is being made
        if scenario is not None and name in FAMILIES[scenario.kind].records:
            raise NotRecorded(f"{name} were not recorded: call simulate(..., {name}=True)")
        raise AttributeError(f"results have no '{name}'; the tables are {', '.join(tables)}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.tables]


def start(scenario: Scenario, seed: int, record: Collection[str] = ()) -> Run:
    """Return a run of `scenario` at time 0, which records what `record` names (see `RECORDS`).

    Raises
    ------
    QKDRMPError
        If `scenario` is not one, or `seed` is not a whole number of at least 0.
    """
    if not isinstance(scenario, Scenario):
        raise QKDRMPError(f"{scenario!r} is not a scenario: give what load_scenario returns")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise QKDRMPError(f"seed = {seed!r} must be a whole number, 0 or more")
    return FAMILIES[scenario.kind].start(scenario, seed, record)


def check(scenario: Scenario) -> list[str]:
    """Return what can be foreseen to go wrong in runs of a scenario, in sentences; an empty list if nothing.

    For the QKD family: which key pools will get stuck, with too few keys to serve and too many to be refilled.
    """
    return FAMILIES[scenario.kind].foresee(scenario)


def simulate(
    scenario: Scenario,
    seed: int = 1,
    *,
    messages: bool = False,
    levels: bool = False,
    pairs: bool = False,
    check: bool = False,
) -> Results:
    """Run a scenario once.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        Same scenario and seed: same tables, on any machine.
    messages, levels, pairs : bool
        Whether to record every message, every change of a pool's level (QKD), and every end-to-end pair
        (entanglement).
    check : bool
        Whether to check the invariants at the end (see `invariants`).

    Returns
    -------
    Results

    Raises
    ------
    QKDRMPError
        If the family of the scenario cannot record what is asked for.

    Warns
    -----
    RunWarning
        If the run ended in a way that deserves attention: `StuckPoolWarning` for key pools.
    """
    record = [name for name, wanted in zip(RECORDS, (messages, levels, pairs), strict=True) if wanted]
    results = run_once(scenario, seed, record, check)
    for finding in results.findings:
        warnings.warn(finding, FAMILIES[scenario.kind].warning, stacklevel=2)
    return results


def run_once(scenario: Scenario, seed: int, record: Collection[str] = (), check: bool = False) -> Results:
    """Run a scenario once, as `simulate` does, and leave the findings to the caller."""
    run = start(scenario, seed, record)
    unknown = set(record) - set(FAMILIES[scenario.kind].records)
    if unknown:
        known = ", ".join(FAMILIES[scenario.kind].records)
        raise QKDRMPError(f"runs of kind '{scenario.kind}' have no {', '.join(unknown)} to record, but {known}")
    run.advance(to_ticks(scenario.duration_s))
    if check:
        run.check()
    summary = pd.Series(run.summary(), name=scenario.name, dtype=object)
    return Results(scenario, seed, summary, run.tables(), run.findings())
