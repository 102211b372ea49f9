"""Fill HTML templates and embed pictures, so that a page needs no other file."""

import base64
import io
from typing import Any

import jinja2
import numpy as np
from PIL import Image


def render(template: str, **values: Any) -> str:
    """Fill one of the files in `templates/`. A value that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fetal_tf.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def jpeg_uri(picture: np.ndarray, longest_px: int) -> str:
    """Encode RGB uint8 (H, W, 3) as a JPEG data URI; its longer side is at most `longest_px`.

    Not PNG: a dozen speckled images take five megabytes.
    """
    image = Image.fromarray(picture)
    image.thumbnail((longest_px, longest_px))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
