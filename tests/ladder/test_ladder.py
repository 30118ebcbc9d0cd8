import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from qkdrmp import QKDRMPError, load_scenario, simulate
from qkdrmp.cli import main
from qkdrmp.entanglement.results.tables import EntanglementResults
from qkdrmp.family import FAMILIES, Results
from qkdrmp.kernel.units import to_seconds, to_ticks
from qkdrmp.ladder.colours import PALETTE, colours
from qkdrmp.ladder.diagram import ARROW_COLUMNS, NOTE_COLUMNS, Ladder, first, of
from qkdrmp.ladder.time_axis import TimeAxis
from qkdrmp.qkd.tables import QKDResults

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


@cache
def line() -> Results:
    return simulate(load_scenario("line").replace({"duration_s": 1, "warmup_s": 0}), record=["messages"])


@cache
def beijing() -> Results:
    return simulate(load_scenario("beijing_figure3").replace({"duration_s": 0.05}), record=["messages"])


def entangled() -> Results:
    """Return what a run of an entanglement network might give: c1 over an inner connection c1/0, and c2 beside it."""
    us = 1e-6
    rows = [
        ("c1", "CSR", "A", "R1", 100, 150, ""),
        ("c2", "CSR", "R1", "B", 110, 160, ""),
        ("c1/0", "CSR", "R1", "X", 150, 175, ""),
        ("c1/0", "CSR", "X", "R2", 175, 200, ""),
        ("c1/0", "RESPONSE", "R2", "X", 200, 225, ""),
        ("c1/0", "RESPONSE", "R2", "R1", 200, 250, ""),
        ("c1", "CSR", "R1", "R2", 250, 300, ""),
        ("c1", "CSR", "R2", "B", 300, 350, ""),
        ("c1", "RESPONSE", "B", "B", 350, 350, ""),
        ("c1", "RESPONSE", "B", "R2", 350, 400, ""),
        ("c1", "RESPONSE", "B", "R1", 350, 450, ""),
        ("c1", "RESPONSE", "B", "A", 350, 500, ""),
        ("c1,c2", "LAU", "R2", "B", 400, 450, ""),
        ("c1,c2", "LAU", "B", "R2", 400, 450, ""),
        ("c1,c2", "BARRIER", "R2", "B", 450, 500, "241"),
        ("c1,c2", "BARRIER", "B", "R2", 450, math.nan, "242"),
        ("c1,c2", "BARRIER", "B", "R2", 600, 650, "242"),
        ("c1", "SWAPRESULT", "R1", "A", 700_000, 700_050, "01"),
        ("c10", "CSR", "A", "R1", 800_000, 800_050, ""),
        ("c1", "TEARDOWN", "A", "R1", 1_320_000, 1_320_050, ""),
        ("c1", "TERMINATION", "A", "B", 1_320_000, 1_320_150, ""),
        ("c1", "TEARDOWN", "R1", "R2", 1_320_050, 1_320_100, ""),
        ("c1", "TEARDOWN", "R2", "B", 1_320_100, 1_320_150, ""),
    ]
    columns = ["connections", "message", "source", "target", "sent_s", "received_s", "detail"]
    messages = pd.DataFrame(rows, columns=columns)
    messages[["sent_s", "received_s"]] *= us
    milestones = pd.DataFrame(
        [
            ("c1", 100 * us, "A", "asked"),
            ("c1/0", 200 * us, "R2", "RuleSets made"),
            ("c1", 350 * us, "B", "RuleSets made"),
            ("c1", 400 * us, "R2", "RuleSet installed"),
            ("c1", 450 * us, "R1", "RuleSet installed"),
            ("c1", 500 * us, "A", "RuleSet installed"),
            ("c1", 650 * us, "R2,B", "armed"),
            ("c1", 1_320_150 * us, "B", "terminated"),
            ("c2", 0.5, "B", "asked"),
        ],
        columns=["connection", "time_s", "node", "event"],
    )
    connections = pd.DataFrame(
        [("c1", "A", "B", "A>R1>X>R2>B", "delivered"), ("c2", "R1", "B", "", "unfinished")],
        columns=["id", "src", "dst", "path", "state"],
    )
    tables = {"messages": messages, "milestones": milestones, "connections": connections}
    return EntanglementResults(load_scenario("chain"), 1, pd.Series(dtype=object), tables)


@cache
def shared() -> Results:
    return simulate(load_scenario("shared_link").replace({"duration_s": 0.15}), record=["messages"])


def ladder_of(count: int, latency: float = 5e-5, title: str = "many") -> Ladder:
    nodes = tuple("ABCDE")
    luck = np.random.default_rng(1)
    sent = np.sort(luck.uniform(0, count * 2e-5, count))
    ends = [luck.choice(5, 2, replace=False) for _ in sent]
    rows = [
        (nodes[a], nodes[b], f"KIND{n % 11}", time, time + latency * abs(a - b), "")
        for n, (time, (a, b)) in enumerate(zip(sent, ends, strict=True))
    ]
    return Ladder(title, nodes, pd.DataFrame(rows, columns=ARROW_COLUMNS), pd.DataFrame(columns=NOTE_COLUMNS))


def arrows_of(mermaid: str) -> list[str]:
    return [text.strip() for text in mermaid.splitlines() if re.match(r"    n\d+-", text)]


# What is shown


def test_the_messages_of_a_request_on_the_line_in_the_order_of_the_protocol() -> None:
    delivered = line().requests[(line().requests["state"] == "delivered") & (line().requests["src"] == "Alice")]
    messages = line().messages
    claimed = set(messages.loc[messages["message"] == "CLAIM", "request"])
    drawn = of(line(), next(int(one) for one in delivered["id"] if one not in claimed))
    assert drawn.nodes == ("Alice", "R", "Bob")
    assert [tuple(row) for row in drawn.arrows[["message", "source", "target"]].to_numpy()] == [
        ("REQUEST", "Alice", "R"),
        ("REQUEST", "R", "Bob"),
        ("ACCEPT", "Bob", "R"),
        ("ACCEPT", "R", "Alice"),
        ("CONFIRM", "R", "Bob"),
        ("CIPHERTEXT", "R", "Bob"),
        ("ACKNOWLEDGE", "Bob", "R"),
        ("DONE", "Bob", "R"),
        ("DONE", "R", "Alice"),
    ]
    assert list(drawn.notes["text"]) == ["asked", "delivered"]


def test_a_request_from_the_other_end_has_the_nodes_the_other_way_round() -> None:
    asked_by_bob = line().requests.loc[line().requests["src"] == "Bob", "id"].iloc[0]
    assert of(line(), asked_by_bob).nodes == ("Bob", "R", "Alice")


@pytest.mark.parametrize("results", [line(), beijing()], ids=["line", "beijing"])
def test_no_message_is_left_out_or_made_up(results: Results) -> None:
    for request in results.requests["id"]:
        drawn = of(results, request)
        sent = results.messages[results.messages["request"] == request].sort_values("sent_s", kind="stable")
        assert drawn.arrows.equals(sent[ARROW_COLUMNS].reset_index(drop=True))
        shown = [re.split(r"->>|: ", text) for text in arrows_of(drawn.mermaid())]
        alias = {f"n{number}": name for number, name in enumerate(drawn.nodes)}
        words = [f"{kind} {detail}".strip() for kind, detail in zip(sent["message"], sent["detail"], strict=True)]
        assert [alias[source] for source, _, _ in shown] == list(sent["source"])
        assert [alias[target] for _, target, _ in shown] == list(sent["target"])
        assert [text for _, _, text in shown] == words


def test_a_rejection_is_noted_where_and_when_it_happened() -> None:
    requests = beijing().requests
    rejected = requests[(requests["rejected_by"] != requests["src"]) & (requests["state"] == "rejected")].iloc[0]
    drawn = of(beijing(), rejected["id"])
    note = drawn.notes.iloc[-1]
    assert (note["node"], note["text"]) == (rejected["rejected_by"], f"rejected ({rejected['reason']})")
    assert note["time_s"] == drawn.arrows.loc[drawn.arrows["message"] == "REJECT", "sent_s"].iloc[0]
    assert drawn.title.endswith(f"{rejected['src']} to {rejected['dst']}, rejected ({rejected['reason']})")


def test_a_request_without_a_route_has_no_messages() -> None:
    drawn = of(beijing(), beijing().requests.loc[beijing().requests["reason"] == "no_route", "id"].iloc[0])
    assert drawn.arrows.empty
    assert list(drawn.notes["text"]) == ["asked", "rejected (no_route)"]
    assert drawn.draw().get_yticklabels()


def test_the_first_delivered_request_or_the_first_connection_not_rejected() -> None:
    states = line().requests.set_index("id")["state"]
    assert first(line()) == states[states == "delivered"].index[0]
    assert first(entangled()) == "c1"
    empty = QKDResults(line().scenario, 1, line().summary, {"requests": line().requests.iloc[:0]})
    with pytest.raises(QKDRMPError, match="nothing to draw: the run has no requests"):
        first(empty)


def test_a_connection_over_a_shared_link_has_what_concerns_it() -> None:
    drawn = of(shared(), "C")
    assert drawn.nodes == ("C1", "R1", "R2", "C2")
    messages = shared().messages
    shown = messages[messages["connections"].map(lambda names: "C" in names.split(","))]
    assert set(drawn.arrows["message"]) == {"CSR", "RESPONSE", "LAU", "BARRIER", "TERMINATION"}
    assert len(drawn.arrows) == len(shown[~shown["message"].isin(["SWAPRESULT", "PURIFYRESULT"])])
    others = {"A1", "A2", "B1", "B2"}
    assert not others & {*drawn.arrows["source"], *drawn.arrows["target"], *drawn.notes["node"]}
    assert {"asked", "RuleSet installed", "RuleSet terminated"} <= set(drawn.notes["text"])


def test_acks_are_in_no_ladder() -> None:
    faulty = load_scenario("shared_link").replace({"duration_s": 0.06, "faults.loss": 0.05})
    results = simulate(faulty, record=["messages"])
    assert "ACK" in set(results.messages["message"])
    for connection in results.connections["id"]:
        assert "ACK" not in set(of(results, connection, all_messages=True).arrows["message"])


def test_a_connection_within_a_network_has_its_part_of_the_way() -> None:
    results = simulate(load_scenario("two_networks").replace({"duration_s": 0.02}), record=["messages"])
    inner = next(name for name in results.milestones["connection"] if "/" in name)
    drawn = of(results, inner)
    whole = of(results, inner.partition("/")[0])
    assert set(drawn.nodes) < set(whole.nodes)
    assert f"connection {inner}, {drawn.nodes[0]} to {drawn.nodes[-1]}" in drawn.title
    assert f"{inner}: asked" not in set(drawn.notes["text"])


def test_a_ladder_is_of_the_first_request_or_connection_unless_another_is_asked_for() -> None:
    assert of(line()).title == of(line(), first(line())).title
    assert of(line(), "3").title == of(line(), 3).title != of(line()).title
    assert of(entangled()).title == of(entangled(), "c1").title
    assert of(entangled(), "c1", all_messages=True).arrows["message"].eq("SWAPRESULT").any()


def test_a_kind_of_message_has_one_colour_everywhere() -> None:
    named = {"REQUEST": "blue", "DONE": "black", "CSR": "green"}
    assert colours(["DONE", "REQUEST"], named) == {"REQUEST": PALETTE["blue"], "DONE": PALETTE["black"]}
    mixed = colours(["MINE", "CSR", "YOURS"], named)
    assert list(mixed) == ["CSR", "MINE", "YOURS"]
    assert len(set(mixed.values())) == 3
    many = colours([f"KIND{number}" for number in range(30)], named)
    assert len(many) == 30


@pytest.mark.parametrize(
    "results", [line(), beijing(), entangled(), shared()], ids=["line", "beijing", "made", "shared"]
)
def test_the_kinds_of_one_family_have_different_colours(results: Results) -> None:
    kinds = set(results.messages["message"]) - {"ACK"}
    named = FAMILIES[results.scenario.kind].presentation.messages.colours
    assert kinds <= set(named)
    assert len(set(colours(sorted(kinds), named).values())) == len(kinds)


def test_a_connection_has_its_inner_connections_and_nobody_elses() -> None:
    drawn = of(entangled(), "c1")
    assert drawn.nodes == ("A", "R1", "X", "R2", "B")
    assert len(drawn.arrows) == 20
    assert "SWAPRESULT" not in set(drawn.arrows["message"])
    assert list(of(entangled(), "c1", all_messages=True).arrows["message"]).count("SWAPRESULT") == 1
    assert "c1/0: RuleSets made" in set(drawn.notes["text"])
    assert of(entangled(), "c1/0").nodes == ("R1", "X", "R2")
    assert list(of(entangled(), "c2").arrows["message"]) == ["CSR", "LAU", "LAU", *3 * ["BARRIER"]]


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: of(line(), 9999), r"line has no request '9999'; known are 1, 2, 3, 4, 5 and \d+ more$"),
        (
            lambda: of(entangled(), "c1/1"),
            r"chain has no connection 'c1/1' \(did you mean 'c1/0'\?\); known are c1, c2, ",
        ),
        (lambda: of(line(), "c1"), "line has no request 'c1'; known are 1, "),
        (lambda: of(entangled(), 1), r"chain has no connection '1' \(did you mean 'c1'\?\); known are c1, c2, c1/0$"),
        (lambda: of(simulate(load_scenario("line").replace({"duration_s": 2})), 1), "messages were not recorded"),
        (lambda: of(simulate(load_scenario("chain").replace({"duration_s": 0.1})), "c1"), "were not recorded"),
    ],
)
def test_a_wrong_id_is_said_in_a_sentence(draw: Callable[[], Ladder], words: str) -> None:
    with pytest.raises(QKDRMPError, match=words):
        draw()


# Mermaid


def test_mermaid_has_participants_notes_and_lost_messages_in_order() -> None:
    text = of(entangled(), "c1").mermaid()
    lines = text.splitlines()
    assert lines[0] == "sequenceDiagram"
    assert lines[2] == "    participant n0 as A"
    assert lines.index("    Note over n0: asked") < lines.index("    n0->>n1: CSR")
    assert len([one for one in arrows_of(text) if "--x" in one]) == 1
    assert any(re.fullmatch(r"    n\d--xn\d: BARRIER 242", one) for one in lines)
    assert any(re.fullmatch(r"    Note over n\d,n\d: armed", one) for one in lines)
    assert text.endswith("\n")


def test_mermaid_times_are_counted_from_the_first_message() -> None:
    texts = arrows_of(of(entangled(), "c1").mermaid(times=True))
    assert texts[0].endswith("CSR +0 s")
    assert texts[1].endswith("CSR +50 µs")
    assert texts[-1].endswith("TEARDOWN +1.32 s")


def test_nothing_in_a_name_breaks_mermaid() -> None:
    evil = 'a;b#c\n"d"%%end'
    arrows = pd.DataFrame([(evil, "B: C->>D", "X;Y", 0.0, 1.0, "#1\nn0->>n1: forged")], columns=ARROW_COLUMNS)
    notes = pd.DataFrame([(0.0, evil, "note; #2")], columns=NOTE_COLUMNS)
    text = Ladder(evil, (evil, "B: C->>D"), arrows, notes).mermaid()
    assert text.splitlines() == [
        "sequenceDiagram",
        "    title: a#59;b#35;c #34;d#34;#37;#37;end",
        "    participant n0 as a#59;b#35;c #34;d#34;#37;#37;end",
        "    participant n1 as B: C-#62;#62;D",
        "    Note over n0: note#59; #35;2",
        "    n0->>n1: X#59;Y #35;1 n0-#62;#62;n1: forged",
    ]


def test_without_a_title_there_is_no_line_for_it() -> None:
    assert ladder_of(1, title="").mermaid().splitlines()[1] == "    participant n0 as A"


# The time axis

# Times are whole ticks.
TICKS = st.tuples(st.integers(0, to_ticks(10)), st.integers(0, to_ticks(1e-3)))
BUSY = TICKS.map(lambda span: (to_seconds(span[0]), to_seconds(span[0] + span[1])))


@given(st.lists(BUSY, min_size=1, max_size=30))
def test_time_runs_down_and_can_be_read_off_again(busy: list[tuple[float, float]]) -> None:
    axis = TimeAxis.fit(busy, 5.0)
    times = sorted(time for span in busy for time in span)
    places = [axis.place(time) for time in times]
    assert all(above <= below for above, below in pairwise(places))
    assert axis.place(times[0]) == 0
    assert axis.place(times[-1]) == pytest.approx(axis.inches[-1])
    if times[-1] - times[0] > 1e-9:
        for time, _ in axis.ticks():
            assert axis.time(axis.place(time)) == pytest.approx(time, abs=1e-9)
    assert all(not (start < time < end) for start, end in axis.cuts for time in times)


def test_a_long_empty_stretch_is_cut_and_the_rest_keeps_one_scale() -> None:
    axis = TimeAxis.fit([(0, 2e-4), (1e-4, 3e-4), (4.0, 4.0001)], 4.0)
    assert axis.cuts == [(3e-4, 4.0)]
    assert axis.place(3e-4) == pytest.approx(3.0)
    assert axis.inches[-1] - axis.inches[-2] == pytest.approx(1.0)
    assert [name for _, name in axis.ticks()] == ["0.00000 s", "+100 µs", "+200 µs", "+300 µs", "4.00000 s", "+100 µs"]


def test_short_breaks_are_not_cut() -> None:
    assert TimeAxis.fit([(0, 1), (2, 3), (5, 6)], 4.0).cuts == []


# Pictures


def test_many_long_names_are_all_there() -> None:
    nodes = tuple(f"Repeater number {number}" for number in range(16))
    rows = [(*ends, "CSR", number, number + 1, "") for number, ends in enumerate(pairwise(nodes))]
    notes = pd.DataFrame([(0.0, nodes[0], "asked"), (3.0, f"{nodes[2]},{nodes[3]}", "armed")], columns=NOTE_COLUMNS)
    ax = Ladder("long", nodes, pd.DataFrame(rows, columns=ARROW_COLUMNS), notes).draw()
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert len(boxes) == 17
    assert not any(box.overlaps(other) for number, box in enumerate(boxes) for other in boxes[:number])
    assert [text.get_text() for text in ax.get_xticklabels()] == list(nodes)


def texts(ladder: Ladder) -> list[str]:
    ax = ladder.draw()
    return [text.get_text() for text in ax.texts if text.get_text()]


def test_a_picture_has_nodes_labels_cuts_notes_and_a_legend() -> None:
    drawn = of(entangled(), "c1")
    ax = drawn.draw()
    words = [text.get_text() for text in ax.texts]
    assert [text.get_text() for text in ax.get_xticklabels()] == list(drawn.nodes)
    assert words.count("CSR") == 5
    assert {"asked", "armed", "terminated", "⋮ 1.32 s", "BARRIER 242"} <= set(words)
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["CSR", "RESPONSE", "LAU", "BARRIER", "TEARDOWN", "TERMINATION", "lost"]
    top, bottom = sorted(ax.get_ylim(), reverse=True)
    assert top > bottom
    assert ax.yaxis_inverted()


def test_messages_that_fly_together_are_one_arrow_with_all_names() -> None:
    rows = [("A", "B", "CONFIRM", 0.0, 1.0, ""), ("A", "B", "LAU", 0.0, 1.0, ""), ("A", "B", "LAU", 0.0, 1.0, "")]
    drawn = Ladder("", ("A", "B"), pd.DataFrame(rows, columns=ARROW_COLUMNS), pd.DataFrame(columns=NOTE_COLUMNS))
    assert texts(drawn) == ["CONFIRM + 2 LAU"]


@pytest.mark.parametrize("latency", [0.0, 5e-5, math.nan])
@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_any_number_of_messages_can_be_drawn(count: int, latency: float, tmp_path: Path) -> None:
    ax = ladder_of(count, latency).draw()
    ax.figure.savefig(tmp_path / "ladder.png", dpi=40)
    assert (tmp_path / "ladder.png").stat().st_size > 1500


def test_of_very_many_messages_the_first_and_the_last_are_drawn() -> None:
    many = ladder_of(1000)
    ax = many.draw()
    assert len([text for text in ax.texts if text.get_text().startswith("KIND")]) == 200
    assert ax.get_title(loc="left") == "many\nthe first 100 and the last 100 of 1,000 messages"
    assert len(arrows_of(many.mermaid())) == 1000


def test_a_picture_goes_where_it_is_told() -> None:
    _, (left, _) = plt.subplots(1, 2)
    assert ladder_of(5).draw(left) is left


# On the command line


def qkdrmp(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(
        'topology = "line"\nduration_s = 0.5\n[pools]\ncapacity = 8\nreplenish = "continuous"\n'
        '[access]\nmode = "pool"\n[key_rate]\nmodel = "constant"\nrate_bps = 20000\n'
        '[demand]\nmodel = "poisson"\nrate_per_s = 30\n'
    )
    return tmp_path


@pytest.mark.parametrize("arguments", [[], ["--id", 2], ["--seed", 3], ["--out", "deep/er", "--id", 1]])
def test_the_command_writes_a_picture_and_mermaid(arguments: list[object], quick: Path) -> None:
    done = qkdrmp("ladder", "quick.toml", *arguments)
    assert done.exit_code == 0, done.output
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    results = simulate(load_scenario("quick.toml"), options.get("--seed", 1), record=["messages"])  # type: ignore[arg-type]
    wanted = options.get("--id", first(results))
    folder = Path(str(options.get("--out", "results/quick")))
    assert done.output.endswith(f"written to {folder}: ladder_{wanted}.png, ladder_{wanted}.mmd\n")
    assert (folder / f"ladder_{wanted}.png").read_bytes().startswith(b"\x89PNG")
    written = (folder / f"ladder_{wanted}.mmd").read_text(encoding="utf-8")
    assert written == of(results, wanted).mermaid()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "name", "arrows"),
    [([], "c1", 20), (["--all"], "c1", 21), (["--id", "c1/0"], "c1_0", 4), (["--id", "c2"], "c2", 6)],
)
def test_the_command_knows_connections(
    arguments: list[str], name: str, arrows: int, quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qkdrmp.cli.single.run_once", lambda *_, **__: entangled())
    done = qkdrmp("ladder", "chain", "--out", "out", *arguments)
    assert done.exit_code == 0, done.output
    assert f": {arrows} messages\nwritten to out: ladder_{name}.png, ladder_{name}.mmd\n" in done.output
    assert len(arrows_of((quick / "out" / f"ladder_{name}.mmd").read_text(encoding="utf-8"))) == arrows


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--id", 999], "error: quick has no request '999'"),
        (["--id", "c1"], "error: quick has no request 'c1'; known are 1, 2, "),
        (["--id", ""], "error: quick has no request ''; known are 1, 2, "),
    ],
)
@pytest.mark.usefixtures("quick")
def test_what_goes_wrong_is_said_in_a_sentence(arguments: list[object], words: str) -> None:
    done = qkdrmp("ladder", "quick.toml", *arguments)
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert words in done.stderr
    assert not Path("results").exists()
