"""Facts are compared between versions of the same thing, as a user would change it in an editor."""

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from qkdrmp import load_scenario
from qkdrmp.family import FAMILIES
from qkdrmp.key_rates import BB84Sifted
from qkdrmp.sweeps.fingerprint import (
    PACKAGE,
    NoSource,
    _files_of,
    _own_files,
    changes,
    digest,
    facts_of,
    model_version,
    versions,
)


class Colour(Enum):
    RED = "red"


def module_of(tmp_path: Path, source: str, name: str = "mine") -> dict[str, Any]:
    """Return what a file of a user defines."""
    file = tmp_path / f"{name}.py"
    file.write_text(dedent(source))
    defined: dict[str, Any] = {"__name__": name}
    exec(compile(file.read_text(), str(file), "exec"), defined)
    return defined


def facts_from(tmp_path: Path, source: str, name: str) -> str:
    """Return the digest of the facts of one thing that a file defines, seen by a fresh interpreter."""
    (tmp_path / "mine.py").write_text(dedent(source))
    code = "from qkdrmp.sweeps.fingerprint import digest, facts_of"
    code += f"; from mine import {name}; print(digest(facts_of({name})))"
    printed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    return printed.stdout.strip()


@pytest.mark.parametrize("value", [None, True, 3, 0.1, "fcfs", [1, [2]], {"a": {"b": 1}}, math.inf])
def test_plain_values_are_their_own_facts(value: Any) -> None:
    assert facts_of(value) == value


def test_other_containers_numbers_and_enums_are_made_plain() -> None:
    assert facts_of((1, 2)) == [1, 2]
    assert facts_of(np.float64(0.5)) == 0.5
    assert facts_of({1: "x"}) == {"1": "x"}
    assert facts_of({3, 1, 2}) == facts_of({2, 3, 1})
    assert facts_of(Colour.RED) != facts_of("blue")
    assert facts_of(np.arange(3)) == facts_of(np.array([0, 1, 2]))
    assert facts_of(np.arange(3)) != facts_of(np.arange(3.0))


def test_a_digest_does_not_depend_on_the_order_of_names() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1])


BASE = """
    import math
    LEVEL = 3
    def helper(x):
        return x + 1
    def policy(waiting, now, bias=0):
        return helper(waiting) + LEVEL + bias
    class Model:
        scale = 2
        def __init__(self, rate=1.0):
            self.rate = rate
        def per_s(self):
            return self.rate * self.scale * math.pi
"""
EDITS: dict[str, tuple[str, str, str, bool]] = {
    "nothing": ("policy", "", "", False),
    "something unrelated": ("policy", "scale = 2", "scale = 3", False),
    "the function": ("policy", "+ bias", "- bias", True),
    "a default": ("policy", "bias=0", "bias=1", True),
    "a function it calls": ("policy", "x + 1", "x + 2", True),
    "a constant it uses": ("policy", "LEVEL = 3", "LEVEL = 4", True),
    "a method": ("Model", "self.scale * math", "self.scale / math", True),
    "a member": ("Model", "scale = 2", "scale = 3", True),
    "another function": ("Model", "x + 1", "x + 2", False),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_function_or_class_is_known_by_its_source_and_what_it_uses(edit: str, tmp_path: Path) -> None:
    name, old, new, differs = EDITS[edit]
    before, after = (module_of(tmp_path / step, source) for step, source in _steps(tmp_path, old, new))
    assert (facts_of(before[name]) != facts_of(after[name])) == differs


def _steps(tmp_path: Path, old: str, new: str) -> list[tuple[str, str]]:
    assert old in BASE
    for step in ("before", "after"):
        (tmp_path / step).mkdir()
    return [("before", BASE), ("after", BASE.replace(old, new) if old else BASE)]


def test_facts_are_the_same_in_every_process(tmp_path: Path) -> None:
    for name in ("policy", "Model"):
        assert facts_from(tmp_path, BASE, name) == facts_from(tmp_path, BASE, name)


@dataclass(frozen=True)
class Rate:
    per_s: float

    def twice(self) -> float:
        return 2 * self.per_s


def scaled(factor: float) -> Callable[[float], float]:
    return lambda value: factor * value


def test_objects_are_known_by_their_class_and_state() -> None:
    assert facts_of(Rate(2.0)) == facts_of(Rate(2.0)) != facts_of(Rate(3.0))
    assert facts_of(BB84Sifted()) == facts_of(BB84Sifted()) != facts_of(BB84Sifted(mean_photons=0.2))


def test_closures_partials_and_methods_are_distinguished_by_what_they_carry() -> None:
    assert facts_of(scaled(2)) == facts_of(scaled(2)) != facts_of(scaled(3))
    assert facts_of(partial(scaled, 2)) == facts_of(partial(scaled, 2)) != facts_of(partial(scaled, 3))
    assert facts_of(Rate(2.0).twice) != facts_of(Rate(3.0).twice)


def test_what_comes_with_a_package_is_known_by_its_name() -> None:
    assert facts_of(digest) == {"function": "qkdrmp.sweeps.fingerprint.digest"}
    assert facts_of(Path) == {"class": "pathlib.Path"}
    assert facts_of(math.sqrt) == {"function": "math.sqrt"}
    assert facts_of(np) == {"module": "numpy"}


def test_what_is_installed_is_known_by_the_file_that_it_is_in(tmp_path: Path) -> None:
    found = []
    for step, factor in (("a", 2), ("b", 2), ("c", 3)):
        folder = tmp_path / step / "site-packages"
        folder.mkdir(parents=True)
        source = f"FACTOR = {factor}\ndef policy(waiting, now):\n    return waiting[::FACTOR]\n"
        found.append(facts_of(module_of(folder, source)["policy"]))
    same, copy, other = found
    assert same["function"] == "mine.policy"
    assert same == copy != other


def recursive(number: int) -> int:
    return recursive(number - 1) if number else 0


def test_things_that_hold_themselves_have_facts() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    assert facts_of(ring) == [1, "itself"]
    assert facts_of(recursive)["uses"] == {"recursive": "itself"}


def test_what_has_no_source_says_so() -> None:
    defined: dict[str, Any] = {}
    exec("def policy(waiting, now):\n    return waiting", defined)
    with pytest.raises(NoSource, match="the function policy has no source"):
        facts_of({"queue": [defined["policy"]]})
    with pytest.raises(NoSource, match="an object of the class generator has no content that identifies it"):
        facts_of(number for number in [1])


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text)
    same, copy, other = (facts_of(tmp_path / name) for name in "abc")
    assert same == copy != other


def test_a_model_in_a_section_is_known_with_its_defaults() -> None:
    line = load_scenario("line")
    facts = facts_of(line.demand)
    assert facts["model"] == "poisson"
    assert facts["rate_per_s"] == 15
    spelled_out = line.replace({"key_rate": {"model": "constant", "rate_bps": 20000.0}})
    assert facts_of(spelled_out.key_rate) == facts_of(line.key_rate)


def test_a_topology_is_known_by_its_nodes_and_links_not_by_its_name() -> None:
    facts = facts_of(load_scenario("line").topology)
    assert [node[0] for node in facts["nodes"]] == ["Alice", "R", "Bob"]
    assert len(facts["links"]) == 2
    assert facts_of(load_scenario("chain").topology) != facts


def test_changes_are_reported_by_path() -> None:
    before = {"queue": {"capacity": 4, "policy": "fcfs"}, "gone": 1}
    after = {"queue": {"capacity": 5, "policy": "fcfs"}, "new": [2]}
    assert list(changes(before, after)) == [("queue.capacity", 4, 5), ("gone", 1, None), ("new", None, [2])]
    assert list(changes(before, before)) == []


def test_the_version_knows_the_source_and_the_libraries() -> None:
    assert set(model_version("qkd")) == {"qkdrmp", "source", "numpy", "scipy", "simpy", "networkx"}
    assert set(versions()) == {"qkdrmp", "numpy", "scipy", "simpy", "networkx", "Python", "platform"}
    assert len(model_version("qkd")["source"]) == 32
    assert model_version("qkd")["source"] != model_version("entanglement")["source"]


def test_the_source_of_a_run_is_its_family_and_what_all_families_stand_on() -> None:
    files = {path.relative_to(PACKAGE).as_posix() for path in (*_own_files(), *_files_of(FAMILIES["qkd"]))}
    assert {"kernel/environment.py", "scenario/scenario.py", "qkd/layers/resource.py", "qkd/run.py"} <= files
    assert not [name for name in files if name.startswith(("entanglement", "report")) or "presentation" in name]
