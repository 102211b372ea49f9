"""One annotated frame of any dataset."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fetal_tf.edge.geometry.ellipse import Ellipse


@dataclass(frozen=True)
class Sample:
    """A frame, its annotation by an expert, and its group for the split.

    Attributes:
        id: unique within its dataset, and stable: `splits.csv` and `data.exclude` use it.
        image_path: the frame on disk.
        group: frames of one group (patient, examination) never straddle a split.
        mm_per_pixel: millimetres per pixel of the original image, or None where unknown.
        load_mask: returns the truth as uint8 class index, (height, width) of the original image,
            0 = background; None where the dataset has no mask for this frame.
        reference: the expert's measurements by name with unit, for example `{"hc_mm": 172.5}`.
        official_split: train, val or test where the dataset prescribes one.
        present: the structures that the truth shows, of all that the dataset annotates; None where
            the reader does not look.
        labels: what the indices of the mask mean, where the dataset has more than one structure.
        ellipses: annotated outlines by structure, in pixels of the original image, where the
            dataset draws ellipses.
        load_landmarks: returns the expert's landmarks, float64 [4, 2] in pixels (x, y) of the
            original image, in the order and orientation of `fetal_tf.edge.geometry.landmarks`;
            None where the dataset has none.
        source: the name of the dataset where several are mixed; empty for the first of them.
        condition: `normal` or the name of an anomaly, where the dataset tells.
        negative: a frame of something else, in which nothing is to be found: see
            `fetal_tf.data.negatives`.
    """

    id: str
    image_path: Path
    group: str
    mm_per_pixel: float | None = None
    load_mask: Callable[[], np.ndarray] | None = None
    reference: Mapping[str, float] = field(default_factory=dict)
    official_split: str | None = None
    present: frozenset[str] | None = None
    condition: str | None = None
    labels: tuple[str, ...] | None = None
    ellipses: Mapping[str, Ellipse] = field(default_factory=dict)
    load_landmarks: Callable[[], np.ndarray] | None = None
    source: str = ""
    negative: bool = False
