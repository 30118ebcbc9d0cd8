"""qkdrmp: a process simulator for the resource management of quantum networks."""

from qkdrmp.errors import QKDRMPError, ScenarioError, TopologyError
from qkdrmp.network.formats import load_topology, save_topology
from qkdrmp.network.topology import Link, Node, NodeKind, Topology
from qkdrmp.scenario import Scenario, load_scenario
from qkdrmp.simulation import Results, StuckPoolWarning, simulate

__all__ = [
    "Link",
    "Node",
    "NodeKind",
    "QKDRMPError",
    "Results",
    "Scenario",
    "ScenarioError",
    "StuckPoolWarning",
    "Topology",
    "TopologyError",
    "load_scenario",
    "load_topology",
    "save_topology",
    "simulate",
]
