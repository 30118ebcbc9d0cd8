"""Sweeps on several machines: a cluster of dask workers (extra ``cluster``)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from distributed import Client
from distributed.comm.addressing import parse_address, parse_host_port

from qkdrmp.errors import QKDRMPError

PATIENCE_S = 5


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """Yield the executor of a running dask scheduler.

    Parameters
    ----------
    address : str
        Such as ``tcp://127.0.0.1:8786``.

    Raises
    ------
    QKDRMPError
        If no scheduler answers there.
    """
    try:
        parse_host_port(parse_address(address)[1])  # else a client of a wrong address complains when it is deleted
        client = Client(address, timeout=PATIENCE_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise QKDRMPError(f"cluster = {address!r}: no dask scheduler answers there ({error})") from None
    with client:
        # Not pure: two tasks that look alike are two tasks.
        yield client.get_executor(pure=False)  # type: ignore[no-untyped-call]
