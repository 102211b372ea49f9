import numpy as np
import pytest

from fetal_tf.scores.quantities import Quantity, written
from fetal_tf.scores.rows import image_frame
from tests.evaluation.evaluation_fakes import row

HC = Quantity("hc", "mm")
ROWS = image_frame(
    [
        row("a", hc=102.0, true=100.0),
        row("b", true=100.0, refused="no_head: nothing"),
        row("c", hc=199.0, true=200.0, flags="touches_border: 9 %"),
        row("d", error="truncated"),
        row("e", hc=305.0, true=300.0),
    ]
)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("hc", "HC"),
        ("lv_width", "LV width"),
        ("csp_dice", "CSP Dice"),
        ("brain_iou", "brain IoU"),
        ("ctr_area", "CTR by area"),
        ("heart_pr_auc", "heart PR AUC"),
        ("focus_ctr_agreement", "FOCUS CTR agreement"),
    ],
)
def test_a_stem_as_people_write_it(stem, name):
    assert written(stem) == name


def test_a_length_has_five_columns_and_a_ratio_four():
    kinds = [(c.name, c.better, c.published, c.compared) for c in HC.columns()]
    assert kinds == [
        ("hc_mm", "neither", False, True),
        ("hc_true_mm", "neither", False, False),
        ("hc_error_mm", "near 0", True, False),
        ("hc_abs_error_mm", "lower", True, False),
        ("hc_error_percent", "near 0", True, False),
    ]
    ratio = Quantity("ctr_diameter", "percent")
    assert ratio.name == "CTR by diameter" and ratio.measured == "ctr_diameter_true_percent"
    assert [c.name for c in ratio.columns()] == [
        "ctr_diameter_percent",
        "ctr_diameter_true_percent",
        "ctr_diameter_error_percent",
        "ctr_diameter_abs_error_percent",
    ]


def test_units_as_people_write_them():
    assert (HC.unit_sign, HC.error_sign) == ("mm", "mm")
    ratio = Quantity("ctr_area", "percent")
    assert (ratio.unit_sign, ratio.error_sign) == ("%", "pp"), "44 % and 42 % differ by no per cent"


def test_pairs_are_the_rows_with_both_values():
    pairs = HC.pairs(ROWS)
    np.testing.assert_array_equal(pairs.errors, [2, -1, 5])
    np.testing.assert_array_equal(pairs.flagged, [False, True, False])


def test_limits_of_agreement():
    errors = np.array([2.0, -1.0, 5.0])
    bias, low, high = HC.pairs(ROWS).limits()
    assert bias == pytest.approx(2.0)
    assert high - bias == pytest.approx(1.96 * np.sqrt(np.sum((errors - 2) ** 2) / 2))
    assert bias - low == pytest.approx(high - bias)


def test_one_pair_has_a_bias_and_no_limits():
    bias, low, high = HC.pairs(ROWS[:1]).limits()
    assert bias == pytest.approx(2.0) and np.isnan([low, high]).all()
