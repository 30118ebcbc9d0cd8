"""Names of nodes may hold what names of links are joined by."""

from qkdrmp.qkd.keys.key_get import KeyRange
from tests.qkd.helpers import network_of, run, scenario, start


def test_links_whose_joined_names_are_equal_have_keys_of_their_own() -> None:
    links = [
        ("Alice", "R1>R2", 1.0),
        ("R1>R2", "R3", 1.0),
        ("R3", "R1", 1.0),
        ("R1", "R2>R3", 1.0),
        ("R2>R3", "Bob", 1.0),
    ]
    streams = start(scenario(network_of(*links))).streams
    alike = [stream for stream in streams if stream.name == "R1>R2>R3"]
    first, second = (stream.bits(KeyRange(0, 8)) for stream in alike)
    assert first != second


def test_users_whose_joined_names_are_equal_ask_at_times_of_their_own() -> None:
    links = [(user, "R", 1.0) for user in ("A>B", "C", "A", "B>C")]
    demand = {
        "model": "poisson",
        "matrix": [{"src": a, "dst": b, "rate_per_s": 1e4} for a, b in (("A>B", "C"), ("A", "B>C"))],
    }
    network = run(scenario(network_of(*links), demand=demand))
    starts = {
        src: [one.request.start for one in network.ledger.entries if one.request.src == src] for src in ("A>B", "A")
    }
    assert starts["A"] != starts["A>B"]
