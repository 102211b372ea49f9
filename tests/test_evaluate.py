import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import fetal_tf.evaluation.target
from fetal_tf.data.splits import SplitRow
from fetal_tf.edge.errors import BundleError
from fetal_tf.evaluate import main
from tests.evaluation.evaluation_fakes import BrightnessPredictor, BrightnessTask, write_samples
from tests.evaluation.target_fakes import fake_config


class Leftward(BrightnessPredictor):
    """Finds the head in the left half alone, so that the mirror image tells another story."""

    def predict(self, images):
        probabilities = super().predict(images)
        probabilities[:, :, probabilities.shape[2] // 2 :] = 0
        return probabilities


@pytest.fixture
def target(tmp_path, monkeypatch):
    """What `open_target` returns, over three gray images; `asked` records the request."""
    folder = tmp_path / "machine" / "heads"
    folder.mkdir(parents=True)
    samples = write_samples(folder, [100, 150, 200])
    asked = {}

    def find(part, data_root, dataset):
        asked.update(part=part, data_root=data_root, dataset=dataset)
        return samples

    def open_target(reference, format):
        asked.update(reference=reference, format=format)
        return fake

    config = fake_config("net", folder, seed=3)

    def is_own(data_root, dataset):
        return data_root in (None, folder) and dataset in (None, "hc18")

    fake = SimpleNamespace(
        name="net",
        format="int8",
        predictor=BrightnessPredictor(),
        task=BrightnessTask(),
        config=config,
        experiment=SimpleNamespace(data=SimpleNamespace(is_own=is_own)),
        splits={
            s.id: SplitRow(s.id, s.group, "train" if i else "test") for i, s in enumerate(samples)
        },
        run_path=None,
        history=[],
        folder=None,
        samples=find,
        negatives=lambda *_: [],
        default_out=lambda part, *a: tmp_path / "out" / f"{part}-int8",
        asked=asked,
        files=samples,
    )
    monkeypatch.setattr(fetal_tf.evaluation.target, "open_target", open_target)
    return fake


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def test_writes_everything_and_prints_a_table(target, tmp_path, capsys):
    assert main(["runs/net"]) == 0
    out = tmp_path / "out" / "test-int8"
    warning, names, held_out, learnt, figures, *paths = capsys.readouterr().out.splitlines()
    assert "learnt from 2 of these 3 images" in warning
    assert held_out.split()[:3] == ["held", "out", "1"] and learnt.split()[:2] == ["learnt", "2"]
    assert names.split() == ["frames", "n", "Dice", "|ΔHC|", "(mm)", "flagged", "refused", "failed"]
    assert figures.split() == ["all", "3", f"{450 / 255 / 3:.4f}", "0.00", "0", "0", "0"]
    assert paths == [str(out / name) for name in ("summary.json", "per_image.csv", "report.html")]
    assert all((out / name).is_file() for name in ("summary.json", "per_image.csv", "report.html"))
    assert len(list((out / "overlays").iterdir())) == 3
    assert summary_of(out)["bootstrap"]["seed"] == 3


def test_passes_the_request_on(target, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    command = ["zoo:head", "--split", "all", "--data-root", str(other), "--dataset", "planes"]
    assert main([*command, "--format", "onnx", "--out", str(tmp_path / "mine")]) == 0
    assert target.asked == {
        "reference": "zoo:head",
        "format": "onnx",
        "part": "all",
        "data_root": other,
        "dataset": "planes",
    }
    evaluated = summary_of(tmp_path / "mine")["evaluated"]
    assert (evaluated["dataset"], evaluated["data_root"]) == ("planes", "elsewhere")
    assert evaluated["trained_on"] is None  # the ids may belong to other images there


def test_training_images_are_counted_on_the_targets_own_data(target, tmp_path, capsys):
    assert main(["runs/net", "--split", "all"]) == 0
    evaluated = summary_of(tmp_path / "out" / "all-int8")["evaluated"]
    assert evaluated["trained_on"] == 2
    summary = summary_of(tmp_path / "out" / "all-int8")
    assert {key: part["images"]["n"] for key, part in summary["seen"].items()} == {
        "held_out": 1,
        "learnt": 2,
    }
    held_out, learnt, everything = capsys.readouterr().out.splitlines()[2:5]
    assert held_out.startswith("held out ") and learnt.startswith("learnt ")
    assert everything.startswith("all ")
    with (tmp_path / "out" / "all-int8" / "per_image.csv").open(newline="") as file:
        assert [row["seen"] for row in csv.DictReader(file)] == ["held_out", "learnt", "learnt"]
    assert evaluated["data_root"] == "heads"
    assert str(tmp_path) not in (tmp_path / "out" / "all-int8" / "report.html").read_text()


def test_flip_averages_with_the_mirror_image(target, tmp_path):
    target.predictor = Leftward()
    assert main(["runs/net", "--tta", "flip"]) == 0
    out = tmp_path / "out" / "test-int8"
    assert summary_of(out)["evaluated"]["tta"] == "flip"
    with (out / "per_image.csv").open(newline="") as file:
        dice = [float(row["dice"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(dice, np.array([100, 150, 200]) / 255 / 2, rtol=1e-5)


def test_one_broken_file_is_counted_and_the_others_go_on(target, tmp_path, capsys):
    target.files[0].image_path.write_bytes(b"no image")
    assert main(["runs/net"]) == 0
    assert summary_of(tmp_path / "out" / "test-int8")["images"]["failed"] == 1
    assert capsys.readouterr().out.splitlines()[4].split()[-1] == "1"


def test_nothing_but_broken_files_is_an_error_with_a_report(target, tmp_path, capsys):
    for sample in target.files:
        sample.image_path.unlink()
    assert main(["runs/net"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: not one of 3 images could be evaluated")
    assert "000_HC.png" in error
    assert (tmp_path / "out" / "test-int8" / "report.html").is_file()


def test_no_image_is_an_error_and_writes_nothing(target, tmp_path, capsys):
    target.samples = lambda *_: []
    assert main(["runs/net"]) == 2
    assert "no annotated image" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_error_is_one_line_and_exit_code_2(monkeypatch, capsys):
    def open_target(reference, format):
        raise BundleError(f"{reference}: no such bundle")

    monkeypatch.setattr(fetal_tf.evaluation.target, "open_target", open_target)
    assert main(["zoo:nothing"]) == 2
    assert capsys.readouterr().err == "error: zoo:nothing: no such bundle\n"


@pytest.mark.parametrize("wrong", [["--split", "tset"], ["--tta", "rotate"], ["--data", "x"]])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(SystemExit) as exit_:
        main(["runs/net", *wrong])
    assert exit_.value.code == 2


@pytest.fixture(scope="module")
def real_run(tmp_path_factory):
    """A run's folder as training leaves it, but for the training; ten phantom frames."""
    from fetal_tf.config.loading import parse_config
    from fetal_tf.data.phantom.writing import write_phantom
    from fetal_tf.experiment import open_experiment
    from fetal_tf.runs.run import create_run

    folder = tmp_path_factory.mktemp("real")
    write_phantom("hc18", folder / "phantom", 10, seed=1)
    tree = {
        "name": "tiny",
        "data": {"dataset": "hc18", "root": str(folder / "phantom"), "image_size": [48, 72]},
        "split": {"val": 0.2, "test": 0.4},
        "task": {"name": "segmentation", "classes": ["head"], "measurement": "head"},
        "model": {"name": "small_unet"},
        "loss": {"name": "bce"},
        "optimizer": {"name": "adam", "learning_rate": 1e-3},
        "train": {"epochs": 1, "batch_size": 2},
    }
    config = parse_config(tree, "test")
    experiment = open_experiment(config)
    run = folder / "run"
    create_run(run, config, experiment.data.split(experiment.data.read()), ["test"])
    (run / "metrics.csv").write_text("epoch,loss,val_loss,val_dice\n1,0.7,0.6,0.3\n2,0.5,0.5,0.4\n")
    experiment.build_model().save(run / "best.keras")
    return run


def test_a_run_is_evaluated_from_its_folder(real_run):
    assert main([str(real_run)]) == 0
    out = real_run / "evaluation" / "test-keras"
    summary = summary_of(out)
    assert summary["evaluated"]["phantom"] is True
    assert summary["evaluated"]["trained_on"] == 0
    assert 0 < summary["images"]["n"] < 10
    assert summary["images"]["failed"] == 0
    assert summary["metrics"]["dice"]["n"] == summary["images"]["n"]
    assert (out / "figures" / "learning_curves.png").is_file()


def test_every_image_of_another_folder_is_taken_with_all(real_run, tmp_path):
    from fetal_tf.data.phantom.writing import write_phantom

    write_phantom("hc18", tmp_path / "elsewhere", 3, seed=9)
    command = [str(real_run), "--data-root", str(tmp_path / "elsewhere"), "--split", "all"]
    assert main([*command, "--tta", "flip", "--out", str(tmp_path / "out")]) == 0
    summary = summary_of(tmp_path / "out")
    assert summary["images"]["n"] == 3
    assert summary["evaluated"]["trained_on"] is None
    assert summary["evaluated"]["data_root"] == "elsewhere"


CONFIG = """
name: tiny
data: {dataset: hc18, root: nowhere, image_size: [64, 96]}
split: {val: 0.2, test: 0.4}
task: {name: segmentation, classes: [head], measurement: head}
model: {name: small_unet}
loss: {name: bce}
optimizer: {name: adam, learning_rate: 1.0e-3}
train: {epochs: 1, batch_size: 2}
"""


@pytest.mark.parametrize("form", ["float32", "int8"])
def test_a_bundle_with_a_gate_is_judged_as_predict_would(tmp_path, form, capsys):
    """Every format; what is flagged and how the plane scores are those of `predict`."""
    from fetal_tf.data.phantom.writing import write_phantom
    from fetal_tf.edge.io.images import write_png
    from fetal_tf.predict import main as predict
    from tests.edge.bundle.test_gate import add_gate
    from tests.edge.bundle.tiny_bundle import bright_head, tflite_models, write_bundle

    heads = tmp_path / "heads"
    write_phantom("hc18", heads, 3, seed=1)
    scans = sorted(p for p in (heads / "training_set").glob("*HC.png"))
    with Image.open(scans[0]) as image:
        shown = np.asarray(Image.fromarray(bright_head()).resize(image.size))
    write_png(scans[0], shown)  # the gate's own plane
    write_png(scans[1], shown // 3 + np.uint8(80))  # not it, but measurable

    bundle = write_bundle(tmp_path / "bundle", tflite_models())
    (bundle / "config.yaml").write_text(CONFIG)
    add_gate(bundle)
    out = tmp_path / "out"
    command = [str(bundle), "--data-root", str(heads), "--split", "all", "--format", form]
    assert main([*command, "--out", str(out)]) == 0
    with (out / "per_image.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    predicted = tmp_path / "predicted"
    sizes = ["--pixel-size-csv", str(heads / "training_set_pixel_size_and_HC.csv")]
    paths = [str(path) for path in scans]
    assert predict([str(bundle), *paths, *sizes, "--format", form, "--out", str(predicted)]) == 0
    with (predicted / "measurements.csv").open(newline="") as file:
        expected = {Path(row["file"]).stem: row for row in csv.DictReader(file)}

    assert rows and {row["id"] for row in rows} == set(expected)
    for row in rows:
        there = expected[row["id"]]
        assert float(row["plane_score"]) == pytest.approx(float(there["plane_score"]), rel=1e-4)
        assert (row["flags"], row["refused"]) == (there["flags"], there["refused"])
    assert {row["flags"].startswith("not_head: ") for row in rows} == {True, False}
    summary = summary_of(out)
    measured = [row for row in expected.values() if not row["refused"]]
    flagged = sum(bool(row["flags"]) for row in measured)
    assert 0 < flagged < len(measured) and summary["images"]["flagged"] == flagged
    assert summary["metrics_unflagged"]["dice"]["n"] == len(measured) - flagged
    assert f"{len(measured)} measured ({flagged} flagged)" in capsys.readouterr().out
    assert summary["evaluated"]["gate"] == "gatekeeper"


def test_what_has_no_gate_names_none(target, tmp_path):
    assert main(["runs/net"]) == 0
    assert summary_of(tmp_path / "out" / "test-int8")["evaluated"]["gate"] is None
