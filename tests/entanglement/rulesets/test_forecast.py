"""What Responders foresee where there is very much of everything."""

from __future__ import annotations

import pytest

import qkdrmp


def test_hundreds_of_memories_whose_pairs_come_at_once_divide_nothing_by_zero() -> None:
    scenario = qkdrmp.load_scenario("shared_link").replace({"duration_s": 0.001, "memories.per_interface": 254})
    with pytest.warns(qkdrmp.RunWarning, match="have no pair"):
        results = qkdrmp.simulate(scenario, seed=1)
    assert set(results.connections["state"]) == {"unfinished"}
