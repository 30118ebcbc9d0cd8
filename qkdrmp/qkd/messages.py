"""The messages of QKD resource management: everything that crosses a wire."""

from __future__ import annotations

from dataclasses import dataclass

from qkdrmp.network.layer import Message
from qkdrmp.qkd.keys.key_get import KeyRange
from qkdrmp.qkd.request import KeyRequest, RejectReason


@dataclass(frozen=True, slots=True)
class Request(Message):
    """REQUEST, sender to receiver: asks every node on the route whether it could ever serve the request."""

    key_request: KeyRequest
    path: tuple[str, ...]
    """The nodes passed so far."""

    @property
    def request_id(self) -> int:
        """The request it belongs to."""
        return self.key_request.id


@dataclass(frozen=True, slots=True)
class Accept(Message):
    """ACCEPT, receiver to sender, hop by hop: reserve."""

    request_id: int
    sender: str
    claim: KeyRange | None
    """The keys the sending node has claimed on the link it comes by, if it served at once."""

    @property
    def label(self) -> str:
        """The keys claimed."""
        return "" if self.claim is None else str(self.claim)


@dataclass(frozen=True, slots=True)
class Claim(Message):
    """CLAIM, one hop upstream: these keys of our link belong to that request."""

    request_id: int
    sender: str
    keys: KeyRange

    @property
    def label(self) -> str:
        """The keys."""
        return str(self.keys)


@dataclass(frozen=True, slots=True)
class Refill(Message):
    """REFILL, one hop upstream: the pool of our link is interrupted, make keys."""

    sender: str
    request_id: int = 0
    """Belongs to no request."""


@dataclass(frozen=True, slots=True)
class Confirm(Message):
    """CONFIRM, repeater to receiver: served or queued here."""

    request_id: int
    sender: str

    @property
    def label(self) -> str:
        """The repeater."""
        return f"from {self.sender}"


@dataclass(frozen=True, slots=True)
class Ciphertext(Message):
    """CIPHERTEXT, repeater to receiver: the key of its upstream link XOR the key of its downstream link."""

    request_id: int
    sender: str
    bits: int

    @property
    def label(self) -> str:
        """The repeater whose it is; those of all repeaters of a path pass the same links."""
        return f"from {self.sender}"


@dataclass(frozen=True, slots=True)
class Acknowledge(Message):
    """ACKNOWLEDGE, receiver to a repeater: your ciphertext has come."""

    request_id: int
    to: str

    @property
    def label(self) -> str:
        """The repeater."""
        return f"to {self.to}"


@dataclass(frozen=True, slots=True)
class Done(Message):
    """DONE, receiver to sender: the keys are complete."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Reject(Message):
    """REJECT: upstream to the sender with the reason, downstream to the receiver as a cancellation."""

    request_id: int
    reason: RejectReason
    by: str

    @property
    def label(self) -> str:
        """The reason."""
        return str(self.reason)


VOCABULARY: tuple[type[Message], ...] = (
    Request,
    Accept,
    Claim,
    Refill,
    Confirm,
    Ciphertext,
    Acknowledge,
    Done,
    Reject,
)
