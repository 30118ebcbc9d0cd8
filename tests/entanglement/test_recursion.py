"""Networks in networks: they must give what the same hops give in one flat network, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod, sqrt
from typing import Any

import numpy as np
import pytest

from qkdrmp.entanglement.connections.rule_engine import RunningConnection
from qkdrmp.entanglement.connections.state import ConnectionState, Phase
from qkdrmp.entanglement.ledger import ConnectionLedger, ConnectionStatus
from qkdrmp.entanglement.links.models import OpticalLink, TrialLaw, msm
from qkdrmp.entanglement.messages import CSR, Response, SwapResult
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.quantum.bell_diagonal import BellDiagonal, Memory, bbpssw
from qkdrmp.entanglement.quantum.pairs import Device, correlations, new_pair
from qkdrmp.entanglement.request import AttemptId, ConnectionSpec, EndReason
from qkdrmp.entanglement.rulesets.swap_tree import Span, joined, midpoint
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.units import to_seconds
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    US,
    chain,
    deliveries,
    entry_of,
    fidelity_of,
    left_over,
    milestones,
    network_of,
    run,
    werner,
)

# --- The same hops, nested and flat -----------------------------------------------------------------------------------

Tree = str | tuple["Tree", "Tree"]


def span(tree: Tree) -> Span:
    """Return the swap tree over a path that is written as nested pairs of links, each link as two letters."""
    return Span(*tree) if isinstance(tree, str) else joined(span(tree[0]), span(tree[1]))


class Case:
    """A path, its networks, and the swap tree that nesting leads to, each network swapping by midpoints."""

    def __init__(self, path: str, networks: Mapping[str, str], tree: Tree) -> None:
        self.path = path
        members = [(node, name) for name, nodes in networks.items() for node in nodes]
        self.networks = {node: ",".join(name for one, name in members if one == node) for node, _ in members}
        self.nested = sorted({"/".join(n.split("/")[: i + 1]) for n in networks for i in range(n.count("/") + 1)})
        self.tree = span(tree)

    def network(self, nested: bool, connections: Sequence[Mapping[str, Any]], **sections: Any) -> EntanglementNetwork:
        def order(path: Sequence[str]) -> Span:
            return self.tree if "".join(path) == self.path else midpoint(path)

        topology = chain(self.path, 20.0, self.networks, loss=0.2)
        setup = {"swap_order": order, **sections.pop("setup", {})}
        layers = {"nested": self.nested if nested else []}
        return network_of(topology, connections, setup=setup, layers=layers, **sections)


CASES = {
    # A a P | Q b B: in the middle A-P, P-Q and Q-B, of which P-Q is no network.
    "two networks": Case("AaPQbB", {"X": "AaP", "Y": "QbB"}, ((("Aa", "aP"), "PQ"), ("Qb", "bB"))),
    "three networks": Case(
        "AaPQbSTcB",
        {"X": "AaP", "Y": "QbS", "Z": "TcB"},
        (((("Aa", "aP"), "PQ"), ("Qb", "bS")), ("ST", ("Tc", "cB"))),
    ),
    # P is the border of both.
    "two networks that share a border": Case("AaPbB", {"X": "AaP", "Y": "PbB"}, (("Aa", "aP"), ("Pb", "bB"))),
    "a shared border inside": Case("AqaPbrB", {"X": "qaP", "Y": "Pbr"}, (("Aq", ("qa", "aP")), (("Pb", "br"), "rB"))),
    # A p [x y z] q B: p and q border network X, x and z border network X/i inside it.
    "a network of networks": Case("ApxyzqB", {"X": "pq", "X/i": "xyz"}, (("Ap", (("px", ("xy", "yz")), "zq")), "qB")),
}

NOISY: dict[str, Any] = {"memories": {"t1_s": 0.2, "t2_s": 0.05}, "gates": {"error": 0.01, "readout_error": 0.01}}
IDEAL: dict[str, Any] = {"memories": FOR_EVER, "gates": PERFECT}


def compared(
    case: Case, seconds: float, seeds: tuple[int, int], **sections: Any
) -> list[tuple[np.ndarray[Any, np.dtype[np.float64]], float]]:
    """Return fidelities and rate of pairs, nested and flat."""
    found = []
    for nested, seed in zip((True, False), seeds, strict=True):
        network = case.network(nested, [{"memories": 2, "minimum_fidelity": 0.3}], seed=seed, **sections)
        run(network, seconds)
        entry = entry_of(network)
        assert entry.active is not None
        assert entry.wrong_partner == 0
        assert entry.pairs > 300
        assert [pair.number for pair in deliveries(network)] == list(range(entry.pairs))
        rate = entry.pairs / (seconds - to_seconds(entry.active))
        found.append((np.array([pair.fidelity for pair in deliveries(network)]), rate))
    return found


@pytest.mark.parametrize("name", CASES)
def test_with_perfect_memories_nesting_changes_no_pair(name: str) -> None:
    (nested, _), (flat, _) = compared(CASES[name], 1.0, (1, 2), links={"fidelity": 0.97}, **IDEAL)
    links = len(CASES[name].path) - 1
    assert nested == pytest.approx((1 + 3 * ((4 * 0.97 - 1) / 3) ** links) / 4)
    assert flat == pytest.approx(nested[0])


def batches(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the means of 30 batches: pairs that follow each other are not independent."""
    return np.array([batch.mean() for batch in np.array_split(values, 30)])


@pytest.mark.parametrize("name", CASES)
def test_nested_and_flat_networks_deliver_as_good_pairs_as_fast(name: str) -> None:
    (nested, nested_rate), (flat, flat_rate) = compared(CASES[name], 1.5, (3, 4), links={"fidelity": 0.98}, **NOISY)
    error = sqrt((batches(nested).var(ddof=1) + batches(flat).var(ddof=1)) / 30)
    assert error < 0.002
    assert nested.mean() == pytest.approx(flat.mean(), abs=3 * error)
    # The pairs come more regularly than by chance, so their number has at most Poisson's spread.
    spread = sqrt(nested_rate / 1.5 + flat_rate / 1.5)
    assert nested_rate == pytest.approx(flat_rate, abs=3 * spread)


@pytest.mark.parametrize("name", CASES)
def test_with_the_same_luck_a_nested_network_delivers_the_very_same_pairs(name: str) -> None:
    # Setup takes as long, so links are armed at the same ticks, and their trials have the same random numbers.
    found = []
    for nested in (True, False):
        network = CASES[name].network(nested, [{"memories": 3, "minimum_fidelity": 0.3}], seed=5, **NOISY)
        run(network, 0.4)
        assert len(deliveries(network)) > 300
        found.append(deliveries(network))
    assert [(pair.number, pair.tick) for pair in found[0]] == [(pair.number, pair.tick) for pair in found[1]]
    assert [pair.fidelity for pair in found[0]] == pytest.approx([pair.fidelity for pair in found[1]])
    assert [pair.estimated for pair in found[0]] == pytest.approx([pair.estimated for pair in found[1]])


def purified(fidelity: float, rounds: int) -> float:
    for _ in range(rounds):
        fidelity = bbpssw(BellDiagonal.werner(fidelity), BellDiagonal.werner(fidelity))[1].fidelity
    return fidelity


def test_a_virtual_link_is_purified_like_any_other() -> None:
    # Each network gives pairs of 0.960533 by itself, which is enough for it, but five links of 0.98 give 0.904.
    case = CASES["two networks"]
    network = case.network(
        True, [{"memories": 4, "pairs": 200, "minimum_fidelity": 0.93}], links={"fidelity": 0.98}, **IDEAL
    )
    run(network, 2)
    entry = entry_of(network)
    assert (entry.state, entry.pairs, entry.wrong_partner) == (ConnectionStatus.DELIVERED, 200, 0)
    hops = (fidelity_of(werner(0.98) ** 2), 0.98, fidelity_of(werner(0.98) ** 2))
    possible = [
        fidelity_of(prod(werner(purified(hop, n)) for hop, n in zip(hops, rounds, strict=True)))
        for rounds in product(range(4), repeat=3)
    ]
    found = {round(pair.fidelity, 9) for pair in deliveries(network)}
    assert len(found) == 1
    assert min(found) >= 0.93
    assert found <= {round(fidelity, 9) for fidelity in possible}
    assert left_over(network) == []


def lossless(link: OpticalLink) -> TrialLaw:
    """A link whose fibre has no loss: with perfect devices every trial succeeds."""
    return msm(replace(link, attenuation_db_per_km=0.0))


@pytest.mark.parametrize("name", CASES)
def test_where_every_trial_succeeds_nesting_changes_neither_rate_nor_fidelity_at_all(name: str) -> None:
    # Once all links are armed the same halves are swapped at the same ticks, except for a shift in the beginning.
    found = []
    for nested in (True, False):
        case = CASES[name]
        network = case.network(
            nested,
            [{"memories": 1, "minimum_fidelity": 0.3}],
            links={**CERTAIN, "model": lossless},
            memories={"t1_s": 0.05, "t2_s": 0.05, "per_interface": 1},
            gates=PERFECT,
        )
        run(network, 0.05)
        pairs = deliveries(network)[10:]
        found.append((np.diff([pair.tick for pair in pairs]), [pair.fidelity for pair in pairs]))
    (nested_gaps, nested_fidelities), (flat_gaps, flat_fidelities) = found
    assert set(nested_gaps) == set(flat_gaps)
    assert len(set(nested_gaps)) == 1
    assert nested_fidelities[0] == pytest.approx(flat_fidelities[0])
    assert nested_fidelities == pytest.approx([nested_fidelities[0]] * len(nested_fidelities))


def test_a_connection_that_does_not_allow_rewriting_goes_through_hop_by_hop() -> None:
    network = CASES["two networks"].network(
        True, [{"pairs": 20, "rewrite": False, "minimum_fidelity": 0.3}], trace=True
    )
    run(network, 0.5)
    assert entry_of(network).pairs == 20
    assert not any(isinstance(hop.message, CSR) and hop.message.outer for hop in network.hops or ())


# --- Who says what to whom --------------------------------------------------------------------------------------------


def test_inner_nodes_never_see_outer_swap_results() -> None:
    case = CASES["a network of networks"]
    network = case.network(True, [{"pairs": 20, "memories": 2, "minimum_fidelity": 0.3}], trace=True)
    run(network, 0.5)
    assert entry_of(network).state is ConnectionStatus.DELIVERED
    seen: dict[str, set[str]] = {}
    for hop in network.hops or ():
        if isinstance(hop.message, SwapResult):
            seen.setdefault(str(hop.message.attempt), set()).update((hop.source, hop.target))
    assert {attempt: "".join(sorted(nodes)) for attempt, nodes in seen.items()} == {
        "c1#1": "ABpq",
        "c1/X/1#1": "pqxz",
        "c1/X/1/X/i/1#1": "xyz",
    }


def test_the_response_takes_the_inner_one_through_the_network_piggyback() -> None:
    case = CASES["two networks"]
    network = case.network(True, [{"pairs": 5, "minimum_fidelity": 0.3}], trace=True)
    run(network, 0.5)
    responses = [hop for hop in network.hops or () if isinstance(hop.message, Response)]
    inside = {(hop.source, hop.target) for hop in responses if hop.message.outer is not None}
    outside = {(hop.source, hop.target) for hop in responses if hop.message.outer is None}
    assert inside == {("B", "b"), ("b", "Q"), ("P", "a"), ("a", "A")}
    assert outside == {("Q", "P")}
    # B is the exit of its own network: it takes both of its RuleSets at once, and so does every border.
    installed = [(m.tick, m.node) for m in network.ledger.milestones or () if m.event == "RuleSet installed"]
    assert {node: sum(one == node for _, one in installed) for node in case.path} == dict(
        zip("AaPQbB", (2, 1, 2, 2, 1, 2), strict=True)
    )


def test_a_nested_setup_takes_as_long_as_a_flat_one() -> None:
    for case in CASES.values():
        times = []
        for nested in (True, False):
            network = case.network(nested, [{"minimum_fidelity": 0.3}])
            run(network, 0.05)
            times.append(entry_of(network).installed)
        assert times[0] == times[1] == 220 * (len(case.path) - 1) * US


# --- Handover ---------------------------------------------------------------------------------------------------------


class MemoryShare:
    released = idle = 0

    def release(self) -> None:
        self.released += 1

    def add_idle(self, halves: int) -> None:
        self.idle += halves


def records() -> tuple[ConnectionState, ConnectionState]:
    """Return the records of a connection and of one around it, neither installed."""
    attempt, spec = AttemptId("c1"), ConnectionSpec()
    outer = ConnectionState(attempt, spec, None, None)
    inner = ConnectionState(attempt.inside("X"), spec, None, None)
    return inner, outer


def work(record: ConnectionState, outer: ConnectionState) -> RunningConnection:
    ledger = ConnectionLedger(Environment(), *np.random.default_rng(1).spawn(2), pairs=False, milestones=False)
    return RunningConnection(record, outer, ledger, None, "P")  # type: ignore[arg-type]


def test_a_handover_before_the_outer_install_waits_and_is_freed_if_it_never_comes() -> None:
    inner, outer = records()
    share = MemoryShare()
    device = Device(Memory(1e12, 1e12))
    halves = [new_pair(correlations(BellDiagonal.werner(1.0)), (device, device), (0, 0))[0] for _ in range(2)]
    for number, half in enumerate(halves):
        half.share, half.number = share, number  # type: ignore[assignment]
        work(inner, outer).hand_over("Q", half)
    assert [(partner, half.number) for partner, _, half in outer.early] == [("Q", 0), ("Q", 1)]
    assert (share.released, share.idle) == (0, 2)
    outer.end()
    assert (share.released, share.idle) == (2, 0)
    assert outer.early == []


def test_a_handover_to_a_connection_that_is_over_frees_the_half() -> None:
    inner, outer = records()
    share = MemoryShare()
    device = Device(Memory(1e12, 1e12))
    half, other = new_pair(correlations(BellDiagonal.werner(1.0)), (device, device), (0, 0))
    half.share = share  # type: ignore[assignment]
    outer.end()
    work(inner, outer).hand_over("Q", half)
    assert share.released == 1
    assert other.partner is None


def test_what_was_handed_over_early_is_used_once_the_outer_ruleset_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    # At every border the outer RuleSet comes no later than the inner one's first pair; here A's is held back.
    case = CASES["two networks"]
    network = case.network(True, [{"memories": 2, "pairs": 30, "minimum_fidelity": 0.3}], trace=True)
    setup = network.stacks["A"].setup
    take = setup._pass_on
    early: list[int] = []

    def later(record: ConnectionState, response: Response) -> None:
        if response.outer is None:
            take(record, response)
            return
        outer = network.stacks["A"].records.get(record.attempt.outer)
        assert outer is not None

        def go() -> Any:
            yield network.env.timeout(8000 * US)
            early.append(len(outer.early))
            take(record, response)

        network.env.process(go())

    monkeypatch.setattr(setup, "_pass_on", later)
    # The Initiator would give up after 2 RTT + 10 ms, the hold lasts longer.
    run(network, 0.5)
    assert early[0] > 0
    assert entry_of(network).state is ConnectionStatus.DELIVERED
    assert entry_of(network).pairs == 30
    assert left_over(network) == []


# --- Endings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_a_nested_connection_that_is_done_leaves_nothing(name: str) -> None:
    network = CASES[name].network(True, [{"pairs": 30, "memories": 2, "minimum_fidelity": 0.3}])
    run(network, 0.5)
    assert entry_of(network).state is ConnectionStatus.DELIVERED
    assert entry_of(network).pairs == 30
    assert left_over(network) == []


@pytest.mark.parametrize("by", ["src", "dst", "both"])
@pytest.mark.parametrize("name", CASES)
def test_a_teardown_from_either_side_frees_everything(name: str, by: str) -> None:
    demand = [{"memories": 2, "minimum_fidelity": 0.3, "teardown_s": 0.05, "teardown_by": by}]
    network = CASES[name].network(True, demand)
    run(network, 0.2)
    entry = entry_of(network)
    assert (entry.state, entry.reason) == (ConnectionStatus.ABORTED, EndReason.TORN_DOWN)
    assert entry.pairs > 0
    assert left_over(network) == []


@pytest.mark.parametrize("hop", ["Aa", "Pa", "PQ", "bQ", "Bb"])
def test_a_silent_neighbour_anywhere_ends_the_connection_in_all_networks(hop: str) -> None:
    node, peer = hop
    network = CASES["two networks"].network(True, [{"memories": 2, "minimum_fidelity": 0.3}])
    run(network, 0.05)
    network.stacks[node].sharing.silent(network.interfaces[node][peer])
    run(network, 0.1)
    entry = entry_of(network)
    assert entry.state is ConnectionStatus.ABORTED
    assert entry.reason in (EndReason.SILENT, EndReason.TORN_DOWN)  # a user whose own neighbour answers sees a teardown
    assert left_over(network) == []


@pytest.mark.parametrize("by", ["src", "dst"])
@pytest.mark.parametrize("name", CASES)
def test_a_teardown_at_any_moment_of_the_setup_frees_everything(name: str, by: str) -> None:
    case = CASES[name]
    for at_us in range(50, 220 * len(case.path) + 400, 110):
        demand = [{"memories": 2, "minimum_fidelity": 0.3, "teardown_s": at_us * 1e-6, "teardown_by": by}]
        network = case.network(True, demand)
        run(network, 0.1)
        entry = entry_of(network)
        if by == "src":
            assert (entry.state, entry.reason) == (ConnectionStatus.ABORTED, EndReason.TORN_DOWN)
            assert left_over(network) == [], f"torn down at {at_us} us"
        elif entry.state is not ConnectionStatus.UNFINISHED:  # the Responder knew of it, and could say no
            assert left_over(network) == [], f"torn down at {at_us} us"


@pytest.mark.parametrize(
    ("name", "node"),
    [(name, node) for name, case in CASES.items() for node in case.path[1:-1]],
)
def test_a_busy_node_anywhere_rejects_by_its_name_and_everything_is_let_go(name: str, node: str) -> None:
    demand = [{"memories": 2, "minimum_fidelity": 0.3}]
    network = CASES[name].network(True, demand, setup={"retries": 1}, memories={"per_interface": 2})
    occupy(network, node)
    run(network, 0.5)
    entry = entry_of(network)
    assert (entry.state, entry.reason) == (ConnectionStatus.REJECTED, EndReason.BUSY)
    neighbour = CASES[name].path[CASES[name].path.index(node) - 1]
    assert len(entry.attempts) == 2
    assert {attempt.by for attempt in entry.attempts} <= {node, neighbour}
    assert {attempt.reason for attempt in entry.attempts} == {EndReason.BUSY}
    release(network, node)
    assert left_over(network) == []


STRANGER = AttemptId("stranger")


def occupy(network: EntanglementNetwork, node: str) -> None:
    """Hold one memory at every interface of a node for somebody of whom nobody else knows."""
    stranger = ConnectionState(STRANGER, ConnectionSpec(memories=1), None, None)
    network.stacks[node].records.add(stranger)
    for interface in network.interfaces[node].values():
        interface.hold(STRANGER, 1)


def release(network: EntanglementNetwork, node: str) -> None:
    """Undo `occupy`."""
    for interface in network.interfaces[node].values():
        interface.release(STRANGER)
    network.stacks[node].records[STRANGER].end()


def test_memories_that_are_nowhere_are_infeasible_and_not_asked_for_again() -> None:
    network = CASES["two networks"].network(
        True, [{"memories": 9, "minimum_fidelity": 0.3}], setup={"retries": 5}, memories={"per_interface": 8}
    )
    run(network, 0.5)
    entry = entry_of(network)
    assert (entry.state, entry.reason, len(entry.attempts)) == (ConnectionStatus.REJECTED, EndReason.INFEASIBLE, 1)
    assert "8 memories" in entry.attempts[0].detail
    assert left_over(network) == []


def test_a_busy_inner_node_is_known_to_the_initiator_by_its_name() -> None:
    network = CASES["a network of networks"].network(
        True,
        [{"memories": 2, "minimum_fidelity": 0.3}],
        setup={"retries": 0},
        memories={"per_interface": 2},
        trace=True,
    )
    occupy(network, "y")
    run(network, 0.5)
    entry = entry_of(network)
    assert entry.attempts[0].by == "y"
    assert entry.done == 6 * 110 * US  # three hops there, three hops back
    assert set(milestones(network, "hold released")) == {"A", "p", "x"}


def test_an_unkind_inner_node_refuses_the_user_behind_it_all() -> None:
    case = CASES["two networks"]
    network = case.network(True, [{"minimum_fidelity": 0.3}], setup={"at": [{"node": "b", "refuse": ["A"]}]})
    run(network, 0.5)
    entry = entry_of(network)
    assert (entry.state, entry.reason, entry.attempts[0].by) == (ConnectionStatus.REJECTED, EndReason.UNAUTHORISED, "b")
    assert left_over(network) == []


def test_what_cannot_be_had_inside_a_network_is_rejected_there() -> None:
    case = CASES["two networks"]
    network = case.network(True, [{"minimum_fidelity": 0.97}], setup={"retries": 0}, links={"fidelity": 0.98}, **IDEAL)
    run(network, 0.5)
    entry = entry_of(network)
    assert (entry.state, entry.reason) == (ConnectionStatus.REJECTED, EndReason.INFEASIBLE)
    assert entry.attempts[0].by in {"P", "Q", "B"}
    assert left_over(network) == []


ONE_ROUND_TRIP = {"timeout_round_trips": 1.0, "timeout_margin_s": 0.0}


def test_an_attempt_that_is_given_up_dies_in_all_networks_and_the_next_one_lives() -> None:
    # The Initiator waits less than its messages take, but for the last attempt, whose patience is restored.
    case = CASES["three networks"]
    network = case.network(True, [{"pairs": 10, "minimum_fidelity": 0.3}], setup={"retries": 2, **ONE_ROUND_TRIP})
    initiator = network.stacks["A"].initiator
    assert initiator is not None
    patience = [700 * US, 1500 * US, 40_000 * US]
    initiator.round_trip = lambda path: patience.pop(0)
    run(network, 1)
    entry = entry_of(network)
    assert [attempt.reason for attempt in entry.attempts] == [EndReason.TIMEOUT, EndReason.TIMEOUT, None]
    assert (entry.state, entry.pairs) == (ConnectionStatus.DELIVERED, 10)
    assert left_over(network) == []
    phases = {r.phase for s in network.stacks.values() for r in s.records.values()}
    assert phases == {Phase.OVER}
