"""What pictures are drawn of, described from below: nothing here imports the simulator or the sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pandas as pd

from qkdrmp.topology import Topology


class SimulatedScenario(Protocol):
    """The facts of a scenario that pictures and their captions state."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def kind(self) -> str:
        """Its protocol family."""

    @property
    def duration_s(self) -> float:
        """Its simulated time, s."""

    @property
    def topology(self) -> Topology:
        """Its network."""


class SweepResults(Protocol):
    """The results of a sweep and their provenance, as `load_experiment` returns them."""

    @property
    def scenario(self) -> SimulatedScenario:
        """What was swept."""

    @property
    def swept(self) -> list[str]:
        """The columns of `runs` that define its cells."""

    @property
    def seed(self) -> int:
        """Its seed."""

    @property
    def runs(self) -> pd.DataFrame:
        """One row a run."""

    @property
    def command(self) -> str:
        """The command that repeats it."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the packages that made it."""

    @property
    def folder(self) -> Path | None:
        """Where it is kept."""


class WarmUpSuggestion(Protocol):
    """How the quantities of a scenario settle, as `suggest_warmup` returns it."""

    @property
    def duration_s(self) -> float:
        """The simulated time of its runs, s."""

    @property
    def has_steady_state(self) -> bool:
        """Whether there is anything to settle into."""

    @property
    def quantities(self) -> pd.DataFrame:
        """One row a quantity."""

    @property
    def series(self) -> pd.DataFrame:
        """One row an interval of time."""
