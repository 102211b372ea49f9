"""Ends a command at a signal as Ctrl-C does: what it has done is kept, and it says so."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never


class Terminated(KeyboardInterrupt):
    """SIGTERM, as `kill` and a machine that shuts down send it."""


def exit_code(stopped: KeyboardInterrupt) -> int:
    """128 and the signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT)


@contextmanager
def noted_signals() -> Iterator[list[KeyboardInterrupt]]:
    """Within the block Ctrl-C and SIGTERM raise, SIGTERM `Terminated`, and are noted in the list.

    In other threads than the main one nothing is changed: Python lets none of them handle signals.
    C++ code that calls back into Python turns the exception into one of its own, or drops it; the
    list is then what tells that the user wanted to stop.
    """
    noted: list[KeyboardInterrupt] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def stop(number: int, frame: FrameType | None) -> Never:
        noted.append(Terminated() if number == signal.SIGTERM else KeyboardInterrupt())
        raise noted[-1]

    before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
