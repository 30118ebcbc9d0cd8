"""How long SeQUeNCe takes per end-to-end entangled pair on a linear chain of quantum repeaters.

This script runs inside an environment where SeQUeNCe (`pip install sequence==0.8.5`) is installed, and uses only that
and the standard library:

    python sequence_chain.py --nodes 3 --pairs 100

It prints one line of JSON. `benchmarks/entanglement.py` makes such an environment and calls this script.

What is measured: the wall-clock time of `Timeline.run` from one delivered pair to another, after 20 pairs of warm-up;
imports, building the network and its reservation are left out. A pair counts when the application of the first router
gets a memory whose partner belongs to the last router, and the script makes sure that the quantum state kept by
SeQUeNCe joins these two memories. SeQUeNCe runs as it is installed: nothing of it is replaced.

The settings, in SeQUeNCe's favour wherever there was a choice:

- A link has 20 km of fibre at 0.2 dB/km and a BSM node in its middle. Memories and detectors have an efficiency of 0.9,
  so a photon is seen with 0.9 x 0.631 x 0.9 = 0.511. Barrett-Kok needs two rounds and can tell half of the Bell states:
  a whole attempt succeeds with 0.511^2 / 2 = 0.131. A failed first round ends an attempt.
- No dark counts; a dead time of 10 ns, below the 12.5 ns between the photons of a channel, so that no click is missed.
- 8 memories towards each neighbour, 16 in a middle router, all reserved from end to end. More of them need less
  simulated time, but wall time per pair barely moves: on 3 nodes 2, 8, 16 and 32 took 10.6, 11.0, 11.1 and 12.6 ms.
- Memories do not expire (a negative coherence time): expiry of 0.1 s or 1 s takes 8 to 13 % more time per pair.
- Raw fidelity 0.99, requested fidelity 0.5: every pair is accepted raw, so no purification takes place. SeQUeNCe's own
  figure multiplies the fidelities and 0.95 per swap, hence 0.99^2 x 0.95 = 0.931 on 3 nodes and 0.644 on 9.
- Swaps always succeed (SeQUeNCe's default) and go in a balanced tree, which its resource manager chooses.
- Ket vectors: density matrices take about a third more time, and Bell-diagonal states cannot be used, since neither
  Barrett-Kok nor swapping works with them in 0.8.5.
- Classical channels take light's time in fibre, 100 us per link, directly between any two routers. Logging is off.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from sequence.app.request_app import RequestApp
from sequence.topology.router_net_topo import RouterNetTopo

LINK_M = 20_000
ATTENUATION_DB_PER_M = 0.0002
LIGHT_M_PER_PS = 2e-4
EFFICIENCY = 0.9
RAW_FIDELITY = 0.99
TARGET_FIDELITY = 0.5
COHERENCE_S = -1
FORMALISM = "ket_vector"
START_PS = 10**11
END_PS = 10**18
SLICE_PS = 10**9  # how often the wall clock is read, in simulated time


def chain(nodes: int, memories: int) -> dict:
    """Return the configuration of `RouterNetTopo` for a chain with a BSM node in the middle of each link."""
    names = [f"r{index}" for index in range(nodes)]
    detector = {"efficiency": EFFICIENCY, "count_rate": 1e8, "time_resolution": 100, "dark_count": 0}
    memory = {"fidelity": RAW_FIDELITY, "efficiency": EFFICIENCY, "coherence_time": COHERENCE_S}
    return {
        "stop_time": END_PS,
        "formalism": FORMALISM,
        "templates": {
            "router": {"MemoryArray": memory},
            "bsm": {"SingleAtomBSM": {"detectors": [detector, detector]}},
        },
        "nodes": [
            {
                "name": name,
                "type": "QuantumRouter",
                "seed": index,
                "memo_size": memories if index in (0, nodes - 1) else 2 * memories,
                "template": "router",
            }
            for index, name in enumerate(names)
        ],
        "qconnections": [
            {
                "node1": names[index],
                "node2": names[index + 1],
                "attenuation": ATTENUATION_DB_PER_M,
                "distance": LINK_M,
                "type": "meet_in_the_middle",
                "seed": 1000 + index,
                "template": "bsm",
            }
            for index in range(nodes - 1)
        ],
        "cconnections": [
            {"node1": names[a], "node2": names[b], "delay": round((b - a) * LINK_M / LIGHT_M_PER_PS)}
            for a in range(nodes)
            for b in range(a + 1, nodes)
        ],
    }


class CountingApp(RequestApp):
    """SeQUeNCe's request application, which also stops the timeline after `target` pairs and checks each of them."""

    target = sys.maxsize
    fidelity_sum = 0.0

    def get_memory(self, info) -> None:
        """Count a pair, and make sure that it does reach from this router to the responder."""
        counted, remote, key, fidelity = self.memory_counter, info.remote_memo, info.memory.qstate_key, info.fidelity
        state = self.node.timeline.quantum_manager.get(key)
        super().get_memory(info)
        if self.memory_counter == counted:
            return
        partner = self.node.timeline.get_entity_by_name(remote)
        if partner.owner.name != self.responder or sorted(state.keys) != sorted((key, partner.qstate_key)):
            raise RuntimeError(f"a pair that is not end to end: {self.node.name} and {remote}")
        self.fidelity_sum += fidelity
        if self.memory_counter >= self.target:
            self.node.timeline.stop()


def advance(timeline, app: CountingApp, pairs: int, deadline: float) -> None:
    """Run until `pairs` more pairs are delivered or the wall clock passes `deadline`."""
    app.target = app.memory_counter + pairs
    while app.memory_counter < app.target and time.perf_counter() < deadline:
        timeline.stop_time = timeline.now() + SLICE_PS
        timeline.run()
        timeline.time = max(timeline.time, timeline.stop_time)


def measure(nodes: int, pairs: int, *, memories: int, warm_up: int, seconds: float) -> dict:
    """Build the chain, reserve it from end to end, warm up and return the figures of the timed part."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.json"
        path.write_text(json.dumps(chain(nodes, memories)))
        network = RouterNetTopo(str(path))
    timeline = network.get_timeline()
    routers = {router.name: router for router in network.get_nodes_by_type(RouterNetTopo.QUANTUM_ROUTER)}
    first, last = routers["r0"], routers[f"r{nodes - 1}"]
    app = CountingApp(first)
    RequestApp(last)  # takes the pairs of the far end; it registers itself with its router
    timeline.init()
    app.start(last.name, START_PS, END_PS, memories, TARGET_FIDELITY)
    timeline.stop_time = START_PS
    timeline.run()
    if not app.reservation_result or app.path != list(routers):
        raise RuntimeError(f"SeQUeNCe did not reserve the chain: {app.path}")

    advance(timeline, app, warm_up, time.perf_counter() + seconds)
    before, events, fidelity, begun_ps = app.memory_counter, timeline.run_counter, app.fidelity_sum, timeline.now()
    begun = time.perf_counter()
    advance(timeline, app, pairs, begun + seconds)
    wall = time.perf_counter() - begun
    delivered = app.memory_counter - before
    if not delivered:
        raise RuntimeError(f"no pair in {wall:.0f} s")
    return {
        "nodes": nodes,
        "pairs": delivered,
        "wall_s": round(wall, 4),
        "ms_per_pair": round(1e3 * wall / delivered, 4),
        "events": timeline.run_counter - events,
        "version": version("sequence"),
        "simulated_s": (timeline.now() - begun_ps) / 1e12,
        "mean_fidelity": round((app.fidelity_sum - fidelity) / delivered, 4),
        "memories_per_link": memories,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="SeQUeNCe's wall-clock time per end-to-end pair on a chain.")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--warm-up", type=int, default=20, help="pairs delivered before the clock starts")
    parser.add_argument("--seconds", type=float, default=20.0, help="stop after so much wall-clock time")
    parser.add_argument("--memories", type=int, default=8, help="memories of a node towards each neighbour")
    chosen = parser.parse_args()
    figures = measure(
        chosen.nodes, chosen.pairs, memories=chosen.memories, warm_up=chosen.warm_up, seconds=chosen.seconds
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
