"""Whole message traces, worked out by hand.

Times are in us. Links of 1, 2, 3, 4, 5 km have delays of 5, 10, 15, 20, 25. A request is for 10 keys, which take 10 to
make; a pool of 80 keys that starts empty takes 80. A message row gives its path, when it was sent, and when it arrives
at each further node. Keys made for one request start when both ends have joined; the receiving end (downstream) has
them when they are made, the transmitting end (upstream) one delay later.
"""

from typing import Any

import pytest

from qkdrmp.qkd.invariants import check_quiescent
from qkdrmp.qkd.messages import Accept, Claim
from qkdrmp.qkd.network import QKDNetwork
from qkdrmp.qkd.settings import PRESETS
from tests.qkd.helpers import (
    EMPTY,
    FULL,
    MIDDLE_EMPTY,
    Instant,
    ask,
    entry,
    key_times,
    line,
    network_of,
    outcome,
    run,
    scenario,
    stream,
    table,
    trace,
)


def claims(network: QKDNetwork) -> list[tuple[str, str, int, int]]:
    """Return type, hop, first key and number of keys of every claim on the wire."""
    rows = []
    for hop in network.hops or ():
        message = hop.message
        keys = message.claim if isinstance(message, Accept) else getattr(message, "keys", None)
        if keys is not None and isinstance(message, (Accept, Claim)):
            rows.append((type(message).__name__, f"{hop.source}>{hop.target}", keys.first, keys.count))
    return rows


# (a) No repeater


def test_direct_users_generate_their_keys_after_one_round_trip() -> None:
    # Bob joins the generation at 5, Alice at 10: keys at Bob at 20, at Alice at 25, and nothing more to say.
    settings = scenario(line(1), [ask()])
    network = run(settings)
    assert trace(network) == table("""
        REQUEST  Alice>Bob   0  5
        ACCEPT   Bob>Alice   5 10
    """)
    assert outcome(network) == ("delivered", None, None, 25)
    assert key_times(settings) == {"Bob": 20, "Alice": 25}
    check_quiescent(network)


def test_direct_users_with_pools_are_served_at_once() -> None:
    # Bob claims on the ACCEPT and has the key at 5, Alice at 10.
    settings = scenario(line(1), [ask()], pools=FULL, access={"mode": "pool"})
    network = run(settings)
    assert trace(network) == table("""
        REQUEST  Alice>Bob   0  5
        ACCEPT   Bob>Alice   5 10
    """)
    assert claims(network) == [("Accept", "Bob>Alice", 0, 10)]
    assert outcome(network) == ("delivered", None, None, 10)
    assert key_times(settings)["Bob"] == 5
    check_quiescent(network)


# (b) One repeater


def test_one_repeater_with_access_links_only() -> None:
    # R joins both generations at 25. R-Bob: 25 to 35 at Bob, 45 at R. Alice joins hers at 30: 40 at R, 45 at Alice.
    settings = scenario(line(1, 2), [ask()])
    network = run(settings)
    assert trace(network) == table("""
        REQUEST      Alice>R>Bob   0  5 15
        ACCEPT       Bob>R>Alice  15 25 30
        CONFIRM      R>Bob        25 35
        CIPHERTEXT   R>Bob        45 55
        ACKNOWLEDGE  Bob>R        55 65
        DONE         Bob>R>Alice  55 65 70
    """)
    assert outcome(network) == ("delivered", None, None, 70)
    assert key_times(settings) == {
        "R-Bob at Bob": 35,
        "Alice-R at R": 40,
        "R-Bob at R": 45,
        "Alice-R at Alice": 45,
        "Bob": 55,
        "Alice": 70,
    }
    check_quiescent(network)


# (c) Two repeaters, full pools


def test_two_repeaters_with_full_pools_send_the_claim_on_the_accept() -> None:
    # R2 serves at 45, R1 at 55. R2-Bob: 45 to 55 at Bob, 70 at R2. Alice-R1: 60 to 70 at R1, 75 at Alice.
    settings = scenario(line(1, 2, 3), [ask()], pools=FULL)
    network = run(settings)
    assert trace(network) == table("""
        REQUEST      Alice>R1>R2>Bob   0   5  15  30
        ACCEPT       Bob>R2>R1>Alice  30  45  55  60
        CONFIRM      R2>Bob           45  60
        CONFIRM      R1>R2>Bob        55  65  80
        CIPHERTEXT   R2>Bob           70  85
        CIPHERTEXT   R1>R2>Bob        70  80  95
        ACKNOWLEDGE  Bob>R2           85 100
        ACKNOWLEDGE  Bob>R2>R1        95 110 120
        DONE         Bob>R2>R1>Alice  95 110 120 125
    """)
    assert claims(network) == [("Accept", "R2>R1", 0, 10)]
    assert outcome(network) == ("delivered", None, None, 125)
    assert key_times(settings) == {
        "R1-R2 at R2": 45,
        "R1-R2 at R1": 55,
        "R2-Bob at Bob": 55,
        "R2-Bob at R2": 70,
        "Alice-R1 at R1": 70,
        "Alice-R1 at Alice": 75,
        "Bob": 95,
        "Alice": 125,
    }
    check_quiescent(network)


# (d) Two repeaters, empty pools


def test_two_repeaters_with_empty_pools_refill_queue_and_claim_later() -> None:
    # Both directions ask for a refill at 0. R1>R2 is made from 10 to 90, then R2>R1. R2 queues at 45, serves at 90.
    settings = scenario(line(1, 2, 3), [ask()], pools=EMPTY)
    network = run(settings)
    assert trace(network) == table("""
        REFILL       R2>R1             0  10
        REFILL       R1>R2             0  10
        REQUEST      Alice>R1>R2>Bob   0   5  15  30
        ACCEPT       Bob>R2>R1>Alice  30  45  55  60
        CONFIRM      R2>Bob           45  60
        CONFIRM      R1>R2>Bob        55  65  80
        CLAIM        R2>R1            90 100
        CIPHERTEXT   R2>Bob           90 105
        CIPHERTEXT   R1>R2>Bob       100 110 125
        ACKNOWLEDGE  Bob>R2          105 120
        ACKNOWLEDGE  Bob>R2>R1       125 140 150
        DONE         Bob>R2>R1>Alice 125 140 150 155
    """)
    assert claims(network) == [("Claim", "R2>R1", 0, 10)]
    assert outcome(network) == ("delivered", None, None, 155)
    assert key_times(settings) == {
        "R2-Bob at Bob": 55,
        "R2-Bob at R2": 70,
        "Alice-R1 at R1": 70,
        "Alice-R1 at Alice": 75,
        "R1-R2 at R2": 90,
        "R1-R2 at R1": 100,
        "Bob": 125,
        "Alice": 155,
    }
    check_quiescent(network)


def test_a_refill_is_asked_for_right_after_the_claim_that_made_it_due() -> None:
    # 70 of 80 keys go at 90, which leaves 10 <= V_i = 20; CLAIM and REFILL leave together.
    network = run(scenario(line(1, 2, 3), [ask(keys=70)], pools=EMPTY))
    assert [row for row in trace(network) if row[2] in ("CLAIM", "REFILL")] == table("""
        REFILL  R1>R2  0  10
        REFILL  R2>R1  0  10
        CLAIM   R2>R1 90 100
        REFILL  R2>R1 90 100
    """)


# (e) Three repeaters


THREE = line(1, 2, 3, 5)
"""R1-R2 is empty at first and filled from 10 to 130; R2-R3 is full."""


def test_three_repeaters_of_which_the_middle_one_queues() -> None:
    # R3 serves at 80; R2 has its claim at 95 but must wait for R1>R2 until 130.
    # R3-Bob: 80 to 90 at Bob, 115 at R3. Alice-R1: 110 to 120 at R1, 125 at Alice.
    # R2 takes the keys that R3 has claimed when it serves.
    settings = scenario(THREE, [ask()], pools=MIDDLE_EMPTY)
    network = run(settings)
    assert trace(network) == table("""
        REFILL       R2>R1                0  10
        REFILL       R1>R2                0  10
        REQUEST      Alice>R1>R2>R3>Bob   0   5  15  30  55
        ACCEPT       Bob>R3>R2>R1>Alice  55  80  95 105 110
        CONFIRM      R3>Bob              80 105
        CONFIRM      R2>R3>Bob           95 110 135
        CONFIRM      R1>R2>R3>Bob       105 115 130 155
        CIPHERTEXT   R3>Bob             115 140
        ACKNOWLEDGE  Bob>R3             140 165
        CLAIM        R2>R1              130 140
        CIPHERTEXT   R2>R3>Bob          130 145 170
        ACKNOWLEDGE  Bob>R3>R2          170 195 210
        CIPHERTEXT   R1>R2>R3>Bob       140 150 165 190
        ACKNOWLEDGE  Bob>R3>R2>R1       190 215 230 240
        DONE         Bob>R3>R2>R1>Alice 190 215 230 240 245
    """)
    assert claims(network) == [("Accept", "R3>R2", 0, 10), ("Claim", "R2>R1", 0, 10)]
    assert outcome(network) == ("delivered", None, None, 245)
    assert key_times(settings) == {
        "R2-R3 at R3": 80,
        "R3-Bob at Bob": 90,
        "R3-Bob at R3": 115,
        "Alice-R1 at R1": 120,
        "Alice-R1 at Alice": 125,
        "R1-R2 at R2": 130,
        "R2-R3 at R2": 130,
        "R1-R2 at R1": 140,
        "Bob": 190,
        "Alice": 245,
    }
    check_quiescent(network)


# (f) Queue full


def test_a_full_queue_in_the_middle_rejects_upstream_and_cancels_downstream() -> None:
    # R2 has no slot at 95. R3 has served at 80: its keys, and the claim at R2, are discarded.
    settings = scenario(THREE, [ask()], pools=MIDDLE_EMPTY, queue={"at": [{"node": "R2", "capacity": 0}]})
    network = run(settings)
    assert trace(network) == table("""
        REFILL   R2>R1                0  10
        REFILL   R1>R2                0  10
        REQUEST  Alice>R1>R2>R3>Bob   0   5  15  30  55
        ACCEPT   Bob>R3>R2           55  80  95
        CONFIRM  R3>Bob              80 105
        REJECT   R2>R1>Alice         95 105 110
        REJECT   R2>R3>Bob           95 110 135
    """)
    assert outcome(network) == ("rejected", "queue_full", "R2", 110)
    keys = stream(network, "R2>R3")
    for pool in (keys.upstream, keys.downstream):
        assert (pool.level, pool.claimed, pool.used, pool.voided) == (110, 0, 0, 10)
    assert stream(network, "R1>R2").downstream.voided == 0
    reasons = [(str(row.message.reason), row.target) for row in network.hops or () if "Reject" in repr(row.message)]
    assert sorted(reasons) == [
        ("cancelled", "Bob"),
        ("cancelled", "R3"),
        ("queue_full", "Alice"),
        ("queue_full", "R1"),
    ]
    check_quiescent(network)


def test_keys_voided_after_their_ciphertext_was_sent_are_never_reused() -> None:
    # As before, but R3 is 1 km from Bob and sends its ciphertext at 55, before the cancellation reaches it at 70.
    # REQUEST at Bob 35; ACCEPT at R3 40, at R2 55. The second request gets keys 10-19 of R2>R3.
    network = run(
        scenario(
            line(1, 2, 3, 1),
            [ask(), ask(at_us=1000)],
            pools=MIDDLE_EMPTY,
            queue={"at": [{"node": "R2", "capacity": 0}]},
        )
    )
    assert [row for row in trace(network, 1) if row[2] != "REQUEST"] == table("""
        ACCEPT      Bob>R3>R2   35 40 55
        CONFIRM     R3>Bob      40 45
        CIPHERTEXT  R3>Bob      55 60
        ACKNOWLEDGE Bob>R3      60 65
        REJECT      R2>R1>Alice 55 65 70
        REJECT      R2>R3>Bob   55 70 75
    """)
    assert outcome(network, 1) == ("rejected", "queue_full", "R2", 70)
    assert outcome(network, 2)[0] == "delivered"
    assert claims(network) == [
        ("Accept", "R3>R2", 0, 10),
        ("Accept", "R3>R2", 10, 10),
        ("Accept", "R2>R1", 0, 10),
    ]
    check_quiescent(network)


def test_no_access_keys_are_made_where_the_queue_is_full() -> None:
    # R2 rejects at 45 and never joins Bob's generation; with one slot less than needed the link stays idle.
    settings = scenario(line(1, 2, 3), [ask()], pools=EMPTY, queue={"capacity": 0})
    network = run(settings)
    assert trace(network, 1) == table("""
        REQUEST  Alice>R1>R2>Bob   0   5  15  30
        ACCEPT   Bob>R2           30  45
        REJECT   R2>R1>Alice      45  55  60
        REJECT   R2>Bob           45  60
    """)
    assert outcome(network) == ("rejected", "queue_full", "R2", 60)
    assert key_times(settings) == {}
    check_quiescent(network)


# (g) Refused


@pytest.mark.parametrize(("keys", "reserve"), [(81, 0), (80, 1)])
def test_a_request_that_the_next_pool_could_never_serve_is_refused_on_the_way_out(keys: int, reserve: int) -> None:
    network = run(scenario(line(1, 2, 3), [ask(keys=keys)], pools={**FULL, "reserve": reserve}))
    assert trace(network) == table("""
        REQUEST  Alice>R1   0  5
        REJECT   R1>Alice   5 10
    """)
    assert outcome(network) == ("rejected", "refused", "R1", 10)
    check_quiescent(network)


def test_the_repeater_before_the_small_pool_refuses() -> None:
    pools = {**FULL, "at": [{"link": ["R2", "R3"], "capacity": 40, "initial": 40}]}
    network = run(scenario(THREE, [ask(keys=41)], pools=pools))
    assert trace(network) == table("""
        REQUEST  Alice>R1>R2   0  5 15
        REJECT   R2>R1>Alice  15 25 30
    """)
    assert outcome(network) == ("rejected", "refused", "R2", 30)
    check_quiescent(network)


@pytest.mark.parametrize(("keys", "reserve"), [(80, 0), (79, 1)])
def test_a_pool_gives_all_its_keys_but_the_reserve(keys: int, reserve: int) -> None:
    network = run(scenario(line(1, 2, 3), [ask(keys=keys)], pools={**FULL, "reserve": reserve}))
    assert outcome(network)[0] == "delivered"


def test_the_sender_refuses_what_the_pool_of_his_own_link_could_never_serve() -> None:
    network = run(scenario(line(1, 2, 3), [ask(keys=81)], pools=FULL, access={"mode": "pool"}))
    assert trace(network) == []
    assert outcome(network) == ("rejected", "refused", "Alice", 0)


# (h) Peer busy


def test_a_busy_receiver_refuses() -> None:
    # Carol's request has reached Bob at 20; Alice's does at 36.
    star = network_of(("Alice", "R", 1), ("R", "Bob", 2), ("R", "Carol", 2))
    network = run(scenario(star, [ask("Carol"), ask(at_us=21)], demand={"concurrent": 1}))
    assert trace(network, 2) == table("""
        REQUEST  Alice>R>Bob  21 26 36
        REJECT   Bob>R>Alice  36 46 51
    """)
    assert outcome(network, 2) == ("rejected", "peer_busy", "Bob", 51)
    assert outcome(network, 1)[0] == "delivered"
    check_quiescent(network)


# (i) No route


def test_without_a_route_nothing_is_sent_and_the_request_ends_at_once() -> None:
    apart = network_of(("Alice", "R", 1), ("R", "Carol", 1), ("Carol", "Bob", 1))
    network = run(scenario(apart, [ask(at_us=7)]))
    assert trace(network) == []
    assert outcome(network) == ("rejected", "no_route", "Alice", 7)


# (j) Expired


def test_patience_ends_while_queued() -> None:
    # R2 queues at 45 and would serve at 90; at 67 it gives up.
    network = run(scenario(line(1, 2, 3), [ask(patience_us=67)], pools=EMPTY))
    assert trace(network, 1) == table("""
        REQUEST  Alice>R1>R2>Bob   0   5  15  30
        ACCEPT   Bob>R2>R1>Alice  30  45  55  60
        CONFIRM  R2>Bob           45  60
        CONFIRM  R1>R2>Bob        55  65  80
        REJECT   R2>R1>Alice      67  77  82
        REJECT   R2>Bob           67  82
    """)
    assert outcome(network) == ("rejected", "expired", "R2", 82)
    assert stream(network, "R1>R2").downstream.voided == 0
    check_quiescent(network)


def test_expiry_in_the_middle_voids_the_claim_it_held() -> None:
    # R2 holds R3's claim since 95; at 127, before R1>R2 has recovered at 130, its time is over.
    # The ciphertext of R3 (115) is on its way; R3 voids its keys at 142.
    network = run(scenario(THREE, [ask(patience_us=127)], pools=MIDDLE_EMPTY))
    assert [row for row in trace(network, 1) if row[2] == "REJECT"] == table("""
        REJECT  R2>R1>Alice 127 137 142
        REJECT  R2>R3>Bob   127 142 167
    """)
    assert outcome(network) == ("rejected", "expired", "R2", 142)
    keys = stream(network, "R2>R3")
    assert (keys.upstream.voided, keys.downstream.voided) == (10, 10)
    assert stream(network, "R1>R2").downstream.voided == 0
    check_quiescent(network)


# (k) Access links with pools


def test_full_access_pools_serve_everything_on_the_way_back() -> None:
    # Bob claims on the own ACCEPT at 30, R2 at 45, R1 at 55; ciphertexts leave at once.
    settings = scenario(line(1, 2, 3), [ask()], pools=FULL, access={"mode": "pool"})
    network = run(settings)
    assert trace(network) == table("""
        REQUEST      Alice>R1>R2>Bob   0   5  15  30
        ACCEPT       Bob>R2>R1>Alice  30  45  55  60
        CONFIRM      R2>Bob           45  60
        CONFIRM      R1>R2>Bob        55  65  80
        CIPHERTEXT   R2>Bob           45  60
        CIPHERTEXT   R1>R2>Bob        55  65  80
        ACKNOWLEDGE  Bob>R2           60  75
        ACKNOWLEDGE  Bob>R2>R1        80  95 105
        DONE         Bob>R2>R1>Alice  80  95 105 110
    """)
    assert claims(network) == [
        ("Accept", "Bob>R2", 0, 10),
        ("Accept", "R2>R1", 0, 10),
        ("Accept", "R1>Alice", 0, 10),
    ]
    assert outcome(network) == ("delivered", None, None, 110)
    assert key_times(settings) == {
        "R2-Bob at Bob": 30,
        "R2-Bob at R2": 45,
        "R1-R2 at R2": 45,
        "R1-R2 at R1": 55,
        "Alice-R1 at R1": 55,
        "Alice-R1 at Alice": 60,
        "Bob": 80,
        "Alice": 110,
    }
    check_quiescent(network)


def test_with_empty_access_pools_claims_travel_from_bob_to_alice() -> None:
    # Fills: Alice>R1 5 to 85, R1>R2 10 to 90, R2>Bob 15 to 95; each link turns to its other direction afterwards.
    # Bob queues at 30 and claims at 95; R2 and R1 await their claims although their own pools have recovered.
    settings = scenario(line(1, 2, 3), [ask()], pools=EMPTY, access={"mode": "pool"})
    network = run(settings)
    assert trace(network) == table("""
        REFILL       R1>Alice          0   5
        REFILL       Alice>R1          0   5
        REFILL       R2>R1             0  10
        REFILL       R1>R2             0  10
        REFILL       Bob>R2            0  15
        REFILL       R2>Bob            0  15
        REQUEST      Alice>R1>R2>Bob   0   5  15  30
        ACCEPT       Bob>R2>R1>Alice  30  45  55  60
        CONFIRM      R2>Bob           45  60
        CONFIRM      R1>R2>Bob        55  65  80
        CLAIM        Bob>R2           95 110
        CLAIM        R2>R1           110 120
        CLAIM        R1>Alice        120 125
        CIPHERTEXT   R2>Bob          110 125
        CIPHERTEXT   R1>R2>Bob       120 130 145
        ACKNOWLEDGE  Bob>R2          125 140
        ACKNOWLEDGE  Bob>R2>R1       145 160 170
        DONE         Bob>R2>R1>Alice 145 160 170 175
    """)
    assert outcome(network) == ("delivered", None, None, 175)
    times = key_times(settings)
    assert times["R2-Bob at Bob"] == 95
    assert times["Alice-R1 at Alice"] == 125
    assert times["Bob"] == 145
    check_quiescent(network)


# (l) The qnet preset

RATE = {"model": Instant, "rate_bps": 8e6}


def test_the_qnet_preset_can_be_combined_with_another_demand() -> None:
    settings = scenario(line(3, 3, 3), [ask()], preset="qnet", pools=EMPTY, key_rate=RATE)
    assert outcome(run(settings)) == ("delivered", None, None, 190)


def qnet(*requests: dict[str, Any]) -> QKDNetwork:
    """Run requests with the rules of the preset; each link of 3 km has a delay of 10."""
    rules = {name: section for name, section in PRESETS["qnet"].items() if name != "demand"}
    rules["pools"] = {**rules["pools"], **EMPTY}
    rules["key_rate"] = {**rules["key_rate"], **RATE}
    return run(scenario(line(3, 3, 3), requests, **rules))


def test_the_qnet_preset_refills_after_five_delays_without_a_message() -> None:
    # Both directions are filled from 50 to 130, each by devices of its own. R2 queues at 40 and serves at 130.
    network = qnet(ask())
    assert trace(network) == table("""
        REQUEST      Alice>R1>R2>Bob   0  10  20  30
        ACCEPT       Bob>R2>R1>Alice  30  40  50  60
        CONFIRM      R2>Bob           40  50
        CONFIRM      R1>R2>Bob        50  60  70
        CLAIM        R2>R1           130 140
        CIPHERTEXT   R2>Bob          130 140
        CIPHERTEXT   R1>R2>Bob       140 150 160
        ACKNOWLEDGE  Bob>R2          140 150
        ACKNOWLEDGE  Bob>R2>R1       160 170 180
        DONE         Bob>R2>R1>Alice 160 170 180 190
    """)
    assert outcome(network) == ("delivered", None, None, 190)
    check_quiescent(network)


def test_the_qnet_preset_has_a_reserve_of_one_key() -> None:
    assert outcome(qnet(ask(keys=80))) == ("rejected", "refused", "R1", 20)
    assert outcome(qnet(ask(keys=79)))[0] == "delivered"


def test_the_qnet_preset_waits_five_delays_for_every_refill() -> None:
    # 70 of 80 keys go at 130; the refill of 70 keys starts at 180 and is there at 250.
    network = qnet(ask(keys=70), ask(at_us=100))
    assert [row for row in trace(network) if row[2] == "CLAIM"] == table("CLAIM R2>R1 130 140\nCLAIM R2>R1 250 260")


# (m) Routes through end nodes


def test_a_route_that_ends_at_another_user_is_refused_there() -> None:
    through = network_of(("Alice", "R1", 1), ("R1", "Carol", 2), ("Carol", "R2", 1), ("R2", "Bob", 1))
    network = run(scenario(through, [ask()], routing={"policy": "through-end-nodes"}))
    assert entry(network).request.route == ("Alice", "R1", "Carol")
    assert trace(network) == table("""
        REQUEST  Alice>R1>Carol   0  5 15
        REJECT   Carol>R1>Alice  15 25 30
    """)
    assert outcome(network) == ("rejected", "refused", "Carol", 30)
    check_quiescent(network)


def test_a_route_that_comes_back_to_the_sender_is_refused_by_the_sender() -> None:
    # Alice's gateway is R1, the repeater listed last; from there the way to Bob leads through Alice.
    back = network_of(("Alice", "R2", 1), ("R2", "Bob", 1), ("Alice", "R1", 2))
    network = run(scenario(back, [ask()], routing={"policy": "through-end-nodes"}))
    assert entry(network).request.route == ("Alice", "R1", "Alice")
    assert trace(network) == table("""
        REQUEST  Alice>R1>Alice   0 10 20
        REJECT   Alice>R1>Alice  20 30 40
    """)
    assert outcome(network) == ("rejected", "refused", "Alice", 40)
    check_quiescent(network)
