"""RUN/environment.json: versions, seeds, commit and command of a run. It names no host."""

import datetime
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import keras

from fetal_tf.config.tree import Config
from fetal_tf.runs.lineage import descent
from fetal_tf.scores.rows import read_object
from fetal_tf.version import __version__

# Every package that can change a figure.
PACKAGES = (
    "numpy", "opencv-python-headless", "keras", "tensorflow", "tensorflow-cpu", "jax",
    "albumentations", "ai-edge-litert", "onnxruntime",
)  # fmt: skip


def versions() -> dict[str, str]:
    """The versions of fetal_tf, Python and those of `PACKAGES` that are installed."""
    found = {"fetal_tf": __version__, "Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def environment(config: Config, command: list[str], *, resumed: bool = False) -> dict[str, object]:
    """The content of a run's environment.json.

    Args:
        config: of the run.
        command: as typed.
        resumed: do not record the ancestors, whose files may be gone by now.
    """
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": [Path(command[0]).name, *command[1:]],
        "git_commit": _git_commit(),
        **({} if resumed else descent(config)),
        "seeds": {"training": config.seed, "split": config.split.seed},
        "platform": f"{platform.system()} {platform.machine()}",
        "keras_backend": keras.backend.backend(),
        "versions": versions(),
    }


def read_environment(run: Path) -> dict[str, Any]:
    """A run's environment.json.

    Raises:
        FetalTFError: it is not there, or damaged.
    """
    return read_object(run / "environment.json")


def _git_commit() -> str | None:
    """The checkout's commit, `+changes` where files differ from it; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()
