import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qkdrmp import load_scenario, summarise, sweep
from qkdrmp.statistics import half_width


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


def test_a_summary_has_one_row_a_cell_and_three_columns_a_figure() -> None:
    table = summarise(RUNS, ["pools.capacity", "duration_s"])
    figures = [f"{name}_{end}" for name in ("requests_delivered", "wait_mean_s") for end in ("mean", "low", "high")]
    assert list(table.columns) == ["pools.capacity", "duration_s", "replications", *figures]
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
    runs = sweep(load_scenario("line").replace({"duration_s": 0.5, "warmup_s": 0}), replications=3, progress=False)
    table = summarise(runs, ["pools.capacity"])
    cell = runs[runs["pools.capacity"] == 8]["messages"]
    row = table.set_index("pools.capacity").loc[8]
    assert row["messages_mean"] == cell.mean()
    assert row["messages_high"] - row["messages_low"] == pytest.approx(2 * half_width(cell))
    assert row["replications"] == 3
