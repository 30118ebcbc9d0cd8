"""The sequence diagrams of the connection setup draft, each as the order of the messages of a run.

A step ``("LAU", "R2", "R1")`` is a message on its arrival, unless a test says that it looks at the sending. What the
draft draws as an arrow of the Responder to X with a RuleSet is the RESPONSE as it arrives at X; it goes hop by hop, and
what comes for the Responder itself is no message but a milestone. ``Ack?`` and the photons are not sent as messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pandas as pd
import pytest

from qkdrmp import ladder, load_scenario, simulate
from qkdrmp.entanglement.run import EntanglementRun
from qkdrmp.family import Results
from qkdrmp.kernel.units import to_ticks

Step = tuple[str, str, str]


@cache
def run(name: str) -> Results:
    results = simulate(load_scenario(name), record=["messages"], check=True)
    assert results.findings == []
    return results


def messages(results: Results, connection: str, *kinds: str, by: str = "received_s") -> pd.DataFrame:
    """Return the messages about a connection, also about those inside it, in the order of arrival or of sending."""
    table = results.messages
    about = (
        table["connections"].astype(str).map(lambda names: any(n.split("/")[0] == connection for n in names.split(",")))
    )
    return table[about & table["message"].isin(kinds)].sort_values([by, "sent_s"], kind="stable")


def steps(table: pd.DataFrame) -> list[Step]:
    rows: Any = table[["message", "source", "target"]].itertuples(index=False)
    return [tuple(row) for row in rows]


def between(table: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """Return the messages between two neighbours."""
    ends = {one, other}
    return table[table["source"].isin(ends) & table["target"].isin(ends)]


def when(results: Results, connection: str, node: str, event: str) -> float:
    notes = results.milestones
    events = notes["event"].str.partition(" from trial ")[0]
    found = notes[(notes["connection"] == connection) & (notes["node"] == node) & (events == event)]
    assert len(found) == 1, f"{event} at {node}: {len(found)} times"
    return float(found["time_s"].iloc[0])


def trial(barrier: pd.Series[Any]) -> int:
    return int(str(barrier["detail"]).removeprefix("trial "))


def check_link(results: Results, connection: str, here: str, there: str, inner: str | None = None) -> None:
    """Check the note over two neighbours: their link allocation, then the start of the execution at both.

    Both have their RuleSets before, both send LAU and Barrier, nobody sends a Barrier before the other's LAU has come,
    and nobody is armed before the other's Barrier has come.
    """
    name = inner or connection
    during = messages(results, connection, "LAU", "BARRIER")
    table = between(during, here, there).head(4)
    assert sorted(steps(table)) == sorted(
        (kind, *ends) for kind in ("LAU", "BARRIER") for ends in ((here, there), (there, here))
    )
    for node, peer in ((here, there), (there, here)):
        sent = table[table["source"] == node].set_index("message")["sent_s"]
        came = table[table["target"] == node].set_index("message")["received_s"]
        assert when(results, name, node, "RuleSet installed") <= sent["LAU"]
        assert sent["BARRIER"] >= max(came["LAU"], sent["LAU"])
        assert when(results, name, node, f"armed towards {peer}") == pytest.approx(
            max(came["BARRIER"], sent["BARRIER"]), abs=1e-12
        )


# 4.2, setup in a single network: Initiator = Alice, Repeater 0 = R1, ... = R2, Repeater N = R3, Responder = Bob

REQUEST: list[Step] = [
    ("CSR", "Alice", "R1"),
    ("CSR", "R1", "R2"),
    ("CSR", "R2", "R3"),
    ("CSR", "R3", "Bob"),
]
RESPONSE: list[Step] = [
    ("RESPONSE", "Bob", "R3"),
    ("RESPONSE", "R3", "R2"),
    ("RESPONSE", "R2", "R1"),
    ("RESPONSE", "R1", "Alice"),
]


def test_4_2_setup_in_a_single_network() -> None:
    results = run("chain")
    table = messages(results, "c1", "CSR", "RESPONSE")
    assert steps(table) == REQUEST + RESPONSE
    path = ["Alice", "R1", "R2", "R3", "Bob"]
    assert when(results, "c1", "Alice", "asked") <= table["sent_s"].iloc[0]
    assert [when(results, "c1", node, "holds memories") for node in path[1:]] == list(table["received_s"][:4])
    made = when(results, "c1", "Bob", "RuleSets made")
    assert made == table["received_s"].iloc[3]
    installed = [when(results, "c1", node, "RuleSet installed") for node in reversed(path)]
    assert installed == [made, *table["received_s"][4:]], "first at the Responder, last at the Initiator"
    for here, there in (("R3", "Bob"), ("R2", "R3"), ("R1", "R2"), ("Alice", "R1")):
        check_link(results, "c1", here, there)


def test_4_2_every_link_is_allocated_as_soon_as_both_its_ends_have_their_rulesets() -> None:
    results = run("chain")
    links = [("R3", "Bob"), ("R2", "R3"), ("R1", "R2"), ("Alice", "R1")]
    armed = [max(when(results, "c1", a, f"armed towards {b}") for a, b in (ends, ends[::-1])) for ends in links]
    assert armed == sorted(armed)
    assert armed[0] < when(results, "c1", "Alice", "RuleSet installed"), "the last link does not wait for the first"


# 4.2, LAU and Barrier: Repeater A = R1, Repeater B = R2, Responder 2 = C2, connection 2 = C

JOINING: list[Step] = [
    ("RESPONSE", "C2", "R2"),
    ("RESPONSE", "R2", "R1"),
    ("LAU", "R2", "R1"),
    ("LAU", "R1", "R2"),
    # R1 has heard R2's list when it sends its own, so its Barrier goes at once and comes first.
    ("BARRIER", "R1", "R2"),
    ("BARRIER", "R2", "R1"),
]


def test_4_2_lau_and_barrier_when_a_connection_joins() -> None:
    results = run("shared_link")
    table = messages(results, "C", "RESPONSE", "LAU", "BARRIER")
    table = table[table["received_s"] < 0.1]
    on_link = between(table, "R1", "R2")
    response = table[(table["message"] == "RESPONSE") & (table["source"] == "C2")]
    assert steps(pd.concat([response, on_link])) == JOINING
    assert response["received_s"].max() < on_link["received_s"].min()
    assert set(on_link.loc[on_link["message"] == "LAU", "connections"]) == {"A,B,C"}
    assert set(on_link.loc[on_link["message"] == "LAU", "detail"]) == {"A#1 B#1 C#1"}
    check_link_of_many(results, "R1", "R2", on_link)


def check_link_of_many(results: Results, here: str, there: str, on_link: pd.DataFrame) -> None:
    """Check that the ends of a link name different trials and both switch at the later one."""
    barriers = on_link[on_link["message"] == "BARRIER"]
    named = [trial(row) for _, row in barriers.iterrows()]
    assert len(set(named)) == 2, "the two ends see different trials next, or the maximum would show nothing"
    again = EntanglementRun(results.scenario, results.seed)
    again.advance(to_ticks(results.scenario.duration_s))
    interfaces = again.network.interfaces[here][there], again.network.interfaces[there][here]
    mine, theirs = (interface.allocation.agreements for interface in interfaces)
    assert mine == theirs
    assert max(named) in [agreement.since for agreement in mine]
    assert min(named) not in [agreement.since for agreement in mine]


# 4.3, two networks, of which A is nested; Router A rewrites

BY_NETWORKS: list[Step] = [
    ("CSR", "Initiator", "Repeater A"),  # local
    ("CSR", "Repeater A", "Router A"),  # local
    ("CSR", "Router A", "Router B"),
    ("CSR", "Router B", "Repeater B"),
    ("CSR", "Repeater B", "Responder"),
    ("RESPONSE", "Responder", "Repeater B"),
    ("RESPONSE", "Repeater B", "Router B"),
    ("RESPONSE", "Router B", "Router A"),
    ("RESPONSE", "Router A", "Repeater A"),  # rewritten
    ("RESPONSE", "Repeater A", "Initiator"),  # rewritten
]


def test_4_3_setup_over_two_networks() -> None:
    results = run("two_networks")
    table = messages(results, "c1", "CSR", "RESPONSE")
    assert steps(table) == BY_NETWORKS
    inside = ["c1/A/1"] * 2
    assert list(table["connections"]) == [*inside, *["c1"] * 6, *inside]
    at_border = table["received_s"].iloc[7]
    assert when(results, "c1", "Router A", "RuleSet installed") == at_border
    assert when(results, "c1/A/1", "Router A", "RuleSet installed") == at_border, "rewritten as the outer one comes"
    assert when(results, "c1/A/1", "Router A", "RuleSets made") == table["received_s"].iloc[1]
    outer = [when(results, "c1", node, "RuleSet installed") for node in ("Responder", "Repeater B", "Router B")]
    inner = [when(results, "c1/A/1", node, "RuleSet installed") for node in ("Router A", "Repeater A", "Initiator")]
    assert [*outer, *inner] == sorted({*outer, *inner})
    assert "Repeater A" not in set(results.milestones.loc[results.milestones["connection"] == "c1", "node"])
    for here, there, name in (
        ("Repeater B", "Responder", "c1"),
        ("Router B", "Repeater B", "c1"),
        ("Router A", "Router B", "c1"),
        ("Repeater A", "Router A", "c1/A/1"),
        ("Initiator", "Repeater A", "c1/A/1"),
    ):
        check_link(results, "c1", here, there, name)


# 4.4, rejection

REJECTION: list[Step] = [
    ("CSR", "Initiator", "Repeater A"),
    ("CSR", "Repeater A", "Repeater B"),
    ("REJECT", "Repeater B", "Repeater A"),
    ("REJECT", "Repeater A", "Initiator"),
]


def test_4_4_rejection() -> None:
    results = run("busy_repeater")
    table = messages(results, "second", "CSR", "REJECT", "RESPONSE", "TERMINATION", "TEARDOWN", "LAU")
    assert steps(table)[:5] == [*REJECTION, REJECTION[0]], "and after that only the next attempt"
    first = table[:4]
    assert list(first["detail"][2:]) == ["reason busy"] * 2
    notes = results.milestones[results.milestones["connection"] == "second"]
    held = notes[(notes["node"] == "Repeater A") & notes["event"].isin(["holds memories", "hold released"])]
    assert list(held["event"][:2]) == ["holds memories", "hold released"]
    assert list(held["time_s"][:2]) == [first["received_s"].iloc[0], first["received_s"].iloc[2]]
    said = notes[notes["event"] == "rejects: busy"]
    assert list(said["node"]) == ["Repeater B"]
    assert list(said["time_s"]) == [first["received_s"].iloc[1]]


# 5.1, RuleSet termination: Initiator = Alice, Repeater A = R1, Repeater B = R3, Responder = Bob, R2 between them

ENDING: list[Step] = [
    ("TERMINATION", "Alice", "R1"),
    ("TERMINATION", "Bob", "R3"),
    ("TERMINATION", "Alice", "R3"),
    ("TERMINATION", "Bob", "R1"),
]


def test_5_1_both_ends_terminate_every_node() -> None:
    results = run("chain")
    table = messages(results, "c1", "TERMINATION")
    at_outer_repeaters = table[table["target"].isin(["R1", "R3"])]
    assert steps(at_outer_repeaters) == ENDING
    path = ["Alice", "R1", "R2", "R3", "Bob"]
    for end, others in (("Alice", path[1:]), ("Bob", path[-2::-1])):
        sent = table[table["source"] == end]
        assert list(sent["target"]) == others, "to every node of the path, the nearest hears it first"
        assert set(sent["sent_s"]) == {when(results, "c1", end, "RuleSet terminated")}
    for node in ("R1", "R2", "R3"):
        assert when(results, "c1", node, "RuleSet terminated") == table.loc[table["target"] == node, "received_s"].min()


# 5.1, from k to k - 1: Repeater A = R1, Repeater B = R2, Initiator 2 = C1, Responder 2 = C2

LEAVING: list[Step] = [
    ("TERMINATION", "C2", "R2"),
    ("TERMINATION", "C1", "R1"),
    ("TERMINATION", "C2", "R1"),
    ("TERMINATION", "C1", "R2"),
]
RENEWED: list[Step] = [
    ("LAU", "R2", "R1"),
    ("LAU", "R1", "R2"),
    # Their lists cross; R1 is the first to have both, so its Barrier comes first.
    ("BARRIER", "R1", "R2"),
    ("BARRIER", "R2", "R1"),
]


def test_5_1_from_three_connections_to_two() -> None:
    results = run("shared_link")
    table = messages(results, "C", "TERMINATION", "LAU", "BARRIER")
    table = table[table["sent_s"] > 0.1]
    ended = table[(table["message"] == "TERMINATION") & table["target"].isin(["R1", "R2"])]
    assert steps(ended) == LEAVING
    on_link = between(table, "R1", "R2")
    assert steps(on_link) == RENEWED
    assert set(on_link.loc[on_link["message"] == "LAU", "detail"]) == {"A#1 B#1"}
    for node in ("R1", "R2"):
        informed = ended.loc[ended["target"] == node, "received_s"].min()
        assert on_link.loc[on_link["source"] == node, "sent_s"].min() == informed, "the first Termination is enough"
    check_link_of_many(results, "R1", "R2", on_link)


# The same in the ladder that is drawn of a run, in the order of sending


def lines_of(steps: Sequence[Step], nodes: Sequence[str]) -> list[str]:
    alias = {name: f"n{number}" for number, name in enumerate(nodes)}
    return [f"{alias[source]}->>{alias[target]}: {kind}" for kind, source, target in steps]


DIAGRAMS: dict[str, tuple[str, str, list[Step]]] = {
    "4.2 setup": ("chain", "c1", REQUEST + RESPONSE),
    "4.2 LAU and Barrier": ("shared_link", "C", JOINING),
    "4.3": ("two_networks", "c1", BY_NETWORKS),
    "4.4": ("busy_repeater", "second", REJECTION),
    "5.1 end, Initiator": ("chain", "c1", [step for step in ENDING if step[1] == "Alice"]),
    "5.1 end, Responder": ("chain", "c1", [("TERMINATION", "Bob", "R1"), ("TERMINATION", "Bob", "R3")]),
    "5.1 k to k - 1": ("shared_link", "C", [LEAVING[0], *RENEWED]),
}


@pytest.mark.parametrize("diagram", DIAGRAMS)
def test_the_ladder_of_the_run_shows_the_diagram(diagram: str) -> None:
    name, connection, wanted = DIAGRAMS[diagram]
    drawn = ladder.of(run(name), connection)
    table = run(name).connections.set_index("id")
    assert list(drawn.nodes) == table.loc[connection, "path"].split(">")
    text = [line.strip() for line in drawn.mermaid().splitlines()]
    place = 0
    for line in lines_of(wanted, drawn.nodes):
        found = next((number for number in range(place, len(text)) if text[number].startswith(line)), None)
        assert found is not None, f"{line} is not in the ladder after line {place}"
        place = found + 1


def test_the_ladder_of_a_connection_shows_what_others_sharing_its_links_have_to_do_with_it_only() -> None:
    drawn = ladder.of(run("shared_link"), "A")
    barriers = drawn.arrows[(drawn.arrows["message"] == "BARRIER") & (drawn.arrows["source"] == "R1")]
    assert {"R2"} <= set(barriers["target"])
    assert set(drawn.nodes) == {"A1", "R1", "R2", "A2"}
