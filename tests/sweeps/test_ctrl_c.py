import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qkdrmp.sweeps.ctrl_c import CtrlC
from qkdrmp.sweeps.workers import Workers

COMMAND = """
import signal
from qkdrmp.cli import main
from qkdrmp.sweeps.progress import Progress

class Pressing:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

count = Progress.count

def counted(self, task, done):
    count(self, task, done)
    counted.runs += 1
    if counted.runs == 3:
        Pressing()  # it is deleted at once

counted.runs = 0
Progress.count = counted
main()
"""
SCENARIO = """
topology = "line"
duration_s = 0.3
[key_rate]
model = "constant"
rate_bps = 20000
[sweep]
replications = 2000
[sweep.over]
"pools.capacity" = [4, 8]
"""


def press() -> None:
    signal.raise_signal(signal.SIGINT)


class Pressing:
    """Presses Ctrl-C when it is deleted: what Python's own handler raises then is lost."""

    def __del__(self) -> None:
        press()


def double(number: int) -> int:
    return 2 * number


def carry_out(disturb: Callable[[], object], tasks: int, ended: list[int]) -> None:
    """Carry out tasks, noting the numbers of those that have ended; after the third one, disturb."""
    with Workers(double, ThreadPoolExecutor(1)) as workers:
        for number, _ in workers.outcomes(range(tasks)):
            if len(ended) == 2:
                disturb()
            ended.append(number)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("disturb", [press, Pressing])
@pytest.mark.parametrize("tasks", [1000, 3])
def test_ctrl_c_ends_all_with_the_outcomes_that_are_there_whenever_it_comes(
    disturb: Callable[[], object], tasks: int
) -> None:
    ended: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        carry_out(disturb, tasks, ended)
    assert ended == list(range(len(ended)))
    assert 3 <= len(ended) < 1000
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_ends_all_at_once() -> None:
    reached = []

    def press_twice() -> None:
        with CtrlC():
            press()
            reached.append("after the first")
            press()
            reached.append("after the second")

    with pytest.raises(KeyboardInterrupt):
        press_twice()
    assert reached == ["after the first"]


def test_a_handler_of_the_program_is_left_alone() -> None:
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append("Ctrl-C"))
    try:
        with CtrlC() as ctrl_c:
            press()
            ctrl_c.heed()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == ["Ctrl-C"]


def test_in_another_thread_nothing_changes() -> None:
    handlers = []

    def enter() -> None:
        with CtrlC():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def test_a_sweep_that_ctrl_c_meets_in_a_destructor_ends_and_keeps_its_runs(tmp_path: Path) -> None:
    (tmp_path / "line.toml").write_text(SCENARIO)
    command = [sys.executable, "-c", COMMAND, "sweep", "line.toml", "--out", "out", "--jobs", "2"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 130
    assert re.fullmatch(
        r"error: the sweep was interrupted after \d+ of 4000 .*; they are in out/runs.csv\n", ended.stderr
    )
    assert (tmp_path / "out" / "runs.csv").read_text().count("\n") > 3
