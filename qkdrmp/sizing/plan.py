"""The smallest design that meets the targets of a scenario: searched for with few runs, confirmed by others.

The search looks at means over a few replications, with the same random numbers for all values, and takes for granted
that more is better. What it finds is only a candidate: it is tested, together with its neighbours, by a sweep with
seeds that the search has not seen (see `verdicts.targets` for the test in a fixed sequence).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from qkdrmp.errors import QKDRMPError
from qkdrmp.family import checked_scenario, family_of
from qkdrmp.family.sizing import Alternative, SizingRules, Upgrade
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import predict, run_once
from qkdrmp.sizing.result import Confirmed, Sizing
from qkdrmp.sizing.search import lattice
from qkdrmp.sizing.study import SEARCHED, Say, Study
from qkdrmp.stats.estimators import half_width
from qkdrmp.sweeps.workers import processes
from qkdrmp.verdicts.design import is_load, placed
from qkdrmp.verdicts.targets import Target, targets_of

LARGEST = 2000
"""The largest size that is looked at, unless the scenario has a larger one."""
MOST_LOADS = (0.9, 0.75, 0.6)
"""The most that links may be loaded, tried one after the other where no size meets the targets."""
FACTORS = [round(0.1 * step, 1) for step in range(1, 31)]
IN_PYTHON = "qkdrmp.plan(scenario, ...), in Python"
GENEROUS = 2
"""How many times the size that will do the pools have in which the drawdown of each link is seen."""


def plan(
    scenario: Scenario,
    size: str | None = None,
    *,
    by_link: bool = False,
    replications: int = 10,
    seed: int = 1,
    folder: str | Path | None = None,
    executor: Executor | Callable[[], Executor] = processes,
    say: Say = lambda line: None,
    command: str = IN_PYTHON,
) -> Sizing:
    """Find the smallest design that meets the targets of a scenario.

    Parameters
    ----------
    scenario : Scenario
        With ``targets``; its own sweep is not used.
    size : str, optional
        The field that is sized, whose value is a whole number of which more is better; by default that of the family:
        ``pools.capacity`` or ``memories.per_interface``.
    by_link : bool
        Whether to look for a size for each link as well.
    replications : int
        Of each value that is confirmed (>= 3).
    seed : int
        Of the search; what is confirmed has other seeds.
    folder : str or Path, optional
        Where the confirmation is kept, as `sweep` keeps runs.
    executor : Executor or callable
        As in `sweep`.
    say : callable
        Is given a line for each step, such as ``print``.
    command : str
        What a user would write to do it again.

    Returns
    -------
    Sizing
        If links are overloaded, or no size meets the targets, with higher rates of links.

    Raises
    ------
    QKDRMPError
        If there are no targets, or the field cannot be sized.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"targets": {"wait_p95_s": 0.02}})
    >>> sizing = qkdrmp.plan(scenario, replications=5)
    >>> sizing.is_met, sizing.scenario.pools.capacity == sizing.confirmed.value
    (True, True)
    """
    given = checked_scenario(scenario)
    rules = family_of(given).sizing
    targets = targets_of(given)
    if not targets:
        raise QKDRMPError(f"{given.name}: a plan needs targets, such as targets.wait_p95_s (--target wait_p95_s=0.05)")
    if replications < 3:
        raise QKDRMPError(f"replications = {replications} must be at least 3, to confirm what was found")
    name = size or rules.field
    values = _values(given, name)
    prepared, why = rules.prepared(given.replace({"sweep": {"over": {name: [given.value(name)]}}}))
    with _open(executor) as workers:
        study = Study(targets, seed, replications, workers, say, command)
        return _planned(study, given, prepared, why, rules, name, values, by_link, folder)


def _values(scenario: Scenario, name: str) -> list[int]:
    now = scenario.value(name)
    if not isinstance(now, int) or isinstance(now, bool):
        raise QKDRMPError(f"size = {name!r} must be a field whose value is a whole number, such as pools.capacity")
    if is_load(name):
        raise QKDRMPError(f"size = {name!r} must be a field of the design, not of what it has to bear")
    return lattice(1, max(LARGEST, 2 * now))


def _is_possible(scenario: Scenario, name: str, value: int) -> bool:
    try:
        scenario.replace({name: value})
    except QKDRMPError:  # such as a capacity below a threshold in keys
        return False
    return True


@contextmanager
def _open(executor: Executor | Callable[[], Executor]) -> Iterator[Executor]:
    if not callable(executor):
        yield executor
        return
    with executor() as made:
        yield made


def _planned(
    study: Study,
    given: Scenario,
    prepared: Scenario,
    why: str,
    rules: SizingRules,
    name: str,
    values: Sequence[int],
    by_link: bool,
    folder: str | Path | None,
) -> Sizing:
    found: SmallestFound | None = None
    upgrades: list[Upgrade] = []
    for upgrades in _reliefs(prepared, rules):
        found = _smallest(study, applied(prepared, upgrades), rules, name, values, upgrades)
        if found is not None:
            break
    common: dict[str, Any] = {
        "targets": study.targets,
        "given": given,
        "predicted": tuple(predict(prepared)),
        "prepared": why,
    }
    if found is None:
        rows = pd.DataFrame(study.rows)
        return Sizing(given, chosen=None, otherwise="", upgrades=(), searched=rows, confirmed=None, **common)
    there, kept = found.scenario, None if folder is None else Path(folder)
    sweep, steps, passed = study.confirmed(there, name, found.sizes, found.place, kept)
    confirmed = Confirmed(sweep, name, tuple(steps), passed, study.last_seed - study.seed)
    value = confirmed.value
    final = there if value is None else there.replace({name: value})
    links, sizes = (None, pd.DataFrame())
    if by_link and value is not None and rules.share_field:
        links, sizes = _by_link(study, final, rules, name, int(value))
    effects = pd.DataFrame() if value is None else _effects(study, final, rules, name, found.sizes)
    return Sizing(
        final,
        chosen=found.chosen,
        otherwise=found.otherwise,
        upgrades=tuple(upgrades),
        searched=pd.DataFrame(study.rows),
        confirmed=confirmed,
        by_link=links,
        sizes=sizes,
        effects=effects,
        **common,
    )


@dataclass(frozen=True)
class SmallestFound:
    """A size that will do, as far as the search shows.

    Parameters
    ----------
    scenario : Scenario
    sizes : list of int
        Those that were looked at.
    place : int
        That of the size among them.
    chosen : Alternative or None
        The alternative that the scenario has.
    otherwise : str
        What is needed without it.
    """

    scenario: Scenario
    sizes: Sequence[int]
    place: int
    chosen: Alternative | None = None
    otherwise: str = ""


def _reliefs(scenario: Scenario, rules: SizingRules) -> Iterator[list[Upgrade]]:
    """Yield no upgrade, unless links are overloaded; then the upgrades that bring all links below some load."""
    if not rules.relief(scenario, 1.0):
        yield []
    for most_load in MOST_LOADS:
        if upgrades := rules.relief(scenario, most_load):
            yield upgrades


def applied(scenario: Scenario, upgrades: Iterable[Upgrade]) -> Scenario:
    """Return a scenario with faster links."""
    changes: dict[str, list[Any]] = {}
    for one in upgrades:
        for path, entries in one.changes.items():
            changes.setdefault(path, list(scenario.value(path))).extend(entries)
    return scenario.replace(changes) if changes else scenario


def _smallest(
    study: Study, scenario: Scenario, rules: SizingRules, name: str, values: Sequence[int], upgrades: Sequence[Upgrade]
) -> SmallestFound | None:
    """Return the smallest size that will do, as the scenario is or with an alternative."""
    faster = f"{len(upgrades)} faster links" if len(upgrades) > 1 else "a faster link" if upgrades else ""
    sizes = _possible(scenario, name, values)
    plain = study.smallest(scenario, name, sizes, faster)
    best = None if plain is None else SmallestFound(scenario, sizes, plain)
    without = "no size would do" if plain is None else f"it took {placed(name, sizes[plain])}"
    for other in rules.alternatives(scenario):
        about = f"{faster}, {other.words}" if faster else other.words
        there = scenario.replace({name: values[-1], **other.changes})
        all_of_it = _possible(there, name, values)
        smaller = [size for size in all_of_it if plain is None or size < sizes[plain]]
        place = study.smallest(there, name, smaller, about) if smaller else None
        if place is not None:
            needed = f"; without that {without} in the search, with it {smaller[place]}"
            best = SmallestFound(there, all_of_it, place, other, needed)
    return best


def _possible(scenario: Scenario, name: str, values: Sequence[Any]) -> list[Any]:
    """Return the values that a field may have."""
    return [value for value in values if _is_possible(scenario, name, value)]


def _by_link(
    study: Study, scenario: Scenario, rules: SizingRules, name: str, value: int
) -> tuple[Confirmed | None, pd.DataFrame]:
    """Return sizes by link, in proportion to the drawdown that was seen there."""
    generous = scenario.replace({name: GENEROUS * value})
    pools = [run_once(generous, study.seed + number).table("pools") for number in range(SEARCHED)]
    shaped = scenario.replace(rules.by_link(generous, pools))
    factors = _possible(shaped, rules.share_field, FACTORS)
    position = study.smallest(shaped, rules.share_field, factors, "a size for each link")
    if position is None:
        return None, pd.DataFrame()
    sweep, steps, passed = study.confirmed(shaped, rules.share_field, factors, position)
    found = Confirmed(sweep, rules.share_field, tuple(steps), passed, study.last_seed - study.seed)
    if found.value is None:
        return found, pd.DataFrame()
    return found, rules.sizes(shaped.replace({rules.share_field: found.value}))


def _effects(study: Study, scenario: Scenario, rules: SizingRules, name: str, sizes: Sequence[int]) -> pd.DataFrame:
    """Return what twice the rate of each of the busiest links brings with half the size, by paired differences."""
    upgrades = rules.fastest(scenario)
    if not upgrades:
        return pd.DataFrame()
    half = max((size for size in sizes if size <= scenario.value(name) / 2), default=sizes[0])
    study.say(f"trying with {placed(name, half)} twice the rate of {', '.join(one.place for one in upgrades)}")
    before, *others = (
        study.sweep(there, name, [half], study.replications, study.last_seed).runs.set_index("replication")
        for there in (scenario, *(applied(scenario, [one]) for one in upgrades))
    )
    rows = [
        {"link": one.place, "load": one.load, "size": half, **_paired(target, before, after)}
        for one, after in zip(upgrades, others, strict=True)
        for target in study.targets
    ]
    order = {target.metric: number for number, target in enumerate(study.targets)}
    found = pd.DataFrame(rows).assign(order=[order[row["metric"]] for row in rows])
    found = found.sort_values(["order", "gain"], ascending=[True, False], ignore_index=True)
    return found.assign(is_better=found["gain"] > found["half_width"]).drop(columns=["gain", "order"])


def _paired(target: Target, before: pd.DataFrame, after: pd.DataFrame) -> dict[str, Any]:
    difference = after[target.metric] - before[target.metric]
    return {
        "metric": target.metric,
        "before": float(before[target.metric].mean()),
        "after": float(after[target.metric].mean()),
        "difference": float(difference.mean()),
        "half_width": half_width(difference.dropna()),
        "gain": float(difference.mean()) * (1 if target.better == "more" else -1),
    }
