"""What a demand can see and do of a network, and the kinds of value its parameters have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

import numpy as np
import simpy
from pydantic import Field

from qkdrmp.network.environment import Environment
from qkdrmp.units import TICKS_PER_SECOND

PositiveInt = Annotated[int, Field(strict=True, ge=1)]
PositiveFloat = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(strict=True, ge=0, le=TICKS_PER_SECOND)]
Pair = tuple[str, str]


class Workload(Protocol):
    """What a demand can see and do."""

    env: Environment
    users: Sequence[str]

    def reachable(self, user: str) -> Sequence[str]:
        """Return the users to whom `user` has a route."""

    def ask(
        self,
        src: str,
        dst: str,
        keys: int,
        key_bits: int,
        priority: int = 0,
        deadline_s: float | None = None,
        patience_s: float | None = None,
    ) -> simpy.Event:
        """Ask for keys now; the event fires when the request has ended (it may have fired already)."""

    def random(self, name: str) -> np.random.Generator:
        """Return the random stream called `name` of this run's demand."""


def check_pair(src: str, dst: str, where: str = "") -> None:
    """Raise `ValueError` if somebody would ask himself for keys."""
    if src == dst:
        raise ValueError(f"{where}src and dst are both '{src}', but nobody asks himself for keys")
