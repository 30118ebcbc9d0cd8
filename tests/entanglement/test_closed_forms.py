"""Rates, waits and fidelities of whole simulated networks against closed forms, and against traces worked out by hand.

Statistics must agree within three standard errors, everything else to rounding.
"""

import math
from collections.abc import Callable
from functools import partial
from math import exp, sqrt
from typing import Any

import numpy as np
import pytest

import qkdrmp
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.quantum.bell_diagonal import BellDiagonal, dejmps, swap
from qkdrmp.entanglement.quantum.bell_diagonal import bbpssw as two_pairs
from qkdrmp.entanglement.quantum.pairs import correlations, new_pair
from qkdrmp.entanglement.rulesets.planner import ConnectionPlan
from qkdrmp.entanglement.rulesets.ruleset import RuleSetStack
from qkdrmp.kernel.units import to_seconds, to_ticks
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    US,
    chain,
    deliveries,
    entry_of,
    fidelity_of,
    network_of,
    run,
    werner,
)

NAMES = ("A", "R1", "R2", "R3", "R4", "B")


def names(links: int) -> tuple[str, ...]:
    return (*NAMES[:links], "B")


# --- Fidelity of chains -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("links", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("fidelity", [0.9, 0.98])
def test_chains_with_endless_memories_and_perfect_gates_have_the_product_of_the_werner_parameters(
    links: int, fidelity: float
) -> None:
    network = network_of(
        chain(names(links), loss=0.2),
        [{"memories": 4, "pairs": 50}],
        links={"model": "mim", "fidelity": fidelity},
        memories=FOR_EVER,
        gates=PERFECT,
    )
    run(network, 1)

    expected = (1 + 3 * werner(fidelity) ** links) / 4
    assert entry_of(network).pairs == 50
    assert [pair.fidelity for pair in deliveries(network)] == pytest.approx([expected] * 50)
    assert [pair.estimated for pair in deliveries(network)] == pytest.approx([expected] * 50)


def test_two_swapped_pairs_of_090_have_0813333() -> None:
    network = network_of(
        chain("ARB"), [{"pairs": 1}], links={**CERTAIN, "fidelity": 0.9}, memories=FOR_EVER, gates=PERFECT
    )
    run(network, 0.1)
    assert deliveries(network)[0].fidelity == pytest.approx(0.813333, abs=5e-7)


def test_sources_have_unequal_states_by_link() -> None:
    # Errors multiply: Phi+ comes of two right pairs, or of the same error twice.
    first, second = (0.9, 0.06, 0.03, 0.01), (0.8, 0.0, 0.2, 0.0)
    network = network_of(
        chain("ARB", loss=0.2),
        [{"memories": 2, "pairs": 20}],
        links={"state": list(first), "at": [{"link": ["R", "B"], "state": second}]},
        memories=FOR_EVER,
        gates=PERFECT,
    )
    run(network, 1)
    expected = sum(a * b for a, b in zip(first, second, strict=True))
    assert [pair.fidelity for pair in deliveries(network)] == pytest.approx([expected] * 20)
    assert [pair.estimated for pair in deliveries(network)] == pytest.approx([expected] * 20)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ([0.9, 0.1, 0.1, 0.1], "[0.9, 0.1, 0.1, 0.1] must be four weights of at least 0 each that add up to 1"),
        ([0.2, 0.8, 0.0, 0.0], "[0.2, 0.8, 0.0, 0.0] must begin with a weight of Phi+ above 0.25"),
    ],
)
def test_a_state_that_is_none_is_refused(state: list[float], said: str) -> None:
    with pytest.raises(qkdrmp.ScenarioError) as caught:
        qkdrmp.load_scenario("chain").replace({"links.state": state})
    assert str(caught.value).replace("(", "[").replace(")", "]") == f"chain: links.state = {said}"


@pytest.mark.parametrize(
    ("model", "rate", "fidelity"),
    [
        # 20 km of 0.2 dB/km: eta = 0.9 sqrt(10^-0.4) = 0.56786; P/T with T = 100 us, or 200 us with two rounds.
        ("barrett-kok", 0.56786**2 / 2 / 2e-4, 1.0),
        ("single-click", 2 * 0.2 * 0.56786 * (1 - 0.1 * 0.56786) / 1e-4, 0.8 / (1 - 0.1 * 0.56786)),
    ],
)
def test_links_by_single_photons_in_a_run(model: str, rate: float, fidelity: float) -> None:
    network = network_of(
        chain("AB", loss=0.2),
        [{"memories": 1}],
        links={"model": model, "fidelity": 0.98, "bright_state": 0.2},
        memories={**FOR_EVER, "per_interface": 8},
        gates=PERFECT,
    )
    run(network, 2.0)
    # Eight lanes; the state of the link's kind, with the Werner state of what goes wrong besides.
    made = network.links["A", "B"].successes
    assert made == pytest.approx(8 * rate * 2.0, abs=3 * sqrt(8 * rate * 2.0) + 8 * rate * 0.002)
    expected = fidelity * 0.98 + (1 - fidelity) * 0.02 / 3
    assert len(deliveries(network)) > 100
    assert {pair.fidelity for pair in deliveries(network)} == {deliveries(network)[0].fidelity}
    assert deliveries(network)[0].fidelity == pytest.approx(expected, abs=1e-6)


def test_gate_and_readout_errors_of_each_node_count_where_it_swaps() -> None:
    errors = {"R1": (0.01, 0.02), "R2": (0.03, 0.0), "R3": (0.0, 0.04)}
    at = [{"node": node, "error": gate, "readout_error": readout} for node, (gate, readout) in errors.items()]
    network = network_of(
        chain(names(4), loss=0.2),
        [{"memories": 2, "pairs": 20, "minimum_fidelity": 0.5}],
        links={"fidelity": 0.95},
        memories=FOR_EVER,
        gates={**PERFECT, "at": at},
    )
    run(network, 1)

    state = BellDiagonal.werner(0.95)
    for gate, readout in errors.values():
        state = swap(state, BellDiagonal.werner(0.95), gate, readout)
    assert len(deliveries(network)) == 20
    assert [pair.fidelity for pair in deliveries(network)] == pytest.approx([state.fidelity] * 20)


@pytest.mark.parametrize(("basis", "links"), [("X", 1), ("Y", 2), ("Z", 3)])
def test_measured_pairs_have_the_error_rate_of_their_state(basis: str, links: int) -> None:
    # A Werner pair reads wrong bits in any basis with (1 - w)/2; a readout is wrong with e at either end.
    network = network_of(
        chain(names(links)),
        [{"memories": 8, "pairs": 4000, "basis": basis}],
        links={**CERTAIN, "fidelity": 0.92},
        memories=FOR_EVER,
        gates={**PERFECT, "at": [{"node": node, "readout_error": 0.03} for node in "AB"]},
    )
    run(network, 1)

    wrong = (1 - werner(0.92) ** links) / 2
    wrong += 2 * 0.03 * 0.97 * (1 - 2 * wrong)
    assert entry_of(network).measured_errors / 4000 == pytest.approx(wrong, abs=3 * sqrt(wrong * (1 - wrong) / 4000))


# --- Waits in memory, by hand -----------------------------------------------------------------------------------------
#
# Times in us. 20 km: light takes 100, a message 110. An MSM link starts its slots at 50, 150, 250, ... at both ends and
# heralds 100 later; every trial succeeds.

TAU = 1e-3


def waits(network: EntanglementNetwork, links: int) -> list[tuple[float, float]]:
    """Return for each delivered pair when that was, and for how long its halves waited in all, both in us."""
    raw = werner(0.98) ** links
    return [(pair.tick / US, -TAU * 1e6 * math.log(werner(pair.fidelity) / raw)) for pair in deliveries(network)]


def test_a_pair_of_one_link_waits_for_its_herald_only() -> None:
    # B installs at 110 and A at 220, where B's LAU and A's cross. A has started slots 0 and 1 and names slot 2 + 3 (the
    # lead is ceil(220/100) = 3); B answers at 330, when it has started 0, 1 and 2, with 3 + 3. Slot 6 starts at 650.
    network = network_of(
        chain("AB"), links=CERTAIN, memories={"t1_s": TAU, "t2_s": TAU, "per_interface": 1}, gates=PERFECT
    )
    run(network, 0.0015)
    assert np.array(waits(network, 1)) == pytest.approx(np.array([(650 + 100 * n, 2 * 100) for n in range(1, 9)]))


def test_a_pair_of_two_links_waits_for_the_slower_link_and_for_the_result_of_the_swap() -> None:
    # R-B is installed at 220 and 330, so R names slot 3 + 3 at 330, B names 4 + 3 at 440: it starts with slot 7 at 750.
    # A-R is 110 later at both ends: A names 4 + 3 at 440, R names 5 + 3 at 550 (slot 5 starts only then): 850.
    # R swaps at 950, and its word arrives at 1060. R-B has waited 200 at R and 310 at B, A-R 100 at R and 210 at A.
    # Then all memories are free, and the next slots start at 1150, their swap is at 1250, its result at 1360.
    network = network_of(
        chain("ARB"),
        [{"memories": 1, "minimum_fidelity": 0.26}],
        links=CERTAIN,
        memories={"t1_s": TAU, "t2_s": TAU, "per_interface": 1},
        gates=PERFECT,
    )
    run(network, 0.003)
    expected = [(1060, 820), *((1060 + 300 * n, 620) for n in range(1, 7))]
    assert np.array(waits(network, 2)) == pytest.approx(np.array(expected))


def test_dephasing_and_relaxation_take_their_own_share_of_the_wait() -> None:
    # As before, with T1 = 4 ms and T2 = 1 ms: <XX> and <YY> fall with T2, <ZZ> with T1.
    network = network_of(
        chain("ARB"), links=CERTAIN, memories={"t1_s": 4e-3, "t2_s": 1e-3, "per_interface": 1}, gates=PERFECT
    )
    run(network, 0.003)
    w = werner(0.98) ** 2
    expected = [(1 + w * (2 * exp(-wait / 1000) + exp(-wait / 4000))) / 4 for wait in (820, *[620] * 6)]
    assert [pair.fidelity for pair in deliveries(network)] == pytest.approx(expected)


def test_each_memory_forgets_at_its_own_pace() -> None:
    # One link, both halves wait 100 us: at A with 0.5 ms, at B with 2 ms.
    at = [{"node": "A", "t1_s": 0.5e-3, "t2_s": 0.5e-3}]
    memories = {"t1_s": 2e-3, "t2_s": 2e-3, "per_interface": 1, "at": at}
    network = network_of(chain("AB"), links=CERTAIN, memories=memories, gates=PERFECT)
    run(network, 0.0015)
    expected = fidelity_of(werner(0.98) * exp(-100 / 500 - 100 / 2000))
    assert [pair.fidelity for pair in deliveries(network)] == pytest.approx([expected] * 8)


def test_the_sender_of_an_mm_link_waits_a_slot_and_its_receiver_not_at_all() -> None:
    # The sender emits at the slot's start and knows 200 us later; the receiver emits and knows at 100.
    network = network_of(
        chain("AB"),
        links={"model": "mm", "detector_efficiency": 1.0},
        memories={"t1_s": TAU, "t2_s": TAU},
        gates=PERFECT,
    )
    run(network, 0.2)
    # The receiver's half is delivered at once; a delivered half decays no more, so the sender's 200 us are all.
    assert len(deliveries(network)) > 100
    assert [wait for _, wait in waits(network, 1)] == pytest.approx([200] * len(deliveries(network)))


# --- Rates of links ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "length_km", "rate", "seconds"),
    [
        ("mim", 20, 1990.5, 2),
        ("mim", 50, 200, 10),
        ("mim", 100, 10, 100),
        ("msm", 20, 3981, 2),
        ("msm", 50, 400, 10),
        ("msm", 100, 20, 100),
        ("mm", 20, 995, 2),
        ("mm", 50, 100, 10),
        ("mm", 100, 5, 100),
    ],
)
@pytest.mark.parametrize("memories", [1, 4])
def test_links_make_as_many_pairs_a_second_as_the_table_says(
    model: str, length_km: float, rate: float, seconds: float, memories: int
) -> None:
    # A half is delivered as it is heralded. The sender of an MM link keeps its memory for a slot, which is 2 L/c; that
    # of an MSM link is filled at 0.5 L/c and free at 1.5 L/c, when the next photon comes: no slot is lost.
    network = network_of(
        chain("AB", length_km, loss=0.2),
        [{"memories": memories}],
        links={"model": model, "detector_efficiency": 1.0},
        memories={**FOR_EVER, "per_interface": memories},
        gates=PERFECT,
    )
    run(network, seconds)

    active = entry_of(network).active
    assert active is not None
    link = network.links["A", "B"]
    slots = (network.env.now - active) // link.slot_ticks - 1  # the last may not have been heralded
    probability = rate * to_seconds(link.slot_ticks)
    trials = slots * memories
    spread = 3 * sqrt(trials * probability * (1 - probability)) + memories
    assert entry_of(network).pairs == pytest.approx(trials * probability, abs=spread)


def test_a_quota_is_reserved_and_memories_in_nobodys_quota_are_used_by_whoever_can() -> None:
    # Both links succeed at once (see above), so a round of the chain takes 300 us: 100 for the trial, 110 for the
    # result of the swap, 90 until the next slot. Each round fills all memories: alone, a connection uses all eight.
    for quota in (1, 2, 3, 5):
        network = network_of(
            chain("ARB"), [{"memories": quota}], links=CERTAIN, memories={**FOR_EVER, "per_interface": 8}, gates=PERFECT
        )
        run(network, 0.0301)
        at, pairs = np.unique([pair.tick for pair in deliveries(network)], return_counts=True)
        assert set(pairs) == {8}
        assert set(np.diff(at)) == {300 * US}


def test_no_more_halves_than_a_quota_lie_idle_but_for_those_under_way() -> None:
    # The second link is slow, so pairs of the first one wait for it at R: as many as the quota, and what a slot made.
    for quota in (1, 2, 4):
        network = network_of(
            chain("ARB", [20.0, 80.0], loss=0.2),
            [{"memories": quota, "minimum_fidelity": 0.3}],
            links={"model": "mim"},
            memories={"t1_s": 10.0, "t2_s": 1.0, "per_interface": 16},
        )
        most = 0
        for step in range(1, 400):
            network.env.advance(step * 10 * US * 10)
            share = next(iter(network.interfaces["R"]["A"].shares.values()), None)
            most = max(most, share.idle if share else 0)
        assert quota <= most < quota + 12
        assert network.interfaces["A"]["R"].link.successes < deliveries(network).__len__() + 3 * (quota + 12)


def test_a_quota_without_room_for_the_rounds_is_infeasible() -> None:
    # Two rounds need a pair that is kept in each of them, and one that is sacrificed: three memories.
    _, once = bbpssw(0.75)
    minimum = bbpssw(once)[1] - 1e-6
    outcomes = []
    for quota in (1, 2, 3):
        network = network_of(
            chain("AB"),
            [{"memories": quota, "minimum_fidelity": minimum, "pairs": 3}],
            setup={"retries": 0},
            links={**CERTAIN, "fidelity": 0.75},
            memories=FOR_EVER,
            gates=PERFECT,
        )
        run(network, 1)
        outcomes.append((str(entry_of(network).state), entry_of(network).reason))
    assert outcomes == [("rejected", "infeasible"), ("rejected", "infeasible"), ("delivered", None)]


def test_two_connections_take_turns_and_each_has_half_of_the_trials() -> None:
    network = network_of(
        chain("AB", loss=0.2), [{"memories": 2}, {"memories": 2}], links={"model": "mim"}, memories={"per_interface": 4}
    )
    run(network, 2)
    first, second = (entry_of(network, name) for name in ("c1", "c2"))
    probability = 0.9**2 / 2 * 10**-0.4
    trials = 2 / 1e-4 * 2
    spread = 3 * sqrt(trials * probability * (1 - probability)) + 0.0005 * trials * probability  # for the setup
    for entry in (first, second):
        assert entry.pairs == pytest.approx(trials * probability, abs=spread)


# --- Two held, heralded hops ------------------------------------------------------------------------------------------


def gaps(network: EntanglementNetwork) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the slots between one delivered pair and the next."""
    return np.diff([pair.tick / network.links["A", "R"].slot_ticks for pair in deliveries(network)])


@pytest.mark.parametrize(("efficiency", "processing_s", "idle"), [(1.0, 0.0, 1), (0.6, 0.0, 1), (0.6, 1e-5, 2)])
def test_two_hops_that_hold_their_pairs_take_the_slots_of_the_slower_one(
    efficiency: float, processing_s: float, idle: int
) -> None:
    # One memory at each interface: A and B are ready again when they hear of the swap, `idle` slots later; then both
    # links start anew. The slots until both have a pair are the larger of two geometric numbers.
    network = network_of(
        chain("ARB"),
        links={"model": "mim", "detector_efficiency": efficiency},
        memories={**FOR_EVER, "per_interface": 1},
        gates=PERFECT,
        setup={"processing_s": processing_s},
    )
    run(network, 2.0)

    p = efficiency**2 / 2
    slots = gaps(network) - idle
    assert len(slots) > 1000
    assert slots.mean() == pytest.approx((3 - 2 * p) / (p * (2 - p)), abs=3 * slots.std() / sqrt(len(slots)))
    # The whole distribution: P(max <= n) = (1 - (1 - p)^n)^2.
    for n in (1, 2, 4, 8):
        share = (1 - (1 - p) ** n) ** 2
        assert np.mean(slots < n + 0.5) == pytest.approx(share, abs=3 * sqrt(share * (1 - share) / len(slots)))


def test_the_pair_that_waits_for_the_slower_hop_fades_meanwhile() -> None:
    # The difference d of the two geometric numbers has probability p/(2 - p) at 0 and 2p (1-p)^d/(2 - p) above; both
    # halves of the earlier pair wait d slots more. Besides, all four wait for the herald and two for the swap's result.
    tau, p, slot = 4e-3, 0.5 * 0.6**2, 1e-4
    network = network_of(
        chain("ARB"),
        links={"model": "mim", "detector_efficiency": 0.6},
        memories={"t1_s": tau, "t2_s": tau, "per_interface": 1},
        gates=PERFECT,
        setup={"processing_s": 0.0},
    )
    run(network, 4.0)

    fades = exp(-2 * slot / tau)
    mean = p / (2 - p) * (1 + (1 - p) * fades) / (1 - (1 - p) * fades)
    expected = werner(0.98) ** 2 * exp(-(4 + 2) * slot / tau) * mean
    found = np.array([werner(pair.fidelity) for pair in deliveries(network)][1:])  # the first round begins unevenly
    assert len(found) > 3000
    assert found.mean() == pytest.approx(expected, abs=3 * found.std() / sqrt(len(found)))


# --- Purification -----------------------------------------------------------------------------------------------------


def bbpssw(fidelity: float) -> tuple[float, float]:
    rest = (1 - fidelity) / 3
    p = fidelity**2 + 2 * fidelity * rest + 5 * rest**2
    return p, (fidelity**2 + rest**2) / p


def purifying(fidelity: float, minimum: float, memories: int, seconds: float, **more: Any) -> EntanglementNetwork:
    network = network_of(
        chain("AB"),
        [{"memories": memories, "minimum_fidelity": minimum}],
        links={**CERTAIN, "fidelity": fidelity},
        memories={**FOR_EVER, "per_interface": memories},
        gates={**PERFECT, **more},
    )
    return run(network, seconds)


@pytest.mark.parametrize(
    ("fidelity", "success", "purified"),
    [(0.70, 0.68, 0.735294), (0.75, None, 0.788462), (0.80, None, 0.838150), (0.90, 0.875556, 0.926396)],
)
def test_a_round_of_bbpssw_succeeds_as_often_and_helps_as_much_as_it_should(
    fidelity: float, success: float | None, purified: float
) -> None:
    p, better = bbpssw(fidelity)
    assert better == pytest.approx(purified, abs=5e-7)
    assert success is None or p == pytest.approx(success, abs=5e-7)

    network = purifying(fidelity, better - 1e-6, 2, 1)
    rounds = network.links["A", "B"].successes // 2
    assert rounds > 2000
    assert entry_of(network).pairs / rounds == pytest.approx(p, abs=3 * sqrt(p * (1 - p) / rounds) + 1 / rounds)
    found = [pair.fidelity for pair in deliveries(network)]
    assert found == pytest.approx([better] * len(found))


def test_rounds_of_bbpssw_nest() -> None:
    p1, once = bbpssw(0.75)
    p2, twice = bbpssw(once)
    network = purifying(0.75, twice - 1e-6, 3, 2)

    first = network.links["A", "B"].successes / 2
    expected = first * p1 * p2 / 2
    spread = sqrt(first * p1 / 2 * p2 * (1 - p2) + (p2 / 2) ** 2 * first * p1 * (1 - p1))
    assert expected > 1000
    assert entry_of(network).pairs == pytest.approx(expected, abs=3 * spread + 2)
    found = [pair.fidelity for pair in deliveries(network)]
    assert found == pytest.approx([twice] * len(found))


def test_purification_comes_before_the_swap_and_both_links_get_theirs() -> None:
    _, better = bbpssw(0.85)
    network = network_of(
        chain("ARB"),
        [{"memories": 3, "pairs": 300, "minimum_fidelity": fidelity_of(werner(better) ** 2) - 1e-6}],
        links={**CERTAIN, "fidelity": 0.85},
        memories=FOR_EVER,
        gates=PERFECT,
    )
    run(network, 1)
    assert entry_of(network).pairs == 300
    expected = fidelity_of(werner(better) ** 2)
    assert [pair.fidelity for pair in deliveries(network)] == pytest.approx([expected] * 300)


def hand_written(network: EntanglementNetwork, stack: RuleSetStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the Responder answer with these RuleSets, whatever it is asked for."""
    monkeypatch.setattr(
        "qkdrmp.entanglement.connections.setup.plan_to_keep", lambda *_, **__: ConnectionPlan(stack, (), 1.0)
    )


def two_to_one(protocol: str) -> RuleSetStack:
    def rules(partner: str) -> list[dict[str, Any]]:
        purify = {"purify": {"keep": "k", "sacrifice": "s", "protocol": protocol, "to": 1}}
        return [
            {"stage": 0, "rules": [{"if": [{"res": {"partner": partner, "n": 2, "as": ["k", "s"]}}], "do": [purify]}]},
            {
                "stage": 1,
                "rules": [
                    {"if": [{"res": {"partner": partner, "n": 1, "as": ["p"]}}], "do": [{"deliver": {"pair": "p"}}]}
                ],
            },
        ]

    return RuleSetStack.model_validate(
        {
            "connection": "c1",
            "attempt": 1,
            "path": ["A", "B"],
            "need": None,
            "rulesets": {"A": rules("B"), "B": rules("A")},
        }
    )


@pytest.mark.parametrize("errors", [(0.0, 0.0), (0.02, 0.03)])
@pytest.mark.parametrize("weights", [(0.75, 0.03, 0.12, 0.10), (0.8, 0.0, 0.2, 0.0)])
def test_a_hand_written_round_of_dejmps_does_what_deutsch_and_others_found(
    weights: tuple[float, float, float, float], errors: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(
        chain("AB"),
        [{"memories": 2}],
        links=CERTAIN,
        memories={**FOR_EVER, "per_interface": 2},
        gates={"error": errors[0], "readout_error": errors[1]},
    )
    hand_written(network, two_to_one("dejmps"), monkeypatch)
    state = BellDiagonal(*weights)
    device = network.stacks["A"].setup.admission.bench.device
    # Links make Werner pairs; here this one makes others.
    make: Callable[..., Any] = partial(new_pair, correlations(state), (device, device))
    network.links["A", "B"]._make = make
    run(network, 1)

    p, kept = dejmps(state, state, *errors)
    if errors == (0.0, 0.0):
        a, b, c, d = weights
        assert p == pytest.approx((a + b) ** 2 + (c + d) ** 2)
        assert kept.fidelity == pytest.approx((a * a + b * b) / p)
    if weights[0] == 0.75 and not any(errors):
        assert (p, kept.fidelity) == pytest.approx((0.6568, 0.857795), abs=5e-7)
    rounds = network.links["A", "B"].successes // 2
    assert rounds > 2000
    assert entry_of(network).pairs / rounds == pytest.approx(p, abs=3 * sqrt(p * (1 - p) / rounds) + 1 / rounds)
    found = [pair.fidelity for pair in deliveries(network)]
    assert found == pytest.approx([kept.fidelity] * len(found))


def test_the_waits_for_the_next_pair_and_for_the_partners_bit_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two memories. The first two pairs come together, 100 us old at both ends. The sacrificed one frees its memory at
    # once, for a third pair, heralded 100 later; the kept one waits 110 for the partner's bit. So the next slot but one
    # is the first with a free memory: the fourth pair comes 300 us after the second, when the third has waited 300 at
    # both ends. From then on every round is like this one. No Responder would purify, as the waits cost more.
    network = network_of(
        chain("AB"),
        [{"memories": 2}],
        links={**CERTAIN, "fidelity": 0.85},
        memories={"t1_s": 5e-3, "t2_s": 5e-3, "per_interface": 2},
        gates=PERFECT,
    )
    hand_written(network, two_to_one("bbpssw"), monkeypatch)
    run(network, 1)
    fresh, old = (BellDiagonal.werner(fidelity_of(werner(0.85) * exp(-2 * age / 5000))) for age in (100, 300))
    (_, first), (p, later) = two_pairs(fresh, fresh), two_pairs(old, fresh)
    expected = [fidelity_of(werner(kept.fidelity) * exp(-2 * 110 / 5000)) for kept in (first, later)]
    found = [pair.fidelity for pair in deliveries(network)]
    assert found == pytest.approx([expected[0]] + [expected[1]] * (len(found) - 1))
    rounds = network.links["A", "B"].successes // 2
    assert rounds == pytest.approx((1e6 - 750) / 300, abs=1)
    assert len(found) / rounds == pytest.approx(p, abs=3 * sqrt(p * (1 - p) / rounds) + 1 / rounds)


def test_the_clock_of_a_trial_counts_time_and_not_attempts() -> None:
    # A connection that holds its one memory for three slots (see the quota test) voids trials, yet they are counted.
    network = network_of(chain("ARB"), links=CERTAIN, memories={**FOR_EVER, "per_interface": 1}, gates=PERFECT)
    run(network, 0.0301)
    link = network.links["A", "R"]
    assert link.next_trial(0) == math.ceil((0.0301 - 50e-6) / 1e-4)
    assert link.successes <= link.next_trial(0) / 3
    assert to_ticks(1e-4) == link.slot_ticks
