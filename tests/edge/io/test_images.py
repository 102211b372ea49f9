"""Every pixel type that scanners and converters make, and every broken file that they leave."""

import errno
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from fetal_tf.edge.errors import ImageError
from fetal_tf.edge.io.images import image_size, read_gray, read_mask, write_png

GRAY = np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8)


def saved(tmp_path, image, name="a.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def test_eight_bit_gray_comes_back_unchanged(tmp_path):
    path = saved(tmp_path, Image.fromarray(GRAY))
    for read in (read_gray, read_mask):
        np.testing.assert_array_equal(read(path), GRAY)
        assert read(path).dtype == np.uint8


def test_sixteen_bit_uses_its_full_range(tmp_path):
    wide = np.linspace(0, 65535, 20 * 30).reshape(20, 30).astype(np.uint16)
    path = saved(tmp_path, Image.fromarray(wide))
    np.testing.assert_array_equal(read_gray(path), np.rint(wide / 257).astype(np.uint8))
    assert read_gray(path).max() == 255


@pytest.mark.parametrize("most", [65535, 1023])
def test_sixteen_bit_pgm_uses_its_full_range(tmp_path, most):
    wide = np.linspace(0, most, 20 * 30).round().astype(np.uint16).reshape(20, 30)
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5\n30 20\n%d\n" % most + wide.astype(">u2").tobytes())
    found = read_gray(path).astype(int)
    assert np.abs(found - wide * (255 / most)).max() <= 0.51  # rounded, once to 16 bits before
    if most == 65535:
        for name in ("a.png", "a.tif"):
            same = read_gray(saved(tmp_path, Image.fromarray(wide), name))
            np.testing.assert_array_equal(same, found)
    with pytest.raises(ImageError, match="8 bits"):
        read_mask(path)


def test_thirty_two_bits_have_no_range(tmp_path):
    path = saved(tmp_path, Image.fromarray(GRAY.astype(np.int32)), "a.tif")
    with pytest.raises(ImageError, match="no defined range"):
        read_gray(path)


def test_names_that_no_file_has(tmp_path):
    with pytest.raises(ImageError, match=f"cannot be opened: {os.strerror(errno.ENAMETOOLONG)}"):
        read_gray(tmp_path / ("n" * 300 + ".png"))
    saved(tmp_path, Image.fromarray(GRAY))
    with pytest.raises(ImageError, match="missing"):
        read_gray(tmp_path / "a.png" / "b.png")


def test_sixteen_bit_mask_is_refused(tmp_path):
    path = saved(tmp_path, Image.fromarray(GRAY.astype(np.uint16)))
    with pytest.raises(ImageError, match="8 bits"):
        read_mask(path)


def test_gray_stored_as_rgb_is_the_same_gray(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.dstack([GRAY] * 3)))
    np.testing.assert_array_equal(read_gray(path), GRAY)


def test_colour_becomes_luminance(tmp_path):
    rgb = np.zeros((16, 16, 3), np.uint8)
    rgb[..., 0], rgb[..., 1], rgb[..., 2] = 200, 100, 50
    expected = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert abs(int(read_gray(saved(tmp_path, Image.fromarray(rgb)))[0, 0]) - expected) <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_black(tmp_path, mode):
    alpha = np.zeros_like(GRAY)
    alpha[:, 15:] = 255
    planes = [GRAY] * (3 if mode == "RGBA" else 1) + [alpha]
    image = Image.fromarray(np.dstack(planes), mode)
    expected = np.where(alpha > 0, GRAY, 0)
    np.testing.assert_array_equal(read_gray(saved(tmp_path, image)), expected)


def test_half_transparent_is_half_as_bright(tmp_path):
    image = Image.fromarray(np.dstack([np.full((16, 16), 200, np.uint8)] * 3), "RGB")
    image.putalpha(128)
    assert abs(int(read_gray(saved(tmp_path, image))[3, 3]) - 200 * 128 / 255) <= 1


def test_palette_and_its_transparent_entry(tmp_path):
    image = Image.fromarray((GRAY > 128).astype(np.uint8), "P")
    image.putpalette([200, 200, 200, 90, 90, 90])
    expected = np.where(GRAY > 128, 90, 200)
    np.testing.assert_array_equal(read_gray(saved(tmp_path, image)), expected)
    path = saved(tmp_path, image, "t.png", transparency=0)
    np.testing.assert_array_equal(read_gray(path), np.where(GRAY > 128, 90, 0))


def test_cmyk_jpeg(tmp_path):
    rgb = Image.new("RGB", (32, 32), (180, 180, 180))
    path = saved(tmp_path, rgb.convert("CMYK"), "a.jpg", quality=95)
    assert np.abs(read_gray(path).astype(int) - 180).max() <= 3


def test_one_bit_mask_is_0_and_255(tmp_path):
    path = saved(tmp_path, Image.fromarray(GRAY > 128))
    np.testing.assert_array_equal(read_mask(path), np.where(GRAY > 128, 255, 0))


def test_exif_rotation_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    path = saved(tmp_path, Image.fromarray(GRAY), "a.jpg", exif=exif)
    assert read_gray(path).shape == GRAY.shape
    assert image_size(path) == GRAY.shape


def png_header(path, width, height):
    """A PNG that promises more than it holds."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + b"\0" * 4)
    return path


@pytest.mark.parametrize("width, height", [(30_000, 30_000), (8_000, 8_000)])
def test_a_huge_header_is_refused_before_decoding(tmp_path, monkeypatch, width, height):
    def decode(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(ImageError, match=r"bomb\.png.*before decoding"):
        read_gray(png_header(tmp_path / "bomb.png", width, height))


@pytest.mark.parametrize(
    "width, height, allowed",
    [
        (3_000_000, 16, "at most 20000 px"),
        (16, 3_000_000, "at most 20000 px"),
        (20_001, 2_000, "at most 20000 px"),
        (641, 32, "at most 20 times"),
        (32, 641, "at most 20 times"),
        (12_000, 10_000, "at most 50000000 pixels"),
    ],
)
def test_every_reader_refuses_a_senseless_size_by_the_header(tmp_path, width, height, allowed):
    path = png_header(tmp_path / "strip.png", width, height)
    for read in (read_gray, read_mask, image_size):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with pytest.raises(ImageError, match=rf"strip\.png: {width}x{height} px.*{allowed}"):
                read(path)
        assert not warned  # Pillow's own, of a decompression bomb


@pytest.mark.parametrize("size", [(640, 32), (32, 640), (20_000, 1_000)])
def test_the_longest_strips_are_read(tmp_path, size):
    assert read_gray(saved(tmp_path, Image.new("L", size))).shape == size[::-1]


def test_the_limit_is_the_callers(tmp_path):
    path = saved(tmp_path, Image.fromarray(GRAY))
    with pytest.raises(ImageError, match="30x20 px"):
        read_gray(path, max_pixels=599)
    assert read_gray(path, max_pixels=600).shape == (20, 30)


@pytest.mark.parametrize("size", [(1, 1), (15, 400)])
def test_too_small(tmp_path, size):
    with pytest.raises(ImageError, match="at least 16x16"):
        read_gray(saved(tmp_path, Image.new("L", size)))


def test_missing_folder_text_empty_and_float(tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.fromarray(np.zeros((20, 20), np.float32)).save(tmp_path / "float.tif")
    for name, said in {
        "absent.png": "missing",
        ".": "folder",
        "text.png": "not an image",
        "empty.png": "0 bytes",
        "float.tif": "no defined range",
    }.items():
        with pytest.raises(ImageError, match=said):
            read_gray(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_truncated_at_any_place(tmp_path, name):
    whole = saved(tmp_path, Image.fromarray(np.tile(GRAY, (4, 4))), name).read_bytes()
    path = tmp_path / f"cut-{name}"
    for kept in range(0, len(whole) * 3 // 4, max(1, len(whole) // 23)):
        path.write_bytes(whole[:kept])
        with pytest.raises(ImageError, match=f"cut-{name}"):
            read_gray(path)


def test_write_png_round_trip_and_no_half_file(tmp_path):
    path = tmp_path / "new" / "a.png"
    write_png(path, GRAY)
    np.testing.assert_array_equal(read_gray(path), GRAY)
    rgb = np.dstack([GRAY, GRAY[::-1], GRAY[:, ::-1]])
    write_png(path, rgb)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), rgb)
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]
