"""Small entanglement networks whose every wait is known, shared by the tests of whole runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from qkdrmp.entanglement.connections.state import Phase
from qkdrmp.entanglement.invariants import check_network
from qkdrmp.entanglement.ledger import ConnectionEntry, Delivery
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.kernel.units import to_ticks
from qkdrmp.topology import Link, Node, Topology

US = to_ticks(1e-6)
"""A microsecond in ticks: light passes 0.2 km of fibre."""

FOR_EVER: dict[str, Any] = {"t1_s": math.inf, "t2_s": math.inf}
"""Memories that forget nothing."""

PERFECT: dict[str, Any] = {"error": 0.0, "readout_error": 0.0}
"""Gates and readouts without errors."""

CERTAIN: dict[str, Any] = {"model": "msm", "detector_efficiency": 1.0}
"""Links that succeed at every trial, if their fibre has no loss."""


def chain(
    names: Sequence[str],
    lengths_km: Sequence[float] | float = 20.0,
    networks: Mapping[str, str] | None = None,
    loss: float = 0.0,
    classical_km: Sequence[float] | None = None,
) -> Topology:
    """Return nodes in a row, users at the ends; `loss` is the attenuation in dB/km."""
    nodes = [
        Node(
            name, "end" if name in (names[0], names[-1]) else "repeater", extra={"network": (networks or {}).get(name)}
        )
        for name in names
    ]
    lengths = [lengths_km] * (len(names) - 1) if isinstance(lengths_km, int | float) else lengths_km
    classical = classical_km or lengths
    links = [
        Link(ends, length, loss, wire) for ends, length, wire in zip(pairwise(names), lengths, classical, strict=True)
    ]
    return Topology("chain", nodes, links)


def network_of(
    topology: Topology,
    connections: Iterable[Mapping[str, Any]] | None = None,
    seed: int = 1,
    trace: bool = False,
    **sections: Any,
) -> EntanglementNetwork:
    """Return a network whose first user asks for `connections`; what a table does not say is as little as possible."""
    src, dst = topology.ends[0], topology.ends[-1]
    listed = [{"src": src, "dst": dst, "memories": 1, **one} for one in connections or ({},)]
    sections.setdefault("demand", {"model": "listed", "connections": listed})
    sections.setdefault("duration_s", 1.0)
    return EntanglementNetwork(EntanglementSettings(topology=topology, **sections), seed, trace=trace, pairs=True)


def run(network: EntanglementNetwork, seconds: float) -> EntanglementNetwork:
    """Let a network run up to a time, and check what must always hold."""
    network.env.advance(to_ticks(seconds))
    check_network(network)
    return network


def entry_of(network: EntanglementNetwork, connection: str = "c1") -> ConnectionEntry:
    return network.ledger.entries[connection]


def deliveries(network: EntanglementNetwork) -> list[Delivery]:
    assert network.ledger.deliveries is not None
    return network.ledger.deliveries


def milestones(network: EntanglementNetwork, event: str) -> dict[str, int]:
    """Return for each node when an event happened there first, in ticks."""
    found: dict[str, int] = {}
    for milestone in network.ledger.milestones or ():
        if milestone.event.partition(" from trial ")[0] == event:
            found.setdefault(milestone.node, milestone.tick)
    return found


def left_over(network: EntanglementNetwork) -> list[str]:
    """Say what is still held for connections somewhere in the network."""
    found = [
        f"{node} towards {peer}: {interface.free} of {interface.memories} free, {interface.occupied} filled"
        for node, by_peer in network.interfaces.items()
        for peer, interface in by_peer.items()
        if interface.free != interface.memories or interface.occupied or interface.allocation.active
    ]
    found += [
        f"{node}: {record.attempt} is {record.phase}"
        for node, stack in network.stacks.items()
        for record in stack.records.values()
        if record.phase is not Phase.OVER
    ]
    return found


def werner(fidelity: float) -> float:
    return (4 * fidelity - 1) / 3


def fidelity_of(parameter: float) -> float:
    return (1 + 3 * parameter) / 4
