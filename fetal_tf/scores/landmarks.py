"""Landmark scores in NumPy: radial errors, success rates, NME, collapse to the mean, axis error.

Which end of an axis comes first changes no measurement. So all scores but the strict one take the
better of both orders, for each axis separately.
"""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.edge.geometry.axis import axis_maps, turned
from fetal_tf.edge.geometry.landmarks import (
    AXES,
    LANDMARKS,
    canonical,
    ellipse_landmarks,
    landmark_ellipse,
    swapped_ends,
)
from fetal_tf.scores.detection import wilson_interval
from fetal_tf.scores.quantities import measurement_errors
from fetal_tf.scores.rows import numbers
from fetal_tf.scores.statistics import spread

QUANTITIES = ("ofd", "bpd", "hc")
SUCCESS_PX = (2, 5, 10, 50, 100, 150, 200)
_SPAN_PERCENTILES = (5, 95)


def landmark_errors(
    predicted: np.ndarray | None, truth: np.ndarray, mm_per_pixel: float | None
) -> dict[str, float | None]:
    """Errors of the predicted landmarks of one image.

    Args:
        predicted: float [4, 2], (x, y) in pixels of the original image, in the order of LANDMARKS;
            None where nothing was predicted, and so is a prediction that holds NaN.
        truth: the expert's, NaN where unknown. Scores of an unknown point are None, means are over
            the others.
        mm_per_pixel: of the image, or None: then all values in mm are None.

    Returns:
        `radial_error_px`: mean distance over the landmarks; `ofd_1_error_px` …: of each true one;
        `radial_error_strict_px`: the mean when both ends keep their names.
        `ofd_nme`, `bpd_nme`: mean distance of the axis' ends over its true length.
        `success_2px` …: share of the landmarks within 2 px (including 2) …
        For ofd, bpd and hc (of the ellipse through all four): `ofd_mm`, `ofd_true_mm`,
        `ofd_error_mm`, `ofd_abs_error_mm`, `ofd_error_percent`, see
        `fetal_tf.scores.quantities.measurement_errors`.
        All but the true values are None if nothing was predicted.

    Raises:
        ValueError: a shape other than [4, 2].
        DataError: a true axis of length zero, if there is a pixel size.
    """
    points = _checked("truth", truth)
    found = None if predicted is None else _checked("predicted", predicted)
    if found is not None and not np.isfinite(found).all():
        found = None
    row = _radial_errors(found, points)
    measured = {} if found is None else _lengths_mm(found, mm_per_pixel)
    expected = _lengths_mm(points, mm_per_pixel)
    return row | measurement_errors(measured, expected, QUANTITIES)


def span_share(
    predictions: Sequence[np.ndarray | None] | np.ndarray,
    image_sizes: Sequence[Sequence[float]] | np.ndarray,
) -> float | None:
    """Share of the image that the predicted landmarks span; near 0 if they never move.

    A net that has collapsed to the mean predicts the same four points in every image. For each
    landmark, the span is the box between the 5th and 95th percentile of its relative position
    (x / width, y / height), as a share of the image; the result is the mean of the four. The ends
    are put in canonical order first, so that swapped names add no span.

    Args:
        predictions: [4, 2] in pixels for each image; None and points that hold NaN are left out.
        image_sizes: (height, width) of each.

    Returns:
        0..1 (more where points lie outside), None for fewer than two predictions.

    Raises:
        ValueError: not one size for each prediction.
    """
    places = np.array(
        [
            (canonical(points) + 0.5) / [width, height]
            for points, (height, width) in zip(predictions, image_sizes, strict=True)
            if points is not None and np.isfinite(points).all()
        ]
    )
    if len(places) < 2:
        return None
    low, high = np.percentile(places, _SPAN_PERCENTILES, axis=0)
    return float((high - low).prod(axis=-1).mean())


def collapse(
    predictions: Sequence[np.ndarray | None] | np.ndarray,
    truths: Sequence[np.ndarray] | np.ndarray,
    image_sizes: Sequence[Sequence[float]] | np.ndarray,
) -> dict[str, float | None]:
    """The span of the predictions and that of the ground truth of the same images.

    Returns:
        `span_share`, `span_share_true` (see `span_share`) and `span_ratio`, the first over the
        second: about 1 if predictions follow the head, about 0 if the net predicts the mean.
    """
    shown = [
        (p, t, size)
        for p, t, size in zip(predictions, truths, image_sizes, strict=True)
        if p is not None and np.isfinite(p).all() and np.isfinite(t).all()
    ]
    sizes = [size for *_, size in shown]
    predicted = span_share([p for p, _, _ in shown], sizes)
    true = span_share([t for _, t, _ in shown], sizes)
    ratio = predicted / true if predicted is not None and true else None
    return {"span_share": predicted, "span_share_true": true, "span_ratio": ratio}


def axis_summary(
    predictions: Sequence[np.ndarray | None] | np.ndarray, truths: Sequence[np.ndarray] | np.ndarray
) -> dict[str, Any]:
    """The angle error of the OFD, and the radial error without it.

    The direction of the axis is hard to see in a nearly round head.

    Args:
        predictions: [4, 2] per image, px; None or NaN where nothing was predicted.
        truths: likewise, the expert's.

    Returns:
        `axis`: over the images with both, `error_deg`, the angle between the two OFDs, 0..90, and
        `radial_error_turned_px`, the radial error after the ellipse through the predicted ends was
        turned to the expert's OFD (`edge.geometry.axis.turned`); statistics as in `landmarks`.
    """
    angles, turned_errors = [], []
    for predicted, truth in zip(predictions, truths, strict=True):
        if predicted is None or not (np.isfinite(predicted).all() and np.isfinite(truth).all()):
            continue
        with contextlib.suppress(ValueError):  # axes that span no ellipse
            ellipse = landmark_ellipse(predicted)
            (found, true) = (_direction_deg(points) for points in (predicted, truth))
            expert = turned(ellipse, 2 * np.array(axis_maps(true)) - 1, outline_weight=0.0)
            angles.append(abs((found - true + 90) % 180 - 90))
            errors = _radial_errors(ellipse_landmarks(expert), truth)
            turned_errors.append(float(errors["radial_error_px"] or 0.0))
    return {"axis": {"error_deg": spread(angles), "radial_error_turned_px": spread(turned_errors)}}


def _direction_deg(points: np.ndarray) -> float:
    x, y = np.diff(points[AXES["ofd"]], axis=0)[0]
    return math.degrees(math.atan2(y, x))


def landmark_summary(rows: pd.DataFrame) -> dict[str, Any]:
    """Summarise the `landmark_errors` of all images, for `summary.json`.

    Returns:
        `landmarks`: per landmark and over `all` of them, `n`, `mean`, `sd` (n - 1), `median`, `min`
        and `max` of the radial error, px. `success`: for each limit, `successes` of `n` landmarks,
        their `share` and its Wilson interval `ci95`; a landmark that was not predicted is no
        success. The interval assumes independent landmarks; the bootstrap of `success_2px` … does
        not. `nme`: the same statistics of `ofd_nme`, `bpd_nme` and `all` of both.
        `not_predicted`: images without a prediction.
    """
    errors = {name: numbers(rows, f"{name}_error_px") for name in LANDMARKS}
    errors["all"] = every = np.concatenate(list(errors.values()))
    missed = int(np.isnan(numbers(rows, "radial_error_px")).sum())
    nme = {axis: numbers(rows, f"{axis}_nme") for axis in AXES}
    nme["all"] = np.concatenate(list(nme.values()))
    return {
        "not_predicted": missed,
        "landmarks": {name: spread(values) for name, values in errors.items()},
        "success": {
            f"{limit}px": _success(every, limit, len(LANDMARKS) * missed) for limit in SUCCESS_PX
        },
        "nme": {name: spread(values) for name, values in nme.items()},
    }


def _radial_errors(predicted: np.ndarray | None, truth: np.ndarray) -> dict[str, float | None]:
    names = (
        "radial_error_px",
        "radial_error_strict_px",
        *(f"{name}_error_px" for name in LANDMARKS),
        *(f"{axis}_nme" for axis in AXES),
        *(f"success_{limit}px" for limit in SUCCESS_PX),
    )
    known = np.isfinite(truth).all(axis=1)
    if predicted is None or not known.any():
        return dict.fromkeys(names)
    strict = np.hypot(*(predicted - truth).T)
    swapped = np.hypot(*(swapped_ends(predicted) - truth).T)
    errors, nme = strict.copy(), []
    for ends in AXES.values():
        if np.nansum(swapped[ends]) < np.nansum(strict[ends]):
            errors[ends] = swapped[ends]
        length = float(np.hypot(*np.diff(truth[ends], axis=0)[0]))
        nme.append(float(errors[ends].mean() / length) if length > 0 else None)
    values = (
        float(errors[known].mean()),
        float(strict[known].mean()),
        *(None if math.isnan(error) else float(error) for error in errors),
        *nme,
        *(float((errors[known] <= limit).mean()) for limit in SUCCESS_PX),
    )
    return dict(zip(names, values, strict=True))


def _lengths_mm(points: np.ndarray, mm_per_pixel: float | None) -> dict[str, float]:
    """`ofd_mm`, `bpd_mm`, `hc_mm`; without those that need an unknown point or pixel size."""
    if mm_per_pixel is None:
        return {}
    lengths = {
        f"{axis}_mm": float(np.hypot(*np.diff(points[ends], axis=0)[0])) * mm_per_pixel
        for axis, ends in AXES.items()
    }
    # A point is unknown, or the axes span no ellipse: no circumference.
    with contextlib.suppress(ValueError):
        lengths["hc_mm"] = landmark_ellipse(points).perimeter * mm_per_pixel
    return {name: length for name, length in lengths.items() if math.isfinite(length)}


def _success(errors: np.ndarray, limit: int, missed: int) -> dict[str, Any]:
    n, successes = int(np.isfinite(errors).sum()) + missed, int((errors <= limit).sum())
    return {
        "successes": successes,
        "n": n,
        "share": successes / n if n else None,
        "ci95": wilson_interval(successes, n),
    }


def _checked(name: str, points: np.ndarray) -> np.ndarray:
    array = np.asarray(points, np.float64)
    if array.shape != (len(LANDMARKS), 2):
        raise ValueError(f"{name} must be [4, 2] in the order {LANDMARKS}, found {array.shape}")
    return array
