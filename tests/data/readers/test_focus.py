"""FOCUS reader: what it reads, and what it says about each way a folder can be broken."""

import itertools
import math
import os
import pickle
import re
import shutil
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fetal_tf.data.readers import DATASETS
from fetal_tf.data.readers.focus import read_focus
from fetal_tf.data.readers.focus_checks import check_places, gap_px, heart_share_outside
from fetal_tf.data.readers.focus_masks import MASK_BORDER_PX, fitted_ellipse, mask_iou, read_inside
from fetal_tf.data.splits import split_groups
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.io.images import write_png
from tests.data.readers import focus_faults
from tests.data.readers.focus_folder import KINDS, OUTLINES, SHAPE, filled, write_focus, write_frame

IDS = ["testing_001", "training_001", "training_002", "training_003", "validation_001"]


@pytest.fixture
def root(tmp_path):
    return write_focus(tmp_path / "focus")


def _refused(root, **options) -> str:
    with pytest.raises(DataError) as error:
        read_focus(root, **options)
    return str(error.value)


def _expected_mask() -> np.ndarray:
    mask = rasterise(OUTLINES["thorax"], SHAPE).astype(np.uint8)
    mask[rasterise(OUTLINES["heart"], SHAPE)] = 2
    return mask


def test_reads_ids_official_splits_groups_and_outlines(root):
    samples = read_focus(root)
    assert [sample.id for sample in samples] == IDS
    assert [sample.group for sample in samples] == IDS
    splits = [sample.official_split for sample in samples]
    assert splits == ["test", "train", "train", "train", "val"]
    for sample in samples:
        assert sample.labels == ("thorax", "heart")
        assert sample.present == {"thorax", "heart"}
        assert sample.mm_per_pixel is None
        assert set(sample.ellipses) == {"thorax", "heart"}
        assert all(gap_px(sample.ellipses[s], OUTLINES[s]) < 0.1 for s in OUTLINES)
    assert samples[1].image_path == root / "training" / "images" / "001.png"
    assert DATASETS.get("data", "focus") is read_focus


def test_the_mask_is_an_index_of_thorax_and_of_the_heart_inside(root):
    for sample in pickle.loads(pickle.dumps(read_focus(root))):
        mask = sample.load_mask()
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, _expected_mask())


@pytest.mark.parametrize("kept", ["training", "validation", "testing"])
def test_one_official_folder_is_enough(root, kept):
    for name in {"training", "validation", "testing"} - {kept}:
        shutil.rmtree(root / name)
    samples = read_focus(root)
    assert [sample.id for sample in samples] == [id for id in IDS if id.startswith(kept)]


@pytest.mark.parametrize(
    "absent", [kinds for n in (1, 2) for kinds in itertools.combinations(KINDS, n)]
)
def test_any_kind_of_annotation_will_do(root, absent):
    for kind in absent:
        for folder in ("training", "validation", "testing"):
            shutil.rmtree(root / folder / kind)
    samples = read_focus(root)
    assert [sample.id for sample in samples] == IDS
    for sample in samples:
        # Fitted to masks of these sizes: the border, and what pixels leave open.
        assert all(gap_px(sample.ellipses[s], OUTLINES[s]) < 0.5 for s in OUTLINES)
        mask, expected = sample.load_mask(), _expected_mask()
        assert (mask != expected).mean() < 0.004
        assert set(np.unique(mask)) == {0, 1, 2}


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_of_one_frame_may_be_missing(root, kind):
    for path in (root / "training" / kind).glob("002*"):
        path.unlink()
    assert [sample.id for sample in read_focus(root)] == IDS


def _only_ellipses(root, change):
    """Leave the ellipse files alone, with `change` applied to cx, cy, a, b, theta."""
    for kind in set(KINDS) - {"annfiles_ellipse"}:
        for folder in root.glob(f"*/{kind}"):
            shutil.rmtree(folder)
    for path in root.glob("*/annfiles_ellipse/*.txt"):
        lines = [line.split() for line in path.read_text().splitlines()]
        texts = [[*map(str, change(*map(float, line[:5]))), *line[5:]] for line in lines]
        path.write_text("\n".join(map(" ".join, texts)) + "\n")
    return root


def test_angles_in_radians_are_recognised(root):
    read_focus(_only_ellipses(root, lambda x, y, a, b, theta: (x, y, a, b, theta)))
    radians = _only_ellipses(root, lambda x, y, a, b, theta: (x, y, a, b, math.radians(theta)))
    assert "they look like radians, degrees are expected" in _refused(radians)


def test_whole_axes_are_recognised(root):
    whole = _only_ellipses(root, lambda x, y, a, b, theta: (x, y, 2 * a, 2 * b, theta))
    message = _refused(whole)
    assert "5 of 5 images" in message and message.count("Semi-axes are expected") == 5


def test_one_mask_of_two_may_be_missing_where_an_ellipse_is_there(root):
    (root / "training/annfiles_mask/002-cardiac.png").unlink()
    np.testing.assert_array_equal(read_focus(root)[2].load_mask(), _expected_mask())


def test_the_masks_of_a_frame_say_thorax_or_thoracic(root):
    folder = root / "training/annfiles_mask"
    (folder / "002-thorax.png").rename(folder / "002-thoracic.png")
    np.testing.assert_array_equal(read_focus(root)[2].load_mask(), _expected_mask())


def test_the_truth_is_drawn_from_the_ellipse_whose_masks_only_have_to_agree(root):
    for name, word in (("heart", "cardiac"), ("thorax", "thorax")):
        path = root / "training" / "annfiles_mask" / f"001-{word}.png"
        write_png(path, filled(OUTLINES[name].shrunk(-0.3)) * np.uint8(255))
    np.testing.assert_array_equal(read_focus(root)[1].load_mask(), _expected_mask())


def test_colour_masks_and_masks_of_ones_are_masks(root):
    for kind in ("annfiles_ellipse", "annfiles_rectangle"):
        shutil.rmtree(root / "training" / kind)
    folder = root / "training/annfiles_mask"
    inside = filled(OUTLINES["heart"])
    Image.fromarray(np.repeat(inside[..., None] * np.uint8(255), 3, 2)).save(
        folder / "001-cardiac.png"
    )
    write_png(folder / "002-cardiac.png", inside)
    colour, ones, usual = read_focus(root)[1:4]
    np.testing.assert_array_equal(colour.load_mask(), usual.load_mask())
    np.testing.assert_array_equal(ones.load_mask(), usual.load_mask())


def test_files_that_are_not_frames_are_passed_over(root):
    (root / "training/images/Thumbs.db").write_bytes(b"x")
    (root / "training/images/._001.png").write_bytes(b"x")
    (root / "training/annfiles_mask/._001-cardiac.png").write_bytes(b"x")
    (root / "README.txt").write_text("mine")
    assert len(read_focus(root)) == 5


# --- the same image twice


def test_copies_in_one_folder_share_a_group_without_a_word(root):
    write_frame(root / "training", "009", 20)  # as training/001
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples = {sample.id: sample for sample in read_focus(root)}
    assert samples["training_009"].group == samples["training_001"].group == "training_001"
    assert len({sample.group for sample in samples.values()}) == 5


@pytest.mark.parametrize(
    ("folders", "split"),
    [
        (("training", "validation"), "val"),
        (("training", "testing"), "test"),
        (("validation", "testing"), "test"),
        (("training", "validation", "testing"), "test"),
    ],
)
def test_copies_in_several_folders_go_to_the_most_held_out_one(root, folders, split):
    moved = {name: outline.stretched(1, 1, 2, 0) for name, outline in OUTLINES.items()}
    for folder in folders:  # annotated differently, and the same image all the same
        write_frame(root / folder, "009", 200, moved if folder == folders[0] else OUTLINES)
    with pytest.warns(UserWarning, match="byte-identical") as caught:
        samples = read_focus(root)
    copies = [sample for sample in samples if sample.id.endswith("009")]
    assert {sample.group for sample in copies} == {min(f"{folder}_009" for folder in folders)}
    assert {sample.official_split for sample in copies} == {split}
    (warning,) = caught
    assert all(f"{folder}/images/009.png" in str(warning.message) for folder in folders)
    assert f"(all to {split})" in str(warning.message)
    assert {row.split for row in split_groups(samples, 0, 0, 0).values()} == {
        "train", "val", "test",
    }  # fmt: skip


def test_a_copy_that_is_excluded_moves_nothing(root):
    write_frame(root / "testing", "009", 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples = read_focus(root, exclude=["testing_009"])
    assert {s.id: s.official_split for s in samples}["training_001"] == "train"


# --- bad input


FAULTS = {
    "swap": (
        r"annfiles_ellipse/002.txt: the heart's ellipse lies up to 9\.\d px from its rectangle in "
        r"annfiles_rectangle/002.txt, at most 3 px are expected \(its semi-axes look swapped\)\."
    ),
    "shift": r"annfiles_ellipse/002.txt: the heart's ellipse lies up to \d\.\d px .* expected\.$",
    "heart_outside": (
        r"images/002.png: \d\d % of the heart's outline lie outside the thorax, at most 5 %"
    ),
    "heart_beyond_frame": (
        r"images/002.png: the heart's centre \(10.0, 130.0\) lies outside the image, 160x120"
    ),
    "no_annotation": (
        r"images/002.png: no annotation; expected 002.txt in annfiles_ellipse/ or "
        r"annfiles_rectangle/, or 002-cardiac.png and 002-thorax.png in annfiles_mask/"
    ),
    "only_one_mask": r"images/002.png: no annotation; .*, or 002-cardiac.png in annfiles_mask/",
    "only_odd_masks": r"annfiles_mask/002-thorax.png: not an ellipse: the best one has IoU 0\.\d\d",
    "only_empty_masks": r"annfiles_mask/002-thorax.png: the mask is empty, a filled outline is",
    "no_image": r"images/002.png: missing, but there is .*/training/annfiles_ellipse/002.txt",
    "two_images": r"images: 2 files for 002 \(002.bmp, 002.png\); one expected",
    "small_mask": (r"002-thorax.png: mask is 120x150 \(height x width\), image is 120x160"),
    "unknown_mask": (
        r"002-lung.png: unknown label, expected 002-LABEL.png with a LABEL of cardiac, thorax, "
        r"thoracic"
    ),
    "nameless_mask": r"002.png: unknown label, expected 002-LABEL.png",
    "two_spellings": (
        r"annfiles_mask: 2 files for 002-thorax.png \(002-thoracic.png, 002-thorax.png\)"
    ),
    "no_image_file": r"images/002.png: not an image",
    "one_label": r"annfiles_ellipse/002.txt: no line for thorax \(found: cardiac\)",
    "broken_rectangle": r"annfiles_rectangle/002.txt, line 1: 6 values, expected 10",
    "normalised": (
        r"images/002.png: the heart covers 0.000\d+ % of the image's area, 0.2 to 400 are "
        r"expected; are its numbers pixels of this image\?"
    ),
    "endless": r"images/002.png: the thorax covers 3.27e\+05 % of the image's area",
    "overflowing": r"002.txt, line 1: '1e300' found, at most 100000 px are expected",
    "full_masks": r"annfiles_mask/002-thorax.png: the mask fills the whole image",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_frame_is_named_with_its_cause_and_can_be_left_out(root, fault):
    getattr(focus_faults, fault)(root)
    message = _refused(root)
    head, cause, way_out = message.splitlines()
    assert head == f"{root}: 1 of 5 images cannot be used:"
    assert re.search(FAULTS[fault], cause.strip()), cause
    assert way_out == "Leave them out with `data.exclude: [training_002]`, or correct them."
    assert [s.id for s in read_focus(root, exclude=["training_002"])] == [
        id for id in IDS if id != "training_002"
    ]


def test_all_faults_are_reported_together(root):
    focus_faults.one_label(root)
    (root / "training/images/003.png").unlink()
    message = _refused(root)
    assert "2 of 5 images cannot be used" in message
    assert "exclude: [training_002, training_003]" in message


def test_a_mask_that_disagrees_with_its_ellipse_is_named_with_the_iou_and_the_way_out(root):
    path = root / "training/annfiles_mask/002-cardiac.png"
    shifted = rasterise(OUTLINES["heart"].stretched(1, 1, 9, 0), SHAPE)
    iou = mask_iou(shifted, OUTLINES["heart"])
    assert 0.3 < iou < 0.9
    write_png(path, shifted.astype(np.uint8) * 255)
    sample = read_focus(root)[2]  # only headers are read
    with pytest.raises(DataError) as error:
        sample.load_mask()
    assert str(error.value) == (
        f"{path}: IoU {iou:.2f} with its ellipse, at least 0.9 is expected. Correct the "
        "annotation, or leave the frame out with `data.exclude: [training_002]`."
    )


def test_swapped_axes_are_told_from_the_mask_where_there_is_no_rectangle(root):
    focus_faults.swap(root)
    shutil.rmtree(root / "training/annfiles_rectangle")
    with pytest.raises(DataError, match=r"its semi-axes look swapped: IoU (1.00|0.9\d) with b"):
        read_focus(root)[2].load_mask()


def test_an_empty_mask_beside_an_ellipse_is_named_when_it_is_loaded(root):
    write_png(root / "training/annfiles_mask/002-thorax.png", np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataError, match=r"002-thorax.png: the mask is empty"):
        read_focus(root)[2].load_mask()


@given(st.floats(-40, 40), st.floats(-40, 40))
def test_the_share_of_the_heart_outside_is_that_of_its_outline(dx, dy):
    thorax = Ellipse(0, 0, 50, 50, 0)
    heart = Ellipse(dx, dy, 20, 20, 0)
    # Two circles: the part of the small one's outline beyond the large one is an arc.
    distance = np.hypot(dx, dy)
    cosine = (50**2 - 20**2 - distance**2) / max(2 * 20 * distance, 1e-9)
    expected = np.arccos(np.clip(cosine, -1, 1)) / np.pi
    found = heart_share_outside({"heart": heart, "thorax": thorax})
    assert found == pytest.approx(expected, abs=2 / 360 + 1e-9)


def test_a_heart_that_touches_the_wall_is_no_fault(tmp_path):
    ellipses = {"thorax": Ellipse(60, 60, 50, 50, 0), "heart": Ellipse(90.1, 60, 20, 20, 0)}
    assert 0 < heart_share_outside(ellipses) <= 0.05
    check_places(tmp_path / "001.png", ellipses, (120, 120))


# --- the root


@pytest.mark.parametrize("deeper", ["training", "validation/images", "testing/annfiles_mask"])
def test_a_root_too_deep_is_answered_with_the_right_one(root, deeper):
    message = _refused(root / deeper)
    assert message.startswith(f"data.root: {root / deeper} holds no training/, validation/, testin")
    assert message.endswith(f"Name the folder above {deeper.split('/')[0]}/: `data.root: {root}`.")


def test_a_root_too_high_is_answered_with_the_right_one(root):
    assert _refused(root.parent).endswith(f"They lie one folder deeper: `data.root: {root}`.")


def test_a_root_that_is_no_folder_or_has_nothing_of_focus(tmp_path):
    assert f"{tmp_path / 'x'} is not a folder" in _refused(tmp_path / "x")
    assert "training/images/001.png" in _refused(tmp_path)


def test_an_official_folder_without_images_or_without_annotations(root):
    for kind in KINDS:
        shutil.rmtree(root / "testing" / kind)
    expected = f"{root / 'testing'}: no annotations; expected one of annfiles_ellipse/, annfiles_r"
    assert _refused(root).startswith(expected)
    shutil.rmtree(root / "testing/images")
    assert _refused(root).startswith(f"{root / 'testing/images'}: no images; expected NNN.png")


def test_everything_excluded_is_an_error(root):
    assert "no image is left; all 5 are in `data.exclude`" in _refused(root, exclude=IDS)
    assert len(read_focus(root, exclude=["training_777"])) == 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(root):
    (root / "training/annfiles_ellipse/002.txt").chmod(0)
    assert "002.txt: cannot be read: Permission denied" in _refused(root)


# --- fitting


@given(
    st.floats(60.0, 66.0), st.floats(50.0, 60.0), st.floats(25.0, 45.0), st.floats(0.55, 1.0),
    st.floats(0.0, 180.0),
)  # fmt: skip
def test_an_ellipse_is_found_again_in_its_mask(x, y, semi_major, ratio, angle_deg):
    ellipse = Ellipse(x, y, semi_major, semi_major * ratio, angle_deg)
    filled = rasterise(ellipse.shrunk(-MASK_BORDER_PX), (120, 130))
    assert gap_px(fitted_ellipse("mask.png", filled), ellipse) < 0.25


# --- real images


@pytest.fixture(scope="module")
def real_samples(real_data):
    if not (real_data / "focus").is_dir():
        pytest.skip("no FOCUS here")
    return {sample.id: sample for sample in read_focus(real_data / "focus")}


def test_real_counts_and_copies(real_samples):
    splits = [s.official_split for s in real_samples.values() if not s.id.startswith("testing")]
    assert (splits.count("train"), splits.count("val")) == (200, 50)
    for one, other in (("039", "040"), ("108", "109")):
        assert real_samples[f"training_{other}"].group == f"training_{one}"


def test_real_hearts_lie_in_their_thorax(real_samples):
    assert all(heart_share_outside(s.ellipses) == 0 for s in real_samples.values())


def test_real_masks_agree_with_ellipses_and_with_what_is_fitted_to_them(real_samples):
    offsets = []
    for sample in list(real_samples.values())[::25]:
        mask = sample.load_mask()
        assert set(np.unique(mask)) == {0, 1, 2}
        folder = sample.image_path.parent.parent / "annfiles_mask"
        for structure, word in (("heart", "cardiac"), ("thorax", "thorax")):
            path = folder / f"{sample.image_path.stem}-{word}.png"
            inside, annotated = read_inside(path), sample.ellipses[structure]
            assert mask_iou(inside, annotated) > 0.97
            fitted = fitted_ellipse(path, inside)
            assert gap_px(fitted, annotated) < 1.5
            offsets.append(fitted.semi_minor - annotated.semi_minor)
            drawn = rasterise(fitted, inside.shape)
            assert (inside & drawn).sum() / (inside | drawn).sum() > 0.98
    # Without the border taken off they would be 0.4 px too large.
    assert abs(np.mean(offsets)) < 0.2
