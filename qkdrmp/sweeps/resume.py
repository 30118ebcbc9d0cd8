"""Resuming a sweep: whether the runs of a store are runs of a plan, and which are missing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from qkdrmp.errors import SweepWarning
from qkdrmp.sweeps.fingerprint import changes
from qkdrmp.sweeps.plan import Plan, Task
from qkdrmp.sweeps.store import Store, StoreError

CHANGES_SHOWN, SHORT = 3, 30
ELSEWHERE = "give another folder (--out), or start anew (--restart, or delete the file)"
DISAGREEMENTS = {
    "version": "its runs were made by another version, and two versions are not mixed",
    "scenario": "its runs are of another scenario",
    "values": "a swept value has changed, by its source",
}


def agree(plan: Plan, store: Store) -> None:
    """Make sure that the runs of a store are runs of a plan, and record in it what further ones have in common.

    Raises
    ------
    StoreError
        If they are not, with what has changed.
    """
    facts = plan.facts()
    known = {name: store.facts(name) or {} for name in facts}
    if store.runs:
        both = known["values"].keys() & facts["values"].keys()
        before, now = ({**side, "values": {name: side["values"][name] for name in both}} for side in (known, facts))
        for name, sentence in DISAGREEMENTS.items():
            if changed := list(changes(before[name], now[name])):
                raise StoreError(f"{store.path}: {sentence} ({_listed(changed)}); {ELSEWHERE}")
        if plan.no_source is not None:
            raise StoreError(f"{store.path}: the sweep cannot be resumed, because {plan.no_source}; {ELSEWHERE}")
    elif store.path is not None and plan.no_source is not None:
        warnings.warn(f"this sweep cannot be resumed, because {plan.no_source}", SweepWarning, stacklevel=4)
    store.clear_failures()
    for name, content in facts.items():
        store.record(name, {**known["values"], **content} if name == "values" else content)


def _listed(changed: list[tuple[str, Any, Any]]) -> str:
    """Return what has changed, in words."""
    listed = [
        f"{path} was {before!r}, is {now!r}" if max(map(len, map(repr, (before, now)))) <= SHORT else f"{path} changed"
        for path, before, now in changed[:CHANGES_SHOWN]
    ]
    more = len(changed) - CHANGES_SHOWN
    return ", ".join(listed + ([f"and {more} more"] if more > 0 else []))


def missing(plan: Plan, store: Store, counts: Sequence[int]) -> Iterator[Task]:
    """Yield what is not in a store yet: first the first replication of each cell, then the second, and so on."""
    for replication in range(max(counts, default=0)):
        seed = plan.seed_of(replication)
        for cell, count in zip(plan.cells, counts, strict=True):
            simulation = cell.simulation(seed)
            durations = tuple(
                duration_s
                for duration_s in cell.durations_s
                if (simulation, duration_s) not in store.runs and (simulation, duration_s) not in store.failures
            )
            if replication < count and durations:
                yield Task(cell.scenario, cell.point, durations, seed, simulation)
