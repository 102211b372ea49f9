"""The picture in a screen: found, cut out, measured, and its places given in screen pixels."""

import csv

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fetal_tf
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox, letterboxed
from fetal_tf.edge.geometry.region import Region, ultrasound_region
from fetal_tf.edge.io.images import read_gray

FRAME = "docs/phantom_frame.png"


def speckle():
    return np.random.default_rng(0).integers(60, 200, (200, 300), dtype=np.uint8)


def in_screen(picture, times, gray=0):
    """The picture in the middle of a screen, and its region there."""
    height, width = picture.shape
    screen = np.full((round(height * times), round(width * times)), gray, np.uint8)
    top, left = (screen.shape[0] - height) // 2, (screen.shape[1] - width) // 2
    region = Region(top, left, height, width)
    screen[region.slices] = picture
    return screen, region


def with_menus(screen):
    """Text at the left edge, a bar along the bottom, a depth scale on the right."""
    height, width = screen.shape
    for line in range(8):
        cv2.putText(screen, "GAIN 48", (4, 20 + 22 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 200, 1)
    screen[height - 24 : height - 6, 10 : width - 10] = 90
    screen[20 : height - 60 : 20, width - 14 : width - 4] = 220
    return screen


@pytest.mark.parametrize("gray", [0, 48])
@pytest.mark.parametrize("times", [1.5, 2, 3, 4])
def test_a_picture_in_a_screen_is_found(times, gray):
    picture = speckle()
    screen, expected = in_screen(picture, times, gray)
    found = ultrasound_region(screen)
    cell = max(screen.shape) / 128 + 1
    edges = [(r.top, r.left, r.top + r.height, r.left + r.width) for r in (found, expected)]
    np.testing.assert_allclose(*edges, atol=cell)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((100, 150), np.uint8),
        np.full((100, 150), 90, np.uint8),
        np.random.default_rng(0).integers(0, 256, (100, 150), dtype=np.uint8),
        np.pad(np.full((90, 140), 90, np.uint8), 5),
        np.full((16, 16), 7, np.uint8),
    ],
)
def test_a_frame_without_a_screen_around_it_is_seen_whole(image):
    assert ultrasound_region(image) is None
    assert letterboxed(image, (64, 96, 1))[1].cropped is None


def _window(screen):
    """A bright line around the screen and one within it."""
    height, width = screen.shape
    cv2.rectangle(screen, (0, 0), (width - 1, height - 1), 255, 2)
    return cv2.rectangle(screen, (15, 15), (width - 16, height - 16), 180, 2)


def _noise(screen):
    """As a photograph of a screen has it."""
    added = np.random.default_rng(1).normal(0, 8, screen.shape)
    return np.clip(screen + added, 0, 255).astype(np.uint8)


def _jpeg(screen):
    _, coded = cv2.imencode(".jpg", screen, [cv2.IMWRITE_JPEG_QUALITY, 30])
    return cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)


def _bars(screen):
    """Flat bars of other grays at the edges."""
    screen[:30], screen[-30:] = 200, 120
    return screen


@pytest.mark.parametrize("disguise", [_window, _noise, _jpeg, _bars, with_menus])
def test_a_screen_is_seldom_plain(disguise):
    screen, expected = in_screen(speckle(), 2.5)
    found = ultrasound_region(disguise(screen))
    edges = [(r.top, r.left, r.top + r.height, r.left + r.width) for r in (found, expected)]
    np.testing.assert_allclose(*edges, atol=2 * (max(screen.shape) / 128 + 1))


def test_shadows_do_not_split_a_picture():
    picture = speckle()
    picture[:, 142:158] = 0
    assert ultrasound_region(picture) is None


@given(st.data())
def test_the_letterbox_of_a_region_is_that_of_the_cropped_image(data):
    height, width = data.draw(st.integers(2, 90)), data.draw(st.integers(2, 90))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    high, wide = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    target = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    region = Region(top, left, high, wide)
    box = Letterbox(height, width, *target, region)
    alone = Letterbox(high, wide, *target)
    image = np.random.default_rng(top).integers(0, 256, (height, width), dtype=np.uint8)
    np.testing.assert_array_equal(box.apply(image), alone.apply(image[region.slices]))
    np.testing.assert_array_equal(
        box.apply_nearest(image), alone.apply_nearest(image[region.slices])
    )
    assert box.content == alone.content
    points = np.array([[3.0, -2.0], [top, left]])
    np.testing.assert_allclose(
        box.to_target(points + np.array([left, top])), alone.to_target(points)
    )
    np.testing.assert_allclose(box.to_source(box.to_target(points)), points, atol=1e-9)
    restored = box.restore(np.ones(target, np.float32))
    expected = np.zeros((height, width), np.float32)
    expected[region.slices] = 1
    np.testing.assert_array_equal(restored, expected)
    ellipse = Ellipse(4.0, 5.0, 3.0, 2.0, 20.0)
    moved = alone.content_to_source(ellipse)
    np.testing.assert_allclose(
        box.content_to_source(ellipse).points(), moved.points() + np.array([left, top]), atol=1e-9
    )


@pytest.mark.parametrize("region", [Region(0, 0, 11, 5), Region(-1, 0, 5, 5), Region(0, 3, 5, 8)])
def test_a_region_outside_its_image_is_refused(region):
    with pytest.raises(ValueError, match="leaves an image of 10x10"):
        Letterbox(10, 10, 5, 5, region)


def test_resizing_the_source_takes_the_region_along():
    box = Letterbox(100, 200, 32, 32, Region(10, 20, 50, 100)).resized_source(200, 400)
    assert box == Letterbox(200, 400, 32, 32, Region(20, 40, 100, 200))


@pytest.mark.parametrize("menus", [False, True])
@pytest.mark.parametrize("times", [2, 3])
def test_a_head_in_a_screen_measures_what_it_measures_alone(times, menus):
    net, picture = fetal_tf.load("zoo:hc18"), read_gray(FRAME)
    alone = net(picture, mm_per_pixel=0.142)
    screen, region = in_screen(picture, times)
    head = net(with_menus(screen) if menus else screen, mm_per_pixel=0.142)
    assert head.hc_mm == pytest.approx(alone.hc_mm, rel=0.01)
    np.testing.assert_allclose(
        head.points, alone.points + np.array([region.left, region.top]), atol=6
    )
    assert [flag.code for flag in head.flags][:1] == ["cropped"]
    assert not any(flag.code == "cropped" for flag in alone.flags)


@pytest.mark.parametrize("side", ["left", "top", "bottom"])
def test_a_head_cut_by_a_black_bar_is_flagged(side):
    picture = read_gray(FRAME)
    height, width = picture.shape
    third = {
        "left": np.s_[:, : width // 3],
        "top": np.s_[: height // 3],
        "bottom": np.s_[-height // 3 :],
    }[side]
    picture[third] = 0
    head = fetal_tf.load("zoo:hc18")(picture, mm_per_pixel=0.142)
    assert "touches_border" in [flag.code for flag in head.flags]


def test_real_heads_in_screens_measure_what_they_measure_alone(real_data):
    """Of 24 held-out frames of HC18; without the region, 15 % more in a screen of three times."""
    net = fetal_tf.load("zoo:hc18")
    with (net.bundle.path / "splits.csv").open(encoding="utf-8") as file:
        held = [row["id"] for row in csv.DictReader(file) if row["split"] == "test"]
    pictures = [
        read_gray(real_data / "hc18/training_set" / f"{id}.png") for id in held if ":" not in id
    ][::5]
    assert len(pictures) == 24
    for times in (1.5, 3):
        ratios = [
            net(in_screen(picture, times)[0]).hc_px / net(picture).hc_px for picture in pictures
        ]
        assert np.mean(ratios) == pytest.approx(1, abs=0.005)
        assert np.quantile(np.abs(np.array(ratios) - 1), 0.9) < 0.02


def test_real_frames_are_seen_whole(real_data):
    folders = ("hc18/training_set", "planes/images", "focus/training/images")
    frames = [path for folder in folders for path in sorted((real_data / folder).glob("*.png"))]
    frames = [path for path in frames if not path.stem.endswith("_Annotation")]
    assert len(frames) > 1000
    assert [path for path in frames if ultrasound_region(read_gray(path)) is not None] == []


def test_what_ends_in_a_curve_has_a_margin_and_what_ends_straight_has_none():
    head = rasterise(Ellipse(300, 200, 90, 80, 0), (400, 600))
    seen = ultrasound_region(np.where(head, 200, 0).astype(np.uint8))
    assert seen.left < 206 and seen.left + seen.width > 394 and seen.top < 116
    head[:, :300] = False
    cut = ultrasound_region(np.where(head, 200, 0).astype(np.uint8))
    assert abs(cut.left - 300) <= 5 and cut.left + cut.width > 394
