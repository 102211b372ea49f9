"""FOCUS' phantom: four-chamber views with exact ellipses, in FOCUS' own folders and file formats.

Source of the layout: Zenodo 14597550.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from fetal_tf.data.phantom.heart import Chest, draw_chest, draw_settings
from fetal_tf.data.phantom.heart_tissue import chest_tissue
from fetal_tf.data.phantom.registry import PHANTOMS
from fetal_tf.data.phantom.scanner import Beams, scan
from fetal_tf.data.readers.focus_annotations import (
    ELLIPSES,
    IMAGES,
    MASKS,
    RECTANGLES,
    ellipse_lines,
    mask_name,
    rectangle_lines,
)
from fetal_tf.edge.geometry.ellipse import rasterise
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.edge.io.images import write_png

# How images are dealt over the folders, again and again: 200 : 50 : 50, all three from the start.
FOLDER_OF_TURN = ("training", "validation", "testing", "training", "training", "training")
# Of every sixty images the twelfth is a copy of the one before, as FOCUS' training 039 is of 040:
# copies must not be told apart by a split.
_COPIES_PER, _COPY_TURN = 60, 11
_SHORT_FIRST_SHARE = 0.07  # ellipse lines whose first semi-axis is the shorter one, as in FOCUS
_CAPTIONS = (
    ("Cardiac", "2. Trim.", "OB 2/3", "Fetal Echo"),
    ("Har-intermedia", "Har-high", "Har-low"),
    ("92", "93", "95", "97"),
    ("Gn -1", "Gn -7", "Gn 2", "Gn 5"),
    ("C7 / M7", "C6 / M7", "C5 / M7"),
    ("FF2 / E1", "FF2 / E3"),
)


@PHANTOMS.register("focus")
def write_focus_phantom(folder: Path, count: int, seed: int) -> Iterator[Path]:
    """Write `count` frames with masks, ellipses and rectangles; yields each frame's path.

    Ellipses are written exactly as drawn; masks are the pixels whose centre lies inside.
    """
    numbers: Counter[str] = Counter()
    for index in range(count):
        part = FOLDER_OF_TURN[index % len(FOLDER_OF_TURN)]
        numbers[part] += 1
        stem = f"{numbers[part]:03d}"
        image, chest = focus_frame(seed, index)
        path = folder / part / IMAGES / f"{stem}.png"
        write_png(path, image)
        for structure, ellipse in chest.ellipses.items():
            mask = rasterise(ellipse, chest.frame_shape).astype(np.uint8) * 255
            write_png(folder / part / MASKS / mask_name(stem, structure), mask)
        ellipses = _ellipse_text(chest, np.random.default_rng([seed, index, 4]))
        write_text_atomic(folder / part / ELLIPSES / f"{stem}.txt", ellipses)
        rectangles = rectangle_lines(chest.ellipses)
        write_text_atomic(folder / part / RECTANGLES / f"{stem}.txt", rectangles)
        yield path


def focus_frame(seed: int, index: int) -> tuple[np.ndarray, Chest]:
    """One frame, uint8 (height, width), and its truth; it depends on nothing but the arguments."""
    if index % _COPIES_PER == _COPY_TURN:
        index -= 1
    chest = draw_chest(np.random.default_rng([seed, index, 1]))
    look = np.random.default_rng([seed, index, 2])
    moment = np.random.default_rng([seed, index, 3])
    beams = Beams(chest.view.probe, chest.frame_shape)
    settings = draw_settings(chest, look)
    image = scan(chest_tissue(chest, beams, look), beams, settings, moment)
    return _with_captions(image, look), chest


def _ellipse_text(chest: Chest, rng: np.random.Generator) -> str:
    """The ellipse file; a few lines name the short semi-axis first, and its direction."""
    lines = ellipse_lines(chest.ellipses).splitlines()
    short_first = rng.random(len(lines)) < _SHORT_FIRST_SHARE
    return "\n".join(
        _other_axis_first(line) if short else line
        for line, short in zip(lines, short_first, strict=True)
    )


def _other_axis_first(line: str) -> str:
    """The same ellipse: the direction is that of the semi-axis that comes first."""
    center_x, center_y, first, second, angle_deg, label = line.split()
    across_deg = f"{(float(angle_deg) + 90) % 180:.1f}"
    return " ".join([center_x, center_y, second, first, across_deg, label])


def _with_captions(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image with the scanner's gray scale, depth ticks and settings burnt in."""
    height, width = image.shape
    scale = width / 959
    if rng.random() < 0.85:
        rows = slice(round(28 * scale), round(222 * scale))
        ramp = np.linspace(255, 0, rows.stop - rows.start)[:, None]
        image[rows, : round(9 * scale)] = ramp.astype(np.uint8)
        ticks = np.arange(round(20 * scale), height - 2, rng.uniform(18, 70) * scale).astype(int)
        image[ticks, round(29 * scale) : round(32 * scale)] = 220
    if rng.random() < 0.85:
        for line, choices in enumerate(_CAPTIONS):
            text = choices[int(rng.integers(len(choices)))]
            size = 0.45 * scale
            (length, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
            place = (width - 3 - length, round((11 + 16 * line) * scale))
            cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, 200, 1, cv2.LINE_AA)
    return image
