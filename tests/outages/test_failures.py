"""What cuts cost, against counting by hand, networkx, and runs."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from click.testing import CliRunner

import qkdrmp
from qkdrmp.cli import main
from qkdrmp.kernel.units import to_ticks
from qkdrmp.outages.cuts import Cut, cuts_of
from qkdrmp.qkd.bridging import streams_s
from qkdrmp.simulation import results_of, start
from tests.qkd.helpers import network_of, scenario

RING = network_of(
    ("A", "R1", 1), ("B", "R3", 1), ("R1", "R2", 10), ("R2", "R3", 10), ("R3", "R4", 30), ("R4", "R1", 30)
)
"""A and B opposite each other on a ring: 22 km by R2, 62 km by R4."""


def ring(**sections):
    demand = {"model": "poisson", "rate_per_s": 20.0, "key_num": 1, "key_length_bits": 100, "patience_s": 0.2}
    sections = {"key_rate": {"model": "constant", "rate_bps": 8000}, "access": {"mode": "pool"}, **sections}
    pools = {"capacity": 40, "key_length_bits": 100, "replenish": "continuous", "initial_share": 1.0}
    return scenario(RING, demand=demand, pools=pools, duration_s=20.0, **sections)


def test_who_loses_service_and_whose_way_is_longer_by_hand() -> None:
    found = qkdrmp.failures(ring(), progress=False)
    assert found.sentences[:2] == [
        "The worst single cut is the loss of link A-R1: 2 of 2 pairs of users lose their service.",
        "2 of 6 links and 2 of 4 repeaters break service if they alone are gone; "
        "2 of these links are the only one of a user.",
    ]
    cuts = found.cuts.set_index("cut")
    assert cuts.loc["R1-R2", ["disconnected", "rerouted", "longer_mean_km"]].to_list() == [0, 2, 40.0]
    assert cuts.loc["R4", ["disconnected", "rerouted", "load_max"]].to_list() == [0, 0, 0.5]
    rerouted = found.users[found.users["cut"] == "R2"]
    assert rerouted[["src", "dst", "before_km", "after_km"]].to_numpy().tolist() == [
        ["A", "B", 22, 62],
        ["B", "A", 22, 62],
    ]
    assert "<li>The worst single cut" in found._repr_html_()


def test_cuts_of_two_that_break_what_each_alone_does_not() -> None:
    found = qkdrmp.failures(ring(), pairs=True, progress=False)
    assert len(found.cuts) == 10 + 10 * 9 / 2 - 10  # a link and one of its ends are the end alone
    assert "Of 35 cuts of two, 9 take the service from users who would keep it with each alone" in " ".join(
        found.sentences
    )
    assert found.cuts.set_index("cut").loc["R2 + R4", "disconnected"] == 2


def test_a_log_says_how_far_it_is_and_silence_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qkdrmp.sweeps.progress.LEAST_BETWEEN_S", 0.0)
    short = ring().replace({"duration_s": 0.1})
    qkdrmp.failures(short, pairs=True, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 8  # each fifth cut of 45 but the last
    assert lines[0].startswith(f"{short.name}: 5 of 45 cuts (11%), about ")
    assert lines[0].endswith(" s left")
    qkdrmp.failures(short, pairs=True, progress=False)
    assert capsys.readouterr().err == ""


def test_a_ring_that_no_single_cut_breaks_and_one_that_overloads() -> None:
    doubled = network_of(*((user, relay, 1) for user in "AB" for relay in ("R1", "R2", "R3")), ("R1", "R2", 1))
    slow = {"topology": doubled, "key_rate.at": [{"link": ["A", "R2"], "rate_bps": 2000}]}
    found = qkdrmp.failures(ring().replace(slow), progress=False)
    assert found.sentences[0] == (
        "No single cut breaks service: all 2 pairs of users keep a route, whichever link or repeater is gone."
    )
    text = " ".join(found.sentences)
    assert "A-R2 is offered 200 % of what it can make, with the loss of" in text
    assert found.cuts["disconnected"].sum() == 0
    assert found.draw().figure.axes[1].get_ylabel().startswith("pairs of users rerouted if the")


@pytest.mark.parametrize("seed", range(3))
def test_who_loses_service_agrees_with_networkx(seed: int) -> None:
    graph = nx.gnm_random_graph(9, 12, seed=seed)
    links = [(f"R{a}", f"R{b}", 1 + a + b) for a, b in graph.edges]
    users = [(f"U{n}", f"R{n}", 1) for n in graph.nodes if graph.degree(n)][:5]
    here = ring().replace({"topology": network_of(*users, *links)})
    whole = here.topology.graph
    for cut, lost in qkdrmp.failures(here, progress=False).cuts[["cut", "disconnected"]].itertuples(index=False):
        left = (
            whole.edge_subgraph([(a, b) for a, b in whole.edges if not {cut} & {a, b, f"{a}-{b}", f"{b}-{a}"}])
            if cut
            else whole
        )
        pairs = [(a, b) for a in here.topology.ends for b in here.topology.ends if a != b]
        has_path = [a in left and b in left and nx.has_path(left, a, b) for a, b in pairs]
        had_path = [nx.has_path(whole, a, b) for a, b in pairs]
        assert lost == sum(had_path) - sum(has_path), cut


def test_pools_bridge_a_link_that_makes_no_more_keys_for_as_long_as_is_said() -> None:
    """The last delivery over a link that stops making keys, in runs, beside what runs of the whole network say."""
    here = ring().replace({"pools.capacity": 240, "pools.interrupt_share": 0.25, "duration_s": 40.0})
    stop_s, said, seen = 5.0, [], []
    for seed in range(4):
        said.append(streams_s(qkdrmp.simulate(here, seed=seed))["R1", "R2"])
        run = start(here, seed)
        run.advance(to_ticks(stop_s))
        for supply in run.network._supplies.values():
            if set(supply.stream.ends) == {"R1", "R2"}:
                supply.begin = lambda: None
        run.advance(to_ticks(here.duration_s))
        requests = results_of(run, here, seed).requests
        over = requests[(requests["src"] == "A") & (requests["state"] == "delivered")]
        seen.append(over["end_s"].max() - stop_s)
    assert np.mean(seen) == pytest.approx(np.mean(said), rel=0.1)
    assert np.mean(said) == pytest.approx(180 / 20, rel=0.1)


def test_targets_that_the_way_round_cannot_meet_are_named() -> None:
    slow = {"model": "constant", "rate_bps": 8000, "at": [{"link": ["R3", "R4"], "rate_bps": 1500}]}
    here = ring(key_rate=slow).replace({"targets": {"undelivered": 0.05}, "duration_s": 10.0})
    found = qkdrmp.failures(here, progress=False, executor=ThreadPoolExecutor(1))
    targets = found.cuts.set_index("cut")["targets"]
    assert targets["R1-R2"] == targets["R2"] == "missed: undelivered"
    assert targets["R4"] == ""  # reroutes nobody
    alone = here.replace({"topology": network_of(("A", "R1", 1), ("R1", "B", 1)), "key_rate.at": []})
    said = qkdrmp.failures(alone, progress=False, executor=ThreadPoolExecutor(1)).sentences
    assert "No cut reroutes anyone, so none was run to judge the targets of those who keep their service." in said
    (said,) = [sentence for sentence in found.sentences if sentence.startswith("Targets")]
    assert said.startswith("Targets, by runs: 3 of 3 single cuts that reroute somebody break some with 95 % confidence")
    assert "R3-R4 is offered 267 % of what it can make" in " ".join(found.sentences)


def test_exceptions_of_a_link_go_with_it() -> None:
    here = ring().replace({"pools.at": [{"link": ["R2", "R1"], "capacity": 8}, {"node": "R4", "capacity": 9}]})
    left = Cut((("R1", "R2"),)).of(here)
    assert [one.get("node") for one in left.pools.at] == ["R4"]
    assert len(list(cuts_of(RING))) == 10


def test_what_does_not_apply_is_said() -> None:
    said = qkdrmp.failures(qkdrmp.load_scenario("chain"), progress=False).sentences
    assert said[0] == "The worst single cut is the loss of link Alice-R1: the only pair of users loses its service."
    assert said[-1] == "Nothing bridges a cut: runs of kind 'entanglement' keep no stock on links."
    closed = qkdrmp.failures(ring().replace({"demand": {"model": "closed-loop"}, "duration_s": 1.0}), progress=False)
    assert any("What users ask for is not known beforehand" in sentence for sentence in closed.sentences)
    assert closed.cuts["overloaded"].isna().all()


def test_the_command_answers_first_and_writes_tables_and_the_map(tmp_path: Path) -> None:
    out = ["--set", "duration_s=2", "--out", str(tmp_path)]
    said = CliRunner().invoke(main, ["failures", "line", *out]).output.splitlines()
    first = next(number for number, line in enumerate(said) if not line.startswith("known"))
    assert said[first].startswith("The worst single cut is the loss of link Alice-R")
    assert {path.name for path in tmp_path.iterdir()} == {"cuts.csv", "cut_users.csv", "cuts.png"}
    assert said[-1] == f"written to {tmp_path}: cuts.csv, cut_users.csv, cuts.png"
    assert not math.isnan(qkdrmp.failures(qkdrmp.load_scenario("line"), progress=False).cuts["bridge_s"].max())
