"""BB84 with weak coherent pulses and decoy states, for keys from blocks of finite size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import scipy
from numpy.typing import NDArray

from qkdrmp.key_rates.best_parameters import M, copy_with, rounded
from qkdrmp.key_rates.entropy import binary_entropy
from qkdrmp.key_rates.ranges import check
from qkdrmp.key_rates.secret_keys import PulseYield, SecretKeyModel, transmission

_SEARCHED = ("signal_photons", "decoy_photons", "signal_probability", "decoy_probability", "basis_probability")
_STARTS = ((0.45, 0.16, 0.1, 0.55, 0.65), (0.42, 0.22, 0.38, 0.45, 0.85), (0.44, 0.17, 0.75, 0.16, 0.93))
"""Values that are best for blocks of 1e5, 1e7 and 1e9 bits with the default devices."""


class _Counts(NamedTuple):
    """Detections and errors in one basis, by intensity."""

    detected: Sequence[float]
    wrong: Sequence[float]


@dataclass(frozen=True)
class FiniteDecoyBB84(SecretKeyModel):
    """BB84 with three intensities and a security proof for blocks of finite size (Lim et al. 2014).

    Alice sends ``m1 = signal_photons``, ``m2 = decoy_photons`` and ``m3 = vacuum_photons`` with probabilities `p1`,
    `p2` and `p3`, in the basis X for keys with probability `basis_probability`, as Bob measures, and else in Z. A
    block is complete with ``n = block_size`` bits in X. On a channel of transmission `eta` (detectors included) a
    pulse of intensity `k` is detected with probability ``Dk (1 + pap)`` and wrong with ``pdc + ed [1 - exp(-eta k)] +
    pap Dk / 2``, ``Dk = 1 - (1 - 2 pdc) exp(-eta k)``. With ``nk(+-) = exp(k) / pk [nk +- sqrt(n / 2 ln(21 / eps))]``
    and `tau_j` the probability of `j` photons, bounds for vacuum and single photons in the block are

        ``s0 = tau0 [m2 n3(-) - m3 n2(+)] / (m2 - m3)``,
        ``s1 = tau1 m1 [n2(-) - n3(+) - (m2^2 - m3^2) / m1^2 (n1(+) - s0 / tau0)] / [m1 (m2 - m3) - m2^2 + m3^2]``;

    ``phi = v1 / z1 + gamma(eps, v1 / z1, z1, s1)`` bounds their phase errors, from the single photons `z1` in Z and the
    errors ``v1 = tau1 [m2(+) - m3(-)] / (m2 - m3)`` among them, where

        ``gamma(a, b, c, d)^2 = (c + d) (1 - b) b / (c d ln 2) log2[(c + d) / (c d (1 - b) b) (21 / a)^2]``,

    and the block has

        ``l = s0 + s1 - s1 h(phi) - f n h(e) - 6 log2(21 / eps) - log2(2 / ecor)``

    secret bits (rounded down) with ``eps = secrecy_per_bit l`` and ``ecor = correctness``.

    Parameters
    ----------
    pulse_rate_hz : float
        Pulses per second (1 to 1e11).
    block_size : int
        Bits in the basis for keys that are processed at a time (1 to 1e15).
    signal_photons, decoy_photons, vacuum_photons : float
        Mean photons of the three intensities (1e-6 to 10, the last one 0 to 1); the first one is more than the two
        others together, and the second more than the third.
    signal_probability, decoy_probability : float
        Of the first two intensities (1e-6 to 0.999, together less than 1).
    basis_probability : float
        Probability of the basis for keys, at either end (0.001 to 0.999).
    optimise : bool
        Whether intensities (but the third) and probabilities are chosen for the loss of each link, so that the rate is
        highest.
    detector_efficiency : float
        Of the receiver in all (1e-6 to 1).
    dark_count_probability : float
        Of each of its detectors (0 to 0.1 per pulse).
    afterpulse_probability : float
        That a detection causes another one (0 to 0.5).
    misalignment : float
        Probability that a photon gets to the wrong detector (0 to 0.5).
    error_correction_efficiency : float
        Bits that error correction reveals over the Shannon limit (1 to 10).
    secrecy_per_bit, correctness : float
        Failure probabilities: of secrecy, over the bits of the key, and of equal keys (1e-30 to 0.1).
    qber_limit : float
        QBER above which the link makes no keys (1e-6 to 0.5).

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Notes
    -----
    C. C. W. Lim, M. Curty, N. Walenta, F. Xu and H. Zbinden, Phys. Rev. A 89, 022307 (2014), equations 1-5 and the
    channel of section IV with its devices. Expected counts are used for observed ones, so that all blocks are alike.
    Optimised, blocks of 1e5, 1e7 and 1e9 bits give 1.31e-3, 5.36e-3 and 9.20e-3 bits per pulse without loss.
    """

    pulse_rate_hz: float = 1e8
    block_size: int = 10_000_000
    signal_photons: float = 0.42
    decoy_photons: float = 0.22
    vacuum_photons: float = 2e-4
    signal_probability: float = 0.38
    decoy_probability: float = 0.45
    basis_probability: float = 0.85
    optimise: bool = False
    detector_efficiency: float = 0.1
    dark_count_probability: float = 6e-7
    afterpulse_probability: float = 0.04
    misalignment: float = 0.005
    error_correction_efficiency: float = 1.16
    secrecy_per_bit: float = 1e-15
    correctness: float = 1e-15
    qber_limit: float = 0.11

    def __post_init__(self) -> None:
        super().__post_init__()
        check("block_size", self.block_size, self.block_size >= 1, "at least 1: keys come in blocks")
        check(
            "afterpulse_probability", self.afterpulse_probability, 0 <= self.afterpulse_probability <= 0.5, "0 to 0.5"
        )
        strong, weak, weakest = self.signal_photons, self.decoy_photons, self.vacuum_photons
        check("vacuum_photons", weakest, weakest < weak, f"less than decoy_photons = {weak:g}")
        more = f"less than signal_photons - vacuum_photons = {strong - weakest:g}"
        check("decoy_photons", weak, weak < strong - weakest, more)
        rest = 1 - self.signal_probability
        check(
            "decoy_probability",
            self.decoy_probability,
            self.decoy_probability < rest,
            f"less than {rest:g}, what is left",
        )

    def tuned(self, loss_db: float) -> Self:
        """Return the model with the best intensities and probabilities for a loss, if they are to be optimised."""
        return _best(self, loss_db) if self.optimise else self

    def per_pulse(self, loss_db: float) -> PulseYield:
        """Return secret bits, sifted bits and QBER of a pulse at a loss in dB."""
        gains, errors = self._channel(loss_db)
        in_key_basis = self.basis_probability**2
        sifted = in_key_basis * sum(p * gain for p, gain in zip(self._probabilities(), gains, strict=True))
        if not sifted:
            return PulseYield(0.0, 0.0, 0.5)
        pulses = self.block_size / sifted
        secret = math.floor(self._secret_bits(pulses, gains, errors))
        wrong = in_key_basis * sum(p * error for p, error in zip(self._probabilities(), errors, strict=True))
        return PulseYield(secret / pulses, sifted, wrong / sifted)

    def _intensities(self) -> tuple[float, float, float]:
        return self.signal_photons, self.decoy_photons, self.vacuum_photons

    def _probabilities(self) -> tuple[float, float, float]:
        return (
            self.signal_probability,
            self.decoy_probability,
            1 - self.signal_probability - self.decoy_probability,
        )

    def _channel(self, loss_db: float) -> tuple[list[float], list[float]]:
        """Return the probabilities of a detection and of a wrong one, by intensity."""
        eta, dark = self.detector_efficiency * transmission(loss_db), self.dark_count_probability
        gains, errors = [], []
        for photons in self._intensities():
            seen = -math.expm1(-eta * photons)
            detected = seen + 2 * dark * (1 - seen)
            gains.append(detected * (1 + self.afterpulse_probability))
            errors.append(dark + self.misalignment * seen + self.afterpulse_probability * detected / 2)
        return gains, errors

    def _secret_bits(self, pulses: float, gains: Sequence[float], errors: Sequence[float]) -> float:
        """Return l, for an eps in proportion to itself."""
        bits = self.block_size / 2
        for _ in range(50):
            before, bits = bits, self._length(pulses, gains, errors, self.secrecy_per_bit * bits)
            if bits <= 0 or abs(bits - before) < 1e-9 * bits:
                break
        return bits

    def _length(self, pulses: float, gains: Sequence[float], errors: Sequence[float], eps: float) -> float:
        key = self._basis(pulses * self.basis_probability**2, gains, errors)
        test = self._basis(pulses * (1 - self.basis_probability) ** 2, gains, errors)
        vacuum, single = self._photons(key.detected, eps)
        _, tested = self._photons(test.detected, eps)
        if single <= 0 or tested <= 0:
            return -1.0
        bit, total = self._single_errors(test.wrong, eps) / tested, sum(key.detected)
        phase = bit + _gamma(eps, bit, tested, single) if 0 < bit < 0.5 else 0.5
        leaked = self.error_correction_efficiency * total * binary_entropy(sum(key.wrong) / total)
        spent = 6 * math.log2(21 / eps) + math.log2(2 / self.correctness)
        return vacuum + single * (1 - binary_entropy(phase)) - leaked - spent

    def _basis(self, pulses: float, gains: Sequence[float], errors: Sequence[float]) -> _Counts:
        shares = [pulses * probability for probability in self._probabilities()]
        return _Counts(
            [share * gain for share, gain in zip(shares, gains, strict=True)],
            [share * error for share, error in zip(shares, errors, strict=True)],
        )

    def _limits(self, counts: Sequence[float], eps: float, sign: int) -> list[float]:
        """Return the nk(+) or nk(-) of counts by intensity."""
        spread = sign * math.sqrt(sum(counts) / 2 * math.log(21 / eps))
        known = zip(counts, self._intensities(), self._probabilities(), strict=True)
        return [math.exp(photons) / probability * (count + spread) for count, photons, probability in known]

    def _tau(self, photons: int) -> float:
        known = zip(self._intensities(), self._probabilities(), strict=True)
        return sum(probability * math.exp(-mean) * mean**photons for mean, probability in known)

    def _photons(self, counts: Sequence[float], eps: float) -> tuple[float, float]:
        """Return s0 and s1: how many of the detections are of vacuum and of single photons, at least."""
        m1, m2, m3 = self._intensities()
        least, most = self._limits(counts, eps, -1), self._limits(counts, eps, 1)
        zeros = max((m2 * least[2] - m3 * most[1]) / (m2 - m3), 0.0)
        ones = least[1] - most[2] - (m2**2 - m3**2) / m1**2 * (most[0] - zeros)
        return self._tau(0) * zeros, self._tau(1) * m1 * ones / (m1 * (m2 - m3) - m2**2 + m3**2)

    def _single_errors(self, wrong: Sequence[float], eps: float) -> float:
        """Return v1: how many of the errors are of single photons, at most."""
        _, m2, m3 = self._intensities()
        return self._tau(1) * (self._limits(wrong, eps, 1)[1] - self._limits(wrong, eps, -1)[2]) / (m2 - m3)


def _gamma(a: float, b: float, c: float, d: float) -> float:
    """Return by how much a share b of errors among c may be larger among d, but for a probability of the order of a."""
    scale = (c + d) / (c * d)
    inside = scale / ((1 - b) * b) * (21 / a) ** 2
    return math.sqrt(max(scale * (1 - b) * b / math.log(2) * math.log2(inside), 0.0))


def _best(model: M, loss_db: float) -> M:
    """Return a copy of a model with the intensities and probabilities that give most secret bits at a loss."""
    through = transmission(loss_db) or 1.0

    def missing(values: Sequence[float] | NDArray[np.float64]) -> float:
        try:
            made = copy_with(model, dict(zip(_SEARCHED, map(float, values), strict=True)))
        except ValueError:
            return 1.0
        return -made.per_pulse(loss_db).secret / through

    given = [getattr(model, name) for name in _SEARCHED]
    found = np.array(min((given, *_STARTS), key=missing))
    for _ in range(2):  # a simplex can shrink too early
        found = scipy.optimize.minimize(missing, found, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9}).x
    return copy_with(model, {name: rounded(float(value)) for name, value in zip(_SEARCHED, found, strict=True)})
