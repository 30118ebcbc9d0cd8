"""Links that make entangled pairs: how likely a trial succeeds, how long it takes, and who knows when.

Three ways to place the parts of a link (Jones, Kim, Rakher, Kwiat and Ladd, New J. Phys. 18, 083015 (2016)): a pair
source in the middle (`msm`), a Bell-state analyser in the middle (`mim`), or the analyser at the receiving end (`mm`).
Two other ways to use an analyser in the middle: one photon in each of two rounds (`barrett_kok`), or a single one in
all (`single_click`).

Time is cut into slots of one trial per memory, and trials are numbered by the clock, not by attempts: lane j is
memory j at both ends, and trial n = slot * lanes + lane.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Protocol

from qkdrmp.config.registry import Registry
from qkdrmp.entanglement.quantum.bell_diagonal import BellDiagonal
from qkdrmp.kernel.units import delay_ticks, to_seconds

# Linear optics distinguishes two of the four Bell states (Calsamiglia and Lütkenhaus, Appl. Phys. B 72, 67 (2001)).
_ANALYSER_SUCCESS = 0.5


@dataclass(frozen=True)
class OpticalLink:
    """What a link consists of: a fibre of length L, sources and detectors, and the speed of light c in the fibre.

    Parameters
    ----------
    length_km : float
        Length L of the fibre between the ends, in km (above 0, and at least a tick long).
    source_efficiency : float
        Probability that a source emits when asked (above 0, at most 1).
    detector_efficiency : float
        Probability that a photon that arrives is detected, or captured in a memory (above 0, at most 1).
    attenuation_db_per_km : float
        Attenuation alpha of the fibre, in dB/km (>= 0).
    speed_m_per_s : float
        Speed c of light in the fibre, and of the heralds, in m/s (> 0).
    bright_state : float
        Population alpha of the state that emits a photon, where a single click is enough (above 0, below 1).

    Raises
    ------
    ValueError
        If a value is outside its range.
    """

    length_km: float
    source_efficiency: float = 1.0
    detector_efficiency: float = 0.9
    attenuation_db_per_km: float = 0.2
    speed_m_per_s: float = 2e8
    bright_state: float = 0.1

    def __post_init__(self) -> None:
        for name in ("length_km", "speed_m_per_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} = {getattr(self, name)} must be above 0 and finite")
        for name in ("source_efficiency", "detector_efficiency"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be above 0 and at most 1")
        if not 0 < self.bright_state < 1:
            raise ValueError(f"bright_state = {self.bright_state} must be above 0 and below 1")
        if not 0 <= self.attenuation_db_per_km < float("inf"):
            raise ValueError(f"attenuation_db_per_km = {self.attenuation_db_per_km} must be at least 0 and finite")
        if self.flight_ticks() < 1:
            raise ValueError(f"length_km = {self.length_km} must be so much that light takes a tick (1 ps) or more")

    @property
    def transmission(self) -> float:
        """Probability that a photon passes the whole fibre."""
        return float(10 ** (-self.attenuation_db_per_km * self.length_km / 10))

    @property
    def arm(self) -> float:
        """Probability that a photon is emitted, passes half of the fibre, and is detected in the middle."""
        return self.source_efficiency * self.detector_efficiency * sqrt(self.transmission)

    def flight_ticks(self, share: float = 1.0) -> int:
        """Return how long light takes along a share of the fibre, in ticks."""
        return delay_ticks(self.length_km * share, self.speed_m_per_s)


@dataclass(frozen=True, slots=True)
class TrialLaw:
    """How likely a trial of a link succeeds, how long it takes, and who knows when.

    A trial uses one memory at each end. Times are in ticks after the start of its slot: first at the sender, then at
    the receiver.

    Parameters
    ----------
    success_probability : float
        Probability P that a trial makes a pair (above 0, at most 1).
    slot_ticks : int
        Time T of one trial of a memory, in ticks (>= 1).
    starts : tuple of int
        When each end starts the trial (>= 0); from then on its qubit is in memory.
    heralds : tuple of int
        When each end knows of a success (from its start to a slot later).
    state : BellDiagonal, optional
        Of a new pair, if all else were perfect; by default Phi+.

    Raises
    ------
    ValueError
        If a value is outside its range.
    """

    success_probability: float
    slot_ticks: int
    starts: tuple[int, int]
    heralds: tuple[int, int]
    state: BellDiagonal | None = None

    def __post_init__(self) -> None:
        if not 0 < self.success_probability <= 1:
            raise ValueError(f"success_probability = {self.success_probability} must be above 0 and at most 1")
        if self.slot_ticks < 1:
            raise ValueError(f"slot_ticks = {self.slot_ticks} must be at least 1")
        if min(self.starts) < 0:
            raise ValueError(f"starts = {self.starts} must be at least 0")
        for start, herald in zip(self.starts, self.heralds, strict=True):
            if not start <= herald <= start + self.slot_ticks:
                until = f"from 0 to slot_ticks = {self.slot_ticks} after starts = {self.starts}"
                raise ValueError(f"heralds = {self.heralds} must be {until}")

    @property
    def pairs_per_s(self) -> float:
        """Mean rate of pairs with one memory at each end that is always free, in pairs per second: P/T."""
        return self.success_probability / to_seconds(self.slot_ticks)


class LinkModel(Protocol):
    """How a link makes pairs."""

    def __call__(self, link: OpticalLink, /) -> TrialLaw:
        """Return the law of the trials of a link.

        Raises
        ------
        ValueError
            If there can be no such link.
        """


def _analysed(link: OpticalLink) -> float:
    # Both photons are emitted and detected, the fibre between the ends is passed once, the analyser succeeds.
    return _ANALYSER_SUCCESS * (link.source_efficiency * link.detector_efficiency) ** 2 * link.transmission


def msm(link: OpticalLink) -> TrialLaw:
    """Return the law of a link with a pair source in the middle: P = eta_s eta_d^2 10^(-alpha L/10), T = L/c.

    The photons are captured at 0.5 L/c, and each end learns at 1.5 L/c whether the other captured its own.
    `source_efficiency` (eta_s) is that of the pair source, `detector_efficiency` (eta_d) that of the capture.
    """
    probability = link.source_efficiency * link.detector_efficiency**2 * link.transmission
    flight, start = link.flight_ticks(), link.flight_ticks(0.5)
    return TrialLaw(probability, flight, (start, start), (start + flight, start + flight))


def mim(link: OpticalLink) -> TrialLaw:
    """Return the law of a link with an analyser in the middle: P = (eta_s eta_d)^2 / 2 10^(-alpha L/10), T = L/c.

    Both ends emit at the start of the slot and know at L/c.
    """
    flight = link.flight_ticks()
    return TrialLaw(_analysed(link), flight, (0, 0), (flight, flight))


def mm(link: OpticalLink) -> TrialLaw:
    """Return the law of a link with an analyser at the receiver: P = (eta_s eta_d)^2 / 2 10^(-alpha L/10), T = 2 L/c.

    The sender emits at the start of the slot; the receiver emits, and knows, when that photon arrives at L/c; the
    sender knows at 2 L/c.
    """
    flight = link.flight_ticks()
    return TrialLaw(_analysed(link), 2 * flight, (0, flight), (2 * flight, flight))


def barrett_kok(link: OpticalLink) -> TrialLaw:
    """Return the law of a link with an analyser in the middle and two rounds: P = eta^2 / 2, T = 2 L/c.

    In a round each end emits a photon if its qubit is in one of its two states, and flips the qubit afterwards. One
    click in each round leaves a Bell state whatever is lost (Barrett and Kok, PRA 71, 060310(R) (2005)), for the two
    ends have then emitted in different rounds, which they do with probability 1/2; eta is the probability that a photon
    is emitted, passes half of the fibre and is detected. The second round begins when the ends know of the first one,
    at L/c; they know of the second one at 2 L/c.
    """
    flight = link.flight_ticks()
    return TrialLaw(link.arm**2 / 2, 2 * flight, (0, 0), (2 * flight, 2 * flight))


def single_click(link: OpticalLink) -> TrialLaw:
    """Return the law of a link where one click in the middle is enough: P = 2 alpha eta (1 - alpha eta / 2), T = L/c.

    Each end brings its qubit into a bright state with probability alpha, which emits a photon (Cabrillo, Cirac,
    García-Fernández and Zoller, PRA 59, 1025 (1999)); a single detector that clicks succeeds. If both are bright, their
    photons leave by one port and click as one (Hong, Ou and Mandel, PRL 59, 2044 (1987)), or one is lost; that leaves
    both qubits bright, and the fidelity is F = (1 - alpha) / (1 - alpha eta / 2), about 1 - alpha. The ends flip both
    qubits or none, at random, so that this part is two Bell states in equal shares. eta is that of `barrett_kok`; the
    phases of the two arms are stable, and detectors have no dark counts.
    """
    alpha, flight = link.bright_state, link.flight_ticks()
    success = 2 * alpha * link.arm * (1 - alpha * link.arm / 2)
    fidelity = (1 - alpha) / (1 - alpha * link.arm / 2)
    both_bright = (1 - fidelity) / 2
    state = BellDiagonal(fidelity, both_bright, both_bright, 0.0)
    return TrialLaw(success, flight, (0, 0), (flight, flight), state)


LINK_MODELS: Registry[LinkModel] = Registry(
    "link model",
    LinkModel,
    {"mim": mim, "msm": msm, "mm": mm, "barrett-kok": barrett_kok, "single-click": single_click},
)
