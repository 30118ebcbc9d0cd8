"""Who asks for which connections, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeAlias

from pydantic import ConfigDict, Field
from simpy.events import ProcessGenerator

from qkdrmp.config.registry import Registry
from qkdrmp.entanglement.messages import Terms
from qkdrmp.kernel.arrivals import at_times, poisson
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.randomness import Streams
from qkdrmp.kernel.units import to_ticks

Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Ask: TypeAlias = Callable[["Wish"], object]
Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class ConnectionSpec:
    """What a connection is to be.

    Parameters
    ----------
    pairs : int or None
        End-to-end pairs; without it the connection is endless, and 0 is a null setup, which only looks.
    minimum_fidelity : float
        Of the delivered pairs.
    minimum_rate : float
        Pairs per second.
    memories : int
        Its quota at every interface.
    weight, priority : int
        Its claim on shared links.
    within_s : float, optional
        By when after the first attempt it must be installed.
    lasts_s : float, optional
        The Initiator tears it down so long after it was installed.
    basis : {"X", "Y", "Z"}, optional
        In which both ends measure their halves; without it they use them otherwise.
    rewrite : bool
        Whether nested networks may be crossed as virtual links; else the connection goes through them hop by hop.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    pairs: Count | None = None
    minimum_fidelity: Annotated[float, Field(ge=0, le=1)] = 0.5
    minimum_rate: Seconds = 0.0
    memories: Positive = 2
    weight: Positive = 1
    priority: Annotated[int, Field(strict=True)] = 0
    within_s: PositiveFloat | None = None
    lasts_s: PositiveFloat | None = None
    basis: Literal["X", "Y", "Z"] | None = None
    rewrite: bool = True


@dataclass(frozen=True, kw_only=True)
class ListedConnection(ConnectionSpec):
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
        When it is torn down, wherever it has got to; by `teardown_by`.
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


@dataclass(frozen=True)
class Wish:
    """A connection as it is asked for.

    Parameters
    ----------
    src, dst : str
    terms : Terms
    lasts : int, optional
        Ticks from its installation to its teardown.
    id : str, optional
    teardown : tuple of (int, tuple of str), optional
        When it is torn down, and by whom.
    """

    src: str
    dst: str
    terms: Terms
    lasts: int | None = None
    id: str | None = None
    teardown: tuple[int, tuple[str, ...]] | None = None


def wish(kind: ConnectionSpec, src: str, dst: str, now: int, lasts: int | None = None, **more: Any) -> Wish:
    """Return what is asked for at tick `now`."""
    until = None if kind.within_s is None else now + to_ticks(kind.within_s)
    terms = Terms(
        need=kind.pairs,
        minimum_fidelity=kind.minimum_fidelity,
        minimum_rate=kind.minimum_rate,
        memories=kind.memories,
        weight=kind.weight,
        priority=kind.priority,
        until=until,
        basis=kind.basis,
        rewrite=kind.rewrite,
    )
    if lasts is None and kind.lasts_s is not None:
        lasts = to_ticks(kind.lasts_s)
    return Wish(src, dst, terms, lasts, **more)


@dataclass(frozen=True)
class ConnectionWorkload:
    """What a demand model works with.

    Parameters
    ----------
    env : Environment
    users : tuple of str
        The end nodes.
    random : Streams
    ask : callable
        Asks for a connection now.
    """

    env: Environment
    users: tuple[str, ...]
    random: Streams
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

    def asked(self, users: tuple[str, ...]) -> list[tuple[str, str, ConnectionSpec]]:
        """Return who asks whom for what."""
        return [(one.src, one.dst, one) for one in self.connections]

    def users_named(self) -> list[str]:
        """Return the users that are named."""
        return [name for one in self.connections for name in (one.src, one.dst)]

    def processes(self, workload: ConnectionWorkload) -> Iterator[ProcessGenerator]:
        """Yield the process that asks."""
        named = zip(self._names, self.connections, strict=True)
        planned = [(to_ticks(one.at_s), _asking(name, one, workload)) for name, one in named]
        yield at_times(workload.env, sorted(planned, key=lambda plan: plan[0]))


def _asking(name: str, one: ListedConnection, workload: ConnectionWorkload) -> Callable[[], object]:
    by = {"src": (one.src,), "dst": (one.dst,), "both": (one.src, one.dst)}[one.teardown_by]
    teardown = None if one.teardown_s is None else (to_ticks(one.teardown_s), by)
    return lambda: workload.ask(wish(one, one.src, one.dst, workload.env.now, id=name, teardown=teardown))


@dataclass(frozen=True, kw_only=True)
class PoissonConnections(ConnectionSpec):
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

    def asked(self, users: tuple[str, ...]) -> list[tuple[str, str, ConnectionSpec]]:
        """Return who asks whom for what."""
        return [(src, dst, self) for src, dst in self.users or permutations(users, 2)]

    def users_named(self) -> list[str]:
        """Return the users that are named."""
        return [name for pair in self.users for name in pair]

    def processes(self, workload: ConnectionWorkload) -> Iterator[ProcessGenerator]:
        """Yield one process for each pair of users."""
        pairs: Iterable[tuple[str, str]] = self.users or permutations(workload.users, 2)
        for src, dst in pairs:
            random = workload.random.stream(f"demand {src}>{dst}")
            yield poisson(workload.env, (src, dst), self.rate_per_s, random, self._asking(workload, src, dst))

    def _asking(self, workload: ConnectionWorkload, src: str, dst: str) -> Callable[[str, str], Any]:
        random = workload.random.stream(f"duration {src}>{dst}")

        def ask(src: str, dst: str) -> None:
            mean = self.mean_lasts_s
            lasts = None if mean is None else max(1, to_ticks(random.exponential(mean)))
            workload.ask(wish(self, src, dst, workload.env.now, lasts))

        return ask


class ConnectionDemand(Protocol):
    """Who asks for which connections, and when."""

    def processes(self, workload: ConnectionWorkload) -> Iterable[ProcessGenerator]:
        """Return generators that ask through the workload; SimPy runs each as a process."""


CONNECTION_DEMANDS: Registry[ConnectionDemand] = Registry(
    "demand", ConnectionDemand, {"listed": Listed, "poisson": PoissonConnections}
)
