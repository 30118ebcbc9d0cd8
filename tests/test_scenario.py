import math
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qkdrmp
from qkdrmp.errors import ScenarioError
from qkdrmp.key_rates import KEY_RATE_MODELS, BB84Sifted, Constant
from qkdrmp.qkd.family import QKDScenario
from qkdrmp.scenario_file import load_scenario, make_scenario
from qkdrmp.simulation import predict, simulate
from qkdrmp.topology import Link, Node, Topology

BASE = 'topology = "line"\nduration_s = 1\n'
COUNTED = {  # where a whole number is wanted, with the least that is allowed
    "pools.capacity": 1,
    "pools.recover": 1,
    "pools.key_length_bits": 1,
    "pools.block_keys": 1,
    "pools.interrupt": 0,
    "pools.reserve": 0,
    "pools.initial": 0,
    "queue.capacity": 0,
    "demand.concurrent": 1,
    "demand.key_num": 1,
    "demand.key_length_bits": 1,
    "sweep.replications": 1,
}
MEASURED = [  # where a number above 0 is wanted
    "duration_s",
    "channels.signal_speed_m_per_s",
    "demand.think_s",
    "demand.patience_s",
    "key_rate.mean_photons",
    "key_rate.detector_efficiency",
]


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str) -> QKDScenario:
    scenario = load_scenario(write(folder, text))
    assert isinstance(scenario, QKDScenario)
    return scenario


def error_of(folder: Path, text: str) -> str:
    """Return the message for a wrong file; each of its lines names the file."""
    path = write(folder, text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines), lines
    return "\n".join(line.removeprefix(f"{path}: ") for line in lines)


def with_value(field: str, value: Any) -> dict[str, Any]:
    raw: dict[str, Any] = {"topology": "line", "duration_s": 1}
    *sections, name = field.split(".")
    place = raw.setdefault(sections[0], {}) if sections else raw
    place[name] = value
    return raw


# What a scenario is


def test_the_defaults_need_no_more_than_a_topology_and_a_duration(tmp_path: Path) -> None:
    scenario = load(tmp_path, BASE)
    assert (scenario.kind, scenario.name, scenario.description, scenario.preset) == ("qkd", "mine", "", None)
    assert scenario.pools.capacity == 40
    assert scenario.queue.policy == "fcfs"
    assert scenario.sweep.replications == 1
    assert simulate(scenario).summary["requests_started"] > 0


@pytest.mark.parametrize("name", ["line", "beijing", "beijing_figure3"])
def test_bundled_scenarios_load_and_describe_themselves(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.description
    assert scenario.sweep.over
    assert pickle.loads(pickle.dumps(scenario)) == scenario


def test_a_scenario_does_not_change(tmp_path: Path) -> None:
    scenario = load(tmp_path, BASE)
    for section, field in ((scenario, "duration_s"), (scenario.pools, "capacity"), (scenario.sweep, "replications")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(section, field, 2)


def test_files_are_looked_for_beside_the_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    network = Topology("net", [Node("A", "end"), Node("B", "end")], [Link(("A", "B"), 1.0)])  # type: ignore[arg-type]
    qkdrmp.save_topology(network, folder / "net.json")
    write(folder, "start_s,src,dst\n0,A,B\n", "asked.csv")
    text = 'topology = "net.json"\nduration_s = 1\n[demand]\nmodel = "list"\nfile = "asked.csv"\n'
    monkeypatch.chdir(tmp_path)
    scenario = load_scenario(write(folder, text))
    assert scenario.topology == network
    assert simulate(scenario).summary["requests_started"] == 1
    assert scenario.replace({"duration_s": 2}).topology == network


def test_windows_editors_may_mark_their_files(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff" + BASE).duration_s == 1


# Presets


def test_a_preset_lies_underneath_what_the_file_says(tmp_path: Path) -> None:
    scenario = load(tmp_path, f'preset = "qnet"\n{BASE}[pools]\nreserve = 3\n[queue]\npolicy = "priority"\n')
    assert scenario.routing.policy == "through-end-nodes"
    assert scenario.channels.signal_speed_m_per_s == 3e8
    assert (scenario.pools.reserve, scenario.pools.refill_lead_delays) == (3, 5)
    assert (scenario.queue.capacity, scenario.queue.policy) == (10, "priority")


def test_a_preset_can_be_put_under_and_taken_away(tmp_path: Path) -> None:
    scenario = load(tmp_path, f"{BASE}[pools]\ncapacity = 30\n")
    preset = scenario.replace({"preset": "qnet"})
    assert (preset.pools.reserve, preset.pools.capacity) == (1, 30)
    assert preset.replace({"preset": None}) == scenario.replace({"preset": None})


def test_the_parameters_of_a_presets_model_go_with_the_model(tmp_path: Path) -> None:
    text = f"""preset = "qnet"\n{BASE}
        [demand]\nmodel = "poisson"\nrate_per_s = 3\n[key_rate]\nmodel = "constant"\nrate_bps = 1000"""
    scenario = load(tmp_path, text)
    assert scenario.demand.build().rate_per_s == 3
    assert scenario.key_rate.build() == Constant(1000)
    assert scenario.key_rate.per_direction  # not a parameter of the model


# Exceptions by node and link


def test_the_last_exception_that_applies_wins(tmp_path: Path) -> None:
    at = """
        [[pools.at]]\nnode = "R"\ncapacity = 10
        [[pools.at]]\nlink = ["R", "Bob"]\ncapacity = 20\nreserve = 2
        [[pools.at]]\nlink = ["Bob", "R"]\ncapacity = 30"""
    pools = load(tmp_path, BASE + at).pools
    assert pools.here(node="Alice", link=("Alice", "R")).capacity == 40
    assert pools.here(node="R", link=("Alice", "R")).capacity == 10
    assert pools.here(node="R", link=("R", "Bob")).capacity == 30
    assert pools.here(node="Bob", link=("Bob", "R")).reserve == 2


def test_a_links_own_settings_take_the_exceptions_of_its_nodes(tmp_path: Path) -> None:
    at = """
        [[channels.at]]\nnode = "Bob"\nsignal_speed_m_per_s = 1e8
        [[access.at]]\nnode = "Bob"\nmode = "pool"
        [[key_rate.at]]\nnode = "Bob"\nmodel = "constant"\nrate_bps = 1000"""
    scenario = load(tmp_path, BASE + at)
    for link, speed, mode, rate in (
        (("Alice", "R"), 2e8, "per-request", BB84Sifted()),
        (("R", "Bob"), 1e8, "pool", Constant(1000)),
    ):
        assert scenario.channels.here(link=link).signal_speed_m_per_s == speed
        assert scenario.access.here(link=link).mode == mode
        assert scenario.key_rate.here(link=link).build() == rate


def test_an_exception_may_choose_another_model(tmp_path: Path) -> None:
    text = f"""{BASE}
        [demand]\nmodel = "poisson"\nrate_per_s = 3\nconcurrent = 2
        [[demand.at]]\nnode = "Alice"\nmodel = "rekey"\ninterval_s = 0.5
        [[demand.at]]\nnode = "Bob"\nrate_per_s = 9"""
    scenario = load(tmp_path, text)
    assert scenario.demand.here(node="Alice").build().interval_s == 0.5
    assert scenario.demand.here(node="Bob").build().rate_per_s == 9
    assert scenario.demand.here(node="Alice").concurrent == 2
    requests = simulate(scenario).requests
    assert (requests["src"] == "Alice").sum() == 2


# Changed copies


def test_replace_gives_a_changed_copy() -> None:
    scenario = load_scenario("line")
    changed = scenario.replace({"pools.capacity": 60, "duration_s": 2, "queue.policy": "priority"})
    assert (changed.pools.capacity, changed.duration_s, changed.queue.policy) == (60, 2.0, "priority")
    assert scenario == load_scenario("line")
    assert changed.replace({"pools.capacity": 8, "duration_s": 10, "queue.policy": "fcfs"}).pools == scenario.pools
    assert scenario.replace({}) == scenario


def test_replace_takes_numpy_numbers_objects_functions_and_whole_sections() -> None:
    def backwards(waiting: Any, now: int) -> Any:
        return waiting[::-1]

    topology = load_scenario("beijing").topology
    scenario = load_scenario("line").replace({"pools.capacity": np.int64(7), "duration_s": np.float64(1.5)})
    changed = scenario.replace(
        {
            "topology": topology,
            "queue.policy": backwards,
            "key_rate": {"model": BB84Sifted(mean_photons=0.4)},
            "pools.key_length_bits": 32,
            "demand.key_length_bits": 32,
            "pools.at": [{"node": "TR1", "capacity": 9}],
        }
    )
    assert changed.pools.capacity == 7
    assert changed.topology is topology
    assert changed.queue.policy is backwards
    assert changed.key_rate.build().mean_photons == 0.4
    assert simulate(changed).summary["events"] > 0


def test_a_wrong_replacement_suggests_the_right_field() -> None:
    with pytest.raises(ScenarioError, match=r"^line: pools: unknown field 'capacty' \(did you mean 'capacity'\?\)"):
        load_scenario("line").replace({"pools.capacty": 3})


# Errors. Each row: a wrong file, and what its message says.

WRONG: dict[str, tuple[str, list[str]]] = {
    "unknown field": (BASE + "duration = 2", ["unknown field 'duration' (did you mean 'duration_s'?)", "known are"]),
    "unknown field of pools": (
        BASE + "[pools]\ncapcity = 2",
        ["pools: unknown field 'capcity' (did you mean 'capa"],
    ),
    "unknown field of access": (BASE + "[access]\nmod = 2", ["access: unknown field 'mod' (did you mean 'mode'?)"]),
    "unknown field of queue": (BASE + "[queue]\npolcy = 2", ["queue: unknown field 'polcy' (did you mean 'policy'?)"]),
    "unknown field of channels": (
        BASE + "[channels]\nspeed = 2",
        ["channels: unknown field 'speed'", "signal_speed_m"],
    ),
    "unknown field of routing": (
        BASE + "[routing]\nthrough = 2",
        ["routing: unknown field 'through'; known are at, "],
    ),
    "unknown field of key_rate": (BASE + "[key_rate]\nmean_photon = 2", ["key_rate: unknown field", "'mean_photons'"]),
    "unknown field of demand": (BASE + "[demand]\nkey_nums = 2", ["demand: unknown field", "mean 'key_num'"]),
    "unknown field of sweep": (
        BASE + "[sweep]\nreplication = 2",
        ["sweep: unknown field 'replication' (did you mean"],
    ),
    "two models mixed": (BASE + '[demand]\nmodel = "rekey"\nthink_s = 2', ["unknown field 'think_s'", "interval_s"]),
    "section is no table": ("pools = 3\n" + BASE, ["pools = 3 must be a table"]),
    "model section is no table": ("demand = [3]\n" + BASE, ["demand = [3] must be a table"]),
    "kind": ('kind = "qdk"\n' + BASE, ["kind = 'qdk' must be one of qkd"]),
    "kind is a list": ('kind = ["qkd"]\n' + BASE, ["kind = ['qkd'] must be one of qkd"]),
    "name": ("name = 3\n" + BASE, ["name = 3 must be text"]),
    "preset": ('preset = "qnett"\n' + BASE, ["preset = 'qnett' must be one of qnet (did you mean 'qnet'?)"]),
    "preset is a list": ('preset = ["qnet"]\n' + BASE, ["preset = ['qnet'] must be one of qnet"]),
    "policy": (
        BASE + '[queue]\npolicy = "fcsf"',
        ["queue.policy = 'fcsf' must be", "(did you mean 'fcfs'?), or a queue"],
    ),
    "policy is a number": (BASE + "[queue]\npolicy = 3", ["queue.policy = 3 must be one of fcfs, smallest-first"]),
    "policy is a list": (BASE + '[queue]\npolicy = ["fcfs"]', ["queue.policy = ['fcfs'] must be one of"]),
    "key-rate model": (
        BASE + '[key_rate]\nmodel = "bb84-sift"',
        ["model = 'bb84-sift' must be one of", "mean 'bb84-sifted'"],
    ),
    "key-rate model is a number": (BASE + "[key_rate]\nmodel = 3", ["key_rate.model = 3 must be one of bb84-sifted"]),
    "key-rate model is a list": (BASE + '[key_rate]\nmodel = ["constant"]', ["model = ['constant'] must be one of"]),
    "model parameter": (
        BASE + "[key_rate]\nmean_photons = 300",
        ["key_rate.mean_photons = 300.0 must be from 0.01"],
    ),
    "model parameter is text": (BASE + '[key_rate]\nmean_photons = "3"', ["mean_photons = '3' must be a number"]),
    "model parameter is missing": (BASE + '[key_rate]\nmodel = "constant"', ["key_rate.rate_bps is missing"]),
    "parameters is no table": (BASE + "[key_rate]\nparameters = 3", ["key_rate.parameters = 3 must be a table"]),
    "demand model": (BASE + '[demand]\nmodel = "poison"', ["model = 'poison' must be one of closed-loop, poisson"]),
    "demand model is true": (BASE + "[demand]\nmodel = true", ["demand.model = True must be one of closed-loop"]),
    "nobody asks": (BASE + '[demand]\nmodel = "poisson"', ["demand: give rate_per_s, or a matrix"]),
    "too fast": (BASE + '[demand]\nmodel = "poisson"\nrate_per_s = 1e13', ["rate_per_s = 10000000000000.0 must be"]),
    "users who never wait": (BASE + "[demand]\nfirst_mean_s = 0\nfirst_sd_s = 0", ["first_mean_s + first_sd_s = 0"]),
    "users who never think": (BASE + "[demand]\nthink_s = 1e-12", ["think_s = 1e-12 must be at least 2e-09 s"]),
    "users who re-key all the time": (BASE + '[demand]\nmodel = "rekey"\ninterval_s = 1e-13', ["from 1e-12 (a tick)"]),
    "users who never re-key": (
        BASE + '[demand]\nmodel = "rekey"\ninterval_s = 1e9',
        ["interval_s = 1e+09 must be", "4e+06 s"],
    ),
    "priority": (BASE + '[demand]\npriority = "high"', ["demand.priority = 'high' must be a whole number"]),
    "shorter than a tick": ('topology = "line"\nduration_s = 1e-13', ["duration_s = 1e-13 must be from 1e-12"]),
    "longer than the universe": ('topology = "line"\nduration_s = 1e300', ["duration_s = 1e+300 must be from"]),
    "date": ('topology = "line"\nduration_s = 2020-01-01', ["duration_s = datetime.date(2020, 1, 1) must be a number"]),
    "warm-up": ("warmup_s = 1\n" + BASE, ["warmup_s = 1.0 must be less than duration_s = 1.0"]),
    "warm-up up to the last tick": (
        "warmup_s = 0.9999999999999999\n" + BASE,
        ["warmup_s = 0.9999999999999999 must be less than duration_s = 1.0"],
    ),
    "interrupt and recover": (BASE + "[pools]\ninterrupt = 30\nrecover = 20", ["interrupt = 30 must be less than"]),
    "interrupt and capacity": (BASE + "[pools]\ninterrupt = 40", ["interrupt = 40 must be less than recover = 40"]),
    "recover and capacity": (BASE + "[pools]\nrecover = 50", ["recover = 50 must be at most the capacity = 40"]),
    "initial and capacity": (BASE + "[pools]\ninitial = 50", ["initial = 50 must be at most the capacity = 40"]),
    "share": (BASE + "[pools]\ninterrupt_share = 1.0", ["pools.interrupt_share = 1.0 must be less than 1"]),
    "share is no number": (BASE + "[pools]\nrecover_share = nan", ["pools.recover_share = nan must be"]),
    "replenish": (BASE + '[pools]\nreplenish = "on"', ["pools.replenish = 'on' must be 'threshold', 'demand' or"]),
    "mirrors": (BASE + '[pools]\nmirrors = "head"', ['mirrors = "head" needs replenish = "threshold"']),
    "mode": (BASE + '[access]\nmode = "pol"', ["access.mode = 'pol' must be 'per-request' or 'pool'"]),
    "yes": (BASE + '[key_rate]\nper_direction = "yes"', ["key_rate.per_direction = 'yes' must be true or false"]),
    "route policy": (
        BASE + '[routing]\npolicy = "through-repeater"',
        ["routing.policy = 'through-repeater' must be one of through-repeaters, through-end-nodes (did you mean"],
    ),
    "lead": (BASE + "[pools]\nrefill_lead_delays = inf", ["pools.refill_lead_delays = inf must be a finite number"]),
    "no topology": ("duration_s = 1", ["topology is missing"]),
    "unknown topology": (
        'topology = "lin"\nduration_s = 1',
        ["topology = 'lin' must be a file or", "mean 'line'"],
    ),
    "topology is a number": ("topology = 3\nduration_s = 1", ["topology = 3 must be a name, a path or a Topology"]),
    "broken TOML": ('topology = "line\n', ["is not valid TOML: ", "line 1"]),
    "node": (
        BASE + '[[pools.at]]\nnode = "Alise"\ncapacity = 3',
        ["pools.at, entry 1", "'Alise' (did you mean 'Alice"],
    ),
    "node of demand": (
        BASE + '[[demand.at]]\nnode = "R"\nkey_num = 3',
        ["demand.at, entry 1: line has no end node 'R'"],
    ),
    "node and link": (BASE + '[[pools.at]]\nnode = "R"\nlink = ["R", "Bob"]\nreserve = 1', ["either node or link"]),
    "neither": (BASE + "[[pools.at]]\nreserve = 1", ["pools.at, entry 1: give either node or link"]),
    "node is a list": (BASE + '[[pools.at]]\nnode = ["R"]\nreserve = 1', ["node = ['R'] must be the name of a node"]),
    "no such link": (
        BASE + '[[pools.at]]\nlink = ["Alice", "Bob"]\nreserve = 1',
        ["no link between 'Alice' and 'Bob'"],
    ),
    "link to nowhere": (BASE + '[[pools.at]]\nlink = ["R", "Bop"]\nreserve = 1', ["'Bop' (did you mean 'Bob'?)"]),
    "link of one": (BASE + '[[pools.at]]\nlink = ["R", "R"]\nreserve = 1', ["must be a list of two node names"]),
    "link of three": (BASE + '[[pools.at]]\nlink = ["Alice", "R", "Bob"]\nreserve = 1', ["a list of two node names"]),
    "link of numbers": (BASE + "[[pools.at]]\nlink = [1, 2]\nreserve = 1", ["link = [1, 2] must be a list of two"]),
    "link of lists": (BASE + '[[pools.at]]\nlink = [["R"], "Bob"]\nreserve = 1', ["must be a list of two node names"]),
    "link is text": (BASE + '[[pools.at]]\nlink = "R-Bob"\nreserve = 1', ["link = 'R-Bob' must be a list of two"]),
    "exception: field": (BASE + '[[pools.at]]\nnode = "R"\ncapcity = 3', ["entry 1: unknown field 'capcity'"]),
    "exception: value": (
        BASE + '[[pools.at]]\nnode = "R"\ncapacity = -3',
        ["entry 1: capacity = -3 must be at least 1"],
    ),
    "exception: order": (
        BASE + '[[pools.at]]\nnode = "R"\ninterrupt = 50',
        ["at, entry 1: interrupt = 50 must be less"],
    ),
    "exception: nothing": (BASE + '[[pools.at]]\nnode = "R"', ["at, entry 1: give a field"]),
    "exception: nested": (BASE + '[[pools.at]]\nnode = "R"\nat = []', ["at, entry 1: at cannot be set"]),
    "exception: mirrors": (
        BASE + '[[pools.at]]\nnode = "R"\nmirrors = "claimed"',
        ["mirrors cannot be set for a single"],
    ),
    "exception: parameter": (
        BASE + '[[key_rate.at]]\nnode = "R"\nmean_photons = 99',
        ["entry 1: mean_photons = 99.0 must"],
    ),
    "exception: model": (BASE + '[[key_rate.at]]\nnode = "R"\nmodel = "constant"', ["entry 1: rate_bps is missing"]),
    "exceptions as a table": (BASE + '[pools.at]\nnode = "R"\nreserve = 1', ["pools.at = ", "must be a list"]),
    "exceptions of numbers": (BASE + "[pools]\nat = [3]", ["pools.at, entry 1 = 3 must be a table"]),
    "queue by link": (
        BASE + '[[queue.at]]\nlink = ["R", "Bob"]\ncapacity = 1',
        ["queue.at, entry 1: give node alone"],
    ),
    "demand by link": (BASE + '[[demand.at]]\nlink = ["R", "Bob"]\nkey_num = 1', ["demand.at, entry 1: give node"]),
    "unequal ends": (
        BASE + '[access]\nmode = "pool"\n[[pools.at]]\nnode = "R"\nkey_length_bits = 8',
        ["key_length_bits is 32 at Alice and 8 at R, but must be the same at both ends"],
    ),
    "swept field without values": (
        BASE + '[sweep.over]\n"pools.capacity" = []',
        ["pools.capacity = [] must have"],
    ),
    "swept field with one value": (BASE + '[sweep.over]\n"pools.capacity" = 3', ["must be a list"]),
    "swept field without quotes": (
        BASE + "[sweep.over]\npools.capacity = [3]",
        ["sweep.over.pools = {", "must be a list"],
    ),
    "matrix: unknown users": (
        BASE + '[demand]\nmodel = "poisson"\nmatrix = [{src = "Alise", dst = "R", rate_per_s = 1}]',
        ["no end node 'Alise' (did you mean 'Alice'?)", "no end node 'R'"],
    ),
    "matrix: oneself": (
        BASE + '[demand]\nmodel = "poisson"\nmatrix = [{src = "Bob", dst = "Bob", rate_per_s = 1}]',
        ["demand.matrix, entry 1: src and dst are both 'Bob'"],
    ),
    "matrix: field": (
        BASE + '[demand]\nmodel = "poisson"\nmatrix = [{src = "Alice", dest = "Bob", rate_per_s = 1}]',
        ["matrix, entry 1: unknown field 'dest' (did you mean 'dst'?)", "matrix, entry 1: dst is missing"],
    ),
    "pairs: oneself": (
        BASE + '[demand]\nmodel = "rekey"\npairs = [["Bob", "Bob"]]',
        ["pairs, entry 1: src and dst are"],
    ),
    "pairs: one": (BASE + '[demand]\nmodel = "rekey"\npairs = [["Bob"]]', ["pairs, entry 1, entry 2 is missing"]),
    "list: empty": (BASE + '[demand]\nmodel = "list"', ["give a file, or requests, with at least one request"]),
    "list: oneself": (
        BASE + '[demand]\nmodel = "list"\nrequests = [{start_s = 0, src = "Bob", dst = "Bob"}]',
        ["demand.requests, entry 1: src and dst are both 'Bob'"],
    ),
    "list: values": (
        BASE + '[demand]\nmodel = "list"\nrequests = [{start_s = -1, src = "Alice", dst = "Bob", keys = true}]',
        ["requests, entry 1: start_s = -1 must be at least 0", "requests, entry 1: keys = True must be a whole number"],
    ),
    "users in exceptions": (
        BASE + '[[demand.at]]\nnode = "Bob"\nmodel = "rekey"\npairs = [["Bob", "Alise"]]',
        ["demand: line has no end node 'Alise' (did you mean 'Alice'?)"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_with_a_sentence(case: str, tmp_path: Path) -> None:
    text, words = WRONG[case]
    message = error_of(tmp_path, text)
    for word in words:
        assert word in message
    assert "Input should" not in message
    assert "valid integer" not in message


@pytest.mark.parametrize("value", [-1, "3", True, 2.5, math.nan, math.inf, [3], {"a": 3}])
@pytest.mark.parametrize("field", COUNTED)
def test_whole_numbers_are_not_guessed(field: str, value: Any) -> None:
    with pytest.raises(ScenarioError, match=field.rpartition(".")[2] + " = "):
        make_scenario(with_value(field, value))


@pytest.mark.parametrize("field", [field for field, least in COUNTED.items() if least == 1])
def test_zero_is_refused_where_nothing_is_no_answer(field: str) -> None:
    with pytest.raises(ScenarioError, match="= 0 must be at least 1"):
        make_scenario(with_value(field, 0))


@pytest.mark.parametrize("value", [0, -1, "3", True, math.nan, math.inf, -math.inf, [3]])
@pytest.mark.parametrize("field", MEASURED)
def test_numbers_are_not_guessed(field: str, value: Any) -> None:
    with pytest.raises(ScenarioError, match=field.rpartition(".")[2]):
        make_scenario(with_value(field, value))


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = """
        foo = 1\ntopology = "lin"\nduration_s = -1
        [pools]\ncapacity = 0\nreserve = -1
        [queue]\npolicy = "x"
        [key_rate]\nmean_photon = 1\ndead_time = 2
        [[queue.at]]\nnode = "R"\ncapacity = -1
        [[queue.at]]\nlink = ["R", "Bob"]\ncapacity = "a"
        [demand]\nkey_num = 0\nthink_s = -1"""
    message = error_of(tmp_path, text)
    expected = [
        *("unknown field 'foo'", "topology = 'lin'", "duration_s = -1", "pools.capacity = 0", "pools.reserve = -1"),
        *("queue.policy = 'x'", "'mean_photon'", "'dead_time'", "key_num = 0", "think_s = -1"),
    ]
    assert [word for word in expected if word not in message] == []
    assert len(message.splitlines()) == len(expected)


def test_what_is_wrong_only_as_a_whole_is_said_at_once_as_well(tmp_path: Path) -> None:
    text = """
        warmup_s = 5
        [[pools.at]]\nnode = "Alise"\nreserve = 1
        [[queue.at]]\nnode = "Bop"\ncapacity = 1
        [demand]\nmodel = "rekey"\npairs = [["Alice", "Bab"], ["R", "Bob"]]"""
    lines = error_of(tmp_path, BASE + text).splitlines()
    assert len(lines) == 5
    for line, word in zip(lines, ("warmup_s", "pools.at, entry 1", "queue.at, entry 1", "'Bab'", "'R'"), strict=True):
        assert word in line


def test_every_problem_of_a_topology_is_reported_under_the_scenarios_name(tmp_path: Path) -> None:
    network = """{"format": "qkdrmp-topology/1", "nodes": [{"name": "A", "kind": "end"}, {"name": "B", "kind": "end"}],
        "links": [{"ends": ["A", "B"], "length_km": -1}, {"ends": ["A", "C"], "length_km": 1}]}"""
    write(tmp_path, network, "net.json")
    lines = error_of(tmp_path, 'topology = "net.json"\nduration_s = 1').splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("topology: ") and "net.json" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("beijin", "scenario = 'beijin' must be a file or one of the bundled scenarios, beijing, beijing_figure3, "),
        ("no/such.toml", "scenario = 'no/such.toml' must be a file or one of"),
        (".", "scenario = '.' must be a file or one of"),
    ],
)
def test_an_unknown_name_or_file(name: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(name)
    assert words in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match=r"x\.toml: cannot be read as text"):
        load_scenario(path)


NO_SESSION = "it has no method session(fibre, key_bits, random)"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (3, f"key_rate.model = 3 must be one of {', '.join(KEY_RATE_MODELS)}, or a key-rate model of your own"),
        ([], f"key_rate.model = [] must be one of {', '.join(KEY_RATE_MODELS)}, or a key-rate model of your own"),
        (
            object(),
            "key_rate.model = object must be a key-rate model, but it has no method session(fibre, key_bits, random)",
        ),
        (
            object,
            "key_rate.model = object must be a key-rate model, but it has no method session(fibre, key_bits, random)",
        ),
    ],
)
def test_a_key_rate_object_must_be_one(model: Any, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario("line").replace({"key_rate": {"model": model}})
    assert str(caught.value) == f"line: {said}"


def test_a_class_stands_for_the_model_that_it_makes() -> None:
    changed = load_scenario("line").replace({"key_rate": {"model": BB84Sifted, "mean_photons": 0.4}})
    assert changed.value("key_rate").build() == BB84Sifted(mean_photons=0.4)
    with pytest.raises(ScenarioError, match="key_rate: unknown field 'mean_photon'"):
        load_scenario("line").replace({"key_rate": {"model": BB84Sifted, "mean_photon": 0.4}})


def test_an_object_has_no_parameters_beside_it() -> None:
    with pytest.raises(ScenarioError, match="unknown field 'rate_bps' beside a key-rate model object"):
        load_scenario("line").replace({"key_rate.model": BB84Sifted(), "key_rate.rate_bps": 500})


# Lists of requests

DEMAND = '[demand]\nmodel = "list"\nfile = "asked.csv"\n'


def with_list(folder: Path, csv: str) -> str:
    write(folder, csv, "asked.csv")
    return BASE + DEMAND


def test_a_list_of_requests_is_read(tmp_path: Path) -> None:
    csv = "src, dst, start_s, keys, patience_s, priority\nAlice,Bob,0.5,2,,1\nBob,Alice,0.25,,0.1,\n"
    requests = simulate(load(tmp_path, with_list(tmp_path, csv))).requests
    assert list(requests["src"]) == ["Bob", "Alice"]
    assert list(requests["start_s"]) == [0.25, 0.5]
    assert list(requests["keys"]) == [1, 2]
    assert list(requests["priority"]) == [0, 1]


def test_a_list_that_was_edited_is_read_again(tmp_path: Path) -> None:
    load(tmp_path, with_list(tmp_path, "start_s,src,dst\n0,Alice,Bob\n"))
    text = with_list(tmp_path, "start_s,src,dst\n0,Alice,Bob\n0.1,Alice,Bob\n")
    os.utime(tmp_path / "asked.csv", ns=(1, 1))
    assert simulate(load(tmp_path, text)).summary["requests_started"] == 2


def test_a_pair_without_a_route_is_no_error(tmp_path: Path) -> None:
    nodes = [Node("A", "end"), Node("B", "end"), Node("C", "end")]  # type: ignore[arg-type]
    qkdrmp.save_topology(Topology("net", nodes, [Link(("A", "B"), 1.0)]), tmp_path / "net.json")
    text = with_list(tmp_path, "start_s,src,dst\n0,A,C\n").replace('"line"', '"net.json"')
    results = simulate(load(tmp_path, text))
    assert results.summary["rejected_no_route"] == 1
    assert predict(results.scenario) == []


LISTS: dict[str, tuple[str, list[str]]] = {
    "empty": ("", ["give a file, or requests, with at least one request"]),
    "no rows": ("start_s,src,dst\n", ["give a file, or requests, with at least one request"]),
    "missing column": ("start_s,src\n0,Alice\n1,Bob\n", ["asked.csv: column dst is missing"]),
    "unknown column": ("start_s,src,dst,key\n0,Alice,Bob,1\n", ["unknown column 'key' (did you mean 'keys'?)"]),
    "semicolons": ("start_s;src;dst\n0;Alice;Bob\n", ["unknown column 'start_s;src;dst'", "column start_s is missing"]),
    "wrong number": (
        "start_s,src,dst\n0,Alice,Bob\nx,Alice,Bob\n",
        ["asked.csv: line 3: start_s = 'x' must be a number"],
    ),
    "negative": ("start_s,src,dst\n-1,Alice,Bob\n", ["line 2: start_s = '-1' must be at least 0"]),
    "not a number": ("start_s,src,dst\nnan,Alice,Bob\n", ["line 2: start_s = 'nan' must be a finite number"]),
    "part of a key": ("start_s,src,dst,keys\n0,Alice,Bob,1.5\n", ["line 2: keys = '1.5' must be a whole number"]),
    "no keys": ("start_s,src,dst,keys\n0,Alice,Bob,0\n", ["line 2: keys = '0' must be at least 1"]),
    "blank lines": ("start_s,src,dst\n\n\n0,Alice,Bob\nx,Alice,Bob\n", ["asked.csv: line 5: start_s = 'x'"]),
    "too few cells": ("start_s,src,dst\n0,Alice\n", ["asked.csv: line 2: dst is missing"]),
    "too many cells": (
        "start_s,src,dst\n0,Alice,Bob,5\n",
        ["asked.csv: line 2: unknown field 'beyond the last column'"],
    ),
    "oneself": ("start_s,src,dst\n0,Alice,Alice\n", ["asked.csv: line 2: src and dst are both 'Alice'"]),
    "unknown user": ("start_s,src,dst\n0,Alice,Bop\n", ["demand: line has no end node 'Bop' (did you mean 'Bob'?)"]),
    "repeater": ("start_s,src,dst\n0,Alice,R\n", ["demand: line has no end node 'R'"]),
    "several": (
        "start_s,src,dst\nx,Alice,Bob\n0,Bob,Bob\n-1,Alice,\n",
        ["line 2", "line 3", "line 4: start_s", "dst is"],
    ),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_wrong_list_is_refused_with_a_sentence(case: str, tmp_path: Path) -> None:
    csv, words = LISTS[case]
    message = error_of(tmp_path, with_list(tmp_path, csv))
    for word in words:
        assert word in message


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    assert "demand: asked.csv: cannot be read: No such file" in error_of(tmp_path, BASE + DEMAND)


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "asked.csv").write_bytes(b"start_s,src,dst\n\xff\xff\n")
    assert "asked.csv: cannot be read as a CSV file" in error_of(tmp_path, BASE + DEMAND)
