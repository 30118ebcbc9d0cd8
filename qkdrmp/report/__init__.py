"""Reports: one offline HTML file about what a sweep found, with interactive figures.

It needs altair, vl-convert-python and jinja2: ``pip install 'qkdrmp[report]'``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qkdrmp.report.page import render
from qkdrmp.sweeps.experiment import Experiment

__all__ = ["write_report"]


def write_report(
    experiment: Experiment,
    path: Path,
    cells: Mapping[str, Any] | None = None,
    replications: Sequence[int] = (),
    progress: bool = False,
) -> Path:
    """Write the report of an experiment into a file; return its path.

    Parameters
    ----------
    experiment : Experiment
        A finished sweep (or a single run: see `load_run`); some of its runs are simulated again, to be shown in full.
    path : pathlib.Path
        Of the HTML file, which holds everything and needs no network; what is there is replaced.
    cells : mapping of str to object, optional
        The cells whose runs the page shows in full: swept fields, and the value of each, or a list of values. By
        default all values, but of the duration the longest.
    replications : sequence of int, optional
        Which replications it shows of each of these cells; by default the first.
    progress : bool
        Whether to show how many of these runs are done.

    Raises
    ------
    QKDRMPError
        If the scenario cannot be run, or there is no such cell or replication.
    OSError
        If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(experiment, cells, replications, progress), encoding="utf-8")
    return path
