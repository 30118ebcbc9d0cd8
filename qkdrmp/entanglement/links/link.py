"""An elementary link: the heralds of the trials that succeed, and the halves they put into the memories at both ends.

Which trials succeed is drawn by the `SuccessSampler`; no trial is simulated one by one. One event waits for the first
herald of each slot in which the sampler has drawn a success.

What happens at a tick happens before the trials that start at that tick. Only where a herald comes as a trial starts
(receiver of an MM link) does a change that a herald of the same tick causes come too late for that slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar, cast

import numpy as np
from simpy.events import Event, EventPriority, Timeout

from qkdrmp.entanglement.links.models import TrialLaw
from qkdrmp.entanglement.links.own_trials import SlotOrder, first_lane
from qkdrmp.entanglement.links.policies import LinkPolicy
from qkdrmp.entanglement.links.schedule import Owner, Regions
from qkdrmp.entanglement.links.success_sampler import SlotSuccess, SuccessSampler
from qkdrmp.entanglement.links.success_stream import Limits
from qkdrmp.entanglement.links.trial_clock import TrialClock
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.simpy_marks import ScheduledEvent

H = TypeVar("H")
_H_contra = TypeVar("_H_contra", contravariant=True)

_LAST = EventPriority(2)
"""SimPy's own priorities are 0 and 1; what has this one comes after everything else of its tick."""


class LinkSide(Protocol[_H_contra]):
    """One end of the link, as its node shows it."""

    def regions(self) -> Regions:
        """Return what governs the trials not yet started here; the last region has no end."""

    def limit(self, owner: Owner) -> int:
        """Return below which rank an owner's trials of a slot may be attempted here, as things stand."""

    def attempted(self, slot: int, successes: list[SlotSuccess]) -> list[SlotSuccess]:
        """Return those of some trials of a slot that has started that were attempted here."""

    def occupy(self, owner: AttemptId) -> None:
        """Count one memory as occupied: the link has made a pair. Called at the first herald, wherever that is."""

    def occupied_all(self, owners: Sequence[AttemptId]) -> None:
        """Inform the link which limits the pairs of a slot have changed.

        The limit of the stream from which a pair comes it has asked for. `owners` have pairs of which it was not known
        in advance whose they would be, and whose own streams do not know it yet.
        """

    def take(self, owner: AttemptId, half: _H_contra, trial: int) -> None:
        """Take this end's half of a pair; called at this end's herald."""


class FirstHerald(ScheduledEvent):
    """The first herald of a slot; the last event of its tick.

    A trial of an MM link starts at the receiver at that very tick, so what else happens then comes before it.
    """

    def __init__(self, env: Environment, delay: int, slot: int) -> None:
        super().__init__(env, delay, _LAST)
        self.slot = slot


class ElementaryLink(Generic[H]):
    """A link between two ends, 0 the sender and 1 the receiver; nothing happens before the first `reallocated`.

    Parameters
    ----------
    env : Environment
        The clock.
    law : TrialLaw
        Of its trials.
    lanes : int
        How many trials run side by side (>= 1).
    policy : LinkPolicy
        Says who owns a trial.
    random : numpy.random.Generator
        Decides which trials succeed.
    sides : tuple of LinkSide
        The ends.
    make : callable
        Makes the two halves of a pair, given the ticks at which each came into its memory.
    origin : int
        The tick at which slot 0 starts.

    Attributes
    ----------
    successes : int
        Pairs made so far.
    has_unknown : bool
        Whether there are trials of which it is not known in advance whose they are.
    lanes : int
    slot_ticks : int
        Time T of a slot, in ticks.
    """

    def __init__(
        self,
        env: Environment,
        law: TrialLaw,
        lanes: int,
        policy: LinkPolicy,
        random: np.random.Generator,
        sides: tuple[LinkSide[H], LinkSide[H]],
        make: Callable[[tuple[int, int]], tuple[H, H]],
        origin: int = 0,
    ) -> None:
        self.lanes = lanes
        self.slot_ticks = law.slot_ticks
        self.successes = 0
        self.has_unknown = False
        self._env = env
        self._sides = sides
        self._make = make
        self._herald = min(law.heralds)
        self._gap = max(law.heralds) - self._herald
        self._earlier = law.heralds.index(self._herald)
        self._clock = TrialClock.of(law, lanes, origin)
        self._first = self._clock.trial_start(0, 0), self._clock.trial_start(0, 1)
        self._epochs, self._learned = [0, 0], [0, 0]
        self._sampler = SuccessSampler(self._clock, policy, law.success_probability, random)

    @property
    def now(self) -> int:
        """The present tick."""
        return self._env.now

    def next_trial(self, end: int) -> int:
        """Return the first trial that has not started at `end`; one that starts now has not."""
        return self._clock.next_trial(end, self._env.now)

    def start_of(self, trial: int, end: int) -> int:
        """Return the tick at which `end` starts `trial`."""
        return self._clock.trial_start(trial, end)

    def agreed(self, end: int, epoch: int) -> None:
        """Apply an agreement, once both ends know it; until then all trials it governs are void at one end at least."""
        self._epochs[end] = epoch
        self._learned[end] = self._clock.next_slot(end, self._env.now)
        if self._epochs[0] == self._epochs[1]:
            self._reallocate((self._learned[0], self._learned[1]))

    def reallocated(self) -> None:
        """Apply that the regions of an end have changed."""
        now = self._env.now
        self._reallocate((self._clock.next_slot(0, now), self._clock.next_slot(1, now)))

    def _reallocate(self, slots: tuple[int, int]) -> None:
        left, right = self._sides
        drawn = self._sampler.reallocate(self._env.now, (left.regions(), right.regions()), slots, self._limits)
        self.has_unknown = self._sampler.has_unknown
        self._await(drawn)

    def limited(self, end: int, owner: Owner, limit: int) -> None:
        """Apply that an end attempts at most so many trials of an owner in each slot to come."""
        drawn = self._sampler.limit(self._env.now, end, owner, limit)
        if drawn:
            self._await(drawn)

    @property
    def most(self) -> int:
        """More than so many trials no owner has in a slot."""
        return self._sampler.most

    def place(self, trial: int) -> int:
        """Return which place a trial has in the order of its slot."""
        slot, lane = divmod(trial, self.lanes)
        return (lane - first_lane(slot, self.lanes)) % self.lanes

    def order(self, slot: int, end: int) -> SlotOrder:
        """Return whose the trials of a slot are at an end (0, 1), in the order in which they are attempted."""
        return self._sampler.order(slot, end)

    def last_slot(self, end: int) -> int:
        """Return the slot that an end has started last; one that starts now has not."""
        slot = (self._env.now - self._first[end] - 1) // self.slot_ticks
        return slot if slot > -1 else -1

    def _limits(self, owner: Owner) -> Limits:
        left, right = self._sides
        most = self._sampler.most
        return min(left.limit(owner), most), min(right.limit(owner), most)

    def _await(self, slots: Iterable[int]) -> None:
        for slot in slots:
            delay = self._clock.slot_start(slot) + self._herald - self._env.now
            FirstHerald(self._env, delay, slot).callbacks.append(self._succeed)

    def _succeed(self, event: Event) -> None:
        """Make the pairs of a slot, unless its successes were forgotten; then await the next ones."""
        slot = cast(FirstHerald, event).slot
        left, right = self._sides
        made = right.attempted(slot, left.attempted(slot, self._sampler.realise(slot)))
        for one in made:
            left.occupy(one.owners[0])
            right.occupy(one.owners[1])
        self._await(self._sampler.resume(self._limits))
        if made:
            unknown = [one for one in made if one.rank is None]
            left.occupied_all([one.owners[0] for one in unknown])
            right.occupied_all([one.owners[1] for one in unknown])
            # Last, for what the ends do with the halves may change limits and regions again.
            self._hand_over(slot, made)

    def _hand_over(self, slot: int, made: list[SlotSuccess]) -> None:
        """Make the pairs, and give each end its halves at its herald."""
        starts = self._clock.trial_start(slot * self.lanes, 0), self._clock.trial_start(slot * self.lanes, 1)
        self.successes += len(made)
        pairs = [(one, self._make(starts)) for one in made]
        if not self._gap:
            left, right = self._sides
            for one, (here, there) in pairs:
                left.take(one.owners[0], here, one.trial)
                right.take(one.owners[1], there, one.trial)
        elif pairs:
            later = Timeout(self._env, self._gap)
            later.callbacks.append(lambda _: self._give(1 - self._earlier, pairs))
            self._give(self._earlier, pairs)

    def _give(self, end: int, pairs: list[tuple[SlotSuccess, tuple[H, H]]]) -> None:
        for one, halves in pairs:
            self._sides[end].take(one.owners[end], halves[end], one.trial)
