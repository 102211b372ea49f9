"""FOCUS' phantom: four-chamber views with exact ellipses, in FOCUS' own folders and file formats.

Source of the layout: Zenodo 14597550.
"""

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np

from fetal_tf.data.phantom.burn_in import REFERENCE_WIDTH, burn_in_captions, burn_in_gray_scale
from fetal_tf.data.phantom.heart import Chest, draw_chest
from fetal_tf.data.phantom.heart_tissue import chest_canvas
from fetal_tf.data.phantom.view import draw_settings
from fetal_tf.data.phantom.writing import PHANTOMS, Frame, random_streams
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

# The folders of six images in a row: 200 : 50 : 50 as in FOCUS, none empty from three images on.
FOLDER_OF_TURN = ("training", "validation", "testing", "training", "training", "training")
# Of every sixty images the twelfth copies the one before, as FOCUS' training 039 copies 040: a
# split must keep copies together.
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
def focus_phantom(seed: int) -> Iterator[Frame]:
    """Frames with masks, ellipses and rectangles.

    Ellipses are written exactly as drawn; masks are the pixels whose centre lies inside.
    """
    numbers: Counter[str] = Counter()
    for index, part in enumerate(itertools.cycle(FOLDER_OF_TURN)):
        numbers[part] += 1
        stem = f"{numbers[part]:03d}"
        image, chest = focus_frame(seed, index)
        files: dict[str, np.ndarray | str] = {f"{part}/{IMAGES}/{stem}.png": image}
        for structure, ellipse in chest.ellipses.items():
            mask = rasterise(ellipse, chest.view.frame_shape).astype(np.uint8) * 255
            files[f"{part}/{MASKS}/{mask_name(stem, structure)}"] = mask
        ellipses = _ellipse_text(chest, np.random.default_rng([seed, index, 4]))
        files[f"{part}/{ELLIPSES}/{stem}.txt"] = ellipses
        files[f"{part}/{RECTANGLES}/{stem}.txt"] = rectangle_lines(chest.ellipses)
        yield Frame(files)


def focus_frame(seed: int, index: int) -> tuple[np.ndarray, Chest]:
    """One frame, uint8 (height, width), and its truth; it depends on nothing but the arguments."""
    if index % _COPIES_PER == _COPY_TURN:
        index -= 1
    fetus, look, moment = random_streams(seed, index)
    chest = draw_chest(fetus)
    # Hearts are shown coarse and smooth, with much contrast.
    settings = draw_settings(
        chest.view,
        look,
        pulse_mm=((0.22, 0.45), (0.4, 0.9)),
        gain_db=(-5.0, 5.0),
        dynamic_range_db=(44.0, 58.0),
        noise_db=(-68.0, -54.0),
        looks=(2, 5),
    )
    image = chest_canvas(chest, look).scan(settings, moment)
    _burn_in(image, look)
    return image, chest


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


def _burn_in(image: np.ndarray, rng: np.random.Generator) -> None:
    """Gray scale with depth ticks, and settings; some machines show neither."""
    height, width = image.shape
    scale = width / REFERENCE_WIDTH
    if rng.random() < 0.85:
        rows = slice(round(28 * scale), round(222 * scale))
        burn_in_gray_scale(image, rows, slice(0, round(9 * scale)))
        ticks = np.arange(round(20 * scale), height - 2, rng.uniform(18, 70) * scale).astype(int)
        image[ticks, round(29 * scale) : round(32 * scale)] = 220
    if rng.random() < 0.85:
        lines = range(11, 107, 16)
        burn_in_captions(image, _CAPTIONS, rng, font_size=0.45, gray=200, rows=lines, margin_px=3)
