"""LAU and Barrier: every race by hand, then two ends under loss, duplication, reordering and uneven clocks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import count
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from qkdrmp.entanglement.links.agreement import Agreement, AllocationEntry, AllocationError
from qkdrmp.entanglement.links.epoch import LAU, Barrier
from qkdrmp.entanglement.links.negotiation import SILENT_AFTER, LinkEnd, NegotiationState, merge, places
from qkdrmp.entanglement.links.policies import LINK_POLICIES, Circuit, RoundRobin

A, B, C, D = (AllocationEntry(name) for name in "ABCD")


def ends(policy=None, draws=(1, 2), **options) -> tuple[LinkEnd, LinkEnd]:
    policy = policy or RoundRobin()
    x = LinkEnd("xy", "x", "y", policy, lambda: draws[0], **options)
    y = LinkEnd("xy", "y", "x", policy, lambda: draws[1], **options)
    return x, y


def settle(x: LinkEnd, y: LinkEnd, to_y=(), to_x=(), highest: int = -1, most: int = 60) -> int:
    """Deliver all messages in order until none is left; return how many there were."""
    to_x, to_y, delivered = list(to_x), list(to_y), 0
    while to_x or to_y:
        if to_y:
            to_x += y.receive(to_y.pop(0), highest)
        else:
            to_y += x.receive(to_x.pop(0), highest)
        delivered += 1
        assert delivered <= most, "an echo storm"
    return delivered


def sharing(*entries: AllocationEntry, highest: int = -1, **options) -> tuple[LinkEnd, LinkEnd]:
    """Return two ends that have agreed on `entries` one after the other."""
    x, y = ends(**options)
    for entry in entries:
        to_y, to_x = x.add(entry), y.add(entry)
        settle(x, y, to_y, to_x, highest)
    assert x.active == y.active == entries
    return x, y


def names(end: LinkEnd, first: int, trials: int) -> str:
    return "".join(end.owner(trial) or "-" for trial in range(first, first + trials))


# Merging


def test_survivors_keep_their_order_and_additions_follow_the_leading_end():
    assert merge((A, B), (D, B, C, A), (A, B, C, D)) == (A, B, D, C)
    assert merge((A, B), (B, C), (A, B, C)) == (B, C)
    assert merge((A,), (A, B), (A, C)) == (A,)
    assert merge((A,), (AllocationEntry("A", 2),), (AllocationEntry("A", 2),)) == (AllocationEntry("A", 2),)
    assert merge((A,), (AllocationEntry("A", 2),), (A,)) == ()


@pytest.mark.parametrize(("draws", "order"), [((2, 1), (A, B)), ((1, 2), (B, A)), ((1, 1), (A, B))])
def test_the_higher_random_number_leads_and_of_equal_ones_the_lower_name(draws, order):
    x, y = ends(draws=draws)
    x.add(C), y.add(C)  # neither is delivered: both gather A and B behind it
    for end, entries in ((x, (A, B)), (y, (B, A))):
        for entry in entries:
            end.add(entry)
    settle(x, y, x.timeout(), y.timeout())
    assert x.active == y.active == (C, *order)
    assert x.agreements[-1] == y.agreements[-1]
    assert x.agreements[-1].random == max(draws)


def test_an_entry_keeps_its_place_and_the_lowest_free_one_is_taken():
    before = Agreement(1, 0, 0, (A, B, C), (0, 1, 2))
    assert places(before, (A, C)) == (0, 2)
    assert places(Agreement(2, 0, 0, (A, C), (0, 2)), (A, C, D, B)) == (0, 2, 1, 3)


def test_a_circuit_never_moves_an_entry():
    x, y = sharing(A, B, C, policy=Circuit(), lanes=3)
    settle(x, y, x.remove("B"), y.remove("B"), highest=5)
    assert names(x, 6, 6) == names(y, 6, 6) == "A-CA-C"
    settle(x, y, x.add(D), y.add(D), highest=11)
    assert names(x, 12, 6) == names(y, 12, 6) == "ADCADC"


# One epoch, step by step


def test_one_epoch_step_by_step():
    x, y = ends(lead=4)
    assert x.state(9) is NegotiationState.STABLE
    (lau,) = x.add(A)
    assert lau == LAU("xy", 1, (), (A,), 1)
    assert x.state(9) is NegotiationState.LAU_SENT
    y.add(A)
    (barrier_y,) = y.receive(lau, 11)
    assert barrier_y == Barrier("xy", 1, 16)
    assert y.state(11) is NegotiationState.BARRIER_SENT
    (barrier_x,) = x.receive(y.timeout()[0], 9)
    assert barrier_x == Barrier("xy", 1, 14)
    assert x.receive(barrier_y, 9) == y.receive(barrier_x, 11) == ()
    assert x.state(9) is y.state(11) is NegotiationState.ARMED
    assert x.state(15) is NegotiationState.STABLE
    assert x.agreements == y.agreements == [Agreement(), Agreement(1, 16, 2, (A,), (0,))]
    assert names(x, 14, 4) == names(y, 14, 4) == "--AA"


def test_trials_are_void_from_the_own_barrier_until_the_peers():
    x, y = sharing(A)
    x.add(B)
    y.add(B)
    x.receive(y.timeout()[0], 7)
    assert [x.may_attempt(trial) for trial in (7, 8, 9)] == [True, False, False]
    assert names(x, 6, 4) == "AA--"
    x.receive(Barrier("xy", 2, 10), 8)
    assert names(x, 6, 6) == "AAAAAB"  # inclusive: trial 10 is the first of the new cycle


def test_an_end_that_answers_sends_its_list_and_its_barrier_at_once():
    x, y = sharing(A)
    sent = y.receive(x.remove("A")[0], 5)
    assert [type(message) for message in sent] == [LAU, Barrier]
    settle(x, y, to_x=sent, highest=5)
    assert x.active == y.active == ()
    assert names(x, 6, 2) == "--"


# The races


def test_crossing_updates_are_the_normal_case():
    x, y = ends()
    to_y, to_x = x.add(A), y.add(A)
    assert settle(x, y, to_y, to_x) == 4
    assert x.epoch == y.epoch == 1
    assert x.active == y.active == (A,)


def test_a_ruleset_that_reached_one_end_only_waits_for_the_other():
    x, y = ends()
    assert settle(x, y, x.add(A)) == 2  # both close without a Barrier, and x does not ask again
    assert (x.epoch, y.epoch, x.active, y.active) == (1, 1, (), ())
    assert len(x.agreements) == 1
    assert settle(x, y, to_x=y.add(A)) == 4
    assert x.active == y.active == (A,)


def test_what_the_peer_learns_after_its_list_was_sent_takes_the_next_epoch():
    x, y = ends()
    first = y.receive(x.add(A)[0], 0)  # y did not know A when it sent its list
    second = y.add(A)
    settle(x, y, to_x=(*first, *second))
    assert (x.epoch, x.active, y.active) == (2, (A,), (A,))


def test_two_setups_at_once_gather_behind_the_open_epoch():
    x, y = ends()
    to_y, to_x = x.add(A), y.add(A)
    assert x.add(B) == y.add(B) == ()
    settle(x, y, to_y, to_x)
    assert (x.epoch, x.active, y.active) == (2, (A, B), (A, B))


def test_setup_and_teardown_at_once_share_the_epoch():
    x, y = sharing(A)
    to_y, to_x = x.remove("A"), y.add(B)
    x.add(B), y.remove("A")
    settle(x, y, to_y, to_x)
    assert x.active == y.active == (B,)


def test_removal_wins_over_an_end_that_still_wants_the_entry():
    x, y = sharing(A, B)
    settle(x, y, x.remove("A"))
    assert x.active == y.active == (B,)
    assert y.remove("A") == ()


def test_removal_wins_while_the_addition_is_in_progress():
    x, y = ends()
    to_y, to_x = x.add(A), y.add(A)
    assert x.remove("A") == ()
    settle(x, y, to_y, to_x)
    assert (x.epoch, x.active, y.active) == (2, (), ())


def test_a_lost_update_is_sent_again():
    x, y = sharing(A)
    x.add(B), y.add(B)  # both lost
    settle(x, y, x.timeout())
    assert x.waiting
    settle(x, y, (), y.timeout())
    assert x.active == y.active == (A, B)


def test_a_lost_last_barrier_is_sent_again_as_a_reply():
    x, y = ends()
    to_y, to_x = x.add(A), y.add(A)
    (barrier_y,) = y.receive(*to_y, 3)
    (_lost,) = x.receive(*to_x, 3)
    x.receive(barrier_y, 3)
    assert not x.waiting
    assert y.waiting
    replies = [reply for message in y.timeout() for reply in x.receive(message, 50)]
    assert [type(reply) for reply in replies] == [LAU, Barrier, Barrier]
    assert all(reply.reply for reply in replies)
    assert replies[-1].pptsn == 4
    settle(x, y, replies, highest=50)
    assert x.agreements == y.agreements


def test_a_reply_is_never_answered():
    x, y = sharing(A)
    replies = x.receive(LAU("xy", 1, (), (A,), 2), 0)
    assert [type(reply) for reply in replies] == [LAU, Barrier]
    assert [y.receive(reply, 0) for reply in replies] == [(), ()]
    assert x.receive(replace(replies[0], reply=True), 0) == ()


def test_doubled_messages_change_nothing():
    x, y = ends()
    to_y, to_x = x.add(A), y.add(A)
    settle(x, y, to_y * 3, to_x * 3)
    assert (x.epoch, y.epoch) == (1, 1)
    assert x.agreements == y.agreements


def test_a_barrier_that_overtakes_its_update_is_kept():
    x, y = ends()
    to_y, to_x = x.add(A), y.add(A)
    (barrier,) = y.receive(*to_y, 3)
    assert x.receive(barrier, 1) == ()
    assert x.state(1) is NegotiationState.LAU_SENT
    (own,) = x.receive(*to_x, 1)
    assert own.pptsn == 2
    assert not x.waiting
    assert x.agreements[-1].since == 4


def test_an_update_for_the_epoch_after_next_is_ignored():
    x, y = ends()
    to_y, to_x = x.add(A), y.add(A)
    (barrier_y,) = y.receive(*to_y, 3)
    x.receive(*to_x, 3)
    x.receive(barrier_y, 3)
    (ahead,) = x.remove("A")  # x has closed epoch 1, y has not
    assert (ahead.epoch, y.epoch, y.receive(ahead, 3)) == (2, 0, ())
    settle(x, y, x.timeout(), y.timeout())
    assert not y.waiting
    settle(x, y, x.timeout())
    assert (x.epoch, x.active, y.active) == (2, (), ())


def test_messages_of_older_epochs_are_ignored():
    x, y = sharing(A, B)
    assert x.receive(LAU("xy", 1, (), (A,), 2), 9) == ()
    assert x.receive(Barrier("xy", 1, 0), 9) == ()
    assert y.epoch == 2


def test_a_new_epoch_may_open_before_the_last_switch():
    x, y = sharing(A, highest=9, lead=10)
    assert x.state(9) is NegotiationState.ARMED
    settle(x, y, x.add(B), y.add(B), highest=9)
    assert [a.since for a in x.agreements] == [0, 20, 20]
    assert names(x, 18, 4) == names(y, 18, 4) == "--AB"


def test_a_silent_peer_is_reported_and_still_asked():
    x, y = ends()
    x.add(A)
    for _ in range(SILENT_AFTER - 2):
        assert x.timeout()
        assert not x.silent
    assert x.timeout() == x.timeout()
    assert x.silent
    assert settle(x, y, x.timeout()) == 2
    assert not x.silent
    assert x.timeout() == ()


def test_any_word_of_the_peer_ends_its_silence():
    x, _ = ends()
    x.add(A)
    for _ in range(SILENT_AFTER):
        x.timeout()
    assert x.silent
    x.receive(LAU("xy", 1, (), (A,), 2), 0)
    assert x.waiting
    assert not x.silent


def test_ends_that_contradict_each_other_are_an_error():
    x, _ = sharing(A)
    with pytest.raises(AllocationError, match="x and y disagree on who shares link xy now"):
        x.receive(LAU("xy", 2, (B,), (B,), 1), 0)


# The failure without a barrier


def skewed(skew: int) -> tuple[str, str]:
    """Return what each end gives trials 0 to 599 to, if A and B share the link and C joins at 4, or at 4 + `skew`."""
    x, y = sharing(A, B)
    y.skew = skew
    settle(x, y, x.add(C), y.add(C), highest=3)
    return names(x, 0, 600), names(y, 0, 600)


def pairs_by_ordinal(owners: str) -> dict[tuple[str, int], int]:
    """Return the trial of each pair as its end names it: the connection, and the number of the pair in it."""
    ordinals = defaultdict(count)
    return {(owner, next(ordinals[owner])): trial for trial, owner in enumerate(owners)}


def test_without_a_common_barrier_no_pair_is_right_after_the_first_mismatch():
    x, y = skewed(1)
    assert (x[:12], y[:12]) == ("ABABABCABCAB", "ABABAABCABCA")
    assert not any(a == b for a, b in zip(x[5:], y[5:], strict=True))
    of_x, of_y = pairs_by_ordinal(x), pairs_by_ordinal(y)
    both = of_x.keys() & of_y.keys()
    right = {name for name in both if of_x[name] == of_y[name]}
    assert right == {("A", 0), ("A", 1), ("A", 2), ("B", 0), ("B", 1)}  # trials 0 to 4
    assert len(both) > 590


def test_with_the_common_barrier_every_pair_is_right():
    x, y = skewed(0)
    assert pairs_by_ordinal(x) == pairs_by_ordinal(y)


# Faults


class Wire:
    """Two ends, what is under way between them, and what each has promised its trials to."""

    def __init__(self, policy: str, lanes: int, lead: int, draw) -> None:
        self.ends = ends(LINK_POLICIES[policy], lead=lead, lanes=lanes)
        for end in self.ends:
            end._draw = draw
        self.lanes = lanes
        self.highest = [-1, -1]
        self.owners: tuple[dict[int, str], dict[int, str]] = ({}, {})
        self.wanted: tuple[dict[str, AllocationEntry], dict[str, AllocationEntry]] = ({}, {})

    def add(self, side: int, entry: AllocationEntry) -> tuple:
        self.wanted[side][entry.id] = entry
        return self.ends[side].add(entry)

    def remove(self, side: int, connection: str) -> tuple:
        self.wanted[side].pop(connection, None)
        return self.ends[side].remove(connection)

    def receive(self, side: int, message) -> tuple:
        return self.ends[side].receive(message, self.highest[side])

    def start_slot(self, side: int) -> None:
        """Start the trials of the next slot and check each against what the other end gave it to."""
        for _ in range(self.lanes):
            self.highest[side] = trial = self.highest[side] + 1
            owner = self.ends[side].owner(trial)
            if owner is not None:
                self.owners[side][trial] = owner
                assert self.owners[1 - side].get(trial, owner) == owner, f"trial {trial} has two owners"

    def check_epochs(self) -> None:
        x, y = self.ends
        assert abs(x.epoch - y.epoch) <= 1
        shared = {a.epoch for a in x.agreements} & {a.epoch for a in y.agreements}
        assert [a for a in x.agreements if a.epoch in shared] == [a for a in y.agreements if a.epoch in shared]

    def check_settled(self) -> None:
        """Nobody waits, and active is what both want."""
        x, y = self.ends
        assert not x.waiting
        assert not y.waiting
        assert x.agreements == y.agreements
        assert [a.since for a in x.agreements] == sorted(a.since for a in x.agreements)
        assert set(x.active) == set(self.wanted[0].values()) & set(self.wanted[1].values())


class Case:
    """Two ends on a clock of ticks, the second perhaps behind, with faults and changes until tick `quiet`."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        policy, lanes, lead = (
            random.choice(sorted(LINK_POLICIES)),
            random.choice([1, 1, 2, 4]),
            random.choice([0, 0, 3, 20]),
        )
        bits = random.choice([1, 64])
        self.wire = Wire(policy, lanes, lead, lambda: random.getrandbits(bits))
        self.fault = random.choice([0.0, 0.1, 0.3])
        self.period = random.randint(1, 4)
        self.lag = (0, random.randint(0, 6))
        self.quiet = random.randint(40, 120)
        self.now = self.sent = 0
        self.due = [0, 0]
        self.flying: list[tuple[int, int, object]] = []
        self.ids = count()

    def faulty(self) -> bool:
        return self.now < self.quiet and self.random.random() < self.fault

    def send(self, side: int, messages: tuple) -> None:
        """Send to the other side: maybe not, maybe twice, maybe so late that others overtake."""
        for message in messages:
            self.sent += 1
            for _ in range(2 if self.faulty() else 1):
                if not self.faulty():
                    late = self.random.randint(0, 30) if self.faulty() else 0
                    self.flying.append((self.now + 3 + late, 1 - side, message))
            self.due[side] = self.now + 8

    def change(self) -> None:
        """Add or remove a connection at both ends or at one."""
        known = self.wire.wanted[0] | self.wire.wanted[1]
        name = self.random.choice([*sorted(known), f"c{next(self.ids)}"])
        entry = known.get(name) or AllocationEntry(name, self.random.randint(1, 3), self.random.randint(0, 1))
        drop = name in known and self.random.random() < 0.6
        for side in (0, 1) if self.random.random() < 0.7 else (self.random.randint(0, 1),):
            self.send(side, self.wire.remove(side, name) if drop else self.wire.add(side, entry))

    def tick(self) -> None:
        for side in (0, 1):
            if self.now >= self.lag[side] and (self.now - self.lag[side]) % self.period == 0:
                self.wire.start_slot(side)
        if self.now < self.quiet and self.random.random() < 0.2:
            self.change()
        arrived = [item for item in self.flying if item[0] <= self.now]
        self.flying = [item for item in self.flying if item[0] > self.now]
        for _, side, message in arrived:
            self.send(side, self.wire.receive(side, message))
        for side, end in enumerate(self.wire.ends):
            if end.waiting and self.now >= self.due[side]:
                self.send(side, end.timeout())
        self.wire.check_epochs()
        self.now += 1

    def run(self) -> tuple[int, int]:
        """Return how many trials both ends committed, and how many agreements they made."""
        while self.now < self.quiet + 100:
            self.tick()
        self.wire.check_settled()
        sent, used = self.sent, len(self.wire.owners[0])
        while self.now < self.quiet + 200:
            self.tick()
        assert self.sent == sent, "messages without a cause"
        end = self.wire.ends[0]
        assert not end.active or isinstance(end.policy, Circuit) or len(self.wire.owners[0]) > used, "it stands still"
        return len(self.wire.owners[0].keys() & self.wire.owners[1].keys()), len(end.agreements)


def run_cases(seeds: range) -> None:
    common, agreements = map(sum, zip(*(Case(seed).run() for seed in seeds), strict=True))
    assert common > 50 * len(seeds)
    assert agreements > 4 * len(seeds)


def test_no_trial_ever_has_two_owners_under_faults():
    run_cases(range(1500))


@pytest.mark.slow
def test_no_trial_ever_has_two_owners_in_many_more_cases():
    run_cases(range(1500, 40_000))


SIDES = st.sampled_from([0, 1])
NAMES = st.sampled_from("ABC")


class TwoEnds(RuleBasedStateMachine):
    """Any order of events whatever: messages stay under way until delivered, maybe for the tenth time, or lost."""

    @initialize(policy=st.sampled_from(sorted(LINK_POLICIES)), lanes=st.integers(1, 3), lead=st.sampled_from([0, 2, 9]))
    def begin(self, policy, lanes, lead):
        numbers = count()
        self.wire = Wire(policy, lanes, lead, lambda: next(numbers) * 0x9E37 % 5)
        self.flying = []

    def send(self, side, messages):
        self.flying += [(1 - side, message) for message in messages]

    @rule(side=SIDES, name=NAMES, weight=st.integers(1, 2))
    def add(self, side, name, weight):
        self.send(side, self.wire.add(side, AllocationEntry(name, weight)))

    @rule(name=NAMES)
    def add_both(self, name):
        for side in (0, 1):
            self.send(side, self.wire.add(side, AllocationEntry(name)))

    @rule(side=SIDES, name=NAMES)
    def remove(self, side, name):
        self.send(side, self.wire.remove(side, name))

    @rule(index=st.integers(0, 200), keep=st.booleans())
    def deliver(self, index, keep):
        if self.flying:
            index %= len(self.flying)
            side, message = self.flying[index] if keep else self.flying.pop(index)
            self.send(side, self.wire.receive(side, message))

    @rule(index=st.integers(0, 200))
    def lose(self, index):
        if self.flying:
            self.flying.pop(index % len(self.flying))

    @rule(side=SIDES)
    def timeout(self, side):
        self.send(side, self.wire.ends[side].timeout())

    @rule(side=SIDES, slots=st.integers(1, 5))
    def start(self, side, slots):
        for _ in range(slots):
            self.wire.start_slot(side)

    @invariant()
    def epochs_agree(self):
        if hasattr(self, "wire"):
            self.wire.check_epochs()

    def teardown(self):
        if not hasattr(self, "wire"):
            return
        for _ in range(20):
            for _ in range(50 + 20 * len(self.flying)):
                if self.flying:
                    self.deliver(0, False)
            assert not self.flying, "an echo storm"
            for side in (0, 1):
                if self.wire.ends[side].waiting:
                    self.timeout(side)
        self.wire.check_settled()


TwoEnds.TestCase.settings = settings(
    derandomize=True, deadline=None, database=None, max_examples=400, stateful_step_count=50
)
test_any_order_of_events = TwoEnds.TestCase
