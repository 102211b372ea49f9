"""What a repetition needs: versions, seeds, the commit, the command; no host name."""

import datetime
import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras

import fetal_tf
from fetal_tf.config.tree import Config
from fetal_tf.edge.io.files import sha256_of
from fetal_tf.runs.lineage import teacher_bundles, weights_file

# Every package that can change a figure.
PACKAGES = (
    "numpy", "opencv-python-headless", "keras", "tensorflow", "tensorflow-cpu", "jax",
    "albumentations", "ai-edge-litert", "onnxruntime",
)  # fmt: skip

# What `descent` records, by the key of the config that names it.
ANCESTORS = {"initial_weights": "model.init", "teachers": "teacher.bundles"}


def versions() -> dict[str, str]:
    """Of fetal_tf, Python and `PACKAGES`; an extra that is not installed changed nothing."""
    found = {"fetal_tf": fetal_tf.__version__, "Python": platform.python_version()}
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
        resumed: the weights come from the run itself, and those of `model.init` may be gone.
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


def descent(config: Config) -> dict[str, object]:
    """The weights that a run starts with and the nets that teach it, by checksum.

    Raises:
        OSError, ConfigError: they are not there.
    """
    return {"initial_weights": _initial_weights(config), "teachers": teachers(config)}


def other_ancestor(
    there: Mapping[str, Any], here: Mapping[str, Any], keys: Iterable[str] = ANCESTORS
) -> str | None:
    """The first of `keys` under which two runs descend from other files, wherever these lie.

    Args:
        there: as `descent` gives it; a run's environment.json holds it, too.
        here: likewise.
        keys: of ANCESTORS.
    """
    return next((k for k in keys if _checksums(there.get(k)) != _checksums(here.get(k))), None)


def _checksums(files: Any) -> list[str | None]:
    """Of an entry of `descent`: of one file, several or none."""
    listed = [files] if isinstance(files, Mapping) else files or []
    return [file.get("sha256") if isinstance(file, Mapping) else None for file in listed]


def _initial_weights(config: Config) -> dict[str, str] | None:
    """The file that `model.init` names, by checksum; None where training starts afresh."""
    init = config.model.init
    if init is None:
        return None
    file = weights_file(init)
    return {"file": "/".join(file.parts[-2:]), "sha256": sha256_of(file)}


def teachers(config: Config) -> list[dict[str, str]]:
    """The files whose answers are in the targets, by checksum; none without `teacher`."""
    found = []
    for bundle in teacher_bundles(config):
        file = bundle.manifest["files"][bundle.default_format]
        found.append({"file": f"{bundle.name}/{file['path']}", "sha256": file["sha256"]})
    return found


def _git_commit() -> str | None:
    """The checkout's commit, with `+changes` where the work tree differs; None outside of one."""
    folder = Path(fetal_tf.__file__).parent
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
