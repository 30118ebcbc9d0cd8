"""Sizing: the smallest design that meets targets, found by few runs and confirmed by others."""

from qkdrmp.sizing.plan import plan
from qkdrmp.sizing.result import Sizing

__all__ = ["Sizing", "plan"]
