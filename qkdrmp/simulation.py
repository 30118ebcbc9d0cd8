"""One run: a scenario and a seed in, tables out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from qkdrmp.errors import QKDRMPError
from qkdrmp.qkd.prediction import foresee
from qkdrmp.qkd.run import QKDRun
from qkdrmp.scenario import Scenario
from qkdrmp.units import to_ticks


class StuckPoolWarning(UserWarning):
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
        Makes a run at time 0 of a scenario, a seed, and whether to record messages and levels.
    foresee : callable
        Says, in sentences, what is wrong with a scenario before it runs.
    """

    start: Callable[[Any, int, bool, bool], Run]
    foresee: Callable[[Any], list[str]]


FAMILIES: Mapping[str, Family] = {"qkd": Family(QKDRun, foresee)}


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
        if name in ("messages", "levels"):
            raise NotRecorded(f"{name} were not recorded: call simulate(..., {name}=True)")
        raise AttributeError(f"results have no '{name}'; the tables are {', '.join(tables)}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.tables]


def start(scenario: Scenario, seed: int, messages: bool = False, levels: bool = False) -> Run:
    """Return a run of `scenario` at time 0.

    Raises
    ------
    QKDRMPError
        If `scenario` is not one, or `seed` is not a whole number of at least 0.
    """
    if not isinstance(scenario, Scenario):
        raise QKDRMPError(f"{scenario!r} is not a scenario: give what load_scenario returns")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise QKDRMPError(f"seed = {seed!r} must be a whole number, 0 or more")
    return FAMILIES[scenario.kind].start(scenario, seed, messages, levels)


def check(scenario: Scenario) -> list[str]:
    """Return what can be foreseen to go wrong in runs of a scenario, in sentences; an empty list if nothing.

    For the QKD family: which key pools will get stuck, with too few keys to serve and too many to be refilled.
    """
    return FAMILIES[scenario.kind].foresee(scenario)


def simulate(
    scenario: Scenario, seed: int = 1, *, messages: bool = False, levels: bool = False, check: bool = False
) -> Results:
    """Run a scenario once.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        Same scenario and seed: same tables, on any machine.
    messages, levels : bool
        Whether to record every message, and every change of every pool's level.
    check : bool
        Whether to check the invariants at the end (see `invariants`).

    Returns
    -------
    Results

    Warns
    -----
    StuckPoolWarning
        If key pools were stuck at the end.
    """
    results = run_once(scenario, seed, messages=messages, levels=levels, check=check)
    for finding in results.findings:
        warnings.warn(finding, StuckPoolWarning, stacklevel=2)
    return results


def run_once(
    scenario: Scenario, seed: int, *, messages: bool = False, levels: bool = False, check: bool = False
) -> Results:
    """Run a scenario once, as `simulate` does, and leave the findings to the caller."""
    run = start(scenario, seed, messages, levels)
    run.advance(to_ticks(scenario.duration_s))
    if check:
        run.check()
    summary = pd.Series(run.summary(), name=scenario.name, dtype=object)
    return Results(scenario, seed, summary, run.tables(), run.findings())
