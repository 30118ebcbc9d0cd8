"""What demands of both protocol families have in common: who asks whom, and when, as processes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from simpy.events import ProcessGenerator


@runtime_checkable
class NamesUsers(Protocol):
    """Optional for a demand: the users that its parameters name are checked against the topology."""

    def users_named(self) -> Iterable[str]:
        """Return the names of users."""


@dataclass(frozen=True)
class OneProcess:
    """A demand that is a single process.

    Parameters
    ----------
    function : callable
        A generator function of the workload and of the users that it acts for.
    """

    function: Callable[[Any, Sequence[str]], ProcessGenerator]

    def processes(self, workload: Any, users: Sequence[str]) -> list[ProcessGenerator]:
        """Return the process."""
        return [self.function(workload, users)]


def demand_of(value: Any) -> Any:
    """Return a demand: a generator function of a workload and its users as one of a single process."""
    if not callable(value) or hasattr(value, "processes"):
        return value
    try:
        inspect.signature(value).bind("workload", "users")
    except (TypeError, ValueError):
        return value
    return OneProcess(value)
