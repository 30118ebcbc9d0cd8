"""BBM92 with entangled pairs from parametric down-conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qkdrmp.key_rates.best_parameters import TunableModel
from qkdrmp.key_rates.entropy import binary_entropy
from qkdrmp.key_rates.secret_keys import PulseYield, transmission


@dataclass(frozen=True)
class BBM92(TunableModel):
    """BBM92 with a source of entangled pairs in the middle of the fibre (Ma, Fung and Lo 2007), for endless keys.

    With ``lam = mean_pairs / 2``, ``a = b = detector_efficiency 10^(-loss_db / 20)`` and ``Y0 = background_yield`` of
    either end, a pulse gives a coincidence and an error with the probabilities

        ``Q = 1 - (1 - Y0) / (1 + a lam)^2 - (1 - Y0) / (1 + b lam)^2 + (1 - Y0)^2 / (1 + a lam + b lam - a b lam)^2``,
        ``E Q = Q / 2 - (1 - 2 ed) a b lam (1 + lam) / [(1 + a lam) (1 + b lam) (1 + a lam + b lam - a b lam)]``

    (``ed = misalignment``), and ``R = q Q [1 - f h(E) - h(E)]`` secret bits with ``q = sifting``, one-way error
    correction of efficiency `f` and h the binary entropy.

    Parameters
    ----------
    pulse_rate_hz : float
        Pulses of the pump per second (1 to 1e11).
    mean_pairs : float
        Mean pairs per pulse (1e-6 to 10).
    optimise : bool
        Whether `mean_pairs` is chosen for the loss of each link, so that the rate is highest.
    detector_efficiency : float
        Of the receiver at either end in all (1e-6 to 1).
    background_yield : float
        Probability of a count without light at either end (0 to 0.1 per pulse).
    misalignment : float
        Probability that a photon gets to the wrong detector (0 to 0.5).
    error_correction_efficiency : float
        Bits that error correction reveals over the Shannon limit (1 to 10).
    sifting : float
        Share of the coincidences that sifting leaves (1e-6 to 1).
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
    X. Ma, C.-H. F. Fung and H.-K. Lo, Phys. Rev. A 76, 012307 (2007), equations 9-11 and 18; the detectors are those
    of the 144 km experiment, table I there. Dead times and the timing of pairs are not modelled.
    """

    searched: ClassVar[str] = "mean_pairs"

    pulse_rate_hz: float = 1e8
    mean_pairs: float = 0.1
    optimise: bool = False
    detector_efficiency: float = 0.145
    background_yield: float = 6.02e-6
    misalignment: float = 0.015
    error_correction_efficiency: float = 1.22
    sifting: float = 0.5
    block_size: int = 0
    qber_limit: float = 0.11

    def per_pulse(self, loss_db: float) -> PulseYield:
        """Return secret bits, sifted bits and QBER of a pulse at a loss in dB."""
        eta, lam, dark = (
            self.detector_efficiency * transmission(loss_db / 2),
            self.mean_pairs / 2,
            self.background_yield,
        )
        one, both = 1 + eta * lam, 1 + (2 - eta) * eta * lam
        # With one^2 = 1 + more and both = one^2 - less, what cancels in Q is taken out first: weak light stays exact.
        more, less = (2 + eta * lam) * eta * lam, eta * lam * (eta + eta * lam)
        pairs = less * (2 - less) + more**2 + more * (more - less) ** 2
        mixed = more - 2 * less + (more - less) ** 2
        gain = (pairs + 2 * dark * mixed) / (one * both) ** 2 + (dark / both) ** 2
        right = (1 - 2 * self.misalignment) * eta**2 * lam * (1 + lam) / (one**2 * both)
        qber = 0.5 - right / gain if gain > 0 else 0.5
        secret = gain * (1 - (1 + self.error_correction_efficiency) * binary_entropy(qber))
        return PulseYield(self.sifting * secret, self.sifting * gain, qber)
