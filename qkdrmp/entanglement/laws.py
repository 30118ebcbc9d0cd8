"""What theory says of a scenario: Erlang's formula for connections that share the memories of one link."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from qkdrmp.entanglement.demand import PoissonConnections
from qkdrmp.entanglement.nesting import Nesting
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.family import Law
from qkdrmp.kernel.units import delay_ticks, to_seconds

SHORT_SETUP = 0.01
"""The share of the holding time up to which the round trips of set-up and teardown are left out."""


def laws(scenario: EntanglementSettings) -> list[Law]:
    """Return what theory says of the metrics of a scenario."""
    return list(_erlang(scenario))


def _erlang(scenario: EntanglementSettings) -> Iterator[Law]:
    """Yield the blocking of connections that hold memories of one link for a time of their own (A. K. Erlang, 1917)."""
    demand, topology = scenario.demand.build(), scenario.topology
    if not isinstance(demand, PoissonConnections) or demand.mean_lasts_s is None or demand.pairs is not None:
        return
    layers = Nesting(topology, scenario.layers.nested)
    requests = demand.asked(topology.ends)
    paths = [layers.path(one.src, one.dst, len(topology.nodes)) or () for one in requests]
    links = {frozenset(hop) for path in paths for hop in pairwise(path)}
    if len(links) != 1 or not all(paths) or scenario.setup.retries or scenario.allocation.policy != "circuit":
        return
    link = topology.link(*next(iter(links)))
    circuits = scenario.lanes(link) // demand.memories
    speed = scenario.channels.here(link=link.ends).signal_speed_m_per_s
    round_trip_s = 2 * to_seconds(delay_ticks(link.classical_length_km, speed))
    if not circuits or round_trip_s > SHORT_SETUP * demand.mean_lasts_s:
        return
    load = len(requests) * demand.rate_per_s * demand.mean_lasts_s
    because = f"{load:.3g} Erlang on {circuits} circuits of {'-'.join(link.ends)}"
    yield Law("blocking", erlang_b(circuits, load), "Erlang B", False, because)


def erlang_b(circuits: int, load: float) -> float:
    """Return the share of calls that find all circuits taken.

    Parameters
    ----------
    circuits : int
        At least 1.
    load : float
        Calls that would be held at a time if none were blocked (Erlang).
    """
    blocked = 1.0
    for number in range(1, circuits + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked
