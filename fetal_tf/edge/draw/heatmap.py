"""Heatmaps: values between 0 and 1 over a frame, in colours whose lightness grows evenly."""

import math

import cv2
import numpy as np


def _inferno() -> np.ndarray:
    """RGB uint8 (256, 3), black through red to pale yellow; readable without colour vision."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    return cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)[:, 0, ::-1].copy()


COLORS = _inferno()  # row i is the colour of i / 255
OPACITY = 0.8


def heatmap(image: np.ndarray, values: np.ndarray, opacity: float = OPACITY) -> np.ndarray:
    """Blend values v into a frame: (1 - a) · frame + a · colour of v, a = opacity · (1 + v) / 2.

    High values are more opaque. Anatomy shows where values are low, and never changes a colour so
    much that it looks like another value.

    Args:
        image: the frame, uint8 (H, W).
        values: float (H, W), 0 black to 1 pale yellow; values outside are drawn as 0 or 1.
        opacity: at the value 1; 0 shows the frame alone.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        ValueError: frame and values differ in size, a value is not a number, or the opacity is not
            within 0 to 1.
    """
    if image.ndim != 2 or image.shape != values.shape:
        raise ValueError(f"image is {image.shape}, values are {values.shape}; both must be (H, W)")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must lie within 0 to 1, found {opacity}")
    if np.isnan(values).any():
        raise ValueError(f"{np.count_nonzero(np.isnan(values))} of the values are not numbers")
    share = np.clip(np.asarray(values, np.float32), 0, 1)
    color = COLORS[np.rint(share * 255).astype(np.uint8)].astype(np.float32)
    opaque = (opacity * (1 + share) / 2)[..., None]
    blend = (1 - opaque) * image[..., None].astype(np.float32) + opaque * color
    return np.rint(blend).astype(np.uint8)


def mismatch_map(pred_labels: np.ndarray, truth_labels: np.ndarray, sigma_px: float) -> np.ndarray:
    """Smoothed map of where two label maps differ.

    A border that is one pixel off hardly shows, a missed region does.

    Args:
        pred_labels: class indices of the prediction, integers (H, W).
        truth_labels: those of the expert's mask.
        sigma_px: standard deviation of the Gaussian, cut off at four of them; 0 = not smoothed.
            Beyond the edge the map is mirrored, so that the mean is the share of wrong pixels.

    Returns:
        float32 (H, W), 0 (all equal around) to 1 (all different).

    Raises:
        ValueError: the maps differ in size, or `sigma_px` is negative or not finite.
    """
    if pred_labels.ndim != 2 or pred_labels.shape != truth_labels.shape:
        raise ValueError(
            f"label maps are {pred_labels.shape} and {truth_labels.shape}; both must be (H, W)"
        )
    if not (math.isfinite(sigma_px) and sigma_px >= 0):
        raise ValueError(f"sigma_px must be 0 or a positive number, found {sigma_px}")
    different = (pred_labels != truth_labels).astype(np.float32)
    if sigma_px == 0:
        return different
    side = 2 * math.ceil(4 * sigma_px) + 1
    smooth = cv2.GaussianBlur(different, (side, side), sigma_px, borderType=cv2.BORDER_REFLECT)
    return np.clip(smooth, 0, 1)
