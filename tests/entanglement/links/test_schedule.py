"""Trial schedules: the turns that arithmetic finds are those one finds by asking the policy trial by trial."""

from __future__ import annotations

from collections import Counter
from itertools import count, islice
from time import perf_counter

import pytest

from qkdrmp.entanglement.links.policies import LINK_POLICIES, Agreement, AllocationEntry, LinkPolicy, RoundRobin
from qkdrmp.entanglement.links.schedule import Regions, TrialSchedule, TrialTableCache, clip, governing
from qkdrmp.entanglement.links.trial_table import FreeMemories, Owners
from qkdrmp.kernel.units import NEVER
from tests.entanglement.links.lanes import On


def agree(weights: str, since: int = 0, epoch: int = 1) -> Agreement:
    """Return an agreement from e.g. "A3 B1"."""
    entries = tuple(AllocationEntry(word[0], int(word[1:]), priority=int(word[1:]) % 2) for word in weights.split())
    return Agreement(epoch, since, 99, entries, tuple(range(len(entries))))


def asked(
    policy: On, left: Regions, right: Regions, key: Owners, free: FreeMemories, low: int, slots: range
) -> list[tuple[int, int]]:
    """Slots and places of all turns, the slow way."""
    found = []
    for slot in slots:
        had: tuple[Counter[str | None], Counter[str | None]] = Counter(), Counter()
        place = 0
        for trial in range(slot * policy.lanes, (slot + 1) * policy.lanes):
            agreements = governing(left, trial), governing(right, trial)
            owners = tuple(a and policy.owner(trial, a) for a in agreements)
            for end in (0, 1):
                had[end][owners[end]] += 1
            if owners == key:
                if had[0][key[0]] <= free[0] and had[1][key[1]] <= free[1] and place >= low:
                    found.append((slot, place))
                place += 1
    return found


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
def test_the_turns_found_are_those_of_the_policy(policy: LinkPolicy, lanes: int, regions: tuple[Regions, ...]) -> None:
    left, right = regions
    table = TrialSchedule(TrialTableCache(On(policy, lanes), lanes), left, right)
    last = 150
    for key in sorted({(a, b) for a in "ABC" for b in "ABC"}):
        for free, low in (((1, 1), 0), ((4, 2), 0), ((3, 3), 1)):
            for begin, until in ((0, last), (7, 20), (10, last)):
                expected = asked(On(policy, lanes), left, right, key, free, low, range(begin, until))
                if expected:
                    assert key in table.owners_from(begin)
                found = (table.find(key, begin, n, free, low, until) for n in count(1))
                assert list(islice(found, len(expected) + 1)) == [*expected, None]


def test_turns_name_the_lanes_in_order() -> None:
    table = TrialSchedule(TrialTableCache(RoundRobin(), 4), [(0, agree("A1 B1"))], [(0, agree("A1 B1"))])
    turns = table.trials_of(("B", "B"), 5)
    assert turns is not None
    assert list(turns.lanes) == [1, 3]
    assert [turns.eligible((free, 9)) for free in range(4)] == [0, 1, 2, 2]
    assert table.trials_of(("A", "B"), 5) is None


def test_far_slots_are_as_near_as_close_ones() -> None:
    table = TrialSchedule(TrialTableCache(RoundRobin(), 1), [(0, agree("A1 B2"))], [(0, agree("A1 B2"))])
    assert table.find(("A", "A"), 0, 10**15, (1, 1)) == ((10**15 - 1) * 3 + 1, 0)


def test_it_is_known_where_timetables_differ_and_where_their_ends_agree() -> None:
    tables = TrialTableCache(RoundRobin(), 4)
    old = TrialSchedule(tables, *REGIONS["one"])
    new = TrialSchedule(tables, *REGIONS["switches"])
    assert old.joint_from == new.joint_from == 0
    assert old.difference(new, 0) == 5
    assert old.difference(new, 7) == 7
    assert old.difference(old, 0) == NEVER
    assert TrialSchedule(tables, *REGIONS["apart"]).joint_from == NEVER
    assert TrialSchedule(tables, *REGIONS["ends"]).joint_from == 11


def test_a_clip_keeps_what_governs_inside() -> None:
    regions: Regions = [(0, A), (10, None), (20, B)]
    assert clip(regions, 5, 15) == [(5, A), (10, None)]
    assert clip(regions, 20, NEVER) == [(20, B)]
    assert clip(regions, 5, 5) == []


def test_many_connections_and_lanes_are_cheap() -> None:
    names = [AllocationEntry(f"c{i}") for i in range(25)]
    seconds = []
    for epoch in range(1, 6):
        agreement = Agreement(epoch, epoch, 0, tuple(names))
        begin = perf_counter()
        table = TrialSchedule(TrialTableCache(RoundRobin(), 64), [(0, agreement)], [(0, agreement)])
        for key in table.owners_from(0):
            assert table.find(key, 3, 100, (2, 2)) is not None
        seconds.append(perf_counter() - begin)
    assert min(seconds) < 0.01
