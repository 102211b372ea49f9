"""Every pixel type that scanners and converters make, and every broken file that they leave."""

import errno
import os
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from fetal_tf.edge.errors import ImageError
from fetal_tf.edge.io.images import (
    frame_notes,
    image_size,
    read_frame,
    read_gray,
    read_mask,
    write_png,
)

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


def codes(path):
    return [note.code for note in read_frame(path).notes]


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("suffix, dtype", [("png", "u1"), ("tif", "u1"), ("png", "u2")])
def test_an_orientation_is_applied_and_noted(tmp_path, orientation, suffix, dtype):
    exif = Image.Exif()
    exif[0x0112] = orientation
    told = {"tiffinfo": {274: orientation}} if suffix == "tif" else {"exif": exif}
    wide = GRAY.astype(dtype) * (257 if dtype == "u2" else 1)
    path = saved(tmp_path, Image.fromarray(wide), f"a.{suffix}", **told)
    # The table of EXIF 2.3: where the stored first row and first column are seen.
    upright = {
        2: GRAY[:, ::-1], 3: GRAY[::-1, ::-1], 4: GRAY[::-1], 5: GRAY.T,
        6: GRAY.T[:, ::-1], 7: GRAY.T[::-1, ::-1], 8: GRAY.T[::-1],
    }[orientation]  # fmt: skip
    np.testing.assert_array_equal(read_gray(path), upright)
    assert image_size(path) == upright.shape
    assert codes(path) == ["orientation"] == [note.code for note in frame_notes(path)]
    if dtype == "u1":
        np.testing.assert_array_equal(read_mask(path), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bit_colour_keeps_its_bits_and_is_turned(tmp_path, orientation):
    colour = np.random.default_rng(1).integers(0, 4096, (20, 30, 3)).astype(np.uint16)
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = saved(tmp_path, Image.fromarray(GRAY), "plain.png", exif=exif)
    stored = cv2.imencode(".png", colour[..., ::-1])[1].tobytes()
    chunk = (
        plain.read_bytes().split(b"eXIf")[0][-4:] + b"eXIf" + plain.read_bytes().split(b"eXIf")[1]
    )
    exif_bytes = chunk[: 12 + int.from_bytes(chunk[:4], "big")]
    path.write_bytes(stored[:33] + (exif_bytes if orientation > 1 else b"") + stored[33:])
    luminance = colour @ [0.299, 0.587, 0.114] * (255 / 4095)
    expected = np.asarray(ImageOps.exif_transpose(_with(Image.fromarray(luminance), orientation)))
    assert np.abs(read_gray(path) - expected).max() <= 0.6
    assert "few_bits" in codes(path)


def _with(image, orientation):
    image.getexif()[0x0112] = orientation
    return image


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_fewer_bits_in_a_wider_file_are_scaled_by_what_is_used(tmp_path, bits, suffix):
    wide = np.linspace(0, 2**bits - 1, 600).reshape(20, 30).astype(np.uint16)
    path = saved(tmp_path, Image.fromarray(wide), f"a.{suffix}")
    np.testing.assert_array_equal(read_gray(path), np.rint(wide * 255.0 / (2**bits - 1)))
    (note,) = read_frame(path).notes
    assert note.code == "few_bits" and note.message.endswith(f"read as {bits}")


def test_a_pgm_states_its_range(tmp_path):
    wide = np.full((20, 30), 3000, np.uint16)
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5\n30 20\n65535\n" + wide.astype(">u2").tobytes())
    assert read_gray(path).max() == 12 and read_frame(path).notes == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_is_inverted_at_any_depth(tmp_path, dtype):
    full = np.iinfo(dtype).max
    wide = (np.linspace(0, 1, 600).reshape(20, 30) * full).round().astype(dtype)
    path = saved(tmp_path, Image.fromarray(wide), "a.tif", tiffinfo={262: 0})
    found = read_gray(path).astype(int)
    with Image.open(path) as image:
        assert image.tag_v2[262] == 0
    stored = np.asarray(wide if dtype == np.uint16 else _stored_gray(path))
    assert np.abs(found - (255 - stored * (255 / full))).max() <= 0.51


def _stored_gray(path):
    with Image.open(path) as image:
        return 255 - np.asarray(image)  # Pillow inverts 8 bits when it decodes


def test_signed_pixels_from_zero_are_read_and_negative_ones_named(tmp_path):
    ramp = np.linspace(0, 32767, 600).reshape(20, 30)
    path = _signed_tiff(tmp_path, ramp.astype(np.int16))
    np.testing.assert_array_equal(read_gray(path), np.rint(ramp.astype(np.int16) * (255 / 32767)))
    path = _signed_tiff(tmp_path, (ramp - 1200).astype(np.int16))
    with pytest.raises(ImageError, match="signed 16-bit pixels down to -1200"):
        read_gray(path)


def _signed_tiff(tmp_path, pixels):
    path = saved(tmp_path, Image.fromarray(pixels.view(np.uint16)), "a.tif", tiffinfo={339: 2})
    with Image.open(path) as image:
        assert image.tag_v2[339] == (2,) or image.tag_v2[339] == 2
    return path


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.webp"])
def test_of_several_frames_the_number_is_said(tmp_path, name):
    pages = [Image.fromarray(np.full((20, 30), value, np.uint8)) for value in (10, 200, 90)]
    path = saved(tmp_path, pages[0], name, save_all=True, append_images=pages[1:])
    assert abs(int(read_gray(path).mean()) - 10) <= 2
    (note,) = read_frame(path).notes
    assert note.code == "first_frame" and "frame 1 of 3" in note.message


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
@pytest.mark.parametrize("per_x, per_y, width", [(100, 118, 35), (118, 100, 25), (100, 100, 30)])
def test_pixels_that_are_stated_not_to_be_square_become_square(tmp_path, name, per_x, per_y, width):
    path = saved(tmp_path, Image.fromarray(GRAY), name, dpi=(per_x, per_y))
    frame = read_frame(path)
    assert frame.gray.shape == (20, width) == image_size(path)
    assert [note.code for note in frame.notes] == ["pixels_made_square"] * (width != 30)
    if width == 35:
        assert "18.0 % wider than high" in frame.notes[0].message
        method = cv2.INTER_LINEAR
        stored = np.asarray(Image.open(path))
        np.testing.assert_array_equal(
            frame.gray, cv2.resize(stored, (35, 20), interpolation=method)
        )


def test_pixels_are_squared_after_turning(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path, Image.fromarray(GRAY), dpi=(100, 118), exif=exif)
    # Stored 30 x 20 with pixels 18 % wider than high: upright 20 x 30, 18 % higher than wide.
    assert read_gray(path).shape == (30, round(20 / 1.18)) == image_size(path)


def test_a_resolution_that_no_scanner_has_is_refused(tmp_path):
    path = saved(tmp_path, Image.fromarray(GRAY), dpi=(1, 300))
    with pytest.raises(ImageError, match="no scanner has such pixels"):
        read_gray(path)


@pytest.mark.parametrize(
    "start, said",
    [
        (b"GIF89a", "a GIF, which is not read; save the frame to be measured as PNG"),
        (b"\0" * 128 + b"DICM", "a DICOM file"),
        (b"\0\0\0\x18ftypmp42", r"a film \(MP4 or MOV\)"),
        (b"RIFF\0\0\0\0AVI LIST", r"a film \(AVI\)"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04", "a zip archive, which is not read; unpack it"),
        (b"", "the file is empty"),
        (b"no image at all", "not an image"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, start, said):
    path = tmp_path / "a.png"
    path.write_bytes(start + (b"x" * 40 if start else b""))
    with pytest.raises(ImageError, match=rf"a\.png: {said}"):
        read_gray(path)


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
