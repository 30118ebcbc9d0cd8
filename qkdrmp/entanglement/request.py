"""Requests for connections: what is asked for, the attempts at setting it up, and why one fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import ConfigDict, Field

from qkdrmp.kernel.units import to_ticks

Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]


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
    basis : {"X", "Y", "Z", "bbm92"}, optional
        In which both ends measure their halves; without it they use them otherwise. With ``"bbm92"`` they make keys:
        each draws X or Z for every half.
    key_efficiency : float
        How many times the least possible the error correction of such keys discloses.
    rewrite : bool
        Whether nested networks may be crossed as virtual links; else the connection goes through them hop by hop.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    pairs: Count | None = None
    minimum_fidelity: Annotated[float, Field(ge=0, le=1)] = 0.5
    minimum_rate: NonNegativeFloat = 0.0
    memories: Positive = 2
    weight: Positive = 1
    priority: Annotated[int, Field(strict=True)] = 0
    basis: Literal["X", "Y", "Z", "bbm92"] | None = None
    key_efficiency: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.16
    rewrite: bool = True

    @property
    def is_null(self) -> bool:
        """Whether it only looks and holds nothing."""
        return self.pairs == 0


@dataclass(frozen=True)
class ConnectionRequest:
    """Who asks whom for which connection, and for how long.

    Parameters
    ----------
    src, dst : str
        Initiator and Responder.
    spec : ConnectionSpec
    id : str, optional
        By default c1, c2, ... in the order of the requests.
    within_s : float, optional
        By when after the request it must be installed.
    lasts_s : float, optional
        Its holding time: the Initiator tears it down so long after it was installed.
    teardown_s : float, optional
        The time of the simulation at which it is torn down, whether it is installed or not.
    teardown_by : {"src", "dst", "both"}
        Who tears it down then.
    """

    src: str
    dst: str
    spec: ConnectionSpec = ConnectionSpec()
    id: str | None = None
    within_s: float | None = None
    lasts_s: float | None = None
    teardown_s: float | None = None
    teardown_by: Literal["src", "dst", "both"] = "src"

    def __post_init__(self) -> None:
        if self.src == self.dst:
            raise ValueError(f"src and dst are both '{self.src}', but must be two users")

    def ends(self, installed: int) -> int | None:
        """Return when the Initiator tears it down if it is installed then, in ticks; None if it may never."""
        ends = [] if self.lasts_s is None else [installed + to_ticks(self.lasts_s)]
        if self.teardown_s is not None and self.src in self.tearing_down:
            ends.append(to_ticks(self.teardown_s))
        return min(ends, default=None)

    @property
    def tearing_down(self) -> tuple[str, ...]:
        """The users who tear it down."""
        return {"src": (self.src,), "dst": (self.dst,), "both": (self.src, self.dst)}[self.teardown_by]


def counted_memories(count: int) -> str:
    """Return so many memories in words."""
    return f"{count} {'memory' if count == 1 else 'memories'}"


class EndReason(StrEnum):
    """Why a connection was not set up, or was aborted."""

    BUSY = "busy"
    INFEASIBLE = "infeasible"
    NO_ROUTE = "no_route"
    UNAUTHORISED = "unauthorised"
    TIMEOUT = "timeout"
    SILENT = "silent"
    TORN_DOWN = "torn_down"


REJECTIONS = tuple(reason for reason in EndReason if reason not in (EndReason.SILENT, EndReason.TORN_DOWN))
"""Reasons of rejections; the other ones are of aborts."""

STRUCTURAL = (EndReason.INFEASIBLE, EndReason.NO_ROUTE, EndReason.UNAUTHORISED)
"""Reasons of rejections of what no state of the network could serve; the other ones are of congestion."""


@runtime_checkable
class ListsConnections(Protocol):
    """Optional for a demand: from what it asks for it can be predicted which connections will never be admitted."""

    def asked(self, users: Sequence[str]) -> Iterable[ConnectionRequest]:
        """Return a request for each pair of users that asks."""


@runtime_checkable
class RepeatsConnections(Protocol):
    """Optional for a demand: from its rates the load of links can be predicted."""

    def offered_hz(self, users: Sequence[str]) -> Mapping[tuple[str, str], float]:
        """Return the mean pairs per second that each pair of users asks for; empty if that is not known."""


@runtime_checkable
class ListsTimes(Protocol):
    """Optional for a demand: it is a list, of which it can be predicted for which connections a run is too short."""

    def times_s(self) -> Iterable[tuple[str, float]]:
        """Return the id of each connection, and when it is asked for, in seconds."""

    def is_steady(self) -> bool:
        """Return whether all connections are asked for at once and none of them ends."""


class AttemptId(NamedTuple):
    """An attempt at setting up a connection: what messages, memories and trials are for.

    A tuple, as it is looked up for every pair. Its text, such as ``c1#2``, is for tables and diagrams.

    Parameters
    ----------
    connection : str
        The name of the connection; one inside a nested network is named after all that it serves.
    number : int
        Which attempt at it this is, from 1.
    network : str, optional
        The nested network that the connection crosses, if it is one inside a network.
    outer : AttemptId, optional
        The attempt around the network that it serves.
    """

    connection: str
    number: int = 1
    network: str | None = None
    outer: AttemptId | None = None

    @property
    def root(self) -> AttemptId:
        """The attempt of two users that it serves, through however many networks."""
        return self if self.outer is None else self.outer.root

    def inside(self, network: str) -> AttemptId:
        """Return the attempt at crossing a nested network that serves this one."""
        return AttemptId(f"{self.connection}/{network}/{self.number}", 1, network, self)

    def __str__(self) -> str:
        return f"{self.connection}#{self.number}"
