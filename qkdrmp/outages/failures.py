"""What if a link or a repeater is gone: for every cut, who loses service, what bridges it, and which targets break."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from html import escape

import pandas as pd
from matplotlib.axes import Axes

from qkdrmp import plots
from qkdrmp.errors import QKDRMPError
from qkdrmp.family import Pair, Service, family_of
from qkdrmp.outages.answer import answer
from qkdrmp.outages.cuts import REPLICATIONS, Cut, cuts_of
from qkdrmp.outages.judging import Judgement, judged
from qkdrmp.outages.loss import Loss, loss_of
from qkdrmp.scenario import Scenario
from qkdrmp.simulation import run_once
from qkdrmp.sweeps.plan import Plan
from qkdrmp.sweeps.progress import watched

SHOWN_ROWS = 15


@dataclass(frozen=True)
class Failures:
    """What cuts cost a network.

    Attributes
    ----------
    scenario : Scenario
    cuts : pandas.DataFrame
        One row for each cut, the worst first.
    users : pandas.DataFrame
        One row for each cut and each pair of users that loses its service, or whose route is another one.
    sentences : list of str
        The answer; the first one or two say which cut is the worst, and whether any single one breaks service.
    """

    scenario: Scenario
    cuts: pd.DataFrame
    users: pd.DataFrame
    sentences: list[str]

    def draw(self, ax: Axes | None = None) -> Axes:
        """Draw the map of the network, each link and repeater coloured by what its loss alone costs.

        That is the share of pairs of users that lose their service, or, if no cut takes it from anyone, of those that
        are rerouted.
        """
        single = self.cuts[self.cuts["kind"] != "pair"].set_index("cut")
        column, what = ("disconnected", "cut off") if single["disconnected"].any() else ("rerouted", "rerouted")
        share = 100 * single[column] / max(int(self.cuts["pairs"].max()), 1)
        topology = self.scenario.topology
        return plots.coloured(
            topology,
            ax,
            nodes={name: share[name] for name in topology.nodes if name in share},
            nodes_label=f"pairs of users {what} if the repeater is gone (%)",
            links={link.ends: share["-".join(link.ends)] for link in topology.links},
            links_label=f"pairs of users {what} if the link is gone (%)",
        )

    def shown(self, rows: int = SHOWN_ROWS) -> pd.DataFrame:
        """Return the worst cuts, without columns that say nothing."""
        worst = self.cuts.head(rows).drop(columns="pairs").dropna(axis=1, how="all")
        return worst if self.scenario.targets else worst.drop(columns="targets")

    def _repr_html_(self) -> str:
        """Return what notebooks show: the answer, and the worst cuts."""
        said = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.sentences)
        more = len(self.cuts) - SHOWN_ROWS
        rest = f"<p>{more} more cuts are in the table <code>cuts</code>.</p>" if more > 0 else ""
        table = self.shown().to_html(index=False, float_format="{:.4g}".format)
        return f"<p><b>{escape(self.scenario.name)}</b></p><ul>{said}</ul>{table}{rest}"


def failures(
    scenario: Scenario,
    pairs: bool = False,
    replications: int = REPLICATIONS,
    seed: int = 1,
    *,
    executor: Executor | Callable[[], Executor] | None = None,
    progress: bool = True,
) -> Failures:
    """Return what it costs if a link or a repeater is gone, for every single one of them.

    Who loses service, whose route is longer, and which links are overloaded is known without a run. How long the pools
    of a link bridge its failure is worked out from their levels in one run of the whole network. If the scenario has
    targets, all cuts by which somebody is rerouted are run, with the same random numbers.

    Parameters
    ----------
    scenario : Scenario
        What its sweep section says is left out of account.
    pairs : bool
        Whether two of them may be gone at once, too; targets are judged for single cuts only.
    replications : int
        Runs of each cut, if there are targets.
    seed : int
    executor : concurrent.futures.Executor or callable, optional
        Where to run them, as for `sweep`.
    progress : bool
        Whether to show a progress bar, or lines in a log.

    Raises
    ------
    QKDRMPError
        If the protocol family does not say whom it serves, or a run needs a seed that is none.

    Examples
    --------
    >>> import qkdrmp
    >>> found = qkdrmp.failures(qkdrmp.load_scenario("line"))
    >>> found.sentences[0]
    'The worst single cut is the loss of link Alice-R: 2 of 2 pairs of users lose their service.'
    >>> found.cuts["cut"].to_list()
    ['Alice-R', 'R-Bob', 'R']
    """
    family = family_of(scenario)
    if family.service is None:
        raise QKDRMPError(f"{scenario.name}: runs of kind '{scenario.kind}' do not say whom they serve")
    plan = Plan(scenario, [{}], replications, seed)
    whole = family.service(scenario)
    losses = [
        loss_of(cut, whole, family.service(cut.of(scenario)), scenario.topology)
        for cut in watched(list(cuts_of(scenario.topology, pairs)), scenario.name, "cut", progress)
    ]
    losses.sort(key=lambda loss: [-number for number in loss.cost])
    bridges = dict(family.bridges_s(run_once(scenario, plan.seed_of(0)))) if family.bridges_s else {}
    judgements = judged(scenario, losses, replications, seed, executor, progress)
    cuts = pd.DataFrame([_row(loss, whole, bridges, judgements) for loss in losses], columns=COLUMNS)
    users = pd.DataFrame([row for loss in losses for row in _user_rows(loss)], columns=USER_COLUMNS)
    return Failures(scenario, cuts, users, list(answer(scenario, whole, losses, bridges, judgements)))


COLUMNS = (
    "cut",
    "kind",
    "pairs",
    "disconnected",
    "rerouted",
    "longer_mean_km",
    "load_max",
    "overloaded",
    "bridge_s",
    "targets",
)
USER_COLUMNS = ("cut", "src", "dst", "state", "before_km", "after_km")


def _row(
    loss: Loss, whole: Service, bridges: Mapping[Pair, float], judgements: Mapping[Cut, Judgement]
) -> tuple[str | float, ...]:
    bridge_s = {"-".join(link): seconds for link, seconds in bridges.items()}.get(loss.cut.name, math.nan)
    judgement = judgements.get(loss.cut)
    return (
        loss.cut.name,
        loss.cut.kind,
        len(whole.routes),
        len(loss.disconnected),
        len(loss.rerouted),
        loss.longer_mean_km,
        max(loss.loads.values(), default=math.nan),
        len(loss.overloaded) if whole.loads else math.nan,
        bridge_s,
        judgement.words if judgement else "",
    )


def _user_rows(loss: Loss) -> Iterator[tuple[str | float, ...]]:
    yield from ((loss.cut.name, *pair, "disconnected", math.nan, math.nan) for pair in loss.disconnected)
    for pair, way in loss.rerouted.items():
        yield (loss.cut.name, *pair, "rerouted", way.before_km, way.after_km)
