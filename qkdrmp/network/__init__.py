"""The substrate both protocol families stand on: topology, routing, channels, nodes and protocols."""

from qkdrmp.network.channel import Channel

__all__ = ["Channel"]
