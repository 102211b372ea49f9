import json
from dataclasses import replace

import numpy as np
import pytest

from fetal_tf.data.sample import Sample
from fetal_tf.edge.draw.four_chamber_overlay import STRUCTURE_COLORS
from fetal_tf.edge.draw.layers import TRUTH
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.evaluation.evaluate import summarise_rows
from fetal_tf.scores.rows import image_frame
from fetal_tf.tasks import TASKS
from tests.tasks.declared import check_declared

THORAX = Ellipse(210.0, 150.0, 130.0, 120.0, 20.0)
HEART = Ellipse(190.0, 140.0, 70.0, 50.0, 45.0)
SHAPE = (300, 400)
LETTERBOX = Letterbox(*SHAPE, 96, 128)
SPELLINGS = (["thorax", "heart"], ["background", "thorax", "heart"], ["heart"])


def task_of(classes, settings=None):
    spec = {"name": "four_chamber", "classes": classes, "measurement": "four_chamber"}
    return TASKS.build("task", spec, settings or {})


@pytest.fixture(params=SPELLINGS, ids="-".join)
def task(request):
    return task_of(request.param)


def sample_of(tmp_path, thorax=THORAX, heart=HEART, **changes):
    labels = rasterise(thorax, SHAPE).astype(np.uint8)
    labels[rasterise(heart, SHAPE)] = 2
    fields = {
        "id": "training_001",
        "image_path": tmp_path / "001.png",
        "group": "training_001",
        "load_mask": lambda: labels,
        "labels": ("thorax", "heart"),
        "ellipses": {"thorax": thorax, "heart": heart},
    }
    return Sample(**(fields | changes))


def output_of(task, sample, letterbox=LETTERBOX):
    """What a perfect net gives."""
    return task.encode(task.target(sample, letterbox))


def test_every_spelling_says_the_same_of_each_pixel(task, tmp_path):
    encoded = output_of(task, sample_of(tmp_path))
    assert encoded.shape == (96, 128, len(task.classes))
    assert encoded.dtype == np.float32
    heart = encoded[..., task.classes.index("heart")]
    scale = LETTERBOX.scale_x * LETTERBOX.scale_y
    assert heart.sum() / scale == pytest.approx(HEART.area, rel=0.003)
    if "background" in task.classes:
        np.testing.assert_allclose(encoded.sum(axis=-1), 1, atol=1e-6)
        ring = encoded[..., 1].sum() / scale
        assert ring == pytest.approx(THORAX.area - HEART.area, rel=0.003)
    elif "thorax" in task.classes:
        assert (encoded[..., 0] >= heart).all(), "the thorax holds the heart"
        assert encoded[..., 0].sum() / scale == pytest.approx(THORAX.area, rel=0.003)


def test_the_annotation_fed_back_is_perfect_even_at_a_third_of_the_size(task, tmp_path):
    sample = sample_of(tmp_path)
    row = task.evaluate(output_of(task, sample), sample, LETTERBOX)
    assert row["heart_dice"] > 0.99
    assert row["heart_roc_auc"] > 0.999
    assert row["focus_cardiac_dice"] > 0.995
    assert row["focus_cardiac_hd95_px"] <= 1
    assert (row["flags"], row["refused"]) == ("", "")
    if "thorax" in task.classes:
        assert row["focus_ctr_agreement"] > 0.995
        assert row["ctr_diameter_percent"] == pytest.approx(100 * 50 / 120, abs=0.3)
        assert row["ctr_diameter_true_percent"] == pytest.approx(100 * 50 / 120, abs=1e-9)
        assert row["ctr_area_true_percent"] == pytest.approx(100 * 70 * 50 / (130 * 120), abs=1e-9)
    check_declared(task, row, unheld=["pixel_accuracy", "thorax_ring_dice"])


def test_a_known_error_of_the_ratio_comes_back(tmp_path):
    """A heart whose minor axis is 10 % too long: CTR is 10 % too large, agreement 0.9."""
    task = task_of(["thorax", "heart"])
    wide = replace(HEART, semi_minor=55.0)
    predicted = output_of(task, sample_of(tmp_path, heart=wide), Letterbox(*SHAPE, *SHAPE))
    row = task.evaluate(predicted, sample_of(tmp_path), Letterbox(*SHAPE, *SHAPE))
    assert row["focus_ctr_agreement"] == pytest.approx(0.9, abs=0.004)
    assert row["ctr_diameter_error_percent"] == pytest.approx(100 * 5 / 120, abs=0.2)
    assert row["ctr_diameter_abs_error_percent"] == row["ctr_diameter_error_percent"]
    assert row["focus_thorax_dice"] > 0.995


def test_an_image_in_which_nothing_is_found_scores_nothing(task, tmp_path):
    sample = sample_of(tmp_path)
    blank = np.zeros((96, 128, len(task.classes)), np.float32)
    if "background" in task.classes:
        blank[..., 0] = 1
    row = task.evaluate(blank, sample, LETTERBOX)
    assert row["refused"]
    assert row["heart_dice"] == 0
    assert row["focus_cardiac_dice"] == 0
    assert row["focus_cardiac_hd95_px"] is None
    if "thorax" in task.classes:
        assert row["focus_ctr_agreement"] == 0
        assert row["ctr_diameter_percent"] is None


def test_the_heart_cannot_lie_outside_the_thorax(tmp_path):
    """A stray heart beside the chest, which the net finds with certainty, is not measured."""
    task = task_of(["thorax", "heart"])
    sample = sample_of(tmp_path)
    output = output_of(task, sample)
    output[5:20, 100:125, 1] = 1
    row = task.evaluate(output, sample, LETTERBOX)
    assert row["focus_cardiac_dice"] > 0.99
    assert row["heart_dice"] > 0.99


def test_pixels_are_pooled_over_images(task, tmp_path):
    gather = task.gather()
    sample = sample_of(tmp_path)
    rows = [
        task.evaluate(output_of(task, sample), replace(sample, id=i, group=i), LETTERBOX, gather)
        for i in "ab"
    ]
    summary = summarise_rows(image_frame(rows), task, 0, gather)
    assert summary["pixels"].keys() == set(task.structures)
    assert summary["pixels"]["heart"]["roc_auc"]["value"] > 0.999
    assert summary["pixels"]["heart"]["images"] == 2
    assert summary["categories"]["heart"]["dice"]["0.8"] == 1
    json.dumps(summary)  # all of it plain numbers


def test_the_official_score_names_columns_that_the_rows_have(task):
    assert set(task.scores["focus"]) <= set(task.metric_names)
    assert "focus_cardiac_dice" in task.scores["focus"]
    assert ("focus_ctr_agreement" in task.scores["focus"]) == ("thorax" in task.classes)


def test_samples_of_another_dataset_are_refused(task, tmp_path):
    heads = sample_of(tmp_path, labels=None, ellipses={})
    with pytest.raises(DataError, match="does not annotate thorax and heart"):
        task.target(heads, LETTERBOX)


def test_other_classes_and_other_measurements_are_refused():
    with pytest.raises(ConfigError, match=r"task\.classes: .*found heart, thorax"):
        task_of(["heart", "thorax"])
    spec = {"name": "four_chamber", "classes": ["heart"], "measurement": "head"}
    with pytest.raises(ConfigError, match=r"task\.measurement: found 'head'"):
        TASKS.build("task", spec, {})


def blurred(tmp_path, count=24):
    """Hearts that a net sees the larger, the softer their border is: sample, output."""
    y, x = np.indices(SHAPE)
    points = np.column_stack([x.ravel(), y.ravel()])
    for index in range(count):
        scale = 1 + 0.25 * index
        sample = sample_of(tmp_path)
        grown = HEART.shrunk(-scale).distances(points)
        heart = (1 / (1 + np.exp(grown / scale))).reshape(SHAPE)
        shown = LETTERBOX.apply((255 * heart).astype(np.uint8)) / np.float32(255)
        thorax = LETTERBOX.apply_coverage(sample.load_mask() > 0) / np.float32(255)
        yield sample, np.stack([thorax, shown], axis=-1)


def measured(task, outputs):
    for sample, output in outputs:
        yield sample, task.measurer.measure(output, LETTERBOX, sample.mm_per_pixel)


def test_the_expected_error_is_fitted_to_the_errors_of_the_ratio(tmp_path):
    task = task_of(SPELLINGS[0])
    assert task.fits_measurer
    outputs = list(blurred(tmp_path))
    settings = task.fit_measurer([], measured(task, outputs))
    assert settings["n"] == 24
    fitted = task_of(SPELLINGS[0], json.loads(json.dumps(settings)))
    rows = [fitted.evaluate(output, sample, LETTERBOX) for sample, output in outputs]
    expected = np.array([row["ctr_diameter_expected_error_percent"] for row in rows])
    real = np.abs([row["ctr_diameter_error_percent"] for row in rows])
    assert real[-1] > 2 * real[0], "the softer, the larger"
    assert expected.mean() == pytest.approx(real.mean())
    assert np.corrcoef(expected, real)[0, 1] > 0.9
    flagged = ["uncertain: " in row["flags"] for row in rows]
    assert sum(flagged) == 1 and flagged[int(np.argmax(expected))]
    found = fitted.summarise(image_frame(rows), seed=0)["confidence"]
    assert (found["quantity"], found["n"]) == ("ctr_diameter", 24)
    kept = [point["mean_error_percent"] for point in found["risk_coverage"]]
    assert kept == sorted(kept, reverse=True)


def test_views_without_a_ratio_take_no_part_and_too_few_give_no_model(tmp_path):
    task = task_of(SPELLINGS[0])
    outputs = list(blurred(tmp_path, 19))
    outputs += [(outputs[0][0], np.zeros((96, 128, 2), np.float32))] * 3
    few = task.fit_measurer([], measured(task, outputs))
    assert few == {"false_alarm_rate": 0.05, "n": 19}
    row = task_of(SPELLINGS[0], few).evaluate(outputs[0][1], outputs[0][0], LETTERBOX)
    assert row["ctr_diameter_expected_error_percent"] is None


def test_a_heart_alone_has_no_ratio_whose_error_could_be_expected(tmp_path):
    task = task_of(["heart"])
    assert not task.fits_measurer and task.fit_measurer([], []) == {}
    sample = sample_of(tmp_path)
    row = task.evaluate(output_of(task, sample), sample, LETTERBOX)
    assert "ctr_diameter_expected_error_percent" not in row
    assert "confidence" not in task.summarise(image_frame([row]), seed=0)


def test_broken_settings_are_named_with_their_file():
    with pytest.raises(ConfigError, match=r"measurement\.json: weights\.thorax_misfit: "):
        task_of(SPELLINGS[0], {"weights": {"intercept": 0.5}, "limit_percent": 2.0, "n": 20})


def test_the_picture_shows_each_outline_and_the_experts(task, tmp_path):
    sample = sample_of(tmp_path)
    image = np.full(SHAPE, 90, np.uint8)
    output = output_of(task, sample_of(tmp_path, heart=replace(HEART, center_x=200.0)))
    picture = task.draw(image, output, LETTERBOX, sample)
    zoom = picture.shape[1] // SHAPE[1]
    frame = picture[: zoom * SHAPE[0]].reshape(-1, 3).tolist()  # without the legend below it
    for color in (*(STRUCTURE_COLORS[s] for s in task.structures), TRUTH):
        assert list(color) in frame
    other = {"thorax", "heart"} - set(task.structures)
    assert all(list(STRUCTURE_COLORS[s]) not in frame for s in other)
