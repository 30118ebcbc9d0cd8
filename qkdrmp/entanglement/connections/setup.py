"""Connection setup at a node: requests, Responses and rejections, hop by hop, through networks in networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from qkdrmp.entanglement.connections.admission import Admission, Offer
from qkdrmp.entanglement.connections.hops import Hop, OuterHop, PhysicalHop, VirtualHop
from qkdrmp.entanglement.connections.rule_engine import RuleEngine
from qkdrmp.entanglement.connections.state import ConnectionState, Phase
from qkdrmp.entanglement.connections.table import ConnectionTable
from qkdrmp.entanglement.connections.teardown import TeardownProtocol
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.messages import CSR, Response, SetupReject, Teardown
from qkdrmp.entanglement.nesting import Nesting
from qkdrmp.entanglement.request import EndReason
from qkdrmp.entanglement.rulesets.link_budget import HopReport, Infeasible, LaterRate, NoisyPhysics, later_ticks
from qkdrmp.entanglement.rulesets.own_rulesets import fitted
from qkdrmp.entanglement.rulesets.plan_request import NOISE, PlanRequest
from qkdrmp.entanglement.rulesets.plan_search import plan_to_keep
from qkdrmp.entanglement.rulesets.planner import ConnectionPlan, null_stack
from qkdrmp.entanglement.rulesets.purification import Purifying
from qkdrmp.entanglement.rulesets.ruleset import RuleSetError, RuleSetStack
from qkdrmp.entanglement.rulesets.swap_tree import SwapOrder
from qkdrmp.errors import QKDRMPError
from qkdrmp.kernel.timer import Timer
from qkdrmp.kernel.units import to_seconds
from qkdrmp.network.layer import Layer, on
from qkdrmp.network.node import NetworkNode
from qkdrmp.network.transport import Transport


class SetupProtocol(Layer):
    """The setup of connections at a node.

    Parameters
    ----------
    node : NetworkNode
    transport : Transport
    records : ConnectionTable
    admission : Admission
    engine : RuleEngine
    teardowns : TeardownProtocol
    layers : Nesting
    swap_order : callable
        How this node, as a Responder, orders swaps.
    purification : {"bbpssw", "dejmps", "any"}
        How it purifies, as a Responder.
    spans_restart : bool
        Whether the spans of each swap begin again after it.
    rulesets : mapping of str to RuleSetStack
        What it hands out as a Responder instead of planning, by connection.
    interfaces : dict of str to Interface
        By neighbour.
    hold_ticks : callable
        Returns how long memories are held for the request of a user, in ticks.

    Attributes
    ----------
    failed, established : callable
        Called at the Initiator with the record of its attempt, and with the REJECT or the RESPONSE.
    lack_of_rate : callable
        Called at a Responder that rejects a request as busy with the request, its QCaps as they are expected to be.
    """

    def __init__(
        self,
        node: NetworkNode,
        transport: Transport,
        records: ConnectionTable,
        admission: Admission,
        engine: RuleEngine,
        teardowns: TeardownProtocol,
        layers: Nesting,
        swap_order: SwapOrder,
        purification: Purifying,
        spans_restart: bool,
        rulesets: Mapping[str, RuleSetStack],
        interfaces: dict[str, Interface],
        hold_ticks: Callable[[CSR], int],
    ) -> None:
        self.node = node
        self.transport = transport
        self.records = records
        self.admission = admission
        self.engine = engine
        self.teardowns = teardowns
        self.layers = layers
        self.swap_order = swap_order
        self.purification = purification
        self.spans_restart = spans_restart
        self.rulesets = rulesets
        self.interfaces = interfaces
        self.hold_ticks = hold_ticks
        self.failed: Callable[[ConnectionState, SetupReject], None] = lambda record, reject: None
        self.established: Callable[[ConnectionState, Response], None] = lambda record, response: None
        self.lack_of_rate: Callable[[CSR], None] = lambda csr: None

    # Requests

    @on(CSR)
    def take_request(self, message: CSR) -> None:
        """Handle CONNECTION SETUP REQUEST: admit, add what this node can do, and send it on."""
        if self.records.has_ended(message.attempt):
            self.records.late_messages += 1
        elif message.path:
            interface = self.interfaces[message.path[-1]]
            offer = self.admission.offer(interface, message.spec)
            self.request(message, PhysicalHop(interface, self.transport), offer)
        else:
            self.request(message, self._outwards(message))

    def request(self, csr: CSR, before: Hop | None, offer: Offer | None = None) -> None:
        """Handle a request that came by the hop `before`; None if a user asks here."""
        after, reject = self._onwards(csr)
        record = ConnectionState(csr.attempt, csr.spec, before, after, *self._prospects(csr))
        reject = reject or self.admission.refusal(csr, record)
        if reject is not None:
            self.records.drop(record, f"rejects: {reject.reason}")
            self._pass_back(record, reject)
            return
        self._hold(record, csr)
        self.admission.promise(record)
        qcap = self.admission.qcap(record, offer)
        csr = replace(csr, path=(*csr.path, self.node.name), qcaps=(*csr.qcaps, qcap))
        if isinstance(after, PhysicalHop | VirtualHop):
            after.request(csr)
        else:
            self._answer(record, csr)

    def _prospects(self, csr: CSR) -> tuple[int | None, int | None]:
        """Return how many pairs the users need, and when they will tear the connection down here.

        The TERMINATION takes as long as the request has taken.
        """
        whole = csr.outermost
        return whole.spec.pairs, None if whole.ends is None else whole.ends + self.node.env.now - whole.asked

    def _onwards(self, csr: CSR) -> tuple[Hop | None, SetupReject | None]:
        """Return the next hop of a request (None for the Responder's user), or why there is none."""
        if csr.responder == self.node.name:
            return self._outwards(csr), None
        if csr.route:
            peer = csr.route[csr.route.index(self.node.name) + 1]
            return PhysicalHop(self.interfaces[peer], self.transport), None
        depth = csr.depth if csr.spec.rewrite else len(self.layers.topology.nodes)  # deeper than any network
        step = self.layers.step(self.node.name, csr.responder, depth)
        if step is None:
            return None, self.admission.reject(csr.attempt, EndReason.NO_ROUTE)
        peer, network = step
        if network is None:
            return PhysicalHop(self.interfaces[peer], self.transport), None
        return VirtualHop(peer, csr.attempt.inside(network), self.node), None

    def _outwards(self, csr: CSR) -> Hop | None:
        """Return the hop at an end of the path of a request; None if a user is there."""
        outer = csr.attempt.outer
        return None if outer is None else OuterHop(outer, self.node)

    def _hold(self, record: ConnectionState, csr: CSR) -> None:
        self.records.add(record)
        record.hold()
        whole = csr.outermost  # its Response is what a hold waits for, also inside a nested network
        record.expiry = Timer.started(self.node.env, self.hold_ticks(whole), lambda: self._expire(record))
        self.records.note(record, "holds memories")

    def _expire(self, record: ConnectionState) -> None:
        record.phase = Phase.EXPIRED
        record.release()
        self.records.expired_holds += 1
        self.records.note(record, "hold expired")

    # Responses

    def _answer(self, record: ConnectionState, csr: CSR) -> None:
        """Make the RuleSets as the Responder, or reject. From the exit of a network the outer request goes on first."""
        record.path = csr.path
        try:
            made = self._plan(csr)
        except (Infeasible, RuleSetError) as error:
            self._refuse(record, self._shortage(csr, error))
            return
        self.records.note(record, "RuleSets made")
        is_null = csr.spec.is_null
        stack = null_stack(csr.attempt.connection, csr.attempt.number, csr.path) if is_null else made.stack
        response = Response(csr.attempt, csr.path, stack, made.promise, csr.qcaps if is_null else ())
        if csr.outer is None:
            self._return(record, response)
            return
        border = VirtualHop(csr.initiator, csr.attempt, self.node, response)
        self.request(csr.outer, border, self._offer(csr, made))

    def _offer(self, csr: CSR, made: ConnectionPlan) -> Offer:
        """Return what the virtual link that a nested network is offers."""
        spare = max(1, csr.spec.memories - made.purified.most)
        times = HopReport(delay=self.node.env.now - csr.asked, lanes=spare, alone=spare)
        inner = made.path(csr.qcaps, self.swap_order)
        return Offer(made.expected_rate, made.expected_fidelity, spare, self._later(csr), spare, times, inner)

    def _shortage(self, csr: CSR, error: QKDRMPError) -> SetupReject:
        """Return the REJECT of a request that cannot be met now: it is infeasible if it could not without others."""
        best = error
        for tick in later_ticks(csr.qcaps):
            later = csr.at(tick)
            try:
                self._plan(later)
            except (Infeasible, RuleSetError) as still:
                best = still
            else:
                self.lack_of_rate(later)
                return self.admission.reject(csr.attempt, EndReason.BUSY, tick, str(error))
        return self.admission.reject(csr.attempt, EndReason.INFEASIBLE, detail=str(best))

    def _later(self, csr: CSR) -> tuple[LaterRate, ...]:
        """Return the rates to come of the virtual link that a nested network is."""
        found = []
        for tick in later_ticks(csr.qcaps):
            with suppress(Infeasible):  # with more rate, unless another link is the slowest then, and memories differ
                found.append((tick, self._plan(csr.at(tick)).expected_rate))
        return tuple(found)

    def _plan(self, csr: CSR) -> ConnectionPlan:
        """Return the plan for a request; there are no bounds to meet for a null setup, and for given RuleSets."""
        spec, outer = csr.spec, csr.attempt.outer
        given = None if spec.is_null else self.rulesets.get(csr.attempt.connection)
        is_bound = not spec.is_null and given is None
        fidelity, rate = (spec.minimum_fidelity, spec.minimum_rate) if is_bound else (NOISE, 0.0)
        request = PlanRequest(
            csr.attempt.connection,
            csr.attempt.number,
            csr.qcaps,
            spec.pairs,
            fidelity,
            rate,
            self.swap_order,
            NoisyPhysics(to_seconds(self.node.env.now - csr.asked)),
            None if outer is None else str(outer),
            None if spec.basis == "bbm92" else spec.basis,  # of which the user takes care
            self.purification,
            self.spans_restart,
        )
        made = plan_to_keep(request)
        if given is None:
            return made
        return replace(made, stack=fitted(given, csr.attempt.number, csr.path, spec.pairs, inside=outer is not None))

    @on(Response)
    def take_response(self, message: Response) -> None:
        """Handle CONNECTION SETUP RESPONSE: pop this node's RuleSet, commit, and pass the rest on."""
        record = self.records.get(message.attempt)
        if record is None or record.is_over:
            self._answer_late(message)
        else:
            self._take_up(record, message)

    def _take_up(self, record: ConnectionState, response: Response) -> None:
        if record.phase is Phase.EXPIRED:
            self._revive(record, response)
        elif record.phase is Phase.HELD:
            self._return(record, response)

    def _answer_late(self, message: Response) -> None:
        """Let the nodes that have installed a connection that is over here tear it down as well."""
        self.records.late_responses += 1
        further = message.path[message.path.index(self.node.name) + 1 :]
        if further:
            self.transport.send(further[0], Teardown(message.attempt))

    def _revive(self, record: ConnectionState, message: Response) -> None:
        """Admit a connection again whose Response came after its hold had expired, if enough memories are free."""
        self.records.late_responses += 1
        reject = self.admission.shortage(record)
        if reject is None:
            record.hold()
            self._return(record, message)
        else:
            self.teardowns.tear_down(record)
            self._pass_back(record, reject)

    def _return(self, record: ConnectionState, response: Response) -> None:
        """Install the RuleSet of this node, and pass the others on towards the Initiator.

        The neighbour towards the Responder has its RuleSet and gets the link update first; the one towards the
        Initiator gets the Response before it gets the link update, so that it is ready to answer.
        """
        if self.node.name == response.path[-1] and not record.spec.is_null:
            self.records.ledger.keep_rulesets(record.attempt, response.stack)
        ruleset, rest = response.stack.popped(self.node.name)
        response = replace(response, stack=rest)
        record.path = response.path
        if record.spec.is_null:
            self.records.drop(record)
        else:
            self.engine.install(record, ruleset)
            self._share(record, record.after)
        self._pass_on(record, response)
        self._share(record, record.before)

    def _share(self, record: ConnectionState, hop: Hop | None) -> None:
        if isinstance(hop, PhysicalHop) and record.phase is Phase.INSTALLED:
            self.engine.share(record, hop.interface)

    def _pass_on(self, record: ConnectionState, response: Response) -> None:
        """Pass a Response on towards the Initiator, and to the user there."""
        if record.before is None:
            self.established(record, response)
        else:
            record.before.respond(response)

    # Rejection

    @on(SetupReject)
    def take_reject(self, message: SetupReject) -> None:
        """Handle CONNECTION SETUP REJECT: release the hold and pass it back."""
        record = self.records.get(message.attempt)
        if record is None or record.is_over:
            self.records.late_messages += 1
        else:
            self._refuse(record, message)

    def _refuse(self, record: ConnectionState, reject: SetupReject) -> None:
        self.records.drop(record)
        self._pass_back(record, reject)

    def _pass_back(self, record: ConnectionState, reject: SetupReject) -> None:
        """Pass a REJECT back towards the Initiator, and to the user there."""
        if record.before is None:
            self.failed(record, reject)
        else:
            record.before.reject(replace(reject, attempt=record.attempt))
