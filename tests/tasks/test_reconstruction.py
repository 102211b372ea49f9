"""The reconstruction task: the target is the frame itself; padding has no weight."""

import numpy as np
import pytest
from PIL import Image

from fetal_tf.data.pipeline.augment import Augmenter
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.geometry.letterbox import Letterbox, letterboxed
from fetal_tf.edge.measure.plane import WithInput
from fetal_tf.evaluation.evaluate import evaluate_samples
from fetal_tf.tasks import TASKS
from tests.tasks.declared import check_declared

SHAPE = (32, 32, 1)
SPEC = {"name": "reconstruction", "classes": ["four_chamber"], "measurement": "plane"}


def task(settings=None, **changes):
    return TASKS.build("task", {**SPEC, **changes}, settings or {})


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(0)
    found = []
    for i in range(25):
        path = tmp_path / f"{i:03d}.png"
        Image.fromarray(rng.integers(40, 200, (30, 60)).astype(np.uint8)).save(path)
        found.append(Sample(f"validation_{i:03d}", path, f"{i:03d}"))
    return found


class Blurry:
    """Reconstructs a frame as half of it."""

    input_shape = SHAPE

    def predict(self, images):
        return images.astype(np.float32) / 510


def test_the_target_is_the_frame_and_where_it_is(samples):
    image = np.asarray(Image.open(samples[0].image_path))
    frame, letterbox = letterboxed(image, SHAPE)
    target = task().target(samples[0], letterbox)
    maps = target.maps
    assert maps.dtype == np.uint8 and maps.shape == (32, 32, 2)
    np.testing.assert_array_equal(maps[..., :1], frame)
    assert (maps[8:24, :, 1] == 255).all()
    assert not maps[:8, :, 1].any() and not maps[24:, :, 1].any()
    encoded = task().encode(target)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, maps / 255, atol=1e-6)


def test_geometry_moves_the_target_and_gray_values_are_left_alone(samples):
    image = np.asarray(Image.open(samples[0].image_path))
    frame, letterbox = letterboxed(image, SHAPE)
    target = task().target(samples[0], letterbox)
    flip = Augmenter([{"name": "HorizontalFlip", "p": 1.0}], (32, 32))
    moved, moved_target = flip(frame, target, 1)
    np.testing.assert_array_equal(moved[..., 0], moved_target.maps[..., 0])
    np.testing.assert_array_equal(moved[..., 0], frame[:, ::-1, 0])
    noise = Augmenter([{"name": "GaussNoise", "std_range": [0.2, 0.2], "p": 1.0}], (32, 32))
    noisy, clean = noise(frame, target, 1)
    assert (noisy != frame).any()
    np.testing.assert_array_equal(clean.maps, target.maps)
    # What comes in from outside is no part of the frame.
    shift = Augmenter([{"name": "Affine", "translate_percent": {"x": [0.5, 0.5]}, "p": 1.0}])
    _, shifted = shift(frame, target, 1)
    inside = shifted.maps[..., 1]
    assert not inside[:, :15].any() and (inside[10:22, 18:] == 255).all()


def test_the_training_metric_is_the_error_inside_the_frame(samples):
    (metric,) = task().training_metrics((32, 32))
    assert metric.name == "reconstruction_error"
    _, letterbox = letterboxed(np.asarray(Image.open(samples[0].image_path)), SHAPE)
    truth = task().encode(task().target(samples[0], letterbox))[None]
    made = np.ones((1, *SHAPE), np.float32)
    metric.update_state(truth, made)
    expected = ((1 - truth[0, 8:24, :, 0]) ** 2).mean()
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_rows_settings_and_flags(samples):
    plain = task()
    rows = evaluate_samples(Blurry(), samples, plain)
    assert not rows["error"].any()
    frame, letterbox = letterboxed(np.asarray(Image.open(samples[3].image_path)), SHAPE)
    content = frame[letterbox.content].astype(float)
    expected = ((content / 510) ** 2).mean()
    assert rows["reconstruction_error"][3] == pytest.approx(expected, rel=1e-4)
    assert rows["plane_score"].isna().all()
    check_declared(plain, rows.iloc[0].to_dict())
    assert rows.loc[3, ["id", "group"]].tolist() == ["validation_003", "003"]

    prepared = WithInput(Blurry())
    measured = []
    for sample in samples:
        frame, box = letterboxed(np.asarray(Image.open(sample.image_path)), SHAPE)
        output = prepared.predict(frame[None])[0]
        measured.append((sample, plain.measurer.measure(output, box, None)))
    settings = plain.fit_measurer([], measured)
    assert (settings["false_alarm_rate"], settings["n"]) == (0.05, 25)
    fitted = task(settings)
    scored = evaluate_samples(Blurry(), samples, fitted)
    assert (scored["flags"] != "").sum() <= 1
    flat = samples[0].image_path.parent / "flat.png"
    Image.fromarray(np.full((30, 60), 90, np.uint8)).save(flat)
    row = evaluate_samples(Blurry(), [Sample("flat", flat, "flat")], fitted).iloc[0]
    assert row["plane_score"] >= 1 and row["flags"].startswith("not_four_chamber: ")


def test_parity_holds_the_score_only_where_there_is_one():
    metrics = {name for limits in task().parity_limits.values() for name in limits}
    assert metrics == {"ssim_abs_delta_mean"}
    settings = task().fit_measurer([], [])
    assert settings == {"false_alarm_rate": 0.05, "n": 0}


def test_draws_from_the_nets_own_output_and_from_the_measurers(samples):
    image = np.asarray(Image.open(samples[0].image_path))
    frame, letterbox = letterboxed(image, SHAPE)
    own = Blurry().predict(frame[None])[0]
    both = WithInput(Blurry()).predict(frame[None])[0]
    pictures = [task().draw(image, output, letterbox, samples[0]) for output in (own, both)]
    np.testing.assert_array_equal(*pictures)
    assert pictures[0].ndim == 3 and pictures[0].shape[2] == 3


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"measurement": "head"}, "task.measurement: found 'head'; this task is measured by plane"),
        ({"classes": ["a", "b"]}, r"task.classes: one class, the name of the plane"),
    ],
)
def test_mistakes_in_the_config(changes, said):
    with pytest.raises(ConfigError, match=said):
        task(**changes)


def test_damaged_settings_name_their_file():
    with pytest.raises(ConfigError, match=r"measurement\.json: median"):
        task({"threshold": 1.0})


def test_a_frame_of_the_networks_own_size_has_no_padding(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((32, 32), 7, np.uint8)).save(path)
    target = task().target(Sample("a", path, "a"), Letterbox(32, 32, 32, 32))
    assert (target.maps[..., 1] == 255).all() and (target.maps[..., 0] == 7).all()
