"""Every number of every record has a unit; texts have none."""

import pytest

from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.measure.head import measure_head
from fetal_tf.edge.measure.units import TEXTS, unit_of, units_of
from tests.edge.measure import test_brain, test_four_chamber, test_landmark_measurement
from tests.edge.measure.test_head import BOX, HEAD, seen

RECORDS = {
    "head": lambda: measure_head(seen(HEAD), BOX, 0.15, ga_weeks=30),
    "brain": test_brain.measured,
    "four_chamber": test_four_chamber.measured,
    "landmarks": lambda: test_landmark_measurement.measured(test_landmark_measurement.ENDS),
}


@pytest.mark.parametrize(
    "name, unit",
    [
        ("hc_mm", "mm"),
        ("cardiac_area_mm2", "mm2"),
        ("ga_weeks_hadlock_bpd", "weeks"),
        ("hc_z", "standard deviations"),
        ("bpd_centile", "centile"),
        ("mm_per_pixel", "mm/px"),
        ("ofd_1_x_px", "px"),
        ("ellipse_angle_deg", "deg"),
        ("cephalic_index", "percent"),
        ("ctr_diameter_percent", "percent"),
        ("fit_iou", "1"),
        ("plane_score", "1"),
    ],
)
def test_units_come_out_of_the_names(name, unit):
    assert unit_of(name) == unit


@pytest.mark.parametrize("kind", sorted(set(MEASURERS) - {"plane"}))
def test_the_numbers_of_a_record_have_units_and_its_texts_have_none(kind):
    record = RECORDS[kind]().as_record()
    units = units_of(record)
    numbers = {name for name, value in record.items() if isinstance(value, int | float)}
    assert numbers and numbers <= units.keys() and all(units.values())
    texts = {name for name, value in record.items() if isinstance(value, str)}
    assert texts <= set(TEXTS) and not texts & units.keys()
