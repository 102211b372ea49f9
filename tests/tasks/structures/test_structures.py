import math

import numpy as np
import pytest

from fetal_tf.data.pipeline.targets import Target, one_hot
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.evaluation.evaluate import summarise_rows
from fetal_tf.scores.rows import image_frame
from fetal_tf.tasks import TASKS
from tests.tasks.declared import check_declared

CLASSES = ["background", "brain", "csp", "lv"]
SHAPE = (200, 300)
MM_PER_PIXEL = 0.4
SAME_SIZE = Letterbox(*SHAPE, *SHAPE)
LV_SEMI_MINOR_PX = 10.0


def label_map(csp=True, lv=True, lv_semi_minor=LV_SEMI_MINOR_PX):
    labels = np.zeros(SHAPE, np.uint8)
    labels[rasterise(Ellipse(150.0, 100.0, 120.0, 85.0, 5.0), SHAPE)] = 1
    if csp:
        labels[rasterise(Ellipse(90.0, 100.0, 14.0, 6.0, 5.0), SHAPE)] = 2
    if lv:
        labels[rasterise(Ellipse(190.0, 135.0, 30.0, lv_semi_minor, 0.0), SHAPE)] = 3
    return labels


def sample_of(label_map, id="Patient00001_Plane3_1_of_1", **changes):
    fields = {
        "id": id,
        "image_path": None,
        "group": id[:12],
        "mm_per_pixel": MM_PER_PIXEL,
        "load_mask": lambda: label_map,
        "present": frozenset(),
        "condition": "normal",
        "labels": tuple(CLASSES),
    }
    return Sample(**(fields | changes))


def sure(labels, classes=4):
    """What a net that is right and certain would say."""
    return one_hot(labels[..., None], classes)


def build(settings=None, **changes):
    spec = {"name": "structures", "classes": CLASSES, "measurement": "brain"} | changes
    return TASKS.build("task", spec, settings or {})


def test_targets_are_the_nearest_class_and_padding_is_background():
    task, labels = build(), label_map()
    box = Letterbox(*SHAPE, 64, 64)
    target = task.target(sample_of(labels), box)
    maps = target.maps
    assert maps.shape == (64, 64, 1) and maps.dtype == np.uint8
    assert set(np.unique(maps)) == {0, 1, 2, 3}
    outside = np.ones((64, 64), bool)
    outside[box.content] = False
    assert not maps[outside].any()
    encoded = task.encode(target)
    np.testing.assert_array_equal(encoded.argmax(axis=-1), maps[..., 0])
    np.testing.assert_array_equal(encoded.sum(axis=-1), 1)


def test_the_truth_fed_back_is_perfect():
    labels = label_map()
    row = build().evaluate(sure(labels), sample_of(labels), SAME_SIZE)
    check_declared(build(), row)
    for name in CLASSES:
        assert row[f"{name}_dice"] == row[f"raw_{name}_dice"] == 1
    assert row["mismatch_score"] == row["csp_mismatch"] == 0
    assert row["foreground_dice"] == row["pixel_accuracy"] == 1
    assert row["lv_width_error_mm"] == 0
    assert row["lv_width_mm"] == pytest.approx(2 * LV_SEMI_MINOR_PX * MM_PER_PIXEL, abs=0.4)
    assert row["confusion_lv_lv_px"] == np.count_nonzero(labels == 3)
    assert row["csp_area_px"] == row["true_csp_area_px"] == np.count_nonzero(labels == 2)


def test_dice_of_a_known_mistake_by_hand():
    """The net takes every LV pixel for brain: LV scores 0, the brain loses precision only."""
    truth = label_map()
    row = build().evaluate(sure(np.where(truth == 3, 1, truth)), sample_of(truth), SAME_SIZE)
    brain, lv = np.count_nonzero(truth == 1), np.count_nonzero(truth == 3)
    assert row["lv_dice"] == 0 and row["lv_mismatch"] == 1
    assert row["brain_dice"] == pytest.approx(2 * brain / (2 * brain + lv))
    assert row["mismatch_score"] == pytest.approx(lv / np.count_nonzero(truth))
    assert row["foreground_dice"] == pytest.approx((row["brain_dice"] + 1 + 0) / 3)
    assert row["lv_width_mm"] is None and row["lv_width_error_mm"] is None


@pytest.mark.parametrize(
    ("absent", "found", "invented"), [("skip", None, None), ("one", 1, 0), ("zero", 0, 0)]
)
def test_the_rule_for_absent_classes_is_the_configs(absent, found, invented):
    task, truth = build(absent=absent), label_map(csp=False)
    assert task.evaluate(sure(truth), sample_of(truth), SAME_SIZE)["csp_dice"] == found
    row = task.evaluate(sure(label_map()), sample_of(truth), SAME_SIZE)
    assert row["csp_dice"] == invented
    assert row["csp_mismatch"] == 1


def test_cleaning_removes_a_speck_and_both_results_are_kept():
    truth = label_map()
    spoilt = truth.copy()
    spoilt[60:62, 200:202] = 2  # a speck of CSP far from the cavum
    spoilt[5:9, 5:9] = 1  # brain outside the head
    row = build().evaluate(sure(spoilt), sample_of(truth), SAME_SIZE)
    assert row["csp_dice"] == 1 > row["raw_csp_dice"]
    assert row["brain_dice"] == 1 > row["raw_brain_dice"]
    off = build(cleaning=None).evaluate(sure(spoilt), sample_of(truth), SAME_SIZE)
    assert off["csp_dice"] == off["raw_csp_dice"] < 1


def rows_of(task, conditions=("normal",) * 6):
    rows = []
    for index, condition in enumerate(conditions):
        truth = label_map(csp=index % 3 == 0, lv=index % 2 == 0)
        predicted = label_map(csp=index % 3 == 0, lv=True)
        sample = sample_of(truth, f"Patient{index:05d}_Plane3_1_of_1", condition=condition)
        rows.append(task.evaluate(sure(predicted), sample, SAME_SIZE))
    return image_frame(rows)


def test_pooled_and_per_image_differ_as_they_must():
    """LV is invented in three of six images: pooled Dice pays for it, the rule `skip` does not."""
    task = build()
    summary = summarise_rows(rows_of(task), task)
    lv = np.count_nonzero(label_map() == 3)
    assert summary["pooled"]["lv_dice"]["value"] == pytest.approx(2 * 3 * lv / (3 * lv + 6 * lv))
    assert summary["per_image_dice"]["skip"]["lv"]["mean"] == 1
    assert summary["per_image_dice"]["one"]["lv"]["mean"] == pytest.approx(0.5)
    assert summary["per_image_dice"]["zero"]["csp"]["mean"] == pytest.approx(2 / 6)
    assert summary["presence"]["lv"]["specificity"] == 0
    assert summary["presence"]["csp"]["sensitivity"] == 1
    assert np.sum(summary["confusion_px"]) == 6 * math.prod(SHAPE)
    assert summary["absent_rule"] == "skip"


def test_features_have_a_line_per_image_structure_and_reader():
    task = build()
    lines = task.tables(rows_of(task))["features"].to_dict("records")
    assert len(lines) == 6 * 3 * 2
    model, expert = (
        next(x for x in lines if x["structure"] == "lv" and x["reader"] == reader)
        for reader in ("model", "expert")
    )
    assert model["area_px"] == expert["area_px"] > 0
    assert model["ventriculomegaly"] == "none"
    assert all(line["ventriculomegaly"] == "" for line in lines if line["structure"] != "lv")
    absent = [x for x in lines if x["structure"] == "lv" and x["reader"] == "expert"][1]
    assert np.isnan(absent["area_px"])


def test_the_measurer_learns_the_shapes_and_flags_an_unusual_one():
    task = build()
    training = [
        sample_of(label_map(lv_semi_minor=9.0 + 0.25 * i), f"Patient{i:05d}_Plane3_1_of_1")
        for i in range(12)
    ]
    measured = [
        (s, task.measurer.measure(sure(s.load_mask()), SAME_SIZE, MM_PER_PIXEL))
        for s in training * 3
    ]
    settings = task.fit_measurer(training, measured)
    fitted = build(settings)
    assert fitted.measurement_settings["reference"] == settings["reference"]
    usual = fitted.evaluate(sure(label_map()), sample_of(label_map()), SAME_SIZE)
    large = label_map(lv_semi_minor=25.0)
    wide = sample_of(large, condition="ventriculomegaly")
    unusual = fitted.evaluate(sure(large), wide, SAME_SIZE)
    assert usual["anomaly_score"] < 1 <= unusual["anomaly_score"]
    assert "ventriculomegaly" in unusual["flags"] and "unusual_shape" in unusual["flags"]
    rows = image_frame([usual] * 3 + [unusual])
    found = summarise_rows(rows, fitted)["anomaly"]["shape_score"]
    assert found["ventriculomegaly"]["auroc"] == found["any"]["auroc"] == 1
    assert (found["any"]["n_positive"], found["any"]["n_negative"]) == (1, 3)


def test_a_class_that_no_training_image_holds_is_refused_with_the_counts():
    targets = [Target(label_map(lv=False)[..., None])] * 2
    with pytest.raises(DataError, match=r"no training image holds lv.*csp in 2 .*lv in 0 \(0 pix"):
        build().count_pixels(targets)
    counted = build(classes=CLASSES[:3]).count_pixels(targets)
    assert counted.images == (2, 2, 2)
    assert counted.pixels[2] == 2 * np.count_nonzero(label_map() == 2)


def test_a_mask_with_more_classes_than_the_task_names_both_keys():
    task = build(classes=CLASSES[:3])
    with pytest.raises(DataError, match=r"data\.options\.structures"):
        task.target(sample_of(label_map()), SAME_SIZE)


def test_a_mask_whose_indices_mean_other_structures_is_refused():
    """`structures: [lv, csp]` beside classes [csp, lv] would swap both without a word."""
    swapped = sample_of(label_map(), labels=("background", "brain", "lv", "csp"))
    with pytest.raises(DataError, match=r"holds background, brain, lv, csp; task\.classes names"):
        build().target(swapped, SAME_SIZE)
    build().target(sample_of(label_map(), labels=tuple(CLASSES)), SAME_SIZE)


def test_abnormal_images_take_no_part_in_the_fit():
    task = build()

    def fit(abnormal):
        training = [sample_of(label_map(lv_semi_minor=9.0 + 0.25 * i)) for i in range(12)]
        wide = sample_of(label_map(lv_semi_minor=30.0), condition="ventriculomegaly")
        measured = [
            (s, task.measurer.measure(sure(s.load_mask()), SAME_SIZE, MM_PER_PIXEL))
            for s in training * 2 + [wide] * abnormal
        ]
        return task.fit_measurer(training + [wide] * abnormal, measured)

    assert fit(0) == fit(5)
    assert fit(0)["fitted_on"] == "images that the dataset calls normal"
    untold = [sample_of(label_map(), condition=None)] * 10
    assert task.fit_measurer(untold, [])["fitted_on"].startswith("all images")


def test_parity_bounds_raw_maps_widths_and_scores_as_well():
    limits = build().parity_limits["quantized"]
    assert limits["pooled_csp_dice_delta"] == limits["raw_lv_dice_abs_delta_mean"] == 0.005
    assert limits["lv_width_abs_delta_mean_px"] == 0.5
    assert "anomaly_score_abs_delta_mean" not in limits, "nothing is scored before it is fitted"
    fitted = {"reference": {}, "thresholds": {"shape_score": 3.0}}
    assert build(fitted).parity_limits["quantized"]["anomaly_score_abs_delta_mean"] == 0.05
    without = build(classes=CLASSES[:3]).parity_limits["quantized"]
    assert not any("lv" in name for name in without)


def test_a_dataset_that_annotates_no_structures_proves_no_absence():
    with pytest.raises(DataError, match="does not annotate structures"):
        build().evaluate(sure(label_map()), sample_of(label_map(), labels=None), SAME_SIZE)


def test_pictures_show_prediction_and_truth():
    task, labels = build(), label_map()
    image = np.full(SHAPE, 60, np.uint8)
    picture = task.draw(image, sure(labels), SAME_SIZE, sample_of(labels))
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    without = task.draw(image, sure(labels), SAME_SIZE, sample_of(labels, load_mask=None))
    assert picture.shape != without.shape or (picture != without).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["brain", "csp"]}, "background comes first"),
        ({"classes": ["background", "brain", "csp", "csp"]}, "each once"),
        ({"classes": ["background", "head", "csp"]}, "then brain"),
        ({"classes": ["background", "brain", "cps"]}, "did you mean csp"),
        ({"measurement": "brian"}, "did you mean brain"),
        ({"measurement": "head"}, "task.measurement: found 'head'; this task is measured by brain"),
        ({"cleaning": {"top_k": {"cps": 1}}}, "cps: no such structure"),
        ({"iou_weights": [0.0, 1.0]}, "one weight for each of 4"),
        ({"absent": "ignore"}, "task.absent"),
        ({"cleaning": {"min_aera": 0.1}}, "task.cleaning"),
    ],
)
def test_what_the_config_gets_wrong_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        build(**changes)
