from collections import Counter
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.timer import Timer
from qkdrmp.network.channel import Channel, FaultyChannel, Transmission
from qkdrmp.network.faults import FaultSession, RandomFaultSession
from qkdrmp.network.layer import Layer, Message, on
from qkdrmp.network.node import NetworkNode
from qkdrmp.network.transport import Ack, Seen, Segment, Transport

fixed = settings(deadline=None, derandomize=True, database=None)

DELAY = 50
MARGIN = 10
ROUND = 2 * DELAY + MARGIN


@dataclass(frozen=True, slots=True)
class Note(Message):
    text: object


class Reader(Layer):
    def __init__(self, env: Environment) -> None:
        self.env = env
        self.got: list[tuple[int, object]] = []

    @on(Note)
    def take(self, message: Note) -> None:
        self.got.append((self.env.now, message.text))

    @property
    def texts(self) -> list[object]:
        return [text for _, text in self.got]


class Scripted:
    """The extra delays of the copies of each message in turn, then no faults any more."""

    def __init__(self, *script: list[int]) -> None:
        self.script = list(script)

    def copies(self, message: Message) -> list[int]:
        return self.script.pop(0) if self.script else [0]


class Net:
    """Nodes with a transport each, all of them `DELAY` apart."""

    def __init__(self, names: str = "AB", reliable: bool = True, margin: int = MARGIN, seed: int = 1) -> None:
        self.env = Environment()
        self.trace: list[Transmission] = []
        self.random = np.random.default_rng(seed)
        self.faults: dict[tuple[str, str], FaultSession] = {}
        self.default: FaultSession | None = None
        self.channels: dict[tuple[str, str], Channel] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.nodes = {name: NetworkNode(self.env, name) for name in names}
        self.readers = {name: Reader(self.env) for name in names}
        self.transports = {name: self.transport(node, margin, reliable) for name, node in self.nodes.items()}
        for name, node in self.nodes.items():
            node.install([self.transports[name], self.readers[name]], [Note, Segment, Ack])

    def transport(self, node: NetworkNode, margin: int, reliable: bool) -> Transport:
        return Transport(node, lambda target: self.channel(node.name, target), margin, reliable)

    def channel(self, source: str, target: str) -> Channel:
        self.asked[source, target] += 1
        if (source, target) not in self.channels:
            self.channels[source, target] = self.open(source, target)
        return self.channels[source, target]

    def open(self, source: str, target: str) -> Channel:
        faults = self.faults.get((source, target), self.default)
        listen = self.nodes[target].listen
        if faults is None:
            return listen(Channel(self.env, source, target, DELAY, self.trace))
        channel = listen(FaultyChannel(self.env, source, target, DELAY, self.trace))
        channel.faults = faults
        return channel

    def run(self, until: int = 10**6) -> None:
        """Go on until nothing is left to happen, or it is tick `until`."""
        while self.env.peek() < until:
            self.env.step()


def at(env: Environment, tick: int, action):
    yield env.timeout(tick)
    action()


# Timer


class Bell:
    def __init__(self) -> None:
        self.env = Environment()
        self.rung: list[int] = []
        self.timer = Timer(self.env, lambda: self.rung.append(self.env.now))

    def at(self, tick: int, action) -> None:
        self.env.process(at(self.env, tick, action))


def test_a_timer_acts_once_at_its_tick() -> None:
    bell = Bell()
    assert not bell.timer.running
    bell.timer.start(10)
    assert bell.timer.running
    bell.env.advance(10)
    assert bell.rung == []
    assert bell.timer.running
    bell.env.advance(11)
    assert bell.rung == [10]
    assert not bell.timer.running
    bell.env.advance(100)
    assert bell.rung == [10]


@pytest.mark.parametrize(("again", "delay", "rings"), [(4, 10, 14), (9, 10, 19), (4, 2, 6), (4, 6, 10)])
def test_a_restart_replaces_the_earlier_start(again: int, delay: int, rings: int) -> None:
    bell = Bell()
    bell.timer.start(10)
    bell.at(again, lambda: bell.timer.start(delay))
    bell.env.advance(100)
    assert bell.rung == [rings]


def test_a_cancelled_timer_does_nothing() -> None:
    bell = Bell()
    bell.timer.cancel()
    bell.timer.start(10)
    bell.at(9, bell.timer.cancel)
    bell.at(9, lambda: bell.rung.append(-1 if bell.timer.running else 9))
    bell.env.advance(100)
    assert bell.rung == [9]


def test_a_timer_starts_again_after_a_cancel() -> None:
    bell = Bell()
    bell.timer.start(10)
    bell.timer.cancel()
    bell.at(3, lambda: bell.timer.start(20))
    bell.env.advance(100)
    assert bell.rung == [23]


def test_a_timer_can_be_cancelled_at_the_very_tick_if_that_comes_first() -> None:
    bell = Bell()
    bell.at(10, bell.timer.cancel)
    bell.at(0, lambda: bell.timer.start(10))
    bell.env.advance(100)
    assert bell.rung == []
    bell.timer.start(10)
    bell.at(10, bell.timer.cancel)
    bell.env.advance(200)
    assert bell.rung == [110]


def test_a_timer_can_be_restarted_by_its_own_action() -> None:
    env = Environment()
    rung: list[tuple[int, bool]] = []

    def ring() -> None:
        rung.append((env.now, timer.running))
        if len(rung) < 3:
            timer.start(7)
            assert timer.running

    timer = Timer(env, ring)
    timer.start(10)
    env.advance(100)
    assert rung == [(10, False), (17, False), (24, False)]
    assert not timer.running


# Numbers seen


@given(st.permutations(range(60)))
@fixed
def test_numbers_are_new_once(order: list[int]) -> None:
    seen = Seen()
    come: set[int] = set()
    for number in order:
        assert seen.add(number)
        assert not seen.add(number)
        come.add(number)
        missing = min(set(range(61)) - come)
        assert (seen.watermark, seen.ahead) == (missing, {other for other in come if other > missing})
    assert not any(seen.add(number) for number in range(60))
    assert (seen.watermark, seen.ahead) == (60, set())


# Without faults


def chatter(net: Net, send) -> None:
    for tick in range(0, 200, 20):
        for number in range(3):
            net.env.process(at(net.env, tick, lambda text=(tick, number): send(Note(text))))


def test_without_faults_it_is_the_plain_channel() -> None:
    plain, transported, unreliable = (Net(reliable=False) for _ in range(3))
    chatter(plain, plain.channel("A", "B").put)
    chatter(transported, lambda note: transported.transports["A"].send("B", note))
    chatter(unreliable, lambda note: unreliable.transports["A"].send_unreliably("B", note))
    for net in (plain, transported, unreliable):
        net.run()
    for net in (transported, unreliable):
        assert net.readers["B"].got == plain.readers["B"].got
        assert net.trace == plain.trace
        assert net.env.events == plain.env.events
        assert net.env.now == plain.env.now
        assert net.transports["A"].resent == 0
    assert len(plain.trace) == 30
    assert {type(hop.message) for hop in transported.trace} == {Note}


def test_a_message_as_it_is_costs_one_event_and_one_channel() -> None:
    net = Net(reliable=False)
    net.run()
    idle = net.env.events
    for _ in range(10):
        net.transports["A"].send("B", Note(1))
        net.transports["A"].send_unreliably("B", Note(1))
    net.run()
    assert net.env.events == idle + 20
    assert net.asked == {("A", "B"): 1}


def test_a_reliable_transport_needs_one_letter_and_one_receipt() -> None:
    net = Net()
    net.transports["A"].send("B", Note("x"))
    net.run()
    assert net.readers["B"].got == [(DELAY, "x")]
    assert net.trace == [
        Transmission(Segment("A", 0, Note("x")), "A", "B", 0, DELAY),
        Transmission(Ack("B", 0), "B", "A", DELAY, 2 * DELAY),
    ]
    assert net.transports["A"].resent == 0


def test_the_tightest_margin_does_not_send_in_vain() -> None:
    net = Net(margin=1)
    for number in range(20):
        net.transports["A"].send("B", Note(number))
    net.run()
    assert net.transports["A"].resent == 0
    assert net.readers["B"].texts == list(range(20))


@pytest.mark.parametrize("margin", [0, -5])
def test_a_reliable_transport_needs_a_margin(margin: int) -> None:
    with pytest.raises(ValueError, match=rf"^margin = {margin} must be 1 tick or more$"):
        Net(margin=margin)
    Net(margin=margin, reliable=False)


# One fault at a time


def test_a_lost_letter_is_sent_again_after_the_round_trip_and_the_margin() -> None:
    net = Net()
    net.faults["A", "B"] = Scripted([], [], [0])
    net.transports["A"].send("B", Note("x"))
    net.run()
    assert net.readers["B"].got == [(2 * ROUND + DELAY, "x")]
    assert net.transports["A"].resent == 2
    assert net.channels["A", "B"].sent == 3


def test_a_lost_receipt_is_sent_again_and_the_letter_handled_once() -> None:
    net = Net()
    net.faults["B", "A"] = Scripted([], [0])
    net.transports["A"].send("B", Note("x"))
    net.run()
    assert net.readers["B"].got == [(DELAY, "x")]
    assert net.channels["A", "B"].sent == 2
    assert net.channels["B", "A"].sent == 2
    assert net.transports["A"].resent == 1


def test_every_copy_is_answered_and_traced() -> None:
    net = Net()
    net.faults["A", "B"] = Scripted([0, 5])
    net.transports["A"].send("B", Note("x"))
    net.run()
    segment, ack = Segment("A", 0, Note("x")), Ack("B", 0)
    assert net.trace == [
        Transmission(segment, "A", "B", 0, 50),
        Transmission(segment, "A", "B", 0, 55),
        Transmission(ack, "B", "A", 50, 100),
        Transmission(ack, "B", "A", 55, 105),
    ]
    assert net.readers["B"].got == [(50, "x")]
    assert net.transports["A"].resent == 0


def test_a_late_letter_is_sent_again_but_handled_once() -> None:
    net = Net()
    net.faults["A", "B"] = Scripted([1000])
    net.transports["A"].send("B", Note("x"))
    net.run()
    assert net.readers["B"].got == [(ROUND + DELAY, "x")]
    assert net.transports["A"].resent == 1
    assert [hop.received for hop in net.trace if isinstance(hop.message, Segment)] == [1050, ROUND + DELAY]
    assert net.channels["B", "A"].sent == 2


def test_messages_sent_as_they_are_may_be_lost_or_duplicated() -> None:
    net = Net()
    net.faults["A", "B"] = Scripted([], [0, 3], [0])
    for text in ("lost", "duplicated", "fine"):
        net.transports["A"].send_unreliably("B", Note(text))
    net.run()
    assert net.readers["B"].got == [(50, "duplicated"), (50, "fine"), (53, "duplicated")]
    assert {type(hop.message) for hop in net.trace} == {Note}


def test_a_segment_is_sent_until_it_is_acknowledged() -> None:
    net = Net()
    net.faults["A", "B"] = RandomFaultSession(net.random, loss=1.0)
    net.transports["A"].send("B", Note("x"))
    net.run(until=100 * ROUND + 1)
    assert net.transports["A"].resent == 100
    assert net.readers["B"].got == []
    assert len(net.env._queue) == 1, "one pending event per segment"


# Many messages, all faults


def exchange(net: Net, count: int) -> None:
    """Every node sends every other `count` messages, a few at a time."""
    for source, transport in net.transports.items():
        for target in net.nodes.keys() - source:
            for number in range(count):
                text = (source, target, number)
                net.env.process(at(net.env, number // 3 * 7, partial(transport.send, target, Note(text))))
    net.run()


def check_exactly_once(net: Net, count: int) -> None:
    for name, reader in net.readers.items():
        expected = [(source, name, number) for source in net.nodes if source != name for number in range(count)]
        assert sorted(reader.texts) == sorted(expected)


@given(
    seed=st.integers(0, 2**32 - 1),
    loss=st.floats(0, 0.5),
    duplication=st.floats(0, 0.5),
    extra_delay=st.sampled_from([0, 1, 30, 500, 5000]),
    margin=st.sampled_from([1, 10, 1000]),
)
@settings(fixed, max_examples=40)
def test_every_message_arrives_exactly_once(
    seed: int, loss: float, duplication: float, extra_delay: int, margin: int
) -> None:
    net = Net("ABC", margin=margin, seed=seed)
    net.default = RandomFaultSession(net.random, loss, duplication, extra_delay)
    exchange(net, 50)
    check_exactly_once(net, 50)
    assert not net.env._queue, "nothing is sent any more"
    for transport in net.transports.values():
        assert not any(outbox._open for outbox in transport._outboxes.values())
        assert all((seen.watermark, seen.ahead) == (50, set()) for seen in transport._seen.values())


def test_the_same_faults_harm_a_transport_that_is_not_reliable() -> None:
    net = Net("ABC", reliable=False)
    net.default = RandomFaultSession(net.random, 0.3, 0.3, 500)
    exchange(net, 50)
    texts = net.readers["A"].texts
    assert len(set(texts)) < 100
    assert len(set(texts)) < len(texts)


def test_late_but_never_lost() -> None:
    net = Net()
    net.default = RandomFaultSession(net.random, extra_delay=100 * MARGIN)
    exchange(net, 300)
    check_exactly_once(net, 300)
    assert net.transports["A"].resent > 300
    texts = net.readers["B"].texts
    assert texts != sorted(texts), "order is not promised"


def test_the_letters_of_the_trace_are_the_copies_on_the_wire() -> None:
    net = Net()
    net.default = RandomFaultSession(net.random, duplication=1.0, extra_delay=500)
    exchange(net, 50)
    segments = [hop for hop in net.trace if hop.source == "A" and isinstance(hop.message, Segment)]
    acks = [hop for hop in net.trace if hop.source == "B" and isinstance(hop.message, Ack)]
    assert len(segments) == 2 * (50 + net.transports["A"].resent)
    assert len(acks) == 2 * len(segments)
    assert {hop.message.content.text for hop in segments} == set(net.readers["B"].texts)


def test_memory_does_not_grow_with_the_count() -> None:
    net = Net()
    net.default = RandomFaultSession(net.random, 0.3, 0.3, 20)
    most = 0
    for number in range(3000):
        net.transports["A"].send("B", Note(number))
        net.run(until=20 * number)
        most = max(most, len(net.transports["B"]._seen["A"].ahead), len(net.transports["A"]._outboxes["B"]._open))
    net.run()
    assert sorted(net.readers["B"].texts) == list(range(3000))
    assert 10 < most < 200
    assert net.transports["B"]._seen["A"].watermark == 3000


# To oneself


@pytest.mark.parametrize("reliable", [False, True])
@pytest.mark.parametrize("way", ["send", "send_unreliably"])
def test_a_message_to_oneself_arrives_at_once_by_an_event(reliable: bool, way: str) -> None:
    net = Net(reliable=reliable)
    net.default = RandomFaultSession(net.random, loss=1.0)
    net.env.advance(7)
    idle = net.env.events
    for number in range(3):
        getattr(net.transports["A"], way)("A", Note(number))
    assert net.readers["A"].got == [], "not within the sender's own action"
    net.env.advance(8)
    assert net.readers["A"].got == [(7, number) for number in range(3)]
    assert net.env.events == idle + 3
    assert net.trace == []
    assert net.asked == {}


def test_a_handler_can_send_to_its_own_node() -> None:
    net = Net()

    class Countdown(Layer):
        @on(Note)
        def take(self, message: Note) -> None:
            seen.append((net.env.now, message.text))
            if message.text:
                transport.send("D", Note(message.text - 1))

    seen: list[tuple[int, object]] = []
    node = NetworkNode(net.env, "D")
    transport = net.transport(node, MARGIN, True)
    node.install([transport, Countdown()], [Note, Segment, Ack])
    net.nodes["D"] = node
    net.transports["A"].send("D", Note(3))
    net.run()
    assert seen == [(DELAY, 3), (DELAY, 2), (DELAY, 1), (DELAY, 0)]
