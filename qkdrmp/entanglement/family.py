"""Entanglement connections as a protocol family."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from math import inf
from typing import Any, ClassVar, Literal

from qkdrmp.entanglement.nesting import Nesting, networks_of
from qkdrmp.entanglement.request import ConnectionRequest, ListsConnections, ListsTimes, counted_memories
from qkdrmp.entanglement.results.metrics import METRICS
from qkdrmp.entanglement.results.tables import EntanglementResults
from qkdrmp.entanglement.run import EntanglementRun
from qkdrmp.entanglement.settings import PRESETS, EntanglementSettings
from qkdrmp.errors import did_you_mean
from qkdrmp.family import Counted, Family, Quality, Quantity
from qkdrmp.kernel.units import to_seconds
from qkdrmp.network.demand import NamesUsers
from qkdrmp.scenario import Scenario
from qkdrmp.stats.columns import Column
from qkdrmp.stats.time_bins import Numbers, number_in_progress, rate


class EntanglementScenario(Scenario[EntanglementResults], EntanglementSettings):
    """A scenario of entanglement connections."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    family_metrics: ClassVar[tuple[Column[Any], ...]] = METRICS

    kind: Literal["entanglement"]

    def _read_in(self, raw: dict[str, Any]) -> dict[str, Any]:
        whole = super()._read_in(raw)
        if self.setup.rulesets and isinstance(raw["setup"], dict):
            whole["setup"] = {**raw["setup"], "rulesets": [json.loads(one.to_json()) for one in self.setup.rulesets]}
        return whole

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        yield from self._unknown_names()
        yield from self._unknown_nodes()
        yield from self._impossible_links()

    def _unknown_names(self) -> Iterator[str]:
        users, model = self.topology.ends, self.demand.build()
        for name in dict.fromkeys(model.users_named() if isinstance(model, NamesUsers) else ()):
            if name not in users:
                yield f"demand: {self.topology.name} has no end node '{name}'{did_you_mean(name, users)}"
        attributes = [node.extra.get("network") for node in self.topology.nodes.values()]
        known = {name for attribute in attributes for chain in networks_of(attribute) for name in chain}
        for name in self.layers.nested:
            if name not in known:
                hint = did_you_mean(name, known) or f"; known are {', '.join(sorted(known)) or 'none'}"
                yield f"layers.nested: {self.topology.name} has no network '{name}'{hint}"

    def _unknown_nodes(self) -> Iterator[str]:
        known = self.topology.nodes
        for stack in self.setup.rulesets:
            for node in [node for node in stack.path if node not in known]:
                hint = did_you_mean(node, known)
                yield f"setup.rulesets: {stack.connection}: {self.topology.name} has no node '{node}'{hint}"

    def _impossible_links(self) -> Iterator[str]:
        for link in self.topology.links:
            try:
                self.law(link)
            except ValueError as error:
                yield f"link {link}: {error}"


# What can be predicted


def _predict(scenario: EntanglementScenario) -> list[str]:
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


def _never(scenario: EntanglementScenario, layers: Nesting, request: ConnectionRequest) -> Iterator[str]:
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


def _wasted(scenario: EntanglementScenario, layers: Nesting, request: ConnectionRequest) -> Iterator[str]:
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
    scenario: EntanglementScenario, layers: Nesting, requests: Iterable[ConnectionRequest]
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
    scenario: EntanglementScenario, layers: Nesting, requests: Iterable[ConnectionRequest]
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


# What shows whether a run has settled


def _connections_active(run: EntanglementResults, edges: Numbers) -> Numbers:
    return number_in_progress(run.connections["active_s"], run.connections["done_s"], edges)


def _pair_rate(run: EntanglementResults, edges: Numbers) -> Numbers:
    return rate(run.pairs["time_s"], edges)


ENTANGLEMENT = Family(
    kind="entanglement",
    title="entanglement connections",
    scenario=EntanglementScenario,
    results=EntanglementResults,
    start=EntanglementRun,
    predict=_predict,
    metrics=METRICS,
    main_metric="pair_rate_hz",
    print_metrics=("pair_rate_hz", "fidelity_mean", "setup_mean_s", "completion_mean_s", "blocking", "stall_s"),
    counted=Counted(
        noun="connection",
        nouns="connections",
        begun="asked_s",
        ended="done_s",
        asked="connections_asked",
        goods="pairs_delivered",
        goods_asked="pairs_asked",
        reasons={
            "busy": "memories or rates that it needs were in use by others",
            "infeasible": "not even an empty network could give the fidelity or the rate asked for",
            "no_route": "no path leads to the peer",
            "unauthorised": "a node on the way does not serve these users",
            "timeout": "no answer came in time",
        },
    ),
    qualities=(
        Quality("pair_rate_hz"),
        Quality("connection_rate_hz"),
        Quality("fidelity_mean", 0.005, is_relative=False),
        Quality("undelivered", 0.005, is_relative=False),
        Quality("blocking", 0.005, is_relative=False),
        Quality("setup_p95_s", 0.05),
        Quality("completion_mean_s"),
        Quality("fairness", 0.01, is_relative=False),
    ),
    field_labels={
        "links.model": "kind of link",
        "links.fidelity": "fidelity of a new pair of a link",
        "links.state": "weights of the Bell states in a new pair of a link",
        "links.bright_state": "population of the bright state",
        "links.source_efficiency": "efficiency of sources",
        "links.detector_efficiency": "efficiency of detectors",
        "memories.per_interface": "memories of an interface",
        "memories.per_node": "memories of a node",
        "memories.t1_s": "memory time $T_1$ (s)",
        "memories.t2_s": "memory time $T_2$ (s)",
        "memories.cutoff_s": "cut-off of waiting for a swap (s)",
        "gates.error": "error of a two-qubit gate",
        "gates.readout_error": "error of a readout",
        "gates.swap_success": "success of a swap (probability)",
        "setup.processing_s": "processing of a setup message (s)",
        "setup.retries": "retries of a setup",
        "setup.backoff_s": "backoff before the first retry (s)",
        "setup.routes": "routes of a connection",
        "setup.swap_order": "swap order",
        "setup.purification": "purification",
        "setup.spans_restart": "spans begin again after a swap",
        "allocation.policy": "allocation of links",
        "allocation.lead": "lead of a Barrier (trials)",
        "allocation.barrier": "Barrier",
        "allocation.skew_trials": "skew of the ends of a link (trials)",
        "layers.nested": "nested networks",
        "demand.pairs": "pairs of a connection",
        "demand.memories": "memories of a connection",
        "demand.minimum_fidelity": "fidelity asked for",
        "demand.mean_lasts_s": "mean holding time of a connection (s)",
        "demand.rate_per_s": "requests of a pair of users (1/s)",
    },
    settling=(
        Quantity("connections_active", _connections_active, "active connections"),
        Quantity("pair_rate_hz", _pair_rate),
    ),
    settling_record=("pairs",),
    figures_record=("pairs",),
    presentation_module="qkdrmp.entanglement.presentation",
)
"""The family of kind ``entanglement``."""
