"""The audit of HC18: nothing on good frames, and each fault where it was made."""

import shutil

import numpy as np
import pytest

from fetal_tf.data.audit.hc18 import audit_hc18
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers.hc18 import read_hc18
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.images import read_gray, read_mask, write_png

TABLE = "training_set_pixel_size_and_HC.csv"


@pytest.fixture(scope="module", params=["outline", "filled"])
def phantom(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param) / "hc18"
    write_phantom("hc18", root, 8, seed=2, annotation=request.param)
    return root


@pytest.fixture
def root(phantom, tmp_path):
    shutil.copytree(phantom, tmp_path / "hc18")
    return tmp_path / "hc18"


@pytest.fixture
def id(root):
    """The frame to break."""
    return read_hc18(root)[3].id


def _change_row(root, id, change):
    """Let `change` have the cells of a row, numbers as floats."""
    lines = (root / TABLE).read_text().splitlines()
    (place,) = (i for i, line in enumerate(lines) if line.startswith(f"{id}.png,"))
    name, *numbers = lines[place].split(",")
    lines[place] = ",".join(map(str, change(name, *map(float, numbers))))
    (root / TABLE).write_text("\n".join([*lines, ""]))


def _found(root, id):
    """Codes of the broken frame; all others are good."""
    audit = audit_hc18(root)
    (broken,) = (f for f in audit.frames if f.file == f"training_set/{id}.png")
    assert {f.verdict for f in audit.frames if f is not broken} == {"good"}
    return broken.verdict, broken.codes()


def test_good_frames_are_good_and_their_numbers_agree(root):
    audit = audit_hc18(root)
    assert audit.verdicts() == {"good": 8, "suspect": 0, "wrong": 0}
    record = audit.as_record()
    assert record["measures"]["hc_difference_percent"]["max"] < 0.3
    assert record["measures"]["annotation_residual_percent"]["max"] < 1
    groups = {sample.group for sample in read_hc18(root)}
    assert record["fingerprint"]["groups"] == len(groups)
    assert record["fingerprint"]["classes"] == {"head": 8}
    sizes = [sample.mm_per_pixel for sample in read_hc18(root)]
    assert record["measures"]["mm_per_pixel"]["max"] == pytest.approx(max(sizes))


@pytest.mark.parametrize(
    ("scale", "verdict", "code"),
    [(1.1, "wrong", "hc_disagrees"), (0.97, "suspect", "hc_disagrees")],
)
def test_a_pixel_size_that_contradicts_hc_is_found(root, id, scale, verdict, code):
    _change_row(root, id, lambda name, size, hc: (name, size * scale, hc))
    assert _found(root, id) == (verdict, [code])


def test_impossible_and_unusual_sizes_are_found(root, id):
    _change_row(root, id, lambda name, size, hc: (name, -size, hc))
    assert _found(root, id) == ("wrong", ["pixel_size"])
    _change_row(root, id, lambda name, size, hc: (name, -8 * size, 8 * hc))
    verdict, codes = _found(root, id)
    assert verdict == "suspect"
    assert {"unusual_pixel_size", "implausible_head_size"} <= set(codes)


def test_two_frames_of_one_examination_that_contradict_each_other_are_suspect(root):
    samples = read_hc18(root)
    one, other = next((s, o) for s in samples for o in samples if s.group == o.group and s != o)
    _change_row(root, one.id, lambda name, size, hc: (name, size * 1.7, hc * 1.7))
    codes = {f.file: f.codes() for f in audit_hc18(root).frames if f.findings}
    assert codes.keys() == {f"training_set/{sample.id}.png" for sample in (one, other)}
    assert all("head_size_in_group" in found for found in codes.values())


def _annotation(root, id):
    return root / "training_set" / f"{id}_Annotation.png"


def test_broken_annotations_are_found(root, id):
    path = _annotation(root, id)
    drawing = read_mask(path)
    write_png(path, np.zeros_like(drawing))
    assert _found(root, id) == ("wrong", ["empty_annotation"])
    blocks = np.zeros_like(drawing)
    blocks[50:100, 50:700] = blocks[100:400, 50:100] = 255
    write_png(path, blocks)
    assert _found(root, id) == ("wrong", ["not_an_ellipse"])
    write_png(path, drawing[:-4])
    verdict, codes = _found(root, id)
    assert (verdict, codes[0]) == ("wrong", "annotation_size")
    path.write_text("no image")
    assert _found(root, id) == ("wrong", ["annotation"])
    path.unlink()
    assert _found(root, id) == ("wrong", ["no_annotation"])


def test_specks_and_ragged_borders_are_found(root, id):
    path = _annotation(root, id)
    drawing = read_mask(path)
    columns = np.flatnonzero(drawing.any(axis=0))
    specks = drawing.copy()
    specks[5:8, 20:23] = 255
    write_png(path, specks)
    verdict, codes = _found(root, id)
    assert verdict != "good" and "fragments" in codes
    bitten = drawing.copy()
    bitten[:, columns[0] : columns[0] + len(columns) // 12] = 0
    bitten[:, columns[-1] - len(columns) // 12 :] = 0
    write_png(path, bitten)
    verdict, codes = _found(root, id)
    assert verdict != "good"


def test_broken_images_and_missing_ones_are_found(root, id):
    path = root / "training_set" / f"{id}.png"
    image = read_gray(path)
    write_png(path, np.full_like(image, 9))
    assert _found(root, id) == ("suspect", ["blank_image"])
    path.write_bytes(path.read_bytes()[:200])
    assert _found(root, id) == ("wrong", ["image"])
    path.unlink()
    assert _found(root, id) == ("wrong", ["no_image"])


def test_rows_that_are_missing_or_double_are_found(root, id):
    lines = (root / TABLE).read_text().splitlines()
    (row,) = (line for line in lines if line.startswith(f"{id}.png,"))
    (root / TABLE).write_text("\n".join([*lines, row]))
    assert _found(root, id) == ("wrong", ["two_rows"])
    (root / TABLE).write_text("\n".join(line for line in lines if line != row))
    assert _found(root, id) == ("wrong", ["no_row"])


def test_copies_across_examinations_are_suspect(root):
    folder = root / "training_set"
    source = read_hc18(root)[0]
    row = f"{source.mm_per_pixel},{source.reference['hc_mm']}"
    with (root / TABLE).open("a") as table:
        for name in ("900_HC", "901_HC"):
            shutil.copy(_annotation(root, source.id), folder / f"{name}_Annotation.png")
            table.write(f"{name}.png,{row}\n")
    shutil.copy(source.image_path, folder / "900_HC.png")
    write_png(folder / "901_HC.png", (read_gray(source.image_path) * 0.9).astype(np.uint8))
    audit = audit_hc18(root)
    found = {f.file: f.codes() for f in audit.frames if f.findings}
    assert found == {
        f"training_set/{source.id}.png": ["duplicate", "near_duplicate"],
        "training_set/900_HC.png": ["duplicate", "near_duplicate"],
        "training_set/901_HC.png": ["near_duplicate"],
    }
    assert audit.as_record()["duplicates"][0]["across_groups"]
    assert audit.as_record()["near_duplicates"][0]["across_groups"]


def test_a_root_without_hc18_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no training_set/"):
        audit_hc18(tmp_path)


def test_every_fourth_real_frame_has_no_fault(real_data, tmp_path):
    """No finding but copies: HC18's numbers agree with its annotations within 0.2 %."""
    if not (real_data / "hc18").is_dir():
        pytest.skip("no hc18/")
    header, *lines = (real_data / "hc18" / TABLE).read_text().splitlines()
    (tmp_path / "training_set").mkdir()
    for line in lines[::4]:
        for ending in ("", "_Annotation"):
            name = line.split(",")[0].replace(".png", f"{ending}.png")
            (tmp_path / "training_set" / name).symlink_to(real_data / "hc18/training_set" / name)
    (tmp_path / TABLE).write_text("\n".join([header, *lines[::4]]))
    audit = audit_hc18(tmp_path)
    assert audit.frames_by_code().keys() <= {"duplicate"}
    assert audit.statistics()["hc_difference_percent"]["max"] < 0.2
