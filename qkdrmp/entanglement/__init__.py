"""Entanglement networks: repeaters that make, swap and deliver entangled pairs."""
