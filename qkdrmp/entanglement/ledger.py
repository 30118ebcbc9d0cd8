"""The ledger: what was asked for, how each attempt ended, and which pairs the two users got."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from math import nan
from typing import NamedTuple, Protocol

import numpy as np

from qkdrmp.entanglement.quantum.bbm92 import KEY_BASES, KeyBasis, SiftedKey
from qkdrmp.entanglement.quantum.bell_diagonal import Basis, measure_correlation
from qkdrmp.entanglement.quantum.pairs import Correlations, Qubit, bell_diagonal, fidelity
from qkdrmp.entanglement.request import AttemptId, ConnectionRequest, EndReason
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.units import NEVER, to_seconds, to_ticks


class ConnectionStatus(StrEnum):
    """How a connection ended."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    ABORTED = "aborted"
    UNFINISHED = "unfinished"


@dataclass(slots=True)
class Attempt:
    """One try at setting up a connection; times in ticks.

    Attributes
    ----------
    id : AttemptId
    asked : int
    path : tuple of str
        The nodes of the route that it took.
    reason : EndReason or None
        Why it failed; None if it did not.
    by : str or None
        Who rejected it.
    detail : str
    ended : int or None
        When the Initiator learned of the outcome.
    available, freed : int or None
        When enough memories were expected to be free, and when they were.
    """

    id: AttemptId
    asked: int
    path: tuple[str, ...] = ()
    reason: EndReason | None = None
    by: str | None = None
    detail: str = ""
    ended: int | None = None
    available: int | None = None
    freed: int | None = None

    @property
    def outcome(self) -> str | None:
        """Its reason, or that it was installed; None if that is still open."""
        if self.reason is not None:
            return str(self.reason)
        return None if self.ended is None else "installed"


class Promise(NamedTuple):
    """What a Responder expected and promised: mean fidelity, and pairs per second; nan for what it did not."""

    fidelity: float = nan
    rate: float = nan
    promised_fidelity: float = nan
    promised_rate: float = nan


class DeliveredHalf(NamedTuple):
    """A half that a user has got, and what its wait has multiplied the correlations by."""

    qubit: Qubit
    waited: Correlations
    key_basis: KeyBasis | None = None
    """In which the user has measured it for a key."""


@dataclass(slots=True)
class ConnectionEntry:
    """A connection from the request to the end; times in ticks."""

    id: str
    request: ConnectionRequest
    path: tuple[str, ...]
    """The route of the last attempt."""
    asked: int
    deadline: int = NEVER
    """By when it must be installed."""
    attempts: list[Attempt] = field(default_factory=list)
    installed: int | None = None
    promise: Promise = field(default_factory=Promise)
    """What the Responder expected and promised."""
    active: int | None = None
    done: int | None = None
    state: ConnectionStatus = ConnectionStatus.UNFINISHED
    reason: EndReason | None = None
    pairs: int = 0
    wrong_partner: int = 0
    measured_errors: int = 0
    key: SiftedKey = field(default_factory=SiftedKey)
    fidelity_sum: float = 0.0
    fidelity_min: float = 1.0
    estimated_sum: float = 0.0
    first: int | None = None
    last: int | None = None
    armed: int = 0
    armed_at: int = 0
    ends_done: set[str] = field(default_factory=set)
    halves: dict[int, DeliveredHalf] = field(default_factory=dict)
    """What one user has got and the other has not yet."""

    @property
    def secret_bits(self) -> float:
        """Secret bits of the key that is made of its pairs, in the limit of long keys."""
        return self.key.secret_bits(self.request.spec.key_efficiency)

    def active_s(self, now: int) -> float:
        """Return for how long it has been active up to now, s."""
        until = now if self.done is None else self.done
        return 0.0 if self.active is None else to_seconds(max(0, until - self.active))


@dataclass(frozen=True, slots=True)
class Delivery:
    """A pair that both users have: the row behind the `pairs` table."""

    connection: str
    number: int
    tick: int
    fidelity: float
    estimated: float
    right: bool


@dataclass(frozen=True, slots=True)
class Milestone:
    """A step of a connection at a node, for ladder diagrams."""

    connection: str
    tick: int
    node: str
    event: str


class Installed(Protocol):
    """The RuleSets of a connection, as they are shown (see `ruleset.RuleSetStack`)."""

    @property
    def path(self) -> tuple[str, ...]:
        """Nodes from Initiator to Responder."""

    @property
    def need(self) -> int | None:
        """Pairs to deliver; None is endless."""

    def in_words(self) -> Iterable[tuple[str, int, int, str, str]]:
        """Return, for all rules, node by node along the path, the node, stage, number, conditions and actions."""

    def to_json(self) -> str:
        """Return them as JSON."""


class ConnectionLedger:
    """What happened to all connections.

    Parameters
    ----------
    env : Environment
    random, bases : numpy.random.Generator
        For the results of the users' measurements, and for the bases in which they measure for keys.
    pairs, milestones, rulesets : bool
        Whether to keep every delivery, the milestones, and the RuleSets.
    """

    def __init__(
        self,
        env: Environment,
        random: np.random.Generator,
        bases: np.random.Generator,
        pairs: bool,
        milestones: bool,
        rulesets: bool = False,
    ) -> None:
        self.env = env
        self.entries: dict[str, ConnectionEntry] = {}
        self.deliveries: list[Delivery] | None = [] if pairs else None
        self.milestones: list[Milestone] | None = [] if milestones else None
        self.rulesets: dict[AttemptId, Installed] | None = {} if rulesets else None
        self._random = random
        self._bases = bases

    def keep_rulesets(self, attempt: AttemptId, stack: Installed) -> None:
        """Keep the RuleSets that a Responder has handed out, if RuleSets are kept."""
        if self.rulesets is not None:
            self.rulesets[attempt] = stack

    def note(self, attempt: AttemptId, node: str, event: str) -> None:
        """Keep a milestone, if milestones are kept."""
        if self.milestones is not None:
            self.milestones.append(Milestone(attempt.connection, self.env.now, node, event))

    def open(self, request: ConnectionRequest, path: tuple[str, ...]) -> ConnectionEntry:
        """Enter a new connection.

        Raises
        ------
        ValueError
            If there has been one of this id.
        """
        id_ = request.id or f"c{len(self.entries) + 1}"
        if id_ in self.entries:
            raise ValueError(f"there is a connection '{id_}' already")
        now = self.env.now
        deadline = NEVER if request.within_s is None else now + to_ticks(request.within_s)
        entry = self.entries[id_] = ConnectionEntry(id_, request, path, now, deadline)
        return entry

    def arm(self, attempt: AttemptId, tick: int) -> None:
        """Note that a link end has trials for a connection from `tick` on; with the last end it is active."""
        entry = self.entries[attempt.root.connection]
        entry.armed += 1
        entry.armed_at = max(entry.armed_at, tick)
        if entry.armed == 2 * (len(entry.path) - 1) and entry.active is None:
            entry.active = entry.armed_at

    def deliver(self, attempt: AttemptId, qubit: Qubit, basis: Basis | None) -> None:
        """Note that one user has got a half; with the other user's half of the same number it is a pair."""
        entry = self.entries[attempt.root.connection]
        key_basis = KEY_BASES[int(self._bases.integers(2))] if entry.request.spec.basis == "bbm92" else None
        half = DeliveredHalf(qubit, qubit.settle(self.env.now), key_basis)
        first = entry.halves.pop(qubit.number, None)
        if first is None:
            entry.halves[qubit.number] = half
            return
        other = first.qubit
        right = other.pair is qubit.pair
        true = fidelity(qubit, other)
        estimated = _estimated(first, half)
        entry.pairs += 1
        entry.wrong_partner += not right
        entry.fidelity_sum += true
        entry.fidelity_min = min(entry.fidelity_min, true)
        entry.estimated_sum += estimated
        entry.first = self.env.now if entry.first is None else entry.first
        entry.last = self.env.now
        if basis is not None:
            entry.measured_errors += self._differs(qubit, other, basis)
        elif key_basis is not None and key_basis == first.key_basis:
            entry.key.add(key_basis, self._differs(qubit, other, key_basis))
        if right:
            qubit.pair.halves = [None, None]  # else the pair and its halves would keep each other alive
        if self.deliveries is not None:
            self.deliveries.append(Delivery(entry.id, qubit.number, self.env.now, true, estimated, right))

    def _differs(self, qubit: Qubit, other: Qubit, basis: Basis) -> bool:
        """Return whether the bits that two users read are not those of Phi+."""
        agree = 0.5
        if other.pair is qubit.pair:
            pair = qubit.pair
            errors = qubit.device.readout_error, other.device.readout_error
            agree = measure_correlation(bell_diagonal(pair.x, pair.y, pair.z), basis, *errors)
        return bool(self._random.random() < (agree if basis == "Y" else 1 - agree))

    def retract(self, attempt: AttemptId, number: int) -> None:
        """Take back a half that one user got, as the other half was discarded."""
        self.entries[attempt.root.connection].halves.pop(number, None)

    def complete(self, attempt: AttemptId, user: str) -> None:
        """Note that a user has all the pairs; the connection is delivered when both have, or if it is endless."""
        entry = self.entries[attempt.root.connection]
        entry.ends_done.add(user)
        is_endless = entry.request.spec.pairs is None
        if is_endless or entry.ends_done == {entry.request.src, entry.request.dst}:
            self.finish(entry, ConnectionStatus.DELIVERED)

    def finish(self, entry: ConnectionEntry, state: ConnectionStatus, reason: EndReason | None = None) -> None:
        """Note how a connection ended; only the first call counts."""
        if entry.state is ConnectionStatus.UNFINISHED:
            entry.state = state
            entry.reason = reason
            entry.done = self.env.now


def _estimated(first: DeliveredHalf, second: DeliveredHalf) -> float:
    """Return the fidelity that two users estimate who exchange how long their halves have waited."""
    (x, y, z), (u, v, w) = first.qubit.estimate, second.qubit.estimate
    (a, b, c), (d, e, f) = first.waited, second.waited
    return (1 + ((x + u) * a * d + (y + v) * b * e + (z + w) * c * f) / 2) / 4
