"""What must hold in any network, whatever is asked of it and however its pools are set."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qkdrmp.errors import ScenarioError
from qkdrmp.kernel.invariants import InvariantError
from qkdrmp.kernel.units import to_ticks
from qkdrmp.qkd.family import StuckPoolWarning
from qkdrmp.qkd.invariants import check_network, check_quiescent
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.network import QKDNetwork
from qkdrmp.qkd.request import RejectReason, RequestEntry, RequestStatus
from qkdrmp.qkd.run import QKDRun
from qkdrmp.scenario_file import make_scenario
from qkdrmp.simulation import simulate
from qkdrmp.topology import Link, Node, NodeKind, Topology

from .strategies import scenarios

MOMENTS_S = (0.0, 0.0005, 0.001, 0.002, 0.010, 0.030, 0.050)
MOST_EVENTS = 300_000


def fixed(examples: int) -> settings:
    """The same examples on every run, without a clock."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def run_of(raw: dict[str, Any], seed: int = 1, **recorded: bool) -> QKDRun:
    return QKDRun(make_scenario(raw), seed, [name for name, wanted in recorded.items() if wanted])


def drain(network: QKDNetwork) -> None:
    """Process all events there are; fails if they never end."""
    events = 0
    while network.env.peek() < math.inf:
        network.env.step()
        events += 1
        assert events < MOST_EVENTS, "events without end"


def keys_of(entry: RequestEntry) -> list[int]:
    """Return the single keys of a delivered request."""
    assert entry.alice_key is not None
    bits, mask = entry.request.key_bits, (1 << entry.request.key_bits) - 1
    return [entry.alice_key >> i * bits & mask for i in range(entry.request.keys)]


def watch_recoveries(pool: KeyPool) -> None:
    """Let a pool that starts to serve again fail if it is below V_r."""
    store, ready = pool.store, pool.on_ready

    def watched(keys: Iterable[int], filled: bool = False) -> None:
        served_before = pool.serving

        def check_first() -> None:
            recovered = pool.level >= pool.settings.thresholds.recover
            assert served_before or recovered, f"serves again at level {pool.level}"
            ready()

        pool.on_ready = check_first
        store(keys, filled)

    pool.store = watched  # type: ignore[method-assign]


def check_totals(run: QKDRun) -> None:
    """The keys that every stream has given are those of the delivered requests, and no others."""
    expected: Counter[str] = Counter()
    relayed = 0
    for entry in run.network.ledger.entries:
        if entry.state is RequestStatus.DELIVERED:
            relayed += len(entry.request.route) - 2
            for hop in pairwise(entry.request.route):
                expected[">".join(hop)] += 1
                check_delivery_time(run, entry)
    for stream in run.network.streams:
        used = 0
        for entry in run.network.ledger.entries:
            if entry.state is RequestStatus.DELIVERED and stream.ends in list(pairwise(entry.request.route)):
                used += stream.settings.keys_for(entry.request.bits)
        assert stream.downstream.used == stream.upstream.used == used, stream.name
        assert stream.overflow == 0, stream.name
    assert sum(stack.routing.relayed for stack in run.network.stacks.values()) == relayed


def check_delivery_time(run: QKDRun, entry: RequestEntry) -> None:
    """Nothing is faster than light: REQUEST and ACCEPT, or ACCEPT and DONE, cross the whole route."""
    delays = {(channel.source, channel.target): channel.delay for channel in run.network.channels}
    there = sum(delays[hop] for hop in pairwise(entry.request.route))
    assert entry.end is not None
    assert entry.end - entry.request.start >= 2 * there


def check_reasons(run: QKDRun, raw: dict[str, Any]) -> None:
    """Each reason is given only where it can apply."""
    network = run.network
    streams = {stream.ends: stream for stream in network.streams}
    for entry in network.ledger.entries:
        request, reason = entry.request, entry.reason
        route = request.route
        too_big = any(
            streams[hop].settings.keys_for(request.bits) > streams[hop].settings.most_keys
            for hop in pairwise(route)
            if hop in streams
        )
        astray = bool(route) and route[-1] != request.dst
        if reason is RejectReason.NO_ROUTE:
            assert route == ()
        elif reason is RejectReason.REFUSED:
            assert too_big or astray
        elif reason is RejectReason.EXPIRED:
            assert request.expires is not None
            assert entry.end is not None
            assert entry.end >= request.expires
        elif reason in (RejectReason.PEER_BUSY, RejectReason.USER_BUSY):
            assert raw["demand"]["concurrent"] is not None
        elif reason is None and entry.state is RequestStatus.DELIVERED:
            assert not too_big
            assert not astray
        assert reason is not RejectReason.CANCELLED


def check_everything_ends(raw: dict[str, Any]) -> QKDRun:
    run = run_of(raw, levels=True)
    for moment in MOMENTS_S:
        run.advance(to_ticks(moment))
        run.check()
    drain(run.network)
    run.check()
    waiting = [entry.request.id for entry in run.network.ledger.entries if entry.state is RequestStatus.UNFINISHED]
    assert waiting == []
    check_quiescent(run.network)
    check_totals(run)
    check_reasons(run, raw)
    return run


@fixed(350)
@given(scenarios())
def test_every_request_ends_and_all_keys_are_accounted_for(raw: dict[str, Any]) -> None:
    check_everything_ends(raw)


@pytest.mark.slow
@fixed(6000)
@given(scenarios())
def test_every_request_ends_and_all_keys_are_accounted_for_at_length(raw: dict[str, Any]) -> None:
    check_everything_ends(raw)


@fixed(200)
@given(scenarios(replenish=("demand", "continuous", "threshold")))
def test_service_resumes_at_the_recovery_threshold(raw: dict[str, Any]) -> None:
    run = run_of(raw)
    for stream in run.network.streams:
        watch_recoveries(stream.downstream)
    drain(run.network)
    run.check()


def check_distinct_keys(raw: dict[str, Any]) -> None:
    run = run_of(raw)
    drain(run.network)
    delivered = [entry for entry in run.network.ledger.entries if entry.state is RequestStatus.DELIVERED]
    assert all(entry.alice_key == entry.bob_key for entry in delivered)
    keys = [key for entry in delivered for key in keys_of(entry)]
    assert len(set(keys)) == len(keys)
    assert all(0 < key.bit_length() <= 256 for key in keys)


@fixed(120)
@given(scenarios(key_bits=(256,)))
def test_no_key_is_delivered_twice(raw: dict[str, Any]) -> None:
    check_distinct_keys(raw)


@pytest.mark.slow
@fixed(1200)
@given(scenarios(key_bits=(256,)))
def test_no_key_is_delivered_twice_at_length(raw: dict[str, Any]) -> None:
    check_distinct_keys(raw)


def check_in_progress(raw: dict[str, Any]) -> QKDRun:
    run = run_of(raw)
    for moment in MOMENTS_S:
        run.advance(to_ticks(moment))
        run.check()
        row = run.summary()
        rejected = sum(value for name, value in row.items() if name.startswith("rejected_"))
        ended = row["requests_delivered"] + rejected
        assert row["requests_started"] == ended + row["requests_unfinished"]
        assert row["mismatched_keys"] == row["mismatched_requests"] == 0
    return run


@fixed(150)
@given(scenarios(replenish=("demand", "continuous", "threshold"), finite=False))
def test_invariants_under_endless_demand(raw: dict[str, Any]) -> None:
    check_in_progress(raw)


@pytest.mark.slow
@fixed(2500)
@given(scenarios(replenish=("demand", "continuous", "threshold"), finite=False))
def test_invariants_under_endless_demand_at_length(raw: dict[str, Any]) -> None:
    check_in_progress(raw)


def check_threshold(raw: dict[str, Any]) -> None:
    """What still waits when nothing happens any more waits for a pool that is stuck, or for one that does."""
    run = run_of(raw)
    drain(run.network)
    run.check()
    unfinished = [entry for entry in run.network.ledger.entries if entry.state is RequestStatus.UNFINISHED]
    stuck = [stream for stream in run.network.streams if stream.downstream.stuck.value]
    assert bool(unfinished) == bool(stuck) == bool(run.findings())
    for stream in stuck:
        level = stream.downstream.level
        asked = [entry.request for entry in unfinished if stream.ends in list(pairwise(entry.request.route))]
        sizes = {stream.settings.keys_for(request.bits) for request in asked}
        assert level > stream.settings.thresholds.interrupt
        assert level - max(sizes) < stream.settings.thresholds.reserve
        everything = {stream.settings.keys_for(entry.request.bits) for entry in run.network.ledger.entries}
        assert level in stream.settings.thresholds.stuck_levels(everything)


@fixed(150)
@given(scenarios(replenish=("threshold",), limits=False))
def test_under_the_threshold_rule_only_stuck_pools_keep_requests_waiting(raw: dict[str, Any]) -> None:
    check_threshold(raw)


@pytest.mark.slow
@fixed(1500)
@given(scenarios(replenish=("threshold",), limits=False))
def test_under_the_threshold_rule_only_stuck_pools_keep_requests_waiting_at_length(raw: dict[str, Any]) -> None:
    check_threshold(raw)


# The same again


def check_same_again(raw: dict[str, Any], stops: list[float]) -> None:
    """Twice the same, in pieces the same, with recording the same."""
    whole, again, pieces = run_of(raw), run_of(raw), run_of(raw, messages=True, levels=True)
    end = to_ticks(raw["duration_s"])
    whole.advance(end)
    again.advance(end)
    for stop in sorted(stops):
        ticks = to_ticks(stop)
        pieces.advance(ticks)
        separate = run_of({**raw, "duration_s": max(stop, 1e-12), "warmup_s": 0.0})
        if raw.get("warmup_s", 0.0) == 0:
            separate.advance(ticks)
            assert repr(separate.summary()) == repr(pieces.summary())
    pieces.advance(end)
    assert repr(whole.summary()) == repr(again.summary()) == repr(pieces.summary())
    tables = whole.tables()
    for other in (again.tables(), pieces.tables()):
        for name, table in tables.items():
            assert table.equals(other[name]), name


any_scenario = st.booleans().flatmap(
    lambda finite: scenarios(replenish=("demand", "continuous", "threshold"), finite=finite)
)
some_stops = st.lists(
    st.one_of(st.floats(0, 0.05), st.sampled_from([0.0, 0.001, 0.001001, 0.01])), min_size=1, max_size=4
)


@fixed(50)
@given(any_scenario, some_stops)
def test_runs_repeat_and_may_be_cut_in_pieces(raw: dict[str, Any], stops: list[float]) -> None:
    check_same_again(raw, stops)


@pytest.mark.slow
@fixed(1000)
@given(any_scenario, some_stops)
def test_runs_repeat_and_may_be_cut_in_pieces_at_length(raw: dict[str, Any], stops: list[float]) -> None:
    check_same_again(raw, stops)


@fixed(30)
@given(any_scenario, some_stops, st.sampled_from([0.0003, 0.002, 0.02]))
def test_runs_with_warmup_may_be_cut_in_pieces(raw: dict[str, Any], stops: list[float], warmup: float) -> None:
    check_same_again({**raw, "warmup_s": warmup}, [stop for stop in stops if stop != warmup])


@fixed(25)
@given(any_scenario)
def test_another_seed_gives_other_keys(raw: dict[str, Any]) -> None:
    runs = [run_of(raw, seed) for seed in (1, 2)]
    for run in runs:
        run.advance(to_ticks(0.05))
    first, second = (
        {entry.request.id: entry for entry in run.network.ledger.entries if entry.state is RequestStatus.DELIVERED}
        for run in runs
    )
    long = [
        number
        for number in first.keys() & second.keys()
        if min(first[number].request.bits, second[number].request.bits) >= 64
    ]
    assert all(first[number].alice_key != second[number].alice_key for number in long)


def test_a_run_that_is_over_is_checked_for_ends_that_differ() -> None:
    demand = listed({"start_s": 0.0, **ALICE_TO_BOB})
    run = run_of({"topology": line("U1", "R1", "R2", "U2"), "duration_s": 1.0, "demand": demand})
    run.advance(to_ticks(1.0))
    run.check()
    (stream,) = (stream for stream in run.network.streams if stream.name == "R1>R2")
    stream.upstream.stored += 1
    stream.upstream.used += 1
    with pytest.raises(InvariantError, match="R1>R2: both ends alike"):
        run.check()


# What once went wrong, each at its smallest


def line(*names: str, length_km: float = 10.0) -> Topology:
    kinds = {"U": NodeKind.END, "R": NodeKind.REPEATER}
    nodes = [Node(name, kinds[name[0]]) for name in names]
    return Topology("line", nodes, [Link(pair, length_km) for pair in pairwise(names)])


def listed(*requests: dict[str, Any]) -> dict[str, Any]:
    return {"model": "list", "requests": list(requests)}


ALICE_TO_BOB = {"src": "U1", "dst": "U2", "keys": 1, "key_bits": 32}


def test_a_run_may_be_cut_at_the_end_of_the_warmup() -> None:
    raw = {
        "topology": line("U1", "R1", "R2", "U2"),
        "warmup_s": 0.1,
        "duration_s": 0.3,
        "demand": {"model": "closed-loop"},
    }
    whole, pieces = run_of(raw), run_of(raw)
    whole.advance(to_ticks(0.3))
    pieces.advance(to_ticks(0.1))
    pieces.advance(to_ticks(0.3))
    assert whole.tables()["pools"].equals(pieces.tables()["pools"])


def test_nodes_do_not_count_rejections_of_the_warmup() -> None:
    nodes = [Node("U1", NodeKind.END), Node("R1", NodeKind.REPEATER), Node("U2", NodeKind.END)]
    topology = Topology("t", [*nodes, Node("U3", NodeKind.END)], [Link(("U1", "R1"), 1.0), Link(("R1", "U2"), 1.0)])
    asked = {"start_s": 0.1, "src": "U1", "dst": "U3"}
    scenario = {"topology": topology, "warmup_s": 0.5, "duration_s": 1.0, "demand": listed(asked)}
    results = simulate(make_scenario(scenario))
    assert results.nodes["rejected_no_route"].sum() == results.summary["rejected_no_route"] == 0


def test_one_request_is_rejected_by_one_node_only() -> None:
    scenario = {
        "topology": line("U1", "R1", "R2", "U2"),
        "duration_s": 1.0,
        "pools": {"initial": 40},
        "key_rate": {"model": "constant", "rate_bps": 1.0},
        "demand": listed({"start_s": 0.0, "patience_s": 0.1, **ALICE_TO_BOB}),
    }
    results = simulate(make_scenario(scenario))
    assert results.summary["rejected_expired"] == 1
    assert results.nodes["rejected_expired"].sum() == 1


def test_patience_ends_while_waiting_for_an_access_key_after_a_late_claim() -> None:
    scenario = {
        "topology": line("U1", "R1", "R2", "U2"),
        "duration_s": 200.0,
        "pools": {"capacity": 10},
        "key_rate": {"model": "constant", "rate_bps": 6400.0, "at": [{"link": ["U1", "R1"], "rate_bps": 0.32}]},
        "demand": listed({"start_s": 0.0, "patience_s": 0.1, **ALICE_TO_BOB}),
    }
    (request,) = simulate(make_scenario(scenario)).requests.itertuples()
    assert (request.state, request.reason) == ("rejected", "expired")
    assert request.end_s < 0.11


def test_nothing_is_served_after_its_deadline() -> None:
    scenario = {
        "topology": line("U1", "R1", "R2", "U2"),
        "duration_s": 1.0,
        "access": {"mode": "pool"},
        "pools": {"initial": 40},
        "key_rate": {"model": "constant", "rate_bps": 1e6},
        "demand": listed({"start_s": 0.5, "deadline_s": 0.1, **ALICE_TO_BOB}),
    }
    (request,) = simulate(make_scenario(scenario)).requests.itertuples()
    assert (request.state, request.reason) == ("rejected", "expired")


@pytest.mark.parametrize(
    "demand",
    [
        listed({"start_s": 0.0, "src": "U1", "dst": "U1"}),
        {"model": "rekey", "interval_s": 0.1, "pairs": [["U1", "U1"]]},
        {"model": "poisson", "matrix": [{"src": "U1", "dst": "U1", "rate_per_s": 100.0}]},
    ],
)
def test_a_request_to_oneself_is_an_error_of_the_scenario(demand: dict[str, Any]) -> None:
    with pytest.raises(ScenarioError, match="U1"):
        simulate(make_scenario({"topology": line("U1", "R1", "U2"), "duration_s": 1.0, "demand": demand}))


def test_closed_loop_without_a_first_wait_is_an_error_of_the_scenario() -> None:
    # Users would try again at the same instant indefinitely.
    demand = {"model": "closed-loop", "first_mean_s": 0.0, "first_sd_s": 0.0}
    with pytest.raises(ScenarioError, match="first_mean_s"):
        run_of({"topology": line("U1", "R1", "U2"), "duration_s": 0.01, "demand": demand})


@pytest.mark.parametrize("lead", [0.0, 0.5])
def test_service_resumes_at_the_recovery_threshold_whatever_the_lead(lead: float) -> None:
    def asked(start_s: float, keys: int) -> dict[str, Any]:
        return {**ALICE_TO_BOB, "start_s": start_s, "keys": keys}

    scenario = {
        "topology": line("U1", "R1", "R2", "U2"),
        "duration_s": 0.01,
        "access": {"at": [{"link": ["U1", "R1"], "mode": "pool"}]},
        "pools": {"capacity": 40, "initial": 40, "replenish": "threshold", "refill_lead_delays": lead},
        "key_rate": {"model": "constant", "rate_bps": 1e9},
        "demand": listed(asked(0.001, 10), asked(0.00102, 20)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", StuckPoolWarning)
        results = simulate(make_scenario(scenario))
    (level,) = results.pools.loc[results.pools["stream"] == "R1>R2", "level_end"]
    assert level == 40


@pytest.mark.parametrize(
    ("initial", "patience_s"),
    [
        # 5 us one way: the receiver takes pool keys at 5 us, on the REQUEST, and the ACCEPT is back at 10 us.
        pytest.param(1, 7.5e-6, id="claim on the ACCEPT"),
        # REFILL until 5 us, 1 ms for the key and 5 us for its light: the receiver takes it at 1010 us, and the CLAIM is
        # there at 1015 us.
        pytest.param(0, 1012.5e-6, id="CLAIM"),
    ],
)
def test_a_patience_that_ends_while_a_claim_travels_leaves_both_ends_alike(initial: int, patience_s: float) -> None:
    scenario = {
        "topology": line("U1", "U2", length_km=1.0),
        "duration_s": 1.0,
        "access": {"mode": "pool"},
        "pools": {"capacity": 1, "initial": initial},
        "key_rate": {"model": "constant", "rate_bps": 32e3, "per_direction": True},
        "demand": listed({"start_s": 0.0, "patience_s": patience_s, **ALICE_TO_BOB}),
    }
    run = run_of(scenario)
    drain(run.network)
    assert [entry.state for entry in run.network.ledger.entries] == [RequestStatus.DELIVERED]
    check_quiescent(run.network)


# Channels with faults: keys may fail to come, but they never differ, and nothing breaks


def with_faults(raw: dict[str, Any], seed: int = 1, **faults: float) -> QKDNetwork:
    network = QKDNetwork(make_scenario({**raw, "faults": faults}), seed)
    drain(network)
    check_network(network)
    return network


@fixed(60)
@given(scenarios())
def test_lost_messages_never_make_keys_differ(raw: dict[str, Any]) -> None:
    with_faults(raw, loss=0.1)


@fixed(60)
@given(scenarios(), st.sampled_from([0, 10**6, 10**9]))
def test_doubled_messages_never_make_keys_differ(raw: dict[str, Any], extra_delay: int) -> None:
    with_faults(raw, duplication=0.3, extra_delay_s=extra_delay / 1e12)


@fixed(60)
@given(scenarios(), st.sampled_from([1, 10**6, 10**9]))
def test_messages_that_overtake_each_other_leave_nothing_waiting(raw: dict[str, Any], extra_delay: int) -> None:
    network = with_faults(raw, extra_delay_s=extra_delay / 1e12)
    assert all(entry.state is not RequestStatus.UNFINISHED for entry in network.ledger.entries)
    check_quiescent(network)


def few_requests(*names: str) -> dict[str, Any]:
    return {
        "topology": line(*names),
        "duration_s": 1.0,
        "access": {"mode": "pool"},
        "pools": {"capacity": 10, "initial": 10 if len(names) == 2 else 0},
        "key_rate": {"model": "constant", "rate_bps": 1e6},
        "demand": listed(*({**ALICE_TO_BOB, "start_s": 0.0005 * number} for number in range(10))),
    }


@pytest.mark.parametrize("seed", range(10))
def test_a_claim_may_overtake_its_accept(seed: int) -> None:
    check_quiescent(with_faults(few_requests("U1", "R1", "R2", "U2"), seed, extra_delay_s=1e-3))


@pytest.mark.parametrize("seed", range(10))
def test_a_doubled_request_over_one_link_is_served_once(seed: int) -> None:
    with_faults(few_requests("U1", "U2"), seed, duplication=0.5)
