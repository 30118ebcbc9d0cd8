"""Links that make no keys, and blocks of many keys, in a network: what is said beforehand, and what a run does."""

import math

import pytest

import qkdrmp
from qkdrmp.qkd.filling import fill_times_s, filling, late_filling
from qkdrmp.qkd.loads import dead_links, dropped_keys, link_loads, load_known, overload, rate_bps
from qkdrmp.qkd.prediction import known_beforehand, predict
from qkdrmp.qkd.theory.bounds import key_bound
from tests.qkd.helpers import ask, line, network_of, outcome, run, scenario

DECOY = {"model": "decoy-bb84"}
FAR = network_of(("Alice", "R", 50), ("R", "Bob", 260), ("R", "Carol", 20))
"""R-Bob has 52 dB, where devices of GYS see nothing but background."""


def with_poisson(topology, **sections):
    demand = {"model": "poisson", "rate_per_s": 1.0, "key_num": 1, "key_length_bits": 8}
    return scenario(topology, demand=demand, access={"mode": "pool"}, duration_s=1.0, **sections)


def test_a_link_without_keys_is_named_with_its_qber_and_whom_it_concerns() -> None:
    (said,) = dead_links(with_poisson(FAR, key_rate=DECOY))
    assert said == (
        "1 of 3 links makes no keys, R-Bob (decoy-bb84 at 52 dB: QBER 46.5 %, limit 11 %): requests of 4 of 6 pairs of "
        "users find no more keys there than pools have at first: Alice>Bob, Bob>Alice, Bob>Carol and 1 more"
    )
    assert said in predict(with_poisson(FAR, key_rate=DECOY))
    assert not [*dead_links(with_poisson(line(10, 20), key_rate=DECOY))]


def test_a_limit_on_the_loss_is_named_without_a_qber() -> None:
    law = {"model": "loss-law", "rate_0db_bps": 1e6, "max_loss_db": 30}
    (said,) = dead_links(with_poisson(FAR, key_rate=law))
    assert said.startswith("1 of 3 links makes no keys, R-Bob (loss-law at 52 dB): ")


def test_loads_filling_and_bounds_know_links_without_keys() -> None:
    settings = with_poisson(FAR, key_rate=DECOY)
    loads = link_loads(settings)
    assert loads["R", "Bob"] == math.inf
    assert 0 < loads["Alice", "R"] < 1
    assert overload(settings).loads == {}
    assert fill_times_s(settings)["R>Bob"] == math.inf
    said = [*load_known(settings), *filling(settings), *late_filling(settings)]
    assert said
    assert not any("inf" in sentence or "nan" in sentence or "R-Bob" in sentence for sentence in said)
    assert key_bound(settings).key_rate_bps == pytest.approx(16)  # Alice and Carol: 8 bits a second each way
    only = with_poisson(line(260), key_rate=DECOY)
    assert key_bound(only).key_rate_bps == 0
    assert "Load" not in known_beforehand(only)


@pytest.mark.parametrize("replenish", ["threshold", "demand", "continuous"])
@pytest.mark.parametrize("access", ["pool", "per-request"])
def test_requests_over_a_link_without_keys_wait_until_their_patience_ends(replenish: str, access: str) -> None:
    asked = [ask(patience_us=30_000), ask(dst="Carol", patience_us=90_000, at_us=10)]
    pools = {"replenish": replenish, "capacity": 40}
    network = run(scenario(FAR, asked, key_rate=DECOY, access={"mode": access}, pools=pools, duration_s=0.1))
    states = [outcome(network, number)[0] for number in (1, 2)]
    assert states == ["rejected", "delivered"]


def test_keys_that_pools_have_at_first_are_used_up() -> None:
    asked = [ask(at_us=1000 * number) for number in range(4)]
    settings = scenario(FAR, asked, key_rate=DECOY, access={"mode": "pool"}, pools={"capacity": 30, "initial": 30})
    network = run(settings.replace({"duration_s": 0.1, "pools.interrupt": 0}))
    assert [outcome(network, number)[0] for number in range(1, 5)] == ["delivered"] * 3 + ["unfinished"]


def test_a_whole_run_of_a_network_with_a_link_without_keys_has_its_tables() -> None:
    results = qkdrmp.simulate(with_poisson(FAR, key_rate=DECOY), seed=1)
    assert results.pools.set_index("stream").loc["R>Bob", "level_end"] == 0
    assert results.summary["requests_delivered"] >= 0


# Blocks

BLOCKS = {"model": "decoy-bb84", "block_size": 1500}
"""On 10 km of 0.2 dB/km."""


def block_of(settings):
    link = settings.topology.links[0]
    return settings.key_rate.build().link_rate(settings.fibre(link))


@pytest.mark.parametrize("replenish", ["threshold", "demand", "continuous"])
def test_a_pool_stores_of_a_block_what_it_has_capacity_for_and_counts_the_others(replenish: str) -> None:
    pools = {"capacity": 30, "replenish": replenish, "interrupt": 5}
    settings = scenario(line(10), key_rate=BLOCKS, access={"mode": "pool"}, pools=pools, duration_s=0.1)
    keys = int(block_of(settings).block_bits // 8)
    assert keys > 30
    network = run(settings)
    for stream in network.streams:
        assert (stream.downstream.level, stream.upstream.level) == (30, 30)
        assert stream.overflow == keys - 30


def test_a_refill_ends_at_its_threshold_though_the_block_has_more() -> None:
    pools = {"capacity": 80, "recover": 20, "interrupt": 5}
    network = run(scenario(line(10), key_rate=BLOCKS, access={"mode": "pool"}, pools=pools, duration_s=0.1))
    assert {stream.downstream.level for stream in network.streams} == {20}


def test_pools_fill_at_the_end_of_a_block_and_that_is_known_beforehand() -> None:
    pools = {"capacity": 100, "replenish": "continuous", "interrupt": 0, "recover": 100}
    settings = scenario(
        line(10), key_rate={**BLOCKS, "per_direction": True}, access={"mode": "pool"}, pools=pools, duration_s=0.1
    )
    made = block_of(settings)
    per_block = made.block_bits / 8
    assert 30 < per_block < 50  # three blocks are needed for 100 keys
    assert fill_times_s(settings)["Alice>Bob"] == pytest.approx(3 * made.block_s)
    results = qkdrmp.simulate(settings, seed=1, record=["levels"])
    levels = results.tables["levels"].query("stream == 'Alice>Bob' and end == 'downstream'")
    assert levels["level"].to_list()[:4] == [0, int(per_block), int(2 * per_block), 100]
    flight_s = 50e-6  # of the light of the first block, over 10 km
    ready = [flight_s + number * made.block_s for number in (1, 2, 3)]
    assert levels["time_s"].to_list()[1:4] == pytest.approx(ready, abs=1e-11)


def test_blocks_that_pools_cannot_hold_are_said_and_lower_the_rate_that_counts() -> None:
    small = with_poisson(line(10), key_rate=BLOCKS, pools={"capacity": 30})
    (said,) = dropped_keys(small)
    assert said.startswith(
        "blocks of 1 link have more keys than pools can hold, and the others are dropped: Alice-Bob "
    )
    assert said in predict(small)
    made = block_of(small)
    link = small.topology.links[0]
    assert rate_bps(small, link) == pytest.approx(240 / made.block_s)
    large = small.replace({"pools.capacity": 500})
    assert not [*dropped_keys(large)]
    assert rate_bps(large, link) == made.rate_bps


def test_keys_for_one_request_wait_for_a_whole_block() -> None:
    settings = scenario(line(10), [ask(keys=10)], key_rate=BLOCKS, duration_s=0.1)
    state, _, _, end_us = outcome(run(settings))
    assert state == "delivered"
    assert end_us is not None
    block_us = block_of(settings).block_s * 1e6
    assert block_us < end_us < block_us + 10 * 50 + 1
