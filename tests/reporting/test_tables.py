import numpy as np
import pytest

from fetal_tf.reporting.tables import flag_table, metric_tables, refused_and_failed, size_table
from fetal_tf.scores.quantities import Quantity
from fetal_tf.scores.rows import image_frame
from fetal_tf.scores.wording import interval, metric_label, number
from tests.evaluation.evaluation_fakes import BrightnessTask, row

HC = Quantity("hc", "mm")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("dice", "Dice"),
        ("iou", "IoU"),
        ("pixel_accuracy", "Pixel accuracy"),
        ("hd95_mm", "HD95 (mm)"),
        ("mean_surface_distance_mm", "Mean surface distance (mm)"),
        ("hc_error_mm", "ΔHC (mm)"),
        ("hc_abs_error_mm", "|ΔHC| (mm)"),
        ("bpd_error_percent", "ΔBPD (%)"),
        ("ctr_diameter_error_percent", "ΔCTR by diameter (pp)"),
        ("ctr_area_abs_error_percent", "|ΔCTR by area| (pp)"),
        ("focus_cardiac_dice", "FOCUS cardiac Dice"),
        ("focus_thorax_hd95_px", "FOCUS thorax HD95 (px)"),
        ("focus_ctr_agreement", "FOCUS CTR agreement"),
        ("heart_roc_auc", "Heart ROC AUC"),
    ],
)
def test_names_as_people_read_them(name, label):
    assert metric_label(name) == label


def test_numbers_carry_the_places_and_the_sign_of_their_metric():
    assert number(0.97654321, "dice") == "0.9765"
    assert number(1.987, "hc_abs_error_mm") == "1.99"
    assert number(1.987, "hc_error_mm") == "+1.99"
    assert number(16.7612, "focus_cardiac_hd95_px") == "16.76"
    assert number(-1.987, "hc_error_mm") == "\N{MINUS SIGN}1.99"
    assert number(None, "dice") == number(float("nan"), "dice") == "\N{EN DASH}"
    assert interval([0.1, 0.2], "dice") == "0.1000 to 0.2000"
    assert interval([None, None], "dice") == "\N{EN DASH}"


def test_size_table_splits_every_pair_into_one_row():
    rng = np.random.default_rng(0)
    true = rng.uniform(50, 340, 57)
    rows = [
        row(f"{i:03d}_HC", hc=float(t + e), true=float(t), dice=0.9)
        for i, (t, e) in enumerate(zip(true, rng.normal(0, 2, 57), strict=True))
    ]
    table = size_table(image_frame([*rows, row("x", error="broken")]), HC, "dice")
    assert sum(int(line[1]) for line in table) == 57
    low, high = (float(edge) for edge in table[0][0].split(" to "))
    inside = [r for r in rows if low <= r["hc_true_mm"] < high]
    assert int(table[0][1]) == len(inside)
    assert table[0][2] == number(float(np.mean([r["hc_error_mm"] for r in inside])), "hc_error_mm")
    assert table[0][5] == "0.9000"


@pytest.mark.parametrize("true", [100.0, 40.0])  # 40: a tick that rounding puts above the size
def test_size_table_of_equal_sizes_is_one_row(true):
    rows = [row(f"{i}_HC", hc=101.0, true=true) for i in range(3)]
    assert [line[1] for line in size_table(image_frame(rows), HC, "dice")] == ["3"]


def test_size_table_needs_two_pairs():
    assert size_table(image_frame([row("1_HC", hc=101.0, true=100.0)]), HC, "dice") == []
    assert size_table(image_frame([]), None, "dice") == []


def test_flag_table_holds_errors_with_and_without_each_flag():
    rows = [
        row("1_HC", hc=110.0, true=100.0, flags="touches_border: 9 %; unusual_shape: index 93"),
        row("2_HC", hc=104.0, true=100.0, flags="touches_border: 4 %"),
        row("3_HC", hc=101.0, true=100.0),
        row("4_HC", true=100.0, refused="no_head: nothing"),
    ]
    border, shape, none = flag_table(image_frame(rows), "hc_abs_error_mm")
    assert (border["code"], border["n"], border["error"]) == ("touches_border", "2", "7.00")
    assert shape["example"] == "index 93"
    assert (none["code"], none["n"], none["error"]) == ("none", "1", "1.00")


def test_no_flag_no_table():
    assert flag_table(image_frame([row("3_HC", hc=101.0, true=100.0)]), "hc_abs_error_mm") == []


def test_refused_and_failed_name_their_reasons():
    rows = [row("1_HC", refused="no_head: a"), row("2_HC"), row("3_HC", error="3_HC.png: cut")]
    assert refused_and_failed(image_frame(rows)) == [
        {"id": "3_HC", "kind": "failed", "reason": "3_HC.png: cut"},
        {"id": "1_HC", "kind": "refused", "reason": "no_head: a"},
    ]


def test_metrics_without_a_value_are_named_and_not_tabled():
    nothing = {"n": 0, "mean": None, "sd": None, "median": None, "min": None, "max": None}
    some = {"n": 2, "mean": 0.5, "sd": 0.1, "median": 0.5, "min": 0.4, "max": 0.6}
    summary = {
        "images": {"flagged": 0, "refused": 0},
        "metrics": {
            "dice": {**some, "ci95": [0.4, 0.6]},
            "hd95_mm": {**nothing, "ci95": [None, None]},
        },
    }
    (table,) = metric_tables(summary, BrightnessTask.columns)
    assert [cells[0] for cells in table["rows"]] == ["Dice"]
    assert table["empty"] == ["HD95 (mm)"]
