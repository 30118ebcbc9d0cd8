import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdrmp import ScenarioError, latin_hypercube
from qkdrmp.config.points import checked_grid, checked_points, combinations


def test_a_grid_is_all_combinations_the_last_field_fastest() -> None:
    grid = checked_grid({"a": [1, 2], "b": np.array([0.5, 1.5])})
    assert combinations(grid) == [{"a": 1, "b": 0.5}, {"a": 1, "b": 1.5}, {"a": 2, "b": 0.5}, {"a": 2, "b": 1.5}]
    assert combinations({}) == [{}]


@settings(deadline=None)
@given(points=st.integers(1, 60), seed=st.integers(0, 5))
def test_each_stratum_of_each_range_has_one_point(points: int, seed: int) -> None:
    ranges = {"x": (2.0, 10.0), "y": (1e-3, 1e3, "log"), "n": (5, 5 + points)}
    drawn = latin_hypercube(ranges, points, seed)
    assert len(drawn) == points
    strata = {
        "x": [int((point["x"] - 2) / 8 * points) for point in drawn],
        "y": [int((math.log10(point["y"]) + 3) / 6 * points) for point in drawn],
    }
    for numbers in strata.values():
        assert sorted(numbers) == list(range(points))


def test_a_range_of_as_many_whole_numbers_as_points_gives_each_once() -> None:
    assert sorted(point["n"] for point in latin_hypercube({"n": (5, 14)}, 10)) == list(range(5, 15))


@settings(deadline=None)
@given(points=st.integers(1, 50), choices=st.integers(1, 7))
def test_choices_are_as_even_as_they_can_be(points: int, choices: int) -> None:
    drawn = latin_hypercube({"policy": [f"p{number}" for number in range(choices)]}, points)
    counts = [sum(point["policy"] == f"p{number}" for point in drawn) for number in range(choices)]
    assert sum(counts) == points
    assert max(counts) - min(counts) <= 1


@settings(deadline=None)
@given(low=st.integers(1, 50), width=st.integers(1, 1000), points=st.integers(1, 100))
def test_whole_numbers_stay_in_their_range_also_in_the_logarithm(low: int, width: int, points: int) -> None:
    for values in ((low, low + width), (low, low + width, "log"), (low, low + width, "linear")):
        drawn = [point["n"] for point in latin_hypercube({"n": values}, points)]
        assert all(isinstance(value, int) and low <= value <= low + width for value in drawn)


def test_a_design_has_a_seed_of_its_own() -> None:
    ranges = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
    assert latin_hypercube(ranges, 9, seed=4) == latin_hypercube(ranges, 9, seed=4)
    assert latin_hypercube(ranges, 9, seed=4) != latin_hypercube(ranges, 9, seed=5)


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "order": ({"x": (3, 2)}, 5, "x = (3, 2) must be a range whose low end is below"),
    "one end": ({"x": (3,)}, 5, "x = (3,) must be a range, (low, high)"),
    "scale": ({"x": (1, 2, "cubic")}, 5, "must be a range, (low, high)"),
    "text": ({"x": ("a", "b")}, 5, "must be a range, (low, high)"),
    "log of 0": ({"x": (0, 2, "log")}, 5, "must be above 0, because its scale is logarithmic"),
    "infinite": ({"x": (0, math.inf)}, 5, "must be a range whose low end is below"),
    "empty list": ({"x": []}, 5, "x = [] must have at least one value"),
    "points": ({"x": (1, 2)}, 0, "latin_hypercube: points = 0 must be a whole number of at least 1"),
    "field": ({"name": ["a", "b"]}, 3, "name cannot be swept"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_latin_hypercube_is_refused(case: str) -> None:
    over, points, words = WRONG[case]
    with pytest.raises(ScenarioError) as caught:
        latin_hypercube(over, points)
    assert words in str(caught.value)


WRONG_POINTS: dict[str, tuple[Any, str]] = {
    "none": ([], "points = [] must have at least one entry"),
    "text": ("pools.capacity", "point 1 = 'pools.capacity' must be a table"),
    "number": ([{"x": 1}, 3], "point 2 = 3 must be a table"),
    "twice": ([{"x": 1}, {"x": 2}, {"x": 1.0}], "point 3 = {'x': 1.0} must differ from point 1"),
    "lambdas": ([{"x": lambda: 1}, {"x": lambda: 2}], "x has two values called '<lambda>'"),
    "field": ([{"sweep.seed": 1}], "sweep.seed cannot be swept"),
}


@pytest.mark.parametrize("case", WRONG_POINTS)
def test_wrong_points_are_refused(case: str) -> None:
    points, words = WRONG_POINTS[case]
    with pytest.raises(ScenarioError) as caught:
        checked_points(points)
    assert words in str(caught.value)
