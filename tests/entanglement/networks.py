"""Random networks, settings and demand of entanglement connections, and what must hold once all of it has ended."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from qkdrmp.entanglement.demand import Listed, ListedConnection
from qkdrmp.entanglement.invariants import check_network
from qkdrmp.entanglement.ledger import ConnectionEntry, ConnectionStatus
from qkdrmp.entanglement.links.agreement import Agreement
from qkdrmp.entanglement.links.epoch import LAU
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.links.policies import LINK_POLICIES, binds_late
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.quantum.pairs import Qubit
from qkdrmp.entanglement.request import AttemptId, EndReason
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.kernel.units import to_ticks
from qkdrmp.network.channel import Transmission
from qkdrmp.topology import Link, Node, NodeKind, Topology

KM_PER_S = 2e5
PROCESSING_S = 1e-5
SHAPES = ("chain", "tree", "tree", "star", "mesh")

RACES = ("crossing LAUs", "late Responses", "expired holds", "retransmissions")
"""What faults and random times are to bring about; see `races`."""

Mapping = dict[str, Any]
Regions = list[tuple[int, Agreement | None]]


# Random networks and demand


def random_topology(choose: random.Random, nested: bool, relays: int = 5, users: int = 4) -> Topology:
    """Repeaters and routers in a chain, tree, star or mesh, with users attached; perhaps with names of networks."""
    shape = choose.choice(["chain", *SHAPES] if nested else SHAPES)
    fewest = choose.choice([3, relays]) if nested else choose.choice([0, 1, 1, 2, 3])
    inner = [f"R{i}" for i in range(1, choose.randint(fewest, relays) + 1)]
    outer = [f"U{i}" for i in range(1, choose.randint(2, users) + 1)]
    pairs: set[tuple[str, str]] = set()
    for i in range(1, len(inner)):
        before = {"chain": i - 1, "star": 0}.get(shape, choose.randrange(i))
        pairs.add((inner[before], inner[i]))
    if shape == "mesh" and len(inner) > 2:
        pairs |= {tuple(sorted(choose.sample(inner, 2))) for _ in range(2)}  # type: ignore[misc]
    for i, user in enumerate(outer):
        far = (inner[0], inner[-1])[i % 2] if shape == "chain" and inner else None
        pairs.add((user, far or choose.choice(inner or [name for name in outer if name != user])))
    if choose.random() < 0.15:
        pairs.add((outer[0], outer[1]))
    pairs = {pair for pair in pairs if pair[::-1] not in pairs or pair < pair[::-1]}
    degree = Counter(name for pair in pairs for name in pair)
    networks = random_networks(choose, inner, outer) if nested else {}
    nodes = [
        Node(name, NodeKind.ROUTER if degree[name] > 2 else NodeKind.REPEATER, extra={"network": networks.get(name)})
        for name in inner
    ]
    nodes += [Node(name, NodeKind.END, extra={"network": networks.get(name)}) for name in outer]
    typical = choose.choice([1.0, 5.0, 20.0, 50.0])
    lengths = [typical, typical, max(1.0, typical / 3), typical * choose.uniform(0.5, 1)]
    links = [Link(choose.choice([pair, pair[::-1]]), choose.choice(lengths)) for pair in sorted(pairs)]
    return Topology("random", nodes, links)


def random_networks(choose: random.Random, inner: Sequence[str], outer: Sequence[str]) -> dict[str, str]:
    """Put stretches of the relays, and some users, into a network, and some of those into one inside it."""
    if choose.random() < 0.3:  # also what nobody would build: networks in pieces
        names = {name: choose.choice(["A", "A", "A/x", "B"]) for name in inner if choose.random() < 0.8}
    else:
        first, last = sorted((choose.randint(0, len(inner)), choose.randint(0, len(inner))))
        whole = choose.random() < 0.7
        names = {name: "A" for i, name in enumerate(inner) if whole or first <= i < last}
        if choose.random() < 0.6:
            start = choose.randrange(max(1, len(inner) - 2))
            names |= {name: "A/x" for name in inner[start : start + choose.randint(3, 4)] if name in names}
    return names | {name: "A" for name in outer if choose.random() < 0.2}


def round_trip_s(topology: Topology) -> float:
    """Return about how long a message takes along a path through the network, and back."""
    lengths = sorted((link.length_km for link in topology.links), reverse=True)[:4]
    return 2 * sum(length / KM_PER_S + PROCESSING_S for length in lengths)


def random_connection(choose: random.Random, users: Sequence[str], unit_s: float, memories: int) -> ListedConnection:
    """Return what one connection is to be, when it is asked for and when it is torn down; times go by `unit_s`."""
    src, dst = choose.sample(users, 2)
    at_s = choose.choice([0.0, 0.0, choose.uniform(0, 0.5) * unit_s, choose.uniform(0, 6) * unit_s])
    wanted: Mapping = {"src": src, "dst": dst, "at_s": at_s}
    kind = choose.random()
    if kind < 0.65:
        wanted["pairs"] = choose.choice([1, 1, 2, 4, 8])
        if choose.random() < 0.1:  # perhaps too short for its pairs
            wanted["lasts_s"] = choose.uniform(0.2, 12) * unit_s
    elif kind < 0.75:
        wanted["pairs"] = 0
    elif kind < 0.92:
        wanted["lasts_s"] = choose.uniform(0.2, 6) * unit_s
    purified = choose.random() < 0.4  # where the pairs of links are not good enough by themselves
    wanted["memories"] = min(memories, choose.randint(2, 4) if purified else choose.choice([1, 1, 2, 3]))
    wanted["minimum_fidelity"] = choose.choice([0.7, 0.8, 0.86, 0.92] if purified else [0.3, 0.5, 0.5])
    wanted["minimum_rate"] = choose.choice([0.0] * 9 + [200.0])
    wanted["weight"] = choose.choice([1, 1, 2, 3])
    wanted["priority"] = choose.choice([0, 0, 1])
    wanted["basis"] = choose.choice([None, None, "X", "Y", "Z"])
    wanted["rewrite"] = choose.random() < 0.85
    if choose.random() < 0.05:
        wanted["within_s"] = choose.uniform(1, 8) * unit_s
    if choose.random() < 0.35:  # as often in the middle of setup as later
        wanted["teardown_s"] = at_s + choose.choice([1.5, 10.0]) * choose.random() * unit_s
        wanted["teardown_by"] = choose.choice(["src", "dst", "both"])
    return ListedConnection(**wanted)


def random_setup(choose: random.Random, topology: Topology, unit_s: float, faults: Mapping) -> Mapping:
    """Return timeouts and holds, long or so short that Responses come late."""
    late_s = unit_s + faults.get("extra_delay_s", 0.0)
    timeout, margin = choose.choice([1.2, 2.0, 4.0]), choose.choice([0.5, 5.0, 20.0, 20.0]) * late_s
    setup: Mapping = {
        "timeout_round_trips": timeout,
        "timeout_margin_s": margin,
        "hold_round_trips": timeout * choose.choice([1.0, 2.0]),
        "hold_margin_s": margin * choose.choice([1.0, 2.0]),
        "retries": choose.choice([0, 1, 3, 5]),
        "backoff_s": choose.uniform(0.2, 3) * unit_s,
        "backoff_most_s": 10 * unit_s,
        "swap_order": choose.choice(["midpoint", "sequential"]),
        "processing_s": PROCESSING_S,
        "at": [],
    }
    if faults:
        # Nodes whose holds are shorter than the Initiators' timeouts: what they hold may expire while it is waited for.
        short = {"timeout_round_trips": 1.0, "timeout_margin_s": 0.0, "hold_round_trips": 1.0}
        for name in topology.nodes:
            if choose.random() < 0.35:
                setup["at"].append({"node": name, **short, "hold_margin_s": choose.uniform(0, 1) * late_s})
    if choose.random() < 0.05:
        refused = choose.choice(sorted(topology.ends))
        setup["at"].append({"node": choose.choice(sorted(topology.nodes)), "refuse": [refused]})
    return setup


def random_faults(choose: random.Random, unit_s: float) -> Mapping:
    """Return loss and duplication of up to 30 %, and delays of up to several round trips."""
    return {
        "loss": choose.choice([0.3, choose.uniform(0, 0.3)]),
        "duplication": choose.choice([0.3, choose.uniform(0, 0.3)]),
        "extra_delay_s": choose.choice([0.0, 0.2, 1.0, choose.uniform(0, 3)]) * unit_s,
    }


def random_case(
    seed: int,
    faults: bool = True,
    most_memories: int = 8,
    swap_success: float = 1.0,
    cutoff_trips: float | Sequence[float] | None = None,
    swap_order: str | None = None,
    policy: str | None = None,
    shared: bool = False,
    spans_restart: bool = False,
) -> EntanglementSettings:
    """Return settings with demand for about `duration_s`; connections without an end are left for the test to end.

    A cut-off in round trips may be one for each level of the swap tree.
    """
    choose = random.Random(seed)
    topology = random_topology(choose, nested=choose.random() < 0.5)
    unit_s = round_trip_s(topology)
    memories = choose.choice([size for size in (1, 2, 3, 4, 4, 8, 8) if size <= most_memories])
    users = sorted(topology.ends)
    connections = tuple(random_connection(choose, users, unit_s, memories) for _ in range(choose.randint(1, 5)))
    impaired = random_faults(choose, unit_s) if faults else {}
    drawn, others = choose.choice([*LINK_POLICIES]), [*LINK_POLICIES]
    links = [list(link.ends) for link in topology.links]
    return EntanglementSettings(
        topology=topology,
        duration_s=12 * unit_s,
        demand={"model": Listed(connections=connections)},
        memories={
            **({"per_node": 3 * memories} if shared else {"per_interface": memories}),
            "t2_s": choose.choice([0.1, 1.0]),
            "cutoff_s": in_seconds(cutoff_trips, unit_s),
            "at": [
                {"node": name, "per_interface": choose.randint(1, most_memories)}
                for name in sorted(topology.nodes)
                if choose.random() < 0.1
            ],
        },
        links={
            "model": choose.choice(["mim", "msm", "mm"]),
            "fidelity": choose.choice([0.98, 0.9, 0.9]),
            "at": [
                {"link": link, "model": choose.choice(["mim", "msm", "mm"])} for link in links if choose.random() < 0.1
            ],
        },
        allocation={
            "policy": policy or drawn,
            "lead": choose.choice(["auto", "auto", 0, 3]),
            "at": [{"link": link, "policy": choose.choice(others)} for link in links if choose.random() < 0.1],
        },
        setup=random_setup(choose, topology, unit_s, impaired)
        | ({} if swap_order is None else {"swap_order": swap_order})
        | {"spans_restart": spans_restart},
        gates={"swap_success": swap_success},
        layers={"nested": networks_in(topology)},
        faults=impaired,
    )


def in_seconds(trips: float | Sequence[float] | None, unit_s: float) -> float | list[float] | None:
    """Return round trips as times, one or several."""
    return [one * unit_s for one in trips] if isinstance(trips, Sequence) else trips and trips * unit_s


def networks_in(topology: Topology) -> list[str]:
    """Return the full names of all networks that nodes name."""
    named = {str(node.extra["network"]) for node in topology.nodes.values() if node.extra.get("network")}
    return sorted({name[: len(name) if end < 0 else end] for name in named for end in (-1, name.find("/"))})


# What really happened on the links


class Witness:
    """Notes who owned which trial at both ends of every link, and who got the halves, without asking the protocol."""

    def __init__(self, network: EntanglementNetwork) -> None:
        self.network = network
        self.halves: dict[tuple[str, int], dict[str, AttemptId]] = {}
        self.changes: dict[tuple[str, str], list[tuple[int, Regions]]] = {}
        for by_peer in network.interfaces.values():
            for interface in by_peer.values():
                self._watch(interface)

    def _watch(self, interface: Interface) -> None:
        review, take, link = interface.review, interface.take, interface.allocation.link
        changes = self.changes[link, interface.node] = [(0, [*interface.regions()])]

        def reviewed() -> None:
            regions = [*interface.regions()]
            if regions != changes[-1][1]:
                changes.append((interface.link.next_trial(interface.end), regions))
            review()

        def taken(owner: AttemptId, half: Qubit, trial: int) -> None:
            owners = self.halves.setdefault((link, trial), {})
            assert interface.node not in owners, f"{link}: trial {trial} succeeds twice at {interface.node}"
            owners[interface.node] = owner
            take(owner, half, trial)

        interface.review = reviewed  # type: ignore[method-assign]
        interface.take = taken  # type: ignore[method-assign]

    def check(self) -> None:
        """Check that no trial that both ends started belonged to different connections; for after all heralds."""
        for (link, trial), owners in self.halves.items():
            assert len(owners) == 2, f"{link}: only {owners} got a half of trial {trial}"
            assert len(set(owners.values())) == 1, f"{link}: trial {trial} succeeded for {owners}"
        for ends in self.network.links:
            self._check_owners(*(self.network.interfaces[a][b] for a, b in (ends, ends[::-1])))

    def _check_owners(self, here: Interface, there: Interface) -> None:
        """Compare the owners around every trial at which an end may have changed its mind: there is no other place."""
        sides = [(end, self.changes[end.allocation.link, end.node]) for end in (here, there)]
        last = max(end.link.next_trial(end.end) for end in (here, there))
        turns = {first for _, changes in sides for since, regions in changes for first in (since, *starts(regions))}
        near = {trial for turn in turns for trial in range(turn - 2, turn + 2 * here.link.lanes)}
        for trial in sorted(trial for trial in near if 0 <= trial < last):
            owners = [owner_at(trial, changes, end.allocation.policy.owner) for end, changes in sides]
            where = f"{here.allocation.link}: trial {trial} belongs to {owners[0]} and {owners[1]}"
            assert None in owners or owners[0] == owners[1], where


def starts(regions: Regions) -> list[int]:
    """Return the first trial of each region."""
    return [first for first, _ in regions]


def owner_at(
    trial: int, changes: list[tuple[int, Regions]], owner: Callable[[int, Agreement], AttemptId | None]
) -> AttemptId | None:
    """Return whose trial it was at an end when it started there; None if it was nobody's or void."""
    regions = changes[bisect_right(changes, trial, key=lambda change: change[0]) - 1][1]
    index = bisect_right(regions, trial, key=lambda region: region[0])
    agreement = regions[index - 1][1] if index else None
    return None if agreement is None else owner(trial, agreement)


# Running a case to its end


def unfinished(network: EntanglementNetwork) -> list[ConnectionEntry]:
    """Return the connections that have not ended."""
    return [entry for entry in network.ledger.entries.values() if entry.state is ConnectionStatus.UNFINISHED]


def run_case(settings: EntanglementSettings, seed: int, **recorded: bool) -> EntanglementNetwork:
    """Run settings to the very end, checking all the way that what must always hold does."""
    network = EntanglementNetwork(settings, seed, **recorded)
    witness = Witness(network)
    whole = to_ticks(settings.duration_s)
    for moment in (whole // 24, whole // 8, whole // 4, whole // 2, whole):
        network.env.advance(moment)
        check_network(network)
    entries = network.ledger.entries.values()
    torn = {entry.id for entry in entries if entry.request.teardown_s is not None or entry.request.lasts_s is not None}
    for entry in unfinished(network):
        if entry.request.spec.pairs is None:
            torn.add(entry.id)
            network.release(entry, entry.request.src)
    # Without endless ones in the way the others get what they want, if only they are given time.
    for factor in (2, 4, 10, 100, 1000, 10000):
        if not unfinished(network):
            break
        network.env.advance(factor * whole)
        check_network(network)
    waiting = [(e.id, str(e.installed), e.pairs, e.request.spec.pairs, len(e.attempts)) for e in unfinished(network)]
    assert not waiting, f"still waiting: {waiting}"
    drain(network)
    check_ended(network, torn)
    witness.check()
    return network


def drain(network: EntanglementNetwork) -> None:
    """Let everything that is still under way arrive, however often it gets lost."""
    network.env.advance(network.env.now + 300 * to_ticks(round_trip_s(network.topology)))
    network.env.advance(network.env.now + 300 * to_ticks(network.settings.faults.longest_delay_s))


def check_ended(network: EntanglementNetwork, torn: Collection[str]) -> None:
    """Check what must hold a while after the last connection has ended; users have torn down those in `torn`."""
    check_network(network)
    entries = network.ledger.entries.values()
    count = Counter(entry.state for entry in entries)
    assert count[ConnectionStatus.DELIVERED] + count[ConnectionStatus.REJECTED] + count[
        ConnectionStatus.ABORTED
    ] == len(entries)
    for entry in entries:
        check_entry(entry, entry.id in torn)
    for name, stack in network.stacks.items():
        left = {str(r.attempt): str(r.phase) for r in stack.records.values() if not r.is_over}
        assert not left, f"{name} still knows {left}"
        for outbox in stack.transport._outboxes.values():
            assert not outbox._open, f"{name} still has segments to {outbox.channel.target} without an ACK"
    for ends, link in network.links.items():
        sides = [network.interfaces[a][b] for a, b in (ends, ends[::-1])]
        for side in sides:
            check_interface(side)
            assert sum(side.pairs_by_attempt().values()) <= link.successes
        here, there = (side.allocation for side in sides)
        assert here.epoch == there.epoch
        lists = [[agreement.entries for agreement in end.agreements] for end in (here, there)]
        assert lists[0] == lists[1]
        assert binds_late(here.policy) or here.agreements == there.agreements
        assert all(before.since <= after.since for before, after in pairwise(here.agreements))


def check_entry(entry: ConnectionEntry, torn: bool) -> None:
    """Check what became of one connection, which a user may have torn down."""
    need = entry.request.spec.pairs
    if entry.installed is not None and not torn:
        assert entry.state is ConnectionStatus.DELIVERED, (
            f"{entry.id} was installed and is {entry.state}: {entry.reason}"
        )
    if entry.state is ConnectionStatus.ABORTED:
        assert torn, f"{entry.id} was aborted by nobody: {entry.reason}"
        assert entry.reason is EndReason.TORN_DOWN
    if entry.state is ConnectionStatus.DELIVERED and need is not None:
        assert entry.pairs == need
    assert entry.wrong_partner == 0
    assert not entry.pairs or entry.fidelity_min > 0.25, f"{entry.id}: noise was delivered"


def check_interface(interface: Interface) -> None:
    """Check that an interface is as free as in the beginning."""
    where = f"{interface.node} towards {interface.peer}"
    assert interface.occupied == 0, f"{where}: {interface.occupied} memories are still filled"
    assert not interface.shares, f"{where}: {list(interface.shares)} still have memories"
    assert interface.free == interface.total
    assert not interface.allocation.waiting, f"{where}: an epoch is still open"
    assert interface.allocation.active == (), f"{where}: trials still go to {interface.allocation.active}"
    assert not interface.allocation._wanted, f"{where}: wants {interface.allocation._wanted}"


def first_laus(network: EntanglementNetwork) -> Iterator[tuple[Transmission, Transmission]]:
    """Yield what has come of the first LAUs of the two ends of a link in an epoch."""
    found: dict[tuple[str, int], dict[str, Transmission]] = {}
    for hop in network.hops or ():
        if isinstance(hop.message, LAU) and not hop.message.reply:
            found.setdefault((hop.message.link, hop.message.epoch), {}).setdefault(hop.source, hop)
    for laus in found.values():
        if len(laus) == 2 and all(hop.received is not None for hop in laus.values()):
            one, other = laus.values()
            yield one, other


def crossing(one: Transmission, other: Transmission) -> bool:
    """Return whether two messages that came to their targets were on their way at the same time."""
    assert one.received is not None
    assert other.received is not None
    return one.sent < other.received and other.sent < one.received


def races(network: EntanglementNetwork) -> set[str]:
    """Return which of `RACES` happened in a run."""
    stacks = network.stacks.values()
    happened = (
        any(crossing(*laus) for laus in first_laus(network)),
        any(stack.records.late_responses for stack in stacks),
        any(stack.records.expired_holds for stack in stacks),
        any(stack.transport.resent or stack.sharing.resent for stack in stacks),
    )
    return {race for race, there in zip(RACES, happened, strict=True) if there}


def run_cases(seeds: Iterable[int], **kind: Any) -> Counter[str]:
    """Run random cases; return in how many each of `RACES` happened, and how many connections ended how."""
    count: Counter[str] = Counter()
    for seed in seeds:
        try:
            network = run_case(random_case(seed, **kind), seed, trace=True)
        except Exception as error:
            error.add_note(f"in random_case({', '.join([str(seed), *(f'{k}={v}' for k, v in kind.items())])})")
            raise
        count.update(races(network))
        count.update(str(entry.state) for entry in network.ledger.entries.values())
    return count
