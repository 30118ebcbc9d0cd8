"""The queues along a path as a Responder plays them: pairs from links to users, in the order in which they are made.

Each link makes pairs as long as memories are free, and all of them are used in this order. One pair after the other is
followed from its links to both users; a pair needs only what earlier ones have left free, so there is no event queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from math import ceil, exp, inf, log1p, prod
from typing import NamedTuple, Protocol

import numpy as np

from qkdrmp.entanglement.quantum.bell_diagonal import (
    BellDiagonal,
    bbpssw_fidelity,
    dejmps,
    shared_gate_error,
    shared_readout_error,
)
from qkdrmp.entanglement.quantum.pairs import Correlations, Device, bell_diagonal, correlations
from qkdrmp.entanglement.rulesets.link_budget import InnerPath, QCap
from qkdrmp.entanglement.rulesets.purification import PurificationProtocol
from qkdrmp.entanglement.rulesets.swap_tree import Span
from qkdrmp.kernel.units import TICKS_PER_SECOND

SEED = 1
AT_ONCE = 256
"""How many random numbers are drawn at once."""
MOST_GAPS = 50_000
"""How many pairs of links are followed until a plan is given up."""
TINY = 1e-3
"""Chance of success of a trial, where no slots are reported."""


class Stalled(Exception):
    """A link never makes another pair, or takes too many.

    It has no trials, its halves wait for pairs that they leave no memory for, or purification hardly ever succeeds.
    """


class Chance:
    """The random numbers of a play; all plays have the same ones, so that plans differ by what they are."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(SEED)
        self._gaps: list[float] = []
        self._drawn = 0
        self._lots: list[float] = []

    def gap(self) -> float:
        """Return a time that is exponential with mean 1."""
        if not self._gaps:
            if self._drawn >= MOST_GAPS:
                raise Stalled
            self._drawn += AT_ONCE
            self._gaps = self._random.exponential(size=AT_ONCE).tolist()
        return self._gaps.pop()

    def happens(self, probability: float) -> bool:
        """Return whether something of this probability happens."""
        if probability >= 1:
            return True
        if not self._lots:
            self._lots = self._random.random(AT_ONCE).tolist()
        return self._lots.pop() < probability


class QueuedHalf:
    """Half of a pair: since when its wait counts, from when on it lies idle, and when its memory is free again."""

    __slots__ = ("device", "idle", "released", "since")

    def __init__(self, device: Device, since: float) -> None:
        self.device = device
        self.since = since
        self.idle = self.released = inf


class QueuedPair:
    """A pair of two nodes on the path: its correlations without the waits of its halves, and when each end knows."""

    __slots__ = ("halves", "known", "state")

    def __init__(self, state: Correlations, halves: tuple[QueuedHalf, QueuedHalf], known: tuple[float, float]) -> None:
        self.state = state
        self.halves = halves
        self.known = known

    def settle(self, end: int, until: float) -> None:
        """Count the wait of the half at an end (0 left, 1 right)."""
        half, (x, y, z) = self.halves[end], self.state
        wait, device = until - half.since, half.device
        phase = exp(-wait * device.phase_rate)
        self.state, half.since = (x * phase, y * phase, z * exp(-wait * device.amplitude_rate)), until

    def use(self, end: int, tick: float) -> None:
        """Use the half at an end, which has waited up to then and frees its memory."""
        self.settle(end, tick)
        half = self.halves[end]
        half.idle, half.released = self.known[end], tick


class PairSource(Protocol):
    """Where the pairs of a span come from."""

    def pair(self) -> QueuedPair:
        """Return the next one."""


class MemoryBank:
    """The memories at one end of a link, as slots begin.

    Parameters
    ----------
    memories, quota : int
        How many there are for the connection, and how many idle halves stop its trials.
    start, slot_ticks : float
        When a half is stored after its slot begins, and the length of a slot.
    """

    def __init__(self, memories: int, quota: int, start: float, slot_ticks: float) -> None:
        self.memories = memories
        self.quota = quota
        self.start = start
        self.slot_ticks = slot_ticks
        self.held = self.idle = 0
        self._open: list[QueuedHalf] = []  # whose release is not known yet
        self._changes: list[tuple[int, int, int]] = []  # from which slot on how many are held and idle more

    def add(self, half: QueuedHalf) -> None:
        """Store a half; it occupies a memory from the next slot on."""
        self._open.append(half)
        self.held += 1

    def learn(self) -> None:
        """Note when halves are released, as far as that has been found."""
        for half in self._open:
            if half.released < inf:
                is_idle = half.idle < half.released and self.memories > self.quota
                if is_idle:
                    heappush(self._changes, (self._slot(half.idle), 0, 1))
                heappush(self._changes, (self._slot(half.released), -1, -is_idle))
        self._open = [half for half in self._open if half.released == inf]

    def _slot(self, tick: float) -> int:
        """Return the first slot whose halves are stored at this tick or later."""
        return ceil((tick - self.start) / self.slot_ticks)

    def free_at(self, slot: int) -> int:
        """Return how many memories are free for trials of a slot."""
        changes = self._changes
        while changes and changes[0][0] <= slot:
            _, held, idle = heappop(changes)
            self.held += held
            self.idle += idle
        return self.memories - self.held if self.idle < self.quota else 0

    @property
    def next_change(self) -> float:
        """From which slot on the answer of `free_at` may be another."""
        return self._changes[0][0] if self._changes else inf


class LinkQueue:
    """A link with the halves of its pairs at both ends.

    Parameters
    ----------
    left, right : QCap
        Its ends; that of the right reports the link.
    shared : bool
        Whether others take their shares of the link, so that the connection has its quota and no more.
    chance : Chance
    """

    def __init__(self, left: QCap, right: QCap, shared: bool, chance: Chance) -> None:
        hop = right.hop
        quota = min(left.free_memories, right.free_memories)
        self.attempts = right.attempts if shared else max(hop.alone, right.attempts)
        memories = quota if shared else max(hop.lanes, quota)
        success = hop.success if hop.slot else TINY
        self.slot_ticks = hop.slot or TINY * right.attempts * TICKS_PER_SECOND / right.rate
        self.trials_per_gap = -1 / log1p(-success) if success < 1 else 0.0
        self.heralds = hop.heralds
        self.state = correlations(hop.state or BellDiagonal.werner(right.fidelity))
        self.devices = left.device(after=True), right.device(after=False)
        self.chance = chance
        self.banks = tuple(MemoryBank(memories, quota, start, self.slot_ticks) for start in hop.starts)
        self.slot, self.lanes, self.tried = -1, 0.0, 0.0  # of the last success, with the trials up to it

    def pair(self) -> QueuedPair:
        """Return the next pair."""
        self._go_to_success()
        begun = self.slot * self.slot_ticks
        first, second = self.banks
        halves = (
            QueuedHalf(self.devices[0], begun + first.start),
            QueuedHalf(self.devices[1], begun + second.start),
        )
        first.add(halves[0])
        second.add(halves[1])
        return QueuedPair(self.state, halves, (begun + self.heralds[0], begun + self.heralds[1]))

    def _go_to_success(self) -> None:
        trials: float = int(self.chance.gap() * self.trials_per_gap) + 1
        if trials <= self.lanes - self.tried:
            self.tried += trials
            return
        trials -= max(0.0, self.lanes - self.tried)
        first, second = self.banks
        first.learn()
        second.learn()
        slot = self.slot + 1
        while True:
            lanes = min(self.attempts, first.free_at(slot), second.free_at(slot))
            until = min(first.next_change, second.next_change)
            if lanes > 0:
                slots = ceil(trials / lanes)
                if slot + slots <= until:
                    self.slot, self.lanes, self.tried = slot + slots - 1, lanes, trials - (slots - 1) * lanes
                    return
                trials -= (until - slot) * lanes
            if until == inf:
                raise Stalled
            slot = int(until)


class PurifiedQueue:
    """Pairs between two nodes after one more round of purification.

    Parameters
    ----------
    source : PairSource
    left, right : QCap
    delays : tuple of float
        What a message takes to the left and to the right node, with its processing, in ticks.
    chance : Chance
    protocol : {"bbpssw", "dejmps"}
    """

    def __init__(
        self,
        source: PairSource,
        left: QCap,
        right: QCap,
        delays: tuple[float, float],
        chance: Chance,
        protocol: PurificationProtocol = "bbpssw",
    ) -> None:
        self.source = source
        self.protocol = protocol
        self.errors = (
            shared_gate_error(left.gate_error, right.gate_error),
            shared_readout_error(left.readout_error, right.readout_error),
        )
        self.delays = delays
        self.chance = chance

    def pair(self) -> QueuedPair:
        """Return the next pair that passes."""
        while True:
            kept, spent = self.source.pair(), self.source.pair()
            if self._keeps(kept, spent):
                return kept

    def _keeps(self, kept: QueuedPair, spent: QueuedPair) -> bool:
        """Try a round of purification, and return whether it has succeeded."""
        ticks = [max(one, other) for one, other in zip(kept.known, spent.known, strict=True)]
        for end, tick in enumerate(ticks):
            kept.settle(end, tick)
            spent.use(end, tick)
        probability, kept.state = self._after(kept.state, spent.state)
        success = self.chance.happens(probability)
        kept.known = max(ticks[0], ticks[1] + self.delays[0]), max(ticks[1], ticks[0] + self.delays[1])
        if not success:
            for half, known in zip(kept.halves, kept.known, strict=True):
                half.released = known
        return success

    def _after(self, kept: Correlations, spent: Correlations) -> tuple[float, Correlations]:
        """Return the probability that a round succeeds, and the state of the pair kept then."""
        if self.protocol == "dejmps":
            probability, after = dejmps(bell_diagonal(*kept), bell_diagonal(*spent), *self.errors)
            return probability, correlations(after)
        probability, fidelity = bbpssw_fidelity((1 + sum(kept)) / 4, (1 + sum(spent)) / 4, *self.errors)
        w = (4 * fidelity - 1) / 3
        return probability, (w, w, w)


class SwapQueue:
    """Pairs that a node swaps from those to its left and right, the oldest first.

    Parameters
    ----------
    sources : tuple of PairSource
    at : QCap
        Of the node.
    level : int
        Of the swap, from 1.
    delays : tuple of float
        What a message takes to the left and to the right end, with its processing, in ticks.
    chance : Chance
    """

    def __init__(
        self,
        sources: tuple[PairSource, PairSource],
        at: QCap,
        level: int,
        delays: tuple[float, float],
        chance: Chance,
    ) -> None:
        self.left, self.right = sources
        self.factors = at.device(after=False).swap_factors
        self.success = at.swap_success
        self.cutoffs = at.device(after=False).cutoff(level), at.device(after=True).cutoff(level)
        self.delays = delays
        self.chance = chance
        self.last = 0.0

    def pair(self) -> QueuedPair:
        """Return the next pair whose swap succeeds."""
        while True:
            left, right = self._meeting()
            pair = self._swapped(left, right)
            if self.chance.happens(self.success):
                return pair
            for half, known in zip(pair.halves, pair.known, strict=True):
                half.released = known

    def _meeting(self) -> tuple[QueuedPair, QueuedPair]:
        """Return the next two pairs that are swapped; those that wait too long are discarded."""
        left, right = self.left.pair(), self.right.pair()
        before, after = self.cutoffs
        while True:
            late = right.known[0] - left.known[1]  # of the right one
            if late > 0 and before is not None and late > before:
                self._discard(left, 1, before)
                left = self.left.pair()
            elif late < 0 and after is not None and -late > after:
                self._discard(right, 0, after)
                right = self.right.pair()
            else:
                return left, right

    def _discard(self, pair: QueuedPair, here: int, cutoff: int) -> None:
        """Discard a pair of which half `here` is at the node, which the other end learns of."""
        known = pair.known[here]
        pair.halves[here].idle, pair.halves[here].released = known, known + cutoff
        pair.halves[1 - here].released = known + cutoff + self.delays[1 - here]

    def _swapped(self, left: QueuedPair, right: QueuedPair) -> QueuedPair:
        tick = self.last = max(left.known[1], right.known[0], self.last)
        phases = amplitudes = 0.0
        for half, known in ((left.halves[1], left.known[1]), (right.halves[0], right.known[0])):
            half.idle, half.released = known, tick
            phases += (tick - half.since) * half.device.phase_rate
            amplitudes += (tick - half.since) * half.device.amplitude_rate
        phase, amplitude = exp(-phases), exp(-amplitudes)
        (a, b, c), (d, e, f), (x, y, z) = left.state, right.state, self.factors
        known_to = max(left.known[0], tick + self.delays[0]), max(right.known[1], tick + self.delays[1])
        state = a * d * x * phase, b * e * y * phase, c * f * z * amplitude
        return QueuedPair(state, (left.halves[0], right.halves[1]), known_to)


class AnyOrderQueue:
    """Pairs across several nodes that swap as soon as they can, the oldest first; none of them fails or is discarded.

    Parameters
    ----------
    sources : sequence of PairSource
        From left to right.
    nodes : sequence of QCap
        Those between them.
    delays : sequence of tuple of float
        What a message takes from each node to the left and to the right end, with its processing, in ticks.
    """

    def __init__(
        self, sources: Sequence[PairSource], nodes: Sequence[QCap], delays: Sequence[tuple[float, float]]
    ) -> None:
        self.sources = sources
        self.factors = [node.device(after=False).swap_factors for node in nodes]
        self.delays = delays
        self.last = [0.0] * len(nodes)

    def pair(self) -> QueuedPair:
        """Return the next pair."""
        pairs = [source.pair() for source in self.sources]
        known_left, known_right = pairs[0].known[0], pairs[-1].known[1]
        for place, ((left, right), delays) in enumerate(zip(pairwise(pairs), self.delays, strict=True)):
            tick = self.last[place] = max(left.known[1], right.known[0], self.last[place])
            left.use(1, tick)
            right.use(0, tick)
            known_left, known_right = max(known_left, tick + delays[0]), max(known_right, tick + delays[1])
        x, y, z = (
            prod(correlation) for correlation in zip(*(pair.state for pair in pairs), *self.factors, strict=True)
        )
        return QueuedPair((x, y, z), (pairs[0].halves[0], pairs[-1].halves[1]), (known_left, known_right))


class DeliveredPairs(NamedTuple):
    """Pairs that both users have: when they have the last one, in ticks, and their mean fidelity."""

    until: float
    fidelity: float


class PathQueues:
    """A path as a connection fills it, from its first trial on; networks that it crosses are played link by link.

    Parameters
    ----------
    path : InnerPath
    shared : tuple of bool
        By link (see `LinkQueue`).
    chance : Chance
    """

    def __init__(self, path: InnerPath, shared: tuple[bool, ...], chance: Chance) -> None:
        self._chance = chance
        self._positions: dict[str, float] = {}
        self._locate(path, 0.0)
        self._source = self._queue(path, shared)
        self._last = [0.0, 0.0]

    def _locate(self, path: InnerPath, position: float) -> float:
        """Note where nodes are, in ticks of travel, on a path that begins at a position; return where it ends."""
        self._positions[path.qcaps[0].node] = position
        for qcap in path.qcaps[1:]:
            position = self._locate(qcap.inner, position) if qcap.inner else position + qcap.hop.delay
            self._positions[qcap.node] = position
        return position

    def _queue(self, path: InnerPath, shared: tuple[bool, ...]) -> PairSource:
        """Return the queue of what a path delivers."""
        links: dict[tuple[str, str], PairSource] = {}
        for (left, right), rounds, one in zip(pairwise(path.qcaps), path.purification.links, shared, strict=True):
            source = self._link(left, right, one)
            links[left.node, right.node] = self._purified(source, left, right, rounds, path.purification.protocol)
        return self._span(path.tree, path, {qcap.node: qcap for qcap in path.qcaps}, links)

    def _link(self, left: QCap, right: QCap, shared: bool) -> PairSource:
        if right.inner is None:
            return LinkQueue(left, right, shared, self._chance)
        return self._queue(right.inner, (shared,) * (len(right.inner.qcaps) - 1))

    def _purified(
        self, source: PairSource, left: QCap, right: QCap, rounds: int, protocol: PurificationProtocol
    ) -> PairSource:
        delays = self._delay(right, left), self._delay(left, right)
        for _ in range(rounds):
            source = PurifiedQueue(source, left, right, delays, self._chance, protocol)
        return source

    def _span(
        self, span: Span, path: InnerPath, nodes: Mapping[str, QCap], links: Mapping[tuple[str, str], PairSource]
    ) -> PairSource:
        """Return the queue of the pairs of a span."""
        if not span.halves:
            return links[span.left, span.right]
        sources = [self._span(half, path, nodes, links) for half in span.halves]
        inner, left, right = [nodes[half.right] for half in span.halves[:-1]], nodes[span.left], nodes[span.right]
        delays = [(self._delay(node, left), self._delay(node, right)) for node in inner]
        if len(sources) > 2:
            return AnyOrderQueue(sources, inner, delays)
        swapped = SwapQueue((sources[0], sources[1]), inner[0], span.height, delays[0], self._chance)
        rounds, protocol = path.purification.after(span.height), path.purification.protocol
        return self._purified(swapped, left, right, rounds, protocol)

    def _delay(self, source: QCap, target: QCap) -> float:
        return abs(self._positions[source.node] - self._positions[target.node]) + target.processing

    def deliver(self, pairs: int) -> DeliveredPairs:
        """Deliver the next pairs to both users."""
        fidelities = 0.0
        for _ in range(pairs):
            pair = self._source.pair()
            for end in (0, 1):
                tick = self._last[end] = max(pair.known[end], self._last[end])
                pair.settle(end, tick)
                pair.halves[end].released = tick
            fidelities += (1 + sum(pair.state)) / 4
        return DeliveredPairs(max(self._last), fidelities / pairs)
