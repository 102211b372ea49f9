"""Things that one thread at a time may use, lent to many threads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, LifoQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Lending(Generic[T]):
    """Lends one of several equal things, and makes another where all are in use.

    Not thread-local storage: tf.data's threads are new to Python at every call, so that each call
    would make its own.
    """

    def __init__(self, make: Callable[[], T], ready: int = 0):
        """Make `ready` things now, so that a fault of `make` shows here."""
        self._make = make
        self._idle: LifoQueue[T] = LifoQueue()
        for _ in range(ready):
            self._idle.put(make())

    @contextmanager
    def lent(self) -> Iterator[T]:
        """One thing that nobody else uses, for the length of a `with` block."""
        try:
            thing = self._idle.get_nowait()
        except Empty:
            thing = self._make()
        try:
            yield thing
        finally:
            self._idle.put(thing)
