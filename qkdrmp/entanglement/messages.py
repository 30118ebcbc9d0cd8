"""The messages of connection setup, of running RuleSets, and of teardown; those of links are in `links`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from qkdrmp.entanglement.links.bind import Bind, Vacated
from qkdrmp.entanglement.links.epoch import LAU, Barrier
from qkdrmp.entanglement.request import AttemptId, ConnectionSpec, EndReason
from qkdrmp.entanglement.rulesets.forecast import Forecast
from qkdrmp.entanglement.rulesets.link_budget import QCap
from qkdrmp.entanglement.rulesets.ruleset import RuleSetStack
from qkdrmp.network.layer import Message
from qkdrmp.network.transport import Ack, Segment


@dataclass(frozen=True, slots=True)
class CSR(Message):
    """CONNECTION SETUP REQUEST, hop by hop from the Initiator to the Responder.

    Inside a nested network `outer` is the request of the surrounding network, which the exit border sends on.
    """

    attempt: AttemptId
    initiator: str
    responder: str
    spec: ConnectionSpec
    asked: int = 0
    """When the Initiator of this network sent it, in ticks."""
    path: tuple[str, ...] = ()
    qcaps: tuple[QCap, ...] = ()
    outer: CSR | None = None
    ends: int | None = None
    """When the Initiator expects to tear the connection down, in ticks; None if it does not know."""
    route: tuple[str, ...] = ()
    """The nodes that it is to pass, if it is not to go the shortest way."""

    def at(self, tick: int | None) -> CSR:
        """Return the request with the QCaps that nodes expect to report at a tick (see `QCap.at`)."""
        return replace(self, qcaps=tuple(qcap.at(tick) for qcap in self.qcaps))

    @property
    def asker(self) -> str:
        """The user who asks for it."""
        return self.outermost.initiator

    @property
    def outermost(self) -> CSR:
        """The request of the user, through however many networks."""
        return self if self.outer is None else self.outer.outermost

    @property
    def depth(self) -> int:
        """How many networks surround the one this request is for."""
        return 0 if self.outer is None else 1 + self.outer.depth


@dataclass(frozen=True, slots=True)
class Response(Message):
    """CONNECTION SETUP RESPONSE, hop by hop back: the RuleSets that are still to be popped.

    A null setup has no RuleSets and brings back the QCaps. Inside a nested network `outer` is the Response of the
    surrounding network, which the entry border sends on.
    """

    attempt: AttemptId
    path: tuple[str, ...]
    stack: RuleSetStack
    promise: Forecast
    qcaps: tuple[QCap, ...] = ()
    outer: Response | None = None


@dataclass(frozen=True, slots=True)
class SetupReject(Message):
    """CONNECTION SETUP REJECT, hop by hop back; each hop releases its hold."""

    wire_name: ClassVar[str] = "REJECT"

    attempt: AttemptId
    reason: EndReason
    by: str
    available: int | None = None
    """When the resource is expected to be free, in ticks; None if that is unknown."""
    detail: str = ""

    @property
    def label(self) -> str:
        """The reason."""
        return f"reason {self.reason}"


@dataclass(frozen=True, slots=True)
class Teardown(Message):
    """CONNECTION TEARDOWN during setup, hop by hop along the holds towards the Responder."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class Termination(Message):
    """RULESET TERMINATION, from an end, or from the node that aborts, to every node of the path."""

    attempt: AttemptId
    completed: bool
    """Whether the sender has all its pairs; an end that has not continues until it has."""
    reason: EndReason = EndReason.TORN_DOWN
    """Why the connection ends if it is not complete."""

    @property
    def label(self) -> str:
        """That the sender is done, or the reason."""
        return "complete" if self.completed else str(self.reason)


@dataclass(frozen=True, slots=True)
class SwapResult(Message):
    """SWAP RESULT, from the node that swapped to both far ends: the pair of that number has another partner now."""

    attempt: AttemptId
    source: str
    stage: int
    number: int
    partner: str
    to: int
    new_number: int
    estimate: tuple[float, float, float]
    """The correlations <XX>, -<YY> and <ZZ> estimated for it, waiting at the far ends not counted."""
    success: bool = True
    """Whether the swap succeeded; else the pair is lost, and the far ends leave out what it would have become."""

    @property
    def label(self) -> str:
        """The number of the pair."""
        return f"number {self.number}{'' if self.success else ' failed'}"


@dataclass(frozen=True, slots=True)
class Discarded(Message):
    """DISCARDED, from a node that has discarded its half of a pair to the other end, which calls the pair so."""

    attempt: AttemptId
    source: str
    stage: int
    number: int


@dataclass(frozen=True, slots=True)
class Restart(Message):
    """RESTART, from a node after a swap, or a cut-off, to the nodes within a span: what waits there is discarded."""

    attempt: AttemptId
    span: tuple[str, ...]
    """Its nodes, from the sender to the far end."""

    @property
    def label(self) -> str:
        """The far end."""
        return f"to {self.span[-1]}"


@dataclass(frozen=True, slots=True)
class PurifyResult(Message):
    """PURIFICATION RESULT, from one end of a pair to the other: the bit read from the sacrificed half."""

    attempt: AttemptId
    source: str
    stage: int
    number: int
    bit: int

    @property
    def label(self) -> str:
        """The number of the round."""
        return f"number {self.number}"


class Half(NamedTuple):
    """A half, by the node that has or had it, the neighbour that the pair of the link was made with, and its number."""

    node: str
    towards: str
    number: int


@dataclass(frozen=True, slots=True)
class NewPartner(Message):
    """NEW PARTNER, where pairs are swapped in any order: a half that was measured or discarded leaves another partner.

    It goes to whoever has, or had, the half whose partner that was. With `to` it comes from the first node of the path,
    which gives a pair with the last one its number in a later stage.
    """

    attempt: AttemptId
    stage: int
    half: Half
    """Whose partner it is about; the receiver has it, or had it."""
    before: Half
    """The partner that is gone; the sender had it."""
    after: Half | None
    """The new partner; None if the pair is lost."""
    factor: tuple[float, float, float]
    """What the correlations estimated so far are to be multiplied by; with `to`, the correlations themselves."""
    to: int | None = None
    number: int | None = None

    @property
    def label(self) -> str:
        """The new partner, or that the pair is lost."""
        return "lost" if self.after is None else f"{self.after.node} for {self.before.node}"


PairMessage = SwapResult | PurifyResult | Discarded | Restart | NewPartner
"""What nodes say about pairs."""

VOCABULARY = (
    CSR,
    Response,
    SetupReject,
    Teardown,
    Termination,
    SwapResult,
    PurifyResult,
    Discarded,
    Restart,
    NewPartner,
    LAU,
    Barrier,
    Bind,
    Vacated,
    Segment,
    Ack,
)
