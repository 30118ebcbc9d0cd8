"""Requests for connections: the attempts at setting one up, and why one fails."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


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
