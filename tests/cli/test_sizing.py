"""`qkdrmp plan` on the command line: what it prints, writes and returns, and its page in the report."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

import qkdrmp
from qkdrmp.cli import main
from qkdrmp.report.page import render
from qkdrmp.sweeps.experiment import load_experiment

QUICK = ("--set", "duration_s=6", "--replications", "4")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qkdrmp.cli.sizing.processes", lambda jobs=None: ThreadPoolExecutor(1))


def test_a_plan_is_printed_written_and_reported() -> None:
    done = CliRunner().invoke(main, ["plan", "line", "--target", "wait_p95_s=0.05", *QUICK])
    assert done.exit_code == 0, done.output
    folder = Path("results/line_plan")
    assert "is the smallest that meets all targets with 95 % confidence" in done.output
    assert f"next: qkdrmp report {folder}" in done.output
    for file in ("plan_search.csv", "plan.json", "plan.png", "planned.toml", "runs.csv"):
        assert (folder / file).stat().st_size
    planned = qkdrmp.load_scenario(folder / "planned.toml")
    assert planned.targets == {"wait_p95_s": 0.05}
    page = render(load_experiment(folder))
    assert "<dt>Plan</dt>" in page
    assert json.loads((folder / "plan.json").read_text())["sentences"][0].startswith("Asked for")
    assert f"Key pool capacity = {planned.pools.capacity}" in page.replace("\u00a0", " ")
    assert "Sizes that were looked at" in page
    command = "qkdrmp plan line --set duration_s=6 --target wait_p95_s=0.05 --replications 4 --seed 1"
    assert load_experiment(folder).command == command


def test_an_overload_is_called_so_and_what_cannot_be_met_is_exit_code_1() -> None:
    over = ["--set", "demand.rate_per_s=255", "--set", "duration_s=1", "--set", "warmup_s=0.2", "--replications", "3"]
    done = CliRunner().invoke(main, ["plan", "line", "--target", "wait_p95_s=1e-9", *over])
    assert done.exit_code in (0, 1)
    assert "predicted: 2 of 2 links are asked for more keys than can be made there" in done.output


def test_without_targets_there_is_one_sentence() -> None:
    done = CliRunner().invoke(main, ["plan", "line"], standalone_mode=True)
    assert done.exit_code == 2
    assert done.output.strip().endswith("(--target wait_p95_s=0.05)")
