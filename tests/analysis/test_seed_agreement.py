from types import SimpleNamespace

import numpy as np
import pytest

from fetal_tf.analysis.seed_agreement import measurement_agreement, seed_spread
from fetal_tf.scores.quantities import Quantity
from fetal_tf.scores.rows import image_frame

TASK = SimpleNamespace(
    classes=("background", "brain", "csp"), quantities=(Quantity("lv_width", "mm"),)
)


def shrout_fleiss(ratings):
    """ICC(2,1) from the sums of squares of the two-way table, written out."""
    n, k = ratings.shape
    grand = ratings.mean()
    rows = k * sum((row.mean() - grand) ** 2 for row in ratings) / (n - 1)
    columns = n * sum((column.mean() - grand) ** 2 for column in ratings.T) / (k - 1)
    total = ((ratings - grand) ** 2).sum()
    rest = (total - rows * (n - 1) - columns * (k - 1)) / ((n - 1) * (k - 1))
    return (rows - rest) / (rows + (k - 1) * rest + k * (columns - rest) / n)


def rows_of(areas):
    """A run's rows: brain area, CSP area."""
    return image_frame(
        [
            {"id": str(i), "group": str(i), "brain_area_px": brain, "csp_area_px": csp}
            for i, (brain, csp) in enumerate(areas)
        ]
    )


SEEDS = {
    "one": rows_of([(900.0, 50.0), (800.0, None), (700.0, 40.0), (950.0, None), (850.0, 70.0)]),
    "two": rows_of([(910.0, 46.0), (780.0, None), (720.0, 44.0), (955.0, 30.0), (845.0, 66.0)]),
}


def test_areas_that_every_run_sees():
    found = measurement_agreement(SEEDS, TASK)
    assert list(found) == ["brain_area_px", "csp_area_px"]
    brain = found["brain_area_px"]
    areas = np.array([[900, 910], [800, 780], [700, 720], [950, 955], [850, 845]], float)
    np.testing.assert_allclose(brain["seen_by_all"]["icc"], shrout_fleiss(areas))
    assert brain["seen_by_all"]["left_out"] == brain["seen_by_some"] == brain["seen_by_none"] == 0
    csp = found["csp_area_px"]
    np.testing.assert_allclose(
        csp["seen_by_all"]["icc"], shrout_fleiss(np.array([[50.0, 46], [40, 44], [70, 66]]))
    )
    assert (csp["seen_by_all"]["n"], csp["seen_by_all"]["left_out"]) == (3, 2)
    assert (csp["seen_by_some"], csp["seen_by_none"], csp["images"]) == (1, 1, 5)


def test_an_absent_structure_as_zero():
    csp = measurement_agreement(SEEDS, TASK)["csp_area_px"]["absent_as_zero"]
    areas = np.array([[50.0, 46], [0, 0], [40, 44], [0, 30], [70, 66]])
    np.testing.assert_allclose(csp["icc"], shrout_fleiss(areas))
    assert (csp["n"], csp["left_out"]) == (5, 0)
    assert csp["ci95"][0] < csp["icc"] < csp["ci95"][1]


def test_an_image_that_a_run_refused_or_failed_counts_nowhere():
    two = SEEDS["two"].copy()
    two.loc[0, ["brain_area_px", "csp_area_px", "error"]] = [np.nan, np.nan, "truncated"]
    two.loc[1, "refused"] = "no_brain: nothing found"
    csp = measurement_agreement({"one": SEEDS["one"], "two": two}, TASK)["csp_area_px"]
    assert csp["unmeasured"] == 2
    assert (csp["absent_as_zero"]["n"], csp["absent_as_zero"]["left_out"]) == (3, 2)
    assert (csp["seen_by_all"]["n"], csp["seen_by_some"], csp["seen_by_none"]) == (2, 1, 0)


def test_too_few_images_have_no_icc():
    few = {run: rows[:1] for run, rows in SEEDS.items()}
    found = measurement_agreement(few, TASK)["csp_area_px"]
    assert found["seen_by_all"] == {"n": 1, "left_out": 0, "icc": None, "ci95": [None, None]}


def test_a_quantity_is_compared_where_it_was_measured():
    rows = {
        run: SEEDS["one"].assign(lv_width_mm=widths)
        for run, widths in (("a", [7.0, 8, 9, 11, None]), ("b", [7.5, 8, 9.5, 11, None]))
    }
    found = measurement_agreement(rows, TASK)["lv_width_mm"]
    expected = np.array([[7.0, 7.5], [8, 8], [9, 9.5], [11, 11]])
    np.testing.assert_allclose(found["seen_by_all"]["icc"], shrout_fleiss(expected))
    assert found["seen_by_none"] == 1 and "absent_as_zero" not in found


def test_spread_over_runs():
    means = {"a": {"dice": 0.8, "iou": None}, "b": {"dice": 0.9, "iou": 0.7}, "c": {"dice": 1.0}}
    found = seed_spread(means)
    assert found["dice"]["mean"] == pytest.approx(0.9)
    assert found["dice"]["sd"] == pytest.approx(0.1)
    assert found["iou"] == {"mean": 0.7, "sd": None, "runs": {"a": None, "b": 0.7, "c": None}}
