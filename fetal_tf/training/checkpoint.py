"""last.keras: one file with all that a resumed run needs, replaced as a whole.

`last.keras` is an ordinary Keras file (a zip) with two more members: `training_state.json` (the
history of every finished epoch) and `training_state.npz` (averaged weights, and the random states
of dropout, which Keras does not save). A run killed at any moment leaves the old file or the new
one, never a mixture; `metrics.csv` and `best.keras` are derived from it and written after it.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.files import replaced_atomically
from fetal_tf.models.saving import dtype_policy, load_model
from fetal_tf.training.distribution import of_one_device

STATE_MEMBER = "training_state.json"
ARRAYS_MEMBER = "training_state.npz"


@dataclass
class TrainingState:
    """What a resumed run needs beside the model and its optimizer.

    Attributes:
        history: one row per finished epoch; row i is epoch i.
        average: exponential moving averages by variable path, empty where none are kept.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    average: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def finished_epochs(self) -> int:
        return len(self.history)


def save_checkpoint(model: keras.Model, state: TrainingState, path: Path) -> None:
    """Write model, optimizer and state beside `path`, then move them over it.

    Raises:
        FetalTFError: the disk is full or not writable; whatever stood at `path` is still there.
    """
    with replaced_atomically(path) as temporary:
        with of_one_device(model):
            model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(STATE_MEMBER, json.dumps({"history": state.history}))
            archive.writestr(ARRAYS_MEMBER, _packed(state.average, _random_states(model)))


def load_state(path: Path) -> TrainingState:
    """Read the state out of a checkpoint.

    Raises:
        FetalTFError: no checkpoint, a damaged one, or a Keras file without a training state.
    """
    return _read_state(path)[0]


def restore(model: keras.Model, path: Path) -> TrainingState:
    """Copy weights, random states and optimizer state of a checkpoint into a compiled model.

    Raises:
        FetalTFError: the checkpoint belongs to another architecture or optimizer.
    """
    state, random_states = _read_state(path)
    with dtype_policy(model.dtype_policy.name):  # decides whether the optimizer scales the loss
        saved = load_model(path, with_optimizer=True)
    model.optimizer.build(model.trainable_variables)
    _assign(model.weights, saved.weights, path)
    _assign(model.optimizer.variables, saved.optimizer.variables, path)
    _assign(_random_variables(model), random_states, path)
    return state


def _assign(variables: Sequence[keras.Variable], values: Sequence, path: Path) -> None:
    if [tuple(v.shape) for v in variables] != [tuple(v.shape) for v in values]:
        raise FetalTFError(
            f"{path}: holds another model or optimizer than the config describes; "
            "resume with the run's own config.yaml, or start under another --name"
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _random_variables(model: keras.Model) -> list[keras.Variable]:
    """What a model keeps beside its weights: the counters of its random layers, in layer order."""
    weights = {id(variable) for variable in model.weights}
    return [v for v in model.variables if id(v) not in weights and "seed" in v.path]


def _random_states(model: keras.Model) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in _random_variables(model)]


def _packed(average: dict[str, np.ndarray], random_states: list[np.ndarray]) -> bytes:
    arrays = {f"average:{path}": array for path, array in average.items()}
    arrays |= {f"random:{i:04d}": array for i, array in enumerate(random_states)}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _read_state(path: Path) -> tuple[TrainingState, list[np.ndarray]]:
    try:
        with zipfile.ZipFile(path) as archive:
            history = json.loads(archive.read(STATE_MEMBER))["history"]
            with np.load(io.BytesIO(archive.read(ARRAYS_MEMBER))) as stored:
                arrays = dict(stored)
    except FileNotFoundError as error:
        raise FetalTFError(f"{path}: no checkpoint here; start without --resume") from error
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise FetalTFError(f"{path}: not a readable training checkpoint ({error})") from error
    average = {k[8:]: v for k, v in arrays.items() if k.startswith("average:")}
    random_states = [arrays[k] for k in sorted(arrays) if k.startswith("random:")]
    return TrainingState(history, average), random_states
