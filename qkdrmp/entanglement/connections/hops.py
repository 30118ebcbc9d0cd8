"""Hops: how a node passes on what concerns a connection, to a neighbour or across the border of a nested network.

A connection through a nested network, and the one inside that serves it, are both there at the two borders. What one
hands to the other is a message that comes from the node itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.messages import CSR, Response, SetupReject, Teardown
from qkdrmp.entanglement.request import AttemptId
from qkdrmp.network.node import NetworkNode
from qkdrmp.network.transport import Transport


@dataclass(frozen=True, slots=True)
class PhysicalHop:
    """A link to a neighbour.

    Parameters
    ----------
    interface : Interface
        This node's end of the link.
    transport : Transport
    """

    interface: Interface
    transport: Transport

    @property
    def peer(self) -> str:
        """The neighbour."""
        return self.interface.peer

    def request(self, csr: CSR) -> None:
        """Pass a request on towards the Responder."""
        self.transport.send(self.peer, csr)

    def respond(self, response: Response) -> None:
        """Pass a Response on towards the Initiator."""
        self.transport.send(self.peer, response)

    def reject(self, reject: SetupReject) -> None:
        """Pass a rejection on towards the Initiator."""
        self.transport.send(self.peer, reject)

    def tear_down(self, teardown: Teardown) -> None:
        """Pass a teardown on towards the Responder."""
        self.transport.send(self.peer, teardown)


@dataclass(frozen=True, slots=True)
class VirtualHop:
    """A nested network to cross, by a connection inside it.

    Parameters
    ----------
    peer : str
        The other border of the network.
    inner : AttemptId
        The attempt at the connection inside.
    node : NetworkNode
        This border.
    response : Response, optional
        At the exit, the Response of the connection inside, which waits for the one from outside.
    """

    peer: str
    inner: AttemptId
    node: NetworkNode
    response: Response | None = None

    def request(self, csr: CSR) -> None:
        """Ask for the connection inside, which is without end; the exit takes the request out of its own."""
        spec = csr.spec if csr.spec.is_null else replace(csr.spec, pairs=None)
        self.node.handle(CSR(self.inner, self.node.name, self.peer, spec, self.node.env.now, outer=csr))

    def respond(self, response: Response) -> None:
        """Send a Response to the entry together with the one of the connection inside."""
        assert self.response is not None
        self.node.handle(replace(self.response, outer=response))

    def reject(self, reject: SetupReject) -> None:
        """Reject the connection inside, and thereby the one around it at the entry."""
        self.node.handle(replace(reject, attempt=self.inner))

    def tear_down(self, teardown: Teardown) -> None:
        """Tear the connection inside down, and thereby the one around it from the exit on."""
        self.node.handle(replace(teardown, attempt=self.inner))


@dataclass(frozen=True, slots=True)
class OuterHop:
    """The way out of a nested network, into the connection around it.

    Parameters
    ----------
    outer : AttemptId
        The attempt around the network.
    node : NetworkNode
        This border.
    """

    outer: AttemptId
    node: NetworkNode

    def respond(self, response: Response) -> None:
        """Take the Response from outside out of the one from inside."""
        assert response.outer is not None
        self.node.handle(response.outer)

    def reject(self, reject: SetupReject) -> None:
        """Reject the connection around the network."""
        self.node.handle(replace(reject, attempt=self.outer))

    def tear_down(self, teardown: Teardown) -> None:
        """Tear the connection around the network down."""
        self.node.handle(replace(teardown, attempt=self.outer))


Hop = PhysicalHop | VirtualHop | OuterHop
"""Where a connection goes on in one direction."""
