"""Random networks, settings and demand of QKD resource management, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from qkdrmp.topology import Link, Node, NodeKind, Topology

SHAPES = ("line", "ring", "tree", "graph")
POLICIES = ("fcfs", "smallest-first", "priority", "earliest-deadline")
LENGTHS_KM = (0.001, 1.0, 7.3, 10.0, 55.0)
RATES_BPS = (50.0, 3e3, 32e3, 1e6, 1e9)

Mapping = dict[str, Any]


@st.composite
def topologies(draw: st.DrawFn, most_repeaters: int = 7, most_users: int = 6) -> Topology:
    """Repeaters in a line, ring, tree or connected graph; users attached to them, some also to each other."""
    repeaters = [f"R{i}" for i in range(1, draw(st.integers(2, most_repeaters)) + 1)]
    users = [f"U{i}" for i in range(1, draw(st.integers(2, most_users)) + 1)]
    shape = draw(st.sampled_from(SHAPES))
    pairs: set[tuple[str, str]] = set()
    for i in range(1, len(repeaters)):
        before = i - 1 if shape in ("line", "ring") else draw(st.integers(0, i - 1))
        pairs.add((repeaters[before], repeaters[i]))
    if shape == "ring" and len(repeaters) > 2:
        pairs.add((repeaters[0], repeaters[-1]))
    if shape == "graph":
        chords = [(a, b) for i, a in enumerate(repeaters) for b in repeaters[i + 1 :]]
        pairs |= set(draw(st.lists(st.sampled_from(chords), max_size=3)))
    for user in users:
        homes = draw(st.lists(st.sampled_from(repeaters), min_size=1, max_size=2, unique=True))
        pairs |= {(home, user) for home in homes}
    if draw(st.integers(0, 3)) == 0:
        pairs.add((users[0], users[-1]))
    nodes = [Node(name, NodeKind.REPEATER) for name in repeaters] + [Node(name, NodeKind.END) for name in users]
    if draw(st.integers(0, 5)) == 0:
        nodes.append(Node("P1", NodeKind.PASSIVE))
        pairs.add((repeaters[0], "P1"))
    links = [Link(pair, draw(st.sampled_from(LENGTHS_KM))) for pair in sorted(pairs)]
    return Topology("random", nodes, links)


@st.composite
def sizes(draw: st.DrawFn, most: int = 40) -> Mapping:
    """Capacity, V_i and V_r of a pool that fit together."""
    capacity = draw(st.integers(1, most))
    recover = draw(st.one_of(st.just(capacity), st.integers(1, capacity)))
    return {"capacity": capacity, "interrupt": draw(st.integers(0, recover - 1)), "recover": recover}


@st.composite
def pools(draw: st.DrawFn, topology: Topology, replenish: tuple[str, ...]) -> Mapping:
    """A [pools] section, with other sizes at some nodes."""
    chosen = draw(sizes())
    local = st.tuples(st.sampled_from(sorted(topology.repeaters)), sizes())
    at = [{"node": node, "initial": 0, **other} for node, other in draw(st.lists(local, max_size=3))]
    return {
        **chosen,
        "initial": draw(st.one_of(st.just(0), st.integers(0, chosen["capacity"]))),
        "reserve": draw(st.integers(0, 3)),
        "key_length_bits": draw(st.sampled_from([8, 32, 50, 256, 256])),
        "replenish": draw(st.sampled_from(replenish)),
        "block_keys": draw(st.integers(1, 5)),
        "refill_lead_delays": draw(st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0, 2.5, 5.0]))),
        "at": at,
    }


@st.composite
def planned_requests(
    draw: st.DrawFn, topology: Topology, key_bits: tuple[int, ...], limits: bool = True, most: int = 30
) -> list[Mapping]:
    """A list of requests, many of them at the same moment."""
    users = st.sampled_from(topology.ends)
    starts = st.sampled_from([0.0, 0.001, 0.001001, 0.002, 0.01, 0.05])
    when = st.one_of(st.none(), st.sampled_from([1e-6, 5e-4, 0.003, 0.02, 0.2])) if limits else st.none()
    requests = []
    for _ in range(draw(st.integers(1, most))):
        src = draw(users)
        requests.append(
            {
                "start_s": draw(starts),
                "src": src,
                "dst": draw(st.sampled_from([user for user in topology.ends if user != src])),
                "keys": draw(st.sampled_from([1, 1, 2, 3, 5, 10])),
                "key_bits": draw(st.sampled_from(key_bits)),
                "priority": draw(st.integers(-1, 2)),
                "deadline_s": draw(when),
                "patience_s": draw(when),
            }
        )
    return requests


def lists(topology: Topology, key_bits: tuple[int, ...] = (8, 32, 48, 256), **limits: Any) -> Any:
    """A finite demand."""
    return planned_requests(topology, key_bits, **limits).map(lambda rows: {"model": "list", "requests": rows})


@st.composite
def endless(draw: st.DrawFn, topology: Topology) -> Mapping:
    """A demand without end, dense enough to matter within 0.05 s."""
    size = {"key_num": draw(st.integers(1, 12)), "key_length_bits": draw(st.sampled_from([8, 32, 256]))}
    patience = draw(st.sampled_from([None, 0.002]))
    kind = draw(st.sampled_from(["poisson", "closed-loop", "rekey"]))
    pace: Mapping = {
        "poisson": {"rate_per_s": draw(st.sampled_from([20.0, 200.0]))},
        "closed-loop": {"first_mean_s": 0.001, "first_sd_s": 0.0005, "think_s": draw(st.sampled_from([1e-4, 5e-3]))},
        "rekey": {"interval_s": draw(st.sampled_from([0.005, 0.03]))},
    }[kind]
    if kind == "closed-loop":
        pace["peers"] = draw(st.sampled_from(["reachable", "all"]))
    concurrent = draw(st.sampled_from([None, None, 1, 3]))
    return {"model": kind, "patience_s": patience, "concurrent": concurrent, **size, **pace}


@st.composite
def scenarios(
    draw: st.DrawFn,
    replenish: tuple[str, ...] = ("demand", "continuous"),
    finite: bool = True,
    key_bits: tuple[int, ...] = (8, 32, 48, 256),
    limits: bool = True,
) -> Mapping:
    """A whole scenario as a mapping; `finite` chooses between a list and an endless demand."""
    topology = draw(topologies())
    rate: Mapping = {"model": "constant", "rate_bps": draw(st.sampled_from(RATES_BPS))}
    if draw(st.integers(0, 3)) == 0:
        rate = {"model": "bb84-sifted"}
    elif draw(st.booleans()):
        link = draw(st.sampled_from([link for link in topology.links if "P1" not in link.ends]))
        rate["at"] = [{"link": list(link.ends), "rate_bps": draw(st.sampled_from(RATES_BPS))}]
    queue: Mapping = {"capacity": draw(st.integers(0, 10)), "policy": draw(st.sampled_from(POLICIES))}
    if draw(st.booleans()):
        queue["at"] = [{"node": draw(st.sampled_from(topology.repeaters)), "capacity": draw(st.integers(0, 3))}]
    demand = draw(lists(topology, key_bits, limits=limits) if finite else endless(topology))
    if finite:
        demand["concurrent"] = draw(st.sampled_from([None, None, None, 1, 2]))
    return {
        "topology": topology,
        "duration_s": 0.05,
        "pools": draw(pools(topology, replenish)),
        "queue": queue,
        "access": {"mode": draw(st.sampled_from(["per-request", "pool"]))},
        "key_rate": {**rate, "per_direction": draw(st.booleans())},
        "demand": demand,
        "routing": {"policy": draw(st.sampled_from(["through-repeaters"] * 2 + ["through-end-nodes"]))},
    }
