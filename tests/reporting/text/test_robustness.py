from types import SimpleNamespace

import pandas as pd

from fetal_tf.analysis.distortions import DISTORTIONS
from fetal_tf.reporting.text.robustness import screen_text, title
from fetal_tf.scores.wording import DASH

TASK = SimpleNamespace(headline=("csp_dice", "mismatch_score"))
METRICS = (*TASK.headline, "pooled_csp_dice", "flagged_share", "unmeasured_share")


def points(run, value):
    lines = [
        (run, name, level, metric, value + (level == d.identity) / 100)
        for name, d in DISTORTIONS.items()
        for level in (*d.levels, d.identity)
        for metric in METRICS
    ]
    return pd.DataFrame(lines, columns=["run", "distortion", "level", "metric", "mean"])


def record(seeds=None, phantom=True):
    evaluated = {"a": {"format": "int8"}, "b": {"format": "int8"}}
    return {"phantom": phantom, "images": 12, "evaluated": evaluated, "seeds": seeds}


def test_a_line_per_level_with_means_over_runs_and_the_undistorted_once():
    text = screen_text(pd.concat([points("a", 0.2), points("b", 0.4)]), record(), TASK)
    note, head, *lines = text.splitlines()
    assert note.startswith("PHANTOM")
    assert head.split()[-3:] == ["pooled", "flagged", "unmeasured"]
    assert len(lines) == 1 + sum(len(d.levels) for d in DISTORTIONS.values())
    assert lines[0].split() == ["none"] + ["0.3100"] * 5
    assert lines[1].split() == ["noise", "10", "sd", "(gray", "values)"] + ["0.3000"] * 5
    assert "PHANTOM" not in screen_text(points("a", 0.2), record(phantom=False), TASK)


def spread_of(**means):
    return {
        metric: {"mean": 0.5, "sd": 0.1, "runs": means}
        for metric in ("csp_dice", "mismatch_score", "pooled_csp_dice")
    }


def test_agreement_says_what_it_leaves_out():
    areas = {
        "target": 0.9,
        "images": 12,
        "unmeasured": 1,
        "seen_by_some": 2,
        "seen_by_none": 4,
        "seen_by_all": {"n": 5, "left_out": 7, "icc": 0.8, "ci95": [0.5, 0.95]},
        "absent_as_zero": {"n": 11, "left_out": 1, "icc": 0.93, "ci95": [None, None]},
    }
    none = {**areas, "seen_by_all": {"n": 0, "left_out": 12, "icc": None, "ci95": [None, None]}}
    del none["absent_as_zero"]
    seeds = {
        "differing_sections": ["loss"],
        "spread": spread_of(a=0.4, b=0.6),
        "agreement": {"csp_area_px": areas, "lv_width_mm": none},
    }
    text = screen_text(pd.concat([points("a", 0.2), points("b", 0.4)]), record(seeds), TASK)
    seen, zero, width, note = text.splitlines()[-4:]
    assert seen == (
        "ICC(2,1) of CSP area (px) between runs: 0.800 [0.500 to 0.950] over 5 of 12 images (every "
        "run sees it; left out: 1 unmeasured by a run, 2 seen by some, 4 by none); target 0.9: "
        "missed"
    )
    assert f"0.930 [{DASH}] over 11 of 12 images (absent counts as 0; left out: 1 unme" in zero
    assert zero.endswith("target 0.9: estimate above it, interval not")
    assert width.endswith("not tested") and "LV width (mm)" in width
    assert note == "Note: the runs differ in more than their seed: loss."


def test_the_title_says_how_many_of_what():
    assert title(record()) == "a, b (int8): 12 PHANTOM images"
    assert title({**record(phantom=False), "images": 1}) == "a, b (int8): 1 image"
