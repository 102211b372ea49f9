"""Models, losses and metrics speak `keras.ops`: they run where TensorFlow is not even installed."""

import os
import subprocess
import sys

PROGRAM = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "torch"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import keras
import numpy as np
from fetal_tf.class_pixels import ClassPixels
from fetal_tf.losses import LOSSES
from fetal_tf.metrics import Dice, IoU, PixelAccuracy
from fetal_tf.models import MODELS

assert keras.backend.backend() == "jax"
image = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 1)).astype("float32")
truth = (image > 128).astype("float32")
for name in LOSSES.names():
    pixels = ClassPixels(("background",), (1,), (1,))
    loss = LOSSES.build("loss", {"name": name}, pixels)(truth, np.full_like(truth, 0.3))
    assert np.isfinite(float(loss)), name
for name in MODELS.names():
    model = MODELS.build("model", {"name": name}, (32, 48, 1), 2)  # JAX traces every layer
    assert model.output_shape == (None, 32, 48, 2), name
model = MODELS.build("model", {"name": "unet", "base": 4, "depth": 1}, (32, 48, 1), 1)
metrics = [Dice(), IoU(), PixelAccuracy()]
model.compile("adam", LOSSES.build("loss", {"name": "bce_dice"}, None), metrics=metrics)
logs = model.train_on_batch(image, truth, return_dict=True)
assert all(np.isfinite(value) for value in logs.values()), logs
print("trained without TensorFlow")
"""


def test_a_training_step_on_jax_with_tensorflow_out_of_reach():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "trained without TensorFlow", done.stderr
