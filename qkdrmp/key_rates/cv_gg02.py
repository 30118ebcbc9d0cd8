"""Continuous-variable QKD with coherent states of Gaussian modulation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from qkdrmp.key_rates.best_parameters import TunableModel
from qkdrmp.key_rates.entropy import thermal_entropy
from qkdrmp.key_rates.secret_keys import PulseYield, transmission

_MOST_DB = 100
"""Loss above which rounding errors of the entropies are no longer far below their difference."""


@dataclass(frozen=True)
class GG02(TunableModel):
    """GG02, coherent states with homodyne detection and reverse reconciliation (Lodewyck et al. 2007), endless keys.

    With ``T = 10^(-loss_db / 10)``, ``V = modulation_variance + 1``, ``xi = excess_noise``, ``eta =
    detector_efficiency`` and ``vel = electronic_noise``, the noise referred to the input is ``xl = 1 / T - 1 + xi`` of
    the line, ``xh = (1 + vel) / eta - 1`` of the detector and ``xt = xl + xh / T`` in all. The secret bits per symbol
    are ``K = beta I - chi``, with ``beta = reconciliation_efficiency``,

        ``I = log2[(V + xt) / (1 + xt)] / 2``,  ``chi = g(l1) + g(l2) - g(l3) - g(l4)``,
        ``l1,2^2 = [A +- sqrt(A^2 - 4 B)] / 2``,  ``l3,4^2 = [C +- sqrt(C^2 - 4 D)] / 2``,
        ``A = V^2 (1 - 2 T) + 2 T + T^2 (V + xl)^2``,  ``B = T^2 (V xl + 1)^2``,
        ``C = [V sqrt(B) + T (V + xl) + A xh] / [T (V + xt)]``,  ``D = sqrt(B) [V + sqrt(B) xh] / [T (V + xt)]``

    where ``g(l)`` is the entropy of a thermal state of ``(l - 1) / 2`` photons. The noise of the detector is trusted:
    an eavesdropper has no part in it.

    Parameters
    ----------
    pulse_rate_hz : float
        Symbols per second (1 to 1e11).
    modulation_variance : float
        V_A, in shot-noise units (1e-3 to 1e4).
    optimise : bool
        Whether `modulation_variance` is chosen for the loss of each link, so that the rate is highest.
    excess_noise : float
        At the input of the line, in shot-noise units (0 to 10).
    detector_efficiency : float
        Of the homodyne detector (1e-6 to 1).
    electronic_noise : float
        Of the detector, in shot-noise units (0 to 10).
    reconciliation_efficiency : float
        Share of the mutual information that error correction keeps (0.01 to 1).
    block_size : int
        Symbols that post-processing works on at a time (0 to 1e15); 0 for keys that come one by one.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Notes
    -----
    J. Lodewyck et al., Phys. Rev. A 76, 042305 (2007), section II and appendix; the defaults are those of the
    experiment, which at T = 0.302 has I = 1.0436, chi = 0.9020 and K = 0.0352 bits per symbol. There is no QBER. Above
    100 dB the model makes no keys: rounding errors would be too large.
    """

    searched: ClassVar[str] = "modulation_variance"

    pulse_rate_hz: float = 1e8
    modulation_variance: float = 18.5
    optimise: bool = False
    excess_noise: float = 0.005
    detector_efficiency: float = 0.606
    electronic_noise: float = 0.041
    reconciliation_efficiency: float = 0.898
    block_size: int = 0

    def per_pulse(self, loss_db: float) -> PulseYield:
        """Return secret bits of a symbol at a loss in dB; every symbol is kept, and there is no QBER."""
        secret = self.reconciliation_efficiency * self.mutual_information(loss_db) - self.holevo_bound(loss_db)
        if loss_db > _MOST_DB:
            secret = 0.0
        return PulseYield(secret, 1.0, math.nan)

    def mutual_information(self, loss_db: float) -> float:
        """Return I, in bits per symbol."""
        through = transmission(loss_db)
        if not through:
            return 0.0
        total = self._line(through) + self._detector() / through
        return math.log1p(self.modulation_variance / (1 + total)) / math.log(4)

    def holevo_bound(self, loss_db: float) -> float:
        """Return chi, what an eavesdropper knows at most, in bits per symbol."""
        through, variance = transmission(loss_db), self.modulation_variance + 1
        if not through:
            return 0.0
        line, detector = self._line(through), self._detector()
        scale = through * (variance + line + detector / through)
        a = variance**2 * (1 - 2 * through) + 2 * through + (through * (variance + line)) ** 2
        root_b = through * (variance * line + 1)
        c = (variance * root_b + through * (variance + line) + a * detector) / scale
        d = root_b * (variance + root_b * detector) / scale
        # Differences in closed form: those of a^2 and 4 b would lose half of the digits where nothing is lost.
        apart = (1 - through) * (1 - variance) + through * self.excess_noise
        sums = math.sqrt(apart**2 + 4 * root_b)
        before = (sums + apart) / 2, (sums - apart) / 2
        excess = detector * math.prod(value**2 - 1 for value in before) / scale
        after = _symplectic(c, d, (d - 1) ** 2 - 2 * excess * (1 + d) + excess**2)
        return sum(map(_entropy, before)) - sum(map(_entropy, after))

    def _line(self, through: float) -> float:
        return 1 / through - 1 + self.excess_noise

    def _detector(self) -> float:
        return (1 + self.electronic_noise) / self.detector_efficiency - 1


def _symplectic(total: float, product: float, apart: float) -> tuple[float, float]:
    """Return the symplectic eigenvalues whose squares have a sum, a product, and a squared difference."""
    larger = (total + math.sqrt(max(apart, 0.0))) / 2
    return math.sqrt(larger), math.sqrt(product / larger)


def _entropy(eigenvalue: float) -> float:
    return thermal_entropy((eigenvalue - 1) / 2)
