"""Trial schedules: the trials that arithmetic finds are those one finds by asking the policy trial by trial."""

from __future__ import annotations

from collections import Counter
from itertools import count, pairwise, takewhile
from time import process_time
from typing import Any

import pytest

from qkdrmp.entanglement.links.agreement import Agreement, AllocationEntry
from qkdrmp.entanglement.links.own_trials import order
from qkdrmp.entanglement.links.policies import (
    LINK_POLICIES,
    UNBOUND,
    Circuit,
    LinkPolicy,
    RoundRobin,
    period_of,
    trials_given,
)
from qkdrmp.entanglement.links.schedule import Regions, TrialSchedule, clip, governing
from qkdrmp.kernel.units import NEVER
from tests.entanglement.links.lanes import On


def agree(weights: str, since: int = 0, epoch: int = 1) -> Agreement:
    """Return an agreement from e.g. "A3 B1"."""
    entries = tuple(AllocationEntry(word[0], int(word[1:]), priority=int(word[1:]) % 2) for word in weights.split())
    return Agreement(epoch, since, 99, entries, tuple(range(len(entries))))


A, B, C = agree("A1 B2"), agree("A1 B2 C3", 23, 2), agree("C1 A2", 50, 3)
REGIONS: dict[str, tuple[Regions, Regions]] = {
    "one": ([(0, A)], [(0, A)]),
    "switches": ([(0, A), (23, None), (31, B), (50, C)], [(0, A), (23, None), (31, B), (50, C)]),
    "two in a slot": ([(0, A), (29, B), (30, C)], [(0, A), (29, B), (30, C)]),
    "apart": ([(0, A), (23, B)], [(0, A), (20, None), (24, C)]),
    "ends": ([(0, A), (41, None)], [(0, A), (44, None)]),
}


def owner_of(policy: On, agreements: tuple[Agreement | None, Agreement | None], trial: int) -> str | None:
    """Whose a trial is: its owner, "?" if it is not known in advance, None if it is nobody's."""
    left, right = agreements
    if left is None or right is None:
        return None
    owners = policy.owner(trial, left), policy.owner(trial, right)
    if None in owners:
        return None
    return owners[0] if left == right and period_of(policy, left) is not None else "?"  # type: ignore[return-value]


def asked(policy: On, left: Regions, right: Regions, owner: str, slots: range) -> dict[int, list[int]]:
    """Trials of an owner in each slot, in the order of the slot, the slow way."""
    found = {}
    for slot in slots:
        begin = slot * policy.lanes
        both = [(governing(left, begin + lane), governing(right, begin + lane)) for lane in range(policy.lanes)]
        is_mixed = len({(id(a), id(b)) for a, b in both}) > 1  # something changes within the slot
        owners = [owner_of(policy, one, begin + lane) for lane, one in enumerate(both)]
        alike = ["?" if is_mixed and one else one for one in owners]
        found[slot] = [begin + lane for lane in order(slot, range(policy.lanes), policy.lanes) if alike[lane] == owner]
    return found


@pytest.mark.parametrize("regions", REGIONS.values(), ids=REGIONS)
@pytest.mark.parametrize("lanes", [1, 3, 4, 7])
@pytest.mark.parametrize("policy", LINK_POLICIES.values())
def test_the_trials_found_are_those_that_have_owners(
    policy: LinkPolicy, lanes: int, regions: tuple[Regions, ...]
) -> None:
    left, right = regions
    schedule, last = TrialSchedule(On(policy, lanes), lanes, left, right), 60
    for name in ("A", "B", "C", "?"):
        owner: Any = None if name == "?" else name
        expected = asked(On(policy, lanes), left, right, name, range(last))
        least, most = schedule.bounds(owner)
        for slot, trials in expected.items():
            assert [schedule.trial(owner, slot, rank) for rank in range(schedule.width(owner, slot))] == trials
            assert len(trials) in range(least, most + 1) or not trials
        for begin, until in ((0, last), (7, 20), (10, last)):
            for skip, free in ((0, 1), (1, 2), (0, least), (0, most), (least, most), (min(1, least), most)):
                if free > least and free != most:
                    continue  # nobody asks for that
                found = takewhile(bool, (schedule.find(owner, begin, n, free, skip, until) for n in count(1)))
                ranks = [(slot, rank) for slot in range(begin, until) for rank in range(len(expected[slot]))]
                assert list(found) == [(slot, rank) for slot, rank in ranks if skip <= rank < free]


def test_the_trials_of_a_slot_begin_at_a_lane_drawn_by_lot() -> None:
    schedule: Any = TrialSchedule(On(RoundRobin(), 4), 4, [(0, agree("A1"))], [(0, agree("A1"))])
    for slot in range(20):
        trials = [schedule.trial("A", slot, rank) for rank in range(4)]
        assert sorted(trials) == list(range(4 * slot, 4 * slot + 4))
        assert [(later - earlier) % 4 for earlier, later in pairwise(trials)] == [1, 1, 1]
    first = Counter(schedule.trial("A", slot, 0) % 4 for slot in range(4000))
    assert all(abs(first[lane] - 1000) < 4 * (4000 * 3 / 16) ** 0.5 for lane in range(4))


def test_circuits_leave_lanes_out() -> None:
    agreement = Agreement(1, 0, 0, (AllocationEntry("A"), AllocationEntry("B")), (0, 2))
    schedule: Any = TrialSchedule(On(Circuit(), 4), 4, [(0, agreement)], [(0, agreement)])
    assert [schedule.trial(owner, 5, 0) for owner in "AB"] == [20, 22]
    assert [schedule.width(owner, 5) for owner in ("A", "B", "C", None)] == [1, 1, 0, 0]


def test_far_slots_are_as_near_as_close_ones() -> None:
    schedule: Any = TrialSchedule(On(RoundRobin(), 3), 3, [(0, agree("A1 B2"))], [(0, agree("A1 B2"))])
    assert schedule.find("B", 0, 10**15, 2, 0, NEVER) == ((10**15 - 1) // 2, 1)


def test_it_is_known_from_where_on_schedules_differ() -> None:
    policy = On(RoundRobin(), 4)
    old = TrialSchedule(policy, 4, *REGIONS["one"])
    assert old.difference(TrialSchedule(policy, 4, *REGIONS["switches"], old), 0) == 5
    again = TrialSchedule(policy, 4, *REGIONS["one"], old)
    assert old.difference(again, 0) == NEVER


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
    owners = list(schedule.owners)
    for n in range(20):
        owner = owners[n % len(owners)]
        slot, rank = schedule.find(owner, 10**12 * n, 10**9, 1, 0, NEVER) or (0, 0)
        found = policy.owner(schedule.trial(owner, slot, rank), agreement)
        assert found == owner if owner else found in {UNBOUND, *(entry.id for entry in entries)}
    trials = sum(schedule.width(owner, 0) for owner in owners)
    assert sum(trials_given(policy, 0, 10**15, agreement).values()) == pytest.approx(10**15 * trials / 64)
    assert process_time() - begin < 5  # writing the interleaving out takes minutes
