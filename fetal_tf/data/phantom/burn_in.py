"""What a scanner burns into its frames: the gray scale and lines of text."""

from collections.abc import Sequence

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX


def burn_in_gray_scale(image: np.ndarray, rows: slice, columns: slice) -> None:
    """Paint a ramp from white (above) to black into that part of a uint8 image."""
    ramp = np.linspace(255, 0, rows.stop - rows.start)[:, None]
    image[rows, columns] = ramp.astype(np.uint8)


def burn_in_captions(
    image: np.ndarray,
    captions: Sequence[Sequence[str]],
    rng: np.random.Generator,
    scale: float,
    *,
    font_size: float,
    gray: int,
    first_row: int,
    line_height: int,
    margin_px: int,
) -> None:
    """Write one choice of each line at the right border of a uint8 image.

    `font_size`, `first_row` and `line_height` are multiplied by `scale`.
    """
    for line, choices in enumerate(captions):
        text = choices[int(rng.integers(len(choices)))]
        (length, _), _ = cv2.getTextSize(text, FONT, font_size * scale, 1)
        row = round((first_row + line_height * line) * scale)
        place = (image.shape[1] - margin_px - length, row)
        cv2.putText(image, text, place, FONT, font_size * scale, gray, 1, cv2.LINE_AA)
