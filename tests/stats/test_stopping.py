import math

import numpy as np
import pytest

from qkdrmp import ScenarioError
from qkdrmp.stats.estimators import half_width
from qkdrmp.stats.stopping import LEAST, Precision

NAN = float("nan")


def test_narrow_enough_is_the_half_width_over_the_mean() -> None:
    values = [9.0, 10.0, 11.0]
    share = half_width(values) / 10
    assert Precision(share * 1.001, "x").is_reached(values)
    assert not Precision(share * 0.999, "x").is_reached(values)
    assert Precision(share * 1.001, "x").is_reached([-value for value in values])


@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0], [5.0, 5.0, NAN]])
def test_values_that_do_not_differ_are_enough(values: list[float]) -> None:
    assert Precision(0.01, "x").is_reached(values)


@pytest.mark.parametrize("values", [[1.0], [1.0, NAN], [-1.0, 1.0]])
def test_without_an_interval_or_with_a_mean_of_0_it_is_not_reached(values: list[float]) -> None:
    assert not Precision(0.5, "x").is_reached(values)


def test_the_next_round_is_what_the_interval_says_but_at_most_twice_as_many() -> None:
    values = list(np.random.default_rng(1).normal(100, 10, 20))
    share = half_width(values) / np.mean(values)
    assert Precision(share / 1.2, "x").wanted(values) == math.ceil(20 * 1.2**2)
    assert Precision(share / 100, "x").wanted(values) == 40
    assert Precision(share / 100, "x", max_replications=33).wanted(values) == 33
    assert Precision(share / 1.0001, "x").wanted(values) == 21
    assert Precision(share, "x", max_replications=10).wanted(values) == 20


def test_a_metric_that_is_never_known_gets_no_more_replications() -> None:
    assert Precision(0.1, "x").wanted([NAN] * 5) == 5


def test_there_are_at_least_five_replications_unless_fewer_are_allowed() -> None:
    assert Precision(0.1, "x").least == LEAST == 5
    assert Precision(0.1, "x", max_replications=3).least == 3


@pytest.mark.parametrize("share", [0, -1, math.inf, NAN, "5 %", None])
def test_a_wrong_share_is_refused(share: float) -> None:
    with pytest.raises(ScenarioError, match="must be a number above 0"):
        Precision(share, "x")


@pytest.mark.parametrize("count", [1, 2.5, "7"])
def test_a_wrong_number_of_replications_is_refused(count: int) -> None:
    with pytest.raises(ScenarioError, match="must be a whole number of at least 2"):
        Precision(0.1, "x", count)
