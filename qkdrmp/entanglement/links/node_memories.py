"""The memories of a node that its interfaces share.

An attempt at a pair takes a memory for as long as its trial lasts, so each memory is at one interface at a time. An
interface has those in the quotas of its connections. What is in nobody's quota is divided evenly among the interfaces
that have connections. When a connection comes or goes, memories move: first an interface attempts fewer trials, and
once those under way are over, others attempt more, as far as memories are free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.timer import Timer


class MemoryQuota(Protocol):
    """What a connection has reserved at an interface."""

    @property
    def attempt(self) -> AttemptId:
        """The attempt at the connection."""

    @property
    def quota(self) -> int:
        """Memories."""


class SharesMemories(Protocol):
    """An interface of the node."""

    memories: int
    """How many it has now."""
    occupied: int
    """How many of them have a half in them; more for a while, if it has to part with some."""

    @property
    def reservations(self) -> Sequence[MemoryQuota]:
        """What connections have reserved here."""

    def resize(self, memories: int) -> None:
        """Have so many memories from now on."""

    def check_watches(self) -> None:
        """Call who waits for free memories."""


class NodeMemories:
    """The memories of a node.

    Parameters
    ----------
    env : Environment
    count : int
        How many there are (>= 1).

    Attributes
    ----------
    interfaces : list of SharesMemories
    """

    def __init__(self, env: Environment, count: int) -> None:
        self.count = count
        self.interfaces: list[SharesMemories] = []
        self._env = env
        self._settle = 0
        self._quiet_from = 0
        self._targets: list[int] = []
        self._is_growing = False
        self._timer = Timer(env, self._grow)

    def join(self, interface: SharesMemories, settle: int) -> None:
        """Let an interface share them, whose trials under way are over after `settle` ticks."""
        self.interfaces.append(interface)
        self._targets.append(0)
        self._settle = max(self._settle, settle)

    @property
    def reservations(self) -> Iterator[MemoryQuota]:
        """What connections have reserved at all interfaces."""
        return (one for interface in self.interfaces for one in interface.reservations)

    @property
    def free(self) -> int:
        """Memories that are in nobody's quota."""
        return self.count - sum(one.quota for one in self.reservations)

    def share_out(self) -> None:
        """Divide the memories anew, as quotas have changed."""
        quotas = [sum(one.quota for one in interface.reservations) for interface in self.interfaces]
        sharers = sum(quota > 0 for quota in quotas)
        each, more = divmod(self.count - sum(quotas), sharers) if sharers else (0, 0)
        self._targets = [quota + each if quota else 0 for quota in quotas]
        for index in [index for index, quota in enumerate(quotas) if quota][:more]:
            self._targets[index] += 1
        for interface, target in zip(self.interfaces, self._targets, strict=True):
            if interface.memories > target:
                interface.resize(target)
                self._quiet_from = self._env.now + self._settle
        self.settle()
        for interface in self.interfaces:
            interface.check_watches()

    def settle(self) -> None:
        """Let interfaces have more memories, as soon as no trial may be under way in them; called when one is free."""
        if self._is_growing or all(i.memories >= t for i, t in zip(self.interfaces, self._targets, strict=True)):
            return
        wait = self._quiet_from - self._env.now
        if wait <= 0:
            self._grow()
        elif not self._timer.running:
            self._timer.start(wait)

    def _grow(self) -> None:
        if self._env.now < self._quiet_from:
            self.settle()
            return
        self._is_growing = True
        left = self.count - sum(max(interface.memories, interface.occupied) for interface in self.interfaces)
        for interface, target in zip(self.interfaces, self._targets, strict=True):
            more = min(target - interface.memories, left)
            if more > 0:
                left -= more
                interface.resize(interface.memories + more)
        self._is_growing = False
