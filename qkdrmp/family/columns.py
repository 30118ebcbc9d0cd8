"""Columns that the tables of every protocol family have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from qkdrmp.stats.columns import Column

T = TypeVar("T")


class SentMessage(Protocol):
    """A message, as a table shows it."""

    @property
    def wire_name(self) -> str:
        """What it is called."""

    @property
    def label(self) -> str:
        """What else it says, in a few words."""


class SentOnce(Protocol):
    """A message on its way from one node to another."""

    @property
    def message(self) -> SentMessage:
        """The message."""

    @property
    def source(self) -> str:
        """Who sent it."""

    @property
    def target(self) -> str:
        """Where it goes to."""

    @property
    def sent_s(self) -> float:
        """When it was sent, s."""

    @property
    def received_s(self) -> float:
        """When it arrives, s; nan if it is lost."""


def message_columns(hop: Callable[[T], SentOnce]) -> tuple[Column[T], ...]:
    """Return the columns of a table of messages, given how to get the transmission that a row is about."""
    return (
        Column("message", "type", lambda row: hop(row).message.wire_name),
        Column("source", "node that sent it", lambda row: hop(row).source),
        Column("target", "node it goes to", lambda row: hop(row).target),
        Column("sent_s", "when it was sent", lambda row: hop(row).sent_s),
        Column("received_s", "when it arrives; empty if it is lost", lambda row: hop(row).received_s),
        Column("detail", "what else it says", lambda row: hop(row).message.label),
    )
