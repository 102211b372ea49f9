"""Every number of a summary by one name, with its interval where it has one."""

import json
import math

import numpy as np

from fetal_tf.analysis.summary_figures import is_summary_figure, summary_figures
from fetal_tf.evaluation.evaluate import summarise_rows
from fetal_tf.scores.pixel_levels import PixelLevels
from fetal_tf.scores.rows import image_frame, json_text
from tests.evaluation.evaluation_fakes import BrightnessTask, row

NO_INTERVAL = [None, None]
IMAGES = {"n": 12, "failed": 2}


def test_a_mapping_with_an_interval_is_a_figure_and_so_are_its_numbers():
    pixels = {"heart": {"roc_auc": {"value": 0.93, "ci95": [0.9, 0.95]}, "dice": 0.7}}
    found = summary_figures({"images": IMAGES, "pixels": pixels})
    assert found["pixels.heart.roc_auc"] == {"value": 0.93, "ci95": [0.9, 0.95], "n": 10}
    assert found["pixels.heart.roc_auc.value"] == found["pixels.heart.roc_auc"]
    assert found["pixels.heart.dice"] == {"value": 0.7, "ci95": NO_INTERVAL, "n": 10}
    assert "pixels.heart" not in found and "pixels" not in found


def test_means_and_areas_have_intervals_too_spreads_have_none():
    mean = {"n": 7, "mean": 0.5, "sd": 0.2, "ci95": [0.4, 0.6]}
    found = summary_figures({"images": IMAGES, "zero": {"csp": mean}, "any": {"auroc": 0.8}})
    assert found["zero.csp"] == {"value": 0.5, "ci95": [0.4, 0.6], "n": 7}
    assert found["zero.csp.sd"] == {"value": 0.2, "ci95": NO_INTERVAL, "n": 7}
    assert found["any.auroc"] == {"value": 0.8, "ci95": NO_INTERVAL, "n": 10}
    assert "any" not in found, "no interval, so nothing says that it is one figure"


def test_what_is_unknown_and_what_is_no_number_is_left_out():
    odd = {"a": None, "b": math.nan, "c": [1, 2], "d": "0.5", "e": {"mean": None, "ci95": [0, 1]}}
    found = summary_figures({"images": IMAGES, "odd": odd})
    assert set(found) == {"images.n", "images.failed"}


def test_the_same_names_from_an_evaluation_and_from_its_file():
    rng = np.random.default_rng(0)
    gather, rows = {"heart": PixelLevels()}, []
    for number in range(6):
        truth = rng.random((8, 8)) > 0.5
        gather["heart"].add(f"{number:03d}", rng.random((8, 8)), truth)
        rows.append(row(f"{number:03d}_HC", dice=number / 10, hc=100.0, true=101.0))
    rows.append(row("006_HC", error="cannot be read"))
    summary = summarise_rows(image_frame(rows), BrightnessTask(), 0, gather)
    found, stored = summary_figures(summary), summary_figures(json.loads(json_text(summary)))
    assert found.keys() == stored.keys()
    for name, figure in found.items():
        assert figure["n"] == stored[name]["n"]
        np.testing.assert_allclose(figure["value"], stored[name]["value"], atol=1e-6)
    assert found["metrics.dice"]["value"] == np.mean(np.arange(6) / 10)
    assert found["pixels.heart.roc_auc"]["n"] == found["metrics.dice"]["n"] == 6
    low, high = found["pixels.heart.roc_auc"]["ci95"]
    assert low < found["pixels.heart.roc_auc"]["value"] < high


def test_a_dot_tells_a_summarys_figure_from_a_column():
    assert is_summary_figure("pixels.heart.roc_auc") and not is_summary_figure("heart_dice")
