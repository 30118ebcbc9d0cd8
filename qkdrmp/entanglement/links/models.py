"""Links that make entangled pairs: how likely a trial succeeds, how long it takes, and who knows when.

Three ways to place the parts of a link (Jones, Kim, Rakher, Kwiat and Ladd, New J. Phys. 18, 083015 (2016)): a pair
source in the middle (`MSM`), a Bell-state analyser in the middle (`MIM`), or the analyser at the receiving end
(`MM`). Time is cut into slots of one trial per memory, and trials are numbered by the clock, not by attempts: lane
j is memory j at both ends, and trial n = slot * lanes + lane.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from qkdrmp.kernel.units import delay_ticks, to_seconds

End = Literal["sender", "receiver"]

# Linear optics tells two of the four Bell states apart (Calsamiglia and Lütkenhaus, Appl. Phys. B 72, 67 (2001)).
_ANALYSER_SUCCESS = 0.5


@dataclass(frozen=True)
class LinkModel(ABC):
    """What the three links have in common: a fibre of length L, the efficiencies, and the speed of light c in it.

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

    Raises
    ------
    ValueError
        If a value is outside its range, or the loss is so high that no trial can succeed.
    """

    length_km: float
    source_efficiency: float = 1.0
    detector_efficiency: float = 0.9
    attenuation_db_per_km: float = 0.2
    speed_m_per_s: float = 2e8

    def __post_init__(self) -> None:
        for name in ("length_km", "speed_m_per_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be above 0 and finite.")
        for name in ("source_efficiency", "detector_efficiency"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be above 0 and at most 1.")
        if not 0 <= self.attenuation_db_per_km < float("inf"):
            raise ValueError(
                f"attenuation_db_per_km is {self.attenuation_db_per_km!r}; it must be 0 or more and finite."
            )
        if self._flight_ticks < 1:
            raise ValueError(f"length_km is {self.length_km!r}; light must take at least one tick (1 ps) along it.")
        if not self.success_probability > 0:
            raise ValueError(f"length_km is {self.length_km!r}; with so much loss no trial can succeed.")

    @property
    @abstractmethod
    def success_probability(self) -> float:
        """Probability P that a trial, one memory at each end, makes a pair: above 0, at most 1."""

    @property
    def slot_ticks(self) -> int:
        """Time T of one trial of a memory, in ticks (>= 1): L/c unless the link says otherwise."""
        return self._flight_ticks

    @property
    def pairs_per_s(self) -> float:
        """Mean rate of pairs with one memory at each end that is always free, in pairs per second: P/T."""
        return self.success_probability / to_seconds(self.slot_ticks)

    @abstractmethod
    def start_ticks(self, end: End) -> int:
        """Return when `end` starts a trial, in ticks after the slot's start; from then on its qubit is in memory."""

    @abstractmethod
    def herald_ticks(self, end: End) -> int:
        """Return when `end` knows of a success, in ticks after the slot's start."""

    @property
    def _flight_ticks(self) -> int:
        return delay_ticks(self.length_km, self.speed_m_per_s)

    @property
    def _transmission(self) -> float:
        return float(10 ** (-self.attenuation_db_per_km * self.length_km / 10))

    @property
    def _analysed(self) -> float:
        # Both photons are emitted and detected, the fibre between the ends is passed once, the analyser succeeds.
        return _ANALYSER_SUCCESS * (self.source_efficiency * self.detector_efficiency) ** 2 * self._transmission


@dataclass(frozen=True)
class MSM(LinkModel):
    """A pair source in the middle: P = eta_s eta_d^2 10^(-alpha L/10), T = L/c.

    The photons are captured at 0.5 L/c, and each end learns at 1.5 L/c whether the other captured its own. The ends
    are alike. `source_efficiency` (eta_s) is that of the pair source, `detector_efficiency` (eta_d) that of the
    capture. Parameters and errors are those of `LinkModel`.
    """

    @property
    def success_probability(self) -> float:
        """Probability that the source emits and both ends capture."""
        return self.source_efficiency * self.detector_efficiency**2 * self._transmission

    def start_ticks(self, end: End) -> int:
        """Return when the photons arrive: 0.5 L/c."""
        return delay_ticks(self.length_km / 2, self.speed_m_per_s)

    def herald_ticks(self, end: End) -> int:
        """Return when the other end's report arrives: 1.5 L/c."""
        return self.start_ticks(end) + self._flight_ticks


@dataclass(frozen=True)
class MIM(LinkModel):
    """An analyser in the middle: P = (eta_s eta_d)^2 / 2 10^(-alpha L/10), T = L/c.

    Both ends emit at the start of the slot and know at L/c. The ends are alike. Parameters and errors are those of
    `LinkModel`.
    """

    @property
    def success_probability(self) -> float:
        """Probability that both photons are detected and the analyser succeeds."""
        return self._analysed

    def start_ticks(self, end: End) -> int:
        """Return when an end emits: at once."""
        return 0

    def herald_ticks(self, end: End) -> int:
        """Return when the analyser's report arrives: L/c."""
        return self._flight_ticks


@dataclass(frozen=True)
class MM(LinkModel):
    """An analyser at the receiving end: P = (eta_s eta_d)^2 / 2 10^(-alpha L/10), T = 2 L/c.

    The sender emits at the start of the slot; the receiver emits, and knows, when that photon arrives at L/c; the
    sender knows at 2 L/c. Parameters and errors are those of `LinkModel`.
    """

    @property
    def success_probability(self) -> float:
        """Probability that both photons are detected and the analyser succeeds."""
        return self._analysed

    @property
    def slot_ticks(self) -> int:
        """Time T of one trial of a memory, in ticks: 2 L/c."""
        return 2 * self._flight_ticks

    def start_ticks(self, end: End) -> int:
        """Return when `end` emits: the sender at once, the receiver at L/c."""
        return 0 if end == "sender" else self._flight_ticks

    def herald_ticks(self, end: End) -> int:
        """Return when `end` knows: the receiver at L/c, the sender at 2 L/c."""
        return 2 * self._flight_ticks if end == "sender" else self._flight_ticks


def trial_at(ticks: int, lane: int, lanes: int, slot_ticks: int, origin_ticks: int = 0) -> int:
    """Return the number of the trial whose slot contains the time `ticks`.

    Parameters
    ----------
    ticks : int
        A time, in ticks (>= `origin_ticks`). Each slot contains its start and not its end.
    lane : int
        Number of the memory (0 to `lanes` - 1).
    lanes : int
        Memories of the link at each end (>= 1).
    slot_ticks : int
        Time of one trial of a memory, in ticks (>= 1).
    origin_ticks : int
        Time at which slot 0 starts, in ticks.
    """
    return (ticks - origin_ticks) // slot_ticks * lanes + lane


def start_of_trial(trial: int, lanes: int, slot_ticks: int, origin_ticks: int = 0) -> int:
    """Return the time at which the slot of `trial` (>= 0) starts, in ticks; the other arguments as in `trial_at`."""
    return origin_ticks + trial // lanes * slot_ticks


def lane_of_trial(trial: int, lanes: int) -> int:
    """Return the number of the memory that makes `trial` (>= 0) on a link with `lanes` memories at each end."""
    return trial % lanes
