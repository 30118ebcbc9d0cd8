import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import qkdrmp
from qkdrmp import (
    Scenario,
    ScenarioError,
    StoreError,
    SweepFailed,
    SweepInterrupted,
    SweepWarning,
    latin_hypercube,
    load_scenario,
    simulate,
    sweep,
)
from qkdrmp.key_rates import BB84Sifted, Constant
from qkdrmp.qkd.family import QKD
from qkdrmp.qkd.request import KeyRequest
from qkdrmp.scenario_file import make_scenario
from qkdrmp.stats.estimators import half_width
from qkdrmp.sweeps.fingerprint import model_version
from qkdrmp.sweeps.plan import Plan
from qkdrmp.sweeps.store import Store
from qkdrmp.sweeps.sweep import carry_out
from qkdrmp.sweeps.workers import processes

METRIC_NAMES = [metric.name for metric in QKD.metrics]


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


def test_the_columns_are_the_swept_fields_the_run_and_its_metrics(scenario: Scenario) -> None:
    runs = runs_of(scenario, {"queue.policy": ["fcfs"], "pools.capacity": [4, 8]})
    expected = ["queue.policy", "pools.capacity", "duration_s", "replication", "seed", "failed", *METRIC_NAMES]
    assert list(runs.columns) == expected
    assert list(runs["pools.capacity"]) == [4, 4, 8, 8]
    assert list(runs["replication"]) == [0, 1, 0, 1]
    assert set(runs["duration_s"]) == {0.6}
    assert list(runs.index) == [0, 1, 2, 3]
    assert all(runs[name].dtype.kind in "ifb" for name in expected[1:])


def test_the_scenario_says_what_to_sweep_by_default(scenario: Scenario) -> None:
    plan = Plan(scenario)
    assert plan.grid == {"pools.capacity": [2, 4, 6, 8, 12, 16]}
    assert (plan.replications, plan.planned) == (10, 60)
    assert Plan(scenario, {}, replications=3).planned == 3


def test_the_grid_is_all_combinations(scenario: Scenario) -> None:
    over = {"duration_s": [0.3, 0.1], "pools.capacity": [4, 2], "queue.capacity": [1, 3]}
    plan = Plan(scenario, over, replications=2)
    assert plan.planned == 2 * 2 * 2 * 2
    assert len(plan.cells) == 2 * 2
    assert plan.cells[0].durations_s == (0.1, 0.3)
    found = carry_out(plan, executor=Here(), progress=False)
    runs, timings = found.runs, found.timings
    assert len(runs) == plan.planned
    assert len(timings) == 2 * 2 * 2
    assert list(timings.columns) == [*over, "replication", "seed", "wall_s"]
    assert (timings["wall_s"] > 0).all()
    cells = runs.groupby(list(over)).size()
    assert list(cells) == [2] * 8


def test_durations_of_the_same_tick_are_the_same(scenario: Scenario) -> None:
    plan = Plan(scenario, {"duration_s": [0.1, 0.2, 0.3, 0.1 * 3]})
    assert [cell.durations_s for cell in plan.cells] == [(0.1, 0.2, 0.3)]


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


def test_the_progress_bar_counts_runs(
    scenario: Scenario, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qkdrmp.sweeps.progress.is_watched", lambda: True)
    runs_of(scenario, {"duration_s": [0.1, 0.2, 0.3]}, progress=True)
    assert "6/6" in capsys.readouterr().err


# Common random numbers


def test_a_row_is_a_run_that_simulate_repeats(scenario: Scenario) -> None:
    runs = runs_of(scenario, {"pools.capacity": [2, 8], "duration_s": [0.2, 0.6]})
    for _, row in runs.iterrows():
        changes = {"pools.capacity": int(row["pools.capacity"]), "duration_s": row["duration_s"]}
        summary = simulate(scenario.replace(changes), seed=int(row["seed"])).summary
        for name in METRIC_NAMES:
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
    metrics = runs.set_index("queue.policy").drop(columns=["replication", "seed"])
    assert_frame_equal(metrics.loc["fcfs"].reset_index(drop=True), metrics.loc["<lambda>"].reset_index(drop=True))
    assert list(metrics.loc["fcfs", "wait_p95_s"]) != list(metrics.loc["last_come", "wait_p95_s"])


def test_key_rate_models_by_name_and_by_object(workers: Executor) -> None:
    scenario = make_scenario({"topology": "line", "duration_s": 0.2})
    models = ["bb84-sifted", BB84Sifted(mean_photons=0.1), Constant(1e5)]
    runs = runs_of(scenario, {"key_rate.model": models}, executor=workers)
    assert list(runs["key_rate.model"])[::2] == ["bb84-sifted", str(models[1]), "Constant(rate_bps=100000.0)"]
    assert runs.groupby("key_rate.model")["wait_mean_s"].mean().nunique() == 3


def test_topologies_presets_and_whole_sections() -> None:
    scenario = make_scenario({"topology": "line", "duration_s": 0.05})
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
    "field": ({"over": {"pools.capacty": [3]}}, "pools: unknown field 'capacty' (did you mean 'capacity'?)"),
    "value": ({"over": {"pools.capacity": [3, -3]}}, "line: pools.capacity = -3 must be at least 1"),
    "text": ({"over": {"pools.capacity": ["3"]}}, "pools.capacity = '3' must be a whole number"),
    "combination": ({"over": {"pools.interrupt": [9], "pools.capacity": [20, 8]}}, "interrupt = 9 must be less"),
    "duration": ({"over": {"duration_s": [1, -1]}}, "duration_s = -1 must be greater than 0"),
    "durations of two sorts": ({"over": {"duration_s": [1, "a"]}}, "duration_s = 'a' must be a number"),
    "empty": ({"over": {"pools.capacity": []}}, "pools.capacity = [] must have at least one value"),
    "no list": ({"over": {"pools.capacity": 3}}, "sweep.over: pools.capacity = 3 must be a list"),
    "a word": ({"over": {"queue.policy": "fcfs"}}, "sweep.over: queue.policy = 'fcfs' must be a list"),
    "twice": ({"over": {"pools.capacity": [3, 3]}}, "pools.capacity has two values called 3"),
    "twice, as numbers": ({"over": {"duration_s": [1, 1.0]}}, "duration_s has two values called 1.0"),
    "two lambdas": ({"over": {"queue.policy": [lambda w, n: w, lambda w, n: w[::-1]]}}, "two values called '<lambda>'"),
    "no part of a run": ({"over": {"sweep.replications": [1, 2]}}, "sweep.replications cannot be swept"),
    "seed in the grid": ({"over": {"seed": [1, 2]}}, "unknown field 'seed'"),
    "no replications": ({"replications": 0}, "replications = 0 must be a whole number of at least 1"),
    "half a replication": ({"replications": 1.5}, "replications = 1.5 must be a whole number"),
    "seed": ({"seed": -1}, "seed = -1 must be a whole number"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_sweep_is_refused_before_anything_runs(case: str, scenario: Scenario) -> None:
    arguments, words = WRONG[case]
    with pytest.raises(ScenarioError) as caught:
        Plan(scenario, **arguments)
    assert words in str(caught.value)


# When something goes wrong on the way


def test_an_interrupted_sweep_keeps_what_was_finished(scenario: Scenario) -> None:
    over = {"pools.capacity": [2, 4, 8], "duration_s": [0.1, 0.2]}
    whole = runs_of(scenario, over)
    with pytest.raises(SweepInterrupted, match=r"the sweep was interrupted after 6 of 12 runs$") as caught:
        runs_of(scenario, over, executor=Here(left=3))
    assert len(caught.value.experiment.timings) == 3
    kept = whole[whole["replication"] == 0].reset_index(drop=True)
    assert_frame_equal(caught.value.experiment.runs, kept, check_exact=True)


def test_a_sweep_interrupted_at_once_has_nothing(scenario: Scenario) -> None:
    with pytest.raises(SweepInterrupted, match="after 0 of 120 runs") as caught:
        runs_of(scenario, {"duration_s": [0.1, 0.2], "pools.capacity": range(2, 8)}, replications=10, executor=Here(0))
    assert caught.value.experiment.runs.empty


def test_if_all_runs_fail_the_error_says_so_and_how(scenario: Scenario, workers: Executor) -> None:
    words = (
        r"^line: 2 of 2 runs failed; the one with queue\.policy = broken, duration_s = 0\.6, seed = \d+: ZeroDivision"
    )
    for executor in (workers, Here()):
        with pytest.raises(SweepFailed, match=words):
            runs_of(scenario.replace({"demand.rate_per_s": 100}), {"queue.policy": [broken]}, executor=executor)


def test_a_run_that_fails_is_a_row_and_the_others_go_on(scenario: Scenario, workers: Executor) -> None:
    plan = Plan(scenario.replace({"demand.rate_per_s": 100}), {"queue.policy": ["fcfs", broken, last_come]}, 2)
    with pytest.warns(SweepWarning, match="line: 2 of 6 runs failed; the one with queue.policy = broken"):
        found = carry_out(plan, executor=workers, progress=False)
    assert list(found.runs["failed"]) == [False, False, True, True, False, False]
    assert found.runs.loc[found.runs["failed"], METRIC_NAMES].isna().all(axis=None)
    assert found.runs.loc[~found.runs["failed"], "requests_started"].notna().all()
    assert list(found.failures["queue.policy"]) == ["broken", "broken"]
    assert set(found.failures["error"]) == {"ZeroDivisionError: a policy has gone wrong"}
    assert all("in broken" in text for text in found.failures["traceback"])


def test_the_workers_can_be_used_again_after_an_error(scenario: Scenario, workers: Executor) -> None:
    assert len(runs_of(scenario, {}, executor=workers)) == 2


# Points


def test_a_list_of_points_may_set_other_fields_in_each(scenario: Scenario) -> None:
    points = [
        {"pools.capacity": 4},
        {"key_rate.model": "bb84-sifted", "key_rate.mean_photons": 0.2},
        {"pools.capacity": 4, "duration_s": 0.2},
    ]
    runs = runs_of(scenario, points, replications=1)
    columns = ["pools.capacity", "key_rate.model", "key_rate.mean_photons", "duration_s"]
    assert list(runs.columns[:4]) == columns
    rows = runs[columns].astype(object).where(runs[columns].notna(), None).to_numpy().tolist()
    assert rows == [[4, "constant", None, 0.2], [4, "constant", None, 0.6], [8, "bb84-sifted", 0.2, 0.6]]


def test_a_model_can_be_swept_beside_its_parameters(scenario: Scenario) -> None:
    assert scenario.value("key_rate.rate_bps") == 20000
    runs = runs_of(scenario, {"key_rate.model": ["constant", "bb84-sifted"]}, replications=1)
    assert runs["wait_mean_s"].nunique() == 2
    changed = scenario.replace({"key_rate.rate_bps": 500, "key_rate.model": "constant"})
    assert changed.value("key_rate.rate_bps") == 500
    assert scenario.replace({"key_rate.model": "bb84-sifted"}).value("key_rate.rate_bps") is None


def test_a_latin_hypercube_is_swept_like_any_points(scenario: Scenario) -> None:
    ranges = {"pools.capacity": (2, 17), "demand.rate_per_s": (5.0, 50.0, "log"), "queue.policy": ["fcfs", "priority"]}
    runs = runs_of(scenario, latin_hypercube(ranges, points=8), replications=1)
    assert len(runs) == 8
    assert sorted(runs["queue.policy"]) == ["fcfs"] * 4 + ["priority"] * 4


def test_a_scenario_file_can_have_points_and_latin_hypercubes(scenario: Scenario) -> None:
    points = scenario.replace({"sweep": {"points": [{"pools.capacity": 2}, {"pools.capacity": 5}]}})
    assert [cell.point for cell in Plan(points).cells] == [{"pools.capacity": 2}, {"pools.capacity": 5}]
    ranges = {"pools.capacity": {"low": 2, "high": 17}, "queue.policy": ["fcfs", "priority"]}
    cube = points.replace({"sweep": {"over": ranges, "latin_hypercube": 6}})  # in the place of the points
    drawn = latin_hypercube({"pools.capacity": (2, 17), "queue.policy": ["fcfs", "priority"]}, 6, seed=1)
    assert [cell.point for cell in Plan(cube).cells] == drawn
    for wrong, words in (
        ({"over": ranges}, "give latin_hypercube"),
        ({"points": [{"pools.capacity": 2}], "over": {"pools.capacity": [1]}}, "either points, or over"),
    ):
        with pytest.raises(ScenarioError, match=words):
            scenario.replace({"sweep": wrong})


# Precision


def test_replications_are_added_until_the_interval_is_narrow(scenario: Scenario) -> None:
    busy = scenario.replace({"duration_s": 0.3, "demand.rate_per_s": 60})
    runs = runs_of(busy, {"pools.capacity": [2, 16]}, precision=0.1, metric="requests_started", max_replications=60)
    for _, group in runs.groupby("pools.capacity"):
        assert len(group) >= 5
        assert half_width(group["requests_started"]) <= 0.1 * group["requests_started"].mean()
        assert list(group["replication"]) == list(range(len(group)))
    fixed = runs_of(busy, {"pools.capacity": [2, 16]}, replications=5)
    first = runs[runs["replication"] < 5].reset_index(drop=True)
    assert_frame_equal(first, fixed, check_exact=True)


def test_precision_that_is_not_reached_is_said(scenario: Scenario) -> None:
    with pytest.warns(SweepWarning, match="wider than 0.001 of the mean in 1 of 1 cells, after 6 replications"):
        runs = runs_of(scenario, {}, precision=0.001, metric="requests_started", max_replications=6)
    assert len(runs) == 6


def test_no_replications_at_most_are_refused(scenario: Scenario) -> None:
    with pytest.raises(ScenarioError, match="max_replications = 0 must be a whole number of at least 2"):
        runs_of(scenario, {}, precision=0.1, max_replications=0)


def test_an_unknown_metric_for_precision_is_refused(scenario: Scenario) -> None:
    with pytest.raises(ScenarioError, match=r"no metric 'requests_start' \(did you mean 'requests_started'"):
        runs_of(scenario, {}, precision=0.1, metric="requests_start")


# In a folder


def test_a_sweep_in_a_folder_goes_on_where_it_stopped(scenario: Scenario, tmp_path: Path) -> None:
    over = {"pools.capacity": [2, 4, 8], "duration_s": [0.1, 0.2]}
    whole = runs_of(scenario, over, folder=tmp_path / "whole")
    with pytest.raises(SweepInterrupted, match="after 8 of 12 runs; started again, the sweep goes on from there"):
        runs_of(scenario, over, folder=tmp_path / "broken", executor=Here(left=4))
    again = Here(left=2)
    assert_frame_equal(runs_of(scenario, over, folder=tmp_path / "broken", executor=again), whole, check_exact=True)
    assert again.left == 0
    assert (tmp_path / "broken" / "runs.csv").read_bytes() == (tmp_path / "whole" / "runs.csv").read_bytes()
    assert_frame_equal(runs_of(scenario, over, folder=tmp_path / "whole", executor=Here(left=0)), whole)


def test_a_larger_grid_runs_what_is_new_and_leaves_old_rows_bit_for_bit(scenario: Scenario, tmp_path: Path) -> None:
    few = runs_of(scenario, {"pools.capacity": [2, 8], "duration_s": [0.2]}, folder=tmp_path)
    more = {"pools.capacity": [2, 4, 8], "duration_s": [0.1, 0.2]}
    executor = Here(left=4 * 1 + 2 + 3)  # a shorter duration of four; all of capacity 4 twice; all of replication 2
    many = runs_of(scenario, more, folder=tmp_path, replications=3, executor=executor)
    assert executor.left == 0
    assert_frame_equal(many, runs_of(scenario, more, replications=3), check_exact=True)
    old = many[(many["pools.capacity"] != 4) & (many["duration_s"] == 0.2) & (many["replication"] < 2)]
    assert_frame_equal(old.reset_index(drop=True), few, check_exact=True)


def test_what_failed_is_tried_again(scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flaky(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
        if "BROKEN" in os.environ:
            raise ZeroDivisionError("broken for now")
        return waiting

    busy = scenario.replace({"demand.rate_per_s": 100})
    monkeypatch.setenv("BROKEN", "yes")
    with pytest.warns(SweepWarning, match="2 of 4 runs failed"):
        runs_of(busy, {"queue.policy": ["fcfs", flaky]}, folder=tmp_path)
    assert (tmp_path / "failures.csv").exists()
    monkeypatch.delenv("BROKEN")
    executor = Here(left=2)
    assert not runs_of(busy, {"queue.policy": ["fcfs", flaky]}, folder=tmp_path, executor=executor)["failed"].any()
    assert executor.left == 0
    assert not (tmp_path / "failures.csv").exists()


def test_another_scenario_is_refused(scenario: Scenario, tmp_path: Path) -> None:
    runs_of(scenario, {"pools.capacity": [2]}, folder=tmp_path)
    with pytest.raises(StoreError, match=r"its runs are of another scenario \(queue\.capacity was 4, is 5\)"):
        runs_of(scenario.replace({"queue.capacity": 5}), {"pools.capacity": [2]}, folder=tmp_path)
    same = scenario.replace({"description": "called something else", "sweep": {"replications": 3}, "name": "other"})
    assert len(runs_of(same, {"pools.capacity": [2]}, folder=tmp_path, executor=Here(left=0))) == 2


def test_another_version_is_refused(scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs_of(scenario, {"pools.capacity": [2]}, folder=tmp_path)
    changed = {**model_version("qkd"), "numpy": "1.0"}
    monkeypatch.setattr(sys.modules["qkdrmp.sweeps.plan"], "model_version", lambda kind: changed)
    with pytest.raises(StoreError, match=r"its runs were made by another version, .*numpy was .*, is '1.0'"):
        runs_of(scenario, {"pools.capacity": [2]}, folder=tmp_path)


def test_a_function_of_the_same_name_with_another_source_is_refused(scenario: Scenario, tmp_path: Path) -> None:
    def policy(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
        return waiting

    runs_of(scenario, {"queue.policy": [policy]}, folder=tmp_path)
    runs_of(scenario, {"queue.policy": [policy, "fcfs"]}, folder=tmp_path, executor=Here(left=2))

    def policy(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:  # type: ignore[no-redef]
        return waiting[::-1]

    with pytest.raises(StoreError, match=r"has changed, by its source .*policy changed"):
        runs_of(scenario, {"queue.policy": [policy]}, folder=tmp_path)
    with pytest.raises(StoreError, match=r"another scenario \(queue\.policy"):
        runs_of(scenario.replace({"queue.policy": policy}), {}, folder=tmp_path)


def test_a_function_without_source_makes_the_sweep_say_that_it_cannot_resume(
    scenario: Scenario, tmp_path: Path
) -> None:
    made: dict[str, Any] = {}
    exec("def policy(waiting, now):\n    return waiting", made)
    over = {"queue.policy": [made["policy"]]}
    with pytest.warns(SweepWarning, match="cannot be resumed, because the function policy has no source"):
        runs_of(scenario, over, folder=tmp_path)
    with pytest.raises(StoreError, match="the sweep cannot be resumed, because the function policy has no source"):
        runs_of(scenario, over, folder=tmp_path)
    runs_of(scenario, over)  # in no folder, nobody wants to resume


def test_only_one_sweep_at_a_time_uses_a_folder(scenario: Scenario, tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite"), pytest.raises(StoreError, match="another sweep is running in this folder"):
        runs_of(scenario, {}, folder=tmp_path)


# One run


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None])
def test_a_run_has_a_whole_seed(scenario: Scenario, seed: Any) -> None:
    with pytest.raises(qkdrmp.QKDRMPError, match="must be a whole number of at least 0"):
        simulate(scenario, seed)


def test_a_name_is_no_scenario() -> None:
    with pytest.raises(qkdrmp.QKDRMPError, match="scenario = 'line' must be a Scenario"):
        simulate("line")  # type: ignore[arg-type]
