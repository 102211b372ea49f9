"""How wrong is a measured head likely to be? By how the ellipse fits and how soft the border is."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fetal_tf.edge.geometry import EllipseFit

# Feature → what is added to it before its logarithm is taken: a perfect one must not outweigh all.
FEATURES: Mapping[str, float] = {"misfit": 1e-3, "border_softness_px": 0.1}
INTERCEPT = "intercept"
_MOST_PERCENT = 100.0


def error_features(fit: EllipseFit, content: np.ndarray) -> dict[str, float]:
    """What the expected error looks at.

    Args:
        fit: of the head, in pixels of the map.
        content: the map that it was fitted to, float32 (h, w), without padding.

    Returns:
        `misfit`: 1 - IoU of mask and ellipse. `border_softness_px`: Σ 4 p (1 - p) over the map per
        pixel of the ellipse's perimeter, the width on which the net cannot decide; of a border that
        rises as a logistic function it is 4 times its scale. In pixels of the map.
    """
    p = np.clip(content, 0, 1).astype(np.float64)
    undecided = 4 * float((p * (1 - p)).sum())
    return {"misfit": 1 - fit.iou, "border_softness_px": undecided / fit.ellipse.perimeter}


def log_features(features: Mapping[str, float]) -> np.ndarray:
    """Logarithms in the order of FEATURES, float64 [F]."""
    return np.log([features[name] + floor for name, floor in FEATURES.items()])


@dataclass(frozen=True)
class ErrorModel:
    """The absolute error of HC that validation images with such features had in the mean.

    Attributes:
        weights: by INTERCEPT and the names of FEATURES; those of features are not negative, so a
            worse fit or a softer border never lowers the expected error.
        limit_percent: expected error above which a head is flagged.
        n: number of validation images that it was fitted on.
    """

    weights: Mapping[str, float]
    limit_percent: float
    n: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "ErrorModel | None":
        """From what `fit_error_model` made; None before that, and where it had too few images.

        Raises:
            ValueError: a value that is missing, of another type or senseless.
        """
        if "weights" not in settings and "limit_percent" not in settings:
            return None
        weights = settings.get("weights")
        if not isinstance(weights, Mapping):
            raise ValueError(f"weights: a number for each feature is expected, found {weights!r}")
        found = {name: _number(weights, name, "weights.") for name in (INTERCEPT, *FEATURES)}
        limit_percent, n = (_number(settings, key) for key in ("limit_percent", "n"))
        for name in FEATURES:
            if found[name] < 0:
                raise ValueError(f"weights.{name}: must not be negative, found {found[name]}")
        if limit_percent <= 0:
            raise ValueError(f"limit_percent: must be positive, found {limit_percent}")
        if n < 1 or n != int(n):
            raise ValueError(f"n: a whole number of images is expected, found {n}")
        return cls(found, limit_percent, int(n))

    def expected_error_percent(self, features: Mapping[str, float]) -> float:
        """Expected |ΔHC| in per cent of HC, 100 at most."""
        slopes = [self.weights[name] for name in FEATURES]
        exponent = self.weights[INTERCEPT] + float(log_features(features) @ slopes)
        return math.exp(min(exponent, math.log(_MOST_PERCENT)))


def uncertain_flags(features: Mapping[str, float], model: ErrorModel | None) -> Iterator[str]:
    """The doubt about a head whose expected error is above the limit, with its reasons."""
    if model is None:
        return
    expected = model.expected_error_percent(features)
    if expected > model.limit_percent:
        yield (
            f"uncertain: expected error of HC {expected:.2f} % (limit {model.limit_percent:.2f}), "
            f"mask and ellipse differ by {100 * features['misfit']:.1f} %, the border is "
            f"{features['border_softness_px']:.1f} network pixels soft"
        )


def _number(tree: Mapping[str, Any], key: str, prefix: str = "") -> float:
    value = tree.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"{prefix}{key}: a finite number is expected, found {value!r}")
