"""`python -m tools.plane_gate`: what it writes, prints and refuses."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from fetal_tf.cli.plane_gate import main
from fetal_tf.data.sample import Sample
from fetal_tf.edge.geometry.letterbox import letterboxed
from fetal_tf.edge.measure.plane import WithInput
from fetal_tf.tasks import TASKS
from tests.evaluation.evaluation_fakes import INPUT_SHAPE

GRAYS = [100, 130]  # of the fixture `samples`: flat frames, as another dataset
SPEC = {"name": "reconstruction", "classes": ["four_chamber"], "measurement": "plane"}


class Blurry:
    """Reconstructs a frame as its half."""

    input_shape = INPUT_SHAPE

    def predict(self, images):
        return images.astype(np.float32) / 510


def speckled(folder, count=24):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    found = []
    for i in range(count):
        path = folder / f"{i:03d}.png"
        Image.fromarray(rng.integers(30, 220, (48, 64)).astype(np.uint8)).save(path)
        found.append(Sample(f"own_{i:03d}", path, f"{i:03d}"))
    return found


def fitted_task(samples):
    task, measured = TASKS.build("task", SPEC, {}), []
    for sample in samples:
        frame, box = letterboxed(np.asarray(Image.open(sample.image_path)), INPUT_SHAPE)
        output = WithInput(Blurry()).predict(frame[None])[0]
        measured.append((sample, task.measurer.measure(output, box, None)))
    return TASKS.build("task", SPEC, task.fit_measurer([], measured))


@pytest.fixture
def autoencoder(runs, samples, tmp_path):
    """A run with images of its own; any other dataset is the flat frames."""
    own = speckled(tmp_path / "machine" / "focus")
    path = runs("ae", own, task=fitted_task(own), predictor=Blurry())
    target = runs.known[path]
    target.samples = lambda part, root=None, dataset=None: samples if dataset else own
    return path


def test_other_frames_and_corruptions(autoencoder, tmp_path, capsys):
    arguments = ["--others", f"hc18={tmp_path}", "--corruptions", "--split", "val"]
    assert main([autoencoder, *arguments]) == 0
    out = tmp_path / "runs" / "ae" / "plane_gate"
    record = json.loads((out / "gate.json").read_text(encoding="utf-8"))
    by_set = {found["set"]: found for found in record["sets"]}
    assert record["own"]["n"] == 24 and record["own"]["flagged_share"] <= 0.05
    assert by_set["hc18"]["kind"] == "dataset"
    assert (by_set["hc18"]["flagged"], by_set["hc18"]["n"]) == (2, 2)
    assert by_set["hc18"]["plane_score"]["auroc"] == 1
    assert by_set["noise 80"]["n"] == 24 and by_set["blur 0.02"]["flagged_share"] == 1
    assert record["threshold"] == {"false_alarm_rate": 0.05, "n": 24}
    assert record["evaluated"]["data_root"] == "focus" and record["evaluated"]["split"] == "val"
    with (out / "gate.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 24 + 2 + 24 * len([s for s in by_set if s != "hc18"])
    assert (out / "gate.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "hc18" in printed and "AUROC reconstruction error" in printed
    assert str(tmp_path / "machine") not in (out / "gate.json").read_text(encoding="utf-8")


def test_it_says_where_the_reference_was_fitted(autoencoder, runs, tmp_path):
    from fetal_tf.data.splits import SplitRow

    target = runs.known[autoencoder]
    out = tmp_path / "out"
    for split, expected in (("test", False), ("val", True)):
        rows = {s.id: SplitRow(s.id, s.group, split) for s in target.samples("val")}
        target.splits = rows
        arguments = ["--others", f"hc18={tmp_path}", "--out", str(out)]
        assert main([autoencoder, *arguments]) == 0
        record = json.loads((out / "gate.json").read_text())
        assert record["reference_fitted_to_these_images"] is expected


def test_without_anything_to_compare_with_only_the_own_images_are_told(autoencoder, tmp_path):
    out = tmp_path / "out"
    assert main([autoencoder, "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["gate.csv", "gate.json"]


def test_mistakes(autoencoder, runs, samples, capsys):
    assert main([autoencoder, "--others", "hc18"]) == 2
    assert "--others hc18: write it as DATASET=DIR" in capsys.readouterr().err
    assert main([runs("net", samples)]) == 2
    assert "its task is segmentation; an autoencoder is needed here" in capsys.readouterr().err
