"""The published experiment: requests processed versus key pool capacity on the Beijing network (figure 3(a))."""

import pandas as pd
import pytest

import qkdrmp
from qkdrmp.sweeps.sweep import processes, sweep

CAPACITIES = [20, 30, 40, 50, 60, 70, 80]
REPLICATIONS = [10, pytest.param(20, marks=pytest.mark.slow)]
# Read off the published picture; several runs averaged.
PUBLISHED = pd.DataFrame(
    {
        0.1: [10, 13, 55, 54, 54, 55, 54],
        0.2: [18, 22, 106, 106, 109, 113, 109],
        0.3: [19, 29, 162, 168, 160, 164, 164],
        0.4: [20, 28, 217, 217, 228, 214, 217],
        0.5: [20, 45, 265, 267, 271, 269, 267],
        0.6: [28, 29, 300, 324, 339, 326, 331],
    },
    index=CAPACITIES,
)


@pytest.fixture(scope="module")
def scenario():
    return qkdrmp.load_scenario("beijing_figure3")


@pytest.fixture(scope="module")
def executor():
    with processes() as pool:
        yield pool


@pytest.fixture(scope="module", params=REPLICATIONS)
def runs(request, scenario, executor):
    return sweep(scenario, replications=request.param, executor=executor, progress=False)


@pytest.fixture(scope="module")
def means(runs):
    return runs.pivot_table(index="pools.capacity", columns="duration_s", values="requests_delivered")


def delivered(scenario, executor, **changes):
    made = sweep(scenario.replace(changes), over={}, replications=8, executor=executor, progress=False)
    return made["requests_delivered"].mean()


def test_the_plateau_is_the_published_one(means):
    deviation = (means / PUBLISHED - 1).loc[40:].abs()
    assert deviation.max().max() < 0.15
    assert deviation.mean().mean() < 0.06


def test_stuck_capacities_are_low_as_published(means):
    difference = (means - PUBLISHED).loc[:30].abs()
    assert difference[[0.1, 0.2, 0.3, 0.4]].max().max() < 15
    assert difference[[0.5, 0.6]].max().max() < 25


def test_stuck_capacities_fall_behind_the_plateau_more_and_more(means):
    share = means.loc[:30] / means.loc[40:].mean()
    assert (share.max() < pd.Series({0.1: 0.40, 0.2: 0.27, 0.3: 0.20, 0.4: 0.17, 0.5: 0.17, 0.6: 0.17})).all()


def test_runs_count_stuck_pools_where_they_are_predicted(scenario, runs):
    sized = {capacity: scenario.replace({"pools.capacity": capacity}) for capacity in CAPACITIES}
    predicted = {capacity: bool(qkdrmp.predict(changed)) for capacity, changed in sized.items()}
    assert predicted == {20: True, 30: True, 40: False, 50: False, 60: False, 70: False, 80: False}
    found = runs.groupby("pools.capacity")["stuck_pools"].max() > 0
    assert found.to_dict() == predicted


def test_a_run_names_its_stuck_pools(scenario):
    with pytest.warns(qkdrmp.StuckPoolWarning, match=r"key pools are stuck .*TR\d+>TR\d+"):
        results = qkdrmp.simulate(scenario.replace({"pools.capacity": 20}), seed=1)
    stuck = results.pools[results.pools["stuck"]]
    assert len(stuck) == results.summary["stuck_pools"] > 0
    assert (stuck["level_end"] == 10).all()
    assert (stuck["stuck_s"] > 0).all()


@pytest.mark.parametrize("capacity", [13, 26, 39])
def test_smaller_capacities_that_do_not_stick_are_as_good_as_large_ones(scenario, executor, capacity):
    assert delivered(scenario, executor, **{"pools.capacity": capacity, "duration_s": 0.3}) > 150


def test_capacity_14_sticks(scenario, executor):
    assert delivered(scenario, executor, **{"pools.capacity": 14, "duration_s": 0.3}) < 45


def test_without_a_reserve_capacity_10_works_and_14_sticks(scenario, executor):
    changes = {"pools.reserve": 0, "duration_s": 0.3}
    assert delivered(scenario, executor, **changes, **{"pools.capacity": 10}) > 150
    assert delivered(scenario, executor, **changes, **{"pools.capacity": 14}) < 45


@pytest.mark.parametrize(
    ("replenish", "capacities", "duration_s"),
    [
        ("demand", [20, 40, 80], 0.3),
        ("continuous", [20, 80], 0.3),
        pytest.param("demand", CAPACITIES, 0.6, marks=pytest.mark.slow),
        pytest.param("continuous", CAPACITIES, 0.6, marks=pytest.mark.slow),
    ],
)
def test_the_right_defaults_never_stick_and_small_pools_do_as_well(
    scenario, executor, replenish, capacities, duration_s
):
    right = scenario.replace({"preset": None, "pools.replenish": replenish, "duration_s": duration_s})
    made = sweep(right, over={"pools.capacity": capacities}, replications=20, executor=executor, progress=False)
    mean = made.groupby("pools.capacity")["requests_delivered"].mean()
    assert made["stuck_pools"].max() == 0
    assert made["mismatched_keys"].max() == 0
    assert mean.max() / mean.min() < 1.03


def mismatched(scenario, executor, replications, seconds_per_key, **changes):
    slow = scenario.replace(
        {
            "pools.mirrors": "head",
            "key_rate": {"model": "constant", "rate_bps": 32 / seconds_per_key},
            **changes,
        }
    )
    made = sweep(slow, over={}, replications=replications, executor=executor, progress=False)
    return made["mismatched_requests"].sum() / made["requests_delivered"].sum()


@pytest.mark.parametrize("replications", REPLICATIONS)
def test_the_instrument_sees_the_wrong_keys_of_unsynchronised_copies(scenario, executor, replications):
    # With QNET's routes (many of which end at a wrong user) fewer requests share a pool and fewer go wrong.
    assert 0.05 < mismatched(scenario, executor, replications, 1e-3) < 0.15
    assert 0.001 < mismatched(scenario, executor, replications, 0.08e-3) < 0.01
    # With routes through repeaters only:
    routes = {"routing.policy": "through-repeaters"}
    assert 0.10 < mismatched(scenario, executor, replications, 1e-3, **routes) < 0.25
    assert 0.004 < mismatched(scenario, executor, replications, 0.08e-3, **routes) < 0.04
