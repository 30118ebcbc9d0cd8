"""The trial schedule of a link: who owns which trials from now on. Whole stretches are skipped at once.

What two agreements give is in a table of `trials`; a slot in which an agreement changes has a table of its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import gcd, lcm

from qkdrmp.entanglement.links.policies import Agreement, LinkPolicy, period_of
from qkdrmp.entanglement.links.trial_table import (
    KEPT,
    BlockTrialTable,
    FreeMemories,
    OwnerRow,
    Owners,
    PeriodicTrialTable,
    SlotTrials,
    owner_of,
)
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.units import NEVER

Regions = Sequence[tuple[int, Agreement | None]]
"""First trials in ascending order, each with the agreement that governs from there on (None: void)."""


class TrialTableCache:
    """The tables of a link, kept while they are likely to be asked for again.

    Parameters
    ----------
    policy : LinkPolicy
        Says who owns a trial.
    lanes : int
        How many trials run side by side.
    """

    def __init__(self, policy: LinkPolicy, lanes: int) -> None:
        self.policy = policy
        self.lanes = lanes
        self._kept: dict[tuple[Agreement | None, Agreement | None], PeriodicTrialTable | BlockTrialTable] = {}

    def table_of(self, left: Agreement | None, right: Agreement | None) -> PeriodicTrialTable | BlockTrialTable:
        """Return what happens while the sender holds to `left` and the receiver to `right`."""
        if (left, right) not in self._kept:
            if len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[left, right] = self._build(left, right)
        return self._kept[left, right]

    def _build(self, left: Agreement | None, right: Agreement | None) -> PeriodicTrialTable | BlockTrialTable:
        if left is None or right is None:
            return PeriodicTrialTable([[None]], [[None]])  # no trials, whatever the other end does
        ours = self._cycle(left)
        theirs = ours if left == right else self._cycle(right)
        if ours is None or theirs is None:
            return BlockTrialTable(self.policy, self.lanes, left, right)
        lanes = self.lanes
        period = lcm(len(ours) // gcd(len(ours), lanes), len(theirs) // gcd(len(theirs), lanes))
        slots = _cut(ours, lanes, period)
        return PeriodicTrialTable(slots, slots if theirs is ours else _cut(theirs, lanes, period))

    def _cycle(self, agreement: Agreement) -> list[AttemptId | None] | None:
        """Return the owners of the trials from trial 0 until they repeat, or None if they never do."""
        period = period_of(self.policy, agreement)
        return None if period is None else [self.policy.owner(trial, agreement) for trial in range(period)]


class TrialSchedule:
    """Who owns which trials of a link, from now on without end, as both ends see it now.

    Parameters
    ----------
    tables : TrialTableCache
        Where the tables come from.
    left, right : sequence of (int, Agreement or None)
        The regions at the sender and at the receiver, beginning at the same trial.
    """

    def __init__(self, tables: TrialTableCache, left: Regions, right: Regions) -> None:
        self._tables = tables
        starts = sorted({start for start, _ in (*left, *right)})
        self._segments = [(start, governing(left, start), governing(right, start)) for start in starts]
        self._spans = list(self._plan())
        self._firsts = [first for first, _, _ in self._spans]

    @property
    def joint_from(self) -> int:
        """The first slot from which on both ends hold to the same agreements, or `NEVER`."""
        joint = NEVER
        for start, left, right in reversed(self._segments):
            if left != right:
                break
            joint = start
        return joint if joint == NEVER else -(-joint // self._tables.lanes)

    def owners_from(self, slot: int) -> set[Owners]:
        """Return the pairs of owners that have trials in `slot` or later."""
        return set().union(*(table.owners() for _, end, table in self._spans if end > slot))

    def trials_of(self, owners: Owners, slot: int) -> SlotTrials | None:
        """Return the trials of `owners` in `slot`, or None if it has none."""
        return self._spans[bisect_right(self._firsts, slot) - 1][2].trials_of(owners, slot)

    def find(
        self, owners: Owners, slot: int, count: int, free: FreeMemories, skip: int = 0, until: int = NEVER
    ) -> tuple[int, int] | None:
        """Return the slot of a trial and its place in it, or None if there are not so many trials.

        Parameters
        ----------
        owners : tuple of AttemptId
            Whose trials to count.
        slot, until : int
            Where to begin, and before which slot to stop.
        count : int
            Which of the trials to find, from 1.
        free : tuple of int
            Only trials that find a memory at both ends count.
        skip : int
            The first so many trials of each slot do not count.
        """
        for first, end, table in self._spans[bisect_right(self._firsts, slot) - 1 :]:
            if first >= until:
                break
            found = table.find(owners, max(first, slot), min(end, until), count, free, skip)
            if isinstance(found, tuple):
                return found
            count = found
        return None

    def difference(self, other: TrialSchedule, slot: int) -> int:
        """Return the first slot from `slot` on in which `other` differs from this, or `NEVER`."""
        lanes = self._tables.lanes
        begin = slot * lanes
        starts = {start for start, _, _ in (*self._segments, *other._segments) if start > begin}
        trials = (trial for trial in (begin, *sorted(starts)) if self._at(trial) != other._at(trial))
        return next((trial // lanes for trial in trials), NEVER)

    def _at(self, trial: int) -> tuple[Agreement | None, Agreement | None]:
        _, left, right = self._segments[bisect_right(self._segments, trial, key=lambda s: s[0]) - 1]
        return left, right

    def _plan(self) -> Iterator[tuple[int, int, PeriodicTrialTable | BlockTrialTable]]:
        """Yield first slot, end and table of each stretch; a slot in which something changes stands alone."""
        lanes = self._tables.lanes
        bounds = [*self._segments, (NEVER * lanes, None, None)]
        reached = self._segments[0][0] // lanes
        for (_, left, right), (stop, _, _) in pairwise(bounds):
            whole, rest = divmod(stop, lanes)
            if whole > reached:
                yield reached, whole, self._tables.table_of(left, right)
                reached = whole
            if rest and whole == reached:
                yield whole, whole + 1, self._single(whole)
                reached += 1

    def _single(self, slot: int) -> PeriodicTrialTable:
        policy, lanes = self._tables.policy, self._tables.lanes
        trials = range(slot * lanes, (slot + 1) * lanes)
        left, right = ([owner_of(policy, trial, self._at(trial)[end]) for trial in trials] for end in (0, 1))
        return PeriodicTrialTable([left], [right])


def governing(regions: Regions, trial: int) -> Agreement | None:
    """Return the agreement of `regions` that governs `trial`."""
    return regions[max(0, bisect_right(regions, trial, key=lambda region: region[0]) - 1)][1]


def clip(regions: Regions, first: int, end: int) -> list[tuple[int, Agreement | None]]:
    """Return the part of `regions` from trial `first` on and before trial `end`."""
    ends = [*(start for start, _ in regions[1:]), NEVER]
    clipped = zip(regions, ends, strict=True)
    return [
        (max(start, first), agreement) for (start, agreement), stop in clipped if stop > first and start < end > first
    ]


def _cut(cycle: list[AttemptId | None], lanes: int, slots: int) -> list[OwnerRow]:
    """Return the owners of the first `slots` slots if those of the trials repeat like `cycle`."""
    longer = cycle * (lanes // len(cycle) + 2)
    begins = (slot * lanes % len(cycle) for slot in range(slots))
    return [longer[begin : begin + lanes] for begin in begins]
