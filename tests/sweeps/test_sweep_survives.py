"""Sweeps whose driver or workers are killed: in the end, the table is that of a sweep that nobody disturbed."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

COMMAND = [sys.executable, "-c", "from qkdrmp.cli import main; main()"]
EMPTY = 32_768  # bytes of a store without runs
SCENARIO = """
topology = "line"
duration_s = 0.6
[pools]
capacity = 8
key_length_bits = 256
replenish = "continuous"
[access]
mode = "pool"
[key_rate]
model = "constant"
rate_bps = 20000
[demand]
model = "poisson"
rate_per_s = 40
key_length_bits = 256
[sweep]
replications = {replications}
[sweep.over]
"pools.capacity" = [2, 3, 4, 6, 8, 10, 12, 16, 20, 24]
"""


def sweep(folder: Path, out: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "sweep", "sweep.toml", "--out", out, *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def wait_for_runs(database: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a sweep keeps more runs than it had; only the sweep itself can open its database."""
    before = max(_size(database), EMPTY)
    while _size(database) <= before and process.poll() is None:
        time.sleep(0.02)


def _size(database: Path) -> int:
    return database.stat().st_size if database.exists() else 0


def kill_on_the_way(folder: Path, out: str, options: list[str], chance: random.Random) -> bool:
    """Start a sweep and kill it at a random moment after it has begun to keep runs; return whether it still ran."""
    process = sweep(folder, out, *options)
    wait_for_runs(folder / out / "runs.sqlite", process)
    time.sleep(chance.uniform(0, 0.5))
    alive = process.poll() is None
    process.kill()
    process.communicate()
    return alive


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[str, list[int]]]:
    """Start a cluster as the documentation says; give the address of its scheduler and the processes of its workers."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "cluster.md").read_text(encoding="utf-8")
    (documented,) = re.findall(r"^dask scheduler .*&$", page, re.MULTILINE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = documented.replace("8786", str(port)).replace(" --nworkers", " --no-dashboard --nworkers")
    command = command.replace("scheduler", "scheduler --no-dashboard") + " wait"
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    started = subprocess.Popen(command, shell=True, start_new_session=True, env={**os.environ, "PATH": beside})
    try:
        address = f"tcp://127.0.0.1:{port}"
        with Client(address, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=30)
            yield address, list(client.run(os.getpid).values())
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def undisturbed(folder: Path, replications: int) -> bytes:
    """Return the table of a sweep that nobody disturbs."""
    (folder / "sweep.toml").write_text(SCENARIO.format(replications=replications))
    finished(sweep(folder, "whole", "--jobs", "2"))
    whole = (folder / "whole" / "runs.csv").read_bytes()
    assert whole.count(b"\n") == 10 * replications + 1
    return whole


SIZES = [20, pytest.param(100, marks=pytest.mark.slow)]


@pytest.mark.parametrize("replications", SIZES)
def test_a_sweep_that_is_killed_three_times_ends_like_one_that_is_not(replications: int, tmp_path: Path) -> None:
    whole = undisturbed(tmp_path, replications)
    chance = random.Random(1)
    killed = [kill_on_the_way(tmp_path, "killed", ["--jobs", "2"], chance) for _ in range(3)]
    assert any(killed)
    finished(sweep(tmp_path, "killed", "--jobs", "2"))
    assert (tmp_path / "killed" / "runs.csv").read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "4"])
def test_a_killed_sweep_ends_alike_on_any_number_of_workers(jobs: str, tmp_path: Path) -> None:
    whole = undisturbed(tmp_path, 100)
    chance = random.Random(jobs)
    killed = [kill_on_the_way(tmp_path, "killed", ["--jobs", jobs], chance) for _ in range(3)]
    assert any(killed)
    finished(sweep(tmp_path, "killed", "--jobs", jobs))
    assert (tmp_path / "killed" / "runs.csv").read_bytes() == whole


@pytest.mark.parametrize("replications", SIZES)
def test_a_sweep_on_a_cluster_outlives_one_of_its_workers(
    replications: int, tmp_path: Path, cluster: tuple[str, list[int]]
) -> None:
    whole = undisturbed(tmp_path, replications)
    address, pids = cluster
    process = sweep(tmp_path, "cluster", "--cluster", address)
    wait_for_runs(tmp_path / "cluster" / "runs.sqlite", process)
    assert process.poll() is None
    os.kill(pids[0], signal.SIGKILL)
    finished(process)
    assert (tmp_path / "cluster" / "runs.csv").read_bytes() == whole


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere"])
def test_a_cluster_that_does_not_answer_is_a_sentence(address: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text(SCENARIO.format(replications=1))
    process = sweep(tmp_path, "out", "--cluster", address)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"error: cluster = '{address}': no dask scheduler answers there" in output
    assert "Traceback" not in output


def test_workers_do_not_outlive_a_driver_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text(SCENARIO.format(replications=500))
    process = sweep(tmp_path, "out", "--jobs", "2")
    wait_for_runs(tmp_path / "out" / "runs.sqlite", process)
    assert process.poll() is None
    process.kill()
    process.communicate(timeout=20)  # the workers have its standard output open, too


def test_a_worker_that_begins_after_its_driver_was_killed_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as driver:
        driver.wait()
    orphan = f"import time; from qkdrmp.sweeps.workers import begin_worker; begin_worker({driver.pid}); time.sleep(60)"
    assert subprocess.run([sys.executable, "-c", orphan], timeout=30).returncode == 1
