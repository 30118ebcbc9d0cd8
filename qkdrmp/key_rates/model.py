"""What a key-rate model is: how fast two neighbours on one fibre make keys.

A model is a frozen object that all links share (see `KeyRateModel`). It opens a `GenerationSession` on a fibre; the
session hands out `Block` after `Block` of keys. Stopping is forgetting the session: whatever it had begun is lost.
"""

from __future__ import annotations

import math
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
    ends : (str, str)
        The two neighbours; empty names if they do not matter.
    """

    length_km: float
    loss_db: float
    delay_ticks: int
    ends: tuple[str, str] = ("", "")


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

    def block(self, keys: int) -> Block | None:
        """Return the next block, with `keys` keys if the model can make that many at once; None if none is to come.

        A block may hold more keys than `keys`: pools store what they have free capacity for, the others are dropped.
        """


@runtime_checkable
class TimedSession(Protocol):
    """Key generation at a rate that depends on the time: a session that has this in place of `block`."""

    def block_at(self, keys: int, now: int) -> Block | None:
        """Return the block that is begun at tick `now`, as `GenerationSession.block` does."""


class KeyRateModel(Protocol):
    """How fast two neighbours make keys."""

    def session(self, fibre: Fibre, key_bits: int, random: np.random.Generator) -> GenerationSession | TimedSession:
        """Open a session on `fibre` that makes keys of `key_bits` bits and draws from `random`."""


@dataclass(frozen=True, slots=True)
class LinkRate:
    """What a link makes in the long run.

    Parameters
    ----------
    rate_bps : float
        Secret bits per second; 0 if the link makes no keys.
    per_pulse : float
        Secret bits per pulse; nan if the model has no pulses.
    qber : float
        Quantum bit error rate of the sifted bits; nan if the protocol has none.
    qber_limit : float
        QBER above which the link makes no keys; nan if there is none.
    block_s : float
        Time from one block of post-processing to the next, in seconds; 0 for keys that come as soon as they are there.
    """

    rate_bps: float
    per_pulse: float = math.nan
    qber: float = math.nan
    qber_limit: float = math.nan
    block_s: float = 0.0

    @property
    def block_bits(self) -> float:
        """Secret bits of a block; 0 if there are no blocks."""
        return round(self.rate_bps * self.block_s, 6)

    @property
    def reason(self) -> str:
        """Why the link makes no keys, as in ``QBER 11.3 %, limit 11 %``; empty if it does, or if it is not known."""
        if self.rate_bps or math.isnan(self.qber):
            return ""
        beyond = f"limit {100 * self.qber_limit:.3g} %" if self.qber > self.qber_limit else "no secret bits are left"
        return f"QBER {100 * self.qber:.3g} %, {beyond}"


@runtime_checkable
class KnowsLinkRate(Protocol):
    """Optional for a key-rate model: rate, QBER and blocks, from the fibre."""

    def link_rate(self, fibre: Fibre) -> LinkRate:
        """Return what a link on `fibre` makes in the long run."""


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
