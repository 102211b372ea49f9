"""The library's face: arrays of every kind, paths, batches, pictures, words for people."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

import fetal_tf
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.errors import BundleError, ImageError
from fetal_tf.edge.io.images import read_gray, write_png
from tests.edge.bundle.tiny_bundle import bright_head, tflite_models, write_bundle

GRAY = bright_head()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("net") / "bundle", tflite_models())


@pytest.fixture(scope="module")
def net(folder):
    return fetal_tf.load(folder)


@pytest.fixture(scope="module")
def expected(folder):
    bundle = Bundle.open(folder)
    return bundle.measure(bundle.predictor(), GRAY, 0.5)


RGB = np.dstack([GRAY] * 3)
OPAQUE = np.dstack([GRAY] * 3 + [np.full_like(GRAY, 255)])
SAME = {
    "gray": GRAY,
    "one channel": GRAY[..., None],
    "rgb": RGB,
    "rgba": OPAQUE,
    "uint16": GRAY.astype(np.uint16) * 257,
    "uint16 rgb": RGB.astype(np.uint16) * 257,
    "float": GRAY / 255,
    "float32 rgb": (RGB / 255).astype(np.float32),
    "not contiguous": np.asfortranarray(GRAY),
}


@pytest.mark.parametrize("kind", SAME)
def test_every_kind_of_array_is_the_same_image(net, expected, kind):
    found = net(SAME[kind], mm_per_pixel=0.5)
    assert found.hc_mm == pytest.approx(expected.hc_mm, rel=1e-6) and not found.notes


def test_a_colour_is_the_luminance_that_its_file_has(net, tmp_path):
    colour = np.random.default_rng(2).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    bundle_gray = net.draw(colour, net(colour))
    np.testing.assert_array_equal(
        bundle_gray, net.draw(read_gray(tmp_path / "colour.png"), net(tmp_path / "colour.png"))
    )


def test_transparent_parts_are_black(net, expected):
    hidden = OPAQUE.copy()
    hidden[..., :3], hidden[..., 3] = 255, GRAY
    assert net(hidden, mm_per_pixel=0.5).hc_mm == pytest.approx(expected.hc_mm, rel=1e-3)


def test_few_bits_are_noted_as_in_a_file(net):
    (note,) = net(GRAY.astype(np.uint16) * 4).notes
    assert note.code == "few_bits"


def test_paths_and_batches(net, expected, tmp_path):
    write_png(tmp_path / "a.png", GRAY)
    one = net(tmp_path / "a.png", mm_per_pixel=0.5)
    assert one == expected == net(str(tmp_path / "a.png"), mm_per_pixel=0.5)
    assert net([GRAY, tmp_path / "a.png"], mm_per_pixel=0.5) == [expected, expected]
    for batch in (np.stack([GRAY, GRAY]), np.stack([RGB, RGB]), (GRAY, GRAY)):
        assert net(batch, mm_per_pixel=0.5) == [expected, expected]
    sizes = [found.hc_mm for found in net([GRAY, GRAY], mm_per_pixel=[0.5, None])]
    assert sizes == [expected.hc_mm, None]
    assert net([]) == []


@pytest.mark.parametrize(
    "image, said",
    [
        (GRAY.astype(np.float64), "floats from 0 to 1 are expected, found 10 to 230"),
        (GRAY / 255 - 1, "floats from 0 to 1"),
        (np.full(GRAY.shape, np.nan), "floats from 0 to 1"),
        (GRAY.astype(np.int64), "not int64"),
        (GRAY > 100, "not bool"),
        (np.zeros((3, 20, 30, 2), np.uint8), r"not \(20, 30, 2\)"),
        (np.zeros(20, np.uint8), "is expected"),
        (np.zeros((8, 30), np.uint8), "sides of at least 16 px"),
    ],
)
def test_arrays_that_are_no_images(net, image, said):
    with pytest.raises(ValueError, match=said):
        net(image)


@pytest.mark.parametrize("size", [0, -0.1, float("nan"), 5.0, 1e-9])
def test_pixel_sizes_that_cannot_be(net, size):
    with pytest.raises(ValueError, match=r"millimetres per pixel from 0\.01 to 2"):
        net(GRAY, mm_per_pixel=size)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ((GRAY, "0.142"), "a number of millimetres per pixel is expected, not '0.142'"),
        (([GRAY, GRAY], "0.1"), "pixel sizes for 2 images"),
        ((GRAY, None, "20"), "a number of weeks is expected"),
        ((GRAY, None, [20]), "a number of weeks is expected"),
        ((b"bytes",), "a path or an array is expected, not bytes"),
        (([GRAY, 5],), "not int"),
    ],
)
def test_wrong_types_are_value_errors(net, arguments, said):
    with pytest.raises(ValueError, match=said):
        net(*arguments)


def test_a_picture_of_another_image_is_not_drawn(net):
    with pytest.raises(ValueError, match=r"the image is \(60, 90\)"):
        net.draw(np.zeros((60, 90), np.uint8), net(GRAY))


def test_other_mistakes(net, folder, tmp_path):
    with pytest.raises(ValueError, match="1 pixel sizes for 2 images"):
        net([GRAY, GRAY], mm_per_pixel=[0.5])
    with pytest.raises(ImageError, match="missing"):
        net(tmp_path / "absent.png")
    with pytest.raises(BundleError, match="the zoo holds no 'absent'"):
        fetal_tf.load("zoo:absent")
    with pytest.raises(BundleError, match="no format 'int4'"):
        fetal_tf.load(folder, format="int4")
    with pytest.raises(BundleError, match="this net knows no other"):
        fetal_tf.load(folder, convention="nowhere")
    with pytest.raises(ValueError, match="14 to 40"):
        net(GRAY, ga_weeks=3)


def test_words_for_people(net):
    assert repr(net).startswith("<net /") and "measures head, float32" in repr(net)
    assert "not for diagnosis" in repr(net)
    assert repr(net(GRAY, mm_per_pixel=0.5)).startswith("<HeadMeasurement: HC 16")
    assert "no_pixel_size: " in repr(net(GRAY)) and "no_head: " in repr(net(np.zeros_like(GRAY)))


def test_what_is_doubtful_about_a_bundle_is_warned_of(tmp_path):
    write_bundle(tmp_path / "bundle", tflite_models(), phantom=True)
    with pytest.warns(UserWarning, match="PHANTOM"):
        net = fetal_tf.load(tmp_path / "bundle")
    assert "phantoms" in repr(net)


def test_the_nets_that_ship_open_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = fetal_tf.load("zoo:hc18")(np.zeros((90, 120), np.uint8))
        heart = fetal_tf.load("zoo:focus")(np.zeros((90, 120), np.uint8))
    assert head.hc_mm is None and heart.ctr_diameter_percent is None


def test_the_import_is_light():
    script = (
        "import sys, fetal_tf; heavy = {'numpy', 'cv2', 'PIL', 'tensorflow', 'ai_edge_litert'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
