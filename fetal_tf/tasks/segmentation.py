"""Segmentation task: one structure, its overlap with the expert's mask, and head biometry."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import keras
import numpy as np
import pandas as pd

from fetal_tf.data.pipeline.targets import Target, coverage_shares
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import MEASURERS, Measurement, Measurer
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.geometry.ellipse import rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.convention import conventions_of
from fetal_tf.edge.measure.head import HeadMeasurement
from fetal_tf.metrics.masks import Dice, IoU, PixelAccuracy
from fetal_tf.scores.columns import Column, ParityLimits, declare, facts, figures, values
from fetal_tf.scores.overlap import overlap_metrics, surface_distances_mm
from fetal_tf.scores.quantities import Quantity, measurement_errors
from fetal_tf.scores.rows import Row
from fetal_tf.tasks.confidence_fitting import fit_to_validation
from fetal_tf.tasks.confidence_summary import HC, confidence_section
from fetal_tf.tasks.landmark_columns import LANDMARK_COLUMNS, landmark_columns, landmark_section
from fetal_tf.tasks.plain import PlainTask, binary_mask, row_of
from fetal_tf.tasks.registry import TASKS
from fetal_tf.tasks.subgroup_summary import subgroup_section
from fetal_tf.tasks.task import Gathered

LEVEL = 0.5  # probability from which a pixel belongs to the raw mask
RAW_OVERLAP = ("mask_dice", "mask_iou")
OVERLAP = ("dice", "iou", "pixel_accuracy", "precision", "recall", "specificity")
SURFACE = ("hd95_mm", "mean_surface_distance_mm")
# Both diameters and their ends: the scores of landmark nets.
DIAMETERS = ("radial_error_px", "ofd_nme", "bpd_nme", "ofd_abs_error_mm", "bpd_abs_error_mm")
QUANTITIES = ("hc", "bpd", "ofd")  # head circumference, biparietal and occipitofrontal diameter
COLUMNS = declare(
    figures(*OVERLAP, *RAW_OVERLAP, better="higher"),
    figures(*SURFACE, better="lower"),
    LANDMARK_COLUMNS,
    *(Quantity(name, "mm").columns() for name in QUANTITIES),
    values(HC.expected),
    facts("mm_per_pixel"),
)


# How far an exported file may drift from the float model, over paired images. Rounding of weights
# to 16 bit moves a border by less than 0.05 mm; 8-bit activations by a few tenths.
def _limits(dice: float, **hc: float) -> dict[str, float]:
    """One limit for both kinds of Dice: the ellipse's can hide a drift of the raw mask."""
    return {"dice_abs_delta_mean": dice, "mask_dice_abs_delta_mean": dice, **hc}


PARITY_LIMITS: ParityLimits = dict(
    full=_limits(1e-4, hc_abs_delta_mean_mm=0.01),
    half=_limits(5e-4, hc_abs_delta_mean_mm=0.05),
    quantized=_limits(2e-3, hc_abs_delta_mean_mm=0.3, hc_abs_delta_p95_mm=1.0),
)


@TASKS.register("segmentation")
class SegmentationTask(PlainTask):
    """One structure against everything else: the fetal head, measured as an ellipse."""

    name = "segmentation"
    measurement = "head"
    fits_measurer = True
    learns_negatives = True
    headline: tuple[str, ...] = ("dice", "hc_abs_error_mm")
    quantities: tuple[Quantity, ...] = (Quantity("hc", "mm"),)
    columns: Mapping[str, Column] = COLUMNS
    scores: Mapping[str, tuple[str, ...]] = {"diameters": DIAMETERS}
    parity_limits: ParityLimits = PARITY_LIMITS
    head: Literal["sigmoid", "softmax", "linear"] = "sigmoid"

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        classes: list[str],
        measurement: str,
        conventions: dict[str, dict[str, float]] = {},  # noqa: B006  (never changed)
    ):
        """Build a measurer for each convention of the experts.

        Args:
            settings: what a trained run has fitted, see `fit_measurer`.
            classes: the one structure.
            measurement: head.
            conventions: further sources of the data, and by how much the outline of a head exceeds
                what their experts draw: `{NAME: {ofd: 1.03, bpd: 1.02}}`. Their heads are learnt as
                outlines and scored as drawn, see `fetal_tf.edge.measure.convention`.
        """
        self._check_classes(classes)
        try:
            self._conventions = conventions_of({"conventions": conventions})
        except ValueError as error:
            raise ConfigError(f"task.conventions: {error}") from error
        chosen = {"conventions": conventions} if conventions else {}
        self._measure_by(measurement, classes, settings, chosen)
        self._site_measurers = {
            name: MEASURERS[measurement](
                self.classes, {**self.measurement_settings, "convention": name}
            )
            for name in self._conventions
        }

    def _check_classes(self, classes: list[str]) -> None:
        if len(classes) != 1:
            raise ConfigError(f"task.classes: found {classes}; this task segments one structure")

    def target(self, sample: Sample, letterbox: Letterbox) -> Target:
        """Coverage of each network pixel by the structure, uint8 [h, w, 1], 255 = all of it.

        Coverage keeps the sub-pixel position of the border. A hard mask would move it by up to half
        a network pixel.
        """
        return Target(letterbox.apply_coverage(self._outline(sample))[..., None])

    def encode(self, target: Target) -> np.ndarray:
        """Coverage in 0..1, float32 [h, w, 1]."""
        return coverage_shares(target.maps)

    def training_metrics(self, image_size: tuple[int, int]) -> list[keras.metrics.Metric]:
        """Dice and IoU per image, and pixel accuracy, which the easy background raises."""
        return [Dice(name="dice"), IoU(name="iou"), PixelAccuracy(name="pixel_accuracy")]

    def fit_measurer(
        self,
        training: Iterable[Sample],
        validation: Iterable[tuple[Sample, Measurement]],
    ) -> dict[str, Any]:
        """The model of the HC's expected error, from the errors of the validation images."""
        return fit_to_validation(validation, self._hc_error_percent)

    def _hc_error_percent(self, sample: Sample, measurement: HeadMeasurement) -> float | None:
        truth = self._measure_truth(binary_mask(sample, self.classes[0]), sample.mm_per_pixel)
        return _errors(measurement, truth, sample)["hc_error_percent"]

    def evaluate(
        self,
        probabilities: np.ndarray,
        sample: Sample,
        letterbox: Letterbox,
        gather: Gathered | None = None,
    ) -> Row:
        """Overlap and border distance in the original frame, and the errors of HC, BPD and OFD.

        `dice` and the other overlaps score the fitted ellipse, as the HC18 challenge does;
        `mask_dice` and `mask_iou` score the raw mask. If the measurement was refused, all of them
        score the raw mask.
        """
        truth_mask = binary_mask(sample, self.classes[0])
        truth = self._measure_truth(truth_mask, sample.mm_per_pixel)
        raw_mask = letterbox.restore(probabilities[..., 0]) >= LEVEL
        measurement = self.measurer_of(sample).measure(
            probabilities, letterbox, sample.mm_per_pixel
        )
        predicted_mask = _measured_region(measurement, truth_mask.shape)
        if predicted_mask is None:
            predicted_mask = raw_mask
        row: Row = {**overlap_metrics(predicted_mask, truth_mask)}
        raw = overlap_metrics(raw_mask, truth_mask)
        row |= {"mask_dice": raw["dice"], "mask_iou": raw["iou"]}
        if sample.mm_per_pixel is None:
            row |= dict.fromkeys(SURFACE)
        else:
            row |= surface_distances_mm(predicted_mask, truth_mask, sample.mm_per_pixel)
        row |= _ends(measurement, truth, sample, truth_mask.shape)
        row |= _errors(measurement, truth, sample)
        row[HC.expected] = measurement.as_record()[HC.expected]
        return row_of(sample, measurement, row)

    def summarise(self, rows: pd.DataFrame, seed: int) -> dict[str, Any]:
        """`landmarks`: the ends of the axes, scored as those of landmark nets; `confidence`: how
        well the expected error predicts the real one; `subgroups`: by head size and by dataset.
        """
        return (
            landmark_section(rows)
            | confidence_section(rows, seed, HC)
            | subgroup_section(rows, seed)
        )

    def draw(
        self,
        image: np.ndarray,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        sample: Sample,
    ) -> np.ndarray:
        """The predicted mask, its measurement, and the expert's ellipse if there is a mask."""
        measurement = self.measurer_of(sample).measure(
            probabilities, letterbox, sample.mm_per_pixel
        )
        truth = None
        if sample.load_mask is not None:
            truth = self._measure_truth(binary_mask(sample, self.classes[0]), sample.mm_per_pixel)
        return self.measurer.draw(image, measurement, truth=truth)

    def measurer_of(self, sample: Sample) -> Measurer:
        """The measurer for the convention of the sample's source; without one `measurer`."""
        return self._site_measurers.get(sample.source, self.measurer)

    def _outline(self, sample: Sample) -> np.ndarray:
        """The mask that is learnt, bool [H, W]: the outline in the first dataset's convention."""
        mask = binary_mask(sample, self.classes[0])
        convention = self._conventions.get(sample.source)
        if convention is None:
            return mask
        drawn = self._measure_truth(mask, None).ellipse
        if drawn is None:
            raise DataError(f"{sample.image_path}: sample {sample.id} has a mask that is no head")
        return rasterise(convention.outline(drawn), mask.shape)

    def _measure_truth(self, truth_mask: np.ndarray, mm_per_pixel: float | None):
        height, width = truth_mask.shape
        identity = Letterbox(height, width, height, width)
        probabilities = truth_mask[..., None].astype(np.float32)
        return self.measurer.measure(probabilities, identity, mm_per_pixel)


def _errors(
    measurement: Measurement, truth: Measurement, sample: Sample
) -> dict[str, float | None]:
    """Errors against the dataset's own numbers; where it states none, against its mask's."""
    reference = {**truth.as_record(), **sample.reference}
    return measurement_errors(measurement.as_record(), reference, QUANTITIES)


def _ends(
    measurement: Measurement, truth: Measurement, sample: Sample, shape: tuple[int, int]
) -> Row:
    """Landmark columns: axis ends of the fitted ellipse against the expert's, or his ellipse's."""
    assert isinstance(measurement, HeadMeasurement) and isinstance(truth, HeadMeasurement)
    if sample.load_landmarks is not None:
        expected = sample.load_landmarks()
    elif truth.points is not None:
        expected = truth.points
    else:
        return {}
    return landmark_columns(measurement.points, expected, shape, None)


def _measured_region(measurement: Any, shape: tuple[int, int]) -> np.ndarray | None:
    """The fitted ellipse as a mask, bool [H, W]; None if the measurement was refused."""
    assert isinstance(measurement, HeadMeasurement)
    return None if measurement.ellipse is None else rasterise(measurement.ellipse, shape)
