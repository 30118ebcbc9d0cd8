"""Warm-up: how much of the beginning of a run to leave out, found from a few runs of the scenario itself."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkdrmp.errors import QKDRMPError
from qkdrmp.family import RunWarning, family_of
from qkdrmp.kernel.randomness import replication_seed
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import run_once
from qkdrmp.stats.estimators import BATCH, LEAST_BATCHES, TIME, mser5
from qkdrmp.stats.time_bins import Numbers

LEAST_BINS = BATCH * LEAST_BATCHES
ROUNDING = 1e-5  # relative: more than a time printed in six digits can be off


@dataclass(frozen=True)
class WarmUp:
    """What was found about the warm-up of a scenario.

    Attributes
    ----------
    scenario : str
        Name of the scenario.
    duration_s, present_s : float
        Its duration, and the warm-up it has at present.
    replications : int
    suggested_s : float
        The longest of the truncations, s.
    too_short : bool
        Whether a quantity had not settled in the first half of the run; the suggestion is then that half, or too few
        intervals had a value.
    quantities : pandas.DataFrame
        One row a quantity: ``quantity``, its ``truncation_s`` (what comes before belongs to its warm-up),
        ``too_short``, and the ``verdict`` in words.
    series : pandas.DataFrame
        One row an interval: ``time_s``, its middle, and each quantity, the mean over the replications.
    """

    scenario: str
    duration_s: float
    present_s: float
    replications: int
    suggested_s: float
    too_short: bool
    quantities: pd.DataFrame
    series: pd.DataFrame

    @property
    def is_enough(self) -> bool:
        """Whether the present warm-up is as long as the suggested one, as it is printed."""
        return self.present_s >= self.suggested_s * (1 - ROUNDING)

    def sentences(self) -> list[str]:
        """Return what was found, for people."""
        return [self._suggestion(), *(f"{row.quantity}: {row.verdict}" for row in self.quantities.itertuples())]

    def _suggestion(self) -> str:
        runs = f"{self.replications} runs of {self.duration_s:g} s"
        if self.too_short:
            return f"{self.scenario}: {runs} are too short to find a warm-up: make duration_s longer"
        enough = "is enough" if self.is_enough else "is too little"
        return (
            f"{self.scenario}: warmup_s = {self.suggested_s:g} or more is suggested by {runs}; "
            f"the {self.present_s:g} s that it has {enough}"
        )


def suggest_warmup(scenario: Scenario, seed: int = 1, replications: int = 5, bins: int = 200) -> WarmUp:
    """Find how long the warm-up of a scenario should be.

    The scenario is run without a warm-up, its duration is cut into equal intervals, and what the runs show in each is
    averaged over the replications (Welch's method). To each such series the rule MSER-5 is applied (see
    `mser5`); the longest truncation is the suggestion. It is a multiple of five intervals.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        Of the experiment: the replications have the seeds that they would have in a sweep.
    replications : int
        Number of runs (>= 1).
    bins : int
        Number of intervals (>= 50).

    Returns
    -------
    WarmUp
        For QKD about the level of the key pools (share of the capacity, mean over time and pools), the requests in
        progress (mean over time), those delivered per second, and their mean wait; for entanglement about the active
        connections (mean over time) and the pairs delivered per second. What never has a value is left out.

    Raises
    ------
    QKDRMPError
        If there are too few bins or replications.

    Warns
    -----
    RunWarning
        If the runs are too short.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"duration_s": 30})
    >>> found = qkdrmp.suggest_warmup(scenario, replications=2)
    >>> found.sentences()[0]
    'line: warmup_s = 0.9 or more is suggested by 2 runs of 30 s; the 1 s that it has is enough'
    >>> found.quantities[["quantity", "truncation_s", "verdict"]]
                   quantity  truncation_s                     verdict
    0       pool_level_mean          0.75        settled after 0.75 s
    1  requests_in_progress          0.75        settled after 0.75 s
    2       request_rate_hz          0.00  settled from the beginning
    3           wait_mean_s          0.90         settled after 0.9 s
    """
    for name, number, least in (("bins", bins, LEAST_BINS), ("replications", replications, 1)):
        if number < least:
            raise QKDRMPError(f"{name} = {number} must be at least {least} to find a warm-up")
    family, cold = family_of(scenario), scenario.replace({"warmup_s": 0.0})
    edges = np.linspace(0, scenario.duration_s, bins + 1)
    runs = (run_once(cold, replication_seed(seed, number), family.settling_record) for number in range(replications))
    shown = [pd.DataFrame({one.name: one.measure(run, edges) for one in family.settling}) for run in runs]
    mean = pd.concat(shown).groupby(level=0).mean().dropna(axis=1, how="all")
    quantities = pd.DataFrame([_judged(mean[name], edges) for name in mean])
    mean.insert(0, TIME, (edges[:-1] + edges[1:]) / 2)
    truncation_s, too_short = quantities["truncation_s"].max(), bool(quantities["too_short"].any())
    times = scenario.duration_s, scenario.warmup_s
    found = WarmUp(scenario.name, *times, replications, float(truncation_s), too_short, quantities, mean)
    if found.too_short:
        warnings.warn(found.sentences()[0], RunWarning, stacklevel=2)
    return found


def _judged(series: pd.Series[float], edges: Numbers) -> dict[str, object]:
    """Return the row about one quantity; intervals without a value are skipped."""
    known = series.dropna()
    cut = mser5(known)
    truncation_s = float(edges[known.index[cut.observations]]) if cut.observations else 0.0
    if len(known) < LEAST_BINS:
        verdict = f"has a value in only {len(known)} of {len(series)} intervals, and {LEAST_BINS} are needed"
    elif cut.too_short:
        verdict = f"had not settled in the first half, after {truncation_s:g} s"
    else:
        verdict = f"settled after {truncation_s:g} s" if truncation_s else "settled from the beginning"
    return {
        "quantity": series.name,
        "truncation_s": truncation_s,
        "too_short": cut.too_short,
        "verdict": verdict,
    }
