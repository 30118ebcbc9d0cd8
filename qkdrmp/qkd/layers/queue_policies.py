"""Queue policies: in which order a node looks at the requests that wait for a pool.

A policy is a plain function: it gets the waiting requests in the order they joined the queue and the current tick, and
returns them in the order in which they are to be served. A request that still cannot be served is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from qkdrmp.config.registry import Registry
from qkdrmp.qkd.request import KeyRequest


class QueuePolicy(Protocol):
    """In which order a node serves the requests that wait."""

    def __call__(self, waiting: Sequence[KeyRequest], now: int, /) -> Sequence[KeyRequest]:
        """Return the requests in the order in which they are to be served, each once.

        Parameters
        ----------
        waiting : sequence of KeyRequest
            In the order in which they joined the queue.
        now : int
            The present tick.
        """


def fcfs(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    """First come, first served."""
    return waiting


def smallest_first(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    """The request for the fewest bits first."""
    return sorted(waiting, key=lambda request: request.bits)


def priority(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    """The highest priority first."""
    return sorted(waiting, key=lambda request: -request.priority)


def earliest_deadline(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    """The earliest deadline first; requests without one come last."""
    return sorted(waiting, key=lambda request: (request.deadline is None, request.deadline or 0))


QUEUE_POLICIES: Registry[QueuePolicy] = Registry(
    "queue policy",
    QueuePolicy,
    {
        "fcfs": fcfs,
        "smallest-first": smallest_first,
        "priority": priority,
        "earliest-deadline": earliest_deadline,
    },
)
