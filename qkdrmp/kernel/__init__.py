"""The bottom of the house: time, random numbers, statistics of one run, and SimPy's private attributes."""
