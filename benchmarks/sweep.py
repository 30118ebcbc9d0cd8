"""Sweeps: how much faster two processes are than one, and what the process that drives them costs.

    python benchmarks/sweep.py --seconds 120

The same sweep of the Beijing network is carried out with one process and with two, each keeping its runs in a folder.
The driver's share is the processor time that it takes itself, over the time that the sweep takes.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import click
import pandas as pd
from pandas.testing import assert_frame_equal

from qkdrmp import load_scenario
from qkdrmp.sweeps.plan import Plan
from qkdrmp.sweeps.sweep import carry_out
from qkdrmp.sweeps.workers import processes

DURATION_S = 40.0


def measure(plan: Plan, jobs: int) -> tuple[pd.DataFrame, dict[str, float]]:
    """Carry out a plan; return its runs, and what it took."""
    with tempfile.TemporaryDirectory() as folder:
        begun, own = time.perf_counter(), time.process_time()
        found = carry_out(plan, Path(folder), partial(processes, jobs), progress=False)
        wall, own = time.perf_counter() - begun, time.process_time() - own
    runs = len(found.runs)
    return found.runs, {
        "processes": jobs,
        "wall_s": wall,
        "computing_s": found.timings["wall_s"].sum(),
        "driver_share_%": 100 * own / wall,
        "driver_ms_per_run": 1e3 * own / runs,
    }


@click.command(help=__doc__)
@click.option("--seconds", default=120.0, show_default=True, help="About how long one process takes.")
def main(seconds: float) -> None:
    scenario = load_scenario("beijing").replace({"duration_s": DURATION_S})
    over = {"pools.capacity": [4, 8, 16, 24]}
    _, first = measure(Plan(scenario, over, replications=1), 1)
    replications = max(1, round(seconds / first["computing_s"]))
    plan = Plan(scenario, over, replications)
    one, two = measure(plan, 1), measure(plan, 2)
    assert_frame_equal(one[0], two[0], check_exact=True)
    click.echo(f"{plan.planned} runs of {scenario.name}, {DURATION_S:g} s simulated in each; both tables are the same")
    click.echo(pd.DataFrame([one[1], two[1]]).round(2).to_string(index=False))
    click.echo(f"two processes are {one[1]['wall_s'] / two[1]['wall_s']:.2f} times as fast as one")


if __name__ == "__main__":
    main()
