"""What models of secret-key rates share: secret bits per pulse from the loss, and keys that come in blocks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Self

import numpy as np

from qkdrmp.kernel.units import TICKS_PER_SECOND
from qkdrmp.key_rates.constant import ConstantSession
from qkdrmp.key_rates.model import Block, Fibre, GenerationSession, LinkRate
from qkdrmp.key_rates.ranges import check_parameters


@dataclass(frozen=True, slots=True)
class PulseYield:
    """What a pulse gives on average.

    Parameters
    ----------
    secret : float
        Secret bits; 0 or less if privacy amplification leaves none.
    sifted : float
        Sifted bits (>= 0).
    qber : float
        Share of the sifted bits that differ; nan if the protocol has none.
    """

    secret: float
    sifted: float
    qber: float


class SecretKeyModel(ABC):
    """A model that gives secret bits per pulse; its subclasses are frozen dataclasses with these fields at least.

    Attributes
    ----------
    pulse_rate_hz : float
        Pulses per second.
    block_size : int
        Sifted bits that post-processing works on at a time; 0 for keys that come as soon as their bits are there.
    """

    pulse_rate_hz: float
    block_size: int

    def __post_init__(self) -> None:
        check_parameters(self)

    @abstractmethod
    def per_pulse(self, loss_db: float) -> PulseYield:
        """Return what a pulse gives on a fibre of a loss in dB, with the parameters as they are."""

    def tuned(self, loss_db: float) -> Self:
        """Return the model as it is used at a loss: itself, unless it adapts its parameters."""
        return self

    def bound(self, loss_db: float) -> float:
        """Return the most secret bits per pulse that any protocol without repeaters gives, as `plob` does."""
        return repeaterless_bound(loss_db)

    def link_rate(self, fibre: Fibre) -> LinkRate:
        """Return rate, QBER and blocks on `fibre` (cached)."""
        return _link_rate(self, fibre.loss_db)

    def mean_rate_bps(self, fibre: Fibre, key_bits: int) -> float:
        """Return the secret bits per second on `fibre`; 0 if the link makes no keys."""
        return self.link_rate(fibre).rate_bps

    def session(self, fibre: Fibre, key_bits: int, random: np.random.Generator) -> GenerationSession:
        """Open a session that makes keys of `key_bits` bits; `random` is not used."""
        return session_of(self.link_rate(fibre), key_bits, fibre.delay_ticks)


@lru_cache(maxsize=4096)
def _link_rate(model: SecretKeyModel, loss_db: float) -> LinkRate:
    gives = model.tuned(loss_db).per_pulse(loss_db)
    limit = getattr(model, "qber_limit", math.nan)
    makes_keys = gives.secret > 0 and not gives.qber > limit
    sifted_bps = gives.sifted * model.pulse_rate_hz
    return LinkRate(
        rate_bps=gives.secret * model.pulse_rate_hz if makes_keys else 0.0,
        per_pulse=gives.secret if makes_keys else 0.0,
        qber=gives.qber,
        qber_limit=limit,
        block_s=model.block_size / sifted_bps if model.block_size and sifted_bps else 0.0,
    )


def transmission(loss_db: float) -> float:
    """Return the share of the light that gets through a loss in dB."""
    return float(10 ** (-loss_db / 10))


def repeaterless_bound(loss_db: float) -> float:
    """Return the Pirandola-Laurenza-Ottaviani-Banchi bound -log2(1 - eta), in secret bits per use; inf at 0 dB."""
    through = transmission(loss_db)
    return -math.log1p(-through) / math.log(2) if through < 1 else math.inf


# Sessions


def session_of(rate: LinkRate, key_bits: int, flight_ticks: int = 0) -> GenerationSession:
    """Return a session that makes keys of `key_bits` bits (>= 1) at a rate, whole blocks at a time if it has them.

    The first light is at the receiving end after `flight_ticks`.
    """
    if not rate.rate_bps:
        return NoKeysSession()
    if rate.block_s:
        return BlockwiseSession(rate.block_bits, rate.block_s, key_bits, flight_ticks)
    return ConstantSession(rate.rate_bps, key_bits, flight_ticks)


class NoKeysSession:
    """A session on a link that makes no keys."""

    def block(self, keys: int) -> Block | None:
        """Return None: there is no block to come."""
        return None


class BlockwiseSession:
    """Keys from blocks of post-processing, at constant intervals and without drift.

    All keys of a block of secret bits are ready together, however many were asked for. Bits that are less than a key
    count for the next block; if a block has no whole key, the next one that completes a key is waited for.

    Parameters
    ----------
    block_bits : float
        Secret bits of a block (> 0).
    block_s : float
        Time that a block takes, in seconds (> 0).
    key_bits : int
        Length of a key, in bits (>= 1).
    flight_ticks : int
        Time until the first light is at the receiving end (>= 0).
    """

    __slots__ = ("_bits", "_blocks", "_flight", "_key_bits", "_keys", "_ready", "_ticks")

    def __init__(self, block_bits: float, block_s: float, key_bits: int, flight_ticks: int = 0) -> None:
        # Fractions carry the parts of a bit and of a tick exactly.
        self._bits, self._ticks = Fraction(block_bits), Fraction(block_s) * TICKS_PER_SECOND
        self._key_bits, self._flight = key_bits, flight_ticks
        self._blocks = self._keys = self._ready = 0

    def block(self, keys: int) -> Block:
        """Return the next block with at least a key; `keys` makes no difference."""
        self._blocks = max(self._blocks + 1, math.ceil((self._keys + 1) * self._key_bits / self._bits))
        whole, ready = (
            self._blocks * self._bits // self._key_bits,
            max(self._blocks * self._ticks // 1, self._ready + 1),
        )
        flight, self._flight = self._flight, 0
        made = Block(flight + ready - self._ready, whole - self._keys)
        self._keys, self._ready = whole, ready
        return made
