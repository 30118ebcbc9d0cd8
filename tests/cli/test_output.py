import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import qkdrmp.sweeps.progress
from qkdrmp import load_experiment, load_scenario, simulate, sweep
from qkdrmp.cli import main
from qkdrmp.cli.output import plain
from qkdrmp.qkd.settings import PoolSettings

SHORT = ["--set", "duration_s=2", "--set", 'sweep.over={"pools.capacity"=[4, 8]}']


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qkdrmp.cli.sweeps.processes", lambda jobs: ThreadPoolExecutor(1))
    return tmp_path


def qkdrmp_(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code in (0, 1), result.output
    return result


def facts(*arguments: object) -> dict[str, Any]:
    result = qkdrmp_(*arguments, "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    for name in found.get("files", ()):
        assert (Path(found["folder"]) / name).is_file()
    return found


def test_a_run_for_programs() -> None:
    found = facts("run", "line", *SHORT)
    summary = simulate(load_scenario("line").replace({"duration_s": 2}), 1).summary
    assert found["summary"] == plain(summary)
    assert (found["scenario"], found["seed"], found["duration_s"]) == ("line", 1, 2)
    assert found["folder"] == "results/line"
    assert "run_summary.csv" in found["files"]
    assert found["warning"] == found["predicted"] == []


def test_a_sweep_for_programs_and_what_comes_after_it() -> None:
    found = facts("sweep", "line", *SHORT, "--replications", 3)
    assert (found["runs"], found["new_runs"], found["failed_runs"]) == (6, 6, 0)
    summary = load_experiment("results/line").tables["summary"]
    assert found["summary"] == plain(summary)
    assert facts("sweep", "line", *SHORT, "--replications", 4)["new_runs"] == 2
    compared = facts("compare", "results/line", "pools.capacity")
    assert {row["pools.capacity"] for row in compared["comparison"]} == {8}
    assert facts("figures", "results/line", "--metric", "wait_mean_s")["files"][0] == "wait_mean_s.pdf"


def test_a_check_for_programs() -> None:
    found = facts("check", "line", *SHORT)
    assert found["runs"] == 20
    assert found["differences"]["pools.capacity"] == 8
    assert found["predicted"] == []
    assert facts("check", "beijing_figure3")["predicted"][0].startswith("with pools.capacity = 20: 30 key pools")


def test_a_ladder_and_a_warm_up_for_programs() -> None:
    assert facts("ladder", "line", *SHORT)["messages"] > 5
    found = facts("warmup", "line", *SHORT, "--replications", 2)
    assert found["present_s"] == 1.0
    assert {row["quantity"] for row in found["quantities"]} != set()


@pytest.mark.parametrize("command", ["run", "sweep", "ladder", "warmup", "check"])
def test_a_quiet_command_says_nothing_if_nothing_is_wrong(command: str) -> None:
    assert qkdrmp_(command, "line", *SHORT, "--quiet").output == ""


def test_a_quiet_command_says_what_is_wrong_to_the_error_output() -> None:
    result = qkdrmp_("check", "beijing_figure3", "--quiet", "--set", "sweep.over={}", "--set", "pools.capacity=20")
    assert result.stdout == ""
    assert result.stderr.startswith("predicted: 30 key pools can get stuck")
    assert result.exit_code == 1


def test_the_command_of_a_sweep_does_not_say_how_it_was_printed() -> None:
    qkdrmp_("sweep", "line", *SHORT, "--json", "--quiet", "--replications", 1)
    assert "--quiet" not in load_experiment("results/line").command
    assert "--json" not in load_experiment("results/line").command


def test_a_sweep_that_has_nothing_to_do_says_so() -> None:
    command = ["sweep", "line", *SHORT, "--replications"]
    assert "nothing is new" not in qkdrmp_(*command, 1).output
    assert "nothing is new: the folder had all 2 runs" in qkdrmp_(*command, 1).output
    assert "2 new runs in " in qkdrmp_(*command, 2).output


def test_what_programs_get_is_valid_json() -> None:
    table = pd.DataFrame({"a": [1, 2], "b": [np.nan, 0.5], "c": ["x", None]})
    assert plain(table) == [{"a": 1, "b": None, "c": "x"}, {"a": 2, "b": 0.5, "c": None}]
    assert plain({"n": np.int64(3), "x": float("inf"), "f": max, "p": Path("a"), "r": PoolSettings().replenish}) == {
        "n": 3,
        "x": None,
        "f": "max",
        "p": "a",
        "r": "demand",
    }


# Progress


class Clock:
    """A clock on which every look takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def progress_of(replications: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setattr(qkdrmp.sweeps.progress.time, "perf_counter", Clock())
    scenario = load_scenario("line").replace({"duration_s": 0.1, "warmup_s": 0})
    sweep(scenario, {"pools.capacity": [8]}, replications, executor=ThreadPoolExecutor(1))
    return capsys.readouterr().err.splitlines()


def test_in_a_log_progress_is_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress_of(100, monkeypatch, capsys)
    assert 4 <= len(lines) <= 10
    assert all(line.startswith("line: ") and " of 100 runs (" in line for line in lines)
    assert "\r" not in "".join(lines)
    done = [int(line.split()[1]) for line in lines]
    assert done == sorted(set(done))
    assert done[-1] < 100


def test_a_short_sweep_has_no_lines_of_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert progress_of(1, monkeypatch, capsys) == []
