"""QKD resource management: trusted repeaters that keep keys in pools and serve requests along a path."""
