"""Models, losses and metrics speak `keras.ops`: they run where TensorFlow is not even installed."""

import ast
import json
from pathlib import Path

from tests.losses.jax_process import run_on_jax

REPOSITORY = Path(__file__).resolve().parents[1]
# tf.data, TFLite, TensorBoard's files, the start of the backend itself, its strategy for several
# devices and its graphs.
MAY_IMPORT_TENSORFLOW = (
    "fetal_tf/data/pipeline/dataset.py",
    "fetal_tf/exporting/",
    "fetal_tf/training/callbacks.py",
    "fetal_tf/cli/launching.py",
    "fetal_tf/training/distribution.py",
    "fetal_tf/training/weight_average.py",
)

# JAX traces every layer at any width; these are narrower than their defaults.
PARAMETERS = {
    "attention_unet": {"base": 8},
    "efficientnetb3_regressor": {"backbone": "b0"},
    "mobile_unet": {"widths": [8, 16]},
    "unet": {"base": 8},
}
PROGRAM = """
import json
import numpy as np
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.losses import LOSSES
from fetal_tf.metrics.masks import Dice, IoU, PixelAccuracy
from fetal_tf.models import MODELS

image = np.random.default_rng(0).uniform(0, 255, (2, 32, 64, 1)).astype("float32")
truth = (image > 128).astype("float32")
others = {"l1_smooth_l1", "wing", "head_and_landmarks", "head_and_axis"}
for name in sorted({*LOSSES.names()} - others):
    pixels = ClassPixels(("background",), (1,), (1,))
    loss = LOSSES.build("loss", {"name": name}, pixels)(truth, np.full_like(truth, 0.3))
    assert np.isfinite(float(loss)), name
# keras-cv itself imports TensorFlow: tests/models/test_keras_cv_encoder.py loads a file of these.
for name in [name for name in MODELS.names() if not name.startswith("keras_cv")]:
    parameters = json.loads(sys.argv[1]).get(name, {})
    model = MODELS.build("model", {"name": name, **parameters}, (32, 64, 1), 2)
    answer = (2, 2) if name == "efficientnetb3_regressor" else (32, 64, 2)
    assert model.output_shape == (None, *answer), name
model = MODELS.build("model", {"name": "unet", "base": 4, "depth": 1}, (32, 64, 1), 1)
metrics = [Dice(), IoU(), PixelAccuracy()]
model.compile("adam", LOSSES.build("loss", {"name": "bce_dice"}, None), metrics=metrics)
logs = model.train_on_batch(image, truth, return_dict=True)
assert all(np.isfinite(value) for value in logs.values()), logs
print("trained without TensorFlow")
"""


def test_a_training_step_on_jax_with_tensorflow_out_of_reach():
    assert run_on_jax(PROGRAM, json.dumps(PARAMETERS)).strip() == "trained without TensorFlow"


def _imports_tensorflow(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if any(name.split(".")[0] == "tensorflow" for name in names):
            return True
    return False


def test_tensorflow_is_imported_only_where_nothing_else_serves():
    importing = [
        path.relative_to(REPOSITORY).as_posix()
        for top in ("fetal_tf", "export", "tools")
        for path in sorted((REPOSITORY / top).rglob("*.py"))
        if _imports_tensorflow(path)
    ]
    assert "fetal_tf/data/pipeline/dataset.py" in importing
    assert not [path for path in importing if not path.startswith(MAY_IMPORT_TENSORFLOW)]
