"""Track a run in MLflow beside a command, which never waits for a server and never fails for one.

MLflow's Keras callback cannot do that: it asks the server in the training's own thread when
training begins, and its queue makes the end of the process wait for every answer. Here a thread
calls `sync`; the requests in it give up after seconds.
"""

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fetal_tf.config.tree import Config
from fetal_tf.edge.extras import missing_modules
from fetal_tf.tracking.run_folder import RunFolder, read_memory
from fetal_tf.tracking.sync import local_database, set_network_limits, sync

TIMEOUT_S = 5  # of a request; MLflow's own 120 s, seven times, would outlast many a training
PATIENCE_S = 60  # at the end, since something was last sent: longer than to read and write a model


@contextmanager
def tracked(config: Config, run: Path) -> Iterator[Callable[[], None]]:
    """Track a training, if its config says so, for the length of a `with` block.

    Yields:
        What to call when an epoch has ended; it returns at once.
    """
    if "mlflow" not in config.tracking:
        yield lambda: None
        return
    uri = config.mlflow.uri
    local = local_database(uri) is not None
    print(f"MLflow: mlflow ui --backend-store-uri {uri}" if local else f"MLflow: {uri}")
    tracker = _Tracker(run, uri, config.mlflow.experiment)
    tracker.epoch_ended()  # settings are there before the first one
    try:
        yield tracker.epoch_ended
    except BaseException as error:
        tracker.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    tracker.finish("FINISHED")


def track_results(config: Config, run: Path) -> None:
    """After an evaluation or an export: bring the results to where the run is tracked, if it is."""
    memory = read_memory(run)
    if memory is None and "mlflow" not in config.tracking:
        return
    target = memory or config.mlflow
    if missing_modules("mlflow"):
        warnings.warn(_left_behind(run, target.uri, "MLflow is not installed"), stacklevel=2)
    else:
        _Tracker(run, target.uri, target.experiment).finish(None)


class _Tracker:
    """Calls `sync` in a thread of its own, and says once in the caller's what went wrong.

    Requests do not pile up: the next `sync` sends whatever the folder then holds. The thread is a
    daemon: whatever it hangs in, the process ends without it.
    """

    def __init__(self, run: Path, uri: str, experiment: str):
        set_network_limits(TIMEOUT_S, retries=0)
        import mlflow  # noqa: F401  (two threads must not import it at once)

        self._run, self._uri, self._experiment = run, uri, experiment
        self._asked = threading.Event()
        self._status: str | None = "RUNNING"
        self._closing = self._warned = False
        self._failure: Exception | None = None
        self._last_sent = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="fetal_tf tracking", daemon=True)
        self._thread.start()

    def epoch_ended(self) -> None:
        self._asked.set()
        self._warn_once(self._failure)

    def finish(self, status: str | None) -> None:
        """Send everything, and wait for it as long as something moves."""
        self._last_sent = time.monotonic()
        self._status, self._closing = status, True
        self._asked.set()
        while self._thread.is_alive():
            if time.monotonic() - self._last_sent > PATIENCE_S:
                return self._warn_once(TimeoutError(f"no answer within {PATIENCE_S:g} s"))
            self._thread.join(timeout=0.05)
        if self._warned and self._failure is None:
            print(f"MLflow at {self._uri} is back, and has the whole run")
        self._warn_once(self._failure)

    def _work(self) -> None:
        folder, closing = RunFolder(self._run), False
        while not closing:
            self._asked.wait()
            self._asked.clear()
            closing = self._closing  # before the status, which is set before it
            try:
                for _ in sync(folder, self._uri, self._experiment, self._status):
                    self._last_sent = time.monotonic()
                self._failure = None
            except Exception as error:  # a thread has nobody to raise to: the caller finds it
                self._failure = error

    def _warn_once(self, failure: Exception | None) -> None:
        if failure is not None and not self._warned:
            self._warned = True
            warnings.warn(_left_behind(self._run, self._uri, reason(failure)), stacklevel=3)


def _left_behind(run: Path, uri: str, reason: str) -> str:
    return (
        f"MLflow at {uri}: {reason}; everything stays in {run}, upload it later "
        f"with `python -m tools.mlflow_upload {run}`"
    )


def reason(error: BaseException) -> str:
    """What lies at the bottom of an error, in one line: `[Errno 111] Connection refused`."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return " ".join(str(error).split())[:200] or type(error).__name__
