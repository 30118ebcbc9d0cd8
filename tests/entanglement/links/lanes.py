"""Policies together with the lanes of a link, for tests whose agreements do not say how many there are."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from qkdrmp.entanglement.links.agreement import Agreement
from qkdrmp.entanglement.links.policies import LinkPolicy, Repeats, owned_lanes_of, trials_given
from qkdrmp.entanglement.request import AttemptId


@dataclass(frozen=True)
class On:
    """A policy on a link with so many lanes."""

    policy: LinkPolicy
    lanes: int

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        return self.policy.owner(trial, replace(agreement, lanes=self.lanes))

    def owned_lanes(self, agreement: Agreement) -> Collection[int]:
        return owned_lanes_of(self.policy, replace(agreement, lanes=self.lanes))

    def given(self, first: int, end: int, agreement: Agreement) -> Counter[AttemptId]:
        return trials_given(self.policy, first, end, replace(agreement, lanes=self.lanes))

    @property
    def period(self) -> Callable[[Agreement], int | None]:
        if not isinstance(self.policy, Repeats):
            raise AttributeError("period")
        policy = self.policy
        return lambda agreement: policy.period(replace(agreement, lanes=self.lanes))
