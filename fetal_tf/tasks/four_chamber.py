"""Four-chamber task: masks and ellipses of heart and thorax, and the cardiothoracic ratio."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
import pandas as pd

from fetal_tf.data.pipeline.targets import Target, coverage_shares
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import Measurement
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.fit_doubts import LEVEL
from fetal_tf.edge.measure.four_chamber_measurement import FourChamberMeasurement
from fetal_tf.edge.measure.nested_probabilities import nested
from fetal_tf.metrics.masks import Dice, IoU, PixelAccuracy
from fetal_tf.scores.columns import Column, ParityLimits, declare, facts, figures, values
from fetal_tf.scores.focus import FOCUS_COLUMNS, FOCUS_METRICS, categories, focus_score
from fetal_tf.scores.overlap import overlap_metrics
from fetal_tf.scores.pixel_levels import PixelLevels
from fetal_tf.scores.quantities import Quantity, measurement_errors
from fetal_tf.scores.rows import Row
from fetal_tf.tasks.confidence_fitting import fit_to_validation
from fetal_tf.tasks.confidence_summary import CTR, confidence_section
from fetal_tf.tasks.plain import PlainTask, row_of
from fetal_tf.tasks.registry import TASKS
from fetal_tf.tasks.task import Gathered

INDICES = {"thorax": 1, "heart": 2}  # in a sample's mask; the thorax includes the heart
OVERLAP = {  # column → score of `overlap_metrics`
    "dice": "dice",
    "iou": "iou",
    "sensitivity": "recall",
    "specificity": "specificity",
}
RANKING = ("roc_auc", "pr_auc")
RATIOS = ("ctr_diameter", "ctr_area", "ctr_circumference")


@TASKS.register("four_chamber")
class FourChamberTask(PlainTask):
    """Heart and thorax, or the heart alone, scored as masks and as the ellipses fitted to them.

    `classes` is one of three: `[thorax, heart]`, two channels that overlap as the organs do;
    `[background, thorax, heart]`, exclusive classes for a softmax, thorax without the heart;
    `[heart]`, binary.
    """

    name = "four_chamber"
    learns_negatives = True
    measurement = "four_chamber"

    def __init__(
        self, settings: Mapping[str, Any], *, classes: list[str], measurement: str = "four_chamber"
    ):
        self._measure_by(measurement, classes, settings)
        self.structures = tuple(name for name in INDICES if name in classes)
        self.head: Literal["sigmoid", "softmax", "linear"] = (
            "softmax" if "background" in classes else "sigmoid"
        )
        self.fits_measurer = paired = "thorax" in self.structures
        self.quantities: tuple[Quantity, ...] = ()
        self.headline: tuple[str, ...] = ("heart_dice", "heart_iou", "focus_cardiac_hd95_px")
        official: tuple[str, ...] = ("focus_cardiac_dice", "focus_cardiac_hd95_px")
        if paired:
            self.quantities = tuple(Quantity(ratio, "percent") for ratio in RATIOS)
            by_diameter = self.quantities[0].absolute
            self.headline = ("heart_dice", "thorax_dice", "focus_ctr_agreement", by_diameter)
            official = FOCUS_METRICS
        self.scores: Mapping[str, tuple[str, ...]] = {"focus": official}
        self.columns = declare(
            *(
                figures(*(f"{structure}_{name}" for name in (*OVERLAP, *RANKING)), better="higher")
                for structure in reversed(self.structures)
            ),
            (column for column in FOCUS_COLUMNS if column.name in official),
            *(quantity.columns() for quantity in self.quantities),
            values(CTR.expected) if paired else (),
            facts("mm_per_pixel"),
            # while training
            [Column(name, "higher") for name in ("thorax_ring_dice", "pixel_accuracy")],
        )
        self.parity_limits = _parity_limits(self.structures)

    def target(self, sample: Sample, letterbox: Letterbox) -> Target:
        """Coverage of each network pixel by each structure, uint8 [h, w, structures]."""
        truth = self._truth(sample)
        covered = [letterbox.apply_coverage(truth[s]) for s in self.structures]
        return Target(np.stack(covered, axis=-1))

    def encode(self, target: Target) -> np.ndarray:
        """A channel for each of `classes`, float32 [h, w, K]; exclusive classes sum to 1."""
        shares = coverage_shares(target.maps)
        if self.classes[0] != "background":
            return shares
        thorax, heart = shares[..., 0], shares[..., 1]
        heart = np.minimum(heart, thorax)  # interpolation may round them apart by 1/255
        return np.stack([1 - thorax, thorax - heart, heart], axis=-1)

    def training_metrics(self, image_size: tuple[int, int]) -> list[keras.metrics.Metric]:
        """Dice of each structure per image, IoU of the heart, and pixel accuracy.

        With exclusive classes the thorax is the ring around the heart: `thorax_ring_dice`.
        """
        heart = self.classes.index("heart")
        metrics = [Dice(name="heart_dice", channel=heart), IoU(name="heart_iou", channel=heart)]
        if "thorax" in self.classes:
            name = "thorax_ring_dice" if "background" in self.classes else "thorax_dice"
            metrics.append(Dice(name=name, channel=self.classes.index("thorax")))
        return [*metrics, PixelAccuracy()]

    def fit_measurer(
        self,
        training: Iterable[Sample],
        validation: Iterable[tuple[Sample, Measurement]],
    ) -> dict[str, Any]:
        """The model of the CTR's expected error, from the errors of the validation images."""
        if not self.fits_measurer:
            return {}
        return fit_to_validation(validation, self._ctr_error_percent)

    def _ctr_error_percent(
        self, sample: Sample, measurement: FourChamberMeasurement
    ) -> float | None:
        ratios = _ratios(measurement, self._measure_truth(sample))
        return ratios["ctr_diameter_error_percent"]

    def gather(self) -> Gathered:
        """Probabilities of each structure over the pixels of all images."""
        return {name: PixelLevels() for name in reversed(self.structures)}

    def evaluate(
        self,
        probabilities: np.ndarray,
        sample: Sample,
        letterbox: Letterbox,
        gather: Gathered | None = None,
    ) -> Row:
        """Scores of masks, probabilities, fitted ellipses and ratios in the original frame.

        `heart_dice` and the like score the mask at 0.5, `focus_cardiac_dice` the fitted ellipse
        against the annotated one: 0 for a structure that was not found.
        """
        truth = self._truth(sample)
        levels = gather or self.gather()
        row: Row = {}
        maps = nested(probabilities, self.classes)
        for name in reversed(self.structures):
            row |= _pixel_scores(name, letterbox.restore(maps[name]), truth[name], sample, levels)
        measurement = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        assert isinstance(measurement, FourChamberMeasurement)
        found = {name: getattr(measurement, name) for name in self.structures}
        official = focus_score(found, sample.ellipses, truth["heart"].shape)
        row |= {column: official[column] for column in self.scores["focus"]}
        if "thorax" in self.structures:
            row |= _ratios(measurement, self._measure_truth(sample))
            row[CTR.expected] = measurement.expected_error_percent
        return row_of(sample, measurement, row)

    def summarise(self, rows: pd.DataFrame, seed: int) -> dict[str, Any]:
        """`categories`: shares of images above fixed marks of Dice and ROC AUC; `confidence`: how
        well the expected error of the CTR predicts the real one.
        """
        shares = {"categories": {s: categories(rows, s) for s in reversed(self.structures)}}
        return shares | (confidence_section(rows, seed, CTR) if self.fits_measurer else {})

    def draw(
        self,
        image: np.ndarray,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        sample: Sample,
    ) -> np.ndarray:
        """The predicted and the annotated ellipses, and the ratio."""
        measurement = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        truth = self._measure_truth(sample) if sample.ellipses else None
        return self.measurer.draw(image, measurement, truth=truth)

    def _truth(self, sample: Sample) -> dict[str, np.ndarray]:
        """Ground-truth masks by structure, bool [H, W], original frame."""
        annotated = sample.ellipses and sample.labels == tuple(INDICES)
        if sample.load_mask is None or not (annotated or sample.negative):
            raise DataError(
                f"{sample.image_path}: sample {sample.id} does not annotate thorax and heart, "
                "which this task learns"
            )
        labels = sample.load_mask()
        return {name: labels >= INDICES[name] for name in self.structures}

    def _measure_truth(self, sample: Sample) -> FourChamberMeasurement:
        """The expert's ellipses as a measurement."""
        return FourChamberMeasurement(
            heart=sample.ellipses["heart"],
            thorax=sample.ellipses["thorax"] if "thorax" in self.structures else None,
            mm_per_pixel=sample.mm_per_pixel,
        )


def _pixel_scores(
    name: str, probability: np.ndarray, truth: np.ndarray, sample: Sample, levels: Gathered
) -> Row:
    overlap = overlap_metrics(probability >= LEVEL, truth)
    row: Row = {f"{name}_{column}": overlap[figure] for column, figure in OVERLAP.items()}
    ranking = levels[name].add(sample.group, probability, truth)
    return row | {f"{name}_{figure}": ranking[figure] for figure in RANKING}


def _ratios(
    measured: FourChamberMeasurement, expert: FourChamberMeasurement
) -> dict[str, float | None]:
    return measurement_errors(measured.as_record(), expert.as_record(), RATIOS, "percent")


# How far an exported file may drift from the float model, over paired images. In percentage points
# a CTR of 44 moves by 0.4 when one of its diameters moves by 1 %.
def _parity_limits(structures: Sequence[str]) -> ParityLimits:
    def limits(dice: float, agreement: float, ratio_percent: float) -> dict[str, float]:
        official = {"heart": "focus_cardiac_dice", "thorax": "focus_thorax_dice"}
        names = [name for s in structures for name in (f"{s}_dice", official[s])]
        found = {f"{name}_abs_delta_mean": dice for name in names}
        if "thorax" in structures:
            found["focus_ctr_agreement_delta_mean"] = agreement
            found["ctr_diameter_abs_delta_mean_percent"] = ratio_percent
        return found

    return dict(
        full=limits(1e-4, 1e-4, 0.01),
        half=limits(5e-4, 5e-4, 0.05),
        quantized=limits(3e-3, 3e-3, 0.5),
    )
