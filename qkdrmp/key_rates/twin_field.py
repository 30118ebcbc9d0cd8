"""Twin-field QKD as phase matching."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qkdrmp.key_rates.best_parameters import TunableModel
from qkdrmp.key_rates.entropy import binary_entropy
from qkdrmp.key_rates.secret_keys import PulseYield, repeaterless_bound, transmission

_PHOTONS = (1, 3, 5)
"""Odd numbers of photons of which decoy states say the phase error; of larger ones it is taken as 1."""


@dataclass(frozen=True)
class TwinField(TunableModel):
    """Phase-matching QKD with the detectors in the middle of the fibre (Ma, Zeng and Zhou 2018), for endless keys.

    With ``eta = detector_efficiency 10^(-loss_db / 20)`` of either half, ``mu = signal_photons`` of both ends together,
    ``p = dark_count_probability``, ``D = phase_slices`` and ``ed = misalignment``:

        ``Q = 1 - (1 - 2 p) exp(-eta mu)``,  ``Yk = 1 - (1 - 2 p) (1 - eta)^k``,  ``qk = Yk exp(-mu) mu^k / k! / Q``,
        ``d = pi / D - (D / pi)^2 sin(pi / D)^3 + ed``,
        ``E = (p + eta mu d) exp(-eta mu) / Q``,  ``ek = [p + d (1 - (1 - eta)^k)] / Yk``,
        ``Ex = q0 / 2 + e1 q1 + e3 q3 + e5 q5 + (1 - q0 - q1 - q3 - q5)``,
        ``R = (2 / D) Q [1 - f h(E) - h(Ex)]``

    with ``f = error_correction_efficiency`` and h the binary entropy. The rate falls with the square root of the
    transmission: over long fibres it is above what is possible without a station in the middle (`plob`), but not
    above -log2(1 - sqrt(eta)), the bound with one.

    Parameters
    ----------
    pulse_rate_hz : float
        Pulses per second of either end (1 to 1e11).
    signal_photons : float
        Mean photons of the two pulses of a round together (1e-6 to 10).
    optimise : bool
        Whether `signal_photons` is chosen for the loss of each link, so that the rate is highest.
    detector_efficiency : float
        Of the station in the middle (1e-6 to 1).
    dark_count_probability : float
        Of each of its two detectors (0 to 0.1 per pulse).
    phase_slices : int
        Into how many the phase is divided; the ends keep rounds with equal or opposite ones (2 to 1024).
    misalignment : float
        Probability that a photon gets to the wrong detector beside that which comes from the slices (0 to 0.5).
    error_correction_efficiency : float
        Bits that error correction reveals over the Shannon limit (1 to 10).
    block_size : int
        Sifted bits that post-processing works on at a time (0 to 1e15); 0 for keys that come one by one.
    qber_limit : float
        QBER above which the link makes no keys (1e-6 to 0.5).

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Notes
    -----
    X. Ma, P. Zeng and H. Zhou, Phys. Rev. X 8, 031043 (2018), equations 5-7 and appendix B; the defaults are those
    of its table I, with which keys end at 418 km of 0.2 dB/km. Phase noise beyond `misalignment` is not modelled.
    """

    pulse_rate_hz: float = 1e8
    signal_photons: float = 0.2
    optimise: bool = False
    detector_efficiency: float = 0.145
    dark_count_probability: float = 8e-8
    phase_slices: int = 16
    misalignment: float = 0.0
    error_correction_efficiency: float = 1.15
    block_size: int = 0
    qber_limit: float = 0.11

    def bound(self, loss_db: float) -> float:
        """Return the most secret bits per round that any protocol with one station in the middle gives."""
        return repeaterless_bound(loss_db / 2)

    def per_pulse(self, loss_db: float) -> PulseYield:
        """Return secret bits, sifted bits and QBER of a round at a loss in dB."""
        eta, mu, dark = (
            self.detector_efficiency * transmission(loss_db / 2),
            self.signal_photons,
            self.dark_count_probability,
        )
        gain = self._gain(eta)
        shift = self._phase_error()
        qber = (dark + eta * mu * shift) * math.exp(-eta * mu) / gain if gain > 0 else 0.5
        phase = self._phase_errors(eta, shift) / gain if gain > 0 else 0.5
        secret = gain * (1 - self.error_correction_efficiency * binary_entropy(qber) - binary_entropy(phase))
        kept = 2 / self.phase_slices
        return PulseYield(kept * secret, kept * gain, qber)

    def _gain(self, eta: float) -> float:
        return 2 * self.dark_count_probability - (1 - 2 * self.dark_count_probability) * math.expm1(
            -eta * self.signal_photons
        )

    def _phase_error(self) -> float:
        """Return the probability of the wrong detector, from two phases anywhere in a slice, and from misalignment."""
        slice_ = math.pi / self.phase_slices
        return slice_ - math.sin(slice_) ** 3 / slice_**2 + self.misalignment

    def _phase_errors(self, eta: float, shift: float) -> float:
        """Return the probability that a round is detected and has a phase error (bound)."""
        mu, dark = self.signal_photons, self.dark_count_probability
        wrong = self._gain(eta) - math.exp(-mu) * dark  # all, but for vacuum half
        for photons in _PHOTONS:
            lost = -math.expm1(photons * math.log1p(-eta)) if eta < 1 else 1.0
            share = math.exp(-mu) * mu**photons / math.factorial(photons)
            wrong -= share * (2 * dark + (1 - 2 * dark) * lost - dark - shift * lost)
        return wrong
