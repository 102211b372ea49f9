"""The noisy OFD and BPD table on HC18's images: as it is, repaired, and HC18's own ends."""

import csv
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers import DATASETS
from fetal_tf.data.readers.hc18 import read_hc18
from fetal_tf.data.readers.landmark_labels import judge
from fetal_tf.data.readers.landmarks import read_landmarks
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.geometry.landmarks import canonical
from fetal_tf.edge.io import images
from fetal_tf.edge.io.images import image_size

COUNT = 12
TABLE = "landmarks/role_challenge_dataset_ground_truth.csv"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("landmarks") / "data"
    write_phantom("landmarks", root, COUNT, seed=5)
    return root


@pytest.fixture
def root(phantom, tmp_path) -> Path:
    """A copy to be broken."""
    return shutil.copytree(phantom, tmp_path / "copy")


def _rows(table: Path) -> dict[str, np.ndarray]:
    with table.open(newline="") as file:
        rows = {row.pop("image_name")[:-4]: row for row in csv.DictReader(file)}
    return {
        id: np.array([float(row[f"{end}_{k}"]) for end in _ENDS for k in "xy"]).reshape(4, 2)
        for id, row in rows.items()
    }


_ENDS = ("ofd_1", "ofd_2", "bpd_1", "bpd_2")


def _rewrite(root: Path, change) -> None:
    lines = (root / TABLE).read_text().splitlines()
    (root / TABLE).write_text("\n".join([lines[0], *change(lines[1:]), ""]))


def _refused(root: Path, **options) -> str:
    with pytest.raises(DataError) as error:
        read_landmarks(root, **options)
    return str(error.value)


def test_all_but_the_landmarks_is_hc18_s(phantom):
    theirs = {sample.id: sample for sample in read_hc18(phantom / "hc18")}
    for sample in read_landmarks(phantom):
        other = theirs[sample.id]
        assert sample.image_path == other.image_path and sample.group == other.group
        assert sample.mm_per_pixel == other.mm_per_pixel and sample.reference == other.reference
        np.testing.assert_array_equal(sample.load_mask(), other.load_mask())
    assert DATASETS.get("data", "landmarks") is read_landmarks


def test_noisy_takes_the_table_at_its_word(phantom):
    rows = _rows(phantom / TABLE)
    samples = read_landmarks(phantom)
    assert [sample.id for sample in samples] == sorted(rows)
    for sample in samples:
        np.testing.assert_array_equal(sample.load_landmarks(), rows[sample.id])


def test_clean_gives_the_ends_of_hc18_s_ellipses(phantom):
    theirs = {sample.id: sample for sample in read_hc18(phantom / "hc18")}
    for sample in read_landmarks(phantom, labels="clean"):
        points = sample.load_landmarks()
        np.testing.assert_array_equal(points, theirs[sample.id].load_landmarks())
        assert judge(points, image_size(sample.image_path)).verdict == "good"


def test_repaired_rows_are_the_axes_of_the_head_and_the_others_are_counted(phantom):
    with pytest.warns(UserWarning, match=r"\d of 12 rows cannot be the axes .*labels: repaired"):
        samples = read_landmarks(phantom, labels="repaired")
    clean = {sample.id: sample for sample in read_landmarks(phantom, labels="clean")}
    assert 3 < len(samples) < COUNT
    for sample in samples:
        points = sample.load_landmarks()
        np.testing.assert_array_equal(points, canonical(points))
        assert np.abs(points - clean[sample.id].load_landmarks()).max() < 20


def test_landmarks_survive_pickling_and_are_nobody_else_s(phantom):
    (sample, *_) = pickle.loads(pickle.dumps(read_landmarks(phantom)))
    points = sample.load_landmarks()
    assert points.dtype == np.float64 and points.shape == (4, 2)
    points += 1
    np.testing.assert_array_equal(sample.load_landmarks(), points - 1)


def test_another_table_may_be_named_by_its_place(root, tmp_path, monkeypatch):
    mine = tmp_path / "mine.csv"
    shutil.copy(root / TABLE, mine)
    _rewrite(root, lambda lines: lines[:3])
    assert len(read_landmarks(root)) == 3
    assert len(read_landmarks(root, table=str(mine))) == COUNT
    shutil.move(mine, root / "landmarks" / "repaired.csv")
    assert len(read_landmarks(root, table="repaired.csv")) == COUNT
    monkeypatch.chdir(root / "landmarks")
    shutil.move("repaired.csv", root / "here.csv")
    assert len(read_landmarks(root, table="../here.csv")) == COUNT
    assert "nowhere.csv is a file" in _refused(root, table="nowhere.csv")


def test_which_table_is_meant_must_be_clear(root):
    (root / "landmarks" / "second.csv").write_text("x")
    message = _refused(root)
    assert "one CSV is expected" in message and "second.csv" in message
    assert "`data.options.table`" in message
    shutil.rmtree(root / "landmarks")
    assert "found: none" in _refused(root)


def test_a_wrong_root_is_answered_with_the_right_one(root, tmp_path):
    assert f"`data.root: {root}`" in _refused(root / "landmarks")
    assert "holds no hc18/" in _refused(tmp_path / "nowhere")
    (root / "hc18" / "training_set_pixel_size_and_HC.csv").unlink()
    assert "training_set_pixel_size_and_HC.csv: missing" in _refused(root)


def _another_name(lines):
    return ["999_HC.png," + lines[0].split(",", 1)[1], *lines[1:]]


def _no_number(lines):
    return [lines[0].rsplit(",", 1)[0] + ",x", *lines[1:]]


@pytest.mark.parametrize(
    ("change", "expected", "id"),
    [
        (_another_name, "line 2: no image 999_HC.png in hc18/", "999_HC"),
        (_no_number, "line 2: 'bpd_2_y' is 'x', a number is expected", "000_HC"),
        (lambda lines: [lines[0], *lines], "2 rows for 000_HC.png, lines 2, 3", "000_HC"),
    ],
)
@pytest.mark.parametrize("labels", ["noisy", "repaired"])
def test_a_broken_row_is_named_with_its_cause_and_the_way_out(root, change, expected, id, labels):
    _rewrite(root, change)
    message = _refused(root, labels=labels)
    assert expected in message
    assert f"`data.exclude: [{id}]`" in message
    assert len(read_landmarks(root, exclude=[id, "000_HC"])) == COUNT - 1


def test_nothing_left_is_said_so(root):
    ids = [sample.id for sample in read_landmarks(root)]
    assert "no row is left" in _refused(root, exclude=ids)
    _rewrite(root, lambda lines: [f"{line.split(',')[0]},1,1,2,2,3,3,4,4" for line in lines])
    assert "12 of 12 rows cannot be the axes" in _refused(root, labels="repaired")


def test_labels_of_another_name_are_refused(phantom):
    spec = {"name": "landmarks", "labels": "good"}
    with pytest.raises(ConfigError, match=r"labels.*'noisy', 'repaired' or 'clean'.*'good'"):
        DATASETS.build("data", spec, phantom)


def test_the_real_table_is_read_whole_by_the_headers_of_its_frames(real_data, monkeypatch):
    monkeypatch.setattr(images, "read_frame", lambda *_: pytest.fail("decoded while reading"))
    noisy = read_landmarks(real_data)
    assert len(noisy) == len(read_landmarks(real_data, labels="clean")) == 490
    with pytest.warns(UserWarning, match="166 of 490 rows"):
        repaired = read_landmarks(real_data, labels="repaired")
    assert len(repaired) == 324
    called_ofd = [np.linalg.norm(np.subtract(*s.load_landmarks()[:2])) for s in noisy[300:]]
    called_bpd = [np.linalg.norm(np.subtract(*s.load_landmarks()[2:])) for s in noisy[300:]]
    assert np.mean(np.less(called_ofd, called_bpd)) > 0.95, "names are exchanged"


def test_clean_ends_agree_with_the_real_table_s_usable_rows(real_data):
    with pytest.warns(UserWarning, match="166 of 490"):
        repaired = read_landmarks(real_data, labels="repaired")[150::10]
    clean = {sample.id: sample for sample in read_landmarks(real_data, labels="clean")}
    shares, lengths = [], []
    for sample in repaired:
        points, truth = sample.load_landmarks(), clean[sample.id].load_landmarks()
        true_px = np.linalg.norm(truth[1::2] - truth[::2], axis=1)
        shares.append(np.linalg.norm(points - truth, axis=1).mean() / true_px.mean())
        lengths.append(np.linalg.norm(points[1::2] - points[::2], axis=1) / true_px)
    assert np.median(shares) < 0.06 and max(shares) < 0.2
    ofd, bpd = np.median(lengths, axis=0)
    # The table's BPD ends at the inner edge of the far skull, an ellipse's short axis outside it.
    assert ofd == pytest.approx(1.0, abs=0.02) and 0.93 < bpd < 0.99
