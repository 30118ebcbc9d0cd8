"""Requests from start to end: sizes, limits, rejections, settings with exceptions, refilling, and the tables."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdrmp.errors import QKDRMPError, ScenarioError
from qkdrmp.family import Results
from qkdrmp.key_rates.constant import Constant
from qkdrmp.key_rates.model import Fibre
from qkdrmp.qkd import metrics, tables
from qkdrmp.qkd.family import QKD, QKDScenario, StuckPoolWarning
from qkdrmp.qkd.invariants import check_quiescent
from qkdrmp.qkd.messages import Accept, Claim
from qkdrmp.qkd.network import QKDNetwork
from qkdrmp.qkd.request import RejectReason, RequestStatus
from qkdrmp.simulation import simulate
from tests.qkd.helpers import (
    EMPTY,
    FULL,
    MIDDLE_EMPTY,
    US,
    Instant,
    ask,
    entry,
    key_times,
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

TWO = line(1, 2, 3)
STAR = network_of(("Alice", "R", 1), ("R", "Bob", 2), ("R", "Carol", 2), ("R", "Dave", 3))


def ends(network: QKDNetwork) -> list[float | None]:
    return [outcome(network, one.request.id)[3] for one in network.ledger.entries]


def arrivals_of(network: QKDNetwork, message: str) -> list[float]:
    return [row[1] / US for row in trace(network) if row[2] == message]


# Key lengths


@pytest.mark.parametrize(
    ("keys", "key_bits", "pool_bits", "taken", "excess"),
    [
        (10, 32, 32, 10, 0),
        (3, 10, 8, 4, 2),
        (1, 1, 8, 1, 7),
        (1, 256, 32, 8, 0),
        (1, 257, 32, 9, 31),
        (7, 5, 100, 1, 65),
        (2, 7, 3, 5, 1),
        (4, 8, 1, 32, 0),
    ],
)
@pytest.mark.parametrize("mode", ["per-request", "pool"])
def test_a_request_takes_whole_pool_keys_and_gets_its_bits(
    mode: str, keys: int, key_bits: int, pool_bits: int, taken: int, excess: int
) -> None:
    pools = {**FULL, "key_length_bits": pool_bits}
    network = run(scenario(TWO, [ask(keys=keys, key_bits=key_bits)], pools=pools, access={"mode": mode}))
    on_path = ["R1>R2"] if mode == "per-request" else ["Alice>R1", "R1>R2", "R2>Bob"]
    for each in network.streams:
        expected = (taken, excess) if each.name in on_path else (0, 0)
        assert (each.downstream.used, each.downstream.excess_bits) == expected
        assert each.upstream.used == expected[0]
    alice, bob = entry(network).alice_key, entry(network).bob_key
    assert alice is not None
    assert alice == bob
    assert alice.bit_length() <= keys * key_bits
    check_quiescent(network)


@pytest.mark.parametrize("mode", ["per-request", "pool"])
def test_every_bit_of_the_keys_is_random(mode: str) -> None:
    # 3 keys of 3 bits out of pool keys of 4: over 60 requests each of the 9 bits is 0 at times and 1 at times.
    asked = [ask(keys=3, key_bits=3, at_us=100 * number) for number in range(60)]
    network = run(scenario(TWO, asked, pools={**FULL, "key_length_bits": 4}, access={"mode": mode}))
    keys = [one.alice_key for one in network.ledger.entries if one.alice_key is not None]
    assert len(keys) == 60
    for bit in range(9):
        assert 10 < sum(key >> bit & 1 for key in keys) < 50
    assert max(keys) < 2**9


def test_a_pool_is_asked_for_pool_keys_not_for_request_keys() -> None:
    # 10 keys of 65 bits take 82 keys of 8 bits, more than the 80 there can be; 10 keys of 64 bits take exactly 80.
    assert outcome(run(scenario(TWO, [ask(key_bits=65)], pools=FULL)))[1:3] == ("refused", "R1")
    assert outcome(run(scenario(TWO, [ask(key_bits=64)], pools=FULL)))[0] == "delivered"


def test_no_pool_key_is_claimed_for_two_requests() -> None:
    asked = [ask(*pair, keys=7, at_us=13 * i) for i in range(20) for pair in (("Alice", "Bob"), ("Bob", "Alice"))]
    network = run(scenario(TWO, asked, pools={"capacity": 20}, queue={"capacity": 3}, access={"mode": "pool"}))
    claimed: Counter[tuple[str, int]] = Counter()
    for hop in network.hops or ():
        message = hop.message
        keys = message.claim if isinstance(message, Accept) else message.keys if isinstance(message, Claim) else None
        if keys is not None:
            claimed.update((f"{hop.target}>{hop.source}", keys.first + i) for i in range(keys.count))
    assert claimed
    assert set(claimed.values()) == {1}
    assert {one.state for one in network.ledger.entries} == {RequestStatus.DELIVERED, RequestStatus.REJECTED}
    check_quiescent(network)


def test_excess_bits_are_those_of_delivered_requests() -> None:
    # The second request is served at R3 and then cancelled by R2: its 4 keys are voided, not used with an excess.
    pools = {"capacity": 40, "initial": 40, "at": [{"link": ["R1", "R2"], "initial": 0}]}
    settings = scenario(
        line(1, 2, 3, 5),
        [ask(keys=3, key_bits=10, at_us=1000), ask(keys=3, key_bits=10)],
        pools=pools,
        queue={"at": [{"node": "R2", "capacity": 0}]},
        key_rate={"model": Instant, "rate_bps": 1e6},
    )
    network = run(settings)
    assert [str(one.state) for one in network.ledger.entries] == ["rejected", "delivered"]
    keys = stream(network, "R2>R3")
    assert (keys.downstream.used, keys.downstream.voided, keys.downstream.excess_bits) == (4, 4, 2)


# Deadlines and patience


@pytest.mark.parametrize(
    ("limits", "end"),
    [
        ({"patience_us": 50}, 75),
        ({"deadline_us": 60}, 75),
        ({"patience_us": 50, "deadline_us": 5000}, 75),
        ({"patience_us": 5000, "deadline_us": 60}, 75),
        ({"deadline_us": 5}, 70),
        ({"patience_us": 1}, 70),
    ],
)
def test_the_earlier_of_deadline_and_patience_counts(limits: dict[str, Any], end: float) -> None:
    # Asked at 10, R2 queues at 55 and would serve at 90. Both limits are at 60, or have passed when R2 queues.
    network = run(scenario(TWO, [ask(at_us=10, **limits)], pools=EMPTY))
    assert outcome(network) == ("rejected", "expired", "R2", end)
    check_quiescent(network)


def test_a_request_served_in_time_is_delivered_after_its_deadline() -> None:
    # Served at both repeaters at 75; Alice has finished at 125 (see the traces).
    # That it is late is said; one with more patience is not, and neither is one without a deadline.
    asked = [ask(deadline_us=80), ask(at_us=1000, patience_us=125), ask(at_us=2000)]
    results = simulate(scenario(TWO, asked, pools={"capacity": 80, "initial": 80}))
    assert results.requests["state"].to_list() == ["delivered"] * 3
    assert results.requests["delivery_s"].iloc[0] == pytest.approx(125e-6)
    assert results.requests["late"].to_list() == [True, False, False]
    assert results.summary["requests_late"] == 1


def test_the_deadline_of_a_request_is_in_its_table_row() -> None:
    found = tables.tables(run(scenario(TWO, [ask(deadline_us=80, priority=4), ask()], pools=FULL)))["requests"]
    assert found["deadline_s"].tolist()[0] == pytest.approx(80e-6)
    assert pd.isna(found["deadline_s"].tolist()[1])
    assert found["priority"].tolist() == [4, 0]


SLOW_FIRST_LINK = {
    **{"model": Instant, "rate_bps": 8e6},
    "at": [{"link": ["Alice", "R1"], "rate_bps": 8e4}],
}
"""10 keys take 1000 us on Alice-R1."""


def test_a_request_that_waits_for_keys_of_its_access_link_expires() -> None:
    network = run(scenario(TWO, [ask(patience_us=300)], pools=FULL, key_rate=SLOW_FIRST_LINK))
    assert outcome(network) == ("rejected", "expired", "R1", 305)
    check_quiescent(network)


def test_so_does_one_whose_claim_came_later() -> None:
    # The only difference: the pool is filled at 90, and R1 has its claim at 100 instead of 55.
    network = run(scenario(TWO, [ask(patience_us=300)], pools=EMPTY, key_rate=SLOW_FIRST_LINK))
    assert outcome(network) == ("rejected", "expired", "R1", 305)


# Rejections: every reason, by whom

APART = network_of(("Alice", "R1", 1), ("Bob", "R2", 1))
BUSY_CAROL = [ask("Carol", keys=500), ask(at_us=50)]
REJECTIONS: dict[str, tuple[Any, list[dict[str, Any]], dict[str, Any], int, str]] = {
    "no_route": (APART, [ask()], {}, 1, "Alice"),
    "refused": (TWO, [ask(keys=81)], {"pools": EMPTY}, 1, "R1"),
    "peer_busy": (STAR, BUSY_CAROL, {"demand": {"concurrent": 1}}, 2, "Bob"),
    "user_busy": (STAR, [ask(), ask(dst="Carol", at_us=1)], {"demand": {"concurrent": 1}}, 2, "Alice"),
    "queue_full": (TWO, [ask()], {"pools": EMPTY, "queue": {"capacity": 0}}, 1, "R2"),
    "expired": (TWO, [ask(patience_us=60)], {"pools": EMPTY}, 1, "R2"),
}


def test_every_reason_is_covered() -> None:
    assert set(REJECTIONS) == {str(reason) for reason in RejectReason} - {"cancelled"}


@pytest.mark.parametrize("reason", REJECTIONS)
def test_a_rejection_names_its_reason_and_node_in_all_tables(reason: str) -> None:
    topology, asked, sections, number, by = REJECTIONS[reason]
    network = run(scenario(topology, asked, **sections))
    assert outcome(network, number)[:3] == ("rejected", reason, by)
    made = tables.tables(network)
    row = made["requests"].set_index("id").loc[number]
    assert (row["state"], row["reason"], row["rejected_by"]) == ("rejected", reason, by)
    nodes = made["nodes"].set_index("node")
    assert nodes.loc[by, f"rejected_{reason}"] == 1
    counts = nodes[[column for column in nodes.columns if column.startswith("rejected_")]]
    assert counts.to_numpy().sum() == 1
    assert metrics.summary(network, 0)[f"rejected_{reason}"] == 1
    check_quiescent(network)


def test_a_queue_of_one_takes_one() -> None:
    network = run(scenario(TWO, [ask(), ask(at_us=1)], pools=EMPTY, queue={"capacity": 1}))
    assert outcome(network, 1)[0] == "delivered"
    assert outcome(network, 2)[1:3] == ("queue_full", "R2")


def test_requests_that_await_their_claim_take_no_slot() -> None:
    # All three wait at R1 for claims from R2, which has the slots.
    queue = {"capacity": 3, "at": [{"node": "R1", "capacity": 0}]}
    network = run(scenario(TWO, [ask(), ask(at_us=1), ask(at_us=2)], pools=EMPTY, queue=queue))
    assert {one.state for one in network.ledger.entries} == {RequestStatus.DELIVERED}


def test_a_request_whose_claim_finds_the_queue_full_is_rejected_then() -> None:
    # Four nodes: R3 serves at 130 (R2>R3 is filled from 15 to 95 at R3; asked at 80). R2 has no slot and its pool,
    # slower, is not ready: it rejects when the CLAIM comes.
    rate = {"model": Instant, "rate_bps": 8e6, "at": [{"link": ["R1", "R2"], "rate_bps": 8e4}]}
    queue = {"at": [{"node": "R2", "capacity": 0}]}
    network = run(scenario(line(1, 2, 3, 5), [ask()], pools=EMPTY, key_rate=rate, queue=queue, duration_s=0.1))
    # ACCEPT at R3 at 80, which queues until 95; CLAIM at R2 at 110; REJECT at R1 at 120, at Alice at 125.
    assert [row for row in trace(network) if row[2] in ("CLAIM", "REJECT")] == table("""
        CLAIM   R3>R2        95 110
        REJECT  R2>R1>Alice 110 120 125
        REJECT  R2>R3>Bob   110 125 150
    """)
    assert outcome(network) == ("rejected", "queue_full", "R2", 125)
    keys = stream(network, "R2>R3")
    assert (keys.upstream.voided, keys.downstream.voided) == (10, 10)
    check_quiescent(network)


def test_keys_of_cancelled_requests_are_counted_by_cause_by_link_and_by_pair() -> None:
    # As above: 10 keys of R2>R3 are chosen at R3 and discarded; a later request of Bob finds all it needs.
    rate = {"model": Instant, "rate_bps": 8e6, "at": [{"link": ["R1", "R2"], "rate_bps": 8e4}]}
    queue = {"at": [{"node": "R2", "capacity": 0}]}
    asked = [ask(), ask("Bob", "Alice", keys=4, at_us=90_000)]
    found = simulate(scenario(line(1, 2, 3, 5), asked, pools=EMPTY, key_rate=rate, queue=queue, duration_s=0.1))
    lost = found.pools.set_index("stream").loc["R2>R3"]
    causes = {name: lost[name] for name in ("voided", "voided_queue_full", "voided_expired", "voided_other")}
    assert causes == {"voided": 10, "voided_queue_full": 10, "voided_expired": 0, "voided_other": 0}
    pairs = found.pairs.set_index(["src", "dst"])
    assert pairs.loc[("Alice", "Bob"), ["rejected", "pool_keys_used", "pool_keys_voided"]].to_list() == [1, 0, 10]
    assert pairs.loc[("Bob", "Alice"), ["delivered", "pool_keys_used", "pool_keys_voided"]].to_list() == [1, 8, 0]
    assert found.summary[["pool_keys_used", "pool_keys_voided"]].to_list() == [8, 10]


# How many requests a user may have


@pytest.mark.parametrize(("limit", "delivered"), [(1, 1), (2, 2), (3, 3), (None, 3)])
def test_a_sender_may_have_so_many_requests(limit: int | None, delivered: int) -> None:
    asked = [ask(dst=dst) for dst in ("Bob", "Carol", "Dave")]
    network = run(scenario(STAR, asked, demand={"concurrent": limit} if limit else {}))
    assert [one.state for one in network.ledger.entries].count(RequestStatus.DELIVERED) == delivered
    busy = [one.reason for one in network.ledger.entries if one.state is RequestStatus.REJECTED]
    assert busy == [RejectReason.USER_BUSY] * (3 - delivered)


@pytest.mark.parametrize(("limit", "delivered"), [(1, 1), (2, 2), (3, 3), (None, 3)])
def test_a_receiver_may_have_so_many_requests(limit: int | None, delivered: int) -> None:
    asked = [ask(src) for src in ("Alice", "Carol", "Dave")]
    network = run(scenario(STAR, asked, demand={"concurrent": limit} if limit else {}))
    assert [one.state for one in network.ledger.entries].count(RequestStatus.DELIVERED) == delivered
    busy = [one.reason for one in network.ledger.entries if one.state is RequestStatus.REJECTED]
    assert busy == [RejectReason.PEER_BUSY] * (3 - delivered)


def test_a_receiver_counts_as_busy_with_its_own_requests() -> None:
    # Bob takes part in Alice's request from 15 on.
    asked = [ask(), ask("Bob", "Carol", at_us=14), ask("Bob", "Carol", at_us=16)]
    network = run(scenario(STAR, asked[::2], demand={"concurrent": 1}))
    assert outcome(network, 2) == ("rejected", "user_busy", "Bob", 16)
    network = run(scenario(STAR, asked[:2], demand={"concurrent": 1}))
    assert outcome(network, 1)[1:3] == ("peer_busy", "Bob")
    assert outcome(network, 2)[0] == "delivered"


@pytest.mark.parametrize("case", ["queue_full", "expired"])
def test_both_users_are_free_again_after_a_rejection(case: str) -> None:
    topology, asked, sections, _, _ = REJECTIONS[case]
    again = [ask(at_us=1000), ask("Bob", "Alice", at_us=2000)]
    network = run(scenario(topology, [*asked, *again], demand={"concurrent": 1}, **sections))
    assert [outcome(network, number)[0] for number in (1, 2, 3)] == ["rejected", "delivered", "delivered"]


def test_a_request_to_oneself_is_refused_with_a_clear_error() -> None:
    with pytest.raises(QKDRMPError):
        run(scenario(TWO, [ask("Alice", "Alice")]))


# Exceptions by node and by link: pools


def test_a_stream_has_the_smaller_sizes_of_its_two_ends() -> None:
    at = [
        {"node": "R1", "capacity": 60, "interrupt": 5, "recover": 50},
        {"node": "R2", "capacity": 40, "interrupt": 8, "recover": 30},
    ]
    network = start(scenario(TWO, [ask()], pools={"at": at}))
    for each in network.streams:
        sizes = each.settings.thresholds
        assert (sizes.capacity, sizes.interrupt, sizes.recover) == (40, 5, 30)


def test_the_smaller_capacity_decides_what_is_refused_and_how_much_is_made() -> None:
    at = [{"node": "R1", "capacity": 60}, {"node": "R2", "capacity": 30}]
    network = run(scenario(TWO, [ask(keys=31), ask(keys=30)], pools={"capacity": 100, "at": at}))
    assert outcome(network, 1)[1:3] == ("refused", "R1")
    assert outcome(network, 2)[0] == "delivered"
    levels = tables.tables(network)["pools"].set_index("stream")["capacity"]
    assert levels.to_dict() == {"R1>R2": 30, "R2>R1": 30}


def test_an_exception_for_a_link_holds_for_both_its_streams_and_no_other() -> None:
    pools = {"capacity": 80, "at": [{"link": ["R3", "R2"], "capacity": 24, "reserve": 2}]}
    network = start(scenario(line(1, 2, 3, 5), [ask()], pools=pools))
    chosen = {each.name: each.settings.thresholds for each in network.streams}
    sizes = {name: (each.capacity, each.reserve) for name, each in chosen.items()}
    assert sizes == {"R1>R2": (80, 0), "R2>R1": (80, 0), "R2>R3": (24, 2), "R3>R2": (24, 2)}


def test_shares_are_of_the_local_capacity_and_rounded_down() -> None:
    network = start(scenario(TWO, [ask()], pools={"capacity": 80, "at": [{"link": ["R1", "R2"], "capacity": 39}]}))
    sizes = network.streams[0].settings.thresholds
    assert (sizes.capacity, sizes.interrupt, sizes.recover) == (39, 9, 39)


def test_the_last_exception_that_applies_wins() -> None:
    at = [{"link": ["R1", "R2"], "capacity": 20}, {"node": "R2", "capacity": 30}, {"node": "R1", "capacity": 35}]
    network = start(scenario(TWO, [ask()], pools={"at": at}))
    assert network.streams[0].settings.thresholds.capacity == 30


def test_a_local_key_length_counts() -> None:
    # 80 bits are 10 keys of 8 bits on R1-R2 but 3 of 30 bits on R2-R3.
    pools = {**FULL, "at": [{"link": ["R2", "R3"], "key_length_bits": 30}]}
    network = run(scenario(line(1, 2, 3, 5), [ask()], pools=pools))
    assert stream(network, "R1>R2").downstream.used == 10
    assert stream(network, "R2>R3").downstream.used == 3
    assert stream(network, "R2>R3").downstream.excess_bits == 10


def test_key_lengths_that_differ_between_the_ends_are_a_clear_error() -> None:
    with pytest.raises(ScenarioError, match="key_length_bits is 16 at R1 and 8 at R2"):
        run(scenario(TWO, [ask()], pools={"at": [{"node": "R1", "key_length_bits": 16}]}))


@pytest.mark.parametrize(
    "sizes",
    [
        {"capacity": 40, "interrupt": 40},
        {"capacity": 40, "interrupt": 30, "recover": 30},
        {"capacity": 40, "recover": 41},
        {"capacity": 40, "initial": 41},
    ],
)
def test_thresholds_out_of_order_are_a_clear_error(sizes: dict[str, Any]) -> None:
    with pytest.raises(ScenarioError, match="must be"):
        scenario(TWO, [ask()], pools=sizes)
    with pytest.raises(ScenarioError, match=r"entry 1.*must be"):
        scenario(TWO, [ask()], pools={"at": [{"node": "R1", **sizes}]})


def test_mirrors_cannot_differ_locally_without_an_error() -> None:
    local = {"link": ["R1", "R2"], "mirrors": "head", "replenish": "threshold"}
    with pytest.raises(ScenarioError):
        run(scenario(TWO, [ask()], pools={**EMPTY, "at": [local]}))


# Exceptions by node and by link: the other sections


def test_a_queue_exception_is_for_its_node() -> None:
    for node, state in (("R1", "delivered"), ("R2", "rejected")):
        queue = {"at": [{"node": node, "capacity": 0}]}
        assert outcome(run(scenario(TWO, [ask()], pools=EMPTY, queue=queue)))[0] == state


def test_access_pools_on_one_link_only() -> None:
    network = run(scenario(TWO, [ask()], pools=FULL, access={"at": [{"link": ["Bob", "R2"], "mode": "pool"}]}))
    assert sorted(each.name for each in network.streams) == ["Bob>R2", "R1>R2", "R2>Bob", "R2>R1"]
    # R2 has both keys at 45, as with pools everywhere; Alice-R1 are made from 60 on, as without.
    assert [row for row in trace(network) if row[2] == "CIPHERTEXT"] == table("""
        CIPHERTEXT  R2>Bob     45 60
        CIPHERTEXT  R1>R2>Bob  70 80 95
    """)


def test_a_slower_link() -> None:
    # 10 keys take 20 instead of 10 on Alice-R1: R1 has them at 80, not at 70.
    rate = {"model": Instant, "rate_bps": 8e6, "at": [{"link": ["R1", "Alice"], "rate_bps": 4e6}]}
    assert key_times(scenario(TWO, [ask()], pools=FULL, key_rate=rate))["Alice-R1 at R1"] == 80


def test_another_key_rate_model_on_one_link() -> None:
    rate = {"model": Instant, "rate_bps": 8e6, "at": [{"link": ["R1", "Alice"], "model": "bb84-sifted"}]}
    assert outcome(run(scenario(TWO, [ask()], pools=FULL, key_rate=rate, duration_s=1)))[0] == "delivered"


def test_a_slower_signal_on_one_link() -> None:
    # Alice-R1 takes 10 instead of 5.
    channels = {"at": [{"link": ["Alice", "R1"], "signal_speed_m_per_s": 1e8}]}
    network = run(scenario(TWO, [ask()], pools=FULL, channels=channels))
    assert trace(network)[0] == (0, 10 * US, "REQUEST", "Alice>R1")
    assert outcome(network)[3] == 125 + 3 * 5


def test_a_user_with_a_demand_of_his_own() -> None:
    own = {"node": "Bob", "requests": [ask("Bob", "Carol", at_us=7)]}
    network = run(scenario(STAR, [ask()], demand={"at": [own]}))
    starts = [(one.request.src, one.request.dst, one.request.start / US) for one in network.ledger.entries]
    assert starts == [("Alice", "Bob", 0), ("Bob", "Carol", 7)]


def test_a_user_who_routes_through_end_nodes() -> None:
    # The way through Carol is shorter than the one by R3.
    both = network_of(
        *(("Alice", "R1", 1), ("R1", "Carol", 1), ("Carol", "R2", 1), ("R2", "Bob", 1)),
        *(("R1", "R3", 9), ("R3", "R2", 9)),
    )
    asked = [ask(), ask("Bob", "Alice")]
    routing = {"at": [{"node": "Bob", "policy": "through-end-nodes"}]}
    network = run(scenario(both, asked, pools=FULL, routing=routing))
    assert entry(network, 1).request.route == ("Alice", "R1", "R3", "R2", "Bob")
    assert entry(network, 2).request.route == ("Bob", "R2", "Carol")
    assert outcome(network, 2)[1:3] == ("refused", "Carol")


def test_the_limit_of_concurrent_requests_is_the_same_for_all_users() -> None:
    with pytest.raises(ScenarioError, match="concurrent cannot be set for a single node"):
        scenario(STAR, [ask()], demand={"at": [{"node": "Bob", "concurrent": 1}]})


PLAIN = {"pools": FULL, "key_rate": {"model": Instant, "rate_bps": 8e6}}
ELSEWHERE: dict[str, dict[str, Any]] = {
    "key_rate at a node": {"key_rate": {**PLAIN["key_rate"], "at": [{"node": "R1", "rate_bps": 1e5}]}},
    "channels at a node": {"channels": {"at": [{"node": "R1", "signal_speed_m_per_s": 1e8}]}},
    "access at a node": {"access": {"at": [{"node": "Alice", "mode": "pool"}]}},
    "queue on a link": {"pools": EMPTY, "queue": {"at": [{"link": ["R1", "R2"], "capacity": 0}]}},
}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_an_exception_takes_effect_or_is_an_error(case: str) -> None:
    sections = {**PLAIN, **ELSEWHERE[case]}
    without = {name: {key: value[key] for key in value if key != "at"} for name, value in sections.items()}
    try:
        changed = scenario(TWO, [ask()], **sections)
    except ScenarioError:
        return
    assert trace(run(changed)) != trace(run(scenario(TWO, [ask()], **without)))


def test_demand_takes_no_exceptions_by_link() -> None:
    with pytest.raises(ScenarioError, match="give node alone"):
        scenario(STAR, [ask()], demand={"at": [{"link": ["Alice", "R"], "concurrent": 1}]})


# Access links serve one request after the other


def test_sessions_on_an_access_link_queue_first_come_first_served() -> None:
    # Both requests reach R at 5, Bob and Carol at 15, R again at 25; Alice joins both generations at 30.
    # Alice-R: the first from 30 to 40 at R, the second from 40 to 50; the third, which joins at 36, from 50 to 60.
    asked = [ask(), ask(dst="Carol"), ask(at_us=6)]
    settings = scenario(STAR, asked)
    assert [key_times(settings, number)["Alice-R at R"] for number in (1, 2, 3)] == [40, 50, 60]
    assert [key_times(settings, number)["Alice-R at Alice"] for number in (1, 2, 3)] == [45, 55, 65]
    # R-Bob: the first from 25 to 35 at Bob, the third, which R joins at 31, from 35 to 45.
    assert key_times(settings, 3)["R-Bob at Bob"] == 45


def test_a_cancelled_session_admits_the_next_one_at_once() -> None:
    # Alice-R makes 1000 keys for the first from 30 on; at 200 R gives it up, and Alice's 10 keys begin.
    asked = [ask(keys=1000, patience_us=200), ask(dst="Carol", at_us=50)]
    settings = scenario(STAR, asked)
    assert outcome(run(settings), 1) == ("rejected", "expired", "R", 205)
    assert key_times(settings, 2)["Alice-R at R"] == 210


# One generator for both directions of a link


def test_the_two_directions_of_a_link_take_turns() -> None:
    # R1>R2 is filled from 10 to 90 at R2, R2>R1 from 90 to 170 at R1. Both requests queue at 45.
    both = line(1, 2, 1)
    network = run(scenario(both, [ask(), ask("Bob", "Alice")], pools=EMPTY))
    assert arrivals_of(network, "CLAIM") == [100, 180]


def test_with_per_direction_each_has_devices_of_its_own() -> None:
    rate = {"model": Instant, "rate_bps": 8e6, "per_direction": True}
    network = run(scenario(line(1, 2, 1), [ask(), ask("Bob", "Alice")], pools=EMPTY, key_rate=rate))
    assert arrivals_of(network, "CLAIM") == [100, 100]


def test_per_direction_on_one_link_only() -> None:
    rate = {"model": Instant, "rate_bps": 8e6, "at": [{"link": ["R1", "R2"], "per_direction": True}]}
    network = run(scenario(line(1, 2, 2, 1), [], pools=EMPTY, key_rate=rate, demand=no_demand(), duration_s=1e-4))
    levels = {each.name: each.downstream.level for each in network.streams}
    assert levels == {"R1>R2": 80, "R2>R1": 80, "R2>R3": 80, "R3>R2": 0}


def no_demand() -> dict[str, Any]:
    """Return a demand whose only request starts after the end."""
    return {"model": "list", "requests": [ask(at_us=1e9)]}


def test_sessions_of_both_directions_share_the_access_link() -> None:
    # Alice-Bob directly: Alice joins generation at 10, Bob at 10 too; 10 to 20 and 20 to 30.
    network = run(scenario(line(1), [ask(), ask("Bob", "Alice")]))
    assert ends(network) == [25, 35]
    rate = {"model": Instant, "rate_bps": 8e6, "per_direction": True}
    assert ends(run(scenario(line(1), [ask(), ask("Bob", "Alice")], key_rate=rate))) == [25, 25]


# When pools are refilled

SLOWLY = {"model": Instant, "rate_bps": 4e5}
"""20 us a key."""


def replenished(policy: str, requests: list[dict[str, Any]], **pools: Any) -> QKDNetwork:
    """Run on a line whose pools hold 15 of 40 keys, with V_i = 10."""
    return run(
        scenario(TWO, requests, pools={"capacity": 40, "initial": 15, "replenish": policy, **pools}, key_rate=SLOWLY)
    )


def test_threshold_leaves_a_pool_stuck_between_interrupt_and_need() -> None:
    # R2 has 15 > V_i keys at 45, too few for 20: no refill, permanently.
    network = replenished("threshold", [ask(keys=20)])
    assert outcome(network) == ("unfinished", None, None, None)
    assert [row for row in trace(network) if row[2] in ("CLAIM", "REFILL")] == []
    pools = tables.tables(network)["pools"].set_index("stream")
    assert pools["stuck"].to_dict() == {"R1>R2": True, "R2>R1": False}
    assert pools.loc["R1>R2", "stuck_s"] == pytest.approx(0.01 - 45e-6)
    assert pools.loc["R2>R1", "stuck_s"] == 0


def test_a_stuck_pool_is_named_in_a_warning() -> None:
    settings = scenario(TWO, [ask(keys=20)], pools={"capacity": 40, "initial": 15, "replenish": "threshold"})
    with pytest.warns(StuckPoolWarning, match=r"R1>R2"):
        assert simulate(settings).summary["stuck_pools"] == 1


def test_demand_refills_for_a_waiting_request() -> None:
    # REFILL at 45, at R1 at 55; 25 keys until 555; CLAIM from 555 to 565.
    network = replenished("demand", [ask(keys=20)])
    assert [row for row in trace(network) if row[2] in ("CLAIM", "REFILL")] == table("""
        REFILL  R2>R1  45  55
        CLAIM   R2>R1 555 565
    """)
    assert stream(network, "R1>R2").downstream.level == 20
    pools = tables.tables(network)["pools"].set_index("stream")
    assert pools.loc["R1>R2", "interrupts"] == 1
    assert pools.loc["R1>R2", "interrupted_s"] == pytest.approx(510e-6)
    assert pools.loc["R1>R2", "stuck_s"] == 0


def test_the_light_of_a_refill_has_to_travel() -> None:
    # As above, with light that takes 10 to R2: the keys are there at 565, at R1 one delay later, as is the CLAIM.
    rate = {"model": "constant", "rate_bps": SLOWLY["rate_bps"]}
    settings = scenario(TWO, [ask(keys=20)], pools={"capacity": 40, "initial": 15}, key_rate=rate)
    network = run(settings)
    assert [row for row in trace(network) if row[2] in ("CLAIM", "REFILL")] == table("""
        REFILL  R2>R1  45  55
        CLAIM   R2>R1 565 575
    """)
    levels = simulate(settings, record=["levels"]).levels
    filled = levels[(levels["stream"] == "R1>R2") & (levels["level"] == 40)].groupby("end")["time_s"].min()
    assert filled.to_dict() == pytest.approx({"downstream": 565e-6, "upstream": 575e-6})


def test_continuous_makes_keys_whenever_capacity_is_free() -> None:
    # Key by key in turns from 0: R1>R2 has 15 + k at 20 (2k - 1), so 20 at 180. Serving them leaves 0: INTERRUPTED, for
    # 40 until the next key. It has 20 again at 980; R2>R1 is full at 1000, and the next key takes only 20 from then on.
    network = replenished("continuous", [ask(keys=20), ask(keys=20, at_us=500)])
    assert [row for row in trace(network) if row[2] in ("CLAIM", "REFILL")] == table("""
        CLAIM  R2>R1  180  190
        CLAIM  R2>R1  980  990
    """)
    pool = stream(network, "R1>R2").downstream
    assert (pool.level, pool.stored, pool.interrupts) == (40, 80, 2)
    assert pool.interrupted.integral(10_000 * US) == 80 * US


def test_continuous_with_thresholds_serves_nobody_until_the_pool_is_full_again() -> None:
    # As above until 180; then R1>R2 has had 25 keys by 1000 and gets the other 20 by 1400, when it serves again.
    network = replenished("continuous", [ask(keys=20), ask(keys=20, at_us=500)], interrupt=10, recover=40)
    assert [row for row in trace(network) if row[2] in ("CLAIM", "REFILL")] == table("""
        CLAIM  R2>R1  180  190
        CLAIM  R2>R1 1400 1410
    """)
    pool = stream(network, "R1>R2").downstream
    assert (pool.level, pool.stored, pool.interrupts) == (40, 80, 1)
    assert pool.interrupted.integral(10_000 * US) == 1220 * US


def test_continuous_pools_serve_what_fits_into_them_whatever_the_recovery_threshold() -> None:
    network = replenished("continuous", [ask(keys=40)], recover=5, interrupt=1)
    assert outcome(network)[0] == "delivered"
    assert outcome(replenished("continuous", [ask(keys=41)]))[:3] == ("rejected", "refused", "R1")


@pytest.mark.parametrize(
    ("policy", "order"), [("fcfs", [1, 2, 3]), ("priority", [3, 1, 2]), ("smallest-first", [2, 3, 1])]
)
def test_no_request_passes_those_that_wait_before_it_for_a_continuous_pool(policy: str, order: list[int]) -> None:
    # The first wants 38 of 15 keys, for which it waits; the others, which would fit, come one after the other.
    asked = [ask(keys=38), ask(keys=5, at_us=100), ask(keys=6, at_us=150, priority=1)]
    network = replenished("continuous", asked, interrupt=0, recover=1)
    settings = network.settings.replace({"queue.policy": policy})
    ends = simulate(settings).requests.sort_values("end_s")
    assert ends["state"].to_list() == ["delivered"] * 3
    assert ends["id"].to_list() == order


def test_continuous_blocks_hold_several_keys() -> None:
    # Blocks of 5 in turns, 100 us each: R1>R2 has 20 at 100.
    network = replenished("continuous", [ask(keys=20)], block_keys=5)
    assert arrivals_of(network, "CLAIM") == [110]


def test_threshold_and_demand_refill_alike_when_a_delivery_leaves_little() -> None:
    # 12 of 20 keys go at 45, which leaves 8 <= V_i: REFILL arrives at 55, 32 keys until 695; then the second is served.
    for policy in ("threshold", "demand"):
        network = replenished(policy, [ask(keys=12), ask(keys=30, at_us=300)], initial=20)
        assert [row for row in trace(network) if row[2] in ("CLAIM", "REFILL")][:2] == table("""
            REFILL  R2>R1  45  55
            CLAIM   R2>R1 695 705
        """)


def test_a_pool_of_which_the_delivery_leaves_more_than_interrupt_is_not_refilled() -> None:
    network = replenished("threshold", [ask(keys=9)], initial=20)
    assert stream(network, "R1>R2").downstream.level == 11
    assert arrivals_of(network, "REFILL") == []


def test_a_refill_goes_up_to_recover_and_no_further() -> None:
    # V_r 30 of V_m 40: 12 of 20 go at 45; 22 keys from 55 to 495.
    network = replenished("threshold", [ask(keys=12), ask(keys=19, at_us=100)], initial=20, recover=30)
    assert arrivals_of(network, "CLAIM") == [505]
    assert stream(network, "R1>R2").downstream.level == 11


@pytest.mark.parametrize(("initial", "refills"), [(0, 2), (10, 2), (12, 0), (40, 0)])
@pytest.mark.parametrize("policy", ["threshold", "demand"])
def test_a_pool_that_starts_at_interrupt_or_lower_is_refilled_from_the_start(
    policy: str, initial: int, refills: int
) -> None:
    network = replenished(policy, [ask(keys=1, at_us=3000)], initial=initial)
    assert arrivals_of(network, "REFILL") == [10] * refills


def test_an_interrupted_pool_serves_no_request_though_it_has_keys() -> None:
    # 12 of 20 go at 45; 5 of the 8 left could serve the second request, but it waits until 695.
    network = replenished("demand", [ask(keys=12), ask(keys=5, at_us=100)], initial=20)
    assert arrivals_of(network, "CLAIM") == [705]


def test_the_pools_of_a_path_are_refilled_in_parallel() -> None:
    # Three repeaters, 15 keys each, 20 wanted. R3 asks for a refill at 80, R2 when the ACCEPT comes at 95, although it
    # still awaits its claim. 25 keys: R2>R3 95 to 595 at R3, CLAIM at R2 at 610, long after R1>R2 (105 to 605).
    network = run(scenario(line(1, 2, 3, 5), [ask(keys=20)], pools={"capacity": 40, "initial": 15}, key_rate=SLOWLY))
    assert [row for row in trace(network) if row[2] in ("CLAIM", "REFILL")] == table("""
        REFILL  R3>R2  80  95
        REFILL  R2>R1  95 105
        CLAIM   R3>R2 595 610
        CLAIM   R2>R1 610 620
    """)


# Warm-up


def test_requests_of_the_warm_up_do_not_count() -> None:
    # The first is delivered at 125, the second, still before the warm-up ends, at 1015, the third at 2125.
    asked = [ask(), ask(at_us=890), ask(at_us=2000)]
    results = simulate(scenario(TWO, asked, pools=FULL, warmup_s=0.001))
    assert results.summary["requests_started"] == results.summary["requests_delivered"] == 1
    assert results.summary["keys_delivered"] == 10
    assert results.summary["key_rate_bps"] == pytest.approx(80 / 0.009)
    assert results.summary["delivery_mean_s"] == pytest.approx(125e-6)
    assert results.summary["wait_mean_s"] == pytest.approx(15e-6)  # of 125, the messages travel 4 * 30 - 2 * 5
    assert len(results.requests) == 3


def test_a_request_at_the_end_of_the_warm_up_counts() -> None:
    results = simulate(scenario(TWO, [ask(at_us=999), ask(at_us=1000)], pools=FULL, warmup_s=0.001))
    assert results.summary["requests_started"] == 1


def test_pools_and_nodes_forget_the_warm_up() -> None:
    # In the warm-up: refilling until 170, one queued and delivered, one refused. Afterwards: one served at once.
    asked = [ask(), ask(keys=81, at_us=1), ask(at_us=2000)]
    results = simulate(scenario(TWO, asked, pools=EMPTY, warmup_s=0.001))
    pools, nodes = results.pools.set_index("stream"), results.nodes.set_index("node")
    assert pools["interrupts"].to_list() == [0, 0]
    assert pools["interrupted_s"].to_list() == [0, 0]
    assert pools["level_min"].to_dict() == {"R1>R2": 60, "R2>R1": 80}
    assert pools["generated"].to_list() == [80, 80]
    assert nodes.loc["R2", "queue_max"] == 0
    assert nodes["rejected_refused"].sum() == 0
    assert nodes.loc["R2", "served"] == 1


@pytest.mark.parametrize("reason", ["no_route", "user_busy"])
def test_nodes_forget_all_rejections_of_the_warm_up(reason: str) -> None:
    topology, asked, sections, _, _ = REJECTIONS[reason]
    nodes = simulate(scenario(topology, asked, warmup_s=0.001, **sections)).nodes
    assert nodes[f"rejected_{reason}"].sum() == 0


# Tables

GRID = network_of(
    *(("A", "R1", 1), ("B", "R2", 2), ("C", "R3", 1), ("D", "R4", 2), ("E", "R1", 3)),
    *(("R1", "R2", 2), ("R2", "R3", 3), ("R3", "R4", 2), ("R4", "R1", 7)),
)


def busy_grid(**sections: Any) -> QKDScenario:
    """Return a scenario in which 150 requests meet nearly every fate, and all have ended by the end."""
    users = "ABCDE"
    pairs = [(src, dst) for src in users for dst in users if src != dst]
    asked = [
        ask(
            *pairs[7 * i % 20],
            keys=1 + 5 * i % 33,
            at_us=11 * i,
            key_bits=8 + i % 3,
            priority=i % 4,
            patience_us=(400, 3000)[i % 2],
        )
        for i in range(150)
    ]
    return scenario(
        GRID,
        asked,
        **{
            "pools": {"capacity": 32},
            "queue": {"capacity": 1},
            "demand": {"concurrent": 6},
            "duration_s": 0.05,
            "key_rate": {"model": Instant, "rate_bps": 1e6},
            **sections,
        },
    )


def grid_results(**sections: Any) -> Results:
    return simulate(busy_grid(**sections), record=["messages", "levels"], check=True)


@pytest.fixture(scope="module", params=["per-request", "pool"])
def grid(request: pytest.FixtureRequest) -> Results:
    return grid_results(access={"mode": request.param})


def test_the_busy_grid_meets_many_fates_and_comes_to_rest() -> None:
    network = run(busy_grid())
    assert {str(one.reason) for one in network.ledger.entries} >= {
        *("None", "refused", "expired", "queue_full", "peer_busy", "user_busy"),
    }
    assert all(one.end is not None for one in network.ledger.entries)
    check_quiescent(network)


def test_tables_have_their_documented_columns(grid: Results) -> None:
    assert list(grid.tables) == list(QKD.tables) == ["requests", "nodes", "pools", "pairs", "messages", "levels"]
    for name, kind in QKD.tables.items():
        assert list(grid.tables[name].columns) == kind.names
    assert list(grid.summary.index) == [metric.name for metric in QKD.metrics]


def test_messages_and_levels_are_there_only_if_asked_for() -> None:
    results = simulate(scenario(TWO, [ask()]))
    assert set(results.tables) == {"requests", "nodes", "pools", "pairs"}
    with pytest.raises(QKDRMPError, match="record=\\['messages'\\]"):
        _ = results.messages


def test_the_summary_agrees_with_the_requests(grid: Results) -> None:
    states, reasons = grid.requests["state"].value_counts(), grid.requests["reason"].value_counts()
    assert grid.summary["requests_started"] == len(grid.requests) == 150
    assert grid.summary["requests_delivered"] == states["delivered"]
    assert grid.summary["requests_unfinished"] == states.get("unfinished", 0) == 0
    for reason in set(RejectReason) - {RejectReason.CANCELLED}:
        assert grid.summary[f"rejected_{reason}"] == reasons.get(str(reason), 0)
    delivered = grid.requests[grid.requests["state"] == "delivered"]
    assert grid.summary["keys_delivered"] == delivered["keys"].sum()
    assert grid.summary["key_rate_bps"] == pytest.approx((delivered["keys"] * delivered["key_bits"]).sum() / 0.05)
    assert grid.summary["wait_mean_s"] == pytest.approx(delivered["wait_s"].mean())
    for share in (0.5, 0.95, 0.99):
        assert grid.summary[f"wait_p{100 * share:.0f}_s"] == pytest.approx(delivered["wait_s"].quantile(share))
    structural = reasons.get("no_route", 0) + reasons.get("refused", 0)
    assert grid.summary["requests_servable"] == 150 - structural
    assert 0 < grid.summary["blocking"] == (states["rejected"] - structural) / (150 - structural)
    assert 0 < grid.summary["unservable"] == structural / 150
    assert grid.summary["pool_level_mean"] == pytest.approx((grid.pools["level_mean"] / grid.pools["capacity"]).mean())
    assert 0 < grid.summary["queue_mean"] == pytest.approx(grid.nodes["queue_mean"].sum())
    assert grid.summary["messages"] == len(grid.messages)
    assert grid.summary["mismatched_keys"] == grid.requests["mismatched_bits"].sum() == 0


def test_fairness_is_about_the_share_of_what_each_pair_of_users_asked_for() -> None:
    # Of the 40 keys for Alice and Bob, 30 are more than a pool can hold; Bob and Alice get all of their 10.
    asked = [ask(), ask(keys=30, at_us=1000), ask("Bob", "Alice", at_us=2000)]
    made = metrics.summary(run(scenario(TWO, asked, pools={"capacity": 20, "initial": 20})), 0)
    assert (made["requests_delivered"], made["rejected_refused"]) == (2, 1)
    assert made["fairness"] == pytest.approx((0.25 + 1) ** 2 / (2 * (0.25**2 + 1)))
    assert made["blocking"] == 0
    assert made["unservable"] == pytest.approx(1 / 3)


def test_a_request_that_has_not_ended_is_not_blocked_and_has_no_share() -> None:
    made = metrics.summary(run(scenario(TWO, [ask()], pools={"capacity": 20}, duration_s=1e-6)), 0)
    assert made["requests_unfinished"] == 1
    assert pd.isna(made["blocking"])
    assert made["fairness"] == 1  # the only pair of users has as much as all others
    assert made["pool_level_mean"] == 0


def test_what_was_not_asked_for_is_not_known() -> None:
    made = metrics.summary(run(scenario(line(1, 2), demand=no_demand())), 0)
    unknown = {"blocking", "unservable", "undelivered", "fairness", "pool_level_mean"}
    unknown |= {f"{what}_{measure}_s" for what in ("delivery", "wait") for measure in ("mean", "p50", "p95", "p99")}
    assert {name for name, value in made.items() if pd.isna(value)} == unknown
    assert made["queue_mean"] == 0


def test_nodes_agree_with_requests(grid: Results) -> None:
    delivered = grid.requests[grid.requests["state"] == "delivered"]
    served = Counter(node for path in delivered["path"] for node in path.split(">")[1:-1])
    nodes = grid.nodes.set_index("node")
    for node, row in nodes.iterrows():
        assert row["served"] == served[str(node)]
        by_node = grid.requests[grid.requests["rejected_by"] == node]["reason"].value_counts()
        for reason in set(RejectReason) - {RejectReason.CANCELLED}:
            if reason is not RejectReason.EXPIRED:  # see below
                assert row[f"rejected_{reason}"] == by_node.get(str(reason), 0)
        assert 0 <= row["queue_mean"] <= row["queue_max"] <= 1
        assert 0 <= row["busy_s"] <= 0.05
    assert nodes["kind"].to_dict() == {name: "repeater" if name[0] == "R" else "end" for name in nodes.index}


def test_a_request_that_expires_at_two_nodes_counts_once() -> None:
    # R3 waits for slow keys of its link to Bob, R2 for those of its pool; at 200 both give up. R2's REJECT comes first.
    rate = {"model": Instant, "rate_bps": 8e4, "at": [{"link": ["Alice", "R1"], "rate_bps": 8e6}]}
    network = run(scenario(line(1, 2, 3, 5), [ask(patience_us=200)], pools=MIDDLE_EMPTY, key_rate=rate))
    assert outcome(network) == ("rejected", "expired", "R2", 215)
    check_quiescent(network)
    assert tables.tables(network)["nodes"].set_index("node")["rejected_expired"].sum() == 1


def test_pools_agree_with_requests(grid: Results) -> None:
    delivered = grid.requests[grid.requests["state"] == "delivered"]
    used: Counter[str] = Counter()
    for path, keys, key_bits in zip(delivered["path"], delivered["keys"], delivered["key_bits"], strict=True):
        nodes = path.split(">")
        for hop in pairwise(nodes):
            used[">".join(hop)] += -(-keys * key_bits // 8)
    pools = grid.pools.set_index("stream")
    assert pools["used"].to_dict() == {name: used[str(name)] for name in pools.index}
    assert (pools["generated"] == pools["level_end"] + pools["used"] + pools["voided"]).all()
    assert (pools["level_min"] >= 0).all()
    assert (pools["level_mean"] <= pools["capacity"]).all()
    assert not pools["stuck"].any()


def test_a_pool_that_was_full_at_first_and_is_not_used_was_never_empty() -> None:
    pools = simulate(scenario(TWO, [ask()], pools=FULL)).pools.set_index("stream")
    assert pools["level_min"].to_dict() == {"R1>R2": 70, "R2>R1": 80}


def test_pairs_agree_with_requests_and_with_pools(grid: Results) -> None:
    pairs, pools, requests = grid.pairs, grid.pools, grid.requests
    assert pools["voided"].sum() > 0
    for what in ("used", "voided"):
        assert pairs[f"pool_keys_{what}"].sum() == pools[what].sum() == grid.summary[f"pool_keys_{what}"]
    causes = [name for name in pools if str(name).startswith("voided_")]
    assert (pools[causes].sum(axis=1) == pools["voided"]).all()
    made = grid.summary["pool_keys_made"]
    assert made == pools["generated"].sum() == pools[["level_end", "used", "voided"]].sum().sum()
    by_pair = requests.groupby(["src", "dst"])
    indexed = pairs.set_index(["src", "dst"]).sort_index()
    assert indexed["requests"].to_list() == by_pair.size().to_list()
    assert indexed["delivered"].to_list() == by_pair["state"].agg(lambda state: (state == "delivered").sum()).to_list()
    waits = requests[requests["state"] == "delivered"].groupby(["src", "dst"])["wait_s"].mean()
    assert indexed["wait_mean_s"].dropna().to_list() == pytest.approx(waits.to_list())


def test_levels_agree_with_pools(grid: Results) -> None:
    last = grid.levels.groupby(["stream", "end"])["level"].last()
    for _, row in grid.pools.iterrows():
        assert last[row["stream"], "downstream"] == last[row["stream"], "upstream"] == row["level_end"]
    lows = grid.levels[grid.levels["end"] == "downstream"].groupby("stream")["level"].min()
    assert (lows == grid.pools.set_index("stream")["level_min"].loc[lows.index]).all()


def test_waits_and_ends_agree(grid: Results) -> None:
    delivered = grid.requests["state"] == "delivered"
    assert (grid.requests["end_s"] >= grid.requests["start_s"]).all()
    times = grid.requests["end_s"] - grid.requests["start_s"]
    assert grid.requests["delivery_s"][delivered].to_list() == pytest.approx(times[delivered].to_list())
    assert (grid.requests["wait_s"] < grid.requests["delivery_s"])[delivered].all()
    assert (grid.requests["wait_s"] >= 0)[delivered].all()
    assert grid.requests[["delivery_s", "wait_s"]][~delivered].isna().all(axis=None)
    assert grid.requests["reason"].isna().equals(delivered)
    assert grid.requests["rejected_by"].isna().equals(delivered)
    assert grid.requests["id"].to_list() == list(range(1, 151))


@given(st.lists(st.integers(1, 200), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_who_finds_keys_everywhere_does_not_wait_however_far_messages_travel(lengths_km: list[int]) -> None:
    asked, pools = [ask(), ask("Bob", "Alice", at_us=50_000)], {**FULL, "initial": 80}
    full = scenario(line(*lengths_km), asked, pools=pools, access={"mode": "pool"}, duration_s=0.1)
    network = run(full)
    times_us = [
        5 * km for km in lengths_km
    ]  # REQUEST, ACCEPT, CIPHERTEXT, DONE; but not to the first repeater and back
    there, back = (
        4 * sum(times_us) - 2 * first if len(lengths_km) > 1 else 2 * first for first in (times_us[0], times_us[-1])
    )
    assert ends(network) == [there, 50_000 + back]
    assert [one.wait for one in network.ledger.entries] == [0, 0]


def test_waiting_is_what_comes_on_top_of_travelling() -> None:
    # With keys in the pools 125, as above; at first they are empty.
    early, late = (run(scenario(TWO, [ask(at_us=at)], pools=EMPTY)) for at in (0, 5000))
    assert (entry(late).duration, entry(late).wait) == (125 * US, 15 * US)
    assert entry(early).wait - entry(late).wait == entry(early).duration - entry(late).duration > 0


def test_the_share_that_was_not_delivered_counts_rejections_and_what_has_not_ended() -> None:
    asked = [ask(), ask(keys=81, at_us=1), ask(at_us=2000), ask(at_us=9990)]
    results = simulate(scenario(TWO, asked, pools=FULL))
    assert results.requests["state"].to_list() == ["delivered", "rejected", "delivered", "unfinished"]
    assert results.summary["undelivered"] == 0.5


def test_what_could_never_be_served_is_apart_from_what_is_blocked() -> None:
    # No pool ever holds 81 keys; of the other two, which arrive at once, the queue has no room for the second.
    asked = [ask(keys=81), ask(keys=60, at_us=1), ask(keys=60, at_us=1)]
    made = simulate(scenario(TWO, asked, pools=FULL, queue={"capacity": 0})).summary
    assert (made["requests_servable"], made["rejected_refused"], made["rejected_queue_full"]) == (2, 1, 1)
    assert made["blocking"] == 0.5
    assert made["unservable"] == pytest.approx(1 / 3)


def test_messages_go_along_links_with_their_delay(grid: Results) -> None:
    for _, row in grid.messages.iterrows():
        delay = GRID.link(row["source"], row["target"]).length_km * 5e-6
        assert row["received_s"] - row["sent_s"] == pytest.approx(delay)
    details = grid.messages.groupby("message")["detail"]
    assert set(details.get_group("REJECT")) <= {str(reason) for reason in RejectReason}
    assert details.get_group("CLAIM").str.match(r"^keys \d+-\d+$").all()
    assert (details.get_group("REFILL") == "").all()
    assert (grid.messages["request"] == 0).equals(grid.messages["message"] == "REFILL")


def test_same_scenario_and_seed_same_tables() -> None:
    first, second = grid_results(), grid_results()
    for name, one in first.tables.items():
        pd.testing.assert_frame_equal(one, second.tables[name])
    pd.testing.assert_series_equal(first.summary, second.summary)


def test_the_seed_changes_the_keys_but_not_the_course_of_a_run_without_chance() -> None:
    networks = [run(scenario(TWO, [ask()], pools=EMPTY), seed=seed) for seed in (1, 2)]
    assert trace(networks[0]) == trace(networks[1])
    assert entry(networks[0]).alice_key != entry(networks[1]).alice_key


def test_the_key_rate_model_sees_the_fibre_of_the_link() -> None:
    seen = []

    class Spy(Constant):
        def session(self, fibre: Fibre, key_bits: int, random: Any) -> Any:
            seen.append((fibre.length_km, fibre.loss_db, fibre.delay_ticks, key_bits))
            return super().session(fibre, key_bits, random)

    run(scenario(line(1, 2), [ask()], key_rate={"model": Spy(8e6)}))
    assert sorted(seen) == [(1, pytest.approx(0.2), 5 * US, 8), (2, pytest.approx(0.4), 10 * US, 8)]
