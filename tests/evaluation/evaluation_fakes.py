"""A predictor and a task whose right answers are known by construction."""

from pathlib import Path

import numpy as np
from PIL import Image

from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.errors import DataError
from fetal_tf.scores.columns import declare, figures
from fetal_tf.scores.quantities import Quantity
from fetal_tf.tasks.plain import PlainTask

INPUT_SHAPE = (24, 32, 1)


class BrightnessPredictor:
    """Calls a pixel head with the probability of its brightness; remembers what it was given."""

    def __init__(self, input_shape=INPUT_SHAPE):
        self.input_shape = input_shape
        self.batches = []

    def predict(self, images):
        assert images.dtype == np.uint8
        self.batches.append(images)
        return images[..., :1].astype(np.float32) / 255


class BrightnessTask(PlainTask):
    """Dice is the mean probability, HC its hundredfold in mm; the truth is the sample's own."""

    name = "segmentation"
    classes = ("head",)
    measurement = "head"
    columns = declare(
        figures("dice", better="higher"),
        [c for c in Quantity("hc", "mm").columns() if c.name != "hc_error_percent"],
    )
    headline = ("dice", "hc_abs_error_mm")
    quantities = (Quantity("hc", "mm"),)
    head = "sigmoid"
    parity_limits = {}  # noqa: RUF012
    measurer = MEASURERS["head"](("head",), {})

    def target(self, sample, letterbox):
        raise NotImplementedError

    def training_metrics(self):
        raise NotImplementedError

    def evaluate(self, probabilities, sample, letterbox, gather=None):
        if sample.load_mask is not None:
            sample.load_mask()
        mean = float(probabilities[letterbox.content].mean())
        return row(
            sample.id,
            group=sample.group,
            dice=mean,
            hc=100 * mean,
            true=sample.reference["hc_mm"],
            refused="no_head: too dark" if mean < 0.05 else "",
        )

    def draw(self, image, probabilities, letterbox, sample):
        return np.repeat(image[..., None], 3, axis=-1)


def row(id, *, group=None, dice=0.97, hc=None, true=None, flags="", refused="", error=""):
    """A row as a segmentation task writes it; the group is what precedes the underscore."""
    group = group or id.split("_")[0]
    if error:
        return {"id": id, "group": group, "error": error}
    measured = hc is not None and true is not None and not refused
    return {
        "id": id,
        "group": group,
        "mm_per_pixel": 0.1 if measured or refused else None,
        "dice": dice,
        "hc_mm": hc if measured else None,
        "hc_true_mm": true,
        "hc_error_mm": hc - true if measured else None,
        "hc_abs_error_mm": abs(hc - true) if measured else None,
        "flags": flags,
        "refused": refused,
        "error": "",
    }


def write_samples(folder: Path, levels, size=(48, 64)):
    """One evenly gray PNG per level; the expert agrees with the fake task exactly."""
    samples = []
    for index, level in enumerate(levels):
        path = folder / f"{index:03d}_HC.png"
        Image.fromarray(np.full(size, level, np.uint8)).save(path)
        samples.append(
            Sample(f"{index:03d}_HC", path, f"{index:03d}", 0.1, None, {"hc_mm": 100 * level / 255})
        )
    return samples


def broken_mask():
    raise DataError("000_HC_Annotation.png: mask is empty")
