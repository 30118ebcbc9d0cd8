"""The `qkdrmp` command."""

from qkdrmp.cli import check, experiments, failures, look, single, sizing, sweeps
from qkdrmp.cli.group import main

__all__ = ["check", "experiments", "failures", "look", "main", "single", "sizing", "sweeps"]
