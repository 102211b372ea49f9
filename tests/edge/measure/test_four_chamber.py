"""Measuring a four-chamber view: three ratios, units, doubts and refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fetal_tf.data.readers.focus_annotations import read_ellipses
from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.four_chamber import FourChamberLimits, measure_four_chamber
from fetal_tf.edge.measure.four_chamber_measurement import FourChamberMeasurement
from fetal_tf.edge.measure.nested_probabilities import SPELLINGS

NESTED, EXCLUSIVE, ALONE = SPELLINGS
BOX = Letterbox(661, 959, 192, 288)
THORAX = Ellipse(470.0, 330.0, 260.0, 228.0, 20.0)
HEART = Ellipse(440.0, 300.0, 136.0, 101.0, 75.0)
LIMITS = FourChamberLimits()
NOTHING = np.zeros((192, 288), np.float32)


def coverage(*ellipses, box=BOX):
    """Share of each network pixel that ellipses in the original image cover."""
    shape = (box.source_height, box.source_width)
    mask = np.logical_or.reduce([rasterise(e, shape) for e in ellipses])
    return box.apply_coverage(mask).astype(np.float32) / 255


def seen(thorax=THORAX, heart=HEART, box=BOX):
    """A perfect network's output for nested classes."""
    return np.stack([coverage(thorax, box=box), coverage(heart, box=box)], axis=-1)


def measured(probabilities=None, mm_per_pixel=0.15, limits=LIMITS, box=BOX):
    output = seen(box=box) if probabilities is None else probabilities
    return measure_four_chamber(output, NESTED, box, mm_per_pixel, limits)


def codes(measurement):
    return [flag.split(":")[0] for flag in measurement.flags]


def perimeter(ellipse):
    """By the arithmetic of arcs, not by a formula."""
    return float(np.linalg.norm(np.diff(ellipse.points(100_000), axis=0), axis=1).sum())


def test_a_perfect_view_by_diameter_area_and_circumference():
    found = measured()
    assert found.ctr_diameter_percent == pytest.approx(100 * 101 / 228, rel=0.003)
    assert found.ctr_area_percent == pytest.approx(100 * (136 * 101) / (260 * 228), rel=0.006)
    assert found.ctr_circumference_percent == pytest.approx(
        100 * perimeter(HEART) / perimeter(THORAX), rel=0.003
    )
    assert found.heart.angle_deg == pytest.approx(75, abs=1)
    assert (found.flags, found.notes, found.refused) == ((), (), None)
    assert found.headline() == (
        f"CTR {found.ctr_diameter_percent:.1f} % (diameter), {found.ctr_area_percent:.1f} % "
        f"(area), {found.ctr_circumference_percent:.1f} % (circumference)"
    )


@st.composite
def views(draw):
    """(letterbox, thorax, heart inside it), frames and shapes as in FOCUS and beyond."""
    height = draw(st.integers(380, 800))
    width = round(height * draw(st.floats(1.0, 1.7)))
    box = Letterbox(height, width, *draw(st.sampled_from([(192, 288), (256, 256), (256, 384)])))
    minor = draw(st.floats(0.3, 0.47)) * min(height, width)
    angle = st.floats(0, 179)
    thorax = Ellipse(
        width / 2 + draw(st.floats(-8, 8)),
        height / 2 + draw(st.floats(-8, 8)),
        minor / draw(st.floats(0.73, 1)),
        minor,
        draw(angle),
    )
    heart_minor = draw(st.floats(0.35, 0.58)) * minor
    ratio = draw(st.floats(0.75, 0.92))
    away, way = draw(st.floats(0, 0.2)) * minor, draw(st.floats(0, 2 * math.pi))
    heart = Ellipse(
        thorax.center_x + away * math.cos(way),
        thorax.center_y + away * math.sin(way),
        heart_minor / ratio,
        heart_minor,
        draw(angle),
    )
    return box, thorax, heart


@settings(max_examples=60)
@given(views())
def test_any_frame_and_view_comes_back_in_source_pixels(view):
    box, thorax, heart = view
    found = measure_four_chamber(seen(thorax, heart, box), NESTED, box, None)
    assert found.refused is None
    assert found.ctr_diameter_percent == pytest.approx(
        100 * heart.semi_minor / thorax.semi_minor, rel=0.003
    )
    tolerance = 0.1 / box.scale_x  # of a network pixel
    for truth, ellipse in ((thorax, found.thorax), (heart, found.heart)):
        assert ellipse.center_x == pytest.approx(truth.center_x, abs=tolerance)
        assert ellipse.center_y == pytest.approx(truth.center_y, abs=tolerance)
        assert ellipse.semi_major == pytest.approx(truth.semi_major, abs=tolerance)
        assert ellipse.semi_minor == pytest.approx(truth.semi_minor, abs=tolerance)


def test_exclusive_classes_measure_the_same():
    thorax, heart = np.moveaxis(seen(), -1, 0)
    exclusive = np.stack([1 - thorax, thorax - heart, heart], axis=-1)
    found = measure_four_chamber(exclusive, EXCLUSIVE, BOX, 0.15).as_record()
    expected = measured().as_record()
    for key, value in expected.items():
        number = isinstance(value, float)
        assert found[key] == (pytest.approx(value, rel=1e-4) if number else value)


def test_a_heart_alone_has_axes_and_no_ratio_and_that_is_no_doubt():
    found = measure_four_chamber(coverage(HEART)[..., None], ALONE, BOX, 0.15)
    record = found.as_record()
    assert (found.flags, found.refused) == ((), None)
    assert record["cardiac_major_axis_mm"] == pytest.approx(2 * 136 * 0.15, rel=0.003)
    assert all(v is None for k, v in record.items() if k.startswith(("ctr_", "thoracic_")))
    assert found.headline() == "heart 40.8 x 30.3 mm"


def test_millimetres_are_pixels_times_the_pixel_size():
    record = measured(mm_per_pixel=0.2).as_record()
    for adjective, truth in (("cardiac", HEART), ("thoracic", THORAX)):
        assert record[f"{adjective}_major_axis_px"] == pytest.approx(2 * truth.semi_major, rel=3e-3)
        assert record[f"{adjective}_minor_axis_px"] == pytest.approx(2 * truth.semi_minor, rel=3e-3)
        assert record[f"{adjective}_circumference_px"] == pytest.approx(perimeter(truth), rel=3e-3)
        area_px2 = math.pi * truth.semi_major * truth.semi_minor
        assert record[f"{adjective}_area_px2"] == pytest.approx(area_px2, rel=6e-3)
        for length in ("major_axis", "minor_axis", "circumference"):
            px, mm = (record[f"{adjective}_{length}_{unit}"] for unit in ("px", "mm"))
            assert mm == pytest.approx(0.2 * px)
        assert record[f"{adjective}_area_mm2"] == pytest.approx(
            0.04 * record[f"{adjective}_area_px2"]
        )


def test_without_a_pixel_size_the_ratios_stand_and_nothing_is_doubted():
    found, with_size = measured(mm_per_pixel=None), measured()
    record = found.as_record()
    assert found.flags == ()
    assert found.notes == (
        "no_pixel_size: lengths and areas in pixels only, millimetres need mm_per_pixel",
    )
    assert found.headline() == with_size.headline()
    assert all(record[key] is None for key in record if key.endswith(("_mm", "_mm2")))
    assert found.axes("heart") == "272 x 202 px" and with_size.axes("heart") == "40.8 x 30.3 mm"


def test_a_heart_outside_the_thorax_counts_as_nothing():
    second = Ellipse(860, 120, 90, 80, 0)
    probabilities = seen()
    probabilities[..., 1] = coverage(HEART, second)
    found = measured(probabilities)
    assert codes(found) == ["heart_outside_thorax"]
    lost = np.count_nonzero(coverage(second) >= 0.5) / np.count_nonzero(
        coverage(HEART, second) >= 0.5
    )
    assert found.flags == (
        f"heart_outside_thorax: {100 * lost:.0f} % of the heart's mask lies outside the thorax "
        "and was left out (limit 5)",
    )
    assert found.heart == measured().heart


def test_what_is_likelier_heart_than_thorax_is_cleared_in_the_map_that_is_measured():
    """Both channels sure of a fragment beside the thorax: only the fitted ellipse tells."""
    second = Ellipse(860, 120, 60, 50, 0)
    probabilities = np.stack([coverage(THORAX, second), coverage(HEART, second)], axis=-1)
    found = measured(probabilities)
    outside = found.thorax.distances(BOX.to_source(np.argwhere(NOTHING == 0)[:, ::-1]))
    kept = found.probabilities["heart"].ravel()
    assert not kept[outside > 0.5 / BOX.scale_x + 1].any()
    assert found.heart.center_x == pytest.approx(HEART.center_x, abs=1)


def test_a_cut_heart_follows_the_thorax_to_a_fraction_of_a_pixel():
    wide = replace(THORAX, semi_major=300.0, semi_minor=260.0)
    found = measured(np.stack([coverage(THORAX), coverage(wide)], axis=-1))
    assert found.heart.semi_minor == pytest.approx(THORAX.semi_minor, abs=0.3)
    assert codes(found) == ["unusual_size", "heart_outside_thorax", "implausible_ctr"]


@settings(max_examples=30)
@given(views(), st.floats(0.2, 1))
def test_every_pixel_of_the_heart_is_cut_by_its_distance_to_the_thorax(view, flatness):
    """Also those that are passed over because they lie well inside, in a flat thorax as well."""
    box, thorax, _ = view
    flat = replace(thorax, semi_minor=flatness * thorax.semi_minor)
    inside = coverage(flat, box=box)
    heart = np.random.default_rng(0).uniform(0, 1, inside.shape).astype(np.float32)
    found = measure_four_chamber(np.stack([inside, heart], axis=-1), NESTED, box, None)
    fitted = found.thorax.stretched(
        box.scale_x,
        box.scale_y,
        box.scale_x / 2 - 0.5 + box.pad_left,
        box.scale_y / 2 - 0.5 + box.pad_top,
    )
    y, x = np.indices(inside.shape)
    distances = fitted.distances(np.column_stack([x.ravel(), y.ravel()])).reshape(inside.shape)
    cut = np.minimum(np.minimum(heart, inside), np.clip(0.5 - distances, 0, 1))
    np.testing.assert_allclose(found.probabilities["heart"], cut, atol=1e-5)


def test_a_heart_ellipse_that_pokes_out_of_the_thorax():
    poking = replace(HEART, center_y=THORAX.center_y - 150, center_x=THORAX.center_x)
    found = measured(np.stack([coverage(THORAX), coverage(poking)], axis=-1))
    beyond_px = found.thorax.distances(found.heart.points()).max()
    radius_px = math.sqrt(found.thorax.semi_major * found.thorax.semi_minor)
    assert beyond_px > 4
    assert (
        f"heart_outside_thorax: the heart's ellipse reaches {100 * beyond_px / radius_px:.1f} % of "
        "the thorax' radius beyond it (limit 1.0)"
    ) in found.flags


def test_no_ratio_by_which_part_is_missing():
    heartless = measured(np.stack([coverage(THORAX), NOTHING], axis=-1))
    assert heartless.refused == (
        "no_heart: nothing in the frame looks like a heart: the highest probability is 0.00, 0.50 "
        "is needed"
    )
    assert heartless.heart is None and heartless.thorax == measured().thorax

    speck = Ellipse(470, 330, 40, 40, 0)
    tiny = measured(np.stack([coverage(speck), coverage(speck)], axis=-1))
    assert tiny.refused == (
        "no_thorax: what looks like a thorax covers only 0.79 % of the image, at least 2.00 % are "
        "needed"
    )
    assert tiny.thorax is None and tiny.heart is not None

    neither = measured(np.stack([NOTHING + np.float32(0.3), NOTHING + np.float32(0.2)], axis=-1))
    assert neither.refused == (
        "no_thorax: nothing in the frame looks like a thorax: the highest probability is 0.30, "
        "0.50 is needed; no_heart: nothing in the frame looks like a heart: the highest "
        "probability is 0.20, 0.50 is needed"
    )

    away = np.stack([coverage(THORAX), coverage(Ellipse(860, 120, 60, 50, 0))], axis=-1)
    assert measured(away).refused == (
        "no_heart: all that looks like a heart lies outside the thorax"
    )
    for refused in (heartless, tiny, neither, measured(away)):
        assert refused.headline() == "" and refused.flags == ()
        assert all(v is None for k, v in refused.as_record().items() if k.startswith("ctr_"))


def test_a_shape_that_is_no_ellipse_is_refused():
    cross = NOTHING.copy()
    cross[90:100, 30:260] = cross[10:180, 140:150] = 1
    assert measured(np.stack([cross, NOTHING], axis=-1)).refused.startswith(
        "no_thorax: what looks like a thorax is no ellipse: IoU"
    )


def test_what_is_predicted_on_the_padding_does_not_count():
    box = Letterbox(500, 500, 192, 288)
    thorax, heart = Ellipse(250, 250, 170, 150, 0), Ellipse(240, 250, 80, 65, 0)
    clean = seen(thorax, heart, box)
    dirty = clean.copy()
    dirty[:, : box.pad_left] = 1
    assert measured(dirty, box=box) == measured(clean, box=box)
    assert measured(clean, box=box).flags == ()


def test_border_fragments_bites_sizes_and_ratio_are_flagged():
    beyond = replace(THORAX, center_y=120.0)
    heart = replace(HEART, center_y=120.0)
    found = measured(seen(beyond, heart))
    # Half the height of the tilted ellipse is 232 px: 2 · arccos(120 / 232) / 360° is cut off.
    assert set(codes(found)) == {"touches_border"}
    assert found.flags[0] == (
        "touches_border: 33 % of the thorax outline lies on or beyond the edge of the image "
        "(limit 10 %); take a frame that shows all of it"
    )

    bitten = seen()
    bitten[60:130, 75:100, 0] = 0
    bite = measured(bitten)
    residual, iou = bite.fit_residual_percent["thorax"], bite.fit_iou["thorax"]
    assert (
        f"poor_ellipse_fit: the thorax outline follows no ellipse well: it is {residual:.1f} % of "
        f"the radius away on average (limit 4.0), IoU {iou:.3f} (limit 0.940); look whether the "
        "drawn line lies where it should"
    ) in bite.flags

    two = seen()
    two[..., 1] = coverage(Ellipse(400, 300, 70, 60, 0), Ellipse(560, 330, 60, 50, 0))
    assert (
        "fragmented: the heart mask has 2 separate parts, the largest is measured; is it the whole?"
        in measured(two).flags
    )

    assert measured(seen(heart=HEART.shrunk(38))).flags == (
        "implausible_ctr: cardiothoracic ratio by diameter 27.6, expected 32.0 to 60.0 %",
    )
    assert codes(measured(seen(heart=HEART.shrunk(-45)))) == ["implausible_ctr"]
    assert codes(measured(mm_per_pixel=1.5)) == ["unusual_size"]
    assert codes(measured(mm_per_pixel=0.015)) == ["unusual_size"]
    small = measured(seen(Ellipse(470, 330, 100, 90, 0), Ellipse(470, 330, 50, 40, 0)))
    assert codes(small) == ["unusual_size", "unusual_size"]
    assert small.flags[0] == (
        "unusual_size: the thorax covers 4.5, expected 7.0 to 65.0 % of the image"
    )


def test_limits_are_the_callers():
    strict = FourChamberLimits(ctr_diameter_percent=(50.0, 60.0))
    assert codes(measured(limits=strict)) == ["implausible_ctr"]
    fit = replace(FourChamberLimits().heart, good_iou=0.99999)
    assert codes(measured(limits=FourChamberLimits(heart=fit))) == ["poor_ellipse_fit"]


def test_records_have_the_same_keys_whatever_happened():
    found, refused = measured().as_record(), measured(np.zeros_like(seen())).as_record()
    alone = measure_four_chamber(coverage(HEART)[..., None], ALONE, BOX, None).as_record()
    annotated = FourChamberMeasurement(heart=HEART, thorax=THORAX).as_record()
    assert list(found) == list(refused) == list(alone) == list(annotated)
    for record in (found, refused, alone, annotated):
        assert {type(value) for value in record.values()} <= {float, str, type(None)}


def test_annotated_ellipses_are_a_measurement_too():
    expert = FourChamberMeasurement(heart=HEART, thorax=THORAX)
    assert expert.ctr_diameter_percent == 100 * 101 / 228
    assert expert.headline().startswith("CTR 44.3 % (diameter), 23.2 % (area), ")


@pytest.mark.parametrize("mm_per_pixel", [0.0, -0.1, float("nan"), float("inf")])
def test_senseless_pixel_sizes(mm_per_pixel):
    with pytest.raises(ValueError, match="mm_per_pixel must be a positive number or None"):
        measured(mm_per_pixel=mm_per_pixel)


def test_maps_of_another_size_and_other_classes():
    with pytest.raises(ValueError) as error:
        measured(np.zeros((288, 192, 2), np.float32))
    assert str(error.value) == "a map (192, 288) (height, width) is expected, not (288, 192)"
    with pytest.raises(ValueError, match="four-chamber"):
        measure_four_chamber(seen(), ("head", "heart"), BOX, None)
    with pytest.raises(ValueError, match=r"\(height, width, 3\)"):
        measure_four_chamber(seen(), EXCLUSIVE, BOX, None)


def test_the_measurer_is_reachable_by_name():
    measurer = MEASURERS["four_chamber"](NESTED, {})
    assert measurer.measure(seen(), BOX, 0.15) == measured()
    with pytest.raises(ValueError, match="four-chamber"):
        MEASURERS["four_chamber"](("head",), {})


def test_real_annotations_fed_back(real_data):
    """FOCUS' own ellipses as a perfect network's output: hardly one is doubted, none refused."""
    files = sorted((real_data / "focus").glob("*/annfiles_ellipse/*.txt"))[::3]
    flagged = []
    for path in files:
        truth = read_ellipses(path)
        with Image.open(path.parents[1] / "images" / f"{path.stem}.png") as image:
            box = Letterbox(image.height, image.width, 192, 288)
        found = measured(seen(truth["thorax"], truth["heart"], box), None, box=box)
        expert = FourChamberMeasurement(heart=truth["heart"], thorax=truth["thorax"])
        assert found.refused is None
        assert found.ctr_diameter_percent == pytest.approx(expert.ctr_diameter_percent, rel=0.003)
        flagged += found.flags
    assert len(files) > 50 and len(flagged) <= len(files) / 50
