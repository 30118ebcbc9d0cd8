"""Pairs against closed forms, and against density matrices computed gate by gate."""

import math
from collections.abc import Callable
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdrmp.entanglement.quantum.bell_diagonal import (
    Basis,
    BellDiagonal,
    Memory,
    bbpssw,
    bbpssw_fidelity,
    dejmps,
    measure_correlation,
    shared_gate_error,
    shared_readout_error,
    swap,
    twirled,
)
from qkdrmp.kernel.units import TICKS_PER_SECOND, to_ticks
from tests.entanglement.quantum.waiting import decohered

Matrix = npt.NDArray[Any]
Purify = Callable[[BellDiagonal, BellDiagonal, float, float], tuple[float, BellDiagonal]]

# --- Density matrices -------------------------------------------------------------------------------------------------

I2 = np.eye(2, dtype=complex)
X = np.array([[0, 1], [1, 0]], dtype=complex)
Y = np.array([[0, -1j], [1j, 0]], dtype=complex)
Z = np.array([[1, 0], [0, -1]], dtype=complex)
H = np.array([[1, 1], [1, -1]], dtype=complex) / math.sqrt(2)
S = np.array([[1, 0], [0, 1j]], dtype=complex)
PROJECTORS = [np.diag([1, 0]).astype(complex), np.diag([0, 1]).astype(complex)]
PAULIS = [I2, X, Y, Z]
# Phi+, Psi-, Psi+, Phi-
BELL = [np.array(v, dtype=complex) / math.sqrt(2) for v in ([1, 0, 0, 1], [0, 1, -1, 0], [0, 1, 1, 0], [1, 0, 0, -1])]


def matrix(state: BellDiagonal) -> Matrix:
    return sum((w * np.outer(v, v.conj()) for w, v in zip(state.weights, BELL, strict=True)), np.zeros((4, 4), complex))


def on(qubits: dict[int, Matrix], count: int = 4) -> Matrix:
    return reduce(np.kron, [qubits.get(i, I2) for i in range(count)])


def cnot(control: int, target: int) -> Matrix:
    return on({control: PROJECTORS[0]}) + on({control: PROJECTORS[1], target: X})


def applied(operator: Matrix, rho: Matrix) -> Matrix:
    return operator @ rho @ operator.conj().T


def depolarised(rho: Matrix, one: int, other: int, error: float) -> Matrix:
    mixed: Matrix = np.mean([applied(on({one: p, other: q}), rho) for p, q in product(PAULIS, PAULIS)], axis=0)
    return (1 - error) * rho + error * mixed


def trace_out(rho: Matrix, keep: tuple[int, int]) -> Matrix:
    """Return the state of two of four qubits."""
    left = rho.reshape([2] * 8)
    order = [*keep, *(q for q in range(4) if q not in keep)]
    moved = left.transpose([*order, *(q + 4 for q in order)]).reshape(4, 4, 4, 4)
    traced: Matrix = np.trace(moved, axis1=1, axis2=3)
    return traced


def reported(true: int, seen: int, error: float) -> float:
    return 1 - error if true == seen else error


def swap_matrix(left: BellDiagonal, right: BellDiagonal, gate_error: float, readout_error: float) -> Matrix:
    """Qubits A, L, R, B; the Bell measurement is on L and R, the corrections are at B."""
    rho = np.kron(matrix(left), matrix(right))
    rho = depolarised(applied(cnot(1, 2), rho), 1, 2, gate_error)
    rho = applied(on({1: H}), rho)
    out = np.zeros((4, 4), complex)
    for phase, parity, seen_phase, seen_parity in product((0, 1), repeat=4):
        chance = reported(phase, seen_phase, readout_error) * reported(parity, seen_parity, readout_error)
        measured = applied(on({1: PROJECTORS[phase], 2: PROJECTORS[parity]}), rho)
        fix = np.linalg.matrix_power(Z, seen_phase) @ np.linalg.matrix_power(X, seen_parity)
        out += chance * trace_out(applied(on({3: fix}), measured), (0, 3))
    return out


def purified_matrix(keep: Matrix, sacrifice: Matrix, gate: tuple[float, float], readout: tuple[float, float]) -> Matrix:
    """Qubits A1, B1, A2, B2; pair 2 is measured. The trace of the result is the probability of success."""
    rho = np.kron(keep, sacrifice)
    rho = depolarised(applied(cnot(0, 2), rho), 0, 2, gate[0])
    rho = depolarised(applied(cnot(1, 3), rho), 1, 3, gate[1])
    out = np.zeros((4, 4), complex)
    for here, there, seen in product((0, 1), repeat=3):
        chance = reported(here, seen, readout[0]) * reported(there, seen, readout[1])
        out += chance * trace_out(applied(on({2: PROJECTORS[here], 3: PROJECTORS[there]}), rho), (0, 1))
    return out


def quarter_turned(rho: Matrix) -> Matrix:
    turn = (I2 - 1j * X) / math.sqrt(2)
    return applied(np.kron(turn, turn.conj().T), rho)


def cliffords() -> list[Matrix]:
    """Return the 24 one-qubit Clifford gates, up to their phase."""
    found: list[Matrix] = [I2]
    for gate in found:
        for new in (H @ gate, S @ gate):
            if not any(abs(abs(np.trace(new.conj().T @ old)) - 2) < 1e-9 for old in found):
                found.append(new)
    return found


CLIFFORDS = cliffords()


def twirled_matrix(rho: Matrix) -> Matrix:
    """Return the mean over both ends rotating alike: U at one and its conjugate at the other, which keep Phi+."""
    mean: Matrix = np.mean([applied(np.kron(u, u.conj()), rho) for u in CLIFFORDS], axis=0)
    return mean


def waited(rho: Matrix, half: int, seconds: float, memory: Memory) -> Matrix:
    """Relax one half: amplitude damping with equal chance up and down, then dephasing for the rest of T2."""
    damping = 1 - math.exp(-seconds / memory.t1_s)
    stay, jump = math.sqrt(1 - damping), math.sqrt(damping)
    down = [np.array([[1, 0], [0, stay]], complex), np.array([[0, jump], [0, 0]], complex)]
    kraus = [k / math.sqrt(2) for k in (*down, *(X @ k @ X for k in down))]
    rho = np.sum([applied(on({half: k}, 2), rho) for k in kraus], axis=0)
    coherence = math.exp(-seconds / memory.t2_s) / stay
    return (1 + coherence) / 2 * rho + (1 - coherence) / 2 * applied(on({half: Z}, 2), rho)


# --- Random states and errors -----------------------------------------------------------------------------------------


def normalised(weights: list[float]) -> BellDiagonal:
    return BellDiagonal(*(w / sum(weights) for w in weights))


STATES = st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda w: sum(w) > 1e-3).map(normalised)
GATE_ERRORS = st.floats(0, 1)
READOUT_ERRORS = st.floats(0, 0.5)
MEMORIES = st.builds(
    lambda t1, ratio: Memory(t1, ratio * t1), st.floats(0.01, 100), st.floats(0.01, 2) | st.just(2.0) | st.just(1.0)
)
WAITS_S = st.floats(0, 10)


def assert_same(state: BellDiagonal, expected: Matrix, scale: float = 1.0) -> None:
    np.testing.assert_allclose(scale * matrix(state), expected, rtol=0, atol=1e-12)


# --- States -----------------------------------------------------------------------------------------------------------


def test_the_weights_keep_their_order() -> None:
    state = BellDiagonal(0.75, 0.03, 0.12, 0.10)
    assert (state.phi_plus, state.psi_minus, state.psi_plus, state.phi_minus) == state.weights
    assert state.fidelity == 0.75


def test_a_werner_state_shares_the_rest_out() -> None:
    assert BellDiagonal.werner(0.7).weights == pytest.approx((0.7, 0.1, 0.1, 0.1))
    assert BellDiagonal.werner(1.0).weights == (1.0, 0.0, 0.0, 0.0)
    assert BellDiagonal.werner(0.25).weights == (0.25, 0.25, 0.25, 0.25)


@pytest.mark.parametrize(
    "weights",
    [(0.5, 0.5, 0.5, -0.5), (0.5, 0.2, 0.2, 0.2), (1 + 1e-8, 0, 0, 0), (math.nan, 0.5, 0.3, 0.2), (0, 1, math.nan, 0)],
)
def test_bad_weights_are_a_clear_error(weights: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"^weights = \(.*\) must be at least 0 each and add up to 1$"):
        BellDiagonal(*weights)


@pytest.mark.parametrize("fidelity", [-0.1, 1.1, math.nan])
def test_a_bad_fidelity_is_a_clear_error(fidelity: float) -> None:
    with pytest.raises(ValueError, match=rf"^fidelity = {fidelity} must be from 0 to 1$"):
        BellDiagonal.werner(fidelity)


def test_weights_off_by_the_tolerance_survive_every_operation() -> None:
    assert bbpssw(BellDiagonal(1 + 9e-10, 0, 0, 0), BellDiagonal(1 + 9e-10, 0, 0, 0))[0] == 1
    assert dejmps(BellDiagonal(1 + 9e-10, 0, 0, 0), BellDiagonal(1 + 9e-10, 0, 0, 0))[0] == 1
    state = BellDiagonal(0.7 + 9e-10, 0.1, 0.1, 0.1)
    for _ in range(20):
        state = swap(state, state)
    assert sum(state.weights) == pytest.approx(1, abs=1e-15)


@given(STATES)
def test_twirling_makes_a_werner_state(state: BellDiagonal) -> None:
    assert_same(twirled(state), twirled_matrix(matrix(state)))


@given(STATES, READOUT_ERRORS, READOUT_ERRORS, st.sampled_from(["X", "Y", "Z"]))
def test_correlations_match_the_density_matrix(state: BellDiagonal, here: float, there: float, basis: Basis) -> None:
    axis = {"X": X, "Y": Y, "Z": Z}[basis]
    mean = float(np.trace(np.kron(axis, axis) @ matrix(state)).real)
    assert measure_correlation(state, basis) == pytest.approx((1 + mean) / 2, abs=1e-12)
    noisy = (1 + (1 - 2 * here) * (1 - 2 * there) * mean) / 2
    assert measure_correlation(state, basis, here, there) == pytest.approx(noisy, abs=1e-12)


# --- Memories ---------------------------------------------------------------------------------------------------------


@given(STATES, WAITS_S, WAITS_S, MEMORIES, MEMORIES)
def test_waiting_matches_the_density_matrix(
    state: BellDiagonal, left_s: float, right_s: float, left: Memory, right: Memory
) -> None:
    ticks = to_ticks(left_s), to_ticks(right_s)
    expected = matrix(state)
    for half, memory in enumerate((left, right)):
        seconds = ticks[half] / TICKS_PER_SECOND
        if seconds > 20 * memory.t1_s:  # the test's own division by what is left of the amplitude loses digits
            return
        expected = waited(expected, half, seconds, memory)
    np.testing.assert_allclose(matrix(decohered(state, *ticks, left, right)), expected, rtol=0, atol=1e-10)


@given(st.floats(0, 5), MEMORIES)
def test_a_memory_is_the_pauli_twirl_of_zero_temperature_damping(seconds: float, memory: Memory) -> None:
    ticks = to_ticks(seconds * memory.t1_s)
    seconds = ticks / TICKS_PER_SECOND
    stay = math.exp(-seconds / memory.t1_s / 2)
    coherence = math.exp(-seconds / memory.t2_s) / stay
    kraus = [np.array([[1, 0], [0, stay]]), np.array([[0, math.sqrt(1 - stay**2)], [0, 0]])]
    expected = np.zeros((4, 4), complex)
    for pauli, damping in product(PAULIS, kraus):
        hit = applied(np.kron(pauli @ damping @ pauli, I2), matrix(BellDiagonal.werner(1.0))) / 4
        expected += (1 + coherence) / 2 * hit + (1 - coherence) / 2 * applied(np.kron(Z, I2), hit)
    assert_same(decohered(BellDiagonal.werner(1.0), ticks, 0, memory, memory), expected)


@given(st.floats(0, 1), WAITS_S, WAITS_S, st.floats(0.01, 100))
def test_depolarising_memories_shrink_the_werner_parameter(fidelity: float, t1: float, t2: float, tau: float) -> None:
    memory = Memory(tau, tau)
    after = decohered(BellDiagonal.werner(fidelity), to_ticks(t1), to_ticks(t2), memory, memory)
    werner = (4 * fidelity - 1) / 3 * math.exp(-(t1 + t2) / tau)
    assert after.weights == pytest.approx(BellDiagonal.werner((1 + 3 * werner) / 4).weights, abs=1e-9)


@given(STATES, MEMORIES, MEMORIES)
def test_everything_ends_maximally_mixed(state: BellDiagonal, left: Memory, right: Memory) -> None:
    long = to_ticks(60 * left.t1_s * 2)
    assert decohered(state, long, 0, left, right).weights == pytest.approx((0.25,) * 4, abs=1e-12)
    assert decohered(state, 0, 2 * to_ticks(60 * right.t1_s), left, right).weights == pytest.approx((0.25,) * 4)


@given(STATES, st.integers(0, 10**13), st.integers(0, 10**13), MEMORIES, MEMORIES)
def test_waits_add_up(state: BellDiagonal, first: int, second: int, left: Memory, right: Memory) -> None:
    in_parts = decohered(decohered(state, first, second, left, right), second, first, left, right)
    at_once = decohered(state, first + second, first + second, left, right)
    assert in_parts.weights == pytest.approx(at_once.weights, abs=1e-12)


def test_a_perfect_memory_and_no_wait_change_nothing() -> None:
    state = BellDiagonal(0.75, 0.03, 0.12, 0.10)
    perfect, poor = Memory(math.inf, math.inf), Memory(1.0, 0.1)
    assert decohered(state, 10**15, 0, perfect, poor).weights == pytest.approx(state.weights, abs=1e-15)


def test_a_memory_that_only_loses_its_phase_keeps_z() -> None:
    after = decohered(BellDiagonal.werner(1.0), TICKS_PER_SECOND, 0, Memory(math.inf, 1.0), Memory(1.0, 1.0))
    assert after.weights == pytest.approx(((1 + math.exp(-1)) / 2, 0, 0, (1 - math.exp(-1)) / 2))


@pytest.mark.parametrize(
    ("t1_s", "t2_s", "complaint"),
    [
        (0.0, 1.0, "t1_s = 0.0 must be above 0 s"),
        (math.nan, 1.0, "t1_s = nan must be above 0 s"),
        (1.0, 2.1, "t2_s = 2.1 must be above 0 s and at most twice t1_s = 1.0 s"),
        (1.0, 0.0, "t2_s = 0.0 must be above 0 s and at most twice t1_s = 1.0 s"),
    ],
)
def test_a_bad_memory_is_a_clear_error(t1_s: float, t2_s: float, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Memory(t1_s, t2_s)
    assert str(caught.value) == complaint


# --- Swaps ------------------------------------------------------------------------------------------------------------


def test_the_swap_of_two_werner_pairs() -> None:
    assert swap(BellDiagonal.werner(0.9), BellDiagonal.werner(0.9)).fidelity == pytest.approx(0.813333, abs=5e-7)


@given(st.floats(0, 1), st.floats(0, 1))
def test_werner_pairs_swap_to_a_werner_pair(one: float, other: float) -> None:
    after = swap(BellDiagonal.werner(one), BellDiagonal.werner(other))
    fidelity = one * other + (1 - one) * (1 - other) / 3
    assert after.weights == pytest.approx(BellDiagonal.werner(fidelity).weights, abs=1e-12)


@pytest.mark.parametrize("links", [1, 2, 3, 8, 20])
def test_a_chain_of_werner_pairs(links: int) -> None:
    pair = BellDiagonal.werner(0.95)
    expected = (1 + 3 * ((4 * 0.95 - 1) / 3) ** links) / 4
    assert reduce(swap, [pair] * links).fidelity == pytest.approx(expected)


@given(STATES, STATES, GATE_ERRORS, READOUT_ERRORS)
def test_swaps_match_the_density_matrix(
    left: BellDiagonal, right: BellDiagonal, gate_error: float, readout_error: float
) -> None:
    assert_same(swap(left, right, gate_error, readout_error), swap_matrix(left, right, gate_error, readout_error))


def test_a_noisy_swap_of_werner_pairs_has_the_fidelity_of_briegel_et_al() -> None:
    gate_error, readout_error = 0.02, 0.01
    shrink = (1 - gate_error) * (4 * (1 - readout_error) ** 2 - 1) / 3
    werner = ((4 * 0.9 - 1) / 3) ** 2 * shrink
    after = swap(BellDiagonal.werner(0.9), BellDiagonal.werner(0.9), gate_error, readout_error)
    assert after.fidelity == pytest.approx((1 + 3 * werner) / 4)


# --- Purification -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(0.70, 0.735294), (0.75, 0.788462), (0.80, 0.838150), (0.90, 0.926396)])
def test_bbpssw_of_two_equal_werner_pairs(before: float, after: float) -> None:
    pair = BellDiagonal.werner(before)
    probability, kept = bbpssw(pair, pair)
    rest = (1 - before) / 3
    assert probability == pytest.approx(before**2 + 2 * before * rest + 5 * rest**2)
    assert kept.weights == pytest.approx(BellDiagonal.werner(after).weights, abs=5e-7)


@pytest.mark.parametrize(("fidelity", "probability"), [(0.70, 0.68), (0.90, 0.875556)])
def test_the_chance_of_bbpssw(fidelity: float, probability: float) -> None:
    pair = BellDiagonal.werner(fidelity)
    assert bbpssw(pair, pair)[0] == pytest.approx(probability, abs=5e-7)


@given(STATES, STATES, GATE_ERRORS, READOUT_ERRORS)
def test_bbpssw_of_fidelities_is_that_of_pairs(
    keep: BellDiagonal, sacrifice: BellDiagonal, gate_error: float, readout_error: float
) -> None:
    probability, kept = bbpssw(keep, sacrifice, gate_error, readout_error)
    found = bbpssw_fidelity(keep.fidelity, sacrifice.fidelity, gate_error, readout_error)
    assert found == pytest.approx((probability, kept.fidelity), abs=1e-9)


def test_dejmps_of_two_equal_pairs() -> None:
    a, b, c, d = 0.75, 0.03, 0.12, 0.10
    probability, kept = dejmps(BellDiagonal(a, b, c, d), BellDiagonal(a, b, c, d))
    assert probability == pytest.approx(0.6568)
    assert kept.fidelity == pytest.approx(0.857795, abs=5e-7)
    assert kept.weights == pytest.approx(tuple(w / 0.6568 for w in (a**2 + b**2, 2 * c * d, c**2 + d**2, 2 * a * b)))


@given(STATES, STATES, GATE_ERRORS, READOUT_ERRORS)
def test_dejmps_matches_the_density_matrix(
    keep: BellDiagonal, sacrifice: BellDiagonal, gate_error: float, readout_error: float
) -> None:
    probability, kept = dejmps(keep, sacrifice, gate_error, readout_error)
    turned = quarter_turned(matrix(keep)), quarter_turned(matrix(sacrifice))
    expected = purified_matrix(*turned, (gate_error,) * 2, (readout_error,) * 2)
    assert probability == pytest.approx(float(np.trace(expected).real), abs=1e-12)
    assert_same(kept, expected, probability)


@given(STATES, STATES, GATE_ERRORS, READOUT_ERRORS)
def test_bbpssw_matches_the_density_matrix(
    keep: BellDiagonal, sacrifice: BellDiagonal, gate_error: float, readout_error: float
) -> None:
    probability, kept = bbpssw(keep, sacrifice, gate_error, readout_error)
    both = twirled_matrix(matrix(keep)), twirled_matrix(matrix(sacrifice))
    expected = twirled_matrix(purified_matrix(*both, (gate_error,) * 2, (readout_error,) * 2))
    assert probability == pytest.approx(float(np.trace(expected).real), abs=1e-12)
    assert_same(kept, expected, probability)


@given(STATES, STATES, GATE_ERRORS, GATE_ERRORS, READOUT_ERRORS, READOUT_ERRORS)
def test_unequal_ends_purify_as_equal_ends_of_shared_errors(
    keep: BellDiagonal, sacrifice: BellDiagonal, gate_1: float, gate_2: float, readout_1: float, readout_2: float
) -> None:
    shared = shared_gate_error(gate_1, gate_2), shared_readout_error(readout_1, readout_2)
    probability, kept = dejmps(keep, sacrifice, *shared)
    turned = quarter_turned(matrix(keep)), quarter_turned(matrix(sacrifice))
    assert_same(kept, purified_matrix(*turned, (gate_1, gate_2), (readout_1, readout_2)), probability)


def test_equal_ends_share_their_own_errors() -> None:
    assert shared_gate_error(0.005, 0.005) == pytest.approx(0.005)
    assert shared_readout_error(0.005, 0.005) == pytest.approx(0.005)


def test_a_bad_error_cannot_be_shared() -> None:
    with pytest.raises(ValueError, match=r"^gate_error = 1\.1 must be from 0 to 1$"):
        shared_gate_error(0.1, 1.1)
    with pytest.raises(ValueError, match=r"^readout_error = 0\.7 must be from 0 to 0\.5$"):
        shared_readout_error(0.7, 0.1)


def test_a_purification_that_cannot_succeed() -> None:
    probability, kept = dejmps(BellDiagonal(1, 0, 0, 0), BellDiagonal(0, 0, 1, 0))
    assert probability == 0
    assert kept.weights == (0.25, 0.25, 0.25, 0.25)


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [swap, bbpssw, dejmps])
@pytest.mark.parametrize(
    ("gate_error", "readout_error", "complaint"),
    [
        (-0.1, 0.0, r"^gate_error = -0\.1 must be from 0 to 1$"),
        (math.nan, 0.0, r"^gate_error = nan must be from 0 to 1$"),
        (0.0, 0.6, r"^readout_error = 0\.6 must be from 0 to 0\.5$"),
    ],
)
def test_a_bad_error_is_a_clear_error(
    operation: Purify, gate_error: float, readout_error: float, complaint: str
) -> None:
    pair = BellDiagonal.werner(0.9)
    with pytest.raises(ValueError, match=complaint):
        operation(pair, pair, gate_error, readout_error)
