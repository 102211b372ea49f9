import json

import numpy as np
import pytest

from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.confidence import FEATURES, ErrorModel
from fetal_tf.scores.rows import image_frame
from fetal_tf.tasks import TASKS
from tests.tasks.declared import check_declared

TRUTH = Ellipse(210.0, 150.0, 120.0, 90.0, 20.0)
SHAPE = (300, 400)
MM_PER_PIXEL = 0.2


@pytest.fixture
def task():
    return build({})


def build(settings):
    spec = {"name": "segmentation", "classes": ["head"], "measurement": "head"}
    return TASKS.build("task", spec, settings)


def sample_of(ellipse, tmp_path, **changes):
    mask = rasterise(ellipse, SHAPE).astype(np.uint8)
    fields = {
        "id": "001",
        "image_path": tmp_path / "001.png",
        "group": "001",
        "mm_per_pixel": MM_PER_PIXEL,
        "load_mask": lambda: mask,
        "reference": {"hc_mm": TRUTH.perimeter * MM_PER_PIXEL},
    }
    return Sample(**(fields | changes))


def test_the_target_is_the_share_that_is_covered(task, tmp_path):
    letterbox = Letterbox(*SHAPE, 96, 128)
    target = task.target(sample_of(TRUTH, tmp_path), letterbox).maps
    assert target.shape == (96, 128, 1)
    assert target.dtype == np.uint8
    assert {0, 255} < set(np.unique(target)), "the border must have values between"
    covered = target.sum() / 255 / (letterbox.scale_x * letterbox.scale_y)
    assert covered == pytest.approx(TRUTH.area, rel=0.002)


def test_a_mask_of_gray_values_is_refused_and_not_learnt_as_empty(task, tmp_path):
    """0 and 255 instead of 0 and 1 would hold no head at all: Dice 0, and no error."""
    gray = rasterise(TRUTH, SHAPE).astype(np.uint8) * 255
    sample = sample_of(TRUTH, tmp_path, load_mask=lambda: gray)
    letterbox = Letterbox(*SHAPE, 96, 128)
    with pytest.raises(DataError, match=r"001\.png: the mask of sample 001 holds the value 255"):
        task.target(sample, letterbox)
    with pytest.raises(DataError, match="holds the value 255"):
        task.evaluate(np.zeros((96, 128, 1), np.float32), sample, letterbox)


def test_the_truth_fed_back_is_perfect_even_at_a_third_of_the_size(task, tmp_path):
    """The whole chain: coverage → sub-pixel contour → ellipse → millimetres."""
    sample = sample_of(TRUTH, tmp_path)
    letterbox = Letterbox(*SHAPE, 96, 128)
    row = task.evaluate(task.target(sample, letterbox).maps / np.float32(255), sample, letterbox)
    assert row["dice"] > 0.997
    assert row["hc_abs_error_mm"] < 0.1
    assert row["bpd_abs_error_mm"] < 0.1
    assert row["ofd_abs_error_mm"] < 0.1
    assert row["hd95_mm"] <= MM_PER_PIXEL * 1.01
    assert (row["flags"], row["refused"]) == ("", "")


def test_a_known_offset_comes_back_as_that_error(task, tmp_path):
    """A head 5 px too large on every side is 10 px too wide: 2 mm of BPD and OFD."""
    larger = Ellipse(TRUTH.center_x, TRUTH.center_y, 125.0, 95.0, TRUTH.angle_deg)
    letterbox = Letterbox(*SHAPE, *SHAPE)
    predicted = rasterise(larger, SHAPE)[..., None].astype(np.float32)
    row = task.evaluate(predicted, sample_of(TRUTH, tmp_path), letterbox)
    assert row["bpd_error_mm"] == pytest.approx(2.0, abs=0.05)
    assert row["ofd_error_mm"] == pytest.approx(2.0, abs=0.05)
    expected = (larger.perimeter - TRUTH.perimeter) * MM_PER_PIXEL
    assert row["hc_error_mm"] == pytest.approx(expected, abs=0.1)
    assert row["hc_abs_error_mm"] == pytest.approx(expected, abs=0.1)
    true_hc = TRUTH.perimeter * MM_PER_PIXEL
    assert row["hc_error_percent"] == pytest.approx(100 * expected / true_hc, abs=0.05)
    assert row["hd95_mm"] == pytest.approx(5 * MM_PER_PIXEL, abs=0.25)
    overlap = 2 * TRUTH.area / (TRUTH.area + larger.area)
    assert row["dice"] == pytest.approx(overlap, abs=0.002)


def test_the_csvs_circumference_counts_before_the_masks_own(task, tmp_path):
    sample = sample_of(TRUTH, tmp_path, reference={"hc_mm": 100.0})
    letterbox = Letterbox(*SHAPE, *SHAPE)
    row = task.evaluate(sample.load_mask()[..., None].astype(np.float32), sample, letterbox)
    assert row["hc_true_mm"] == 100.0
    assert row["bpd_true_mm"] == pytest.approx(180 * MM_PER_PIXEL, abs=0.1)


def test_without_pixel_size_there_are_no_millimetres(task, tmp_path):
    sample = sample_of(TRUTH, tmp_path, mm_per_pixel=None, reference={})
    letterbox = Letterbox(*SHAPE, 96, 128)
    row = task.evaluate(task.target(sample, letterbox).maps / np.float32(255), sample, letterbox)
    assert row["dice"] > 0.99
    assert [row[name] for name in row if name.endswith("_mm")] == [None] * sum(
        name.endswith("_mm") for name in row
    )


def test_no_head_is_refused_and_still_scored(task, tmp_path):
    letterbox = Letterbox(*SHAPE, 96, 128)
    row = task.evaluate(np.zeros((96, 128, 1), np.float32), sample_of(TRUTH, tmp_path), letterbox)
    assert row["refused"].startswith("no_head")
    assert row["dice"] == 0
    assert row["hc_error_mm"] is None


def test_every_summarised_column_is_in_the_row(task, tmp_path):
    letterbox = Letterbox(*SHAPE, 96, 128)
    sample = sample_of(TRUTH, tmp_path)
    row = task.evaluate(task.target(sample, letterbox).maps / np.float32(255), sample, letterbox)
    check_declared(task, row)
    assert set(task.headline) <= set(task.metric_names)


def test_parity_limits_are_those_promised(task):
    assert task.parity_limits["full"] == {
        "dice_abs_delta_mean": 1e-4,
        "mask_dice_abs_delta_mean": 1e-4,
        "hc_abs_delta_mean_mm": 0.01,
    }
    assert task.parity_limits["half"] == {
        "dice_abs_delta_mean": 5e-4,
        "mask_dice_abs_delta_mean": 5e-4,
        "hc_abs_delta_mean_mm": 0.05,
    }
    assert task.parity_limits["quantized"] == {
        "dice_abs_delta_mean": 2e-3,
        "mask_dice_abs_delta_mean": 2e-3,
        "hc_abs_delta_mean_mm": 0.3,
        "hc_abs_delta_p95_mm": 1.0,
    }


def test_the_drawing_is_a_picture_with_truth(task, tmp_path):
    sample = sample_of(TRUTH, tmp_path)
    letterbox = Letterbox(*SHAPE, 96, 128)
    image = np.full(SHAPE, 60, np.uint8)
    probabilities = task.target(sample, letterbox).maps / np.float32(255)
    drawn = task.draw(image, probabilities, letterbox, sample)
    bare = task.draw(image, probabilities, letterbox, sample_of(TRUTH, tmp_path, load_mask=None))
    assert drawn.dtype == np.uint8
    assert drawn.shape[2] == 3
    assert not np.array_equal(drawn, bare), "the expert's ellipse must be seen"


def test_a_sample_without_mask_cannot_be_scored(task, tmp_path):
    sample = sample_of(TRUTH, tmp_path, load_mask=None)
    with pytest.raises(DataError, match="has no mask"):
        task.evaluate(np.zeros((96, 128, 1), np.float32), sample, Letterbox(*SHAPE, 96, 128))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"classes": []}, "task.classes"),
        ({"classes": ["head", "heart"]}, "this task segments one structure"),
        ({"measurement": "hed"}, r"unknown measurement 'hed' \(did you mean head\?\)"),
        ({"measurement": "plane"}, "found 'plane'; this task is measured by head"),
    ],
)
def test_a_task_that_cannot_be_is_refused(change, expected):
    spec = {"name": "segmentation", "classes": ["head"], "measurement": "head"} | change
    with pytest.raises(ConfigError, match=expected):
        TASKS.build("task", spec, {})


def test_dice_judges_what_was_measured_and_mask_dice_the_raw_mask(task, tmp_path):
    """A stray blob beside the head: the ellipse leaves it out, the raw mask's overlap shows it."""
    sample = sample_of(TRUTH, tmp_path)
    letterbox = Letterbox(*SHAPE, *SHAPE)
    output = sample.load_mask().astype(np.float32)
    output[10:60, 10:60] = 1
    row = task.evaluate(output[..., None], sample, letterbox)
    assert row["dice"] > 0.995
    truth = sample.load_mask().sum()
    assert row["mask_dice"] == pytest.approx(2 * truth / (2 * truth + 2500), abs=1e-6)
    assert "fragmented" in row["flags"]


def blurred(tmp_path, count=24):
    """Heads that a net sees the larger, the softer their border is: sample, letterbox, output."""
    letterbox = Letterbox(*SHAPE, 96, 128)
    for index in range(count):
        scale = 1 + 0.1 * index
        y, x = np.indices(SHAPE)
        grown = TRUTH.shrunk(-scale).distances(np.column_stack([x.ravel(), y.ravel()]))
        probability = (1 / (1 + np.exp(grown / scale))).reshape(SHAPE)
        shown = letterbox.apply((255 * probability).astype(np.uint8)) / np.float32(255)
        yield sample_of(TRUTH, tmp_path), letterbox, shown[..., None]


def measured(task, outputs):
    for sample, letterbox, output in outputs:
        yield sample, task.measurer.measure(output, letterbox, sample.mm_per_pixel)


def test_the_expected_error_is_fitted_to_the_errors_that_evaluation_finds(task, tmp_path):
    assert task.fits_measurer
    outputs = list(blurred(tmp_path))
    settings = task.fit_measurer([], measured(task, outputs))
    assert settings["n"] == 24 and settings["false_alarm_rate"] == 0.05
    fitted = build(json.loads(json.dumps(settings)))
    rows = [fitted.evaluate(output, sample, box) for sample, box, output in outputs]
    expected = np.array([row["hc_expected_error_percent"] for row in rows])
    real = np.abs([row["hc_error_percent"] for row in rows])
    assert real[-1] > 2 * real[0], "the softer, the larger"
    assert expected.mean() == pytest.approx(real.mean())
    assert np.corrcoef(expected, real)[0, 1] > 0.95
    flagged = ["uncertain: " in row["flags"] for row in rows]
    assert sum(flagged) == 1 and flagged[int(np.argmax(expected))]
    found = fitted.summarise(image_frame(rows), seed=0)["confidence"]
    assert found["n"] == 24 and found["spearman"]["value"] > 0.9
    kept = [point["mean_error_percent"] for point in found["risk_coverage"]]
    assert kept == sorted(kept, reverse=True)


def test_refused_heads_and_unknown_circumferences_take_no_part(task, tmp_path):
    letterbox = Letterbox(*SHAPE, 96, 128)
    outputs = list(blurred(tmp_path, 21))
    no_size = sample_of(TRUTH, tmp_path, mm_per_pixel=None, reference={})
    outputs += [(no_size, letterbox, outputs[0][2])] * 3
    outputs += [(outputs[0][0], letterbox, np.zeros((96, 128, 1), np.float32))] * 3
    assert task.fit_measurer([], measured(task, outputs))["n"] == 21
    few = task.fit_measurer([], measured(task, outputs[2:]))
    assert few == {"false_alarm_rate": 0.05, "n": 19}
    sample, box, output = outputs[0]
    row = build(few).evaluate(output, sample, box)
    assert row["hc_expected_error_percent"] is None and row["refused"] == ""
    assert build(few).summarise(image_frame([row]), seed=0)["confidence"] is None


def test_broken_settings_are_named_with_their_file():
    weights = dict.fromkeys(("intercept", *FEATURES), 0.5)
    whole = {"weights": weights, "limit_percent": 2.0, "n": 20}
    assert ErrorModel.of(build(whole).measurement_settings) is not None
    with pytest.raises(ConfigError, match=r"^measurement.json: limit_percent: "):
        build(whole | {"limit_percent": "much"})
