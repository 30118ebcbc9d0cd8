"""Small experiments of both families to report on, and tables of runs made by hand."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

import qkdrmp
from qkdrmp import Link, Node, Scenario, Topology
from qkdrmp.scenario_file import make_scenario
from qkdrmp.sizing.result import PLAN
from qkdrmp.sweeps.experiment import Experiment

HOSTILE = "</script><script>window.hacked=1</script>"
QUOTED = '"R&D" <b>'
POOLS = "pools.capacity"
PLANNED = ["Asked for: blocking at most 1 %.", f"Key pool capacity = 16 keys is the smallest, with {HOSTILE}."]
HERE = ThreadPoolExecutor(1)
"""Runs small experiments in this process, which takes less time than to start others."""


def experiment(
    scenario: Scenario, over: Mapping[str, Sequence[Any]], replications: int = 2, executor: Executor | None = HERE
) -> Experiment:
    runs = qkdrmp.sweep(scenario, over, replications=replications, executor=executor, progress=False)
    swept = list(runs.columns[: runs.columns.get_loc("replication")])
    nothing = pd.DataFrame(columns=[*swept, "replication", "seed", "error", "traceback"])
    return Experiment(scenario, swept, 1, runs, nothing, nothing, "qkdrmp sweep <it>", {"python": "3"})


def keys() -> Experiment:
    """Return an experiment whose runs may be changed."""
    return replace(_keys(), runs=_keys().runs.copy())


@cache
def _keys() -> Experiment:
    scenario = qkdrmp.load_scenario("beijing_figure3").replace({"duration_s": 0.03})
    return experiment(scenario, {POOLS: [20, 30, 40], "duration_s": [0.02, 0.03]})


def published() -> Experiment:
    """Return a part of the published experiment, with two replications."""
    scenario = qkdrmp.load_scenario("beijing_figure3").replace({"duration_s": 0.15})
    return experiment(scenario, {POOLS: [20, 40, 80], "duration_s": [0.05, 0.1, 0.15]})


def pairs() -> Experiment:
    scenario = qkdrmp.load_scenario("blocking").replace({"duration_s": 0.1})
    return experiment(scenario, {"demand.memories": [1, 2], "allocation.policy": ["circuit", "round-robin"]})


def hostile(folder: Path) -> Experiment:
    """Return an experiment with names that are code, and with a plan in its folder."""
    names = [(HOSTILE, "end"), (QUOTED, "repeater"), ("Bob", "end")]
    links = [Link((HOSTILE, QUOTED), 1.0), Link((QUOTED, "Bob"), 1.0)]
    topology = Topology("<i>", [Node(name, kind) for name, kind in names], links)
    raw = {"topology": topology, "duration_s": 0.02, "name": "<b>bold</b>", "description": HOSTILE}
    found = experiment(make_scenario(raw | {"key_rate": {"model": "constant", "rate_bps": 1e6}}), {}, 1)
    folder.mkdir()
    (folder / PLAN).write_text(json.dumps({"sentences": PLANNED}), encoding="utf-8")
    looked_at = pd.DataFrame({"field": [POOLS] * 2, "value": [8, 16], "about": [HOSTILE, ""], "meets": [False, True]})
    looked_at.to_csv(folder / "plan_search.csv", index=False)
    return replace(found, folder=folder)


def table(metric: Mapping[Any, Sequence[float]], field: str = POOLS, **columns: Any) -> pd.DataFrame:
    """Return runs with these requests delivered at each value of a field, one replication after the other."""
    rows = [
        {field: value, "duration_s": 1.0, **columns, "replication": number, "seed": number, "requests_delivered": much}
        for value, all_of_them in metric.items()
        for number, much in enumerate(all_of_them)
    ]
    return pd.DataFrame(rows).assign(requests_started=100, rejected_refused=10, rejected_no_route=0)
