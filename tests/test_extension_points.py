"""Extension points: one of each from outside, by object and by a scenario file, changes the results as it should."""

import ast
import json
import pickle
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from loky import get_reusable_executor

import qkdrmp
from qkdrmp import extension_points, plots
from qkdrmp.config.registry import Registry
from qkdrmp.entanglement.family import EntanglementScenario
from qkdrmp.metric import METRICS
from qkdrmp.network.formats import TOPOLOGY_READERS
from qkdrmp.qkd.family import QKDScenario
from qkdrmp.scenario import Scenario
from qkdrmp.scenario.writing import save_scenario
from tests.qkd.helpers import ask, line, scenario

PACKAGE = Path(qkdrmp.__file__).parent

OWN = '''
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qkdrmp import Link, Node, Topology
from qkdrmp.extension_points import (
    Agreement, Block, ConnectionRequest, ConnectionSpec, Fibre, KeyRequest, Message, Metric, OpticalLink,
    Span, TrialLaw, joined, mim, repeater_routes, to_ticks,
)


def lifo(waiting: Sequence[KeyRequest], now: int) -> Sequence[KeyRequest]:
    """Last in, first out."""
    return waiting[::-1]


@dataclass(frozen=True)
class Slow:
    """A key takes its time, whatever the fibre."""

    key_s: float = 1e-3
    fibre: Fibre | None = None

    def session(self, fibre: Fibre, key_bits: int, random: np.random.Generator) -> Slow:
        return replace(self, fibre=fibre)

    def block(self, keys: int) -> Block:
        return Block(to_ticks(keys * self.key_s), keys)


def every_millisecond(workload, users):
    while True:
        yield workload.env.timeout(to_ticks(0.001))
        workload.ask(users[0], users[-1], 1, 8)


def one_connection(workload, users):
    yield workload.env.timeout(to_ticks(0.01))
    workload.ask(ConnectionRequest(users[0], users[-1], ConnectionSpec(pairs=5)))


def back_only(topology: Topology) -> dict[tuple[str, str], tuple[str, ...]]:
    """Only the last user may ask."""
    return {pair: route for pair, route in repeater_routes(topology).items() if pair[0] == topology.ends[-1]}


def twice(link: OpticalLink) -> TrialLaw:
    """An analyser that distinguishes all four Bell states."""
    law = mim(link)
    return replace(law, success_probability=2 * law.success_probability)


class Favourite:
    """The connection that has been there longest gets three trials of four."""

    def owner(self, trial: int, agreement: Agreement):
        entries = agreement.entries
        return entries[0 if trial % 4 else trial // 4 % len(entries)].id if entries else None


def backwards(path: Sequence[str]) -> Span:
    """Swap node after node, from the Responder on."""
    first, second, *rest = path
    link = Span(first, second)
    return joined(link, backwards([second, *rest])) if rest else link


@dataclass(frozen=True)
class EveryThird:
    """Every third message of a channel is lost."""

    number: int = 3

    def session(self, source: str, target: str, random: np.random.Generator) -> Counting:
        return Counting(self.number)


class Counting:
    def __init__(self, number: int) -> None:
        self.number, self.sent = number, 0

    def copies(self, message: Message) -> list[int]:
        self.sent += 1
        return [] if self.sent % self.number == 0 else [0]


def read_lines(path, content: str) -> Topology:
    """A topology of three lines, such as "Alice R 12.5"."""
    links = [line.split() for line in content.splitlines()]
    names = dict.fromkeys(name for a, b, _ in links for name in (a, b))
    nodes = [Node(name, "repeater" if name.startswith("R") else "end") for name in names]
    return Topology(path.stem, nodes, [Link((a, b), float(km)) for a, b, km in links])


def longest_wait_s(results) -> float:
    """The longest time that a request waited."""
    return results.requests["wait_s"].max()


rejects = Metric("rejects", "REJECTs", lambda run: (run.messages["message"] == "REJECT").sum(), record=["messages"])
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("own")
    (made / "own.py").write_text(OWN, encoding="utf-8")
    (made / "three.net").write_text("Alice R1 1\nR1 R2 2\nR2 Bob 3\n", encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def own(folder: Path) -> Iterator[ModuleType]:
    """The objects of the file, as a program has them that runs it."""
    module = sys.modules["own_models"] = ModuleType("own_models")
    exec(compile(OWN, str(folder / "own.py"), "exec"), vars(module))
    yield module
    del sys.modules["own_models"]


def qkd() -> Scenario[Any]:
    """Return a scenario in which requests of four keys wait for pools of four."""
    asked = [ask(keys=4, at_us=number) for number in range(5)]
    pools = {"capacity": 40, "initial": 40, "at": [{"link": ["R1", "R2"], "capacity": 4, "initial": 4}]}
    key_rate = {"model": "constant", "rate_bps": 8e5}
    return scenario(line(1, 2, 3), asked, pools=pools, access={"mode": "pool"}, key_rate=key_rate)


BASES: Mapping[str, Callable[[], Scenario[Any]]] = {
    "qkd": qkd,
    "chain": lambda: qkdrmp.load_scenario("chain").replace({"duration_s": 0.05}),
    "shared_link": lambda: qkdrmp.load_scenario("shared_link"),
}


def from_file(folder: Path, base: Scenario[Any], fields: Mapping[str, Any]) -> Scenario[Any]:
    """Return a scenario out of a file that names objects of ``own.py``."""
    save_scenario(base, folder / "scenario.json")
    raw = json.loads((folder / "scenario.json").read_text(encoding="utf-8"))
    for field, value in fields.items():
        section, _, name = field.partition(".")
        if not name:
            raw[section] = value
        else:
            raw[section] = {name: value} if name == "model" else {**raw.get(section, {}), name: value}
    (folder / "mine.json").write_text(json.dumps(raw), encoding="utf-8")
    return qkdrmp.load_scenario(folder / "mine.json")


def deliveries(results: Any) -> list[int]:
    delivered = results.requests[results.requests["state"] == "delivered"]
    return list(delivered.sort_values("end_s")["id"])


def states(results: Any) -> list[str]:
    return list(results.requests["state"])


def lost_from_alice(results: Any) -> list[int]:
    sent = results.messages.query("source == 'Alice'").reset_index()
    return list(sent.index[sent["received_s"].isna()])


def favour(results: Any) -> bool:
    given = results.allocations.query("link == 'R1-R2'").set_index("connection")["trials"]
    return bool(given["A"] > 2 * given["B"] > 0)


def told_by_r1(results: Any) -> set[str]:
    messages = results.messages
    return set(messages[(messages["message"] == "SWAPRESULT") & (messages["source"] == "R1")]["target"])


Case = tuple[str, str, str, Callable[[Any], Any], Any, Any]
CASES: Mapping[str, Case] = {
    # By Protocol: scenario, field, name in the file, and what shows the effect: without, and with it.
    "QueuePolicy": ("qkd", "queue.policy", "lifo", deliveries, [1, 2, 3, 4, 5], [1, 5, 4, 3, 2]),
    "RoutePolicy": ("qkd", "routing.policy", "back_only", states, ["delivered"] * 5, ["rejected"] * 5),
    "KeyRateModel": ("qkd", "key_rate.model", "Slow", deliveries, [1, 2, 3, 4, 5], [1, 2, 3]),
    "RequestDemand": ("qkd", "demand.model", "every_millisecond", lambda run: len(run.requests), 5, 9),
    "ConnectionDemand": (
        *("chain", "demand.model", "one_connection"),
        *(lambda run: [*run.connections["asked_s"], *run.connections["need"]], [0.001, 1000], [0.01, 5]),
    ),
    "LinkModel": (
        *("chain", "links.model", "twice"),
        *(lambda run: round(run.links["success_probability"].iloc[0], 4), 0.1612, 0.3225),
    ),
    "LinkPolicy": ("shared_link", "allocation.policy", "Favourite", favour, False, True),
    "SwapOrder": ("chain", "setup.swap_order", "backwards", told_by_r1, {"Alice", "R2"}, {"Alice", "Bob"}),
    "FaultModel": ("qkd", "faults.model", "EveryThird", lost_from_alice, [], [2]),
}


@pytest.mark.parametrize("protocol", CASES)
def test_one_of_ones_own_has_its_effect_by_object_and_by_file(protocol: str, folder: Path, own: ModuleType) -> None:
    base, field, name, shown, without, effect = CASES[protocol]
    plain, one = BASES[base](), vars(own)[name]
    section = field.removesuffix(".model")
    by_object = plain.replace({field: one} if section == field else {section: {"model": one}})
    by_file = from_file(folder, plain, {field: f"own.py:{name}"})
    results = [qkdrmp.simulate(made, record="messages") for made in (plain, by_object, by_file)]
    assert [shown(result) for result in results] == [without, effect, effect]
    assert all(table.equals(results[2].tables[key]) for key, table in results[1].tables.items())


# What else a file can say


def test_a_class_in_a_file_has_its_parameters_beside_its_name(folder: Path) -> None:
    fast = from_file(folder, qkd(), {"key_rate.model": "own.py:Slow"}).replace({"key_rate.key_s": 1e-6})
    assert deliveries(qkdrmp.simulate(fast)) == [1, 2, 3, 4, 5]
    assert fast.value("key_rate.key_s") == 1e-6
    with pytest.raises(qkdrmp.ScenarioError, match=r"unknown field 'key' \(did you mean 'key_s'\?\); known are key_s"):
        fast.replace({"key_rate.key": 1e-6})
    with pytest.raises(qkdrmp.ScenarioError, match=r"key_rate\.key_s = 'long' must be a number"):
        fast.replace({"key_rate.key_s": "long"})


def test_an_exception_takes_an_object_of_ones_own_as_well(folder: Path) -> None:
    at = [{"node": "R2", "policy": "own.py:lifo"}, {"node": "R1", "policy": "priority"}]
    made = from_file(folder, qkd(), {"queue.at": at})
    assert made.value("queue.policy") == "fcfs"
    assert [made.queue.here(node=node).function().__name__ for node in ("R1", "R2", "Bob")] == [
        "priority",
        "lifo",
        "fcfs",
    ]
    assert deliveries(qkdrmp.simulate(made)) == [1, 5, 4, 3, 2]


def test_an_installed_module_can_be_named() -> None:
    made = qkd().replace({"queue.policy": "qkdrmp.extension_points:smallest_first"})
    assert made.queue.function() is extension_points.smallest_first


def test_a_topology_may_have_a_format_of_ones_own(folder: Path, own: ModuleType) -> None:
    (folder / "mine.toml").write_text(
        'topology = { file = "three.net", format = "own.py:read_lines" }\nduration_s = 1\n', encoding="utf-8"
    )
    made = qkdrmp.load_scenario(folder / "mine.toml")
    assert made.topology == qkdrmp.load_topology(folder / "three.net", own.read_lines)
    assert made.topology == qkdrmp.load_topology(folder / "three.net", f"{folder}/own.py:read_lines")
    assert [link.length_km for link in made.topology.links] == [1, 2, 3]
    assert made.replace({"duration_s": 2}).topology is made.topology
    assert qkdrmp.simulate(made).summary["requests_delivered"] > 0
    in_python = {"topology": {"file": str(folder / "three.net"), "format": own.read_lines}, "duration_s": 1}
    assert qkdrmp.make_scenario(in_python).topology == made.topology


# Metrics


def test_a_metric_of_ones_own_is_in_the_summary(folder: Path, own: ModuleType) -> None:
    by_object = qkdrmp.simulate(qkd().replace({"metrics": [own.longest_wait_s, own.rejects]}))
    by_file = qkdrmp.simulate(from_file(folder, qkd(), {"metrics": ["own.py:longest_wait_s", "own.py:rejects"]}))
    assert by_object.summary.equals(by_file.summary)
    assert list(by_file.summary.index[-2:]) == ["longest_wait_s", "rejects"]
    assert by_file.summary["longest_wait_s"] == by_file.requests["wait_s"].max() > 0
    assert by_file.summary["rejects"] == 0
    assert by_file.summary[:-2].equals(qkdrmp.simulate(qkd()).summary)


def test_a_metric_of_ones_own_is_swept_summarised_compared_and_drawn(folder: Path) -> None:
    made = from_file(folder, qkd(), {"metrics": ["own.py:longest_wait_s"]})
    made = made.replace({"demand": {"model": "poisson", "rate_per_s": 20000.0, "key_num": 4, "key_length_bits": 8}})
    over = {"queue.policy": ["fcfs", "own.py:lifo"], "duration_s": [0.001, 0.002]}
    with ThreadPoolExecutor(1) as executor:
        runs = qkdrmp.sweep(made, over, 2, executor=executor, progress=False, precision=10, metric="longest_wait_s")
    again = made.replace({"queue.policy": "own.py:lifo", "duration_s": 0.001})
    row = runs[(runs["queue.policy"] == "own.py:lifo") & (runs["duration_s"] == 0.001)].iloc[0]
    assert qkdrmp.simulate(again, int(row["seed"])).summary["longest_wait_s"] == row["longest_wait_s"] > 0
    assert "longest_wait_s_mean" in qkdrmp.summarise(runs, ["queue.policy", "duration_s"])
    compared = qkdrmp.compare(runs, "queue.policy", baseline="fcfs", metrics=["longest_wait_s"])
    assert set(compared["metric"]) == {"longest_wait_s"}
    assert plots.readable(runs, "longest_wait_s").get_ylabel() == "longest wait (ms)"
    assert plots.readable(runs, "keys_delivered").get_ylabel() == "keys delivered"


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (
            ["own.py:longest_wait"],
            "must name something in own.py, which has no 'longest_wait' (did you mean 'longest_wait_s'",
        ),
        ([3], "metrics, entry 1 = 3 must be a metric of your own"),
        (["own.py:longest_wait_s"] * 2, "metrics must have different names, not 'longest_wait_s' twice"),
        (["own.py:Slow"], "metrics, entry 1 = 'own.py:Slow' must be a metric, but it has no method get(results)"),
        ("own.py:rejects", "metrics = 'own.py:rejects' must be a list"),
    ],
)
def test_wrong_metrics_are_said_in_one_sentence(metrics: Any, said: str, folder: Path) -> None:
    with pytest.raises(qkdrmp.ScenarioError) as caught:
        from_file(folder, qkd(), {"metrics": metrics})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_metrics_that_cannot_be_measured_are_refused() -> None:
    def wait_mean_s(results: Any) -> float:
        return 0.0

    def words(results: Any) -> Any:
        return "many"

    with pytest.raises(qkdrmp.QKDRMPError, match="metrics: 'wait_mean_s' must be another name"):
        qkdrmp.simulate(qkd().replace({"metrics": [wait_mean_s]}))
    with pytest.raises(qkdrmp.QKDRMPError, match="metric words must return a number, not 'many'"):
        qkdrmp.simulate(qkd().replace({"metrics": [words]}))
    strange = extension_points.Metric("strange", "", len, record=["pairs"])
    with pytest.raises(qkdrmp.QKDRMPError, match="record = 'pairs' must be one of messages, levels"):
        qkdrmp.simulate(qkd().replace({"metrics": [strange]}))


# Sweeps


def everything(folder: Path) -> Scenario[Any]:
    fields = {"queue.policy": "own.py:lifo", "key_rate.model": "own.py:Slow", "metrics": ["own.py:longest_wait_s"]}
    made = from_file(folder, qkd(), fields)
    at = [{"link": ["R1", "R2"], "model": "own.py:Slow", "key_s": 1e-5}]
    return made.replace({"key_rate.key_s": 1e-4, "key_rate.at": at})


def test_a_scenario_with_objects_out_of_files_goes_to_workers_of_any_kind(folder: Path) -> None:
    made, over = everything(folder), {"queue.policy": ["fcfs", "own.py:lifo"]}

    def swept(executor: Any) -> Any:
        return qkdrmp.sweep(made, over, 2, executor=executor, progress=False)

    with ThreadPoolExecutor(1) as threads, ProcessPoolExecutor(1, get_context("spawn")) as spawned:
        here, plain, by_loky = swept(threads), swept(spawned), swept(get_reusable_executor(1))
    assert not here["failed"].any()
    assert here["longest_wait_s"].nunique() > 1
    assert plain.equals(here)
    assert by_loky.equals(here)


def test_dask_workers_of_another_process_get_the_file_as_well(folder: Path) -> None:
    distributed = pytest.importorskip("distributed")
    made = everything(folder)
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        runs = qkdrmp.sweep(made, {}, 2, executor=client.get_executor(pure=False), progress=False)
    with ThreadPoolExecutor(1) as threads:
        assert runs.equals(qkdrmp.sweep(made, {}, 2, executor=threads, progress=False))


def test_a_pickle_is_of_the_same_scenario(folder: Path) -> None:
    made = everything(folder)
    assert pickle.loads(pickle.dumps(made)) == made


def test_a_sweep_keeps_the_file_and_notices_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "own.py").write_text(OWN, encoding="utf-8")
    made = from_file(tmp_path / "study", qkd(), {"key_rate.model": "own.py:Slow"})
    over = {"queue.policy": ["fcfs", "own.py:lifo"]}

    def swept(scenario: Scenario[Any], replications: int, folder: str = "out") -> Any:
        with ThreadPoolExecutor(1) as executor:
            return qkdrmp.sweep(
                scenario, over, replications, folder=tmp_path / folder, executor=executor, progress=False
            )

    first = swept(made, 1)
    assert (tmp_path / "out" / "own.py").read_text(encoding="utf-8") == OWN
    kept = qkdrmp.load_experiment(tmp_path / "out")
    assert str(kept.scenario.key_rate.build()) == str(made.key_rate.build())
    assert kept.scenario.sweep.over == over
    assert swept(kept.scenario, 2)[lambda runs: runs["replication"] == 0].reset_index(drop=True).equals(first)
    for old, new, changed in (("waiting[::-1]", "waiting[::1]", "a swept value"), ("1e-3", "2e-3", "another scenario")):
        (tmp_path / "study" / "own.py").write_text(OWN.replace(old, new), encoding="utf-8")
        again = qkdrmp.load_scenario(tmp_path / "study" / "mine.json")
        with pytest.raises(qkdrmp.StoreError, match=changed):
            swept(again, 2)


# What is wrong is said in one sentence

WRONG: Mapping[str, tuple[dict[str, Any], str]] = {
    "no file": ({"queue.policy": "onw.py:lifo"}, "queue.policy = 'onw.py:lifo' must name a file, but there is no "),
    "no name": (
        {"queue.policy": "own.py:lfo"},
        "queue.policy = 'own.py:lfo' must name something in own.py, which has no 'lfo' (did you mean 'lifo'?)",
    ),
    "no module": (
        {"queue.policy": "no.module:lifo"},
        "queue.policy = 'no.module:lifo' must name a module that can be imported: No module named 'no'",
    ),
    "no name in a module": (
        {"queue.policy": "qkdrmp.extension_points:lifo"},
        "must name something in qkdrmp.extension_points, which has no 'lifo'",
    ),
    "syntax": (
        {"queue.policy": "broken.py:lifo"},
        "must name a file that can be loaded: broken.py, line 2: SyntaxError: ",
    ),
    "an error": (
        {"queue.policy": "failing.py:lifo"},
        "must name a file that can be loaded: failing.py, line 3: ZeroDivisionError: division by zero",
    ),
    "shape of a function": (
        {"queue.policy": "own.py:twice"},
        "queue.policy = 'own.py:twice' must be a queue policy, but it cannot be called with (waiting, now)",
    ),
    "shape of an object": (
        {"key_rate.model": "own.py:Favourite"},
        "key_rate.model = Favourite must be a key-rate model, but it has no method session(fibre, key_bits, random)",
    ),
    "a class with parameters": (
        {"queue.policy": "own.py:Counting"},
        "queue.policy = 'own.py:Counting' must be a queue policy, but the class cannot be called: ",
    ),
    "reader": (
        {"topology": {"file": "three.net", "format": "own.py:Slow"}},
        "topology.format = 'own.py:Slow' must be a topology reader, but it cannot be called with (path, content)",
    ),
    "reader by an unknown name": (
        {"topology": {"file": "three.net", "format": "graphlm"}},
        "topology.format = 'graphlm' must be one of qkdrmp, qnet, node-link, graphml, csv (did you mean 'graphml'?)",
    ),
    "no file of a topology": ({"topology": {"format": "own.py:read_lines"}}, "topology.file is missing"),
    "exception": (
        {"queue.at": [{"node": "R1", "policy": "own.py:lfo"}]},
        "queue.at, entry 1: policy = 'own.py:lfo' must name something in own.py, which has no 'lfo'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(case: str, folder: Path) -> None:
    (folder / "broken.py").write_text("x = 1\ndef lifo(:\n", encoding="utf-8")
    (folder / "failing.py").write_text("x = 0\n\nlifo = 1 / x\n", encoding="utf-8")
    fields, said = WRONG[case]
    with pytest.raises(qkdrmp.ScenarioError) as caught:
        from_file(folder, qkd(), fields)
    message = str(caught.value)
    assert said in message
    assert message.startswith(f"{folder / 'mine.json'}: ")
    assert "\n" not in message
    assert not re.search(r"Traceback|pydantic|object at 0x", message)


def test_a_route_policy_must_follow_links() -> None:
    def straight(topology: Any) -> Any:
        return {("Alice", "Bob"): ("Alice", "Bob")}

    def nothing(topology: Any) -> Any:
        return None

    with pytest.raises(qkdrmp.QKDRMPError, match=r"route policy straight: \('Alice', 'Bob'\) .* must follow links"):
        qkdrmp.simulate(qkd().replace({"routing.policy": straight}))
    with pytest.raises(qkdrmp.QKDRMPError, match="route policy nothing must return a mapping"):
        qkdrmp.simulate(qkd().replace({"routing.policy": nothing}))


# One table for each kind of thing, and one file to touch for a further one

SCENARIOS = {"qkd": QKDScenario, "entanglement": EntanglementScenario}


def registries() -> dict[str, Registry[Any]]:
    """Return the registry behind each field of a scenario, by kind and path."""
    found: dict[str, Registry[Any]] = {"topology": TOPOLOGY_READERS, "metrics": METRICS}
    for kind, scenario_class in SCENARIOS.items():
        for section in scenario_class.sections():
            settings = scenario_class.model_fields[section].annotation
            assert settings is not None
            found |= {f"{kind}: {section}.{field}": registry for field, registry in settings.registries().items()}
    return found


def test_the_table_of_extension_points_is_complete() -> None:
    rows = re.findall(r"^`(\w+)` .*?``([\w.]+)``", extension_points.__doc__ or "", flags=re.MULTILINE)
    table = {(name, field) for name, field in rows}
    fields = {(registry.shape.__name__, field.rpartition(" ")[2]) for field, registry in registries().items()}
    assert table == fields
    assert {name for name, _ in table} <= set(extension_points.__all__)
    assert {*CASES, "TopologyReader", "RunMetric"} == {name for name, _ in table}


def modules_with(pattern: Callable[[ast.AST], bool]) -> set[str]:
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "extension_points.py"  # which lists the names of Python
        if any(map(pattern, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }


def test_there_is_one_registry_for_each_protocol() -> None:
    def makes_a_registry(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and ast.unparse(node.func) == "Registry"

    assert modules_with(makes_a_registry) == {
        *("qkd/layers/queue_policies.py", "qkd/demand/models.py", "key_rates/__init__.py", "network/routing.py"),
        *("network/faults.py", "network/formats.py", "metric.py", "entanglement/demand.py"),
        *("entanglement/links/models.py", "entanglement/links/policies.py", "entanglement/rulesets/swap_tree.py"),
    }
    shapes = [registry.shape for registry in {id(registry): registry for registry in registries().values()}.values()]
    assert len(set(shapes)) == len(shapes) == 11


WORDS = {
    "bbm92",
    "list",
    "listed",
    "constant",
    "priority",
    "random",
    "poisson",
    "circuit",
    "lottery",
    "qnet",
    "qkdrmp",
    "csv",
}
"""Names that are words of the language as well, or, as in the cases of QNET and BBM92, the name of something else."""


@pytest.mark.parametrize("field", registries())
def test_a_name_that_comes_with_the_package_is_in_its_registry_and_in_settings_only(field: str) -> None:
    registry = registries()[field]
    for name in registry.keys() - WORDS:

        def says_it(node: ast.AST, name: str = name) -> bool:
            return isinstance(node, ast.Constant) and node.value == name

        places = modules_with(says_it)
        homes = {place for place in places if not place.endswith("settings.py")}
        assert len(homes) == 1, (name, places)
