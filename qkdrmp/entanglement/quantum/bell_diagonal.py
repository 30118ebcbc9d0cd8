"""Entangled pairs as Bell-diagonal states, and the effects of memories, swaps and purification.

Every state is diagonal in the Bell basis, and every imperfection is a Pauli channel or complete depolarisation, so
four weights describe a pair exactly (Dür and Briegel, Rep. Prog. Phys. 70, 1381 (2007)). A two-qubit gate of error
g leaves, with probability g, its two qubits maximally mixed; a readout of error e reports the wrong bit with
probability e (Briegel, Dür, Cirac and Zoller, PRL 81, 5932 (1998)). One-qubit gates are perfect.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

Basis = Literal["X", "Y", "Z"]

_TOLERANCE = 1e-9  # of the sum of the weights


@dataclass(frozen=True, slots=True)
class BellDiagonal:
    """A mixture of the four Bell states; what a pair should be is Phi+.

    The order of the weights is A, B, C, D of Deutsch et al., PRL 77, 2818 (1996).

    Parameters
    ----------
    phi_plus, psi_minus, psi_plus, phi_minus : float
        Probability of each Bell state (>= 0); together 1 within 1e-9. Seen from Phi+ they are the probabilities
        that no error, a Y, an X or a Z error has struck one half.

    Raises
    ------
    ValueError
        If a weight is negative or they do not add up to 1.
    """

    phi_plus: float
    psi_minus: float
    psi_plus: float
    phi_minus: float

    def __post_init__(self) -> None:
        total = self.phi_plus + self.psi_minus + self.psi_plus + self.phi_minus
        # A weight that is not a number fails too.
        if not (min(self.weights) >= 0 and abs(total - 1) <= _TOLERANCE):
            raise ValueError(f"weights = {self.weights} must be at least 0 each and add up to 1")

    @classmethod
    def werner(cls, fidelity: float) -> BellDiagonal:
        """Return the state of this fidelity (0 to 1) whose other weights are equal (Werner, PRA 40, 4277 (1989))."""
        if not 0 <= fidelity <= 1:
            raise ValueError(f"fidelity = {fidelity} must be from 0 to 1")
        rest = (1 - fidelity) / 3
        return cls(fidelity, rest, rest, rest)

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """The weights of Phi+, Psi-, Psi+ and Phi-."""
        return self.phi_plus, self.psi_minus, self.psi_plus, self.phi_minus

    @property
    def fidelity(self) -> float:
        """Fidelity to Phi+, from 0 to 1: the weight of Phi+."""
        return self.phi_plus


@dataclass(frozen=True, slots=True)
class Memory:
    """How fast a qubit decoheres in a memory.

    After a time t the Z component of the Bloch vector is exp(-t/T1) of what it was, the X and Y components are
    exp(-t/T2): X and Y errors of probability (1 - exp(-t/T1))/4 each, Z errors of probability
    (1 - 2 exp(-t/T2) + exp(-t/T1))/4. This is relaxation to the maximally mixed state (amplitude damping at high
    temperature) with dephasing; T1 = T2 is pure depolarisation. It is also the Pauli twirl of zero-temperature
    amplitude damping with dephasing (Ghosh, Fowler and Geller, PRA 86, 062318 (2012)).

    Parameters
    ----------
    t1_s : float
        Amplitude time constant T1, in s (> 0; `math.inf` for none).
    t2_s : float
        Phase time constant T2, in s (> 0, at most 2 T1; `math.inf` for none).

    Raises
    ------
    ValueError
        If a time constant is outside its range.
    """

    t1_s: float
    t2_s: float

    def __post_init__(self) -> None:
        if not self.t1_s > 0:
            raise ValueError(f"t1_s = {self.t1_s} must be above 0 s")
        if not 0 < self.t2_s <= 2 * self.t1_s:
            raise ValueError(f"t2_s = {self.t2_s} must be above 0 s and at most twice t1_s = {self.t1_s} s")


def swap(left: BellDiagonal, right: BellDiagonal, gate_error: float = 0.0, readout_error: float = 0.0) -> BellDiagonal:
    """Return the pair that a Bell measurement on the inner halves of two pairs leaves between the outer halves.

    The Pauli errors of the two pairs multiply. The measurement is a CNOT, a Hadamard gate and two readouts: a wrong
    readout of the phase bit leaves a Z error, of the parity bit an X error. For Werner pairs and a perfect node
    F' = F1 F2 + (1 - F1)(1 - F2)/3 (Dür and Briegel 2007).
    `gate_error` (0 to 1) is the probability that the CNOT leaves its qubits maximally mixed, `readout_error` (0 to
    0.5) that a readout is wrong.
    """
    _check_errors(gate_error, readout_error)
    good, mixed = 1 - readout_error, gate_error / 4
    one_wrong = (1 - gate_error) * good * readout_error + mixed
    both_right = (1 - gate_error) * good**2 + mixed
    both_wrong = (1 - gate_error) * readout_error**2 + mixed
    return _composed(_composed(left, right), BellDiagonal(both_right, both_wrong, one_wrong, one_wrong))


def bbpssw(
    keep: BellDiagonal, sacrifice: BellDiagonal, gate_error: float = 0.0, readout_error: float = 0.0
) -> tuple[float, BellDiagonal]:
    """Purify by the protocol of Bennett et al., PRL 76, 722 (1996): twirl, CNOT at both ends, compare, twirl.

    Two Werner pairs of fidelity F and perfect nodes succeed with p = F^2 + 2F(1-F)/3 + 5((1-F)/3)^2 and leave
    F' = (F^2 + ((1-F)/3)^2)/p.

    Parameters
    ----------
    keep, sacrifice : BellDiagonal
        The pair to be purified, and the pair that is measured in Z at both ends for it.
    gate_error : float
        Probability that a CNOT leaves its qubits maximally mixed (0 to 1), the same at both ends.
    readout_error : float
        Probability that a readout is wrong (0 to 0.5), the same at both ends.

    Returns
    -------
    tuple[float, BellDiagonal]
        The probability of success (the reported bits agree), and the pair kept then, a Werner state.
    """
    probability, kept = _compared(twirled(keep), twirled(sacrifice), gate_error, readout_error)
    return probability, twirled(kept)


def bbpssw_fidelity(
    keep: float, sacrifice: float, gate_error: float = 0.0, readout_error: float = 0.0
) -> tuple[float, float]:
    """Return what `bbpssw` does to pairs of these fidelities: its success probability, and the fidelity after it.

    It is worked out from the fidelities alone, as pairs are twirled before, so it is much faster.
    """
    first, second = (1 - keep) / 3, (1 - sacrifice) / 3
    same = keep * sacrifice + 5 * first * second + keep * second + first * sacrifice
    intact = (1 - gate_error) ** 2
    wrong = 2 * readout_error * (1 - readout_error)
    mixed = (1 - intact) / 8
    probability = intact * ((1 - wrong) * same + wrong * (1 - same)) + 4 * mixed
    right = (
        intact * ((1 - wrong) * (keep * sacrifice + first * second) + wrong * (keep * second + first * second)) + mixed
    )
    return min(1.0, probability), right / probability


def dejmps(
    keep: BellDiagonal, sacrifice: BellDiagonal, gate_error: float = 0.0, readout_error: float = 0.0
) -> tuple[float, BellDiagonal]:
    """Purify by the protocol of Deutsch et al., PRL 77, 2818 (1996): turn, CNOT at both ends, compare.

    The ends turn every qubit by a quarter about X, one way here, the other way there; that exchanges Psi- and Phi-.
    Two equal pairs (A, B, C, D) and perfect nodes succeed with p = (A+B)^2 + (C+D)^2 and leave
    (A^2 + B^2, 2CD, C^2 + D^2, 2AB)/p. Arguments and result are those of `bbpssw`, but the pair kept is not twirled.
    If success is impossible the pair returned with probability 0 is the maximally mixed one.
    """
    keep, sacrifice = (BellDiagonal(s.phi_plus, s.phi_minus, s.psi_plus, s.psi_minus) for s in (keep, sacrifice))
    return _compared(keep, sacrifice, gate_error, readout_error)


def twirled(state: BellDiagonal) -> BellDiagonal:
    """Return the Werner state of the same fidelity: random equal turns at both ends (Bennett et al., PRA 54, 3824)."""
    return BellDiagonal.werner(state.fidelity / sum(state.weights))


def measure_correlation(state: BellDiagonal, basis: Basis, here: float = 0.0, there: float = 0.0) -> float:
    """Return the probability that both ends read the same bit when both measure in `basis`.

    Phi+ agrees in X and Z and differs in Y. `here` and `there` are the readout errors of the two ends (0 to 0.5).
    """
    _check_errors(0.0, min(here, there))
    _check_errors(0.0, max(here, there))
    a, _, c, d = state.weights
    agree = min(1.0, {"X": a + c, "Y": c + d, "Z": a + d}[basis])
    return agree + (here * (1 - there) + there * (1 - here)) * (1 - 2 * agree)


def shared_gate_error(here: float, there: float) -> float:
    """Return the gate error that, at both ends, purifies exactly as `here` at one end and `there` at the other."""
    _check_errors(min(here, there), 0.0)
    _check_errors(max(here, there), 0.0)
    return 1 - sqrt((1 - here) * (1 - there))


def shared_readout_error(here: float, there: float) -> float:
    """Return the readout error that, at both ends, compares exactly as `here` at one end and `there` at the other."""
    _check_errors(0.0, min(here, there))
    _check_errors(0.0, max(here, there))
    return (1 - sqrt((1 - 2 * here) * (1 - 2 * there))) / 2


def _check_errors(gate_error: float, readout_error: float) -> None:
    if not 0 <= gate_error <= 1:
        raise ValueError(f"gate_error = {gate_error} must be from 0 to 1")
    if not 0 <= readout_error <= 0.5:
        raise ValueError(f"readout_error = {readout_error} must be from 0 to 0.5")


def _normalised(a: float, b: float, c: float, d: float) -> BellDiagonal:
    # Weights may be off by the tolerance when given; division keeps that from growing.
    total = a + b + c + d
    return BellDiagonal(a / total, b / total, c / total, d / total)


def _composed(first: BellDiagonal, second: BellDiagonal) -> BellDiagonal:
    """Return the state whose Pauli error is the product of the errors of both: Y X = Z up to a phase, and so on."""
    a, b, c, d = first.weights
    e, f, g, h = second.weights
    return _normalised(
        a * e + b * f + c * g + d * h,
        a * f + b * e + c * h + d * g,
        a * g + c * e + b * h + d * f,
        a * h + d * e + b * g + c * f,
    )


def _compared(
    keep: BellDiagonal, sacrifice: BellDiagonal, gate_error: float, readout_error: float
) -> tuple[float, BellDiagonal]:
    """Apply a CNOT at both ends, read the sacrificed pair in Z, and condition on equal reports.

    The CNOTs add the phase bit of `sacrifice` to `keep` and the parity bit of `keep` to `sacrifice`.
    """
    _check_errors(gate_error, readout_error)
    a, b, c, d = keep.weights
    e, f, g, h = sacrifice.weights
    same = (a * e + d * h, b * g + c * f, c * g + b * f, a * h + d * e)
    differ = (a * g + d * f, b * e + c * h, c * e + b * h, a * f + d * g)
    intact = (1 - gate_error) ** 2
    wrong = 2 * readout_error * (1 - readout_error)
    mixed = (1 - intact) / 8  # with either gate failed, half of the uniform state passes
    kept = [intact * ((1 - wrong) * s + wrong * t) + mixed for s, t in zip(same, differ, strict=True)]
    probability = sum(kept)
    return min(1.0, probability), _normalised(*kept) if probability > 0 else BellDiagonal.werner(0.25)
