"""The sentences about the best and the worst cell, rejections and doubts, from tables made by hand."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qkdrmp.family import FAMILIES, Family
from qkdrmp.plots.labels import label
from qkdrmp.qkd.family import QKD
from qkdrmp.qkd.presentation import stuck_pools
from qkdrmp.stats.words import interval, number, percent, plus_minus
from qkdrmp.verdicts import outcomes
from qkdrmp.verdicts.design import amount, cell_words
from tests.report.experiments import POOLS, table

RISING = {10: [50, 60, 70], 20: [80, 91, 99], 40: [100, 110, 120], 80: [101, 110, 121], 160: [100, 111, 120]}
POLICIES = {"fcfs": [50, 60, 70], "edf": [100, 110, 120], "priority": [101, 110, 121]}


def said(sentences: Sequence[str]) -> str:
    return " ".join(sentences)


def test_best_and_worst_are_those_of_the_longest_duration() -> None:
    runs = pd.concat([table(RISING), table({10: [900, 901, 902]}).assign(duration_s=0.5)])
    (found,) = outcomes.extremes(runs, QKD)
    assert found.startswith("Most requests processed after 1 s of simulated time: 111 (95 % interval 86 to 136), with")
    assert "with key pool capacity = 80 keys (not significantly different from it, by paired differences: " in found
    assert "differences: key pool capacity = 160 keys, 40 keys); fewest" in found
    assert found.endswith("; fewest: 60 (95 % interval 35 to 85), with key pool capacity = 10 keys.")


def test_one_run_of_three_that_gets_something_may_be_chance() -> None:
    (found,) = outcomes.extremes(table({10: [0, 0, 0], 20: [170, 175, 180], 40: [170, 175, 180]}), QKD)
    assert "(not significantly different from it, by paired differences: key pool capacity = 40 keys)" in found


def test_without_a_scale_every_quality_has_its_best_and_worst_in_its_own_direction() -> None:
    runs = table(POLICIES, field="queue.policy")
    waits = {"fcfs": [0.1, 0.11, 0.12], "edf": [0.05, 0.06, 0.07], "priority": [0.051, 0.06, 0.071]}
    runs["wait_p95_s"] = [wait for values in waits.values() for wait in values]
    most, best = outcomes.extremes(runs, QKD)
    assert (
        "with queue policy = priority (not significantly different from it, by paired differences: queue policy = edf)"
        in most
    )
    assert best.startswith(
        "Best waiting time of delivered requests, 95th percentile after 1 s of simulated time: 60 ms"
    )
    assert (
        "with queue policy = edf (not significantly different from it, by paired differences: queue policy = pri"
        in best
    )
    assert best.endswith("worst: 110 ms (95 % interval 85 to 135), with queue policy = fcfs.")


def test_what_no_cell_is_significantly_better_in_is_said_once() -> None:
    runs = table({"fcfs": [50, 60, 70], "edf": [51, 59, 70]}, field="queue.policy")
    runs["wait_p95_s"] = [0.1, 0.2, 0.3, 0.25, 0.1, 0.3]
    found = list(outcomes.extremes(runs, QKD))
    assert found[-1].startswith("No cell is significantly better than all others in: waiting time of delivered")


def test_throughput_that_is_the_demand_distinguishes_no_cells() -> None:
    runs = table({10: [99, 100, 100], 20: [100, 100, 100]})
    assert said([*outcomes.extremes(runs, QKD)]) == (
        "All cells deliver what was asked for, or nearly so (100 %): throughput does not distinguish them."
    )


def test_equal_cells_are_said_to_be_equal() -> None:
    (found,) = outcomes.extremes(table({10: [5, 6], 20: [5, 6]}), QKD)
    assert found.startswith("All cells have the same requests processed")
    assert found.endswith(", 5.5 % of what was asked for.")


def test_a_single_cell_has_neither_best_nor_worst() -> None:
    (only,) = outcomes.extremes(table({10: [5, 6]}), QKD)
    assert only.startswith("Requests processed after 1 s of simulated time: 5.5")


def test_rejections_are_shares_of_what_was_asked_for_by_reason() -> None:
    runs = table({10: [5, 6], 20: [5, 6]}).assign(rejected_no_route=[1, 3, 1, 3])
    text = said([*outcomes.rejections(runs, QKD)])
    assert text.startswith("Rejected, over all cells: 12 % (95 % interval 0 to 25) of the requests.")
    assert "10 % refused (a node on the way could never serve it: it wants more" in text
    assert "; 2 % (95 % interval 0 to 15) no route (no path of trusted repeaters leads to the peer" in text


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_reason_of_rejection_is_explained(family: Family) -> None:
    reasons = {column.name.removeprefix("rejected_") for column in family.metrics if "rejected_" in column.name}
    assert set(family.counted.reasons) >= reasons > {"no_route"}
    assert all(len(meaning) > 20 for meaning in family.counted.reasons.values())


def test_rejections_leave_out_replications_that_some_cells_lack() -> None:
    runs = table({10: [5, 6, 7], 20: [5, 6]})
    runs.loc[2, "rejected_refused"] = 90
    assert "10 % refused" in said([*outcomes.rejections(runs, QKD)])


def test_no_rejections_are_stated_as_such() -> None:
    text = said([*outcomes.rejections(table({10: [5, 6]}).assign(rejected_refused=0), QKD)])
    assert text == "None of the 200 requests was rejected (over all runs)."


def test_runs_that_do_not_count_rejections_have_none_to_report() -> None:
    runs = table({10: [5, 6]}).drop(columns=["rejected_refused", "rejected_no_route"])
    assert not [*outcomes.rejections(runs, QKD)]


def test_cautions_name_failed_runs_and_wide_intervals() -> None:
    runs = table({10: [100, 101, 99], 20: [50, 100, 150]})
    text = said([*outcomes.cautions(runs, QKD, 2)])
    assert "2 of 6 runs failed" in text
    assert "In 1 of 2 cells the interval" in text
    assert not [*outcomes.cautions(table({10: [100, 101, 99]}), QKD, 0)]


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
    text = outcomes.question(table(RISING))
    assert text.startswith("Swept: key pool capacity (10, 20, 40, 80, 160 keys). 5 cells, 3 replications, 15 runs")
    assert outcomes.question(table({10: [1, 2]})).startswith("One cell, nothing was varied. 1 cell, 2 replications")
    assert outcomes.question(table({10: [1]})).startswith("A single run of 1 s, seed 0: no intervals")
    assert "2 to 3 replications" in outcomes.question(table({10: [1, 2, 3], 20: [1, 2]}))


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


def test_intervals_of_shares_end_at_one() -> None:
    assert amount("blocking", [0.5, 1.0]).endswith("to 100)")
    assert amount("fairness", [0.9, 1.0]).endswith("to 1.00)")
    assert interval([0.5, 1.0]).endswith("to 3.9)")
