"""`python -m tools.compare` over different tasks, with a study's figures beside ours."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from fetal_tf.cli.compare import main
from fetal_tf.evaluate import main as evaluate
from fetal_tf.scores.columns import Column, declare, figures
from fetal_tf.scores.pixel_levels import PixelLevels
from fetal_tf.scores.wording import DASH
from tests.evaluation.evaluation_fakes import BrightnessTask
from tests.evaluation.target_fakes import Dimmed

GRAYS = [60, 100, 110, 130, 140, 150, 160, 170, 180, 190, 200]


class HeartTask(BrightnessTask):
    """Dice is the brightness; the bright half of a frame is its heart."""

    name = "hearts"  # none that the report has a section for
    classes = ("heart",)
    headline = ("heart_dice", "hc_abs_error_mm")
    columns = declare(
        figures("heart_dice", "heart_iou", "official_dice", better="higher"),
        [Column("hc_abs_error_mm", "lower", published=True)],
    )
    scores = {"official": ("official_dice",)}  # noqa: RUF012

    def gather(self):
        return {"heart": PixelLevels()}

    def evaluate(self, probabilities, sample, letterbox, gather=None):
        row = super().evaluate(probabilities, sample, letterbox)
        dice = row.pop("dice")
        if gather is not None:
            own = probabilities[letterbox.content][..., 0]
            truth = np.zeros(own.shape, bool)
            truth[:, : own.shape[1] // 2] = int(sample.group) % 2
            truth[0] = True
            gather["heart"].add(sample.group, own, truth)
        found = {"heart_dice": dice, "heart_iou": dice / 2, "official_dice": dice / 4}
        return row | found


class PairTask(HeartTask):
    classes = ("thorax", "heart")
    headline = ("heart_dice", "thorax_dice")
    columns = declare(HeartTask.columns.values(), figures("thorax_dice", better="higher"))

    def evaluate(self, probabilities, sample, letterbox, gather=None):
        row = super().evaluate(probabilities, sample, letterbox, gather)
        return row | {"thorax_dice": row["heart_dice"]}


class ErrorTask(BrightnessTask):
    name = "reconstruction"
    classes = ("gray",)
    headline = ("reconstruction_error",)
    columns = declare(figures("reconstruction_error", better="lower"))
    quantities = ()

    def evaluate(self, probabilities, sample, letterbox, gather=None):
        row = super().evaluate(probabilities, sample, letterbox)
        return {"id": row["id"], "group": row["group"], "reconstruction_error": row["dice"] / 10}


def published(source="A study, table 2", **metrics):
    names = {name.replace("__", "."): value for name, value in metrics.items()}
    return {"source": source, "metrics": names}


@pytest.fixture
def approaches(runs, samples):
    """The study's three rows."""
    return [
        runs("auto", samples, task=ErrorTask(), published=published(reconstruction_error=0.007)),
        runs("basic", samples, task=HeartTask(), published=published(heart_dice=0.193)),
        runs(
            "attention",
            samples,
            task=HeartTask(),
            predictor=Dimmed(0.9),
            published=published(
                "Another study",
                heart_dice=0.537,
                heart_iou=0.389,
                metrics__heart_dice__sd=0.187,
                pixels__heart__roc_auc=0.931,
            ),
        ),
    ]


def compared(paths, tmp_path, *arguments):
    """Record, Markdown and CSV lines of a comparison."""
    out = tmp_path / "out"
    assert main([*paths, *arguments, "--out", str(out)]) == 0
    record = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    with (out / "comparison.csv").open(newline="", encoding="utf-8") as file:
        lines = {(line["run"], line["metric"], line["over"]): line for line in csv.DictReader(file)}
    return record, (out / "comparison.md").read_text(encoding="utf-8"), lines


def cells(text, run):
    """Every table line of a run, as its cells."""
    lines = (line.strip("| ").split("|") for line in text.splitlines() if line.startswith("|"))
    return [found for line in lines if (found := [cell.strip() for cell in line])[0] == run]


def test_three_approaches_stand_side_by_side_each_with_what_was_published(approaches, tmp_path):
    record, text, lines = compared(approaches, tmp_path)
    assert record["metrics"] == [
        "reconstruction_error",
        "heart_dice",
        "hc_abs_error_mm",
        "heart_iou",
        "metrics.heart_dice.sd",
        "pixels.heart.roc_auc",
    ]
    brightness = np.array(GRAYS) / 255
    mean, sd = brightness.mean(), 0.9 * brightness.std(ddof=1)
    (auto,) = cells(text, "auto")[:1]
    assert auto[1].startswith(f"{mean / 10:.4f} [") and auto[2:5] == [DASH] * 3
    assert cells(text, "auto, published") == [["auto, published", "0.007", *[DASH] * 8]]
    assert cells(text, "basic, published") == [["basic, published", DASH, "0.193", *[DASH] * 7]]
    ours, theirs = cells(text, "attention")[:2], cells(text, "attention, published")
    assert ours[0][2].startswith(f"{0.9 * mean:.4f} [") and ours[0][5] == "11"
    assert theirs[0][1:5] == [DASH, "0.537", DASH, "0.389"]
    assert ours[1][1] == f"{sd:.4f}" and ours[1][2].endswith("]")
    assert theirs[1][1:] == ["0.187", "0.931"]
    assert text.count("A study, table 2") == text.count("Another study") == 1
    assert "auto, basic: A study, table 2; attention: Another study." in text
    assert "other images, the study's own split" in text
    assert record["published"]["basic"] == {
        "source": "A study, table 2",
        "metrics": {"heart_dice": 0.193},
    }
    figure = record["runs"]["attention"]["figures"]["pixels.heart.roc_auc"]
    assert figure["n"] == 11 and figure["ci95"][0] < figure["value"] < figure["ci95"][1]
    line = lines["attention", "pixels.heart.roc_auc", "summary"]
    assert (line["published"], line["n"], line["pairs"]) == ("0.931", "11", "")
    assert lines["basic", "heart_dice", "images"]["published"] == "0.193"
    assert lines["basic", "heart_iou", "images"]["published"] == ""


def test_only_what_both_runs_measure_is_tested_and_the_task_is_named(approaches, tmp_path):
    record, _, _ = compared(approaches, tmp_path)
    assert record["tests"] == []
    assert [note for note in record["notes"] if "task" in note] == [
        f"{name} is judged by the task hearts, auto by reconstruction: a metric that only "
        "one of them has is not tested."
        for name in ("basic", "attention")
    ]
    record, text, _ = compared([approaches[k] for k in (1, 2, 0)], tmp_path)
    assert [(test["run"], test["metric"]) for test in record["tests"]] == [
        ("attention", "heart_dice"),
        ("attention", "hc_abs_error_mm"),
        ("attention", "heart_iou"),
    ]
    assert "adjusted for 3 tests" in text


def test_heart_alone_against_heart_and_thorax(runs, samples, tmp_path):
    """Nested channels: another channel beside it does not change what the heart is."""
    paths = [runs("one", samples, task=HeartTask()), runs("two", samples, task=PairTask())]
    record, _, _ = compared(paths, tmp_path)
    assert [test["metric"] for test in record["tests"]] == ["heart_dice", "hc_abs_error_mm"]
    assert record["notes"] == ["two knows thorax, heart; one knows heart."]


def test_official_scores_are_tested_whatever_the_classes_are(runs, samples, tmp_path):
    sections = {"published": published(official_dice=0.9, thorax_dice=0.95)}
    paths = [
        runs("one", samples, task=HeartTask()),
        runs("two", samples, task=PairTask(), **sections),
    ]
    record, _, _ = compared(paths, tmp_path)
    assert "official_dice" in [test["metric"] for test in record["tests"]]


def test_without_anything_published_nothing_speaks_of_it(runs, samples, tmp_path):
    paths = [runs("a", samples, task=HeartTask()), runs("b", samples, task=HeartTask())]
    record, text, lines = compared(paths, tmp_path)
    assert record["published"] == {} and record["metrics"] == list(HeartTask.headline)
    assert "ublished" not in text and "Over all images together" not in text
    assert all("published" not in line for line in lines.values())


def test_every_table_line_has_as_many_cells_as_its_head(approaches, tmp_path):
    _, text, _ = compared([approaches[k] for k in (2, 1, 0)], tmp_path)
    escaped = text.replace(r"\|", "xx").split("\n\n")
    tables = [block.splitlines() for block in escaped if block.startswith("|")]
    assert len(tables) == 3  # means, figures of the summary, tests
    for table in tables:
        assert len({line.count("|") for line in table}) == 1


@pytest.mark.parametrize(
    "name, guess", [("heart_dcie", "heart_dice"), ("pixels.hart.roc_auc", "pixels.heart.roc_auc")]
)
def test_a_published_name_that_nothing_of_ours_bears_is_named(runs, samples, tmp_path, name, guess):
    stated = {"source": "A study", "metrics": {name: 0.537}}
    paths = [
        runs("a", samples, task=HeartTask(), published=stated),
        runs("b", samples, task=HeartTask()),
    ]
    record, _, _ = compared(paths, tmp_path)
    assert record["notes"] == [
        f"a: its config states published.metrics.{name} = 0.537, but its evaluation has no such "
        f"figure (did you mean {guess}?)."
    ]
    assert record["published"]["a"]["metrics"] == {name: 0.537}


def test_a_published_figure_that_another_run_alone_measures_is_still_shown(runs, samples, tmp_path):
    stated = published(heart_iou=0.389)
    paths = [
        runs("auto", samples, task=ErrorTask(), published=stated),
        runs("heart", samples, task=HeartTask()),
    ]
    record, text, lines = compared(paths, tmp_path)
    column = record["metrics"].index("heart_iou") + 1
    assert cells(text, "auto")[0][column] == DASH
    assert cells(text, "auto, published")[0][column] == "0.389"
    line = lines["auto", "heart_iou", "images"]
    assert (line["value"], line["published"], line["n"]) == ("", "0.389", "0")
    assert any("published.metrics.heart_iou" in note for note in record["notes"])


def test_chosen_metrics_may_be_figures_of_the_summary(approaches, tmp_path, capsys):
    chosen = "pixels.heart.dice,heart_iou"
    record, text, _ = compared(approaches, tmp_path, "--metrics", chosen)
    assert record["metrics"] == chosen.split(",")
    assert "Heart mask Dice (pixels)" in text and "0.537" not in text and "0.389" in text
    assert main([*approaches, "--metrics", "pixels.heart.dcie"]) == 2
    assert "(did you mean pixels.heart.dice?)" in capsys.readouterr().err.splitlines()[-1]


def test_what_is_pooled_over_pixels_says_when_it_holds_more_images(runs, samples, tmp_path):
    stated = published(pixels__heart__roc_auc=0.931, metrics__heart_dice__sd=0.2)
    paths = [
        runs("a", samples, task=HeartTask(), published=stated),
        runs("b", samples[:8], task=HeartTask()),
    ]
    record, text, _ = compared(paths, tmp_path)
    assert record["images"] == 8
    assert [record["runs"][run]["figures"]["pixels.heart.roc_auc"]["n"] for run in "ab"] == [11, 8]
    of_common = record["runs"]["a"]["figures"]["metrics.heart_dice.sd"]
    np.testing.assert_allclose(of_common["value"], np.std(GRAYS[:8], ddof=1) / 255, rtol=1e-4)
    assert of_common["n"] == 8 and "] n=11" in text
    assert record["notes"] == [
        "a: what is pooled over pixels holds all its 11 images, the 3 that another run has not "
        "among them."
    ]


class TestStored:
    """What is pooled over pixels stands in summary.json alone."""

    @pytest.fixture
    def paths(self, runs, samples):
        stated = published(pixels__heart__roc_auc=0.931)
        paths = [
            runs("a", samples, task=HeartTask(), published=stated),
            runs("b", samples, task=HeartTask()),
        ]
        assert evaluate([paths[0]]) == 0
        runs.known[paths[0]].predictor.batches.clear()
        return paths

    def test_it_is_read_from_there(self, paths, runs, tmp_path, monkeypatch):
        record, _, _ = compared(paths, tmp_path)
        assert not runs.known[paths[0]].predictor.batches
        a, b = (record["runs"][run]["figures"]["pixels.heart.roc_auc"] for run in "ab")
        assert a == b, "one was read, the other computed, of the same images"

    def test_without_it_the_images_are_evaluated_once_more(self, paths, runs, tmp_path):
        path = tmp_path / "runs" / "a" / "evaluation" / "test-keras" / "summary.json"
        summary = json.loads(path.read_text(encoding="utf-8"))
        del summary["pixels"]
        path.write_text(json.dumps(summary), encoding="utf-8")
        record, _, _ = compared(paths, tmp_path)
        assert runs.known[paths[0]].predictor.batches
        assert record["runs"]["a"]["figures"]["pixels.heart.roc_auc"]["n"] == 11


def test_a_failed_image_is_not_counted_among_ours(runs, samples, tmp_path):
    samples[2].image_path.write_bytes(b"no image")
    stated = published(heart_dice=0.5, pixels__heart__roc_auc=0.9)
    paths = [
        runs("a", samples, task=HeartTask(), published=stated),
        runs("b", [dataclasses.replace(sample) for sample in samples], task=HeartTask()),
    ]
    _, text, lines = compared(paths, tmp_path)
    assert lines["a", "heart_dice", "images"]["n"] == "10"
    assert lines["a", "pixels.heart.roc_auc", "summary"]["n"] == "10"
    assert text.count("] n=10") == 6  # Dice, |ΔHC| and ROC AUC of both runs
