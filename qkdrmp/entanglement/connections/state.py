"""The state of a connection at a node, from the hold to the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from qkdrmp.entanglement.connections.hops import Hop, PhysicalHop
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.messages import PairMessage
from qkdrmp.entanglement.quantum.pairs import Qubit, discard
from qkdrmp.entanglement.request import AttemptId, ConnectionSpec
from qkdrmp.entanglement.runtime.session import RuleSetSession
from qkdrmp.kernel.timer import Timer


class Phase(StrEnum):
    """How far a connection is at a node."""

    HELD = "held"
    EXPIRED = "expired"
    """The hold was released before the Response came."""
    INSTALLED = "installed"
    OVER = "over"


@dataclass(slots=True, eq=False)
class ConnectionState:
    """A connection at a node.

    Attributes
    ----------
    attempt : AttemptId
    spec : ConnectionSpec
    before, after : Hop or None
        Towards the Initiator and the Responder; None there.
    need : int or None
        Pairs that the two users need, also inside a nested network; None if the connection is endless.
    ends : int or None
        When it will be torn down here, in ticks, if the Initiator knows.
    phase : Phase
    path : tuple of str
        Nodes of the network this connection is in; known once the Response has come.
    session : RuleSetSession or None
    """

    attempt: AttemptId
    spec: ConnectionSpec
    before: Hop | None
    after: Hop | None
    need: int | None = None
    ends: int | None = None
    phase: Phase = Phase.HELD
    path: tuple[str, ...] = ()
    session: RuleSetSession | None = None
    expiry: Timer | None = None
    queue: list[PairMessage] = field(default_factory=list)
    early: list[tuple[str, int, Qubit | None]] = field(default_factory=list)
    active: int = 0
    attempts: dict[str, float] = field(default_factory=dict)
    """Trials of a slot that it was promised, by neighbour."""

    @property
    def is_promised(self) -> bool:
        """Whether it was promised a rate."""
        return self.spec.minimum_rate > 0 and not self.spec.is_null

    @property
    def is_over(self) -> bool:
        """Whether it has ended here."""
        return self.phase is Phase.OVER

    @property
    def hops(self) -> tuple[Hop | None, Hop | None]:
        """The hops in both directions."""
        return self.before, self.after

    @property
    def interfaces(self) -> list[Interface]:
        """The interfaces on which the connection has memories."""
        return [hop.interface for hop in self.hops if isinstance(hop, PhysicalHop)]

    @property
    def is_end(self) -> bool:
        """Whether this is the node of one of the two users."""
        return None in self.hops

    @property
    def is_full(self) -> bool:
        """Whether this end has all the pairs it needs; an endless connection needs none in particular."""
        need, session = self.spec.pairs, self.session
        return need is None or (session is not None and session.counters["delivered"] >= need)

    def hold(self) -> None:
        """Set memories aside."""
        self.phase = Phase.HELD
        if not self.spec.is_null:
            for interface in self.interfaces:
                interface.hold(self.attempt, self.spec.memories)

    def release(self) -> None:
        """Give the memories back."""
        for interface in self.interfaces:
            interface.release(self.attempt)

    def install(self, session: RuleSetSession) -> None:
        """Keep the memories for a RuleSet that runs now."""
        self.phase = Phase.INSTALLED
        self.session = session
        self._cancel_expiry()

    def _cancel_expiry(self) -> None:
        if self.expiry is not None:
            self.expiry.cancel()

    def end(self) -> None:
        """Stop at once and release everything."""
        self.phase = Phase.OVER
        self._cancel_expiry()
        self.release()
        if self.session is not None:
            self.session.stop()
            self.session = None
        for *_, qubit in self.early:
            if qubit is not None:
                qubit.share.add_idle(-1)
                discard(qubit)
        self.early.clear()
        self.queue.clear()
