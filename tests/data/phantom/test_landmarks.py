"""The phantom of the noisy table: its rows have exactly the faults that its list names."""

import csv
from pathlib import Path

import numpy as np
import pytest

from fetal_tf.data.phantom.head import FRAME_SHAPE
from fetal_tf.data.phantom.landmarks import draw_label
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers.ellipse_annotation import load_ellipse
from fetal_tf.data.readers.landmark_labels import FAR_SHARE, judge, judge_against
from fetal_tf.data.readers.landmark_table import read_landmark_rows, row_points
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.landmarks import ellipse_landmarks

COUNT, SEED = 16, 2
TABLE = "landmarks/role_challenge_dataset_ground_truth.csv"
HEAD = Ellipse(400.0, 270.0, 210.0, 165.0, 12.0)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "landmarks"
    assert write_phantom("landmarks", root, COUNT, SEED)
    return root


def _faults(root: Path) -> dict[str, set[str]]:
    with (root / "faults.csv").open(newline="") as file:
        return {
            row["image_name"].removesuffix(".png"): set(row["faults"].split())
            for row in csv.DictReader(file)
        }


def test_it_holds_hc18_s_phantom_a_table_and_its_faults(phantom):
    found = {path.relative_to(phantom).as_posix() for path in phantom.rglob("*.csv")}
    assert found == {TABLE, "faults.csv", "hc18/training_set_pixel_size_and_HC.csv"}
    images = {path.stem for path in phantom.glob("hc18/training_set/*HC.png")}
    assert len(images) == COUNT
    rows = read_landmark_rows(phantom / TABLE)
    assert set(rows) == set(_faults(phantom)) == images
    assert list(rows) == sorted(rows)


def test_each_row_has_the_faults_that_are_listed(phantom):
    faults = _faults(phantom)
    for id, (row,) in read_landmark_rows(phantom / TABLE).items():
        ellipse, size = load_ellipse(phantom / f"hc18/training_set/{id}_Annotation.png")
        points = row_points(row)
        assert (judge_against(points, ellipse) > FAR_SHARE) == ("unrelated" in faults[id])
        if "unrelated" not in faults[id]:
            found = judge(points, size)
            assert {code for code, _ in found.reasons} == faults[id]
            truth = ellipse_landmarks(ellipse)
            assert np.abs(found.repaired - truth).max() < 0.05 * 2 * ellipse.semi_major


def test_faults_are_as_frequent_as_in_the_published_table():
    truth = ellipse_landmarks(HEAD)
    drawn = [draw_label(truth, np.random.default_rng([SEED, i])) for i in range(2000)]
    faults = [found for _, found in drawn]
    related = [found for found in faults if found != ["unrelated"]]
    assert len(related) / len(faults) == pytest.approx(0.7, abs=0.04)
    assert np.mean(["axes_swapped" in f for f in related]) == pytest.approx(0.9, abs=0.03)
    assert np.mean(["ends_swapped" in f for f in related]) == pytest.approx(0.75, abs=0.04)
    assert [] in faults
    refused = [judge(points, FRAME_SHAPE).verdict == "wrong" for points, _ in drawn]
    unrelated = [found == ["unrelated"] for found in faults]
    assert np.mean(np.array(refused)[unrelated]) > 0.95
    assert not np.array(refused)[np.invert(unrelated)].any()
