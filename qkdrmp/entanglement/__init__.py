"""Entanglement networks: links, pairs and what is done with them."""
