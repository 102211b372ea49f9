"""Tracking beside a command: it never waits for a server while it works, and fails for none."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.config.tree import Config
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.extras import missing_modules, require
from fetal_tf.tracking.background import Background
from fetal_tf.tracking.mlflow_run import (
    local_database,
    read_memory,
    set_network_limits,
)
from fetal_tf.tracking.mlflow_sync import MlflowSync
from fetal_tf.tracking.run_folder import RunFolder

TIMEOUT_S = 5  # of a request; MLflow's own 120 s, seven times, would outlast many a training
LOCAL_PATIENCE_S = 120.0  # a file on this machine is slow, but it does not hang


@dataclass(frozen=True)
class Request:
    """How far to bring the MLflow run; see `MlflowSync.bring_up_to_date`."""

    whole: bool
    status: str | None


def check_tracking(config: Config) -> None:
    """Make sure that what the config asks for can be tracked.

    Raises:
        MissingExtraError: `tracking: [mlflow]` without MLflow; the message holds the pip line.
    """
    if "mlflow" in config.tracking:
        require("mlflow")


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
    print(f"MLflow: {uri}" if local_database(uri) is None else _ui_command(uri))
    tracker = _Tracker(run, uri, config.mlflow.experiment)
    tracker.note_progress()
    try:
        yield tracker.note_progress
    except BaseException as error:
        tracker.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    tracker.finish("FINISHED")


def track_results(config: Config, run: Path) -> None:
    """After an evaluation or an export: bring the results to where the run is tracked, if it is."""
    memory = read_memory(run)
    if memory is None and "mlflow" not in config.tracking:
        return
    uri = memory.uri if memory else config.mlflow.uri
    if missing_modules("mlflow"):
        warnings.warn(_left_behind(run, uri, "MLflow is not installed"), stacklevel=2)
        return
    experiment = memory.experiment if memory else config.mlflow.experiment
    _Tracker(run, uri, experiment).finish(None)


def upload(run: Path, uri: str, experiment: str) -> tuple[int, str]:
    """Bring all that a run's folder holds to MLflow, and wait for it.

    Returns:
        How many things were sent, 0 where all were there; and the id of the MLflow run.

    Raises:
        FetalTFError: a file in the folder that cannot be read, or what the server says.
    """
    sync = MlflowSync(RunFolder(run), uri, experiment)
    try:
        sent = [what for what in sync.bring_up_to_date(whole=True, status=None) if what]
    except FetalTFError:
        raise
    except Exception as error:  # the network's, the database's and MLflow's have no common base
        raise FetalTFError(f"MLflow at {uri}: {_reason(error)}") from error
    return len(sent), str(sync.run_id)


class _Tracker:
    """Says once what went wrong, in the caller's thread, and leaves the rest to another one."""

    def __init__(self, run: Path, uri: str, experiment: str):
        set_network_limits(TIMEOUT_S, retries=0)
        import mlflow  # noqa: F401  (two threads must not import it at once)

        self._run, self._uri = run, uri
        sync = MlflowSync(RunFolder(run), uri, experiment)
        self._background = Background[Request](
            lambda request: sync.bring_up_to_date(whole=request.whole, status=request.status),
            lambda: _patience_s(uri, answered=sync.run_id is not None),
        )
        self._warned = False

    def note_progress(self) -> None:
        self._background.ask(Request(whole=False, status="RUNNING"))
        self._warn_once()

    def finish(self, status: str | None) -> None:
        self._background.finish(Request(whole=True, status=status))
        if self._warned and self._background.failure is None:
            print(f"MLflow at {self._uri} is back, and has the whole run")
        self._warn_once()

    def _warn_once(self) -> None:
        failure = self._background.failure
        if failure is not None and not self._warned:
            self._warned = True
            warnings.warn(_left_behind(self._run, self._uri, _reason(failure)), stacklevel=3)


def _patience_s(uri: str, *, answered: bool) -> float:
    """How long the end may wait without a sign of life.

    A server that has answered is alive, and its requests time out by themselves; between them this
    machine is at work, which may take longer.
    """
    if answered or local_database(uri) is not None:
        return LOCAL_PATIENCE_S
    return float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) + 1


def _ui_command(uri: str) -> str:
    return f"MLflow: mlflow ui --backend-store-uri {uri}"


def _left_behind(run: Path, uri: str, reason: str) -> str:
    return (
        f"MLflow at {uri}: {reason}; everything stays in {run}, upload it later "
        f"with `python -m tools.mlflow_upload {run}`"
    )


def _reason(error: BaseException) -> str:
    """What lies at the bottom of an error, in one line: `[Errno 111] Connection refused`."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return " ".join(str(error).split())[:200] or type(error).__name__
