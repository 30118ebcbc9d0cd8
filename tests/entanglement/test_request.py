"""Requests for connections: the names of attempts."""

from __future__ import annotations

from qkdrmp.entanglement.request import AttemptId


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
