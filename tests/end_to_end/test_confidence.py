"""The expected error from a run to the tablet: fitted once, carried in the bundle, judged, told."""

import csv
import json
import shutil
import warnings

import numpy as np
import pytest

from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.geometry.letterbox import letterboxed
from fetal_tf.edge.io.images import read_gray
from fetal_tf.evaluate import main as evaluate
from fetal_tf.evaluation.target import open_target
from fetal_tf.runs.run import open_run
from fetal_tf.training.fit_measurer import with_fitted_measurer
from tests.exporting.test_export_command import export_untimed, make_run

UNFITTED = "no thresholds belong to its best.keras, so nothing is scored as unusual or as uncertain"


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run as it was before anything was fitted, evaluated; and the same run, exported."""
    old = make_run(tmp_path_factory.mktemp("confidence"), images=42, val=0.5)
    with pytest.warns(UserWarning, match=UNFITTED):
        assert evaluate([str(old)]) == 0
    run = old.parent / "exported"
    shutil.copytree(old, run)
    shutil.rmtree(run / "evaluation")
    assert export_untimed([str(run), "--formats", "float32"]) == 0
    assert evaluate([str(run)]) == 0
    return old, run


def results(run):
    folder = run / "evaluation" / "test-keras"
    with (folder / "per_image.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return read_json(folder / "summary.json"), rows, (folder / "report.html").read_text("utf-8")


def test_export_fits_it_to_the_validation_images_and_the_bundle_carries_it(made):
    _, run = made
    settings = read_json(run / "measurement.json")["settings"]
    assert settings["n"] == 21 and settings["flagged_share"] <= 0.05
    assert read_json(run / "bundle" / "bundle.json")["measurement_settings"] == settings
    opened = open_run(run)
    expected, real = [], []
    predictor = opened.keras_predictor()
    for sample in opened.samples("val"):
        pixels, letterbox = letterboxed(read_gray(sample.image_path), opened.input_shape)
        row = opened.task.evaluate(predictor.predict(pixels[None])[0], sample, letterbox)
        expected.append(row["hc_expected_error_percent"])
        real.append(abs(row["hc_error_percent"]))
    assert np.mean(expected) == pytest.approx(np.mean(real), rel=1e-4)
    assert with_fitted_measurer(opened) is opened, "it is fitted once"


def test_the_bundle_expects_what_the_run_does(made):
    _, run = made
    _, rows, _ = results(run)
    bundle = Bundle.open(run / "bundle")
    predictor = bundle.predictor()
    for row in rows[:4]:
        path = run.parent / "data" / "training_set" / f"{row['id']}.png"
        head = bundle.measure(predictor, read_gray(path), 0.8)
        assert head.expected_error_percent == pytest.approx(
            float(row["hc_expected_error_percent"]), rel=1e-3
        )
    deltas = read_json(run / "bundle" / "parity.json")["formats"]["float32"]["deltas"]
    assert deltas["hc_expected_error_abs_delta_mean_percent"] < 1e-3


def test_evaluation_judges_it_and_the_page_and_the_card_tell(made):
    _, run = made
    summary, rows, page = results(run)
    found = summary["confidence"]
    assert found["n"] == len(rows) == summary["images"]["measured"]
    errors = np.abs([float(row["hc_error_percent"]) for row in rows])
    assert found["risk_coverage"][0]["mean_error_percent"] == pytest.approx(errors.mean(), rel=1e-4)
    assert 'id="confidence"' in page and "The least certain images refused" in page
    assert (run / "evaluation" / "test-keras" / "figures" / "hc_risk_coverage.png").is_file()
    card = (run / "bundle" / "MODEL_CARD.md").read_text("utf-8")
    limit = read_json(run / "measurement.json")["settings"]["limit_percent"]
    assert "fitted to the errors of 21 validation images" in card
    assert f"above {limit:.2f} % an image is flagged `uncertain`" in card
    assert "### Score `diameters`" in card
    assert "### By size of head" in card and 'id="subgroups"' in page
    kept = found["risk_coverage"][3]
    rows = [line.replace(" ", "") for line in card.splitlines()]
    assert any(row.startswith(f"|20%|{kept['n']}|{kept['mean_error_mm']:.2f}|") for row in rows)


def test_a_run_made_before_is_evaluated_as_ever(made):
    old, run = made
    summary, rows, page = results(old)
    assert summary["confidence"] is None and "No image has both" in page
    assert {row["hc_expected_error_percent"] for row in rows} == {""}
    fitted_summary, fitted_rows, _ = results(run)
    assert summary["metrics"] == fitted_summary["metrics"]
    assert [row["hc_mm"] for row in rows] == [row["hc_mm"] for row in fitted_rows]
    assert not any("uncertain" in row["flags"] for row in rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        open_target(str(run))  # nothing to warn of
