"""Expected error of a measurement from the misfit of its ellipses and the softness of borders."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fetal_tf.edge.flag import Flag, beyond
from fetal_tf.edge.geometry.contours import EllipseFit

# Feature of one structure → constant added before the logarithm, so that zero stays finite. With
# several structures their names come first: `heart_misfit`.
FEATURES: Mapping[str, float] = {"misfit": 1e-3, "border_softness_px": 0.1}
INTERCEPT = "intercept"
_MOST_PERCENT = 100.0


def error_features(fit: EllipseFit, content: np.ndarray, structure: str = "") -> dict[str, float]:
    """Compute the features of one structure from which an `ErrorModel` expects the error.

    Args:
        fit: of the structure, in pixels of the map.
        content: the map that it was fitted to, float32 (h, w), without padding.
        structure: its name, where there are several.

    Returns:
        By the names of `feature_names`: `misfit`, 1 - IoU of mask and ellipse.
        `border_softness_px`, Σ 4 p (1 - p) over the map divided by the ellipse's perimeter: the
        width of the border on which the net is undecided, in pixels of the map. For a logistic
        border it is 4 times the scale.
    """
    p = np.clip(content, 0, 1).ravel()
    undecided = 4 * float(p @ (1 - p))
    values = (1 - fit.iou, undecided / fit.ellipse.perimeter)
    return dict(zip(feature_names([structure]), values, strict=True))


def feature_names(structures: Sequence[str] = ("",)) -> tuple[str, ...]:
    """Names of the FEATURES of each structure; the empty name stands for the only structure."""
    return tuple(f"{_prefix(name)}{feature}" for name in structures for feature in FEATURES)


def log_features(features: Mapping[str, float], names: Sequence[str]) -> np.ndarray:
    """Logarithms of the features in the order of `names`, float64 [F]."""
    floors = [FEATURES[kind] for name in names for kind in FEATURES if name.endswith(kind)]
    return np.log([features[name] + floor for name, floor in zip(names, floors, strict=True)])


def _prefix(structure: str) -> str:
    return f"{structure}_" if structure else ""


# Keys of the settings that `fit_error_model` makes.
ERROR_SETTINGS = ("weights", "limit_percent", "flagged_share", "false_alarm_rate", "n")


@dataclass(frozen=True)
class ErrorModel:
    """Log-linear model of the absolute error, fitted to validation images.

    The error is in per cent of a head's circumference, or in points of the cardiothoracic ratio.

    Attributes:
        weights: of INTERCEPT and each feature. Those of features are not negative: a worse fit or a
            softer border never lowers the expected error.
        limit_percent: expected error above which a measurement is flagged.
        n: number of validation images.
    """

    weights: Mapping[str, float]
    limit_percent: float
    n: int

    @classmethod
    def of(
        cls, settings: Mapping[str, Any], names: Sequence[str] = feature_names()
    ) -> "ErrorModel | None":
        """Read the settings that `fit_error_model` made; None where they hold no model.

        Args:
            settings: a JSON tree.
            names: of the measurement's features.

        Raises:
            ValueError: a value is missing, of another type or out of range.
        """
        if "weights" not in settings and "limit_percent" not in settings:
            return None
        weights = settings.get("weights")
        if not isinstance(weights, Mapping):
            raise ValueError(f"weights: a number for each feature is expected, found {weights!r}")
        found = {name: _number(weights, name, "weights.") for name in (INTERCEPT, *names)}
        limit_percent, n = (_number(settings, key) for key in ("limit_percent", "n"))
        for name in names:
            if found[name] < 0:
                raise ValueError(f"weights.{name}: must not be negative, found {found[name]}")
        if limit_percent <= 0:
            raise ValueError(f"limit_percent: must be positive, found {limit_percent}")
        if n < 1 or n != int(n):
            raise ValueError(f"n: a whole number of images is expected, found {n}")
        return cls(found, limit_percent, int(n))

    def expected_error_percent(self, features: Mapping[str, float]) -> float:
        """Expected absolute error in per cent, 100 at most."""
        names = [name for name in self.weights if name != INTERCEPT]
        slopes = [self.weights[name] for name in names]
        exponent = self.weights[INTERCEPT] + float(log_features(features, names) @ slopes)
        return math.exp(min(exponent, math.log(_MOST_PERCENT)))


def uncertain_flags(
    features: Mapping[str, float],
    model: ErrorModel | None,
    quantity: str,
    structures: Sequence[str] = ("",),
) -> Iterator[Flag]:
    """The flag of a measurement whose expected error is above the limit.

    Args:
        features: of the structures, see `error_features`.
        model: None gives no flag.
        quantity: with its unit, {} stands for the number: `HC {} %`.
        structures: see `feature_names`.
    """
    if model is None:
        return
    expected = model.expected_error_percent(features)
    if expected > model.limit_percent:
        reasons = ", ".join(_reason(features, structure) for structure in structures)
        found, limit = beyond(expected, model.limit_percent, 2)
        yield Flag(
            "uncertain", f"expected error of {quantity.format(found)} (limit {limit}): {reasons}"
        )


def _reason(features: Mapping[str, float], structure: str) -> str:
    misfit, softness_px = (features[name] for name in feature_names([structure]))
    of = f" of the {structure}" if structure else ""
    return (
        f"mask and ellipse{of} differ by {100 * misfit:.1f} %, the border is {softness_px:.1f} "
        "network pixels soft"
    )


def _number(tree: Mapping[str, Any], key: str, prefix: str = "") -> float:
    value = tree.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"{prefix}{key}: a finite number is expected, found {value!r}")
