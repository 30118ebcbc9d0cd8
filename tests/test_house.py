"""The structure of the package: rooms whose arrows point one way, names that stand for one thing, one voice."""

import ast
import importlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

import qkdrmp

PACKAGE = Path(qkdrmp.__file__).parent
ROOT = PACKAGE.parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}

DOORS = {"qkdrmp.extension_points"}
"""Modules that only gather names for users, as the package itself does: nothing in the package goes through them."""

FLOORS = (
    ("errors",),
    ("kernel", "topology"),
    ("config", "stats"),
    ("network", "key_rates", "metric"),
    ("scenario",),
    ("family",),
    ("plots",),
    ("ladder",),
    ("qkd", "entanglement", "verdicts"),
    ("simulation",),
    ("scenario_file",),
    ("sweeps",),
    ("outages", "sizing"),
    ("report",),
    ("cli",),
    ("__main__",),
)
"""The rooms of the package, from the bottom up; those of one floor do not know each other."""

MOST_ARROWS = {"": 117, "entanglement": 58, "qkd": 57}


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of the package that a module imports, whole or names of theirs, also for types only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "qkdrmp":
            yield from (name for name in [f"qkdrmp.{node.attr}"] if name in MODULES)  # imported when it is needed
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "qkdrmp":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "qkdrmp")


IMPORTS = {name: sorted(set(imported(tree))) for name, tree in TREES.items()}


def room_of(module: str, house: str) -> str | None:
    """Return the room of a house (a package, by its path below the root) that a module is in; None if outside."""
    inside = ["qkdrmp", *filter(None, house.split("."))]
    parts = module.split(".")
    return parts[len(inside)] if parts[: len(inside)] == inside and len(parts) > len(inside) else None


def arrows(house: str) -> set[tuple[str, str]]:
    """Return which rooms of a house import which."""
    found = set()
    for source, targets in IMPORTS.items():
        for target in targets if source not in DOORS else ():
            ends = room_of(source, house), room_of(target, house)
            if ends[0] and ends[1] and ends[0] != ends[1]:
                found.add((ends[0], ends[1]))
    return found


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(module, "") for module in MODULES if module not in DOORS} - {None}
    assert rooms == {room for floor in FLOORS for room in floor}


@pytest.mark.parametrize("door", DOORS)
def test_a_door_holds_nothing_and_nothing_in_the_package_goes_through_it(door: str) -> None:
    body = ast.parse(MODULES[door].read_text(encoding="utf-8")).body
    is_list = [isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in body]
    assert all(isinstance(node, ast.ImportFrom) or listed for node, listed in zip(body[1:], is_list[1:], strict=True))
    imported_names = {alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(importlib.import_module(door).__all__) == imported_names
    assert [name for name, targets in IMPORTS.items() if door in targets] == []


def test_arrows_point_downwards() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    upwards = [(source, target) for source, target in arrows("") if floor[source] <= floor[target]]
    assert upwards == []


@pytest.mark.parametrize("house", MOST_ARROWS)
def test_the_arrows_of_a_house_are_few_and_form_no_circle(house: str) -> None:
    found = arrows(house)
    assert list(nx.simple_cycles(nx.DiGraph(list(found)))) == []
    assert len(found) <= MOST_ARROWS[house], sorted(found)


def test_modules_form_no_circle() -> None:
    edges = [(source, target) for source, targets in IMPORTS.items() for target in targets if source != target]
    assert list(nx.simple_cycles(nx.DiGraph(edges))) == []


def test_the_two_families_do_not_know_each_other() -> None:
    for here, other in (("qkd", "entanglement"), ("entanglement", "qkd")):
        known = [
            name for name in IMPORTS if room_of(name, "") == here for to in IMPORTS[name] if room_of(to, "") == other
        ]
        assert known == []


def test_nothing_is_imported_inside_a_function() -> None:
    inside = [
        (name, node.lineno)
        for name, tree in TREES.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inside == []


def test_no_class_name_is_defined_twice() -> None:
    where: defaultdict[str, list[str]] = defaultdict(list)
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                where[node.name].append(name)
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}


def test_protocol_families_are_named_in_their_own_packages_only() -> None:
    kinds = [f'"{kind}"' for kind in qkdrmp.FAMILIES]
    found = [
        (name, kind)
        for name, path in MODULES.items()
        if room_of(name, "") not in qkdrmp.FAMILIES
        for kind in kinds
        if kind in path.read_text(encoding="utf-8")
    ]
    assert found == [("qkdrmp.scenario_file", '"qkd"')]  # the kind of scenarios that name none


def test_private_marks_of_simpy_stay_in_one_module() -> None:
    marks = re.compile(r"\._(eid|queue|value|ok|level|env|defused|trigger_get|trigger_put|do_get|do_put)\b")
    own = re.compile(r"self\._(queue|value|level|env)\b")  # attributes of classes that are not SimPy's

    def is_simpys(line: str) -> bool:
        return bool(marks.search(own.sub("", line)))

    found = Counter(
        name for name, path in MODULES.items() if any(map(is_simpys, path.read_text(encoding="utf-8").splitlines()))
    )
    assert len(found) <= 1, found


COINAGES = (
    r"how manieth",
    r"sober",
    r"cannot bear",
    r"\bh[au]ngs? up\b|hang_up",
    r"\broom\b",
    r"\bat work\b",
    r"forgiv",
    r"\bbur(y|ies|ied)\b",
    r"look(s|ed|ing)? through",
    r"for ever\b",
    r"\bdoubled\b",
    r"reckon",
    r"believe",
    r"\bgive(s)? up a half",
    r"\bLetter\b",
    r"\bReceipt\b",
    r"\bnothing = ",
    r"\b(he|his|him|himself)\b",
    r"\btold\b|\btells?\b|\btelling\b",
    r"foreseen|foresee",
    r"\bso too\b|than which|wherever it has got to",
)
"""Words that this project once made up, or used in a sense of its own, and what a native engineer stumbles over."""


def texts() -> dict[str, str]:
    """Return everything that users read, by its path: the package, its pages, and the text of its notebooks."""
    made = {"_build", "_generated", "_bundled", "notebooks"}  # by a build of the pages, or of a wheel
    kinds = {PACKAGE: (".py", ".j2", ".js"), ROOT / "docs": (".py", ".md", ".rst"), ROOT / "scenarios": (".toml",)}
    files = [
        path
        for folder, suffixes in kinds.items()
        for path in sorted(folder.rglob("*"))
        if path.suffix in suffixes and made.isdisjoint(path.relative_to(folder).parts)
    ]
    found = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in [*files, ROOT / "README.md"]}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        written = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        found[str(path.relative_to(ROOT))] = "\n".join(written)
    return found


TEXTS = texts()


@pytest.mark.parametrize("coinage", COINAGES)
def test_the_project_speaks_the_language_of_its_field(coinage: str) -> None:
    pattern = re.compile(coinage, re.IGNORECASE if coinage.islower() else 0)
    found = [
        f"{where}:{number}: {line.strip()}"
        for where, text in TEXTS.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []
