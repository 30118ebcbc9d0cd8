"""How the documentation is built: `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

from __future__ import annotations

import doctest
import importlib
import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

import matplotlib

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

# Ladders are drawn into files; the kernels of notebooks choose for themselves, and so must not inherit a choice. (The
# command line makes one when it is imported.)
matplotlib.use("Agg")
importlib.import_module("qkdrmp.cli")
os.environ.pop("MPLBACKEND", None)

project = "qkdrmp"
author = "the qkdrmp authors"
version = release = version_of("qkdrmp")

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "qkdrmp_docs",
]
exclude_patterns = ["_build", "_generated", "_ext", "_static", "**/.ipynb_checkpoints"]
templates_path: list[str] = []

# Everything is resolved inside these pages, so that a build needs no network. Types of other packages, and names in
# the text of docstrings, are left as they are.
nitpicky = True
nitpick_ignore_regex = [("py:(class|obj|exc|data|attr|meth)", ".*")]
default_role = "py:obj"
smartquotes_action = "qe"  # options such as --seed keep their two dashes

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

nb_execution_mode = "auto"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_output_stderr = "remove"
nb_merge_streams = True

numpydoc_show_class_members = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

doctest_global_setup = """
import warnings
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

import qkdrmp
import qkdrmp.sweeps.sweep

qkdrmp.sweeps.sweep.processes = lambda: ThreadPoolExecutor(1)  # the sweeps are short: to start processes takes longer

pd.set_option("display.width", 100)
warnings.simplefilter("ignore", qkdrmp.RunWarning)
"""

html_theme = "furo"
html_title = "qkdrmp"
html_static_path = ["_static"]
html_css_files = ["qkdrmp.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5d96", "color-brand-content": "#1f5d96"},
    "dark_css_variables": {"color-brand-primary": "#7ab4e6", "color-brand-content": "#7ab4e6"},
}
doctest_test_doctest_blocks = ""  # the examples in docstrings have a test of their own
doctest_default_flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
