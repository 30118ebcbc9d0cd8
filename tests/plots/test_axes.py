"""Which swept field goes where, the same for figures and for reports."""

import itertools
import math
from typing import Any

import pandas as pd
import pytest

from qkdrmp.plots.axes import SweepAxes, along, cells, is_grid, is_scattered, value_range, varied
from qkdrmp.plots.canvas import COLOURS

NAN = math.nan


def table(replications: int = 2, **columns: list[Any]) -> pd.DataFrame:
    """Runs at all combinations of some values; a dot in a name is written __, and the metric m counts the runs."""
    names = [name.replace("__", ".") for name in columns]
    rows = [
        dict(zip(names, point, strict=True)) | {"replication": number}
        for point in itertools.product(*columns.values())
        for number in range(replications)
    ]
    return pd.DataFrame(rows).assign(m=range(len(rows)))


def points(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame([(*row, 0) for row in rows], columns=["a", "b", "replication"]).assign(m=1.0)


@pytest.mark.parametrize(
    ("columns", "x"),
    [
        ({"policy": ["p", "q"], "size": [1, 2, 3]}, "size"),
        ({"size": [1, 2], "policy": ["p", "q"]}, "policy"),
        ({"size": [1, 2], "time": [0.1, 0.2]}, "size"),
        ({"policy": ["p"], "size": [2]}, "policy"),
    ],
)
def test_the_first_scale_of_three_numbers_goes_along_x_or_else_names(columns: dict[str, list[Any]], x: str) -> None:
    runs = table(**columns)
    assert along(runs) == SweepAxes.of(runs).x == x


def test_each_combination_of_the_others_is_a_line_in_the_order_of_their_values() -> None:
    sweep = SweepAxes.of(table(size=[1, 2, 3], policy=["q", "p"], time=[0.2, 0.1]))
    assert sweep.others == ("policy", "time")
    assert [name for name, _ in sweep.groups] == ["q, 0.1", "q, 0.2", "p, 0.1", "p, 0.2"]


def test_a_field_with_one_value_sets_no_lines_apart() -> None:
    runs = table(size=[1, 2, 3], time=[1.0])
    assert varied(runs) == ["size"]
    sweep = SweepAxes.of(runs)
    assert (sweep.others, [name for name, _ in sweep.groups]) == ((), [""])


def test_missing_values_and_names_keep_their_order_along_x() -> None:
    sweep = SweepAxes.of(table(size=[None, 2, 1]))
    assert not sweep.is_scale
    assert sweep.names == ["none", "2", "1"]
    assert SweepAxes.of(table(size=[4, 2, 1])).names == ["1", "2", "4"]


def test_points_are_means_with_their_intervals() -> None:
    runs = table(3, size=[8, 2, 4]).assign(m=[1.0, 2.0, 3.0, 4.0, 4.0, NAN, NAN, NAN, NAN])
    (line,) = SweepAxes.of(runs).lines("m", scale=10)
    assert list(line.points["x"]) == [2, 4, 8]
    assert line.points["mean"].tolist()[::2] == [40, 20]
    assert line.points["half"].tolist()[::2] == pytest.approx([0, 10 * 4.302653 / math.sqrt(3)])
    assert line.points.iloc[1][["mean", "half"]].isna().all()


def test_every_point_of_a_design_that_is_no_grid_is_drawn_in_one_colour() -> None:
    runs = points((1, 5), (2, 3), (1, 4))
    assert is_scattered(runs, "a")
    sweep = SweepAxes.of(runs, "a")
    (line,) = sweep.lines("m")
    assert sweep.is_scattered
    assert sorted(line.points["x"]) == [1, 1, 2]


def test_a_grid_has_two_scales_of_three_numbers_and_nothing_else() -> None:
    assert is_grid(table(size=[1, 2, 3], time=[1, 2, 3], other=["same"]))
    assert not is_grid(table(size=[1, 2, 3], time=[1, 2]))
    assert not is_grid(table(size=[1, 2, 3], time=[1, 2, 3], policy=["p", "q"]))
    assert not is_grid(points((1, 5), (2, 3), (3, 4)))


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [([1, 10, 50], True), ([1, 10, 49], False), ([0, 1, 100], False), (["1", "100"], False)],
)
def test_values_over_orders_of_magnitude_are_logarithmic(values: list[Any], logarithmic: bool) -> None:
    assert SweepAxes.of(table(size=values)).is_logarithmic is logarithmic


@pytest.mark.parametrize(
    ("others", "has_order"),
    [([1, 2], True), (["p", "q"], False), ([str(number) for number in range(11)], True), ([1], False)],
)
def test_colours_show_an_order_where_there_is_one(others: list[Any], has_order: bool) -> None:
    sweep = SweepAxes.of(table(size=[1, 2, 3], other=others))
    assert sweep.has_order is has_order
    assert len(set(sweep.colours)) == len(others)
    assert (sweep.colours == COLOURS[: len(others)]) is not has_order


def test_cells_come_with_numbers_rising_and_names_as_in_the_table() -> None:
    runs = table(policy=["q", "p"], size=[3, None, 1])
    assert [tuple(cell.values()) for cell, _ in cells(runs.dropna(), ["policy", "size"])] == [
        ("q", 1),
        ("q", 3),
        ("p", 1),
        ("p", 3),
    ]
    assert sum(len(group) for _, group in cells(runs, ["size"])) == len(runs)
    assert [cell for cell, _ in cells(runs, [])] == [{}]


@pytest.mark.parametrize(
    ("low", "high", "mean", "ends"),
    [
        (1.0, 10.0, 2.0, (0, 10)),  # zero is near
        (8.0, 10.0, 9.0, (8, 10)),  # it would hide the differences
        (-1.0, 10.0, 2.0, (0, 10)),  # only an interval is below zero
        (-3.0, 10.0, -1.0, (-3, 10)),  # a mean is
        (4.0, 4.0, 4.0, (0, 6)),
        (-4.0, -4.0, -4.0, (-6, 0)),
        (0.0, 0.0, 0.0, (0, 1)),
    ],
)
def test_an_axis_of_values_begins_at_zero_unless_that_hides_the_differences(
    low: float, high: float, mean: float, ends: tuple[float, float]
) -> None:
    assert value_range(low, high, mean) == ends
