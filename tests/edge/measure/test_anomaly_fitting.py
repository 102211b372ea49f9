"""References and thresholds against NumPy."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_tf.edge.measure import anomaly, anomaly_fitting


def test_the_reference_is_median_and_scaled_mad():
    values = np.random.default_rng(0).normal(-3, 0.5, 400)
    values[:20] = 50  # gross errors of one mask in twenty
    reference = anomaly_fitting.fit_reference([{"csp_area": v} for v in values])
    median = np.median(values)
    mad = np.median(abs(values - median))
    assert reference == {
        "csp_area": {
            "median": pytest.approx(median),
            "scale": pytest.approx(1.4826 * mad),
            "n": 400,
        }
    }
    assert reference["csp_area"]["scale"] == pytest.approx(0.5, rel=0.15)
    assert json.loads(json.dumps(reference)) == reference


def test_few_values_make_no_reference_and_equal_ones_no_explosion():
    images = [{"csp_area": -4.0, "lv_area": -3.0} for _ in range(7)]
    assert anomaly_fitting.fit_reference(images) == {}
    images += [{"csp_area": -4.0, "lv_area": math.nan}]
    reference = anomaly_fitting.fit_reference(iter(images))
    assert set(reference) == {"csp_area"} and reference["csp_area"]["n"] == 8
    z = anomaly.z_scores({"csp_area": -3.9}, reference)
    assert 0 < z["csp_area"] <= 1.01
    assert anomaly_fitting.fit_reference([{"other": 1.0}] * 8)["other"]["scale"] > 0
    assert anomaly_fitting.fit_reference([]) == {}


@settings(max_examples=30)
@given(
    st.integers(20, 120),
    st.floats(-1, 1),
    st.floats(0.02, 0.4),
    st.integers(0, 10_000),
)
def test_both_thresholds_together_flag_no_more_than_the_rate(n, correlation, rate, seed):
    """Whether the two scores speak of the same images or of others; and no fewer than they can."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal(n)
    second = correlation * first + math.sqrt(1 - correlation**2) * rng.standard_normal(n)
    shapes, disagreements = 2 + np.exp(first), 0.05 + 0.1 / (1 + np.exp(-second))
    found = anomaly_fitting.fit_thresholds(shapes, disagreements, rate)
    limits = found["shape_score"], found["disagreement_score"]
    by_shape, by_views = shapes >= limits[0], disagreements >= limits[1]
    flagged = by_shape | by_views
    assert flagged.mean() <= rate
    assert found["flagged_share"] == pytest.approx(flagged.mean())
    assert by_shape.sum() == by_views.sum()
    one_more = by_shape.sum() + 1
    shape_limit, views_limit = np.sort(shapes)[-one_more], np.sort(disagreements)[-one_more]
    assert ((shapes >= shape_limit) | (disagreements >= views_limit)).mean() > rate
    assert (found["false_alarm_rate"], found["n"]) == (rate, n)
    assert json.loads(json.dumps(found)) == found


def test_one_score_alone_flags_its_share():
    shapes = list(np.linspace(1.5, 9.0, 50))
    found = anomaly_fitting.fit_thresholds([*shapes, None, math.nan], [None] * 52, 0.1)
    assert np.count_nonzero(np.array(shapes) >= found["shape_score"]) == 5
    assert "disagreement_score" not in found and found["n"] == 50


def test_few_scores_make_no_threshold():
    nineteen, twenty = [2.0] * 19, [0.5] * 20
    found = anomaly_fitting.fit_thresholds([*nineteen, None], twenty, 0.05)
    assert 0.5 < found["disagreement_score"] < 0.5 + 1e-9, "equal scores are all flagged or none"
    assert "shape_score" not in found and (found["flagged_share"], found["n"]) == (0, 20)
    none = [None] * 19
    assert anomaly_fitting.fit_thresholds(nineteen, none, 0.05) == {
        "false_alarm_rate": 0.05,
        "n": 19,
    }
    assert anomaly_fitting.fit_thresholds([], [], 0.05) == {"false_alarm_rate": 0.05, "n": 0}


def test_no_alarm_below_what_nobody_would_look_at():
    found = anomaly_fitting.fit_thresholds([0.1] * 30, [0.0] * 30, 0.05)
    assert (found["shape_score"], found["disagreement_score"]) == (1.0, 0.01)


@pytest.mark.parametrize("rate", [0, 1, -0.1, math.nan])
def test_rates_that_are_none(rate):
    with pytest.raises(ValueError, match="false_alarm_rate"):
        anomaly_fitting.fit_thresholds([1.0] * 30, [1.0] * 30, rate)


def test_scores_of_other_images_are_refused():
    with pytest.raises(ValueError, match="not the same"):
        anomaly_fitting.fit_thresholds([1.0] * 30, [1.0] * 29, 0.05)
