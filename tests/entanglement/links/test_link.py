"""Physical links: rates, shares, switches of the allocation, ticks, and a slot-by-slot reference to compare with."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from simpy.events import Timeout

from qkdrmp.entanglement.links.agreement import Agreement, AllocationEntry
from qkdrmp.entanglement.links.link import ElementaryLink
from qkdrmp.entanglement.links.models import OpticalLink, TrialLaw, mim, mm, msm
from qkdrmp.entanglement.links.own_trials import order
from qkdrmp.entanglement.links.policies import LINK_POLICIES, Circuit, LinkPolicy, Lottery, Priority, RoundRobin
from qkdrmp.entanglement.links.schedule import Owner
from qkdrmp.entanglement.links.success_sampler import SlotSuccess
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.kernel.environment import Environment
from tests.entanglement.links.lanes import On

MIM = mim(OpticalLink(1.0))
MODELS = {"MSM": msm(OpticalLink(1.0)), "MIM": MIM, "MM": mm(OpticalLink(1.0))}
Regions = list[tuple[int, Agreement | None]]


def agree(*entries: AllocationEntry | str, since: int = 0) -> Agreement:
    listed = tuple(entry if isinstance(entry, AllocationEntry) else AllocationEntry(entry) for entry in entries)
    return Agreement(epoch=1, since=since, random=7, entries=listed, places=tuple(range(len(listed))))


class Node:
    """An end with memories for everybody; it frees each half after `hold` ticks (0: at once, None: never)."""

    def __init__(
        self, env: Environment, end: int, memories: int, regions: Regions, hold: Callable[[], int] | None
    ) -> None:
        self.env, self.end, self.hold = env, end, hold
        self.listed = regions
        self.free = memories
        self.history = [(-1, memories)]
        self.dead: dict[str, int] = {}
        self.taken: list[tuple[int, str, object, int]] = []
        self.link: ElementaryLink[tuple[int, int]]

    def regions(self) -> Regions:
        return self.listed

    def limit(self, owner: Owner) -> int:
        if owner is None:
            return self.free if not self.dead else self.free and self.link.lanes  # trials of the dead are passed over
        return 0 if owner in self.dead else self.free

    def attempted(self, slot: int, successes: list[SlotSuccess]) -> list[SlotSuccess]:
        start = self.link.start_of(slot * self.link.lanes, self.end)
        free = self.history[bisect_right(self.history, start, key=lambda change: change[0]) - 1][1]
        owners, turns = self.link.order(slot, self.end)

        def is_alive(owner: AttemptId | None) -> bool:
            return owner is not None and start < self.dead.get(owner, start + 1)

        def found(success: SlotSuccess) -> bool:
            before = [owners[turn] for turn in turns[: self.link.place(success.trial)]]
            return is_alive(success.owners[self.end]) and sum(map(is_alive, before)) < free

        return [success for success in successes if found(success)]

    def occupy(self, connection: str) -> None:
        self.change(-1)

    def change(self, by: int) -> None:
        self.free += by
        assert self.free >= 0
        self.history.append((self.env.now, self.free))

    def take(self, connection: str, half: tuple[int, int], trial: int) -> None:
        assert half[0] == self.end
        self.taken.append((self.env.now, connection, half[1], trial))
        ticks = self.hold() if self.hold else None
        if ticks == 0:
            self.release()
        elif ticks is not None:
            Timeout(self.env, ticks).callbacks.append(lambda _: self.release())

    def release(self) -> None:
        self.change(1)
        self.occupied_all([])

    def occupied_all(self, owners: Sequence[AttemptId]) -> None:
        agreements = [agreement for _, agreement in self.listed if agreement is not None]
        for owner in (None, *dict.fromkeys(entry.id for agreement in agreements for entry in agreement.entries)):
            self.link.limited(self.end, owner, self.limit(owner))

    def kill(self, connection: str) -> None:
        self.dead[connection] = self.env.now
        self.occupied_all([])

    def reallocate(self, regions: Regions) -> None:
        self.listed = regions
        self.link.reallocated()


class Bench:
    """A link between two nodes."""

    def __init__(
        self,
        model: TrialLaw,
        policy: On,
        memories: int | tuple[int, int],
        regions: tuple[Regions, Regions],
        hold: Callable[[], int] | None = lambda: 0,
        seed: int = 1,
        origin: int = 0,
    ) -> None:
        self.env = Environment()
        count = (memories, memories) if isinstance(memories, int) else memories
        self.nodes = tuple(Node(self.env, end, count[end], regions[end], hold) for end in (0, 1))
        random = np.random.default_rng(seed)
        self.link: ElementaryLink[tuple[int, int]] = ElementaryLink(
            self.env, model, policy.lanes, policy, random, self.nodes, lambda t: ((0, t[0]), (1, t[1])), origin
        )
        for node in self.nodes:
            node.link = self.link
        self.link.reallocated()

    def run(self, slots: int) -> Bench:
        self.env.advance(slots * self.link.slot_ticks)
        return self

    def owners(self, end: int = 0) -> Counter[str]:
        return Counter(connection for _, connection, _, _ in self.nodes[end].taken)


def both(*regions: tuple[int, Agreement | None]) -> tuple[Regions, Regions]:
    return list(regions), list(regions)


def check_binomial(successes: int, trials: float, probability: float) -> None:
    error = (trials * probability * (1 - probability)) ** 0.5
    assert abs(successes - trials * probability) < 3 * error + 1


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("lanes", [1, 5])
def test_a_link_makes_pairs_at_the_rate_of_its_model_in_every_lane(model: TrialLaw, lanes: int) -> None:
    # An MSM pair is known only one slot time after it came into memory, and its memory is free for the slot after.
    bench = Bench(model, On(RoundRobin(), lanes), lanes, both((0, agree("A")))).run(4000)
    check_binomial(bench.link.successes, 4000 * lanes, model.success_probability)
    lanes_used = Counter(trial % lanes for _, _, _, trial in bench.nodes[0].taken)
    for lane in range(lanes):
        check_binomial(lanes_used[lane], 4000, model.success_probability)


def test_round_robin_shares_by_weight() -> None:
    entries = agree(AllocationEntry("A", 3), AllocationEntry("B", 1), AllocationEntry("C", 2))
    bench = Bench(MIM, On(RoundRobin(), 4), 9, both((0, entries))).run(6000)
    for name, share in {"A": 1 / 2, "B": 1 / 6, "C": 1 / 3}.items():
        check_binomial(bench.owners()[name], 24000 * share, MIM.success_probability)


def test_no_more_trials_of_a_slot_are_attempted_than_there_are_memories_and_all_owners_are_favoured_alike() -> None:
    bench = Bench(MIM, On(RoundRobin(), 6), 2, both((0, agree("A", "B", "C")))).run(6000)
    check_binomial(bench.link.successes, 6000 * 2, MIM.success_probability)
    for name in "ABC":
        check_binomial(bench.owners()[name], 6000 * 2 / 3, MIM.success_probability)
    lanes = Counter(trial % 6 for _, _, _, trial in bench.nodes[0].taken)
    for lane in range(6):
        check_binomial(lanes[lane], 6000 / 3, MIM.success_probability)


@pytest.mark.parametrize(
    "policy", [On(Lottery(), 2), On(Priority(), 2), On(Circuit(), 2)], ids=lambda p: type(p.policy).__name__
)
def test_other_policies_own_what_succeeds(policy: On) -> None:
    agreement = agree(AllocationEntry("A", 1, 1), AllocationEntry("B", 3, 1))
    bench = Bench(MIM, policy, 2, both((0, agreement))).run(3000)
    assert all(name == policy.owner(trial, agreement) for _, name, _, trial in bench.nodes[1].taken)
    owned = Counter(policy.owner(trial, agreement) for trial in range(6000))
    for name in "AB":
        check_binomial(bench.owners()[name], owned[name], MIM.success_probability)


def test_two_links_that_hold_their_pairs_take_the_slots_of_the_closed_form() -> None:
    p, waits = mim(OpticalLink(1.0, source_efficiency=0.6)).success_probability, []
    for seed in range(1500):
        benches = [
            Bench(
                mim(OpticalLink(1.0, source_efficiency=0.6)),
                On(RoundRobin(), 1),
                1,
                both((0, agree("A"))),
                None,
                2 * seed + i,
            )
            for i in (0, 1)
        ]
        for bench in benches:
            bench.env.run()
            assert bench.link.successes == 1
        waits.append(max(bench.nodes[0].taken[0][3] + 1 for bench in benches))
    assert abs(np.mean(waits) - (3 - 2 * p) / (p * (2 - p))) < 3 * np.std(waits) / len(waits) ** 0.5


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("announced", [0, 90])
def test_a_switch_in_the_middle_of_a_slot_is_right_to_the_trial(model: TrialLaw, announced: int) -> None:
    policy, before = On(RoundRobin(), 5), agree("A", "B")
    after = agree("B", "C", "A", since=503)
    switch: Regions = [(0, before), (503, after)]
    bench = Bench(model, policy, 5, both((0, before)))
    bench.run(announced)
    for node in bench.nodes:
        node.reallocate(switch)
    bench.run(200)
    for node in bench.nodes:
        assert all(name == policy.owner(trial, before if trial < 503 else after) for _, name, _, trial in node.taken)
    trials = [trial for _, _, _, trial in bench.nodes[0].taken]
    assert len(trials) == len(set(trials))
    check_binomial(len(trials), 1000, model.success_probability)


def test_void_and_unowned_stretches_are_jumped_over_and_endless_ones_end_the_run() -> None:
    regions = both((0, agree("A")), (10, None), (10**12 + 1, agree()), (10**12 + 5, agree("A")), (10**12 + 9, None))
    bench = Bench(MIM, On(RoundRobin(), 2), 2, regions)
    bench.env.run()
    trials = [trial for _, _, _, trial in bench.nodes[0].taken]
    assert trials
    assert all(trial < 10 or 10**12 + 5 <= trial < 10**12 + 9 for trial in trials)
    assert bench.env.events < 20


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_without_a_barrier_the_halves_of_a_pair_belong_to_different_connections(model: TrialLaw) -> None:
    policy, before = On(RoundRobin(), 3), agree("A", "B")
    regions: tuple[Regions, Regions] = tuple(
        [(0, before), (100 + skew, agree("A", "B", "C", since=100 + skew))] for skew in (0, 1)
    )
    bench = Bench(model, policy, 3, regions).run(2000)
    halves = [{trial: name for _, name, _, trial in node.taken} for node in bench.nodes]
    late = [trial for trial in halves[0].keys() & halves[1].keys() if trial > 100]
    assert late
    assert all(halves[0][trial] != halves[1][trial] for trial in late)
    for end, (node, listed) in enumerate(zip(bench.nodes, regions, strict=True)):
        since = listed[1][0]
        assert all(name == policy.owner(trial, listed[trial >= since][1]) for _, name, _, trial in node.taken), end
    # The first trial after the sender's switch is nobody's twin: three memories are enough for every trial.
    check_binomial(len(halves[0]), 6000, model.success_probability)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("origin", [0, 12345])
def test_halves_start_and_arrive_at_the_ticks_of_the_model(model: TrialLaw, origin: int) -> None:
    bench = Bench(model, On(RoundRobin(), 2), 2, both((0, agree("A"))), origin=origin).run(100)
    for end, node in enumerate(bench.nodes):
        assert node.taken
        for now, _, start, trial in node.taken:
            slot = origin + trial // 2 * model.slot_ticks
            assert start == slot + model.starts[end] == bench.link.start_of(trial, end)
            assert now == slot + model.heralds[end]
        assert [t for *_, t in node.taken] == sorted({t for *_, t in node.taken})
        # A trial that starts now has not started.
        trial = 300 + 20 * end
        bench.env.advance(bench.link.start_of(trial, end))
        assert bench.link.next_trial(end) == trial
        bench.env.advance(bench.env.now + 1)
        assert bench.link.next_trial(end) == trial + 2


def test_an_end_may_change_everything_while_it_takes_a_half() -> None:
    policy, first, second = On(RoundRobin(), 2), agree("A"), agree("B")
    bench = Bench(MIM, policy, 2, both((0, first)))
    plan: Regions = [(0, first)]
    switches: list[int] = []

    def swap(node: Node, take: Callable[[str, tuple[int, int], int], None]) -> Callable[..., None]:
        def taking(connection: str, half: tuple[int, int], trial: int) -> None:
            take(connection, half, trial)
            at = node.link.next_trial(0) + 1
            if at not in switches:
                switches.append(at)
                plan.append((at, second if plan[-1][1] is first else first))
                for each in bench.nodes:
                    each.reallocate(list(plan))

        return taking

    bench.nodes[0].take = swap(bench.nodes[0], bench.nodes[0].take)  # type: ignore[method-assign]
    bench.run(600)
    starts = [start for start, _ in plan]
    for _, name, _, trial in bench.nodes[1].taken:
        governing = plan[bisect_right(starts, trial) - 1][1]
        assert governing is not None
        assert governing.entries[0].id == name
    check_binomial(bench.link.successes, 1200, MIM.success_probability)


def test_a_connection_that_dies_gets_what_had_started_and_no_more() -> None:
    model = mm(OpticalLink(1.0, source_efficiency=1.0, detector_efficiency=1.0))
    for end in (0, 1):
        bench = Bench(model, On(RoundRobin(), 8), 8, both((0, agree("A"))))
        slot, half = bench.link.slot_ticks, bench.link.slot_ticks // 2
        bench.env.advance(50 * slot + half // 2)
        bench.nodes[end].kill("A")
        bench.run(70)
        last = max(trial // 8 for *_, trial in bench.nodes[0].taken)
        # Slot 50 has started at the sender only.
        assert last == (50 if end == 0 else 49)


# Against a reference that goes through the slots one by one


Scenario = tuple[On, tuple[int, int], tuple[Regions, Regions], tuple[str, int] | None]


def reference(
    model: TrialLaw, scenario: Scenario, hold: Callable[[], int], slots: int, random: np.random.Generator
) -> list[tuple[int, str, str]]:
    policy, memories, regions, death = scenario
    changes: tuple[list[tuple[int, int]], list[tuple[int, int]]] = [], []
    found = []
    for slot in range(slots):
        begin = slot * model.slot_ticks
        attempts: list[dict[int, str]] = [{}, {}]
        for end in (0, 1):
            start = begin + model.starts[end]
            free = memories[end] + sum(by for at, by in changes[end] if at <= start)
            for lane in order(slot, range(policy.lanes), policy.lanes):
                trial = slot * policy.lanes + lane
                agreement = next(a for since, a in reversed(regions[end]) if since <= trial)
                owner = agreement and policy.owner(trial, agreement)
                is_dead = death and owner == death[0] and death[1] <= start
                if owner and not is_dead and free > 0:
                    free -= 1
                    attempts[end][trial] = owner
        first = begin + min(model.heralds)
        for trial in sorted(attempts[0].keys() & attempts[1].keys()):
            if random.random() < model.success_probability:
                found.append((trial, attempts[0][trial], attempts[1][trial]))
                for end in (0, 1):
                    changes[end].extend([(first, -1), (begin + model.heralds[end] + hold(), 1)])
    return found


def simulated(
    model: TrialLaw, scenario: Scenario, hold: Callable[[], int], slots: int, seed: int, announced: int
) -> list[tuple[int, str, str]]:
    policy, memories, regions, death = scenario
    bench = Bench(model, policy, memories, both(regions[0][0]), hold, seed)
    for end, node in enumerate(bench.nodes):
        # Each end learns in two steps, at times of its own, first that it stops and then how it goes on.
        for step in range(2, len(regions[end]) + 1):
            when = (announced + step) * model.slot_ticks + 1000 * end + 500 * step
            known = regions[end][:step]
            Timeout(bench.env, when).callbacks.append(lambda _, node=node, known=known: node.reallocate(known))
        if death:
            Timeout(bench.env, death[1]).callbacks.append(lambda _, node=node: node.kill(death[0]))
    bench.run(slots + 2)
    ours, theirs = ({trial: name for _, name, _, trial in node.taken} for node in bench.nodes)
    return [(trial, ours[trial], theirs[trial]) for trial in sorted(ours) if trial < slots * policy.lanes]


def features(found: list[tuple[int, str, str]], lanes: int) -> dict[str, float]:
    """Counts by owners, before and after the middle, gaps, and slots with several successes."""
    counts: Counter[str] = Counter()
    per_slot = Counter((trial // lanes, left) for trial, left, _ in found)
    counts.update(left + right for _, left, right in found)
    counts.update(f"{left + right} early" for trial, left, right in found if trial < 40 * lanes)
    counts.update(f"lane {trial % lanes}" for trial, _, _ in found)
    for name in {left for _, left, _ in found}:
        slots = [trial // lanes for trial, left, _ in found if left == name]
        counts.update(f"gap {name} {min(later - earlier, 6)}" for earlier, later in pairwise(slots))
    counts["several"] = sum(count > 1 for count in per_slot.values())
    return counts


SCENARIOS: dict[str, Scenario] = {
    "shared": (
        On(RoundRobin(), 4),
        (4, 3),
        both((0, agree(AllocationEntry("A", 1), AllocationEntry("B", 2)))),
        None,
    ),
    "switched": (
        On(RoundRobin(), 3),
        (3, 2),
        both((0, agree("A", "B")), (127, None), (140, agree("A", "B", "C", since=140))),
        None,
    ),
    "skewed": (
        On(RoundRobin(), 3),
        (3, 2),
        (
            [(0, agree("A", "B")), (127, None), (140, agree("A", "B", "C", since=140))],
            [(0, agree("A", "B")), (124, None), (141, agree("A", "B", "C", since=141))],
        ),
        None,
    ),
    "lots": (
        On(Lottery(), 3),
        (2, 3),
        both((0, agree(AllocationEntry("A", 2), AllocationEntry("B", 1)))),
        None,
    ),
    "death": (On(RoundRobin(), 3), (3, 3), both((0, agree("A", "B"))), ("A", 40 * 5_000_000 + 1_700_000)),
    "full": (On(RoundRobin(), 5), (3, 4), both((0, agree("A"))), None),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_link_behaves_like_one_simulated_slot_by_slot(model: TrialLaw, scenario: Scenario) -> None:
    runs, slots, lanes = 150, 80, scenario[0].lanes
    random = np.random.default_rng(5)

    def hold() -> int:
        # Half a slot to some slots, at ticks of its own; sometimes whole slots, when frees and starts coincide.
        if random.random() < 0.3:
            return int(random.integers(1, 3)) * model.slot_ticks
        return int(random.exponential(1.5 * model.slot_ticks)) + 1

    ours = [features(simulated(model, scenario, hold, slots, seed, 20 + seed % 19), lanes) for seed in range(runs)]
    theirs = [features(reference(model, scenario, hold, slots, random), lanes) for _ in range(runs)]
    names = sorted({name for each in (*ours, *theirs) for name in each})
    scores = {}
    for name in names:
        a, b = (np.array([each[name] for each in some], float) for some in (ours, theirs))
        if a.sum() + b.sum() > 100:
            scores[name] = (a.mean() - b.mean()) / ((a.var() + b.var()) / runs) ** 0.5
    assert len(scores) > 5
    # About 15 scores in each case, 300 in all.
    assert max(abs(score) for score in scores.values()) < 3.5, scores
    assert sum(score**2 for score in scores.values()) / len(scores) < 3.5, scores


@pytest.mark.parametrize(
    ("model", "limit"), [(mim(OpticalLink(20.0)), 1.3), (msm(OpticalLink(20.0)), 1.3), (mm(OpticalLink(20.0)), 2.3)]
)
@pytest.mark.parametrize(("lanes", "memories", "names"), [(1, 1, "A"), (8, 2, "A"), (8, 8, "A"), (8, 8, "ABCD")])
def test_events_are_as_many_as_successes(model: TrialLaw, limit: float, lanes: int, memories: int, names: str) -> None:
    agreement = agree(*names)
    bench = Bench(model, On(RoundRobin(), lanes), memories, both((0, agreement))).run(5000)
    assert bench.link.successes > 300
    assert bench.env.events / bench.link.successes < limit


@pytest.mark.parametrize("policy", LINK_POLICIES.values())
def test_the_same_seed_gives_the_same_pairs(policy: LinkPolicy) -> None:
    def taken() -> list[tuple[int, str, object, int]]:
        return Bench(MIM, On(policy, 3), 3, both((0, agree("A", "B")))).run(200).nodes[1].taken

    assert taken() == taken()
