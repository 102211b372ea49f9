"""Measuring a head by its landmarks: units, doubts, refusals, and what real experts draw."""

import csv
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.landmarks import LANDMARKS, ellipse_landmarks, to_shares
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.head import measure_head
from fetal_tf.edge.measure.landmark_doubts import (
    LandmarkLimits,
    mask_difference_percent,
    off_middle_percent,
    skew_deg,
)
from fetal_tf.edge.measure.landmark_measurement import measure_landmarks, measure_reading
from fetal_tf.edge.measure.landmark_reading import Reading, check_classes, read_landmarks

BOX = Letterbox(540, 800, 192, 288)
HEAD = Ellipse(410.0, 262.0, 230.0, 178.0, 12.0)
ENDS = ellipse_landmarks(HEAD)
MM_PER_PIXEL = 0.15
MULTI = ("head", *LANDMARKS)


def maps_of(points, box=BOX, peaks=(0.8,) * 4, sigma=3.0):
    """A net's maps for points in the original image."""
    y, x = np.indices((box.target_height, box.target_width))
    planes = [
        peak * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * sigma**2))
        for (a, b), peak in zip(box.to_target(points), peaks, strict=True)
    ]
    return np.stack(planes, axis=-1).astype(np.float32)


def shares_of(points, box=BOX):
    return to_shares(box.to_target(points), box.target_height, box.target_width)


def with_mask(points, mask, box=BOX):
    seen = box.apply_coverage(rasterise(mask, (box.source_height, box.source_width))) / 255
    return np.concatenate([seen[..., None], maps_of(points, box)], axis=-1).astype(np.float32)


def measured(points, mm_per_pixel=MM_PER_PIXEL, **named):
    return measure_landmarks(shares_of(points), LANDMARKS, BOX, mm_per_pixel, **named)


def moved(**by):
    """The head's ends, those that are named moved by so many pixels."""
    return ENDS + np.array([by.get(name, (0, 0)) for name in LANDMARKS])


def codes(measurement):
    return [flag.split(":")[0] for flag in measurement.flags]


@pytest.mark.parametrize("output", [maps_of(ENDS), shares_of(ENDS)])
def test_a_perfect_head_in_mm(output):
    head = measure_landmarks(output, LANDMARKS, BOX, MM_PER_PIXEL)
    assert head.ofd_mm == pytest.approx(460 * MM_PER_PIXEL, rel=1e-5)
    assert head.bpd_mm == pytest.approx(356 * MM_PER_PIXEL, rel=1e-5)
    assert head.hc_mm == pytest.approx(HEAD.perimeter * MM_PER_PIXEL, rel=1e-5)
    assert head.cephalic_index == pytest.approx(100 * 178 / 230, rel=1e-5)
    np.testing.assert_allclose(head.points, ENDS, atol=0.01)
    assert (head.flags, head.notes, head.refused) == ((), (), None)
    record = head.as_record()
    assert record["ofd_1_x_px"] == pytest.approx(ENDS[0, 0], abs=0.01)
    assert record["bpd_2_y_px"] == pytest.approx(ENDS[3, 1], abs=0.01)
    assert record["axes_skew_deg"] == pytest.approx(0, abs=0.01)
    assert {type(value) for value in record.values()} <= {float, str, type(None)}


def test_it_is_the_same_head_as_its_mask():
    seen = BOX.apply_coverage(rasterise(HEAD, (540, 800))).astype(np.float32) / 255
    by_mask = measure_head(seen, BOX, MM_PER_PIXEL, ga_weeks=22.0).as_record()
    by_ends = measured(ENDS, ga_weeks=22.0).as_record()
    assert list(by_mask) == list(by_ends)[: len(by_mask)]
    for name in ("hc_mm", "bpd_mm", "ofd_mm", "ga_weeks_hadlock", "ga_weeks_intergrowth"):
        assert by_ends[name] == pytest.approx(by_mask[name], rel=3e-3), name
    for name in ("hc_z", "bpd_z", "ofd_z"):
        assert by_ends[name] == pytest.approx(by_mask[name], abs=0.1), name


def test_the_lengths_are_those_between_the_ends():
    """Not the axes of the ellipse, which stands askew between axes that do."""
    points = moved(bpd_1=(20, 0), bpd_2=(-20, 0))
    head = measured(points)
    assert head.bpd_px == pytest.approx(np.hypot(*(points[3] - points[2])))
    assert head.ofd_px == pytest.approx(460)
    assert head.ofd_px < 2 * head.ellipse.semi_major
    np.testing.assert_allclose(head.ellipse.distances(points), 0, atol=1e-6)


@given(
    st.integers(300, 900), st.integers(300, 1100), st.floats(60, 140), st.floats(0.65, 0.9),
    st.floats(0, 179), st.booleans(),
)  # fmt: skip
def test_any_frame_and_head_comes_back_in_source_pixels(height, width, a, ratio, angle, by_maps):
    box = Letterbox(height, width, 192, 288)
    truth = Ellipse(width / 2 + 3.3, height / 2 - 2.2, a, a * ratio, angle)
    ends = ellipse_landmarks(truth)
    output = maps_of(ends, box) if by_maps else shares_of(ends, box)
    head = measure_landmarks(output, LANDMARKS, box, None)
    assert head.hc_px == pytest.approx(truth.perimeter, rel=1e-3)
    np.testing.assert_allclose(head.points, ends, atol=0.02 / box.scale_x)


def test_without_a_pixel_size_there_are_no_millimetres():
    head = measured(ENDS, None)
    record = head.as_record()
    assert codes(head) == ["no_pixel_size"]
    assert head.hc_px == pytest.approx(HEAD.perimeter)
    assert all(record[k] is None for k in record if k.endswith("_mm") or k.startswith("ga_"))
    assert record["cephalic_index"] is not None


@pytest.mark.parametrize(
    ("points", "code", "says"),
    [
        (moved(bpd_1=(60, 0), bpd_2=(-60, 0)), "skewed_axes", "degrees from"),
        (moved(bpd_1=(90, 19), bpd_2=(90, 19)), "off_middle", "OFD is crossed 20 %"),
        (moved(ofd_1=(-10, 50), ofd_2=(-10, 50)), "off_middle", "BPD is crossed 14"),
        (ENDS - np.array([0, ENDS[2, 1]]), "touches_border", "bpd_1"),
        (ENDS - np.array([0, ENDS[3, 1] - 540]), "touches_border", "bpd_2"),
        (ENDS - np.array([ENDS[0, 0] + 3, 0]), "touches_border", "ofd_1"),
        (ellipse_landmarks(Ellipse(400, 262, 230, 140, 0)), "unusual_shape", "index 60.9"),
        (ellipse_landmarks(Ellipse(400, 262, 230, 220, 0)), "unusual_shape", "index 95.7"),
    ],
)  # fmt: skip
def test_doubts_about_the_geometry(points, code, says):
    head = measured(points)
    assert head.refused is None
    assert codes(head) == [code]
    assert says in head.flags[0]


def test_doubts_about_size_and_peaks():
    assert codes(measured(ENDS, 0.5)) == ["implausible_size"]
    faint = measure_landmarks(maps_of(ENDS, peaks=(0.8, 0.2, 0.8, 0.25)), LANDMARKS, BOX, 0.15)
    assert codes(faint) == ["weak_peak"]
    assert (
        "ofd_2 peaks at 0.20 (limit 0.30), bpd_2 peaks at 0.2" in faint.flags[0]
        and "ofd_1" not in faint.flags[0]
    )
    assert faint.lowest_peak == pytest.approx(0.2, abs=0.01)
    assert measured(ENDS).lowest_peak is None


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (
            ENDS[[2, 3, 0, 1]],
            "no_head: BPD in per cent of OFD is 129, expected 50 to 110",
        ),  # the axes' names confused
        (
            ellipse_landmarks(Ellipse(400, 262, 230, 90, 0)),
            "no_head: BPD in per cent of OFD is 39, expected 50 to 110",
        ),
        (ENDS[[0, 0, 2, 3]], "no_head: OFD and BPD span no ellipse"),
        (ENDS[[0, 1, 0, 1]], "no_head: OFD and BPD span no ellipse"),
        (moved(bpd_1=(0, 260), bpd_2=(0, 260)), "do not cross each other"),
        (
            ENDS + np.array([400, 0]),
            "no_head: the middle of the four points lies outside the image",
        ),
        (
            ellipse_landmarks(Ellipse(400, 262, 28, 22, 0)),
            "no_head: the four points span only 0.45 %",
        ),
        (np.vstack([ENDS[:3], [[np.nan, 3.0]]]), "no_landmark: no finite coordinates for bpd_2"),
        (np.full((4, 2), np.inf), "no_landmark"),
    ],
)
def test_what_is_no_head_is_refused(points, why):
    head = measured(points)
    assert why in head.refused
    assert head.headline() == "" and head.points is None and head.flags == ()
    record = head.as_record()
    assert list(record) == list(measured(ENDS).as_record())
    numbers = [k for k, v in record.items() if isinstance(v, float)]
    assert numbers == ["mm_per_pixel"]
    np.testing.assert_allclose(head.reading.points, points)  # to be scored and drawn all the same


def test_one_map_without_a_peak_refuses_the_head():
    maps = maps_of(ENDS, peaks=(0.8, 0.8, 0.05, 0.8))
    head = measure_landmarks(maps, LANDMARKS, BOX, MM_PER_PIXEL)
    assert head.refused == "no_landmark: an end is not seen: bpd_1 peaks at 0.05 (limit 0.10)"
    maps[90, 140, 2] = np.nan
    assert "bpd_1 peaks at nan" in measure_landmarks(maps, LANDMARKS, BOX, MM_PER_PIXEL).refused
    lenient = LandmarkLimits(min_peak=0.02)
    maps[90, 140, 2] = 0
    assert measure_landmarks(maps, LANDMARKS, BOX, MM_PER_PIXEL, lenient).refused is None


def test_a_peak_in_the_padding_is_none():
    wide = Letterbox(300, 800, 192, 288)
    ends = ellipse_landmarks(Ellipse(400, 150, 150, 120, 0))
    maps = maps_of(ends, wide)
    maps[:5] = 1.0
    np.testing.assert_allclose(
        measure_landmarks(maps, LANDMARKS, wide, None).points, ends, atol=0.1
    )


def test_an_upright_head_whose_ends_the_net_cannot_tell_apart():
    """Both maps of an axis hold both ends: each end is taken once."""
    ends = ellipse_landmarks(Ellipse(400, 262, 200, 150, 90.5))
    one, other = maps_of(ends), maps_of(ends[[1, 0, 3, 2]])
    shares = np.array([0.55, 0.45, 0.5, 0.55])  # of the true end; both OFD maps peak at ofd_1
    maps = np.maximum(shares * one, (1 - shares) * other)
    maps[..., 1] = np.maximum(0.45 * one[..., 1], 0.52 * other[..., 1])
    head = measure_landmarks(maps.astype(np.float32), LANDMARKS, BOX, None)
    assert head.refused is None
    assert head.ofd_px == pytest.approx(400, abs=0.5) and head.bpd_px == pytest.approx(300, abs=0.5)
    np.testing.assert_allclose(head.points[:2], ends[:2], atol=0.1)
    np.testing.assert_allclose(head.reading.peaks[:2], [0.44, 0.36], atol=0.01)
    single = np.stack([one[..., 0]] * 2 + [one[..., 2], one[..., 3]], axis=-1)
    assert "no_landmark" in measure_landmarks(single, LANDMARKS, BOX, None).refused


def test_a_mask_that_agrees_and_one_that_does_not():
    head = measure_landmarks(with_mask(ENDS, HEAD), MULTI, BOX, MM_PER_PIXEL)
    assert head.flags == () and head.mask_difference_percent < 0.5 and head.fit_iou > 0.98
    assert head.ofd_px == pytest.approx(460, rel=1e-4)  # the mask measures nothing
    for mask in (HEAD.shrunk(20), HEAD.stretched(1, 1, 40, 0), HEAD.stretched(1.1, 1, -41, 0)):
        doubted = measure_landmarks(with_mask(ENDS, mask), MULTI, BOX, MM_PER_PIXEL)
        assert codes(doubted) == ["mask_disagrees"], mask
    nothing = with_mask(ENDS, HEAD)
    nothing[..., 0] = 0
    alone = measure_landmarks(nothing, MULTI, BOX, MM_PER_PIXEL)
    assert codes(alone) == ["mask_disagrees"] and "looks like a head" in alone.flags[0]
    assert alone.mask_difference_percent is None and alone.hc_mm is not None


def test_geometry_by_hand():
    cross = np.array([[0.0, 0.0], [10.0, 0.0], [4.0, -2.0], [4.0, 6.0]])
    assert skew_deg(cross) == 0
    assert off_middle_percent(cross) == pytest.approx({"ofd": 10, "bpd": 25})
    slanted = np.array([[0.0, 0.0], [10.0, 0.0], [3.0, -2.0], [7.0, 2.0]])
    assert skew_deg(slanted) == pytest.approx(45)
    assert off_middle_percent(slanted) == pytest.approx({"ofd": 0, "bpd": 0})
    beside = np.array([[0.0, 0.0], [10.0, 0.0], [12.0, -2.0], [12.0, 2.0]])
    assert off_middle_percent(beside)["ofd"] == pytest.approx(70)
    level = ellipse_landmarks(Ellipse(0, 0, 100, 80, 0))
    for mask, expected in (
        (Ellipse(0, 0, 100, 80, 0), 0),
        (Ellipse(8, 6, 100, 80, 0), 5),  # 10 px of an OFD of 200
        (Ellipse(0, 0, 100, 100, 0), 20),
    ):
        assert mask_difference_percent(level, mask) == pytest.approx(expected, abs=1e-9)


@given(st.floats(0, 360), st.floats(-50, 50), st.lists(st.floats(-9, 9), min_size=8, max_size=8))
def test_geometry_knows_neither_direction_nor_order(turn, shift, noise):
    points = ENDS + np.reshape(noise, (4, 2))
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for other in (points @ rotation.T + shift, points[[1, 0, 2, 3]], points[[0, 1, 3, 2]]):
        assert skew_deg(other) == pytest.approx(skew_deg(points), abs=1e-6)
        assert off_middle_percent(other) == pytest.approx(off_middle_percent(points), abs=1e-6)
    swapped = mask_difference_percent(points[[1, 0, 3, 2]], HEAD)
    assert swapped == pytest.approx(mask_difference_percent(points, HEAD))


@pytest.mark.parametrize(
    "classes",
    [(), ("head",), LANDMARKS[::-1], LANDMARKS[:3], (*LANDMARKS, "head"), ("brain", *LANDMARKS)],
)
def test_other_classes_are_refused_at_once(classes):
    with pytest.raises(ValueError, match="ofd_1, ofd_2, bpd_1, bpd_2"):
        check_classes(classes)
    with pytest.raises(ValueError, match="classes"):
        MEASURERS["landmarks"](classes, {})


@pytest.mark.parametrize(
    ("output", "classes"),
    [
        (np.zeros((192, 288, 5)), LANDMARKS),
        (np.zeros((192, 288, 4)), MULTI),
        (np.zeros((96, 144, 4)), LANDMARKS),
        (np.zeros(8), LANDMARKS),
        (np.zeros((4, 2)), MULTI),
    ],
)
def test_other_outputs_are_refused(output, classes):
    with pytest.raises(ValueError, match="expected, not"):
        read_landmarks(output, classes, BOX)


@pytest.mark.parametrize("named", [{"mm_per_pixel": 0.0}, {"ga_weeks": 9.0}])
def test_senseless_arguments(named):
    with pytest.raises(ValueError, match=next(iter(named))):
        measured(ENDS, **named)


def test_the_measurer_measures_and_draws_either_output():
    for classes, output in ((LANDMARKS, shares_of(ENDS)), (MULTI, with_mask(ENDS, HEAD))):
        measurer = MEASURERS["landmarks"](classes, {})
        head = measurer.measure(output, BOX, MM_PER_PIXEL, 22.0)
        assert head == measure_landmarks(output, classes, BOX, MM_PER_PIXEL, ga_weeks=22.0)
        assert head.headline().startswith("HC ") and head.z_score("bpd") is not None
        picture = measurer.draw(np.zeros((540, 800), np.uint8), head, truth=head)
        assert picture.shape[1:] == (800, 3)


def test_the_second_centres_landmarks_are_heads(real_data):
    """Expert landmarks of other hospitals: nearly all are measured, without a doubt about shape."""
    folder = real_data / "planes"
    with (folder / "Head.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    heads = []
    for row in rows:
        with Image.open(folder / "images" / row["image_name"]) as image:
            box = Letterbox(image.height, image.width, 192, 288)
        points = np.array([[float(row[f"{name}_{axis}"]) for axis in "xy"] for name in LANDMARKS])
        heads.append(measure_reading(Reading(points), box, float(row["px_to_mm_rate"])))
    measured_heads = [head for head in heads if not head.refused]
    assert len(measured_heads) >= 0.98 * len(heads)
    flagged = [code for head in measured_heads for code in codes(head)]
    assert not {"skewed_axes", "off_middle", "implausible_size"} & set(flagged)
    assert flagged.count("unusual_shape") <= 0.05 * len(heads)
    assert all(math.isfinite(head.hc_mm) for head in measured_heads)
