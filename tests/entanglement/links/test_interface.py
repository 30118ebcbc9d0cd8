"""Interfaces: whose trials are attempted in which memories, against a reference that simulates slot by slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from simpy.events import Timeout

from qkdrmp.entanglement.links.agreement import Agreement, AllocationEntry
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.links.link import ElementaryLink
from qkdrmp.entanglement.links.models import OpticalLink, TrialLaw, mim, mm, msm
from qkdrmp.entanglement.links.own_trials import order
from qkdrmp.entanglement.links.policies import Lottery, RoundRobin
from qkdrmp.entanglement.links.schedule import Regions
from qkdrmp.kernel.environment import Environment
from tests.entanglement.links.lanes import On

SLOTS = 50
MODELS = {"MSM": msm(OpticalLink(1.0)), "MIM": mim(OpticalLink(1.0)), "MM": mm(OpticalLink(1.0))}
Hold = Callable[[str], int | None]
"""Draws how long halves of a connection are kept, in ticks; None: till the end."""


class Case(NamedTuple):
    """Connections with their quotas on a link between two nodes with so many memories."""

    policy: On
    memories: tuple[int, int]
    quotas: dict[str, int]
    weights: dict[str, int] = {}  # noqa: RUF012
    blocked: frozenset[str] = frozenset()  # connections whose halves stay for good at the receiver

    @property
    def agreement(self) -> Agreement:
        entries = tuple(AllocationEntry(name, self.weights.get(name, 1)) for name in self.quotas)  # type: ignore[arg-type]
        return Agreement(1, 0, 3, entries, tuple(range(len(entries))))


class Half:
    """What an interface keeps of a half."""

    share: Any


class Allocation:
    """What an interface asks of the negotiation."""

    void_from = last_barrier = None
    barrier = False

    def __init__(self, agreement: Agreement) -> None:
        self.agreements = [Agreement(), agreement]

    def regions(self, trial: int) -> Regions:
        return [(0, self.agreements[1])]


def simulated(model: TrialLaw, case: Case, hold: Hold, seed: int) -> list[tuple[int, str]]:
    env, found = Environment(), []
    sides = [
        Interface("LR"[end], "RL"[end], end, case.memories[end], 1.0, 1.0, Allocation(case.agreement))  # type: ignore[arg-type]
        for end in (0, 1)
    ]
    link: ElementaryLink[Any] = ElementaryLink(
        env,
        model,
        case.policy.lanes,
        case.policy,
        np.random.default_rng(seed),
        (sides[0], sides[1]),
        lambda starts: (Half(), Half()),
    )

    def arrived(end: int, name: str, number: int, half: Half) -> None:
        if end == 0:
            found.append((link.last_slot(0), name))
        ticks = None if end and name in case.blocked else hold(name)
        if ticks is not None:
            Timeout(env, ticks).callbacks.append(lambda _: half.share.release())

    for side in sides:
        side.link = link
        for name, quota in case.quotas.items():
            side.hold(name, quota)  # type: ignore[arg-type]
            side.open(name, partial(arrived, side.end, name))  # type: ignore[arg-type]
    for side in sides:
        side.review()
    env.advance((SLOTS + 2) * model.slot_ticks)
    return found


def reference(model: TrialLaw, case: Case, hold: Hold, random: np.random.Generator) -> list[tuple[int, str]]:
    found = []
    changes: list[list[tuple[int, str, int]]] = [[], []]  # tick, connection, change of the halves it holds
    for slot in range(SLOTS):
        begin = slot * model.slot_ticks
        attempts: list[dict[int, str]] = [{}, {}]
        for end in (0, 1):
            held: Counter[str] = Counter()
            for tick, connection, by in changes[end]:
                held[connection] += by if tick <= begin + model.starts[end] else 0
            reserved = {connection: max(0, quota - held[connection]) for connection, quota in case.quotas.items()}
            free = case.memories[end] - sum(held.values())
            spare = free - sum(reserved.values())
            for lane in order(slot, range(case.policy.lanes), case.policy.lanes):
                trial = slot * case.policy.lanes + lane
                owner: Any = case.policy.owner(trial, case.agreement)
                if reserved[owner] > 0:
                    reserved[owner] -= 1
                elif spare > 0:
                    spare -= 1
                else:
                    continue
                attempts[end][trial] = owner
        first = begin + min(model.heralds)
        for trial in sorted(attempts[0].keys() & attempts[1].keys()):
            if random.random() < model.success_probability:
                owner = attempts[0][trial]
                found.append((slot, owner))
                for end in (0, 1):
                    changes[end].append((first, owner, 1))
                    ticks = None if end and owner in case.blocked else hold(owner)
                    if ticks is not None:
                        changes[end].append((begin + model.heralds[end] + ticks, owner, -1))
    return found


def features(found: list[tuple[int, str]]) -> Counter[str]:
    counts = Counter(name for _, name in found)
    counts.update(f"{name} quarter {4 * slot // (SLOTS + 2)}" for slot, name in found)
    counts.update(f"{name} {min(times, 3)} times" for (_, name), times in Counter(found).items())
    return counts


CASES = {
    "all reserved": Case(On(RoundRobin(), 4), (4, 4), {"A": 2, "B": 2}),
    "some in nobody's quota": Case(On(RoundRobin(), 6), (6, 7), {"A": 1, "B": 2}, {"A": 2}),
    "one quota for three trials": Case(On(RoundRobin(), 5), (5, 5), {"A": 1, "B": 1, "C": 1}),
    "by lot": Case(On(Lottery(), 4), (4, 5), {"A": 1, "B": 2}, {"B": 3}),
    "one blocked": Case(On(RoundRobin(), 4), (5, 4), {"A": 1, "B": 2}, {}, frozenset({"A"})),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_memories_are_used_as_if_slots_were_simulated_one_by_one(model: TrialLaw, case: Case) -> None:
    runs, random = 80, np.random.default_rng(5)

    def hold(name: str) -> int:
        if random.random() < 0.3:
            return int(random.integers(1, 3)) * model.slot_ticks
        return int(random.exponential((1.5 if name == "A" else 3) * model.slot_ticks)) + 1

    ours = [features(simulated(model, case, hold, seed)) for seed in range(runs)]
    theirs = [features(reference(model, case, hold, random)) for _ in range(runs)]
    scores = {}
    for name in sorted({name for each in (*ours, *theirs) for name in each if "quarter 3" not in name}):
        a, b = (np.array([each[name] for each in some], float) for some in (ours, theirs))
        if a.sum() + b.sum() > 100:
            scores[name] = (a.mean() - b.mean()) / ((a.var() + b.var()) / runs + 1e-12) ** 0.5
    assert len(scores) > 5
    assert max(abs(score) for score in scores.values()) < 4, scores
    assert sum(score**2 for score in scores.values()) / len(scores) < 3, scores
