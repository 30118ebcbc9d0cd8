"""What the two ends of a link say to each other about pairs that are made for nobody in particular."""

from __future__ import annotations

from dataclasses import dataclass

from qkdrmp.entanglement.request import AttemptId
from qkdrmp.network.layer import Message


@dataclass(frozen=True, slots=True)
class Bind(Message):
    """BIND, from the binder of a link to its other end: whose a pair is from now on."""

    link: str
    trial: int
    """The trial by which the pair was made."""
    attempt: AttemptId | None
    """Whose it is; None if it was discarded."""
    number: int
    """What both ends call it among the connection's pairs of the link."""

    @property
    def label(self) -> str:
        """The trial."""
        return f"trial {self.trial}{' discarded' if self.attempt is None else ''}"


@dataclass(frozen=True, slots=True)
class Vacated(Message):
    """VACATED, from the other end to the binder: a memory with a half of the connection is free again."""

    link: str
    attempt: AttemptId
