"""A QKD network made ready to run: nodes with their stacks, links with their devices and streams, and the demand."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from qkdrmp.kernel.environment import Environment
from qkdrmp.kernel.randomness import Streams, joined
from qkdrmp.network.channel import Channel, Trace, Transmission, open_channel
from qkdrmp.network.node import NetworkNode
from qkdrmp.qkd.demand.workload import LimitsUsers, RequestDemand, RequestWorkload
from qkdrmp.qkd.keys.key_bits import KeyBits
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.keys.quantum_link import QuantumLink, Supply
from qkdrmp.qkd.layers.application import QKDApp
from qkdrmp.qkd.layers.generation import KeyGeneration
from qkdrmp.qkd.layers.queue import RequestQueue
from qkdrmp.qkd.layers.reservation import Neighbour
from qkdrmp.qkd.layers.resource import QKDRMP
from qkdrmp.qkd.layers.routing import QKDRouting
from qkdrmp.qkd.layers.unclaimed_resource import HeadOfCopyRMP
from qkdrmp.qkd.messages import VOCABULARY
from qkdrmp.qkd.request import RequestLedger
from qkdrmp.qkd.settings import QKDSettings
from qkdrmp.topology import Link, NodeKind


@dataclass(frozen=True)
class QKDStack:
    """One node: its neighbours, and its protocols from top to bottom."""

    node: NetworkNode
    neighbours: dict[str, Neighbour]
    app: QKDApp | None
    resource: QKDRMP
    routing: QKDRouting
    generation: KeyGeneration


class QKDNetwork:
    """A network at tick 0.

    Parameters
    ----------
    settings : QKDSettings
    seed : int
    trace : bool or Trace
        Whether to note every message in a list, or where else to.
    histories : bool
        Whether to note every change of every pool's level.

    Attributes
    ----------
    env : Environment
    ledger : RequestLedger
    stacks : dict of str to QKDStack
    streams : list of KeyStream
    channels : list of Channel
    hops : list of Transmission or None
        The messages noted, if `trace` is true.
    trace : Trace or None
        Where they are noted.
    histories : bool
    """

    def __init__(self, settings: QKDSettings, seed: int, trace: bool | Trace = False, histories: bool = False) -> None:
        self.topology = settings.topology
        self.settings = settings
        self.histories = histories
        self.env = Environment()
        self.random = Streams(seed)
        self.ledger = RequestLedger(self.env, self._travel)
        self.hops: list[Transmission] | None = [] if trace is True else None
        self.trace: Trace | None = self.hops if isinstance(trace, bool) else trace
        self.channels: list[Channel] = []
        self.streams: list[KeyStream] = []
        self._supplies: dict[KeyStream, Supply] = {}
        self._travels: dict[tuple[str, ...], int] = {}
        self._demand = settings.demand.build()
        self._rate = settings.key_rate.build()
        self.routes = settings.routes()
        self.stacks = {name: self._stack(name) for name in self.topology.nodes if settings.takes_part(name)}
        self._connect()
        self._start()

    def _stack(self, name: str) -> QKDStack:
        node = NetworkNode(self.env, name)
        neighbours: dict[str, Neighbour] = {}
        routing = QKDRouting(node, neighbours)
        generation = KeyGeneration(node, neighbours, self._supplies)
        is_user = self.topology.nodes[name].kind is NodeKind.END
        app = QKDApp(node, routing, self.ledger, self.routes, self._concurrent()) if is_user else None
        queue = self.settings.queue.here(node=name)
        layer = HeadOfCopyRMP if self.settings.pools.mirrors == "head" else QKDRMP
        resource = layer(node, routing, generation, app, RequestQueue(self.env, queue.capacity, queue.function()))
        protocols = [protocol for protocol in (app, resource, routing, generation) if protocol is not None]
        node.install(protocols, VOCABULARY)
        return QKDStack(node, neighbours, app, resource, routing, generation)

    def _concurrent(self) -> int | None:
        chosen = self.settings.demand.concurrent
        default = self._demand.concurrent if isinstance(self._demand, LimitsUsers) else None
        return default if chosen is None else chosen

    # Links

    def _connect(self) -> None:
        for link in self.topology.links:
            a, b = link.ends
            if a in self.stacks and b in self.stacks:
                quantum = self._quantum_link(link)
                forth, back = (self._stream(quantum, link, *ends) for ends in ((a, b), (b, a)))
                self.stacks[a].neighbours[b] = Neighbour(b, self._channel(link, a, b), quantum, back, forth)
                self.stacks[b].neighbours[a] = Neighbour(a, self._channel(link, b, a), quantum, forth, back)
        for stack in self.stacks.values():
            stack.generation.connect()
            stack.resource.connect()

    def _delay(self, link: Link) -> int:
        return self.settings.fibre(link).delay_ticks

    def _travel(self, route: tuple[str, ...]) -> int:
        """Return for how many ticks the messages about a request travel, if nothing has to wait for keys.

        REQUEST goes to the receiver, ACCEPT back to the first repeater, its CIPHERTEXT to the receiver, and DONE all
        the way back. Users that are linked directly need no more than REQUEST and ACCEPT.
        """
        if route not in self._travels:
            delays = [self._delay(self.topology.link(*hop)) for hop in pairwise(route)]
            ways, first = (4, 2) if len(delays) > 1 else (2, 0)
            self._travels[route] = ways * sum(delays) - first * sum(delays[:1])
        return self._travels[route]

    def _channel(self, link: Link, source: str, target: str) -> Channel:
        faults = self.settings.faults.here(link=link.ends).active()
        new = open_channel(self.env, (source, target), self._delay(link), self.trace, faults, self.random)
        channel = self.stacks[target].node.listen(new)
        self.channels.append(channel)
        return channel

    def _quantum_link(self, link: Link) -> QuantumLink:
        section, name = self.settings.key_rate.here(link=link.ends), joined("-", *link.ends)
        return QuantumLink(
            self.env,
            self.settings.fibre(link),
            self._rate if section is self.settings.key_rate else section.build(),
            self.random.stream(f"key rate {name}"),
            KeyBits(self.random.stream(f"access keys {name}")),
            section.per_direction,
        )

    def _stream(self, quantum: QuantumLink, link: Link, upstream: str, downstream: str) -> KeyStream | None:
        if not self.settings.has_pools(link):
            return None
        chosen = self.settings.stream(upstream, downstream)
        random = self.random.stream(f"keys {joined('>', upstream, downstream)}")
        stream = KeyStream(self.env, (upstream, downstream), chosen, random, quantum.fibre.delay_ticks)
        self.streams.append(stream)
        self._supplies[stream] = Supply(stream, quantum, quantum.generator(upstream))
        return stream

    # Start and demand

    def _start(self) -> None:
        for stream in self.streams:
            if self.histories:
                for pool in (stream.upstream, stream.downstream):
                    pool.history = [(0, pool.level)]
            if not stream.downstream.serving:
                stream.downstream.on_interrupt()
            if self.settings.pools.mirrors == "head":
                stream.upstream.review()
            if self._supplies[stream].continuous:
                self._supplies[stream].start()
        apps = {name: stack.app for name, stack in self.stacks.items() if stack.app is not None}
        workload = RequestWorkload(self.env, apps, self.random)
        for model, sources in self._sources().items():
            for process in model.processes(workload, sources):
                self.env.process(process)

    def _sources(self) -> dict[RequestDemand, list[str]]:
        """Return the demand models, each with the users it acts for."""
        section = self.settings.demand
        groups: dict[RequestDemand, list[str]] = {}
        for user in self.topology.ends:
            local = section.here(node=user)
            groups.setdefault(self._demand if local is section else local.build(), []).append(user)
        return groups

    # Observation

    @property
    def messages(self) -> int:
        """Messages sent so far, each hop counted."""
        return sum(channel.sent for channel in self.channels)

    def reset_statistics(self) -> None:
        """Forget what was observed so far of pools and nodes (end of the warm-up)."""
        now = self.env.now
        for stream in self.streams:
            for pool in (stream.upstream, stream.downstream):
                pool.reset_statistics(now)
        for stack in self.stacks.values():
            stack.resource.reset_statistics(now)
