from dataclasses import dataclass

import pytest

from qkdrmp.errors import QKDRMPError
from qkdrmp.kernel.environment import Environment
from qkdrmp.network.channel import Channel
from qkdrmp.network.layer import Layer, Message, StackError, merge_handlers, on
from qkdrmp.network.node import NetworkNode


@dataclass(frozen=True, slots=True)
class Ping(Message):
    number: int


@dataclass(frozen=True, slots=True)
class Pong(Message):
    number: int


class Answers(Layer):
    def __init__(self, back: Channel | None = None) -> None:
        self.back = back

    @on(Ping)
    def ping(self, message: Ping) -> None:
        if self.back is not None:
            self.back.put(Pong(message.number))


class Listens(Layer):
    def __init__(self) -> None:
        self.heard: list[int] = []

    @on(Pong)
    def pong(self, message: Pong) -> None:
        self.heard.append(message.number)


class AlsoListens(Listens):
    """Inherits its handler."""


class ListensToBoth(Layer):
    @on(Ping, Pong)
    def take(self, message: Ping | Pong) -> None:
        """Handle either."""


class Silent(Layer):
    """Handles nothing."""


def test_each_message_goes_to_the_protocol_that_handles_it() -> None:
    env = Environment()
    alice, bob = NetworkNode(env, "Alice"), NetworkNode(env, "Bob")
    forth = bob.listen(Channel(env, "Alice", "Bob", 10))
    back = alice.listen(Channel(env, "Bob", "Alice", 20))
    listens = AlsoListens()
    alice.install([Silent(), Answers(), listens], [Ping, Pong])
    bob.install([Answers(back), Listens()], [Ping, Pong])
    for number in range(3):
        forth.put(Ping(number))
    env.advance(30)
    assert listens.heard == []
    env.advance(31)
    assert listens.heard == [0, 1, 2]


def test_handlers_are_bound_methods_by_message() -> None:
    listens = Listens()
    assert listens.handlers() == {Pong: listens.pong}
    both = ListensToBoth()
    assert both.handlers() == {Ping: both.take, Pong: both.take}
    assert Silent().handlers() == {}


def test_two_handlers_of_one_message_are_an_error() -> None:
    with pytest.raises(StackError, match=r"^Pong is handled twice, last by AlsoListens$"):
        merge_handlers([Listens(), AlsoListens()], [Pong])


def test_messages_without_a_handler_are_named() -> None:
    with pytest.raises(StackError, match=r"^no protocol of the stack handles Ping, Pong$"):
        merge_handlers([Silent()], [Ping, Pong])


def test_a_stack_is_checked_when_it_is_installed() -> None:
    with pytest.raises(QKDRMPError, match="handles Pong"):
        NetworkNode(Environment(), "Alice").install([Answers()], [Ping, Pong])
