"""Link allocation policies: which connection a trial of a link belongs to.

Both ends of a link must come to the same answer without asking each other, so a policy is a pure function of what they
agreed on and of the number of the trial; what is in the memories, and what arrived first, never counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Protocol, runtime_checkable

from qkdrmp.config.registry import Registry
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.errors import QKDRMPError

MASK = (1 << 64) - 1


class AllocationError(QKDRMPError, ValueError):
    """An allocation cannot be used, or the two ends of a link contradict each other."""


@dataclass(frozen=True, slots=True)
class AllocationEntry:
    """A connection's claim on a link.

    Parameters
    ----------
    id : AttemptId
        The connection, by the attempt at it.
    weight : int
        Its share relative to the others (>= 1).
    priority : int
        Its class; the highest number comes first.
    """

    id: AttemptId
    weight: int = 1
    priority: int = 0

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise AllocationError(f"weight = {self.weight} of {self.id} must be at least 1")


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both ends of a link have agreed on from one trial on.

    Parameters
    ----------
    epoch : int
        The epoch in which they agreed.
    since : int
        The switch trial K: the first trial it governs.
    random : int
        The higher of the two random numbers.
    entries : tuple of AllocationEntry
        The active list, in the agreed order.
    places : tuple of int
        For each entry, the lowest place that was free when it joined; it keeps the place while it lives.
    lanes : int
        How many trials of the link run side by side: m, the memories at the end that has fewer (>= 1).
    """

    epoch: int = 0
    since: int = 0
    random: int = 0
    entries: tuple[AllocationEntry, ...] = ()
    places: tuple[int, ...] = ()
    lanes: int = 1

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise AllocationError(f"lanes = {self.lanes} of a link must be at least 1")


@lru_cache(maxsize=1024)
def interleave(weights: tuple[int, ...]) -> tuple[int, ...]:
    """Return a cycle in which index i occurs ``weights[i]`` times, spread as evenly as the others allow.

    At each step every index gains its weight, and the one that has gained most is taken and pays the sum of all.
    """
    total, credit, cycle = sum(weights), [0] * len(weights), []
    for _ in range(total):
        credit = [has + weight for has, weight in zip(credit, weights, strict=True)]
        index = credit.index(max(credit))
        credit[index] -= total
        cycle.append(index)
    return tuple(cycle)


@lru_cache(maxsize=1024)
def share_out(lanes: int, weights: tuple[int, ...]) -> tuple[int, ...]:
    """Return the index that owns each lane: one lane after the other goes to whoever has the fewest for its weight."""
    has, owners = [0] * len(weights), []
    for _ in range(lanes):
        index = min(range(len(weights)), key=lambda i: has[i] / weights[i])
        has[index] += 1
        owners.append(index)
    return tuple(owners)


def scramble(*numbers: int) -> int:
    """Return 64 well mixed bits that depend on nothing but `numbers` (the finaliser of SplitMix64 after each)."""
    bits = 0
    for number in numbers:
        bits = (bits + number + 0x9E3779B97F4A7C15) & MASK
        bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & MASK
        bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & MASK
        bits ^= bits >> 31
    return bits


def weights_of(entries: Sequence[AllocationEntry]) -> tuple[int, ...]:
    """Return the weights of `entries`, in order."""
    return tuple(entry.weight for entry in entries)


class LinkPolicy(Protocol):
    """Which connection a trial of a link belongs to."""

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return the connection that a trial belongs to, or None if it belongs to nobody.

        Both ends of the link ask this without asking each other, so the answer depends on nothing else.

        Parameters
        ----------
        trial : int
            Its number (>= 0).
        agreement : Agreement
            What the ends have agreed on, which names the connections in `entries`.
        """


@runtime_checkable
class Periodic(Protocol):
    """Optional for a link policy: runs are faster if it says when its owners repeat."""

    def period(self, agreement: Agreement) -> int | None:
        """Return after how many trials (>= 1) the owners repeat; None if they need not."""


def period_of(policy: LinkPolicy, agreement: Agreement) -> int | None:
    """Return after how many trials the owners repeat; None if they need not."""
    return policy.period(agreement) if isinstance(policy, Periodic) else None


class RoundRobin:
    """The entries take turns, each as often as its weight, starting with the first one at the switch trial."""

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return the entry at position (trial - K) of the cycle."""
        return take_turns(trial - agreement.since, agreement.entries)

    def period(self, agreement: Agreement) -> int | None:
        """Return the length of the cycle: the sum of the weights."""
        return max(1, sum(weights_of(agreement.entries)))


class Statistical:
    """Each trial is drawn by lot, in proportion to the weights, with a lot that depends on the trial's number."""

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return the entry on which the lot of the trial falls."""
        if not agreement.entries:
            return None
        bounds = list(accumulate(weights_of(agreement.entries)))
        lot = scramble(agreement.random, agreement.epoch, trial) * bounds[-1] >> 64
        return agreement.entries[bisect_right(bounds, lot)].id

    def period(self, agreement: Agreement) -> int | None:
        """Return None, unless there is nothing to draw."""
        return None if len(agreement.entries) > 1 else 1


class Priority:
    """The highest class present takes every trial; inside it the entries take turns."""

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return whose turn it is in the highest class."""
        return take_turns(trial - agreement.since, top_class(agreement.entries))

    def period(self, agreement: Agreement) -> int | None:
        """Return the length of the cycle: the sum of the weights in the highest class."""
        return max(1, sum(weights_of(top_class(agreement.entries))))


class Circuit:
    """Each entry owns one lane while it lives; other entries come and go without moving it."""

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return the entry whose place is the trial's lane; an entry beyond the last lane owns nothing."""
        lane = trial % agreement.lanes
        return next((e.id for e, place in zip(agreement.entries, agreement.places, strict=True) if place == lane), None)

    def period(self, agreement: Agreement) -> int | None:
        """Return the number of lanes: every slot is alike."""
        return agreement.lanes


class BufferSpace:
    """The lanes are shared out by weight, and each entry gets one as long as there are enough."""

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return the entry to which the trial's lane was given."""
        if not agreement.entries:
            return None
        return agreement.entries[share_out(agreement.lanes, weights_of(agreement.entries))[trial % agreement.lanes]].id

    def period(self, agreement: Agreement) -> int | None:
        """Return the number of lanes: every slot is alike."""
        return agreement.lanes


def take_turns(position: int, entries: Sequence[AllocationEntry]) -> AttemptId | None:
    """Return the entry at `position` of the endless interleaving of `entries`, or None if there are none."""
    cycle = interleave(weights_of(entries))
    return entries[cycle[position % len(cycle)]].id if cycle else None


def top_class(entries: Sequence[AllocationEntry]) -> list[AllocationEntry]:
    """Return the entries of the highest priority present, in order."""
    top = max((entry.priority for entry in entries), default=0)
    return [entry for entry in entries if entry.priority == top]


LINK_POLICIES: Registry[LinkPolicy] = Registry(
    "link policy",
    LinkPolicy,
    {
        "round-robin": RoundRobin(),
        "statistical": Statistical(),
        "priority": Priority(),
        "circuit": Circuit(),
        "buffer-space": BufferSpace(),
    },
)
