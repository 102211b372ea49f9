"""Structures task: brain, cavum septi pellucidi (csp) and lateral ventricles (lv) in one map."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import keras
import numpy as np
import pandas as pd
from pydantic import NonNegativeFloat

from fetal_tf.config.registry import nearest
from fetal_tf.data.pipeline.targets import Target, one_hot
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import Measurement
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.brain import measure_brain_labels
from fetal_tf.edge.measure.brain_measurement import BrainMeasurement
from fetal_tf.edge.measure.structures import STRUCTURES
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.metrics.classes import ClassAccuracy, ClassDice, ForegroundDice, WeightedIoU
from fetal_tf.scores import classes as class_scores
from fetal_tf.scores.classes import AbsentRule
from fetal_tf.scores.confusions import confusion, confusion_columns
from fetal_tf.scores.quantities import Quantity, measurement_errors
from fetal_tf.scores.rows import Row, frame_of, scored
from fetal_tf.tasks.plain import PlainTask, row_of
from fetal_tf.tasks.registry import TASKS
from fetal_tf.tasks.structures import fitting as structures_fitting
from fetal_tf.tasks.structures import summary as structures_summary
from fetal_tf.tasks.structures.columns import (
    BACKGROUND,
    FEATURES,
    LV_WIDTH,
    PER_CLASS,
    TRUE,
    declared_columns,
    parity_limits,
)
from fetal_tf.tasks.structures.summary import RAW
from fetal_tf.tasks.task import Gathered

FALSE_ALARM_RATE = 0.05  # share of the validation frames that the anomaly thresholds flag


@TASKS.register("structures")
class StructuresTask(PlainTask):
    """Each pixel is one of `classes`, background first; every other class is a structure."""

    name = "structures"
    measurement = "brain"
    fits_measurer = True
    head: Literal["sigmoid", "softmax", "linear"] = "softmax"
    target_interpolation: Literal["linear", "nearest"] = "nearest"

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        classes: list[str],
        measurement: str,
        absent: AbsentRule = "skip",
        iou_weights: list[NonNegativeFloat] | None = None,
        cleaning: dict[str, Any] | None = {},  # noqa: B006  (never changed)
    ):
        """Check the classes and build the measurer.

        Args:
            settings: what a trained run has fitted, see `fit_measurer`.
            classes: background, brain, then the structures inside the brain.
            measurement: brain.
            absent: the score of a class in an image whose truth does not show it, see
                `fetal_tf.scores.classes.class_metrics`.
            iou_weights: of the training metric `weighted_iou`, per class; by default 0, 1, 2, 2.
            cleaning: parameters of `fetal_tf.edge.measure.cleaning.Cleaning`; empty: its defaults;
                null measures the raw label map.
        """
        _check(classes, iou_weights)
        chosen = {} if cleaning == {} else {"cleaning": cleaning}
        self._measure_by(measurement, classes, settings, chosen, "task.cleaning")
        self.structures = self.classes[1:]
        self.absent: AbsentRule = absent
        self._iou_weights = iou_weights or [0.0, 1.0, *[2.0] * (len(classes) - 2)]
        dice = tuple(f"{name}_dice" for name in self.structures)
        self.headline: tuple[str, ...] = ("foreground_dice", *dice, "mismatch_score")
        self.quantities: tuple[Quantity, ...] = ()
        if "lv" in self.structures:
            self.quantities = (Quantity(LV_WIDTH, "mm"),)
        self.columns = declared_columns(self.classes, self.quantities)
        self.pooled_headline = dice
        self.parity_limits = parity_limits(
            self.structures, scored=structures_fitting.is_scored(self.measurement_settings)
        )

    def target(self, sample: Sample, letterbox: Letterbox) -> Target:
        """Class index of each network pixel, uint8 [h, w, 1]: nearest neighbour, padding is 0."""
        return Target(letterbox.apply_nearest(self._labels(sample))[..., None])

    def encode(self, target: Target) -> np.ndarray:
        """One-hot classes, float32 [h, w, K]."""
        return one_hot(target.maps, len(self.classes))

    def count_pixels(self, targets: Iterable[Target]) -> ClassPixels:
        """Pixels and images of every class.

        Raises:
            DataError: no target holds a class; the message counts all classes.
        """
        counted = ClassPixels.count((target.maps for target in targets), self.classes)
        missing = [name for name, n in zip(self.classes, counted.images, strict=True) if n == 0]
        if missing:
            found = ", ".join(
                f"{name} in {images} ({pixels} pixels)"
                for name, images, pixels in zip(
                    self.classes, counted.images, counted.pixels, strict=True
                )
            )
            raise DataError(
                f"task.classes: no training image holds {' or '.join(missing)}, so it cannot be "
                f"learnt. Training images per class: {found}. Leave the class out, or add images."
            )
        return counted

    def training_metrics(self, image_size: tuple[int, int]) -> list[keras.metrics.Metric]:
        """Dice of foreground and structures, weighted IoU, accuracy, pooled over an epoch."""
        per_class = [
            ClassDice(index, name=f"{name}_dice")
            for index, name in enumerate(self.classes)
            if name != BACKGROUND
        ]
        return [
            ForegroundDice(len(self.classes), name="foreground_dice"),
            WeightedIoU(self._iou_weights, name="weighted_iou"),
            *per_class,
            ClassAccuracy(name="pixel_accuracy"),
        ]

    def fit_measurer(
        self,
        training: Iterable[Sample],
        validation: Iterable[tuple[Sample, Measurement]],
    ) -> dict[str, Any]:
        """Reference shapes from the training masks, thresholds from the validation images.

        `FALSE_ALARM_RATE` of the validation images, as measured by the trained net, reach the
        thresholds, so these allow for its usual errors of shape. See `structures.fitting.fit`.
        """
        return structures_fitting.fit(training, validation, self._truth, FALSE_ALARM_RATE)

    def evaluate(
        self,
        probabilities: np.ndarray,
        sample: Sample,
        letterbox: Letterbox,
        gather: Gathered | None = None,
    ) -> Row:
        """Overlap per class, mismatch score, shape features and anomaly scores, original frame.

        `csp_dice` and the like score the cleaned label map, `raw_csp_dice` the net's argmax.
        """
        labels = self._labels(sample)
        measured = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        assert isinstance(measured, BrainMeasurement)
        truth = measure_brain_labels(labels, self.classes, sample.mm_per_pixel)
        cleaned, raw = (
            confusion(found, labels, len(self.classes))
            for found in (measured.labels, measured.raw_labels)
        )
        row: Row = {"condition": sample.condition or ""}
        row |= self._overlap(cleaned) | {RAW + k: v for k, v in self._overlap(raw).items()}
        row |= self._mismatch(cleaned)
        record, true_record = measured.as_record(), truth.as_record()
        for name, value in record.items():
            if name not in ("mm_per_pixel", "flags", "notes", "refused"):
                row[name] = value
        row |= {f"{TRUE}{name}": true_record[name] for name in self._true_columns(true_record)}
        if self.quantities:
            row |= measurement_errors(record, true_record, (LV_WIDTH,))
        row |= confusion_columns(cleaned, self.classes)
        row |= confusion_columns(raw, self.classes, RAW)
        return row_of(sample, measured, row)

    def pooled(self, rows: pd.DataFrame) -> dict[str, float | None]:
        """Scores pooled over the pixels of all images."""
        return structures_summary.pooled(rows, self.classes)

    def summarise(self, rows: pd.DataFrame, seed: int) -> dict[str, Any]:
        """See `fetal_tf.tasks.structures.summary.summary`."""
        return structures_summary.summary(rows, self.classes, self.absent, seed)

    def tables(self, rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
        """`features.csv`: one line per image, structure and reader (model or expert)."""
        lines: list[Row] = []
        for row in scored(rows).to_dict("records"):
            for structure in self.structures:
                for reader, prefix in (("model", ""), ("expert", TRUE)):
                    line: Row = {"id": row["id"], "structure": structure, "reader": reader}
                    line |= {f: row.get(f"{prefix}{structure}_{f}") for f in FEATURES}
                    graded = structure == "lv"
                    line["ventriculomegaly"] = row[f"{prefix}ventriculomegaly"] if graded else ""
                    lines.append(line)
        return {"features": frame_of(lines)}

    def draw(
        self,
        image: np.ndarray,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        sample: Sample,
    ) -> np.ndarray:
        """Structures, probability and disagreement maps, and the expert's structures if known."""
        measured = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        truth = None
        if sample.load_mask is not None:
            truth = self._truth(sample)
        return self.measurer.draw(image, measured, truth=truth)

    def _truth(self, sample: Sample) -> BrainMeasurement:
        return measure_brain_labels(self._labels(sample), self.classes, sample.mm_per_pixel)

    def _labels(self, sample: Sample) -> np.ndarray:
        if sample.load_mask is None:
            raise DataError(f"{sample.image_path}: sample {sample.id} has no mask to compare with")
        if sample.labels is None:
            raise DataError(
                f"{sample.image_path}: its dataset does not annotate structures, and what it does "
                "not show cannot be counted as absent"
            )
        if sample.labels != self.classes:
            raise DataError(
                f"{sample.image_path}: its mask holds {', '.join(sample.labels)}; task.classes "
                f"names {', '.join(self.classes)}. Let data.options.structures and task.classes "
                "name the same structures in the same order."
            )
        labels = sample.load_mask()
        if labels.max(initial=0) >= len(self.classes):
            raise DataError(
                f"{sample.image_path}: its mask holds class {labels.max()}, task.classes names "
                f"{len(self.classes)}: {', '.join(self.classes)}. Let data.options.structures and "
                "task.classes name the same."
            )
        return labels

    def _overlap(self, matrix: np.ndarray) -> Row:
        metrics = class_scores.class_metrics(matrix, self.absent)
        row: Row = {}
        dice = []
        for name, found in zip(self.classes, metrics, strict=True):
            row |= {f"{name}_{metric}": found[metric] for metric in PER_CLASS}
            if name != BACKGROUND and found["dice"] is not None:
                dice.append(found["dice"])
        row["foreground_dice"] = float(np.mean(dice)) if dice else None
        row["pixel_accuracy"] = float(np.trace(matrix) / matrix.sum())
        return row

    def _mismatch(self, matrix: np.ndarray) -> Row:
        found = class_scores.mismatch_scores(matrix, self.classes)
        row: Row = {f"{name}_mismatch": found[name] for name in self.structures}
        return row | {"mismatch_score": found["foreground"]}

    def _true_columns(self, record: Mapping[str, Any]) -> list[str]:
        shape = [f"{name}_{feature}" for name in self.structures for feature in FEATURES]
        shown = [f"{name}_present" for name in self.structures]
        return [name for name in (*shape, *shown, "ventriculomegaly") if name in record]


def _check(classes: list[str], iou_weights: list[float] | None) -> None:
    inner = classes[2:]
    if classes[:2] != [BACKGROUND, "brain"] or not inner or len(set(classes)) < len(classes):
        raise ConfigError(
            f"task.classes: found {classes}; background comes first, then brain and at least one "
            "structure in it, each once"
        )
    for name in inner:
        if name not in STRUCTURES:
            raise ConfigError(
                f"task.classes: unknown structure {name!r}{nearest(name, STRUCTURES)}; "
                f"allowed inside the brain: {', '.join(STRUCTURES)}"
            )
    if iou_weights is not None and (len(iou_weights) != len(classes) or not any(iou_weights)):
        raise ConfigError(
            f"task.iou_weights: found {iou_weights}; one weight for each of {len(classes)} classes "
            "is expected, not all zero"
        )
