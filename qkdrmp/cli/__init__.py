"""The `qkdrmp` command."""

from qkdrmp.cli import experiments, look, single, sweeps
from qkdrmp.cli.group import main

__all__ = ["experiments", "look", "main", "single", "sweeps"]
