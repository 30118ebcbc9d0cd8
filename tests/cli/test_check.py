import json
import re
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from qkdrmp.cli import main
from qkdrmp.config.differences import differences
from qkdrmp.scenario_file import make_scenario


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def qkdrmp(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_scenario_without_faults_is_said_to_have_none() -> None:
    result = qkdrmp("check", "line")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[:3] == [
        "line: Alice - R - Bob with key pools on both links, for learning",
        "key requests (kind = qkd) for 11 s, of which the first 1 s are warm-up",
        "topology line: 3 nodes (2 end, 1 repeater)",
    ]
    assert "  pools.capacity = 8 (default 40)" in lines
    assert "  key_rate.rate_bps = 20000" in lines
    assert not any("peers" in line for line in lines)
    assert lines[-2:] == [
        "sweep of pools.capacity: 6 cells x 10 replications = 60 runs",
        "nothing is predicted to go wrong",
    ]


def test_what_is_predicted_is_said_for_the_scenario_and_its_sweep_with_an_exit_code_of_its_own() -> None:
    result = qkdrmp("check", "beijing_figure3")
    assert result.exit_code == 1
    said = [line for line in result.output.splitlines() if line.startswith("predicted")]
    assert [
        re.match(r"predicted with pools.capacity = (\d+): 30 key pools can get stuck", line)[1] for line in said
    ] == [
        "20",
        "30",
    ]
    alone = qkdrmp("check", "beijing_figure3", "--set", "sweep.over={}", "--set", "pools.capacity=20")
    assert alone.exit_code == 1
    assert "predicted: 30 key pools can get stuck" in alone.output
    assert "sweep" not in alone.output


def test_a_check_runs_nothing_and_writes_nothing(folder: Path) -> None:
    qkdrmp("check", "line")
    assert list(folder.iterdir()) == []


def test_a_wrong_point_of_the_sweep_is_found_without_a_run() -> None:
    result = qkdrmp("check", "line", "--set", 'sweep.over={"pools.capacity"=[4, 0]}')
    assert result.exit_code == 2
    assert result.stderr == "error: line: pools.capacity = 0 must be at least 1\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("pools.capacty=3", "line: pools: unknown field 'capacty' (did you mean 'capacity'?)"),
        ("queue.policy=fcsf", "line: queue.policy = 'fcsf' must be one of fcfs"),
        ("=3", "--set = '=3' must be FIELD=VALUE"),
        ("pools.capacity=3", "--set = 'pools.capacity' must be a field that line does not sweep; use --set"),
    ],
)
@pytest.mark.parametrize("command", ["check", "sweep"])
def test_a_wrong_value_is_refused(command: str, given: str, said: str) -> None:
    result = qkdrmp(command, "line", "--set", given)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {said}")


@pytest.mark.parametrize("command", ["run", "ladder", "warmup"])
def test_commands_that_run_take_other_values(command: str, folder: Path) -> None:
    result = qkdrmp(command, "line", "--set", "duration_s = 2", "--set", "name=short", "--set", "queue.policy=priority")
    assert result.exit_code == 0, result.output
    assert (folder / "results" / "short").is_dir()
    if command == "run":
        assert "short, seed 1: 2 s simulated" in result.output


def test_a_sweep_takes_other_values_and_keeps_the_command(folder: Path) -> None:
    changes = ["duration_s=2", 'sweep.over={"pools.capacity"=[4]}', "sweep.replications=2"]
    words = [word for change in changes for word in ("--set", change)]
    result = qkdrmp("sweep", "line", *words, "--out", "out", "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert list(pd.read_csv(folder / "out" / "runs.csv")["duration_s"]) == [2.0, 2.0]
    assert "--set duration_s=2" in (folder / "out" / "provenance.json").read_text()


def test_differences_are_fields_with_other_values_than_their_defaults() -> None:
    def said(**fields: object) -> list[str]:
        scenario = make_scenario({"topology": "line", "duration_s": 2.0, **fields})
        return [str(one) for one in differences(scenario, leave_out=("kind", "topology", "duration_s", "sweep"))]

    assert said() == []
    assert said(pools={"capacity": 40}) == []
    assert said(pools={"capacity": 41, "at": [{"node": "R", "capacity": 3}]}) == [
        "pools.at = 1 entry (default none)",
        "pools.capacity = 41 (default 40)",
    ]
    assert said(key_rate={"model": "constant", "rate_bps": 5.0}) == [
        "key_rate.model = constant (default bb84-sifted)",
        "key_rate.rate_bps = 5.0",
    ]
    assert said(queue={"policy": max}) == ["queue.policy = max (default fcfs)"]
    assert said(key_rate={"per_direction": True}) == ["key_rate.per_direction = true (default false)"]


def test_what_was_completed_when_a_topology_was_read_is_said_before_runs_too(folder: Path) -> None:
    (folder / "links.csv").write_text("source,target,length_km\nA,R,10\nR,B,10\nR,B,12\n", encoding="utf-8")
    (folder / "nodes.csv").write_text("name,kind\nA,user\nB,user\nR,repeater\n", encoding="utf-8")
    (folder / "own.toml").write_text('topology = "links.csv"\nduration_s = 0.01\n', encoding="utf-8")
    for command in (["check"], ["run"], ["sweep", "--replications", 1, "--jobs", 1]):
        said = qkdrmp(command[0], "own.toml", *command[1:])
        assert "note: 1 pair of nodes with several links: the shortest is kept: R-B (2)" in said.output, command
        facts = json.loads(qkdrmp(command[0], "own.toml", *command[1:], "--json").output)
        assert "several links" in " ".join(facts["notes"]), command


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_fibre_on_which_a_key_rate_does_not_hold_is_one_sentence(command: str, folder: Path) -> None:
    nodes = [{"name": name, "kind": "end"} for name in "AB"]
    links = [{"ends": ["A", "B"], "length_km": 1500.0, "attenuation_db_per_km": 0.2}]
    topology = {"format": "qkdrmp-topology/1", "name": "far", "source": "here", "nodes": nodes, "links": links}
    (folder / "far.json").write_text(json.dumps(topology))
    (folder / "far.toml").write_text('topology = "far.json"\nduration_s = 1\n')
    result = qkdrmp(command, "far.toml")
    assert result.exit_code == 2
    said = "error: far.toml: key_rate: link A-B: loss_db = 300.0 must be from 0 to 200 dB for bb84-sifted\n"
    assert result.stderr == said
