"""Train the trials of a sweep with Ray Tune, each in a process of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fetal_tf.edge.io.cluster import cluster
from fetal_tf.training.sweep import Trial

CORES_A_TRIAL = 4  # where nothing else is asked for; a small net does not get faster with more
_LESS_MEMORY = "where memory was short, a lower --parallel needs less"
TUNE = ".tune"  # below the sweep's folder, while it runs


def train_trials(
    trials: Sequence[Trial],
    out: Path,
    address: str,
    parallel: int | None,
    ended: Callable[[str, str], None],
) -> dict[str, str]:
    """Train trials, begun ones from where they are; one that fails stops no other.

    Args:
        trials: those that are not finished.
        out: the sweep's folder, on a disk that all machines of the cluster share. What a trial
            prints goes to `logs/NAME.log` there.
        address: of the cluster, see `fetal_tf.edge.io.cluster.cluster`.
        parallel: trials at once on a machine; None: one for each GPU, else for every four cores.
        ended: called with the name of each trial and its error when it has ended.

    Returns:
        The error of each trial by its name, in one line; empty for those that have finished.

    Raises:
        FetalTFError: no cluster answers.
    """
    (out / "logs").mkdir(parents=True, exist_ok=True)
    given = {
        trial.config.name: {
            "command": ["fetal_tf.train", *trial.options, *(["--resume"] * trial.run.is_dir())],
            "folder": os.getcwd(),
            "log": str((out / "logs" / f"{trial.config.name}.log").absolute()),
        }
        for trial in trials
    }
    try:
        with cluster(address):
            return _tune(given, (out / TUNE).absolute(), parallel, ended)
    finally:
        shutil.rmtree(out / TUNE, ignore_errors=True)


def _tune(
    given: dict[str, dict[str, Any]],
    storage: Path,
    parallel: int | None,
    ended: Callable[[str, str], None],
) -> dict[str, str]:
    from ray import tune

    errors = {}

    class Noted(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
            note(trial.config["name"], trial.last_result["error"])

        def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
            note(trial.config["name"], f"its worker of the cluster has ended; {_LESS_MEMORY}")

    def note(name: str, error: str) -> None:
        errors[name] = error
        ended(name, error)

    tune.Tuner(
        tune.with_resources(tune.with_parameters(_train, given=given), _share(parallel)),
        param_space={"name": tune.grid_search(list(given))},
        run_config=tune.RunConfig(
            name="trials", storage_path=str(storage), verbose=0, callbacks=[Noted()]
        ),
    ).fit()
    return errors


def _share(parallel: int | None) -> dict[str, float]:
    """What of the largest machine a trial takes, so that `parallel` run there at once."""
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores, gpus = (max(machine.get(kind, 0) for machine in machines) for kind in ("CPU", "GPU"))
    count = parallel or int(gpus) or max(1, int(cores) // CORES_A_TRIAL)
    # Ray counts in parts of 1/10000.
    return {"cpu": cores * 10_000 // count / 10_000, "gpu": min(1, gpus * 10_000 // count / 10_000)}


def _train(setting: dict[str, str], given: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Train a trial where Ray wants it; returns its error, or an empty one."""
    trial = given[setting["name"]]
    command = [sys.executable, "-m", "fetal_tf.training.attended", *trial["command"]]
    log = Path(trial["log"])
    with (
        log.open("ab") as said,
        subprocess.Popen(
            command, cwd=trial["folder"], stdin=subprocess.PIPE, stdout=said, stderr=said
        ) as process,
    ):
        code = process.wait()
    return {"error": _cause(code, log)}


def _cause(code: int, log: Path) -> str:
    """Why a command has failed: the last line that it printed; empty where it has not failed."""
    if code < 0:
        return f"ended by signal {-code}; {_LESS_MEMORY}"
    if not code:
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return (lines or [f"exit code {code}"])[-1].removeprefix("error: ")
