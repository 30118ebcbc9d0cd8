"""The sampler of successes, driven by a list of steps in order of time, against trials drawn one by one."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count, pairwise
from typing import NamedTuple

import numpy as np
import pytest

from qkdrmp.entanglement.links.agreement import Agreement, AllocationEntry
from qkdrmp.entanglement.links.own_trials import order
from qkdrmp.entanglement.links.policies import Lottery, RoundRobin
from qkdrmp.entanglement.links.schedule import Owner, Regions, governing
from qkdrmp.entanglement.links.success_sampler import SlotSuccess, SuccessSampler
from qkdrmp.entanglement.links.success_stream import SuccessGaps
from qkdrmp.entanglement.links.trial_clock import TrialClock
from tests.entanglement.links.lanes import On

SLOT = 10
SLOTS = 60
MEMORIES = 4, 3
"""Of each end, for whoever owns the trial."""

Success = tuple[int, str, str]
"""A trial, and its owners at both ends."""


def agree(since: int, *entries: AllocationEntry) -> Agreement:
    return Agreement(epoch=since, since=since, random=5, entries=entries, places=tuple(range(len(entries))))


BEFORE = agree(0, AllocationEntry("A", 2), AllocationEntry("B", 1))
AFTER = agree(92, AllocationEntry("C", 1), AllocationEntry("A", 3))
LATE = agree(94, AllocationEntry("C", 1), AllocationEntry("A", 3))


class Case(NamedTuple):
    """What a sampler is given, and at which tick each end learns of its second and later regions."""

    policy: On
    starts: tuple[int, int]
    herald: int
    probability: float
    regions: tuple[Regions, Regions]
    news: tuple[int, int] = (0, 0)

    @property
    def clock(self) -> TrialClock:
        return TrialClock(self.policy.lanes, SLOT, self.starts)


class Driver:
    """Presents releases, news and heralds to a sampler in order of time; heralds come last at their tick."""

    def __init__(self, case: Case, hold: Callable[[], int], seed: int) -> None:
        self.case, self.hold = case, hold
        self.sampler = SuccessSampler(case.clock, case.policy, case.probability, np.random.default_rng(seed))
        self.regions: list[Regions] = [each[:1] for each in case.regions]
        self.free = list(MEMORIES)
        self.history = [[(-1, free)] for free in MEMORIES]
        self.found: list[Success] = []
        self.now = 0
        self._order = count()
        self._steps: list[tuple[int, int, int, Callable[[], object]]] = []
        self.reallocate()

    def at(self, tick: int, last: bool, step: Callable[[], object]) -> None:
        heappush(self._steps, (tick, last, next(self._order), step))

    def present(self, slots: Iterable[int]) -> None:
        for slot in slots:
            tick = self.case.clock.slot_start(slot) + self.case.herald
            self.at(tick, True, lambda slot=slot: self.succeed(slot))

    def limits(self, owner: Owner) -> tuple[int, int]:
        return self.free[0], self.free[1]

    def reallocate(self) -> None:
        left, right = self.regions
        slots = self.case.clock.next_slot(0, self.now), self.case.clock.next_slot(1, self.now)
        self.present(self.sampler.reallocate(self.now, (left, right), slots, self.limits))

    def learn(self, end: int) -> None:
        self.regions[end] = self.case.regions[end]
        self.reallocate()

    def change(self, end: int, by: int) -> None:
        self.free[end] += by
        assert self.free[end] >= 0
        self.history[end].append((self.now, self.free[end]))

    def release(self, end: int) -> None:
        self.change(end, 1)
        self.limit(end)

    def limit(self, end: int) -> None:
        for owner in (None, "A", "B", "C"):
            self.present(self.sampler.limit(self.now, end, owner, self.free[end]))  # type: ignore[arg-type]

    def attempts(self, end: int, slot: int, success: SlotSuccess) -> bool:
        start = self.case.clock.trial_start(slot * self.case.policy.lanes, end)
        changes = self.history[end]
        free = changes[bisect_right(changes, start, key=lambda change: change[0]) - 1][1]
        owners, turns = self.sampler.order(slot, end)
        lanes = self.case.policy.lanes
        place = order(slot, range(lanes), lanes).index(success.trial % lanes)
        return sum(owners[turn] is not None for turn in turns[:place]) < free

    def succeed(self, slot: int) -> None:
        found = self.sampler.realise(slot)
        made = [one for one in found if all(self.attempts(end, slot, one) for end in (0, 1))]
        for _ in made:
            for end in (0, 1):
                self.change(end, -1)
                self.at(self.now + self.hold(), False, lambda end=end: self.release(end))
        self.present(self.sampler.resume(self.limits))
        for end in (0, 1):
            self.limit(end)
        self.found += [(one.trial, *one.owners) for one in made]

    def run(self, until: int = SLOTS * SLOT) -> list[Success]:
        for end, tick in enumerate(self.case.news):
            if tick:
                self.at(tick, False, lambda end=end: self.learn(end))
        while self._steps and self._steps[0][0] < until:
            self.now, _, _, step = heappop(self._steps)
            step()
        return sorted(self.found)


def reference(case: Case, hold: Callable[[], int], random: np.random.Generator) -> list[Success]:
    """Each trial that both ends attempt is a Bernoulli trial of its own."""
    changes: list[tuple[int, int, int]] = []  # tick, end, change of the free memories
    found, lanes, clock = [], case.policy.lanes, case.clock
    for slot in range(SLOTS):
        attempts: list[dict[int, str]] = [{}, {}]
        for end in (0, 1):
            start = clock.slot_start(slot) + case.starts[end]
            free = MEMORIES[end] + sum(by for tick, where, by in changes if where == end and tick <= start)
            for lane in order(slot, range(lanes), lanes):
                trial = slot * lanes + lane
                agreement = governing(case.regions[end], trial)
                owner = agreement and case.policy.owner(trial, agreement)
                if owner and free > 0:
                    free -= 1
                    attempts[end][trial] = owner
        herald = clock.slot_start(slot) + case.herald
        for trial in sorted(attempts[0].keys() & attempts[1].keys()):
            if herald < SLOTS * SLOT and random.random() < case.probability:
                found.append((trial, attempts[0][trial], attempts[1][trial]))
                for end in (0, 1):
                    changes += [(herald, end, -1), (herald + hold(), end, 1)]
    return found


def features(found: list[Success], lanes: int) -> Counter[str]:
    counts = Counter(left + right for _, left, right in found)
    counts.update(f"lane {trial % lanes}" for trial, _, _ in found)
    counts.update(f"tenth {trial // lanes * 10 // SLOTS}" for trial, _, _ in found)
    per_slot = Counter((trial // lanes, left) for trial, left, _ in found)
    counts.update(f"{left} {min(times, 3)} times" for (_, left), times in per_slot.items())
    slots = sorted({trial // lanes for trial, _, _ in found})
    counts.update(f"gap {min(later - earlier, 4)}" for earlier, later in pairwise(slots))
    return counts


ALIKE: tuple[Regions, Regions] = ([(0, BEFORE)], [(0, BEFORE)])
SWITCH: Regions = [(0, BEFORE), (80, None), (92, AFTER)]
CASES = {
    "alike": Case(On(RoundRobin(), 4), (0, 0), 10, 0.2, ALIKE),
    "receiver later": Case(On(RoundRobin(), 4), (0, 5), 5, 0.3, ALIKE),
    "by lot": Case(On(Lottery(), 3), (5, 5), 15, 0.3, ALIKE),
    "switch": Case(On(RoundRobin(), 4), (0, 5), 5, 0.2, (SWITCH, SWITCH), (112, 135)),
    "ends disagree": Case(
        On(RoundRobin(), 4), (0, 0), 10, 0.2, (SWITCH, [(0, BEFORE), (79, None), (94, LATE)]), (112, 135)
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_successes_are_distributed_like_those_of_single_trials(case: Case) -> None:
    runs, random = 400, np.random.default_rng(11)

    def hold() -> int:
        return int(random.integers(1, 4)) * SLOT if random.random() < 0.3 else int(random.integers(1, 35))

    lanes = case.policy.lanes
    ours = [features(Driver(case, hold, seed).run(), lanes) for seed in range(runs)]
    theirs = [features(reference(case, hold, random), lanes) for _ in range(runs)]
    scores = {}
    for name in sorted({name for each in (*ours, *theirs) for name in each}):
        a, b = (np.array([each[name] for each in some], float) for some in (ours, theirs))
        if a.sum() + b.sum() > 100:
            scores[name] = (a.mean() - b.mean()) / ((a.var() + b.var()) / runs) ** 0.5
    assert len(scores) > 15
    assert max(abs(score) for score in scores.values()) < 4, scores
    assert sum(score**2 for score in scores.values()) / len(scores) < 2.5, scores


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("hold", [1, SLOT, 2 * SLOT + 1])
def test_certain_successes_are_exactly_the_trials_that_find_memories_at_both_ends(case: Case, hold: int) -> None:
    certain = case._replace(probability=1.0)
    expected = reference(certain, lambda: hold, np.random.default_rng(1))
    assert Driver(certain, lambda: hold, 1).run() == expected
    assert len(expected) > SLOTS / 2


def test_a_forgotten_candidate_is_not_realised() -> None:
    sampler = SuccessSampler(TrialClock(1, SLOT), On(RoundRobin(), 1), 0.5, np.random.default_rng(1))
    slots = sampler.reallocate(0, ([(0, BEFORE)], [(0, BEFORE)]), (0, 0), lambda owner: (1, 1))
    assert slots
    assert list(sampler.reallocate(0, ([(0, None)], [(0, None)]), (0, 0), lambda owner: (1, 1))) == []
    assert [sampler.realise(slot) for slot in slots] == [[]] * len(slots)


def test_nothing_is_drawn_while_an_end_has_no_memory() -> None:
    sampler = SuccessSampler(TrialClock(1, SLOT), On(RoundRobin(), 1), 1.0, np.random.default_rng(1))
    first, other = sampler.reallocate(0, ([(0, BEFORE)], [(0, BEFORE)]), (0, 0), lambda owner: (1, 1))
    assert (first, other) == (0, 1), "A has the first slot, B the second"
    assert [(one.trial, one.rank, one.owners) for one in sampler.realise(0)] == [(0, 0, ("A", "A"))]
    assert sampler.resume(lambda owner: (1, 0)) == []
    assert list(sampler.limit(SLOT, 0, "A", 2)) == []  # type: ignore[arg-type]
    assert list(sampler.limit(SLOT, 1, "A", 1)) == [2]  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_successes() -> None:
    assert Driver(CASES["switch"], lambda: 7, 3).run() == Driver(CASES["switch"], lambda: 7, 3).run()
    assert Driver(CASES["switch"], lambda: 7, 3).run() != Driver(CASES["switch"], lambda: 7, 4).run()


def test_the_trial_clock_numbers_trials_by_time() -> None:
    clock = TrialClock(4, SLOT, (0, 5), origin=100)
    assert [clock.next_slot(0, now) for now in (0, 100, 101, 110, 111)] == [0, 0, 1, 1, 2]
    assert [clock.next_slot(1, now) for now in (0, 105, 106, 115, 116)] == [0, 0, 1, 1, 2]
    assert (clock.next_trial(1, 106), clock.trial_start(7, 0), clock.trial_start(7, 1)) == (4, 110, 115)


@pytest.mark.parametrize("probability", [0.9, 0.5, 0.1, 0.002, 1e-6])
def test_skips_are_geometric(probability: float) -> None:
    times = 40_000
    gaps = SuccessGaps(np.random.default_rng(20240607), probability)
    draws = np.array([gaps.draw() for _ in range(times)], dtype=float)
    mean, variance = 1 / probability, (1 - probability) / probability**2
    # The excess kurtosis is 6 + p^2/(1 - p), hence the error of a sample variance.
    error_of_variance = variance * math.sqrt((8 + probability**2 / (1 - probability)) / times)
    assert draws.min() >= 1
    assert abs(draws.mean() - mean) < 4 * math.sqrt(variance / times)
    assert abs(draws.var(ddof=1) - variance) < 4 * error_of_variance


def test_a_certain_success_comes_at_once() -> None:
    gaps = SuccessGaps(np.random.default_rng(1), 1.0)
    assert {gaps.draw() for _ in range(100)} == {1}


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.1, math.nan])
def test_a_bad_probability_is_a_clear_error(probability: float) -> None:
    with pytest.raises(ValueError, match=rf"^probability = {probability!r} must be above 0 and at most 1$"):
        SuccessGaps(np.random.default_rng(1), probability)
