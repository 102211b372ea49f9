"""The tasks' declared columns: the direction of each metric, and completeness."""

import keras
import pytest

from fetal_tf.scores.columns import Column, better, declare, figures
from fetal_tf.tasks import TASKS

BRAIN = ["background", "brain", "csp", "lv"]
ENDS = ["ofd_1", "ofd_2", "bpd_1", "bpd_2"]
SPECS = {
    "segmentation": {"classes": ["head"], "measurement": "head"},
    "head_axis": {"classes": ["head", "axis_cos", "axis_sin"], "measurement": "head"},
    "four_chamber": {"classes": ["thorax", "heart"]},
    "four_chamber exclusive": {"classes": ["background", "thorax", "heart"]},
    "four_chamber heart": {"classes": ["heart"]},
    "structures": {"classes": BRAIN, "measurement": "brain"},
    "landmarks": {"classes": ["head", *ENDS], "measurement": "landmarks"},
    "landmarks coordinates": {
        "classes": ENDS,
        "measurement": "landmarks",
        "output": "coordinates",
    },
    "reconstruction": {"classes": ["four_chamber"], "measurement": "plane"},
}


def task_of(case):
    return TASKS.build("task", {"name": case.split()[0], **SPECS[case]}, {})


def test_every_task_is_here():
    assert {case.split()[0] for case in SPECS} == set(TASKS.names())


@pytest.mark.parametrize(
    ("case", "name", "direction"),
    [
        ("segmentation", "dice", "higher"),
        ("segmentation", "hd95_mm", "lower"),
        ("segmentation", "mean_surface_distance_mm", "lower"),
        ("segmentation", "hc_error_mm", "near 0"),
        ("segmentation", "hc_abs_error_mm", "lower"),
        ("segmentation", "bpd_error_percent", "near 0"),
        ("segmentation", "radial_error_px", "lower"),
        ("segmentation", "ofd_1_error_px", "lower"),
        ("segmentation", "ofd_nme", "lower"),
        ("segmentation", "success_10px", "higher"),
        ("segmentation", "hc_expected_error_percent", "neither"),
        ("segmentation", "hc_mm", "neither"),
        ("segmentation", "metrics.dice.sd", "neither"),
        ("segmentation", "metrics.hc_abs_error_mm.mean", "lower"),
        ("segmentation", "val_dice", "higher"),
        ("segmentation", "val_loss", "lower"),
        ("segmentation", "loss", "lower"),
        ("head_axis", "val_axis_error", "lower"),
        ("four_chamber", "ctr_diameter_error_percent", "near 0"),
        ("four_chamber", "ctr_area_abs_error_percent", "lower"),
        ("four_chamber", "ctr_diameter_expected_error_percent", "neither"),
        ("four_chamber", "focus_cardiac_dice", "higher"),
        ("four_chamber", "focus_thorax_hd95_px", "lower"),
        ("four_chamber", "focus_ctr_agreement", "higher"),
        ("four_chamber", "pixels.heart.roc_auc", "higher"),
        ("four_chamber", "metrics.heart_dice.sd", "neither"),
        ("structures", "pooled_csp_dice", "higher"),
        ("structures", "csp_mismatch", "lower"),
        ("structures", "lv_width_error_mm", "near 0"),
        ("structures", "val_weighted_iou", "higher"),
        ("landmarks", "val_radial_error", "lower"),
        ("landmarks", "bpd_2_error_px", "lower"),
        ("reconstruction", "reconstruction_error", "lower"),
        ("reconstruction", "ssim", "higher"),
        ("reconstruction", "never_heard_of", "neither"),
    ],
)
def test_which_way_a_figure_improves(case, name, direction):
    assert better(task_of(case).columns, name) == direction


@pytest.mark.parametrize("case", SPECS)
def test_what_training_follows_has_a_direction(case):
    task = task_of(case)
    for metric in task.training_metrics((64, 96)):
        assert isinstance(metric, keras.metrics.Metric)
        assert better(task.columns, f"val_{metric.name}") in ("higher", "lower"), metric.name


@pytest.mark.parametrize("case", SPECS)
def test_what_is_shown_and_limited_is_declared(case):
    task = task_of(case)
    assert set(task.headline) <= set(task.metric_names) <= set(task.columns)
    assert better(task.columns, task.headline[0]) == "higher"
    for columns in task.scores.values():
        assert set(columns) <= set(task.metric_names)
    for quantity in task.quantities:
        assert quantity.absolute in task.metric_names


def test_a_name_is_declared_once():
    with pytest.raises(ValueError, match="dice is declared twice"):
        declare(figures("dice", better="higher"), [Column("dice")])
