"""`python -m tools.uncertainty`: what it writes, prints and refuses."""

import csv
import json

import numpy as np
import pytest

from fetal_tf.cli.uncertainty import main
from fetal_tf.edge.geometry.landmarks import LANDMARKS
from tests.evaluation.target_fakes import Dimmed, fake_config

GRAYS = [60, 110, 150, 190, 230]


def lines_of(folder):
    with (folder / "per_image.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


class Squares(Dimmed):
    """A square of head where the frame is bright; larger, the brighter the frame is."""

    def __init__(self):
        super().__init__(1.0)

    def predict(self, images):
        y, x = np.indices(images.shape[1:3])
        distance = np.hypot((y - 11.5) / 9, (x - 15.5) / 12)
        level = images[..., 0].reshape(len(images), -1).max(axis=1) / 255
        head = distance[None] < 0.4 + 0.5 * level[:, None, None]
        return head[..., None].astype(np.float32)


@pytest.fixture
def head_task(monkeypatch):
    """The head's own measurer, and an expert who always says 90 mm."""
    from tests.evaluation.evaluation_fakes import BrightnessTask, row

    class HeadTask(BrightnessTask):
        def evaluate(self, probabilities, sample, letterbox, gather=None):
            measured = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
            return row(sample.id, hc=measured.hc_mm, true=90.0)

    return HeadTask()


@pytest.fixture
def run(runs, samples, head_task):
    """The path of a run that finds squares."""
    path = runs("net", samples, predictor=Squares(), task=head_task)
    return path


def test_views_are_measured_and_compared_with_the_error(run, runs, samples, tmp_path, capsys):
    assert main([run, "--samples", "6", "--split", "val"]) == 0
    out = tmp_path / "runs" / "net" / "uncertainty"
    lines = lines_of(out)
    assert [line["id"] for line in lines] == [sample.id for sample in samples]
    for line in lines:
        assert float(line["hc_abs_error_mm"]) == pytest.approx(
            abs(float(line["hc_mm"]) - 90), rel=1e-3
        )
        assert float(line["hc_tta_spread_mm"]) > 0 and line["tta_unmeasured"] == "0"
    assert "hc_mc_dropout_spread_mm" not in lines[0]
    summary = summary_of(out)
    figures = summary["methods"]["tta"]["quantities"]["hc_mm"]
    errors = [float(line["hc_abs_error_mm"]) for line in lines]
    assert figures["mean_error"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert figures["risk_coverage"][2]["kept"] == 4
    assert (summary["images"], summary["samples"], summary["phantom"]) == (5, 6, False)
    assert summary["evaluated"]["split"] == "val" == runs.known[run].asked["part"]
    printed = capsys.readouterr().out
    assert "tta: HC (mm)" in printed and "Spearman" in printed
    names = ("per_image.csv", "summary.json", "uncertainty.png")
    assert printed.splitlines()[-3:] == [str(out / name) for name in names]
    assert (out / "uncertainty.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_says_the_same(run, tmp_path):
    for name in ("one", "other"):
        assert main([run, "--samples", "5", "--out", str(tmp_path / name)]) == 0
    texts = [(tmp_path / name / "per_image.csv").read_text() for name in ("one", "other")]
    assert texts[0] == texts[1]


def test_dropout_needs_a_keras_model(run, tmp_path, capsys):
    for method in ("mc-dropout", "both"):
        assert main([run, "--method", method, "--out", str(tmp_path / "out")]) == 2
        assert "--method mc-dropout needs the Keras model" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_but_broken_images_writes_nothing(run, samples, tmp_path, capsys):
    for sample in samples:
        sample.image_path.write_bytes(b"no image")
    assert main([run, "--out", str(tmp_path / "out")]) == 2
    assert "not one of 5 images" in capsys.readouterr().err.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("wrong", [["--samples", "1"], ["--method", "ensemble"]])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(SystemExit) as exit_:
        main(["runs/net", *wrong])
    assert exit_.value.code == 2


def ellipse_teller(height, width):
    """Tells an ellipse in the middle, whatever it sees; the fewer of its eight channels are
    dropped, the larger."""
    import keras

    y, x = np.indices((height, width))
    radius = np.hypot((y - height / 2) / (height / 4), (x - width / 2) / (width / 3))
    pixels = keras.Input((height, width, 1))
    placed = keras.layers.LayerNormalization(axis=[1, 2, 3])
    channels = keras.layers.Concatenate()([placed(pixels)] * 8)
    mean = keras.layers.Conv2D(1, 1, activation="sigmoid")
    model = keras.Model(pixels, mean(keras.layers.SpatialDropout2D(0.2)(channels)))
    placed.set_weights([np.full((height, width, 1), 1e-3), (3 - radius)[..., None]])
    mean.set_weights([np.full((1, 1, 8, 1), 10 / 8), np.array([-20.0])])
    return model


def test_both_methods_on_a_run_with_dropout(tmp_path, capsys):
    """A real Keras file, on a phantom, which is said."""
    from fetal_tf.data.phantom.writing import write_phantom
    from fetal_tf.experiment import open_experiment
    from fetal_tf.runs.run import create_run

    root = tmp_path / "phantom"
    write_phantom("hc18", root, 6, seed=1)
    data = {"dataset": "hc18", "root": str(root), "image_size": [96, 128]}
    config = fake_config("teller", root, split={"val": 0.2, "test": 0.4}, data=data)
    experiment = open_experiment(config)
    run = tmp_path / "runs" / "teller"
    create_run(run, config, experiment.data.split(experiment.data.read()), ["test"])
    ellipse_teller(96, 128).save(run / "best.keras")
    assert main([str(run), "--split", "all", "--method", "both", "--samples", "4"]) == 0
    printed = capsys.readouterr().out
    assert "PHANTOM" in printed and "mc-dropout: HC (mm)" in printed and "tta: HC (mm)" in printed
    summary = summary_of(run / "uncertainty")
    assert list(summary["methods"]) == ["mc-dropout", "tta"] and summary["phantom"] is True
    for found in summary["methods"].values():
        ends = {f"{name}_{what}px" for name in LANDMARKS for what in ("", "x_", "y_")}
        assert set(found["quantities"]) == {"hc_mm", "bpd_mm", "ofd_mm", "landmarks_px", *ends}
        assert found["quantities"]["hc_mm"]["n"] >= 3
        assert found["quantities"]["hc_mm"]["median_spread"] > 0
