"""Queue policies: the order they give, and what it changes in a run."""

from collections.abc import Sequence
from typing import Any

import pytest

from qkdrmp.errors import QKDRMPError, ScenarioError
from qkdrmp.qkd.layers.queue_policies import QUEUE_POLICIES
from qkdrmp.qkd.messages import Claim
from qkdrmp.qkd.request import KeyRequest
from tests.qkd.helpers import ask, line, run, scenario


def waiting(number: int, **more: Any) -> KeyRequest:
    facts: dict[str, Any] = {"keys": 1, "key_bits": 8, "priority": 0, "start": 0, "deadline": None, "patience": None}
    return KeyRequest(id=number, src="Alice", dst="Bob", route=("Alice", "R", "Bob"), **{**facts, **more})


def order(policy: str, *requests: KeyRequest) -> list[int]:
    return [request.id for request in QUEUE_POLICIES[policy](list(requests), 0)]


def test_there_are_four_policies() -> None:
    assert set(QUEUE_POLICIES) == {"fcfs", "smallest-first", "priority", "earliest-deadline"}


def test_fcfs_keeps_the_order_of_arrival_in_the_queue() -> None:
    assert order("fcfs", waiting(3), waiting(1, priority=9), waiting(2, keys=5, start=7)) == [3, 1, 2]


def test_smallest_first_goes_by_bits_not_by_keys() -> None:
    assert order("smallest-first", waiting(1, keys=3), waiting(2, key_bits=16), waiting(3, keys=1)) == [3, 2, 1]


def test_the_higher_priority_comes_first() -> None:
    assert order("priority", waiting(1, priority=-1), waiting(2), waiting(3, priority=5)) == [3, 2, 1]


def test_the_earliest_deadline_comes_first_and_none_comes_last() -> None:
    requests = waiting(1), waiting(2, deadline=70), waiting(3, deadline=0), waiting(4, deadline=50, patience=1)
    assert order("earliest-deadline", *requests) == [3, 4, 2, 1]


@pytest.mark.parametrize("policy", QUEUE_POLICIES)
def test_equal_requests_keep_their_order(policy: str) -> None:
    assert order(policy, *(waiting(number) for number in (4, 2, 9, 1))) == [4, 2, 9, 1]


# In a run: four requests queue at R2 and are served when the pool recovers at 420 us

FOUR = [
    ask(keys=12, priority=1, deadline_us=5000),
    ask(keys=8, at_us=1),
    ask(keys=10, at_us=2, priority=7, deadline_us=9000),
    ask(keys=14, at_us=3, priority=7, deadline_us=4000),
]


def claimed_order(policy: Any, capacity: int = 80, asked: list[Any] = FOUR, replenish: str = "demand") -> list[int]:
    """Return the requests in the order in which R2 serves them; with 5 us a key all have queued before."""
    rate = {"model": "constant", "rate_bps": 1.6e6}
    pools = {"capacity": capacity, "replenish": replenish}
    network = run(scenario(line(1, 2, 3), asked, pools=pools, key_rate=rate, queue={"policy": policy}))
    return [hop.message.request_id for hop in network.hops or () if isinstance(hop.message, Claim)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("fcfs", [1, 2, 3, 4]),
        ("smallest-first", [2, 3, 1, 4]),
        ("priority", [3, 4, 1, 2]),
        ("earliest-deadline", [4, 1, 3, 2]),
    ],
)
def test_requests_are_served_in_the_order_of_the_policy(policy: str, expected: list[int]) -> None:
    assert claimed_order(policy) == expected


def test_requests_that_must_wait_for_another_refill_keep_their_order() -> None:
    # V_m 20, V_i 5: 12 leave 8, 8 leave 0; refilled, 10 leave 10, too few for 14.
    assert claimed_order("fcfs", 20) == [1, 2, 3, 4]
    # V_m 16, V_i 4: 14 leave 2; 10 leave 6; 8 leave 8, too few for 12.
    assert claimed_order(last_first, 16) == [4, 3, 2, 1]


def test_a_blocked_request_is_passed_over_but_stays_ahead_of_later_ones() -> None:
    # V_m 20, V_i 5: 12 leave 8, too few for 10 but enough for 8. Refilled: 10 before 9.
    asked = [ask(keys=12), ask(keys=10, at_us=1), ask(keys=8, at_us=2), ask(keys=9, at_us=3)]
    assert claimed_order("fcfs", 20, asked, "threshold") == [1, 3, 2, 4]
    # The demand of the blocked one starts a refill, but only after all that can be served has been.
    assert claimed_order("fcfs", 20, asked, "demand") == [1, 3, 2, 4]


def test_a_policy_at_one_node_leaves_the_others_as_they_are() -> None:
    at_r2 = {"policy": "fcfs", "at": [{"node": "R2", "policy": "smallest-first"}]}
    at_r1 = {"policy": "fcfs", "at": [{"node": "R1", "policy": "smallest-first"}]}
    for queue, expected in ((at_r2, [2, 3, 1, 4]), (at_r1, [1, 2, 3, 4])):
        network = run(scenario(line(1, 2, 3), FOUR, pools={"capacity": 80}, queue=queue))
        assert [hop.message.request_id for hop in network.hops or () if isinstance(hop.message, Claim)] == expected


# Policies of your own


def last_first(requests: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    return list(reversed(requests))


def drops_one(requests: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    return requests[1:]


def repeats_one(requests: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    return [*requests, requests[0]]


def replaces_one(requests: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    return [waiting(77), *requests[1:]]


def forgets_to_return(requests: Sequence[KeyRequest], now: int) -> Any:
    sorted(requests, key=lambda request: request.keys)


def test_a_function_may_be_the_policy() -> None:
    assert claimed_order(last_first) == [4, 3, 2, 1]


def test_a_policy_is_given_the_tick_and_the_requests_in_the_order_they_queued() -> None:
    seen = []

    def spy(requests: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
        seen.append(([request.id for request in requests], now))
        return requests

    assert claimed_order(spy) == [1, 2, 3, 4]
    assert seen == [([1, 2, 3, 4], 420 * 10**6)]


def test_a_policy_that_changes_its_list_does_not_change_the_queue() -> None:
    def empties(requests: list[KeyRequest], now: int) -> Sequence[KeyRequest]:
        kept = list(requests)
        requests.clear()
        return kept

    assert claimed_order(empties) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "policy",
    [
        drops_one,
        repeats_one,
        replaces_one,
        forgets_to_return,
    ],
)
def test_a_policy_that_drops_or_invents_requests_is_named_in_the_error(policy: Any) -> None:
    with pytest.raises(QKDRMPError, match=f"queue policy {policy.__name__} must return every waiting request exactly"):
        claimed_order(policy)


def test_an_unknown_policy_is_refused_with_a_hint() -> None:
    with pytest.raises(ScenarioError, match="did you mean 'priority'"):
        claimed_order("prority")
