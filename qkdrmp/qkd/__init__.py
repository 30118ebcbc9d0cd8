"""QKD resource management: trusted repeaters that keep keys in pools and serve requests along a path."""

from qkdrmp.qkd.keys.key_get import KeyRange
from qkdrmp.qkd.keys.key_pool import KeyPool
from qkdrmp.qkd.keys.key_stream import KeyStream
from qkdrmp.qkd.keys.thresholds import Replenish, StreamSettings, Thresholds

__all__ = ["KeyPool", "KeyRange", "KeyStream", "Replenish", "StreamSettings", "Thresholds"]
