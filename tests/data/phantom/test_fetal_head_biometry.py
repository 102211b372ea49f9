"""The phantom brain: the published layout, exact masks, normal and abnormal sizes."""

import csv
import re
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fetal_tf.data.phantom.brain import (
    ANOMALIES,
    FRAME_SHAPES,
    PIXEL_SIZE_LIMITS_MM,
    Box,
    BrainPlane,
    Horn,
    draw_patient,
    draw_plane,
)
from fetal_tf.data.phantom.fetal_head_biometry import brain_frame, brain_labels, brain_patient
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers import DATASETS
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.io.images import read_gray

COUNT, SEED, SHARE = 14, 5, 0.5
BRAIN, CSP, LV = 1, 2, 3


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "brain"
    assert write_phantom("fetal_head_biometry", root, COUNT, SEED, anomaly_share=SHARE)
    return root


def _first_frames(count: int) -> list[tuple[int, int]]:
    """(patient, frame) in the order of writing, without the help of the writer."""
    found = []
    for patient in range(count):
        frames = brain_patient(SEED, patient, SHARE).examination.frames
        found += [(patient, frame) for frame in range(frames)]
    return found[:count]


def _planes(condition: str, count: int) -> list[BrainPlane]:
    streams = (np.random.default_rng([7, index]) for index in range(count))
    return [draw_plane(draw_patient(rng, condition), rng) for rng in streams]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_layout_is_the_published_one(phantom):
    images = sorted((phantom / "Trans-thalamic" / "Trans-thalamic").iterdir())
    masks = phantom / "Trans-thalamic" / "Trans-thalamic-PASCAL" / "SegmentationClass"
    assert len(images) == COUNT
    assert [path.name for path in images] == sorted(path.name for path in masks.iterdir())
    assert all(re.fullmatch(r"Patient\d{5}_Plane3_[1-5]_of_[1-5]\.png", p.name) for p in images)
    table = phantom / "Trans-thalamic" / "Trans-Thalamic-Pixel-Size.csv"
    assert table.read_bytes().startswith(b"\xef\xbb\xbfLabel,Pixel  in mm\n")
    assert {row["Label"] for row in _rows(table)} == {path.name for path in images}
    conditions = _rows(phantom / "anomalies.csv")
    assert {row["Label"] for row in conditions} == {path.name for path in images}
    assert {row["condition"] for row in conditions} <= {"normal", *ANOMALIES}


def test_masks_hold_the_four_colours_and_nothing_between_them(phantom):
    palette = {0x000000, 0xFF0000, 0x00FF00, 0x0000FF}
    found = set()
    for path in (phantom / "Trans-thalamic").rglob("SegmentationClass/*.png"):
        mask = np.asarray(Image.open(path))
        assert mask.shape[2] == 3
        packed = mask.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        found |= set(np.unique(packed).tolist())
    assert found == palette


def test_a_nested_zip_holds_the_same_masks(phantom, tmp_path):
    root = tmp_path / "zipped"
    options = {"anomaly_share": SHARE, "masks": "zip"}
    write_phantom("fetal_head_biometry", root, 4, SEED, **options)
    assert not list(root.rglob("SegmentationClass"))
    (path,) = root.glob("Trans-thalamic/*segmentation-mask.zip")
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 4
        for member in archive.namelist():
            name = member.removeprefix("SegmentationClass/")
            folder = phantom / "Trans-thalamic" / "Trans-thalamic-PASCAL" / "SegmentationClass"
            assert archive.read(member) == (folder / name).read_bytes()
    write_phantom("fetal_head_biometry", tmp_path / "again", 4, SEED, **options)
    assert (tmp_path / "again" / path.relative_to(root)).read_bytes() == path.read_bytes()


def test_the_reader_finds_what_was_drawn(phantom):
    samples = {
        sample.id: sample
        for sample in DATASETS.build("data", {"name": "fetal_head_biometry"}, phantom)
    }
    drawn = _first_frames(COUNT)
    assert len(samples) == len(drawn) == COUNT
    for patient, frame in drawn:
        image, labels, plane = brain_frame(SEED, patient, frame, SHARE)
        frames = plane.patient.examination.frames
        sample = samples[f"Patient{patient + 1:05d}_Plane3_{frame + 1}_of_{frames}"]
        np.testing.assert_array_equal(read_gray(sample.image_path), image)
        np.testing.assert_array_equal(sample.load_mask(), labels)
        assert sample.mm_per_pixel == pytest.approx(plane.view.mm_per_pixel, abs=1e-9)
        assert sample.condition == plane.patient.condition
        assert ("csp" in sample.present) == (CSP in labels)
        assert ("lv" in sample.present) == (LV in labels)


def test_normal_planes_show_structures_as_often_as_the_published_ones():
    planes = _planes("normal", 2500)
    assert np.mean([plane.csp is not None for plane in planes]) == pytest.approx(0.37, abs=0.03)
    assert np.mean([bool(plane.horns) for plane in planes]) == pytest.approx(0.32, abs=0.03)
    both = Counter(len(plane.horns) for plane in planes)
    assert 0.1 < both[2] / (both[1] + both[2]) < 0.3


def test_patients_have_one_to_five_frames_and_anomalies_of_three_kinds():
    patients = [brain_patient(3, number, 0.3) for number in range(2000)]
    frames = [patient.examination.frames for patient in patients]
    assert set(frames) == {1, 2, 3, 4, 5} and np.mean(frames) == pytest.approx(2, abs=0.1)
    kinds = Counter(patient.condition for patient in patients)
    assert kinds["normal"] / len(patients) == pytest.approx(0.7, abs=0.04)
    for anomaly in ANOMALIES:
        assert kinds[anomaly] / len(patients) == pytest.approx(0.1, abs=0.025)
    assert {brain_patient(3, number, 0.0).condition for number in range(50)} == {"normal"}
    assert {brain_patient(3, number, 1.0).condition for number in range(50)} == set(ANOMALIES)


def test_normal_patients_stay_as_they_are_whatever_the_share_of_anomalies():
    some, many = ([brain_patient(3, n, share) for n in range(60)] for share in (0.1, 0.6))
    pairs = list(zip(some, many, strict=True))
    assert all(few == more for few, more in pairs if more.condition == "normal")
    assert all(few.examination == more.examination for few, more in pairs)
    assert any(few.condition == "normal" != more.condition for few, more in pairs)


def test_heads_are_those_of_18_to_32_weeks_in_several_frame_sizes():
    planes = [plane for kind in ("normal", "ventriculomegaly") for plane in _planes(kind, 400)]
    hc_mm = np.array([p.view.ellipse.perimeter * p.view.mm_per_pixel for p in planes])
    mm_per_pixel = np.array([p.view.mm_per_pixel for p in planes])
    # INTERGROWTH-21st: 152 mm at 18 weeks, 297 at 32; 2.5 standard deviations around.
    assert 130 < hc_mm.min() < 175 and 260 < hc_mm.max() < 325
    assert mm_per_pixel.min() >= PIXEL_SIZE_LIMITS_MM[0]
    assert mm_per_pixel.max() <= PIXEL_SIZE_LIMITS_MM[1]
    assert {plane.view.frame_shape for plane in planes} == set(FRAME_SHAPES)
    for plane in planes:
        x, y = plane.view.ellipse.points().T
        height, width = plane.view.frame_shape
        assert x.min() > 3 and y.min() > 3 and x.max() < width - 4 and y.max() < height - 4


@pytest.mark.parametrize("condition", ["normal", *ANOMALIES])
def test_structures_lie_inside_the_brain_and_apart(condition):
    for plane in _planes(condition, 150):
        axes, scale = plane.axes, plane.view.mm_per_pixel
        for disc_s, disc_n, radius in [disc for horn in plane.horns for disc in horn.discs]:
            across_x, across_y = -axes.along_y * axes.far, axes.along_x * axes.far
            x = axes.origin_x + (disc_s * axes.along_x + disc_n * across_x) / scale
            y = axes.origin_y + (disc_s * axes.along_y + disc_n * across_y) / scale
            assert radius > 0.5
            assert plane.brain.distances(np.array([[x, y]]))[0] * scale < -radius
            assert abs(disc_n) > radius, "a ventricle crosses the midline"
        if plane.csp is not None:
            for horn in plane.horns:
                front = (horn.discs[:, 0] + horn.discs[:, 2]).max()
                assert front < plane.csp.s - plane.csp.half_length


def test_the_brain_ends_at_the_inner_table():
    for plane in _planes("normal", 8):
        labels = brain_labels(plane)
        inside = plane.view.ellipse.shrunk(plane.patient.skull_mm / plane.view.mm_per_pixel)
        rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
        expected = inside.contains(np.column_stack([columns.ravel(), rows.ravel()]))
        np.testing.assert_array_equal((labels > 0).ravel(), expected)
        assert 1.0 < plane.patient.skull_mm < 4.0


def test_normal_sizes_are_those_of_normal_fetuses():
    csp, lv, width_mm = [], [], []
    for plane in _planes("normal", 180):
        labels = brain_labels(plane)
        brain = (labels > 0).sum()
        if plane.csp is not None:
            csp.append((labels == CSP).sum() / brain)
        if plane.horns:
            width_mm.append(_width_px(labels == LV) * plane.view.mm_per_pixel)
        if len(plane.horns) == 1:
            lv.append((labels == LV).sum() / brain)
    assert min(csp) > 0.008 and max(csp) < 0.018 and 0.01 < np.mean(csp) < 0.015
    assert 0.02 < np.median(lv) < 0.04
    assert min(width_mm) > 4.7 and max(width_mm) < 9.5
    assert np.mean(width_mm) == pytest.approx(7, abs=0.5)


def test_rare_classes_are_as_rare_as_in_the_published_masks():
    counts = sum(
        np.bincount(brain_labels(plane).ravel(), minlength=4) for plane in _planes("normal", 80)
    )
    shares = counts / counts.sum()
    assert shares[CSP] < 0.005 and shares[LV] < 0.01
    assert 0.2 < shares[BRAIN] < 0.45


def _width_px(mask: np.ndarray) -> float:
    """Diameter of the largest circle inside."""
    padded = np.pad(mask.astype(np.uint8), 1)
    return 2 * float(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max()) - 1


def test_an_absent_csp_is_shown_in_no_plane_and_a_large_one_in_every():
    assert all(plane.csp is None for plane in _planes("absent_csp", 100))
    large = _planes("large_csp", 60)
    shares = [
        (brain_labels(plane) == CSP).sum() / (brain_labels(plane) > 0).sum() for plane in large
    ]
    assert all(plane.csp is not None for plane in large)
    # It is two to three times its normal size, and so larger than every normal one.
    assert min(shares) > 0.0175 and max(shares) < 0.052


def test_ventriculomegaly_is_wide_in_every_plane():
    widths_mm = []
    for plane in _planes("ventriculomegaly", 80):
        assert plane.horns
        widths_mm.append(_width_px(brain_labels(plane) == LV) * plane.view.mm_per_pixel)
    assert min(widths_mm) > 10.1 and max(widths_mm) < 18.5
    assert sum(width > 15 for width in widths_mm) > 3


def test_masks_are_the_drawn_shapes():
    box = Box(s=10.0, half_length=6.0, half_width=2.0)
    step = 0.02
    s = np.arange(0, 20, step, dtype=np.float32)[None, :]
    n = np.arange(-5, 5, step, dtype=np.float32)[:, None]
    depth = box.depth_mm(s, n)
    area = 4 * 6 * 2 - (4 - np.pi) * box.corner**2
    assert (depth >= 0).sum() * step**2 == pytest.approx(area, rel=0.005)
    assert depth.max() == pytest.approx(2.0, abs=0.05)
    row, column = np.abs(n[:, 0]).argmin(), np.abs(s[0] - 18).argmin()
    assert depth[row, column] == pytest.approx(-2.0, abs=0.05)
    horn = Horn(np.array([[0.0, 6.0, 2.0], [-3.0, 7.0, 3.0]]))
    s, n = np.meshgrid(np.arange(-9.013, 6, 0.05), np.arange(0.017, 14, 0.05))
    depth = horn.depth_mm(s.astype(np.float32), n.astype(np.float32))
    inside = (np.hypot(s, n - 6) <= 2) | (np.hypot(s + 3, n - 7) <= 3)
    np.testing.assert_array_equal(depth >= 0, inside)
    assert depth.max() == pytest.approx(3.0, abs=0.06)


def _along_midline(image: np.ndarray, plane: BrainPlane, n_mm: float) -> np.ndarray:
    """Gray values along a line in the frontal third, `n_mm` beside the midline."""
    axes = plane.axes
    s = np.linspace(0.36, 0.5, 30) * plane.half_length_mm / plane.view.mm_per_pixel
    n = n_mm / plane.view.mm_per_pixel * axes.far
    x = np.float32(axes.origin_x + s * axes.along_x - n * axes.along_y)
    y = np.float32(axes.origin_y + s * axes.along_y + n * axes.along_x)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR).astype(float).ravel()


def _drawn(condition: str | None, wanted: int) -> list[tuple[np.ndarray, np.ndarray, BrainPlane]]:
    """First frames whose midline lies across the beam, where a sonographer would judge it."""
    found = []
    for patient in range(200):
        share = 0.0 if condition == "normal" else 1.0
        if brain_patient(2, patient, share).condition != condition:
            continue
        if abs(90 - brain_patient(2, patient, share).examination.angle_deg % 180) < 60:
            continue
        found.append(brain_frame(2, patient, 0, share))
        if len(found) == wanted:
            return found
    raise AssertionError(f"too few {condition}")


def test_the_frontal_midline_tells_an_absent_csp_from_one_that_is_not_in_the_plane():
    def excess(condition: str) -> float:
        found = []
        for image, _, plane in _drawn(condition, 16):
            if plane.csp is None:
                beside = (_along_midline(image, plane, 4) + _along_midline(image, plane, -4)) / 2
                found.append(np.mean(_along_midline(image, plane, 0) - beside))
        assert len(found) > 6
        return float(np.median(found))

    assert excess("normal") > 15
    assert abs(excess("absent_csp")) < 6


def test_a_csp_is_dark_between_two_bright_walls():
    dark, bright = [], []
    for image, labels, plane in _drawn("large_csp", 10):
        brain = image[labels == BRAIN].mean()
        core = cv2.erode((labels == CSP).astype(np.uint8), np.ones((5, 5))).astype(bool)
        dark.append(image[core].mean() - brain)
        wall = plane.csp.half_width
        bright.append(
            max(_along_midline(image, plane, side * wall).mean() - brain for side in (1, -1))
        )
    assert np.median(dark) < 0 and np.median(bright) > 20


def test_a_ventricle_is_darker_than_the_brain_around_it():
    fluid = []
    for image, labels, _ in _drawn("ventriculomegaly", 10):
        lv = (labels == LV).astype(np.uint8)
        ring = (cv2.dilate(lv, np.ones((25, 25))) > 0) & (labels == BRAIN)
        fluid.append(np.median(image[lv > 0]) - image[ring].mean())
    assert np.median(fluid) < -8


def test_no_threshold_finds_the_structures():
    best = []
    for image, labels, _ in _drawn("normal", 16):
        truth = labels >= CSP
        if not truth.any():
            continue
        smooth = cv2.GaussianBlur(image, (0, 0), 2)
        dark = [(smooth < level) & (labels > 0) for level in range(4, 60, 4)]
        best.append(max((d & truth).sum() / (d | truth).sum() for d in dark))
    assert len(best) > 5
    assert np.median(best) < 0.4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anomaly_share": 1.5}, r"phantom\.anomaly_share: 0 to 1 is expected, found 1\.5"),
        ({"anomaly_share": -0.1}, r"phantom\.anomaly_share: 0 to 1"),
        ({"masks": "tar"}, r"phantom\.masks: .*'folder' or 'zip'.*'tar'"),
    ],
)
def test_a_wrong_request_is_named_and_leaves_nothing(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        write_phantom("fetal_head_biometry", tmp_path / "x", 2, 1, **options)
    assert list(tmp_path.iterdir()) == []
