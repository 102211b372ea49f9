"""Faults of whole datasets, each against every command that meets it: none passes in silence."""

import shutil

import numpy as np
import pytest
from PIL import Image

from fetal_tf import evaluate, train
from fetal_tf.cli import audit
from fetal_tf.data.audit.hc18 import audit_hc18
from fetal_tf.data.audit.planes import audit_planes
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers.ellipse_annotation import load_ellipse
from fetal_tf.data.readers.focus import read_focus
from fetal_tf.data.readers.hc18 import read_hc18
from fetal_tf.data.readers.planes import read_planes
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import rasterise
from fetal_tf.edge.io.images import read_mask, write_png

TABLE = "training_set_pixel_size_and_HC.csv"
CONFIG = """
name: trial
data: {dataset: DATASET, root: ROOT, image_size: [32, 48]}
split: {val: 0.2, test: 0.2}
task: TASK
model: {name: unet, base: 4, depth: 1, convs_per_block: 1}
loss: {name: bce_dice}
optimizer: {name: adamw, learning_rate: 5e-3}
train: {epochs: 1, batch_size: 4, monitor: loss}
"""
TASKS = {
    "hc18": "{name: segmentation, classes: [head], measurement: head}",
    "focus": "{name: four_chamber, classes: [thorax, heart]}",
    "planes": "{name: segmentation, classes: [head], measurement: head}",
}


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantom("hc18", folder / "hc18", 12, seed=1, annotation="filled")
    write_phantom("focus", folder / "focus", 12, seed=1)
    write_phantom("planes", folder / "planes", 12, seed=1)
    return folder


@pytest.fixture
def copy_of(phantoms, tmp_path, monkeypatch):
    """Call it with a dataset: its phantom, free to be damaged; the current folder is empty."""
    monkeypatch.chdir(tmp_path)
    return lambda name: shutil.copytree(phantoms / name, tmp_path / name)


def _change_table(change):
    """A fault that has the table's rows as (name, pixel size, HC) and gives others."""

    def damage(root):
        header, *lines = (root / TABLE).read_text().splitlines()
        rows = [(name, float(size), float(hc)) for name, size, hc in (x.split(",") for x in lines)]
        changed = [",".join(map(str, row)) for row in change(rows)]
        (root / TABLE).write_text("\n".join([header, *changed, ""]))

    return damage


def _annotations(root):
    return sorted((root / "training_set").glob("*_Annotation.png"))


def _redraw(change):
    def damage(root):
        for path in _annotations(root):
            write_png(path, np.ascontiguousarray(change(read_mask(path))))

    return damage


def _without_line(root):
    for path in _annotations(root):
        ellipse, shape = load_ellipse(path)
        write_png(path, rasterise(ellipse, shape).astype(np.uint8) * 255)


def _with_orientation(root):
    for path in sorted((root / "training_set").glob("*HC.png")):
        turned = Image.open(path).rotate(180)
        exif = Image.Exif()
        exif[0x0112] = 3
        turned.save(path, exif=exif)


def _two_labels(mask):
    labels = np.where(mask > 0, 1, 0).astype(np.uint8)
    labels[: mask.shape[0] // 2] *= 2
    return labels


def _shifted(rows):
    names, sizes, circumferences = zip(*rows, strict=True)
    return zip(names, (*sizes[1:], sizes[0]), (*circumferences[1:], circumferences[0]), strict=True)


REFUSED = {
    "HC in cm": (_change_table(lambda rows: [(n, s, h / 10) for n, s, h in rows]), "looks like cm"),
    "columns swapped": (_change_table(lambda rows: [(n, h, s) for n, s, h in rows]), "swapped"),
    "pixel size 1e9": (_change_table(lambda rows: [(n, 1e9, h) for n, s, h in rows]), "0.01 to 2"),
    "inverted": (_change_table(lambda rows: [(n, 1 / s, h) for n, s, h in rows]), "0.01 to 2"),
    "rows shifted": (_change_table(_shifted), "are the rows shifted?"),
    "one row x10": (
        _change_table(lambda rows: [*rows[:3], (*rows[3][:2], 10 * rows[3][2]), *rows[4:]]),
        "ten times too large",
    ),
    "two labels": (_redraw(_two_labels), "several values"),
}
FOUND = {
    "no line drawn": (_without_line, "annotation_line", 0),
    "upside down": (_redraw(np.flipud), "turned", 1),
    "turned by 180 degrees": (_redraw(lambda mask: mask[::-1, ::-1]), "turned", 1),
    "both in cm": (
        _change_table(lambda rows: [(n, 0.012, 0.012 * h / s) for n, s, h in rows]),
        "sizes_in_cm",
        1,
    ),
    "an orientation in the file": (_with_orientation, "orientation", 0),
}


def _dry_run(name, root):
    text = CONFIG.replace("DATASET", name).replace("ROOT", str(root)).replace("TASK", TASKS[name])
    (root.parent / "trial.yaml").write_text(text)
    return train.main(["--config", str(root.parent / "trial.yaml"), "--dry-run"])


def _audit(name, root):
    return audit.main([name, "--root", str(root), "--out", str(root.parent / "audit")])


@pytest.mark.parametrize("fault", REFUSED)
def test_a_table_that_contradicts_its_drawings_is_refused_everywhere(copy_of, fault, capsys):
    root = copy_of("hc18")
    damage, reason = REFUSED[fault]
    damage(root)
    with pytest.raises(DataError, match="images cannot be used") as error:
        read_hc18(root)
    assert reason in str(error.value) and "data.exclude" in str(error.value)
    assert _dry_run("hc18", root) == 2
    assert reason in capsys.readouterr().err
    assert evaluate.main(["zoo:hc18", "--data-root", str(root), "--split", "all"]) == 2
    assert reason in capsys.readouterr().err
    assert _audit("hc18", root) == 1


@pytest.mark.parametrize("fault", FOUND)
def test_what_no_table_tells_is_found_by_audit_and_dry_run_alike(copy_of, fault, capsys):
    root = copy_of("hc18")
    damage, code, status = FOUND[fault]
    damage(root)
    assert _dry_run("hc18", root) == status
    *_, last = lines = capsys.readouterr().out.splitlines()
    verdict = "wrong" if status else "to look at"
    assert any(line.startswith(f"{verdict}: hc18: {code}: ") for line in lines)
    assert last.startswith("would train trial: train ")
    assert ("nothing wrong found" in last) == (status == 0)
    assert _audit("hc18", root) == status
    assert f"  {code} " in capsys.readouterr().out


@pytest.mark.parametrize("name", TASKS)
def test_a_dry_run_of_good_data_ends_with_one_line_that_says_so(copy_of, name, capsys):
    root = copy_of(name)
    assert _dry_run(name, root) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("would train trial: train ") and ": nothing wrong found" in last


def test_frames_that_are_excluded_are_not_held_against_the_data(copy_of, capsys):
    root = copy_of("hc18")
    path = _annotations(root)[3]
    write_png(path, _two_labels(read_mask(path)))
    assert _dry_run("hc18", root) == 2
    text = (root.parent / "trial.yaml").read_text()
    id = path.stem.removesuffix("_Annotation")
    (root.parent / "trial.yaml").write_text(text.replace("root:", f"exclude: [{id}], root:"))
    assert train.main(["--config", str(root.parent / "trial.yaml"), "--dry-run"]) == 0
    assert ": nothing wrong found" in capsys.readouterr().out.splitlines()[-1]


def test_the_line_that_fits_is_named_and_setting_it_ends_the_doubt(copy_of):
    root = copy_of("hc18")
    _without_line(root)
    with pytest.warns(UserWarning, match=r"`data\.options\.annotation_line_px: -?0\.\d`"):
        samples = read_hc18(root)
    frame = samples[0]
    found = audit_hc18(root).frames[0].findings
    assert [finding.code for finding in found if not finding.wrong].count("annotation_line") == 1
    assert audit_hc18(root, annotation_line_px=0.0).frames_by_code().keys() == set()
    read = read_hc18(root, annotation_line_px=0.0)[0]
    ends = read.load_landmarks()
    (long_px, short_px) = np.linalg.norm(ends[1::2] - ends[::2], axis=1)
    before = frame.load_landmarks()
    assert long_px - np.linalg.norm(before[1] - before[0]) == pytest.approx(2.8, abs=0.01)
    assert short_px < long_px


def test_a_wrong_scale_is_not_taken_for_another_line(copy_of):
    root = copy_of("hc18")
    _change_table(lambda rows: [(n, 0.988 * s, h) for n, s, h in rows])(root)
    assert "annotation_line" not in audit_hc18(root).frames_by_code()


def test_two_turned_drawings_may_be_the_net_s_own_mistakes(copy_of):
    root = copy_of("hc18")
    for path in _annotations(root)[:2]:
        write_png(path, np.ascontiguousarray(np.flipud(read_mask(path))))
    assert "turned" not in audit_hc18(root).frames_by_code()


def test_a_mirrored_heart_is_found(copy_of, capsys):
    root = copy_of("focus")
    for path in sorted(root.glob("*/images/*.png")):
        write_png(path, np.ascontiguousarray(np.fliplr(np.asarray(Image.open(path)))))
    assert _dry_run("focus", root) == 1
    assert "mirrored left to right" in capsys.readouterr().out
    assert _audit("focus", root) == 1


def _only_ellipses(root, change):
    for kind in ("annfiles_mask", "annfiles_rectangle"):
        for folder in root.glob(f"*/{kind}"):
            shutil.rmtree(folder)
    for path in root.glob("*/annfiles_ellipse/*.txt"):
        lines = [line.split() for line in path.read_text().splitlines()]
        path.write_text("\n".join(" ".join(change(*line)) for line in lines))


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        (
            lambda x, y, a, b, t, name: (x, y, a, b, f"{np.radians(float(t)):.3f}", name),
            "radians",
            "look like radians",
        ),
        (
            lambda x, y, a, b, t, name: (x, y, str(2 * float(a)), str(2 * float(b)), t, name),
            "place",
            "axes whole ones",
        ),
    ],
    ids=["radians", "whole axes"],
)
def test_ellipses_in_another_unit_are_found(copy_of, change, code, reason, capsys):
    root = copy_of("focus")
    _only_ellipses(root, change)
    with pytest.raises(DataError, match=reason):
        read_focus(root)
    assert _dry_run("focus", root) == 2
    assert reason in capsys.readouterr().err
    assert _audit("focus", root) == 1
    assert f"  {code} " in capsys.readouterr().out


def test_ellipses_in_upright_boxes_are_no_radians(copy_of):
    root = copy_of("focus")
    _only_ellipses(root, lambda x, y, a, b, t, name: (x, y, a, a, "0.0", name))
    assert len(read_focus(root)) == 12


def test_pixel_sizes_in_cm_are_found_without_any_circumference(copy_of):
    root = copy_of("planes")
    header, *lines = (root / "Head.csv").read_text().splitlines()
    rows = [line.rsplit(",", 1) for line in lines]
    (root / "Head.csv").write_text(
        "\n".join([header, *(f"{start},{float(size) / 10}" for start, size in rows), ""])
    )
    with pytest.raises(DataError, match="images cannot be used"):
        read_planes(root)
    audited = audit_planes(root)
    assert audited.wrong and {"sizes_in_cm", "pixel_size"} & audited.frames_by_code().keys()
