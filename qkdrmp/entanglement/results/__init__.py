"""What comes out of a run of an entanglement network."""
