"""Protocols: the layers of a node's stack, and how each says which messages it handles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar

from qkdrmp.errors import QKDRMPError

Handler = Callable[[Any], None]
HandlerT = TypeVar("HandlerT", bound=Callable[..., None])


class Message:
    """Base of everything that crosses a wire: frozen, slotted dataclasses, one class a message.

    Attributes
    ----------
    wire_name : str
        What the message is called in tables and diagrams: the name of its class in capitals, unless it says otherwise.
    """

    __slots__ = ()

    wire_name: ClassVar[str] = ""

    @property
    def label(self) -> str:
        """What tables and diagrams show of it beside its name; by default nothing."""
        return ""

    def __init_subclass__(cls) -> None:
        cls.wire_name = cls.__dict__.get("wire_name") or cls.__name__.upper()


class StackError(QKDRMPError):
    """A protocol stack handles a message twice or not at all (a programming error)."""


def on(*messages: type[Message]) -> Callable[[HandlerT], HandlerT]:
    """Mark a method of a `Layer` as the handler of one class of message, or of several."""

    def mark(method: HandlerT) -> HandlerT:
        method.handles = messages  # type: ignore[attr-defined]
        return method

    return mark


class Layer:
    """One layer of a node. Layers of one node call each other's methods; messages come from other nodes."""

    def handlers(self) -> dict[type[Message], Handler]:
        """Return the methods marked with `on`, bound, by the class of message they handle."""
        found: dict[type[Message], Handler] = {}
        for name in dir(type(self)):
            for message in getattr(getattr(type(self), name), "handles", ()):
                found[message] = getattr(self, name)
        return found


def merge_handlers(protocols: Iterable[Layer], vocabulary: Iterable[type[Message]]) -> dict[type[Message], Handler]:
    """Return the one table by which a node dispatches what it receives.

    Raises
    ------
    StackError
        If two protocols handle the same message, or none handles one of the `vocabulary`.
    """
    table: dict[type[Message], Handler] = {}
    for protocol in protocols:
        for message, handler in protocol.handlers().items():
            if message in table:
                raise StackError(f"{message.__name__} is handled twice, last by {type(protocol).__name__}")
            table[message] = handler
    missing = [message.__name__ for message in vocabulary if message not in table]
    if missing:
        raise StackError(f"no protocol of the stack handles {', '.join(missing)}")
    return table
