"""The four-chamber view from the phantom to the tablet: one small run through every command."""

import contextlib
import csv
import html
import io
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, stats

from fetal_tf.cli.compare import main as compare
from fetal_tf.data.credit import HC18, PHANTOM, joined, read_credits, write_credits
from fetal_tf.data.phantom.heart import FRAME_SHAPES
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.geometry.letterbox import letterboxed
from fetal_tf.edge.io.files import sha256_of
from fetal_tf.edge.io.images import read_gray
from fetal_tf.evaluate import main as evaluate
from fetal_tf.evaluation.target import open_target
from fetal_tf.models.saving import load_model
from fetal_tf.train import main as train
from tests.edge.test_imports import BLOCKED
from tests.end_to_end.test_brain import PREDICT
from tests.exporting.test_export_command import export_untimed

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = 38  # dealt 26 : 6 : 6; of the first, the last 14 are moved to validate the autoencoder on
MOVED = range(13, 27)
MM_PER_PIXEL = 0.2
OFFICIAL = (
    "focus_cardiac_dice",
    "focus_thorax_dice",
    "focus_cardiac_hd95_px",
    "focus_thorax_hd95_px",
    "focus_ctr_agreement",
)
OFFICIAL_SHOWN = (
    "FOCUS cardiac Dice",
    "FOCUS thorax Dice",
    "FOCUS cardiac HD95 (px)",
    "FOCUS thorax HD95 (px)",
    "FOCUS CTR agreement",
)
RATIOS = ("ctr_diameter_percent", "ctr_area_percent", "ctr_circumference_percent")

HEADS = """
name: heads
seed: 3
data: {dataset: hc18, root: heads, image_size: [32, 48]}
split: {val: 0.2, test: 0.2}
task: {name: segmentation, classes: [head], measurement: head}
model: {name: unet, base: 8, depth: 2, convs_per_block: 1}
loss: {name: bce_dice}
optimizer: {name: adam, learning_rate: 4e-3}
train: {epochs: 1, batch_size: 1, overlay_every: 99}
"""
# Base 8 and single frames: enough steps that the net finds both organs in some of the images.
HEARTS = """
name: hearts
seed: 3
data: {dataset: focus, root: phantom, image_size: [48, 64]}
task: {name: four_chamber, classes: [thorax, heart], measurement: four_chamber}
model: {name: unet, base: 8, depth: 2, convs_per_block: 1, init: runs/heads}
loss: {name: bce_dice}
optimizer: {name: adamw, learning_rate: 5e-3}
train: {epochs: 7, batch_size: 1, monitor: val_heart_dice, overlay_every: 99}
export: {parity_split: val, formats: [float32]}
published:
  source: a study of hearts
  metrics: {heart_dice: 0.537, pixels.heart.roc_auc: 0.931}
"""
VIEWS = """
name: views
seed: 3
data: {dataset: focus, root: phantom, image_size: [48, 64]}
task: {name: reconstruction, classes: [four_chamber], measurement: plane}
model: {name: autoencoder, base: 8, depth: 1, code: 4}
loss: {name: mse}
optimizer: {name: adamw, learning_rate: 4e-3}
train: {epochs: 2, batch_size: 1, monitor: val_reconstruction_error, overlay_every: 99}
export: {parity_split: val, formats: [float32]}
"""
# So small a step leaves every weight where it started.
HEART_ALONE = [
    "--name", "heart_alone", "--set", "task.classes=[heart]",
    "--set", "train.epochs=1", "--set", "optimizer.learning_rate=1e-7",
]  # fmt: skip
EXCLUSIVE = [
    "--name", "exclusive", "--set", "task.classes=[background, thorax, heart]",
    "--set", "train.epochs=1", "--set", "loss={name: hybrid}", "--set", "model.init=null",
    "--set", "model.head=softmax", "--set", "model.depth=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The current folder of all these tests: both phantoms, the configs, and frames kept aside."""
    folder = tmp_path_factory.mktemp("hearts")
    small = tuple((height // 3, width // 3) for height, width in FRAME_SHAPES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fetal_tf.data.phantom.heart.FRAME_SHAPES", small)  # a ninth of the pixels
        write_phantom("focus", folder / "phantom", IMAGES, seed=3)
    for number in MOVED:
        for file in (folder / "phantom" / "training").glob(f"*/{number:03d}*"):
            file.rename(folder / "phantom" / "validation" / file.parent.name / file.name)
    kept = folder / "kept"  # nothing but testing/, under numbers that no run has seen
    for file in (folder / "phantom" / "testing").glob("*/*"):
        new = kept / "testing" / file.parent.name / f"9{file.name[1:]}"
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, new)
    shutil.copyfile(folder / "phantom" / "phantom.json", kept / "phantom.json")
    write_phantom("hc18", folder / "heads", 5, seed=3)
    for name, config in (("heads", HEADS), ("hearts", HEARTS), ("views", VIEWS)):
        (folder / f"{name}.yaml").write_text(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def heads(place):
    """Generated heads, credited afterwards as if they had been HC18's."""
    assert train(["--config", "heads.yaml"]) == 0
    run = place / "runs" / "heads"
    assert read_credits(run) == [PHANTOM]
    write_credits(run, [HC18])
    return run


@pytest.fixture(scope="module")
def hearts(place, heads):
    """The run, and what training printed."""
    code, shown = printed(train, ["--config", "hearts.yaml"])
    assert code == 0
    return place / "runs" / "hearts", shown


@pytest.fixture(scope="module")
def views(place):
    """The autoencoder with its bundle, which is to be a gate."""
    assert train(["--config", "views.yaml"]) == 0
    run = place / "runs" / "views"
    assert export_untimed([str(run)]) == 0
    return run


@pytest.fixture(scope="module")
def evaluation(hearts):
    """Of the validation images: the folder, and what was printed."""
    run, _ = hearts
    code, shown = printed(evaluate, [str(run), "--split", "val", "--score", "focus"])
    assert code == 0
    return run / "evaluation" / "val-keras", shown


@pytest.fixture(scope="module")
def bundle(hearts, views):
    run, _ = hearts
    assert export_untimed([str(run), "--gate", str(views)]) == 0
    return run / "bundle"


@pytest.fixture(scope="module")
def outputs(evaluation, bundle, place):
    """Validation id → the net's probabilities [H, W, 2] in the original frame, and its measurement.

    From the bundle's float32 file: another runtime than the one that was evaluated.
    """
    opened = Bundle.open(bundle)
    predictor = opened.predictor("float32")
    found = {}
    for row in table(evaluation[0] / "per_image.csv"):
        image = read_gray(frame_path(place, row["id"]))
        frame, letterbox = letterboxed(image, opened.input_shape)
        maps = predictor.predict(frame[None])[0]
        maps[..., 1] = np.minimum(maps[..., 0], maps[..., 1])
        restored = np.stack([letterbox.restore(maps[..., k]) for k in (0, 1)], axis=-1)
        found[row["id"]] = restored, opened.measure(predictor, image)
    return found


@pytest.fixture(scope="module")
def noise(place):
    """A frame that shows nothing at all."""
    path = place / "noise.png"
    pixels = np.random.default_rng(3).integers(0, 256, (400, 600), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def predicted(bundle, evaluation, place, noise, tmp_path_factory):
    """Two measured chests, a head and noise through `predict`, without TensorFlow and Keras."""
    out = tmp_path_factory.mktemp("predictions")
    chests = [row for row in table(evaluation[0] / "per_image.csv") if not row["refused"]][:2]
    paths = [frame_path(place, row["id"]) for row in chests]
    paths += [place / "heads" / "training_set" / "000_HC.png", noise]
    arguments = [str(bundle), *map(str, paths), "--mm-per-pixel", str(MM_PER_PIXEL)]
    arguments += ["--out", str(out)]
    program = PREDICT.format(repository=str(REPOSITORY), blocked=BLOCKED, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "PHANTOM" in done.stderr
    rows = table(out / "measurements.csv")
    assert len(rows) == len(paths)
    return out, chests, dict(zip(["chest", "chest2", "head", "noise"], rows, strict=True))


def printed(command, arguments):
    """The command's exit code and what it wrote to stdout."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        code = command(arguments)
    return code, text.getvalue()


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(cell):
    return float(cell) if cell else None


def frame_path(place, id):
    folder, stem = id.split("_")
    return place / "phantom" / folder / "images" / f"{stem}.png"


def annotated(root, id):
    """heart and thorax → centre, semi-axes and direction, as they stand in the file."""
    folder, stem = id.split("_")
    lines = (root / folder / "annfiles_ellipse" / f"{stem}.txt").read_text().splitlines()
    rows = [line.split() for line in lines]
    return {{"cardiac": "heart"}.get(row[5], row[5]): tuple(map(float, row[:5])) for row in rows}


def filled(ellipse, size):
    """Pixels [H, W] whose centre lies inside the ellipse."""
    center_x, center_y, first, second, degrees = ellipse
    width, height = size
    x, y = np.meshgrid(np.arange(width) - center_x, np.arange(height) - center_y)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return ((x * cos + y * sin) / first) ** 2 + ((y * cos - x * sin) / second) ** 2 <= 1


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def hd95(a, b):
    borders = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    away = [ndimage.distance_transform_edt(~border) for border in borders]
    one, other = away[1][borders[0]], away[0][borders[1]]
    return max(np.percentile(one, 95), np.percentile(other, 95))


def ctr(ellipses):
    return min(ellipses["heart"][2:4]) / min(ellipses["thorax"][2:4])


def test_training_takes_the_datasets_own_folders_and_keeps_copies_together(hearts, place):
    rows = table(hearts[0] / "splits.csv")
    official = {"training": "train", "validation": "val", "testing": "test"}
    assert all(row["split"] == official[row["id"].split("_")[0]] for row in rows)
    assert Counter(row["split"] for row in rows) == {"train": 12, "val": 20, "test": 6}
    groups = {row["id"]: row["group"] for row in rows}
    copy, original = frame_path(place, "training_008"), frame_path(place, "training_007")
    assert copy.read_bytes() == original.read_bytes()
    assert groups["training_008"] == groups["training_007"]
    assert len(set(groups.values())) == IMAGES - 1


def test_where_the_first_weights_came_from_is_on_record(hearts, heads, views):
    run, shown = hearts
    record = read_json(run / "environment.json")["initial_weights"]
    assert record == {"file": "heads/best.keras", "sha256": sha256_of(heads / "best.keras")}
    assert read_json(views / "environment.json")["initial_weights"] is None
    assert "layers start with the weights of runs/heads/best.keras; fresh: probabilities" in shown
    assert read_credits(run) == [PHANTOM, HC18]
    assert read_credits(views) == [PHANTOM]


def test_tensorboard_is_written_and_nothing_else_asked_for(hearts, place):
    assert list((hearts[0] / "tensorboard").rglob("events.out.tfevents.*"))
    assert not list(place.glob("**/mlflow*")) and not list(place.glob("**/mlruns"))


def test_the_screen_shows_the_five_official_figures(evaluation):
    out, shown = evaluation
    metrics = read_json(out / "summary.json")["metrics"]
    lines = shown.splitlines()
    head = next(k for k, line in enumerate(lines) if OFFICIAL_SHOWN[0] in line)
    columns, cells = (re.split(r"\s{2,}", line.strip()) for line in lines[head : head + 2])
    assert columns == ["n", *OFFICIAL_SHOWN, "flagged", "refused", "failed"]
    for name, cell in zip(OFFICIAL, cells[1:6], strict=True):
        digits = len(cell.partition(".")[2])
        assert float(cell) == pytest.approx(metrics[name]["mean"], abs=0.51 * 10**-digits)
    assert cells[0] == "20" and cells[-1] == "0"


def test_the_official_score_follows_from_ellipses_drawn_by_hand(evaluation, outputs, place):
    """Annotated ellipses from their files, the net's from its bundle; what is missing scores 0."""
    out, _ = evaluation
    found = {name: [] for name in OFFICIAL}
    rows = table(out / "per_image.csv")
    measured = [row["id"] for row in rows if not row["refused"]]
    assert len(measured) >= 4, "the net has learnt too little for a test"
    for row in rows:
        truth = annotated(place / "phantom", row["id"])
        record = outputs[row["id"]][1].as_record()
        assert bool(record["refused"]) is bool(row["refused"])
        size = Image.open(frame_path(place, row["id"])).size
        ellipses = {}
        for structure, adjective in (("heart", "cardiac"), ("thorax", "thoracic")):
            official = {"heart": "cardiac", "thorax": "thorax"}[structure]
            ours, distance = 0.0, None
            if record[f"{adjective}_minor_axis_px"] is not None:
                place_px = (record[f"{adjective}_center_{axis}_px"] for axis in "xy")
                axes = (record[f"{adjective}_{axis}_axis_px"] / 2 for axis in ("major", "minor"))
                ellipse = (*place_px, *axes, record[f"{adjective}_angle_deg"])
                masks = filled(ellipse, size), filled(truth[structure], size)
                ellipses[structure], ours = ellipse, dice(*masks)
                if row["id"] in measured[:2]:
                    distance = hd95(*masks)
                    hd95_px = float(row[f"focus_{official}_hd95_px"])
                    assert hd95_px == pytest.approx(distance, abs=0.1)
            else:
                assert row[f"focus_{official}_hd95_px"] == ""
            assert float(row[f"focus_{official}_dice"]) == pytest.approx(ours, abs=1e-3)
            found[f"focus_{official}_dice"].append(ours)
        agreement = 0.0
        if len(ellipses) == 2:
            agreement = 1 - abs(ctr(ellipses) - ctr(truth)) / ctr(truth)
        assert float(row["focus_ctr_agreement"]) == pytest.approx(agreement, abs=1e-3)
        found["focus_ctr_agreement"].append(agreement)
        assert float(row["ctr_diameter_true_percent"]) == pytest.approx(100 * ctr(truth), rel=1e-4)
    metrics = read_json(out / "summary.json")["metrics"]
    for name, values in found.items():
        if values:
            assert metrics[name]["n"] == len(values) == 20
            assert metrics[name]["mean"] == pytest.approx(np.mean(values), abs=1e-3)


def test_masks_and_their_pixels_are_counted_as_numpy_counts_them(evaluation, outputs, place):
    out, _ = evaluation
    summary, rows = read_json(out / "summary.json"), table(out / "per_image.csv")
    for channel, name in enumerate(("thorax", "heart")):
        pairs = []
        for row in rows:
            probabilities = outputs[row["id"]][0][..., channel]
            truth = annotated(place / "phantom", row["id"])[name]
            pairs.append((probabilities >= 0.5, filled(truth, probabilities.shape[::-1])))
        per_image = [dice(*pair) for pair in pairs]
        for row, value, (mask, truth) in zip(rows, per_image, pairs, strict=True):
            assert float(row[f"{name}_dice"]) == pytest.approx(value, abs=1e-3)
            found = (mask & truth).sum() / truth.sum()
            assert float(row[f"{name}_sensitivity"]) == pytest.approx(found, abs=1e-3)
            left = (~mask & ~truth).sum() / (~truth).sum()
            assert float(row[f"{name}_specificity"]) == pytest.approx(left, abs=1e-3)
        assert summary["metrics"][f"{name}_dice"]["mean"] == pytest.approx(
            np.mean(per_image), abs=1e-3
        )

        pixels = summary["pixels"][name]
        masks, truths = (np.concatenate([p[k].ravel() for p in pairs]) for k in (0, 1))
        assert (pixels["images"], pixels["pixels"]) == (len(rows), truths.size)
        assert pixels["dice"] == pytest.approx(dice(masks, truths), abs=1e-3)
        bins = pixels["curves"]["calibration"]
        assert sum(bins["pixels"]) == truths.size
        observed = np.array(bins["observed"], float)  # None becomes NaN
        assert np.nansum(observed * bins["pixels"]) == pytest.approx(truths.sum(), rel=1e-3)

        levels, count = summary["categories"][name], 0
        for metric, marks in (("dice", (0.8, 0.7, 0.5)), ("roc_auc", (0.9, 0.8, 0.7))):
            values = np.array([float(row[f"{name}_{metric}"]) for row in rows])
            for mark in marks:
                assert levels[metric][str(mark)] == pytest.approx(np.mean(values > mark))
                count += 1
        assert count == 6 and levels["n"] == len(rows)


def test_roc_auc_of_an_image_is_mann_whitneys(evaluation, outputs, place):
    row = table(evaluation[0] / "per_image.csv")[0]
    probabilities = outputs[row["id"]][0][..., 1]
    truth = filled(annotated(place / "phantom", row["id"])["heart"], probabilities.shape[::-1])
    ranks = stats.rankdata(probabilities.ravel())[truth.ravel()]
    own, others = truth.sum(), (~truth).sum()
    auc = (ranks.sum() - own * (own + 1) / 2) / (own * others)
    assert float(row["heart_roc_auc"]) == pytest.approx(auc, abs=5e-3)


def test_the_page_has_its_section_its_curves_and_its_caution(evaluation):
    out, _ = evaluation
    page = (out / "report.html").read_text(encoding="utf-8")
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert "These are generated phantom images." in text
    assert '<h2 id="fourchamber">Four-chamber heart</h2>' in page
    for title in (
        "Official FOCUS score, beside published figures",
        "Cardiothoracic ratio, three definitions",
        "Pixels, per image and pooled",
        "Share of images above fixed marks",
        "ROC, all pixels pooled",
        "Precision and recall, all pixels pooled",
        "Calibration of the probabilities",
    ):
        assert title in text
    metrics = read_json(out / "summary.json")["metrics"]
    assert f"cardiac Dice {metrics['focus_cardiac_dice']['mean']:.4f}" in text
    for name in ("roc_curves", "pr_curves", "calibration"):
        with Image.open(out / "figures" / f"{name}.png") as picture:
            assert picture.size[0] > 300
    section = page[page.index('id="fourchamber"') :]
    assert section[: section.index("</section>")].count("<svg") == 3


def test_the_autoencoder_is_calibrated_on_its_validation_images(views):
    record = read_json(views / "measurement.json")
    assert record["fitted_to_sha256"] == sha256_of(views / "best.keras")
    settings = record["settings"]
    assert (settings["n"], settings["false_alarm_rate"]) == (20, 0.05)
    assert settings["flagged_share"] == pytest.approx(1 / 20) and settings["threshold"] > 0
    manifest = read_json(views / "bundle" / "bundle.json")
    assert manifest["measurement_settings"] == settings
    parity = read_json(views / "bundle" / "parity.json")
    checked = {c["metric"] for c in parity["formats"]["float32"]["checks"]}
    assert "plane_score_abs_delta_mean" in checked


def test_the_bundle_holds_gate_credits_and_proof(bundle, views):
    manifest = read_json(bundle / "bundle.json")
    assert (manifest["task"], manifest["measurement"]) == ("four_chamber", "four_chamber")
    assert manifest["classes"] == ["thorax", "heart"]
    gate, own = bundle / "gate", views / "bundle"
    sealed = [line.split()[1] for line in (own / "SHA256SUMS").read_text().splitlines()]
    assert {p.name for p in gate.iterdir()} == {"SHA256SUMS", *sealed}
    for name in sealed:
        assert (gate / name).read_bytes() == (own / name).read_bytes()
    assert manifest["gate"] == {
        "name": "views",
        "path": "gate",
        "classes": ["four_chamber"],
        "false_alarm_rate": 0.05,
        "n": 20,
        "seal_sha256": sha256_of(gate / "SHA256SUMS"),
    }

    # Derived from both: the generated hearts, and the heads that the weights had seen before.
    assert manifest["phantom"] is True
    assert manifest["attribution"] == list(HC18.attribution)
    assert manifest["trained_on"] == joined([PHANTOM, HC18]).trained_on
    card = " ".join((bundle / "MODEL_CARD.md").read_text(encoding="utf-8").split())
    assert "`runs/heads` (`model.init`), whose weights it starts with" in card
    assert "PHANTOM" in card and HC18.attribution[0] in card

    parity = read_json(bundle / "parity.json")
    assert parity["failures"] == []
    checks = {c["metric"]: c for c in parity["formats"]["float32"]["checks"]}
    for name in ("heart_dice", "thorax_dice", "focus_cardiac_dice", "focus_thorax_dice"):
        check = checks[f"{name}_abs_delta_mean"]
        assert check["limit"] == 1e-4 >= abs(check["value"])
    for name in ("focus_ctr_agreement_delta_mean", "ctr_diameter_abs_delta_mean_percent"):
        assert checks[name]["passed"] and checks[name]["value"] is not None


def test_the_tablet_measures_what_the_evaluation_measured(predicted):
    out, chests, rows = predicted
    for expected, name in zip(chests, ("chest", "chest2"), strict=True):
        row = rows[name]
        for ratio in RATIOS:
            assert float(row[ratio]) == pytest.approx(float(expected[ratio]), abs=0.05)
        diameters = [float(row[f"{organ}_minor_axis_mm"]) for organ in ("cardiac", "thoracic")]
        assert 100 * diameters[0] / diameters[1] == pytest.approx(float(row[RATIOS[0]]), rel=1e-4)
        for organ in ("cardiac", "thoracic"):
            length_px = float(row[f"{organ}_major_axis_px"])
            length_mm = float(row[f"{organ}_major_axis_mm"])
            assert length_mm == pytest.approx(length_px * MM_PER_PIXEL, rel=1e-4)
            area_px2 = float(row[f"{organ}_area_px2"])
            assert float(row[f"{organ}_area_mm2"]) == pytest.approx(
                area_px2 * MM_PER_PIXEL**2, rel=1e-4
            )
    for row in rows.values():
        with Image.open(out / row["overlay"]) as picture:
            assert picture.mode == "RGB"
            assert len(set(picture.resize((32, 32)).getdata())) > 8


def test_the_tablets_gate_is_the_autoencoder(predicted, views, place, noise):
    _, chests, rows = predicted
    gate = Bundle.open(views / "bundle")
    predictor = gate.predictor("float32")
    frames = {
        "chest": frame_path(place, chests[0]["id"]),
        "head": place / "heads" / "training_set" / "000_HC.png",
        "noise": noise,
    }
    for name, path in frames.items():
        alone = gate.measure(predictor, read_gray(path))
        assert float(rows[name]["plane_score"]) == pytest.approx(alone.plane_score, rel=1e-4)
        flagged = "not_four_chamber" in rows[name]["flags"]
        assert flagged is (alone.plane_score >= 1) is bool(alone.flags)
    assert float(rows["noise"]["plane_score"]) > 1
    assert rows["noise"]["flags"].startswith("not_four_chamber: ")


def test_the_table_of_approaches_shows_what_is_published(evaluation, views, hearts, tmp_path):
    run, _ = hearts
    code, shown = printed(
        compare, [str(run), str(views), "--split", "val", "--out", str(tmp_path / "table")]
    )
    assert code == 0
    assert f"hearts: 20 images, {evaluation[0]}" in shown  # not judged once more
    lines = [[c.strip() for c in x.strip("| ").split(" | ")] for x in shown.splitlines()]
    ours, published = (next(x for x in lines if x[0] == n) for n in ("hearts", "hearts, published"))
    head = next(x for x in lines if x[0] == "run")
    place = head.index("Heart mask Dice")
    metrics = read_json(evaluation[0] / "summary.json")
    mean = metrics["metrics"]["heart_dice"]["mean"]
    assert ours[place].startswith(f"{mean:.4f} [") and published[place] == "0.537"
    assert "Published: hearts: a study of hearts." in shown

    rows = {(x["run"], x["metric"]): x for x in table(tmp_path / "table" / "comparison.csv")}
    dice_row, auc_row = rows["hearts", "heart_dice"], rows["hearts", "pixels.heart.roc_auc"]
    assert float(dice_row["published"]) == 0.537 and float(auc_row["published"]) == 0.931
    auc = metrics["pixels"]["heart"]["roc_auc"]["value"]
    assert float(auc_row["value"]) == pytest.approx(auc, abs=1e-6)
    error = rows["views", "reconstruction_error"]
    assert float(error["value"]) > 0 and error["published"] == ""
    assert ("views", "heart_dice") not in rows


def test_the_heart_alone_starts_from_every_weight_of_the_heads(heads, place):
    """Equally many classes: no layer is fresh, and nothing of the thorax is in any table."""
    assert train(["--config", "hearts.yaml", *HEART_ALONE]) == 0
    run = place / "runs" / "heart_alone"
    weights = load_model(run / "best.keras").trainable_weights
    before = load_model(heads / "best.keras").trainable_weights
    assert [w.path for w in weights] == [w.path for w in before]
    for here, there in zip(weights, before, strict=True):
        np.testing.assert_allclose(here, there, atol=1e-5)

    code, shown = printed(evaluate, [str(run), "--score", "focus"])
    assert code == 0
    shown_names = [name for name in OFFICIAL_SHOWN if name in shown]
    assert shown_names == ["FOCUS cardiac Dice", "FOCUS cardiac HD95 (px)"]
    out = run / "evaluation" / "test-keras"
    summary, rows = read_json(out / "summary.json"), table(out / "per_image.csv")
    assert [row["id"] for row in rows] == [f"testing_{n:03d}" for n in range(1, 7)]
    assert list(summary["pixels"]) == list(summary["categories"]) == ["heart"]
    columns = [*rows[0], *summary["metrics"]]
    assert not [name for name in columns if "thorax" in name or "ctr" in name]
    predictor = open_target(str(run)).predictor
    for row in rows[:2]:
        image = read_gray(frame_path(place, row["id"]))
        frame, letterbox = letterboxed(image, predictor.input_shape)
        mask = letterbox.restore(predictor.predict(frame[None])[0][..., 0]) >= 0.5
        truth = filled(annotated(place / "phantom", row["id"])["heart"], image.shape[::-1])
        assert float(row["heart_dice"]) == pytest.approx(dice(mask, truth), abs=1e-3)


def test_exclusive_classes_and_frames_that_were_kept_aside(place, capsys):
    """A softmax of three, whose thorax is a ring, judged on a folder that only holds testing/."""
    assert train(["--config", "hearts.yaml", *EXCLUSIVE]) == 0
    run = place / "runs" / "exclusive"
    arguments = [str(run), "--split", "test", "--data-root", "kept", "--score", "focus"]
    assert evaluate(arguments) == 0
    out = run / "evaluation" / "test-keras-kept"
    summary, rows = read_json(out / "summary.json"), table(out / "per_image.csv")
    assert [row["id"] for row in rows] == [f"testing_9{n:02d}" for n in range(1, 7)]
    assert summary["evaluated"]["data_root"] == "kept"
    assert summary["evaluated"]["trained_on"] is None and summary["evaluated"]["phantom"] is True
    assert set(OFFICIAL) <= summary["metrics"].keys()
    assert list(summary["pixels"]) == ["heart", "thorax"]

    predictor, pixels = open_target(str(run)).predictor, 0
    for row in rows:
        truth = annotated(place / "kept", row["id"])
        assert float(row["ctr_diameter_true_percent"]) == pytest.approx(100 * ctr(truth), rel=1e-4)
        path = place / "kept" / "testing" / "images" / f"{row['id'].split('_')[1]}.png"
        image = read_gray(path)
        pixels += image.size
        frame, letterbox = letterboxed(image, predictor.input_shape)
        output = predictor.predict(frame[None])[0]
        np.testing.assert_allclose(output.sum(axis=-1), 1, atol=1e-5)
        for name, share in (("heart", output[..., 2]), ("thorax", output[..., 1:].sum(axis=-1))):
            mask = letterbox.restore(np.minimum(share, 1)) >= 0.5
            expected = dice(mask, filled(truth[name], image.shape[::-1]))
            assert float(row[f"{name}_dice"]) == pytest.approx(expected, abs=1e-3)
    assert summary["pixels"]["thorax"]["pixels"] == pixels
    assert evaluate([str(run), "--split", "val", "--data-root", "kept"]) == 2
    assert "kept: no sample belongs to the split 'val'" in capsys.readouterr().err
