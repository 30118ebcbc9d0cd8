"""How fast messages cross the network, beside a bare SimPy channel measured in the same run.

Run it on a quiet machine:

    python benchmarks/messages.py [--rounds N]

It prints, for the whole QKD protocol with its records on the plateau of the published experiment: hop messages per
second, events per hop message and requests per second; for a bare channel: messages per second; and the ratio of the
two rates. The two are measured in turn, round by round, and the medians are compared, so that a machine whose speed
drifts does not decide the result.
"""

from __future__ import annotations

import argparse
import statistics
import time

import simpy

import qkdrmp
from qkdrmp.kernel.units import to_ticks
from qkdrmp.simulation import start

IN_FLIGHT = 20
BARE_MESSAGES = 20_000


def bare_channel(messages: int) -> float:
    """Return messages per second of plain SimPy: `IN_FLIGHT` messages that two processes send to and fro.

    A message is a Timeout whose callback puts it into the Store that the other process reads: three events each, the
    fastest way to build a delayed channel of SimPy's own parts. This code is frozen, so that the yardstick stays.
    """
    env = simpy.Environment()
    left, right = simpy.Store(env), simpy.Store(env)
    received = 0

    def send(store: simpy.Store, message: object) -> None:
        timeout = env.timeout(50_000_000, message)
        timeout.callbacks.append(lambda event: store.put(event.value))

    def node(inbox: simpy.Store, outbox: simpy.Store):
        nonlocal received
        while True:
            message = yield inbox.get()
            received += 1
            send(outbox, message)

    env.process(node(left, right))
    env.process(node(right, left))
    for number in range(IN_FLIGHT):
        send(left, ("message", number))
    begun = time.perf_counter()
    while received < messages:
        env.step()
    return received / (time.perf_counter() - begun)


def protocol(seed: int) -> tuple[float, float, float]:
    """Return hop messages per second, events per hop message and delivered requests per second of one run."""
    scenario = qkdrmp.load_scenario("beijing_figure3").replace({"pools.capacity": 60})
    run = start(scenario, seed)
    begun = time.perf_counter()
    run.advance(to_ticks(scenario.duration_s))
    figures = run.summary()
    wall = time.perf_counter() - begun
    messages = figures["messages"]
    return messages / wall, figures["events"] / messages, figures["requests_delivered"] / wall


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Messages per second, beside a bare SimPy channel.")
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    protocol(0), bare_channel(BARE_MESSAGES)  # warm up
    measured = [(protocol(number), bare_channel(BARE_MESSAGES)) for number in range(rounds)]
    hops = statistics.median(one[0][0] for one in measured)
    events = statistics.median(one[0][1] for one in measured)
    requests = statistics.median(one[0][2] for one in measured)
    bare = statistics.median(one[1] for one in measured)
    ratio = statistics.median(one[0][0] / one[1] for one in measured)
    print(
        f"whole protocol: {hops:10,.0f} hop messages/s, {events:.2f} events per hop message, {requests:,.0f} requests/s"
    )
    print(f"bare channel:   {bare:10,.0f} messages/s, 3 events per message, {IN_FLIGHT} in flight")
    print(f"ratio:          {ratio:10.2f} (median of {rounds} paired rounds)")


if __name__ == "__main__":
    main()
