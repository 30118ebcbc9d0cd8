"""Quantum states and operations; no protocol."""
