"""Measure the cardiothoracic ratio in probabilities of thorax and heart (four-chamber view)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fetal_tf.edge.flag import Flag, beyond, outside
from fetal_tf.edge.geometry.contours import EllipseFit, fit_mask_ellipse
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.geometry.masks import true_pixels
from fetal_tf.edge.measure.confidence import (
    ErrorModel,
    error_features,
    feature_names,
    uncertain_flags,
)
from fetal_tf.edge.measure.fit_doubts import (
    LEVEL,
    FitLimits,
    check_mm_per_pixel,
    fit_flags,
    refusal,
)
from fetal_tf.edge.measure.four_chamber_measurement import FourChamberMeasurement
from fetal_tf.edge.measure.nested_probabilities import nested

STRUCTURES = ("thorax", "heart")
CTR_FEATURES = feature_names(STRUCTURES)
_NO_PIXEL_SIZE = Flag(
    "no_pixel_size", "lengths and areas in pixels only, millimetres need mm_per_pixel"
)

_THORAX_FIT = FitLimits(
    min_area_share=0.02,
    min_iou=0.5,
    good_iou=0.94,
    max_residual_percent=4.0,
    max_border_fraction=0.1,
)
_HEART_FIT = FitLimits(
    min_area_share=0.005,
    min_iou=0.5,
    good_iou=0.90,
    max_residual_percent=6.0,
    max_border_fraction=0.02,
)


@dataclass(frozen=True)
class FourChamberLimits:
    """When a four-chamber view is refused or flagged.

    The defaults were set on the 250 annotated pairs of FOCUS' training and validation images
    (Zenodo 14597550), and on copies with deformed outlines. Taken as a network's output at 288x192,
    two of the 250 annotations are flagged, both for the border.

    Attributes:
        thorax: of its fit. The smallest thorax in FOCUS covers 9 % of its image. One in twenty
            reaches the image's edge, with 12 % of its outline at most, two with more than the
            limit. Deformed outlines whose thorax fit is flagged have a ratio 6.5 % off in the mean
            (relative), the others 2.8 %.
        heart: of its fit. The smallest heart covers 2 % of its image; none reaches the edge. The
            limits are wider than those of the thorax: a heart is half as wide, so an error of one
            pixel is twice the share. Flagged ones have a ratio 7.2 % off in the mean, the others
            3.5 %.
        thorax_area_percent: flagged outside, per cent of the image; FOCUS spans 9 to 56.
        heart_area_percent: the same of the heart; FOCUS spans 2 to 18.
        thoracic_circumference_mm: flagged outside, with a pixel size. The 5th centile at 16 weeks
            is 64 mm, the 95th at 40 weeks 337 mm (Chitkara 1987, Am J Obstet Gynecol 156:1069).
        max_heart_outside_percent: flagged above, share of the heart's mask that lay outside the
            thorax and was left out. Every heart in FOCUS lies inside.
        max_heart_beyond_percent: flagged above, how far the heart's ellipse reaches beyond that of
            the thorax, in per cent of the thorax' mean radius. Every heart in FOCUS stays at least
            0.6 % inside.
        ctr_diameter_percent: flagged outside. FOCUS spans 35 to 58, median 45.
    """

    thorax: FitLimits = _THORAX_FIT
    heart: FitLimits = _HEART_FIT
    thorax_area_percent: tuple[float, float] = (7.0, 65.0)
    heart_area_percent: tuple[float, float] = (1.5, 22.0)
    thoracic_circumference_mm: tuple[float, float] = (50.0, 400.0)
    max_heart_outside_percent: float = 5.0
    max_heart_beyond_percent: float = 1.0
    ctr_diameter_percent: tuple[float, float] = (32.0, 60.0)


def measure_four_chamber(
    probabilities: np.ndarray,
    classes: tuple[str, ...],
    letterbox: Letterbox,
    mm_per_pixel: float | None,
    limits: FourChamberLimits = FourChamberLimits(),
    error_model: ErrorModel | None = None,
) -> FourChamberMeasurement:
    """Measure thorax and heart in probabilities float32 [h, w, K] of the letterboxed frame.

    The heart is searched only inside the fitted thorax. Where `classes` have no thorax there is no
    ratio, and no flag for it.

    Args:
        probabilities: the network's output, 0..1; padding is ignored.
        classes: K names, one of `nested_probabilities.SPELLINGS`.
        letterbox: how the frame was fitted into the map.
        mm_per_pixel: of the original image, or None: then pixels and ratios only, never mm.
        limits: when to refuse and when to flag.
        error_model: gives the expected error of the ratio of the diameters, and flags a view above
            its limit.

    Raises:
        ValueError: a pixel size that is not a positive number, other classes, a map that is not of
            the letterbox' target size or has another number of channels.
    """
    check_mm_per_pixel(mm_per_pixel)
    expected = (letterbox.target_height, letterbox.target_width)
    if probabilities.shape[:2] != expected:
        raise ValueError(
            f"a map {expected} (height, width) is expected, not {probabilities.shape[:2]}"
        )
    maps = nested(probabilities, classes)
    fits, refusals = _fitted(maps, letterbox, limits)
    predicted = probabilities[..., classes.index("heart")][letterbox.content]
    outside_percent = _left_out_percent(predicted, maps["heart"][letterbox.content])
    if outside_percent == 100:
        refusals["heart"] = Flag("no_heart", "all that looks like a heart lies outside the thorax")
    ellipses = {name: letterbox.content_to_source(fit.ellipse) for name, fit in fits.items()}
    measurement = FourChamberMeasurement(
        heart=ellipses.get("heart"),
        thorax=ellipses.get("thorax"),
        mm_per_pixel=mm_per_pixel,
        fit_residual_percent={name: fit.residual_percent for name, fit in fits.items()},
        fit_iou={name: fit.iou for name, fit in fits.items()},
        notes=(_NO_PIXEL_SIZE,) if mm_per_pixel is None else (),
        refused="; ".join(refusals.values()) or None,
        probabilities=maps,
        letterbox=letterbox,
    )
    if refusals:  # a structure that was found is given alone, with the flags of its fit
        return replace(measurement, flags=tuple(_fit_flags(fits, limits)))
    flags = [
        *_fit_flags(fits, limits),
        *_unusual_sizes(measurement, letterbox, limits),
        *_heart_in_thorax(measurement, outside_percent, limits),
    ]
    if set(STRUCTURES) <= set(fits):
        features: dict[str, float] = {}
        for name in STRUCTURES:
            features |= error_features(fits[name], maps[name][letterbox.content], name)
        measurement = replace(
            measurement,
            error_features=features,
            expected_error_percent=(
                None if error_model is None else error_model.expected_error_percent(features)
            ),
        )
        flags += uncertain_flags(
            features, error_model, "the CTR by diameter {} percentage points", STRUCTURES
        )
    return replace(measurement, flags=tuple(flags))


def _fitted(
    maps: dict[str, np.ndarray], letterbox: Letterbox, limits: FourChamberLimits
) -> tuple[dict[str, EllipseFit], dict[str, Flag]]:
    """Fits in pixels of the content, and reasons for refusal, by structure.

    Sets the heart's map to zero outside the fitted thorax.
    """
    fits: dict[str, EllipseFit] = {}
    refusals: dict[str, Flag] = {}
    for structure in maps:  # the thorax first
        if "thorax" in fits:
            maps["heart"] = _enclosed(maps["heart"], fits["thorax"].ellipse, letterbox)
        content = maps[structure][letterbox.content]
        fit = fit_mask_ellipse(content, LEVEL)
        why = refusal(structure, content, fit, getattr(limits, structure))
        if why:
            refusals[structure] = why
        elif fit is not None:
            fits[structure] = fit
    return fits, refusals


def _enclosed(heart: np.ndarray, thorax: Ellipse, letterbox: Letterbox) -> np.ndarray:
    """The heart's map (h, w), zero outside the thorax, an ellipse in pixels of the content.

    The transition is one pixel wide and 0.5 on the ellipse, so that the outline of a heart that is
    cut there lies on the thorax to a fraction of a pixel.
    """
    enclosed = heart.copy()
    thorax = thorax.stretched(1, 1, letterbox.pad_left, letterbox.pad_top)
    undecided = heart > 0
    # A point inside the ellipse shrunk by so much is at least half a pixel inside the thorax.
    clear_px = 0.5 * thorax.semi_major / thorax.semi_minor
    if clear_px < thorax.semi_minor:
        undecided &= ~rasterise(thorax.shrunk(clear_px), heart.shape)
    y, x = true_pixels(undecided)
    distances = thorax.distances(np.column_stack([x, y]))
    covered = np.clip(0.5 - distances, 0.0, 1.0).astype(np.float32)
    enclosed[y, x] = np.minimum(heart[y, x], covered)
    return enclosed


def _left_out_percent(predicted: np.ndarray, kept: np.ndarray) -> float:
    """Per cent of the predicted heart's pixels that lie outside the thorax."""
    pixels = np.count_nonzero(predicted >= LEVEL)
    return 100 * (1 - np.count_nonzero(kept >= LEVEL) / pixels) if pixels else 0.0


def _fit_flags(fits: Mapping[str, EllipseFit], limits: FourChamberLimits) -> Iterator[Flag]:
    for structure, fit in fits.items():
        yield from fit_flags(fit, getattr(limits, structure), structure)


def _heart_in_thorax(
    measurement: FourChamberMeasurement, outside_percent: float, limits: FourChamberLimits
) -> Iterator[Flag]:
    """Flags for the heart's place in the thorax and for an implausible ratio."""
    if outside_percent > limits.max_heart_outside_percent:
        found, limit = beyond(outside_percent, limits.max_heart_outside_percent, 0)
        yield Flag(
            "heart_outside_thorax",
            f"{found} % of the heart's mask lies outside the thorax and was left out (limit "
            f"{limit})",
        )
    heart, thorax = measurement.heart, measurement.thorax
    if heart is None or thorax is None:
        return
    beyond_percent = 100 * float(thorax.distances(heart.points()).max()) / thorax.mean_radius
    if beyond_percent > limits.max_heart_beyond_percent:
        found, limit = beyond(beyond_percent, limits.max_heart_beyond_percent)
        yield Flag(
            "heart_outside_thorax",
            f"the heart's ellipse reaches {found} % of the thorax' radius beyond it (limit "
            f"{limit})",
        )
    ratio, (low, high) = measurement.ctr_diameter_percent, limits.ctr_diameter_percent
    if ratio is not None and not low <= ratio <= high:
        yield Flag(
            "implausible_ctr", f"cardiothoracic ratio by diameter {outside(ratio, low, high)} %"
        )


def _unusual_sizes(
    measurement: FourChamberMeasurement, letterbox: Letterbox, limits: FourChamberLimits
) -> Iterator[Flag]:
    image_px2 = letterbox.region.height * letterbox.region.width
    for structure in STRUCTURES:
        ellipse = measurement.ellipse(structure)
        low, high = getattr(limits, f"{structure}_area_percent")
        if ellipse is not None and not low <= 100 * ellipse.area / image_px2 <= high:
            covered = outside(100 * ellipse.area / image_px2, low, high)
            yield Flag("unusual_size", f"the {structure} covers {covered} % of the image")
    if measurement.thorax is None or measurement.mm_per_pixel is None:
        return
    around_mm = measurement.thorax.perimeter * measurement.mm_per_pixel
    low, high = limits.thoracic_circumference_mm
    if not low <= around_mm <= high:
        yield Flag(
            "unusual_size",
            f"thoracic circumference {outside(around_mm, low, high)} mm; is the pixel size right?",
        )
