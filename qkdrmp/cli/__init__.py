"""The `qkdrmp` command."""

from qkdrmp.cli import check, experiments, failures, look, single, sweeps
from qkdrmp.cli.group import main

__all__ = ["check", "experiments", "failures", "look", "main", "single", "sweeps"]
