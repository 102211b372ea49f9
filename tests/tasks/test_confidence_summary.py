"""The summary of expected errors: figures counted by hand, and the report's section."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from fetal_tf.reporting.plots.uncertainty import risk_coverage_curve
from fetal_tf.reporting.sections.confidence import confidence_section as page_section
from fetal_tf.scores.rows import image_frame
from fetal_tf.tasks.confidence_summary import CTR, HC, confidence_section

EXPECTED = np.linspace(0.5, 5.0, 21)
ERRORS = np.random.default_rng(3).permutation(EXPECTED) * np.resize([1, -1], 21) + EXPECTED / 2


def rows(expected=EXPECTED, errors_percent=ERRORS, mm=2.0):
    return [
        {
            "id": str(i),
            "group": str(i // 2),
            "hc_expected_error_percent": e,
            "hc_error_percent": found,
            "hc_abs_error_mm": None if found is None else mm * abs(found),
        }
        for i, (e, found) in enumerate(zip(expected, errors_percent, strict=True))
    ]


def section(rows):
    return confidence_section(image_frame(rows), seed=1, doubted=HC)["confidence"]


def test_ranks_thirds_and_refusals_against_numpy():
    shuffled = rows()
    np.random.default_rng(0).shuffle(shuffled)
    found = section(shuffled)
    absolute = np.abs(ERRORS)
    assert found["n"] == 21
    assert found["spearman"]["value"] == pytest.approx(spearmanr(EXPECTED, absolute).statistic)
    low, high = found["spearman"]["ci95"]
    assert -1 <= low < found["spearman"]["value"] < high <= 1
    for index, third in enumerate(found["thirds"]):
        part = slice(7 * index, 7 * index + 7)
        assert third == {
            "n": 7,
            "mean_expected_percent": pytest.approx(EXPECTED[part].mean()),
            "mean_error_percent": pytest.approx(absolute[part].mean()),
        }
    kept = {0.0: 21, 0.05: 20, 0.1: 19, 0.2: 17}
    assert [point["refused_share"] for point in found["risk_coverage"]] == list(kept)
    for point, n in zip(found["risk_coverage"], kept.values(), strict=True):
        assert point["n"] == n
        assert point["mean_error_percent"] == pytest.approx(absolute[:n].mean())
        assert point["mean_error_mm"] == pytest.approx(2 * absolute[:n].mean())


def test_of_a_ratio_per_cent_are_points_and_there_are_no_millimetres():
    renamed = [
        {k.replace("hc_", "ctr_diameter_"): v for k, v in row.items() if k != "hc_abs_error_mm"}
        for row in rows()
    ]
    found = confidence_section(image_frame(renamed), seed=1, doubted=CTR)["confidence"]
    expected = section(rows())
    for point in expected["risk_coverage"]:
        del point["mean_error_mm"]
    assert found == expected | {"quantity": "ctr_diameter"}
    page = page_section(image_frame(renamed), {"confidence": found}, None)
    thirds, refused = page.tables
    assert thirds.header[2:] == [
        "mean expected |ΔCTR by diameter| (pp)",
        "mean real |ΔCTR by diameter| (pp)",
    ]
    assert refused.header == ["Refused", "n kept", "mean |ΔCTR by diameter| (pp)"]
    assert refused.rows[1][2] == f"{found['risk_coverage'][1]['mean_error_percent']:.2f}"
    assert "error of the CTR by diameter rank" in page.sentences[0]
    (plot,) = page.plots
    assert plot.name == "ctr_diameter_risk_coverage"
    assert plot.figure.axes[0].get_ylabel() == "mean error of CTR by diameter (pp)"


def test_a_summary_from_before_the_ratio_is_about_heads():
    old = section(rows())
    del old["quantity"]
    page = page_section(image_frame(rows()), {"confidence": old}, None)
    assert (
        page.sentences
        == page_section(image_frame(rows()), {"confidence": section(rows())}, None).sentences
    )


def test_only_images_with_both_errors_count_and_without_any_there_is_nothing():
    half = rows(errors_percent=[None if i % 2 else e for i, e in enumerate(ERRORS)])
    assert section(half)["n"] == 11
    unexpected = rows(expected=[None] * 21)
    assert section(unexpected) is None and section([]) is None
    assert section([*unexpected, *rows()]) == section(rows())
    old = [{k: v for k, v in row.items() if "expected" not in k} for row in rows()]
    assert section(old) is None


def test_one_image_and_equal_expectations_have_no_rank():
    one = section(rows()[:1])
    assert one["spearman"]["value"] is None
    assert [third["n"] for third in one["thirds"]] == [1, 0, 0]
    assert one["thirds"][2]["mean_error_percent"] is None
    same = rows(expected=np.ones(21))
    assert section(same)["spearman"]["value"] is None
    (sentence,) = page_section(image_frame(same), {"confidence": section(same)}, None).sentences
    assert "There is no rank" in sentence


def test_the_page_shows_the_summarys_figures():
    page = page_section(image_frame(rows()), {"confidence": section(rows())}, None)
    thirds, refused = page.tables
    found = section(rows())
    assert [line[0] for line in thirds.rows] == ["smallest", "middle", "largest"]
    assert [line[2] for line in thirds.rows] == [
        f"{third['mean_expected_percent']:.2f}" for third in found["thirds"]
    ]
    assert [line[0] for line in refused.rows] == ["0%", "5%", "10%", "20%"]
    assert [line[1] for line in refused.rows] == ["21", "20", "19", "17"]
    assert refused.rows[1][2] == f"{found['risk_coverage'][1]['mean_error_mm']:.2f}"
    assert f"{found['spearman']['value']:.2f}" in page.sentences[0]
    (plot,) = page.plots
    (axes,) = plot.figure.axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    by_doubt, best = lines["by expected error"], lines["by the error itself"]
    assert by_doubt[0] == pytest.approx(np.abs(ERRORS).mean())
    assert by_doubt[20] == pytest.approx(found["risk_coverage"][3]["mean_error_percent"])
    assert (best <= by_doubt + 1e-12).all() and best[-1] < by_doubt[0]
    assert axes.get_ylabel() == "mean error of HC (%)"


@pytest.mark.parametrize("summary", [{}, {"confidence": None}])
def test_a_page_without_expected_errors_says_why(summary):
    page = page_section(image_frame([]), summary, None)
    assert "No image has both" in page.sentences[0] and not page.tables and not page.plots


def test_one_image_draws_no_curve():
    assert risk_coverage_curve(np.ones(1), np.ones(1), "doubt", "hc_mm") is None
    page = page_section(image_frame(rows()[:1]), {"confidence": section(rows()[:1])}, None)
    assert not page.plots and len(page.tables) == 2
