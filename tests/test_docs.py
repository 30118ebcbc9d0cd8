"""The documentation: it builds without a warning, its examples are true, and its reference leaves nothing out."""

import dataclasses
import importlib.util
import re
import subprocess
import sys
import tomllib
from html import unescape
from itertools import chain
from pathlib import Path

import pytest

import qkdrmp
import qkdrmp.entanglement.messages
import qkdrmp.entanglement.results.tables
import qkdrmp.ladder.diagram
import qkdrmp.plots
import qkdrmp.qkd.messages
import qkdrmp.qkd.tables
from qkdrmp.cli import main
from qkdrmp.config.sections import ModelSection
from qkdrmp.entanglement.family import EntanglementScenario
from qkdrmp.qkd.family import QKDScenario

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FAMILIES = {"qkd": qkdrmp.qkd, "entanglement": qkdrmp.entanglement}
SCENARIOS = {"qkd": QKDScenario, "entanglement": EntanglementScenario}
NEEDED = ("sphinx", "myst_nb", "numpydoc", "furo")

PENDING: set[str] = set()
"""Commands and names that the pages mention before they exist; who adds one removes it here."""

needs_sphinx = pytest.mark.skipif(not all(map(importlib.util.find_spec, NEEDED)), reason='needs pip install ".[docs]"')


def build(builder: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the pages without running the notebooks, which have a test of their own; what is read is read once."""
    quietly = ["-W", "--keep-going", "-q", "-D", "nb_execution_mode=off", "-d", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *quietly, "-b", builder, str(DOCS), str(folder / builder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    built = build("html", folder)
    assert built.returncode == 0, built.stderr
    return folder / "html"


def letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.lower())


def ids(page: Path) -> set[str]:
    return set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def rows(html):
    """What each row of the tables of the reference says, by its id, and the ids of everything else there."""
    found = {}
    for page in (html / "reference").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        found |= dict.fromkeys(ids(page), "")
        for ident, row in re.findall(r'<tr[^>]*\bid="([^"]+)"[^>]*>(.*?)</tr>', text, flags=re.DOTALL):
            cells = re.findall(r"<td[^>]*>(.*?)</td>", row, flags=re.DOTALL)
            found[ident] = [unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in cells]
    return found


@needs_sphinx
@pytest.mark.parametrize("family", FAMILIES)
def test_every_column_of_every_table_is_in_the_reference_with_its_meaning(rows, family):
    declared = qkdrmp.FAMILIES[family]
    tables = {"summary": declared.metrics, **{name: table.columns for name, table in declared.tables.items()}}
    for name, columns in tables.items():
        for column in columns:
            head, *unit, meaning = rows[f"{family}-table-{name}-{column.name}"]
            assert head == column.name
            assert "".join(unit) == column.unit
            assert letters(meaning)
            assert letters(meaning) == letters(column.meaning)


@needs_sphinx
@pytest.mark.parametrize("family", FAMILIES)
def test_every_message_and_field_is_in_the_reference_with_its_meaning(rows, family):
    for message in FAMILIES[family].messages.VOCABULARY:
        ident = f"{family}-message-{message.wire_name.lower()}"
        assert ident in rows
        for field in dataclasses.fields(message):
            assert rows[f"{ident}-{field.name}"][0] == field.name
            assert rows[f"{ident}-{field.name}"][-1]


@needs_sphinx
@pytest.mark.parametrize("kind", SCENARIOS)
def test_every_field_of_a_scenario_is_in_the_reference_with_its_meaning(rows, kind):
    scenario = SCENARIOS[kind]
    for section in scenario.sections():
        settings = scenario.model_fields[section].annotation
        fields = [f"{section}-{name}" for name in settings.model_fields if name not in ("at", "parameters")]
        if issubclass(settings, ModelSection):
            for key, model in settings.registry.items():
                fields += [f"{section}-{key}-{field.name}" for field in dataclasses.fields(model)]
        for field in fields:
            assert rows[f"{kind}-{field}"][-1], field
    top = set(scenario.model_fields) - {*scenario.sections(), "sweep"}
    swept = scenario.model_fields["sweep"].annotation.model_fields
    for field in chain((f"top-{name}" for name in top), (f"sweep-{name}" for name in swept)):
        assert rows[f"{kind}-{field}"][-1], field


@needs_sphinx
def test_every_public_name_is_in_the_reference(rows):
    names = [f"qkdrmp.{name}" for name in qkdrmp.__all__ if name not in ("ladder", "plots")]
    names += [f"qkdrmp.plots.{name}" for name in qkdrmp.plots.__all__]
    names += [f"qkdrmp.ladder.{name}" for name in ("Ladder", "of", "first")]
    assert [name for name in names if name not in rows] == []


@needs_sphinx
def test_every_command_and_option_is_in_the_reference(rows):
    for name, command in main.commands.items():
        assert f"command-{name}" in rows
        for option in command.params:
            if option.opts[0].startswith("--"):
                assert f"command-{name}-{option.opts[0].lstrip('-')}" in rows


@needs_sphinx
def test_every_ladder_is_there_and_described_in_words(html):
    pages = list((html / "background").glob("*.html"))
    ladders = [image for page in pages for image in re.findall(r"<img[^>]*ladder_[^>]*>", page.read_text("utf-8"))]
    assert len(ladders) > 5
    for image in ladders:
        assert "Messages in the order of sending: " in image
        source = re.search(r'src="\.\./([^"]+)"', image)
        assert (html / source[1]).stat().st_size > 1000


@needs_sphinx
def test_pages_load_nothing_from_elsewhere(html):
    for page in html.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?:[^"]+)"', page.read_text(encoding="utf-8"))
        assert loaded == [], page


@needs_sphinx
def test_the_examples_are_true(html):
    tested = build("doctest", html.parent)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    passed = re.search(r"(\d+) tests?\n", (html.parent / "doctest" / "output.txt").read_text(encoding="utf-8"))
    assert int(passed[1]) > 50


def test_the_tests_that_the_validation_page_names_are_there():
    named = re.findall(r"`(tests/\S+\.py)`", (DOCS / "background" / "validation.md").read_text(encoding="utf-8"))
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists()] == []


def blocks(language: str) -> list[tuple[str, str]]:
    """Every block of code in some language, with the page it is on."""
    pages = [path for kind in ("tutorial", "how-to", "background") for path in sorted((DOCS / kind).glob("*.md"))]
    fence = re.compile(rf"^```{language}\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
    return [(path.name, code) for path in pages for code in fence.findall(path.read_text(encoding="utf-8"))]


def test_the_commands_on_the_pages_exist_with_their_options():
    for page, code in blocks("sh"):
        for name, rest in re.findall(r"^(?:\.venv/bin/)?qkdrmp (\S+)(.*)", code, flags=re.MULTILINE):
            if name not in PENDING:
                options = {option for parameter in main.commands[name].params for option in parameter.opts}
                assert set(re.findall(r"--[a-z-]+", rest)) <= options, (page, name)


def test_the_names_of_the_package_on_the_pages_exist():
    code = "\n".join(text for language in ("python", r"\{doctest\}") for _, text in blocks(language))
    public = {*qkdrmp.__all__, *PENDING}
    assert set(re.findall(r"\bqkdrmp\.([a-z_]+)\(", code)) <= public
    for module in (qkdrmp.plots, qkdrmp.ladder):
        used = set(re.findall(rf"\b{module.__name__}\.([a-z_]+)\(", code))
        assert used <= {*vars(module), *PENDING}


def test_nothing_is_pending_that_is_there():
    assert PENDING & {*qkdrmp.__all__, *main.commands} == set()


def test_the_files_of_the_tutorial_are_a_scenario_that_runs(tmp_path):
    (city,) = [code for page, code in blocks("json") if page == "own-scenario.md"]
    (scenario,) = [code for page, code in blocks("toml") if page == "own-scenario.md"]
    (tmp_path / "city.json").write_text(city, encoding="utf-8")
    (tmp_path / "city.toml").write_text(scenario, encoding="utf-8")
    loaded = qkdrmp.load_scenario(tmp_path / "city.toml")
    summary = qkdrmp.simulate(loaded, seed=1).summary
    assert loaded.topology.name == "city"
    assert summary["requests_delivered"] > 180
    assert loaded.sweep.over == {"pools.capacity": [1, 2, 4, 8, 16]}


OWN_FILES = {
    "my_policies.py": "def largest_first(waiting, now): ...",
    "my_models.py": "from dataclasses import dataclass\n@dataclass\nclass LossOnly:\n    source_bps: float\n"
    "    def session(self, fibre, key_bits, random): ...",
    "my_demand.py": "def bursts(workload, users): ...",
    "my_metrics.py": "def slow_requests(results): ...\ndef rejects(results): ...",
    "my_reader.py": "import qkdrmp\ndef read(path, content):\n    return qkdrmp.load_topology('line')",
    "city.txt": "",
    "geant.graphml": (ROOT / "tests" / "network" / "data" / "zoo.graphml").read_text("utf-8"),
    "rules.json": '{"connection": "c1", "path": ["Alice", "Bob"], "rulesets": {'
    '"Alice": [{"stage": 0, "rules": [{"if": [{"recv": {"kind": "DISCARDED"}}], "do": [{"terminate": {}}]}]}],'
    '"Bob": [{"stage": 0, "rules": [{"if": [{"recv": {"kind": "DISCARDED"}}], "do": [{"terminate": {}}]}]}]}}',
}
"""Files that the pages name, as far as it takes to load a scenario."""


@pytest.mark.parametrize(("page", "code"), blocks("toml"), ids=lambda value: value if value.endswith(".md") else "")
def test_what_the_pages_write_in_scenario_files_is_allowed(page, code, tmp_path):
    for name, source in OWN_FILES.items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    (tmp_path / "requests.csv").write_text("start_s,src,dst\n0.5,Alice,Bob\n", encoding="utf-8")
    (tmp_path / "city.json").write_text((ROOT / "topologies" / "line.json").read_text("utf-8"), encoding="utf-8")
    raw = tomllib.loads(code)
    kind = "entanglement" if raw.get("demand", {}).get("model") == "listed" else "qkd"
    raw = {"kind": kind, "topology": "line", "duration_s": 60} | raw
    if "matrix" in raw.get("demand", {}):  # its users are those of another network
        raw["demand"] |= {"matrix": [], "rate_per_s": 1.0}
    qkdrmp.make_scenario(raw, folder=tmp_path)


@pytest.mark.parametrize("folder", ["notebooks", "docs/how-to", "docs/tutorial"])
def test_users_need_no_module_inside_of_the_package(folder):
    deep = re.compile(r"\b(?:from|import) qkdrmp\.\w+\.")
    files = [path for path in sorted((ROOT / folder).iterdir()) if path.suffix in (".md", ".ipynb")]
    assert len(files) > 2
    assert [
        (path.name, deep.findall(path.read_text("utf-8"))) for path in files if deep.search(path.read_text("utf-8"))
    ] == []


def test_the_readme_needs_no_module_inside_of_the_package():
    assert not re.search(r"\b(?:from|import) qkdrmp\.\w+\.", (ROOT / "README.md").read_text("utf-8"))


def test_every_page_is_of_one_of_four_kinds():
    pages = {path.relative_to(DOCS).parts[0] for path in [*DOCS.rglob("*.md"), *DOCS.rglob("*.rst")]}
    assert pages - {"_build", "_generated"} == {"index.md", "tutorial", "how-to", "reference", "background"}


QUESTIONS = {
    "how do I import my topology": "how-to/topology",
    "set the rate of one link": "how-to/exceptions",
    "model a link failure": "how-to/failures",
    "find the blocking probability": "how-to/stuck-pools",
    "size pools for a wait": "how-to/size-pools",
    "compare two policies": "how-to/compare",
    "run on a cluster": "how-to/cluster",
    "save to Parquet": "how-to/tables",
}
SEARCH = """question => {
  const [whole, words, without, highlighted, objects] = Search._parseQuery(question);
  return Search._performSearch(whole, words, without, highlighted, objects).pop()[0];
}"""
"""The page that the search of the documentation shows first, by the code that its own page runs."""


@needs_sphinx
def test_the_search_answers_each_question_with_its_page_first(html, browser):
    page = browser.new_page()
    page.goto((html / "search.html").as_uri())
    page.wait_for_function("Search.hasIndex()")
    first = {question: page.evaluate(SEARCH, question) for question in QUESTIONS}
    page.close()
    assert first == QUESTIONS
