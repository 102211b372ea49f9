"""The card explains every flag that a measurement can raise, and none that it cannot."""

import ast
import inspect

import numpy as np
import pytest

from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure import (
    brain,
    brain_flags,
    confidence,
    fit_doubts,
    four_chamber,
    head,
    landmark_doubts,
    landmark_measurement,
)
from fetal_tf.exporting.card_texts import CARD_TEXTS
from fetal_tf.exporting.model_card import ABSENT_RULES
from fetal_tf.scores.classes import AbsentRule
from tests.edge.bundle.test_measurers import outputs

SOURCES = {
    "head": (head, confidence, fit_doubts),
    "brain": (brain, brain_flags),
    "four_chamber": (four_chamber, confidence, fit_doubts),
    "landmarks": (landmark_doubts, landmark_measurement, fit_doubts, head),
}
NOTES = {"bpd_unreliable_for_dating", "convention", "no_age"}  # no flags: the card lists none
# `fit_doubts.refusal` says `no_NAME` of the structure that it is asked about; `head.unit_flags` and
# `fit_doubts.border_flag` are the brain's too.
REFUSALS = {
    "brain": {"no_pixel_size", "touches_border"},
    "head": {"no_head"},
    "landmarks": {"mask_disagrees"},
    "four_chamber": {"no_heart", "no_thorax"},
}


def flag_codes_in(module):
    """Codes that the source makes flags and refusals of: the first argument of `Flag`."""
    calls = (n for n in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(n, ast.Call))
    made = (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Flag")
    return {call.args[0].value for call in made if isinstance(call.args[0], ast.Constant)} - NOTES


@pytest.mark.parametrize("measurement", SOURCES)
def test_every_flag_has_its_meaning(measurement):
    raised = set().union(*(flag_codes_in(module) for module in SOURCES[measurement]))
    raised |= REFUSALS.get(measurement, set())
    raised -= {"no_pixel_size"} if measurement == "four_chamber" else set()  # a note there
    raised -= {"small_in_frame"} if measurement == "landmarks" else set()  # of a mask alone
    assert len(raised) > 5, "the source says flags in another way now"
    assert set(CARD_TEXTS[measurement].flags) == raised


@pytest.mark.parametrize("measurement", SOURCES)
def test_every_quantity_is_measured(measurement):
    measurer, output = outputs(measurement)
    from tests.edge.bundle.test_measurers import BOX

    record = measurer.measure(output, BOX, 0.3).as_record()
    assert set(CARD_TEXTS[measurement].quantities) <= set(record)


def test_a_model_without_a_class_is_not_said_to_measure_it():
    whole = CARD_TEXTS["brain"]
    assert whole.of(("background", "brain", "csp", "lv")) == whole
    cavum = whole.of(("background", "brain", "csp"))
    assert set(whole.quantities) - set(cavum.quantities) == {"lv_area_mm2", "lv_width_mm"}
    assert set(whole.flags) - set(cavum.flags) == {"ventriculomegaly"}
    ventricle = whole.of(("background", "brain", "lv"))
    assert set(whole.quantities) - set(ventricle.quantities) == {"csp_area_mm2"}
    assert set(whole.flags) - set(ventricle.flags) == {"off_midline"}
    assert CARD_TEXTS["head"].of(("head",)) == CARD_TEXTS["head"]


def test_every_rule_for_absent_structures_has_its_words():
    assert set(ABSENT_RULES) == set(AbsentRule.__args__)


def test_the_plane_has_one_flag_and_measures_what_the_card_names():
    measurer = MEASURERS["plane"](("four_chamber",), {})
    record = measurer.measure(np.zeros((24, 32, 2), np.float32), Letterbox(24, 32, 24, 32), None)
    assert set(CARD_TEXTS["plane"].quantities) <= set(record.as_record())
    assert set(CARD_TEXTS["plane"].flags) == {"not_four_chamber"}
    assert {*SOURCES, "plane"} == set(CARD_TEXTS) == set(MEASURERS)
