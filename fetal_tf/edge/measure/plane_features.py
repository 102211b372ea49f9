"""Four numbers about an autoencoder's error on a frame, and the structural similarity."""

from collections.abc import Mapping

import cv2
import numpy as np

# Fine detail is the difference of two blurs; sd as shares of the frame's longer side: 2 and 4.5 px
# of 256.
_DETAIL = (0.0078, 0.0175)
_TINY = 1e-8  # keeps the logarithms of a black frame finite; a squared gray value in 0..1
FEATURES: Mapping[str, str] = {
    "error": "size of the reconstruction error",
    "detail": "share of fine detail that is not reconstructed",
    "grain": "grain of the reconstruction error",
    "skewness": "bright against dark reconstruction errors",
}


def plane_features(frame: np.ndarray, reconstruction: np.ndarray) -> dict[str, float]:
    """Compute the `FEATURES` of a frame and its reconstruction.

    A dark or smooth frame is reconstructed well whatever it shows, so the error alone tells little.
    With d = frame - reconstruction and <.> the mean over pixels:
    `error` is log <d²>. `detail` is the logarithm of the energy of d over that of the frame, both
    in a band of fine detail. `grain` is log <|grad d|²> / <d²>: high for speckle that was not
    learnt, low for blur. `skewness` is <d³> / <d²>^1.5: high where few bright structures are
    missing in the reconstruction, such as a skull.

    Args:
        frame: gray values 0..1, float [h, w], without padding.
        reconstruction: of the same size.

    Returns:
        Finite numbers by feature.
    """
    frame = np.asarray(frame, np.float64)
    difference = frame - reconstruction
    error = float(np.mean(difference**2)) + _TINY
    return {
        "error": float(np.log(error)),
        "detail": float(np.log((_detail(difference) + _TINY) / (_detail(frame) + _TINY))),
        "grain": float(np.log((_gradient(difference) + _TINY) / error)),
        "skewness": float(np.mean(difference**3) / error**1.5),
    }


def structural_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Mean SSIM of two gray images 0..1, float [h, w]; 1 where they are identical.

    Gaussian window of sd 1.5 px, 11 px wide, K1 = 0.01, K2 = 0.03; the border is mirrored.

    Source: Wang et al. 2004, IEEE Trans Image Process 13:600.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    mean_1, mean_2 = _window(first), _window(second)
    variance = _window(first**2) - mean_1**2 + _window(second**2) - mean_2**2
    covariance = _window(first * second) - mean_1 * mean_2
    luminance = (2 * mean_1 * mean_2 + 0.01**2) / (mean_1**2 + mean_2**2 + 0.01**2)
    return float(np.mean(luminance * (2 * covariance + 0.03**2) / (variance + 0.03**2)))


def _window(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)


def _detail(values: np.ndarray) -> float:
    """Mean square of the difference of two blurs."""
    side = max(values.shape)
    fine, coarse = (
        cv2.GaussianBlur(values, (0, 0), share * side, borderType=cv2.BORDER_REFLECT)
        for share in _DETAIL
    )
    return float(np.mean((fine - coarse) ** 2))


def _gradient(values: np.ndarray) -> float:
    """Mean squared difference of neighbours, along both axes together."""
    return float(sum((np.diff(values, axis=axis) ** 2).sum() for axis in (0, 1)) / values.size)
