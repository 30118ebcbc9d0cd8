"""The stack of a node: its protocols, made and connected with each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from qkdrmp.entanglement.connections.admission import Admission
from qkdrmp.entanglement.connections.initiator import Initiator
from qkdrmp.entanglement.connections.release_watch import ReleaseWatch
from qkdrmp.entanglement.connections.rule_engine import RuleEngine
from qkdrmp.entanglement.connections.setup import SetupProtocol
from qkdrmp.entanglement.connections.table import ConnectionTable
from qkdrmp.entanglement.connections.teardown import TeardownProtocol
from qkdrmp.entanglement.ledger import ConnectionLedger
from qkdrmp.entanglement.links.allocation_protocol import AllocationProtocol
from qkdrmp.entanglement.links.binding import Binder
from qkdrmp.entanglement.links.interface import Interface
from qkdrmp.entanglement.messages import VOCABULARY
from qkdrmp.entanglement.nesting import Nesting
from qkdrmp.entanglement.runtime.session import Workbench
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.randomness import Streams
from qkdrmp.kernel.units import to_ticks
from qkdrmp.network.channel import Channel
from qkdrmp.network.node import NetworkNode
from qkdrmp.network.transport import Transport
from qkdrmp.topology import NodeKind


@dataclass(frozen=True)
class StackContext:
    """What the stacks of a network have in common.

    Parameters
    ----------
    env : Environment
    settings : EntanglementSettings
    random : Streams
    ledger : ConnectionLedger
    nesting : Nesting
    interfaces : dict of str to dict of str to Interface
        By node and neighbour; they may be added later.
    channel : callable
        Returns the channel from one node to another.
    round_trip : callable
        Returns how long messages take hop by hop along a path and back, in ticks.
    watch : ReleaseWatch
    """

    env: Environment
    settings: EntanglementSettings
    random: Streams
    ledger: ConnectionLedger
    nesting: Nesting
    interfaces: dict[str, dict[str, Interface]]
    channel: Callable[[str, str], Channel]
    round_trip: Callable[[Sequence[str]], int]
    watch: ReleaseWatch


class EntanglementStack:
    """The protocols of one node.

    Parameters
    ----------
    name : str
        The node.
    context : StackContext

    Attributes
    ----------
    node : NetworkNode
    transport : Transport
    sharing : AllocationProtocol
    binder : Binder
    records : ConnectionTable
    teardowns : TeardownProtocol
    setup : SetupProtocol
    initiator : Initiator or None
        None if it is not the node of a user.
    """

    def __init__(self, name: str, context: StackContext) -> None:
        settings, ledger, random = context.settings, context.ledger, context.random
        allocation, setup = settings.allocation, settings.setup.here(node=name)
        self.node = node = NetworkNode(context.env, name)
        reliable = settings.faults.active() is not None
        self.transport = Transport(node, partial(context.channel, name), settings.margin, reliable)
        skew = 0 if allocation.barrier else allocation.skew_trials
        self.sharing = AllocationProtocol(node, self.transport, skew, to_ticks(allocation.skew_from_s))
        self.binder = Binder(node, self.transport)
        bench = Workbench(
            context.env,
            name,
            settings.device(name),
            self.transport,
            random.stream(f"purification {name}"),
            settings.gates.here(node=name).swap_success,
            random.stream(f"swaps {name}").random,
        )
        self.records = ConnectionTable(name, ledger, self.sharing)
        self.teardowns = TeardownProtocol(name, self.transport, self.records)
        self.sharing.silent = self.teardowns.abort_over
        engine = RuleEngine(bench, self.records, self.sharing, self.teardowns, ledger)
        self.setup = SetupProtocol(
            node,
            self.transport,
            self.records,
            Admission(bench, setup, self.records),
            engine,
            self.teardowns,
            context.nesting,
            setup.order(),
            setup.purification,
            setup.spans_restart,
            {stack.connection: stack for stack in setup.rulesets},
            context.interfaces[name],
            lambda csr: setup.hold_ticks(
                context.round_trip(csr.route or context.nesting.physical_path(csr.initiator, csr.responder))
            ),
        )
        self.setup.lack_of_rate = context.watch.lack_of_rate
        self.sharing.changed = context.watch.review
        node.install([self.transport, self.sharing, self.binder, self.teardowns, engine, self.setup], VOCABULARY)
        self.initiator = self._initiator(context) if settings.topology.nodes[name].kind is NodeKind.END else None

    def _initiator(self, context: StackContext) -> Initiator:
        name, setup = self.node.name, context.settings.setup.here(node=self.node.name)
        return Initiator(
            context.env,
            self.setup,
            self.teardowns,
            self.records,
            context.ledger,
            setup,
            partial(context.nesting.routes, name, most=setup.routes),
            context.round_trip,
            context.random.stream(f"retries {name}"),
            context.watch.rejected,
        )
