import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from qkdrmp import QKDRMPError, load_scenario, summarise, sweep
from qkdrmp.stats.comparison import COMPARISON_NAMES
from qkdrmp.stats.estimators import differ, half_width, jain, mser5, quantiles
from qkdrmp.sweeps.designs import compare
from tests.report.experiments import HERE


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("values", [[1.0, 2.0], [3, 3, 4, 10], [0.1] * 3 + [0.2], list(range(30))])
def test_the_interval_is_scipys(values: list[float], confidence: float) -> None:
    scale = stats.sem(values)
    low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=scale)
    assert half_width(values, confidence) == pytest.approx((high - low) / 2)
    assert half_width(pd.Series(values), confidence) == pytest.approx((high - low) / 2)


def test_the_interval_of_two_values_by_hand() -> None:
    # t(0.975, 1) = 12.706; standard error 0.5
    assert half_width([1.0, 2.0]) == pytest.approx(6.353, abs=1e-3)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.nan], [math.nan, math.nan]])
def test_fewer_than_two_values_have_no_interval(values: list[float]) -> None:
    assert math.isnan(half_width(values))


def test_values_that_are_missing_are_left_out() -> None:
    assert half_width([1.0, math.nan, 2.0]) == half_width([1.0, 2.0])


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert half_width([5, 5, 5]) == 0


def coverage(samples: int, size: int, seed: int = 1) -> float:
    data = np.random.default_rng(seed).normal(3.0, 2.0, (samples, size))
    return float(np.mean([abs(row.mean() - 3.0) <= half_width(row) for row in data]))


def test_about_95_intervals_in_100_hold_the_mean() -> None:
    assert coverage(1000, 5) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 1000))


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3, 5, 10, 20])
def test_95_intervals_in_100_hold_the_mean(size: int) -> None:
    assert coverage(40_000, size) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 40_000))


RUNS = pd.DataFrame(
    {
        "pools.capacity": [2, 2, 4, 4],
        "duration_s": [1.0] * 4,
        "replication": [0, 1, 0, 1],
        "seed": [7, 8, 7, 8],
        "requests_delivered": [1, 3, 10, 10],
        "wait_mean_s": [0.5, math.nan, math.nan, math.nan],
    }
)


def test_a_summary_has_one_row_a_cell_and_three_columns_a_metric() -> None:
    table = summarise(RUNS, ["pools.capacity", "duration_s"])
    metrics = [f"{name}_{end}" for name in ("requests_delivered", "wait_mean_s") for end in ("mean", "low", "high")]
    assert list(table.columns) == ["pools.capacity", "duration_s", "replications", *metrics]
    assert list(table["pools.capacity"]) == [2, 4]
    assert list(table["replications"]) == [2, 2]
    assert list(table["requests_delivered_mean"]) == [2, 10]
    assert list(table["requests_delivered_low"]) == [2 - half_width([1, 3]), 10]
    assert list(table["requests_delivered_high"]) == [2 + half_width([1, 3]), 10]
    assert table["wait_mean_s_mean"][0] == 0.5
    assert table["wait_mean_s_low"].isna().all()


def test_a_summary_of_everything_at_once() -> None:
    table = summarise(RUNS.drop(columns=["pools.capacity", "duration_s"]), [])
    assert len(table) == 1
    assert list(table["replications"]) == [4]


def test_cells_without_a_value_are_kept() -> None:
    runs = RUNS.assign(**{"pools.interrupt": [math.nan, math.nan, 1, 1]})
    assert list(summarise(runs, ["pools.interrupt"])["replications"]) == [2, 2]


def test_a_sweep_can_be_summarised_by_hand() -> None:
    line = load_scenario("line").replace({"duration_s": 0.5, "warmup_s": 0})
    runs = sweep(line, replications=3, executor=HERE, progress=False)
    table = summarise(runs, ["pools.capacity"])
    cell = runs[runs["pools.capacity"] == 8]["messages"]
    row = table.set_index("pools.capacity").loc[8]
    assert row["messages_mean"] == cell.mean()
    assert row["messages_high"] - row["messages_low"] == pytest.approx(2 * half_width(cell))
    assert row["replications"] == 3


def test_failed_runs_and_texts_are_no_metrics() -> None:
    runs = RUNS.assign(failed=[False, False, True, True], requests_delivered=[1, 3, 10, math.nan], note="x")
    table = summarise(runs, ["pools.capacity"])
    assert not any(name.startswith(("failed", "note", "seed")) for name in table.columns)
    assert list(table["replications"]) == [2, 0]
    assert table["requests_delivered_mean"][0] == 2
    assert math.isnan(table["requests_delivered_mean"][1])


def test_the_special_functions_are_not_loaded_before_they_are_needed() -> None:
    code = "import sys; from qkdrmp.stats.estimators import half_width; assert 'scipy.special' not in sys.modules"
    code += "; assert half_width([1, 2])"
    subprocess.run([sys.executable, "-c", code], check=True)


# Paired differences


def runs_of(cells: dict[Any, list[float]], field: str = "pools.capacity", **more: Any) -> pd.DataFrame:
    """One metric, ``wait_mean_s``, of replications 0, 1, ... at each value of one field."""
    rows = [
        {field: value, **more, "duration_s": 1.0, "replication": number, "seed": 100 + number, "wait_mean_s": wait}
        for value, waits in cells.items()
        for number, wait in enumerate(waits)
    ]
    return pd.DataFrame(rows)


def test_a_paired_difference_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, variance 1, t(0.975, 2) = 4.30265; unpaired variances 100 and 121.
    table = compare(runs_of({2: [10, 20, 30], 4: [11, 22, 33]}), "pools.capacity")
    assert list(table.columns) == ["duration_s", "pools.capacity", *COMPARISON_NAMES]
    row = table.iloc[0]
    assert (row["pools.capacity"], row["baseline"], row["metric"], row["pairs"]) == (4, 2, "wait_mean_s", 3)
    assert (row["baseline_mean"], row["mean"], row["difference"]) == (20, 22, 2)
    assert row["high"] - row["difference"] == pytest.approx(4.30265 / math.sqrt(3), abs=1e-5)
    assert row["difference"] - row["low"] == pytest.approx(4.30265 / math.sqrt(3), abs=1e-5)
    assert row["relative"] == pytest.approx(0.1)
    assert row["variance_ratio"] == pytest.approx(100 + 121)


def test_the_relative_difference_has_the_sign_of_the_difference() -> None:
    assert compare(runs_of({2: [-10, -20], 4: [-9, -15]}), "pools.capacity")["relative"][0] == pytest.approx(0.2)


@settings(deadline=None)  # scipy is slow when it is first asked
@given(
    pairs=st.lists(st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)), min_size=2, max_size=20),
    confidence=st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
def test_the_interval_of_a_difference_is_that_of_scipys_paired_t_test(
    pairs: list[tuple[int, int]], confidence: float
) -> None:
    old, new = ([float(pair[end]) for pair in pairs] for end in (0, 1))
    row = compare(runs_of({2: old, 4: new}), "pools.capacity", None, ["wait_mean_s"], confidence).iloc[0]
    if len({b - a for a, b in pairs}) == 1:  # scipy has no interval without variance
        assert row["low"] == row["high"] == row["difference"] == new[0] - old[0]
        return
    interval = stats.ttest_rel(new, old).confidence_interval(confidence)
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_the_baseline_is_the_first_value_or_the_one_that_is_named() -> None:
    runs = runs_of({8: [1, 2], 2: [2, 4], 4: [3, 5]})
    assert list(compare(runs, "pools.capacity")["pools.capacity"]) == [2, 4]
    table = compare(runs, "pools.capacity", 4)
    assert list(table["pools.capacity"]) == [8, 2]
    assert list(table["difference"]) == [-2.5, -1]
    assert set(table["baseline"]) == {4}


def test_each_cell_of_the_other_fields_is_compared_by_itself() -> None:
    few, many = ({2: [1, 2], 4: [2, 3]}, {2: [10, 20], 4: [15, 35]})
    runs = pd.concat([runs_of(few, **{"queue.policy": "a"}), runs_of(many, **{"queue.policy": "b"})])
    table = compare(runs.sample(frac=1, random_state=1), "pools.capacity", 2).set_index("queue.policy")
    assert table["difference"].to_dict() == {"a": 1, "b": 10}


@pytest.mark.parametrize("preset", [[None, "qnet"], [math.nan, "qnet"], [math.nan, 3.0]])
def test_missing_values_of_swept_fields_are_values_too(preset: list[Any]) -> None:
    over_field = compare(runs_of({preset[1]: [1, 2], preset[0]: [5, 6]}, "preset"), "preset", math.nan)
    assert list(over_field["preset"]) == [preset[1]]
    assert list(over_field["difference"]) == [-4]
    first = compare(runs_of({preset[0]: [5, 6], preset[1]: [1, 2]}, "preset"), "preset")
    assert list(first["difference"]) == [-4]
    waits = ({2: [1, 2], 4: [2, 4]}, {2: [1, 2], 4: [3, 4]})
    cells = pd.concat([runs_of(some, preset=value) for some, value in zip(waits, preset, strict=True)])
    assert list(compare(cells, "pools.capacity")["difference"]) == [1.5, 2]


def test_a_pair_is_what_both_cells_have() -> None:
    runs = runs_of({2: [1, 2, 3, 4], 4: [2, 3, 9], 8: [7], 16: [math.nan, 4, 8]})
    table = compare(runs, "pools.capacity").set_index("pools.capacity")
    assert table["pairs"].to_dict() == {4: 3, 8: 1, 16: 2}
    assert table["baseline_mean"].to_dict() == {4: 2, 8: 1, 16: 2.5}
    assert table["difference"].to_dict() == {4: pytest.approx(8 / 3), 8: 6, 16: 3.5}
    assert table.loc[8, ["low", "high", "variance_ratio"]].isna().all()
    assert table["low"].notna().to_dict() == {4: True, 8: False, 16: True}


def test_failed_runs_and_other_seeds_are_no_pairs() -> None:
    runs = runs_of({2: [1, 2, 3], 4: [2, 3, 99]}).assign(failed=[False] * 5 + [True])
    assert compare(runs, "pools.capacity")["pairs"][0] == 2
    assert compare(runs, "pools.capacity")["difference"][0] == 1
    strangers = runs.assign(seed=range(6))
    with pytest.raises(QKDRMPError, match=r"no replication has pools\.capacity = 2 and another value, with all other"):
        compare(strangers, "pools.capacity", metrics=["wait_mean_s"])


def test_a_metric_without_any_value_cannot_be_compared_and_that_is_said() -> None:
    runs = runs_of({2: [1, 2], 4: [2, 3]}, "pools.capacity").assign(wait_mean_s=math.nan)
    with pytest.raises(QKDRMPError, match=r"^no run has a value of wait_mean_s, so there is nothing to compare$"):
        compare(runs, "pools.capacity", metrics=["wait_mean_s"])


def test_metrics_that_never_differ_are_left_out_unless_asked_for() -> None:
    runs = runs_of({2: [1, 2], 4: [2, 1]}).assign(requests_started=[7, 8, 7, 8], note="text", ok=True)
    assert list(compare(runs, "pools.capacity")["metric"]) == ["wait_mean_s"]  # mean 0, but they differ
    table = compare(runs, "pools.capacity", metrics=["requests_started", "wait_mean_s"])
    assert list(table["metric"]) == ["requests_started", "wait_mean_s"]
    assert table.loc[0, ["difference", "low", "high"]].tolist() == [0, 0, 0]
    assert table["variance_ratio"][0] == math.inf


def test_what_differs_by_rounding_only_does_not_differ() -> None:
    runs = runs_of({0.1: [1, 2], 0.1 * 3: [2, 1]}, "pools.interrupt_share").assign(fidelity_mean=[0.3, 0.7] * 2)
    runs.loc[2:, "fidelity_mean"] *= 1 + 2**-52
    table = compare(runs, "pools.interrupt_share", baseline=0.3)
    assert list(table["pools.interrupt_share"]) == [0.1]
    assert list(table["metric"]) == ["wait_mean_s"]


WRONG: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    "field": (lambda runs: compare(runs, "pools.capacty"), "no swept field 'pools.capacty' (did you mean 'pools.cap"),
    "a metric": (
        lambda runs: compare(runs, "wait_mean_s"),
        "no swept field 'wait_mean_s'; known are pools.cap",
    ),
    "baseline": (
        lambda runs: compare(runs, "pools.capacity", 3),
        "pools.capacity = 3 must be one of 2",
    ),
    "one value": (lambda runs: compare(runs, "duration_s"), "duration_s has fewer than two values in the runs"),
    "metrics": (lambda runs: compare(runs, "pools.capacity", metrics=["wait_s"]), "no metric 'wait_s' (did you mean '"),
    "twice": (lambda runs: compare(pd.concat([runs, runs]), "pools.capacity"), "the same replication twice in a cell"),
    "summary": (lambda runs: compare(runs.drop(columns="replication"), "pools.capacity"), "no column replication"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_comparison_is_refused(case: str) -> None:
    asked, words = WRONG[case]
    with pytest.raises(QKDRMPError) as caught:
        asked(runs_of({2: [1, 2], 4: [2, 1]}))
    assert words in str(caught.value)


# Times and shares


def test_the_quantiles_of_times() -> None:
    times = quantiles("wait", [float(time) for time in range(101)])
    assert times == {"wait_mean_s": 50, "wait_p50_s": 50, "wait_p95_s": 95, "wait_p99_s": 99}
    assert all(math.isnan(time) for time in quantiles("setup", []).values())


def test_jains_index_by_hand() -> None:
    assert jain([5, 5, 5]) == 1
    assert jain([1, 0, 0, 0]) == 0.25
    assert jain([1, 2, 3]) == pytest.approx(36 / (3 * 14))
    assert jain([1, math.nan, 2, 3]) == jain([1, 2, 3])
    assert math.isnan(jain([]))
    assert jain([0, 0]) == 1
    with pytest.raises(QKDRMPError, match="shares = -1 must be at least 0"):
        jain([1, -1])


@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=30), st.integers(-100, 100))
@example([5e-324, 5e-324], 0)
def test_jains_index_lies_between_one_share_and_all_and_has_no_unit(shares: list[float], power: int) -> None:
    index = jain(shares)
    assert 1 / len(shares) - 1e-9 <= index <= 1 + 1e-9
    if min(shares) > 1e-200 and max(shares) < 1e200:
        assert jain([share * 2.0**power for share in shares]) == pytest.approx(index)


# Warm-up


def test_a_steady_series_needs_no_truncation() -> None:
    assert mser5([0.1] * 100) == (0, False)
    noise = np.random.default_rng(1).normal(size=(200, 400))
    found = [mser5(series) for series in noise]
    assert np.mean([cut.observations for cut in found]) < 0.1 * 400
    assert np.mean([cut.too_short for cut in found]) < 0.05


@pytest.mark.parametrize("steps", [0, 1, 7, 19])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_step_is_found(steps: int, noise: float) -> None:
    luck = np.random.default_rng(2).normal(size=200)
    series = np.where(np.arange(200) < 5 * steps, 10.0, 0.1) + noise * luck
    cut = mser5(series)
    assert not cut.too_short
    assert 5 * steps <= cut.observations <= (5 * steps if not noise else 5 * steps + 25)


def test_the_truncation_is_the_least_of_the_standard_errors() -> None:
    series = np.exp(-np.arange(300) / 20) + np.random.default_rng(3).normal(size=300) / 10
    batches = series.reshape(60, 5).mean(axis=1)
    errors = [batches[left:].var() / (60 - left) for left in range(46)]  # var / n is sum of squares / n^2
    assert mser5(series).observations == 5 * int(np.argmin(errors)) > 0
    assert mser5([*series, 1e6, 1e6]) == mser5(series)  # no whole batch


@pytest.mark.parametrize("late", [0.5, 0.6, 0.7])
def test_a_series_that_settles_in_its_second_half_is_too_short(late: float) -> None:
    assert mser5(np.where(np.arange(200) < 200 * late, 1.0, 0.0)) == (100, True)


def test_a_ramp_never_settles() -> None:
    assert mser5(np.arange(200.0)) == mser5(-np.arange(200.0)) == (100, True)


def test_too_few_values_are_too_short() -> None:
    assert mser5([]) == (0, True)
    assert mser5([1.0] * 49) == (20, True)
    assert mser5([1.0] * 50) == (0, False)


def test_a_series_with_gaps_is_refused() -> None:
    with pytest.raises(QKDRMPError, match="missing or infinite observations"):
        mser5([1.0] * 60 + [math.nan])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 1.1], True),
        ([0.1 + 0.2, 0.3], False),
        ([-1e-12, 1e-12], True),
        ([2.0, math.nan, 2.0], False),
        ([math.nan], False),
    ],
)
def test_values_differ_if_it_is_not_by_rounding_only(values: list[float], expected: bool) -> None:
    assert differ(pd.Series(values)) is expected
