"""The bottom of the house: time, random numbers, statistics of one run, and what SimPy keeps to itself."""
