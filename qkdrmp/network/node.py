"""Nodes: a stack of protocols, and the process that hands each message that arrives to its handler."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from simpy.events import ProcessGenerator

from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.simpy_marks import Inbox
from qkdrmp.network.channel import Channel
from qkdrmp.network.layer import Layer, Message, merge_handlers

ChannelT = TypeVar("ChannelT", bound=Channel)


class NetworkNode:
    """A node of the network.

    Parameters
    ----------
    env : Environment
    name : str

    Attributes
    ----------
    receive : callable
        Takes in a message that arrives: the node's process handles it now, or as soon as it is free.
    """

    def __init__(self, env: Environment, name: str) -> None:
        self.env = env
        self.name = name
        self._inbox = Inbox(env)
        self.receive: Callable[[Message], None] = self._inbox.put

    def listen(self, channel: ChannelT) -> ChannelT:
        """Subscribe to an incoming channel, and return it."""
        channel.subscribe(self.receive)
        return channel

    def install(self, protocols: Iterable[Layer], vocabulary: Iterable[type[Message]]) -> None:
        """Build the dispatch table of a protocol stack and start the process that handles messages.

        Raises
        ------
        StackError
            If a message of the `vocabulary` has no handler or two.
        """
        self._handlers = merge_handlers(protocols, vocabulary)
        self.env.process(self._dispatch())

    def handle(self, message: Message) -> None:
        """Hand one message, which did not come over a channel, to its handler."""
        self._handlers[message.__class__](message)

    def _dispatch(self) -> ProcessGenerator:
        inbox, kept, handlers = self._inbox, self._inbox.kept, self._handlers
        while True:
            message = kept.pop(0) if kept else (yield inbox)
            handlers[message.__class__](message)
