"""The most secret bits that a fibre without repeaters can give."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qkdrmp.key_rates.model import Fibre
from qkdrmp.key_rates.ranges import check
from qkdrmp.key_rates.secret_keys import PulseYield, SecretKeyModel, repeaterless_bound


@dataclass(frozen=True)
class PLOB(SecretKeyModel):
    """The bound of Pirandola, Laurenza, Ottaviani and Banchi, for comparison: no protocol without repeaters gives more.

    At a transmission ``eta = 10^(-loss_db / 10)`` it is ``-log2(1 - eta)`` secret bits per use of the fibre, whatever
    the devices; over long fibres, `1.44 eta`.

    Parameters
    ----------
    pulse_rate_hz : float
        Uses per second (1 to 1e11).
    block_size : int
        Uses that come together (0 to 1e15); 0 for keys that come one by one.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Notes
    -----
    S. Pirandola, R. Laurenza, C. Ottaviani and L. Banchi, Nat. Commun. 8, 15043 (2017).
    """

    pulse_rate_hz: float = 1e8
    block_size: int = 0

    def check_fibre(self, fibre: Fibre) -> None:
        """Raise a ValueError if the fibre has less than 0.01 dB: without loss the bound is infinite."""
        check("loss_db", fibre.loss_db, fibre.loss_db >= 0.01, "at least 0.01 dB for plob")

    def per_pulse(self, loss_db: float) -> PulseYield:
        """Return the secret bits per use at a loss in dB."""
        return PulseYield(repeaterless_bound(loss_db), 1.0, math.nan)
