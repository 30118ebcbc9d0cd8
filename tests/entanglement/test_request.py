"""Requests for connections: what is asked for, and the names of attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from simpy.events import ProcessGenerator

from qkdrmp.entanglement.demand import ConnectionWorkload, Listed, ListedConnection, PoissonConnections
from qkdrmp.entanglement.messages import CSR
from qkdrmp.entanglement.request import AttemptId, ConnectionRequest, ConnectionSpec
from qkdrmp.errors import QKDRMPError
from qkdrmp.kernel.units import to_ticks
from qkdrmp.scenario_file import make_scenario
from qkdrmp.simulation import predict
from tests.entanglement.small_networks import chain, entry_of, network_of, run


def test_an_attempt_inside_networks_names_all_that_it_serves() -> None:
    attempt = AttemptId("c1", 3)
    inner = attempt.inside("A")
    innermost = inner.inside("A/x")
    assert [str(one) for one in (attempt, inner, innermost)] == ["c1#3", "c1/A/3#1", "c1/A/3/A/x/1#1"]
    assert (inner.network, inner.outer) == ("A", attempt)
    assert (innermost.network, innermost.outer, innermost.root) == ("A/x", inner, attempt)
    assert (attempt.network, attempt.outer, attempt.root) == (None, None, attempt)


def test_equal_attempts_are_one_key_and_all_have_an_order() -> None:
    attempts = [AttemptId(name, number) for name in ("c10", "c2") for number in (10, 9)]
    attempts += [attempt.inside("A") for attempt in attempts]
    assert {AttemptId("c2", 9).inside("A"): True}[attempts[-1]]
    names = ["c10#9", "c10#10", "c10/A/10#1", "c10/A/9#1", "c2#9", "c2#10", "c2/A/10#1", "c2/A/9#1"]
    assert [str(attempt) for attempt in sorted(attempts)] == names


def test_a_demand_asks_with_requests_and_the_csr_carries_the_spec_alone() -> None:
    spec = ConnectionSpec(pairs=3, minimum_fidelity=0.3, memories=1, basis="X")
    asked = ConnectionRequest("A", "B", spec, "mine", within_s=0.5, lasts_s=0.2, teardown_s=0.3, teardown_by="both")
    listed = ListedConnection(
        src="A",
        dst="B",
        at_s=0.1,
        id="mine",
        pairs=3,
        minimum_fidelity=0.3,
        memories=1,
        basis="X",
        within_s=0.5,
        lasts_s=0.2,
        teardown_s=0.3,
        teardown_by="both",
    )
    assert Listed(connections=(listed,)).asked(("A", "B")) == [asked]
    assert asked.tearing_down == ("A", "B")
    network = network_of(chain("ARB"), trace=True, demand={"model": Listed(connections=(listed,))})
    run(network, 0.15)
    entry = entry_of(network, "mine")
    assert (entry.request, entry.asked, entry.deadline) == (asked, to_ticks(0.1), to_ticks(0.6))
    assert {hop.message.spec for hop in network.hops or () if isinstance(hop.message, CSR)} == {spec}


def test_random_connections_are_requests_too() -> None:
    demand = PoissonConnections(users=(("A", "B"),), memories=1, within_s=0.5)
    assert demand.asked(("A", "B", "C")) == [ConnectionRequest("A", "B", ConnectionSpec(memories=1), within_s=0.5)]
    assert len(PoissonConnections().asked(("A", "B", "C"))) == 6


class Once:
    """A demand of your own."""

    def __init__(self, request: ConnectionRequest) -> None:
        self.request = request

    def processes(self, workload: ConnectionWorkload, users: Sequence[str]) -> Iterator[ProcessGenerator]:
        def ask() -> ProcessGenerator:
            yield workload.env.timeout(1)
            workload.ask(self.request)

        yield ask()


def test_a_demand_of_ones_own_can_only_ask_users() -> None:
    run(network_of(chain("ARB"), demand={"model": Once(ConnectionRequest("A", "B"))}), 0.01)
    with pytest.raises(QKDRMPError, match="chain has no end node 'b'"):
        run(network_of(chain("ARB"), demand={"model": Once(ConnectionRequest("A", "b"))}), 0.01)
    with pytest.raises(ValueError, match="src and dst are both 'A'"):
        ConnectionRequest("A", "A")


def test_it_is_predicted_which_connections_a_run_is_too_short_for() -> None:
    asked = [{"src": "A", "dst": "B", "at_s": at_s} for at_s in (0.0, 1.0, 1.5, 2.0)]
    scenario = make_scenario(
        {
            "kind": "entanglement",
            "topology": chain("AB"),
            "duration_s": 1.0,
            "demand": {"model": "listed", "connections": asked},
        }
    )
    said = ["the run ends before these connections are asked for, so no table has them: c3, c4"]
    assert predict(scenario) == said
    assert predict(scenario.replace({"duration_s": 2.0})) == []
