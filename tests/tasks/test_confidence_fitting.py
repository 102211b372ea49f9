"""Fitting the expected error: right in the mean, a limit at its rate, weights as NumPy's."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.edge.measure.confidence import FEATURES, INTERCEPT, ErrorModel
from fetal_tf.tasks.confidence_fitting import fit_error_model


def images(count, seed=0, slopes=(0.8, 0.6), noise=0.7):
    """Features, and errors that grow with them but for log-normal noise."""
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal([-3.5, 1.5], [0.5, 0.4], (count, 2)))
    logs = np.log(values + list(FEATURES.values()))
    errors = np.exp(logs @ slopes + 1.5 + noise * rng.standard_normal(count))
    return [dict(zip(FEATURES, value.tolist(), strict=True)) for value in values], errors, logs


def expected_of(settings, features):
    model = ErrorModel.of(json.loads(json.dumps(settings)))
    return np.array([model.expected_error_percent(image) for image in features])


@given(st.integers(20, 90), st.integers(0, 10**6), st.sampled_from([0.02, 0.05, 0.1, 0.3]))
def test_right_in_the_mean_and_no_more_flagged_than_asked_for(count, seed, rate):
    features, errors, _ = images(count, seed)
    settings = fit_error_model(features, errors * np.resize([1, -1], count), rate)
    expected = expected_of(settings, features)
    assert expected.mean() == pytest.approx(errors.mean(), rel=1e-9)
    flagged = (expected > settings["limit_percent"]).mean()
    assert flagged == settings["flagged_share"] <= rate
    # Where neither feature tells anything, all images are alike, and none is flagged.
    distinct = len(np.unique(expected)) == count
    assert distinct or set(settings["weights"].values()) - {0.0} == {settings["weights"][INTERCEPT]}
    assert flagged == pytest.approx(distinct * int(rate * count) / count)
    assert (settings["false_alarm_rate"], settings["n"]) == (rate, count)


def test_the_weights_are_those_of_ridge_regression():
    features, errors, logs = images(200)
    settings = fit_error_model(features, errors)
    target = np.log(errors + 0.1)
    z = (logs - logs.mean(axis=0)) / logs.std(axis=0)
    ridge = np.linalg.solve(z.T @ z + 0.1 * 200 * np.eye(2), z.T @ (target - target.mean()))
    assert (ridge > 0).all()
    found = [settings["weights"][name] for name in FEATURES]
    np.testing.assert_allclose(found, ridge / logs.std(axis=0), rtol=1e-8)
    assert settings["false_alarm_rate"] == 0.05
    expected = expected_of(settings, features)
    assert np.corrcoef(np.log(expected), logs @ [0.8, 0.6])[0, 1] > 0.98


def test_what_seems_to_help_the_wrong_way_round_has_no_weight():
    features, errors, logs = images(100, slopes=(0.8, -0.6))
    weights = fit_error_model(features, errors)["weights"]
    assert weights["border_softness_px"] == 0
    misfit, target = logs[:, 0] - logs[:, 0].mean(), np.log(errors + 0.1)
    alone = misfit @ (target - target.mean()) / (misfit @ misfit) / 1.1
    assert alone > 0.1 and weights["misfit"] == pytest.approx(alone)


def test_images_that_are_all_alike_expect_the_mean_and_flag_none():
    features, errors, _ = images(25)
    same = [features[0]] * 25
    settings = fit_error_model(same, errors)
    assert [settings["weights"][name] for name in FEATURES] == pytest.approx([0, 0], abs=1e-9)
    assert settings["limit_percent"] == pytest.approx(errors.mean())
    assert settings["flagged_share"] == 0


def test_images_without_any_error_give_a_model_that_can_be_used():
    features, _, _ = images(25)
    settings = fit_error_model(features, np.zeros(25))
    assert expected_of(settings, features).max() < 1e-3


def test_too_few_images_give_no_model():
    features, errors, _ = images(19)
    settings = fit_error_model(features, errors)
    assert settings == {"false_alarm_rate": 0.05, "n": 19}
    assert ErrorModel.of(settings) is None
    assert fit_error_model([], []) == {"false_alarm_rate": 0.05, "n": 0}


@pytest.mark.parametrize("rate", [0, 1, -0.1])
def test_a_senseless_rate(rate):
    with pytest.raises(ValueError, match="false_alarm_rate must lie between 0 and 1"):
        fit_error_model([], [], rate)


def test_errors_of_other_images():
    features, errors, _ = images(20)
    with pytest.raises(ValueError, match="features of 20 images, errors of 19"):
        fit_error_model(features, errors[1:])
