"""Allocation policies: worked sequences, shares, stability, and dependence on nothing but what was agreed."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdrmp.entanglement.links.policies import (
    LINK_POLICIES,
    Agreement,
    AllocationEntry,
    AllocationError,
    BufferSpace,
    Circuit,
    LinkPolicy,
    Priority,
    RoundRobin,
    Statistical,
    interleave,
    scramble,
    share_out,
)

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
    [("A1", "A"), ("A1 B1", "AB"), ("A1 B1 C1", "ABC"), ("A2 B1", "ABA"), ("A5 B1 C1", "AABACAA"), ("A3 B2", "ABABA")],
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


def test_the_hash_is_splitmix64():
    # Published first outputs of SplitMix64 with seed 1234567 and 0: the same on every machine.
    assert scramble(1234567) == 6457827717110365317
    assert scramble(0) == 0xE220A8397B1DCDAF


def test_statistical_depends_on_random_epoch_and_trial_only():
    entries = weighted("A1 B1 C1")
    base = owners(Statistical(), agreed(*entries, random=5), 200)
    later = agreed(*entries, random=5, since=100)
    assert owners(Statistical(), later, 100) == base[100:]
    assert owners(Statistical(), agreed(*entries, random=6), 200) != base
    assert owners(Statistical(), agreed(*entries, random=5, epoch=2), 200) != base
    assert base[:12] == "BCCAACAAACBA"


def test_statistical_shares_follow_the_weights():
    trials = 60_000
    seen = Counter(owners(Statistical(), agreed(*weighted("A1 B2 C3"), random=99), trials))
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
    assert owner in {entry.id for entry in entries} | {None}
    assert LINK_POLICIES[name].owner(trial, agreement) == owner
    assert owner is not None or not entries or name == "circuit"


def test_bad_numbers_are_refused():
    with pytest.raises(AllocationError, match="weight = 0 of A must be at least 1"):
        AllocationEntry("A", 0)
    with pytest.raises(AllocationError, match="lanes = 0 of a link must be at least 1"):
        Agreement(lanes=0)
