"""What a scanner burns into its frames: the gray scale and lines of text."""

from collections.abc import Sequence

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
REFERENCE_WIDTH = 959


def burn_in_gray_scale(image: np.ndarray, rows: slice, columns: slice) -> None:
    """Paint a ramp from white (above) to black into that part of a uint8 image."""
    ramp = np.linspace(255, 0, rows.stop - rows.start)[:, None]
    image[rows, columns] = ramp.astype(np.uint8)


def burn_in_captions(
    image: np.ndarray,
    captions: Sequence[Sequence[str]],
    rng: np.random.Generator,
    *,
    font_size: float,
    gray: int,
    rows: range,
    margin_px: int,
) -> None:
    """Write one choice of each caption at the right border of a uint8 image, at those `rows`.

    Sizes and rows are those of a frame that is 959 px wide.
    """
    scale = image.shape[1] / REFERENCE_WIDTH
    for choices, row in zip(captions, rows, strict=True):
        text = choices[int(rng.integers(len(choices)))]
        (length, _), _ = cv2.getTextSize(text, FONT, font_size * scale, 1)
        place = (image.shape[1] - margin_px - length, round(row * scale))
        cv2.putText(image, text, place, FONT, font_size * scale, gray, 1, cv2.LINE_AA)
