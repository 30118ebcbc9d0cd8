"""What is known of a scenario before it runs: the load of its links, and what will go wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, permutations
from math import inf

from qkdrmp.entanglement.nesting import Nesting
from qkdrmp.entanglement.request import (
    ConnectionRequest,
    ListsConnections,
    ListsTimes,
    RepeatsConnections,
    counted_memories,
)
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.errors import are, counted, listed
from qkdrmp.family import Service
from qkdrmp.kernel.units import to_seconds
from qkdrmp.stats.words import number, percent

SHOWN = 3
"""How many links are named."""


def link_loads(scenario: EntanglementSettings, layers: Nesting) -> dict[tuple[str, str], float]:
    """Return the least load of each link, the largest first: pairs that users ask for over those that it can make.

    Each end-to-end pair takes at least one pair of every link on its route. A link makes at most one in as many trials
    as it needs on average in each memory of the end that has fewer, if halves leave them at once.
    """
    demand = scenario.demand.build()
    if not isinstance(demand, RepeatsConnections):
        return {}
    asked: dict[frozenset[str], float] = defaultdict(float)
    for (src, dst), pairs_per_s in demand.offered_hz(scenario.topology.ends).items():
        for hop in pairwise(layers.path(src, dst, len(scenario.topology.nodes)) or ()):
            asked[frozenset(hop)] += pairs_per_s
    loads = {}
    for link in scenario.topology.links:
        law = scenario.law(link)
        most = scenario.lanes(link) * law.success_probability / to_seconds(law.slot_ticks)
        if pairs_per_s := asked[frozenset(link.ends)]:
            loads[link.ends] = pairs_per_s / most
    return dict(sorted(loads.items(), key=lambda one: -one[1]))


def service(scenario: EntanglementSettings) -> Service:
    """Return by which routes users are served, and the least loads; where it is not known who asks, all users do."""
    layers, demand, users = (
        Nesting(scenario.topology, scenario.layers.nested),
        scenario.demand.build(),
        scenario.topology.ends,
    )
    asked = demand.asked(users) if isinstance(demand, ListsConnections) else ()
    pairs = dict.fromkeys((one.src, one.dst) for one in asked) or permutations(users, 2)
    routes = {pair: route for pair in pairs if (route := layers.route(*pair))}
    return Service(routes, link_loads(scenario, layers))


def known_beforehand(scenario: EntanglementSettings) -> dict[str, list[str]]:
    """Return, in sentences by topic, how loaded links are, as far as it is known."""
    loads = link_loads(scenario, Nesting(scenario.topology, scenario.layers.nested))
    if not loads:
        return {}
    over = sum(load > 1 for load in loads.values())
    return {
        "Load": [
            f"offered load of links, pairs asked for over pairs that they can make, at least: {_some(loads, percent)}; "
            f"{over or 'none'} of {len(scenario.topology.links)} links {are(over)} overloaded"
        ]
    }


def _overloaded(scenario: EntanglementSettings, layers: Nesting) -> Iterator[str]:
    over = {link: load for link, load in link_loads(scenario, layers).items() if load > 1}
    if over:
        links = len(scenario.topology.links)
        times = _some(over, lambda load: f"for {number(load, 3)} times as many")
        yield (
            f"{len(over)} of {counted(links, 'link')} {are(len(over))} asked for more pairs than they can make, "
            f"{times}: "
            "connections over them will be rejected, or not get their pairs in time"
        )


def _some(loads: dict[tuple[str, str], float], words: Callable[[float], str]) -> str:
    return listed((f"{'-'.join(link)} {words(load)}" for link, load in loads.items()), SHOWN)


def predict(scenario: EntanglementSettings) -> list[str]:
    """Return, in sentences, what will go wrong in a scenario, before it runs."""
    found = []
    if not scenario.allocation.barrier:
        found.append(
            "without a Barrier the two ends of a link give trials to different connections: pairs will have wrong "
            "partners as soon as two share a link"
        )
    layers = Nesting(scenario.topology, scenario.layers.nested)
    demand = scenario.demand.build()
    late = (
        [name for name, at_s in demand.times_s() if at_s > scenario.duration_s]
        if isinstance(demand, ListsTimes)
        else []
    )
    if late:
        found.append(f"the run ends before these connections are asked for, so no table has them: {', '.join(late)}")
    requests = demand.asked(scenario.topology.ends) if isinstance(demand, ListsConnections) else ()
    found += _overloaded(scenario, layers)
    found += dict.fromkeys(
        line for judged in (_never, _wasted) for request in requests for line in judged(scenario, layers, request)
    )
    found += [
        f"a cut-off of {cutoff_s:g} s (memories.cutoff_s) ends before the next trial of a link, which takes "
        f"{trial_s:g} s, so that only pairs that come at about the same time are swapped at these nodes: "
        f"{', '.join(nodes)}"
        for (cutoff_s, trial_s), nodes in _hasty(scenario, layers, requests).items()
    ]
    return found + list(_useless_rulesets(scenario, layers, requests))


def _never(scenario: EntanglementSettings, layers: Nesting, request: ConnectionRequest) -> Iterator[str]:
    """Yield why a connection can never be admitted."""
    src, dst, spec = request.src, request.dst, request.spec
    route = layers.route(src, dst)
    if route is None:
        yield f"there is no route from {src} to {dst}: connections between them will be rejected"
        return
    for node, peer in (*pairwise(route), *pairwise(route[::-1])):
        memories = scenario.memories.here(node=node, link=(node, peer))
        at_both = memories.per_node is not None and node not in (src, dst)
        if spec.memories * (1 + at_both) > memories.count and not spec.is_null:
            where = f" towards {peer}" if memories.per_node is None else ""
            yield (
                f"connections from {src} to {dst} want {counted_memories(spec.memories)} at every interface, but "
                f"{node} has {memories.count}{where}: they will be rejected"
            )
            return


def _wasted(scenario: EntanglementSettings, layers: Nesting, request: ConnectionRequest) -> Iterator[str]:
    """Yield why pairs of a connection are discarded that could have been swapped."""
    src, dst, spec = request.src, request.dst, request.spec
    has_swaps = len(layers.route(src, dst) or ()) > 2 and not spec.is_null
    has_own_rules = request.id in {stack.connection for stack in scenario.setup.rulesets}
    if scenario.setup.spans_restart and spec.memories > 1 and has_swaps and not has_own_rules:
        yield (
            f"connections from {src} to {dst} have {counted_memories(spec.memories)} at every interface, but with "
            "setup.spans_restart each swap discards the pairs that wait in the others"
        )


def _hasty(
    scenario: EntanglementSettings, layers: Nesting, requests: Iterable[ConnectionRequest]
) -> dict[tuple[float, float], list[str]]:
    """Return the nodes of connections whose cut-offs end before the next trial, by cut-off and trial in seconds."""
    routes = (layers.route(one.src, one.dst) or () for one in requests if not one.spec.is_null)
    found: dict[tuple[float, float], list[str]] = {}
    threes = (three for route in routes for three in zip(route, route[1:], route[2:], strict=False))
    for before, node, after in dict.fromkeys(threes):
        places = [scenario.memories.here(node=node, link=(node, peer)) for peer in (before, after)]
        cutoff_s = max(max(place.cutoffs_s, default=inf) for place in places)
        links = [scenario.topology.link(node, peer) for peer in (before, after)]
        trial_s = min(to_seconds(scenario.law(link).slot_ticks) for link in links)
        if cutoff_s < trial_s:
            found.setdefault((cutoff_s, trial_s), []).append(node)
    return {times: list(dict.fromkeys(nodes)) for times, nodes in found.items()}


def _useless_rulesets(
    scenario: EntanglementSettings, layers: Nesting, requests: Iterable[ConnectionRequest]
) -> Iterator[str]:
    """Yield which RuleSets of the user's own are for connections that nobody asks for, or do not fit them."""
    by_id = {request.id: request for request in requests}
    if None in by_id:
        return  # ids that are not known before the run
    for stack in scenario.setup.rulesets:
        request = by_id.get(stack.connection.partition("/")[0])
        if request is None:
            yield f"nobody asks for the connection '{stack.connection}', for which there are RuleSets"
        elif request.id == stack.connection:
            depth = 0 if request.spec.rewrite else len(scenario.topology.nodes)
            path = layers.path(request.src, request.dst, depth)
            misfit = scenario.setup.misfit(stack.connection, path, request.spec.pairs) if path else None
            if misfit:
                yield f"{request.id}: {misfit}: it will be rejected"
