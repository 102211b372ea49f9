"""Coloured masks: which index each colour becomes, in every kind of PNG, and what is refused."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from fetal_tf.data.readers.color_mask import color_labels, decode_labels, decode_rgb
from fetal_tf.edge.errors import DataError, ImageError

PALETTE = {"background": (0, 0, 0), "brain": (255, 0, 0), "csp": (0, 255, 0), "lv": (0, 0, 255)}
COLORS = np.array(list(PALETTE.values()), np.uint8)
SIZE = (20, 30)


def _labels() -> np.ndarray:
    labels = np.zeros(SIZE, np.uint8)
    labels[4:16, 5:25] = 1
    labels[8:10, 8:12] = 2
    labels[10:14, 15:22] = 3
    return labels


def _png(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def _rgb_png(rgb: np.ndarray) -> bytes:
    return _png(Image.fromarray(rgb))


def _palette_png(labels: np.ndarray, colors: list[tuple[int, int, int]], **options) -> bytes:
    image = Image.frombytes("P", labels.shape[::-1], labels.tobytes())
    image.putpalette(sum(colors, ()))
    return _png(image, **options)


def _refused(data: bytes, error: type[Exception] = DataError, **options) -> str:
    with pytest.raises(error) as caught:
        decode_labels(data, "mask.png", SIZE, PALETTE, **options)
    return str(caught.value)


@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)
    )
)
def test_each_colour_of_the_palette_becomes_its_index(labels):
    found = color_labels(COLORS[labels], PALETTE)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.labels.dtype == np.uint8
    assert found.foreign == {} and found.foreign_px == 0


@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)),
        elements=st.sampled_from([0, 1, 90, 127, 128, 254, 255]),
    )
)
def test_a_foreign_colour_is_counted_and_takes_the_nearest_ones_index(rgb):
    found = color_labels(rgb, PALETTE)
    counts: dict[tuple[int, ...], int] = {}
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            pixel = tuple(int(v) for v in rgb[y, x])
            distances = [
                sum((a - b) ** 2 for a, b in zip(pixel, c, strict=True)) for c in PALETTE.values()
            ]
            assert found.labels[y, x] == distances.index(min(distances))
            if pixel not in PALETTE.values():
                counts[pixel] = counts.get(pixel, 0) + 1
    assert found.foreign == counts
    assert list(found.foreign.values()) == sorted(counts.values(), reverse=True)
    assert found.foreign_px == sum(counts.values())


def test_every_kind_of_colour_png_gives_the_same_indices():
    labels = _labels()
    rgb = COLORS[labels]
    opaque = np.dstack([rgb, np.full(SIZE, 255, np.uint8)])
    for data in (
        _rgb_png(rgb),
        _rgb_png(opaque),
        _palette_png(labels, list(PALETTE.values())),
        # The indices of a palette PNG mean nothing: here they run the other way round.
        _palette_png(3 - labels, list(PALETTE.values())[::-1]),
        _palette_png(labels, list(PALETTE.values()), transparency=0),
    ):
        found = decode_labels(data, "mask.png", SIZE, PALETTE)
        np.testing.assert_array_equal(found.labels, labels)


def test_what_is_fully_transparent_is_background_whatever_colour_it_hides():
    labels = _labels()
    rgba = np.dstack([COLORS[labels], np.full(SIZE, 255, np.uint8)])
    rgba[labels == 0] = (0, 255, 0, 0)
    found = decode_labels(_rgb_png(rgba), "mask.png", SIZE, PALETTE)
    np.testing.assert_array_equal(found.labels, labels)


def test_what_is_half_transparent_is_a_foreign_colour():
    rgba = np.dstack([COLORS[_labels()], np.full(SIZE, 255, np.uint8)])
    rgba[8:10, 8:12, 3] = 128
    assert "8 of 600 pixels have a colour outside the palette ((0, 128, 0): 8 px)" in _refused(
        _rgb_png(rgba)
    )


def test_foreign_colours_are_named_with_their_pixels():
    rgb = COLORS[_labels()]
    rgb[4, 5:25] = (128, 0, 0)
    rgb[5, 5:10] = (200, 10, 0)
    rgb[6, 5:7] = (9, 9, 9)
    rgb[7, 5] = (1, 2, 3)
    message = _refused(_rgb_png(rgb))
    assert message.startswith("mask.png: 28 of 600 pixels")
    assert "(128, 0, 0): 20 px; (200, 10, 0): 5 px; (9, 9, 9): 2 px; 1 more" in message
    assert "expected (0, 0, 0) background, (255, 0, 0) brain, (0, 255, 0) csp" in message
    assert "data.options.tolerant" in message
    found = decode_labels(_rgb_png(rgb), "mask.png", SIZE, PALETTE, tolerant=True)
    assert found.foreign_px == 28
    assert found.labels[4, 5] == found.labels[5, 5] == 1 and found.labels[6, 5] == 0


def test_a_palette_of_other_colours_is_refused_by_its_colours():
    # The palette of PASCAL VOC: index 1 is a dark red.
    data = _palette_png(_labels(), [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)])
    assert "(128, 0, 0): 204 px" in _refused(data)


@pytest.mark.parametrize("mode", ["L", "1", "LA", "I;16"])
def test_gray_masks_are_refused(mode):
    image = Image.fromarray(_labels() * 85)
    image = Image.new("I;16", image.size) if mode == "I;16" else image.convert(mode)
    assert "a mask in colours is expected, this one is gray" in _refused(_png(image))


def test_another_size_is_refused_before_decoding(monkeypatch):
    data = _rgb_png(np.zeros((30, 20, 3), np.uint8))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert _refused(data) == "mask.png: mask is 30x20 (height x width), image is 20x30"


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_png_is_refused(data):
    assert "mask.png: " in _refused(data, ImageError)


def test_a_jpeg_under_the_name_of_a_png_is_refused():
    buffer = io.BytesIO()
    Image.fromarray(COLORS[_labels()]).save(buffer, "JPEG")
    assert "mask.png: not a PNG" in _refused(buffer.getvalue(), ImageError)


def test_a_png_cut_anywhere_is_refused_or_whole():
    rgb = np.random.default_rng(0).integers(0, 2, (*SIZE, 3), np.uint8) * 255
    data = _rgb_png(rgb)
    read = 0
    for length in range(0, len(data), 7):
        try:
            np.testing.assert_array_equal(decode_rgb(data[:length], "mask.png", SIZE), rgb)
            read += 1
        except ImageError as error:
            assert str(error).startswith("mask.png: ")
    assert read <= 4  # only the end marker was missing


def test_flipped_bytes_are_noticed():
    data = bytearray(_rgb_png(COLORS[_labels()]))
    middle = data.index(b"IDAT") + 20
    data[middle] ^= 0xFF
    assert "cannot be read as a PNG" in _refused(bytes(data), ImageError)
