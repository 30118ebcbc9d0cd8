"""The settings of entanglement networks."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from qkdrmp.config.registry import Registry, Surroundings, unfit
from qkdrmp.config.sections import PLACES, ModelSection, Section
from qkdrmp.entanglement.demand import CONNECTION_DEMANDS
from qkdrmp.entanglement.links.models import LINK_MODELS, OpticalLink, TrialLaw
from qkdrmp.entanglement.links.policies import LINK_POLICIES, LinkPolicy
from qkdrmp.entanglement.quantum.bell_diagonal import BellDiagonal, Memory, swap
from qkdrmp.entanglement.quantum.pairs import Device
from qkdrmp.entanglement.rulesets import own_rulesets
from qkdrmp.entanglement.rulesets.own_rulesets import OwnRuleSets
from qkdrmp.entanglement.rulesets.purification import Purifying
from qkdrmp.entanglement.rulesets.ruleset import RuleSetError
from qkdrmp.entanglement.rulesets.swap_tree import SWAP_ORDERS, SwapOrder
from qkdrmp.kernel.units import to_ticks
from qkdrmp.network.settings import NetworkSettings
from qkdrmp.topology import Link

Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Weights = tuple[float, float, float, float]
Positive = Annotated[int, Field(strict=True, ge=1)]


class LinkSettings(Section):
    """How links make pairs.

    Attributes
    ----------
    model
        Analyser in the middle (``mim``), pair source in the middle (``msm``), or analyser at the receiver (``mm``);
        analyser in the middle with two rounds (``barrett-kok``), or with one click (``single-click``).
    source_efficiency, detector_efficiency, bright_state : float
        See `OpticalLink`.
    fidelity : float
        Of a new pair, a Werner state; with ``single-click``, of what goes wrong besides.
    state : list of float
        Instead of the fidelity, the weights of Phi+, Psi-, Psi+ and Phi- in a new pair.
    """

    model: Annotated[Any, LINK_MODELS] = "mim"
    source_efficiency: Share = 1.0
    detector_efficiency: Share = 0.9
    bright_state: Annotated[float, Field(gt=0, lt=1)] = 0.1
    fidelity: Annotated[float, Field(gt=0.25, le=1, allow_inf_nan=False)] = 0.98
    state: Annotated[Weights, Field(strict=False)] | None = None

    @field_validator("state")
    @classmethod
    def _check_state(cls, value: Weights | None) -> Weights | None:
        try:
            state = None if value is None else BellDiagonal(*value)
        except ValueError:
            raise unfit("must be four weights of at least 0 each that add up to 1") from None
        if state is not None and state.fidelity <= 0.25:
            raise unfit("must begin with a weight of Phi+ above 0.25")
        return value

    def pair(self, law: TrialLaw) -> BellDiagonal:
        """Return the state of a new pair: the errors of the link's kind, and those of its imperfections."""
        own = BellDiagonal.werner(self.fidelity) if self.state is None else BellDiagonal(*self.state)
        return own if law.state is None else swap(law.state, own)

    def law(self, link: Link, speed_m_per_s: float) -> TrialLaw:
        """Return the law of the trials of a link.

        Raises
        ------
        ValueError
            If no trial can succeed.
        """
        optical = OpticalLink(
            length_km=link.length_km,
            source_efficiency=self.source_efficiency,
            detector_efficiency=self.detector_efficiency,
            attenuation_db_per_km=link.attenuation_db_per_km,
            speed_m_per_s=speed_m_per_s,
            bright_state=self.bright_state,
        )
        return LINK_MODELS.made(self.model)(optical)


class MemorySettings(Section):
    """The memories of a node.

    Attributes
    ----------
    per_interface : int
        How many there are at each link.
    per_node : int
        Instead of that, how many there are for all links of a node: connections have their quotas of them at each link,
        and what is in nobody's quota is divided evenly among the links that have connections.
    t1_s, t2_s : float
        Time constants; see `pairs.Memory`.
    cutoff_s : float or list of float
        How long a half may wait for another one to be swapped with; then it is discarded, and its other end informed.
        By default for as long as it takes. A list is by level of the swap tree: the first time is for swaps of two
        pairs of links, the next for swaps of pairs that have been swapped once at most, and so on; higher levels
        have the last one. A pair that is not bound yet (see ``allocation.policy``) has the first one, and in networks
        within networks each has levels of its own. With ``asap`` there are no levels.
    """

    per_interface: Positive = 8
    per_node: Positive | None = None
    t1_s: Annotated[float, Field(gt=0)] = 10.0
    t2_s: Annotated[float, Field(gt=0)] = 1.0
    cutoff_s: float | tuple[float, ...] | None = None

    @field_validator("cutoff_s", mode="before")
    @classmethod
    def _check_cutoff(cls, value: Any) -> Any:
        times = () if value is None else value if isinstance(value, list | tuple) else (value,)
        are_times = [isinstance(one, int | float) and one is not True and 0 < one < inf for one in times]
        if value is not None and not (are_times and all(are_times)):
            raise unfit("must be greater than 0, or a list of such times by level of the swap tree")
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.t2_s > 2 * self.t1_s:
            raise ValueError(f"t2_s = {self.t2_s} must be at most twice t1_s = {self.t1_s}")
        return self

    @model_validator(mode="after")
    def _check_memories(self) -> Self:
        if self.per_node is not None and "per_interface" in self.model_fields_set:
            raise ValueError(f"per_node = {self.per_node} must not be set together with per_interface")
        return self

    @property
    def cutoffs_s(self) -> tuple[float, ...]:
        """The cut-offs by level; none if there is no cut-off."""
        cutoffs = () if self.cutoff_s is None else self.cutoff_s
        return cutoffs if isinstance(cutoffs, tuple) else (cutoffs,)

    @property
    def count(self) -> int:
        """The memories of the node, or of an interface."""
        return self.per_interface if self.per_node is None else self.per_node

    def _problems_of_place(self, exception: Mapping[str, Any]) -> list[str]:
        by_link = ["per_node cannot be set for a single link"] if {"per_node", "link"} <= exception.keys() else []
        return super()._problems_of_place(exception) + by_link

    def _with(self, exception: Mapping[str, Any], context: Any = None) -> Self:
        other = {"per_node": "per_interface", "per_interface": "per_node"}
        against = {other[name] for name in exception if name in other}
        given = {name: value for name, value in self.given().items() if name not in against - exception.keys()}
        changed = {name: value for name, value in exception.items() if name not in PLACES}
        return type(self).model_validate({**given, **changed}, context=context)


class GateSettings(Section):
    """The gates of a node.

    Attributes
    ----------
    error : float
        Probability that a two-qubit gate leaves its qubits maximally mixed.
    readout_error : float
        Probability that a readout is wrong.
    swap_success : float
        Probability that a swap succeeds; else both of its pairs are lost, and all three nodes know.
    """

    exceptions_by: ClassVar[tuple[str, ...]] = ("node",)

    error: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.005
    readout_error: Annotated[float, Field(ge=0, lt=0.5, allow_inf_nan=False)] = 0.005
    swap_success: Share = 1.0


class SetupSettings(Section):
    """How connections are set up.

    Attributes
    ----------
    processing_s : float
        What a node takes for each message.
    timeout_round_trips, timeout_margin_s : float
        How long an Initiator waits for the Response.
    hold_round_trips, hold_margin_s : float
        How long a node holds memories for a connection that is being set up.
    retries : int
        How often an Initiator tries again.
    backoff_s, backoff_most_s : float
        It waits at least this before the first retry, twice as long before each further one, up to the most; jitter
        makes that half to one and a half of it.
    routes : int
        How many routes an Initiator has, the shortest first. After an attempt that was rejected as busy it tries the
        next one, which need not wait until the one before is free; after the last one, the first again. Where networks
        are nested there is one.
    swap_order
        Which swap trees the Responders choose.
    purification : {"bbpssw", "dejmps", "any"}
        By which protocol Responders purify, on links alone; ``"any"`` is whichever of them promises the highest rate,
        also after swaps.
    spans_restart : bool
        Whether after each swap, and after each cut-off, both spans begin again from nothing, as in the model of Brand,
        Coopmans and Elkouss (arXiv:1912.07688): what waits for swaps between the node and the far ends is discarded. By
        default it is for the next pair. Meant for one memory of a connection at each interface; nothing is promised,
        and pairs are purified on links alone.
    rulesets : list
        RuleSets of your own, by the connection that each names, whose Responder hands them out instead of planning: a
        file of JSON beside the scenario, or what such a file holds. Attempt and pairs are those of the request.
    refuse : tuple of str
        Initiators that a node does not serve.
    """

    exceptions_by: ClassVar[tuple[str, ...]] = ("node",)
    same_everywhere: ClassVar[tuple[str, ...]] = ("spans_restart", "rulesets")

    processing_s: Seconds = 1e-5
    timeout_round_trips: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.0
    timeout_margin_s: Seconds = 0.01
    hold_round_trips: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 4.0
    hold_margin_s: Seconds = 0.02
    retries: Annotated[int, Field(strict=True, ge=0)] = 3
    backoff_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.05
    backoff_most_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    routes: Positive = 1
    swap_order: Annotated[Any, SWAP_ORDERS] = "midpoint"
    purification: Purifying = "bbpssw"
    spans_restart: bool = False
    rulesets: OwnRuleSets = ()
    refuse: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @field_validator("rulesets", mode="before")
    @classmethod
    def _read_rulesets(cls, value: Any, info: ValidationInfo) -> Any:
        return own_rulesets.read(value, info.context.folder if isinstance(info.context, Surroundings) else None)

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        longer = self.hold_round_trips >= self.timeout_round_trips and self.hold_margin_s >= self.timeout_margin_s
        if not longer:
            raise ValueError("hold_round_trips and hold_margin_s must be at least timeout_round_trips and _margin_s")
        return self

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.spans_restart and self.swap_order == "asap":
            raise ValueError('spans_restart = true must not be set with swap_order = "asap", which has no spans')
        return self

    def timeout_ticks(self, round_trip: int) -> int:
        """Return how long an Initiator waits for the Response of a user so far away, in ticks."""
        return round(self.timeout_round_trips * round_trip) + to_ticks(self.timeout_margin_s)

    def hold_ticks(self, round_trip: int) -> int:
        """Return how long a node holds memories for a connection of two users so far apart, in ticks."""
        return round(self.hold_round_trips * round_trip) + to_ticks(self.hold_margin_s)

    def misfit(self, connection: str, path: tuple[str, ...], need: int | None) -> str | None:
        """Return why the RuleSets that are given for a connection do not fit it; None if they do, or there are none."""
        try:
            for stack in self.rulesets:
                if stack.connection == connection:
                    own_rulesets.fitted(stack, 1, path, need, inside=False)
        except RuleSetError as error:
            return str(error)
        return None

    def order(self) -> SwapOrder:
        """Return the swap order as a function."""
        return SWAP_ORDERS.made(self.swap_order)


class AllocationSettings(Section):
    """How connections share links.

    Attributes
    ----------
    policy
        Which connection each trial of a link belongs to.
    lead : {"auto"} or int
        How many trials ahead a Barrier looks; "auto" is just enough for the link not to stall.
    margin_s : float
        How long beyond a round trip a node waits before it sends something again.
    barrier : bool
        False shows what a Barrier is for: none is sent, and each end of a link switches as soon as it has both lists,
        as far apart as the messages make it.
    skew_trials : int
        Without a Barrier: let the receivers of links switch exactly so many trials late (from 1). The ends then send
        each other Barriers all the same, from which the trials are counted.
    skew_from_s : float
        Before this such ends switch together.
    """

    exceptions_by: ClassVar[tuple[str, ...]] = ("link",)
    same_everywhere: ClassVar[tuple[str, ...]] = ("barrier", "skew_trials", "skew_from_s")

    policy: Annotated[Any, LINK_POLICIES] = "round-robin"
    lead: Literal["auto"] | int = "auto"
    margin_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4
    barrier: bool = True
    skew_trials: Annotated[int, Field(strict=True, ge=0)] = 0
    skew_from_s: Seconds = 0.0

    @field_validator("lead", mode="before")
    @classmethod
    def _check_lead(cls, value: Any) -> Any:
        if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise ValueError(f'{value!r} must be "auto" or a whole number of at least 0')
        return value

    @model_validator(mode="after")
    def _check_skew(self) -> Self:
        if self.barrier and self.skew_trials:
            raise ValueError("skew_trials needs barrier = false, because a Barrier leaves no skew")
        return self

    @property
    def has_barriers(self) -> bool:
        """Whether the ends of links send each other Barriers."""
        return self.barrier or self.skew_trials > 0

    def link_policy(self) -> LinkPolicy:
        """Return the policy as an object."""
        return LINK_POLICIES.made(self.policy)

    def lead_trials(self, round_trip: int, slot: int, lanes: int) -> int:
        """Return the lead of a link."""
        return -(-round_trip // slot) * lanes if isinstance(self.lead, str) else self.lead


class LayerSettings(Section):
    """Networks in networks.

    Attributes
    ----------
    nested : tuple of str
        Networks (the attribute ``network`` of nodes) that look like one virtual link from outside.
    """

    exceptions_by: ClassVar[tuple[str, ...]] = ()

    nested: Annotated[tuple[str, ...], Field(strict=False)] = ()


class ConnectionDemandSettings(ModelSection):
    """Who asks for which connections, and when: a model of `demand` by name with its parameters, or an object."""

    registry: ClassVar[Registry[Any]] = CONNECTION_DEMANDS
    exceptions_by: ClassVar[tuple[str, ...]] = ()

    model: Any = "listed"


class EntanglementSettings(NetworkSettings):
    """A network with the sections that belong to entanglement connections."""

    links: LinkSettings = LinkSettings()
    memories: MemorySettings = MemorySettings()
    gates: GateSettings = GateSettings()
    setup: SetupSettings = SetupSettings()
    allocation: AllocationSettings = AllocationSettings()
    layers: LayerSettings = LayerSettings()
    demand: ConnectionDemandSettings = ConnectionDemandSettings()

    @property
    def margin(self) -> int:
        """How long beyond the round trip a sender waits before it sends something again, in ticks."""
        return to_ticks(2 * self.faults.longest_delay_s + self.allocation.margin_s)

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        orders = (self.setup.swap_order, *(exception.get("swap_order") for exception in self.setup.at))
        cutoffs = (self.memories.cutoff_s, *(exception.get("cutoff_s") for exception in self.memories.at))
        by_level = next((cutoff for cutoff in cutoffs if isinstance(cutoff, list | tuple)), None)
        if by_level is not None and "asap" in orders:
            raise ValueError(
                f"memories.cutoff_s = {list(by_level)} must be one time, because there are no levels with "
                'setup.swap_order = "asap"'
            )
        return self

    def device(self, node: str, link: Link | None = None) -> Device:
        """Return what the memories of a node, at one of its links or at most of them, and its gates do to qubits."""
        memories = self.memories.here(node=node, link=() if link is None else link.ends)
        gates = self.gates.here(node=node)
        cutoffs = tuple(map(to_ticks, memories.cutoffs_s))
        return Device(Memory(memories.t1_s, memories.t2_s), gates.error, gates.readout_error, cutoffs)

    def law(self, link: Link) -> TrialLaw:
        """Return the law of the trials of a link.

        Raises
        ------
        ValueError
            If no trial can succeed.
        """
        return self.links.here(link=link.ends).law(link, self.channels.here(link=link.ends).signal_speed_m_per_s)

    def lanes(self, link: Link) -> int:
        """Return the memories of the end of a link that has fewer."""
        return min(self.memories.here(node=end, link=link.ends).count for end in link.ends)


PRESETS: dict[str, dict[str, Any]] = {}
