"""`python -m export RUN` from end to end, on a net with weights set by hand: nothing trains."""

import csv
import functools
import importlib.util
import json
import subprocess

import cv2
import keras
import numpy as np
import pytest

import fetal_tf
from fetal_tf.cli.export import main
from fetal_tf.config.loading import parse_config, save_config
from fetal_tf.data.splits import write_splits
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.io.images import read_gray
from fetal_tf.experiment import open_experiment
from fetal_tf.exporting.latency import interleaved_latency_ms

L = keras.layers
has_onnx = all(importlib.util.find_spec(m) for m in ("onnx", "tf2onnx", "onnxruntime"))
FORMATS = ["float32", "int8", "onnx"] if has_onnx else ["float32", "int8"]
IMAGES = 14


def write_frames(root, images=IMAGES):
    """Bright ellipses on a dark, noisy ground, in HC18's layout with filled annotations."""
    folder = root / "training_set"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = [["filename", "pixel size(mm)", "head circumference (mm)"]]
    y, x = np.mgrid[:96, :144]
    for i in range(images):
        a, b, turn = rng.integers(30, 44), rng.integers(22, 30), rng.uniform(0, 180)
        annotation = np.zeros((96, 144), np.uint8)
        cv2.ellipse(annotation, (72, 48), (int(a), int(b)), turn, 0, 360, 255, -1)
        a, b = a - 0.9, b - 0.9  # the caliper lies inside the annotation's line
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        u, v = (x - 72) * cos + (y - 48) * sin, (y - 48) * cos - (x - 72) * sin
        bright = np.where((u / a) ** 2 + (v / b) ** 2 < 1, 200, 40)
        image = (bright + rng.normal(0, 4, bright.shape)).round().astype(np.uint8)
        cv2.imwrite(str(folder / f"{i:03d}_HC.png"), image)
        cv2.imwrite(str(folder / f"{i:03d}_HC_Annotation.png"), annotation)
        h = ((a - b) / (a + b)) ** 2
        perimeter_px = np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))
        rows.append([f"{i:03d}_HC.png", "0.8", f"{0.8 * perimeter_px:.2f}"])
    with (root / "training_set_pixel_size_and_HC.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def bright_is_head():
    """Probability rises from 0 to 1 with the local brightness, steepest half way."""
    image = keras.Input((48, 72, 1))
    x = L.Rescaling(1 / 255)(image)
    x = L.Conv2D(4, 3, padding="same", activation="relu6", name="mean")(x)
    model = keras.Model(image, L.Conv2D(1, 1, activation="sigmoid", name="probabilities")(x))
    model.get_layer("mean").set_weights([np.full((3, 3, 1, 4), 1 / 9), np.zeros(4)])
    model.get_layer("probabilities").set_weights([np.full((1, 1, 4, 1), 5.0), np.array([-9.4])])
    return model


def make_run(folder, images=IMAGES, val=0.2, **export):
    root = folder / "data"
    write_frames(root, images)
    tree = {
        "name": "bright",
        "seed": 5,
        "data": {"dataset": "hc18", "root": str(root), "image_size": [48, 72]},
        "split": {"val": val, "test": 0.3, "seed": 1},
        "task": {"name": "segmentation", "classes": ["head"], "measurement": "head"},
        "model": {"name": "small_unet"},
        "loss": {"name": "bce"},
        "optimizer": {"name": "adam", "learning_rate": 1e-3},
        "train": {"epochs": 1, "batch_size": 4},
        "export": {"formats": FORMATS, "calibration_images": 4, **export},
    }
    run = folder / "run"
    run.mkdir()
    config = parse_config(tree, "test")
    save_config(config, run / "config.yaml")
    experiment = open_experiment(config)
    write_splits(run / "splits.csv", experiment.data.split(experiment.data.read()))
    bright_is_head().save(run / "best.keras")
    return run


def export_briefly(arguments, rounds=2):
    """`export` with a stopwatch that is soon content."""
    with pytest.MonkeyPatch.context() as patch:
        brief = functools.partial(interleaved_latency_ms, rounds=rounds, calls_per_round=rounds)
        patch.setattr("fetal_tf.exporting.benchmark.interleaved_latency_ms", brief)
        return main(arguments)


def export_untimed(arguments):
    """`export` for tests that ask for no figure of its benchmark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fetal_tf.exporting.benchmark.peak_memory_mib", lambda path, form: 1.0)
        return export_briefly(arguments, rounds=1)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("export"))
    return export_briefly([str(run)]), run


def manifest(run):
    return json.loads((run / "bundle" / "bundle.json").read_text(encoding="utf-8"))


def test_parity_passes_and_the_bundle_is_whole(exported):
    code, run = exported
    assert code == 0
    expected = {
        "bundle.json", "parity.json", "benchmark.json", "MODEL_CARD.md", "SHA256SUMS",
        "config.yaml", "splits.csv", *(entry["path"] for entry in manifest(run)["files"].values()),
    }  # fmt: skip
    assert {p.name for p in (run / "bundle").iterdir()} == expected
    assert list(manifest(run)["files"]) == FORMATS
    assert not [p for p in run.iterdir() if p.name.startswith(".")]
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=run / "bundle")
    assert done.returncode == 0


def test_every_format_measures_the_head_that_was_drawn(exported):
    _, run = exported
    bundle = Bundle.open(run / "bundle")
    with (run.parent / "data" / "training_set_pixel_size_and_HC.csv").open() as file:
        name, mm_per_pixel, hc_mm = list(csv.reader(file))[3]
    image = read_gray(run.parent / "data" / "training_set" / name)
    for form in bundle.formats:
        head = bundle.measure(bundle.predictor(form), image, float(mm_per_pixel))
        assert head.hc_mm == pytest.approx(float(hc_mm), rel=0.02), form


def test_manifest_says_what_a_reader_needs(exported):
    _, run = exported
    found = manifest(run)
    assert found["schema"] == 1
    assert found["fetal_tf_version"] == fetal_tf.__version__
    assert (found["task"], found["measurement"], found["classes"]) == (
        "segmentation",
        "head",
        ["head"],
    )
    assert {k: found["input"][k] for k in ("height", "width", "channels")} == {
        "height": 48,
        "width": 72,
        "channels": 1,
    }
    assert found["units"]["hc_mm"] == "mm"
    assert found["default_format"] == "int8"
    assert found["parity"] == {"passed": True, "split": "test", "failures": []}
    assert found["phantom"] is False
    assert found["attribution"] == []  # frames of our own in HC18's layout are not HC18
    assert "unknown origin" in found["trained_on"]


def test_calibration_images_are_training_images(exported):
    _, run = exported
    with (run / "splits.csv").open() as file:
        split = {row["id"]: row["split"] for row in csv.DictReader(file)}
    images = manifest(run)["calibration"]["images"]
    assert len(set(images)) == 4
    assert {split[i] for i in images} == {"train"}


def test_parity_record_holds_every_limit_of_the_task(exported):
    _, run = exported
    parity = json.loads((run / "bundle" / "parity.json").read_text())
    assert parity["passed"] is True
    checks = {c["metric"]: c for c in parity["formats"]["int8"]["checks"]}
    assert checks["dice_abs_delta_mean"]["limit"] == 2e-3
    assert checks["hc_abs_delta_p95_mm"]["limit"] == 1.0
    # A quantized file is not the float model: were the deltas zero, Keras had met itself.
    assert parity["formats"]["int8"]["deltas"]["probability_abs_delta_max"] > 1e-4
    assert parity["formats"]["float32"]["deltas"]["probability_abs_delta_max"] < 1e-4
    assert parity["keras"]["metrics"]["dice"]["mean"] > 0.95


def test_benchmark_record(exported):
    _, run = exported
    timing = json.loads((run / "bundle" / "benchmark.json").read_text())
    assert timing["model"]["macs"] == 48 * 72 * (9 * 4 + 4)
    assert timing["model"]["parameters"] == 9 * 4 + 4 + 4 + 1
    assert list(timing["formats"]) == FORMATS
    for name, form in timing["formats"].items():
        assert form["bytes"] == manifest(run)["files"][name]["bytes"]
        assert 0 < form["threads_1"]["p50_ms"] <= form["threads_1"]["p95_ms"]
        assert form["peak_memory_mib"] > 0
    assert timing["formats"]["float32"]["time_over_float32"] == 1
    assert timing["machine"]["cores"] >= 1


def test_card_states_measured_figures(exported):
    _, run = exported
    card = (run / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    parity = json.loads((run / "bundle" / "parity.json").read_text())
    assert "not for diagnosis" in card
    assert "PHANTOM" not in card
    assert f"{parity['keras']['metrics']['dice']['mean']:.4f}" in card
    assert manifest(run)["files"]["int8"]["sha256"] in card
    assert "FAILED" not in card


def test_broken_limit_gives_exit_1_and_a_bundle_that_says_so(tmp_path, capfd):
    limits = {"int8": {"hc_abs_delta_max_mm": 0.0}}
    run = make_run(tmp_path, formats=["float32", "int8"], parity_limits=limits)
    assert export_untimed([str(run)]) == 1
    stderr = capfd.readouterr().err
    assert "parity failed: int8: hc_abs_delta_max_mm is " in stderr
    assert "limit 0" in stderr
    found = manifest(run)
    assert found["parity"]["passed"] is False
    assert found["files"]["int8"]["parity"] == "failed"
    assert found["files"]["float32"]["parity"] == "passed"
    assert found["default_format"] == "float32"
    assert json.loads((run / "bundle" / "parity.json").read_text())["passed"] is False
    assert "Parity FAILED" in (run / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")


@keras.saving.register_keras_serializable("test_export_command")
class Erf(L.Layer):
    def call(self, x):
        return keras.ops.erf(x)


def test_failed_conversion_keeps_the_older_bundle(tmp_path, capfd):
    run = make_run(tmp_path)
    (run / "bundle").mkdir()
    (run / "bundle" / "bundle.json").write_text("old")
    image = keras.Input((48, 72, 1))
    keras.Model(image, Erf()(L.Conv2D(1, 1)(image))).save(run / "best.keras")
    assert main([str(run), "--formats", "float32"]) == 2
    assert "no built-in kernel for Erf" in capfd.readouterr().err
    assert (run / "bundle" / "bundle.json").read_text() == "old"
    assert sorted(p.name for p in run.iterdir()) == [
        "best.keras",
        "bundle",
        "config.yaml",
        "measurement.json",
        "splits.csv",
    ]


def test_mistakes_are_told_before_any_work(tmp_path, capfd):
    run = make_run(tmp_path, parity_limits={"int8": {"dice": 1.0}})
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("ten years")
    assert main([str(tmp_path)]) == 2
    assert "not a run" in capfd.readouterr().err
    assert main([str(run), "--formats", "int9"]) == 2
    assert "did you mean int8" in capfd.readouterr().err
    assert main([str(run)]) == 2
    assert "export.parity_limits.int8.dice: not a delta" in capfd.readouterr().err
    save_config_without_limits(run)
    assert main([str(run), "--out", str(precious)]) == 2
    assert "is not a bundle" in capfd.readouterr().err
    assert (precious / "thesis.tex").read_text() == "ten years"


def save_config_without_limits(run):
    from fetal_tf.config.loading import load_config

    config = load_config(run / "config.yaml")
    export = config.export.model_copy(update={"parity_limits": {}})
    save_config(config.model_copy(update={"export": export}), run / "config.yaml")
