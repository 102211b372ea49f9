"""The phantom of the large-scale head biometry data: trans-thalamic planes with colour masks.

The label `brain` is the inside of the skull without the bone: its border is the inner table.
Source of layout and frequencies: Alzubaidi et al. 2023, Data in Brief 51:109708; Zenodo 8265464.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from fetal_tf.data.phantom.brain import ANOMALIES, BrainPlane, Patient, draw_patient, draw_plane
from fetal_tf.data.phantom.brain_tissue import brain_canvas
from fetal_tf.data.phantom.view import draw_settings
from fetal_tf.data.phantom.writing import PHANTOMS, Frame, numbered_frames, random_streams
from fetal_tf.data.readers.mask_sources import MASK_FOLDER
from fetal_tf.data.readers.trans_thalamic import (
    CONDITION_COLUMN,
    CONDITION_TABLE,
    LABEL_COLUMN,
    PIXEL_SIZE_TABLE,
    PLANE,
)
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.geometry.ellipse import rasterise

CLASSES = ("background", "brain", "csp", "lv")
_COLOURS = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)
_BYTE_ORDER_MARK = "\ufeff"


@PHANTOMS.register("fetal_head_biometry")
def brain_phantom(
    seed: int, *, masks: Literal["folder", "zip"] = "folder", anomaly_share: float = 0.1
) -> Iterator[Frame]:
    """Frames with their masks, pixel sizes and conditions.

    Args:
        seed: of all that is random.
        masks: as PNGs in a folder, or in a nested zip.
        anomaly_share: share of patients with an anomaly, 0..1, each kind a third of them; the
            frames of the patients that stay normal do not change with it.

    Raises:
        ConfigError: `anomaly_share` outside 0..1.
    """
    if not 0 <= anomaly_share <= 1:
        raise ConfigError(f"phantom.anomaly_share: 0 to 1 is expected, found {anomaly_share}")
    ending = "segmentation-mask.zip" if masks == "zip" else "PASCAL"
    for patient, frame, frames in numbered_frames(
        lambda number: brain_patient(seed, number, anomaly_share).examination.frames
    ):
        image, labels, plane = brain_frame(seed, patient, frame, anomaly_share)
        name = f"Patient{patient + 1:05d}_Plane3_{frame + 1}_of_{frames}.png"
        files = {
            f"{PLANE}/{PLANE}/{name}": image,
            f"{PLANE}/{PLANE}-{ending}/{MASK_FOLDER}/{name}": _COLOURS[labels],
        }
        pixel_size = {
            _BYTE_ORDER_MARK + LABEL_COLUMN: name,
            "Pixel  in mm": f"{plane.view.mm_per_pixel:.9f}",  # two spaces, as published
        }
        condition = {LABEL_COLUMN: name, CONDITION_COLUMN: plane.patient.condition}
        rows = {f"{PLANE}/{PIXEL_SIZE_TABLE}": pixel_size, CONDITION_TABLE: condition}
        yield Frame(files, rows)


def brain_frame(
    seed: int, patient: int, frame: int, anomaly_share: float
) -> tuple[np.ndarray, np.ndarray, BrainPlane]:
    """One frame, uint8 (height, width), its labels (indices of CLASSES) and the drawn geometry."""
    _, look, moment = random_streams(seed, patient, frame)
    plane = draw_plane(brain_patient(seed, patient, anomaly_share), moment)
    settings = draw_settings(plane.view, look)
    image = brain_canvas(plane, look).scan(settings, moment)
    return image, brain_labels(plane), plane


def brain_patient(seed: int, patient: int, anomaly_share: float) -> Patient:
    """The patient with that number, from 0, normal or not."""
    fate = np.random.default_rng([seed, patient, 0])
    abnormal, kind = fate.random() < anomaly_share, int(fate.integers(len(ANOMALIES)))
    anatomy = next(random_streams(seed, patient))
    return draw_patient(anatomy, ANOMALIES[kind] if abnormal else "normal")


def brain_labels(plane: BrainPlane) -> np.ndarray:
    """Pixels whose centre lies inside the drawn borders, uint8 (height, width), of CLASSES."""
    height, width = shape = plane.view.frame_shape
    labels = rasterise(plane.brain, shape).astype(np.uint8)
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    s, n = plane.axes.place_mm(x, y)
    for horn in plane.horns:
        labels[horn.depth_mm(s, n) >= 0] = CLASSES.index("lv")
    if plane.csp is not None:
        labels[plane.csp.depth_mm(s, n) >= 0] = CLASSES.index("csp")
    return labels
