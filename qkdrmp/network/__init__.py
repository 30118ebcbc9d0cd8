"""The substrate both protocol families stand on: topology, routing, channels, nodes and protocols."""
