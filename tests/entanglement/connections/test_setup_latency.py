"""When connections are installed and links switch, to the tick, and what a Barrier's lead costs and saves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import qkdrmp
from qkdrmp.entanglement.links.epoch import LAU, Barrier
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.kernel.units import to_seconds, to_ticks
from qkdrmp.scenario_file import make_scenario
from tests.entanglement.small_networks import (
    CERTAIN,
    FOR_EVER,
    PERFECT,
    US,
    chain,
    deliveries,
    entry_of,
    milestones,
    network_of,
    run,
)

# --- Setup, by arithmetic ---------------------------------------------------------------------------------------------
#
# Light takes 5 us a km. A message from one node to the next takes the delay of the hop and the processing at its end.

START_US = {"msm": (0.5, 0.5), "mim": (0.0, 0.0), "mm": (0.0, 0.5)}  # of a slot, at sender and receiver
SLOT_US = {"msm": 5.0, "mim": 5.0, "mm": 10.0}  # for each km


def slot_from(at_us: float, slot_us: float, start_us: float) -> int:
    """Return the first slot that starts at this time or later."""
    return max(0, math.ceil(round((at_us - start_us) / slot_us, 9)))


class Expected:
    """A setup computed from sums of delays, in us: `hops` and `fibre` are km, `cost` is the processing by node."""

    def __init__(
        self,
        names: str,
        hops: Sequence[float],
        fibre: Sequence[float],
        cost: Mapping[str, float],
        models: Sequence[str],
    ) -> None:
        there = [5 * km + cost[node] for km, node in zip(hops, names[1:], strict=True)]
        back = [5 * km + cost[node] for km, node in zip(hops, names, strict=False)]
        self.installed = {node: sum(there) + sum(back[i:]) for i, node in enumerate(names)}
        self.armed: dict[tuple[str, str], float] = {}
        self.active = 0.0
        for i, ((near, far), model) in enumerate(zip(pairwise(names), models, strict=True)):
            slot, lead = SLOT_US[model] * fibre[i], math.ceil((there[i] + back[i]) / (SLOT_US[model] * fibre[i]))
            starts = [share * slot for share in START_US[model]]
            # The near end is the later one. Its Barrier leaves as it is installed, the far one's as that arrives.
            barriers = self.installed[near], self.installed[near] + there[i]
            switch = max(slot_from(at, slot, start) + lead for at, start in zip(barriers, starts, strict=True))
            self.armed[far, near] = barriers[1]
            self.armed[near, far] = barriers[1] + back[i]
            armed = self.armed[near, far], self.armed[far, near]
            begins = [max(at, switch * slot + start) for at, start in zip(armed, starts, strict=True)]
            self.active = max(self.active, *begins)


CHAINS = [
    ("AB", (20,), {"A": 10, "B": 10}, ("mim",)),
    ("ARB", (20, 40), {"A": 10, "R": 10, "B": 10}, ("msm", "msm")),
    ("ARSB", (20, 35, 10), {"A": 3, "R": 12, "S": 40, "B": 7}, ("msm", "mim", "mm")),
    ("ARSTB", (5, 60, 12.5, 30), {"A": 0, "R": 250, "S": 1, "T": 20, "B": 100}, ("mm", "mm", "msm", "mim")),
]


def built(
    names: str, hops: Sequence[float], cost: Mapping[str, float], models: Sequence[str], fibre: Sequence[float]
) -> EntanglementNetwork:
    at = [{"link": list(ends), "model": model} for ends, model in zip(pairwise(names), models, strict=True)]
    return network_of(
        chain(names, fibre, classical_km=hops),
        [{"memories": 3}],
        trace=True,
        setup={"at": [{"node": node, "processing_s": us / 1e6} for node, us in cost.items()]},
        links={"at": at},
    )


@pytest.mark.parametrize("stretch", [1.0, 1.25])
@pytest.mark.parametrize(("names", "hops", "cost", "models"), CHAINS)
def test_every_step_of_a_setup_takes_the_sum_of_delays_and_processing(
    names: str, hops: Sequence[float], cost: Mapping[str, float], models: Sequence[str], stretch: float
) -> None:
    fibre = [km / stretch for km in hops]  # cables may be longer than fibres
    network = built(names, hops, cost, models, fibre)
    run(network, 0.02)

    expected = Expected(names, hops, fibre, cost, models)
    entry = entry_of(network)
    assert entry.installed == round(expected.installed["A"] * US)
    twice = 2 * sum(5 * km for km in hops) + sum(2 * us for us in cost.values()) - cost["A"] - cost["B"]
    assert entry.installed == round(twice * US)
    installed = milestones(network, "RuleSet installed")
    assert installed == {node: round(at * US) for node, at in expected.installed.items()}
    for (node, peer), at in expected.armed.items():
        assert milestones(network, f"armed towards {peer}")[node] == round(at * US)
    assert entry.active == round(expected.active * US)


def test_a_link_is_armed_two_delays_after_the_later_of_its_ends_is_installed() -> None:
    names, hops, cost, models = CHAINS[1]
    network = built(names, hops, cost, models, hops)
    run(network, 0.02)
    installed = milestones(network, "RuleSet installed")
    # R-B: 40 km, so R is installed at 110 + 210 + 210 = 530 and A at 640; a round trip is 420, on A-R it is 220.
    assert installed == {"B": 320 * US, "R": 530 * US, "A": 640 * US}
    assert milestones(network, "armed towards B") == {"R": (530 + 420) * US}
    assert milestones(network, "armed towards A") == {"R": (640 + 110) * US}
    assert milestones(network, "armed towards R") == {"B": (530 + 210) * US, "A": (640 + 220) * US}


def test_active_is_when_the_last_link_starts_its_switch_trial() -> None:
    # Slots of MSM start at T/2, 3T/2, ... On A-R (T = 100) A names slot 6 + 3 at 640, R names 7 + 3 at 750, which
    # starts at 1050. On R-B (T = 200) R names 3 + 3 at 530, B names 4 + 3 at 740: slot 7 starts at 1500.
    names, hops, cost, models = CHAINS[1]
    network = built(names, hops, cost, models, hops)
    run(network, 0.02)
    assert entry_of(network).active == 1500 * US
    since = {ends: network.interfaces[ends[0]][ends[1]].allocation.agreements[-1].since for ends in network.links}
    lanes = 8
    assert since == {("A", "R"): 10 * lanes, ("R", "B"): 7 * lanes}


def test_the_first_pair_and_the_next_ones_come_when_they_should() -> None:
    # As before with one memory and trials that succeed: A-R is heralded at 1150, R-B at 1700, when R swaps. A hears of
    # it at 1810, B at 1910. Then B's first slot is 2100: herald and swap at 2300, B knows at 2510; and so on.
    network = network_of(
        chain("ARB", (20, 40)), links=CERTAIN, memories={**FOR_EVER, "per_interface": 1}, gates=PERFECT
    )
    run(network, 0.005)
    assert [pair.tick for pair in deliveries(network)] == [(1910 + 600 * n) * US for n in range(6)]


def test_a_null_setup_comes_back_after_the_same_time_and_holds_nothing() -> None:
    names, hops, cost, models = CHAINS[2]
    at = [{"node": node, "processing_s": us / 1e6} for node, us in cost.items()]
    network = network_of(chain(names, hops), [{"pairs": 0}], trace=True, setup={"at": at})
    run(network, 0.02)
    expected = Expected(names, hops, hops, cost, models)
    assert entry_of(network).installed == round(expected.installed["A"] * US)
    assert not any(isinstance(hop.message, LAU | Barrier) for hop in network.hops or ())


# --- Lead against stall -----------------------------------------------------------------------------------------------
#
# A slot is 5 us (1 km of fibre), a message takes 110 (20 km of cable), so a round trip is 44 slots or 88 trials.

SLOT, ROUND_TRIP, LANES = 5 * US, 220 * US, 2
LEADS = [0, 1, 2, 7, 20, 43, 44, 60, 80, 87, 88, "auto", 120]
DEMAND: dict[str, Any] = {"src": "A", "dst": "B"}


def short_link(connections: Sequence[Mapping[str, Any]], lead: int | str) -> EntanglementNetwork:
    return network_of(
        chain("AB", 1.0, classical_km=[20.0]),
        [{**DEMAND, "memories": 1, **one} for one in connections],
        links=CERTAIN,
        memories={**FOR_EVER, "per_interface": LANES},
        gates=PERFECT,
        allocation={"lead": lead},
    )


def trials(lead: int | str) -> int:
    return 88 if lead == "auto" else int(lead)


def stall(delay: int, lead: int | str) -> Any:
    """Return the stall of the design, which the slots make uncertain by one of them."""
    return pytest.approx(max(0, delay - trials(lead) * SLOT // LANES), abs=SLOT)


def stalls(network: EntanglementNetwork) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([network.interfaces["A"]["B"].stalled, network.interfaces["B"]["A"].stalled])


def test_a_sweep_over_the_lead_shows_the_stall_shrink_to_nothing() -> None:
    scenario = make_scenario(
        {
            "kind": "entanglement",
            "topology": chain("AB", 1.0, classical_km=[20.0]),
            "duration_s": 0.005,
            "links": CERTAIN,
            "memories": {"per_interface": LANES},
            "demand": {"model": "listed", "connections": [{**DEMAND, "memories": 1}]},
        }
    )
    with ThreadPoolExecutor(1) as executor:
        runs = qkdrmp.sweep(scenario, over={"allocation.lead": LEADS}, executor=executor, progress=False)
    assert list(runs["allocation.lead"]) == LEADS
    for lead, seconds in zip(runs["allocation.lead"], runs["stall_s"], strict=True):
        # One epoch: the opener does not stall, the other end does so for a round trip, so the sum is that one's.
        assert to_ticks(seconds) == stall(ROUND_TRIP, lead)
    assert runs["stall_s"].is_monotonic_decreasing
    assert runs["stall_s"].iloc[0] > 0.9 * to_seconds(ROUND_TRIP)
    assert runs["stall_s"].iloc[-1] == 0


@pytest.mark.parametrize("lead", LEADS)
def test_when_a_second_connection_joins_only_the_end_that_answers_stalls(lead: int | str) -> None:
    # B wants the entry first and opens; A hears of it with the Response, and its Barrier waits a round trip.
    network = short_link([{}, {"at_s": 0.003}], lead)
    run(network, 0.002)
    before = stalls(network)
    run(network, 0.006)
    at_a, at_b = stalls(network) - before
    assert at_a == stall(ROUND_TRIP, lead)
    assert at_b == 0


@pytest.mark.parametrize("lead", LEADS)
def test_when_one_user_tears_down_only_the_other_end_stalls(lead: int | str) -> None:
    network = short_link([{}, {"teardown_s": 0.003}], lead)
    run(network, 0.002)
    before = stalls(network)
    run(network, 0.006)
    at_a, at_b = stalls(network) - before
    assert at_a == 0
    assert at_b == stall(ROUND_TRIP, lead)


@pytest.mark.parametrize("lead", LEADS)
def test_when_laus_cross_both_ends_stall_for_half_a_round_trip(lead: int | str) -> None:
    network = short_link([{}, {"teardown_s": 0.003, "teardown_by": "both"}], lead)
    run(network, 0.002)
    before = stalls(network)
    run(network, 0.006)
    at_a, at_b = stalls(network) - before
    assert at_a == stall(ROUND_TRIP // 2, lead)
    assert at_b == stall(ROUND_TRIP // 2, lead)


@pytest.mark.parametrize("lead", LEADS)
def test_pairs_of_the_first_connection_stay_away_for_the_stall_and_no_longer(lead: int | str) -> None:
    network = short_link([{}, {"at_s": 0.003}], lead)
    run(network, 0.006)
    at = [pair.tick for pair in deliveries(network) if pair.connection == "c1"]
    gap = max(np.diff(at)) - SLOT
    assert gap == stall(ROUND_TRIP, lead)


def test_a_null_setup_brings_back_what_the_links_can_do() -> None:
    network = network_of(chain("ARB"), [{"pairs": 0, "memories": 3}], links={**CERTAIN, "fidelity": 0.9})
    run(network, 0.01)
    # A trial takes 100 us and always succeeds; three memories try at once.
    said = "A-R: 30000 pairs/s of fidelity 0.9; R-B: 30000 pairs/s of fidelity 0.9"
    assert entry_of(network).attempts[0].detail == said


@pytest.mark.parametrize(("within_us", "state"), [(441, "delivered"), (439, "rejected")])
def test_a_connection_that_is_not_installed_in_time_is_given_up(within_us: int, state: str) -> None:
    network = network_of(chain("ARB"), [{"pairs": 3, "within_s": within_us * 1e-6}], links=CERTAIN, gates=PERFECT)
    run(network, 0.2)
    entry = entry_of(network)
    assert entry.state == state
    if state == "rejected":
        assert (entry.reason, len(entry.attempts), entry.done) == ("timeout", 1, within_us * US)
