"""The answer to what cuts cost, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from qkdrmp.errors import are, counted, listed
from qkdrmp.family import Pair, Service, family_of
from qkdrmp.outages.cuts import RELAYS, Cut
from qkdrmp.outages.judging import WHOLE, Judgement
from qkdrmp.outages.loss import Loss
from qkdrmp.scenario import Scenario
from qkdrmp.stats.words import number, percent
from qkdrmp.topology import Topology

SHOWN = 3


def answer(
    scenario: Scenario,
    whole: Service,
    losses: Sequence[Loss],
    bridges: Mapping[Pair, float],
    judgements: Mapping[Cut, Judgement],
) -> Iterator[str]:
    """Yield what cuts cost, in sentences; the first one or two are the answer in short.

    Parameters
    ----------
    scenario : Scenario
    whole : Service
        Without a cut.
    losses : sequence of Loss
        The worst first.
    bridges : mapping of (str, str) to float
        For how long the pools of each link bridge it, in seconds.
    judgements : mapping of Cut to Judgement
        How the targets stand with those cuts that were run.
    """
    single = [loss for loss in losses if loss.cut.kind != "pair"]
    if not whole.routes or not single:
        yield "There is nothing to lose: no pair of users has a route." if single else "There is nothing to cut."
        return
    yield from _service(single, scenario.topology, len(whole.routes))
    yield from _two(losses, len(whole.routes))
    yield from _loads(single, whole)
    yield from _targets(judgements, single)
    yield _bridging(scenario, whole, bridges)


def _service(single: Sequence[Loss], topology: Topology, pairs: int) -> Iterator[str]:
    worst, breaking = single[0], [loss for loss in single if loss.disconnected]
    if not breaking:
        yield f"No single cut breaks service: {_all(pairs)} a route, whichever link or repeater is gone."
        yield (
            f"The worst is the loss of {worst.cut.words}: {_detour(worst, pairs)}."
            if worst.rerouted
            else "Nor does any reroute anyone."
        )
        return
    who = "the only pair of users loses its service"
    if pairs > 1:
        lost = len(worst.disconnected)
        who = f"{lost} of {pairs} pairs of users {'loses its' if lost == 1 else 'lose their'} service"
    others = f" (and {_detour(worst, pairs)})" if worst.rerouted else ""
    yield f"The worst single cut is the loss of {worst.cut.words}: {who}{others}."
    sums = [
        f"{sum(loss.cut.kind == kind for loss in breaking)} of {counted(total, kind)}"
        for kind, total in (("link", len(topology.links)), ("repeater", _relays(topology)))
        if total
    ]
    only = _only_links(breaking, topology)
    lonely = f"; {only} of these links {are(only)} the only one of a user" if only else ""
    yield f"{' and '.join(sums)} break service if they alone are gone{lonely}."


def _all(pairs: int) -> str:
    return "the only pair of users keeps" if pairs == 1 else f"all {pairs} pairs of users keep"


def _relays(topology: Topology) -> int:
    return sum(node.kind in RELAYS for node in topology.nodes.values())


def _only_links(breaking: Sequence[Loss], topology: Topology) -> int:
    """Return how many of the links that break service are the only one of a user."""
    lonely = [name for name in topology.ends if len(topology.neighbours(name)) == 1]
    return sum(loss.cut.kind == "link" and any(end in lonely for end in loss.cut.gone[0]) for loss in breaking)


def _detour(loss: Loss, pairs: int) -> str:
    many, mean = len(loss.rerouted), loss.longer_mean_km
    change = f"{number(abs(mean), 3)} km {'longer' if mean >= 0 else 'shorter'}"
    return f"{many} of {pairs} {are(many)} rerouted, over ways {change}{' on average' if many > 1 else ''}"


def _two(losses: Sequence[Loss], pairs: int) -> Iterator[str]:
    """Say which cuts of two break the service of more pairs of users than the two alone do."""
    alone = {loss.cut.gone[0]: set(loss.disconnected) for loss in losses if loss.cut.kind != "pair"}
    two = [loss for loss in losses if loss.cut.kind == "pair"]
    if not two:
        return
    worse = {
        loss.cut.name: more
        for loss in two
        if (more := len(set(loss.disconnected) - set().union(*(alone[one] for one in loss.cut.gone))))
    }
    if not worse:
        yield f"Of {len(two)} cuts of two, none takes the service from anyone who would keep it with each alone."
        return
    worst = max(worse, key=lambda name: worse[name])
    yield (
        f"Of {len(two)} cuts of two, {len(worse)} take the service from users who would keep it with each alone; "
        f"the worst is {worst}: {worse[worst]} of {counted(pairs, 'pair')} of users."
    )


def _loads(single: Sequence[Loss], whole: Service) -> Iterator[str]:
    if not whole.loads:
        yield "What users ask for is not known beforehand, so the load of links with a cut is not, either."
        return
    over = [loss for loss in single if loss.overloaded]
    before = sum(load > 1 for load in whole.loads.values())
    already = f" ({counted(before, 'link')} {are(before)} so already without a cut)" if before else ""
    if not over:
        yield f"No single cut overloads a link by the traffic that is rerouted{already}."
        return
    worst = max(over, key=lambda loss: max(loss.overloaded.values()))
    link, load = max(worst.overloaded.items(), key=lambda one: one[1])
    names = listed((loss.cut.words for loss in over), SHOWN)
    yield (
        f"{counted(len(over), 'single cut')} overload{'s' if len(over) == 1 else ''} links by the traffic that is "
        f"rerouted{already}: {names}; at worst {'-'.join(link)} is offered {percent(load)} of what it can make, with "
        f"the loss of {worst.cut.words}."
    )


def _targets(judgements: Mapping[Cut, Judgement], single: Sequence[Loss]) -> Iterator[str]:
    if not judgements:
        return
    whole, cuts = judgements[WHOLE], {cut: one for cut, one in judgements.items() if cut != WHOLE}
    if whole.words != "met":
        missing = "; ".join(one.words for one in whole.tests if not one.is_met)
        yield f"Without any cut, the targets are not all met: {missing}."
    if not cuts:
        yield "No cut reroutes anyone, so none was run to judge the targets of those who keep their service."
        return
    broken = {cut: one for cut, one in cuts.items() if one.broken}
    open_ = sum(one.words != "met" and not one.broken for one in cuts.values())
    rest = f"; {counted(open_, 'cut')} {are(open_)} undecided, for want of replications" if open_ else ""
    of = f"of {counted(len(cuts), 'single cut')} that reroute somebody"
    if not broken:
        yield f"Targets, by runs: none {of} breaks one with 95 % confidence{rest}."
        return
    names = listed(
        (f"{cut.words} ({', '.join(test.target.metric for test in one.broken)})" for cut, one in broken.items()), SHOWN
    )
    yield f"Targets, by runs: {len(broken)} {of} break some with 95 % confidence: {names}{rest}."


def _bridging(scenario: Scenario, whole: Service, bridges: Mapping[Pair, float]) -> str:
    if family_of(scenario).bridges_s is None:
        return f"Nothing bridges a cut: runs of kind '{scenario.kind}' keep no stock on links."
    hops = {frozenset(hop) for route in whole.routes.values() for hop in pairwise(route)}
    used = {link: seconds for link, seconds in bridges.items() if frozenset(link) in hops and math.isfinite(seconds)}
    with_pools = {link: seconds for link, seconds in used.items() if seconds > 0}
    if not with_pools:
        return "No pool bridges the failure of a link: none holds keys above the level at which it stops serving."
    ends = [choose(with_pools, key=lambda link: with_pools[link]) for choose in (min, max)]
    short, long = (f"{number(with_pools[link], 3)} s ({'-'.join(link)})" for link in ends)
    none = len(used) - len(with_pools)
    bridge = "bridges" if none == 1 else "bridge"
    without = f"; {counted(none, 'other link')} in use {bridge} nothing" if none else ""
    return (
        "If a link only makes no more keys while messages still get through, its pools serve on for "
        f"{short} to {long}, from their mean levels and what requests take{without}."
    )
