"""An entanglement network ready to run: nodes with their stacks, links, and the demand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from qkdrmp.entanglement.connections.release_watch import ReleaseWatch
from qkdrmp.entanglement.connections.stack import EntanglementStack, StackContext
from qkdrmp.entanglement.demand import ConnectionWorkload
from qkdrmp.entanglement.ledger import ConnectionEntry, ConnectionLedger
from qkdrmp.entanglement.links.binding_interface import BindingInterface
from qkdrmp.entanglement.links.interface import HopPhysics, Interface
from qkdrmp.entanglement.links.link import ElementaryLink
from qkdrmp.entanglement.links.negotiation import LinkEnd
from qkdrmp.entanglement.links.node_memories import NodeMemories
from qkdrmp.entanglement.links.policies import binds_late
from qkdrmp.entanglement.nesting import Nesting
from qkdrmp.entanglement.quantum.pairs import Qubit, correlations, new_pair
from qkdrmp.entanglement.request import ConnectionRequest
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.errors import QKDRMPError, did_you_mean
from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.randomness import Streams, joined
from qkdrmp.kernel.timer import Timer
from qkdrmp.kernel.units import delay_ticks, to_ticks
from qkdrmp.network.channel import Channel, Trace, Transmission, open_channel
from qkdrmp.topology import Link as Fibre
from qkdrmp.topology import NodeKind

TAKES_PART = (NodeKind.END, NodeKind.REPEATER, NodeKind.ROUTER)


class EntanglementNetwork:
    """A network at tick 0.

    Parameters
    ----------
    settings : EntanglementSettings
    seed : int
    trace : bool or Trace
        Whether to note every message in a list, or where else to; with it, the milestones are noted.
    pairs, rulesets : bool
        Whether to note every delivered pair, and the RuleSets of connections.

    Attributes
    ----------
    env : Environment
    ledger : ConnectionLedger
    layers : Nesting
    stacks : dict of str to EntanglementStack
    links : dict of (str, str) to ElementaryLink
    interfaces : dict of str to dict of str to Interface
        By node and neighbour.
    hops : list of Transmission or None
        The messages noted, if `trace` is true.
    trace : Trace or None
        Where they are noted.
    """

    def __init__(
        self,
        settings: EntanglementSettings,
        seed: int,
        trace: bool | Trace = False,
        pairs: bool = False,
        rulesets: bool = False,
    ) -> None:
        self.settings = settings
        self.topology = settings.topology
        self.env = Environment()
        self.random = Streams(seed)
        results, bases = (self.random.stream(name) for name in ("measurements", "bases"))
        self.ledger = ConnectionLedger(self.env, results, bases, pairs, trace is not False, rulesets)
        self.layers = Nesting(self.topology, settings.layers.nested)
        self.hops: list[Transmission] | None = [] if trace is True else None
        self.trace: Trace | None = self.hops if isinstance(trace, bool) else trace
        self.links: dict[tuple[str, str], ElementaryLink[Qubit]] = {}
        self._faults = settings.faults.active()
        self._channels: dict[tuple[str, str], Channel] = {}
        self._pools: dict[str, NodeMemories] = {}
        takes_part = [name for name, node in self.topology.nodes.items() if node.kind in TAKES_PART]
        self.interfaces: dict[str, dict[str, Interface]] = {name: {} for name in takes_part}
        context = StackContext(
            self.env,
            settings,
            self.random,
            self.ledger,
            self.layers,
            self.interfaces,
            self.channel,
            self.round_trip,
            ReleaseWatch(self.env, self.ledger, self.interfaces),
        )
        self.stacks = {name: EntanglementStack(name, context) for name in takes_part}
        for fibre in self.topology.links:
            if all(end in self.stacks for end in fibre.ends):
                self._connect(fibre)
        self._start()

    def round_trip(self, path: Sequence[str]) -> int:
        """Return how long messages take hop by hop along a path and back, in ticks."""
        return sum(self.channel(a, b).delay + self.channel(b, a).delay for a, b in pairwise(path))

    # Links and channels

    def channel(self, source: str, target: str) -> Channel:
        """Return the channel between two nodes: the summed delay of the path, and the processing at its end."""
        found = self._channels.get((source, target))
        if found is None:
            route = self.layers.route(source, target)
            assert route is not None, f"{source} sends to {target}, to which there is no path"
            processing = to_ticks(self.settings.setup.here(node=target).processing_s)
            delay = sum(self._delay(self.topology.link(*hop)) for hop in pairwise(route)) + processing
            new = open_channel(self.env, (source, target), delay, self.trace, self._faults, self.random)
            found = self._channels[source, target] = self.stacks[target].node.listen(new)
        return found

    def _delay(self, fibre: Fibre) -> int:
        speed = self.settings.channels.here(link=fibre.ends).signal_speed_m_per_s
        return delay_ticks(fibre.classical_length_km, speed)

    def _connect(self, fibre: Fibre) -> None:
        settings, name, unique = self.settings, str(fibre), joined("-", *fibre.ends)
        section = settings.links.here(link=fibre.ends)
        law = section.law(fibre, settings.channels.here(link=fibre.ends).signal_speed_m_per_s)
        state = section.pair(law)
        lanes = settings.lanes(fibre)
        policy = settings.allocation.here(link=fibre.ends).link_policy()
        round_trip = sum(self.channel(*ends).delay for ends in (fibre.ends, fibre.ends[::-1]))
        lead = settings.allocation.here(link=fibre.ends).lead_trials(round_trip, law.slot_ticks, lanes)
        sides = []
        for end, (node, peer) in enumerate((fibre.ends, fibre.ends[::-1])):
            draw = self.random.stream(f"allocation {joined(' at ', unique, node)}")
            barrier = settings.allocation.has_barriers and not binds_late(policy)
            allocation = LinkEnd(name, node, peer, policy, partial(_draw, draw), lead, lanes=lanes, barrier=barrier)
            interface = self._interface(fibre, end, law.pairs_per_s, state.fidelity, allocation)
            self.interfaces[node][peer] = interface
            sides.append(interface)
        devices = settings.device(fibre.ends[0], fibre), settings.device(fibre.ends[1], fibre)
        make = partial(new_pair, correlations(state), devices)
        link = ElementaryLink(
            self.env, law, lanes, policy, self.random.stream(f"link {unique}"), (sides[0], sides[1]), make
        )
        for interface, device in zip(sides, devices, strict=True):
            interface.link = link
            interface.physics = HopPhysics(law, state, self._delay(fibre), device)
            self.stacks[interface.node].sharing.connect(interface, round_trip, settings.margin)
            self._pool(interface, fibre)
        self.links[fibre.ends] = link

    def _interface(self, fibre: Fibre, end: int, rate: float, fidelity: float, allocation: LinkEnd) -> Interface:
        node, peer = fibre.ends[end], fibre.ends[1 - end]
        here, there = (self.settings.memories.here(node=at, link=fibre.ends) for at in (node, peer))
        if not binds_late(allocation.policy):
            return Interface(node, peer, end, here.count, rate, fidelity, allocation)
        users = [self.topology.nodes[at].kind is NodeKind.END for at in fibre.ends]
        binder = users.index(False) if any(users) and not all(users) else 0
        cutoff = self.settings.device(node, fibre).cutoff(1)
        at_peer = there.count if there.per_node is None else 0
        made = BindingInterface(
            self.env, node, peer, end, here.count, rate, fidelity, allocation, end == binder, at_peer, cutoff
        )
        self.stacks[node].binder.connect(made)
        return made

    def _pool(self, interface: Interface, fibre: Fibre) -> None:
        """Let an interface share the memories of its node, if that is how they are."""
        here, there = (
            self.settings.memories.here(node=at, link=fibre.ends).per_node for at in (interface.node, interface.peer)
        )
        interface.memories_move = here is not None or there is not None
        if here is not None:
            interface.join(self._pools.setdefault(interface.node, NodeMemories(self.env, here)))

    # Demand

    def _start(self) -> None:
        users = tuple(self.topology.ends)
        workload = ConnectionWorkload(self.env, users, self.random.stream, self.ask)
        for process in self.settings.demand.build().processes(workload, users):
            self.env.process(process)

    def ask(self, request: ConnectionRequest) -> ConnectionEntry:
        """Ask for a connection now.

        Raises
        ------
        QKDRMPError
            If there is no such user.
        """
        users = self.topology.ends
        for user in (request.src, request.dst):
            if user not in users:
                raise QKDRMPError(f"{self.topology.name} has no end node '{user}'{did_you_mean(user, users)}")
        initiator = self.stacks[request.src].initiator
        assert initiator is not None
        path = self.layers.physical_path(request.src, request.dst)
        entry = self.ledger.open(request, path)
        initiator.ask(entry)
        if request.teardown_s is not None:
            delay = max(0, to_ticks(request.teardown_s) - self.env.now)
            for user in request.tearing_down:
                Timer.started(self.env, delay, partial(self.release, entry, user))
        return entry

    def release(self, entry: ConnectionEntry, user: str) -> None:
        """Tear a connection down as one of its users."""
        stack = self.stacks[user]
        if user == entry.request.src and stack.initiator is not None:
            stack.initiator.release(entry)
        else:
            stack.teardowns.release_connection(entry.id)

    # Observation

    @property
    def messages(self) -> int:
        """Messages sent so far, retransmissions included."""
        return sum(channel.sent for channel in self._channels.values())


def _draw(random: np.random.Generator) -> int:
    return int(random.integers(1 << 63))
