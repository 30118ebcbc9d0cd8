"""Who asks for which connections, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import permutations
from typing import Annotated, Any, Literal, Protocol, TypeAlias

import numpy as np
from pydantic import Field
from simpy.events import ProcessGenerator

from qkdrmp.config.registry import Registry
from qkdrmp.entanglement.request import ConnectionRequest, ConnectionSpec
from qkdrmp.kernel.arrivals import at_times, poisson
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.randomness import joined
from qkdrmp.kernel.units import to_ticks
from qkdrmp.network.demand import demand_of

Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Ask: TypeAlias = Callable[[ConnectionRequest], object]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class ConnectionFields(ConnectionSpec):
    """The fields of a demand that describe each of its connections.

    Parameters
    ----------
    within_s : float, optional
        By when after the first attempt it must be installed.
    lasts_s : float, optional
        The Initiator tears it down so long after it was installed.
    """

    within_s: PositiveFloat | None = None
    lasts_s: PositiveFloat | None = None

    @property
    def spec(self) -> ConnectionSpec:
        """What each connection is to be."""
        return ConnectionSpec(**{one.name: getattr(self, one.name) for one in fields(ConnectionSpec)})


@dataclass(frozen=True, kw_only=True)
class ListedConnection(ConnectionFields):
    """One connection of a list.

    Parameters
    ----------
    src, dst : str
        Initiator and Responder.
    at_s : float
        When it is asked for.
    id : str, optional
        By default c1, c2, ... in the order of the list.
    teardown_s : float, optional
        When it is torn down, whether it is installed or not; by `teardown_by`.
    teardown_by : {"src", "dst", "both"}
    """

    src: str
    dst: str
    at_s: Seconds = 0.0
    id: str | None = None
    teardown_s: Seconds | None = None
    teardown_by: Literal["src", "dst", "both"] = "src"

    def __post_init__(self) -> None:
        if self.src == self.dst:
            raise ValueError(f"src and dst are both '{self.src}', but must be two users")
        if self.teardown_s is not None and self.teardown_s < self.at_s:
            raise ValueError(f"teardown_s = {self.teardown_s} must not be before at_s = {self.at_s}")
        if self.id is not None and (not self.id.strip() or set(self.id) & set("/#,")):
            raise ValueError(f"id = {self.id!r} must be some text without '/', '#' and ','")

    def request(self, id_: str) -> ConnectionRequest:
        """Return what is asked for, under an id."""
        return ConnectionRequest(
            self.src, self.dst, self.spec, id_, self.within_s, self.lasts_s, self.teardown_s, self.teardown_by
        )


@dataclass(frozen=True)
class ConnectionWorkload:
    """What a demand can see and do.

    Parameters
    ----------
    env : Environment
    users : tuple of str
        The end nodes.
    random : callable
        Returns the random stream of a name.
    ask : callable
        Asks for a connection now.
    """

    env: Environment
    users: tuple[str, ...]
    random: Callable[[str], np.random.Generator]
    ask: Ask


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A list of connections, each with its time.

    Parameters
    ----------
    connections : list of ListedConnection
        As tables: ``src``, ``dst``, ``at_s``, ``pairs``, and what else `ListedConnection` has.
    """

    connections: tuple[ListedConnection, ...] = ()

    def __post_init__(self) -> None:
        names = self._names
        if duplicated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"connections: two have the id '{duplicated[0]}' (without one, the second is 'c2', and so on)"
            )

    @property
    def _names(self) -> list[str]:
        return [one.id or f"c{number}" for number, one in enumerate(self.connections, start=1)]

    @property
    def _requests(self) -> list[ConnectionRequest]:
        return [one.request(name) for name, one in zip(self._names, self.connections, strict=True)]

    def asked(self, users: Sequence[str]) -> list[ConnectionRequest]:
        """Return who asks whom for what."""
        return self._requests

    def times_s(self) -> list[tuple[str, float]]:
        """Return the id of each connection, and when it is asked for, in seconds."""
        return [(name, one.at_s) for name, one in zip(self._names, self.connections, strict=True)]

    def is_steady(self) -> bool:
        """Return whether all connections are asked for at once and none of them ends."""
        ends = [(one.pairs, one.lasts_s, one.teardown_s) for one in self.connections]
        return not any(one.at_s for one in self.connections) and ends.count((None, None, None)) == len(ends)

    def users_named(self) -> list[str]:
        """Return the users that are named."""
        return [name for one in self.connections for name in (one.src, one.dst)]

    def processes(self, workload: ConnectionWorkload, users: Sequence[str]) -> Iterator[ProcessGenerator]:
        """Yield the process that asks."""
        times = (to_ticks(one.at_s) for one in self.connections)
        planned = [(tick, partial(workload.ask, one)) for tick, one in zip(times, self._requests, strict=True)]
        yield at_times(workload.env, sorted(planned, key=lambda plan: plan[0]))


@dataclass(frozen=True, kw_only=True)
class PoissonConnections(ConnectionFields):
    """Connections that are asked for at random times.

    Parameters
    ----------
    rate_per_s : float
        Of each pair of users.
    users : list of (str, str), optional
        Pairs of Initiator and Responder; by default all.
    mean_lasts_s : float, optional
        Each connection is torn down a random, exponential time after it was installed, with this mean.
    """

    rate_per_s: PositiveFloat = 1.0
    users: tuple[tuple[str, str], ...] = ()
    mean_lasts_s: PositiveFloat | None = None

    def __post_init__(self) -> None:
        for src, dst in self.users:
            if src == dst:
                raise ValueError(f"users: '{src}' twice, but a connection needs two users")

    def asked(self, users: Sequence[str]) -> list[ConnectionRequest]:
        """Return who asks whom for what."""
        return [self._request(src, dst) for src, dst in self.users or permutations(users, 2)]

    def offered_hz(self, users: Sequence[str]) -> dict[tuple[str, str], float]:
        """Return the mean pairs per second that each pair of users asks for; empty for connections of no number."""
        pairs = self.pairs
        return {(one.src, one.dst): self.rate_per_s * pairs for one in self.asked(users)} if pairs else {}

    def users_named(self) -> list[str]:
        """Return the users that are named."""
        return [name for pair in self.users for name in pair]

    def processes(self, workload: ConnectionWorkload, users: Sequence[str]) -> Iterator[ProcessGenerator]:
        """Yield one process for each pair of users."""
        for request in self.asked(users):
            src, dst = request.src, request.dst
            random = workload.random(f"demand {joined('>', src, dst)}")
            yield poisson(workload.env, (src, dst), self.rate_per_s, random, self._asking(workload, request))

    def _request(self, src: str, dst: str) -> ConnectionRequest:
        return ConnectionRequest(src, dst, self.spec, within_s=self.within_s, lasts_s=self.lasts_s)

    def _asking(self, workload: ConnectionWorkload, request: ConnectionRequest) -> Callable[[str, str], Any]:
        random = workload.random(f"duration {joined('>', request.src, request.dst)}")

        def ask(src: str, dst: str) -> None:
            mean = self.mean_lasts_s
            workload.ask(request if mean is None else replace(request, lasts_s=random.exponential(mean)))

        return ask


class ConnectionDemand(Protocol):
    """Who asks for which connections, and when."""

    def processes(self, workload: ConnectionWorkload, users: Sequence[str]) -> Iterable[ProcessGenerator]:
        """Return generators that ask through the workload for some users; SimPy runs each as a process."""


CONNECTION_DEMANDS: Registry[ConnectionDemand] = Registry(
    "demand", ConnectionDemand, {"listed": Listed, "poisson": PoissonConnections}, demand_of
)
