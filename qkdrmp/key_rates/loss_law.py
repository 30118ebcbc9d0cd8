"""A rate that falls with the transmission of the fibre, from a measured or quoted reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qkdrmp.key_rates.model import Fibre, GenerationSession, LinkRate
from qkdrmp.key_rates.ranges import check, check_parameters
from qkdrmp.key_rates.secret_keys import session_of, transmission


@dataclass(frozen=True)
class LossLaw:
    """A key rate in proportion to the transmission, as of all links without noise: ``rate_0db_bps 10^(-loss_db / 10)``.

    Parameters
    ----------
    rate_0db_bps : float
        Secret bits per second that the devices would make without loss (1e-12 to 1e12): a rate measured at some loss,
        times ``10^(loss_db / 10)``.
    max_loss_db : float, optional
        Loss above which the link makes no keys, in dB (0 or more); by default there is none.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Notes
    -----
    With ``rate_0db_bps = 17_094_000`` a link makes 150,797 bit/s over 85 km of 0.2417 dB/km, and 85,083 bit/s over
    100 km of 0.2303 dB/km.
    """

    rate_0db_bps: float
    max_loss_db: float | None = None

    def __post_init__(self) -> None:
        check_parameters(self)
        most = self.max_loss_db
        check("max_loss_db", most, most is None or most >= 0, "at least 0 dB")

    def link_rate(self, fibre: Fibre) -> LinkRate:
        """Return the rate on `fibre`; 0 if it has more than `max_loss_db`."""
        reached = self.max_loss_db is None or fibre.loss_db <= self.max_loss_db
        return LinkRate(self.rate_0db_bps * transmission(fibre.loss_db) if reached else 0.0)

    def mean_rate_bps(self, fibre: Fibre, key_bits: int) -> float:
        """Return the secret bits per second on `fibre`."""
        return self.link_rate(fibre).rate_bps

    def session(self, fibre: Fibre, key_bits: int, random: np.random.Generator) -> GenerationSession:
        """Open a session that makes keys of `key_bits` bits; `random` is not used."""
        return session_of(self.link_rate(fibre), key_bits, fibre.delay_ticks)
