"""A run of an entanglement network, from tick 0 on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise

import pandas as pd

from qkdrmp.entanglement import tables
from qkdrmp.entanglement.invariants import check_network
from qkdrmp.entanglement.nesting import Nesting
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.request import ConnectionRequest, ListsConnections
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.kernel.units import to_ticks


class EntanglementRun:
    """One network under simulation.

    Parameters
    ----------
    settings : EntanglementSettings
        The scenario.
    seed : int
    record : collection of str
        Which of ``messages`` and ``pairs`` to record.
    """

    def __init__(self, settings: EntanglementSettings, seed: int, record: Collection[str] = ()) -> None:
        self.network = EntanglementNetwork(settings, seed, trace="messages" in record, pairs="pairs" in record)
        self.warmup = to_ticks(settings.warmup_s)

    def advance(self, until: int) -> None:
        """Simulate up to tick `until`, warm-up included."""
        self.network.env.advance(until)

    def summary(self) -> dict[str, float]:
        """Return the metrics up to now (see `tables.METRICS`)."""
        return tables.summary(self.network, self.warmup)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables that every run has, and those that were recorded."""
        return tables.tables(self.network)

    def findings(self) -> list[str]:
        """Say which connections got pairs with wrong partners, or none though they were installed long ago."""
        entries = self.network.ledger.entries.values()
        wrong = [entry for entry in entries if entry.wrong_partner]
        found = []
        if wrong:
            pairs, of = sum(entry.wrong_partner for entry in wrong), sum(entry.pairs for entry in wrong)
            names = ", ".join(entry.id for entry in wrong)
            found.append(f"{pairs} of {of} delivered pairs have halves that are not each other's partners: {names}")
        late = self.network.env.now - self.network.env.now // 2
        idle = [e for e in entries if e.done is None and not e.pairs and (e.installed or late) < late]
        if idle:
            names = ", ".join(entry.id for entry in idle)
            found.append(f"{len(idle)} connections have been installed for half of the time and have no pair: {names}")
        return found

    def check(self) -> None:
        """Raise `InvariantError` if something that must always hold does not."""
        check_network(self.network)


def predict(settings: EntanglementSettings) -> list[str]:
    """Return, in sentences, what will go wrong in a scenario, before it runs."""
    found = []
    if not settings.allocation.barrier:
        found.append(
            "without a Barrier the two ends of a link give trials to different connections: pairs will have wrong "
            "partners"
        )
    layers = Nesting(settings.topology)
    demand = settings.demand.build()
    requests = demand.asked(settings.topology.ends) if isinstance(demand, ListsConnections) else ()
    return found + list(dict.fromkeys(line for request in requests for line in _never(settings, layers, request)))


def _never(settings: EntanglementSettings, layers: Nesting, request: ConnectionRequest) -> Iterator[str]:
    """Yield why a connection can never be admitted."""
    src, dst, spec = request.src, request.dst, request.spec
    route = layers.route(src, dst)
    if route is None:
        yield f"there is no route from {src} to {dst}: connections between them will be rejected"
        return
    for node, peer in (*pairwise(route), *pairwise(route[::-1])):
        has = settings.memories.here(node=node, link=(node, peer)).per_interface
        if spec.memories > has and not spec.is_null:
            yield (
                f"connections from {src} to {dst} want {spec.memories} memories at every interface, but {node} has "
                f"{has} towards {peer}: they will be rejected"
            )
            return
