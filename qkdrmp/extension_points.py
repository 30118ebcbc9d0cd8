"""What users may replace by objects of their own, with the types that these are given or return.

Each extension point is a `typing.Protocol`. A field of a scenario takes what comes with the package by its name, or an
object that fits the Protocol: in Python the object itself, in a scenario file a text that names it,
``"my_models.py:MyPolicy"`` for a file beside the scenario, or ``"package.module:name"``. A class stands for the object
that it makes; the parameters of a model stand beside its name.

====================  ====================================================  =====================================
Protocol              an object of your own                                 field of a scenario
====================  ====================================================  =====================================
`QueuePolicy`         function of the waiting requests and the tick         ``queue.policy``
`RoutePolicy`         function of the topology                              ``routing.policy``
`KeyRateModel`        frozen dataclass that opens a session on a fibre      ``key_rate.model``
`RequestDemand`       generator function, or frozen dataclass               ``demand.model``, of requests for keys
`ConnectionDemand`    generator function, or frozen dataclass               ``demand.model``, of connections
`LinkModel`           function of an optical link                           ``links.model``
`LinkPolicy`          object that says whose a trial is                     ``allocation.policy``
`SwapOrder`           function of the path                                  ``setup.swap_order``
`FaultModel`          frozen dataclass that opens a session on a channel    ``faults.model``
`TopologyReader`      function of the path and the content of a file        ``topology``, as its ``format``
`RunMetric`           `Metric`, or function of the results of a run         ``metrics``
====================  ====================================================  =====================================

All nodes, links and runs of a scenario share one object, so it must not change: what belongs to one link or channel is
in the session that it opens there, and random numbers come from the generator that it is given.

``setup.rulesets`` takes RuleSets: a file of JSON, or each a `RuleSetStack`.

Some abilities are optional, each a Protocol as well: `NamesUsers`, `KnowsSizes`, `LimitsUsers`, `ListsConnections`,
`HasMeanRate`, `KnowsLinkRate`, `LimitsFibre`, `OwnsLanes`, `CountsTrials`, `Repeats`, `ConservesWork`, `AssuresTrials`,
`BoundedDelay`, `Lossy`.
"""

from qkdrmp.entanglement.demand import ConnectionDemand, ConnectionWorkload
from qkdrmp.entanglement.links.agreement import Agreement, AllocationEntry
from qkdrmp.entanglement.links.models import (
    LinkModel,
    OpticalLink,
    TrialLaw,
    barrett_kok,
    mim,
    mm,
    msm,
    single_click,
)
from qkdrmp.entanglement.links.policies import (
    AssuresTrials,
    BufferSpace,
    Circuit,
    ConservesWork,
    CountsTrials,
    LinkPolicy,
    Lottery,
    OwnsLanes,
    Priority,
    Repeats,
    RoundRobin,
    Statistical,
    scramble,
)
from qkdrmp.entanglement.quantum.bell_diagonal import BellDiagonal
from qkdrmp.entanglement.request import AttemptId, ConnectionRequest, ConnectionSpec, ListsConnections
from qkdrmp.entanglement.rulesets.ruleset import RuleSetStack
from qkdrmp.entanglement.rulesets.swap_tree import Span, SwapOrder, asap, joined, midpoint, sequential
from qkdrmp.kernel.units import TICKS_PER_SECOND, to_seconds, to_ticks
from qkdrmp.key_rates import (
    BB84Sifted,
    Block,
    Constant,
    Fibre,
    GenerationSession,
    HasMeanRate,
    KeyRateModel,
    KnowsLinkRate,
    LimitsFibre,
    LinkRate,
    TimedSession,
)
from qkdrmp.metric import Metric, RunMetric
from qkdrmp.network.demand import NamesUsers
from qkdrmp.network.faults import BoundedDelay, FaultModel, FaultSession, Lossy, RandomFaults
from qkdrmp.network.formats import TopologyReader
from qkdrmp.network.layer import Message
from qkdrmp.network.routing import RoutePolicy, end_node_routes, repeater_routes
from qkdrmp.qkd.demand.workload import KnowsSizes, LimitsUsers, RequestDemand, RequestWorkload
from qkdrmp.qkd.layers.queue_policies import QueuePolicy, earliest_deadline, fcfs, priority, smallest_first
from qkdrmp.qkd.request import KeyRequest

__all__ = [
    "TICKS_PER_SECOND",
    "Agreement",
    "AllocationEntry",
    "AssuresTrials",
    "AttemptId",
    "BB84Sifted",
    "BellDiagonal",
    "Block",
    "BoundedDelay",
    "BufferSpace",
    "Circuit",
    "ConnectionDemand",
    "ConnectionRequest",
    "ConnectionSpec",
    "ConnectionWorkload",
    "ConservesWork",
    "Constant",
    "CountsTrials",
    "FaultModel",
    "FaultSession",
    "Fibre",
    "GenerationSession",
    "HasMeanRate",
    "KeyRateModel",
    "KeyRequest",
    "KnowsLinkRate",
    "KnowsSizes",
    "LimitsFibre",
    "LimitsUsers",
    "LinkModel",
    "LinkPolicy",
    "LinkRate",
    "ListsConnections",
    "Lossy",
    "Lottery",
    "Message",
    "Metric",
    "NamesUsers",
    "OpticalLink",
    "OwnsLanes",
    "Priority",
    "QueuePolicy",
    "RandomFaults",
    "Repeats",
    "RequestDemand",
    "RequestWorkload",
    "RoundRobin",
    "RoutePolicy",
    "RuleSetStack",
    "RunMetric",
    "Span",
    "Statistical",
    "SwapOrder",
    "TimedSession",
    "TopologyReader",
    "TrialLaw",
    "asap",
    "barrett_kok",
    "earliest_deadline",
    "end_node_routes",
    "fcfs",
    "joined",
    "midpoint",
    "mim",
    "mm",
    "msm",
    "priority",
    "repeater_routes",
    "scramble",
    "sequential",
    "single_click",
    "smallest_first",
    "to_seconds",
    "to_ticks",
]
