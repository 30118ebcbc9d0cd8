import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from qkdrmp import (
    Experiment,
    QKDRMPError,
    Scenario,
    ScenarioError,
    load_experiment,
    load_scenario,
    save_topology,
    summarise,
    sweep,
)
from qkdrmp.qkd.request import KeyRequest
from qkdrmp.sweeps.plan import Plan
from qkdrmp.sweeps.sweep import carry_out
from tests.report.experiments import HERE


def last_come(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    return waiting[::-1]


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_scenario("line").replace({"duration_s": 0.3, "warmup_s": 0})


@pytest.fixture(scope="module")
def folder(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiment") / "made"
    sweep(
        scenario,
        {"pools.capacity": [2, 8], "queue.policy": ["fcfs"]},
        3,
        seed=5,
        folder=folder,
        executor=HERE,
        progress=False,
    )
    return folder


def test_a_folder_gives_the_experiment_back(scenario: Scenario, folder: Path) -> None:
    found = load_experiment(folder)
    made = sweep(
        scenario, {"pools.capacity": [2, 8], "queue.policy": ["fcfs"]}, 3, seed=5, executor=HERE, progress=False
    )
    assert_frame_equal(found.runs, made, check_exact=True)
    assert found.swept == ["pools.capacity", "queue.policy", "duration_s"]
    assert found.seed == 5
    assert found.folder == folder
    assert list(found.timings.columns) == [*found.swept, "replication", "seed", "wall_s"]
    assert found.failures.empty
    assert {"qkdrmp", "numpy", "Python"} <= set(found.versions)
    assert_frame_equal(found.tables["summary"], summarise(made, found.swept))


def test_its_scenario_file_runs_the_same_sweep_again(folder: Path, tmp_path: Path) -> None:
    found = load_experiment(folder)
    assert found.command == f"qkdrmp sweep {folder / 'scenario.json'} --seed 5"
    again = load_scenario(folder / "scenario.json")
    assert again.sweep.replications == 3
    sweep(again, seed=5, folder=tmp_path, executor=HERE, progress=False)
    assert (tmp_path / "runs.csv").read_bytes() == (folder / "runs.csv").read_bytes()


def test_the_scenario_file_needs_no_other_files(tmp_path: Path, scenario: Scenario) -> None:
    (tmp_path / "own").mkdir()
    save_topology(scenario.topology, tmp_path / "own" / "net.json")
    (tmp_path / "own" / "asked.csv").write_text("start_s,src,dst\n0.01,Alice,Bob\n0.02,Bob,Alice\n")
    (tmp_path / "own" / "mine.toml").write_text(
        'topology = "net.json"\nduration_s = 0.1\n[demand]\nmodel = "list"\nfile = "asked.csv"\n'
    )
    sweep(load_scenario(tmp_path / "own" / "mine.toml"), folder=tmp_path / "out", executor=HERE, progress=False)
    for file in (tmp_path / "own").iterdir():
        file.unlink()
    again = load_experiment(tmp_path / "out").scenario
    assert sweep(again, executor=HERE, progress=False)["requests_started"].tolist() == [2]
    sweep(again, folder=tmp_path / "out", executor=HERE, progress=False)  # nothing has changed


def test_points_are_kept_as_points(scenario: Scenario, tmp_path: Path) -> None:
    points = [{"pools.capacity": 2}, {"pools.capacity": 3, "queue.capacity": 1}]
    sweep(
        scenario,
        points,
        5,
        folder=tmp_path,
        precision=0.5,
        metric="requests_started",
        max_replications=6,
        executor=HERE,
        progress=False,
    )
    given = load_experiment(tmp_path).scenario.sweep
    assert given.points == points
    assert (given.precision, given.metric, given.max_replications, given.replications) == (
        0.5,
        "requests_started",
        6,
        5,
    )


def test_a_scenario_with_a_function_is_named_but_cannot_be_read(scenario: Scenario, tmp_path: Path) -> None:
    plan = Plan(scenario, {"queue.policy": ["fcfs", last_come]}, 1)
    found = carry_out(plan, tmp_path, HERE, progress=False)
    assert found.command == "qkdrmp.sweep(scenario, ...), in Python"
    written = json.loads((tmp_path / "scenario.json").read_text())
    assert written["sweep"]["over"]["queue.policy"] == ["fcfs", {"python object": "last_come"}]
    words = r"sweep.over.queue.policy, entry 2 = last_come must be given in Python, because no file can hold"
    with pytest.raises(ScenarioError, match=words):
        load_experiment(tmp_path)
    assert_frame_equal(load_experiment(tmp_path, scenario).runs, found.runs)


def test_the_command_of_the_user_is_kept(scenario: Scenario, tmp_path: Path) -> None:
    carry_out(Plan(scenario, {}, 1), tmp_path, progress=False, command="qkdrmp sweep mine.toml")
    assert load_experiment(tmp_path).command == "qkdrmp sweep mine.toml"


@pytest.mark.parametrize("content", [None, "", "[1, 2]", "{}", "3"])
def test_another_folder_is_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "provenance.json").write_text(content)
        for name in ("runs", "timings"):
            (tmp_path / f"{name}.csv").write_text("pools.capacity,replication\n2,0\n")
    with pytest.raises(QKDRMPError, match="is not the folder of a finished sweep"):
        load_experiment(tmp_path)


def test_a_long_table_is_not_part_of_its_text(folder: Path) -> None:
    assert isinstance(found := load_experiment(folder), Experiment)
    assert "requests_started" not in repr(found)
