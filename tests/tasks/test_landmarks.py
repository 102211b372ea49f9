from pathlib import Path

import numpy as np
import pytest

from fetal_tf.data.pipeline.augment import Augmenter
from fetal_tf.data.pipeline.targets import Target
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.landmarks import LANDMARKS, ellipse_landmarks
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.evaluation.evaluate import summarise_rows
from fetal_tf.scores.rows import image_frame
from fetal_tf.tasks import TASKS
from tests.tasks.declared import check_declared

SHAPE = (270, 400)
HEAD = Ellipse(210.3, 128.7, 120.4, 92.1, 17.0)
TRUTH = ellipse_landmarks(HEAD)
LETTERBOX = Letterbox(*SHAPE, 128, 192)
MAPS, MASKED = list(LANDMARKS), ["head", *LANDMARKS]


def build(classes=MAPS, **parameters):
    spec = {"name": "landmarks", "classes": list(classes), "measurement": "landmarks"}
    return TASKS.build("task", spec | parameters, {})


def sample(**changes):
    fields = {
        "id": "a_1",
        "image_path": Path("a_1.png"),
        "group": "a",
        "mm_per_pixel": 0.2,
        "load_mask": lambda: rasterise(HEAD, SHAPE).astype(np.uint8),
        "load_landmarks": lambda: TRUTH,
    }
    return Sample(**(fields | changes))


def output_of(task, sample=None, letterbox=LETTERBOX):
    """What a perfect net gives: coordinates without their weights."""
    encoded = task.encode(task.target(sample or SAMPLE, letterbox))
    return encoded[:, :2] if encoded.shape == (4, 3) else encoded


SAMPLE = sample()


@pytest.fixture(params=["heatmaps", "masked", "coordinates"])
def task(request):
    if request.param == "coordinates":
        return build(output="coordinates")
    return build(MASKED if request.param == "masked" else MAPS)


def test_the_truth_fed_back_is_perfect_at_half_the_size(task):
    row = task.evaluate(output_of(task), SAMPLE, LETTERBOX)
    check_declared(task, row)
    assert row["radial_error_px"] < 0.05
    assert row["radial_error_strict_px"] < 0.05
    assert row["ofd_nme"] < 1e-3 and row["success_2px"] == 1
    assert abs(row["hc_error_mm"]) < 0.05 and abs(row["bpd_error_mm"]) < 0.05
    assert (row["flags"], row["refused"]) == ("", "")
    assert row["ofd_1_x_px"] == pytest.approx(TRUTH[0, 0], abs=0.05)
    assert row["bpd_2_y_true_px"] == TRUTH[3, 1]
    if "head" in task.classes:
        assert row["mask_dice"] > 0.99


def test_each_kind_of_output_has_its_head_and_its_shape(task):
    encoded = task.encode(task.target(SAMPLE, LETTERBOX))
    assert encoded.dtype == np.float32
    if task.head == "linear":
        assert encoded.shape == (4, 3) and (encoded[:, 2] == 1).all()
    else:
        assert encoded.shape == (128, 192, len(task.classes))
        x, y = LETTERBOX.to_target(TRUTH)[0].round().astype(int)
        first = encoded[..., task.classes.index("ofd_1")]
        assert np.unravel_index(first.argmax(), first.shape) == (y, x)
        assert first.max() > 0.9


def test_a_mirrored_head_has_another_left_end(task):
    target = task.target(SAMPLE, LETTERBOX)
    flip = Augmenter([{"name": "HorizontalFlip", "p": 1.0}], (128, 192))
    frame = np.zeros((128, 192, 1), np.uint8)
    _, mirrored = flip(frame, target, 0)
    encoded = task.encode(mirrored)
    output = encoded[:, :2] if task.head == "linear" else encoded
    other = TRUTH.copy()
    other[:, 0] = SHAPE[1] - 1 - other[:, 0]
    expected = sample(
        load_landmarks=lambda: other[[1, 0, 2, 3]],
        load_mask=lambda: rasterise(HEAD, SHAPE).astype(np.uint8)[:, ::-1],
    )
    row = task.evaluate(output, expected, LETTERBOX)
    assert row["radial_error_strict_px"] < 0.1


def test_a_landmark_outside_the_frame_is_no_target(task):
    blank = np.zeros((128, 192, int("head" in task.classes)), np.uint8)
    points = LETTERBOX.to_target(TRUTH)
    points[1] = np.nan
    points[2] = [30.0, -0.51]
    encoded = task.encode(Target(blank, points))
    if task.head == "linear":
        np.testing.assert_array_equal(encoded[:, 2], [1, 0, 0, 1])
        assert not encoded[1:3].any()
    else:
        maps = encoded[..., -4:]
        assert [bool(maps[..., k].any()) for k in range(4)] == [True, False, False, True]
        known = task.known_channels(encoded)  # an empty mask is known to be empty
        assert known.tolist() == [True] * ("head" in task.classes) + [True, False, False, True]


def test_the_labels_order_can_be_taken_at_its_word():
    swapped = sample(load_landmarks=lambda: TRUTH[[1, 0, 2, 3]])
    sorted_, given = build(output="coordinates"), build(output="coordinates", sort_ends=False)
    np.testing.assert_allclose(output_of(sorted_, swapped), output_of(sorted_), atol=1e-6)
    np.testing.assert_allclose(output_of(given, swapped), output_of(given)[[1, 0, 2, 3]], atol=1e-6)


def test_what_is_refused_is_scored_all_the_same():
    task = build(output="coordinates")
    middle = np.full((4, 2), 0.5, np.float32)
    row = task.evaluate(middle, SAMPLE, LETTERBOX)
    assert row["refused"]
    assert row["radial_error_px"] > 80
    faint = task.evaluate(0.5 * middle + 0.5 * output_of(task), SAMPLE, LETTERBOX)
    assert faint["bpd_error_mm"] == pytest.approx(-0.5 * 2 * HEAD.semi_minor * 0.2, rel=0.01)


def test_the_summary_shows_a_collapse():
    """Five heads in five places: a net that follows them, and one that says their mean."""
    task = build(output="coordinates")
    moved = [
        TRUTH + np.array([dx, dy])
        for dx, dy in ((-60, -20), (-20, 10), (0, 0), (30, 25), (60, -10))
    ]
    samples = [sample(id=str(i), load_landmarks=lambda p=p: p) for i, p in enumerate(moved)]
    outputs = [output_of(task, s) for s in samples]
    follows = [task.evaluate(o, s, LETTERBOX) for o, s in zip(outputs, samples, strict=True)]
    mean = np.mean(outputs, axis=0)
    says_mean = [task.evaluate(mean, s, LETTERBOX) for s in samples]
    good, bad = (summarise_rows(image_frame(rows), task)["landmarks"]
                 for rows in (follows, says_mean))  # fmt: skip
    assert good["span_ratio"] == pytest.approx(1, abs=0.01)
    assert bad["span_ratio"] == pytest.approx(0, abs=1e-6)
    assert good["success"]["2px"]["share"] == 1
    assert bad["landmarks"]["all"]["mean"] > 30


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"classes": ["ofd_1", "ofd_2"]}, r"task\.classes: classes ofd_1, ofd_2: landmarks are"),
        ({"classes": MASKED, "output": "coordinates"}, r"task\.classes: .*coordinates are ofd_1"),
        ({"measurement": "head"}, r"task\.measurement: found 'head'"),
        ({"sigma_px": 0.0}, r"task\.sigma_px"),
        ({"output": "points"}, r"task\.output"),
    ],
)
def test_a_wrong_task_is_refused_by_key(parameters, expected):
    with pytest.raises(ConfigError, match=expected):
        build(**{"classes": MAPS, **parameters})


def test_a_sample_without_landmarks_or_mask_is_named():
    with pytest.raises(DataError, match=r"a_1.*no landmarks"):
        build().target(sample(load_landmarks=None), LETTERBOX)
    with pytest.raises(DataError, match=r"a_1.*no mask"):
        build(MASKED).target(sample(load_mask=None), LETTERBOX)
