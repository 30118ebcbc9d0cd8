"""The experiment of Aparicio and Van Meter (2011): five flows over two shared links, under all ways of sharing them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

import qkdrmp

FLOWS = {"AK": "AEFJK", "BL": "BEFJL", "CI": "CEFI", "DH": "DEFH", "GM": "GFJM"}
TIME_DIVISION = ["round-robin", "lottery", "buffer-space"]


def test_it_is_the_published_network() -> None:
    scenario = qkdrmp.load_scenario("multiplexing")
    assert sorted(scenario.topology.nodes) == [*"ABCDEFGHIJKLM"]
    assert {(link.length_km, link.attenuation_db_per_km) for link in scenario.topology.links} == {(30.0, 0.17)}
    assert scenario.memories.per_node == 50
    connections = qkdrmp.simulate(scenario.replace({"duration_s": 0.01})).connections
    assert {row.id: row.path.replace(">", "") for row in connections.itertuples()} == FLOWS


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    with ThreadPoolExecutor(1) as executor:
        return qkdrmp.sweep(qkdrmp.load_scenario("multiplexing"), replications=4, executor=executor, progress=False)


def test_pairs_in_all_come_in_the_published_order(runs: pd.DataFrame) -> None:
    above = qkdrmp.compare(runs, "allocation.policy", baseline="statistical", metrics=["pair_rate_hz"])
    above = above.set_index("allocation.policy")
    assert (above.loc[TIME_DIVISION, "high"] < 0).all(), "statistical multiplexing gives the most"
    below = qkdrmp.compare(runs, "allocation.policy", baseline="circuit", metrics=["pair_rate_hz"])
    below = below.set_index("allocation.policy")
    assert (below.loc[TIME_DIVISION, "low"] > 0).all(), "and circuits the fewest"


def test_nobody_has_a_wrong_partner_or_ends(runs: pd.DataFrame) -> None:
    assert (runs["wrong_partner"] == 0).all()
    assert (runs["connections_unfinished"] == len(FLOWS)).all()


def test_the_four_flows_over_the_first_shared_link_have_as_much_and_the_fifth_what_is_left_of_the_second() -> None:
    results = qkdrmp.simulate(qkdrmp.load_scenario("multiplexing"), check=True)
    pairs = results.connections.set_index("id")["pairs"]
    first = pairs[["AK", "BL", "CI", "DH"]]
    assert (first - first.mean()).abs().max() < 0.06 * first.mean()
    made = results.links.set_index("link")["successes"]
    assert first.sum() > 0.95 * made["E-F"]
    assert pairs[["AK", "BL", "GM"]].sum() > 0.95 * made["F-J"]
    assert pairs["GM"] > 1.5 * first.mean()
