"""Reports: one offline HTML file about what a sweep found, with interactive figures.

It needs altair, vl-convert-python and jinja2: ``pip install 'qkdrmp[report]'``.
"""

from __future__ import annotations

from pathlib import Path

from qkdrmp.report.page import render
from qkdrmp.sweeps.experiment import Experiment

__all__ = ["write_report"]


def write_report(experiment: Experiment, path: Path) -> Path:
    """Write the report of an experiment into a file; return its path.

    Parameters
    ----------
    experiment : Experiment
        A finished sweep; one of its runs is simulated again, to be shown in full.
    path : pathlib.Path
        Of the HTML file, which holds everything and needs no network; what is there is replaced.

    Raises
    ------
    QKDRMPError
        If the scenario cannot be run.
    OSError
        If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(experiment), encoding="utf-8")
    return path
