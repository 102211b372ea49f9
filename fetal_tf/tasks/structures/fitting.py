"""Fit the anomaly detection of the structures task: reference shapes and thresholds."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import Measurement
from fetal_tf.edge.measure import anomaly, anomaly_fitting
from fetal_tf.edge.measure.brain_measurement import BrainMeasurement
from fetal_tf.tasks.structures.summary import NORMAL


def fit(
    training: Iterable[Sample],
    validation: Iterable[tuple[Sample, Measurement]],
    truth: Callable[[Sample], BrainMeasurement],
    false_alarm_rate: float,
) -> dict[str, Any]:
    """Reference shapes from the experts' training masks, thresholds from the validation images.

    Args:
        training: samples with masks.
        validation: samples, and the trained net's measurement of each.
        truth: measures a sample's ground-truth mask.
        false_alarm_rate: share of the validation images that may be flagged.

    Returns:
        `reference`, `thresholds` and `fitted_on`, settings of `edge.measure.brain.measure_brain`.
        Images that the dataset calls abnormal are left out; if it states no conditions, `fitted_on`
        says so.
    """
    descriptors, untold = [], 0
    for sample in training:
        if _may_be_normal(sample):
            untold += sample.condition is None
            structures = truth(sample).structures
            descriptors.append(anomaly.shape_descriptors(structures, sample.mm_per_pixel))
    reference = anomaly_fitting.fit_reference(descriptors)
    measured = [
        m
        for sample, m in validation
        if _may_be_normal(sample) and isinstance(m, BrainMeasurement) and not m.refused
    ]
    shape_scores = []
    for m in measured:
        found = anomaly.shape_descriptors(m.structures, m.mm_per_pixel)
        z_scores = anomaly.z_scores(found, reference)
        shape_scores.append(max((abs(z) for z in z_scores.values()), default=None))
    thresholds = anomaly_fitting.fit_thresholds(
        shape_scores, [m.disagreement_score for m in measured], false_alarm_rate
    )
    fitted_on = "images that the dataset calls normal"
    if untold:
        fitted_on = "all images: the dataset does not tell which are normal"
    return {"reference": reference, "thresholds": thresholds, "fitted_on": fitted_on}


def is_scored(settings: Mapping[str, Any]) -> bool:
    """Whether the settings hold a threshold; with too few validation images there is none."""
    thresholds = settings.get("thresholds", {})
    return any(name in thresholds for name in ("shape_score", "disagreement_score"))


def _may_be_normal(sample: Sample) -> bool:
    return sample.condition in (None, NORMAL)
