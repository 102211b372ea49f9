"""The plane score: features by hand, a reference that its own images set, and a frame it flags."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.plane import WithInput, measure_plane
from fetal_tf.edge.measure.plane_features import FEATURES, plane_features, structural_similarity
from fetal_tf.edge.measure.plane_reference import PlaneReference, fit_plane

BOX = Letterbox(60, 120, 64, 64)  # 32 rows of content, 16 of padding above and below
CLASSES = ("four_chamber",)


def speckled(seed, shape=(32, 64)):
    return np.random.default_rng(seed).uniform(0.2, 0.8, shape)


def reconstruction(frame, seed, strength=0.05):
    return np.clip(
        frame + strength * np.random.default_rng(seed).standard_normal(frame.shape), 0, 1
    )


def own_features(count=30, strength=0.05):
    return [
        plane_features(speckled(i), reconstruction(speckled(i), 1000 + i, strength))
        for i in range(count)
    ]


def test_the_error_feature_is_the_logarithm_of_the_mean_square():
    frame = speckled(0)
    assert plane_features(frame, frame + 0.1)["error"] == pytest.approx(np.log(0.01), abs=1e-4)


def test_skewness_tells_missed_bright_from_missed_dark():
    frame = np.full((32, 32), 0.2)
    bright = frame.copy()
    bright[4:6, 4:6] = 0.9
    assert plane_features(bright, frame)["skewness"] > 5
    assert plane_features(frame, bright)["skewness"] < -5
    both = frame.copy()
    both[4:6, 4:6], both[20:22, 20:22] = 0.4, 0.0
    assert plane_features(both, frame)["skewness"] == pytest.approx(0, abs=1e-6)


def test_grain_against_numpy():
    frame, made = speckled(1), speckled(2)
    d = frame - made
    energy = (np.diff(d, axis=0) ** 2).sum() + (np.diff(d, axis=1) ** 2).sum()
    expected = np.log(energy / d.size / (d**2).mean())
    assert plane_features(frame, made)["grain"] == pytest.approx(expected, abs=1e-5)


def test_detail_is_zero_for_a_net_that_paints_the_mean():
    frame = speckled(3, (128, 128))
    assert plane_features(frame, np.full_like(frame, 0.5))["detail"] == pytest.approx(0, abs=1e-6)
    half = 0.5 + (frame - 0.5) / 2
    assert plane_features(frame, half)["detail"] == pytest.approx(np.log(0.25), abs=1e-3)


@pytest.mark.parametrize("gray", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 5), (64, 64)])
def test_flat_and_tiny_frames_have_finite_features(gray, shape):
    flat = np.full(shape, gray)
    for made in (flat, 1 - flat):
        found = plane_features(flat, made)
        assert list(found) == list(FEATURES)
        assert np.isfinite(list(found.values())).all()


def test_ssim_is_one_for_the_same_and_small_for_noise():
    frame = speckled(4)
    assert structural_similarity(frame, frame) == pytest.approx(1)
    assert structural_similarity(frame, speckled(5)) < 0.2
    # Two flat images: only the luminance term is left.
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    flat = np.full((20, 20), 0.2), np.full((20, 20), 0.6)
    assert structural_similarity(*flat) == pytest.approx(expected, rel=1e-6)


@given(st.integers(20, 60), st.sampled_from([0.02, 0.05, 0.1, 0.3]))
def test_the_threshold_keeps_its_rate_on_held_out_images(count, rate):
    rng = np.random.default_rng(count)
    features = [dict(zip(FEATURES, rng.normal(0, 1, 4), strict=True)) for _ in range(count)]
    fitted = fit_plane(features, rate)
    assert fitted["flagged_share"] <= rate
    assert fitted["flagged_share"] == pytest.approx(int(rate * count) / count)
    assert (fitted["false_alarm_rate"], fitted["n"]) == (rate, count)
    assert PlaneReference.of(json.loads(json.dumps(fitted))).threshold == fitted["threshold"]


def test_the_score_is_the_mahalanobis_distance_over_the_threshold():
    correlation = np.eye(4)
    correlation[0, 1] = correlation[1, 0] = 0.6
    settings = {
        "median": dict.fromkeys(FEATURES, 1.0),
        "scale": dict.fromkeys(FEATURES, 0.5),
        "correlation": correlation.tolist(),
        "threshold": 3.0,
    }
    z = np.array([2.0, -1.0, 0.5, 3.0])
    features = dict(zip(FEATURES, 1 + 0.5 * z, strict=True))
    reference = PlaneReference.of(settings)
    expected = np.sqrt(z @ np.linalg.inv(correlation) @ z) / 3
    assert reference.score(features) == pytest.approx(expected)
    assert list(reference.z_scores(features).values()) == pytest.approx(z)
    mirrored = dict(zip(FEATURES, 1 - 0.5 * z, strict=True))
    assert reference.score(mirrored) == pytest.approx(expected), "too good is as odd as too bad"


def test_too_few_images_give_no_score():
    fitted = fit_plane(own_features(19), 0.05)
    assert fitted == {"false_alarm_rate": 0.05, "n": 19}
    assert PlaneReference.of(fitted) is None


def test_images_that_are_all_alike_give_a_reference_that_can_be_used():
    same = own_features(1) * 25
    reference = PlaneReference.of(fit_plane(same, 0.05))
    assert reference.score(same[0]) < 1
    assert reference.score({**same[0], "error": same[0]["error"] + 1}) > 1


@pytest.mark.parametrize("rate", [0, 1, -0.1])
def test_a_senseless_rate(rate):
    with pytest.raises(ValueError, match="false_alarm_rate must lie between 0 and 1"):
        fit_plane(own_features(2), rate)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"median": None}, "median: "),
        ({"scale": dict.fromkeys(FEATURES, 0.0)}, "must be positive"),
        ({"threshold": float("nan")}, "threshold: "),
        ({"threshold": -1.0}, "must be positive"),
        ({"correlation": [[1.0]]}, "correlation: "),
        ({"correlation": (-np.eye(4)).tolist()}, "positive definite"),
        ({"median": dict.fromkeys(list(FEATURES)[1:], 1.0)}, "median: "),
        ({"scale": "wide"}, "scale: "),
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_once(change, said):
    with pytest.raises(ValueError, match=said):
        MEASURERS["plane"](CLASSES, fit_plane(own_features(), 0.05) | change)


def test_one_plane_is_named():
    with pytest.raises(ValueError, match="one class, the name of the plane"):
        MEASURERS["plane"](("four_chamber", "head"), {})


class Net:
    input_shape = (64, 64, 1)

    def predict(self, images):
        return 1 - images.astype(np.float32) / 255


def test_the_frame_stands_beside_its_reconstruction():
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1)).astype(np.uint8)
    prepared = WithInput(Net())
    found = prepared.predict(images)
    assert prepared.input_shape == (64, 64, 1)
    assert found.shape == (2, 64, 64, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found[..., 1], images[..., 0] / 255, atol=1e-6)
    np.testing.assert_allclose(found[..., 0], 1 - images[..., 0] / 255, atol=1e-6)


def output_of(frame, made, padding=0.0):
    output = np.full((64, 64, 2), padding, np.float32)
    output[BOX.content] = np.stack([made, frame], axis=-1)
    return output


def test_padding_takes_no_part():
    frame, made = speckled(6), speckled(7)
    first = measure_plane(output_of(frame, made), "head", BOX)
    output = output_of(frame, made)
    output[:16, :, 0] = 1
    assert measure_plane(output, "head", BOX).as_record() == first.as_record()
    expected = ((frame - made) ** 2).mean()
    assert first.reconstruction_error == pytest.approx(expected, rel=1e-4)


def test_another_kind_of_frame_is_flagged_and_an_own_one_is_not():
    measurer = MEASURERS["plane"](CLASSES, fit_plane(own_features(40), 0.05))
    frame = speckled(500)
    own = measurer.measure(output_of(frame, reconstruction(frame, 501)), BOX, None)
    assert own.flags == () and own.refused is None and 0 < own.plane_score < 1
    smooth = np.full((32, 64), 0.3)
    other = measurer.measure(output_of(smooth, smooth + 0.001), BOX, 0.2)
    assert other.reconstruction_error < own.reconstruction_error, "the error alone says 'fine'"
    assert other.plane_score >= 1
    (flag,) = other.flags
    assert flag.startswith("not_four_chamber: the frame does not look like the four-chamber views")
    assert f"plane score {other.plane_score:.2f}" in flag
    assert other.as_record()["flags"] == flag
    assert list(other.as_record()) == list(own.as_record())
    assert {type(value) for value in other.as_record().values()} <= {float, str, type(None)}


def test_without_a_reference_nothing_is_flagged():
    measurer = MEASURERS["plane"](CLASSES, {})
    found = measurer.measure(output_of(speckled(1), speckled(2)), BOX, None)
    assert found.plane_score is None and found.flags == ()
    assert found.headline().endswith("not calibrated")
    with pytest.raises(ValueError, match="mm_per_pixel"):
        measurer.measure(output_of(speckled(1), speckled(2)), BOX, 0.0)
    with pytest.raises(ValueError, match="reconstruction and frame are expected, found 1"):
        measurer.measure(np.zeros((64, 64, 1), np.float32), BOX, None)


def test_the_picture_shows_where_frame_and_reconstruction_differ():
    measurer = MEASURERS["plane"](CLASSES, fit_plane(own_features(), 0.05))
    image = np.full((60, 120), 100, np.uint8)
    frame = np.full((32, 64), 100 / 255)
    made = frame.copy()
    made[:, 32:] = 0.9
    same = measurer.measure(output_of(frame, frame), BOX, None)
    differing = measurer.measure(output_of(frame, made), BOX, None)
    alike, unlike = (measurer.draw(image, found) for found in (same, differing))
    assert alike.dtype == np.uint8 and alike.shape[1:] == unlike.shape[1:]
    assert unlike.shape[2] == 3
    # The map is black where both agree and a pale yellow where they differ; legends are alike.
    yellow = [int((p.min(axis=2) + 60 < p.max(axis=2)).sum()) for p in (alike, unlike)]
    third = unlike.shape[1] ** 2 // 9 // 2  # a small picture is twice as wide as high
    assert yellow[1] - yellow[0] > 0.4 * third
