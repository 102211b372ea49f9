"""HC18's phantom, the scanner, and how every phantom is written: to the byte, all or nothing."""

import csv
import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes

from fetal_tf.data.phantom import PHANTOMS
from fetal_tf.data.phantom.hc18 import hc18_frame
from fetal_tf.data.phantom.head import FRAME_SHAPE, draw_examination, draw_view
from fetal_tf.data.phantom.scanner import Beams, Probe, Settings, Tissue, scan
from fetal_tf.data.phantom.writing import MARKER_NAME, is_phantom, write_phantom
from fetal_tf.data.readers.hc18 import read_hc18
from fetal_tf.edge.errors import ConfigError, DataError, FetalTFError
from fetal_tf.edge.geometry.contours import sub_pixel_contour
from fetal_tf.edge.geometry.ellipse import rasterise
from fetal_tf.edge.geometry.ellipse_fit import fit_ellipse
from fetal_tf.edge.io.images import read_gray, read_mask

COUNT = 12


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "hc18"
    assert write_phantom("hc18", root, COUNT, seed=5)
    return root


def _digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _views(count: int = 400) -> list:
    streams = (np.random.default_rng([9, index]) for index in range(count))
    return [draw_view(draw_examination(rng), rng) for rng in streams]


def test_the_reader_reads_it_and_finds_the_truth_that_was_drawn(phantom):
    samples = read_hc18(phantom)
    assert len(samples) == COUNT
    for sample in samples:
        assert read_gray(sample.image_path).shape == FRAME_SHAPE
        measured = fit_ellipse(sub_pixel_contour(sample.load_mask()))
        hc_mm = measured.perimeter * sample.mm_per_pixel
        assert hc_mm == pytest.approx(sample.reference["hc_mm"], abs=0.15)


def test_filled_annotations_hold_the_same_truth(phantom, tmp_path):
    write_phantom("hc18", tmp_path / "filled", 3, seed=5, annotation="filled")
    outlines = {sample.id: sample for sample in read_hc18(phantom)}
    for sample in read_hc18(tmp_path / "filled"):
        assert sample.reference == outlines[sample.id].reference
        line, area = outlines[sample.id].load_mask.args[0], sample.load_mask.args[0]
        assert read_mask(line).mean() < 0.2 * read_mask(area).mean()
        differing = (sample.load_mask() != outlines[sample.id].load_mask()).sum()
        assert differing < 0.01 * sample.load_mask().sum()


def test_the_outline_is_three_pixels_around_the_caliper_ellipse(phantom):
    _, view = hc18_frame(5, 0, 0)
    drawn = read_mask(phantom / "training_set" / "000_HC_Annotation.png")
    assert set(np.unique(drawn)) == {0, 255}
    rows, columns = np.nonzero(drawn)
    distances = view.ellipse.distances(np.column_stack([columns, rows]))
    assert np.abs(distances).max() <= 1.5
    assert abs(distances.mean()) < 0.05
    assert len(rows) / view.ellipse.perimeter == pytest.approx(2.8, abs=0.1)


def test_the_csv_holds_the_perimeter_of_the_very_ellipse(phantom):
    with (phantom / "training_set_pixel_size_and_HC.csv").open(newline="") as file:
        rows = {row["filename"]: row for row in csv.DictReader(file)}
    _, view = hc18_frame(5, 0, 0)
    a, b = view.ellipse.semi_major, view.ellipse.semi_minor
    turn = np.linspace(0, 2 * np.pi, 200_001)
    arc_px = np.hypot(np.diff(a * np.cos(turn)), np.diff(b * np.sin(turn))).sum()
    row = rows["000_HC.png"]
    expected = arc_px * float(row["pixel size(mm)"])
    assert float(row["head circumference (mm)"]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", PHANTOMS.names())
def test_the_same_seed_gives_the_same_bytes_whatever_the_count(name, tmp_path):
    for folder, count, seed in (("whole", 4, 5), ("short", 2, 5), ("other", 2, 6)):
        write_phantom(name, tmp_path / folder, count, seed)
    whole, short, other = (_digests(tmp_path / folder) for folder in ("whole", "short", "other"))
    tables = {path for path in short if path.endswith(".csv")}
    frames = set(short) - tables - {MARKER_NAME}
    assert len(frames) >= 2
    assert all(short[path] == whole[path] for path in frames)
    for table in tables:
        rows = (tmp_path / "short" / table).read_text().splitlines()
        assert len(rows) == 3
        assert set(rows) <= set((tmp_path / "whole" / table).read_text().splitlines())
    assert not set(other.values()) & {short[path] for path in frames}


def test_frames_of_an_examination_show_one_fetus_in_several_planes():
    _, first = hc18_frame(3, 0, 0)
    _, second = hc18_frame(3, 0, 1)
    _, stranger = hc18_frame(3, 1, 0)
    hc = [view.ellipse.perimeter * view.mm_per_pixel for view in (first, second, stranger)]
    assert hc[0] != hc[1] and hc[0] == pytest.approx(hc[1], rel=0.08)
    assert hc[0] != pytest.approx(hc[2], rel=0.02)
    frames = [draw_examination(np.random.default_rng([3, i])).frames for i in range(300)]
    assert set(frames) >= {1, 2, 3} and 1.1 < np.mean(frames) < 1.4


def test_heads_are_as_large_and_as_round_as_those_of_hc18_and_fit_the_frame():
    views = _views()
    hc_mm = np.array([view.ellipse.perimeter * view.mm_per_pixel for view in views])
    mm_per_pixel = np.array([view.mm_per_pixel for view in views])
    index = np.array([view.ellipse.semi_minor / view.ellipse.semi_major for view in views])
    assert hc_mm.min() >= 43.9 and hc_mm.max() <= 346.1
    assert (hc_mm < 110).mean() > 0.1 and (hc_mm > 230).mean() > 0.1
    assert mm_per_pixel.min() >= 0.05 and mm_per_pixel.max() <= 0.39
    assert mm_per_pixel.max() > 0.25 and mm_per_pixel.min() < 0.08
    assert index.min() >= 0.67 and index.max() <= 0.93 and np.std(index) > 0.03
    for view in views:
        x, y = view.ellipse.points().T
        assert x.min() > 3 and y.min() > 3
        assert x.max() < FRAME_SHAPE[1] - 4 and y.max() < FRAME_SHAPE[0] - 4


def test_no_threshold_finds_the_head(phantom):
    def best_iou(image: np.ndarray, head: np.ndarray) -> float:
        found = []
        for level in np.percentile(image[image > 0], range(40, 99, 8)):
            filled = binary_fill_holes(image > level).astype(np.uint8)
            _, labels, stats, _ = cv2.connectedComponentsWithStats(filled)
            region = labels == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])
            found.append((region & head).sum() / (region | head).sum())
        return max(found)

    scores = [
        best_iou(cv2.GaussianBlur(read_gray(s.image_path), (0, 0), 3), s.load_mask() > 0)
        for s in read_hc18(phantom)
    ]
    assert np.median(scores) < 0.9


def test_the_skull_is_bright_where_it_faces_the_beam_and_lost_where_it_does_not(phantom):
    bright = {"facing": [], "along": []}
    for examination in range(COUNT):
        image, view = hc18_frame(11, examination, 0)
        if abs(90 - view.ellipse.angle_deg) < 60:
            continue
        ring = rasterise(view.ellipse, FRAME_SHAPE) & ~rasterise(
            view.ellipse.shrunk(1.5 / view.mm_per_pixel), FRAME_SHAPE
        )
        rows, columns = np.nonzero(ring)
        flat = np.abs(columns - view.ellipse.center_x) < 0.3 * view.ellipse.semi_major
        steep = np.abs(columns - view.ellipse.center_x) > 0.97 * view.ellipse.semi_major
        bright["facing"].append(image[rows[flat], columns[flat]].mean())
        bright["along"].append(image[rows[steep], columns[steep]].mean())
    assert len(bright["facing"]) > 5
    assert np.mean(bright["facing"]) > 2 * np.mean(bright["along"])


PROBE = Probe(apex_x=200.0, apex_y=-100.0, near_px=120.0, far_px=400.0, half_angle_rad=0.5)
PLAIN = Settings(
    pulse_px=(2.0, 4.0),
    gain_db=0.0,
    slope_db=0.0,
    dynamic_range_db=60.0,
    gamma=1.0,
    noise_db=-90.0,
    looks=1,
)


def _scan_uniform(shape=(320, 400), level_db: float = -30.0, weakening=0.0) -> tuple:
    beams = Beams(PROBE, shape)
    zero = np.zeros(beams.shape, np.float32)
    tissue = Tissue(zero + np.float32(level_db), zero, zero + np.float32(weakening))
    return scan(tissue, beams, PLAIN, np.random.default_rng(0)), beams


def test_only_the_sector_is_lit():
    image, _ = _scan_uniform()
    y, x = np.mgrid[:320, :400]
    radius, angle = np.hypot(x - 200, y + 100), np.arctan2(x - 200, y + 100)
    sector = (radius >= 120) & (radius <= 400) & (np.abs(angle) <= 0.5)
    assert not image[~sector].any()
    assert (image[sector] > 0).mean() > 0.95


def test_speckle_is_rayleigh_before_the_compression():
    image, _ = _scan_uniform()
    lit = image[100:280, 120:280].astype(float)
    envelope = 10 ** ((lit / 255 - 1) * 60 / 20)
    # The mean of a Rayleigh envelope is 1.91 times its spread; its mean power is the tissue's.
    assert envelope.mean() / envelope.std() == pytest.approx(1.91, abs=0.15)
    assert 10 * np.log10((envelope**2).mean()) == pytest.approx(-30, abs=0.7)


def test_speckle_is_wider_across_the_beam_than_along_it():
    lit = _scan_uniform()[0][100:280, 120:280].astype(float)
    lit -= lit.mean()
    along = (lit[3:] * lit[:-3]).mean() / (lit**2).mean()
    across = (lit[:, 3:] * lit[:, :-3]).mean() / (lit**2).mean()
    assert across > along + 0.2


def test_what_weakens_the_beam_darkens_what_lies_behind():
    clear, beams = _scan_uniform()
    zero = np.zeros(beams.shape, np.float32)
    cost = zero.copy()
    middle = beams.shape[1] // 2
    cost[60:70, middle - 30 : middle + 30] = 20 / (10 * beams.step_px[0])
    image = scan(Tissue(zero - np.float32(30), zero, cost), beams, PLAIN, np.random.default_rng(0))
    difference_db = (clear.astype(float) - image) / 255 * 60
    assert np.median(difference_db[200:260, 195:205]) == pytest.approx(20, abs=1)
    assert np.abs(difference_db[20:60, 195:205]).max() < 1
    assert np.abs(difference_db[200:260, 90:110]).max() < 1


def test_the_same_phantom_is_kept_and_another_is_never_overwritten(tmp_path):
    out = tmp_path / "hc18"
    out.mkdir()
    assert write_phantom("hc18", out, 2, seed=1)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert not write_phantom("hc18", out, 2, seed=1)
    for other in ({"count": 3}, {"seed": 2}, {"annotation": "filled"}):
        with pytest.raises(DataError, match=r"holds another phantom .* nothing was written"):
            write_phantom("hc18", out, **{"count": 2, "seed": 1, **other})
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["hc18"]


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds something that is no phantom"):
        write_phantom("hc18", tmp_path, 2, seed=1)
    with pytest.raises(DataError, match="holds something that is no phantom"):
        write_phantom("hc18", tmp_path / "notes.txt", 2, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_nothing_is_left_where_writing_fails(tmp_path, monkeypatch):
    written = []

    def full_disk(path, image):
        written.append(path)
        if len(written) > 3:
            raise FetalTFError(f"{path}: no space left on device")

    monkeypatch.setattr("fetal_tf.data.phantom.writing.write_bytes_atomic", full_disk)
    with pytest.raises(FetalTFError, match="no space left"):
        write_phantom("hc18", tmp_path / "hc18", 5, seed=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "hc19"}, r"unknown phantom 'hc19' \(did you mean hc18\?\)"),
        ({"count": 0}, "count is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"annotation": "dotted"}, r"phantom\.annotation: .*'outline' or 'filled'.*'dotted'"),
        ({"colour": "red"}, r"phantom\.colour: unknown parameter"),
    ],
)
def test_a_wrong_request_is_named(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        write_phantom(**{"name": "hc18", "out": tmp_path / "x", "count": 2, "seed": 1, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_it_is_found_by_name():
    assert "hc18" in PHANTOMS.names()


def test_its_files_are_known_as_a_phantom_s_and_others_are_not(phantom, tmp_path):
    assert is_phantom(phantom)
    assert is_phantom(phantom / "training_set" / "000_HC.png")
    assert not is_phantom(tmp_path / "000_HC.png")
