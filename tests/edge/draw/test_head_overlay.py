"""The picture shows the lines where they belong, hides nothing and can be read."""

import numpy as np
import pytest

from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.draw.head_overlay import BPD, ELLIPSE, MASK, OFD, draw_head
from fetal_tf.edge.draw.layers import TRUTH
from fetal_tf.edge.draw.legend import ALARM, BACKGROUND, Entry, legend_strip
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.head import measure_head

HEAD = Ellipse(410.0, 262.0, 230.0, 178.0, 12.0)
IMAGE = np.full((540, 800), 60, np.uint8)


def measured(ellipse=HEAD, shape=(540, 800), mm_per_pixel=0.15, spoil=None):
    box = Letterbox(*shape, 192, 288)
    probability = box.apply_coverage(rasterise(ellipse, shape)).astype(np.float32) / 255
    if spoil:
        spoil(probability)
    return measure_head(probability, box, mm_per_pixel)


def near(picture, color, tolerance=60):
    """(x, y) of pixels of about this colour above the strip."""
    distance = np.abs(picture.astype(int) - color).max(-1)
    ys, xs = np.nonzero(distance < tolerance)
    return np.column_stack([xs, ys])


def test_lines_lie_on_the_ellipse_and_its_axes():
    picture = draw_head(IMAGE, measured())[:540]
    found = near(picture, ELLIPSE)
    assert len(found) > 800
    assert np.abs(HEAD.distances(found)).max() < 2.5
    for color, ends in ((OFD, HEAD.major_endpoints), (BPD, HEAD.minor_endpoints)):
        found = near(picture, color, 40)
        direction = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
        off = (found - ends[0]) @ [-direction[1], direction[0]]
        assert len(found) > 40 and np.abs(off).max() < 9  # the arms of the crosses
        assert np.median(np.abs(off)) < 1.5
        for end in ends:
            assert np.linalg.norm(found - end, axis=1).min() < 2


def test_the_image_stays_visible():
    picture = draw_head(IMAGE, measured())
    assert picture.dtype == np.uint8 and picture.shape[1:] == (800, 3)
    assert (picture[:540] == 60).all(-1).mean() > 0.97
    assert (picture[540:] == BACKGROUND).all(-1).any()
    assert 540 < len(picture) < 700


def test_the_mask_is_drawn_as_it_is_where_it_differs_from_the_ellipse():
    def bite(probability):
        probability[60:110, 60:100] = 0

    head = measured(spoil=bite)
    found = near(draw_head(IMAGE, head)[:540], MASK, 40)
    edge = head.letterbox.to_source([[99.5, 85.0]])[0]
    assert np.linalg.norm(found - edge, axis=1).min() < 2


def test_truth_is_drawn_beside():
    truth = measured(HEAD.shrunk(25))
    picture = draw_head(IMAGE, measured(), truth)
    found = near(picture[:540], TRUTH)
    assert len(found) > 200
    assert np.abs(HEAD.shrunk(25).distances(found)).max() < 2.5
    assert len(near(draw_head(IMAGE, measured())[:540], TRUTH)) == 0


def test_flags_and_refusals_are_red():
    def red(picture):
        return len(near(picture[540:], ALARM, 20))

    assert red(draw_head(IMAGE, measured())) == 0
    assert red(draw_head(IMAGE, measured(mm_per_pixel=None))) > 100
    nothing = measure_head(np.zeros((192, 288), np.float32), Letterbox(540, 800, 192, 288), 0.1)
    assert red(draw_head(IMAGE, nothing)) > 100


@pytest.mark.parametrize("shape", [(16, 16), (60, 90), (300, 559), (900, 2400)])
def test_any_size_of_image_gets_a_legible_strip(shape):
    height, width = shape
    ellipse = Ellipse(width / 2, height / 2, height / 3, height / 4, 5)
    picture = draw_head(np.full(shape, 60, np.uint8), measured(ellipse, shape))
    assert picture.shape[1] >= 560 and picture.shape[1] % width == 0
    zoom = picture.shape[1] // width
    assert len(picture) >= height * zoom + 20
    found = near(picture[: height * zoom], ELLIPSE) / zoom
    assert np.abs(ellipse.distances(found)).max() < 3.5


def test_no_shape_makes_an_enormous_picture():
    """Whoever draws an array that no reader let through: the legend and the zoom stay bounded."""
    entries = [Entry("HC 172.3 mm", ELLIPSE), Entry("CI 77.4")]
    assert len(legend_strip(20_000, entries)) < 300
    assert len(legend_strip(2400, entries)) > len(legend_strip(1200, entries))  # still grows
    tall = (3000, 16)
    nothing = measure_head(np.zeros((192, 288), np.float32), Letterbox(*tall, 192, 288), 0.1)
    picture = draw_head(np.zeros(tall, np.uint8), nothing)
    assert picture.shape[1] % 16 == 0 and picture.shape[0] * picture.shape[1] < 20_000_000


def test_the_input_is_not_painted_over():
    image = IMAGE.copy()
    draw_head(image, measured())
    np.testing.assert_array_equal(image, IMAGE)


def test_long_sentences_wrap_inside_the_strip():
    words = Entry("word " * 200, color=ALARM, own_line=True)
    short, long = legend_strip(560, [Entry("HC", ELLIPSE)]), legend_strip(560, [words])
    assert len(long) > 8 * len(short)
    assert not near(long[:, -4:], ALARM, 20).size and near(long, ALARM, 20).size
    assert (legend_strip(560, []) == BACKGROUND).all()


def test_entries_that_do_not_fit_go_to_the_next_line():
    entries = [Entry("HC 172.3 mm", ELLIPSE)] * 3
    assert len(legend_strip(560, entries * 4)) > len(legend_strip(560, entries))


def test_the_head_measurer_is_reachable_by_name():
    head = MEASURERS["head"](("head",), {})
    box = Letterbox(540, 800, 192, 288)
    probabilities = np.zeros((192, 288, 2), np.float32)
    probabilities[..., 0] = box.apply_coverage(rasterise(HEAD, (540, 800))) / 255
    probabilities[..., 1] = 1
    measurement = head.measure(probabilities, box, 0.15)
    assert measurement.as_record()["hc_mm"] == pytest.approx(HEAD.perimeter * 0.15, abs=0.1)
    assert measurement.headline().startswith("HC 1") and "mm, BPD" in measurement.headline()
    np.testing.assert_array_equal(
        head.draw(IMAGE, measurement, truth=measurement), draw_head(IMAGE, measurement, measurement)
    )
