"""The examples in docstrings: every public verb has one, and all of them are true."""

import doctest
import importlib
import pkgutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from inspect import isfunction

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

import qkdrmp
import qkdrmp.ladder
import qkdrmp.plots

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
METHODS = {
    qkdrmp.Scenario: ("replace", "value"),
    qkdrmp.Topology: ("neighbours", "link", "summary"),
    qkdrmp.ladder.Ladder: ("draw", "mermaid"),
}


def modules() -> list[str]:
    found = pkgutil.walk_packages(qkdrmp.__path__, "qkdrmp.")
    return ["qkdrmp", *(module.name for module in found if not module.name.endswith("__main__"))]


EXAMPLES = [
    test for name in modules() for test in doctest.DocTestFinder().find(importlib.import_module(name)) if test.examples
]


def verbs() -> list[str]:
    """Return the full names of everything public that is called, by hand, to have something done."""
    functions = [
        value
        for module in (qkdrmp, qkdrmp.plots, qkdrmp.ladder)
        for name in module.__all__
        if isfunction(value := getattr(module, name))
    ]
    functions += [getattr(owner, name) for owner, names in METHODS.items() for name in names]
    return [f"{function.__module__}.{function.__qualname__}" for function in functions]


def test_every_public_verb_has_an_example():
    assert set(verbs()) - {test.name for test in EXAMPLES} == set()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_examples_are_true(example, monkeypatch, tmp_path):
    """Files that they write go into a folder of their own; their sweeps run in this process, which starts faster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qkdrmp.sweeps.sweep.processes", lambda: ThreadPoolExecutor(1))
    written = []
    with warnings.catch_warnings(), mpl.rc_context():
        warnings.simplefilter("ignore", qkdrmp.RunWarning)
        mpl.use("Agg")
        failed = doctest.DocTestRunner(optionflags=FLAGS).run(example, out=written.append).failed
    plt.close("all")
    assert not failed, "".join(written)
