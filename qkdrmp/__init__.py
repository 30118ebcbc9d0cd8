"""qkdrmp: a process simulator for the resource management of quantum networks."""

import importlib
from importlib.metadata import version
from typing import Any

from qkdrmp.config.points import latin_hypercube
from qkdrmp.errors import QKDRMPError, ScenarioError, SweepWarning, TopologyError
from qkdrmp.family import FAMILIES, NotRecorded, Results, RunWarning
from qkdrmp.network.formats import load_topology, save_topology
from qkdrmp.qkd.family import StuckPoolWarning
from qkdrmp.qkd.loads import link_loads
from qkdrmp.qkd.theory.bounds import key_bound
from qkdrmp.scenario import Scenario
from qkdrmp.scenario_file import list_scenarios, list_topologies, load_scenario, make_scenario
from qkdrmp.simulation import predict, simulate
from qkdrmp.stats.estimators import half_width, jain, mser5, summarise
from qkdrmp.sweeps.conclusions import conclusions
from qkdrmp.sweeps.designs import compare
from qkdrmp.sweeps.experiment import Experiment, load_experiment
from qkdrmp.sweeps.store import StoreError
from qkdrmp.sweeps.sweep import SweepFailed, SweepInterrupted, sweep
from qkdrmp.sweeps.warmup import suggest_warmup
from qkdrmp.topology import Link, Node, NodeKind, Topology

__all__ = [
    "FAMILIES",
    "Experiment",
    "Link",
    "Node",
    "NodeKind",
    "NotRecorded",
    "QKDRMPError",
    "Results",
    "RunWarning",
    "Scenario",
    "ScenarioError",
    "Sizing",
    "StoreError",
    "StuckPoolWarning",
    "SweepFailed",
    "SweepInterrupted",
    "SweepWarning",
    "Topology",
    "TopologyError",
    "compare",
    "conclusions",
    "failures",
    "half_width",
    "jain",
    "key_bound",
    "key_rate_table",
    "ladder",
    "latin_hypercube",
    "law_table",
    "link_loads",
    "list_scenarios",
    "list_topologies",
    "load_experiment",
    "load_scenario",
    "load_topology",
    "make_scenario",
    "mser5",
    "plan",
    "plots",
    "predict",
    "save_topology",
    "simulate",
    "suggest_warmup",
    "summarise",
    "sweep",
    "verdict",
]


LAZY = ("ladder", "plots")
"""Modules that draw: matplotlib takes a second to import, and most runs draw nothing."""
LAZY_FUNCTIONS = {
    "failures": "qkdrmp.outages.failures",
    "key_rate_table": "qkdrmp.qkd.key_rate_table",
    "law_table": "qkdrmp.verdicts",
    "Sizing": "qkdrmp.sizing",
    "plan": "qkdrmp.sizing",
    "verdict": "qkdrmp.verdicts",
}
"""Functions that are not needed for a run, by the modules that they are in."""

__version__ = version("qkdrmp")


def __getattr__(name: str) -> Any:
    if name in LAZY:
        return importlib.import_module(f"qkdrmp.{name}")
    if name in LAZY_FUNCTIONS:
        return getattr(importlib.import_module(LAZY_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'qkdrmp' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
