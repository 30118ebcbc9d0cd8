"""Late binding: whose a pair is, is said by one end of its link once it exists, and both ends have the same pairs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from math import ceil, sqrt
from typing import Any

import numpy as np
import pytest

from qkdrmp.entanglement.links.bind import Bind, Vacated
from qkdrmp.entanglement.links.binding_interface import BindingInterface
from qkdrmp.entanglement.links.epoch import Barrier
from qkdrmp.entanglement.messages import SwapResult
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.kernel.units import to_ticks
from qkdrmp.topology import Link, Node, NodeKind, Topology
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    US,
    chain,
    deliveries,
    entry_of,
    left_over,
    network_of,
    run,
)

Said = list[tuple[str, str, str, str, float, float]]


def late(topology: Topology, connections: list[dict[str, Any]], lanes: int = 2, **sections: Any) -> EntanglementNetwork:
    """Return a network whose pairs are bound late, with memories and gates without errors."""
    sections = {"links": CERTAIN, "trace": True} | sections
    memory = {**FOR_EVER, "per_interface": lanes, **sections.pop("memories", {})}
    return network_of(
        topology,
        connections,
        memories=memory,
        gates=PERFECT,
        allocation={"policy": "statistical"},
        **sections,
    )


def said(network: EntanglementNetwork, *kinds: type) -> Said:
    """Return who said what to whom, about whom, when it was sent and when it came, in us."""
    return [
        (
            hop.message.wire_name,
            hop.source,
            hop.target,
            str(hop.message.attempt.connection),
            hop.sent / US,
            (hop.received or 0) / US,
        )
        for hop in network.hops or ()
        if isinstance(hop.message, kinds) and hop.message.attempt is not None
    ]


# By hand. 20 km: light takes 100 us, a message 110. Slots of 100 us start at 0, 100...; the memories of both ends catch
# their photons in the middle of a slot, and know of it in the middle of the next one.


def test_on_one_link_the_sender_binds_and_the_other_end_learns_of_it_a_message_later() -> None:
    network = run(late(chain("AB"), [{"id": "x"}, {"id": "y"}]), 0.0012)
    # B is ready at 110 and says so; A at 220, and says so; B may catch photons from 330 on, which is in slot 3.
    # x and y take turns. A hands a pair over as it knows of it, at 450; B as it is bound, at 560, and so it catches the
    # next photons in slot 6.
    expected = []
    for slot in (3, 6, 9):
        known = 100 * slot + 150
        expected += [("BIND", "A", "B", name, known, known + 110) for name in "xy"]
        expected += [("VACATED", "B", "A", name, known + 110, known + 220) for name in "xy"]
    assert [one for one in said(network, Bind, Vacated) if one[4] < 1200] == expected
    assert [(pair.connection, pair.number, pair.tick / US) for pair in deliveries(network)] == [
        (name, number, 560 + 300 * number) for number in range(3) for name in "xy"
    ]


def test_the_repeater_between_two_users_binds_both_links_at_once() -> None:
    network = run(late(chain("ARB"), [{"id": "x"}, {"id": "y", "weight": 2}], 3), 0.00115)
    # R is ready after B, at 220, asks A, which is ready at 330 and whose LAU comes at 550. The link to B is older, and
    # has 3 unbound pairs at 550, from slot 4, for R had the LAU of B at 330, whose memories catch from 440 on. Those
    # with A come from slot 5, as A has the LAU of R at 440: they are known at 650. Then R swaps.
    assert said(network, Bind)[:6] == [
        ("BIND", "R", end, name, 650, 760) for name in "xyy" for end in sorted("AB", key=lambda end: end)
    ]
    results = [hop for hop in network.hops or () if isinstance(hop.message, SwapResult)]
    assert [(hop.target, hop.sent / US) for hop in results[:6]] == [("A", 650), ("B", 650)] * 3
    # A and B hand them over at 760 and catch again in slot 8; known at 950.
    assert [(pair.connection, pair.tick / US) for pair in deliveries(network)] == [
        (name, tick) for tick in (760, 1060) for name in "xyy"
    ]


def test_on_two_links_between_repeaters_the_second_node_gives_the_pair_to_whom_the_first_one_named() -> None:
    network = run(late(chain("ARSB"), [{"id": "x"}], 1, setup={"swap_order": "asap"}), 0.003)
    binds = said(network, Bind)
    by_link = defaultdict(list)
    for _, source, target, _, sent, received in binds:
        by_link[source + target].append((sent, received))
    assert set(by_link) == {"RA", "RS", "SB"}, "not SR: R is the sender of R-S"
    assert [sent for sent, _ in by_link["RA"]] == [sent for sent, _ in by_link["RS"]]
    for (_, learned), (sent, _) in zip(by_link["RS"], by_link["SB"], strict=False):
        assert sent >= learned
    assert by_link["SB"][0][0] == by_link["RS"][0][1], "S has a pair with B then"
    assert len(by_link["SB"]) > 2


# Both ends


MODELS = ("msm", "mim", "mm")


def lossy(model: str) -> dict[str, Any]:
    return {"model": model, "source_efficiency": 0.6, "detector_efficiency": 0.7}


def star(flows: int, loss: float = 0.0) -> Topology:
    """Return flows from U1, U2... over R and S, whose link they share, to V1, V2..."""
    users = [f"{side}{i}" for i in range(1, flows + 1) for side in "UV"]
    nodes = [Node("R", NodeKind.ROUTER), Node("S", NodeKind.ROUTER), *(Node(name, NodeKind.END) for name in users)]
    ends = [(f"U{i}", "R") for i in range(1, flows + 1)] + [("R", "S")] + [("S", f"V{i}") for i in range(1, flows + 1)]
    return Topology("star", nodes, [Link(pair, 10.0, loss) for pair in ends])


def flows(number: int, **common: Any) -> list[dict[str, Any]]:
    return [{"id": f"c{i}", "src": f"U{i}", "dst": f"V{i}", **common} for i in range(1, number + 1)]


@pytest.mark.parametrize("order", ["asap", "midpoint", "sequential"])
@pytest.mark.parametrize("model", MODELS)
def test_every_pair_is_bound_once_and_both_ends_of_a_link_have_as_many(model: str, order: str) -> None:
    network = late(star(3), flows(3, pairs=60, memories=2), 8, links=lossy(model), setup={"swap_order": order})
    run(network, 1.0)
    assert left_over(network) == []
    words = [hop.message for hop in network.hops or () if isinstance(hop.message, Bind)]
    assert max(Counter((word.link, word.trial) for word in words).values()) == 1
    for ends, link in network.links.items():
        of_link = [word for word in words if word.link == "-".join(ends)]
        assert len(of_link) == link.successes, "also of those that were discarded at last"
        for attempt in {word.attempt for word in of_link if word.attempt is not None}:
            numbers = [word.number for word in of_link if word.attempt == attempt]
            assert numbers == [*range(len(numbers))]
    assert not [hop for hop in network.hops or () if isinstance(hop.message, Barrier)]
    assert [(e.pairs, e.wrong_partner) for e in network.ledger.entries.values()] == [(60, 0)] * 3


@pytest.mark.parametrize("model", MODELS)
def test_the_other_end_has_as_many_pairs_of_each_connection_as_it_has_learned_of(model: str) -> None:
    network = late(star(3), flows(3, memories=2), 8, links=lossy(model), setup={"swap_order": "asap"})
    for us in range(1003, 10_000, 170):
        network.env.advance(us * US)
        for ends in network.links:
            hops = [
                hop
                for hop in network.hops or ()
                if isinstance(hop.message, Bind) and {hop.source, hop.target} == {*ends}
            ]
            for which, here, there in ((0, "source", "target"), (1, "target", "source")):
                words = [hop.message.attempt for hop in hops if which == 0 or (hop.received or 0) <= us * US]
                if hops:
                    node, peer = getattr(hops[0], here), getattr(hops[0], there)
                    assert network.interfaces[node][peer].pairs_by_attempt() == Counter(words)


@pytest.mark.parametrize("model", MODELS)
def test_what_leaves_takes_nothing_from_the_others(model: str) -> None:
    leaving = [{"id": f"d{i}", "teardown_s": 0.002 * i, "memories": 2} for i in range(1, 6)]
    network = late(chain("ARB"), [{"id": "c", "memories": 2, "pairs": 300}, *leaving], 12, links=lossy(model))
    run(network, 1.0)
    entry = entry_of(network, "c")
    assert (entry.pairs, entry.wrong_partner, str(entry.state)) == (300, 0, "delivered")
    assert [pair.number for pair in deliveries(network) if pair.connection == "c"] == [*range(300)]
    assert left_over(network) == []


# Who gets how many


def counts(network: EntanglementNetwork) -> list[int]:
    return [entry.pairs for entry in network.ledger.entries.values()]


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 3), (5, 1, 1)])
@pytest.mark.parametrize("names", ["AB", "ARB"])
def test_pairs_are_shared_by_weight_to_the_pair(names: str, weights: tuple[int, ...]) -> None:
    asked = [{"weight": weight, "memories": 1} for weight in weights]
    network = run(late(chain(names), asked, 8, links=lossy("mim")), 0.3)
    total = sum(counts(network))
    assert total > 1000
    for number, weight in zip(counts(network), weights, strict=True):
        assert number == pytest.approx(total * weight / sum(weights), abs=8), "up to 8 are on their way at each end"


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 3)])
def test_a_link_that_a_connection_has_for_itself_does_not_count_where_it_shares_one(weights: tuple[int, ...]) -> None:
    asked = [{**flow, "weight": weight} for flow, weight in zip(flows(3, memories=2), weights, strict=True)]
    links = {**lossy("mim"), "at": [{"link": ["R", "S"], "source_efficiency": 0.15}]}
    network = run(late(star(3), asked, 8, links=links, setup={"swap_order": "asap"}), 1.0)
    assert sum(counts(network)) > 500
    for number, weight in zip(counts(network), weights, strict=True):
        assert number == pytest.approx(sum(counts(network)) * weight / sum(weights), rel=0.03)


def test_who_crosses_two_shared_links_is_not_put_behind_who_crosses_one() -> None:
    # c goes over both, d over the first and e over the second link. Turns on one link say nothing about the other one.
    ends = ("U1", "U2", "V1", "V2", "W1", "W2")
    nodes = [*(Node(name, NodeKind.ROUTER) for name in "RST"), *(Node(name, NodeKind.END) for name in ends)]
    pairs = [("U1", "R"), ("U2", "R"), ("R", "S"), ("S", "V1"), ("V2", "S"), ("S", "T"), ("T", "W1"), ("T", "W2")]
    topology = Topology("crossing", nodes, [Link(pair, 10.0, 0.0) for pair in pairs])
    asked = [
        {"id": name, "src": src, "dst": dst, "memories": 3}
        for name, src, dst in (("c", "U1", "W1"), ("d", "U2", "V1"), ("e", "V2", "W2"))
    ]
    slow = [{"link": list(pair), "source_efficiency": 0.15} for pair in (("R", "S"), ("S", "T"))]
    network = run(late(topology, asked, 8, links={**lossy("mim"), "at": slow}, setup={"swap_order": "asap"}), 2.0)
    c, d, e = counts(network)
    assert c > 500
    assert c < d < 1.3 * c, "d and e get what c cannot use while it waits for the other link"
    assert c < e < 1.6 * c


def test_who_comes_later_gets_its_share_from_then_on() -> None:
    network = run(late(chain("AB"), [{}, {"at_s": 0.1}], 4, links=lossy("mim")), 0.2)
    first, second = counts(network)
    later = Counter(pair.connection for pair in deliveries(network) if pair.tick > 100_500 * US)
    assert later["c1"] == pytest.approx(later["c2"], abs=4)
    assert second < first / 2


def test_the_highest_priority_comes_first_as_long_as_it_has_a_use() -> None:
    network = run(late(chain("AB"), [{"priority": 1, "pairs": 500}, {"pairs": 500}], 4, links=lossy("mim")), 1.0)
    pairs = deliveries(network)
    ended = max(pair.tick for pair in pairs if pair.connection == "c1")
    assert counts(network) == [500, 500]
    assert sum(pair.connection == "c2" and pair.tick <= ended for pair in pairs) <= 4


# How many pairs a link makes: a reference that simulates slot by slot


def reference(memories: int, p: float, delay: float, slots: int, random: np.random.Generator) -> int:
    """Return the pairs of a link between two users: the sender uses them as they are known, the other `delay` later.

    In units of a slot. MIM: what is known at the end of a slot was tried from its beginning on.
    """
    made, taken = 0, np.zeros(slots + ceil(delay) + 2, int)  # memories of the receiver that are taken at a slot's start
    for slot in range(slots):
        pairs = int(random.binomial(memories - taken[slot], p))
        made += pairs
        taken[slot + 1 : slot + 1 + ceil(delay)] += pairs
    return made


def of_two_links(memories: int, p: tuple[float, float], delay: float, slots: int, random: np.random.Generator) -> int:
    """Return the pairs that a repeater makes of those of its two links; both of its users learn of it `delay` later."""
    made, unbound, taken = 0, [0, 0], np.zeros((2, slots + ceil(delay) + 2), int)
    for slot in range(slots):
        for side in (0, 1):
            free = min(memories - unbound[side], memories - unbound[side] - taken[side, slot])
            unbound[side] += int(random.binomial(free, p[side]))
        swapped = min(unbound)
        made += swapped
        unbound = [number - swapped for number in unbound]
        taken[:, slot + 1 : slot + 1 + ceil(delay)] += swapped
    return made


def probability(model: dict[str, Any]) -> float:
    """Return P of a MIM link without loss in the fibre."""
    return float((model["source_efficiency"] * model["detector_efficiency"]) ** 2 / 2)


def compare(simulated: Callable[[int], int], expected: Callable[[np.random.Generator], int], runs: int) -> None:
    ours = np.array([simulated(seed) for seed in range(runs)], float)
    random = np.random.default_rng(3)
    theirs = np.array([expected(random) for _ in range(5 * runs)], float)
    error = sqrt(ours.var(ddof=1) / len(ours) + theirs.var(ddof=1) / len(theirs))
    print(ours.mean(), theirs.mean(), error)
    assert error < 0.007 * theirs.mean()
    assert ours.mean() == pytest.approx(theirs.mean(), abs=4 * error)
    assert ours.mean() > 0.98 * theirs.mean(), "what the memories allow"


SLOTS = 1500
KM = 20.0


@pytest.mark.parametrize("number", [1, 4])
@pytest.mark.parametrize("memories", [4, 12])
def test_a_link_makes_as_many_pairs_as_the_memories_at_both_ends_allow(memories: int, number: int) -> None:
    links = {"model": "mim", "source_efficiency": 1.0, "detector_efficiency": 0.8}

    def simulated(seed: int) -> int:
        network = late(chain("AB", KM), [{"memories": 1}] * number, memories, links=links, seed=seed, trace=False)
        return pairs_between(network, ("A", "B"))

    compare(simulated, lambda random: reference(memories, probability(links), 1.1, SLOTS, random), 12)


@pytest.mark.parametrize(("number", "efficiencies"), [(1, (1.0, 0.5)), (3, (1.0, 0.5)), (3, (1.0, 1.0))])
def test_a_repeater_makes_as_many_pairs_as_its_memories_allow(number: int, efficiencies: tuple[float, float]) -> None:
    memories = 6
    links = {"model": "mim", "source_efficiency": 1.0, "detector_efficiency": 0.8}
    slow = {**links, "source_efficiency": efficiencies[1], "link": ["R", "B"]}
    p = probability(links), probability(slow)

    def simulated(seed: int) -> int:
        quota = memories // number  # all together may let as many lie idle as there are
        network = late(
            chain("ARB", KM),
            [{"memories": quota}] * number,
            memories,
            links={**links, "at": [slow]},
            seed=seed,
            trace=False,
        )
        return pairs_between(network, ("A", "R"), swapped=True)

    compare(simulated, lambda random: of_two_links(memories, p, 1.1, SLOTS, random), 30)


def pairs_between(network: EntanglementNetwork, ends: tuple[str, str], swapped: bool = False) -> int:
    """Return what a link makes in `SLOTS` slots after a while, or how many of its pairs are swapped."""
    slot = round(5 * KM * US)
    interface = network.interfaces[ends[1] if swapped else ends[0]][ends[0] if swapped else ends[1]]

    def made() -> int:
        if swapped:
            return sum(interface.pairs_by_attempt().values())
        return network.links[ends].successes

    begin = 200 * slot + slot // 2
    network.env.advance(begin)
    before = made()
    network.env.advance(begin + SLOTS * slot)
    return made() - before


# Memories


def test_no_more_halves_are_unbound_than_may_lie_idle() -> None:
    # The link to B hardly makes a pair. Of the 8 memories towards A two connections may let 3 lie idle in all.
    rare = {"link": ["R", "B"], "detector_efficiency": 1e-3}
    network = late(chain("ARB"), [{"memories": 1}, {"memories": 2}], 8, links={**lossy("mim"), "at": [rare]})
    most = 0
    for tick in range(100, 20_000, 100):
        network.env.advance(tick * US)
        interface = network.interfaces["R"]["A"]
        assert isinstance(interface, BindingInterface)
        most = max(most, len(interface.unbound))
        assert interface.occupied == len(interface.unbound) + sum(s.held for s in interface.shares.values())
    assert 3 <= most <= 2 + 8
    assert most - 2 <= 8


def test_an_unbound_half_is_discarded_at_the_cut_off_and_the_other_end_informed() -> None:
    rare = {"link": ["R", "B"], "detector_efficiency": 0.02}
    network = late(
        chain("ARB"),
        [{"memories": 2, "minimum_fidelity": 0.25}],
        4,
        links={**CERTAIN, "at": [rare]},
        memories={"t1_s": 0.01, "t2_s": 0.01, "cutoff_s": 0.001},
        seed=2,
    )
    run(network, 1.2)
    words = [hop for hop in network.hops or () if isinstance(hop.message, Bind) and hop.message.attempt is None]
    assert len(words) > 50
    slot = to_ticks(1e-4)
    for hop in words:  # the last memory of a slot is heralded at 150 us after its start
        heralded = hop.message.trial // 4 * slot + slot * 3 // 2
        assert hop.sent == heralded + to_ticks(0.001)
    # R's half and A's wait up to 1.15 ms (from capture), B's 0.21 ms, and A's 0.11 ms more for the message.
    worst = np.exp(-(2 * 0.0011 + 2 * 0.0001 + 2 * 0.00011) / 0.01)
    assert len(deliveries(network)) > 10
    werner = (4 * 0.98 - 1) / 3
    assert min(pair.fidelity for pair in deliveries(network)) > (1 + 3 * werner**2 * worst) / 4 - 1e-9
    assert left_over(network) != []


def test_who_waits_for_its_next_link_leaves_the_others_their_quota() -> None:
    # R gives pairs of R-S to both; S waits for one with V1, which hardly ever comes. Then c2 has two memories left.
    slow = {"link": ["S", "V1"], "detector_efficiency": 1e-3}
    asap = {"swap_order": "asap"}
    network = late(star(2), flows(2, memories=2), 8, links={**CERTAIN, "at": [slow]}, setup=asap)
    two = [{"link": ["R", "S"], "per_interface": 2}]
    alone = late(star(2), flows(2, memories=2)[1:], 8, links=CERTAIN, setup=asap, memories={"at": two})
    for one in (network, alone):
        run(one, 0.05)
    held = {str(attempt): one.held for attempt, one in network.interfaces["S"]["R"].shares.items()}
    assert 2 <= held["c1#1"] <= 6, "8 without the quota of c2"
    assert entry_of(network, "c2").pairs > 0.99 * entry_of(alone, "c2").pairs > 200


def test_pairs_come_in_order_on_each_link() -> None:
    network = run(late(star(2), flows(2, memories=3), 8, links=lossy("mm"), setup={"swap_order": "asap"}), 0.05)
    for source, target in (("R", "U1"), ("R", "S"), ("S", "V1")):
        words = [
            hop.message
            for hop in network.hops or ()
            if isinstance(hop.message, Bind) and (hop.source, hop.target) == (source, target)
        ]
        assert len(words) > 20
        assert all(a.trial < b.trial for a, b in pairwise(words)), "the oldest first"
