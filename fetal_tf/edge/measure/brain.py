"""Measure the structures of a fetal brain in class probabilities or in a label map."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fetal_tf.edge.flag import Flag, beyond
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure import anomaly
from fetal_tf.edge.measure.brain_flags import anomaly_flags, brain_flags
from fetal_tf.edge.measure.brain_measurement import BrainMeasurement
from fetal_tf.edge.measure.cleaning import Cleaning, clean
from fetal_tf.edge.measure.fit_doubts import check_mm_per_pixel
from fetal_tf.edge.measure.structures import BACKGROUND, BRAIN, STRUCTURES, features, label_map

_MIN_AREA_SHARE = 0.005  # of the frame, as for a head: a smaller brain is refused

BRAIN_SETTINGS = ("cleaning", "reference", "thresholds", "fitted_on")


def measure_brain(
    probabilities: np.ndarray,
    classes: tuple[str, ...],
    letterbox: Letterbox,
    mm_per_pixel: float | None,
    settings: Mapping[str, Any] | None = None,
) -> BrainMeasurement:
    """Measure the brain in class probabilities of the letterboxed frame.

    Args:
        probabilities: float32 [h, w, K], or [h, w, K + 1] with the disagreement of the views last
            (see `WithDisagreement`).
        classes: K names: background, brain, then the structures.
        letterbox: how the frame was fitted into the map.
        mm_per_pixel: of the original image, or None: then pixels only, never mm.
        settings: all optional: `cleaning` (the fields of `Cleaning`; None switches it off),
            `reference` (see `fit_reference`), `thresholds` (see `fit_thresholds`).

    Raises:
        ValueError: a pixel size that is not a positive number, classes that do not begin with
            background and brain, a map of another size or number of classes, invalid settings.
    """
    settings = settings or {}
    _check_arguments(classes, mm_per_pixel)
    height, width, k = letterbox.target_height, letterbox.target_width, len(classes)
    if probabilities.shape not in ((height, width, k), (height, width, k + 1)):
        raise ValueError(
            f"a map ({height}, {width}, {k} or {k + 1}) (height, width, classes) is expected, not "
            f"{probabilities.shape}"
        )
    cleaning = cleaning_of(settings)
    probability = probabilities[..., :k]
    raw_labels = label_map(probability, letterbox)
    labels = raw_labels if cleaning is None else clean(raw_labels, classes, cleaning)
    measurement = _measured(labels, raw_labels, classes, mm_per_pixel)
    measurement = replace(measurement, probability=probability, letterbox=letterbox)
    if probabilities.shape[2] > k:
        disagreement = probabilities[..., k]
        inside = letterbox.apply_nearest(labels != BACKGROUND)
        measurement = replace(
            measurement,
            disagreement=disagreement,
            disagreement_score=None
            if measurement.refused
            else anomaly.disagreement_score(disagreement, inside),
        )
    return _judged(measurement, settings)


def measure_brain_labels(
    labels: np.ndarray,
    classes: tuple[str, ...],
    mm_per_pixel: float | None,
    settings: Mapping[str, Any] | None = None,
) -> BrainMeasurement:
    """Measure an expert's mask without cleaning it.

    Args:
        labels: integers [H, W], indices into `classes`.
        classes: background, brain, then the structures.
        mm_per_pixel: of the image, or None: then pixels only, never mm.
        settings: as in `measure_brain`; `cleaning` is ignored.

    Raises:
        ValueError: as `measure_brain`, and for a label beyond the classes.
    """
    _check_arguments(classes, mm_per_pixel)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer) or not labels.size:
        raise ValueError(f"labels must be integers (H, W), found {labels.dtype} {labels.shape}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(classes):
        found = low if low < 0 else high
        raise ValueError(
            f"labels hold {found}, the classes {', '.join(classes)} are 0 to {len(classes) - 1}"
        )
    labels = labels.astype(np.uint8, copy=False)
    return _judged(_measured(labels, labels, classes, mm_per_pixel), settings or {})


def _check_arguments(classes: tuple[str, ...], mm_per_pixel: float | None) -> None:
    check_mm_per_pixel(mm_per_pixel)
    if tuple(classes[:2]) != ("background", "brain"):
        raise ValueError(f"classes must begin with background, brain; found {', '.join(classes)}")


def check_classes(classes: tuple[str, ...]) -> None:
    """Check that the classes are background, brain, then structures, each once.

    Raises:
        ValueError: they are not.
    """
    inner = classes[2:]
    known = set(inner) <= set(STRUCTURES) and len(set(inner)) == len(inner)
    if classes[:2] != ("background", "brain") or not known:
        raise ValueError(
            f"classes must be background, brain, then some of {', '.join(STRUCTURES)}, each once; "
            f"found {', '.join(classes)}"
        )


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check the settings of `measure_brain` before the first frame is measured.

    Raises:
        ValueError: a value is invalid; the message names its key.
    """
    cleaning_of(settings)
    reference, thresholds = settings.get("reference", {}), settings.get("thresholds", {})
    if not (isinstance(reference, Mapping) and isinstance(thresholds, Mapping)):
        raise ValueError("reference and thresholds must be mappings of names to numbers")
    for name, entry in reference.items():
        known: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {}
        median, scale = known.get("median", math.nan), known.get("scale", math.nan)
        if not (_is_finite(median) and _is_finite(scale) and scale > 0):
            raise ValueError(f"reference.{name}: a finite median and a positive scale are expected")
    for name in ("shape_score", "disagreement_score"):
        if name in thresholds and not (_is_finite(thresholds[name]) and thresholds[name] > 0):
            raise ValueError(f"thresholds.{name}: a positive number is expected")


def _is_finite(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def cleaning_of(settings: Mapping[str, Any]) -> Cleaning | None:
    """The `Cleaning` in the settings, None for no cleaning; ValueError for unknown fields."""
    given = settings.get("cleaning", {})
    if given is None:
        return None
    try:
        return Cleaning(**given)
    except (TypeError, AttributeError) as error:  # an unknown key, no mapping at all
        known = ", ".join(Cleaning.__dataclass_fields__)
        raise ValueError(
            f"cleaning: {given!r} ({error}); it may hold {known}, or be null"
        ) from None


def _measured(
    labels: np.ndarray, raw_labels: np.ndarray, classes: tuple[str, ...], mm_per_pixel: float | None
) -> BrainMeasurement:
    refused = _refusal(labels)
    return BrainMeasurement(
        classes=classes,
        labels=labels,
        raw_labels=raw_labels,
        mm_per_pixel=mm_per_pixel,
        structures={
            name: None if refused else features(labels == index, mm_per_pixel)
            for index, name in enumerate(classes)
            if index != BACKGROUND
        },
        refused=refused,
    )


def _refusal(labels: np.ndarray) -> Flag | None:
    if not (labels == BRAIN).any():
        return Flag("no_brain", "nothing in the frame looks like a brain")
    share = np.count_nonzero(labels) / labels.size
    if share < _MIN_AREA_SHARE:
        found, limit = beyond(100 * share, 100 * _MIN_AREA_SHARE, 2)
        return Flag(
            "no_brain",
            f"the brain covers only {found} % of the image, at least {limit} % are needed",
        )
    return None


def _judged(measurement: BrainMeasurement, settings: Mapping[str, Any]) -> BrainMeasurement:
    """Add scores and flags; a refused measurement gets none."""
    if measurement.refused:
        return measurement
    descriptors = anomaly.shape_descriptors(measurement.structures, measurement.mm_per_pixel)
    shape_z = anomaly.z_scores(descriptors, settings.get("reference") or {})
    measurement = replace(
        measurement,
        shape_z=shape_z,
        shape_score=max(map(abs, shape_z.values()), default=None),
    )
    thresholds = settings.get("thresholds") or {}
    ratios = _exceedances(measurement, thresholds)
    return replace(
        measurement,
        anomaly_score=max(ratios.values(), default=None),
        flags=(*brain_flags(measurement), *anomaly_flags(measurement, thresholds)),
    )


def _exceedances(
    measurement: BrainMeasurement, thresholds: Mapping[str, float]
) -> dict[str, float]:
    """Scores divided by their thresholds, where both are known."""
    scores = {
        "shape_score": measurement.shape_score,
        "disagreement_score": measurement.disagreement_score,
    }
    ratios = {}
    for name, score in scores.items():
        threshold = thresholds.get(name)
        if score is None or threshold is None:
            continue
        if not (math.isfinite(threshold) and threshold > 0):
            raise ValueError(f"thresholds.{name} must be a positive number, found {threshold}")
        ratios[name] = score / threshold
    return ratios
