"""Nodes: an inbox, a stack of protocols, and the process that hands each message to its handler."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simpy.events import ProcessGenerator

from qkdrmp.kernel.environment import Environment
from qkdrmp.network.channel import Inbox
from qkdrmp.network.layer import Layer, Message, merge_handlers


class NetworkNode:
    """A node of the network.

    Parameters
    ----------
    env : Environment
    name : str

    Attributes
    ----------
    inbox : Inbox
        Where all of the node's channels deliver.
    """

    def __init__(self, env: Environment, name: str) -> None:
        self.env = env
        self.name = name
        self.inbox = Inbox(env)

    def install(self, protocols: Iterable[Layer], vocabulary: Iterable[type[Message]]) -> None:
        """Build the dispatch table of a protocol stack and start the process that reads the inbox.

        Raises
        ------
        StackError
            If a message of the `vocabulary` has no handler or two.
        """
        self._handlers = merge_handlers(protocols, vocabulary)
        self.env.process(self._dispatch())

    def handle(self, message: Message) -> None:
        """Hand one message, which came by another way than the inbox, to its handler."""
        self._handlers[message.__class__](message)

    def _dispatch(self) -> ProcessGenerator:
        inbox, handlers = self.inbox, self._handlers
        waiting: list[Any] = inbox.items
        while True:
            message = waiting.pop(0) if waiting else (yield inbox.wait())
            handlers[message.__class__](message)
