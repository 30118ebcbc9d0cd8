"""Which targets a cut breaks: judged by runs, with the same random numbers for every cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from qkdrmp.outages.cuts import Cut
from qkdrmp.outages.loss import Loss
from qkdrmp.scenario import Scenario
from qkdrmp.stats.estimators import has_succeeded
from qkdrmp.sweeps.sweep import sweep
from qkdrmp.verdicts.targets import Assessment, assessed, targets_of

WHOLE = Cut()


@dataclass(frozen=True)
class Judgement:
    """How the targets stand with a cut.

    Parameters
    ----------
    tests : tuple of Assessment
    """

    tests: tuple[Assessment, ...]

    @property
    def broken(self) -> tuple[Assessment, ...]:
        """The targets that are missed, with 95 % confidence."""
        return tuple(one for one in self.tests if one.is_missed)

    @property
    def words(self) -> str:
        """It in a few words, such as ``missed: wait_p95_s; undecided: blocking``."""
        kinds = {
            "missed": self.broken,
            "undecided": [one for one in self.tests if not one.is_missed and not one.is_met],
        }
        found = {kind: ", ".join(one.target.metric for one in tests) for kind, tests in kinds.items()}
        return "; ".join(f"{kind}: {metrics}" for kind, metrics in found.items() if metrics) or "met"


def judged(
    scenario: Scenario,
    losses: Sequence[Loss],
    replications: int,
    seed: int,
    executor: Executor | Callable[[], Executor] | None,
    progress: bool,
) -> dict[Cut, Judgement]:
    """Return how the targets stand without a cut, and with each single one that reroutes somebody; none, if no targets.

    One that reroutes nobody only takes load off the others.
    """
    targets = targets_of(scenario)
    cuts = [loss.cut for loss in losses if loss.cut.kind != "pair" and loss.rerouted]
    if not targets:
        return {}
    points = [{"topology": scenario.topology}, *(cut.changes(scenario) for cut in cuts)]
    fields = dict.fromkeys(field for point in points for field in point)
    full = [{field: scenario.value(field) for field in fields} | point for point in points]
    runs = sweep(scenario, full, replications, seed, executor=executor, progress=progress)
    good = runs[has_succeeded(runs)]
    found = {}
    for cut, point in zip([WHOLE, *cuts], full, strict=True):
        mine = good[good["topology"] == str(point["topology"])]
        found[cut] = Judgement(tuple(assessed(mine, target) for target in targets))
    return found
