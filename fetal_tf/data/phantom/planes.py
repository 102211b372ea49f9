"""The second centre's phantom: heads in frames of several sizes, with burnt-in text and scales.

Source of the layout and of the frame sizes: FETAL_PLANES_DB, Zenodo 3904280.
"""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from fetal_tf.data.phantom.burn_in import (
    FONT,
    REFERENCE_WIDTH,
    burn_in_captions,
    burn_in_gray_scale,
)
from fetal_tf.data.phantom.head import FRAME_SHAPE, Examination, draw_examination, draw_view
from fetal_tf.data.phantom.head_tissue import head_canvas
from fetal_tf.data.phantom.view import View, draw_settings
from fetal_tf.data.phantom.writing import PHANTOMS, Frame, numbered_frames, random_streams
from fetal_tf.data.readers.landmark_table import END_COLUMNS, IMAGE_COLUMN
from fetal_tf.data.readers.planes import IMAGE_FOLDER, PIXEL_SIZE_COLUMN, SUBJECT_COLUMN, TABLE_NAME
from fetal_tf.edge.geometry.landmarks import ellipse_landmarks

FRAME_SHAPES = ((661, 959), (663, 961), (392, 640), (787, 1137))
_FRAME_SHARES = (0.41, 0.25, 0.19, 0.15)
_PIXEL_SIZE_LIMITS_MM = (0.08, 0.32)
_MACHINES = ("Voluson E6", "Voluson S8", "Voluson S10", "Aloka")
_CAPTIONS = (
    ("2. Trim.", "3. Trim.", "OB 2/3", "2+3.Trim."),
    ("Har-intermedia", "Har-high", "Har-low"),
    ("27Hz/ 9.8cm", "24Hz/12.1cm", "60/ 23Hz"),
    ("Gn -4", "Gn -1", "Gn 7"),
    ("C5 / M7", "C6 / M7", "C7 / M7"),
    ("FF2 / E3", "FF1 / E1", "FF3 / E2"),
)


@PHANTOMS.register("planes")
def planes_phantom(seed: int) -> Iterator[Frame]:
    """Frames with their rows of the table.

    The ends in the table are those of the drawn ellipse, to 0.01 px, in random order.
    """
    for subject, frame, frames in numbered_frames(
        lambda number: _draw_subject(seed, number).frames
    ):
        image, view = planes_frame(seed, subject, frame)
        ends = in_random_order(
            ellipse_landmarks(view.ellipse), np.random.default_rng([seed, subject, 3 + frame, 1])
        )
        name = f"Patient{subject + 1:05d}_Plane3_{frame + 1}_of_{frames}.png"
        row = {
            IMAGE_COLUMN: name,
            **{c: f"{n:.2f}" for c, n in zip(END_COLUMNS, ends.ravel(), strict=True)},
            SUBJECT_COLUMN: f"{subject + 1}",
            PIXEL_SIZE_COLUMN: f"{view.mm_per_pixel:.9f}",
        }
        yield Frame({f"{IMAGE_FOLDER}/{name}": image}, {TABLE_NAME: row})


def planes_frame(seed: int, subject: int, frame: int) -> tuple[np.ndarray, View]:
    """One frame, uint8 (height, width), and its truth; it depends on nothing but the arguments."""
    _, look, moment = random_streams(seed, subject, frame)
    view = draw_view(_draw_subject(seed, subject), moment, _PIXEL_SIZE_LIMITS_MM)
    settings = draw_settings(view, look)
    image = head_canvas(view, look).scan(settings, moment)
    _burn_in(image, view.mm_per_pixel, np.random.default_rng([seed, subject, 4]))
    return image, view


def in_random_order(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ends [4, 2], with the two ends of each axis exchanged at random."""
    first_ofd, first_bpd = rng.integers(2, size=2)
    return points[[first_ofd, 1 - first_ofd, 2 + first_bpd, 3 - first_bpd]]


def _draw_subject(seed: int, subject: int) -> Examination:
    """A fetus that fills the frames of its machine as much as it would fill those of HC18."""
    rng = next(random_streams(seed, subject))
    fetus = draw_examination(rng)
    shape = FRAME_SHAPES[int(rng.choice(len(FRAME_SHAPES), p=_FRAME_SHARES))]
    perimeter_px = fetus.perimeter_px * shape[0] / FRAME_SHAPE[0]
    return replace(fetus, perimeter_px=perimeter_px, frame_shape=shape)


def _burn_in(image: np.ndarray, mm_per_pixel: float, rng: np.random.Generator) -> None:
    """Gray scale, a tick every centimetre, machine and settings."""
    height, width = image.shape
    scale = width / REFERENCE_WIDTH
    top = round(20 * scale)
    burn_in_gray_scale(image, slice(top, top + round(170 * scale)), slice(0, round(9 * scale)))
    ticks = np.arange(top, height - 1, 10 / mm_per_pixel).round().astype(int)
    image[ticks, round(26 * scale) : round(32 * scale)] = 220
    machine = _MACHINES[int(rng.integers(len(_MACHINES)))]
    place = (round(40 * scale), round(16 * scale))
    cv2.putText(image, machine, place, FONT, 0.5 * scale, 210, 1, cv2.LINE_AA)
    lines = range(16, 124, 18)
    burn_in_captions(image, _CAPTIONS, rng, font_size=0.5, gray=210, rows=lines, margin_px=4)
