"""Ctrl-C during a sweep: noted when it is pressed, heeded where nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

LOOK_S = 0.1
"""How often whoever waits should look whether Ctrl-C has been pressed."""


class CtrlC:
    """Ctrl-C pressed while this context is entered.

    Python's own handler raises `KeyboardInterrupt` wherever the program happens to be. In a destructor or a callback of
    the garbage collector the exception is printed and lost; within an executor it may leave a lock taken for good. So
    the first Ctrl-C is only noted, until somebody calls `heed`, at the latest at the end. In case nobody does, the
    second one raises at once.

    In another thread than the main one, or if the program handles Ctrl-C in another way than Python does by itself, all
    of that stays as it is.
    """

    def __init__(self) -> None:
        self._is_pressed = False
        self._is_here = False

    def __enter__(self) -> CtrlC:
        is_main = threading.current_thread() is threading.main_thread()
        self._is_here = is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._is_here:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._is_here:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if kind is None:
            self.heed()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._is_pressed:
            raise KeyboardInterrupt
        self._is_pressed = True

    def heed(self) -> None:
        """Do what is to be done if Ctrl-C has been pressed.

        Raises
        ------
        KeyboardInterrupt
            If it has.
        """
        if self._is_pressed:
            raise KeyboardInterrupt


@contextmanager
def held_back() -> Iterator[None]:
    """Hold Ctrl-C back for a moment; processes that are started meanwhile leave it to this one."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # unblocks Ctrl-C when it starts, so it must run before
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
