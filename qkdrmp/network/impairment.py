"""Impairments of a classical channel. There are none by default."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Impairment:
    """Random faults, independent from message to message.

    Parameters
    ----------
    loss : float
        Probability that a message never arrives, 0 to 1.
    duplication : float
        Probability that a message that arrives does so twice, 0 to 1.
    extra_delay : int
        Each copy is late by a whole number of ticks, uniform from 0 to this. Messages sent within that time of each
        other may overtake one another.
    """

    loss: float = 0.0
    duplication: float = 0.0
    extra_delay: int = 0

    def __post_init__(self) -> None:
        for name in ("loss", "duplication"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} = {value} must be a probability, from 0 to 1")
        if self.extra_delay < 0:
            raise ValueError(f"extra_delay = {self.extra_delay} must be 0 ticks or more")

    def copies(self, random: np.random.Generator) -> list[int]:
        """Return the extra delay of each copy of one message, in ticks; an empty list if it is lost."""
        if random.random() < self.loss:
            return []
        count = 2 if random.random() < self.duplication else 1
        return [int(extra) for extra in random.integers(0, self.extra_delay, count, endpoint=True)]
