"""Measuring brain structures: units, grades, doubts and refusals."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure import anomaly
from fetal_tf.edge.measure.brain import measure_brain, measure_brain_labels
from tests.edge.measure import painted_brain
from tests.edge.measure.painted_brain import CLASSES

SHAPE = (540, 800)
BOX = Letterbox(*SHAPE, 256, 256)
MM_PER_PIXEL = 0.15
BRAIN = Ellipse(400, 270, 230, 178, 12)
CSP = Ellipse(310, 251, 34, 18, 12)
LV = Ellipse(490, 330, 60, 25, 30)
painted = functools.partial(painted_brain.painted, shape=SHAPE)


TRUTH = painted((1, BRAIN), (2, CSP), (3, LV))


def seen(labels, box=BOX, classes=CLASSES):
    """A perfect network's output for a label map."""
    planes = [box.apply_coverage(labels == index) for index in range(len(classes))]
    return np.stack(planes, axis=-1).astype(np.float32) / 255


def measured(labels=TRUTH, mm_per_pixel=MM_PER_PIXEL, settings=None, box=BOX):
    return measure_brain(seen(labels, box), CLASSES, box, mm_per_pixel, settings)


def codes(measurement):
    return [flag.split(":")[0] for flag in measurement.flags]


def test_a_perfect_brain_in_mm():
    brain = measured()
    assert (brain.flags, brain.refused) == ((), None)
    csp, lv = brain.structures["csp"], brain.structures["lv"]
    assert csp.area_mm2 == pytest.approx(CSP.area * MM_PER_PIXEL**2, rel=0.03)
    assert csp.centroid_x_px == pytest.approx(CSP.center_x, abs=0.5)
    assert lv.width_mm == pytest.approx(2 * LV.semi_minor * MM_PER_PIXEL, abs=0.3)
    assert lv.orientation_deg == pytest.approx(30, abs=1)
    parenchyma = BRAIN.area - CSP.area - LV.area
    assert brain.structures["brain"].area_px == pytest.approx(parenchyma, rel=0.01)
    record = brain.as_record()
    assert record["ventriculomegaly"] == "none"
    assert record["csp_present"] == record["lv_present"] == 1
    assert record["lv_width_mm"] == lv.width_mm and record["csp_area_mm2"] == csp.area_mm2
    assert brain.headline() == (
        f"CSP {csp.area_mm2:.0f} mm², LV width {lv.width_mm:.1f} mm (no ventriculomegaly)"
    )
    assert brain.probability.shape == (256, 256, 4) and brain.letterbox == BOX
    assert np.mean(brain.labels != TRUTH) < 0.003


@settings(max_examples=12)
@given(st.integers(200, 700), st.integers(200, 700), st.floats(0.1, 0.3))
def test_any_frame_comes_back_in_source_pixels(height, width, share):
    a = share * min(height, width) + 30
    truth = Ellipse(width / 2 + 3.3, height / 2 - 2.2, a, 0.8 * a, 12)
    ventricle = Ellipse(truth.center_x, truth.center_y, 0.4 * a, 0.2 * a, 12)
    labels = painted((1, truth), (3, ventricle), shape=(height, width))
    box = Letterbox(height, width, 192, 256)
    lv = measured(labels, None, box=box).structures["lv"]
    network_pixel = 1 / box.scale_x
    assert lv.centroid_x_px == pytest.approx(ventricle.center_x, abs=0.25 * network_pixel + 0.1)
    assert lv.centroid_y_px == pytest.approx(ventricle.center_y, abs=0.25 * network_pixel + 0.1)
    assert lv.width_px == pytest.approx(2 * ventricle.semi_minor, abs=0.6 * network_pixel + 1.3)


def test_without_a_pixel_size_there_are_no_millimetres():
    brain = measured(mm_per_pixel=None)
    record = brain.as_record()
    assert codes(brain) == ["no_pixel_size"]
    assert all(v is None for k, v in record.items() if k.endswith(("_mm", "_mm2", "mm_per_pixel")))
    assert record["lv_width_px"] == pytest.approx(50, abs=2) and record["ventriculomegaly"] == ""
    area, width = brain.structures["csp"].area_px, brain.structures["lv"].width_px
    assert brain.headline() == f"CSP {area:.0f} px², LV width {width:.0f} px"


@pytest.mark.parametrize(
    "width_mm, grade", [(9.5, "none"), (11.0, "mild"), (13.0, "moderate"), (16.5, "severe")]
)
def test_the_grade_follows_the_width(width_mm, grade):
    mm_per_pixel = width_mm / measured(mm_per_pixel=None).structures["lv"].width_px
    brain = measured(mm_per_pixel=mm_per_pixel)
    assert brain.as_record()["ventriculomegaly"] == grade
    expected = f"ventriculomegaly: lateral ventricle {width_mm:.1f} mm wide ({grade}; from 10.0 mm)"
    assert [f for f in brain.flags if f.startswith("ventric")] == (
        [] if grade == "none" else [expected]
    )
    title = "no" if grade == "none" else grade
    assert brain.headline().endswith(f"LV width {width_mm:.1f} mm ({title} ventriculomegaly)")


def test_structures_that_are_not_seen():
    brain = measured(painted((1, BRAIN)))
    record = brain.as_record()
    assert brain.headline() == "no CSP seen, no LV seen" and brain.flags == ()
    assert record["csp_present"] == record["lv_present"] == 0
    assert record["csp_area_px"] is None and record["lv_width_mm"] is None
    assert record["ventriculomegaly"] == ""  # not seen is not normal
    assert brain.structures["csp"] is None


@pytest.mark.parametrize(
    "labels, said",
    [
        (np.zeros(SHAPE, np.uint8), "nothing in the frame"),
        (painted((3, LV)), "nothing in the frame"),
        (painted((1, Ellipse(400, 270, 22, 18, 0))), "covers only 0.2"),
    ],
)
def test_no_brain_is_refused_with_the_reason(labels, said):
    probabilities = np.concatenate([seen(labels), np.ones((256, 256, 1), np.float32)], axis=-1)
    fitted = {
        "reference": {"csp_area": {"median": 0, "scale": 1}},
        "thresholds": {"shape_score": 1},
    }
    for brain in (
        measure_brain(probabilities, CLASSES, BOX, None, fitted),
        measure_brain_labels(labels, CLASSES, None, fitted),
    ):
        assert brain.refused.startswith("no_brain:") and said in brain.refused
        assert brain.headline() == "" and brain.flags == ()
        record = brain.as_record()
        assert record["refused"] == brain.refused
        assert record.keys() == measured().as_record().keys()
        assert {v for v in record.values() if v not in ("", brain.refused)} == {None}


def test_records_have_the_same_keys_for_the_same_classes():
    records = [
        measured().as_record(),
        measured(painted((1, BRAIN)), None).as_record(),
        measure_brain_labels(TRUTH, CLASSES, None).as_record(),
    ]
    assert len({tuple(record) for record in records}) == 1
    for record in records:
        assert all(v is None or type(v) in (float, str) for v in record.values())
        assert all(math.isfinite(v) for v in record.values() if isinstance(v, float))
    csp_only = measure_brain_labels(np.minimum(TRUTH, 2), CLASSES[:3], 0.1).as_record()
    assert set(csp_only) == {
        k for k in records[0] if not k.startswith("lv_") and k != "ventriculomegaly"
    }


def test_an_experts_mask_is_measured_as_it_is():
    labels = TRUTH.copy()
    labels[5:8, 5:8] = 3
    brain = measure_brain_labels(labels, CLASSES, MM_PER_PIXEL, {"cleaning": {"min_area": 0.1}})
    assert brain.raw_labels is brain.labels
    np.testing.assert_array_equal(brain.labels, labels)
    assert brain.structures["lv"].area_px == (labels == 3).sum()
    assert brain.structures["lv"].fragments == 2
    assert brain.disagreement_score is None and brain.probability is None
    assert measure_brain_labels(labels.astype(np.int64), CLASSES, None).labels.dtype == np.uint8


def test_cleaning_can_be_tuned_and_switched_off():
    labels = TRUTH.copy()
    labels[20:40, 20:40] = 3
    labels[176:200, 376:400] = 3
    cleaned, raw = measured(labels), measured(labels, settings={"cleaning": None})
    np.testing.assert_array_equal(raw.labels, raw.raw_labels)
    np.testing.assert_array_equal(cleaned.raw_labels, raw.raw_labels)
    assert raw.labels[30, 30] == 3 and cleaned.labels[30, 30] == 0
    assert (cleaned.structures["lv"].fragments, raw.structures["lv"].fragments) == (2, 3)
    tuned = measured(labels, settings={"cleaning": {"top_k": {"lv": 1}}})
    assert tuned.structures["lv"].fragments == 1 and tuned.labels[185, 385] == 1


# Doubts


def test_a_brain_at_the_edge_of_the_frame():
    assert "touches_border" in codes(measured(painted((1, Ellipse(120, 270, 230, 178, 0)))))
    near = Ellipse(240, 270, 230, 178, 0)
    assert "touches_border" not in codes(measured(painted((1, near))))


def test_fragments_are_named():
    two = painted((1, Ellipse(300, 270, 180, 140, 0)), (1, Ellipse(660, 270, 80, 60, 0)))
    brain = measured(two)
    assert codes(brain) == ["fragmented"] and "brain has 2" in brain.flags[0]
    crumb = painted((1, BRAIN), (1, Ellipse(30, 30, 12, 12, 0)))
    assert codes(measured(crumb)) == []
    split = TRUTH.copy()
    split[:, 308:312][split[:, 308:312] == 2] = 1
    expert = measure_brain_labels(split, CLASSES, MM_PER_PIXEL)
    assert expert.flags == ("fragmented: csp has 2 separate parts, expected 1",)


def test_an_implausible_size():
    assert codes(measured(mm_per_pixel=0.015)) == ["implausible_size"]
    assert "implausible_size" in codes(measured(mm_per_pixel=0.6))


def test_a_cavum_off_the_midline():
    off = measured(painted((1, BRAIN), (2, Ellipse(340, 160, 30, 18, 12))))
    assert codes(off) == ["off_midline"]
    # The distance in half widths, by hand: across is the direction (-sin 12°, cos 12°).
    across = 60 * math.sin(math.radians(12)) - 110 * math.cos(math.radians(12))
    said = float(off.flags[0].split("lies ")[1].split(" %")[0])
    assert said == pytest.approx(100 * abs(across) / 178, abs=1.5)
    round_brain = painted((1, Ellipse(400, 270, 182, 178, 12)), (2, Ellipse(340, 160, 30, 18, 12)))
    assert codes(measured(round_brain)) == []  # its direction says nothing


# Anomalies


def reference_of(brain, scale=0.1):
    found = anomaly.shape_descriptors(brain.structures, brain.mm_per_pixel)
    return {name: {"median": value, "scale": scale, "n": 30} for name, value in found.items()}


def test_an_unusual_shape_names_what_is_unusual():
    reference = reference_of(measured())
    fitted = {"reference": reference, "thresholds": {"shape_score": 4.0, "n": 40}}
    same = measured(settings=fitted)
    assert same.shape_score == 0 and same.anomaly_score == 0 and same.flags == ()
    large = Ellipse(CSP.center_x, CSP.center_y, 1.5 * 34, 1.5 * 18, 12)
    odd = measured(painted((1, BRAIN), (2, large), (3, LV)), settings=fitted)
    expected = math.log(1.5**2) / 0.1  # the logarithm of the area, in units of the scale
    assert odd.shape_z["csp_area"] == pytest.approx(expected, abs=0.4)
    assert odd.shape_score == abs(odd.shape_z["csp_area"]) == max(map(abs, odd.shape_z.values()))
    assert odd.anomaly_score == pytest.approx(odd.shape_score / 4)
    assert odd.flags == (
        f"unusual_shape: csp area {odd.shape_score:.1f} robust sd above the training images "
        "(limit 4.0)",
    )
    record = odd.as_record()
    assert record["shape_score"] == odd.shape_score and record["flags"] == odd.flags[0]
    smaller = Ellipse(CSP.center_x, CSP.center_y, 0.6 * 34, 0.6 * 18, 12)
    small = measured(painted((1, BRAIN), (2, smaller), (3, LV)), settings=fitted)
    assert "csp area" in small.flags[0] and "below the training" in small.flags[0]


def test_presence_is_no_anomaly():
    fitted = {"reference": reference_of(measured()), "thresholds": {"shape_score": 3.0}}
    without = measured(painted((1, BRAIN)), settings=fitted)
    assert set(without.shape_z) == {"brain_axis_ratio", "brain_solidity"}
    assert without.flags == () and without.anomaly_score < 1


def with_views(disagreement, settings=None, labels=TRUTH):
    both = np.concatenate([seen(labels), disagreement[..., None]], axis=-1)
    return measure_brain(both, CLASSES, BOX, MM_PER_PIXEL, settings)


def test_views_that_disagree():
    disagreement = np.zeros((256, 256), np.float32)
    disagreement[BOX.apply_nearest(TRUTH == 3)] = 0.4
    limits = {"shape_score": 3.0, "disagreement_score": 0.2}
    fitted = {"reference": reference_of(measured()), "thresholds": limits}
    calm, unstable = with_views(0 * disagreement, fitted), with_views(disagreement, fitted)
    assert calm.disagreement_score == 0 and calm.flags == ()
    assert unstable.disagreement_score == pytest.approx(0.4, abs=0.02)
    assert unstable.anomaly_score == unstable.disagreement_score / 0.2
    assert codes(unstable) == ["unstable"] and "disagreement of 0.4" in unstable.flags[0]
    np.testing.assert_array_equal(unstable.disagreement, disagreement)
    assert unstable.probability.shape == (256, 256, 4)
    np.testing.assert_array_equal(unstable.labels, calm.labels)


def test_what_is_predicted_on_the_padding_does_not_count():
    dirty = np.zeros((256, 256), np.float32)
    dirty[: BOX.pad_top] = 1
    assert with_views(dirty).disagreement_score == 0
    probabilities = seen(TRUTH)
    probabilities[: BOX.pad_top, :, 1] = 5
    assert measure_brain(probabilities, CLASSES, BOX, MM_PER_PIXEL) == measured()


def test_scores_without_thresholds_raise_no_alarm():
    brain = with_views(np.ones((256, 256), np.float32), {"reference": reference_of(measured())})
    assert brain.disagreement_score > 0.9 and brain.shape_score == 0
    assert brain.anomaly_score is None and brain.flags == ()
    assert measured().shape_score is None and measured().shape_z == {}
    only_shape = {"thresholds": {"shape_score": 3.0, "false_alarm_rate": 0.05, "n": 30}}
    assert measured(settings=only_shape).anomaly_score is None


# Bad input


@pytest.mark.parametrize("mm_per_pixel", [0.0, -0.1, float("nan"), float("inf")])
def test_senseless_pixel_sizes(mm_per_pixel):
    with pytest.raises(ValueError, match="mm_per_pixel"):
        measured(mm_per_pixel=mm_per_pixel)
    with pytest.raises(ValueError, match="mm_per_pixel"):
        measure_brain_labels(TRUTH, CLASSES, mm_per_pixel)


@pytest.mark.parametrize("shape", [(256, 256, 3), (256, 256, 6), (128, 256, 4), (256, 256)])
def test_maps_of_another_size(shape):
    with pytest.raises(ValueError, match=r"\(256, 256, 4 or 5\)"):
        measure_brain(np.zeros(shape, np.float32), CLASSES, BOX, None)


def test_classes_that_are_not_a_brains():
    with pytest.raises(ValueError, match="background, brain; found background, csp"):
        measure_brain_labels(TRUTH, ("background", "csp", "brain", "lv"), None)


@pytest.mark.parametrize(
    "labels, said",
    [
        (np.full((4, 4), 4, np.uint8), "labels hold 4, .* 0 to 3"),
        (np.full((4, 4), -1, np.int16), "labels hold -1"),
        (np.zeros((4, 4)), "float64"),
        (np.zeros((4, 4, 3), np.uint8), r"\(4, 4, 3\)"),
        (np.zeros((0, 4), np.uint8), r"\(0, 4\)"),
    ],
)
def test_labels_that_are_none(labels, said):
    with pytest.raises(ValueError, match=said):
        measure_brain_labels(labels, CLASSES, None)


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"cleaning": {"opening": 1}}, "opening.*closing, min_area, top_k, margin"),
        ({"cleaning": 3}, "cleaning: 3"),
        ({"cleaning": {"margin": -1}}, "cleaning.margin"),
        ({"reference": {"csp_area": {"median": 1}}}, "reference.csp_area.scale"),
        ({"reference": {"csp_area": {"median": 0, "scale": 1}}, "thresholds": {"shape_score": 0}},
         "thresholds.shape_score"),
    ],
)  # fmt: skip
def test_senseless_settings(wrong, said):
    with pytest.raises(ValueError, match=said):
        measured(settings=wrong)
