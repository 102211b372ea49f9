"""The second centre's phantom: exact ends, several frame sizes, text and a true scale."""

from pathlib import Path

import numpy as np
import pytest

from fetal_tf.data.phantom.planes import FRAME_SHAPES, planes_frame
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers.planes import read_planes
from fetal_tf.edge.geometry.landmarks import canonical, ellipse_landmarks
from fetal_tf.edge.io.images import image_size, read_gray

COUNT, SEED = 12, 5


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "planes"
    assert write_phantom("planes", root, COUNT, SEED)
    return root


def _place(id: str) -> tuple[int, int]:
    """Subject and frame from the name of an image, both from 0."""
    return int(id[7:12]) - 1, int(id.split("_")[2]) - 1


def test_the_layout_is_the_published_one(phantom):
    assert {path.name for path in phantom.iterdir()} == {"images", "Head.csv", "phantom.json"}
    header, *lines = (phantom / "Head.csv").read_text().splitlines()
    assert header == (
        "image_name,ofd_1_x,ofd_1_y,ofd_2_x,ofd_2_y,bpd_1_x,bpd_1_y,bpd_2_x,bpd_2_y,"
        "SubjectID,px_to_mm_rate"
    )
    assert len(lines) == COUNT
    assert {line.split(",")[0] for line in lines} == {
        path.name for path in phantom.glob("images/*.png")
    }


def test_the_reader_finds_the_very_ends_that_were_drawn(phantom):
    samples = read_planes(phantom)
    assert len(samples) == COUNT
    for sample in samples[:4]:
        subject, frame = _place(sample.id)
        image, view = planes_frame(SEED, subject, frame)
        np.testing.assert_array_equal(read_gray(sample.image_path), image)
        points = sample.load_landmarks()
        np.testing.assert_allclose(points, ellipse_landmarks(view.ellipse), atol=0.006)
        assert sample.mm_per_pixel == view.mm_per_pixel
        assert sample.group == str(subject + 1)
        hc_mm = view.ellipse.perimeter * view.mm_per_pixel
        assert sample.reference["hc_mm"] == pytest.approx(hc_mm, abs=0.01)


def test_ends_lie_in_the_table_in_random_order(phantom):
    lines = (phantom / "Head.csv").read_text().splitlines()[1:]
    rows = np.array([[float(n) for n in line.split(",")[1:9]] for line in lines]).reshape(-1, 4, 2)
    ofd = [np.array_equal(row[:2], canonical(row)[:2]) for row in rows]
    bpd = [np.array_equal(row[2:], canonical(row)[2:]) for row in rows]
    assert 0 < np.mean(ofd) < 1 and 0 < np.mean(bpd) < 1
    assert ofd != bpd


def test_frames_have_several_sizes_one_for_each_subject(phantom):
    shapes: dict[str, set] = {}
    for sample in read_planes(phantom):
        shapes.setdefault(sample.group, set()).add(image_size(sample.image_path))
    assert all(len(found) == 1 for found in shapes.values())
    assert len(set.union(*shapes.values())) >= 3
    assert set.union(*shapes.values()) <= set(FRAME_SHAPES)


def test_a_tick_is_burnt_in_every_centimetre(phantom):
    for sample in read_planes(phantom)[:4]:
        image = read_gray(sample.image_path)
        scale = image.shape[1] / 959
        column = image[:, round(26 * scale) : round(32 * scale)]
        rows = np.flatnonzero((column == 220).all(axis=1))
        assert len(rows) >= 3
        assert np.diff(rows) == pytest.approx(10 / sample.mm_per_pixel, abs=1)


def test_text_stands_at_the_top_right(phantom):
    for sample in read_planes(phantom)[:4]:
        image = read_gray(sample.image_path)
        scale = image.shape[1] / 959
        corner = image[: round(110 * scale), -round(110 * scale) :]
        assert 0.01 < (corner >= 150).mean() < 0.3
