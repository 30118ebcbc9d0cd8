"""The true state of pairs: their halves in memories, and what operations do to them.

Protocols do not look in here: they know which half they hold, and what messages say about it. States are kept as
the correlations <XX>, -<YY> and <ZZ>, which are all 1 for Phi+: every Pauli channel, wait and swap multiplies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import exp
from typing import Literal, Protocol

import numpy as np

from qkdrmp.entanglement.quantum.bell_diagonal import (
    BellDiagonal,
    Memory,
    bbpssw,
    dejmps,
    shared_gate_error,
    shared_readout_error,
    swap,
)
from qkdrmp.kernel.units import TICKS_PER_SECOND

Correlations = tuple[float, float, float]

PURIFY = {"bbpssw": bbpssw, "dejmps": dejmps}
PERFECT = BellDiagonal(1.0, 0.0, 0.0, 0.0)


def correlations(state: BellDiagonal) -> Correlations:
    """Return <XX>, -<YY> and <ZZ> of a state."""
    a, b, c, d = state.weights
    return a - b + c - d, a + b - c - d, a - b - c + d


def bell_diagonal(x: float, y: float, z: float) -> BellDiagonal:
    """Return the state with these correlations."""
    weights = (1 + x + y + z, 1 - x + y - z, 1 + x - y - z, 1 - x - y + z)
    return BellDiagonal(*(max(0.0, weight / 4) for weight in weights))


@dataclass(frozen=True)
class Device:
    """What a node's memories, gates and detectors do to qubits.

    Parameters
    ----------
    memory : Memory
    gate_error : float
        Probability that a two-qubit gate leaves its qubits maximally mixed.
    readout_error : float
        Probability that a readout is wrong.
    cutoffs : tuple of int
        After how many ticks a half that waits to be swapped is discarded, by level of the swap (see `cutoff`); by
        default never.
    """

    memory: Memory
    gate_error: float = 0.0
    readout_error: float = 0.0
    cutoffs: tuple[int, ...] = ()

    # Looked up at every wait and swap, so each is worked out once.

    @cached_property
    def amplitude_rate(self) -> float:
        """1/T1, per tick."""
        return 1 / TICKS_PER_SECOND / self.memory.t1_s

    @cached_property
    def phase_rate(self) -> float:
        """1/T2, per tick."""
        return 1 / TICKS_PER_SECOND / self.memory.t2_s

    def cutoff(self, level: int) -> int | None:
        """Return the cut-off of swaps of a level, from 1; those above the last one given have that one."""
        return self.cutoffs[min(level, len(self.cutoffs)) - 1] if self.cutoffs else None

    @cached_property
    def swap_factors(self) -> Correlations:
        """What a swap here multiplies the correlations by."""
        return correlations(swap(PERFECT, PERFECT, self.gate_error, self.readout_error))


class Occupied(Protocol):
    """What a qubit occupies: a memory of an interface (see `interface.MemoryShare`)."""

    def release(self) -> None:
        """Free one memory."""

    def add_idle(self, halves: int) -> None:
        """Count halves that wait for a rule to take them."""


class Pair:
    """An entangled pair: its two present halves, and its correlations without their waits.

    Attributes
    ----------
    x, y, z : float
    halves : list of Qubit or None
        None for a half that has been discarded.
    """

    __slots__ = ("bit", "halves", "purifying", "x", "y", "z")

    def __init__(self, x: float, y: float, z: float) -> None:
        self.x = x
        self.y = y
        self.z = z
        self.halves: list[Qubit | None] = []
        self.purifying: Pair | None = None
        self.bit = 0


class Qubit:
    """Half of a pair in a memory.

    Attributes
    ----------
    pair : Pair
        The truth.
    device : Device
    since : int
        From when on its wait counts, in ticks.
    share : Occupied
        Whose memory it is in.
    number : int
        What its node calls it, among the pairs with the same partner in the same stage.
    estimate : tuple of float
        The correlations its node estimates the pair to have, the waits of the two present halves since `since` not
        counted.
    """

    __slots__ = ("device", "estimate", "number", "pair", "share", "since")

    def __init__(self, pair: Pair, device: Device, since: int, estimate: Correlations) -> None:
        self.pair = pair
        self.device = device
        self.since = since
        self.estimate = estimate
        self.number = -1
        self.share: Occupied

    @property
    def partner(self) -> Qubit | None:
        """The other half, wherever it is; None if it has been discarded."""
        first, second = self.pair.halves
        return second if first is self else first

    def settle(self, now: int) -> Correlations:
        """Count the wait up to now in the state of the pair, and return what it multiplies the correlations by."""
        pair, waited = self.pair, self.waited(now)
        pair.x *= waited[0]
        pair.y *= waited[1]
        pair.z *= waited[2]
        self.since = now
        return waited

    def waited(self, now: int) -> Correlations:
        """Return what its wait up to now multiplies the correlations by."""
        wait, device = now - self.since, self.device
        phase = exp(-wait * device.phase_rate)
        return phase, phase, exp(-wait * device.amplitude_rate)


def new_pair(state: Correlations, devices: tuple[Device, Device], starts: tuple[int, int]) -> tuple[Qubit, Qubit]:
    """Return the two halves of a new pair of a link."""
    pair = Pair(*state)
    first, second = Qubit(pair, devices[0], starts[0], state), Qubit(pair, devices[1], starts[1], state)
    pair.halves = [first, second]
    return first, second


def join(left: Qubit, right: Qubit, now: int) -> Correlations:
    """Swap: measure two halves at one node, so that their partners become a pair.

    Returns the correlations that the node estimates the new pair to have. If a partner has been discarded already, what
    is left is noise.
    """
    device = left.device
    wait = 2 * now - left.since - right.since
    kept, gone = left.pair, right.pair
    phase, amplitude = exp(-wait * device.phase_rate), exp(-wait * device.amplitude_rate)
    x, y, z = device.swap_factors
    kept.x *= gone.x * phase * x
    kept.y *= gone.y * phase * y
    kept.z *= gone.z * amplitude * z
    here, there = left.partner, right.partner
    kept.halves = [here, there]
    gone.halves = [None, None]  # else it and the measured half would keep each other alive
    if there is not None:
        there.pair = kept
    if here is None or there is None:
        kept.x = kept.y = kept.z = 0.0
    (a, b, c), (d, e, f) = left.estimate, right.estimate
    return a * d * phase * x, b * e * phase * y, c * f * amplitude * z


def swap_factor(left: Qubit, right: Qubit, now: int) -> Correlations:
    """Return what a swap multiplies the correlations of two pairs by: its errors, and the waits of its two halves."""
    device = left.device
    wait = 2 * now - left.since - right.since
    phase, amplitude = exp(-wait * device.phase_rate), exp(-wait * device.amplitude_rate)
    x, y, z = device.swap_factors
    return x * phase, y * phase, z * amplitude


def trace_out(qubit: Qubit) -> None:
    """Trace a half out, which leaves its partner maximally mixed."""
    pair = qubit.pair
    pair.halves = [None if half is qubit else half for half in pair.halves]
    pair.x = pair.y = pair.z = 0.0


def discard(qubit: Qubit) -> None:
    """Discard a half, and free its memory."""
    trace_out(qubit)
    qubit.share.release()


def purify(
    keep: Qubit, sacrifice: Qubit, now: int, protocol: Literal["bbpssw", "dejmps"], random: np.random.Generator
) -> int:
    """Do one end's part of a round of purification and return the bit it reads.

    Each half counts its wait up to its own gate, so the round may be computed when the second end has done its part.
    Ends that work on different pairs read random bits and leave noise.
    """
    keep.settle(now)
    sacrifice.settle(now)
    pair, other = keep.pair, sacrifice.pair
    if other.purifying is None:
        other.purifying, other.bit = pair, int(random.integers(2))
        return other.bit
    agree = random.random() < _is_kept(keep, other, protocol) if other.purifying is pair else random.random() < 0.5
    if other.purifying is not pair or None in pair.halves:
        pair.x = pair.y = pair.z = 0.0
    return other.bit if agree else 1 - other.bit


def _is_kept(keep: Qubit, sacrificed: Pair, protocol: Literal["bbpssw", "dejmps"]) -> float:
    """Return the probability that the bits agree, and set the pair that is kept to its state if they do."""
    pair, partner = keep.pair, keep.partner
    errors = _shared_errors(keep.device, keep.device if partner is None else partner.device)
    before, measured = (bell_diagonal(one.x, one.y, one.z) for one in (pair, sacrificed))
    probability, kept = PURIFY[protocol](before, measured, *errors)
    pair.x, pair.y, pair.z = correlations(kept)
    return probability


def _shared_errors(here: Device, there: Device) -> tuple[float, float]:
    return (
        shared_gate_error(here.gate_error, there.gate_error),
        shared_readout_error(here.readout_error, there.readout_error),
    )


def estimated(qubit: Qubit, now: int) -> Correlations:
    """Return what a node estimates a pair to be now: it takes the other half to have waited like its own."""
    (x, y, z), (phase, _, amplitude) = qubit.estimate, qubit.waited(now)
    return x * phase * phase, y * phase * phase, z * amplitude * amplitude


def estimated_after(
    keep: Qubit, sacrifice: Qubit, now: int, protocol: Literal["bbpssw", "dejmps"], device: Device
) -> Correlations:
    """Return what a node estimates a pair to be after a round, if both ends are like itself."""
    kept, measured = (bell_diagonal(*estimated(qubit, now)) for qubit in (keep, sacrifice))
    _, after = PURIFY[protocol](kept, measured, device.gate_error, device.readout_error)
    return correlations(after)


def fidelity(qubit: Qubit, other: Qubit) -> float:
    """Return the fidelity to Phi+ of two halves, both settled, that two users take for a pair.

    Halves of different pairs are independent, and each of them is maximally mixed by itself: 1/4.
    """
    if qubit.pair is not other.pair:
        return 0.25
    pair = qubit.pair
    return (1 + pair.x + pair.y + pair.z) / 4
