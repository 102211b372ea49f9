"""The phantom of the noisy OFD and BPD table: HC18's phantom, and labels with known faults.

It has the three kinds of faults of the published table: OFD and BPD under each other's names, ends
in random order, and rows that have nothing to do with the head.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from fetal_tf.data.phantom.hc18 import hc18_phantom
from fetal_tf.data.phantom.head import FRAME_SHAPE
from fetal_tf.data.phantom.planes import in_random_order
from fetal_tf.data.phantom.writing import PHANTOMS, Frame
from fetal_tf.data.readers.ellipse_annotation import caliper_ellipse
from fetal_tf.data.readers.landmark_table import END_COLUMNS, IMAGE_COLUMN
from fetal_tf.data.readers.landmarks import IMAGE_ROOT, TABLE_FOLDER, TABLE_NAME
from fetal_tf.edge.geometry.landmarks import canonical, ellipse_landmarks

FAULTS_NAME = "faults.csv"
_UNRELATED_SHARE = 0.3
_AXES_SWAPPED_SHARE = 0.9
# Spread of an end among careful examiners: standard deviation, in lengths of its axis.
_HAND_SHARE = 0.008
_STREAM = 6  # of random numbers, beside those of the images


@PHANTOMS.register("landmarks")
def landmarks_phantom(seed: int) -> Iterator[Frame]:
    """HC18's phantom, rows of the table and their faults.

    `faults.csv` says of each row what is wrong with it: `unrelated`, or `axes_swapped` and
    `ends_swapped`, one, both or none.
    """
    for index, frame in enumerate(hc18_phantom(seed)):
        (path, _), (_, annotation) = frame.files.items()
        name = {IMAGE_COLUMN: PurePosixPath(path).name}
        truth = ellipse_landmarks(caliper_ellipse(np.asarray(annotation)))
        label, faults = draw_label(truth, np.random.default_rng([seed, index, _STREAM]))
        numbers = (f"{number:.0f}" for number in label.ravel())
        yield Frame(
            {f"{IMAGE_ROOT}/{path}": content for path, content in frame.files.items()},
            {
                **{f"{IMAGE_ROOT}/{path}": row for path, row in frame.rows.items()},
                f"{TABLE_FOLDER}/{TABLE_NAME}": name | dict(zip(END_COLUMNS, numbers, strict=True)),
                FAULTS_NAME: name | {"faults": " ".join(faults)},
            },
        )


def draw_label(truth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """Draw the table's ends [4, 2] for a head with the canonical ends `truth`, and their faults."""
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
