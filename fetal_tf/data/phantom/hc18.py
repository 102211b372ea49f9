"""HC18's phantom: heads with a caliper ellipse, in HC18's own folders, names and CSV."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from fetal_tf.data.phantom.head import FRAME_SHAPE, View, draw_examination, draw_settings, draw_view
from fetal_tf.data.phantom.head_tissue import head_tissue
from fetal_tf.data.phantom.registry import PHANTOMS
from fetal_tf.data.phantom.scanner import Beams, scan
from fetal_tf.data.readers.ellipse_annotation import draw_annotation
from fetal_tf.data.readers.hc18_files import (
    ANNOTATION_ENDING,
    FILENAME_COLUMN,
    HC_COLUMN,
    IMAGE_FOLDER,
    PIXEL_SIZE_COLUMN,
    TABLE_NAME,
)
from fetal_tf.edge.geometry.contours import rasterise
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.edge.io.images import write_png


@PHANTOMS.register("hc18")
def write_hc18_phantom(
    folder: Path, count: int, seed: int, *, annotation: Literal["outline", "filled"] = "outline"
) -> Iterator[Path]:
    """Write `count` frames, their annotations and the CSV; yields each frame's path.

    The HC in the CSV is the perimeter (Ramanujan) of the very ellipse that is drawn, to 0.0001 mm.
    """
    images = folder / IMAGE_FOLDER
    rows = []
    for examination, frame in itertools.islice(_frames(seed), count):
        image, view = hc18_frame(seed, examination, frame)
        stem = f"{examination:03d}_{frame + 1 if frame else ''}HC"
        path = images / f"{stem}.png"
        write_png(path, image)
        write_png(
            images / f"{stem}{ANNOTATION_ENDING}.png",
            draw_annotation(view.ellipse, FRAME_SHAPE, filled=annotation == "filled"),
        )
        hc_mm = view.ellipse.perimeter * view.mm_per_pixel
        rows.append(f"{path.name},{view.mm_per_pixel:.9f},{hc_mm:.4f}\n")
        yield path
    header = ",".join([FILENAME_COLUMN, PIXEL_SIZE_COLUMN, HC_COLUMN])
    write_text_atomic(folder / TABLE_NAME, "".join([header, "\n", *sorted(rows)]))


def hc18_frame(seed: int, examination: int, frame: int) -> tuple[np.ndarray, View]:
    """One frame, uint8 FRAME_SHAPE, and its truth; frames of an examination share fetus and womb.

    Each of the three streams of random numbers starts anew from the arguments, so that a frame
    does not depend on those before it.
    """
    fetus = draw_examination(np.random.default_rng([seed, examination, 1]))
    look = np.random.default_rng([seed, examination, 2])
    moment = np.random.default_rng([seed, examination, 3 + frame])
    view = draw_view(fetus, moment)
    beams = Beams(view.probe, FRAME_SHAPE)
    settings = draw_settings(view, look)
    burn_in = _draw_burn_in(look)
    image = scan(head_tissue(view, beams, look), beams, settings, moment)
    head = rasterise(view.ellipse, FRAME_SHAPE)
    return _with_burn_in(image, [box for box in burn_in if not head[box].any()]), view


def _frames(seed: int) -> Iterator[tuple[int, int]]:
    """Endless (examination, frame), both from 0."""
    for examination in itertools.count():
        fetus = draw_examination(np.random.default_rng([seed, examination, 1]))
        for frame in range(fetus.frames):
            yield examination, frame


def _draw_burn_in(rng: np.random.Generator) -> list[tuple[slice, slice]]:
    """Boxes (rows, columns) where a frame was blackened to hide its text, as in HC18."""
    boxes = []
    if rng.random() < 0.85:
        top, left = int(rng.integers(415, 450)), int(rng.integers(585, 640))
        boxes.append((slice(top, 524), slice(left, None)))
    if rng.random() < 0.5:
        boxes.append(
            (slice(0, int(rng.integers(90, 106))), slice(int(rng.integers(685, 735)), None))
        )
    return boxes


def _with_burn_in(image: np.ndarray, boxes: list[tuple[slice, slice]]) -> np.ndarray:
    """The image with its blackened boxes and the scanner's gray scale at the left edge."""
    for box in boxes:
        image[box] = 0
    image[23:187, 3:11] = np.linspace(255, 0, 164)[:, None].astype(np.uint8)
    return image
