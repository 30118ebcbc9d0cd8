"""Where a quality saturates along a scale, from tables made by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qkdrmp.family import Quality
from qkdrmp.verdicts.saturation import improvement, saturation
from tests.report.experiments import POOLS, table

QUALITY = Quality("requests_delivered")
RISING = {10: [50, 60, 70], 20: [80, 91, 99], 40: [100, 110, 120], 80: [101, 110, 121], 160: [100, 111, 120]}


def test_improvement_is_the_paired_difference_beside_the_base() -> None:
    base, other = pd.Series([100.0, 200.0, 300.0]), pd.Series([110.0, 230.0, 320.0])
    found, pairs = improvement(base, other, QUALITY)
    half = stats.t.ppf(0.975, 2) * np.std([10, 30, 20], ddof=1) / math.sqrt(3)
    assert pairs == 3
    assert (found.mean, found.half, found.base) == pytest.approx((20, half, 200))
    assert found.headroom == pytest.approx(20 + half)


def test_improvement_pairs_replications_by_their_number_and_leaves_out_unknown_ones() -> None:
    base = pd.Series([100.0, 200.0, 1e9], index=[0, 1, 7])
    other = pd.Series([220.0, 110.0, float("nan")], index=[1, 0, 2])
    found, pairs = improvement(base, other, QUALITY)
    assert pairs == 2
    assert found.mean / found.base == pytest.approx(0.1)


def test_saturation_is_at_the_smallest_value_that_no_larger_one_improves_on() -> None:
    found = saturation(table(RISING), POOLS, QUALITY)
    assert found.value == 40
    assert found.pairs == 3
    # The largest upper end: of 80 keys, with the differences 1, 0, 1.
    assert found.headroom == pytest.approx(2 / 3 + stats.t.ppf(0.975, 2) / 3)
    assert found.is_shown  # 1.9 of 110 is less than 2 %


def test_a_large_but_uncertain_improvement_is_not_significant() -> None:
    uncertain = {10: [100, 100, 100], 20: [100, 100, 130]}
    assert saturation(table(uncertain), POOLS, QUALITY).value == 10
    certain = {10: [100, 100, 100], 20: [109, 110, 111]}
    assert saturation(table(certain), POOLS, QUALITY).value is None


def test_a_significant_but_small_improvement_is_not_worthwhile() -> None:
    assert saturation(table({10: [100, 200], 20: [101, 201]}), POOLS, QUALITY).value == 10
    assert saturation(table({10: [100, 200], 20: [104, 204]}), POOLS, QUALITY).value is None


def test_common_random_numbers_tell_apart_what_unpaired_means_could_not() -> None:
    spread = table({10: [10, 1000, 5000], 20: [210, 1201, 5199]})
    assert saturation(spread, POOLS, QUALITY).value is None


def test_the_order_of_rows_does_not_matter() -> None:
    shuffled = table(RISING).sample(frac=1, random_state=3)
    assert saturation(shuffled, POOLS, QUALITY).value == 40


def test_a_dip_in_the_middle_does_not_hide_a_later_improvement() -> None:
    assert saturation(table({10: [100, 101], 20: [50, 51], 40: [150, 151], 80: [150, 151]}), POOLS, QUALITY).value == 40


def test_what_gets_nothing_is_improved_on_by_whatever_gets_something() -> None:
    runs = table({10: [0, 0, 0], 20: [170, 175, 180], 40: [170, 175, 180]})
    assert saturation(runs, POOLS, QUALITY).value == 20
    one_of_three = table({10: [0, 0, 0], 20: [0, 0, 9]})  # may be chance
    found = saturation(one_of_three, POOLS, QUALITY)
    assert (found.value, found.is_shown) == (10, False)


def test_less_is_better_of_a_time() -> None:
    times = table({2: [0.09, 0.1, 0.11], 4: [0.05, 0.06, 0.07], 8: [0.05, 0.06, 0.07]})
    quality = Quality("requests_delivered", 0.05)
    assert saturation(times, POOLS, quality, "less").value == 4
    assert saturation(times, POOLS, quality, "more").value == 2


def test_a_difference_that_counts_may_be_absolute() -> None:
    shares = table({2: [0.0100, 0.0101], 4: [0.0050, 0.0051], 8: [0.0001, 0.0002]})
    assert saturation(shares, POOLS, Quality("requests_delivered", 0.005, is_relative=False), "less").value == 4
    assert saturation(shares, POOLS, Quality("requests_delivered", 0.005), "less").value is None


def test_too_few_replications_show_no_saturation() -> None:
    wide = table({10: [100, 100, 100], 20: [100, 100, 130], 40: [100, 100, 101]})
    found = saturation(wide, POOLS, QUALITY)
    assert (found.value, found.is_shown) == (10, False)
    assert found.headroom == pytest.approx(10 + stats.t.ppf(0.975, 2) * 10)
