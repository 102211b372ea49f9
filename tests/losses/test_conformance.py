"""What every registered loss must do. A new loss is right when this file passes for its name.

A loss has to suit at least one kind of target that the tasks learn; which one, the test finds out.
"""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from fetal_tf.losses import LOSSES
from fetal_tf.losses.class_pixels import ClassPixels
from tests.losses.loss_checks import gradient_of

SHAPE = (2, 12, 16)
PIXELS = ClassPixels(("background", "brain", "csp"), (300, 60, 24), (2, 2, 2))
ENDS = np.array([[0.2, 0.5], [0.8, 0.5], [0.5, 0.3], [0.5, 0.7]], np.float32)


def _blob(x, y, sigma):
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    return np.exp(-((columns - 16 * x) ** 2 + (rows - 12 * y) ** 2) / (2 * sigma**2))


def _batch(*maps):
    return np.stack([np.stack(maps, axis=-1)] * SHAPE[0]).astype(np.float32)


HEAD = (_blob(0.5, 0.5, 3) > 0.5).astype(np.float32)
INNER = (_blob(0.5, 0.5, 1) > 0.5).astype(np.float32)
PEAKS = [_blob(x, y, 1) for x, y in ENDS]
# Kind of target → (truth, a perfect prediction).
TARGETS = {
    "masks that may overlap": (_batch(HEAD, INNER),) * 2,
    "exclusive classes": (_batch(1 - HEAD, HEAD - INNER, INNER),) * 2,
    "maps of landmarks": (_batch(*PEAKS),) * 2,
    "a mask and maps of landmarks": (_batch(HEAD, *PEAKS),) * 2,
    "a mask and the maps of its axis": (_batch(HEAD, 0 * HEAD + 1, 0 * HEAD + 0.5),) * 2,
    "gray values and their weight": (_batch(PEAKS[0], HEAD), _batch(PEAKS[0])),
    "coordinates and their weight": (
        np.stack([np.column_stack([ENDS, np.ones(4, np.float32)])] * SHAPE[0]),
        np.stack([ENDS] * SHAPE[0]),
    ),
}


def build(name):
    return LOSSES.build("loss", {"name": name}, PIXELS)


def suits(loss, truth, found):
    try:
        return np.isfinite(float(loss(truth, found)))
    except (ValueError, TypeError, IndexError, tf.errors.InvalidArgumentError):
        # Another shape than it is made for.
        return False


def kinds_of(name):
    loss = build(name)
    return [kind for kind, pair in TARGETS.items() if suits(loss, *pair)]


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_suits_a_target_and_prefers_the_truth(name):
    """The truth costs less than a slip of it, and the gradient at the slip points back to it."""
    kinds, rng = kinds_of(name), np.random.default_rng(0)
    assert kinds, f"{name} takes none of {', '.join(TARGETS)}"
    preferred = []
    for kind in kinds:
        truth, perfect = TARGETS[kind]
        assert build(name).call(truth, perfect).shape[:1] == (len(truth),), (
            f"{name}: call averages over the batch; return one value per image, (N,)"
        )
        slip = 0.6 * perfect + 0.4 * rng.uniform(0.05, 0.95, perfect.shape).astype(np.float32)
        if kind == "exclusive classes":
            slip /= slip.sum(axis=-1, keepdims=True)
        value, gradient = gradient_of(build(name), truth, slip)
        assert np.isfinite(gradient).all(), kind
        uphill = float((gradient * (slip - perfect)).sum())
        if value > float(build(name)(truth, perfect)) and uphill > 0:
            preferred.append(kind)
    assert preferred, f"{name}: for none of {', '.join(kinds)} is the truth the better answer"


@pytest.mark.parametrize("name", LOSSES.names())
def test_a_config_can_set_every_parameter(name):
    parameters = inspect.signature(LOSSES.get("loss", name)).parameters.values()
    hidden = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert not hidden, f"{name}: write `*` before {hidden}; a config sets keyword-only parameters"


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_comes_back_from_its_config_and_holds_in_half_precision(name):
    loss, kinds = build(name), kinds_of(name)
    assert kinds, f"{name} takes none of {', '.join(TARGETS)}"
    truth, perfect = TARGETS[kinds[0]]
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert float(again(truth, perfect)) == float(loss(truth, perfect))
    halved = loss(truth.astype(np.float16), perfect.astype(np.float16))
    assert keras.backend.standardize_dtype(halved.dtype) == "float32"
    assert float(halved) == pytest.approx(float(loss(truth, perfect)), abs=2e-2)
