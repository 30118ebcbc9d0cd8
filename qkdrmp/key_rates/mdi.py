"""Measurement-device-independent QKD with weak coherent pulses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import scipy

from qkdrmp.key_rates.best_parameters import TunableModel
from qkdrmp.key_rates.entropy import binary_entropy
from qkdrmp.key_rates.secret_keys import PulseYield, transmission


@dataclass(frozen=True)
class MDI(TunableModel):
    """Measurement-device-independent QKD with the relay in the middle of the fibre (Ma and Razavi 2012), endless keys.

    Both ends send pulses of ``mu = signal_photons`` in the rectilinear basis for keys; decoy states, infinitely many,
    say how many single photons were among them. With ``a = detector_efficiency 10^(-loss_db / 20)``,
    ``p = dark_count_probability`` and ``x = a mu / 2``:

        ``Qc = 2 (1 - p)^2 exp(-a mu) [1 - (1 - p) exp(-a mu / 2)]^2``,
        ``Qe = 2 p (1 - p)^2 exp(-a mu) [I0(2 x) - (1 - p) exp(-a mu)]``,
        ``Q = Qc + Qe``,  ``E Q = ed Qc + (1 - ed) Qe``,
        ``Y11 = (1 - p)^2 [a^2 / 2 + (4 a - 3 a^2) p + 4 (1 - a)^2 p^2]``,
        ``e11 Y11 = Y11 / 2 - (1/2 - ed) (1 - p)^2 a^2 / 2``,
        ``R = mu^2 exp(-2 mu) Y11 [1 - h(e11)] - Q f h(E)``

    with ``ed = misalignment``, ``f = error_correction_efficiency``, I0 the modified Bessel function and h the binary
    entropy.

    Parameters
    ----------
    pulse_rate_hz : float
        Pulses per second of either end (1 to 1e11).
    signal_photons : float
        Mean photons of a pulse (1e-6 to 10).
    optimise : bool
        Whether `signal_photons` is chosen for the loss of each link, so that the rate is highest.
    detector_efficiency : float
        Of the relay (1e-6 to 1).
    dark_count_probability : float
        Of each of its detectors (0 to 0.1 per pulse).
    misalignment : float
        Probability that a photon gets to the wrong detector (0 to 0.5).
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
    X. Ma and M. Razavi, Phys. Rev. A 86, 062319 (2012), section III and appendix B; the defaults are those of the
    paper, with a background of 6.02e-6 for two detectors. Nearly all pulses are signals in the rectilinear basis.
    """

    pulse_rate_hz: float = 1e8
    signal_photons: float = 0.54
    optimise: bool = False
    detector_efficiency: float = 0.145
    dark_count_probability: float = 3.01e-6
    misalignment: float = 0.015
    error_correction_efficiency: float = 1.16
    block_size: int = 0
    qber_limit: float = 0.11

    def per_pulse(self, loss_db: float) -> PulseYield:
        """Return secret bits, sifted bits and QBER of a pair of pulses at a loss in dB."""
        eta, mu, dark = (
            self.detector_efficiency * transmission(loss_db / 2),
            self.signal_photons,
            self.dark_count_probability,
        )
        seen = dark - (1 - dark) * math.expm1(-eta * mu / 2)
        light = 2 * (1 - dark) ** 2 * math.exp(-eta * mu)
        right = light * seen**2
        wrong = light * dark * (float(scipy.special.i0(eta * mu)) - (1 - dark) * math.exp(-eta * mu))
        gain = right + wrong
        qber = (self.misalignment * right + (1 - self.misalignment) * wrong) / gain if gain > 0 else 0.5
        single, single_wrong = self._single_photons(eta)
        secret = single * (1 - binary_entropy(single_wrong / single)) if single > 0 else 0.0
        secret -= gain * self.error_correction_efficiency * binary_entropy(qber)
        return PulseYield(secret, gain, qber)

    def _single_photons(self, eta: float) -> tuple[float, float]:
        """Return the probabilities of a success with one photon from either end, and of an error then."""
        dark, mu = self.dark_count_probability, self.signal_photons
        share = mu**2 * math.exp(-2 * mu) * (1 - dark) ** 2
        noise = (4 * eta - 3 * eta**2) * dark + 4 * ((1 - eta) * dark) ** 2
        return share * (eta**2 / 2 + noise), share * (self.misalignment * eta**2 / 2 + noise / 2)
