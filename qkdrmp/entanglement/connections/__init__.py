"""Connections: set up, carried, and torn down."""
