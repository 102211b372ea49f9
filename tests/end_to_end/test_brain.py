"""Brain structures from the phantom to the tablet: one small run through every command."""

import csv
import hashlib
import html
import json
import math
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.evaluate import main as evaluate
from fetal_tf.evaluation.target import open_target
from fetal_tf.models.saving import load_model
from fetal_tf.runs.history import read_history
from fetal_tf.runs.run import open_run
from fetal_tf.train import main as train
from fetal_tf.training.fit_measurer import with_fitted_measurer
from tests.edge.test_imports import BLOCKED
from tests.exporting.test_export_command import export_untimed

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = 24
SIZE = 64
CLASSES = ("background", "brain", "csp", "lv")
COLOURS = {"brain": (255, 0, 0), "csp": (0, 255, 0), "lv": (0, 0, 255)}
MM_PER_PIXEL = 0.2

# Base 8 and single frames: enough steps in two epochs that the net finds every brain.
CONFIG = """
name: trial
seed: 3
data: {dataset: fetal_head_biometry, root: phantom, image_size: [64, 64]}
split: {val: 0.25, test: 0.25, stratify: true}
task: {name: structures, classes: [background, brain, csp, lv], measurement: brain}
sampler: {oversample: {csp: 3, lv: 3}}
augment: [{name: HorizontalFlip, p: 0.5}]
model: {name: attention_unet, base: 8, depth: 2, convs_per_block: 1}
loss: {name: hybrid, dice_weights: inverse_frequency}
optimizer: {name: adam, learning_rate: 3e-3}
train: {epochs: 2, batch_size: 1, monitor: loss}
export:
  formats: [float32, int8]
  calibration_images: 4
  parity_limits:  # a net of two epochs is unsure of everything, so its int8 file differs
    int8: {LIMITS}
""".replace(
    "{LIMITS}",
    json.dumps(
        {"unpaired_share": 1}
        | {f"{p}{name}_dice_abs_delta_mean": 1 for p in ("", "raw_") for name in CLASSES[1:]}
        | {f"pooled_{name}_dice_delta": 1 for name in CLASSES[1:]}
    ),
)


def shrink(plane):
    """A third of each side: measuring and drawing a frame costs a ninth."""
    for path in plane.rglob("*.png"):
        with Image.open(path) as whole:
            size = [math.ceil(side / 3) for side in whole.size]
            way = Image.Resampling.NEAREST if whole.mode == "RGB" else Image.Resampling.BOX
            small = whole.resize(size, way)  # the colours of a mask must not mix
        small.save(path)
    (sizes,) = plane.glob("*.csv")
    head, *lines = sizes.read_text(encoding="utf-8").splitlines()
    tripled = [f"{name},{3 * float(mm):.9f}" for name, mm in (line.split(",") for line in lines)]
    sizes.write_text("\n".join([head, *tripled, ""]), encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The current folder of all these tests: the phantom and the config."""
    folder = tmp_path_factory.mktemp("brain")
    write_phantom("fetal_head_biometry", folder / "phantom", IMAGES, seed=3, anomaly_share=0.4)
    shrink(folder / "phantom" / "Trans-thalamic")
    (folder / "trial.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def run(place):
    assert train(["--config", "trial.yaml"]) == 0
    return place / "runs" / "trial"


@pytest.fixture(scope="module")
def evaluation(run):
    """All images, so that the page has every caution to make."""
    assert evaluate([str(run), "--split", "all"]) == 0
    return run / "evaluation" / "all-keras"


@pytest.fixture(scope="module")
def bundle(run):
    """Code 1, since a net of two epochs finds no ventricle: what has no width has no delta."""
    assert export_untimed([str(run)]) == 1
    return run / "bundle"


def copy_of(run, name):
    """A copy of the run under another name, free to be changed."""
    copy = Path(shutil.copytree(run, run.parent / name))
    config = (copy / "config.yaml").read_text().replace(f"name: {run.name}", f"name: {name}", 1)
    (copy / "config.yaml").write_text(config)
    return copy


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sha_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ids_of(run, part):
    return [row["id"] for row in table(run / "splits.csv") if row["split"] == part]


def frame_path(place, id):
    return place / "phantom" / "Trans-thalamic" / "Trans-thalamic" / f"{id}.png"


def shown(place, id):
    """The structures whose colour the mask's file holds."""
    folder = place / "phantom" / "Trans-thalamic" / "Trans-thalamic-PASCAL" / "SegmentationClass"
    pixels = np.asarray(Image.open(folder / f"{id}.png")).reshape(-1, 3)
    return {name for name, colour in COLOURS.items() if (pixels == colour).all(axis=1).any()}


def conditions(place):
    return {
        Path(row["Label"]).stem: row["condition"]
        for row in table(place / "phantom" / "anomalies.csv")
    }


def test_training_counts_its_pixels_and_keeps_patients_whole(run, place):
    parts = {part: ids_of(run, part) for part in ("train", "val", "test")}
    patients = {part: {id[:12] for id in ids} for part, ids in parts.items()}
    assert sum(map(len, parts.values())) == IMAGES == len(set().union(*parts.values()))
    assert sum(map(len, patients.values())) == len(set().union(*patients.values()))
    for ids in parts.values():  # stratified
        assert set().union(*(shown(place, id) for id in ids)) == set(COLOURS)

    counted = read_json(run / "class_pixels.json")
    assert counted["classes"] == list(CLASSES)
    assert sum(counted["pixels"]) == len(parts["train"]) * SIZE * SIZE
    by_mask = Counter(name for id in parts["train"] for name in shown(place, id))
    images = dict(zip(counted["classes"], counted["images"], strict=True))
    assert images["background"] == images["brain"] == len(parts["train"])
    for name in ("csp", "lv"):  # a structure of a few pixels may be lost at this size
        assert 0 < images[name] <= by_mask[name] < len(parts["train"])


def test_the_measurer_is_fitted_to_the_best_model_and_to_normal_brains(run, place):
    record = read_json(run / "measurement.json")
    assert record["fitted_to_sha256"] == sha_of(run / "best.keras")
    reference = record["settings"]["reference"]
    normal = [id for id in ids_of(run, "train") if conditions(place)[id] == "normal"]
    assert reference["brain_axis_ratio"]["n"] == len(normal) < len(ids_of(run, "train"))
    assert reference["brain_axis_ratio"]["median"] < 0  # the logarithm of short over long
    thresholds = record["settings"]["thresholds"]
    assert thresholds["n"] <= len(ids_of(run, "val"))
    assert not thresholds.keys() & {"shape_score", "disagreement_score"}, "too few to fit on"
    assert open_run(run).task.measurement_settings == record["settings"]


def test_tensorboard_shows_the_attention_gates(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(run / "tensorboard" / "pictures"), size_guidance={"tensors": 0})
    tags = set(log.Reload().Tags()["tensors"])
    assert tags == {"validation/fixed", "validation/worst", "validation/gates"}


def matrices(rows, prefix=""):
    """Confusion matrices of the table, read by hand: [N, K, K], rows = truth."""
    columns = [[f"{prefix}confusion_{a}_{b}_px" for b in CLASSES] for a in CLASSES]
    return np.array([[[int(row[c]) for c in line] for line in columns] for row in rows])


def test_the_table_adds_up_to_every_pixel_and_to_the_summary(evaluation, place):
    rows, summary = table(evaluation / "per_image.csv"), read_json(evaluation / "summary.json")
    assert len(rows) == IMAGES == summary["images"]["n"]
    assert summary["images"]["measured"] > IMAGES / 2, "the net has learnt too little for a test"
    for prefix, key in (("", "pooled"), ("raw_", "pooled_raw")):
        confusions = matrices(rows, prefix)
        for row, confusion in zip(rows, confusions, strict=True):
            width, height = Image.open(frame_path(place, row["id"])).size
            assert confusion.sum() == width * height
        total = confusions.sum(axis=0)
        for k, name in enumerate(CLASSES):
            dice = 2 * total[k, k] / (total[k].sum() + total[:, k].sum())
            assert summary[key][f"{name}_dice"]["value"] == pytest.approx(dice, abs=1e-6)
    assert summary["confusion_px"] == matrices(rows).sum(axis=0).tolist()


def test_dice_per_image_and_presence_follow_from_the_table(evaluation, place):
    rows, summary = table(evaluation / "per_image.csv"), read_json(evaluation / "summary.json")
    confusions = matrices(rows)
    for k in (2, 3):
        name = CLASSES[k]
        true, found = confusions[:, k].sum(axis=1), confusions[:, :, k].sum(axis=1)
        assert [bool(n) for n in true] == [name in shown(place, row["id"]) for row in rows]
        dice = 2 * confusions[:, k, k] / np.maximum(true + found, 1)
        rules = {
            "skip": dice[true > 0],
            "one": np.where(true > 0, dice, found == 0),
            "zero": np.where(true > 0, dice, 0),
        }
        for rule, values in rules.items():
            mean = summary["per_image_dice"][rule][name]
            assert mean["n"] == len(values)
            assert mean["mean"] == pytest.approx(values.mean(), abs=1e-6)
        presence = summary["presence"][name]
        assert presence["true_positive"] == ((true > 0) & (found > 0)).sum()
        assert presence["false_positive"] == ((true == 0) & (found > 0)).sum()
        assert presence["false_negative"] == ((true > 0) & (found == 0)).sum()


def test_the_seeded_conditions_are_what_the_scores_are_judged_by(evaluation, place):
    truth = conditions(place)
    rows, summary = table(evaluation / "per_image.csv"), read_json(evaluation / "summary.json")
    assert {row["id"]: row["condition"] for row in rows} == truth
    kinds = Counter(truth.values())
    found = summary["anomaly"]["mismatch_score"]
    assert set(found) == {"any", *kinds} - {"normal"}
    assert found["any"]["n_negative"] == kinds["normal"]
    for kind in found.keys() - {"any"}:
        assert found[kind]["n_positive"] == kinds[kind]
    scores = {row["id"]: float(row["mismatch_score"]) for row in rows}
    normal = [score for id, score in scores.items() if truth[id] == "normal"]
    abnormal = [score for id, score in scores.items() if truth[id] != "normal"]
    wins = np.mean([(a > b) + 0.5 * (a == b) for a in abnormal for b in normal])
    assert found["any"]["auroc"] == pytest.approx(wins, abs=0.01)  # the table rounds


def test_every_measured_brain_has_a_shape_score_and_none_an_uncalibrated_anomaly(evaluation):
    for row in table(evaluation / "per_image.csv"):
        assert bool(row["shape_score"]) is not bool(row["refused"])
        assert row["anomaly_score"] == "", "five validation images calibrate nothing"


def test_features_of_model_and_expert(evaluation):
    lines = table(evaluation / "features.csv")
    assert len(lines) == IMAGES * 3 * 2
    assert "error" not in lines[0]
    by_key = {(x["id"], x["structure"], x["reader"]): x for x in lines}
    for row in table(evaluation / "per_image.csv"):
        true, found = matrices([row])[0].sum(axis=1), matrices([row])[0].sum(axis=0)
        for k, structure in enumerate(CLASSES[1:], start=1):
            expert = by_key[row["id"], structure, "expert"]
            assert float(expert["area_px"] or 0) == pytest.approx(true[k], rel=1e-5)
            if not row["refused"]:
                model = by_key[row["id"], structure, "model"]
                assert float(model["area_px"] or 0) == pytest.approx(found[k], rel=1e-5)


def test_the_page_warns_of_phantom_and_training_images_and_has_its_section(run, evaluation):
    page = (evaluation / "report.html").read_text(encoding="utf-8")
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert "These are generated phantom images." in text
    assert f"learnt from {len(ids_of(run, 'train'))} of these {IMAGES} images" in text
    assert '<h2 id="structures">Structures</h2>' in page
    for title in (
        "Dice, pooled over pixels and per image",
        "Where the expert's pixels went",
        "Is the structure there at all?",
        "Anomaly scores against the seeded conditions: AUROC",
    ):
        assert title in text
    held_out = read_json(evaluation / "summary.json")["seen"]["held_out"]
    pooled = held_out["pooled"]["csp_dice"]["value"]
    assert f"CSP: Dice {pooled:.4f} pooled over all pixels" in text


def test_the_bundle_carries_what_the_measurer_was_fitted_to(run, bundle):
    manifest = read_json(bundle / "bundle.json")
    settings = read_json(run / "measurement.json")["settings"]
    assert manifest["measurement_settings"] == settings
    assert (manifest["task"], manifest["measurement"]) == ("structures", "brain")
    assert manifest["classes"] == list(CLASSES)
    assert manifest["units"]["csp_area_mm2"] == "mm2" and manifest["units"]["lv_width_mm"] == "mm"
    assert manifest["phantom"] is True
    assert Bundle.open(bundle).measurement_settings == settings
    assert open_target(str(bundle)).task.measurement_settings == settings


def test_parity_holds_pooled_dice_to_a_limit(bundle):
    parity = read_json(bundle / "parity.json")
    for line in parity["failures"]:
        assert "is not measurable" in line
    assert "float32: lv_width_abs_delta_mean_px is not measurable" in " ".join(parity["failures"])
    checks = {c["metric"]: c for c in parity["formats"]["float32"]["checks"]}
    assert checks["pooled_brain_dice_delta"]["limit"] == 1e-4
    assert abs(checks["pooled_brain_dice_delta"]["value"]) <= 1e-4
    int8 = parity["formats"]["int8"]
    before = parity["keras"]["pooled"]["brain_dice"]["value"]
    after = int8["measured"]["pooled"]["brain_dice"]["value"]
    assert int8["deltas"]["pooled_brain_dice_delta"] == pytest.approx(after - before, abs=2e-6)
    assert after != before, "int8 that equals Keras to the last pixel is Keras"
    card = (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "PHANTOM" in card and "structures of the fetal brain" in card
    assert "CSP Dice, pooled, Δ" in card


def test_an_uncalibrated_anomaly_score_is_held_to_no_limit(run):
    task = open_run(run).task
    assert not task.measurement_settings["thresholds"].keys() & {
        "shape_score",
        "disagreement_score",
    }
    assert "anomaly_score_abs_delta_mean" not in task.parity_limits["full"]


PREDICT = """
import importlib.abc, sys
sys.path.insert(0, {repository!r})

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(f"blocked: {{name}}")

sys.meta_path.insert(0, Blocked())
from fetal_tf.predict import main
code = main({arguments!r})
assert not set({blocked!r}) & set(sys.modules)
sys.exit(code)
"""


def test_the_tablet_measures_what_the_evaluation_measured(bundle, evaluation, place, tmp_path):
    """Without TensorFlow and Keras, from the bundle alone, the float32 file."""
    measured = [row for row in table(evaluation / "per_image.csv") if not row["refused"]][:3]
    arguments = [str(bundle), *(str(frame_path(place, row["id"])) for row in measured)]
    arguments += [
        "--mm-per-pixel",
        str(MM_PER_PIXEL),
        "--format",
        "float32",
        "--out",
        str(tmp_path),
    ]
    program = PREDICT.format(repository=str(REPOSITORY), blocked=BLOCKED, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "3 measured" in done.stdout
    rows = table(tmp_path / "measurements.csv")
    for row, expected in zip(rows, measured, strict=True):
        for name in ("csp_present", "lv_present"):
            assert float(row[name]) == float(expected[name])
        area_px = float(row["brain_area_px"])
        assert area_px == pytest.approx(float(expected["brain_area_px"]), rel=1e-3)
        assert float(row["brain_area_mm2"]) == pytest.approx(area_px * MM_PER_PIXEL**2, rel=1e-4)
        # Brain shapes have no unit, so another pixel size leaves the reference's verdict on them.
        assert float(row["disagreement_score"]) == pytest.approx(
            float(expected["disagreement_score"]), abs=2e-3
        )
        assert row["shape_score"] and row["anomaly_score"] == ""
        with Image.open(tmp_path / row["overlay"]) as picture:
            assert picture.mode == "RGB"


def test_settings_fitted_to_another_model_are_not_used(run):
    copied = copy_of(run, "copied")
    model = load_model(copied / "best.keras")
    head = next(w for w in model.weights if w.path.startswith("probabilities"))
    head.assign(head * 1.01)
    model.save(copied / "best.keras")
    stale = read_json(copied / "measurement.json")
    assert "reference" not in open_run(copied).task.measurement_settings

    with pytest.warns(UserWarning, match="no thresholds belong to its best.keras"):
        assert evaluate([str(copied), "--split", "val"]) == 0
    rows = table(copied / "evaluation" / "val-keras" / "per_image.csv")
    assert any(not row["refused"] for row in rows)
    assert not any(row["shape_score"] for row in rows)

    again = with_fitted_measurer(open_run(copied))
    renewed = read_json(copied / "measurement.json")
    assert renewed["fitted_to_sha256"] == sha_of(copied / "best.keras")
    assert renewed["fitted_to_sha256"] != stale["fitted_to_sha256"]
    assert again.task.measurement_settings == renewed["settings"]


CSP_ONLY = [
    "--config", "trial.yaml", "--set", "task.classes=[background, brain, csp]",
    "--set", "model={name: unet, base: 4, depth: 1, convs_per_block: 1, head: softmax}",
    "--set", "train.overlay_every=9",
]  # fmt: skip
VENTRICLES_ARE_BRAIN = ["--set", "data.options.structures=[csp]"]


@pytest.fixture(scope="module")
def csp_only(place):
    arguments = [*CSP_ONLY, *VENTRICLES_ARE_BRAIN, "--name", "csp_only"]
    assert train([*arguments, "--set", "train.epochs=1"]) == 0
    return place / "runs" / "csp_only"


def test_the_cavum_alone(csp_only, place):
    """Ventricles count as brain: in the classes, in the masks and in every table."""
    counted = read_json(csp_only / "class_pixels.json")
    assert counted["classes"] == ["background", "brain", "csp"]
    assert evaluate([str(csp_only)]) == 0
    out = csp_only / "evaluation" / "test-keras"
    summary, rows = read_json(out / "summary.json"), table(out / "per_image.csv")
    assert summary["classes"] == ["background", "brain", "csp"]
    assert set(summary["presence"]) == {"csp"}
    columns = [*rows[0], *summary["pooled"], *summary["metrics"]]
    assert not [name for name in columns if "lv_" in name or "_lv" in name]
    for row in rows:
        confusion = [int(v) for k, v in row.items() if k.startswith("confusion_")]
        width, height = Image.open(frame_path(place, row["id"])).size
        assert len(confusion) == 9 and sum(confusion) == width * height
    assert {line["structure"] for line in table(out / "features.csv")} == {"brain", "csp"}


def test_a_resumed_run_goes_on_and_is_fitted_to_its_own_best_model(csp_only, place):
    run = copy_of(csp_only, "resumed")
    counted, before = (run / "class_pixels.json").read_bytes(), sha_of(run / "best.keras")
    arguments = [*CSP_ONLY, *VENTRICLES_ARE_BRAIN, "--name", "resumed", "--resume"]
    assert train([*arguments, "--set", "train.epochs=2"]) == 0
    assert [row["epoch"] for row in read_history(run / "metrics.csv")] == [1, 2]
    assert (run / "class_pixels.json").read_bytes() == counted
    fitted_to = read_json(run / "measurement.json")["fitted_to_sha256"]
    assert fitted_to == sha_of(run / "best.keras") != before


def test_masks_with_more_classes_than_the_task_leave_no_run(place, capsys):
    assert train([*CSP_ONLY, "--name", "mixed_up"]) == 2
    assert "data.options.structures" in capsys.readouterr().err
    assert not (place / "runs" / "mixed_up").exists()
