"""The sentences of the verdict, from tables made by hand."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qkdrmp.plots.labels import label
from qkdrmp.qkd.family import QKD
from qkdrmp.qkd.presentation import stuck_pools
from qkdrmp.report import verdict
from qkdrmp.report.comparison import improvement, saturation
from qkdrmp.report.words import cell_words
from qkdrmp.stats.words import interval, number, percent, plus_minus
from tests.report.experiments import POOLS, table

MAIN = QKD.main_metric
RISING = {10: [50, 60, 70], 20: [80, 91, 99], 40: [100, 110, 120], 80: [101, 110, 121], 160: [100, 111, 120]}


def said(sentences: Sequence[str]) -> str:
    return " ".join(sentences)


def test_improvement_is_the_paired_difference_beside_the_base() -> None:
    base, other = pd.Series([100.0, 200.0, 300.0]), pd.Series([110.0, 230.0, 320.0])
    found, pairs = improvement(base, other)
    half = stats.t.ppf(0.975, 2) * np.std([10, 30, 20], ddof=1) / math.sqrt(3)
    assert pairs == 3
    assert (found.mean, found.half, found.base) == pytest.approx((20, half, 200))
    assert found.headroom == pytest.approx((20 + half) / 200)


def test_improvement_pairs_replications_by_their_number_and_leaves_out_unknown_ones() -> None:
    base = pd.Series([100.0, 200.0, 1e9], index=[0, 1, 7])
    other = pd.Series([220.0, 110.0, float("nan")], index=[1, 0, 2])
    found, pairs = improvement(base, other)
    assert pairs == 2
    assert found.mean / found.base == pytest.approx(0.1)


def test_saturation_is_at_the_smallest_value_that_no_larger_one_improves_on() -> None:
    found = saturation(table(RISING), POOLS, MAIN)
    assert found.value == 40
    assert found.pairs == 3
    # The largest upper end: of 80 keys, with the differences 1, 0, 1.
    assert found.headroom == pytest.approx((2 / 3 + stats.t.ppf(0.975, 2) / 3) / 110)


def test_no_saturation_if_the_largest_value_still_improves() -> None:
    still = table({**RISING, 320: [130, 140, 152]})
    assert saturation(still, POOLS, MAIN).value is None
    assert "do not saturate" in said([*verdict.saturates(still, QKD)])


def test_a_large_but_uncertain_improvement_is_not_significant() -> None:
    uncertain = {10: [100, 100, 100], 20: [100, 100, 130]}
    assert saturation(table(uncertain), POOLS, MAIN).value == 10
    certain = {10: [100, 100, 100], 20: [109, 110, 111]}
    assert saturation(table(certain), POOLS, MAIN).value is None


def test_a_significant_but_small_improvement_is_not_worthwhile() -> None:
    assert saturation(table({10: [100, 200], 20: [101, 201]}), POOLS, MAIN).value == 10
    assert saturation(table({10: [100, 200], 20: [104, 204]}), POOLS, MAIN).value is None


def test_common_random_numbers_tell_apart_what_unpaired_means_could_not() -> None:
    spread = table({10: [10, 1000, 5000], 20: [210, 1201, 5199]})
    assert saturation(spread, POOLS, MAIN).value is None


def test_what_gets_nothing_is_improved_on_by_whatever_gets_something() -> None:
    runs = table({10: [0, 0, 0], 20: [170, 175, 180], 40: [170, 175, 180]})
    assert saturation(runs, POOLS, MAIN).value == 20
    best, _ = verdict.extremes(runs, QKD)
    assert "1 other cell does not differ from it significantly" in best
    assert saturation(table({10: [0, 0, 0], 20: [0, 0, 9]}), POOLS, MAIN).value == 10  # one run of three may be chance


def test_the_order_of_rows_does_not_matter() -> None:
    shuffled = table(RISING).sample(frac=1, random_state=3)
    assert saturation(shuffled, POOLS, MAIN).value == 40


def test_a_dip_in_the_middle_does_not_hide_a_later_improvement() -> None:
    assert saturation(table({10: [100, 101], 20: [50, 51], 40: [150, 151], 80: [150, 151]}), POOLS, MAIN).value == 40


def test_saturation_is_stated_with_its_interval_and_test() -> None:
    text = said([*verdict.saturates(table(RISING), QKD)])
    assert text.startswith("Requests processed saturate at key pool capacity = 40 keys, with 110 (95 % interval 85 to")
    assert "a significant improvement of more than 2 %" in text
    assert "paired differences over 3 replications" in text


def test_one_replication_gives_no_interval_and_says_so() -> None:
    single = table({value: numbers[:1] for value, numbers in RISING.items()})
    text = said([*verdict.saturates(single, QKD), *verdict.extremes(single, QKD)])
    assert "saturate at key pool capacity = 40 keys, with 100:" in text
    assert "nothing shows how much is chance" in text
    assert "interval" not in text
    assert "significant" not in text
    assert "nan" not in text
    assert "one replication" in said([*verdict.cautions(single, QKD, 0)])


def test_saturation_is_stated_for_each_value_of_other_fields_at_the_longest_duration() -> None:
    early = table({10: [50, 51], 20: [90, 92]}, **{"queue.policy": "fcfs"})
    late = table({10: [90, 91], 20: [90, 91]}, **{"queue.policy": "priority"})
    shorter = table({10: [1, 2], 20: [900, 901]}, **{"queue.policy": "priority"}).assign(duration_s=0.5)
    text = list(verdict.saturates(pd.concat([early, late, shorter]), QKD))
    assert len(text) == 2
    assert text[0].startswith("With queue policy = fcfs, requests processed do not saturate")
    assert text[1].startswith("With queue policy = priority, requests processed are saturated from the smallest value")


def test_saturation_needs_a_scale_other_than_the_duration() -> None:
    longer = table({0.1: [1, 2], 0.2: [3, 4]}, field="duration_s")
    policies = table({"fcfs": [1, 2], "priority": [3, 4]}, field="queue.policy")
    assert not [*verdict.saturates(longer, QKD), *verdict.saturates(policies, QKD)]


def test_a_design_without_pairs_of_cells_has_no_saturation() -> None:
    runs = pd.concat([table({10: [1, 2]}, rate=5.0), table({20: [3, 4]}, rate=6.0), table({30: [3, 4]}, rate=7.0)])
    assert list(verdict.saturates(runs, QKD)) == [
        "Saturation cannot be judged: no two cells differ in key pool capacity alone."
    ]


def test_best_and_worst_are_those_of_the_longest_duration() -> None:
    runs = pd.concat([table(RISING), table({10: [900, 901, 902]}).assign(duration_s=0.5)])
    best, worst = verdict.extremes(runs, QKD)
    assert "with key pool capacity = 80 keys" in best
    assert ": 111 (95 % interval 86 to 136)" in best
    assert "2 other cells do not differ from it significantly" in best
    assert worst.startswith("Fewest: 60 ")
    assert "key pool capacity = 10 keys" in worst


def test_equal_cells_are_said_to_be_equal() -> None:
    assert said([*verdict.extremes(table({10: [5, 6], 20: [5, 6]}), QKD)]).startswith("All cells have the same")


def test_a_single_cell_has_neither_best_nor_worst() -> None:
    (only,) = verdict.extremes(table({10: [5, 6]}), QKD)
    assert "Fewest" not in only
    assert "5.5" in only


def test_rejections_are_shares_of_what_was_asked_for_by_reason() -> None:
    runs = table({10: [5, 6], 20: [5, 6]}).assign(rejected_no_route=[1, 3, 1, 3])
    text = said([*verdict.rejections(runs, QKD)])
    assert text.startswith("Rejected, over all cells: 12 % (95 % interval 0 to 25) of the requests.")
    assert "10 % refused; 2 % (95 % interval 0 to 15) no route" in text


def test_rejections_leave_out_replications_that_some_cells_lack() -> None:
    runs = table({10: [5, 6, 7], 20: [5, 6]})
    runs.loc[2, "rejected_refused"] = 90
    assert "10 % refused" in said([*verdict.rejections(runs, QKD)])


def test_no_rejections_are_stated_as_such() -> None:
    text = said([*verdict.rejections(table({10: [5, 6]}).assign(rejected_refused=0), QKD)])
    assert text == "None of the 200 requests was rejected (over all runs)."


def test_runs_that_do_not_count_rejections_have_none_to_report() -> None:
    runs = table({10: [5, 6]}).drop(columns=["rejected_refused", "rejected_no_route"])
    assert not [*verdict.rejections(runs, QKD)]


def test_cautions_name_failed_runs_and_wide_intervals() -> None:
    runs = table({10: [100, 101, 99], 20: [50, 100, 150]})
    text = said([*verdict.cautions(runs, QKD, 2)])
    assert "2 of 6 runs failed" in text
    assert "In 1 of 2 cells the interval" in text
    assert not [*verdict.cautions(table({10: [100, 101, 99]}), QKD, 0)]


def test_cells_with_stuck_pools_are_counted_and_the_worst_is_named() -> None:
    counts = {"pools of 10 keys": [0, 0], "pools of 20 keys": [3, 5], "pools of 40 keys": [1, 0]}
    cells = {words: pd.DataFrame({"stuck_pools": stuck}) for words, stuck in counts.items()}
    (sentence,) = stuck_pools(cells)
    assert "in 2 of 3 cells; most with pools of 20 keys: 4 " in sentence
    assert "on average over 2 runs" in sentence
    assert not [*stuck_pools({words: runs.assign(stuck_pools=0) for words, runs in cells.items()})]
    (sentence,) = stuck_pools({"": pd.DataFrame({"stuck_pools": [2]})})
    assert "in 1 of 1 cell; most with this scenario: 2 pools in its only run." in sentence


def test_the_question_names_fields_values_and_numbers() -> None:
    text = verdict.question(table(RISING))
    assert text.startswith("Swept: key pool capacity (10, 20, 40, 80, 160 keys). 5 cells, 3 replications, 15 runs")
    assert verdict.question(table({10: [1]})).startswith("One cell, nothing was varied. 1 cell, 1 replication")
    assert "2 to 3 replications" in verdict.question(table({10: [1, 2, 3], 20: [1, 2]}))


def test_interval_is_students() -> None:
    half = stats.t.ppf(0.975, 3) * np.std([97, 99, 101, 103], ddof=1) / 2
    assert interval([97, 99, 101, 103]) == f"100.0 (95 % interval {100 - half:.1f} to {100 + half:.1f})"
    assert interval([-3, 3]) == f"0 (95 % interval {-stats.t.ppf(0.975, 1) * 3:.0f} to {stats.t.ppf(0.975, 1) * 3:.0f})"


def test_interval_of_what_is_never_negative_ends_at_nothing() -> None:
    assert "interval 0 to" in interval([1, 50])


def test_interval_of_one_or_no_value() -> None:
    assert interval([5.25, float("nan")], unit="s") == "5.25 s"
    assert interval([float("nan")]) == "not known"
    assert interval([3, 3, 3]) == "3"


@pytest.mark.parametrize(
    ("value", "written"), [(12345.6, "12,346"), (1234.56, "1,235"), (0.123456, "0.1235"), (7.0, "7"), (math.nan, "–")]
)
def test_numbers_are_rounded_for_people(value: float, written: str) -> None:
    assert number(value) == written


def test_a_mean_and_half_of_its_interval() -> None:
    half = stats.t.ppf(0.975, 3) * np.std([97, 99, 101, 103], ddof=1) / 2
    values = pd.Series([97, 99, 101, 103])
    assert plus_minus(values, 2) == f"100.00 ± {half:.2f}"
    assert plus_minus(values) == f"100 ± {half:.0f}"
    assert plus_minus(pd.Series([0.97, 0.99, 1.01, 1.03])) == f"1.00 ± {half / 100:.2f}"
    assert [plus_minus(pd.Series([5.25])), plus_minus(pd.Series([5.25]), 1)] == ["5.25", "5.2"]
    assert plus_minus(pd.Series([3.0, 3.0])) == "3"


def test_small_shares_are_not_rounded_to_nothing() -> None:
    assert [percent(share) for share in (0.0, 0.0004, 0.0151, 0.42)] == ["0 %", "0.04 %", "1.5 %", "42 %"]


def test_columns_and_cells_have_names_for_people() -> None:
    assert label("rejected_no_route") == "rejected no route"
    assert label("some_new_time_s") == "some new time (s)"
    assert label("demand.anything_s") == "demand.anything_s"
    assert cell_words({POOLS: 40, "queue.policy": "fcfs"}) == "key pool capacity = 40 keys, queue policy = fcfs"
    assert cell_words({"pools.interrupt_share": 0.25}) == "interrupt threshold = 0.25"
    assert cell_words({POOLS: float("nan")}) == "key pool capacity = none"
    assert cell_words({"demand.rate_per_s": 20}) == "requests of a pair of users = 20 per s"
