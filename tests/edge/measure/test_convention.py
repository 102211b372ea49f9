"""Where the experts of a site put their calipers: there and back, chosen or not, senseless."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.geometry.axis import AXIS, axis_maps
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure import clinical
from fetal_tf.edge.measure.convention import Convention, chosen_convention, conventions_of

INSIDE = Convention("second", ofd=1.03, bpd=1.016)
SETTINGS = {"conventions": {"second": {"ofd": 1.03, "bpd": 1.016}}}
SHAPE = (192, 288)
HEAD = Ellipse(150.0, 96.0, 90.0, 70.0, 25.0)
factors = st.floats(0.85, 1.2)


@given(factors, factors, st.floats(1.5, 2.5), st.floats(0, 179))
def test_what_is_drawn_for_an_outline_has_that_outline(ofd, bpd, elongation, angle):
    convention = Convention("c", ofd, bpd)
    outline = Ellipse(3.0, 4.0, 50.0 * elongation, 50.0, angle)
    drawn = convention.as_drawn(outline)
    assert drawn.semi_major == pytest.approx(outline.semi_major / ofd)
    assert drawn.semi_minor == pytest.approx(outline.semi_minor / bpd)
    again = convention.outline(drawn)
    assert again.semi_major == pytest.approx(outline.semi_major)
    assert again.semi_minor == pytest.approx(outline.semi_minor)
    assert (again.center_x, again.center_y, again.angle_deg) == (3.0, 4.0, outline.angle_deg)


def test_a_round_head_stays_an_ellipse_and_keeps_its_area():
    drawn = INSIDE.as_drawn(Ellipse(0.0, 0.0, 50.2, 50.0, 10.0))
    assert drawn.semi_major == drawn.semi_minor
    assert drawn.area == pytest.approx(math.pi * 50.2 * 50.0 / (1.03 * 1.016))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"conventions": 3}, "found 3"),
        ({"conventions": {"second": {"ofd": 1.0}}}, "ofd and bpd are expected"),
        ({"conventions": {"second": 1.0}}, "ofd and bpd are expected"),
        ({"conventions": {"second": {"ofd": "1", "bpd": 1.0}}}, "second.ofd: a number"),
        ({"conventions": {"second": {"ofd": True, "bpd": 1.0}}}, "second.ofd: a number"),
        ({"conventions": {"second": {"ofd": 1.0, "bpd": 2.0}}}, "second.bpd: outline over expert"),
        ({"conventions": {"second": {"ofd": math.nan, "bpd": 1.0}}}, "second.ofd: outline"),
        ({"convention": "second"}, "found 'second'; this net knows no other beside the outline"),
        ({**SETTINGS, "convention": "third"}, "found 'third'; this net knows second beside"),
    ],
)
def test_what_is_senseless_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        chosen_convention(settings)
    with pytest.raises(ValueError, match=message):
        MEASURERS["head"](("head",), settings)


def test_nothing_is_converted_that_nobody_asked_for():
    assert conventions_of({}) == {}
    assert conventions_of(SETTINGS) == {"second": INSIDE}
    assert chosen_convention({}) is None and chosen_convention(SETTINGS) is None
    assert chosen_convention({**SETTINGS, "convention": "second"}) == INSIDE


@pytest.mark.parametrize("classes", [("head",), ("head", *AXIS)])
def test_a_head_is_given_as_the_experts_of_the_site_would(classes):
    mask = rasterise(HEAD, SHAPE).astype(np.float32)[..., None]
    axis = np.broadcast_to(np.array(axis_maps(HEAD.angle_deg), np.float32), (*SHAPE, 2))
    output = np.concatenate([mask, axis], axis=-1)[..., : len(classes)]
    letterbox = Letterbox(*SHAPE, *SHAPE)
    outline, inside = (
        MEASURERS["head"](classes, settings).measure(output, letterbox, 0.5)
        for settings in (SETTINGS, {**SETTINGS, "convention": "second"})
    )
    assert outline.ofd_mm == pytest.approx(90.0, abs=0.3)
    assert inside.ofd_mm == pytest.approx(outline.ofd_mm / 1.03)
    assert inside.bpd_mm == pytest.approx(outline.bpd_mm / 1.016)
    assert not outline.notes and not outline.flags and not inside.flags
    assert inside.notes == (
        "convention: measured as the experts of second do: OFD 2.9 % and BPD 1.6 % shorter than "
        "the skull's outline; ages, z-scores and centiles are the outline's",
    )


CONVENTIONS = {
    "planes": {"ofd": 1.03, "bpd": 1.016},
    "inside": {"ofd": 1.25, "bpd": 1.25},
    "outside": {"ofd": 0.8, "bpd": 0.8},
    "longer": {"ofd": 1.25, "bpd": 0.9},
}
# What comes from the outline, as a formula of its lengths in mm.
FROM_OUTLINE = {
    "ga_weeks_hadlock": lambda mm: clinical.hadlock_ga_weeks_from_hc(mm["hc"]),
    "ga_weeks_hadlock_bpd": lambda mm: clinical.hadlock_ga_weeks_from_bpd(mm["bpd"]),
    "ga_weeks_intergrowth": lambda mm: clinical.intergrowth_ga_days_from_hc(mm["hc"]) / 7,
}


def z_of(quantity, mm, weeks):
    return clinical.intergrowth_reference(quantity, weeks).z_score(mm[quantity])


@pytest.mark.parametrize("weeks", [None, 22.0, 30.0])
@pytest.mark.parametrize("convention", [None, *CONVENTIONS])
def test_a_convention_moves_the_calipers_not_the_fetus(convention, weeks):
    """Lengths and their ratio follow the convention; age, z-score, centile are the outline's."""
    settings = {"conventions": CONVENTIONS, "convention": convention}
    output = rasterise(HEAD, SHAPE).astype(np.float32)[..., None]
    measurer = MEASURERS["head"](("head",), settings)
    measured = measurer.measure(output, Letterbox(*SHAPE, *SHAPE), 0.5, weeks)
    record = measured.as_record()

    factors = {"ofd": 1.0, "bpd": 1.0} | CONVENTIONS.get(convention, {})
    outline_mm = {"ofd": 180 * 0.5, "bpd": 140 * 0.5, "hc": HEAD.perimeter * 0.5}
    drawn = {axis: outline_mm[axis] / factor for axis, factor in factors.items()}
    if drawn["ofd"] < drawn["bpd"]:
        drawn = dict.fromkeys(drawn, math.sqrt(drawn["ofd"] * drawn["bpd"]))
    for axis, length_mm in drawn.items():
        assert record[f"{axis}_mm"] == pytest.approx(length_mm, rel=2e-3)
    assert record["cephalic_index"] == pytest.approx(100 * drawn["bpd"] / drawn["ofd"], rel=4e-3)

    for column, formula in FROM_OUTLINE.items():
        assert record[column] == pytest.approx(formula(outline_mm), abs=0.05)
    for quantity in ("hc", "bpd", "ofd"):
        z_score = None if weeks is None else z_of(quantity, outline_mm, weeks)
        expected = None if weeks is None else clinical.centile(z_score)
        assert record[f"{quantity}_z"] == pytest.approx(z_score, abs=0.05)
        assert record[f"{quantity}_centile"] == pytest.approx(expected, abs=1.5)
    assert bool(record["flags"]) == (drawn["bpd"] > 0.92 * drawn["ofd"])
    assert ("ages" in record["notes"]) == (convention is not None)
