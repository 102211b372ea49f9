"""Images in memory, as they are measured."""

import numpy as np
from PIL import Image

from fetal_tf.edge.io.images import MIN_SIDE_PX, Frame, gray_on_black, luminance, scaled_by_use

_CHANNELS = {3: "RGB", 4: "RGBA"}


def frame_of_array(image: np.ndarray) -> Frame:
    """An array as `read_frame` gives the file that holds it.

    Args:
        image: gray (H, W) or (H, W, 1), RGB (H, W, 3) or RGBA (H, W, 4), uint8, uint16, or floats
            from 0 (black) to 1. Colour becomes ITU-R 601 luminance, transparent parts are black. Of
            uint16 the range in use counts, see `read_frame`.

    Raises:
        ValueError: another shape, dtype or range, or a side below 16 px.
    """
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    colour = image.ndim == 3 and image.shape[2] in _CHANNELS
    if not (image.ndim == 2 or colour):
        raise ValueError(
            f"an image (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) is expected, not {image.shape}"
        )
    if min(image.shape[:2]) < MIN_SIDE_PX:
        raise ValueError(f"sides of at least {MIN_SIDE_PX} px are needed, found {image.shape[:2]}")
    if image.dtype == np.uint16:
        wide = np.rint(luminance(image)).astype(np.int64) if colour else image.astype(np.int64)
        return Frame(*scaled_by_use(wide))
    image = _eight_bits(image)
    if not colour:
        return Frame(np.ascontiguousarray(image))
    picture = Image.fromarray(np.ascontiguousarray(image), _CHANNELS[image.shape[2]])
    return Frame(gray_on_black(picture))


def _eight_bits(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"uint8, uint16 or floats from 0 to 1 are expected, not {image.dtype}")
    low, high = (float(end) for end in (image.min(), image.max()))
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(
            f"floats from 0 to 1 are expected, found {low:g} to {high:g}; for gray values from 0 "
            "to 255 pass uint8"
        )
    return np.rint(image * 255).astype(np.uint8)
