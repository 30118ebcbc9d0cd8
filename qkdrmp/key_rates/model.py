"""What a key-rate model is: how fast two neighbours on one fibre make keys.

A model is a frozen object that all links share (see `KeyRateModel`). It opens a `GenerationSession` on a fibre; the
session hands out `Block` after `Block` of keys. Stopping is forgetting the session: whatever it had begun is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True, slots=True)
class Fibre:
    """The fibre between two neighbours.

    Parameters
    ----------
    length_km : float
        Length of the quantum channel, in km (> 0).
    loss_db : float
        Loss of the whole quantum channel, in dB (>= 0).
    delay_ticks : int
        One-way delay of the classical channel beside it, in ticks.
    """

    length_km: float
    loss_db: float
    delay_ticks: int


@dataclass(frozen=True, slots=True)
class Block:
    """Keys that become usable together.

    Parameters
    ----------
    ticks : int
        Time until the receiving end can use them, counted from when the block before it was ready (or from
        the start of the session). The sending end can use them one classical delay later.
    keys : int
        How many keys the block holds (>= 1).
    """

    ticks: int
    keys: int


class GenerationSession(Protocol):
    """Key generation between two ends that both are ready."""

    def block(self, keys: int) -> Block:
        """Return the next block, with `keys` keys if the model can make that many at once."""


class KeyRateModel(Protocol):
    """How fast two neighbours make keys."""

    def session(self, fibre: Fibre, key_bits: int, random: np.random.Generator) -> GenerationSession:
        """Open a session on `fibre` that makes keys of `key_bits` bits and draws from `random`."""


@runtime_checkable
class LimitsFibre(Protocol):
    """Optional for a key-rate model that does not hold on every fibre: a scenario with such a fibre is refused."""

    def check_fibre(self, fibre: Fibre) -> None:
        """Raise a ValueError, ``loss_db = 300 must be ...``, if the model does not hold on `fibre`."""


@runtime_checkable
class HasMeanRate(Protocol):
    """Optional for a key-rate model: its mean rate, from which the load of links can be predicted."""

    def mean_rate_bps(self, fibre: Fibre, key_bits: int) -> float:
        """Return the long-run mean rate on `fibre` with keys of `key_bits` bits, in key bits per second."""
