"""HC18's phantom: heads with a caliper ellipse, in HC18's own folders, names and CSV."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from fetal_tf.data.phantom.burn_in import burn_in_gray_scale
from fetal_tf.data.phantom.head import draw_examination, draw_view
from fetal_tf.data.phantom.head_tissue import head_canvas
from fetal_tf.data.phantom.view import View, draw_settings
from fetal_tf.data.phantom.writing import PHANTOMS, Frame, numbered_frames, random_streams
from fetal_tf.data.readers.ellipse_annotation import draw_annotation
from fetal_tf.data.readers.hc18_files import (
    ANNOTATION_ENDING,
    FILENAME_COLUMN,
    HC_COLUMN,
    IMAGE_FOLDER,
    PIXEL_SIZE_COLUMN,
    TABLE_NAME,
)
from fetal_tf.edge.geometry.ellipse import rasterise


@PHANTOMS.register("hc18")
def hc18_phantom(
    seed: int, *, annotation: Literal["outline", "filled"] = "outline"
) -> Iterator[Frame]:
    """Frames with their annotations and rows of the CSV.

    The HC in the CSV is the perimeter (Ramanujan) of the drawn ellipse, to 0.0001 mm.
    """
    for examination, frame, _ in numbered_frames(
        lambda number: draw_examination(next(random_streams(seed, number))).frames
    ):
        image, view = hc18_frame(seed, examination, frame)
        stem = f"{examination:03d}_{frame + 1 if frame else ''}HC"
        drawn = draw_annotation(view.ellipse, view.frame_shape, filled=annotation == "filled")
        files = {
            f"{IMAGE_FOLDER}/{stem}.png": image,
            f"{IMAGE_FOLDER}/{stem}{ANNOTATION_ENDING}.png": drawn,
        }
        row = {
            FILENAME_COLUMN: f"{stem}.png",
            PIXEL_SIZE_COLUMN: f"{view.mm_per_pixel:.9f}",
            HC_COLUMN: f"{view.ellipse.perimeter * view.mm_per_pixel:.4f}",
        }
        yield Frame(files, {TABLE_NAME: row})


def hc18_frame(seed: int, examination: int, frame: int) -> tuple[np.ndarray, View]:
    """One frame, uint8 (height, width), and its truth; it depends on nothing but the arguments.

    Frames of one examination share fetus and womb.
    """
    fetus, look, moment = random_streams(seed, examination, frame)
    view = draw_view(draw_examination(fetus), moment)
    settings = draw_settings(view, look)
    black_boxes = _draw_black_boxes(look)
    image = head_canvas(view, look).scan(settings, moment)
    head = rasterise(view.ellipse, view.frame_shape)
    for box in black_boxes:
        if not head[box].any():
            image[box] = 0
    burn_in_gray_scale(image, slice(23, 187), slice(3, 11))
    return image, view


def _draw_black_boxes(rng: np.random.Generator) -> list[tuple[slice, slice]]:
    """Boxes (rows, columns) that were blackened to hide text, as in HC18."""
    boxes = []
    if rng.random() < 0.85:
        top, left = int(rng.integers(415, 450)), int(rng.integers(585, 640))
        boxes.append((slice(top, 524), slice(left, None)))
    if rng.random() < 0.5:
        boxes.append(
            (slice(0, int(rng.integers(90, 106))), slice(int(rng.integers(685, 735)), None))
        )
    return boxes
