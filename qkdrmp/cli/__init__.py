"""The `qkdrmp` command."""

from qkdrmp.cli import check, experiments, failures, keyrate, look, single, sizing, sweeps
from qkdrmp.cli.group import main

__all__ = ["check", "experiments", "failures", "keyrate", "look", "main", "single", "sizing", "sweeps"]
