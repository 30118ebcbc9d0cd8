"""Figures: each function draws into an axes and returns it, so that a paper can arrange and restyle them."""

from qkdrmp.plots.axes import is_scale, swept
from qkdrmp.plots.canvas import figure, save
from qkdrmp.plots.comparisons import comparison, differences
from qkdrmp.plots.connections import fidelity_histogram, pairs_over_time
from qkdrmp.plots.curves import curve, multiplexing, readable, throughput, wait
from qkdrmp.plots.heatmap import heatmap
from qkdrmp.plots.key_rates import key_rates
from qkdrmp.plots.labels import label, value_text
from qkdrmp.plots.laws import add_laws
from qkdrmp.plots.map_layout import positions
from qkdrmp.plots.maps import coloured, load, network
from qkdrmp.plots.publication import publish
from qkdrmp.plots.transients import warmup

__all__ = [
    "add_laws",
    "coloured",
    "comparison",
    "curve",
    "differences",
    "fidelity_histogram",
    "figure",
    "heatmap",
    "is_scale",
    "key_rates",
    "label",
    "load",
    "multiplexing",
    "network",
    "pairs_over_time",
    "positions",
    "publish",
    "readable",
    "save",
    "swept",
    "throughput",
    "value_text",
    "wait",
    "warmup",
]
