"""The `qkdrmp` command."""

from qkdrmp.cli import check, experiments, look, single, sweeps
from qkdrmp.cli.group import main

__all__ = ["check", "experiments", "look", "main", "single", "sweeps"]
