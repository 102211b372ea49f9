from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_tf.data.pipeline.augment import Augmenter
from fetal_tf.data.pipeline.targets import Target
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.geometry.axis import AXIS, axis_maps
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.landmarks import ellipse_landmarks
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.losses import LOSSES
from fetal_tf.tasks import TASKS

SHAPE = (270, 400)
SIZE = (128, 192)
HEAD = Ellipse(205.3, 130.7, 110.4, 82.1, 17.0)
LETTERBOX = Letterbox(*SHAPE, *SIZE)
CLASSES = ["head", *AXIS]


def build(**parameters):
    spec = {"name": "head_axis", "classes": CLASSES, "measurement": "head"}
    return TASKS.build("task", spec | parameters, {})


def sample(ellipse=HEAD, outline=None, **changes):
    """A head with its landmarks; its mask may have an outline of its own."""
    fields = {
        "id": "a_1",
        "image_path": Path("a_1.png"),
        "group": "a",
        "mm_per_pixel": 0.2,
        "load_mask": lambda: rasterise(outline or ellipse, SHAPE).astype(np.uint8),
        "load_landmarks": lambda: ellipse_landmarks(ellipse),
    }
    return Sample(**(fields | changes))


def apart(first, second):
    """Angle between two directions, 0..90 degrees."""
    return abs((first - second + 90) % 180 - 90)


def direction_of(encoded):
    """What the maps say, which must be the same everywhere."""
    maps = 2 * encoded[..., 1:] - 1
    assert (maps == maps[0, 0]).all()
    assert np.hypot(*maps[0, 0]) == pytest.approx(1, abs=1e-5)
    return np.degrees(np.arctan2(maps[0, 0, 1], maps[0, 0, 0])) / 2


def long_axis_of(mask):
    """Direction of a mask's largest second moment."""
    rows, columns = np.indices(mask.shape)
    moments = np.cov(columns.ravel(), rows.ravel(), aweights=mask.ravel())
    x, y = np.linalg.eigh(moments)[1][:, 1]
    return np.degrees(np.arctan2(y, x))


@pytest.fixture
def task():
    return build()


def test_the_target_is_coverage_beside_the_direction_of_the_ofd(task):
    target = task.target(sample(), LETTERBOX)
    assert target.maps.shape == (*SIZE, 1) and target.maps.dtype == np.uint8
    np.testing.assert_array_equal(target.points, LETTERBOX.to_target(ellipse_landmarks(HEAD)))
    encoded = task.encode(target)
    assert encoded.shape == (*SIZE, 3) and encoded.dtype == np.float32
    assert encoded.min() >= 0 and encoded.max() <= 1
    np.testing.assert_array_equal(encoded[..., :1], target.maps / np.float32(255))
    assert encoded[..., 0].sum() == pytest.approx(HEAD.area * LETTERBOX.scale_x**2, rel=0.01)
    assert apart(direction_of(encoded), HEAD.angle_deg) < 0.2


@settings(max_examples=25)
@given(st.floats(0, 179.99), st.sampled_from([[1, 0, 2, 3], [0, 1, 3, 2], [1, 0, 3, 2]]))
def test_the_order_of_the_ends_does_not_matter(direction, order):
    head = Ellipse(95.0, 64.0, 50.0, 40.0, direction)
    points = ellipse_landmarks(head)
    blank = np.zeros((*SIZE, 1), np.uint8)
    encoded = build().encode(Target(blank, points))
    assert apart(direction_of(encoded), direction) < 1e-3
    swapped = build().encode(Target(blank, points[order]))
    np.testing.assert_allclose(swapped, encoded, atol=1e-6)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ([], 17),
        ([{"name": "HorizontalFlip", "p": 1.0}], 163),
        ([{"name": "VerticalFlip", "p": 1.0}], 163),
        ([{"name": "HorizontalFlip", "p": 1.0}, {"name": "VerticalFlip", "p": 1.0}], 17),
        ([{"name": "Affine", "rotate": [25, 25], "p": 1.0}], None),
        ([{"name": "Affine", "rotate": [-60, -60], "scale": [0.7, 0.7], "p": 1.0}], None),
    ],
)
def test_the_axis_follows_augmentation_as_the_mask_does(task, recipe, expected):
    frame = np.zeros((*SIZE, 1), np.uint8)
    _, moved = Augmenter(recipe, SIZE)(frame, task.target(sample(), LETTERBOX), 0)
    encoded = task.encode(moved)
    found = direction_of(encoded)
    assert apart(found, long_axis_of(encoded[..., 0])) < 0.5
    if expected is None:
        assert apart(found, HEAD.angle_deg) > 20
    else:
        assert apart(found, expected) < 0.2


def test_an_axis_that_has_lost_an_end_is_unknown(task):
    target = task.target(sample(), LETTERBOX)
    for hidden in ([0], [1], [0, 1], [0, 1, 2, 3]):
        points = target.points.copy()
        points[hidden] = np.nan
        encoded = task.encode(Target(target.maps, points))
        assert (encoded[..., 1:] == 0.5).all()
        assert task.known_channels(encoded).tolist() == [True, False, False]
        np.testing.assert_array_equal(encoded[..., 0], target.maps[..., 0] / np.float32(255))
    points = target.points.copy()
    points[2:] = np.nan  # the BPD has no say
    assert task.known_channels(task.encode(Target(target.maps, points))).all()
    np.testing.assert_array_equal(task.encode(Target(target.maps, points)), task.encode(target))


def test_the_truth_fed_back_is_perfect_at_half_the_size(task):
    row = task.evaluate(task.encode(task.target(sample(), LETTERBOX)), sample(), LETTERBOX)
    assert row["dice"] > 0.995 and row["mask_dice"] > 0.99
    assert abs(row["hc_error_mm"]) < 0.1
    assert abs(row["bpd_error_mm"]) < 0.1 and abs(row["ofd_error_mm"]) < 0.1
    assert row["radial_error_px"] < 0.5
    assert (row["flags"], row["refused"]) == ("", "")


def test_the_maps_find_the_ends_that_a_round_outline_hides(task):
    truth = Ellipse(205.0, 130.0, 100.0, 99.3, 17.0)
    outline = Ellipse(205.0, 130.0, 100.0, 99.3, 60.0)
    tilted = sample(truth, outline)
    output = task.encode(task.target(tilted, LETTERBOX))
    turned = task.evaluate(output, tilted, LETTERBOX)
    alone = task.evaluate(output[..., :1], tilted, LETTERBOX)
    assert alone["radial_error_px"] > 60
    assert turned["radial_error_px"] < 5
    assert turned["mask_dice"] == alone["mask_dice"]
    assert turned["hc_error_mm"] == pytest.approx(alone["hc_error_mm"], abs=0.05)


def test_the_experts_own_measurement_needs_no_axis(task):
    """His mask is one channel; without landmarks its ellipse is the truth."""
    output = task.encode(task.target(sample(), LETTERBOX))
    row = task.evaluate(output, sample(load_landmarks=None), LETTERBOX)
    assert row["ofd_true_mm"] == pytest.approx(2 * HEAD.semi_major * 0.2, abs=0.1)
    assert row["ofd_1_x_true_px"] == pytest.approx(ellipse_landmarks(HEAD)[0, 0], abs=0.5)


def test_the_picture_shows_both(task):
    output = task.encode(task.target(sample(), LETTERBOX))
    image = np.full(SHAPE, 60, np.uint8)
    picture = task.draw(image, output, LETTERBOX, sample())
    alone = task.draw(image, output, LETTERBOX, sample(load_mask=None))
    assert picture.dtype == np.uint8 and picture.ndim == 3
    assert picture.shape != alone.shape or (picture != alone).any()


def test_training_metrics_and_loss_read_what_is_encoded(task):
    truth = task.encode(task.target(sample(), LETTERBOX))[None]
    off = truth.copy()
    off[..., 1:] = axis_maps(HEAD.angle_deg + 20)
    dice, axis_error = task.training_metrics(SIZE)
    assert (dice.name, axis_error.name) == ("dice", "axis_error")
    half = off.copy()
    half[..., 96:, 0] = 0  # of the frame's columns
    for metric in (dice, axis_error):
        metric.update_state(truth, half)
    inside, found = truth[..., 0] >= 0.5, half[..., 0] >= 0.5
    assert float(dice.result()) == pytest.approx(2 * found.sum() / (inside.sum() + found.sum()))
    assert float(axis_error.result()) == pytest.approx(20, abs=0.2)
    loss = LOSSES.build("loss", {"name": "head_and_axis"}, None)
    # 0.2 is the axis' weight, twice 20 degrees the angle on the unit circle.
    expected = 0.2 * (2 - 2 * np.cos(np.radians(40)))
    assert float(loss(truth, off) - loss(truth, truth)) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    "classes",
    [
        ["head"],
        ["head", "axis_sin", "axis_cos"],
        [*AXIS, "head"],
        ["skull", *AXIS],
        [*CLASSES, "x"],
    ],
)
def test_other_classes_are_refused_by_name(classes):
    with pytest.raises(ConfigError) as caught:
        build(classes=classes)
    message = str(caught.value)
    assert message.startswith(f"task.classes: found {classes}; ")
    assert message.endswith("head, axis_cos, axis_sin")


def test_an_unknown_measurement_is_refused():
    with pytest.raises(ConfigError, match=r"task\.measurement: unknown measurement 'haed'"):
        build(measurement="haed")


def test_a_sample_without_landmarks_or_mask_is_named(task):
    with pytest.raises(DataError, match=r"a_1.*no landmarks"):
        task.target(sample(load_landmarks=None), LETTERBOX)
    with pytest.raises(DataError, match=r"a_1.*no mask"):
        task.target(sample(load_mask=None), LETTERBOX)


def test_it_expects_an_error_as_segmentation_does():
    """By the mask alone: which way the axis points changes no circumference."""
    weights = {"intercept": 0.1, "misfit": 0.3, "border_softness_px": 0.4}
    settings = {"weights": weights, "limit_percent": 50.0, "n": 20}
    spec = {"name": "head_axis", "classes": CLASSES, "measurement": "head"}
    fitted = TASKS.build("task", spec, settings)
    assert build().fits_measurer and fitted.fits_measurer
    output = fitted.encode(fitted.target(sample(), LETTERBOX))
    plain = TASKS.build("task", spec | {"name": "segmentation", "classes": ["head"]}, settings)
    rows = [
        task.evaluate(maps, sample(), LETTERBOX)
        for task, maps in ((fitted, output), (plain, output[..., :1]))
    ]
    first, second = (row["hc_expected_error_percent"] for row in rows)
    assert first == pytest.approx(second) and first > 0
    assert build().evaluate(output, sample(), LETTERBOX)["hc_expected_error_percent"] is None


# --- sites of other conventions ---

CONVENTIONS = {"second": {"ofd": 1.05, "bpd": 1.02}}


def test_heads_of_another_site_are_learnt_as_outlines_and_judged_as_drawn(task):
    """So a perfect output is right by the expert's own ellipse, wherever it comes from."""
    two_sites = build(conventions=CONVENTIONS)
    areas = []
    for source in ("", "second", "third"):
        own = sample(source=source)
        target = two_sites.target(own, LETTERBOX)
        np.testing.assert_array_equal(target.points, task.target(own, LETTERBOX).points)
        output = two_sites.encode(target)
        areas.append(output[..., 0].sum())
        row = two_sites.evaluate(output, own, LETTERBOX)
        assert row["dice"] > 0.99 and abs(row["ofd_error_mm"]) < 0.2, source
        assert abs(row["bpd_error_mm"]) < 0.2 and row["radial_error_px"] < 1, source
    assert areas[1] / areas[0] == pytest.approx(1.05 * 1.02, abs=0.003)
    assert areas[2] == areas[0]


def test_the_plain_mask_knows_sites_as_well():
    spec = {"name": "segmentation", "classes": ["head"], "measurement": "head"}
    task = TASKS.build("task", {**spec, "conventions": CONVENTIONS}, {})
    own = sample(source="second")
    row = task.evaluate(task.encode(task.target(own, LETTERBOX)), own, LETTERBOX)
    assert abs(row["ofd_error_mm"]) < 0.2 and abs(row["bpd_error_mm"]) < 0.2
    outline = task.evaluate(task.encode(task.target(own, LETTERBOX)), sample(), LETTERBOX)
    assert outline["ofd_error_percent"] == pytest.approx(5, abs=0.3)


def test_conventions_stay_in_the_settings_beside_what_was_fitted():
    weights = {"intercept": 0.1, "misfit": 0.3, "border_softness_px": 0.4}
    fitted = {"weights": weights, "limit_percent": 50.0, "n": 20}
    spec = {"name": "head_axis", "classes": CLASSES, "measurement": "head"}
    task = TASKS.build("task", {**spec, "conventions": CONVENTIONS}, fitted)
    assert task.measurement_settings == {**fitted, "conventions": CONVENTIONS}


def test_a_senseless_convention_is_refused():
    with pytest.raises(ConfigError, match=r"^task\.conventions: second\.ofd: outline over expert"):
        build(conventions={"second": {"ofd": 9.0, "bpd": 1.0}})


def test_a_mask_that_is_no_head_has_no_outline():
    empty = sample(source="second", load_mask=lambda: np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataError, match=r"a_1.*no head"):
        build(conventions=CONVENTIONS).target(empty, LETTERBOX)
