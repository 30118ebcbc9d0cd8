"""Faults of the classical channels, as a scenario sets them; what the protocol makes of them is in test_messages."""

from typing import Any

import pytest

import qkdrmp
from qkdrmp import ladder
from qkdrmp.network.channel import Channel
from qkdrmp.qkd.network import QKDNetwork
from tests.qkd.helpers import FULL, ask, line, run, scenario

LOSSES = "messages will be lost, and the protocol does not send them again: their requests stay unfinished"


def requests(**faults: Any) -> Any:
    """Return a scenario with 60 requests, one after the other."""
    asked = [ask(keys=1, at_us=200 * number) for number in range(60)]
    return scenario(line(1, 2, 3), asked, pools=FULL, duration_s=0.02, faults=faults)


def test_without_faults_channels_are_plain_and_draw_nothing() -> None:
    network = QKDNetwork(requests(), 1)
    assert {type(channel) for channel in network.channels} == {Channel}
    assert all(type(channel) is Channel for channel in QKDNetwork(requests(loss=0.0), 1).channels)
    plain = qkdrmp.simulate(requests())
    zero = qkdrmp.simulate(requests(loss=0.0, duplication=0.0, extra_delay_s=0.0))
    assert plain.summary["events"] == zero.summary["events"]
    assert plain.requests.equals(zero.requests)


def test_lost_messages_leave_some_requests_unfinished_as_predicted() -> None:
    lossy = requests(loss=0.1)
    assert qkdrmp.predict(lossy) == [LOSSES]
    assert qkdrmp.predict(requests()) == qkdrmp.predict(requests(duplication=0.5)) == []
    states = qkdrmp.simulate(lossy).requests["state"].value_counts()
    assert states["unfinished"] > 10
    assert states["delivered"] > 10


def test_the_ladder_of_an_unfinished_request_shows_the_message_that_was_lost() -> None:
    results = qkdrmp.simulate(requests(loss=0.1), record="messages")
    unfinished = results.requests.loc[results.requests["state"] == "unfinished", "id"]
    for request in unfinished:
        drawn = ladder.of(results, request)
        assert drawn.arrows["received_s"].isna().sum() >= 1
        assert "--x" in drawn.mermaid()


def test_duplicated_and_late_messages_do_no_harm() -> None:
    results = qkdrmp.simulate(requests(duplication=0.3, extra_delay_s=2e-5), check=True)
    assert (results.requests["state"] == "delivered").all()
    assert (results.requests["end_s"] > qkdrmp.simulate(requests()).requests["end_s"]).mean() > 0.9


def test_a_single_link_may_have_faults() -> None:
    there = {"link": ["R2", "Bob"], "extra_delay_s": 1e-4}
    late = qkdrmp.simulate(requests(at=[there]), record="messages").messages
    took = late["received_s"] - late["sent_s"]
    at_bob = (late["source"] == "Bob") | (late["target"] == "Bob")
    assert took[at_bob].nunique() > 50
    assert took[~at_bob].round(9).nunique() == 2
    assert qkdrmp.predict(requests(at=[{**there, "loss": 0.1}])) == [LOSSES]


def test_a_model_of_ones_own_decides_message_by_message() -> None:
    class NoRequests:
        """Requests are lost on their first link."""

        def session(self, source: str, target: str, random: Any) -> "NoRequests":
            return self

        def copies(self, message: Any) -> list[int]:
            return [] if message.wire_name == "REQUEST" else [0]

    network = run(requests(), model=NoRequests())
    assert network.messages == 60


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"loss": 1.0}, "loss = 1.0 must be at least 0 and less than 1"),
        ({"duplication": 2}, "duplication = 2.0 must be from 0 to 1"),
        ({"losss": 0.1}, "unknown field 'losss' (did you mean 'loss'?); known are loss, duplication, extra_delay_s"),
        ({"model": "radnom"}, "must be one of random (did you mean 'random'?)"),
        ({"at": [{"node": "Bob", "loss": 0.1}]}, "at, entry 1: give link alone"),
    ],
)
def test_wrong_faults_are_said_in_one_sentence(faults: dict[str, Any], said: str) -> None:
    with pytest.raises(qkdrmp.ScenarioError) as caught:
        requests(**faults)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
