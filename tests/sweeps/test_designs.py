"""Comparisons of designs, on data where the answer is known."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import qkdrmp
from qkdrmp import compare, conclusions
from qkdrmp.metric import Metric
from qkdrmp.stats.comparison import holm

METRICS = ["requests_delivered", "wait_mean_s", "blocking", "events"]


def runs_of(
    rng: np.random.Generator, replications: int, designs: int = 3, metrics: int = 4, counts: bool = False
) -> pd.DataFrame:
    """Runs of designs that are all the same: common luck of each replication, and luck that metrics share."""
    common = 2 * rng.normal(size=(replications, 1, metrics))
    values = (
        10 + common + rng.normal(size=(replications, designs, metrics)) + rng.normal(size=(replications, designs, 1))
    )
    values = np.floor(values / 3) if counts else values
    cells = [(design, replication) for design in range(designs) for replication in range(replications)]
    table = pd.DataFrame(cells, columns=["design", "replication"]).assign(seed=lambda runs: runs["replication"])
    for number, name in enumerate(METRICS[:metrics]):
        table[name] = [values[replication, design, number] for design, replication in cells]
    return table


def claims(compared: pd.DataFrame) -> bool:
    return bool((~compared["verdict"].isin(["unclear", "same"])).any())


@pytest.mark.parametrize("replications", [3, 12])
@pytest.mark.parametrize("counts", [False, True])
def test_that_anything_is_claimed_of_equal_designs_has_a_chance_of_five_percent(
    replications: int, counts: bool
) -> None:
    rng, tables = np.random.default_rng(7), 250
    share = np.mean([claims(compare(runs_of(rng, replications, counts=counts), "design")) for _ in range(tables)])
    assert share <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / tables)


def test_a_single_comparison_is_claimed_in_just_five_percent() -> None:
    rng, tables = np.random.default_rng(8), 500
    found = [claims(compare(runs_of(rng, 5, 2, 1), "design", metrics="requests_delivered")) for _ in range(tables)]
    assert np.mean(found) == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / tables))


def test_without_the_correction_more_would_be_claimed() -> None:
    rng = np.random.default_rng(7)
    tables = [compare(runs_of(rng, 12), "design") for _ in range(100)]
    assert np.mean([(table["p"] < 0.05).any() for table in tables]) > 0.1


def test_shifted_designs_are_found_and_judged_by_the_direction_of_each_metric() -> None:
    runs = runs_of(np.random.default_rng(1), 12)
    runs.loc[runs["design"] == 1, ["requests_delivered", "wait_mean_s", "events"]] += 5
    compared = compare(runs, "design").set_index(["design", "metric"])["verdict"]
    assert compared[1].to_dict() == {
        "requests_delivered": "better",
        "wait_mean_s": "worse",
        "blocking": "unclear",
        "events": "more",
    }
    assert set(compared[2]) == {"unclear"}


def test_p_values_are_those_of_scipy_and_corrected_as_by_hand() -> None:
    runs = runs_of(np.random.default_rng(2), 8)
    table = compare(runs, "design", metrics=METRICS)
    for row in table.itertuples():
        by_design = runs.pivot(index="replication", columns="design", values=row.metric)
        assert row.p == pytest.approx(stats.ttest_rel(by_design[row.design], by_design[0]).pvalue)
    assert list(table["p_holm"]) == pytest.approx(holm(list(table["p"])))
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm's own example
    assert holm([]) == []
    assert holm([0.02, math.nan, 0.03])[::2] == pytest.approx([0.04, 0.04])


def test_the_main_metrics_come_first_and_those_asked_for_as_they_were_asked() -> None:
    runs = runs_of(np.random.default_rng(3), 5, 2)[
        ["design", "replication", "seed", "events", "blocking", *METRICS[:2]]
    ]
    assert list(compare(runs, "design")["metric"]) == ["requests_delivered", "wait_mean_s", "blocking", "events"]
    assert list(compare(runs, "design", metrics=["events", "blocking"])["metric"]) == ["events", "blocking"]


def test_rounding_is_no_difference_also_where_values_are_rounding_themselves() -> None:
    runs = runs_of(np.random.default_rng(3), 5, 2, 1)
    runs["undelivered"] = 0.3
    runs.loc[runs["design"] == 1, "undelivered"] += 6e-17
    assert list(compare(runs, "design")["metric"]) == ["requests_delivered"]
    asked = compare(runs, "design", metrics="undelivered").iloc[0]
    assert (asked["difference"], asked["low"], asked["high"], asked["p"], asked["verdict"]) == (0, 0, 0, 1, "same")
    more = pd.concat([runs.assign(cell=1, undelivered=[0.0] * 5 + [6e-20] * 5), runs.assign(cell=2)])
    first = more[["design", "cell", *(name for name in runs if name != "design")]]
    assert set(compare(first, "design", metrics="undelivered")["verdict"]) == {"same"}


def test_counts_that_always_differ_by_one_are_not_certain_with_few_pairs() -> None:
    def table(pairs: int, step: float) -> pd.Series:
        cells = [(design, number) for design in (0, 1) for number in range(pairs)]
        runs = pd.DataFrame(cells, columns=["design", "replication"]).assign(seed=lambda made: made["replication"])
        runs["requests_delivered"] = runs["replication"] + step * runs["design"]
        return compare(runs, "design").iloc[0]

    assert (table(3, 1)["p"], table(3, 1)["verdict"]) == (1 / 4, "unclear")
    assert (table(6, 1)["p"], table(6, 1)["verdict"]) == (1 / 32, "better")
    assert (table(3, 0.37)["p"], table(3, 0.37)["verdict"]) == (0, "better")
    assert table(1, 1)["verdict"] == "unclear"


def test_every_metric_that_both_families_have_is_better_in_the_same_direction() -> None:
    for metric in qkdrmp.FAMILIES["qkd"].metrics:
        others = {other.name: other.better for other in qkdrmp.FAMILIES["entanglement"].metrics}
        assert others.get(metric.name, metric.better) == metric.better


def test_metrics_of_ones_own_may_have_a_direction() -> None:
    Metric("own_cost_eur", "what it costs", lambda results: 0.0, better="less")
    runs = runs_of(np.random.default_rng(3), 8, 2, 1).rename(columns={"requests_delivered": "own_cost_eur"})
    runs.loc[runs["design"] == 1, "own_cost_eur"] -= 50
    compared = compare(runs, "design")
    assert compared["verdict"][0] == "better"
    assert "is better in own cost eur (" in conclusions(compared)[0]


def sentences(**columns: Any) -> list[str]:
    runs = runs_of(np.random.default_rng(1), 12)
    for name, shift in columns.items():
        runs.loc[runs["design"] == 1, name] += shift
    return conclusions(compare(runs, "design"))


def test_a_sentence_says_what_is_better_and_by_how_much() -> None:
    first, second = sentences(requests_delivered=5, wait_mean_s=5)
    assert first.startswith("design = 1 instead of 0 is better in requests processed (")
    assert "; is worse in mean waiting time of delivered requests (" in first
    assert " s more, 95 % interval " in first
    assert first.endswith("(4 metrics compared, 2 unclear)")
    assert second == "no difference is shown for design = 2 instead of 0 (4 metrics compared)"


def conclusions_of_cells(shifts: dict[tuple[int, ...], float], fields: int = 1) -> list[str]:
    """Three designs in two cells, or in four of two fields, with a shift of a metric in some of them."""
    tables = []
    for cell in [(load,) for load in (1, 2)] if fields == 1 else [(load, size) for load in (1, 2) for size in (3, 4)]:
        runs = runs_of(np.random.default_rng(1), 12, metrics=1)
        for design in range(3):
            runs.loc[runs["design"] == design, "requests_delivered"] += shifts.get((*cell, design), 0)
        for place, (name, value) in enumerate(zip(("load", "size"), cell, strict=False)):
            runs.insert(place, name, value)
        tables.append(runs)
    return conclusions(compare(pd.concat(tables, ignore_index=True), "design"))


def test_what_is_shown_is_said_first_and_all_that_is_not_in_one_sentence() -> None:
    first, last = conclusions_of_cells({(2, 2): 9})
    assert first.startswith("design = 2 instead of 0, with load = 2, is better in requests processed (")
    said = "no difference is shown for design = 1 (with load = 1, 2); 2 (with load = 1) instead of 0"
    assert last == f"{said} (1 metric compared each)"
    (only,) = conclusions_of_cells({})
    assert only == "no difference is shown for design = 1, 2 (with load = 1, 2) instead of 0 (1 metric compared each)"


def test_cells_of_two_fields_in_which_nothing_is_shown_are_named_with_both() -> None:
    first, last = conclusions_of_cells({(1, 3, 1): 9}, fields=2)
    assert first.startswith("design = 1 instead of 0, with load = 1, size = 3, is better")
    assert "1 (with load = 1, size = 4, with load = 2, size = 3, with load = 2, size = 4); 2 (" in last
    assert "with load = 2, size = 3 and 1 more) instead of 0" in last


def test_a_difference_of_many_times_the_baseline_is_not_given_in_percent() -> None:
    runs = runs_of(np.random.default_rng(1), 12, 2, 1)
    runs["requests_delivered"] = 0.5 + 99.5 * runs["design"] + 1e-3 * runs["replication"] * runs["design"]
    assert conclusions(compare(runs, "design"))[0].endswith(", 200 times as much) (1 metric compared)")


def test_neutral_metrics_are_said_for_want_of_others() -> None:
    assert sentences(events=5)[0].startswith("design = 1 instead of 0 has more events (")


def test_the_numbers_of_a_sentence_are_those_of_the_table() -> None:
    runs = runs_of(np.random.default_rng(1), 4, 2, 1)
    runs.loc[runs["design"] == 1, "requests_delivered"] = runs["requests_delivered"][:4].to_numpy() * 0 + [
        96,
        97,
        96.5,
        97.5,
    ]
    runs.loc[runs["design"] == 0, "requests_delivered"] = [100, 101, 100, 101]
    said = conclusions(compare(runs, "design"))
    differences = np.array([-4, -4, -3.5, -3.5])
    half = qkdrmp.half_width(differences)
    low, high = 3.75 - half, 3.75 + half
    size = f"3.75 less, 95 % interval {low:.3g} to {high:.3g}, 3.7 %"
    assert said == [f"design = 1 instead of 0 is worse in requests processed ({size}) (1 metric compared)"]
    strict = conclusions(compare(runs, "design", confidence=0.99))[0]
    wider = 3.75 + qkdrmp.half_width(differences, 0.99)
    assert f"99 % interval {7.5 - wider:.3g} to {wider:.3g}" in strict


def test_a_single_pair_of_runs_shows_nothing() -> None:
    runs = runs_of(np.random.default_rng(1), 1)
    said = conclusions(compare(runs, "design"))
    assert said == ["more than one pair of runs is needed for design = 1, 2 instead of 0 (4 metrics compared each)"]
