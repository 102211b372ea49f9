"""Deltas against NumPy, limits on both sides of the line, images that only one side measured."""

import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError
from fetal_tf.exporting.formats import FORMATS
from fetal_tf.exporting.parity import (
    Check,
    check_limit_names,
    compare,
    compared_columns,
    delta_name,
    limits_for,
)
from fetal_tf.scores.columns import declare, facts, figures, values
from fetal_tf.scores.quantities import Quantity
from fetal_tf.scores.rows import image_frame
from fetal_tf.tasks import TASKS

COLUMNS = declare(
    figures("dice", better="higher"), Quantity("hc", "mm").columns(), facts("mm_per_pixel")
)
OUTPUTS = np.array([0.0, 0.25, 0.5])


def row(id, dice=0.9, hc=200.0, flags="", refused="", error=""):
    return {
        "id": id,
        "group": id,
        "mm_per_pixel": 0.1,
        "dice": dice,
        "hc_mm": hc,
        "hc_true_mm": 201.0,
        "hc_error_mm": None if hc is None else hc - 201,
        "flags": flags,
        "refused": refused,
        "error": error,
    }


def compare_rows(reference, rows, limits=None):
    frames = image_frame(reference), image_frame(rows)
    return compare("int8", *frames, OUTPUTS, limits or {}, COLUMNS)


def test_deltas_are_paired_by_image():
    rng = np.random.default_rng(0)
    before, after = rng.uniform(180, 220, 40), rng.uniform(180, 220, 40)
    parity = compare_rows(
        [row(str(i), hc=v) for i, v in enumerate(before)],
        [row(str(i), hc=v) for i, v in enumerate(after)],
    )
    change = after - before
    assert parity.deltas["hc_delta_mean_mm"] == pytest.approx(change.mean())
    assert parity.deltas["hc_abs_delta_mean_mm"] == pytest.approx(np.abs(change).mean())
    assert parity.deltas["hc_abs_delta_p95_mm"] == pytest.approx(np.quantile(np.abs(change), 0.95))
    assert parity.deltas["hc_abs_delta_max_mm"] == pytest.approx(np.abs(change).max())
    assert parity.deltas["dice_abs_delta_max"] == 0


def test_errors_that_cancel_do_not_hide():
    reference = [row("a", dice=0.8), row("b", dice=0.9)]
    rows = [row("a", dice=0.9), row("b", dice=0.8)]
    deltas = compare_rows(reference, rows).deltas
    assert deltas["dice_delta_mean"] == pytest.approx(0)
    assert deltas["dice_abs_delta_mean"] == pytest.approx(0.1)


def test_probability_deltas_are_reported():
    deltas = compare_rows([row("a")], [row("a")]).deltas
    assert deltas["probability_abs_delta_max"] == 0.5
    assert deltas["probability_abs_delta_mean"] == 0.25


@pytest.mark.parametrize(("change", "passes"), [(0.29, True), (-0.29, True), (-0.31, False)])
def test_limit_is_judged_on_magnitude(change, passes):
    parity = compare_rows(
        [row("a", hc=200.0)], [row("a", hc=200.0 + change)], {"hc_delta_mean_mm": 0.3}
    )
    assert parity.passed is passes
    assert bool(parity.failures) is not passes


def test_failure_names_format_metric_value_and_limit():
    parity = compare_rows([row("a")], [row("a", hc=201.5)], {"hc_abs_delta_mean_mm": 0.3})
    assert parity.failures == ["int8: hc_abs_delta_mean_mm is 1.5, limit 0.3"]


@pytest.mark.parametrize(
    "lost", [row("a", hc=None, refused="no_head: nothing"), row("a", hc=None, error="NaN")]
)
def test_an_image_that_one_side_lost_is_counted_not_paired(lost):
    others = [row(str(i)) for i in range(9)]
    parity = compare_rows([row("a"), *others], [lost, *others], {"unpaired_share": 0.05})
    assert parity.unpaired == ["a"]
    assert parity.deltas["unpaired_share"] == pytest.approx(0.1)
    assert parity.deltas["hc_abs_delta_max_mm"] == 0
    assert parity.failures == ["int8: unpaired_share is 0.1, limit 0.05"]


def test_both_sides_refusing_is_agreement():
    refused = row("a", hc=None, refused="no_head: nothing")
    parity = compare_rows([refused, row("b")], [refused, row("b")], {"unpaired_share": 0.0})
    assert parity.passed


def test_what_was_not_measured_is_not_proven():
    without_size = [row("a", hc=None)]
    parity = compare_rows(without_size, without_size, {"hc_abs_delta_mean_mm": 0.3})
    (line,) = parity.failures
    assert line.startswith("int8: hc_abs_delta_mean_mm is not measurable (no image gave both")
    assert line.endswith("limit 0.3")
    failed = [{"id": "a", "group": "a", "error": "truncated"}]
    assert not compare_rows(failed, failed, {"dice_abs_delta_mean": 1.0}).passed
    assert not Check("x", 1.0, None).passed
    assert not Check("x", 1.0, float("nan")).passed


def test_flags_are_compared_by_code_not_by_words():
    reference = [row("a", flags="touches_border: 3 %"), row("b")]
    rows = [row("a", flags="touches_border: 4 %"), row("b", flags="fragmented: 2 pieces")]
    assert compare_rows(reference, rows).flags_differ == 1


def test_worst_images_of_limited_columns():
    reference = [row(str(i)) for i in range(5)]
    rows = [row(str(i), hc=200.0 + delta) for i, delta in enumerate([0.1, -3, 2, 0, 0.5])]
    worst = compare_rows(reference, rows, {"hc_abs_delta_p95_mm": 1.0}).worst
    assert list(worst) == ["hc_mm"]
    assert [entry["id"] for entry in worst["hc_mm"]] == ["1", "2", "4"]


def test_rows_of_other_images_are_refused():
    with pytest.raises(ValueError, match="same images"):
        compare_rows([row("a")], [row("b")])


def test_errors_and_truth_are_not_compared():
    assert compared_columns(COLUMNS, row("a")) == ["dice", "hc_mm"]


BRAIN = ["background", "brain", "csp", "lv"]
TASKS_COMPARE = {
    ("structures", "brain", *BRAIN): (
        ["csp_dice", "raw_csp_dice", "csp_area_px", "csp_present", "lv_width_mm", "shape_score"],
        [
            "mm_per_pixel", "true_csp_area_px", "true_csp_present", "lv_width_true_mm",
            "lv_width_error_mm", "lv_width_abs_error_mm", "confusion_csp_lv_px",
            "raw_confusion_csp_csp_px",
        ],
    ),
    ("segmentation", "head", "head"): (
        ["radial_error_px", "hc_expected_error_percent", "ofd_1_x_px", "dice", "hd95_mm"],
        ["hc_error_mm", "hc_true_mm", "ofd_1_error_px", "ofd_1_x_true_px", "image_width_px"],
    ),
    ("four_chamber", "four_chamber", "thorax", "heart"): (
        ["ctr_diameter_expected_error_percent", "ctr_diameter_percent", "focus_ctr_agreement"],
        ["ctr_diameter_error_percent", "ctr_area_true_percent"],
    ),
    ("reconstruction", "plane", "four_chamber"): (
        ["reconstruction_error", "ssim", "plane_score"],
        [],
    ),
    ("landmarks", "landmarks", "ofd_1", "ofd_2", "bpd_1", "bpd_2"): (
        ["radial_error_strict_px", "lowest_peak", "ofd_mm", "ofd_nme"],
        ["ofd_abs_error_mm", "bpd_2_error_px"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TASKS_COMPARE, ids=lambda case: case[0])
def test_what_each_task_compares(case):
    """The expert's marks and pixel counts repeat themselves, or what is pooled of them."""
    name, measurement, *classes = case
    kept, excluded = TASKS_COMPARE[case]
    spec = {"name": name, "classes": classes, "measurement": measurement}
    columns = TASKS.build("task", spec, {}).columns
    held = ["id", "flags", *excluded, *kept]
    assert set(columns) >= {*kept, *excluded}
    assert set(compared_columns(columns, held)) == set(kept)
    limits = {"int8": {delta_name(column, "abs_delta_mean"): 1.0 for column in kept}}
    check_limit_names(limits, FORMATS, columns)


def pooled_by_hand(rows):
    """Dice of one class over all rows: 2·hit over both areas; None where neither has a pixel."""
    hit, areas = rows["hit"].sum(), rows["areas"].sum()
    return {"csp_dice": 2 * hit / areas if areas else None}


def pixels(id, hit, areas):
    return {"id": id, "group": id, "hit": hit, "areas": areas, "flags": "", "refused": ""}


@pytest.mark.parametrize(("limit", "passes"), [(0.04, False), (0.06, True)])
def test_a_pooled_figure_has_one_delta(limit, passes):
    """Large structures decide: 2·(50 + 4) / 120 and 2·(53 + 4) / 120 differ by 0.05."""
    reference = image_frame([pixels("a", 50, 110), pixels("b", 4, 10)])
    rows = image_frame([pixels("a", 53, 110), pixels("b", 4, 10)])
    limits = {"pooled_csp_dice_delta": limit}
    parity = compare("int8", reference, rows, OUTPUTS, limits, {}, pooled_by_hand)
    assert parity.deltas["pooled_csp_dice_delta"] == pytest.approx(0.05)
    assert parity.passed is passes
    worse = compare("int8", rows, reference, OUTPUTS, limits, {}, pooled_by_hand)
    assert worse.deltas["pooled_csp_dice_delta"] == pytest.approx(-0.05)
    assert worse.passed is passes, "a loss counts like a gain"


def test_a_figure_that_one_side_cannot_pool_is_not_proven():
    reference, rows = image_frame([pixels("a", 5, 10)]), image_frame([pixels("a", 0, 0)])
    limits = {"pooled_csp_dice_delta": 1.0}
    for first, second in ((reference, rows), (rows, reference), (rows, rows)):
        parity = compare("int8", first, second, OUTPUTS, limits, {}, pooled_by_hand)
        assert parity.deltas["pooled_csp_dice_delta"] is None
        assert not parity.passed


def test_a_task_that_pools_nothing_has_no_such_delta():
    deltas = compare_rows([row("a")], [row("a")]).deltas
    assert not [name for name in deltas if name.startswith("pooled_")]


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("dice", "dice_abs_delta_mean"),
        ("csp_area_mm2", "csp_area_abs_delta_mean_mm2"),
        ("lv_width_px", "lv_width_abs_delta_mean_px"),
        ("hc_mm", "hc_abs_delta_mean_mm"),
        ("pixel_accuracy", "pixel_accuracy_abs_delta_mean"),
        ("mean_surface_distance_mm", "mean_surface_distance_abs_delta_mean_mm"),
    ],
)
def test_delta_name(column, name):
    assert delta_name(column, "abs_delta_mean") == name


def test_config_limits_lie_over_the_tasks():
    task = {"quantized": {"dice_abs_delta_mean": 2e-3, "hc_abs_delta_mean_mm": 0.3}}
    config = {"int8": {"hc_abs_delta_mean_mm": 0.5}, "onnx": {"unpaired_share": 0.2}}
    assert limits_for(FORMATS["int8"], task, config) == {
        "unpaired_share": 0.01,
        "dice_abs_delta_mean": 2e-3,
        "hc_abs_delta_mean_mm": 0.5,
    }
    assert limits_for(FORMATS["float32"], task, config) == {"unpaired_share": 0.0}
    assert limits_for(FORMATS["onnx"], task, config) == {"unpaired_share": 0.2}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"int9": {"dice_abs_delta_mean": 1}}, r"parity_limits\.int9: .*did you mean int8"),
        ({"int8": {"dice_abs": 1}}, r"parity_limits\.int8\.dice_abs: not a delta"),
        ({"int8": {"hc_mm_abs_delta_mean_mm_": 1}}, "not a delta"),
        ({"int8": {"pooled_csp_dice": 1}}, "not a delta"),
        ({"int8": {"pooled_delta": 1}}, "not a delta"),
        ({"int8": {"csp_dice_delta": 1}}, "not a delta"),
        ({"int8": {"bpd_abs_delta_mean_mm": 1}}, "not a delta"),
        ({"int8": {"hc_error_abs_delta_mean_mm": 1}}, "not a delta"),
    ],
)
def test_limits_that_mean_nothing_are_refused_early(limits, message):
    with pytest.raises(ConfigError, match=message):
        check_limit_names(limits, FORMATS, COLUMNS)


def test_limit_names_of_every_kind_are_accepted():
    names = [
        "dice_delta_mean", "hc_abs_delta_p95_mm", "unpaired_share", "hc_abs_delta_max_mm",
        "csp_area_abs_delta_mean_mm2", "pooled_csp_dice_delta", "pooled_mean_iou_delta",
    ]  # fmt: skip
    columns = declare(COLUMNS.values(), values("csp_area_mm2"))
    check_limit_names({"int8": dict.fromkeys(names, 1.0)}, FORMATS, columns)
