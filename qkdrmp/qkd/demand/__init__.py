"""Demand: who asks for keys, how many, and when."""
