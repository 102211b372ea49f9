"""The phantom of the noisy OFD and BPD table: HC18's phantom, and labels with known faults.

Of the published table's faults it has the three kinds: the pairs under each other's names, ends in
random order, and rows that have nothing to do with the head.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fetal_tf.data.phantom.hc18 import write_hc18_phantom
from fetal_tf.data.phantom.head import FRAME_SHAPE
from fetal_tf.data.phantom.planes import in_random_order
from fetal_tf.data.phantom.registry import PHANTOMS
from fetal_tf.data.readers.ellipse_annotation import load_ellipse_landmarks
from fetal_tf.data.readers.hc18_files import ANNOTATION_ENDING
from fetal_tf.data.readers.landmark_table import END_COLUMNS, IMAGE_COLUMN
from fetal_tf.data.readers.landmarks import IMAGE_ROOT, TABLE_FOLDER, TABLE_NAME
from fetal_tf.edge.geometry.landmarks import canonical
from fetal_tf.edge.io.files import write_text_atomic

FAULTS_NAME = "faults.csv"
_UNRELATED_SHARE = 0.3
_AXES_SWAPPED_SHARE = 0.9
# Careful hands differ by about this much: standard deviation of an end, in lengths of its axis.
_HAND_SHARE = 0.008
_STREAM = 6  # of random numbers, beside those of the images


@PHANTOMS.register("landmarks")
def write_landmarks_phantom(folder: Path, count: int, seed: int) -> Iterator[Path]:
    """Write HC18's phantom, the table and its faults; yields each frame's path.

    `faults.csv` says of each row what is wrong with it: `unrelated`, or `axes_swapped` and
    `ends_swapped`, one, both or none.
    """
    labels, faults = {}, {}
    for index, path in enumerate(write_hc18_phantom(folder / IMAGE_ROOT, count, seed)):
        truth = load_ellipse_landmarks(path.with_name(f"{path.stem}{ANNOTATION_ENDING}.png"))
        rng = np.random.default_rng([seed, index, _STREAM])
        labels[path.name], faults[path.name] = draw_label(truth, rng)
        yield path
    lines = [",".join([IMAGE_COLUMN, *END_COLUMNS])]
    lines += [f"{name},{_numbers(labels[name])}" for name in sorted(labels)]
    write_text_atomic(folder / TABLE_FOLDER / TABLE_NAME, "\n".join([*lines, ""]))
    lines = [f"{IMAGE_COLUMN},faults"]
    lines += [f"{name},{' '.join(faults[name])}" for name in sorted(faults)]
    write_text_atomic(folder / FAULTS_NAME, "\n".join([*lines, ""]))


def draw_label(truth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """What the table says of a head with the canonical ends `truth` [4, 2], and its faults."""
    if rng.random() < _UNRELATED_SHARE:
        height, width = FRAME_SHAPE
        return rng.uniform([0, 0], [width - 1, height - 1], (4, 2)).round(), ["unrelated"]
    lengths_px = np.linalg.norm(truth[1::2] - truth[::2], axis=1).repeat(2)[:, None]
    hand_px = rng.normal(0, _HAND_SHARE, (4, 2)) * lengths_px
    placed = canonical((truth + hand_px).round())
    label = in_random_order(placed, rng)
    faults = [] if np.array_equal(label, placed) else ["ends_swapped"]
    if rng.random() < _AXES_SWAPPED_SHARE:
        return label[[2, 3, 0, 1]], ["axes_swapped", *faults]
    return label, faults


def _numbers(points: np.ndarray) -> str:
    return ",".join(f"{number:.0f}" for number in points.ravel())
