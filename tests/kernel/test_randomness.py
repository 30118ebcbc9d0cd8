import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from qkdrmp.kernel.randomness import Streams, joined, replication_seed

DRAW = "from qkdrmp.kernel.randomness import Streams; print(Streams(7).stream('demand EN1').integers(2**62))"


def test_a_stream_depends_on_the_seed_and_its_name_alone() -> None:
    first, second = Streams(7), Streams(7)
    second.stream("another stream").random(1000)
    assert list(first.stream("a").random(5)) == list(second.stream("a").random(5))


def test_asking_again_starts_again() -> None:
    streams = Streams(7)
    assert streams.stream("a").random() == streams.stream("a").random()


def test_a_stream_is_the_same_in_another_process() -> None:
    # Never hash(): that would be another number in every process.
    made = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True, check=True).stdout
    assert int(made) == Streams(7).stream("demand EN1").integers(2**62)


def test_the_numbers_are_pinned() -> None:
    # If this fails, every published table changes: say so in the changelog.
    assert int(Streams(7).stream("demand EN1").integers(2**62)) == 2515421628582350535
    assert [replication_seed(1, number) for number in range(3)] == [1641411168, 1454127163, 2749604155]


@pytest.mark.parametrize(("a", "b"), [("A", "B"), ("keys R1>R2", "keys R2>R1"), ("", " ")])
def test_streams_of_two_names_are_not_correlated(a: str, b: str) -> None:
    streams = Streams(1)
    x, y = streams.stream(a).random(10_000), streams.stream(b).random(10_000)
    assert abs(np.corrcoef(x, y)[0, 1]) < 4 / np.sqrt(10_000)
    assert stats.kstest(x, "uniform").pvalue > 1e-4


def test_streams_of_two_seeds_differ() -> None:
    assert Streams(1).stream("a").random() != Streams(2).stream("a").random()


def test_replications_have_seeds_of_their_own() -> None:
    seeds = [replication_seed(seed, number) for seed in range(10) for number in range(100)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**32 for seed in seeds)


NAMES = st.lists(st.text('ab-> t\0[",\\', max_size=4), min_size=1, max_size=3)


@given(NAMES, NAMES, st.sampled_from(["-", ">", " at "]))
def test_different_names_are_joined_differently(some: list[str], others: list[str], separator: str) -> None:
    assert (joined(separator, *some) == joined(separator, *others)) is (some == others)


@given(st.lists(st.text("abAB1 _", min_size=1), min_size=1, max_size=3))
def test_names_without_the_separator_are_only_joined(names: list[str]) -> None:
    assert joined("-", *names) == "-".join(names)
