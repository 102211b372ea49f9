"""The phantom of the large-scale head biometry data: trans-thalamic planes with colour masks.

The label `brain` is the inside of the skull without the bone: its border is the inner table.
Source of layout and frequencies: Alzubaidi et al. 2023, Data in Brief 51:109708; Zenodo 8265464.
"""

import io
import itertools
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from fetal_tf.data.phantom.brain_anatomy import (
    ANOMALIES,
    BrainPlane,
    Patient,
    draw_patient,
    draw_plane,
)
from fetal_tf.data.phantom.brain_tissue import brain_tissue
from fetal_tf.data.phantom.head import draw_settings
from fetal_tf.data.phantom.registry import PHANTOMS
from fetal_tf.data.phantom.scanner import Beams, scan
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.geometry.ellipse import rasterise
from fetal_tf.edge.io.files import write_bytes_atomic, write_text_atomic
from fetal_tf.edge.io.images import write_png

CLASSES = ("background", "brain", "csp", "lv")
_COLOURS = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)
_PLANE = "Trans-thalamic"
_MASK_FOLDER = "SegmentationClass"
_BYTE_ORDER_MARK = "\ufeff"
# A zip stores when its members were written; the same seed gives the same bytes.
_ZIP_DATE = (2023, 1, 1, 0, 0, 0)


@PHANTOMS.register("fetal_head_biometry")
def write_brain_phantom(
    folder: Path,
    count: int,
    seed: int,
    *,
    masks: Literal["folder", "zip"] = "folder",
    anomaly_share: float = 0.1,
) -> Iterator[Path]:
    """Write `count` frames, their masks, pixel sizes and conditions; yields each frame's path.

    Args:
        folder: the empty folder to write into.
        count: number of frames.
        seed: of all that is random.
        masks: as PNGs in a folder, or in a nested zip.
        anomaly_share: share of patients with an anomaly, 0..1, each kind a third of them; the
            frames of the patients that stay normal do not change with it.

    Raises:
        ConfigError: `anomaly_share` outside 0..1.
    """
    if not 0 <= anomaly_share <= 1:
        raise ConfigError(f"phantom.anomaly_share: 0 to 1 is expected, found {anomaly_share}")
    plane_folder = folder / _PLANE
    pixel_sizes, conditions = [], []
    with _mask_writer(plane_folder, masks) as write_mask:
        for patient, frame in itertools.islice(_frames(seed, anomaly_share), count):
            image, labels, plane = brain_frame(seed, patient, frame, anomaly_share)
            frames = plane.patient.examination.frames
            name = f"Patient{patient + 1:05d}_Plane3_{frame + 1}_of_{frames}.png"
            path = plane_folder / _PLANE / name
            write_png(path, image)
            write_mask(name, _COLOURS[labels])
            pixel_sizes.append(f"{name},{plane.view.mm_per_pixel:.9f}\n")
            conditions.append(f"{name},{plane.patient.condition}\n")
            yield path
    table = "".join([_BYTE_ORDER_MARK, "Label,Pixel  in mm\n", *pixel_sizes])
    write_text_atomic(plane_folder / "Trans-Thalamic-Pixel-Size.csv", table)
    write_text_atomic(folder / "anomalies.csv", "".join(["Label,condition\n", *conditions]))


def brain_frame(
    seed: int, patient: int, frame: int, anomaly_share: float
) -> tuple[np.ndarray, np.ndarray, BrainPlane]:
    """One frame, uint8 (height, width), its labels (indices of CLASSES) and the drawn geometry."""
    anatomy = brain_patient(seed, patient, anomaly_share)
    moment = np.random.default_rng([seed, patient, 3 + frame])
    plane = draw_plane(anatomy, moment)
    beams = Beams(plane.view.probe, anatomy.frame_shape)
    look = np.random.default_rng([seed, patient, 2])
    settings = draw_settings(plane.view, look)
    image = scan(brain_tissue(plane, beams, look), beams, settings, moment)
    return image, brain_labels(plane), plane


def brain_patient(seed: int, patient: int, anomaly_share: float) -> Patient:
    """The patient with that number, from 0, normal or not."""
    fate = np.random.default_rng([seed, patient, 0])
    abnormal, kind = fate.random() < anomaly_share, int(fate.integers(len(ANOMALIES)))
    anatomy = np.random.default_rng([seed, patient, 1])
    return draw_patient(anatomy, ANOMALIES[kind] if abnormal else "normal")


def brain_labels(plane: BrainPlane) -> np.ndarray:
    """Pixels whose centre lies inside the drawn borders, uint8 (height, width), of CLASSES."""
    height, width = shape = plane.patient.frame_shape
    labels = rasterise(plane.brain, shape).astype(np.uint8)
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    s, n = plane.axes.place_mm(x, y)
    for horn in plane.horns:
        labels[horn.depth_mm(s, n) >= 0] = CLASSES.index("lv")
    if plane.csp is not None:
        labels[plane.csp.depth_mm(s, n) >= 0] = CLASSES.index("csp")
    return labels


def _frames(seed: int, anomaly_share: float) -> Iterator[tuple[int, int]]:
    """Endless (patient, frame), both from 0."""
    for patient in itertools.count():
        for frame in range(brain_patient(seed, patient, anomaly_share).examination.frames):
            yield patient, frame


@contextmanager
def _mask_writer(
    plane_folder: Path, masks: Literal["folder", "zip"]
) -> Iterator[Callable[[str, np.ndarray], None]]:
    """A function that files a mask, RGB uint8 (height, width, 3), under its name."""
    if masks == "folder":
        folder = plane_folder / f"{_PLANE}-PASCAL" / _MASK_FOLDER
        yield lambda name, mask: write_bytes_atomic(folder / name, _png(mask))
        return
    plane_folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(plane_folder / f"{_PLANE}-segmentation-mask.zip", "w") as archive:

        def write(name: str, mask: np.ndarray) -> None:
            archive.writestr(zipfile.ZipInfo(f"{_MASK_FOLDER}/{name}", _ZIP_DATE), _png(mask))

        yield write


def _png(mask: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
