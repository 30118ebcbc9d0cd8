from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdrmp.kernel.environment import Environment
from qkdrmp.network.channel import Channel, FaultyChannel, Transmission
from qkdrmp.network.faults import RandomFaults, RandomFaultSession
from qkdrmp.network.layer import Layer, Message, on
from qkdrmp.network.node import NetworkNode


@dataclass(frozen=True, slots=True)
class Note(Message):
    text: object


class Reader(Layer):
    def __init__(self, node: NetworkNode) -> None:
        self.node = node
        self.got: list[tuple[int, object]] = []

    @on(Note)
    def take(self, message: Note) -> None:
        self.got.append((self.node.env.now, message.text))


@pytest.fixture
def env() -> Environment:
    return Environment()


@pytest.fixture
def reader(env: Environment) -> Reader:
    node = NetworkNode(env, "B")
    reader = Reader(node)
    node.install([reader], [Note])
    return reader


def at(env: Environment, tick: int, action):
    yield env.timeout(tick)
    action()


def test_a_message_arrives_after_the_delay(env: Environment, reader: Reader) -> None:
    channel = reader.node.listen(Channel(env, "A", "B", 50))
    env.process(at(env, 7, lambda: channel.put(Note("hello"))))
    env.advance(57)
    assert reader.got == []
    env.advance(58)
    assert reader.got == [(57, "hello")]
    assert channel.sent == 1


def test_no_delay_is_no_delay(env: Environment, reader: Reader) -> None:
    reader.node.listen(Channel(env, "A", "B", 0)).put(Note("now"))
    env.advance(1)
    assert reader.got == [(0, "now")]


def test_first_in_first_out_within_one_instant(env: Environment, reader: Reader) -> None:
    channel = reader.node.listen(Channel(env, "A", "B", 50))
    for number in range(100):
        channel.put(Note(number))
    env.advance(51)
    assert reader.got == [(50, number) for number in range(100)]


def test_first_sent_first_read_among_channels_that_end_at_the_same_instant(env: Environment, reader: Reader) -> None:
    short, long = (reader.node.listen(Channel(env, name, "B", delay)) for name, delay in (("A", 10), ("C", 30)))
    long.put(Note("long"))
    env.process(at(env, 20, lambda: [short.put(Note("short 1")), short.put(Note("short 2"))]))
    env.advance(31)
    assert reader.got == [(30, "long"), (30, "short 1"), (30, "short 2")]


def test_messages_wait_for_a_reader(env: Environment) -> None:
    channel = Channel(env, "A", "B", 5)
    channel.put(Note("early"))
    env.advance(10)
    assert channel.items == [Note("early")]
    got = channel.get()
    env.advance(11)
    assert got.value == Note("early")


def test_a_message_costs_one_event(env: Environment, reader: Reader) -> None:
    channel = reader.node.listen(Channel(env, "A", "B", 50))
    env.advance(1)
    idle = env.events
    for number in range(1, 11):
        channel.put(Note(number))
        env.advance(env.now + 100)
        assert env.events == idle + number


def test_messages_of_one_instant_cost_no_more(env: Environment, reader: Reader) -> None:
    channel = reader.node.listen(Channel(env, "A", "B", 50))
    env.advance(1)
    idle = env.events
    for number in range(10):
        channel.put(Note(number))
    env.advance(100)
    assert len(reader.got) == 10
    assert env.events == idle + 10


def test_the_trace_says_what_was_sent_when(env: Environment, reader: Reader) -> None:
    trace: list[Transmission] = []
    channel = reader.node.listen(Channel(env, "A", "B", 50, trace))
    env.process(at(env, 7, lambda: channel.put(Note("x"))))
    env.advance(20)
    assert trace == [Transmission(Note("x"), "A", "B", 7, 57)]


# Plain SimPy


def test_a_channel_is_used_like_any_store(env: Environment) -> None:
    channel, got = Channel(env, "A", "B", 5), list[tuple[int, object]]()

    def sender():
        for text in ("one", "two"):
            yield channel.put(text)
            got.append((env.now, "sent"))
        yield env.timeout(20)
        yield channel.put("three")

    def receiver():
        while True:
            message = yield channel.get()
            got.append((env.now, message))

    env.process(sender())
    env.process(receiver())
    env.advance(100)
    assert isinstance(channel, simpy.Store)
    assert got == [(0, "sent"), (0, "sent"), (5, "one"), (5, "two"), (25, "three")]


def test_to_yield_a_put_costs_no_event(env: Environment) -> None:
    channel = Channel(env, "A", "B", 5)

    def sender():
        for number in range(10):
            yield channel.put(number)

    env.process(sender())
    env.advance(100)
    assert env.events == 2 + 10  # start and end of the process, and the messages
    assert channel.items == list(range(10))


def test_a_get_may_be_cancelled_or_lose_a_race(env: Environment) -> None:
    channel, seen = Channel(env, "A", "B", 50), list[object]()

    def receiver():
        get = channel.get()
        late = env.timeout(10)
        result = yield get | late
        seen.append(get in result)
        get.cancel()
        seen.append((yield channel.get()))

    env.process(receiver())
    channel.put("message")
    env.advance(100)
    assert seen == [False, "message"]


def test_puts_and_gets_are_context_managers(env: Environment) -> None:
    channel, seen = Channel(env, "A", "B", 5), list[object]()

    def sender():
        with channel.put("message") as put:
            yield put
        seen.append(env.now)

    def receiver():
        with channel.get() as get:
            seen.append((yield get))
        with channel.get() as get:
            yield get | env.timeout(10)

    env.process(receiver())
    env.process(sender())
    env.advance(100)
    assert seen == [0, "message"]
    assert channel.get_queue == []


def test_an_interrupt_leaves_the_message_to_the_next_get(env: Environment) -> None:
    channel, seen = Channel(env, "A", "B", 50), list[object]()

    def receiver():
        try:
            with channel.get() as get:
                seen.append((yield get))
        except simpy.Interrupt:
            seen.append("interrupted")

    process = env.process(receiver())
    channel.put("message")
    env.advance(10)
    process.interrupt()
    env.advance(20)
    env.process(receiver())
    env.advance(100)
    assert seen == ["interrupted", "message"]


def test_a_put_and_a_get_are_joined_to_other_events(env: Environment) -> None:
    channel, seen = Channel(env, "A", "B", 5), list[object]()

    def ping():
        result = yield channel.put("one") & env.timeout(20, "later")
        seen.append((env.now, list(result.values())))
        result = yield channel.get() & env.timeout(1, "soon")
        seen.append((env.now, list(result.values())))

    env.process(ping())
    env.advance(100)
    assert seen == [(20, [None, "later"]), (21, ["one", "soon"])]


def test_a_delay_is_not_negative(env: Environment) -> None:
    with pytest.raises(ValueError, match="delay = -1 must be at least 0"):
        Channel(env, "A", "B", -1)


class DelayedStore(simpy.Store):
    """A channel of SimPy's own parts only."""

    def send(self, env: simpy.Environment, delay: int, message: object) -> None:
        env.timeout(delay, message).callbacks.append(lambda event: self.put(event.value))


Script = list[tuple[int, str, int]]
scripts = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["send", "wait", "give up"]), st.integers(0, 9)))


def received(env: simpy.Environment, script: Script, send: Callable[[object], object], store: simpy.Store) -> object:
    """Carry out a script at even ticks; return which get had which message when, and what is left."""
    seen: dict[int, tuple[float, list[object]]] = {}

    def receiver(number: int, patience: int | None):
        with store.get() as get:
            result = yield get | (env.event() if patience is None else env.timeout(2 * patience + 1))
            seen[number] = env.now, list(result.values())

    def go():
        for number, (pause, what, patience) in enumerate(script):
            yield env.timeout(2 * pause)
            if what == "send":
                send(number)
            else:
                env.process(receiver(number, patience if what == "give up" else None))

    env.process(go())
    env.run()
    return seen, list(store.items)


@settings(derandomize=True, deadline=None, database=None, max_examples=300)
@given(scripts, st.integers(0, 6))
def test_a_channel_does_what_a_store_behind_a_timeout_does(script: Script, half_delay: int) -> None:
    env, plain_env = simpy.Environment(), simpy.Environment()
    channel, plain = Channel(env, "A", "B", 2 * half_delay), DelayedStore(plain_env)
    expected = received(plain_env, script, lambda text: plain.send(plain_env, 2 * half_delay, text), plain)
    assert received(env, script, channel.put, channel) == expected


def test_gets_come_before_the_subscriber(env: Environment, reader: Reader) -> None:
    channel = Channel(env, "A", "B", 5)
    channel.put(Note("kept"))
    env.advance(6)
    reader.node.listen(channel)
    got = channel.get()
    channel.put(Note("got"))
    channel.put(Note("read"))
    env.advance(20)
    assert got.value == Note("got")
    assert reader.got == [(6, "kept"), (11, "read")]


# Faults


def faulty(env: Environment, reader: Reader, **faults: float) -> FaultyChannel:
    channel = reader.node.listen(FaultyChannel(env, "A", "B", 50))
    channel.faults = RandomFaultSession(np.random.default_rng(1), **faults)  # type: ignore[arg-type]
    return channel


def sent_and_got(env: Environment, reader: Reader, count: int, **faults: float) -> list[tuple[int, object]]:
    channel = faulty(env, reader, **faults)
    for number in range(count):
        channel.put(Note(number))
    env.advance(10**9)
    assert channel.sent == count
    return reader.got


def test_no_faults_are_a_plain_channel(env: Environment, reader: Reader) -> None:
    assert sent_and_got(env, reader, 20) == [(50, number) for number in range(20)]


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.5, 1.0])
def test_the_share_of_lost_messages(env: Environment, reader: Reader, loss: float) -> None:
    count = 10_000
    got = len(sent_and_got(env, reader, count, loss=loss))
    error = (loss * (1 - loss) / count) ** 0.5
    assert got / count == pytest.approx(1 - loss, abs=4 * error)


@pytest.mark.parametrize("duplication", [0.0, 0.2, 1.0])
def test_the_share_of_duplicated_messages(env: Environment, reader: Reader, duplication: float) -> None:
    count = 10_000
    got = [number for _, number in sent_and_got(env, reader, count, duplication=duplication)]
    duplicated = len(got) - len(set(got))
    error = (duplication * (1 - duplication) / count) ** 0.5
    assert duplicated / count == pytest.approx(duplication, abs=4 * error)
    assert set(got) == set(range(count))


def test_loss_comes_before_duplication(env: Environment, reader: Reader) -> None:
    got = len(sent_and_got(env, reader, 10_000, loss=0.3, duplication=0.5))
    each = 0.7 * 1.5
    variance = 0.7 * (0.5 * 1 + 0.5 * 4) - each**2
    assert got / 10_000 == pytest.approx(each, abs=4 * (variance / 10_000) ** 0.5)


def test_extra_delays_are_uniform_and_copies_independent(env: Environment, reader: Reader) -> None:
    got = sent_and_got(env, reader, 10_000, duplication=1.0, extra_delay=9)
    late = np.array([tick - 50 for tick, _ in got])
    assert sorted(set(late.tolist())) == list(range(10))
    counts = np.bincount(late)
    assert np.all(np.abs(counts - 2000) < 4 * np.sqrt(20_000 * 0.1 * 0.9))
    together = 20_000 - len(set(got))
    assert together / 10_000 == pytest.approx(0.1, abs=4 * 0.3 / 100)


def test_lost_messages_and_all_copies_are_traced(env: Environment, reader: Reader) -> None:
    channel = faulty(env, reader)
    channel.trace = []
    for loss, duplication in ((1.0, 0.0), (0.0, 1.0)):
        channel.faults = RandomFaultSession(np.random.default_rng(1), loss, duplication)
        channel.put(Note(duplication))
    assert channel.trace == [
        Transmission(Note(0.0), "A", "B", 0, None),
        Transmission(Note(1.0), "A", "B", 0, 50),
        Transmission(Note(1.0), "A", "B", 0, 50),
    ]


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"loss": -0.1}, "loss = -0.1 must be at least 0 and less than 1"),
        ({"loss": 1.0}, "loss = 1.0 must be at least 0 and less than 1"),
        ({"loss": float("nan")}, "loss = nan must be at least 0 and less than 1"),
        ({"duplication": 1.5}, "duplication = 1.5 must be from 0 to 1"),
        ({"extra_delay_s": -1.0}, "extra_delay_s = -1.0 must be at least 0 and finite"),
        ({"extra_delay_s": float("inf")}, "extra_delay_s = inf must be at least 0 and finite"),
    ],
)
def test_wrong_faults_are_refused(faults: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomFaults(**faults)
