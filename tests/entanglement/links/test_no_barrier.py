"""Links without a Barrier: each end switches when it has both lists, as far apart as the messages make it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from qkdrmp.entanglement.links.epoch import LAU, Barrier
from qkdrmp.entanglement.network import EntanglementNetwork
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    US,
    chain,
    deliveries,
    entry_of,
    network_of,
    run,
)

LANES = 2


def joined(**sections: object) -> EntanglementNetwork:
    """Return a link of 1 km, with slots of 5 us, on which a message takes 110 us; c2 joins c1 at 3 ms, until 6 ms."""
    connections = [{"memories": 1}, {"memories": 1, "at_s": 0.003, "teardown_s": 0.006}]
    network = network_of(
        chain("AB", 1.0, classical_km=[20.0]),
        connections,
        trace=True,
        links=CERTAIN,
        memories={**FOR_EVER, "per_interface": LANES},
        gates=PERFECT,
        allocation={"barrier": False},
        **sections,
    )
    network.env.advance(round(10_000 * US))
    return network


def first_trial(us: float) -> int:
    """Return the first trial that has not started at a time: slots start at 2.5, 7.5, 12.5... us at both ends."""
    return LANES * int((us + 2.5) // 5)


def test_no_barrier_is_sent_and_each_end_switches_as_soon_as_it_has_both_lists() -> None:
    network = joined()
    said = [hop for hop in network.hops or () if isinstance(hop.message, LAU | Barrier)]
    assert [(hop.message.wire_name, hop.source, hop.sent / US) for hop in said] == [
        ("LAU", "B", 110),  # installed
        ("LAU", "A", 220),
        ("LAU", "B", 3110),
        ("LAU", "A", 3220),
        ("LAU", "A", 6000),  # torn down
        ("LAU", "B", 6110),
    ]
    here, there = (network.interfaces[a][b] for a, b in ("AB", "BA"))
    # One has both as the LAU of the other comes: A at 220, and B, to which A answers, at 330; and so on.
    assert [a.since for a in here.allocation.agreements][1:] == [first_trial(at) for at in (220, 3220, 6220)]
    assert [a.since for a in there.allocation.agreements][1:] == [first_trial(at) for at in (330, 3330, 6110)]
    assert here.allocation.agreements[1].entries == there.allocation.agreements[1].entries != ()
    assert (here.stalled, there.stalled) == (0, 0), "no trial is void"


def test_what_is_made_between_the_two_switches_puts_all_later_pairs_out_of_step() -> None:
    # From 3220 to 3330 us every other trial is for c2 at A, and all are for c1 at B.
    network = joined()
    pairs = deliveries(network)
    wrong = [pair.tick for pair in pairs if not pair.right]
    assert min(wrong) > 3220 * US
    late = [pair for pair in pairs if pair.tick > 3500 * US]
    assert len(late) > 500
    assert not any(pair.right for pair in late)
    assert entry_of(network).wrong_partner > 500


def test_lost_lists_are_sent_again_and_both_ends_agree_in_the_end() -> None:
    faulty = {"loss": 0.3, "duplication": 0.3, "extra_delay_s": 1e-4}
    for seed in range(10):
        network = network_of(
            chain("AB", 1.0, classical_km=[20.0]),
            [{"memories": 1, "at_s": 0.001 * i, "teardown_s": 0.05 + 0.001 * i} for i in range(4)],
            seed=seed,
            memories={**FOR_EVER, "per_interface": 4},
            allocation={"barrier": False},
            faults=faulty,
            setup={"retries": 20, "timeout_margin_s": 0.1, "hold_margin_s": 0.1},
        )
        run(network, 1.0)
        here, there = (network.interfaces[a][b].allocation for a, b in ("AB", "BA"))
        assert [a.entries for a in here.agreements] == [a.entries for a in there.agreements]
        assert here.active == there.active == ()
        assert [end.waiting for end in (here, there)] == [False, False]
        for end in (here, there):
            assert all(before.since <= after.since for before, after in pairwise(end.agreements))


@pytest.mark.parametrize(("skew", "barriers"), [(0, False), (1, True)])
def test_a_skew_that_is_forced_is_counted_from_a_barrier(skew: int, barriers: bool) -> None:
    network = network_of(chain("AB"), [{"memories": 1}], trace=True, allocation={"barrier": False, "skew_trials": skew})
    network.env.advance(round(10_000 * US))
    assert any(isinstance(hop.message, Barrier) for hop in network.hops or ()) is barriers
