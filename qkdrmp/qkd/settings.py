"""The settings of QKD resource management, and its presets."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from qkdrmp.config.registry import Registry
from qkdrmp.config.sections import ModelSection, Section
from qkdrmp.errors import ScenarioError
from qkdrmp.kernel.units import delay_ticks
from qkdrmp.key_rates import KEY_RATE_MODELS, Fibre
from qkdrmp.network.routing import ROUTE_POLICIES, RoutePolicy, Routes, routes_by
from qkdrmp.network.settings import FaultSettings, NetworkSettings
from qkdrmp.qkd.demand.models import REQUEST_DEMANDS
from qkdrmp.qkd.keys.thresholds import Replenish, StreamSettings, Thresholds
from qkdrmp.qkd.layers.queue_policies import QUEUE_POLICIES, QueuePolicy
from qkdrmp.topology import Link, NodeKind

Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]


class PoolSettings(Section):
    """Key pools: one at each end of each direction of a link.

    Attributes
    ----------
    capacity : int
        V_m, in keys.
    capacity_factor : float
        The capacity is multiplied by it, and rounded up: exceptions by link too, so that it scales all of them.
    interrupt, interrupt_share
        V_i, in keys, or as a share of the capacity (rounded down) if `interrupt` is not given. If neither is, a quarter
        of the capacity; 0 under continuous replenishment.
    recover, recover_share
        V_r, likewise. If neither is given, the capacity; a key above V_i under continuous replenishment, so that pools
        serve whenever they have keys.
    reserve : int
        Keys that must remain after a delivery.
    initial, initial_share
        Level at time 0, in keys, or as a share of the capacity (rounded down) if `initial` is not given.
    key_length_bits : int
        Length of a pool key.
    replenish : {"demand", "threshold", "continuous"}
        When keys are made; see `Replenish`.
    block_keys : int
        Keys made at a time under continuous replenishment.
    mirrors : {"claimed", "head"}
        How the two copies agree on which keys a request gets: one end claims them by index, or (QNET) they do not.
    refill_lead_delays : float, optional
        Instead of a REFILL message, a refill starts that many one-way delays after it is due.
    """

    same_everywhere: ClassVar[tuple[str, ...]] = ("mirrors",)

    capacity: Positive = 40
    capacity_factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    interrupt: Count | None = None
    interrupt_share: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None
    recover: Positive | None = None
    recover_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    reserve: Count = 0
    initial: Count | None = None
    initial_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    key_length_bits: Positive = 32
    replenish: Annotated[Replenish, Field(strict=False)] = Replenish.DEMAND
    block_keys: Positive = 1
    mirrors: Literal["claimed", "head"] = "claimed"
    refill_lead_delays: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.thresholds()
        if self.mirrors == "head" and self.replenish is not Replenish.THRESHOLD:
            raise ValueError('mirrors = "head" needs replenish = "threshold", the only rule it was made for')
        return self

    def thresholds(self) -> Thresholds:
        """Return the sizes in keys."""
        capacity = math.ceil(round(self.capacity * self.capacity_factor, 9))
        is_continuous = self.replenish is Replenish.CONTINUOUS
        interrupt = _keys(
            capacity, self.interrupt, self.interrupt_share, 0 if is_continuous else _share(capacity, 0.25)
        )
        return Thresholds(
            capacity=capacity,
            interrupt=interrupt,
            recover=_keys(
                capacity, self.recover, self.recover_share, min(interrupt + 1, capacity) if is_continuous else capacity
            ),
            reserve=self.reserve,
            initial=_share(capacity, self.initial_share) if self.initial is None else self.initial,
        )


def _keys(capacity: int, keys: int | None, share: float | None, otherwise: int) -> int:
    if keys is not None:
        return keys
    return otherwise if share is None else _share(capacity, share)


def _share(capacity: int, share: float) -> int:
    # 100 * 0.29 is 28.999999999999996 to a computer, and 29 to the person who wrote it.
    return math.floor(round(capacity * share, 9))


class AccessSettings(Section):
    """The links of users: keys made for each request, or pools like those of other links."""

    mode: Literal["per-request", "pool"] = "per-request"


class QueueSettings(Section):
    """The request queue of a node: `capacity` slots, scanned in the order of `policy`."""

    exceptions_by: ClassVar[tuple[str, ...]] = ("node",)

    capacity: Count = 10
    policy: Annotated[Any, QUEUE_POLICIES] = "fcfs"

    def function(self) -> QueuePolicy:
        """Return the policy as a function."""
        return QUEUE_POLICIES.made(self.policy)


class KeyRateSettings(ModelSection):
    """How fast neighbours make keys: a model of `key_rates` by name with its parameters, or an object.

    Attributes
    ----------
    per_direction : bool
        Whether each direction of a link has its own devices, at full rate (QNET); otherwise both share one pair.
    """

    registry: ClassVar[Registry[Any]] = KEY_RATE_MODELS

    model: Any = "bb84-sifted"
    per_direction: bool = False


class KeyDemandSettings(ModelSection):
    """Who asks for keys when: a model of `demand` by name with its parameters, or an object.

    Attributes
    ----------
    concurrent : int, optional
        How many requests a user may have at once, as sender or receiver; by default what the model says.
    """

    registry: ClassVar[Registry[Any]] = REQUEST_DEMANDS
    exceptions_by: ClassVar[tuple[str, ...]] = ("node",)
    same_everywhere: ClassVar[tuple[str, ...]] = ("concurrent",)

    model: Any = "closed-loop"
    concurrent: Positive | None = None


class RoutingSettings(Section):
    """Which way requests go.

    Attributes
    ----------
    policy
        ``through-repeaters``: the shortest path through repeaters. ``through-end-nodes``: QNET's rule, by which a path
        may lead into a user, who refuses.
    """

    exceptions_by: ClassVar[tuple[str, ...]] = ("node",)

    policy: Annotated[Any, ROUTE_POLICIES] = "through-repeaters"

    def function(self) -> RoutePolicy:
        """Return the policy as a function."""
        return ROUTE_POLICIES.made(self.policy)


class KeyFaultSettings(FaultSettings):
    """Faults of the classical channels: a model of `faults` by name with its parameters, or an object.

    The protocol does not send messages again: a lost message leaves its request unfinished.
    """

    exceptions_by: ClassVar[tuple[str, ...]] = ("link",)


class QKDSettings(NetworkSettings):
    """A network with the sections that belong to QKD resource management."""

    pools: PoolSettings = PoolSettings()
    access: AccessSettings = AccessSettings()
    queue: QueueSettings = QueueSettings()
    key_rate: KeyRateSettings = KeyRateSettings()
    demand: KeyDemandSettings = KeyDemandSettings()
    routing: RoutingSettings = RoutingSettings()
    faults: KeyFaultSettings = KeyFaultSettings()

    def takes_part(self, node: str) -> bool:
        """Return whether a node is a user or a repeater; others are only drawn."""
        return self.topology.nodes[node].kind in (NodeKind.END, NodeKind.REPEATER)

    def has_pools(self, link: Link) -> bool:
        """Return whether the two ends of a link keep keys in pools."""
        between_repeaters = all(self.topology.nodes[end].kind is NodeKind.REPEATER for end in link.ends)
        with_pools = between_repeaters or self.access.here(link=link.ends).mode == "pool"
        return with_pools and all(map(self.takes_part, link.ends))

    def fibre(self, link: Link) -> Fibre:
        """Return the fibre of a link, as key-rate models see it."""
        speed = self.channels.here(link=link.ends).signal_speed_m_per_s
        return Fibre(link.length_km, link.loss_db, delay_ticks(link.classical_length_km, speed), link.ends)

    def routes(self) -> Routes:
        """Return the route that each user's requests take to each other user."""
        routes: Routes = {}
        for source in self.topology.ends:
            table = routes_by(self.routing.here(node=source).function(), self.topology)
            routes |= {(source, peer): table[source, peer] for peer in self.topology.ends if peer != source}
        return routes

    def pools_of(self, node: str, link: tuple[str, str]) -> PoolSettings:
        """Return what holds for the pools of a node on one of its links: the topology knows what is not given here."""
        section, known = self.pools.here(node=node, link=link), self.topology.nodes[node].pool_sizes
        missing = {name: size for name, size in known.items() if name not in section.model_fields_set}
        return section.model_validate({**section.given(), **missing}) if missing else section

    def stream(self, upstream: str, downstream: str) -> StreamSettings:
        """Return what holds for the stream from node `upstream` to node `downstream`.

        Its sizes are the smaller of its two ends' (the reserve is the larger).

        Raises
        ------
        ScenarioError
            If the ends differ in what must be equal at both.
        """
        ends = (upstream, downstream)
        first, second = (self.pools_of(end, ends) for end in ends)
        for name in ("key_length_bits", "replenish", "block_keys", "refill_lead_delays"):
            if getattr(first, name) != getattr(second, name):
                raise ScenarioError(
                    f"pools.at: {name} is {getattr(first, name)} at {upstream} and {getattr(second, name)} at "
                    f"{downstream}, but must be the same at both ends of their link"
                )
        sizes = first.thresholds(), second.thresholds()
        thresholds = Thresholds(
            capacity=min(size.capacity for size in sizes),
            interrupt=min(size.interrupt for size in sizes),
            recover=min(size.recover for size in sizes),
            reserve=max(size.reserve for size in sizes),
            initial=min(size.initial for size in sizes),
        )
        return StreamSettings(
            thresholds, first.key_length_bits, first.replenish, first.block_keys, first.refill_lead_delays
        )


PRESETS: dict[str, dict[str, Any]] = {
    # What the public implementation (QNET 1.3.0) does, so that its published figure can be reproduced. Not what it does
    # wrong: with slow links QNET itself processes fewer requests (see "Coming from QNET" in the documentation).
    "qnet": {
        "routing": {"policy": "through-end-nodes"},
        "channels": {"signal_speed_m_per_s": 3e8},
        "pools": {"reserve": 1, "replenish": "threshold", "refill_lead_delays": 5},
        "queue": {"capacity": 10},
        "key_rate": {"model": "bb84-sifted", "per_direction": True},
        "demand": {"model": "closed-loop", "peers": "all"},
    },
}
