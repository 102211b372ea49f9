"""The letterbox and its inverse, against formulas written out here."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.letterbox import Letterbox

sides = st.integers(1, 900)
letterboxes = st.builds(Letterbox, sides, sides, sides, sides)


@given(letterboxes)
def test_content_fits_keeps_the_aspect_and_is_centred(box):
    assert 1 <= box.content_height <= box.target_height
    assert 1 <= box.content_width <= box.target_width
    scale = min(box.target_height / box.source_height, box.target_width / box.source_width)
    assert abs(box.content_height - box.source_height * scale) <= 1
    assert abs(box.content_width - box.source_width * scale) <= 1
    assert box.content_height == box.target_height or box.content_width == box.target_width
    below = box.target_height - box.content_height - box.pad_top
    right = box.target_width - box.content_width - box.pad_left
    assert 0 <= below - box.pad_top <= 1
    assert 0 <= right - box.pad_left <= 1


@given(letterboxes, st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1))
def test_points_come_back_exactly(box, points):
    points = np.array(points)
    np.testing.assert_allclose(box.to_source(box.to_target(points)), points, atol=1e-9, rtol=1e-12)


@given(letterboxes)
def test_corners_of_the_image_are_corners_of_the_content(box):
    corners = [[-0.5, -0.5], [box.source_width - 0.5, box.source_height - 0.5]]
    expected = [
        [box.pad_left - 0.5, box.pad_top - 0.5],
        [box.pad_left + box.content_width - 0.5, box.pad_top + box.content_height - 0.5],
    ]
    np.testing.assert_allclose(box.to_target(corners), expected, atol=1e-9)


def test_an_ellipse_in_the_content_goes_where_its_points_go():
    box = Letterbox(661, 959, 256, 256)
    ellipse = Ellipse(120, 80, 50, 40, 30)
    moved = box.to_source(ellipse.points() + np.array([box.pad_left, box.pad_top]))
    np.testing.assert_allclose(box.content_to_source(ellipse).distances(moved), 0, atol=1e-9)


def test_a_gradient_keeps_its_coordinates_both_ways():
    """Pixel values that equal their own x (or y) show any shift; half a pixel here is 1.4."""
    box = Letterbox(540, 800, 192, 288)
    y, x = np.mgrid[:540, :800].astype(np.float32)
    rows, columns = np.mgrid[:192, :288]
    expected = box.to_source(np.column_stack([columns.ravel(), rows.ravel()]))
    for values, axis in ((x, 0), (y, 1)):
        grid = expected[:, axis].reshape(192, 288)[box.content]
        np.testing.assert_allclose(box.apply(values)[box.content], grid, atol=0.05)
        back = box.restore(box.apply(values))
        np.testing.assert_allclose(back[9:-9, 9:-9], values[9:-9, 9:-9], atol=0.05)


@given(st.integers(20, 200), st.integers(20, 200), st.integers(8, 90), st.integers(8, 90))
def test_restore_is_bilinear_at_the_inverse_coordinates(height, width, rows, columns):
    box = Letterbox(height, width, rows, columns)
    values = np.random.default_rng(0).random((rows, columns), np.float32)
    content = values[box.content].astype(np.float64)
    point = np.array([[width // 3, height // 2]])
    x, y = (box.to_target(point) - [box.pad_left, box.pad_top])[0]
    x, y = np.clip(x, 0, content.shape[1] - 1), np.clip(y, 0, content.shape[0] - 1)
    x0, y0 = int(x), int(y)
    x1, y1 = min(x0 + 1, content.shape[1] - 1), min(y0 + 1, content.shape[0] - 1)
    top = content[y0, x0] * (1 - x + x0) + content[y0, x1] * (x - x0)
    bottom = content[y1, x0] * (1 - x + x0) + content[y1, x1] * (x - x0)
    expected = top * (1 - y + y0) + bottom * (y - y0)
    assert box.restore(values)[height // 2, width // 3] == pytest.approx(expected, abs=2e-4)


def test_padding_is_zero_and_no_part_of_restore():
    box = Letterbox(100, 100, 60, 100)
    frame = box.apply(np.full((100, 100), 255, np.uint8))
    assert frame[:, :20].max() == 0 and frame[:, 80:].max() == 0 and frame[:, 20:80].min() == 255
    dirty = frame.astype(np.float32)
    dirty[:, :20] = -1000
    assert box.restore(dirty).min() == 255


@pytest.mark.parametrize("shape", [(540, 800), (60, 80)])
def test_coverage_is_the_share_of_area(shape):
    box = Letterbox(*shape, 192, 288)
    mask = np.zeros(shape, bool)
    mask[shape[0] // 5 : shape[0] // 2, shape[1] // 7 : shape[1] // 3] = True
    coverage = box.apply_coverage(mask)
    assert coverage.dtype == np.uint8 and coverage.max() == 255
    area = coverage.sum() / 255 / box.scale_x / box.scale_y
    assert area == pytest.approx(mask.sum(), rel=2e-3)


def test_coverage_of_a_known_half_pixel():
    mask = np.zeros((40, 40), np.uint8)
    mask[:, :11] = 1  # five target pixels and a half
    assert (
        Letterbox(40, 40, 20, 20).apply_coverage(mask)[7].tolist() == [255] * 5 + [128] + [0] * 14
    )


def test_nearest_keeps_labels():
    labels = np.random.default_rng(0).integers(0, 4, (90, 120)).astype(np.int32)
    box = Letterbox(90, 120, 30, 50)
    frame = box.apply_nearest(labels)
    assert frame.dtype == labels.dtype
    np.testing.assert_array_equal(frame[box.content], labels[1::3, 1::3])


@pytest.mark.parametrize("channels", [1, 3, 7])
def test_any_number_of_channels(channels):
    box = Letterbox(50, 70, 30, 30)
    image = np.random.default_rng(0).integers(0, 255, (50, 70, channels)).astype(np.uint8)
    frame = box.apply(image)
    back = box.restore(frame.astype(np.float32))
    assert frame.shape == (30, 30, channels) and back.shape == (50, 70, channels)
    for c in range(channels):
        np.testing.assert_array_equal(frame[..., c], box.apply(image[..., c]))
        np.testing.assert_array_equal(back[..., c], box.restore(frame[..., c].astype(np.float32)))


def test_shrinking_averages_instead_of_picking():
    """A bright pixel weighs the same wherever it lies among the 25 that become one."""
    for y, x in ((10, 10), (12, 12), (14, 11)):
        image = np.zeros((200, 200), np.uint8)
        image[y, x] = 250
        frame = Letterbox(200, 200, 40, 40).apply(image)
        assert frame[2, 2] == 10 and frame.sum() == 10


def test_wrong_sizes_are_errors():
    box = Letterbox(50, 70, 30, 30)
    for call in (box.apply, box.apply_coverage, box.apply_nearest):
        with pytest.raises(ValueError, match="50x70"):
            call(np.zeros((70, 50), np.uint8))
    with pytest.raises(ValueError, match="30x30"):
        box.restore(np.zeros((50, 70), np.float32))
    with pytest.raises(ValueError, match="at least 1"):
        Letterbox(0, 5, 5, 5)
