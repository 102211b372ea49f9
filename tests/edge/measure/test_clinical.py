"""Formulas against published values and numbers worked out by hand."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fetal_tf.edge.measure import clinical


@pytest.mark.parametrize(
    "weeks, mean, sd", [(20, 172.48, 7.44), (28, 260.36, 8.94), (36, 319.40, 10.76)]
)
def test_intergrowth_hc_against_its_table(weeks, mean, sd):
    reference = clinical.intergrowth_reference("hc", weeks)
    assert (round(reference.mean_mm, 2), round(reference.sd_mm, 2)) == (mean, sd)


@pytest.mark.parametrize("weeks", [14, 20, 28, 36, 40])
def test_bpd_and_ofd_fit_the_circumference(weeks):
    """Three independent formulas describe one head: the ellipse through BPD and OFD has that HC."""
    mean = {q: clinical.intergrowth_reference(q, weeks).mean_mm for q in ("hc", "bpd", "ofd")}
    a, b = mean["ofd"] / 2, mean["bpd"] / 2
    h = ((a - b) / (a + b)) ** 2
    perimeter = math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))
    assert perimeter == pytest.approx(mean["hc"], rel=0.02)
    for quantity in ("bpd", "ofd"):
        sd = clinical.intergrowth_reference(quantity, weeks).sd_mm
        assert 0.02 < sd / mean[quantity] < 0.08


@given(st.floats(14, 40))
def test_z_score_and_centile(weeks):
    reference = clinical.intergrowth_reference("hc", weeks)
    assert reference.z_score(reference.mean_mm) == 0
    assert reference.z_score(reference.mean_mm - 2 * reference.sd_mm) == pytest.approx(-2)


def test_centiles_of_the_normal_distribution():
    assert clinical.centile(0.0) == 50
    assert clinical.centile(1.2815515655) == pytest.approx(90, abs=1e-6)
    assert clinical.centile(-1.8807936082) == pytest.approx(3, abs=1e-6)


@pytest.mark.parametrize("weeks", [13.99, 40.01, float("nan")])
def test_ages_outside_the_reference(weeks):
    with pytest.raises(ValueError, match="14 to 40"):
        clinical.intergrowth_reference("hc", weeks)


def test_unknown_quantity():
    with pytest.raises(ValueError, match="hc, bpd, ofd"):
        clinical.intergrowth_reference("femur", 20)


def test_hadlock_hc_with_the_cubic_term_of_the_paper():
    # 30 cm: 8.96 + 16.2 + 0.0003 * 27000 = 33.26; a wrong cubic copied elsewhere gives 32.3.
    assert clinical.hadlock_ga_weeks_from_hc(300) == pytest.approx(33.26)
    assert clinical.hadlock_ga_weeks_from_hc(175) == pytest.approx(8.96 + 9.45 + 1.6078, abs=1e-4)


def test_hadlock_bpd_converts_outer_outer_to_outer_inner():
    inner = -0.403458 + 0.9714153 * 50
    assert clinical.bpd_outer_inner_mm(50) == pytest.approx(inner)
    x = inner / 10
    expected = 9.54 + 1.482 * x + 0.1676 * x * x
    assert clinical.hadlock_ga_weeks_from_bpd(50) == pytest.approx(expected)
    assert 20 < expected < 21.5  # 48 mm outer to inner is about 20 weeks and a half


def test_both_datings_agree_and_invert_the_growth_curve():
    for weeks in (16, 20, 28, 34):
        hc_mm = clinical.intergrowth_reference("hc", weeks).mean_mm
        assert clinical.intergrowth_ga_days_from_hc(hc_mm) / 7 == pytest.approx(weeks, abs=0.7)
        assert clinical.hadlock_ga_weeks_from_hc(hc_mm) == pytest.approx(weeks, abs=0.7)


def test_ages_outside_the_studies_are_none():
    assert clinical.hadlock_ga_weeks_from_hc(60) is None
    assert clinical.intergrowth_ga_days_from_hc(90) is None
    assert clinical.intergrowth_ga_days_from_hc(349) is None
    assert clinical.hadlock_ga_weeks_from_hc(380) is None


@pytest.mark.parametrize("value", [0, -3, float("nan"), float("inf")])
def test_lengths_that_are_none(value):
    for formula in (
        clinical.hadlock_ga_weeks_from_hc,
        clinical.hadlock_ga_weeks_from_bpd,
        clinical.intergrowth_ga_days_from_hc,
        lambda v: clinical.cephalic_index(v, 80),
        lambda v: clinical.cephalic_index(80, v),
    ):
        with pytest.raises(ValueError, match="positive"):
            formula(value)


def test_cephalic_index():
    assert clinical.cephalic_index(47, 60) == pytest.approx(78.333, abs=1e-3)


@pytest.mark.parametrize(
    "width_mm, grade",
    [
        (0.5, "none"),
        (9.94, "none"),
        (9.96, "mild"),  # written as 10.0 mm
        (10.0, "mild"),
        (12.0, "mild"),
        (12.04, "mild"),
        (12.1, "moderate"),
        (14.9, "moderate"),
        (14.96, "severe"),
        (15.0, "severe"),
        (40.0, "severe"),
    ],
)
def test_ventriculomegaly_at_its_limits(width_mm, grade):
    assert clinical.ventriculomegaly_grade(width_mm) == grade


@pytest.mark.parametrize("width_mm", [0, -3, float("nan"), float("inf")])
def test_ventricles_without_a_width(width_mm):
    with pytest.raises(ValueError, match="width_mm"):
        clinical.ventriculomegaly_grade(width_mm)


@given(st.floats(min_value=1e-300, max_value=1e300))
@example(5e3)  # a pixel size of 10 mm: the formula's number of days exceeds a float
@example(1e200)
def test_a_length_that_no_fetus_has_gives_no_age_and_no_error(length_mm):
    ages = (
        (clinical.hadlock_ga_weeks_from_hc(length_mm), 1, clinical.HADLOCK_WEEKS),
        (clinical.hadlock_ga_weeks_from_bpd(length_mm), 1, clinical.HADLOCK_WEEKS),
        (clinical.intergrowth_ga_days_from_hc(length_mm), 7, clinical.INTERGROWTH_WEEKS),
    )
    for age, per_week, (first, last) in ages:
        assert age is None or first <= age / per_week <= last
    if length_mm > 600:
        assert [age for age, _, _ in ages] == [None] * 3
