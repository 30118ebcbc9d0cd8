"""RuleSets of the user's own, from a file: each condition and action of the language in a run, and what is refused."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import qkdrmp
from qkdrmp.cli import main
from qkdrmp.entanglement.results.tables import EntanglementResults
from qkdrmp.entanglement.rulesets import own_rulesets
from qkdrmp.entanglement.rulesets.language import Term
from qkdrmp.entanglement.rulesets.ruleset import RuleSetStack
from qkdrmp.scenario import Scenario
from qkdrmp.scenario.writing import save_scenario
from tests.entanglement.small_networks import FOR_EVER, PERFECT, chain, fidelity_of, werner

DELIVER = {"deliver": {"pair": "p"}}
SWAP = {"swap": {"left": "l", "right": "r", "to": 1}}

Rules = dict[str, dict[int, list[dict[str, Any]]]]


def res(partner: str, *names: str) -> dict[str, Any]:
    return {"res": {"partner": partner, "n": len(names), "as": list(names)}}


def rule(*conditions: dict[str, Any], do: dict[str, Any] | list[dict[str, Any]]) -> dict[str, Any]:
    return {"if": list(conditions), "do": do if isinstance(do, list) else [do]}


def count(value: int, op: str = ">=") -> dict[str, Any]:
    return {"count": {"name": "delivered", "op": op, "value": value}}


def ends(first: str, last: str, stage: int, need: int, deliver: dict[str, Any] = DELIVER) -> Rules:
    """Return the rules of two ends that deliver what comes to a stage, until they have enough."""
    enough = rule(count(need), do={"terminate": {}})
    return {
        here: {stage: [enough, rule(res(there, "p"), do=deliver)]} for here, there in ((first, last), (last, first))
    }


SWAPPED: Rules = {"R": {0: [rule(res("A", "l"), res("B", "r"), do=SWAP)]}, **ends("A", "B", 1, 50)}
"""A - R - B: swap, and deliver 50."""


def stack(rules: Rules, path: str = "ARB", **fields: Any) -> dict[str, Any]:
    rulesets = {
        node: [{"stage": number, "rules": stages[number]} for number in sorted(stages)]
        for node, stages in rules.items()
    }
    return {"connection": "c1", "path": list(path), "need": 50, "rulesets": rulesets, **fields}


def scenario(folder: Path, rulesets: Any, path: str = "ARB", pairs: int | None = 50, **sections: Any) -> Scenario[Any]:
    """Return a scenario whose RuleSets are in a file beside it."""
    (folder / "rules.json").write_text(json.dumps(rulesets), encoding="utf-8")
    asked = {"src": path[0], "dst": path[-1], "memories": 4}
    raw = {
        "kind": "entanglement",
        "topology": chain(path, loss=0.2),
        "duration_s": 2.0,
        "setup": {"rulesets": "rules.json"},
        "demand": {"model": "listed", "connections": [asked if pairs is None else {**asked, "pairs": pairs}]},
        "links": {"fidelity": 0.9},
        "memories": FOR_EVER,
        "gates": PERFECT,
        **sections,
    }
    return qkdrmp.make_scenario(raw, folder=folder)


def simulated(made: Scenario[Any]) -> EntanglementResults:
    results = qkdrmp.simulate(made, record=["messages", "pairs", "rulesets"], check=True)
    assert results.summary["wrong_partner"] == 0
    return results


def sent(results: EntanglementResults, kind: str) -> int:
    return int((results.messages["message"] == kind).sum())


def only(results: EntanglementResults) -> Any:
    [row] = results.connections.itertuples()
    return row


# Each condition and action


def test_a_file_says_when_to_purify_and_to_swap_and_in_which_basis_to_measure(tmp_path: Path) -> None:
    def round_with(partner: str) -> dict[str, Any]:
        purify = {"purify": {"keep": "k", "sacrifice": "s", "protocol": "dejmps", "to": 1}}
        return rule(res(partner, "k", "s"), do=purify)

    swap = rule(res("A", "l"), res("B", "r"), do={"swap": {"left": "l", "right": "r", "to": 2}})
    measured = {"deliver": {"pair": "p", "basis": "Z"}}
    delivered = ends("A", "B", 2, 50, measured)
    rules = {
        "R": {0: [round_with("A"), round_with("B")], 1: [swap]},
        **{end: {0: [round_with("R")], **delivered[end]} for end in "AB"},
    }
    results = simulated(scenario(tmp_path, stack(rules)))
    assert only(results).state == "delivered"
    # DEJMPS of two Werner pairs: (A, B, B, B) leaves (A^2 + B^2, 2 B^2, 2 B^2, 2 A B)/p with p = (A + B)^2 + 4 B^2.
    a, b = 0.9, 0.1 / 3
    p = (a + b) ** 2 + 4 * b**2
    kept = [(a * a + b * b) / p, 2 * b * b / p, 2 * b * b / p, 2 * a * b / p]
    swapped = sum(weight**2 for weight in kept)
    assert list(results.pairs["fidelity"]) == pytest.approx([swapped] * 50)
    assert sent(results, "PURIFYRESULT") > 4 * 50


def test_a_repeater_promotes_frees_and_restarts_a_timer_so_that_no_pair_grows_old(tmp_path: Path) -> None:
    # Every 0.2 ms R discards what it estimates to be below 0.86; between two looks a pair loses a little more.
    tick_s, tau_s, bound = 2e-4, 0.02, 0.86
    tick = {"settimer": {"name": "tick", "seconds": tick_s}}
    old = {"fidelity": {"pair": "p", "op": "<", "value": bound}}
    swap = rule(res("A", "l"), res("B", "r"), do={"swap": {"left": "l", "right": "r", "to": 2}})

    def with_cut_off(*discard: dict[str, Any]) -> Rules:
        begin = rule(count(0, "=="), do=tick)
        again = rule({"timer": {"name": "tick"}}, do=tick)
        up = [rule(res(end, "p"), do={"promote": {"pair": "p", "to": 1}}) for end in "AB"]
        at_ends = {
            end: {0: [rule(res("R", "p"), do={"promote": {"pair": "p", "to": 1}})], **ends("A", "B", 2, 50)[end]}
            for end in "AB"
        }
        return {"R": {0: [begin, again, *up], 1: [*discard, swap]}, **at_ends}

    discard = [rule(res(end, "p"), old, do={"free": {"pair": "p"}}) for end in "AB"]
    memories = {"t1_s": tau_s, "t2_s": tau_s, "per_interface": 4}
    links = {"fidelity": 0.9, "detector_efficiency": 0.5}
    plain, cut = (
        simulated(scenario(tmp_path, stack(with_cut_off(*rules)), memories=memories, links=links))
        for rules in ([], discard)
    )
    # Each end knows of the swap after the way of its message, 110 us.
    worst = (werner(bound) * math.exp(-2 * tick_s / tau_s)) ** 2 * math.exp(-2 * 1.1e-4 / tau_s)
    assert only(plain).state == only(cut).state == "delivered"
    assert cut.pairs["fidelity"].min() > fidelity_of(worst) > plain.pairs["fidelity"].min()
    assert sent(plain, "DISCARDED") == 0 < sent(cut, "DISCARDED")
    assert cut.links["memory_used"].sum() == 0


@pytest.mark.parametrize(("kind", "pairs"), [("SWAPRESULT", 50), ("PURIFYRESULT", 0)])
def test_a_rule_waits_for_a_message_of_a_kind(tmp_path: Path, kind: str, pairs: int) -> None:
    waiting = {
        end: {1: [rule(count(50), do={"terminate": {}}), rule(res(other, "p"), {"recv": {"kind": kind}}, do=DELIVER)]}
        for end, other in ("AB", "BA")
    }
    with_warning = scenario(tmp_path, stack({"R": SWAPPED["R"], **waiting}))
    results = qkdrmp.simulate(with_warning, check=True) if pairs else None
    if results is None:
        with pytest.warns(qkdrmp.RunWarning, match="have no pair"):
            results = qkdrmp.simulate(with_warning, check=True)
    assert only(results).pairs == pairs


def test_a_user_may_end_a_connection_by_a_rule(tmp_path: Path) -> None:
    begin = rule(count(0, "=="), do={"settimer": {"name": "end", "seconds": 0.1}})
    end = rule({"timer": {"name": "end"}}, do={"terminate": {}})
    rules = {
        "R": SWAPPED["R"],
        "A": {1: [begin, end, rule(res("B", "p"), do=DELIVER)]},
        "B": {1: [rule(res("A", "p"), do=DELIVER)]},
    }
    endless = only(simulated(scenario(tmp_path, stack(rules, need=None), pairs=None)))
    assert endless.state == "delivered"
    assert endless.done_s == pytest.approx(0.1, abs=0.001)
    assert endless.pairs > 10
    aborted = only(simulated(scenario(tmp_path, stack(rules, need=10**6), pairs=10**6)))
    assert (aborted.state, aborted.reason) == ("aborted", "torn_down")
    assert aborted.pairs == endless.pairs


def test_a_network_in_a_network_hands_over_by_a_file_and_what_is_printed_is_what_is_read(tmp_path: Path) -> None:
    planned = qkdrmp.load_scenario("two_networks").replace({"duration_s": 0.05})
    save_scenario(planned, tmp_path / "planned.json")
    printed = [
        CliRunner().invoke(main, ["rulesets", str(tmp_path / "planned.json"), "--json", "--connection", name])
        for name in ("c1", "c1/A/1")
    ]
    stacks = [json.loads(one.output) for one in printed]
    assert "handover" in printed[1].output
    (tmp_path / "both.json").write_text(json.dumps(stacks), encoding="utf-8")
    given = qkdrmp.load_scenario(tmp_path / "planned.json").replace({"setup.rulesets": str(tmp_path / "both.json")})
    assert qkdrmp.predict(given) == []
    wanted, found = simulated(planned), simulated(given)
    pd.testing.assert_frame_equal(wanted.pairs, found.pairs)
    pd.testing.assert_frame_equal(wanted.rulesets, found.rulesets)
    assert len(wanted.pairs) > 50


def test_pairs_towards_a_neighbour_are_swapped_in_any_order_by_a_file(tmp_path: Path) -> None:
    planned = qkdrmp.load_scenario("chain").replace({"duration_s": 0.1, "setup.swap_order": "asap"})
    save_scenario(planned, tmp_path / "planned.json")
    text = CliRunner().invoke(main, ["rulesets", str(tmp_path / "planned.json"), "--json"]).output
    assert '"towards"' in text
    given = planned.replace({"setup.swap_order": "midpoint", "setup.rulesets": json.loads(text)})
    wanted, found = simulated(planned), simulated(given)
    pd.testing.assert_frame_equal(wanted.pairs, found.pairs)
    assert len(wanted.pairs) > 50


def test_every_term_of_the_language_is_used_by_these_tests() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    terms = {kind.key() for kind in Term.__subclasses__()}
    assert len(terms) == 14
    assert {key for key in terms if f'"{key}"' not in text} == set()


# From a file and from Python, copied and saved


def test_the_need_and_the_attempt_are_those_of_the_request(tmp_path: Path) -> None:
    results = simulated(scenario(tmp_path, stack(SWAPPED), pairs=20))
    assert (only(results).state, only(results).pairs) == ("delivered", 20)
    one = RuleSetStack.from_data(stack(SWAPPED))
    fitted = own_rulesets.fitted(one, 3, ("A", "R", "B"), 7, inside=False)
    assert (fitted.attempt, fitted.need) == (3, 7)
    assert fitted.rulesets["A"][0].rules[0].conditions[0].value == 7  # type: ignore[union-attr]
    assert fitted.rulesets["R"] == one.rulesets["R"]
    assert own_rulesets.fitted(one, 1, ("A", "R", "B"), None, inside=False).rulesets == one.rulesets


def test_files_tables_and_objects_are_the_same_and_are_kept_by_copies(tmp_path: Path) -> None:
    by_file = scenario(tmp_path, stack(SWAPPED))
    wanted = simulated(by_file)
    (tmp_path / "rules.json").unlink()  # copies need it no more
    one = RuleSetStack.from_data(stack(SWAPPED))
    again: list[Scenario[Any]] = [
        by_file.replace({"duration_s": 2.0}),
        by_file.replace({"setup.rulesets": [stack(SWAPPED)]}),
        by_file.replace({"setup.rulesets": one}),
        pickle.loads(pickle.dumps(by_file)),
    ]
    (tmp_path / "elsewhere").mkdir()
    save_scenario(by_file, tmp_path / "elsewhere" / "saved.json")
    again.append(qkdrmp.load_scenario(tmp_path / "elsewhere" / "saved.json"))
    for made in again:
        assert made.value("setup.rulesets") == (one,)
        pd.testing.assert_frame_equal(simulated(made).pairs, wanted.pairs)


def test_other_connections_are_planned(tmp_path: Path) -> None:
    made = scenario(tmp_path, [stack(SWAPPED, connection="c2")])
    asked = {"src": "A", "dst": "B", "memories": 4, "pairs": 50}
    both = made.replace({"demand.connections": [asked, {**asked, "at_s": 0.5}]})
    shown = simulated(both).rulesets.groupby("connection")["actions"].agg(set)
    assert "deliver p" in shown["c1"] & shown["c2"]


# What is refused


def refused(folder: Path, rulesets: Any, path: str = "ARB", **sections: Any) -> list[str]:
    with pytest.raises(qkdrmp.ScenarioError) as caught:
        scenario(folder, rulesets, path, **sections)
    return [line.removeprefix("scenario: setup.rulesets: ") for line in str(caught.value).splitlines()]


AT_A = "rules.json: rulesets.A, stage 1, rule 1: "
AT_R = "rules.json: rulesets.R, stage 0, rule 1: "


@pytest.mark.parametrize(
    ("node", "stage", "wrong", "said"),
    [
        ("A", 1, rule(res("X", "p"), do=DELIVER), AT_A + "res.partner = 'X' must be another node of the path (R, B)"),
        ("A", 1, rule(res("B", "p", "q"), do=DELIVER), AT_A + "the pair 'q' is taken, but no action uses it"),
        ("R", 0, rule(res("A", "p"), do=DELIVER), AT_R + "deliver must be at an end of the path"),
        (
            *("R", 0, rule(res("A", "l", "r"), do=SWAP)),
            AT_R + "swap.left and swap.right must be pairs with different partners",
        ),
        (
            *("R", 0),
            rule(
                *(res("A", "k"), res("B", "s")),
                do={"purify": {"keep": "k", "sacrifice": "s", "protocol": "bbpssw", "to": 1}},
            ),
            AT_R + "purify.keep and purify.sacrifice must be pairs with the same partner",
        ),
    ],
)
def test_wrong_rules_are_named_with_file_node_stage_and_rule(
    tmp_path: Path, node: str, stage: int, wrong: dict[str, Any], said: str
) -> None:
    assert refused(tmp_path, stack({**SWAPPED, node: {stage: [wrong]}})) == [said]


def test_other_wrong_files_are_refused(tmp_path: Path) -> None:
    without_r = {node: rules for node, rules in SWAPPED.items() if node != "R"}
    missing = "rules.json: rulesets.R is missing, because the path of the connection 'c1' has this node"
    assert refused(tmp_path, stack(without_r)) == [missing]
    assert refused(tmp_path, [stack(SWAPPED)] * 2) == ["rules.json: connection = 'c1' has RuleSets twice"]
    assert refused(tmp_path, 5) == ["rules.json: RuleSets must be a JSON object, not 5"]
    assert refused(tmp_path, stack(SWAPPED, hurry=1))[0].startswith("rules.json: unknown field 'hurry'")
    assert refused(tmp_path, stack(SWAPPED), "AQB") == ["c1: chain has no node 'R'"]
    assert refused(tmp_path, stack(SWAPPED), setup={"rulesets": "rule.json"}) == [
        f"{tmp_path / 'rule.json'} cannot be read: No such file or directory"
    ]
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    assert "broken.json must be JSON: Expecting" in refused(tmp_path, 0, setup={"rulesets": "broken.json"})[0]
    (tmp_path / "latin.json").write_bytes(b"\xe9")
    assert "latin.json cannot be read as text" in refused(tmp_path, 0, setup={"rulesets": "latin.json"})[0]


HANDOVER = {"handover": {"pair": "p", "outer": "c0#1", "side": "left"}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            stack({"S": SWAPPED["R"], **SWAPPED}, "ASRB"),
            "c1: the RuleSets given are for the path A, S, R, B, not A, R, B: it will be rejected",
        ),
        (
            stack({**SWAPPED, "A": {1: [rule(res("B", "p"), do=HANDOVER)]}}),
            "c1: the RuleSets given have the action handover, of no use in a connection that is not within a network: "
            "it will be rejected",
        ),
        (stack(SWAPPED, connection="c9"), "nobody asks for the connection 'c9', for which there are RuleSets"),
    ],
)
def test_what_does_not_fit_is_predicted_and_rejected(tmp_path: Path, given: Any, said: str) -> None:
    made = scenario(tmp_path, stack(SWAPPED))
    topology = chain("ARB", loss=0.2)
    more = qkdrmp.Topology("chain", [*topology.nodes.values(), qkdrmp.Node("S", "repeater")], topology.links)
    made = made.replace({"setup.rulesets": given, "topology": more})
    assert qkdrmp.predict(made) == [said]
    attempt = next(qkdrmp.simulate(made, check=True).attempts.itertuples())
    if "rejected" in said:
        assert (attempt.outcome, attempt.rejected_by) == ("infeasible", "B")
        assert said == f"c1: {attempt.detail}: it will be rejected"
    else:
        assert attempt.outcome == "installed"


# On the command line


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["rulesets", *arguments])
    return result.output if result.exit_code == 0 else result.stderr


def test_the_rulesets_of_a_connection_are_printed_by_node_and_stage() -> None:
    assert printed("chain", "--set", "duration_s = 0.05", "--set", "setup.swap_order=sequential").startswith(
        """c1, attempt 1: Alice > R1 > R2 > R3 > Bob, 1,000 pairs
Alice
  stage 3
    1. delivered >= 1000 -> terminate
    2. a pair p with Bob -> deliver p
R1
  stage 0
    1. a pair l with Alice, a pair r with R2 -> swap l and r, to stage 1
R2
  stage 0
    1. a pair p with R3 -> promote p to stage 1
"""
    )


@pytest.mark.parametrize(("pairs", "said"), [(1, "1 pair"), (2, "2 pairs")])
def test_the_pairs_that_a_connection_needs_are_counted(pairs: int, said: str) -> None:
    asked = f'demand.connections=[{{src = "Alice", dst = "Bob", pairs = {pairs}}}]'
    first = printed("chain", "--set", "duration_s = 0.01", "--set", asked).splitlines()[0]
    assert first == f"c1, attempt 1: Alice > R1 > R2 > R3 > Bob, {said}"


def test_terms_in_words(tmp_path: Path) -> None:
    tea = {"settimer": {"name": "tea", "seconds": 0.003}}
    recv, timer = {"recv": {"kind": "DISCARDED"}}, {"timer": {"name": "tea"}}
    low = {"fidelity": {"pair": "k", "op": "<", "value": 0.9}}
    purify = {"purify": {"keep": "k", "sacrifice": "s", "protocol": "bbpssw", "to": 2}}
    rules = [
        rule(res("B", "k", "s"), low, do=[purify, tea]),
        rule(recv, timer, count(3, "=="), do={"terminate": {}}),
        rule(res("B", "p"), do={"deliver": {"pair": "p", "basis": "Y"}}),
        rule(res("B", "p"), do={"free": {"pair": "p"}}),
        rule(res("B", "p"), do=HANDOVER),
    ]
    one = RuleSetStack.from_data(stack({"A": {1: rules}}))
    assert [f"{conditions} -> {actions}" for *_, conditions, actions in one.in_words()] == [
        "pairs k, s with B, fidelity of k < 0.9 -> purify k by s (bbpssw), to stage 2, set timer tea to 0.003 s",
        "a DISCARDED has come, timer tea has run out, delivered == 3 -> terminate",
        "a pair p with B -> deliver p measured in Y",
        "a pair p with B -> free p",
        "a pair p with B -> hand p over to c0#1",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chain", "--connection", "c2"], "--connection = 'c2' must be one of c1, which got RuleSets"),
        (["chain", "--set", "duration_s"], "--set = 'duration_s' must be FIELD=VALUE"),
        (["chain", "--set", "demand.connections = []"], "chain: no connection got RuleSets"),
        (["line"], "line: runs of kind 'qkd' have no RuleSets"),
        (["chain", "--set", "duration_s = x"], "chain: duration_s = 'x' must be a number"),
    ],
)
def test_what_cannot_be_printed_is_said(arguments: list[str], said: str) -> None:
    short = ["--set", "duration_s = 0.01"] if len(arguments) > 1 else []
    assert printed(arguments[0], *short, *arguments[1:]) == f"error: {said}\n"
