"""Warm-up: how much of the beginning of a run to leave out, found from a few runs of the scenario itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkdrmp.errors import QKDRMPError, listed
from qkdrmp.family import RunWarning, family_of
from qkdrmp.kernel.randomness import replication_seed
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import run_once
from qkdrmp.stats.estimators import BATCH, LEAST_BATCHES, TIME, half_width, mser5
from qkdrmp.stats.time_bins import Numbers
from qkdrmp.stats.words import percent

LEAST_BINS = BATCH * LEAST_BATCHES
ROUNDING = 1e-5  # relative: more than a time printed in six digits can be off
NEGLIGIBLE = 0.02
"""What changes a mean by less than this share needs not be left out."""


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
    has_steady_state : bool
        Whether there is anything to settle into. Lists of requests or connections come to an end: nothing is suggested.
    suggested_s : float
        The longest truncation of the quantities that matter, or of all if none does, s.
    is_enough : bool
        Whether the present warm-up is that long, or what it leaves in of the time before changes the mean of no
        quantity by more than 2 % and by more than its 95 % interval over the replications.
    too_short : bool
        Whether a quantity had not settled in the first half of the run, and that changes its mean likewise; the
        suggestion is then that half.
    quantities : pandas.DataFrame
        One row a quantity: ``quantity``, its ``truncation_s`` (what comes before belongs to its warm-up),
        ``too_short``, its ``bias`` (by which share its mean changes by what the present warm-up leaves in),
        whether that ``matters``, whether it ``is_internal`` (nothing that users get), and the ``verdict`` in words.
    series : pandas.DataFrame
        One row an interval: ``time_s``, its middle, and each quantity, the mean over the replications.
    """

    scenario: str
    duration_s: float
    present_s: float
    replications: int
    has_steady_state: bool
    suggested_s: float
    too_short: bool
    quantities: pd.DataFrame
    series: pd.DataFrame

    @property
    def is_as_long(self) -> bool:
        """Whether the present warm-up is as long as the suggested one, as it is printed."""
        return self.present_s >= self.suggested_s * (1 - ROUNDING)

    @property
    def is_enough(self) -> bool:
        """Whether the present warm-up leaves in nothing that matters."""
        return not self.has_steady_state or self.is_as_long or not self.quantities["matters"].any()

    def sentences(self) -> list[str]:
        """Return what was found, for people."""
        if not self.has_steady_state:
            return [f"{self.scenario}: no warm-up to leave out: the demand is a list, without a steady state"]
        return [self._suggestion(), *(f"{row.quantity}: {row.verdict}" for row in self.quantities.itertuples())]

    def _suggestion(self) -> str:
        runs = f"{self.replications} runs of {self.duration_s:g} s"
        if self.too_short:
            return f"{self.scenario}: {runs} are too short to find a warm-up: make duration_s longer"
        mattering = self.quantities[self.quantities["matters"]]
        if not self.is_enough and mattering["is_internal"].all():
            changes = listed(
                f"{name} by {percent(bias)}" for name, bias in mattering.set_index("quantity")["bias"].items()
            )
            return (
                f"{self.scenario}: what users get needs no longer warm-up; the state of the network settles after "
                f"{self.suggested_s:g} s in {runs}, and what comes before changes the mean of {changes}"
            )
        if self.is_enough and not self.is_as_long:
            return (
                f"{self.scenario}: warmup_s = {self.present_s:g} is enough: in {runs} nothing from there to "
                f"{self.suggested_s:g} s changes a mean by more than chance"
            )
        enough = "is enough" if self.is_enough else "is too little"
        return (
            f"{self.scenario}: warmup_s = {self.suggested_s:g} or more is suggested by {runs}; "
            f"the {self.present_s:g} s that it has {enough}"
        )


def suggest_warmup(scenario: Scenario, seed: int = 1, replications: int = 5, bins: int = 200) -> WarmUp:
    """Find how long the warm-up of a scenario should be.

    The scenario is run without a warm-up, its duration is cut into equal intervals, and what the runs show in each is
    averaged over the replications (Welch's method). To each such series the rule MSER-5 is applied (see
    `mser5`); the longest truncation of those that matter is the suggestion. It is a multiple of five intervals.

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
    'line: warmup_s = 0.75 or more is suggested by 2 runs of 30 s; the 1 s that it has is enough'
    >>> found.quantities[["quantity", "truncation_s", "verdict"]]
                   quantity  truncation_s               verdict
    0       pool_level_mean          0.75  settled after 0.75 s
    1  requests_in_progress          0.75  settled after 0.75 s
    2       request_rate_hz          0.75  settled after 0.75 s
    3           wait_mean_s          0.75  settled after 0.75 s
    """
    for name, number, least in (("bins", bins, LEAST_BINS), ("replications", replications, 1)):
        if number < least:
            raise QKDRMPError(f"{name} = {number} must be at least {least} to find a warm-up")
    family, cold = family_of(scenario), scenario.replace({"warmup_s": 0.0})
    edges = np.linspace(0, scenario.duration_s, bins + 1)
    runs = (run_once(cold, replication_seed(seed, number), family.settling_record) for number in range(replications))
    shown = [pd.DataFrame({one.name: one.measure(run, edges) for one in family.settling}) for run in runs]
    mean = pd.concat(shown).groupby(level=0).mean().dropna(axis=1, how="all")
    internal = {one.name: one.is_internal for one in family.settling}
    judged = [_judged(str(name), mean[name], shown, edges, scenario.warmup_s) for name in mean]
    quantities = pd.DataFrame([{**row, "is_internal": internal[str(row["quantity"])]} for row in judged])
    mean.insert(0, TIME, (edges[:-1] + edges[1:]) / 2)
    steady, times = family.has_steady_state(scenario), (scenario.duration_s, scenario.warmup_s)
    deciding = quantities[quantities["matters"]] if quantities["matters"].any() else quantities
    truncation_s = float(deciding["truncation_s"].max()) if steady else 0.0
    too_short = steady and bool((quantities["too_short"] & quantities["matters"]).any())
    found = WarmUp(scenario.name, *times, replications, steady, truncation_s, too_short, quantities, mean)
    if found.too_short:
        warnings.warn(found.sentences()[0], RunWarning, stacklevel=2)
    return found


def _judged(
    name: str, series: pd.Series[float], shown: Sequence[pd.DataFrame], edges: Numbers, present_s: float
) -> dict[str, object]:
    """Return the row about one quantity; intervals without a value are skipped."""
    known = series.dropna()
    cut = mser5(known)
    truncation_s = float(edges[known.index[cut.observations]]) if cut.observations else 0.0
    bias, matters = _bias([run[name].to_numpy() for run in shown], edges[:-1], present_s, truncation_s)
    if len(known) < LEAST_BINS:
        verdict = f"has a value in only {len(known)} of {len(series)} intervals, and {LEAST_BINS} are needed"
    elif cut.too_short:
        verdict = f"had not settled in the first half, after {truncation_s:g} s"
    else:
        verdict = f"settled after {truncation_s:g} s" if truncation_s else "settled from the beginning"
    if truncation_s > present_s and not matters:
        verdict += ", but what comes before is not significantly different"
    return {
        "quantity": name,
        "truncation_s": truncation_s,
        "too_short": cut.too_short,
        "bias": bias,
        "matters": matters,
        "verdict": verdict,
    }


def _bias(runs: Sequence[Numbers], starts: Numbers, present_s: float, truncation_s: float) -> tuple[float, bool]:
    """Return by which share a mean changes by what is left in before a truncation, and whether that matters."""
    if truncation_s <= present_s:
        return 0.0, False
    means = pd.DataFrame(
        {cut: [pd.Series(run[starts >= cut]).mean() for run in runs] for cut in (present_s, truncation_s)}
    ).dropna()
    changes = means[present_s] - means[truncation_s]
    change, level = float(changes.mean()), abs(float(means[truncation_s].mean()))
    is_chance = half_width(changes) >= abs(change)  # not for a single run, of which no interval is known
    matters = len(means) > 0 and abs(change) > NEGLIGIBLE * level and not is_chance
    return change / level if level else float("nan"), matters
