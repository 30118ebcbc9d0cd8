"""An experiment: a sweep with everything that is known about it, and the folder it is kept in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from qkdrmp.errors import QKDRMPError
from qkdrmp.family import family_of
from qkdrmp.family.results import RUN_SUMMARY
from qkdrmp.scenario import Scenario
from qkdrmp.scenario.writing import is_writable, save_scenario
from qkdrmp.scenario_file import load_scenario
from qkdrmp.stats.estimators import summarise
from qkdrmp.stats.table_files import write_tables
from qkdrmp.sweeps.fingerprint import versions
from qkdrmp.sweeps.plan import Plan
from qkdrmp.sweeps.store import Store

STORE, SCENARIO, PROVENANCE = "runs.sqlite", "scenario.json", "provenance.json"
RESULTS = Path("results")
SHOWN_ROWS = 20
IN_PYTHON = "qkdrmp.sweep(scenario, ...), in Python"


@dataclass(frozen=True)
class Experiment:
    """A sweep that was carried out.

    Parameters
    ----------
    scenario : Scenario
        What was swept.
    swept : list of str
        The columns of `runs` that define its cells; ``duration_s`` is one of them.
    seed : int
        Of the sweep.
    runs : pandas.DataFrame
        One row a run, as `sweep` returns it: the swept columns, ``replication``, ``seed``, ``failed`` (of a failed
        run all metrics are empty), and the metrics of the family.
    failures : pandas.DataFrame
        One row a failed run: the swept columns, ``replication``, ``seed``, ``error`` (one line), ``traceback``.
    timings : pandas.DataFrame
        One row a simulation, with its longest duration: the swept columns, ``replication``, ``seed``, and ``wall_s``,
        the time that it took, s.
    command : str
        The command, or the Python call, that runs it again.
    versions : dict of str to str
        Of Python, qkdrmp, and the packages that a result may depend on.
    folder : Path or None
        Where it is kept.
    new_runs : int
        How many of the runs were carried out just now; the others were in the folder already.
    """

    scenario: Scenario
    swept: list[str]
    seed: int
    runs: pd.DataFrame = field(repr=False)
    failures: pd.DataFrame = field(repr=False)
    timings: pd.DataFrame = field(repr=False)
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    new_runs: int = 0

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that go into its folder, by name: summary is that of `summarise`."""
        made = {"runs": self.runs, "timings": self.timings, "summary": summarise(self.runs, self.swept)}
        return made | ({"failures": self.failures} if len(self.failures) else {})

    def _repr_html_(self) -> str:
        """Return what notebooks show: what was run, and the main metric of each cell."""
        main = family_of(self.scenario).main_metric
        columns = [*self.swept, "replications", *(f"{main}_{end}" for end in ("mean", "low", "high"))]
        summary = self.tables["summary"]
        table = summary[[name for name in columns if name in summary]].to_html(index=False, max_rows=SHOWN_ROWS)
        failed = f", {len(self.failures)} of them failed" if len(self.failures) else ""
        about = f"<b>{escape(self.scenario.name)}</b>, seed {self.seed}: {len(self.runs)} runs{failed}"
        return f"<p>{about}; <code>{escape(self.command)}</code></p>{table}"

    def save(self, folder: Path) -> None:
        """Write the tables and what made them into a folder.

        The scenario is written with all it needs, so that it can be run again from there; functions and objects of
        the user's own are only named.
        """
        (folder / "failures.csv").unlink(missing_ok=True)
        write_tables(self.tables, folder)
        save_scenario(self.scenario, folder / SCENARIO)
        known = {"command": self.command, "seed": self.seed, "swept": self.swept, "versions": self.versions}
        (folder / PROVENANCE).write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def gather(
    plan: Plan, store: Store, counts: Sequence[int], folder: Path | None = None, command: str = ""
) -> Experiment:
    """Return what a store has of a plan, with so many replications of each cell; write it into the folder, if any."""
    runs: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    timings: list[dict[str, Any]] = []
    for cell, replication in plan.simulations(counts):
        seed = plan.seed_of(replication)
        simulation, run = cell.simulation(seed), {"replication": replication, "seed": seed}
        for duration_s in cell.durations_s:
            place = {**cell.labels(plan.swept, duration_s), **run}
            if (metrics := store.runs.get((simulation, duration_s))) is not None:
                runs.append({**place, "failed": False, **metrics})
            elif failure := store.failures.get((simulation, duration_s)):
                runs.append({**place, "failed": True})
                failures.append({**place, "error": failure.error, "traceback": failure.traceback})
        if simulation in store.timings:
            timings.append({**cell.labels(plan.swept), **run, "wall_s": store.timings[simulation]})
    columns = [*plan.swept, "replication", "seed"]
    settings = {**plan.scenario.as_mapping(), "sweep": plan.settings()}
    scenario = type(plan.scenario).from_mapping(settings, plan.scenario.name, plan.scenario.folder)
    again = f"qkdrmp sweep {folder / SCENARIO} --seed {plan.seed}" if folder and is_writable(scenario) else IN_PYTHON
    found = Experiment(
        scenario,
        plan.swept,
        plan.seed,
        pd.DataFrame(runs) if runs else pd.DataFrame(columns=[*columns, "failed"]),
        pd.DataFrame(failures, columns=[*columns, "error", "traceback"]),
        pd.DataFrame(timings, columns=[*columns, "wall_s"]),
        command or again,
        versions(),
        folder,
    )
    if folder is not None:
        found.save(folder)
    return found


def load_experiment(folder: str | Path, scenario: Scenario | None = None) -> Experiment:
    """Return the experiment that a sweep has left in a folder.

    Parameters
    ----------
    folder : path
    scenario : Scenario, optional
        The scenario, if it has functions or objects of your own, which no file can hold.

    Raises
    ------
    QKDRMPError
        If the folder is not that of a sweep.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line")
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 8]}, replications=2, folder="results/line")
    >>> experiment = qkdrmp.load_experiment("results/line")
    >>> experiment.swept, experiment.seed, len(experiment.runs)
    (['pools.capacity', 'duration_s'], 1, 4)
    """
    if not isinstance(folder, str | Path):
        raise QKDRMPError(f"folder = {folder!r} must be the path of a folder, as text or a Path")
    folder = Path(folder)
    _refuse_other(folder)
    try:
        known = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        swept, seed, command, made_with = (known[name] for name in ("swept", "seed", "command", "versions"))
        tables = [pd.read_csv(folder / f"{name}.csv") for name in ("runs", "timings")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = getattr(error, "strerror", None) or error
        raise QKDRMPError(f"{folder}: is not the folder of a finished sweep ({PROVENANCE}, runs.csv: {what})") from None
    failed = folder / "failures.csv"
    columns = [*swept, "replication", "seed", "error", "traceback"]
    failures = pd.read_csv(failed) if failed.is_file() else pd.DataFrame(columns=columns)
    return Experiment(
        scenario or load_scenario(folder / SCENARIO),
        swept,
        seed,
        tables[0],
        failures,
        tables[1],
        command,
        made_with,
        folder,
    )


def _refuse_other(folder: Path) -> None:
    """Raise an error if a path is not that of a folder, or if it has only a single run."""
    if (folder / PROVENANCE).is_file():
        return
    if (RESULTS / folder / PROVENANCE).is_file():
        raise QKDRMPError(f"{folder}: is not the folder of a sweep; did you mean {RESULTS / folder}?")
    if folder.is_file():
        raise QKDRMPError(f"{folder}: is a file, not the folder of a sweep (see qkdrmp sweep)")
    if not folder.is_dir():
        raise QKDRMPError(f"{folder}: there is no such folder (see qkdrmp sweep)")
    if any(folder.glob(f"{RUN_SUMMARY}.*")):
        raise QKDRMPError(f"{folder}: has the tables of a single run, not of a sweep (see qkdrmp sweep)")
