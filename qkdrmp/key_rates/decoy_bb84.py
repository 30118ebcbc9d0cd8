"""BB84 with weak coherent pulses and decoy states, for endless keys."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

from qkdrmp.key_rates.best_parameters import with_best
from qkdrmp.key_rates.entropy import binary_entropy
from qkdrmp.key_rates.ranges import check
from qkdrmp.key_rates.secret_keys import PulseYield, SecretKeyModel, transmission


@dataclass(frozen=True)
class DecoyBB84(SecretKeyModel):
    """BB84 with decoy states in the limit of endless keys (Ma, Qi, Zhao and Lo 2005).

    With ``eta = detector_efficiency 10^(-loss_db / 10)``, ``mu = signal_photons`` and ``Y0 = background_yield``, a
    pulse of `mu` photons on average is detected with probability ``Q = Y0 + 1 - exp(-eta mu)`` and wrong with ``E Q =
    Y0 / 2 + misalignment (1 - exp(-eta mu))``. The secret bits per pulse are

        ``R = q {Q1 [1 - h(e1)] - Q f h(E)}``,  ``Q1 = Y1 mu exp(-mu)``

    with ``q = sifting``, ``f = error_correction_efficiency`` and h the binary entropy. What is known of single photons:

    - ``decoys = "infinite"``: ``Y1 = Y0 + eta``, ``e1 = (Y0 / 2 + misalignment eta) / Y1``;
    - ``decoys = "vacuum+weak"``, with ``nu = decoy_photons``:
      ``Y1 = mu / (mu nu - nu^2) [Q_nu exp(nu) - Q_mu exp(mu) nu^2 / mu^2 - (mu^2 - nu^2) / mu^2 Y0]``,
      ``e1 = (E_nu Q_nu exp(nu) - Y0 / 2) / (nu Y1)``;
    - ``decoys = "none"``: all pulses of two photons or more count as known to an eavesdropper (Gottesman, Lo,
      Lütkenhaus and Preskill 2004), ``Q1 = Q - 1 + (1 + mu) exp(-mu)``, ``e1 = E Q / Q1``. A good `mu` is then about
      `eta`, so let it be optimised.

    Parameters
    ----------
    pulse_rate_hz : float
        Pulses per second (1 to 1e11).
    signal_photons, decoy_photons : float
        Mean photons of a signal and a weak decoy (1e-6 to 10); the signal has more.
    decoys : {"infinite", "vacuum+weak", "none"}
        What is known of pulses of one photon.
    optimise : bool
        Whether `signal_photons` is chosen for the loss of each link, so that the rate is highest.
    detector_efficiency : float
        Of the receiver in all, its optics included (1e-6 to 1).
    background_yield : float
        Probability of a count, in either detector, without light (0 to 0.1 per pulse).
    misalignment : float
        Probability that a photon gets to the wrong detector (0 to 0.5).
    error_correction_efficiency : float
        Bits that error correction reveals over the Shannon limit (1 to 10).
    sifting : float
        Share of the detected pulses that sifting leaves (1e-6 to 1): 1/2 if the bases are chosen evenly.
    count_vacuum : bool
        Whether counts without light, which nobody knows, count as secret (Lo 2005): ``q Y0 exp(-mu)`` more bits.
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
    X. Ma, B. Qi, Y. Zhao and H.-K. Lo, Phys. Rev. A 72, 012326 (2005); the devices are those of C. Gobby, Z. L. Yuan
    and A. J. Shields (2004), as given there, who had 2 MHz. With them, at 0.21 dB/km, keys end at 142.0 km with
    infinite decoys and at 140.6 km with vacuum and weak decoys; the paper has 142.05 and 140.55 km. Nearly all pulses
    are signals; dead times and afterpulses are not modelled.
    """

    pulse_rate_hz: float = 1e8
    signal_photons: float = 0.48
    decoy_photons: float = 0.05
    decoys: Literal["infinite", "vacuum+weak", "none"] = "vacuum+weak"
    optimise: bool = False
    detector_efficiency: float = 0.045
    background_yield: float = 1.7e-6
    misalignment: float = 0.033
    error_correction_efficiency: float = 1.22
    sifting: float = 0.5
    count_vacuum: bool = False
    block_size: int = 0
    qber_limit: float = 0.11

    def __post_init__(self) -> None:
        super().__post_init__()
        known = ("infinite", "vacuum+weak", "none")
        check("decoys", self.decoys, self.decoys in known, f"one of {', '.join(known)}")
        if self.decoys == "vacuum+weak":
            more = f"less than signal_photons = {self.signal_photons:g}"
            check("decoy_photons", self.decoy_photons, self.decoy_photons < self.signal_photons, more)

    def tuned(self, loss_db: float) -> Self:
        """Return the model with the best `signal_photons` for a loss, if they are to be optimised."""
        if not self.optimise:
            return self
        least = 1.01 * self.decoy_photons if self.decoys == "vacuum+weak" else 1e-6
        return with_best(self, "signal_photons", least, 10.0, loss_db)

    def per_pulse(self, loss_db: float) -> PulseYield:
        """Return secret bits, sifted bits and QBER of a pulse at a loss in dB."""
        eta, mu = self.detector_efficiency * transmission(loss_db), self.signal_photons
        gain, wrong = self._counts(mu, eta)
        single, single_wrong = self._single_photons(eta)
        qber = wrong / gain if gain else 0.5
        secret = single * (1 - binary_entropy(single_wrong / single)) if single > 0 else 0.0
        secret += self.background_yield * math.exp(-mu) if self.count_vacuum else 0.0
        secret -= gain * self.error_correction_efficiency * binary_entropy(qber)
        return PulseYield(self.sifting * secret, self.sifting * gain, qber)

    def _counts(self, photons: float, eta: float) -> tuple[float, float]:
        """Return the probabilities that a pulse is detected, and that it is detected wrongly."""
        seen = -math.expm1(-eta * photons)
        return self.background_yield + seen, self.background_yield / 2 + self.misalignment * seen

    def _single_photons(self, eta: float) -> tuple[float, float]:
        """Return the probabilities that a signal has one photon and is detected, and is detected wrongly (bounds)."""
        mu, nu, dark = self.signal_photons, self.decoy_photons, self.background_yield
        gain, wrong = self._counts(mu, eta)
        if self.decoys == "none":
            return gain - 1 + (1 + mu) * math.exp(-mu), wrong
        share = mu * math.exp(-mu)
        if self.decoys == "infinite":
            return share * (dark + eta), share * (dark / 2 + self.misalignment * eta)
        decoy_gain, decoy_wrong = self._counts(nu, eta)
        excess = decoy_gain * math.exp(nu) - gain * math.exp(mu) * (nu / mu) ** 2 - (1 - (nu / mu) ** 2) * dark
        single = mu / (mu * nu - nu**2) * excess
        return share * single, share * (decoy_wrong * math.exp(nu) - dark / 2) / nu
