"""Gets of key pools: events that keys are set aside, and the keys themselves, by their index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from simpy.resources.container import ContainerGet

from qkdrmp.kernel.simpy_marks import RuledContainer


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys of a stream that belong together: `count` keys from index `first` on."""

    first: int
    count: int

    def __str__(self) -> str:
        return f"keys {self.first}-{self.first + self.count - 1}"


class PoolOwner(Protocol):
    """What a pool needs of its key stream: to do at both copies what is asked of one."""

    @property
    def downstream(self) -> RuledContainer:
        """The copy that chooses keys."""

    def put(self, count: int) -> int:
        """Add new keys; return for how many there was free capacity."""

    def claim_for(self, get: KeyGet) -> None:
        """Set keys aside for a get that can be served."""

    def bits(self, keys: KeyRange) -> int:
        """Return the bits of keys as one number that begins with the first."""

    def void(self, keys: KeyRange) -> None:
        """Discard keys that were set aside."""


class KeyGet(ContainerGet):
    """A get of a key pool: the event that `amount` keys are set aside; its value is their `KeyRange`.

    Parameters
    ----------
    stream : KeyStream
        Whose downstream copy chooses the keys: there the get waits.
    pool : KeyPool
        The copy that was asked: the get happens when it has the keys set aside.
    amount : int
        How many keys.
    """

    def __init__(self, stream: PoolOwner, pool: RuledContainer, amount: int) -> None:
        self.stream = stream
        self.pool = pool
        self.given_up = False
        super().__init__(stream.downstream, amount)

    def cancel(self) -> None:
        """Give the get up; keys set aside that nobody has learned of yet are discarded at both ends."""
        if self.given_up or self.processed:
            return
        self.given_up = True
        if self.triggered:
            self.stream.void(cast(KeyRange, self.value))
        else:
            super().cancel()
            self.stream.downstream.serve_gets()
