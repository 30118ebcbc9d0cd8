"""Policies together with the lanes of a link, for tests whose agreements do not say how many there are."""

from dataclasses import dataclass, replace

from qkdrmp.entanglement.links.policies import Agreement, LinkPolicy, period_of
from qkdrmp.entanglement.request import AttemptId


@dataclass(frozen=True)
class On:
    """A policy on a link with so many lanes."""

    policy: LinkPolicy
    lanes: int

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        return self.policy.owner(trial, replace(agreement, lanes=self.lanes))

    def period(self, agreement: Agreement) -> int | None:
        return period_of(self.policy, replace(agreement, lanes=self.lanes))
