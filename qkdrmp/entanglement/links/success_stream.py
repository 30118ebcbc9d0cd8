"""What is drawn of the future of a link: a stream of successes for each pair of owners of its trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from simpy.events import EventPriority

from qkdrmp.entanglement.links.policies import Agreement
from qkdrmp.entanglement.links.schedule import NEVER
from qkdrmp.entanglement.links.trial_table import Key, Rooms
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.simpy_marks import ScheduledEvent

H = TypeVar("H")
_H_contra = TypeVar("_H_contra", contravariant=True)

_LAST = EventPriority(2)
"""SimPy's own priorities are 0 and 1; what has this one comes after everything else of its tick."""


class Side(Protocol[_H_contra]):
    """One end of the link, as its node shows it."""

    def regions(self) -> Sequence[tuple[int, Agreement | None]]:
        """Return first trials in ascending order, each with what governs from it on (None: void), the last endlessly.

        The first entry covers everything not yet started here.
        """

    def room(self, connection: str) -> int:
        """Return how many memories the connection may still fill here; 0 if it is unknown or dead."""

    def occupy(self, connection: str) -> None:
        """Reduce the room by one: the link has made a pair. Called at the first herald, wherever that is."""

    def take(self, connection: str, half: _H_contra, trial: int) -> None:
        """Take this end's half of a pair; called at this end's herald."""


class Account:
    """The room of a connection at an end, and how much of it came too late for the slot that has started last."""

    __slots__ = ("_connection", "_side", "late", "room", "slot")

    def __init__(self, side: Side[H], connection: str) -> None:
        self._side = side
        self._connection = connection
        self.room = 0
        self.slot = -1
        self.late = 0

    def at(self, slot: int) -> int:
        """Return the room that the trials of `slot` found, or will find."""
        return self.room - self.late if slot == self.slot else self.room

    def update(self, slot: int) -> bool:
        """Look at the room, and say whether it has changed; the change counts after `slot` only."""
        room = self._side.room(self._connection)
        change = room - self.room
        self.room = room
        if slot > self.slot:
            self.slot, self.late = slot, change
        elif slot == self.slot:
            self.late += change
        return change != 0


class Stream:
    """The trials that belong to one pair of owners.

    The top of the stack is the next success. Each candidate vouches for the slots between the one above it (the top:
    between now) and its own: their turns below `rooms` fail. The bottom stands for what lies behind all candidates.
    """

    __slots__ = ("accounts", "done", "key", "stack")

    def __init__(self, key: Key, accounts: tuple[Account, Account]) -> None:
        self.key = key
        self.accounts = accounts
        self.stack: list[Candidate | Bottom] = [Bottom()]
        self.done = 0

    def rooms(self, slot: int) -> Rooms:
        """Return the rooms that the trials of `slot` found, or will find, at both ends."""
        left, right = self.accounts
        return (
            left.room - left.late if slot == left.slot else left.room,
            right.room - right.late if slot == right.slot else right.room,
        )


class Bottom:
    """What lies behind all candidates."""

    slot = NEVER
    place = -1
    rooms = 0


class Candidate(ScheduledEvent):
    """The first herald of a trial that succeeds if nothing changes; the last thing to happen at its tick.

    A trial of an MM link starts at the receiver at that very tick, so what else happens then comes before it.
    """

    def __init__(self, env: Environment, delay: int, stream: Stream, slot: int, place: int, rooms: int) -> None:
        super().__init__(env, delay, _LAST)
        self.stream = stream
        self.slot = slot
        self.place = place
        self.rooms = rooms
