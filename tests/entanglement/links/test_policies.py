"""Allocation policies: worked sequences, shares, stability, and dependence on nothing but what was agreed."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdrmp.entanglement.links.agreement import Agreement, AllocationEntry, AllocationError, lane_shares
from qkdrmp.entanglement.links.interleaving import interleave, turn, turns
from qkdrmp.entanglement.links.negotiation import LinkEnd
from qkdrmp.entanglement.links.policies import (
    LINK_POLICIES,
    UNBOUND,
    BufferSpace,
    Circuit,
    LinkPolicy,
    Lottery,
    Priority,
    Repeats,
    RoundRobin,
    assures_trials,
    conserves_work,
    owned_lanes_of,
    period_of,
    scramble,
    share_out,
    trials_given,
)
from qkdrmp.entanglement.request import AttemptId

fixed = settings(derandomize=True, deadline=None, database=None)


def agreed(
    *entries: AllocationEntry,
    since: int = 0,
    random: int = 0,
    epoch: int = 1,
    places: tuple[int, ...] = (),
    lanes: int = 1,
) -> Agreement:
    return Agreement(epoch, since, random, entries, places or tuple(range(len(entries))), lanes)


def owners(policy: LinkPolicy, agreement: Agreement, trials: int) -> str:
    first = agreement.since
    return "".join(policy.owner(trial, agreement) or "-" for trial in range(first, first + trials))


def weighted(weights: str) -> tuple[AllocationEntry, ...]:
    """Return entries from ``"A2 B1"``."""
    return tuple(AllocationEntry(word[0], int(word[1:])) for word in weights.split())


@pytest.mark.parametrize(
    ("weights", "cycle"),
    [("A1", "A"), ("A1 B1", "AB"), ("A1 B1 C1", "ABC"), ("A2 B1", "ABA"), ("A5 B1 C1", "AAABCAA"), ("A3 B2", "ABABA")],
)
def test_round_robin_interleaves_the_weights(weights, cycle):
    assert owners(RoundRobin(), agreed(*weighted(weights), since=17), 3 * len(cycle)) == 3 * cycle


def test_round_robin_starts_with_the_first_entry_at_the_switch_trial():
    assert owners(RoundRobin(), agreed(AllocationEntry("A"), AllocationEntry("B"), since=5), 4) == "ABAB"
    assert RoundRobin().owner(4, agreed(AllocationEntry("A"), AllocationEntry("B"), since=5)) == "B"


@fixed
@given(st.lists(st.integers(1, 20), min_size=1, max_size=8).map(tuple))
def test_every_stretch_of_the_interleaving_is_near_its_share(weights):
    cycle, total = interleave(weights), sum(weights)
    assert Counter(cycle) == dict(enumerate(weights))
    for index, weight in enumerate(weights):
        counts = accumulate(int(taken == index) for taken in cycle)
        assert all(abs(seen - n * weight / total) <= max(1, (len(weights) - 1) / 2) for n, seen in enumerate(counts, 1))


@fixed
@given(st.lists(st.integers(1, 20), min_size=1, max_size=8).map(tuple), st.integers(0, 10**9))
def test_single_turns_and_their_counts_are_those_of_the_cycle_written_out(weights, cycles):
    cycle = interleave(weights)
    counts, begin = [0] * len(weights), cycles * len(cycle)
    for position, index in enumerate(cycle):
        assert turn(begin + position, weights) == index
        assert turns(begin + position, weights) == [cycles * w + n for w, n in zip(weights, counts, strict=True)]
        counts[index] += 1


@fixed
@given(
    st.sampled_from(["round-robin", "priority", "circuit", "buffer-space"]),
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2), st.none() | st.integers(1, 3)), min_size=1, max_size=5),
    st.integers(1, 6),
    st.integers(0, 50),
    st.integers(0, 50),
)
def test_the_trials_given_are_those_owned(name, claims, lanes, first, count):
    agreement = agreed(*(AllocationEntry(f"c{i}", *claim) for i, claim in enumerate(claims)), since=3, lanes=lanes)
    policy = LINK_POLICIES[name]
    owned = Counter(policy.owner(trial, agreement) for trial in range(3 + first, 3 + first + count))
    given_ = trials_given(policy, 3 + first, 3 + first + count, agreement)
    assert {entry.id: given_[entry.id] for entry in agreement.entries} == {e.id: owned[e.id] for e in agreement.entries}


@pytest.mark.parametrize(
    ("claims", "by_class", "shares"),
    [
        ([(1, 0, 2), (1, 0, 2), (1, 0, 2)], False, ["8/3", "8/3", "8/3"]),
        ([(3, 0, 4), (1, 0, 4)], False, ["4", "4"]),  # 6 are more than it can keep
        ([(3, 0, 4), (1, 0, 2)], False, ["6", "2"]),
        ([(1, 1, 2), (1, 0, 2)], True, ["6", "2"]),  # the four memories in nobody's quota go to the higher class
        ([(1, 1, 4), (1, 0, 4)], True, ["4", "4"]),
        ([(1, 1, None), (1, 0, 4)], True, ["8", "0"]),
        ([(1, 2, 1), (3, 1, 2), (1, 1, 2), (1, 0, 1)], True, ["3", "2", "2", "1"]),
    ],
)
def test_nobody_has_more_trials_of_a_slot_than_memories_can_be_found_for(claims, by_class, shares):
    entries = tuple(AllocationEntry(f"c{i}", *claim) for i, claim in enumerate(claims))
    assert [str(share) for share in lane_shares(tuple(entry.claim for entry in entries), 8, by_class)] == shares


@fixed
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2), st.none() | st.integers(1, 4)), min_size=1, max_size=6),
    st.integers(1, 12),
    st.booleans(),
)
def test_all_trials_are_shared_out(claims, lanes, by_class):
    entries = tuple(AllocationEntry(f"c{i}", *claim) for i, claim in enumerate(claims))
    shares = lane_shares(tuple(entry.claim for entry in entries), lanes, by_class)
    assert sum(shares) == lanes
    assert min(shares) >= 0


def test_the_hash_is_splitmix64():
    # Published first outputs of SplitMix64 with seed 1234567 and 0: the same on every machine.
    assert scramble(1234567) == 6457827717110365317
    assert scramble(0) == 0xE220A8397B1DCDAF


def test_the_lottery_depends_on_random_epoch_and_trial_only():
    entries = weighted("A1 B1 C1")
    base = owners(Lottery(), agreed(*entries, random=5), 200)
    later = agreed(*entries, random=5, since=100)
    assert owners(Lottery(), later, 100) == base[100:]
    assert owners(Lottery(), agreed(*entries, random=6), 200) != base
    assert owners(Lottery(), agreed(*entries, random=5, epoch=2), 200) != base
    assert base[:12] == "BCCAACAAACBA"


def test_the_lottery_shares_follow_the_weights():
    trials = 60_000
    seen = Counter(owners(Lottery(), agreed(*weighted("A1 B2 C3"), random=99), trials))
    for name, share in {"A": 1 / 6, "B": 1 / 3, "C": 1 / 2}.items():
        assert abs(seen[name] / trials - share) < 4 * (share * (1 - share) / trials) ** 0.5


def test_priority_gives_all_to_the_highest_class():
    entries = (AllocationEntry("A", 1, 0), AllocationEntry("B", 2, 7), AllocationEntry("C", 1, 7))
    assert owners(Priority(), agreed(*entries), 6) == "BCBBCB"
    assert owners(Priority(), agreed(*entries[:1]), 3) == "AAA"


def test_circuit_gives_each_entry_its_lane():
    assert owners(Circuit(), agreed(*weighted("A1 C1"), places=(0, 2), lanes=4), 8) == "A-C-A-C-"
    assert owners(Circuit(), agreed(AllocationEntry("C"), places=(2,), lanes=2), 4) == "----"
    assert owners(Circuit(), agreed(*weighted("A1 B1 C1"), lanes=2), 4) == "ABAB"


@pytest.mark.parametrize(
    ("lanes", "weights", "shares"),
    [
        (4, "A1 B1", "ABAB"),
        (4, "A3 B1", "ABAA"),
        (2, "A9 B1", "AB"),
        (1, "A1 B5", "A"),
        (8, "A1 B2 C5", "ABCCCBCC"),
    ],
)
def test_buffer_space_shares_the_lanes(lanes, weights, shares):
    assert owners(BufferSpace(), agreed(*weighted(weights), lanes=lanes), 2 * lanes) == 2 * shares


@fixed
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6).map(tuple), st.integers(1, 3))
def test_whole_shares_of_lanes_are_exact(weights, times):
    owned = Counter(share_out(sum(weights) * times, weights))
    assert owned == {index: weight * times for index, weight in enumerate(weights)}


@fixed
@given(
    st.sampled_from(sorted(LINK_POLICIES)),
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2)), max_size=5),
    st.integers(1, 6),
    st.integers(0, 2**64 - 1),
    st.integers(0, 10**12),
)
def test_policies_are_pure_and_name_entries_only(name, claims, lanes, random, trial):
    entries = tuple(AllocationEntry(f"c{i}", *claim) for i, claim in enumerate(claims))
    agreement = agreed(*entries, random=random, lanes=lanes)
    owner = LINK_POLICIES[name].owner(trial, agreement)
    known = {UNBOUND} if name == "statistical" else {entry.id for entry in entries}
    assert owner in known | {None}
    assert LINK_POLICIES[name].owner(trial, agreement) == owner
    assert owner is not None or not entries or name == "circuit"


class OnlyOwner:
    """A policy without any of the optional abilities: every third trial belongs to nobody."""

    def owner(self, trial, agreement):
        return agreement.entries[trial % 2].id if trial % 3 else None


def test_what_a_policy_does_not_say_has_a_default():
    agreement = agreed(*weighted("A1 B1"), lanes=4)
    assert list(owned_lanes_of(OnlyOwner(), agreement)) == [0, 1, 2, 3]
    assert list(owned_lanes_of(OnlyOwner(), agreed(lanes=4))) == []
    assert trials_given(OnlyOwner(), 1, 9, agreement) == {"A": 3, "B": 3}
    assert trials_given(OnlyOwner(), 5, 5, agreement) == trials_given(OnlyOwner(), 0, 9, agreed()) == {}
    assert conserves_work(OnlyOwner())


def test_circuits_say_which_lanes_they_leave_out_and_keep_what_they_do_not_use():
    agreement = agreed(*weighted("A1 B1 C1"), places=(0, 2, 4), lanes=4)
    assert list(owned_lanes_of(Circuit(), agreement)) == [0, 2]
    assert [name for name, policy in LINK_POLICIES.items() if not conserves_work(policy)] == ["circuit"]


def test_bad_numbers_are_refused():
    with pytest.raises(AllocationError, match="weight = 0 of A must be at least 1"):
        LinkEnd("link", "L", "R", RoundRobin(), lambda: 0).add(AllocationEntry("A", 0))
    with pytest.raises(AllocationError, match="lanes = 0 of a link must be at least 1"):
        Agreement(lanes=0)


@pytest.mark.parametrize("name", [name for name, policy in LINK_POLICIES.items() if isinstance(policy, Repeats)])
def test_owners_repeat_after_the_period(name: str) -> None:
    policy = LINK_POLICIES[name]
    entries = [AllocationEntry("A", 3, 1, 2), AllocationEntry("B", 1, 0, 2), AllocationEntry("C", 2, 1, 1)]
    for first in range(3):
        agreement = Agreement(1, 5, 7, tuple(entries[first:]), tuple(range(3 - first)), 8)
        period = policy.period(agreement)
        if period is None:
            assert name in {"lottery", "statistical"}
            continue
        owners = [policy.owner(trial, agreement) for trial in range(5, 5 + 3 * period)]
        assert owners[:period] == owners[period : 2 * period] == owners[2 * period :]


def test_what_a_policy_inherits_beside_an_owner_of_its_own_does_not_count() -> None:
    class Swapped(RoundRobin):
        """Gives the first hundred trials to the first connection, and all others to the last one."""

        def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
            return agreement.entries[0 if trial < 100 else -1].id if agreement.entries else None

    agreement = Agreement(1, 0, 7, (AllocationEntry("A"), AllocationEntry("B")), (0, 1), 4)
    assert period_of(RoundRobin(), agreement) == 2
    assert period_of(Swapped(), agreement) is None
    assert trials_given(RoundRobin(), 0, 200, agreement) == {"A": 100, "B": 100}
    assert trials_given(Swapped(), 0, 300, agreement) == {"A": 100, "B": 200}
    assert assures_trials(RoundRobin())
    assert assures_trials(Priority()), "it has weights of its own, but the same owner"
    assert not assures_trials(Swapped())
    assert not period_of(Swapped(), Agreement())
