"""Where each quality stops to improve along a scale, in sentences."""

from collections.abc import Mapping, Sequence

import pandas as pd

from qkdrmp.entanglement.family import ENTANGLEMENT
from qkdrmp.qkd.family import QKD
from qkdrmp.verdicts.design import change
from qkdrmp.verdicts.outcomes import cautions, extremes
from qkdrmp.verdicts.qualities import saturates
from tests.report.experiments import table

RISING = {10: [50, 60, 70], 20: [80, 91, 99], 40: [100, 110, 120], 80: [101, 110, 121], 160: [100, 111, 120]}
NAME = "waiting time of delivered requests, 95th percentile"


def with_waits(delivered: Mapping[int, Sequence[float]], waits: Mapping[int, Sequence[float]]) -> pd.DataFrame:
    """Return runs with requests delivered of 100, and waits, at each capacity."""
    runs = table(delivered)
    runs["undelivered"] = 1 - runs["requests_delivered"] / 100
    runs["wait_p95_s"] = [wait for values in waits.values() for wait in values]
    return runs


def said(runs: pd.DataFrame) -> str:
    return " ".join(saturates(runs, QKD))


def test_saturation_is_stated_with_its_interval_and_test() -> None:
    text = said(table(RISING).assign(requests_started=500))
    assert text.startswith("Requests processed saturate at key pool capacity = 40 keys, with 110 (95 % interval 85 to")
    assert "a significant improvement of more than 2 %" in text
    assert "paired differences over 3 replications, 95 % intervals; the intervals allow for at most 1.9 % more" in text


def test_no_saturation_if_the_largest_value_still_improves() -> None:
    assert "do not saturate" in said(table({**RISING, 320: [130, 140, 152]}).assign(requests_started=500))


def test_throughput_that_is_the_demand_sizes_nothing_and_the_waits_decide() -> None:
    waits = {2: [0.09, 0.1, 0.11], 8: [0.03, 0.04, 0.05], 16: [0.0003, 0.0003, 0.0003], 32: [0.0003, 0.0003, 0.0003]}
    text = said(with_waits({size: [99, 100, 100] for size in waits}, waits))
    assert text.startswith(
        "Requests processed are what was asked for, or nearly so (100 %), with every key pool capacity"
    )
    assert f"W{NAME[1:]}: 100 ms (95 % interval 75 to 125) with 2 keys, 300 µs with 16 keys; no still larger" in text
    assert text.endswith(
        f"So key pool capacity = 16 keys is the smallest on which nothing larger significantly improves; "
        f"what decides it is {NAME}."
    )


def test_throughput_that_rises_up_to_the_demand_is_said_to() -> None:
    text = said(table({2: [50, 51, 52], 4: [99, 100, 100], 8: [99, 100, 100]}))
    assert text.startswith("Requests processed rise up to key pool capacity = 4 keys: with 99.7 ")
    assert "they are what was asked for." in text


def test_who_is_lost_does_not_wait_so_stuck_pools_are_not_the_fastest() -> None:
    delivered = {20: [10, 11, 12], 40: [98, 99, 100], 80: [98, 99, 100]}
    text = said(with_waits(delivered, {20: [0.001, 0.001, 0.001], 40: [0.05, 0.06, 0.07], 80: [0.03, 0.04, 0.05]}))
    assert f"W{NAME[1:]} still improves at the end: 60 ms (95 % interval 35 to 85) with 40 keys" in text
    assert "Not delivered: 89.0 % (95 % interval 86.5 to 91.5) with 20 keys, 1.0 % (95 % interval" in text
    assert "So key pool capacity should be larger than what was swept" in text


def test_an_improvement_that_cannot_be_excluded_is_said() -> None:
    waits = {2: [0.1, 0.1, 0.1], 8: [0.05, 0.05, 0.05], 16: [0.05, 0.05, 0.03]}
    text = said(with_waits({size: [100, 100, 100] for size in waits}, waits))
    assert "key pool capacity = 8 keys is the smallest" in text
    assert f"Better by up to 35 ms in {NAME} cannot be excluded: more replications would show." in text


def test_differences_are_said_with_few_digits_and_those_of_shares_in_points() -> None:
    assert change("blocking", 0.005572) == "0.6 percentage points"
    assert change("blocking", 0.1234) == "12 percentage points"
    assert change("blocking", 0.01) == "1 percentage point"
    assert change("wait_p95_s", 0.0353512) == "35 ms"


def test_a_load_is_no_choice_of_a_design() -> None:
    runs = table({1: [10, 11], 2: [20, 21], 4: [21, 22]}, field="demand.rate_per_s").assign(requests_started=30)
    text = said(runs.assign(wait_p95_s=runs["demand.rate_per_s"]))
    assert "saturate" in text
    assert "waiting time" not in text


def test_one_replication_gives_no_interval_and_says_so() -> None:
    single = table({value: numbers[:1] for value, numbers in RISING.items()}).assign(requests_started=500)
    text = " ".join([*saturates(single, QKD), *extremes(single, QKD)])
    assert "saturate at key pool capacity = 40 keys, with 100:" in text
    assert "nothing shows how much is chance" in text
    assert "interval" not in text
    assert "improvement" in text
    assert "nan" not in text
    assert "one replication" in " ".join(cautions(single, QKD, 0))


def test_saturation_is_stated_for_each_value_of_other_fields_at_the_longest_duration() -> None:
    early = table({10: [50, 51], 20: [90, 92]}, **{"queue.policy": "fcfs"})
    late = table({10: [90, 91], 20: [90, 91]}, **{"queue.policy": "priority"})
    shorter = table({10: [1, 2], 20: [900, 901]}, **{"queue.policy": "priority"}).assign(duration_s=0.5)
    text = list(saturates(pd.concat([early, late, shorter]), QKD))
    assert len(text) == 2
    assert text[0].startswith("With queue policy = fcfs, requests processed do not saturate")
    assert text[1].startswith("With queue policy = priority, requests processed are saturated from the smallest value")


def test_saturation_needs_a_scale_other_than_the_duration() -> None:
    longer = table({0.1: [1, 2], 0.2: [3, 4]}, field="duration_s")
    policies = table({"fcfs": [1, 2], "priority": [3, 4]}, field="queue.policy")
    assert not [*saturates(longer, QKD), *saturates(policies, QKD)]


def test_a_design_without_pairs_of_cells_has_no_saturation() -> None:
    runs = pd.concat([table({10: [1, 2]}, rate=5.0), table({20: [3, 4]}, rate=6.0), table({30: [3, 4]}, rate=7.0)])
    assert list(saturates(runs, QKD)) == [
        "Saturation cannot be judged: no two cells differ in key pool capacity alone."
    ]


def test_a_fidelity_that_rises_while_all_pairs_come_decides() -> None:
    times = {0.01: [0.77, 0.771], 0.1: [0.87, 0.871], 1.0: [0.886, 0.887], 10.0: [0.887, 0.888]}
    rows = [
        {"memories.t2_s": t2, "duration_s": 1.0, "replication": number, "seed": number, "fidelity_mean": fidelity}
        for t2, values in times.items()
        for number, fidelity in enumerate(values)
    ]
    runs = pd.DataFrame(rows).assign(pair_rate_hz=1000.0, pairs_delivered=1000, pairs_asked=1000.0)
    text = " ".join(saturates(runs, ENTANGLEMENT))
    assert text.startswith("Delivered pairs are what was asked for, or nearly so (100 %), with every memory time")
    assert text.endswith("what decides it is mean fidelity of pairs.")
    assert "So memory time = 1 s is the smallest" in text
