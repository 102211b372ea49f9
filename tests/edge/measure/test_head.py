"""Measuring a head: units, doubts and refusals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.confidence import ErrorModel
from fetal_tf.edge.measure.head import HeadLimits, measure_head

BOX = Letterbox(540, 800, 192, 288)
HEAD = Ellipse(410.0, 262.0, 230.0, 178.0, 12.0)
MM_PER_PIXEL = 0.15


def seen(*ellipses, box=BOX):
    """A perfect network's output for heads in the original image."""
    shape = (box.source_height, box.source_width)
    mask = np.logical_or.reduce([rasterise(e, shape) for e in ellipses])
    return box.apply_coverage(mask).astype(np.float32) / 255


def codes(measurement):
    return [flag.split(":")[0] for flag in measurement.flags]


def test_a_perfect_head_in_mm():
    head = measure_head(seen(HEAD), BOX, MM_PER_PIXEL)
    assert head.hc_mm == pytest.approx(HEAD.perimeter * MM_PER_PIXEL, abs=0.1)
    assert head.ofd_mm == pytest.approx(2 * 230 * MM_PER_PIXEL, abs=0.05)
    assert head.bpd_mm == pytest.approx(2 * 178 * MM_PER_PIXEL, abs=0.05)
    assert head.cephalic_index == pytest.approx(100 * 178 / 230, abs=0.1)
    assert head.ellipse.angle_deg == pytest.approx(12, abs=0.2)
    assert (head.flags, head.notes, head.refused) == ((), (), None)
    hc_cm = head.hc_mm / 10
    assert head.ga_weeks_hadlock == pytest.approx(8.96 + 0.54 * hc_cm + 0.0003 * hc_cm**3)
    assert 21 < head.ga_weeks_intergrowth < 25


@settings(max_examples=30)
@given(
    st.integers(300, 900),
    st.integers(300, 1100),
    st.floats(60, 140),
    st.floats(0.65, 0.9),
    st.floats(0, 179),
)
def test_any_frame_and_head_comes_back_in_source_pixels(height, width, a, ratio, angle):
    box = Letterbox(height, width, 192, 288)
    truth = Ellipse(width / 2 + 3.3, height / 2 - 2.2, a, a * ratio, angle)
    head = measure_head(seen(truth, box=box), box, None)
    tolerance = 0.08 / box.scale_x  # of a network pixel
    assert head.hc_px == pytest.approx(truth.perimeter, abs=2 * math.pi * tolerance)
    assert head.ellipse.center_x == pytest.approx(truth.center_x, abs=tolerance)
    assert head.ellipse.center_y == pytest.approx(truth.center_y, abs=tolerance)


def test_without_a_pixel_size_there_are_no_millimetres():
    head = measure_head(seen(HEAD), BOX, None)
    record = head.as_record()
    assert codes(head) == ["no_pixel_size"]
    assert head.hc_px == pytest.approx(HEAD.perimeter, rel=1e-3)
    assert all(record[k] is None for k in record if k.endswith("_mm") or k.startswith("ga_"))
    assert record["cephalic_index"] is not None


@pytest.mark.parametrize("mm_per_pixel", [0.0, -0.1, float("nan"), float("inf")])
def test_senseless_pixel_sizes(mm_per_pixel):
    with pytest.raises(ValueError, match="mm_per_pixel"):
        measure_head(seen(HEAD), BOX, mm_per_pixel)


def test_centiles_only_with_an_age_from_elsewhere():
    alone = measure_head(seen(HEAD), BOX, MM_PER_PIXEL)
    assert alone.z_score("hc") is None and alone.centile("hc") is None
    dated = measure_head(seen(HEAD), BOX, MM_PER_PIXEL, ga_weeks=22.0)
    record = dated.as_record()
    # The published formula, written out once more.
    log = math.log(22)
    mean = -28.2849 + 1.69267 * 22**2 - 0.397485 * 22**2 * log
    sd = 1.98735 + 22**3 * (0.0136772 - 0.00726264 * log + 0.000976253 * log**2)
    assert record["hc_z"] == pytest.approx((dated.hc_mm - mean) / sd)
    assert 0 < record["hc_centile"] < 100 and record["ofd_z"] is not None
    assert measure_head(seen(HEAD), BOX, None, ga_weeks=22.0).as_record()["hc_z"] is None
    with pytest.raises(ValueError, match="14 to 40"):
        measure_head(seen(HEAD), BOX, MM_PER_PIXEL, ga_weeks=12.0)


@pytest.mark.parametrize(
    "probability, said",
    [
        (np.zeros((192, 288), np.float32), "highest probability is 0.00"),
        (seen(HEAD) * np.float32(0.49), "highest probability is 0.49"),
        (seen(Ellipse(400, 270, 22, 18, 0)), "covers only 0.2"),
        (np.ones((192, 288), np.float32), "no outline that an ellipse fits"),
    ],
)
def test_no_head_is_refused_with_the_reason(probability, said):
    head = measure_head(probability, BOX, MM_PER_PIXEL)
    assert head.refused.startswith("no_head:") and said in head.refused
    record = head.as_record()
    assert record["refused"] == head.refused and record["ofd_1_x_px"] is None
    assert all(record[k] is None for k in ("hc_mm", "hc_px", "bpd_mm", "ofd_px", "fit_iou"))


def test_a_shape_that_is_no_ellipse_is_refused():
    cross = np.zeros((192, 288), np.float32)
    cross[90:100, 30:260] = 1
    cross[10:180, 140:150] = 1
    assert "no ellipse" in measure_head(cross, BOX, MM_PER_PIXEL).refused


def test_what_is_predicted_on_the_padding_does_not_count():
    box = Letterbox(500, 500, 192, 288)
    truth = Ellipse(250, 250, 150, 115, 0)
    dirty = seen(truth, box=box)
    dirty[:, : box.pad_left] = 1
    clean = measure_head(seen(truth, box=box), box, 0.1)
    assert measure_head(dirty, box, 0.1) == clean and clean.flags == ()


def test_border_fragments_bites_size_and_shape_are_flagged():
    beyond = measure_head(seen(Ellipse(120, 270, 230, 178, 0)), BOX, MM_PER_PIXEL)
    assert "touches_border" in codes(beyond)

    two = measure_head(
        seen(Ellipse(300, 270, 180, 140, 0), Ellipse(660, 270, 80, 60, 0)), BOX, MM_PER_PIXEL
    )
    assert set(codes(two)) == {"fragmented", "poor_ellipse_fit"}

    bitten = seen(HEAD)
    bitten[60:110, 60:100] = 0
    bite = measure_head(bitten, BOX, MM_PER_PIXEL)
    assert "poor_ellipse_fit" in codes(bite)
    assert f"{bite.fit_residual_percent:.1f} % of the radius away" in bite.flags[0]
    assert bite.hc_mm == pytest.approx(HEAD.perimeter * MM_PER_PIXEL, rel=0.01)

    assert codes(measure_head(seen(HEAD), BOX, 1.5)) == ["implausible_size"]
    assert codes(measure_head(seen(HEAD), BOX, 0.015)) == ["implausible_size"]

    long = measure_head(seen(Ellipse(400, 270, 240, 140, 0)), BOX, MM_PER_PIXEL)
    assert codes(long) == ["unusual_shape"]


def test_a_slightly_unusual_shape_is_a_note_not_a_doubt():
    head = measure_head(seen(Ellipse(400, 270, 230, 200, 0)), BOX, MM_PER_PIXEL)
    assert head.flags == () and "BPD unreliable for dating" in head.notes[0]


def test_limits_are_the_callers():
    strict = HeadLimits(good_iou=0.9999)
    assert codes(measure_head(seen(HEAD), BOX, MM_PER_PIXEL, strict)) == ["poor_ellipse_fit"]


def test_records_have_the_same_keys_whatever_happened():
    model = ErrorModel({"intercept": 0.0, "misfit": 0.3, "border_softness_px": 0.5}, 5.0, 20)
    head = measure_head(seen(HEAD), BOX, MM_PER_PIXEL, ga_weeks=22.0, error_model=model)
    measured = head.as_record()
    refused = measure_head(np.zeros((192, 288), np.float32), BOX, None).as_record()
    assert list(measured) == list(refused)
    assert all(isinstance(v, float | str) for v in measured.values())
    assert all(not isinstance(v, np.generic) for v in measured.values())


def test_a_map_of_another_size():
    with pytest.raises(ValueError, match=r"\(192, 288\)"):
        measure_head(np.zeros((288, 192), np.float32), BOX, None)


def test_the_record_says_where_the_diameters_end():
    record = measure_head(seen(HEAD), BOX, 0.2).as_record()
    ends = np.array(
        [[record[f"{a}_{i}_{c}_px"] for c in "xy"] for a in ("ofd", "bpd") for i in "12"]
    )
    lengths = np.linalg.norm(ends[1::2] - ends[::2], axis=1)
    assert lengths == pytest.approx([record["ofd_px"], record["bpd_px"]])
    assert ends.mean(axis=0) == pytest.approx(
        [record["ellipse_center_x_px"], record["ellipse_center_y_px"]]
    )


def test_a_head_that_has_few_pixels_of_the_net_is_flagged():
    """As a head in a screen that was not found: 16 % of a picture a third as high and wide."""
    box = Letterbox(300, 450, 192, 288)
    for scale, flagged in ((1.0, False), (1 / 3, True)):
        head = Ellipse(144, 96, 70 * scale, 56 * scale, 10)
        measured = measure_head(rasterise(head, (192, 288)).astype(np.float32), box, 0.5)
        share = 100 * np.pi * 70 * 56 * scale**2 / (192 * 288)
        assert flagged == (share < 4.5) == ("small_in_frame" in [f.code for f in measured.flags])
