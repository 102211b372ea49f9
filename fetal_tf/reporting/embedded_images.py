"""Pictures inside a page: one file that needs no other."""

import base64
import io

import numpy as np
from PIL import Image


def jpeg_uri(picture: np.ndarray, longest_px: int) -> str:
    """A data URI of uint8 (H, W, 3) RGB, made smaller where a side is above `longest_px`.

    JPEG, since a dozen PNGs of speckle weigh five megabytes.
    """
    image = Image.fromarray(picture)
    image.thumbnail((longest_px, longest_px))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
