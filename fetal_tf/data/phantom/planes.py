"""The second centre's phantom: heads in frames of several sizes, with burnt-in text and scales.

Source of the layout and of the frame sizes: FETAL_PLANES_DB, Zenodo 3904280.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from fetal_tf.data.phantom.head import (
    FRAME_SHAPE,
    Examination,
    View,
    draw_examination,
    draw_settings,
    draw_view,
)
from fetal_tf.data.phantom.head_tissue import head_tissue
from fetal_tf.data.phantom.registry import PHANTOMS
from fetal_tf.data.phantom.scanner import Beams, scan
from fetal_tf.data.readers.landmark_table import END_COLUMNS, IMAGE_COLUMN
from fetal_tf.data.readers.planes import IMAGE_FOLDER, PIXEL_SIZE_COLUMN, SUBJECT_COLUMN, TABLE_NAME
from fetal_tf.edge.geometry.landmarks import ellipse_landmarks
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.edge.io.images import write_png

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
def write_planes_phantom(folder: Path, count: int, seed: int) -> Iterator[Path]:
    """Write `count` frames and the table; yields each frame's path.

    The ends in the table are those of the very ellipse that is drawn, to 0.01 px, in random order.
    """
    lines = [",".join([IMAGE_COLUMN, *END_COLUMNS, SUBJECT_COLUMN, PIXEL_SIZE_COLUMN])]
    for subject, frame in itertools.islice(_frames(seed), count):
        image, view = planes_frame(seed, subject, frame)
        frames = _draw_subject(seed, subject)[0].frames
        name = f"Patient{subject + 1:05d}_Plane3_{frame + 1}_of_{frames}.png"
        path = folder / IMAGE_FOLDER / name
        write_png(path, image)
        ends = in_random_order(
            ellipse_landmarks(view.ellipse), np.random.default_rng([seed, subject, 3 + frame, 1])
        )
        numbers = ",".join(f"{number:.2f}" for number in ends.ravel())
        lines.append(f"{name},{numbers},{subject + 1},{view.mm_per_pixel:.9f}")
        yield path
    write_text_atomic(folder / TABLE_NAME, "\n".join([*lines, ""]))


def planes_frame(seed: int, subject: int, frame: int) -> tuple[np.ndarray, View]:
    """One frame, uint8 (height, width), and its truth; it depends on nothing but the arguments."""
    fetus, shape = _draw_subject(seed, subject)
    look = np.random.default_rng([seed, subject, 2])
    moment = np.random.default_rng([seed, subject, 3 + frame])
    view = draw_view(fetus, moment, shape, _PIXEL_SIZE_LIMITS_MM)
    beams = Beams(view.probe, shape)
    settings = draw_settings(view, look)
    image = scan(head_tissue(view, beams, look), beams, settings, moment)
    return _with_captions(image, view.mm_per_pixel, np.random.default_rng([seed, subject, 4])), view


def in_random_order(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ends [4, 2] with those of each axis exchanged, or not, at random."""
    first_ofd, first_bpd = rng.integers(2, size=2)
    return points[[first_ofd, 1 - first_ofd, 2 + first_bpd, 3 - first_bpd]]


def _draw_subject(seed: int, subject: int) -> tuple[Examination, tuple[int, int]]:
    """A fetus that fills its machine's frames as it would HC18's, and their (height, width)."""
    rng = np.random.default_rng([seed, subject, 1])
    fetus = draw_examination(rng)
    shape = FRAME_SHAPES[int(rng.choice(len(FRAME_SHAPES), p=_FRAME_SHARES))]
    return replace(fetus, perimeter_px=fetus.perimeter_px * shape[0] / FRAME_SHAPE[0]), shape


def _frames(seed: int) -> Iterator[tuple[int, int]]:
    """Endless (subject, frame), both from 0."""
    for subject in itertools.count():
        for frame in range(_draw_subject(seed, subject)[0].frames):
            yield subject, frame


def _with_captions(image: np.ndarray, mm_per_pixel: float, rng: np.random.Generator) -> np.ndarray:
    """The image with gray scale, a tick every centimetre, machine and settings burnt in."""
    height, width = image.shape
    scale = width / FRAME_SHAPES[0][1]
    ramp = np.linspace(255, 0, round(170 * scale))[:, None]
    image[round(20 * scale) :, : round(9 * scale)][: len(ramp)] = ramp.astype(np.uint8)
    ticks = np.arange(round(20 * scale), height - 1, 10 / mm_per_pixel).round().astype(int)
    image[ticks, round(26 * scale) : round(32 * scale)] = 220
    _write(image, _MACHINES[int(rng.integers(len(_MACHINES)))], round(40 * scale), 0, scale)
    for line, choices in enumerate(_CAPTIONS):
        text = choices[int(rng.integers(len(choices)))]
        (length, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale, 1)
        _write(image, text, width - 4 - length, line, scale)
    return image


def _write(image: np.ndarray, text: str, left: int, line: int, scale: float) -> None:
    place = (left, round((16 + 18 * line) * scale))
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale, 210, 1, cv2.LINE_AA)
