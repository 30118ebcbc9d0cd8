"""What a demand can see and do of a network, and the kinds of value its parameters have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
import simpy
from pydantic import Field
from simpy.events import ProcessGenerator

from qkdrmp.errors import QKDRMPError, did_you_mean
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.randomness import Streams
from qkdrmp.kernel.units import TICKS_PER_SECOND, to_ticks
from qkdrmp.network.routing import leads_to
from qkdrmp.qkd.layers.application import QKDApp

PositiveInt = Annotated[int, Field(strict=True, ge=1)]
PositiveFloat = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(strict=True, ge=0, le=TICKS_PER_SECOND)]
Pair = tuple[str, str]


class RequestWorkload:
    """What a demand can see and do.

    Parameters
    ----------
    env : Environment
    apps : mapping of str to QKDApp
        The users' applications, by name.
    streams : Streams
        The random streams of the run.

    Attributes
    ----------
    env : Environment
    users : list of str
    """

    def __init__(self, env: Environment, apps: Mapping[str, QKDApp], streams: Streams) -> None:
        self.env = env
        self.users = list(apps)
        self._apps = apps
        self._streams = streams

    def reachable(self, user: str) -> list[str]:
        """Return the users to whom `user` has a route."""
        routes = self._apps[user].routes
        return [peer for peer in self.users if peer != user and leads_to(routes[user, peer], peer)]

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
        """Ask for keys now; the event fires when the request has ended (it may have fired already).

        Raises
        ------
        QKDRMPError
            If there is no such user, or if source and destination are the same.
        """
        for user in (src, dst):
            if user not in self._apps:
                raise QKDRMPError(f"the network has no end node '{user}'{did_you_mean(user, self.users)}")
        if src == dst:
            raise QKDRMPError(f"user '{src}' cannot be both source and destination")
        deadline = None if deadline_s is None else to_ticks(deadline_s)
        patience = None if patience_s is None else to_ticks(patience_s)
        return self._apps[src].ask(dst, keys, key_bits, priority, deadline, patience).ended

    def random(self, name: str) -> np.random.Generator:
        """Return the random stream called `name` of this run's demand."""
        return self._streams.stream(f"demand {name}")


class RequestDemand(Protocol):
    """Who asks whom for how many keys, and when."""

    def processes(self, workload: RequestWorkload, users: Sequence[str]) -> Iterable[ProcessGenerator]:
        """Return generators that ask through the workload for some users; SimPy runs each as a process."""


@runtime_checkable
class KnowsSizes(Protocol):
    """Optional for a demand: by the sizes of its requests it can be predicted which pools will get stuck."""

    def request_sizes(self) -> set[int]:
        """Return the sizes of the requests, in bits."""


@runtime_checkable
class KnowsRates(Protocol):
    """Optional for a demand: from its rates the load of links can be predicted, whatever happens to requests."""

    def offered_bps(self, pairs: Sequence[Pair], duration_s: float) -> Mapping[Pair, float]:
        """Return the mean key bits per second of each ordered pair of users, given those with a route."""


@runtime_checkable
class LimitsUsers(Protocol):
    """Optional for a demand: a user has at most `concurrent` requests at once, as sender or receiver."""

    @property
    def concurrent(self) -> int | None:
        """The limit, unless the scenario sets another one; None if there is none."""


def check_pair(src: str, dst: str, where: str = "") -> None:
    """Raise `ValueError` if source and destination are the same."""
    if src == dst:
        raise ValueError(f"{where}src and dst are both '{src}', but must differ")
