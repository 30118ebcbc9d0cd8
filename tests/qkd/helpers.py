"""Small networks with exact times: 1 km is 5 us of delay, a key of 8 bits takes 1 us to make."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qkdrmp.kernel.units import to_ticks
from qkdrmp.key_rates.constant import Constant, ConstantSession
from qkdrmp.key_rates.model import Fibre
from qkdrmp.network.layer import Message
from qkdrmp.qkd.family import QKDScenario
from qkdrmp.qkd.invariants import check_network
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.network import QKDNetwork
from qkdrmp.qkd.request import RequestEntry
from qkdrmp.scenario_file import make_scenario
from qkdrmp.topology import Link, Node, NodeKind, Topology

US = 10**6
"""Ticks in a microsecond."""


@dataclass(frozen=True)
class Instant(Constant):
    """Keys at a constant rate whose light takes no time, so that traces are about messages."""

    def session(self, fibre: Fibre, key_bits: int, random: np.random.Generator) -> ConstantSession:
        return ConstantSession(self.rate_bps, key_bits)


# Settings of pools: empty or full at first; three repeaters of which only the middle one has to wait for keys.
EMPTY = {"capacity": 80}
FULL = {"capacity": 80, "initial": 80}
MIDDLE_EMPTY = {"capacity": 120, "at": [{"link": ["R2", "R3"], "initial": 120}]}

Trace = list[tuple[int, int, str, str]]
"""Sent tick, received tick, type, hop; sorted."""


def network_of(*links: tuple[str, str, float]) -> Topology:
    """Return a topology; nodes whose names begin with R are repeaters, the others are users."""
    names = dict.fromkeys(name for a, b, _ in links for name in (a, b))
    nodes = [Node(name, NodeKind.REPEATER if name[0] == "R" else NodeKind.END) for name in names]
    return Topology("small", nodes, [Link((a, b), length) for a, b, length in links])


def line(*lengths_km: float) -> Topology:
    """Return Alice-R1-...-Rn-Bob with links of these lengths; a single repeater is called R."""
    count = len(lengths_km) - 1
    repeaters = ["R"] if count == 1 else [f"R{number}" for number in range(1, count + 1)]
    names = ["Alice", *repeaters, "Bob"]
    return network_of(*zip(names, names[1:], lengths_km, strict=False))


def ask(
    src: str = "Alice", dst: str = "Bob", keys: int = 10, key_bits: int = 8, at_us: float = 0, **more: Any
) -> dict[str, Any]:
    """Return one request of a list; `patience_us` and `deadline_us` are translated."""
    for name in ("patience", "deadline"):
        if f"{name}_us" in more:
            more[f"{name}_s"] = more.pop(f"{name}_us") / 1e6
    return {"start_s": at_us / 1e6, "src": src, "dst": dst, "keys": keys, "key_bits": key_bits, **more}


def scenario(topology: Topology | str, requests: Iterable[Mapping[str, Any]] = (), **sections: Any) -> QKDScenario:
    """Return a scenario of 10 ms, unless `sections` say otherwise, with keys of 8 bits and 1 us each."""
    raw: dict[str, Any] = {"topology": topology, "duration_s": 0.01}
    raw |= {name: value for name, value in sections.items() if not isinstance(value, Mapping)}
    raw["pools"] = {"key_length_bits": 8, **sections.pop("pools", {})}
    raw["key_rate"] = sections.pop("key_rate", {"model": Instant, "rate_bps": 8e6})
    asked = {"model": "list", "requests": list(requests)} if requests else {}
    raw["demand"] = {**asked, **sections.pop("demand", {})}
    raw |= sections
    made = make_scenario(raw)
    assert isinstance(made, QKDScenario)
    return made


def start(settings: QKDScenario, seed: int = 1) -> QKDNetwork:
    """Return the network of a scenario at tick 0."""
    return QKDNetwork(settings, seed, trace=True)


def run(settings: QKDScenario, seed: int = 1, **faults: Any) -> QKDNetwork:
    """Return the network of a scenario, with faults, at the end of its run, invariants checked."""
    network = start(settings.replace({"faults": faults} if faults else {}), seed)
    network.env.advance(to_ticks(settings.duration_s))
    check_network(network)
    return network


def inject(network: QKDNetwork, to: str, message: Message) -> None:
    """Let a message arrive at a node now, out of the blue."""
    network.stacks[to].node.receive(message)


def entry(network: QKDNetwork, request: int = 1) -> RequestEntry:
    """Return the ledger entry of a request."""
    return network.ledger.entries[request - 1]


def outcome(network: QKDNetwork, request: int = 1) -> tuple[str, str | None, str | None, float | None]:
    """Return state, reason, rejecting node and end (us) of a request."""
    found = entry(network, request)
    end = None if found.end is None else found.end / US
    return str(found.state), found.reason and str(found.reason), found.rejected_by, end


def trace(network: QKDNetwork, request: int | None = None) -> Trace:
    """Return all messages of a run, or those of one request."""
    hops: Iterable[Any] = network.hops or ()
    return sorted(
        (hop.sent, hop.received, type(hop.message).__name__.upper(), f"{hop.source}>{hop.target}")
        for hop in hops
        if request in (None, hop.message.request_id)
    )


def table(text: str) -> Trace:
    """Read a table of messages: type, path of hops, and a tick (us) for its start and for each arrival."""
    rows: Trace = []
    for row in filter(str.strip, text.splitlines()):
        name, path, *ticks = row.split()
        nodes, times = path.split(">"), [int(tick) * US for tick in ticks]
        assert len(nodes) == len(times), row
        rows += [(times[i], times[i + 1], name, f"{nodes[i]}>{nodes[i + 1]}") for i in range(len(nodes) - 1)]
    return sorted(rows)


def key_times(settings: QKDScenario, request: int = 1) -> dict[str, float]:
    """Return when (us) each node first has the key of each of its links, and each user the key of the request."""
    network, found = start(settings), dict[str, float]()
    env, end = network.env, to_ticks(settings.duration_s)

    def note(what: str, key: int | None) -> None:
        if key is not None:
            found.setdefault(what, env.now / US)

    while env.peek() < end:
        env.step()
        for name, stack in network.stacks.items():
            reservation = stack.routing.reservations.get(request)
            if reservation is not None and reservation.up is not None:
                note(f"{reservation.up.neighbour.name}-{name} at {name}", reservation.up.key)
            if reservation is not None and reservation.down is not None:
                note(f"{name}-{reservation.down.neighbour.name} at {name}", reservation.down.key)
        if len(network.ledger.entries) >= request:
            note("Alice", entry(network, request).alice_key)
            note("Bob", entry(network, request).bob_key)
    return found


def stream(network: QKDNetwork, name: str) -> KeyStream:
    """Return the key stream called `name`, such as R1>R2."""
    return next(stream for stream in network.streams if stream.name == name)
