"""Event counts of fixed runs, so that a slowdown shows as a number that changed.

A change that moves them is no defect as such, but has to be meant: more events for the same work cost time on every
run of every user.
"""

import pytest

import qkdrmp


@pytest.fixture(scope="module")
def plateau():
    scenario = qkdrmp.load_scenario("beijing_figure3").replace({"pools.capacity": 60})
    return qkdrmp.simulate(scenario, seed=1).summary


def test_the_events_of_one_run_are_pinned(plateau):
    assert (plateau["requests_delivered"], plateau["messages"], plateau["events"]) == (331, 15625, 19486)


def test_a_hop_message_costs_little_more_than_one_event(plateau):
    assert plateau["events"] / plateau["messages"] < 1.5


def test_recording_costs_no_events(plateau):
    scenario = qkdrmp.load_scenario("beijing_figure3").replace({"pools.capacity": 60})
    recorded = qkdrmp.simulate(scenario, seed=1, record=["messages", "levels"])
    assert recorded.summary.equals(plateau)
    assert len(recorded.messages) == plateau["messages"]
