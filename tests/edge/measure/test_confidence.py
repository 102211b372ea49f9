"""The expected error: its features by hand, the formula once more, and settings that are broken."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.geometry.contours import fit_mask_ellipse
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.landmarks import LANDMARKS, ellipse_landmarks
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.confidence import FEATURES, ErrorModel, error_features
from fetal_tf.edge.measure.head import measure_head

SHAPE = (192, 288)
BOX = Letterbox(*SHAPE, *SHAPE)
HEAD = Ellipse(143.0, 96.0, 82.0, 63.0, 20.0)
WEIGHTS = {"intercept": 0.7, "misfit": 0.4, "border_softness_px": 0.5}
SETTINGS = {"weights": WEIGHTS, "limit_percent": 2.0, "n": 40}


def soft(ellipse, scale_px, shape=SHAPE):
    """A border that rises as a logistic function of the distance, float32."""
    y, x = np.indices(shape)
    points = np.column_stack([x.ravel(), y.ravel()])
    rising = 1 / (1 + np.exp(ellipse.distances(points) / scale_px))
    return rising.reshape(shape).astype(np.float32)


def features_of(probability):
    return error_features(fit_mask_ellipse(probability), probability)


@settings(max_examples=25)
@given(st.floats(0.5, 4.0), st.floats(45, 80), st.floats(0.7, 1.0), st.floats(0, 179))
def test_the_softness_is_four_scales_of_a_logistic_border_whatever_the_head(scale, a, ratio, turn):
    """∫ 4 p (1 - p) = 4 scales across the border."""
    found = features_of(soft(Ellipse(143.0, 96.0, a, a * ratio, turn), scale))
    assert found["border_softness_px"] == pytest.approx(4 * scale, rel=0.03)


def test_the_misfit_is_the_share_that_only_one_of_mask_and_ellipse_covers():
    bitten = rasterise(HEAD, SHAPE)
    bitten[:, :95] = False
    fit = fit_mask_ellipse(bitten.astype(np.float32))
    inside = rasterise(fit.ellipse, SHAPE)
    expected = (inside ^ bitten).sum() / (inside | bitten).sum()
    found = error_features(fit, bitten.astype(np.float32))
    assert expected > 0.02 and found["misfit"] == pytest.approx(expected)
    assert found["border_softness_px"] == 0, "a hard mask has no soft border"


def test_a_map_beyond_0_and_1_is_as_sure_as_one_that_ends_there():
    sure = rasterise(HEAD, SHAPE).astype(np.float32)
    assert features_of(1.2 * sure - 0.1) == features_of(sure)


def test_the_formula_once_more():
    model = ErrorModel.of(json.loads(json.dumps(SETTINGS)))
    assert (model.limit_percent, model.n) == (2.0, 40)
    expected = math.exp(0.7) * (0.03 + 0.001) ** 0.4 * (5.0 + 0.1) ** 0.5
    found = model.expected_error_percent({"misfit": 0.03, "border_softness_px": 5.0})
    assert found == pytest.approx(expected)
    vast = ErrorModel.of(SETTINGS | {"weights": WEIGHTS | {"intercept": 900}})
    assert vast.expected_error_percent(dict.fromkeys(FEATURES, 0.0)) == pytest.approx(100)


@given(
    st.tuples(st.floats(0, 3), st.floats(0, 3)),
    st.tuples(st.floats(0, 0.5), st.floats(0, 40)),
    st.tuples(st.floats(0, 0.5), st.floats(0, 40)),
)
def test_a_worse_fit_and_a_softer_border_never_lower_the_expected_error(slopes, first, more):
    weights = dict(zip(("intercept", *FEATURES), (-1.0, *slopes), strict=True))
    model = ErrorModel(weights, 1.0, 20)
    better = dict(zip(FEATURES, first, strict=True))
    for name, addition in zip(FEATURES, more, strict=True):
        worse = better | {name: better[name] + addition}
        before, after = map(model.expected_error_percent, (better, worse))
        assert after >= before * (1 - 1e-12)


def measure(probability, tree=SETTINGS):
    return MEASURERS["head"](("head",), tree).measure(probability[..., None], BOX, 0.8)


def test_a_head_says_what_error_to_expect_and_is_flagged_above_the_limit_alone():
    head = measure(soft(HEAD, 1.5))
    features = features_of(soft(HEAD, 1.5))
    expected = ErrorModel.of(SETTINGS).expected_error_percent(features)
    assert head.expected_error_percent == pytest.approx(expected)
    assert head.as_record()["hc_expected_error_percent"] == head.expected_error_percent
    assert head.error_features == features
    at_limit = SETTINGS | {"limit_percent": expected}
    assert measure(soft(HEAD, 1.5), at_limit).flags == ()
    below = SETTINGS | {"limit_percent": expected * 0.999}
    (flag,) = measure(soft(HEAD, 1.5), below).flags
    assert flag.startswith("uncertain: ")
    assert f"{expected:.4f} % (limit {expected * 0.999:.4f})" in flag
    assert f"{features['border_softness_px']:.1f} network pixels" in flag and "; " not in flag


HEART = Ellipse(150.0, 92.0, 40.0, 30.0, 70.0)
CTR_SETTINGS = {
    "weights": {
        "intercept": 2.2,
        "thorax_misfit": 0.1,
        "thorax_border_softness_px": 0.2,
        "heart_misfit": 0.3,
        "heart_border_softness_px": 0.4,
    },
    "limit_percent": 1.0,
    "n": 50,
}


def view(tree=CTR_SETTINGS, heart_scale=1.5, classes=("thorax", "heart")):
    output = np.stack([soft(HEAD, 1.0), soft(HEART, heart_scale)], axis=-1)
    output = output[..., -len(classes) :]
    return MEASURERS["four_chamber"](classes, tree).measure(output, BOX, None)


def test_a_ratio_has_an_expected_error_by_both_structures():
    found = view()
    thorax, heart = features_of(soft(HEAD, 1.0)), features_of(soft(HEART, 1.5))
    assert found.error_features["heart_border_softness_px"] == pytest.approx(
        heart["border_softness_px"], rel=1e-3
    )  # but for the far tail, which is cut off at the thorax
    weights, logs = CTR_SETTINGS["weights"], weights_of(found.error_features)
    expected = math.exp(weights["intercept"] + sum(weights[name] * logs[name] for name in logs))
    assert found.expected_error_percent == pytest.approx(expected)
    assert found.as_record()["ctr_diameter_expected_error_percent"] == found.expected_error_percent
    assert found.error_features["thorax_misfit"] == thorax["misfit"]
    (flag,) = found.flags
    assert flag.startswith(
        f"uncertain: expected error of the CTR by diameter {expected:.2f} percentage points "
        "(limit 1.00): mask and ellipse of the thorax differ by "
    )
    assert "mask and ellipse of the heart differ by" in flag and "; " not in flag
    assert view(CTR_SETTINGS | {"limit_percent": expected}).flags == ()
    assert view(heart_scale=3.0).expected_error_percent > expected


def weights_of(features):
    """Logarithms by name, with what is added before them."""
    added = {"misfit": 0.001, "border_softness_px": 0.1}
    return {
        name: math.log(value + added[name.partition("_")[2]]) for name, value in features.items()
    }


def test_without_a_ratio_there_is_no_error_to_expect():
    assert view({}).expected_error_percent is None and view({}).flags == ()
    nothing = MEASURERS["four_chamber"](("thorax", "heart"), CTR_SETTINGS).measure(
        np.zeros((*SHAPE, 2), np.float32), BOX, None
    )
    assert nothing.refused and nothing.expected_error_percent is None
    alone = view({}, classes=("heart",))
    assert alone.refused is None and alone.error_features == {}
    assert alone.as_record()["ctr_diameter_expected_error_percent"] is None


def test_a_heads_weights_are_no_ratios():
    with pytest.raises(ValueError, match=r"^weights\.thorax_misfit: "):
        MEASURERS["four_chamber"](("thorax", "heart"), SETTINGS)


def test_in_per_cent_it_needs_no_pixel_size_and_padding_plays_no_part():
    wide = Letterbox(96, 288, *SHAPE)  # bars above and below
    probability = soft(Ellipse(143.0, 96.0, 60.0, 40.0, 10.0), 1.0)
    measurer = MEASURERS["head"](("head",), SETTINGS)
    head = measurer.measure(probability[..., None], wide, None)
    assert head.expected_error_percent is not None
    smeared = probability.copy()
    smeared[: wide.content[0].start] = 0.5
    assert measurer.measure(smeared[..., None], wide, None).error_features == head.error_features


def test_without_settings_and_where_refused_no_error_is_expected():
    plain = measure(soft(HEAD, 1.5), {})
    assert plain.expected_error_percent is None and plain.flags == ()
    assert plain == measure_head(soft(HEAD, 1.5), BOX, 0.8)
    assert plain.as_record()["hc_expected_error_percent"] is None
    nothing = measure(np.zeros(SHAPE, np.float32))
    assert nothing.refused and nothing.expected_error_percent is None
    assert nothing.as_record()["hc_expected_error_percent"] is None
    assert nothing.error_features == {}


def test_too_few_images_have_left_no_model():
    for left in ({}, {"false_alarm_rate": 0.05, "n": 12}):
        assert ErrorModel.of(left) is None
        assert measure(soft(HEAD, 1.5), left).expected_error_percent is None


def test_landmarks_expect_no_error():
    y, x = np.indices(SHAPE)
    maps = [
        np.exp(-((x - px) ** 2 + (y - py) ** 2) / 18) for px, py in ellipse_landmarks(HEAD)
    ]  # fmt: skip
    output = np.stack([soft(HEAD, 1.5), *maps], axis=-1).astype(np.float32)
    measurer = MEASURERS["landmarks"](("head", *LANDMARKS), {})
    found = measurer.measure(output, BOX, 0.8)
    assert found.refused is None and found.fit_iou > 0.9
    assert found.as_record()["hc_expected_error_percent"] is None


NAN = float("nan")


@pytest.mark.parametrize(
    "change, said",
    [
        ({"weights": None}, "weights: "),
        ({"weights": [0.7, 0.4, 0.5]}, "weights: "),
        ({"weights": "heavy"}, "weights: "),
        ({"weights": {}}, "weights.intercept: "),
        ({"weights": WEIGHTS | {"intercept": NAN}}, "weights.intercept: "),
        ({"weights": WEIGHTS | {"misfit": None}}, "weights.misfit: "),
        ({"weights": WEIGHTS | {"misfit": "0.4"}}, "weights.misfit: "),
        ({"weights": WEIGHTS | {"misfit": True}}, "weights.misfit: "),
        ({"weights": WEIGHTS | {"border_softness_px": math.inf}}, "weights.border_softness_px: "),
        ({"weights": WEIGHTS | {"border_softness_px": -0.1}}, "must not be negative"),
        ({"weights": WEIGHTS | {"border_softness_px": [0.5]}}, "weights.border_softness_px: "),
        ({"limit_percent": None}, "limit_percent: "),
        ({"limit_percent": NAN}, "limit_percent: "),
        ({"limit_percent": "2"}, "limit_percent: "),
        ({"limit_percent": 0}, "limit_percent: must be positive"),
        ({"limit_percent": -1.0}, "limit_percent: must be positive"),
        ({"n": None}, "n: "),
        ({"n": 0}, "n: a whole number"),
        ({"n": 20.5}, "n: a whole number"),
        ({"n": False}, "n: "),
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_once(change, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        MEASURERS["head"](("head",), SETTINGS | change)


@pytest.mark.parametrize("missing", SETTINGS)
def test_a_missing_key_is_named(missing):
    rest = {key: value for key, value in SETTINGS.items() if key != missing}
    with pytest.raises(ValueError, match=f"^{missing}: "):
        ErrorModel.of(rest)


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(("intercept", *FEATURES)))
def test_any_number_is_taken_or_named(value, name):
    tree = SETTINGS | {"weights": WEIGHTS | {name: value}}
    if math.isfinite(value) and (value >= 0 or name == "intercept"):
        assume(abs(value) < 1e300)
        found = ErrorModel.of(tree).expected_error_percent(
            {"misfit": 0.02, "border_softness_px": 4.0}
        )
        assert 0 <= found <= 100.000001
    else:
        with pytest.raises(ValueError, match=rf"weights\.{name}: "):
            ErrorModel.of(tree)
