"""The RuleSets of connections, as text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from qkdrmp.entanglement.run import EntanglementRun
from qkdrmp.errors import counted
from qkdrmp.family import RuleListing


def rulesets(run: EntanglementRun) -> dict[str, RuleListing]:
    """Return the RuleSets of each connection of a run that recorded them; of several attempts those of the last one."""
    kept = run.network.ledger.rulesets or {}
    return {
        attempt.connection: RuleListing(lines=list(_lines(attempt, stack)), json=stack.to_json())
        for attempt, stack in kept.items()
    }


def _lines(attempt: Any, stack: Any) -> Iterator[str]:
    pairs = "endless" if stack.need is None else counted(stack.need, "pair")
    yield f"{attempt.connection}, attempt {attempt.number}: {' > '.join(stack.path)}, {pairs}"
    for node, rules in groupby(stack.in_words(), lambda rule: rule[0]):
        yield node
        for stage, of_stage in groupby(rules, lambda rule: rule[1]):
            yield f"  stage {stage}"
            yield from (f"    {number}. {conditions} -> {actions}" for *_, number, conditions, actions in of_stage)
