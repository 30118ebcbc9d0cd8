"""Faults of classical channels: messages that are lost, duplicated or late. There are none by default.

A fault model is a frozen object that all channels share; what belongs to one channel is in the session it opens there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from qkdrmp.config.registry import Registry
from qkdrmp.kernel.units import to_ticks
from qkdrmp.network.layer import Message


class FaultSession(Protocol):
    """The faults of one channel."""

    def copies(self, message: Message) -> Sequence[int]:
        """Return the extra delay of each copy of a message that arrives, in ticks; an empty list if it is lost."""


class FaultModel(Protocol):
    """What happens to the messages of classical channels."""

    def session(self, source: str, target: str, random: np.random.Generator) -> FaultSession:
        """Return the faults of the channel from node `source` to node `target`, which draw from `random` alone."""


@runtime_checkable
class BoundedDelay(Protocol):
    """Optional for a fault model: copies are late by at most `extra_delay_s` seconds.

    Senders that repeat a message wait so much longer for its acknowledgement. For a model that does not say it they
    wait for the plain delay, and repeat messages that are only late, which costs messages and is otherwise harmless.
    """

    @property
    def extra_delay_s(self) -> float:
        """The longest extra delay, s."""


@runtime_checkable
class Lossy(Protocol):
    """Optional for a fault model: a share `loss` of all messages is lost."""

    @property
    def loss(self) -> float:
        """Probability that a message is lost."""


@dataclass(frozen=True)
class RandomFaults:
    """Random faults, independent from message to message.

    Parameters
    ----------
    loss : float
        Probability that a message is lost (at least 0, less than 1).
    duplication : float
        Probability that a message that arrives does so twice (0 to 1).
    extra_delay_s : float
        Each copy is late by up to this, uniformly, in s (0 or more). Messages sent within that time of each other may
        overtake one another.

    Raises
    ------
    ValueError
        If a parameter is outside its range.
    """

    loss: float = 0.0
    duplication: float = 0.0
    extra_delay_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.loss < 1:
            raise ValueError(f"loss = {self.loss} must be at least 0 and less than 1")
        if not 0 <= self.duplication <= 1:
            raise ValueError(f"duplication = {self.duplication} must be from 0 to 1")
        if not 0 <= self.extra_delay_s < float("inf"):
            raise ValueError(f"extra_delay_s = {self.extra_delay_s} must be at least 0 and finite")

    def session(self, source: str, target: str, random: np.random.Generator) -> RandomFaultSession:
        """Return the faults of a channel."""
        return RandomFaultSession(random, self.loss, self.duplication, to_ticks(self.extra_delay_s))


@dataclass
class RandomFaultSession:
    """Random faults of one channel.

    Parameters
    ----------
    random : numpy.random.Generator
        Of this channel alone.
    loss, duplication : float
        See `RandomFaults`.
    extra_delay : int
        Each copy is late by a whole number of ticks, uniform from 0 to this.
    """

    random: np.random.Generator
    loss: float = 0.0
    duplication: float = 0.0
    extra_delay: int = 0

    def copies(self, message: Message) -> list[int]:
        """Return the extra delay of each copy of a message, in ticks; an empty list if it is lost."""
        if self.random.random() < self.loss:
            return []
        count = 2 if self.random.random() < self.duplication else 1
        return [int(extra) for extra in self.random.integers(0, self.extra_delay, count, endpoint=True)]


FAULT_MODELS: Registry[FaultModel] = Registry("fault model", FaultModel, {"random": RandomFaults})
