"""Scenarios: everything a run depends on except its seed, and the files that hold them."""

from qkdrmp.scenario.scenario import Scenario

__all__ = ["Scenario"]
