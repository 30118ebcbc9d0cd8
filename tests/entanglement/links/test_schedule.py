"""Trial schedules: the trials that arithmetic finds are those one finds by asking the policy trial by trial."""

from __future__ import annotations

from collections import Counter
from itertools import count, islice, pairwise
from time import process_time

import pytest

from qkdrmp.entanglement.links.policies import (
    LINK_POLICIES,
    UNBOUND,
    Agreement,
    AllocationEntry,
    Circuit,
    LinkPolicy,
    RoundRobin,
    trials_given,
)
from qkdrmp.entanglement.links.schedule import Regions, TrialSchedule, clip, governing
from qkdrmp.kernel.units import NEVER
from tests.entanglement.links.lanes import On


def agree(weights: str, since: int = 0, epoch: int = 1) -> Agreement:
    """Return an agreement from e.g. "A3 B1"."""
    entries = tuple(AllocationEntry(word[0], int(word[1:]), priority=int(word[1:]) % 2) for word in weights.split())
    return Agreement(epoch, since, 99, entries, tuple(range(len(entries))))


def asked(policy: On, left: Regions, right: Regions, free: int, skip: int, slots: range) -> list[tuple[int, int]]:
    """Slots and ranks of all trials, the slow way."""
    found = []
    for slot in slots:
        agreements = [(governing(left, trial), governing(right, trial)) for trial in trials(policy, slot)]
        owned = [
            all(agreement and policy.owner(trial, agreement) for agreement in both)
            for trial, both in zip(trials(policy, slot), agreements, strict=True)
        ]
        found += [(slot, rank) for rank in range(sum(owned)) if skip <= rank < free]
    return found


def trials(policy: On, slot: int) -> range:
    return range(slot * policy.lanes, (slot + 1) * policy.lanes)


A, B, C = agree("A1 B2"), agree("A1 B2 C3", 23, 2), agree("C1 A2", 50, 3)
REGIONS: dict[str, tuple[Regions, Regions]] = {
    "one": ([(0, A)], [(0, A)]),
    "switches": ([(0, A), (23, None), (31, B), (50, C)], [(0, A), (23, None), (31, B), (50, C)]),
    "two in a slot": ([(0, A), (29, B), (30, C)], [(0, A), (29, B), (30, C)]),
    "apart": ([(0, A), (23, B)], [(0, A), (20, None), (24, C)]),
    "ends": ([(0, A), (41, None)], [(0, A), (44, None)]),
}


@pytest.mark.parametrize("regions", REGIONS.values(), ids=REGIONS)
@pytest.mark.parametrize("lanes", [1, 3, 4])
@pytest.mark.parametrize("policy", LINK_POLICIES.values())
def test_the_trials_found_are_those_that_have_owners(
    policy: LinkPolicy, lanes: int, regions: tuple[Regions, ...]
) -> None:
    left, right = regions
    schedule, last = TrialSchedule(On(policy, lanes), lanes, left, right), 150
    for free, skip in ((1, 0), (4, 0), (3, 1)):
        for begin, until in ((0, last), (7, 20), (10, last)):
            expected = asked(On(policy, lanes), left, right, free, skip, range(begin, until))
            found = (schedule.find(begin, n, free, skip, until) for n in count(1))
            assert list(islice(found, len(expected) + 1)) == [*expected, None]


def test_the_trials_of_a_slot_begin_at_a_lane_drawn_by_lot() -> None:
    schedule = TrialSchedule(On(RoundRobin(), 4), 4, [(0, agree("A1 B1"))], [(0, agree("A1 B1"))])
    for slot in range(20):
        trials = [schedule.trial(slot, rank) for rank in range(schedule.width(slot))]
        assert sorted(trials) == list(range(4 * slot, 4 * slot + 4))
        assert [(later - earlier) % 4 for earlier, later in pairwise(trials)] == [1, 1, 1]
    first = Counter(schedule.trial(slot, 0) % 4 for slot in range(4000))
    assert all(abs(first[lane] - 1000) < 4 * (4000 * 3 / 16) ** 0.5 for lane in range(4))


def test_circuits_leave_lanes_out() -> None:
    agreement = Agreement(1, 0, 0, (AllocationEntry("A"), AllocationEntry("B")), (0, 2))
    schedule = TrialSchedule(On(Circuit(), 4), 4, [(0, agreement)], [(0, agreement)])
    assert sorted(schedule.trial(5, rank) for rank in range(schedule.width(5))) == [20, 22]
    assert schedule.width(5) == 2


def test_far_slots_are_as_near_as_close_ones() -> None:
    schedule = TrialSchedule(On(RoundRobin(), 3), 3, [(0, agree("A1 B2"))], [(0, agree("A1 B2"))])
    assert schedule.find(0, 10**15, 2) == ((10**15 - 1) // 2, 1)


def test_it_is_known_from_where_on_schedules_differ() -> None:
    policy = On(RoundRobin(), 4)
    old, new = (TrialSchedule(policy, 4, *REGIONS[name]) for name in ("one", "switches"))
    assert old.difference(new, 0) == 5
    assert old.difference(new, 8) == NEVER  # other owners, but the same trials
    assert old.difference(old, 0) == NEVER


def test_a_clip_keeps_what_governs_inside() -> None:
    regions: Regions = [(0, A), (10, None), (20, B)]
    assert clip(regions, 5, 15) == [(5, A), (10, None)]
    assert clip(regions, 20, NEVER) == [(20, B)]
    assert clip(regions, 5, 5) == []


@pytest.mark.parametrize("policy", LINK_POLICIES.values())
def test_weights_and_trials_without_number_cost_nothing(policy: LinkPolicy) -> None:
    entries = tuple(AllocationEntry(f"c{i}", 10**7 + i) for i in range(25))
    agreement = Agreement(1, 0, 7, entries, tuple(range(25)), 64)
    begin = process_time()
    schedule = TrialSchedule(policy, 64, [(0, agreement)], [(0, agreement)])
    for n in range(20):
        slot, rank = schedule.find(10**12 * n, 10**9, 2) or (0, 0)
        assert policy.owner(schedule.trial(slot, rank), agreement) in {UNBOUND, *(entry.id for entry in entries)}
    assert sum(trials_given(policy, 0, 10**15, agreement).values()) == pytest.approx(10**15 * schedule.width(0) / 64)
    assert process_time() - begin < 5  # writing the interleaving out takes minutes
