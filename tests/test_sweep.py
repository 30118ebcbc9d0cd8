import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import qkdrmp
from qkdrmp import Scenario, ScenarioError, SweepFailed, SweepInterrupted, load_scenario, simulate, sweep
from qkdrmp.key_rates import BB84Sifted, Constant
from qkdrmp.qkd.request import KeyRequest
from qkdrmp.qkd.tables import SUMMARY_COLUMNS
from qkdrmp.sweep import Sweep, processes


class Here(Executor):
    """Runs everything at once in this process; after `left` tasks somebody presses Ctrl-C."""

    def __init__(self, left: int | None = None) -> None:
        self.left = left

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.left == 0:
            future.set_exception(KeyboardInterrupt())
            return future
        if self.left is not None:
            self.left -= 1
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def runs_of(scenario: Scenario, over: Any = None, **more: Any) -> pd.DataFrame:
    return sweep(scenario, over, **{"executor": Here(), "progress": False, "replications": 2, **more})


def last_come(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    return waiting[::-1]


def broken(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    raise ZeroDivisionError("a policy has gone wrong")


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_scenario("line").replace({"duration_s": 0.6, "warmup_s": 0})


@pytest.fixture(scope="module")
def workers() -> Iterator[Executor]:
    with processes(2) as executor:
        yield executor


# The table


def test_the_columns_are_the_swept_fields_the_run_and_its_figures(scenario: Scenario) -> None:
    runs = runs_of(scenario, {"queue.policy": ["fcfs"], "pools.capacity": [4, 8]})
    expected = ["queue.policy", "pools.capacity", "duration_s", "replication", "seed", *SUMMARY_COLUMNS]
    assert list(runs.columns) == expected
    assert list(runs["pools.capacity"]) == [4, 4, 8, 8]
    assert list(runs["replication"]) == [0, 1, 0, 1]
    assert set(runs["duration_s"]) == {0.6}
    assert list(runs.index) == [0, 1, 2, 3]
    assert all(runs[name].dtype.kind in "if" for name in expected[1:])


def test_the_scenario_says_what_to_sweep_unless_it_is_told(scenario: Scenario) -> None:
    plan = Sweep(scenario)
    assert plan.over == {"pools.capacity": [2, 4, 6, 8, 12, 16]}
    assert (plan.replications, plan.planned) == (10, 60)
    assert Sweep(scenario, {}, replications=3).planned == 3


def test_the_grid_is_all_combinations(scenario: Scenario) -> None:
    over = {"duration_s": [0.3, 0.1], "pools.capacity": [4, 2], "queue.capacity": [1, 3]}
    plan = Sweep(scenario, over, replications=2)
    assert plan.planned == 2 * 2 * 2 * 2
    assert len(plan.tasks) == 2 * 2 * 2
    assert plan.tasks[0].durations_s == (0.1, 0.3)
    runs, timings = plan.run(Here(), progress=False)
    assert len(runs) == plan.planned
    assert len(timings) == len(plan.tasks)
    assert list(timings.columns) == [*over, "replication", "seed", "wall_s"]
    assert (timings["wall_s"] > 0).all()
    cells = runs.groupby(list(over)).size()
    assert list(cells) == [2] * 8


def test_a_seed_repeats_a_sweep_and_another_does_not(scenario: Scenario) -> None:
    first, again, other = (runs_of(scenario, {}, seed=seed) for seed in (5, 5, 6))
    assert_frame_equal(first, again, check_exact=True)
    assert set(first["seed"]).isdisjoint(other["seed"])


# Durations


@pytest.mark.parametrize("name", ["line", "beijing_figure3"])
@pytest.mark.parametrize("warmup_s", [0.0, 0.07])
def test_durations_read_off_are_separate_runs_bit_for_bit(name: str, warmup_s: float) -> None:
    changes = {"warmup_s": warmup_s}
    if name == "line":
        changes |= {"demand.rate_per_s": 80, "demand.patience_s": 0.02}
    scenario = load_scenario(name).replace(changes)
    durations = [0.1, 0.15, 0.3, 0.4]
    together = runs_of(scenario, {"pools.capacity": [20, 40], "duration_s": durations})
    separate = [
        runs_of(scenario.replace({"duration_s": duration}), {"pools.capacity": [20, 40]}) for duration in durations
    ]
    order = ["pools.capacity", "replication", "duration_s"]
    expected = pd.concat(separate).sort_values(order).reset_index(drop=True)
    assert_frame_equal(together.sort_values(order).reset_index(drop=True), expected, check_exact=True)


# Executors


def test_every_executor_gives_the_same_table(scenario: Scenario, workers: Executor) -> None:
    over = {"pools.capacity": [2, 8], "duration_s": [0.1, 0.3]}
    expected = runs_of(scenario, over, replications=3)
    with processes(1) as one, ThreadPoolExecutor(3) as threads, ProcessPoolExecutor(2) as forked:
        for executor in (workers, one, threads, forked):
            assert_frame_equal(runs_of(scenario, over, replications=3, executor=executor), expected, check_exact=True)


def test_no_executor_is_all_cores(scenario: Scenario) -> None:
    runs = sweep(scenario, {"pools.capacity": [8]}, replications=2, progress=False)
    assert_frame_equal(runs, runs_of(scenario, {"pools.capacity": [8]}), check_exact=True)


def test_the_progress_bar_counts_runs(scenario: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    runs_of(scenario, {"duration_s": [0.1, 0.2, 0.3]}, progress=True)
    assert "6/6" in capsys.readouterr().err


# Common random numbers


def test_a_row_is_a_run_that_simulate_repeats(scenario: Scenario) -> None:
    runs = runs_of(scenario, {"pools.capacity": [2, 8], "duration_s": [0.2, 0.6]})
    for _, row in runs.iterrows():
        changes = {"pools.capacity": int(row["pools.capacity"]), "duration_s": row["duration_s"]}
        summary = simulate(scenario.replace(changes), seed=int(row["seed"])).summary
        for name in SUMMARY_COLUMNS:
            assert summary[name] == row[name] or (pd.isna(summary[name]) and pd.isna(row[name]))


def test_cells_share_their_random_numbers(scenario: Scenario) -> None:
    runs = runs_of(scenario, {"pools.capacity": [2, 8], "queue.policy": ["fcfs", "priority"]})
    assert (runs.groupby("replication")["seed"].nunique() == 1).all()
    assert (runs.groupby("replication")["requests_started"].nunique() == 1).all()


def test_another_value_or_replication_leaves_the_other_rows_as_they_were(scenario: Scenario) -> None:
    few = runs_of(scenario, {"pools.capacity": [2, 8]})
    many = runs_of(scenario, {"pools.capacity": [6, 8, 2]}, replications=3)
    kept = many[(many["pools.capacity"] != 6) & (many["replication"] < 2)]
    order = ["pools.capacity", "replication"]
    assert_frame_equal(kept.sort_values(order).reset_index(drop=True), few, check_exact=True)


# What can be swept


def test_policies_by_name_and_by_function(scenario: Scenario, workers: Executor) -> None:
    busy = scenario.replace({"demand.rate_per_s": 60})
    policies = ["fcfs", last_come, lambda waiting, now: waiting]
    runs = runs_of(busy, {"queue.policy": policies}, executor=workers)
    assert list(dict.fromkeys(runs["queue.policy"])) == ["fcfs", "last_come", "<lambda>"]
    figures = runs.set_index("queue.policy").drop(columns=["replication", "seed"])
    assert_frame_equal(figures.loc["fcfs"].reset_index(drop=True), figures.loc["<lambda>"].reset_index(drop=True))
    assert list(figures.loc["fcfs", "wait_p95_s"]) != list(figures.loc["last_come", "wait_p95_s"])


def test_key_rate_models_by_name_and_by_object(workers: Executor) -> None:
    scenario = Scenario.from_mapping({"topology": "line", "duration_s": 0.2})
    models = ["bb84-sifted", BB84Sifted(mean_photons=0.1), Constant(1e5)]
    runs = runs_of(scenario, {"key_rate.model": models}, executor=workers)
    assert list(runs["key_rate.model"])[::2] == ["bb84-sifted", str(models[1]), "Constant(rate_bps=100000.0)"]
    assert runs.groupby("key_rate.model")["wait_mean_s"].mean().nunique() == 3


def test_topologies_presets_and_whole_sections() -> None:
    scenario = Scenario.from_mapping({"topology": "line", "duration_s": 0.05})
    over = {
        "topology": ["line", "beijing_qman"],
        "preset": [None, "qnet"],
        "pools.replenish": ["threshold", "continuous"],
        "key_rate": [{"model": "constant", "rate_bps": 1e6}, {"model": "bb84-sifted"}],
    }
    runs = runs_of(scenario, over, replications=1)
    assert len(runs) == 16
    assert len(runs.drop_duplicates(list(over))) == 16


def test_values_of_numpy_are_numbers(scenario: Scenario) -> None:
    runs = runs_of(scenario, {"pools.capacity": np.arange(2, 9, 6), "duration_s": np.linspace(0.1, 0.2, 2)})
    assert runs["pools.capacity"].dtype == np.int64
    assert sorted(set(runs["pools.capacity"])) == [2, 8]
    assert_frame_equal(runs, runs_of(scenario, {"pools.capacity": range(2, 9, 6), "duration_s": (0.1, 0.2)}))


def test_an_object_is_called_by_its_class_and_never_by_its_address(scenario: Scenario) -> None:
    class Nobody:
        def processes(self, workload: Any, sources: Sequence[str]) -> list[Any]:
            return []

    runs = runs_of(scenario, {"demand": [{"model": Nobody()}], "demand.model": [Nobody()]})
    assert set(runs["demand.model"]) == {"Nobody"}
    assert (runs["requests_started"] == 0).all()
    assert runs["wait_mean_s"].isna().all()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "field": ({"over": {"pools.capacty": [3]}}, "unknown field 'pools.capacty' (did you mean 'capacity'?)"),
    "value": ({"over": {"pools.capacity": [3, -3]}}, "line: pools.capacity = -3 must be at least 1"),
    "text": ({"over": {"pools.capacity": ["3"]}}, "pools.capacity = '3' must be a whole number"),
    "combination": ({"over": {"pools.interrupt": [9], "pools.capacity": [20, 8]}}, "interrupt = 9 must be less"),
    "duration": ({"over": {"duration_s": [1, -1]}}, "duration_s = -1 must be greater than 0"),
    "durations of two sorts": ({"over": {"duration_s": [1, "a"]}}, "duration_s = 'a' must be a number"),
    "empty": ({"over": {"pools.capacity": []}}, "pools.capacity needs at least one value"),
    "no list": ({"over": {"pools.capacity": 3}}, "sweep.over: pools.capacity = 3 must be a list"),
    "a word": ({"over": {"queue.policy": "fcfs"}}, "sweep.over: queue.policy = 'fcfs' must be a list"),
    "twice": ({"over": {"pools.capacity": [3, 3]}}, "pools.capacity has two values called 3"),
    "twice, as numbers": ({"over": {"duration_s": [1, 1.0]}}, "duration_s has two values called 1.0"),
    "two lambdas": ({"over": {"queue.policy": [lambda w, n: w, lambda w, n: w[::-1]]}}, "two values called '<lambda>'"),
    "no part of a run": ({"over": {"sweep.replications": [1, 2]}}, "sweep.replications cannot be swept"),
    "seed in the grid": ({"over": {"seed": [1, 2]}}, "unknown field 'seed'"),
    "no replications": ({"replications": 0}, "replications = 0 must be a whole number, 1 or more"),
    "half a replication": ({"replications": 1.5}, "replications = 1.5 must be a whole number"),
    "seed": ({"seed": -1}, "seed = -1 must be a whole number, 0 or more"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_sweep_is_refused_before_anything_runs(case: str, scenario: Scenario) -> None:
    arguments, words = WRONG[case]
    with pytest.raises(ScenarioError) as caught:
        Sweep(scenario, **arguments)
    assert words in str(caught.value)


# When something goes wrong on the way


def test_an_interrupted_sweep_keeps_what_was_finished(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["qkdrmp.sweep"], "as_completed", list)  # in the order of the grid
    over = {"pools.capacity": [2, 4, 8], "duration_s": [0.1, 0.2]}
    whole = runs_of(scenario, over)
    with pytest.raises(SweepInterrupted, match="the sweep was interrupted after 6 of 12 runs") as caught:
        runs_of(scenario, over, executor=Here(left=3))
    assert len(caught.value.timings) == 3
    assert_frame_equal(caught.value.runs, whole.head(6), check_exact=True)


def test_a_sweep_interrupted_at_once_has_nothing(scenario: Scenario) -> None:
    with pytest.raises(SweepInterrupted, match="after 0 of 120 runs") as caught:
        runs_of(scenario, {"duration_s": [0.1, 0.2], "pools.capacity": range(2, 8)}, replications=10, executor=Here(0))
    assert caught.value.runs.empty


def test_an_error_in_a_worker_says_which_run_it_was(scenario: Scenario, workers: Executor) -> None:
    words = r"^line: the run with queue\.policy = broken, duration_s = 0\.6, seed \d+, failed: ZeroDivision"
    for executor in (workers, Here()):
        with pytest.raises(SweepFailed, match=words) as caught:
            runs_of(scenario.replace({"demand.rate_per_s": 100}), {"queue.policy": [broken]}, executor=executor)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_the_workers_can_be_used_again_after_an_error(scenario: Scenario, workers: Executor) -> None:
    assert len(runs_of(scenario, {}, executor=workers)) == 2


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None])
def test_a_run_has_a_whole_seed(scenario: Scenario, seed: Any) -> None:
    with pytest.raises(qkdrmp.QKDRMPError, match="must be a whole number, 0 or more"):
        simulate(scenario, seed)


def test_a_name_is_no_scenario() -> None:
    with pytest.raises(qkdrmp.QKDRMPError, match="'line' is not a scenario: give what load_scenario returns"):
        simulate("line")  # type: ignore[arg-type]
