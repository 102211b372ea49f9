"""The picture of landmarks: lines between the ends, marks where they belong, legible, honest."""

import numpy as np
import pytest

from fetal_tf.edge.draw.head_overlay import BPD, ELLIPSE, MASK, OFD
from fetal_tf.edge.draw.landmark_overlay import draw_landmarks
from fetal_tf.edge.draw.layers import TRUTH
from fetal_tf.edge.draw.legend import ALARM
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.landmarks import LANDMARKS, ellipse_landmarks
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.landmark_measurement import measure_landmarks, measure_reading
from fetal_tf.edge.measure.landmark_reading import Reading

BOX = Letterbox(540, 800, 192, 288)
HEAD = Ellipse(410.0, 262.0, 230.0, 178.0, 12.0)
ENDS = ellipse_landmarks(HEAD)
IMAGE = np.full((540, 800), 60, np.uint8)


def measured(points=ENDS, mm_per_pixel=0.15, mask=None):
    return measure_reading(Reading(points, mask=mask), BOX, mm_per_pixel)


def near(picture, color, tolerance=40):
    """(x, y) of pixels of about this colour."""
    ys, xs = np.nonzero(np.abs(picture.astype(int) - color).max(-1) < tolerance)
    return np.column_stack([xs, ys])


def test_axes_run_between_the_ends_and_the_ellipse_through_them():
    picture = draw_landmarks(IMAGE, measured())[:540]
    for color, ends in ((OFD, ENDS[:2]), (BPD, ENDS[2:])):
        found = near(picture, color)
        direction = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
        off = (found - ends[0]) @ [-direction[1], direction[0]]
        assert len(found) > 80 and np.median(np.abs(off)) < 2
        for end in ends:
            assert np.linalg.norm(found - end, axis=1).min() < 1.5
    found = near(picture, ELLIPSE)
    assert len(found) > 500 and np.abs(HEAD.distances(found)).max() < 2.5


def test_the_axes_are_those_of_the_ends_not_of_the_ellipse():
    points = ENDS + np.array([[0, 0], [0, 0], [45, 0], [-45, 0]])
    found = near(draw_landmarks(IMAGE, measured(points))[:540], BPD)
    for end in points[2:]:
        assert np.linalg.norm(found - end, axis=1).min() < 1.5


def test_the_image_stays_visible_and_unpainted():
    image = IMAGE.copy()
    picture = draw_landmarks(image, measured(), measured(ENDS + 9))
    assert picture.dtype == np.uint8 and picture.shape[1:] == (800, 3)
    assert (picture[:540] == 60).all(-1).mean() > 0.97
    np.testing.assert_array_equal(image, IMAGE)


def test_truth_is_marked_beside():
    truth = ENDS + 25.0
    picture = draw_landmarks(IMAGE, measured(), measured(truth))
    found = near(picture[:540], TRUTH)
    for end in truth:
        assert np.linalg.norm(found - end, axis=1).min() < 1.5
    assert not len(near(draw_landmarks(IMAGE, measured())[:540], TRUTH))
    assert len(near(picture[540:], TRUTH)) > 10  # named in the legend


def test_where_both_agree_both_are_seen():
    picture = draw_landmarks(IMAGE, measured(), measured())[:540]
    for color in (OFD, BPD, ELLIPSE, TRUTH):
        assert len(near(picture, color)) > 60


def test_the_mask_is_drawn_as_it_is():
    mask = BOX.apply_coverage(rasterise(HEAD.shrunk(30), (540, 800))).astype(np.float32) / 255
    found = near(draw_landmarks(IMAGE, measured(mask=mask))[:540], MASK)
    assert len(found) > 300
    assert np.abs(HEAD.shrunk(30).distances(found)).max() < 4


def test_what_was_refused_is_marked_red_and_says_why():
    refused = measured(ENDS[[2, 3, 0, 1]])
    picture = draw_landmarks(IMAGE, refused, measured())
    assert not any(len(near(picture[:540], color)) for color in (OFD, BPD, ELLIPSE))
    found = near(picture[:540], ALARM)
    for end in ENDS:
        assert np.linalg.norm(found - end, axis=1).min() < 15  # the truth's mark lies on its middle
    assert len(near(picture[540:], ALARM)) > 100
    assert not len(near(draw_landmarks(IMAGE, measured())[540:], ALARM))


def test_points_that_are_no_number_or_far_away_are_no_obstacle():
    maps = np.zeros((192, 288, 4), np.float32)
    maps[5, 5] = np.nan
    nothing = measure_landmarks(maps, LANDMARKS, BOX, 0.1)
    assert not len(near(draw_landmarks(IMAGE, nothing)[:540], ALARM))
    far = draw_landmarks(IMAGE, measured(ENDS + 1e7))
    assert far.shape[1] == 800 and not len(near(far[:540], OFD))


@pytest.mark.parametrize("shape", [(16, 16), (60, 90), (900, 2400)])
def test_any_size_of_image_gets_a_legible_strip(shape):
    height, width = shape
    ends = ellipse_landmarks(Ellipse(width / 2, height / 2, height / 3, height / 4, 5))
    box = Letterbox(height, width, 192, 288)
    picture = draw_landmarks(np.full(shape, 60, np.uint8), measure_reading(Reading(ends), box, 0.1))
    assert picture.shape[1] >= 560 and picture.shape[1] % width == 0
    assert len(picture) >= height * picture.shape[1] // width + 20
