"""Sets of frames against the plane's own: AUROC and shares by hand, and what the table says."""

import numpy as np
import pandas as pd
import pytest

from fetal_tf.analysis.distortions import DISTORTIONS
from fetal_tf.analysis.plane_gate import (
    FrameSet,
    corrupted_frames,
    judged,
    own_frames,
    study_record,
)
from fetal_tf.edge.errors import DataError
from fetal_tf.reporting.plots.plane_gate import gate_histograms
from fetal_tf.reporting.text.plane_gate import screen_text
from fetal_tf.scores.rows import image_frame
from fetal_tf.tasks import TASKS
from tests.evaluation.evaluation_fakes import BrightnessPredictor, write_samples

SPEC = {"name": "reconstruction", "classes": ["head"], "measurement": "plane"}
SETTINGS = {"false_alarm_rate": 0.05, "n": 40}


def rows(scores, errors, group="p"):
    return [
        {
            "id": f"{group}{i}",
            "group": f"{group}{i}",
            "plane_score": score,
            "reconstruction_error": error,
            "flags": "not_head: far" if score is not None and score >= 1 else "",
            "error": "",
        }
        for i, (score, error) in enumerate(zip(scores, errors, strict=True))
    ]


def broken(id):
    return {"id": id, "group": id, "error": "x.png: cannot be read"}


OWN = FrameSet("own", "own", image_frame(rows([0.2, 0.4, 0.6, 1.1], [0.1, 0.2, 0.3, 0.4])))
OTHERS = [*rows([0.5, 2.0, 3.0], [0.1, 0.05, 0.35]), broken("bad")]
OTHER = FrameSet("hc18", "dataset", image_frame(OTHERS))


def test_auroc_and_share_by_hand():
    found = judged(OWN, OTHER, seed=0)
    assert (found["n"], found["flagged"]) == (3, 2)
    assert found["flagged_share"] == pytest.approx(2 / 3)
    # Scores: 0.5 beats two of four, 2.0 and 3.0 all. Errors: a tie and nothing, nothing, three.
    assert found["plane_score"]["auroc"] == pytest.approx((2 + 4 + 4) / 12)
    assert found["reconstruction_error"]["auroc"] == pytest.approx((0.5 + 0 + 3) / 12)
    assert found["plane_score"]["n_negative"] == 4


def test_patients_of_another_dataset_are_other_patients():
    """Both number theirs p0, p1 …: taken for the same, a resample would draw them together."""
    same = FrameSet("blur 1", "corruption", OTHER.scored)
    apart, together = (judged(OWN, other, seed=0)["plane_score"] for other in (OTHER, same))
    assert apart["auroc"] == together["auroc"]
    assert apart["ci95"] != together["ci95"]


def test_the_record_and_the_table_say_what_flatters():
    record = study_record(OWN, [OTHER], SETTINGS, seed=0, fitted_here=True)
    assert record["own"]["flagged_share"] == 0.25 and record["own"]["n"] == 4
    assert record["threshold"] == SETTINGS
    text = screen_text(record)
    assert "hc18  3  67%      0.833 [" in text
    assert "set to flag 5% of 40 validation images" in text
    assert "fitted to these very images" in text
    held_out = study_record(OWN, [OTHER], SETTINGS, seed=0, fitted_here=False)
    assert "these very images" not in screen_text(held_out)


def test_a_set_without_a_single_readable_image():
    empty = FrameSet("hc18", "dataset", image_frame([broken("bad")]))
    found = judged(OWN, empty, seed=0)
    assert found["n"] == 0 and found["flagged_share"] is None
    assert found["plane_score"]["auroc"] is None
    assert "hc18  0  -" in screen_text(study_record(OWN, [empty], SETTINGS, 0, False))
    assert gate_histograms(OWN, [empty]) is not None


def test_lines_keep_broken_images():
    lines = OTHER.lines()
    assert lines["id"].tolist() == ["p0", "p1", "p2", "bad"]
    assert lines["error"][3] and np.isnan(lines["plane_score"][3])
    assert set(lines["set"]) == {"hc18"}


def test_own_frames_need_a_score(tmp_path):
    samples = write_samples(tmp_path, [100, 150])
    with pytest.raises(DataError, match=r"no plane score.*python -m export"):
        own_frames(BrightnessPredictor(), samples, TASKS.build("task", SPEC, {}))
    samples[0].image_path.write_bytes(b"no image")
    with pytest.raises(DataError, match="not one of 1 images could be evaluated"):
        own_frames(BrightnessPredictor(), samples[:1], TASKS.build("task", SPEC, {}))


def test_every_distortion_at_every_level(tmp_path):
    samples = write_samples(tmp_path, [100, 150])
    task = TASKS.build("task", SPEC, {})
    found = list(corrupted_frames(BrightnessPredictor(), samples, task))
    assert len(found) == sum(len(d.levels) for d in DISTORTIONS.values())
    assert {frames.kind for frames in found} == {"corruption"}
    assert found[0].name == "noise 10"
    # The predictor gives a frame back: whatever was done to it, the error is nothing.
    everything = pd.concat([frames.rows for frames in found])
    np.testing.assert_allclose(everything["reconstruction_error"], 0, atol=1e-9)
    np.testing.assert_allclose(everything["ssim"], 1, atol=1e-6)


def test_the_figure_has_a_row_for_every_set():
    figure = gate_histograms(OWN, [OTHER, OTHER])
    assert len(figure.axes) == 4
    first = figure.axes[0]
    labels = {text.get_text() for text in first.get_legend().get_texts()}
    assert {"own (n=4)", "hc18 (n=3)"} < labels
    # Shares: each set's bars add up to 1, whatever lies beyond the axis.
    heights = sum(patch.get_height() for patch in first.patches)
    assert heights == pytest.approx(2)
    assert gate_histograms(OWN, []) is None
