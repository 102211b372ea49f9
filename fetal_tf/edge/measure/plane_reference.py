"""A reference fitted to images of a plane, and a frame's distance from it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fetal_tf.edge.measure.anomaly import MIN_CALIBRATION
from fetal_tf.edge.measure.plane_features import FEATURES

# Correlations of a few dozen images are noisy: they are shrunk towards zero by this share.
_SHRINKAGE = 0.1
# Keys of the settings that `fit_plane` makes.
PLANE_SETTINGS = (
    "median", "scale", "correlation", "threshold", "flagged_share", "false_alarm_rate", "n",
)  # fmt: skip
_LEAST_SCALE = 0.01  # else images that happen to be alike would make a usual one an outlier


@dataclass(frozen=True)
class PlaneReference:
    """Distribution of the features of a plane's images, and the distance that is flagged.

    Attributes:
        medians, scales: in the order of `FEATURES`, float64 [F]; a scale is 1.4826 times the median
            absolute deviation: the standard deviation of a normal distribution.
        correlations: float64 [F, F], shrunk towards zero.
        threshold: distance from which on a frame is flagged.
    """

    medians: np.ndarray
    scales: np.ndarray
    correlations: np.ndarray
    threshold: float

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "PlaneReference | None":
        """Read the settings that `fit_plane` made; None where it had too few images.

        Raises:
            ValueError: a value is missing, of another size or out of range.
        """
        if "threshold" not in settings:
            return None
        count = len(FEATURES)
        medians = _numbers(settings, "median", (count,))
        scales = _numbers(settings, "scale", (count,))
        correlations = _numbers(settings, "correlation", (count, count))
        threshold = float(_numbers(settings, "threshold", ()))
        if threshold <= 0 or (scales <= 0).any():
            raise ValueError(
                f"threshold and every scale must be positive, found {threshold}, {scales.tolist()}"
            )
        if not np.allclose(correlations, correlations.T) or _smallest(correlations) <= 0:
            raise ValueError("correlation must be symmetric and positive definite")
        return cls(medians, scales, correlations, threshold)

    def z_scores(self, features: Mapping[str, float]) -> dict[str, float]:
        """Robust standard deviations above the median, by feature."""
        z = (_vector(features) - self.medians) / self.scales
        return dict(zip(FEATURES, z.tolist(), strict=True))

    def score(self, features: Mapping[str, float]) -> float:
        """Mahalanobis distance of the z-scores in units of the threshold; flagged from 1 on.

        It also finds a frame whose features are usual one by one and unusual together.
        """
        z = (_vector(features) - self.medians) / self.scales
        return _distance(z, self.correlations) / self.threshold


def fit_plane(features: Sequence[Mapping[str, float]], false_alarm_rate: float) -> dict[str, Any]:
    """Fit a reference that flags at most a share of the plane's own images.

    The threshold comes from leave-one-out distances: each image is compared with a reference of all
    the others, as a new image will be.

    Args:
        features: of validation images, see `plane_features`.
        false_alarm_rate: between 0 and 1.

    Returns:
        JSON types: `median`, `scale`, `correlation`, `threshold`, `false_alarm_rate` as given,
        `flagged_share` of the leave-one-out distances, and `n`. With fewer than 20 images only
        `false_alarm_rate` and `n`: then nothing is flagged.

    Raises:
        ValueError: a rate that is not between 0 and 1.
    """
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must lie between 0 and 1, found {false_alarm_rate}")
    count = len(features)
    asked: dict[str, Any] = {"false_alarm_rate": false_alarm_rate, "n": count}
    if count < MIN_CALIBRATION:
        return asked
    values = np.array([_vector(image) for image in features])
    held_out = []
    for place, value in enumerate(values):
        medians, scales, correlations = _reference(np.delete(values, place, axis=0))
        held_out.append(_distance((value - medians) / scales, correlations))
    # Just above the largest distance that must not be flagged.
    allowed = int(false_alarm_rate * count)
    threshold = float(np.nextafter(sorted(held_out)[-1 - allowed], math.inf))
    medians, scales, correlations = _reference(values)
    return {
        "median": dict(zip(FEATURES, medians.tolist(), strict=True)),
        "scale": dict(zip(FEATURES, scales.tolist(), strict=True)),
        "correlation": correlations.tolist(),
        "threshold": threshold,
        "flagged_share": float(np.mean(np.array(held_out) >= threshold)),
        **asked,
    }


def _reference(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Medians and scales [F] and shrunk correlations [F, F] of features [N, F]."""
    medians = np.median(values, axis=0)
    deviations = values - medians
    scales = np.maximum(1.4826 * np.median(np.abs(deviations), axis=0), _LEAST_SCALE)
    spread = np.maximum(values.std(axis=0), 1e-12)
    centred = (values - values.mean(axis=0)) / spread
    correlations = (1 - _SHRINKAGE) * (centred.T @ centred) / len(values)
    np.fill_diagonal(correlations, 1.0)
    return medians, scales, correlations


def _distance(z: np.ndarray, correlations: np.ndarray) -> float:
    return float(math.sqrt(z @ np.linalg.solve(correlations, z)))


def _vector(features: Mapping[str, float]) -> np.ndarray:
    return np.array([features[name] for name in FEATURES], np.float64)


def _smallest(matrix: np.ndarray) -> float:
    return float(np.linalg.eigvalsh(matrix)[0])


def _numbers(settings: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> np.ndarray:
    found = settings.get(key)
    if isinstance(found, Mapping):
        found = [found.get(name) for name in FEATURES]
    try:
        values = np.array(found, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key}: numbers are expected ({error})") from error
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"{key}: {shape} finite numbers are expected, found {found!r}")
    return values
