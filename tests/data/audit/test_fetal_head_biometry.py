"""The audit of fetal head biometry: frames, coloured masks, pixel sizes."""

import shutil

import numpy as np
import pytest
from PIL import Image

from fetal_tf.data.audit.fetal_head_biometry import audit_fetal_head_biometry
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers.fetal_head_biometry import read_fetal_head_biometry
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.images import write_png

IMAGES = "Trans-thalamic/Trans-thalamic"
TABLE = "Trans-thalamic/Trans-Thalamic-Pixel-Size.csv"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    root = tmp_path_factory.mktemp("brain") / "data"
    write_phantom("fetal_head_biometry", root, 6, seed=5)
    return root


@pytest.fixture
def root(phantom, tmp_path):
    shutil.copytree(phantom, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def mask(root):
    """The first frame's mask file."""
    return min(root.rglob("SegmentationClass/*.png"))


def _found(root, mask):
    audit = audit_fetal_head_biometry(root)
    (broken,) = (f for f in audit.frames if f.file == f"{IMAGES}/{mask.name}")
    assert {f.verdict for f in audit.frames if f is not broken} == {"good"}
    return broken.verdict, broken.codes()


def _rgb(mask):
    return np.array(Image.open(mask).convert("RGB"))


def test_good_frames_are_good_and_classes_are_counted(root):
    audit = audit_fetal_head_biometry(root)
    assert audit.verdicts() == {"good": 6, "suspect": 0, "wrong": 0}
    samples = read_fetal_head_biometry(root)
    classes = audit.fingerprint()["classes"]
    for name in ("brain", "csp", "lv"):
        assert classes.get(name, 0) == sum(name in sample.present for sample in samples)
    area = audit.statistics()["brain_area_percent"]
    expected = [100 * (s.load_mask() == 1).mean() for s in samples]  # without CSP and LV
    assert area["mean"] == pytest.approx(np.mean(expected))


def test_broken_masks_are_found(root, mask):
    rgb = _rgb(mask)
    foreign = rgb.copy()
    foreign[0, :3] = (9, 9, 9)
    write_png(mask, foreign)
    assert _found(root, mask) == ("wrong", ["foreign_colors"])
    write_png(mask, np.zeros_like(rgb))
    assert _found(root, mask) == ("wrong", ["empty_mask"])
    write_png(mask, rgb[:-2])
    assert _found(root, mask) == ("wrong", ["mask"])
    brainless = np.zeros_like(rgb)
    brainless[50:60, 50:60] = (0, 255, 0)
    write_png(mask, brainless)
    assert _found(root, mask) == ("wrong", ["no_brain"])
    mask.unlink()
    assert _found(root, mask) == ("wrong", ["no_mask"])


def test_fragments_and_odd_outlines_are_suspect(root, mask):
    rgb = _rgb(mask)
    specks = rgb.copy()
    specks[2:4, 2:4] = (255, 0, 0)
    write_png(mask, specks)
    assert _found(root, mask) == ("suspect", ["fragments"])
    odd = np.zeros_like(rgb)
    height, width = odd.shape[:2]
    odd[height // 4 : -height // 4, width // 4 : width // 3] = (255, 0, 0)
    odd[height // 2 : -height // 4, width // 4 : -width // 4] = (255, 0, 0)
    write_png(mask, odd)
    verdict, codes = _found(root, mask)
    assert verdict == "suspect" and "not_an_ellipse" in codes


def test_pixel_sizes_are_looked_at(root, mask):
    lines = (root / TABLE).read_text(encoding="utf-8-sig").splitlines()
    (place,) = (i for i, line in enumerate(lines) if line.startswith(mask.stem))
    for size, found in (("-1", ("wrong", ["pixel_size"])), ("12", ("wrong", ["pixel_size"]))):
        changed = [*lines[:place], f"{mask.stem}.png,{size}", *lines[place + 1 :]]
        (root / TABLE).write_text("\n".join(changed))
        assert _found(root, mask) == found
    (root / TABLE).write_text("\n".join([*lines, f"{mask.stem}.png,0.31"]))
    assert _found(root, mask) == ("wrong", ["two_pixel_sizes"])
    (root / TABLE).write_text("\n".join([*lines[:place], *lines[place + 1 :]]))
    assert _found(root, mask) == ("suspect", ["no_pixel_size"])


def test_images_are_looked_at(root, mask):
    image = root / IMAGES / mask.name
    image.write_bytes(image.read_bytes()[:90])
    assert _found(root, mask) == ("wrong", ["image"])
    image.unlink()
    assert _found(root, mask) == ("wrong", ["no_image"])


def test_a_root_without_the_plane_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no Trans-thalamic"):
        audit_fetal_head_biometry(tmp_path)
