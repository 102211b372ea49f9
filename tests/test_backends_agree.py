"""Every model, loss and metric gives the same figures on TensorFlow and on JAX."""

import contextlib
import inspect
import io
import json
import sys

import keras
import numpy as np
import pytest

import fetal_tf.metrics.classes
import fetal_tf.metrics.head_axis
import fetal_tf.metrics.landmarks
import fetal_tf.metrics.masks
from fetal_tf.losses import LOSSES
from fetal_tf.models import MODELS
from tests.losses.jax_process import run_on_jax
from tests.losses.test_conformance import PIXELS, TARGETS, kinds_of
from tests.test_backends import PARAMETERS

# Metric → what it is built with, and the kind of target that it takes.
METRICS = {
    "Dice": ([], "masks that may overlap"),
    "IoU": ([], "masks that may overlap"),
    "PixelAccuracy": ([], "masks that may overlap"),
    "ClassDice": ([1, "dice"], "exclusive classes"),
    "ForegroundDice": ([3], "exclusive classes"),
    "WeightedIoU": ([[1.0, 2.0, 3.0]], "exclusive classes"),
    "ClassAccuracy": ([], "exclusive classes"),
    "AxisError": ([], "a mask and the maps of its axis"),
    "CoordinateError": ([[12, 16]], "coordinates and their weight"),
    "HeatmapError": ([0], "maps of landmarks"),
}
PROGRAM = """
import json
import sys
import keras
import numpy as np
from fetal_tf.losses import LOSSES
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.metrics import classes, head_axis, landmarks, masks
from fetal_tf.models import MODELS

arrays, told = np.load(sys.argv[1]), json.loads(sys.argv[2])
pixels = ClassPixels(*(tuple(part) for part in told["pixels"]))
found = {}
for name, parameters in told["models"].items():
    model = MODELS.build("model", {"name": name, **parameters}, (32, 64, 1), 2)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        values = rng.uniform(0.5, 1.5, weight.shape)  # variances are above zero
        if len(weight.shape) > 1:
            values = rng.normal(0, np.prod(weight.shape[:-1]) ** -0.5, weight.shape)
        weight.assign(values.astype("float32"))
    image = rng.uniform(0, 255, (2, 32, 64, 1)).astype("float32")
    answer = keras.ops.convert_to_numpy(model(image, training=False))
    found["model " + name] = answer.reshape(-1)[:: max(answer.size // 50, 1)].tolist()
for name, kinds in told["losses"].items():
    for kind in kinds:
        loss = LOSSES.build("loss", {"name": name}, pixels)
        value = loss(arrays[kind + "/truth"], arrays[kind + "/found"])
        found[f"loss {name}, {kind}"] = [float(value)]
for name, (arguments, kind) in told["metrics"].items():
    modules = (classes, head_axis, landmarks, masks)
    metric = next(getattr(m, name) for m in modules if hasattr(m, name))(*arguments)
    for part in (slice(0, 1), slice(1, None)):
        metric.update_state(arrays[kind + "/truth"][part], arrays[kind + "/found"][part])
    found["metric " + name] = [float(metric.result())]
print(json.dumps(found))
"""


def slips():
    """Of each kind of target the truth, and an answer that is nearly right."""
    rng = np.random.default_rng(1)
    for kind, (truth, perfect) in TARGETS.items():
        noise = rng.uniform(0.05, 0.95, perfect.shape).astype(np.float32)
        found = 0.7 * perfect + 0.3 * noise
        if kind == "exclusive classes":
            found /= found.sum(axis=-1, keepdims=True)
        yield f"{kind}/truth", truth
        yield f"{kind}/found", found


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Those of TensorFlow, and those of JAX."""
    file = tmp_path_factory.mktemp("backends") / "arrays.npz"
    np.savez(file, **dict(slips()))
    models = [name for name in MODELS.names() if not name.startswith("keras_cv")]
    told = json.dumps(
        {
            "pixels": [PIXELS.classes, PIXELS.pixels, PIXELS.images],
            "models": {name: PARAMETERS.get(name, {}) for name in models},
            "losses": {name: kinds_of(name) for name in LOSSES.names()},
            "metrics": METRICS,
        }
    )
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", ["program", str(file), told])
        exec(compile(PROGRAM, "<program>", "exec"), {})
    return json.loads(printed.getvalue()), json.loads(run_on_jax(PROGRAM, file, told))


@pytest.mark.parametrize("what", ["model", "loss", "metric"])
def test_both_backends_give_the_same_figures(figures, what):
    here, there = ({k: v for k, v in each.items() if k.startswith(what)} for each in figures)
    assert here.keys() == there.keys() and here
    for name, values in here.items():
        assert np.isfinite(values).all(), name
        np.testing.assert_allclose(there[name], values, rtol=2e-4, atol=2e-5, err_msg=name)


def test_the_models_answers_are_not_all_alike(figures):
    """Else two wrong answers would agree: all 0, or all 1."""
    for name, values in figures[0].items():
        if name.startswith("model"):
            assert np.ptp(values) > 1e-3, name


def test_every_metric_is_among_them():
    modules = (
        fetal_tf.metrics.classes,
        fetal_tf.metrics.head_axis,
        fetal_tf.metrics.landmarks,
        fetal_tf.metrics.masks,
    )
    registered = {
        name
        for module in modules
        for name, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, keras.metrics.Metric)
        and keras.saving.get_registered_name(value).startswith("fetal_tf>")
    }
    assert registered == {*METRICS}
