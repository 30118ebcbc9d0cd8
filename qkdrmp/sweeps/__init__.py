"""Sweeps: many runs, planned, carried out on any executor, kept, and gathered into tables."""
