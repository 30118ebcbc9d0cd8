"""Entanglement connections as a protocol family."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from qkdrmp.entanglement.laws import laws
from qkdrmp.entanglement.nesting import networks_of
from qkdrmp.entanglement.prediction import known_beforehand, predict, service
from qkdrmp.entanglement.request import ListsTimes
from qkdrmp.entanglement.results.metrics import METRICS
from qkdrmp.entanglement.results.tables import EntanglementResults
from qkdrmp.entanglement.run import EntanglementRun
from qkdrmp.entanglement.settings import PRESETS, EntanglementSettings
from qkdrmp.errors import did_you_mean
from qkdrmp.family import Counted, Family, Quality, Quantity, SizingRules
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


# What shows whether a run has settled


def _has_steady_state(scenario: EntanglementScenario) -> bool:
    """Return whether connections keep coming, or all are there from the beginning and stay."""
    demand = scenario.demand.build()
    return not isinstance(demand, ListsTimes) or demand.is_steady()


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
    known_beforehand=known_beforehand,
    predict=predict,
    laws=laws,
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
        shares={
            "blocking": "connections_servable",
            "undelivered": "connections_asked",
            "unservable": "connections_asked",
        },
        reasons={
            "busy": "memories or rates that it needs were in use by others",
            "infeasible": "not even an empty network could give the fidelity or the rate asked for",
            "no_route": "no path leads to the peer",
            "unauthorised": "a node on the way does not serve these users",
            "timeout": "no answer came in time",
        },
    ),
    sizing=SizingRules(field="memories.per_interface"),
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
    has_steady_state=_has_steady_state,
    settling=(
        Quantity("connections_active", _connections_active, "active connections"),
        Quantity("pair_rate_hz", _pair_rate),
    ),
    settling_record=("pairs",),
    service=service,
    figures_record=("pairs",),
    presentation_module="qkdrmp.entanglement.presentation",
)
"""The family of kind ``entanglement``."""
