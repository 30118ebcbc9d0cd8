"""One run: a scenario and a seed in, tables out. Here the protocol families are put together."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd

from qkdrmp.config.sections import shown
from qkdrmp.entanglement.family import ENTANGLEMENT
from qkdrmp.entanglement.results.tables import EntanglementResults
from qkdrmp.errors import QKDRMPError, one_of
from qkdrmp.family import FAMILIES, Results, Run, checked_scenario, family_of
from qkdrmp.kernel.units import to_ticks
from qkdrmp.metric import RunMetric
from qkdrmp.qkd.family import QKD
from qkdrmp.qkd.tables import QKDResults
from qkdrmp.scenario import Scenario
from qkdrmp.stats.estimators import NO_METRICS

ResultsT = TypeVar("ResultsT")

FAMILIES.update({family.kind: family for family in (QKD, ENTANGLEMENT)})


class AnyResults(QKDResults, EntanglementResults):
    """Results of a scenario out of a file: a type checker cannot know its family, so they may have any table of any."""


def start(scenario: Scenario[Any], seed: int, record: Collection[str] = ()) -> Run:
    """Return a run of `scenario` at time 0, which records what `record` names (see `Family.records`).

    Raises
    ------
    QKDRMPError
        If `scenario` is not one, `seed` is not a whole number of at least 0, or the family cannot record that.
    """
    checked_scenario(scenario)
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise QKDRMPError(f"seed = {seed!r} must be a whole number of at least 0")
    family = family_of(scenario)
    record = dict.fromkeys((*record, *(name for metric in scenario.own_metrics() for name in metric.record)))
    taken = {*(metric.name for metric in family.metrics), *NO_METRICS, "duration_s"}
    for name in (metric.name for metric in scenario.own_metrics()):
        if name in taken:
            raise QKDRMPError(f"metrics: '{name}' must be another name, because runs of kind '{family.kind}' have one")
    for name in record:
        if name not in family.records:
            known = one_of(family.records, name)
            raise QKDRMPError(f"record = {name!r} must be {known}, which runs of kind '{family.kind}' can record")
    return family.start(scenario, int(seed), record)


def predict(scenario: Scenario[Any]) -> list[str]:
    """Return what can be predicted to go wrong in runs of a scenario, in sentences; an empty list if nothing.

    For the QKD family: which key pools will get stuck, with too few keys to serve and too many to be refilled, and
    whether requests stay unfinished because messages are lost. For the entanglement family: which connections will
    never be admitted.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("beijing_figure3")
    >>> [capacity for capacity in (20, 30, 40) if qkdrmp.predict(scenario.replace({"pools.capacity": capacity}))]
    [20, 30]
    """
    return family_of(scenario).predict(scenario)


def simulate(
    scenario: Scenario[ResultsT], seed: int = 1, *, record: str | Iterable[str] = (), check: bool = False
) -> ResultsT:
    """Run a scenario once.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        Same scenario and seed: same tables, on any machine.
    record : iterable of str
        What to record besides: ``messages`` (every message), ``levels`` (QKD: every change of a pool's level),
        ``pairs`` (entanglement: every end-to-end pair) or ``rulesets`` (entanglement: the RuleSets of connections).
    check : bool
        Whether to check the invariants at the end.

    Returns
    -------
    Results
        Of the scenario's family: `QKDResults` or `EntanglementResults`.

    Raises
    ------
    QKDRMPError
        If the family of the scenario cannot record what is asked for.
    InvariantError
        If an invariant does not hold; please report it.

    Warns
    -----
    RunWarning
        If the run ended in a way that deserves attention: `StuckPoolWarning` for key pools.

    Examples
    --------
    >>> import qkdrmp
    >>> results = qkdrmp.simulate(qkdrmp.load_scenario("line"), seed=1, record=["levels"])
    >>> list(results.levels.columns)
    ['stream', 'end', 'time_s', 'level']
    """
    results = run_once(scenario, seed, [record] if isinstance(record, str) else list(record), check)
    for finding in results.findings:
        warnings.warn(finding, family_of(scenario).warning, stacklevel=2)
    return cast(ResultsT, results)


def run_once(scenario: Scenario[Any], seed: int, record: Collection[str] = (), check: bool = False) -> Results:
    """Run a scenario once, as `simulate` does, and leave the findings to the caller."""
    run = run_to_end(scenario, seed, record)
    if check:
        run.check()
    return results_of(run, scenario, seed)


def run_to_end(scenario: Scenario[Any], seed: int, record: Collection[str] = ()) -> Run:
    """Return a run of a scenario that has ended (see `start`)."""
    run = start(scenario, seed, record)
    run.advance(to_ticks(scenario.duration_s))
    return run


def results_of(run: Run, scenario: Scenario[Any], seed: int) -> Results:
    """Return the results of a run up to now."""
    summary = pd.Series(run.summary(), name=scenario.name, dtype=object)
    results = family_of(scenario).results(scenario, seed, summary, run.tables(), run.findings())
    own = {metric.name: _number(metric, results) for metric in scenario.own_metrics()}
    return replace(results, summary=pd.Series({**summary, **own}, name=scenario.name, dtype=object)) if own else results


def summary_of(run: Run, scenario: Scenario[Any], seed: int) -> dict[str, float]:
    """Return the metrics of a run up to now, with those of the user's own."""
    return dict(results_of(run, scenario, seed).summary) if scenario.metrics else dict(run.summary())


def _number(metric: RunMetric, results: Results) -> float:
    value: Any = metric.get(results)
    number = value.item() if isinstance(value, np.generic) else value
    if not isinstance(number, int | float):
        raise QKDRMPError(f"metric {metric.name} must return a number, not {shown(value)}")
    return number
