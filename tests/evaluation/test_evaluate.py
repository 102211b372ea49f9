import csv
import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fetal_tf.edge.bundle.gate import GatedPredictor
from fetal_tf.edge.flag import flag_codes
from fetal_tf.edge.measure.plane import PlaneMeasurement
from fetal_tf.evaluation.evaluate import (
    draw_rows,
    evaluate_samples,
    summarise_rows,
    worst_rows,
    write_evaluation,
)
from fetal_tf.evaluation.provenance import Evaluated
from fetal_tf.scores.rows import frame_of, image_frame
from tests.evaluation.evaluation_fakes import (
    BrightnessPredictor,
    BrightnessTask,
    broken_mask,
    row,
    write_samples,
)

TASK = BrightnessTask()
EVALUATED = Evaluated(
    "net",
    "int8",
    "hc18",
    "data",
    "test",
    None,
    False,
    "0a1b",
    None,
    "2026-01-31",
    {"fetal_tf": "0"},
)


def test_every_sample_gets_its_own_row_across_batches(tmp_path):
    levels = list(range(40, 240, 10))
    samples = write_samples(tmp_path, levels)
    predictor = BrightnessPredictor()
    rows = evaluate_samples(predictor, samples, TASK)
    assert list(rows["id"]) == [s.id for s in samples]
    np.testing.assert_allclose(rows["dice"], np.array(levels) / 255, rtol=1e-6)
    assert (rows["error"] == "").all()
    assert sum(len(batch) for batch in predictor.batches) == len(levels)
    assert len(predictor.batches) < len(levels)


def test_image_is_letterboxed_to_the_predictors_size_and_channels(tmp_path):
    samples = write_samples(tmp_path, [200], size=(20, 80))
    predictor = BrightnessPredictor((40, 40, 3))
    evaluate_samples(predictor, samples, TASK)
    (batch,) = predictor.batches
    assert batch.shape == (1, 40, 40, 3)
    np.testing.assert_array_equal(batch[0, 15:25], 200)
    assert batch.sum() == 200 * 10 * 40 * 3


def test_broken_file_keeps_its_row_and_shifts_no_other(tmp_path):
    samples = write_samples(tmp_path, [50, 100, 150])
    samples[1].image_path.write_bytes(samples[1].image_path.read_bytes()[:40])
    rows = evaluate_samples(BrightnessPredictor(), samples, TASK)
    assert rows.iloc[1].replace("", None).dropna().keys().tolist() == ["id", "group", "error"]
    assert rows["error"][1].startswith("001_HC.png: ")  # and not this machine's folder
    assert rows["dice"][2] == pytest.approx(150 / 255)


def test_batch_without_a_readable_file(tmp_path):
    samples = write_samples(tmp_path, [50, 100])
    for sample in samples:
        sample.image_path.unlink()
    rows = evaluate_samples(BrightnessPredictor(), samples, TASK)
    assert (rows["error"] != "").tolist() == [True, True]


def test_broken_annotation_is_a_failure_of_that_image(tmp_path):
    samples = write_samples(tmp_path, [50, 100])
    samples[0] = dataclasses.replace(samples[0], load_mask=broken_mask)
    rows = evaluate_samples(BrightnessPredictor(), samples, TASK)
    assert rows["error"].tolist() == ["000_HC_Annotation.png: mask is empty", ""]


def test_output_that_is_not_a_number_is_a_failure(tmp_path):
    class Broken(BrightnessPredictor):
        def predict(self, images):
            return np.full((len(images), 24, 32, 1), np.nan, np.float32)

    failed = evaluate_samples(Broken(), write_samples(tmp_path, [50]), TASK)
    assert "NaN" in failed["error"].item()


def test_numbers_that_overflow_are_a_failure_of_that_image(tmp_path):
    class Overflowing(BrightnessTask):
        def evaluate(self, probabilities, sample, letterbox, gather=None):
            if sample.id == "001_HC":
                raise OverflowError("math range error")
            return super().evaluate(probabilities, sample, letterbox, gather)

    samples = write_samples(tmp_path, [50, 100, 150])
    rows = evaluate_samples(BrightnessPredictor(), samples, Overflowing())
    assert (rows["error"] == "").tolist() == [True, False, True]
    assert rows["error"][1].startswith("001_HC.png: unexpected OverflowError: math range error (")


def test_programming_error_is_not_taken_for_a_broken_file(tmp_path):
    class Wrong(BrightnessTask):
        def evaluate(self, probabilities, sample, letterbox, gather=None):
            raise KeyError("typo")

    with pytest.raises(KeyError):
        evaluate_samples(BrightnessPredictor(), write_samples(tmp_path, [50]), Wrong())


ROWS = image_frame(
    [
        row("001_HC", dice=0.98, hc=101.0, true=100.0),
        row("001_2HC", dice=0.96, hc=97.0, true=100.0),
        row(
            "002_HC",
            dice=0.90,
            hc=120.0,
            true=100.0,
            flags="touches_border: 9 %; unusual_shape: 93",
        ),
        row("003_HC", dice=0.91, hc=99.0, true=100.0, flags="touches_border: 11 %"),
        row("004_HC", dice=0.0, true=100.0, refused="no_head: nothing above 0.5"),
        row("005_HC", error="005_HC.png: truncated"),
    ]
)


def test_summary_counts_every_image_once():
    summary = summarise_rows(ROWS, TASK)
    assert summary["images"] == {"n": 6, "measured": 4, "flagged": 2, "refused": 1, "failed": 1}
    assert summary["groups"] == 5
    assert summary["flags"] == {"touches_border": 2, "unusual_shape": 1}
    assert summary["refusals"] == {"no_head": 1}


def test_summary_keeps_refused_images_in_the_overlap_and_flagged_ones_in_the_error():
    metrics = summarise_rows(ROWS, TASK)["metrics"]
    assert metrics["dice"]["n"] == 5
    assert metrics["dice"]["mean"] == pytest.approx((0.98 + 0.96 + 0.90 + 0.91 + 0) / 5)
    assert metrics["hc_error_mm"]["mean"] == pytest.approx((1 - 3 + 20 - 1) / 4)
    assert metrics["hc_abs_error_mm"]["max"] == pytest.approx(20)


def test_unflagged_summary_leaves_out_flagged_and_refused():
    metrics = summarise_rows(ROWS, TASK)["metrics_unflagged"]
    assert metrics["dice"]["n"] == 2
    assert metrics["hc_abs_error_mm"]["mean"] == pytest.approx(2)


def test_interval_comes_from_examinations_not_from_frames():
    """Four frames that say the same are one observation: the interval must not shrink."""
    values = np.random.default_rng(1).normal(0.95, 0.02, 30)
    single = [row(f"{i:03d}_HC", dice=float(v)) for i, v in enumerate(values)]
    fourfold = [row(f"{i:03d}_{k}HC", dice=float(v)) for i, v in enumerate(values) for k in "1234"]
    intervals = [
        summarise_rows(image_frame(r), TASK, seed=5)["metrics"]["dice"]["ci95"]
        for r in (single, fourfold)
    ]
    np.testing.assert_allclose(*intervals)
    low, high = intervals[0]
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(30), rel=0.15)


def test_infinity_does_not_reach_a_mean():
    rows = image_frame([row("001_HC", dice=float("inf")), row("002_HC", dice=0.9)])
    assert summarise_rows(rows, TASK)["metrics"]["dice"]["n"] == 1


def test_summary_of_no_image():
    summary = summarise_rows(image_frame([]), TASK)
    assert summary["images"]["n"] == 0
    assert summary["metrics"]["dice"]["mean"] is None


def test_worst_rows_begin_with_refused_then_the_largest_error():
    worst = worst_rows(ROWS, TASK, 4)["id"]
    assert list(worst) == ["004_HC", "002_HC", "001_2HC", "003_HC"]


def test_worst_rows_without_millimetres_follow_the_overlap():
    rows = image_frame([row("a", dice=0.9), row("b", dice=0.5), row("c", dice=0.7)])
    assert list(worst_rows(rows, TASK)["id"]) == ["b", "c", "a"]


def test_draw_rows_draws_the_samples_of_the_rows(tmp_path):
    samples = write_samples(tmp_path, [50, 100, 150])
    drawn = draw_rows(BrightnessPredictor(), samples, TASK, ["002_HC", "000_HC"])
    assert [d.shape for d in drawn] == [(48, 64, 3)] * 2
    assert [d.max() for d in drawn] == [150, 50]


def test_a_frame_whose_drawing_fails_is_shown_bare(tmp_path):
    class Failing(BrightnessTask):
        def draw(self, image, probabilities, letterbox, sample):
            if sample.id == "000_HC":
                raise ZeroDivisionError("division by zero")
            return super().draw(image, probabilities, letterbox, sample) // 2

    samples = write_samples(tmp_path, [50, 100])
    with pytest.warns(UserWarning, match="000_HC: not drawn: .*unexpected ZeroDivisionError"):
        drawn = draw_rows(BrightnessPredictor(), samples, Failing(), ["000_HC", "001_HC"])
    assert [(d.shape, d.max()) for d in drawn] == [((48, 64, 3), 50)] * 2


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", []),
        (None, []),
        ("no_head: nothing; touches_border: 3 %", ["no_head", "touches_border"]),
        ("poor_fit: 3 %; more than 2 % allowed", ["poor_fit"]),
        ("no_pixel_size", ["no_pixel_size"]),
    ],
)
def test_flag_codes(text, codes):
    assert flag_codes(text) == codes


def test_written_summary_is_strict_json_with_null_for_nan(tmp_path):
    summary = summarise_rows(ROWS[:1], TASK)
    summary["metrics"]["dice"]["sd"] = float("nan")
    path, _ = write_evaluation(tmp_path / "out", ROWS[:1], summary, EVALUATED, {})

    def refuse(constant):
        raise AssertionError(f"{constant} in JSON")

    tree = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert tree["metrics"]["dice"]["sd"] is None
    assert tree["metrics"]["dice"]["ci95"] == [None, None]
    assert set(tree["metrics"]["dice"]) == {"n", "mean", "sd", "median", "min", "max", "ci95"}
    assert tree["evaluated"]["format"] == "int8"
    assert tree["bootstrap"]["seed"] == 0


def test_written_table_holds_every_row_and_column_whichever_comes_first(tmp_path):
    rows = ROWS.iloc[[5, 0, 4]].copy()
    rows.loc[0, "hc_mm"] = float("nan")
    _, path = write_evaluation(tmp_path, rows, summarise_rows(rows, TASK), EVALUATED, {})
    with path.open(encoding="utf-8", newline="") as file:
        failed, first, refused = csv.DictReader(file)
    assert failed["error"] == "005_HC.png: truncated"
    assert failed["dice"] == ""
    assert first["hc_mm"] == ""
    assert float(first["dice"]) == 0.98
    assert refused["refused"] == "no_head: nothing above 0.5"
    assert list(first)[-1] == "error"


def test_writing_leaves_two_files_and_replaces_old_ones(tmp_path):
    for rows in (ROWS, ROWS[:1]):
        write_evaluation(tmp_path, rows, summarise_rows(rows, TASK), EVALUATED, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["per_image.csv", "summary.json"]
    assert json.loads((tmp_path / "summary.json").read_text())["images"]["n"] == 1


def test_distortions_meet_the_image_before_the_letterbox_and_leave_the_truth(tmp_path):
    samples = write_samples(tmp_path, [50, 100], size=(20, 80))
    seen = []

    def brighter(image):
        seen.append(image)
        return image + np.uint8(60)

    predictor = BrightnessPredictor((40, 40, 1))
    rows = evaluate_samples(predictor, samples, TASK, distort=brighter)
    assert [image.shape for image in seen] == [(20, 80)] * 2 and seen[0].dtype == np.uint8
    (batch,) = predictor.batches
    np.testing.assert_array_equal(batch[1, 15:25], 160)
    assert not batch[:, :15].any() and not batch[:, 25:].any(), "the padding is not distorted"
    np.testing.assert_allclose(rows["dice"], [110 / 255, 160 / 255], rtol=1e-6)
    np.testing.assert_allclose(rows["hc_true_mm"], [5000 / 255, 10000 / 255])
    plain = evaluate_samples(BrightnessPredictor(), samples, TASK)
    assert plain["dice"][0] == pytest.approx(50 / 255)


def test_an_image_that_cannot_be_read_is_not_distorted(tmp_path):
    (sample,) = write_samples(tmp_path, [50])
    sample.image_path.write_bytes(b"")
    distorted = []
    failed = evaluate_samples(BrightnessPredictor(), [sample], TASK, distort=distorted.append)
    assert failed["error"].item() and not distorted


class PreparingTask(BrightnessTask):
    """Its measurer looks at a view of its own: whatever it asks of the net comes back doubled."""

    class Measurer:
        def prepared(self, predictor):
            return SimpleNamespace(
                input_shape=predictor.input_shape, predict=lambda x: 2 * predictor.predict(x)
            )

    measurer = Measurer()


def test_the_measurer_prepares_the_net_for_rows_and_pictures(tmp_path):
    samples, net = write_samples(tmp_path, [50]), BrightnessPredictor()
    drawn = []

    class Drawing(PreparingTask):
        def draw(self, image, probabilities, letterbox, sample):
            drawn.append(probabilities.max())
            return np.repeat(image[..., None], 3, axis=-1)

    evaluated = evaluate_samples(net, samples, Drawing())
    assert evaluated["dice"].item() == pytest.approx(100 / 255)
    draw_rows(net, samples, Drawing(), evaluated["id"])
    assert drawn == [pytest.approx(100 / 255)]


def test_an_average_goes_around_what_the_measurer_looks_at(tmp_path):
    """Around, not inside: an average that adds 1 adds it once, to the doubled output."""
    samples, net = write_samples(tmp_path, [50]), BrightnessPredictor()

    def plus_one(predictor):
        return SimpleNamespace(
            input_shape=predictor.input_shape, predict=lambda x: 1 + predictor.predict(x)
        )

    found = evaluate_samples(net, samples, PreparingTask(), average=plus_one)
    assert found["dice"].item() == pytest.approx(1 + 100 / 255)


def test_further_tables_stand_beside_and_pixel_counts_stay_exact(tmp_path):
    counts = [1234567, 89012345, 0]
    rows = image_frame([{**row(str(n)), "confusion_csp_csp_px": n} for n in counts])
    lines = [{"id": "1", "area_px": 7654321, "share": 1 / 3}, {"id": "2", "area_px": None}]
    tables = {"features": frame_of(lines), "empty": frame_of([])}
    paths = write_evaluation(tmp_path, rows, summarise_rows(rows, TASK), EVALUATED, tables)
    names = ["summary.json", "per_image.csv", "features.csv", "empty.csv"]
    assert [path.name for path in paths] == names
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)
    with paths[1].open(newline="") as file:
        assert [line["confusion_csp_csp_px"] for line in csv.DictReader(file)] == [
            str(n) for n in counts
        ]
    assert paths[2].read_text() == "id,area_px,share\n1,7654321,0.333333\n2,,\n"
    assert not paths[3].read_text().strip()


def test_a_task_adds_its_own_sections_to_the_summary():
    asked = []

    class Adding(BrightnessTask):
        def summarise(self, rows, seed):
            asked.append((list(rows["id"]), seed))
            return {"pooled": {"dice": 0.5}}

    summary = summarise_rows(ROWS, Adding(), seed=4)
    assert summary["pooled"] == {"dice": 0.5}
    assert summary["images"]["n"] == len(ROWS)
    assert asked == [(list(ROWS["id"][:5]), 4)], "what failed has nothing to pool"


def judged_by_brightness(image):
    """A gate that flags what is brighter than 120."""
    score = float(image.mean()) / 120
    return PlaneMeasurement(
        plane="head",
        reconstruction_error=0.0,
        ssim=1.0,
        features={},
        plane_score=score,
        flags=("not_head: too bright",) if score >= 1 else (),
    )


class Doubting(BrightnessTask):
    def evaluate(self, probabilities, sample, letterbox, gather=None):
        return {
            **super().evaluate(probabilities, sample, letterbox),
            "flags": "touches_border: 9 %",
        }


def gated():
    return GatedPredictor(BrightnessPredictor(), "gatekeeper", judged_by_brightness)


@pytest.mark.parametrize("task", [TASK, Doubting()])
def test_behind_a_gate_its_flag_comes_first_and_its_score_has_a_column(tmp_path, task):
    samples = write_samples(tmp_path, [60, 240, 60])
    samples[2].image_path.write_bytes(b"no image")
    plain = evaluate_samples(BrightnessPredictor(), samples, task)
    rows = evaluate_samples(gated(), samples, task)
    own = plain["flags"][0]
    np.testing.assert_array_equal(rows["plane_score"], [0.5, 2.0, np.nan])
    gates = "not_head: too bright" + ("; " + own if own else "")
    assert rows["flags"].tolist() == [own, gates, ""]
    pd.testing.assert_frame_equal(
        rows.drop(columns=["flags", "plane_score"]), plain.drop(columns="flags")
    )


def test_a_gates_flags_count_in_the_summary(tmp_path):
    samples = write_samples(tmp_path, [60, 80, 240])
    summary = summarise_rows(evaluate_samples(gated(), samples, TASK), TASK)
    assert summary["images"]["flagged"] == 1 and summary["flags"] == {"not_head": 1}
    assert summary["metrics"]["dice"]["n"] == 3
    assert summary["metrics_unflagged"]["dice"]["mean"] == pytest.approx(70 / 255)


def test_the_gate_sees_the_distorted_image(tmp_path):
    rows = evaluate_samples(
        gated(), write_samples(tmp_path, [60]), TASK, distort=lambda image: image * np.uint8(4)
    )
    assert rows["plane_score"].item() == 2.0 and rows["flags"].item() == "not_head: too bright"
