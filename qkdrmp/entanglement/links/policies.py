"""Link allocation policies: which connection a trial of a link belongs to.

Both ends of a link must come to the same answer without asking each other, so a policy is a pure function of what they
agreed on and of the number of the trial; what is in the memories, and what arrived first, never counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import ClassVar, Protocol, cast, runtime_checkable

from qkdrmp.config.registry import Registry
from qkdrmp.entanglement.links.agreement import Agreement, AllocationEntry
from qkdrmp.entanglement.links.interleaving import LONGEST_CYCLE, Interleaving
from qkdrmp.entanglement.request import AttemptId

MASK = (1 << 64) - 1
UNBOUND = AttemptId("", 0)
"""The owner of a trial whose pair is bound to a connection later."""
SLOTS = 64
"""Over how many slots trials are counted to find shares."""


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
class OwnsLanes(Protocol):
    """Optional for a link policy: runs are faster if it says which lanes belong to nobody."""

    def owned_lanes(self, agreement: Agreement) -> Collection[int]:
        """Return the lanes (from 0) whose trials may have owners; those of all others have none, in any slot."""


@runtime_checkable
class CountsTrials(Protocol):
    """Optional for a link policy: tables are made faster if it counts trials without asking for the owner of each."""

    def given(self, first: int, end: int, agreement: Agreement) -> Counter[AttemptId]:
        """Return how many of the trials from `first` up to `end` each connection owns."""


@runtime_checkable
class Repeats(Protocol):
    """Optional for a link policy: runs are faster if it says that owners repeat."""

    def period(self, agreement: Agreement) -> int | None:
        """Return after how many trials (>= 1) the owners repeat; None if they do not."""


@runtime_checkable
class ConservesWork(Protocol):
    """Optional for a link policy: whether a connection that has no use for its trials leaves them to the others."""

    @property
    def conserves_work(self) -> bool:
        """False if the connection keeps them, used or not."""


@runtime_checkable
class AssuresTrials(Protocol):
    """Optional for a link policy: rates and fidelities are promised only if it says what connections can count on."""

    def assured(self, agreement: Agreement) -> Mapping[AttemptId, float]:
        """Return how many trials of a slot each connection gets on average while it has memories for them."""


def can(policy: LinkPolicy, ability: str) -> bool:
    """Return whether a policy has an optional ability, and not inherited it beside an `owner` that it has replaced."""
    if not hasattr(policy, ability):
        return False
    kinds = (vars(kind) for kind in type(policy).__mro__)
    return ability in next((names for names in kinds if "owner" in names or ability in names), {ability})


def assures_trials(policy: LinkPolicy) -> bool:
    """Return whether a policy says what connections can count on."""
    return can(policy, "assured")


def owned_lanes_of(policy: LinkPolicy, agreement: Agreement) -> Collection[int]:
    """Return the lanes whose trials may have owners: all of them, unless the policy or the empty list excludes some."""
    if can(policy, "owned_lanes"):
        return cast(OwnsLanes, policy).owned_lanes(agreement)
    return range(agreement.lanes) if agreement.entries else ()


def period_of(policy: LinkPolicy, agreement: Agreement) -> int | None:
    """Return after how many trials the owners repeat; None if that is not known, or too many to write them out."""
    if not can(policy, "period"):
        return None
    period = cast(Repeats, policy).period(agreement)
    return None if period is None or period > LONGEST_CYCLE else period


def trials_given(policy: LinkPolicy, first: int, end: int, agreement: Agreement) -> Counter[AttemptId]:
    """Return how many of the trials from `first` up to `end` each connection owns."""
    if first >= end or not agreement.entries:
        return Counter()
    if can(policy, "given"):
        return cast(CountsTrials, policy).given(first, end, agreement)
    owners = (policy.owner(trial, agreement) for trial in range(first, end))
    return Counter(owner for owner in owners if owner is not None)


def attempts_per_slot(policy: LinkPolicy, agreement: Agreement) -> Mapping[AttemptId, float]:
    """Return how many trials of a slot each connection can count on, or has had of some if the policy does not say."""
    if assures_trials(policy):
        return cast(AssuresTrials, policy).assured(agreement)
    given = trials_given(policy, 0, SLOTS * agreement.lanes, agreement)
    return {entry.id: given[entry.id] / SLOTS for entry in agreement.entries}


def conserves_work(policy: LinkPolicy) -> bool:
    """Return whether connections that have no use for their trials leave them to the others: yes, unless it says no."""
    return policy.conserves_work if isinstance(policy, ConservesWork) else True


def binds_late(policy: LinkPolicy) -> bool:
    """Return whether pairs are bound to connections once they exist, instead of trials before they are made."""
    return isinstance(policy, Statistical)


class RoundRobin:
    """The entries take turns, each as often as its weight, starting with the first one at the switch trial."""

    def turns(self, agreement: Agreement) -> Interleaving:
        """Return the turns of the entries."""
        return agreement.turns

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return the entry at position (trial - K) of the interleaving."""
        entries = agreement.entries
        return entries[self.turns(agreement).at(trial - agreement.since)].id if entries else None

    def period(self, agreement: Agreement) -> int:
        """Return the length of the interleaving."""
        return self.turns(agreement).period or 1

    def given(self, first: int, end: int, agreement: Agreement) -> Counter[AttemptId]:
        """Return how many of the trials each connection owns."""
        counts = self.turns(agreement).count(first - agreement.since, end - agreement.since)
        return Counter({entry.id: count for entry, count in zip(agreement.entries, counts, strict=True)})

    def assured(self, agreement: Agreement) -> Mapping[AttemptId, float]:
        """Return the share of each connection, by how often it has a turn."""
        return shares_of_turns(self.turns(agreement), agreement)


class Lottery:
    """Each trial is drawn by lot before it is made, in proportion to the weights; the lot depends on its number."""

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return the entry on which the lot of the trial falls."""
        if not agreement.entries:
            return None
        bounds = list(accumulate(agreement.turns.weights))
        lot = scramble(agreement.random, agreement.epoch, trial) * bounds[-1] >> 64
        return agreement.entries[bisect_right(bounds, lot)].id

    def period(self, agreement: Agreement) -> int | None:
        """Return 1 if there is nothing to draw."""
        return 1 if len(agreement.entries) < 2 else None

    def given(self, first: int, end: int, agreement: Agreement) -> Counter[AttemptId]:
        """Return how many of the trials each connection may expect to own."""
        shares = zip(agreement.entries, agreement.lane_shares, strict=True)
        return Counter({entry.id: round((end - first) * share / agreement.lanes) for entry, share in shares})

    def assured(self, agreement: Agreement) -> Mapping[AttemptId, float]:
        """Return the share of each connection, by how likely the lot falls on it."""
        return shares_of_turns(agreement.turns, agreement)


class Statistical(Lottery):
    """A pair is nobody's until it exists, and is then given to a connection that has a use for it (see `binding`)."""

    given = Lottery.given

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return `UNBOUND` as long as there is a connection."""
        return UNBOUND if agreement.entries else None

    def period(self, agreement: Agreement) -> int | None:
        """Return None: all trials are alike, even while the two ends have different lists."""
        return None


class Priority(RoundRobin):
    """The highest class takes every trial that it can find memories for, and the lower ones the rest, taking turns."""

    def turns(self, agreement: Agreement) -> Interleaving:
        """Return the turns of the entries."""
        return agreement.turns_by_class


class Circuit:
    """Each entry owns one lane while it lives, used or not; other entries come and go without moving it."""

    conserves_work: ClassVar[bool] = False

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return the entry whose place is the trial's lane; an entry beyond the last lane owns nothing."""
        lane = trial % agreement.lanes
        return next((e.id for e, place in zip(agreement.entries, agreement.places, strict=True) if place == lane), None)

    def period(self, agreement: Agreement) -> int:
        """Return the trials of a slot."""
        return agreement.lanes

    def owned_lanes(self, agreement: Agreement) -> Collection[int]:
        """Return the places of the entries."""
        return [place for place in agreement.places if place < agreement.lanes]

    def given(self, first: int, end: int, agreement: Agreement) -> Counter[AttemptId]:
        """Return how many of the trials each connection owns."""
        return lanes_between(first, end, [self.owner(lane, agreement) for lane in range(agreement.lanes)])

    def assured(self, agreement: Agreement) -> Mapping[AttemptId, float]:
        """Return how many lanes each connection owns."""
        return self.given(0, agreement.lanes, agreement)


class BufferSpace:
    """The lanes are shared out by weight, and each entry gets one as long as there are enough."""

    def owner(self, trial: int, agreement: Agreement) -> AttemptId | None:
        """Return the entry to which the trial's lane was given."""
        if not agreement.entries:
            return None
        return agreement.entries[share_out(agreement.lanes, weights_of(agreement.entries))[trial % agreement.lanes]].id

    def period(self, agreement: Agreement) -> int:
        """Return the trials of a slot."""
        return agreement.lanes

    def given(self, first: int, end: int, agreement: Agreement) -> Counter[AttemptId]:
        """Return how many of the trials each connection owns."""
        return lanes_between(first, end, [self.owner(lane, agreement) for lane in range(agreement.lanes)])

    def assured(self, agreement: Agreement) -> Mapping[AttemptId, float]:
        """Return how many lanes each connection owns."""
        return self.given(0, agreement.lanes, agreement)


def shares_of_turns(turns: Interleaving, agreement: Agreement) -> dict[AttemptId, float]:
    """Return how many trials of a slot entries have if they take turns so."""
    weights = zip(agreement.entries, turns.weights, strict=True)
    return {entry.id: agreement.lanes * weight / turns.period for entry, weight in weights}


def lanes_between(first: int, end: int, owners: Sequence[AttemptId | None]) -> Counter[AttemptId]:
    """Return how many of the trials from `first` up to `end` each owner has, if every slot has these."""
    count = len(owners)
    each = ((owner, (end - lane - 1) // count - (first - lane - 1) // count) for lane, owner in enumerate(owners))
    found: Counter[AttemptId] = Counter()
    for owner, trials in each:
        if owner is not None:
            found[owner] += trials
    return found


LINK_POLICIES: Registry[LinkPolicy] = Registry(
    "link policy",
    LinkPolicy,
    {
        "round-robin": RoundRobin(),
        "lottery": Lottery(),
        "statistical": Statistical(),
        "priority": Priority(),
        "circuit": Circuit(),
        "buffer-space": BufferSpace(),
    },
)
