"""Fit the model of the expected error to the errors of the validation images."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

from fetal_tf.data.sample import Sample
from fetal_tf.edge.measure.anomaly import MIN_CALIBRATION
from fetal_tf.edge.measure.confidence import INTERCEPT, ErrorModel, log_features

FALSE_ALARM_RATE = 0.05  # share of the validation frames that the limit flags
_FLOOR_PERCENT = 0.1  # added to errors before the logarithm, which is -∞ at an error of 0
_RIDGE = 0.1  # penalty, as a share of a standardised feature's variance: images are few
_LEAST_SPREAD = 0.05  # smallest standard deviation of a feature's logarithm, against noise
_LEAST_ERROR_PERCENT = 1e-6  # if all errors are 0


def fit_to_validation(
    validation: Iterable[tuple[Sample, Any]],
    error_percent: Callable[[Sample, Any], float | None],
) -> dict[str, Any]:
    """`fit_error_model` on the validation images whose error is known.

    Training images take no part: the net has seen them, so its errors on them are smaller.

    Args:
        validation: samples, and what was measured on them: a head or a four-chamber view.
        error_percent: of one image; None where nothing was measured or the truth is not known.
    """
    known = [
        (measurement.error_features, error)
        for sample, measurement in validation
        if (error := error_percent(sample, measurement)) is not None
    ]
    return fit_error_model([features for features, _ in known], [error for _, error in known])


def fit_error_model(
    features: Sequence[Mapping[str, float]],
    errors_percent: Sequence[float],
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> dict[str, Any]:
    """Settings of an `ErrorModel`: what error to expect, and from where on to doubt it.

    Ridge least squares of log(|error| + 0.1 %) on the logarithms of the features, without negative
    weights. That is a typical error, smaller than the mean; it is then scaled so that over the
    validation images the mean expected error equals the mean real one. So it is right in the mean,
    and no interval for a single image.

    Args:
        features: of the measured validation images, see `error_features` of
            `fetal_tf.edge.measure.confidence`; the same names for each.
        errors_percent: on the same images, of HC in per cent of the expert's, or of a ratio in
            points; signs do not count.
        false_alarm_rate: between 0 and 1.

    Returns:
        JSON types: `weights`, `limit_percent`, `false_alarm_rate` as asked for, `flagged_share` as
        reached, and `n`. With fewer than 20 images only `false_alarm_rate` and `n`: no error is
        expected then, and nothing flagged.

    Raises:
        ValueError: a rate that is not between 0 and 1, or errors of another number of images.
    """
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must lie between 0 and 1, found {false_alarm_rate}")
    count = len(features)
    if len(errors_percent) != count:
        raise ValueError(f"features of {count} images, errors of {len(errors_percent)}")
    asked: dict[str, Any] = {"false_alarm_rate": false_alarm_rate, "n": count}
    if count < MIN_CALIBRATION:
        return asked
    names = list(features[0])
    logs = np.array([log_features(image, names) for image in features])
    errors = np.abs(np.asarray(errors_percent, np.float64))
    slopes = _slopes(logs, np.log(errors + _FLOOR_PERCENT))
    unscaled = float(np.exp(logs @ slopes).mean())
    intercept = float(np.log(max(errors.mean(), _LEAST_ERROR_PERCENT) / unscaled))
    weights = {INTERCEPT: intercept, **dict(zip(names, slopes.tolist(), strict=True))}
    model = ErrorModel(weights, np.inf, count)
    expected = np.sort([model.expected_error_percent(image) for image in features])
    limit_percent = float(expected[-1 - int(false_alarm_rate * count)])
    return {
        "weights": weights,
        "limit_percent": limit_percent,
        "flagged_share": float(np.mean(expected > limit_percent)),
        **asked,
    }


def _slopes(logs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Ridge regression of targets [N] on standardised features [N, F]; none is negative."""
    spread = np.maximum(logs.std(axis=0), _LEAST_SPREAD)
    standardised = (logs - logs.mean(axis=0)) / spread
    count, width = logs.shape
    penalty = np.sqrt(_RIDGE * count) * np.eye(width)  # rows that pull every slope to zero
    slopes, _ = nnls(
        np.concatenate([standardised, penalty]),
        np.concatenate([targets - targets.mean(), np.zeros(width)]),
    )
    return slopes / spread
