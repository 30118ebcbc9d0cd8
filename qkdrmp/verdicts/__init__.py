"""Verdicts: what a sweep has found, in sentences that hold for its table of runs."""

from __future__ import annotations

import pandas as pd

from qkdrmp.family import family_of
from qkdrmp.scenario import Scenario
from qkdrmp.stats.estimators import has_succeeded
from qkdrmp.verdicts.loads import offered
from qkdrmp.verdicts.outcomes import extremes, rejections
from qkdrmp.verdicts.qualities import saturates
from qkdrmp.verdicts.targets import meets
from qkdrmp.verdicts.theory import law_table, theory

__all__ = ["law_table", "verdict"]


def verdict(runs: pd.DataFrame, scenario: Scenario, laws: pd.DataFrame | None = None) -> dict[str, list[str]]:
    """Return what a sweep has found, in sentences by topic; topics about which there is nothing to say are left out.

    Parameters
    ----------
    runs : pandas.DataFrame
        One row a run, as `sweep` returns it; failed runs are left out.
    scenario : Scenario
        What was swept, with its targets.
    laws : pandas.DataFrame, optional
        What theory says of the runs, as `law_table` returns it; by default it is worked out.

    Examples
    --------
    >>> import qkdrmp
    >>> scenario = qkdrmp.load_scenario("line").replace({"targets": {"wait_p95_s": 0.01}})
    >>> runs = qkdrmp.sweep(scenario, {"pools.capacity": [2, 6, 12, 16]}, replications=5)
    >>> asked, answer = qkdrmp.verdict(runs, scenario)["Targets"]
    >>> answer.partition(":")[0]
    'Key pool capacity = 12 keys is the smallest that meets all targets with 95 % confidence'
    """
    family, good = family_of(scenario), runs[has_succeeded(runs)]
    laws = law_table(good, scenario) if laws is None else laws
    found = {
        "Targets": list(meets(good, scenario)),
        "Size": list(saturates(good, family)),
        "Load": list(offered(good, scenario)),
        "Theory": list(theory(good, scenario, laws)),
        "Best and worst": list(extremes(good, family)),
        "Rejections": list(rejections(good, family)),
    }
    return {topic: sentences for topic, sentences in found.items() if sentences}
