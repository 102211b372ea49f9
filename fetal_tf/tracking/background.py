"""Work in a thread of its own, for a caller that never waits while it has better things to do."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Request = TypeVar("Request")


class Background(Generic[Request]):
    """Works on the newest request; one that waits is replaced, so that nothing piles up.

    The thread is a daemon: whatever it hangs in, the process ends without it.
    """

    def __init__(
        self, work: Callable[[Request], Iterator[object]], patience_s: Callable[[], float]
    ):
        """`work(request)` yields after each step: a sign of life.

        Args:
            work: called in the thread; what it raises becomes `failure`, until a later request
                succeeds.
            patience_s: how long `finish` waits without a sign of life; asked again and again,
                for it may grow with what the work has found out.
        """
        self._work, self._patience_s = work, patience_s
        self._changed = threading.Condition()
        self._waiting: list[Request] = []
        self._closing = self._abandoned = False
        self._sign_of_life = time.monotonic()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="fetal_tf tracking", daemon=True)
        self._thread.start()

    def ask(self, request: Request) -> None:
        """Leave a request and return at once."""
        with self._changed:
            self._waiting[:] = [request]
            self._changed.notify()

    def finish(self, request: Request) -> None:
        """Leave the last request, and wait as long as there are signs of life."""
        with self._changed:
            self._sign_of_life = time.monotonic()
            self._closing = True
            self._waiting[:] = [request]
            self._changed.notify()
        while self._thread.is_alive():
            patience_s = self._patience_s()
            if time.monotonic() - self._sign_of_life > patience_s:
                self._abandoned = True
                self.failure = TimeoutError(f"no answer within {patience_s:g} s")
                return
            self._thread.join(timeout=0.05)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closing:
                        return
                    self._changed.wait()
                request = self._waiting.pop()
            self._attempt(request)

    def _attempt(self, request: Request) -> None:
        try:
            for _ in self._work(request):
                self._sign_of_life = time.monotonic()
                if self._abandoned:
                    return
        except Exception as error:  # a thread has nobody to raise to: the caller finds it
            if not self._abandoned:
                self.failure = error
        else:
            self.failure = None
