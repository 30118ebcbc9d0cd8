"""A single run in a folder: what made it, beside its tables, and the experiment that it is by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from qkdrmp.errors import QKDRMPError
from qkdrmp.family.results import RUN_SUMMARY, Results
from qkdrmp.scenario.writing import save_scenario
from qkdrmp.scenario_file import load_scenario
from qkdrmp.simulation import run_once
from qkdrmp.sweeps.experiment import Experiment
from qkdrmp.sweeps.fingerprint import versions

DESCRIPTION = "run.json"
SCENARIO_FOLDER = "run"
"""Scenarios are kept in a folder of their own: a sweep may have its in the same one."""
SWEPT = ["duration_s"]


def describe_run(results: Results, folder: Path, command: str) -> list[str]:
    """Write into the folder of a run what made it, so that it can be run again; return the name of the file.

    Parameters
    ----------
    results : Results
    folder : pathlib.Path
        Where the tables are.
    command : str
        The command that made them.
    """
    (folder / SCENARIO_FOLDER).mkdir(exist_ok=True)
    save_scenario(results.scenario, folder / SCENARIO_FOLDER / "scenario.json")
    known = {"command": command, "seed": results.seed, "name": results.scenario.name, "versions": versions()}
    (folder / DESCRIPTION).write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    return [DESCRIPTION]


def is_single_run(folder: Path) -> bool:
    """Return whether a folder has the tables of a single run."""
    return any(folder.glob(f"{RUN_SUMMARY}.*"))


def load_run(folder: Path) -> Experiment:
    """Return a single run as an experiment with one cell and one replication; it is simulated again.

    Parameters
    ----------
    folder : pathlib.Path
        What ``qkdrmp run`` has left.

    Raises
    ------
    QKDRMPError
        If the folder does not say what made its tables, or the scenario cannot be run.
    """
    try:
        known = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        seed, command, made_with = known["seed"], known["command"], known["versions"]
    except (OSError, ValueError, KeyError, TypeError):
        raise QKDRMPError(
            f"{folder}: has the tables of a single run, but not what made it ({DESCRIPTION}); see qkdrmp run"
        ) from None
    scenario = load_scenario(folder / SCENARIO_FOLDER / "scenario.json")
    which: dict[str, Any] = {"duration_s": scenario.duration_s, "replication": 0, "seed": seed, "failed": False}
    runs = pd.DataFrame([{**which, **run_once(scenario, seed).summary}])
    none_failed = pd.DataFrame(columns=[*SWEPT, "replication", "seed", "error", "traceback"])
    return Experiment(scenario, SWEPT, seed, runs, none_failed, pd.DataFrame(), command, made_with, folder)
