"""Wall-clock time of entanglement networks: a long chain with many connections, and a short one beside SeQUeNCe.

Run it on a quiet machine:

    python benchmarks/entanglement.py [--pairs N] [--full] [--sequence PYTHON | --install [FOLDER]] [--rounds N]

It prints

- the cost of chains of 10, 30 and 100 nodes with 1, 10 and 50 connections and N end-to-end pairs in all (see
  `long_chain`): events per elementary pair, which should barely depend on either number, setup and teardown included,
  seconds that the setup of all connections takes by itself, on links that make next to no pairs, and microseconds per
  elementary pair once all connections are set up. Times are CPU time unless it says wall, for one run takes one core,
  and others may be busy;
- with `--full` the same for 100 nodes, 50 connections and 100,000 end-to-end pairs;
- milliseconds per end-to-end pair on chains of 3 and 9 nodes (see `ours`), and, if there is a SeQUeNCe, its figures on
  the same chains and the ratio. The two are measured in turn, round by round, and medians are compared, so that a
  machine whose speed drifts does not decide the result.

SeQUeNCe is not a dependency of this project: PYTHON names the interpreter of an environment that has it; `--install`
makes such an environment in a temporary folder, or in FOLDER, where it is kept and found again. What is asked of
SeQUeNCe is written at the top of `benchmarks/sequence_chain.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from qkdrmp.entanglement.ledger import ConnectionStatus
from qkdrmp.entanglement.network import EntanglementNetwork
from qkdrmp.entanglement.settings import EntanglementSettings
from qkdrmp.kernel.units import to_ticks
from qkdrmp.topology import Link, Node, Topology

LINK_KM = 20.0
SLICE_S = 1e-2  # how often a run is looked at, in simulated time

LENGTHS = (10, 30, 100)
CONNECTIONS = (1, 10, 50)
PAIRS = 1_000
FULL = (100, 50, 100_000)
MEMORIES = 64
QUOTA = 2

SHORT_CHAINS = (3, 9)
SHORT_MEMORIES = 8
WARM_UP = 20
OUR_PAIRS = 1_000
THEIR_PAIRS = 100
EFFICIENCY = 0.9
FIDELITY = 0.99

SCRIPT = Path(__file__).with_name("sequence_chain.py")
# SeQUeNCe 0.8.5 runs on Python 3.11 with the newest release of everything it needs. The packages its speed depends on
# are pinned too, so that the yardstick stays.
REQUIREMENTS = ("sequence==0.8.5", "numpy==2.4.6", "scipy==1.17.1", "qutip==5.3.1", "qutip-qip==0.4.2", "gmpy2==2.3.2")


# A long chain that many connections share


def spans(nodes: int, connections: int, seed: int) -> list[tuple[int, int]]:
    """Return the first and last node of connections of random span; one alone spans the whole chain.

    A span for which a link has no memories left is drawn again, so that no connection is rejected.
    """
    if connections == 1:
        return [(0, nodes - 1)]
    draw, chosen, left = random.Random(seed), [], Counter(dict.fromkeys(range(nodes - 1), MEMORIES // QUOTA))
    while len(chosen) < connections:
        first, last = sorted(draw.sample(range(nodes), 2))
        if all(left[link] for link in range(first, last)):
            left.subtract(range(first, last))
            chosen.append((first, last))
    return chosen


def long_chain_settings(
    nodes: int, chosen: Sequence[tuple[int, int]], pairs: int, **links: float
) -> EntanglementSettings:
    """Return a chain of `nodes` nodes with 20 km between neighbours, and connections of these spans.

    A user is no repeater, so each node has a user of its own at the end of 20 km more, and a connection from node a to
    node b > a crosses b - a + 2 links. All interfaces have 64 memories, of which a connection gets 2; nothing is
    purified, and everything else is as by default. The pairs are shared out equally.
    """
    connections = len(chosen)
    shares = [pairs // connections + (number < pairs % connections) for number in range(connections)]
    chain = [Node(f"r{i}", "router") for i in range(nodes)]
    users = [Node(f"u{i}", "end") for i in range(nodes)]
    between = [(a.name, b.name) for a, b in pairwise(chain)] + [(f"r{i}", f"u{i}") for i in range(nodes)]
    asked = [
        {"src": f"u{a}", "dst": f"u{b}", "pairs": share, "memories": QUOTA, "minimum_fidelity": 0.0}
        for (a, b), share in zip(chosen, shares, strict=True)
    ]
    return EntanglementSettings(
        topology=Topology("chain", [*chain, *users], [Link(ends, LINK_KM) for ends in between]),
        duration_s=1.0,  # not used: the run ends with its last connection
        links=links,
        memories={"per_interface": MEMORIES},
        demand={"model": "listed", "connections": asked},
    )


def setup_alone(nodes: int, connections: int, seed: int = 1) -> float:
    """Return how many seconds the setup of a chain of `long_chain` takes if its links make next to no pairs."""
    settings = long_chain_settings(nodes, spans(nodes, connections, seed), connections, detector_efficiency=1e-6)
    begun = time.process_time()
    network = EntanglementNetwork(settings, seed)
    advance(network, lambda: active(network) == connections)
    return time.process_time() - begun


def long_chain(nodes: int, connections: int, pairs: int, seed: int = 1) -> dict[str, Any]:
    """Run a chain (see `long_chain_settings`) until all its connections have their pairs; return what that took."""
    chosen = spans(nodes, connections, seed)
    settings = long_chain_settings(nodes, chosen, pairs)
    begun, cpu_begun = time.perf_counter(), time.process_time()
    network = EntanglementNetwork(settings, seed)
    advance(network, lambda: active(network) == connections)
    cpu_before, elementary_before = time.process_time(), elementary(network)
    advance(network, lambda: len(done(network)) == connections)
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu_begun
    if any(entry.state is not ConnectionStatus.DELIVERED or len(entry.attempts) > 1 for entry in done(network)):
        raise RuntimeError("a connection was rejected")
    return {
        "nodes": nodes,
        "connections": connections,
        "pairs": delivered(network),
        "links": statistics.mean(b - a + 2 for a, b in chosen),
        "elementary": elementary(network),
        "wall_s": wall,
        "cpu_s": cpu,
        "setup_s": setup_alone(nodes, connections, seed),
        "events_per_elementary": network.env.events / elementary(network),
        "us_per_pair": 1e6 * cpu / delivered(network),
        "us_per_elementary": 1e6 * (cpu_begun + cpu - cpu_before) / (elementary(network) - elementary_before),
        "simulated_s": network.env.now / to_ticks(1),
    }


def done(network: EntanglementNetwork) -> list[Any]:
    """Return the connections that are over."""
    return [entry for entry in network.ledger.entries.values() if entry.done is not None]


def active(network: EntanglementNetwork) -> int:
    """Return how many connections have been set up."""
    return sum(entry.active is not None for entry in network.ledger.entries.values())


def delivered(network: EntanglementNetwork) -> int:
    """Return the end-to-end pairs so far."""
    return sum(entry.pairs for entry in network.ledger.entries.values())


def elementary(network: EntanglementNetwork) -> int:
    """Return the pairs that the links have made so far."""
    return sum(link.successes for link in network.links.values())


def advance(network: EntanglementNetwork, enough: Callable[[], bool]) -> None:
    """Run slice after slice until it is enough."""
    while not enough():
        network.env.advance(network.env.now + to_ticks(SLICE_S))


COLUMNS = {
    "nodes": ("nodes", "5"),
    "connections": ("connections", "11"),
    "links": ("links each", "10.1f"),
    "pairs": ("end pairs", "9,"),
    "elementary": ("elementary", "10,"),
    "simulated_s": ("simulated s", "11.2f"),
    "wall_s": ("wall s", "7.2f"),
    "cpu_s": ("CPU s", "7.2f"),
    "setup_s": ("setup s", "7.2f"),
    "us_per_elementary": ("us/elementary", "13.1f"),
    "us_per_pair": ("us/end pair", "11.0f"),
    "events_per_elementary": ("events/elementary", "17.3f"),
}
"""What is printed of a long chain: title and format."""


def head() -> str:
    """Return the line above the table."""
    return "  ".join(title.rjust(len(row(title, form))) for title, form in COLUMNS.values())


def row(title: str, form: str, value: float = 0) -> str:
    """Return one field of the table."""
    return format(value, form).rjust(len(title))


def show(figures: dict[str, Any]) -> None:
    """Print one line of the table."""
    print("  ".join(row(*how, figures[name]) for name, how in COLUMNS.items()), flush=True)


# A short chain with one connection, beside SeQUeNCe


def ours(nodes: int, pairs: int, seed: int = 0) -> dict[str, Any]:
    """Measure a chain as `sequence_chain.py` does: after a warm-up, from one delivered pair to another.

    The links have analysers in their middle; a trial succeeds with (0.9 x 0.9)^2 / 2 x 10^-0.4 = 0.131, which is what
    a whole attempt has in SeQUeNCe. 8 memories at each interface belong to the one connection, which is endless; its
    raw fidelity is 0.99, and nothing is purified. Memories decohere, gates and readout err as by default.
    """
    names = [f"r{index}" for index in range(nodes)]
    chain = [Node(name, "end" if name in (names[0], names[-1]) else "repeater") for name in names]
    asked = {"src": names[0], "dst": names[-1], "memories": SHORT_MEMORIES, "minimum_fidelity": 0.0}
    settings = EntanglementSettings(
        topology=Topology("chain", chain, [Link(ends, LINK_KM) for ends in pairwise(names)]),
        duration_s=1.0,  # not used: the run ends with its last pair
        links={"source_efficiency": EFFICIENCY, "detector_efficiency": EFFICIENCY, "fidelity": FIDELITY},
        memories={"per_interface": SHORT_MEMORIES},
        demand={"model": "listed", "connections": [asked]},
    )
    network = EntanglementNetwork(settings, seed)
    advance(network, lambda: delivered(network) >= WARM_UP)
    before, events, begun = delivered(network), network.env.events, time.perf_counter()
    advance(network, lambda: delivered(network) >= before + pairs)
    wall = time.perf_counter() - begun
    made = delivered(network) - before
    return {"pairs": made, "ms_per_pair": 1e3 * wall / made, "events": network.env.events - events}


def sequence_ms_per_pair(nodes: int, python: str) -> dict[str, Any]:
    """Return what `sequence_chain.py` prints for a chain of `nodes` routers when the interpreter `python` runs it."""
    command = [python, "-I", str(SCRIPT), "--nodes", str(nodes), "--pairs", str(THEIR_PAIRS)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(finished.stdout.splitlines()[-1])


def compare(nodes: int, python: str | None, rounds: int) -> None:
    """Measure both sides in turn and print them, ours alone if there is no `python` with SeQUeNCe."""
    measured = []
    for number in range(rounds):
        measured.append((ours(nodes, OUR_PAIRS, number), sequence_ms_per_pair(nodes, python) if python else None))
    print(f"{nodes} nodes: {described([one for one, _ in measured])}")
    theirs = [other for _, other in measured if other is not None]
    if theirs:
        ratio = statistics.median(other["ms_per_pair"] / one["ms_per_pair"] for one, other in measured)
        print(f"  SeQUeNCe {theirs[0]['version']}: {described(theirs)}")
        print(f"  ratio: {ratio:.0f} (median of {rounds} paired rounds)", flush=True)


def described(measured: Sequence[dict[str, Any]]) -> str:
    """Return the figures of some rounds in words."""
    each = sorted(one["ms_per_pair"] for one in measured)
    events = statistics.median(one["events"] / one["pairs"] for one in measured)
    return (
        f"{statistics.median(each):.4g} ms per end-to-end pair ({each[0]:.4g} to {each[-1]:.4g} in {len(each)} rounds),"
        f" {events:.1f} events per end-to-end pair"
    )


def prepare(folder: Path | None = None) -> str:
    """Return the path of a Python with SeQUeNCe, in `folder` or in a new temporary folder (which stays)."""
    folder = Path(tempfile.mkdtemp(prefix="sequence-")) if folder is None else Path(folder)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
    subprocess.run(install, check=True)
    return str(python)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Wall-clock time of entanglement networks, beside SeQUeNCe.")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="end-to-end pairs of each run of the table (0: none)")
    parser.add_argument("--full", action="store_true", help="also run {} nodes, {} connections, {} pairs".format(*FULL))
    parser.add_argument("--rounds", type=int, default=5, help="rounds beside SeQUeNCe (0: none)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--sequence", metavar="PYTHON", help="an interpreter that has SeQUeNCe")
    where.add_argument(
        "--install", metavar="FOLDER", nargs="?", const="", help="where SeQUeNCe's environment is made or found"
    )
    chosen = parser.parse_args()
    python = chosen.sequence
    if chosen.install is not None:
        python = prepare(Path(chosen.install) if chosen.install else None)
    table = [(nodes, connections, chosen.pairs) for nodes in LENGTHS for connections in CONNECTIONS if chosen.pairs]
    runs = [*table, *([FULL] if chosen.full else [])]
    if runs:
        print(head())
    for nodes, connections, pairs in runs:
        show(long_chain(nodes, connections, pairs))
    for nodes in SHORT_CHAINS if chosen.rounds else ():
        compare(nodes, python, chosen.rounds)


if __name__ == "__main__":
    main()
