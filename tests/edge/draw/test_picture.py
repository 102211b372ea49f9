"""`draw`: layers lie over one another in order, and the legend names what was painted."""

import numpy as np
import pytest

from fetal_tf.edge.draw.layers import Calipers, Fill, Label, MaskBorder, Outline
from fetal_tf.edge.draw.legend import Entry
from fetal_tf.edge.draw.picture import Canvas, draw

RED, BLUE = (255, 0, 0), (0, 0, 255)
IMAGE = np.full((400, 600), 60, np.uint8)
SQUARE = np.zeros(IMAGE.shape, bool)
SQUARE[100:200, 150:300] = True


def test_without_layers_and_legend_the_picture_is_the_frame():
    np.testing.assert_array_equal(draw(IMAGE, ()), np.repeat(IMAGE[..., None], 3, axis=-1))


def test_a_later_layer_lies_over_an_earlier_one():
    line = np.array([[50.0, 50.0], [550.0, 50.0]])
    picture = draw(IMAGE, [Outline(line, RED, 3), Outline(line, BLUE, 3)])
    assert (picture[50, 100:500] == BLUE).all()


@pytest.mark.parametrize("shape", [(400, 600), (40, 60)])
def test_places_are_pixels_of_the_frame_whatever_the_zoom(shape):
    image, zoom = np.zeros(shape, np.uint8), max(1, -(-560 // shape[1]))
    mask = np.zeros(shape, bool)
    mask[10:20, 15:30] = True
    picture = draw(image, [Fill(mask, RED, opacity=1.0)])
    assert picture.shape == (zoom * shape[0], zoom * shape[1], 3)
    ys, xs = np.nonzero(picture[..., 0])
    found = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert found == [zoom * side for side in (15, 10, 30, 20)]


def test_an_entry_that_waits_for_its_line_is_left_out_without_it():
    entry = Entry("mask", RED, if_drawn=True)
    empty = draw(IMAGE, [MaskBorder(SQUARE & False, RED)], [entry])
    np.testing.assert_array_equal(empty, draw(IMAGE, (), []))
    seen = draw(IMAGE, [MaskBorder(SQUARE, RED)], [entry])
    np.testing.assert_array_equal(
        seen, draw(IMAGE, [MaskBorder(SQUARE, RED)], [Entry("mask", RED)])
    )
    assert (seen[400:] == RED).all(-1).any()


def test_calipers_between_two_ends_in_one_place_draw_nothing():
    canvas = Canvas(np.zeros((20, 20, 3), np.uint8))
    Calipers(np.array([[9.0, 9.0], [9.0, 9.0]]), RED).paint(canvas)
    assert not canvas.pixels.any() and not canvas.colors


def test_a_label_stands_above_and_right_of_its_point():
    ys, xs = np.nonzero((draw(IMAGE, [Label(np.array([300.0, 200.0]), "1", RED)]) != 60).any(-1))
    assert xs.min() > 300 and xs.max() < 330 and ys.min() > 170 and ys.max() < 200
