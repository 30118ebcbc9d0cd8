"""Duplicates, late messages, and claims that come too early or for no request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from qkdrmp.network.layer import Message
from qkdrmp.qkd.family import QKDScenario
from qkdrmp.qkd.invariants import check_network, check_quiescent
from qkdrmp.qkd.keys.key_get import KeyRange
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.messages import (
    VOCABULARY,
    Accept,
    Acknowledge,
    Ciphertext,
    Claim,
    Confirm,
    Done,
    Refill,
    Reject,
    Request,
)
from qkdrmp.qkd.network import QKDNetwork
from qkdrmp.qkd.request import RejectReason, RequestStatus
from qkdrmp.simulation import simulate
from tests.qkd.helpers import (
    EMPTY,
    FULL,
    MIDDLE_EMPTY,
    US,
    ask,
    entry,
    inject,
    line,
    network_of,
    outcome,
    run,
    scenario,
    start,
    stream,
    table,
    trace,
)

NO_SLOT_AT_R2 = {"at": [{"node": "R2", "capacity": 0}]}
STAR = network_of(("Alice", "R", 1), ("R", "Bob", 2), ("R", "Carol", 2))

DELIVERED: dict[str, Callable[[], QKDScenario]] = {
    "direct": lambda: scenario(line(1), [ask()]),
    "one repeater": lambda: scenario(line(1, 2), [ask()]),
    "two repeaters, empty": lambda: scenario(line(1, 2, 3), [ask(), ask("Bob", "Alice", at_us=3)], pools=EMPTY),
    "two repeaters, full": lambda: scenario(line(1, 2, 3), [ask(), ask(at_us=400)], pools=FULL),
    "the middle one queues": lambda: scenario(line(1, 2, 3, 5), [ask(), ask(keys=60, at_us=9)], pools=MIDDLE_EMPTY),
    "access pools": lambda: scenario(line(1, 2, 3), [ask()], pools=EMPTY, access={"mode": "pool"}),
}
CANCELLED: dict[str, Callable[[], QKDScenario]] = {
    "queue full": lambda: scenario(line(1, 2, 3, 5), [ask()], pools=MIDDLE_EMPTY, queue=NO_SLOT_AT_R2),
    "expired": lambda: scenario(line(1, 2, 3), [ask(patience_us=67)], pools=EMPTY),
}
REFUSED: dict[str, Callable[[], QKDScenario]] = {
    "refused": lambda: scenario(line(1, 2, 3), [ask(keys=81)], pools=FULL),
    "peer busy": lambda: scenario(STAR, [ask("Carol", keys=200), ask(at_us=21)], demand={"concurrent": 1}),
    "wrong user": lambda: scenario(
        network_of(("Alice", "R1", 1), ("R1", "Carol", 2), ("Carol", "R2", 1), ("R2", "Bob", 1)),
        [ask()],
        routing={"policy": "through-end-nodes"},
    ),
}


@dataclass(frozen=True)
class Same:
    """The same happens to every message."""

    extra_delays: list[int]

    def session(self, source: str, target: str, random: np.random.Generator) -> "Same":
        return self

    def copies(self, message: Message) -> list[int]:
        return self.extra_delays


def twice(later_us: int) -> Same:
    """Every message comes in time, and once more later."""
    return Same([0, later_us * US])


def results(network: QKDNetwork) -> list[Any]:
    """Return how the requests ended, their keys, and the account of every pool."""
    ends = [(one.state, one.end, one.reason, one.rejected_by, one.alice_key) for one in network.ledger.entries]
    copies = [copy for each in network.streams for copy in (each.downstream, each.upstream)]
    return [ends, *(account(copy) for copy in copies), [copy.interrupts for copy in copies]]


def account(pool: KeyPool) -> dict[str, int]:
    return {"stored": pool.stored, "claimed": pool.claimed, "used": pool.used, "voided": pool.voided}


def late(network: QKDNetwork) -> int:
    return sum(stack.routing.late for stack in network.stacks.values())


def check_repeated(settings: QKDScenario, **faults: Any) -> None:
    plain, repeated = run(settings), run(settings, **faults)
    assert results(repeated) == results(plain)
    assert late(plain) < late(repeated)
    check_quiescent(repeated)


def send(network: QKDNetwork, to: str, message: Message) -> None:
    """Deliver a message out of the blue and let everything settle."""
    inject(network, to, message)
    network.env.advance(network.env.now + 1000 * US)
    check_network(network)


# Duplicates


@pytest.mark.parametrize("case", [*DELIVERED, *CANCELLED])
def test_doubling_every_message_changes_nothing(case: str) -> None:
    check_repeated({**DELIVERED, **CANCELLED}[case](), duplication=1.0)


@pytest.mark.parametrize("later_us", [1, 6, 14])
@pytest.mark.parametrize("case", [*DELIVERED, *CANCELLED])
def test_messages_that_come_again_while_the_request_lives_change_nothing(case: str, later_us: int) -> None:
    check_repeated({**DELIVERED, **CANCELLED}[case](), model=twice(later_us))


@pytest.mark.parametrize("case", REFUSED)
def test_doubling_every_message_changes_nothing_of_a_refusal(case: str) -> None:
    check_repeated(REFUSED[case](), duplication=1.0)


@pytest.mark.parametrize("case", REFUSED)
def test_a_doubled_refusal_still_ends_the_request_once(case: str) -> None:
    network = run(REFUSED[case](), duplication=1.0)
    assert results(network) == results(run(REFUSED[case]()))


@pytest.mark.parametrize("case", [*DELIVERED, *CANCELLED])
def test_messages_that_come_again_long_after_the_end_change_nothing(case: str) -> None:
    check_repeated({**DELIVERED, **CANCELLED}[case](), model=twice(2000))


# Late messages

LATE: list[tuple[str, Message]] = [
    ("R1", Accept(1, "R2", KeyRange(0, 10))),
    ("R1", Accept(1, "R2", None)),
    ("Alice", Accept(1, "R1", None)),
    ("R1", Claim(1, "R2", KeyRange(0, 10))),
    ("R2", Confirm(1, "R1")),
    ("Bob", Confirm(1, "R2")),
    ("R2", Ciphertext(1, "R1", 3)),
    ("Bob", Ciphertext(1, "R2", 3)),
    ("R2", Acknowledge(1, "R2")),
    ("R1", Acknowledge(1, "R1")),
    ("R2", Done(1)),
    ("Alice", Done(1)),
    ("R1", Reject(1, RejectReason.QUEUE_FULL, "R2")),
    ("Alice", Reject(1, RejectReason.QUEUE_FULL, "R2")),
    ("Bob", Reject(1, RejectReason.CANCELLED, "R2")),
]


@pytest.mark.parametrize("pools", [FULL, EMPTY], ids=["full", "empty"])
@pytest.mark.parametrize(("to", "message"), LATE, ids=lambda part: getattr(part, "__class__", str).__name__)
def test_a_message_for_a_request_that_is_over_is_dropped_and_counted(
    to: str, message: Message, pools: dict[str, Any]
) -> None:
    network = run(scenario(line(1, 2, 3), [ask()], pools=pools))
    before, sent, counted = results(network), network.messages, network.stacks[to].routing.late
    send(network, to, message)
    assert results(network) == before
    assert network.messages == sent
    assert network.stacks[to].routing.late == counted + 1
    check_quiescent(network)


@pytest.mark.parametrize("to", ["Bob", "R2", "R1"])
def test_a_late_request_is_dropped_and_counted(to: str) -> None:
    network = run(scenario(line(1, 2, 3), [ask()], pools=FULL))
    path = ("Alice", "R1", "R2", "Bob")
    before, sent = results(network), network.messages
    send(network, to, Request(entry(network).request, path[: path.index(to)]))
    assert results(network) == before
    assert network.messages == sent
    assert network.stacks[to].routing.late == 1
    check_quiescent(network)


def test_a_late_request_does_not_keep_the_receiver_busy_for_ever() -> None:
    network = start(scenario(line(1, 2), [ask(), ask(at_us=3000)], demand={"concurrent": 1}))
    network.env.advance(1000 * US)
    send(network, "Bob", Request(entry(network).request, ("Alice", "R")))
    network.env.advance(10_000 * US)
    assert outcome(network, 2)[0] == "delivered"


def test_a_late_refill_makes_no_keys_while_the_pool_serves() -> None:
    # By the rule "threshold" nothing is made above V_i = 20: 10 of 80 keys are used, 70 stay.
    network = start(scenario(line(1, 2, 3), [ask(at_us=2000)], pools={**EMPTY, "replenish": "threshold"}))
    network.env.advance(1000 * US)
    assert stream(network, "R1>R2").downstream.level == 80
    send(network, "R1", Refill("R2"))
    network.env.advance(10_000 * US)
    check_network(network)
    assert outcome(network)[0] == "delivered"
    assert stream(network, "R1>R2").downstream.level == 70
    assert stream(network, "R1>R2").downstream.stored == 80


def test_lost_messages_leave_a_request_unfinished() -> None:
    network = run(scenario(line(1, 2, 3), [ask()], pools=FULL), model=Same([]))
    assert outcome(network) == ("unfinished", None, None, None)
    assert [(hop.message.wire_name, hop.received) for hop in network.hops or ()] == [("REQUEST", None)]


# Messages for unknown requests


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("R1", Accept(99, "R2", None)),
        ("R1", Confirm(99, "Alice")),
        ("Bob", Ciphertext(99, "R2", 1)),
        ("R2", Acknowledge(99, "R2")),
        ("R1", Done(99)),
        ("R1", Reject(99, RejectReason.REFUSED, "R2")),
    ],
)
def test_a_message_for_an_unknown_request_is_dropped_and_counted(to: str, message: Message) -> None:
    network = run(scenario(line(1, 2, 3), [ask()], pools=FULL))
    before = results(network)
    send(network, to, message)
    assert results(network) == before
    assert network.stacks[to].routing.late == 1
    check_quiescent(network)


@pytest.mark.parametrize("kind", ["claim", "accept"])
def test_claimed_keys_of_an_unknown_request_are_voided(kind: str) -> None:
    network = run(scenario(line(1, 2, 3), [ask()], pools=FULL))
    keys = stream(network, "R1>R2")
    claimed = keys.downstream.claim(10)
    keys.downstream.void(claimed)
    send(network, "R1", Claim(99, "R2", claimed) if kind == "claim" else Accept(99, "R2", claimed))
    expected = {"stored": 80, "claimed": 0, "used": 10, "voided": 10}
    assert account(keys.upstream) == account(keys.downstream) == expected
    assert keys.upstream.level == 60
    check_quiescent(network)


# Claims that come before their keys


@pytest.mark.parametrize("at_us", [56, 61, 95])
def test_a_claim_waits_for_keys_that_are_not_stored_yet(at_us: int) -> None:
    # R1 stores the keys at 100, when the claim sent by R2 at 90 arrives as well; nothing is earlier or later for it.
    settings = scenario(line(1, 2, 3), [ask()], pools=EMPTY)
    network, plain = start(settings), run(settings)
    network.env.advance(at_us * US)
    inject(network, "R1", Claim(1, "R2", KeyRange(0, 10)))
    network.env.advance(10_000 * US)
    check_network(network)
    check_quiescent(network)
    assert trace(network) == trace(plain)
    assert results(network) == results(plain)


def test_an_accept_waits_for_the_keys_it_claims() -> None:
    # R1>R2 is filled at R2 at 90 and at R1 at 100. R2 serves at 91; its ACCEPT would reach R1 at 101, but comes at 95.
    network = start(scenario(line(1, 2, 3), [ask(at_us=46)], pools=EMPTY))
    network.env.advance(95 * US)
    inject(network, "R1", Accept(1, "R2", KeyRange(0, 10)))
    network.env.advance(10_000 * US)
    check_network(network)
    check_quiescent(network)
    assert [row for row in trace(network) if row[2] == "ACCEPT"] == table("""
        ACCEPT  Bob>R2>R1  76  91 101
        ACCEPT  R1>Alice  100 105
    """)
    assert outcome(network)[0] == "delivered"


def test_messages_that_overtake_each_other_do_no_harm() -> None:
    asked = [ask(at_us=at_us) for at_us in range(0, 400, 40)]
    for seed in range(10):
        network = run(scenario(line(1, 2, 3), asked, pools={"capacity": 40}), seed, extra_delay_s=30e-6)
        check_quiescent(network)
        assert {one.state for one in network.ledger.entries} == {RequestStatus.DELIVERED}


# The vocabulary


def test_the_messages_that_cross_wires() -> None:
    names = {message.__name__.upper() for message in VOCABULARY}
    assert names == {
        *("REQUEST", "ACCEPT", "CONFIRM", "CIPHERTEXT", "ACKNOWLEDGE", "DONE", "REJECT", "CLAIM", "REFILL"),
    }


@pytest.mark.parametrize("case", [*DELIVERED, *CANCELLED, *REFUSED])
def test_every_message_belongs_to_a_request_but_refill(case: str) -> None:
    network = run({**DELIVERED, **CANCELLED, **REFUSED}[case]())
    known: set[int] = {one.request.id for one in network.ledger.entries}
    hops: list[Any] = network.hops or []
    assert all((hop.message.request_id in known) != isinstance(hop.message, Refill) for hop in hops)


def test_messages_of_several_repeaters_can_be_told_apart_in_the_table() -> None:
    messages = simulate(scenario(line(1, 2, 3), [ask()], pools=FULL), record=["messages"]).messages
    said = {name: set(rows["detail"]) for name, rows in messages.groupby("message", observed=True)}
    assert said["CIPHERTEXT"] == said["CONFIRM"] == {"from R1", "from R2"}
    assert said["ACKNOWLEDGE"] == {"to R1", "to R2"}
