"""Exclusive structures inside the fetal head: brain, cavum septi pellucidi, lateral ventricles."""

import dataclasses
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
from pydantic import NonNegativeFloat

from fetal_tf import class_scores, scores
from fetal_tf.class_pixels import ClassPixels
from fetal_tf.class_scores import AbsentRule
from fetal_tf.confusions import confusion, confusion_columns, confusions_of_rows
from fetal_tf.data.sample import Sample
from fetal_tf.data.targets import one_hot
from fetal_tf.detection import auroc, presence_detection
from fetal_tf.edge import anomaly
from fetal_tf.edge.brain import BrainMeasurement, measure_brain_labels
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.measurements import MEASURERS, Measurement
from fetal_tf.edge.preprocess import Letterbox
from fetal_tf.edge.structures import Features
from fetal_tf.metrics import ClassAccuracy, ClassDice, ForegroundDice, WeightedIoU
from fetal_tf.registry import nearest
from fetal_tf.tasks import TASKS
from fetal_tf.tasks.task import Row, Task

BACKGROUND = "background"
PER_CLASS = ("dice", "iou", "precision", "recall", "f1")
RAW = "raw_"  # columns of the label map before it was cleaned
TRUE = "true_"  # columns of what the expert's mask measures
FEATURES = tuple(field.name for field in dataclasses.fields(Features))
LV_WIDTH = "lv_width"
ANOMALY_SCORES = ("anomaly_score", "shape_score", "disagreement_score")
NORMAL = "normal"
FALSE_ALARM_RATE = 0.05  # share of the validation frames that the anomaly thresholds flag


def _limits(dice: float, pooled: float, classes: Iterable[str]) -> dict[str, float]:
    """Per class, the change of its mean Dice and of its pooled Dice."""
    per_image = {f"{name}_dice_delta_mean": dice for name in classes}
    return per_image | {f"pooled_{name}_dice_delta": pooled for name in classes}


class StructuresTask:
    """Each pixel is one of `classes`, background first; every other class is a structure."""

    name = "structures"
    target_interpolation: Literal["linear", "nearest"] = "nearest"

    def __init__(
        self,
        classes: list[str],
        measurement: str,
        absent: AbsentRule,
        iou_weights: list[float] | None,
        cleaning: dict[str, Any] | None,
        settings: Mapping[str, Any],
    ):
        _check(classes, measurement, iou_weights)
        self.classes = tuple(classes)
        self.structures = self.classes[1:]
        self.measurement = measurement
        self.absent: AbsentRule = absent
        self._iou_weights = iou_weights or [0.0, 1.0, *[2.0] * (len(classes) - 2)]
        # An empty cleaning is the measurer's own.
        chosen = {} if cleaning == {} else {"cleaning": cleaning}
        self.measurement_settings: Mapping[str, Any] = chosen | dict(settings)
        try:
            self.measurer = MEASURERS[measurement](self.classes, self.measurement_settings)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"task.cleaning: {error}") from error
        dice = tuple(f"{name}_dice" for name in self.structures)
        self.headline: tuple[str, ...] = ("foreground_dice", *dice, "mismatch_score")
        self.quantities: tuple[str, ...] = ()
        if "lv" in self.structures:
            self.quantities = (f"{LV_WIDTH}_abs_error_mm",)
        self.metric_names = (
            *self.headline[:-1],
            *(f"{RAW}{name}" for name in self.headline[:-1]),
            *(f"{c}_{metric}" for c in self.structures for metric in PER_CLASS[1:]),
            "pixel_accuracy",
            *(f"{name}_mismatch" for name in self.structures),
            "mismatch_score",
            *(f"{LV_WIDTH}_{kind}" for kind in ("error_mm", "abs_error_mm") if self.quantities),
            *ANOMALY_SCORES,
        )
        self.parity_limits: Mapping[str, Mapping[str, float]] = {
            "float32": _limits(1e-4, 1e-4, self.structures),
            "onnx": _limits(1e-4, 1e-4, self.structures),
            "float16": _limits(1e-3, 1e-3, self.structures),
            **dict.fromkeys(
                ("dynamic", "int8", "int16x8", "onnx-int8"), _limits(5e-3, 5e-3, self.structures)
            ),
        }

    def target(self, sample: Sample, letterbox: Letterbox) -> np.ndarray:
        """Class index of each network pixel, uint8 [h, w, 1]: nearest neighbour, padding is 0."""
        return letterbox.apply_nearest(self._labels(sample))[..., None]

    def encode(self, target: np.ndarray) -> np.ndarray:
        """One channel per class, float32 [h, w, K]."""
        return one_hot(target, len(self.classes))

    def count_pixels(self, targets: Iterable[np.ndarray]) -> ClassPixels:
        """Pixels and images of every class.

        Raises:
            DataError: a class that no target holds, with the counts of all.
        """
        counted = ClassPixels.count(targets, self.classes)
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

    def training_metrics(self) -> list[keras.metrics.Metric]:
        """Pooled over an epoch's pixels: Dice of the foreground and of each structure, IoU."""
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
        self, training: Iterable[Sample], validation: Iterable[Measurement]
    ) -> dict[str, Any]:
        """The shapes of the expert's masks in training, and thresholds by what validation gives.

        The thresholds are the values that `FALSE_ALARM_RATE` of the validation frames exceed, as
        the trained net measures them: they absorb its own errors of shape.
        """
        descriptors = []
        for sample in training:
            truth = measure_brain_labels(self._labels(sample), self.classes, sample.mm_per_pixel)
            descriptors.append(anomaly.shape_descriptors(truth.structures, sample.mm_per_pixel))
        reference = anomaly.fit_reference(descriptors)
        measured = [m for m in validation if isinstance(m, BrainMeasurement) and not m.refused]
        shape_scores = []
        for m in measured:
            found = anomaly.shape_descriptors(m.structures, m.mm_per_pixel)
            z = anomaly.z_scores(found, reference)
            shape_scores.append(max((abs(value) for value in z.values()), default=None))
        thresholds = anomaly.fit_thresholds(
            shape_scores, [m.disagreement_score for m in measured], FALSE_ALARM_RATE
        )
        return {"reference": reference, "thresholds": thresholds}

    def evaluate(self, probabilities: np.ndarray, sample: Sample, letterbox: Letterbox) -> Row:
        """Overlap per class, mismatch with the expert, features and anomaly scores, in pixels of
        the original frame.

        `csp_dice` and its kin judge the cleaned label map, `raw_csp_dice` the net's own argmax.
        """
        labels = self._labels(sample)
        measured = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        assert isinstance(measured, BrainMeasurement)
        truth = measure_brain_labels(labels, self.classes, sample.mm_per_pixel)
        cleaned, raw = (
            confusion(found, labels, len(self.classes))
            for found in (measured.labels, measured.raw_labels)
        )
        row: Row = {
            "id": sample.id,
            "group": sample.group,
            "mm_per_pixel": sample.mm_per_pixel,
            "condition": sample.condition or "",
        }
        row |= self._overlap(cleaned) | {RAW + k: v for k, v in self._overlap(raw).items()}
        row |= self._mismatch(cleaned)
        record, true_record = measured.as_record(), truth.as_record()
        for name, value in record.items():
            if name not in ("mm_per_pixel", "flags", "refused"):
                row[name] = value
        row |= {f"{TRUE}{name}": true_record[name] for name in self._true_columns(true_record)}
        if self.quantities:
            width = f"{LV_WIDTH}_mm"
            expert = _number(true_record[width])
            reference = {} if expert is None else {width: expert}
            row |= scores.measurement_errors(record, reference, (LV_WIDTH,))
        row |= confusion_columns(cleaned, self.classes)
        row |= confusion_columns(raw, self.classes, RAW)
        row["flags"] = "; ".join(measured.flags)
        row["refused"] = measured.refused or ""
        return row

    def pooled(self, rows: Sequence[Row]) -> dict[str, float | None]:
        """Scores over the pixels of all images together."""
        confusions, _ = confusions_of_rows(rows, self.classes)
        if not len(confusions):
            return {}
        return class_scores.pooled_metrics(confusions.sum(axis=0), self.classes)

    def summarise(self, rows: Sequence[Row], seed: int) -> dict[str, Any]:
        """Pooled figures with intervals, cleaned and raw; Dice per image under every rule for
        absent classes; presence detection; AUROC of the anomaly scores where conditions are known.
        """
        found: dict[str, Any] = {"classes": list(self.classes), "absent_rule": self.absent}
        for prefix, title in (("", "pooled"), (RAW, "pooled_raw")):
            confusions, kept = confusions_of_rows(rows, self.classes, prefix)
            if not len(confusions):
                return found
            groups = [str(rows[place]["group"]) for place in kept]
            total = confusions.sum(axis=0)
            values = class_scores.pooled_metrics(total, self.classes)
            intervals = class_scores.pooled_intervals(confusions, self.classes, groups, seed)
            found[title] = {
                name: {"value": value, "ci95": intervals[name]} for name, value in values.items()
            }
            if not prefix:
                found["confusion_px"] = total.tolist()
                found["per_image_dice"] = self._dice_by_rule(confusions, groups, seed)
                found["presence"] = presence_detection(confusions, self.classes)
        found["anomaly"] = self._anomaly(rows, seed)
        return found

    def tables(self, rows: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
        """`features.csv`: a line per image, structure and reader of it, the model or the expert."""
        lines: list[Row] = []
        for row in (r for r in rows if not r.get("error")):
            for structure in self.structures:
                for reader, prefix in (("model", ""), ("expert", TRUE)):
                    line: Row = {"id": row["id"], "structure": structure, "reader": reader}
                    line |= {f: row.get(f"{prefix}{structure}_{f}") for f in FEATURES}
                    graded = structure == "lv"
                    line["ventriculomegaly"] = row[f"{prefix}ventriculomegaly"] if graded else ""
                    lines.append(line)
        return {"features": lines}

    def draw(
        self,
        image: np.ndarray,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        sample: Sample,
    ) -> np.ndarray:
        """Structures, probability and disagreement maps, and the expert's where there are any."""
        measured = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        truth = None
        if sample.load_mask is not None:
            truth = measure_brain_labels(self._labels(sample), self.classes, sample.mm_per_pixel)
        return self.measurer.draw(image, measured, truth=truth)

    def _labels(self, sample: Sample) -> np.ndarray:
        if sample.load_mask is None:
            raise DataError(f"{sample.image_path}: sample {sample.id} has no mask to compare with")
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

    def _dice_by_rule(
        self, confusions: np.ndarray, groups: Sequence[str], seed: int
    ) -> dict[str, Any]:
        """Rule → structure → Dice per image, summarised."""
        found: dict[str, Any] = {}
        for rule in typing.get_args(AbsentRule):
            per_image = [class_scores.class_metrics(c, rule) for c in confusions]
            found[rule] = {
                name: scores.summarise([m[index]["dice"] for m in per_image], seed, groups)
                for index, name in enumerate(self.classes)
                if name != BACKGROUND
            }
        return found

    def _anomaly(self, rows: Sequence[Row], seed: int) -> dict[str, Any]:
        """Score → condition (or `any`) → AUROC against the normal images; empty without labels."""
        known = [row for row in rows if row.get("condition") and not row.get("error")]
        conditions = sorted({str(row["condition"]) for row in known} - {NORMAL})
        found: dict[str, Any] = {}
        for score in (*ANOMALY_SCORES, "mismatch_score"):
            found[score] = {}
            for condition in ("any", *conditions) if conditions else ():
                chosen = [
                    row
                    for row in known
                    if condition == "any" or row["condition"] in (NORMAL, condition)
                ]
                found[score][condition] = auroc(
                    [_number(row.get(score)) for row in chosen],
                    np.array([row["condition"] != NORMAL for row in chosen]),
                    [str(row["group"]) for row in chosen],
                    seed,
                )
        return found


def _number(value: float | str | None) -> float | None:
    return None if isinstance(value, str) else value


def _check(classes: list[str], measurement: str, iou_weights: list[float] | None) -> None:
    if len(classes) < 3 or classes[0] != BACKGROUND or len(set(classes)) < len(classes):
        raise ConfigError(
            f"task.classes: found {classes}; background comes first, then the brain and at least "
            "one structure in it, each once"
        )
    if measurement not in MEASURERS:
        raise ConfigError(
            f"task.measurement: unknown measurement {measurement!r}"
            f"{nearest(measurement, MEASURERS)}; allowed: {', '.join(sorted(MEASURERS))}"
        )
    if iou_weights is not None and (len(iou_weights) != len(classes) or not any(iou_weights)):
        raise ConfigError(
            f"task.iou_weights: found {iou_weights}; one weight for each of {len(classes)} classes "
            "is expected, not all zero"
        )


@TASKS.register("structures")
def structures(
    settings: Mapping[str, Any],
    *,
    classes: list[str],
    measurement: str,
    absent: AbsentRule = "skip",
    iou_weights: list[NonNegativeFloat] | None = None,
    cleaning: dict[str, Any] | None = {},  # noqa: B006  (never changed)
) -> Task:
    """Label maps of `classes`, measured by the edge wing's `measurement`.

    Args:
        settings: fitted to a run, see `StructuresTask.fit_measurer`.
        classes: background, brain, then what lies in it.
        measurement: key of MEASURERS.
        absent: what a class counts in an image whose truth does not show it, see `class_scores`.
        iou_weights: of the training metric `weighted_iou`, per class; by default 0, 1, 2, 2.
        cleaning: parameters of `edge.structures.Cleaning`; null measures the raw label map.
    """
    return StructuresTask(classes, measurement, absent, iou_weights, cleaning, settings)
