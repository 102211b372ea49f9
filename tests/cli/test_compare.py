"""`python -m tools.compare`: tables, paired tests, stored results, and what it refuses."""

import csv
import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

from fetal_tf.cli.compare import main
from fetal_tf.evaluate import main as evaluate
from fetal_tf.evaluation import stored
from fetal_tf.evaluation.provenance import fingerprint
from fetal_tf.scores.columns import declare, figures
from tests.evaluation.evaluation_fakes import BrightnessPredictor, BrightnessTask
from tests.evaluation.target_fakes import Dimmed, PoolingTask

GRAYS = [100, 110, 130, 140, 150, 160, 170, 180, 190, 200]


def record_of(folder):
    return json.loads((folder / "comparison.json").read_text(encoding="utf-8"))


def paired_test(record, metric, run=None):
    return next(t for t in record["tests"] if t["metric"] == metric and run in (None, t["run"]))


def test_two_runs_are_set_side_by_side_and_tested(runs, samples, tmp_path, capsys):
    paths = [runs("dim", samples, predictor=Dimmed(0.9)), runs("full", samples)]
    assert main([*paths, "--out", str(tmp_path / "out")]) == 0
    record = record_of(tmp_path / "out")
    full, dim = np.array(GRAYS) / 255, 0.9 * np.array(GRAYS) / 255
    scores = record["runs"]["dim"]["scores"]
    np.testing.assert_allclose(scores["dice"]["mean"], dim.mean(), rtol=1e-4)
    low, high = scores["dice"]["ci95"]
    assert low < dim.mean() < high
    figures = paired_test(record, "dice")["figures"]
    np.testing.assert_allclose(figures["mean_difference"], (full - dim).mean(), rtol=1e-4)
    differences = full - dim
    np.testing.assert_allclose(
        figures["cohens_dz"], differences.mean() / differences.std(ddof=1), rtol=1e-3
    )
    p = wilcoxon(differences).pvalue
    np.testing.assert_allclose(figures["wilcoxon_p"], p, rtol=1e-3)
    # Two tests with the same p: Holm doubles both.
    np.testing.assert_allclose(figures["wilcoxon_p_holm"], 2 * p, rtol=1e-3)
    assert paired_test(record, "dice")["verdict"] == "better"
    assert paired_test(record, "hc_abs_error_mm")["verdict"] == "better"  # an error, which fell
    assert paired_test(record, "hc_abs_error_mm")["figures"]["mean_difference"] < 0
    assert record["images"] == record["groups"] == 10 and record["phantom"] is False

    printed = capsys.readouterr().out
    assert "dim: 10 images, evaluated just now" in printed
    assert f"{dim.mean():.4f} [" in printed and "|ΔHC| (mm)" in printed
    markdown = (tmp_path / "out" / "comparison.md").read_text()
    assert r"\|ΔHC\| (mm)" in markdown and re.search(r"\| +better \|\n", markdown)
    assert not (tmp_path / "runs" / "dim" / "evaluation").exists()


def test_every_table_line_has_as_many_cells_as_its_head(runs, samples, tmp_path):
    paths = [runs("a", samples), runs("b", samples, task=PoolingTask())]
    assert main([*paths, "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "comparison.md").read_text().replace(r"\|", "xx")
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3  # means, pooled, tests
    for table in tables:
        assert len({line.count("|") for line in table}) == 1
        assert len({len(line) for line in table}) == 1


def test_the_csv_holds_figures_and_tests(runs, samples, tmp_path):
    paths = [runs("a", samples, task=PoolingTask()), runs("b", samples, predictor=Dimmed(0.9))]
    assert main([*paths, "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "comparison.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["run"], line["metric"], line["over"]) for line in lines] == [
        ("a", "dice", "images"),
        ("a", "hc_abs_error_mm", "images"),
        ("a", "dice", "pixels"),
        ("b", "dice", "images"),
        ("b", "hc_abs_error_mm", "images"),
    ]
    product = np.prod(np.array(GRAYS) / 255)
    np.testing.assert_allclose(float(lines[2]["value"]), product, rtol=1e-4)
    np.testing.assert_allclose(float(lines[2]["ci95_high"]), 2 * product, rtol=1e-4)
    assert lines[0]["difference"] == lines[2]["difference"] == ""
    np.testing.assert_allclose(
        float(lines[3]["difference"]), -0.1 * np.mean(GRAYS) / 255, rtol=1e-4
    )
    assert (lines[3]["against"], lines[3]["pairs"], lines[3]["verdict"]) == ("a", "10", "worse")


def test_equal_runs_show_no_difference_and_noise_alone_neither(runs, samples, tmp_path):
    class Jittery(BrightnessPredictor):
        def predict(self, images):
            probabilities = super().predict(images)
            signs = np.where(images[:, 0, 0, 0] // 10 % 2, 1.02, 0.98)
            return probabilities * signs[:, None, None, None].astype(np.float32)

    paths = [runs("a", samples), runs("b", samples), runs("c", samples, predictor=Jittery())]
    assert main([*paths, "--out", str(tmp_path / "out")]) == 0
    record = record_of(tmp_path / "out")
    assert len(record["tests"]) == 4
    same = paired_test(record, "dice", "b")
    assert (same["verdict"], same["figures"]["wilcoxon_p"]) == ("no difference shown", 1)
    assert paired_test(record, "dice", "c")["verdict"] == "no difference shown"


class TestStored:
    """Results that `evaluate` has left are read where they fit, and only there."""

    @pytest.fixture(scope="class")
    def left(self, tmp_path_factory):
        """What `evaluate` leaves of run a, once it has left it: its folder."""
        return tmp_path_factory.mktemp("left") / "test-keras"

    @pytest.fixture
    def paths(self, runs, samples, left, capsys):
        """One evaluation serves all: images and run are the same in every test."""
        paths = [runs("a", samples), runs("b", samples, predictor=Dimmed(0.9))]
        folder = Path(paths[0]) / "evaluation" / "test-keras"
        if left.exists():
            shutil.copytree(left, folder)
        else:
            assert evaluate([paths[0]]) == 0
            shutil.copytree(folder, left)
        runs.known[paths[0]].predictor.batches.clear()
        capsys.readouterr()
        return paths

    def compare(self, paths, runs, tmp_path, *arguments):
        """The record, and whether the first run's images were predicted once more."""
        assert main([*paths, *arguments, "--out", str(tmp_path / "out")]) == 0
        return record_of(tmp_path / "out"), bool(runs.known[paths[0]].predictor.batches)

    def test_they_are_read_and_give_the_same_figures(self, paths, runs, tmp_path, capsys):
        stored, predicted = self.compare(paths, runs, tmp_path)
        assert not predicted
        assert "a: 10 images, " + paths[0] in capsys.readouterr().out
        os.remove(f"{paths[0]}/evaluation/test-keras/per_image.csv")
        fresh, predicted = self.compare(paths, runs, tmp_path)
        assert predicted
        for record in (stored, fresh):
            np.testing.assert_allclose(
                paired_test(record, "dice")["figures"]["mean_difference"],
                -0.1 * np.mean(GRAYS) / 255,
                rtol=1e-4,
            )
        assert stored["runs"]["a"]["measured"] == fresh["runs"]["a"]["measured"] == 10

    def test_not_for_another_split(self, paths, runs, tmp_path):
        assert self.compare(paths, runs, tmp_path, "--split", "all")[1]

    def test_not_for_other_data(self, paths, runs, samples, tmp_path):
        """Another phantom has the same ids, and other pixel sizes."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        for path in paths:
            runs.known[path].samples = lambda *where: [
                dataclasses.replace(sample, mm_per_pixel=0.2) for sample in samples
            ]
        assert self.compare(paths, runs, tmp_path, "--data-root", str(elsewhere))[1]

    def test_not_after_the_model_has_changed(self, paths, runs, tmp_path):
        os.utime(f"{paths[0]}/best.keras", ns=(4 * 10**18, 4 * 10**18))
        assert self.compare(paths, runs, tmp_path)[1]

    def test_not_where_the_split_holds_other_images(self, paths, runs, tmp_path):
        found = runs.known[paths[0]].samples("test")[1:]
        runs.known[paths[0]].samples = lambda *where: found
        assert self.compare(paths, runs, tmp_path)[1]

    def test_not_with_flip_averaging(self, paths, runs, tmp_path):
        assert evaluate([paths[0], "--tta", "flip"]) == 0
        runs.known[paths[0]].predictor.batches.clear()
        assert self.compare(paths, runs, tmp_path)[1]

    def test_not_where_the_task_has_new_columns(self, paths, runs, tmp_path):
        class Wider(BrightnessTask):
            columns = declare(BrightnessTask.columns.values(), figures("iou", better="higher"))

        runs.known[paths[0]].task = Wider()
        assert self.compare(paths, runs, tmp_path)[1]

    def test_not_where_rows_of_mixed_data_lack_their_source(self, paths, runs, tmp_path):
        """As they were written before there was such a column."""
        target, folder = runs.known[paths[0]], Path(paths[0]) / "evaluation" / "test-keras"
        other = target.config.data.sources[""].model_copy()
        data = target.config.data.model_copy(update={"mixed_with": {"planes": other}})
        target.config = target.config.model_copy(update={"data": data})
        summary = json.loads((folder / "summary.json").read_text())
        summary["evaluated"]["dataset"] = data.names
        (folder / "summary.json").write_text(json.dumps(summary))
        samples = target.samples("test")
        found = (folder, target, paths[0], "test", data.names, fingerprint(samples))
        assert stored._stored(*found) is not None
        rows = (folder / "per_image.csv").read_text().replace(samples[0].id, "planes:1")
        (folder / "per_image.csv").write_text(rows)
        assert stored._stored(*found) is None

    def test_damaged_ones_are_named(self, paths, capsys):
        path = f"{paths[0]}/evaluation/test-keras/summary.json"
        with open(path, "w") as file:
            file.write('{"schema": 1')
        assert main(paths) == 2
        (error,) = capsys.readouterr().err.splitlines()
        assert path in error and "evaluate once more" in error


def test_only_common_images_are_compared_and_the_others_counted(runs, samples, tmp_path, capsys):
    paths = [runs("a", samples[:8]), runs("b", samples[3:])]
    assert main([*paths, "--out", str(tmp_path / "out")]) == 0
    record = record_of(tmp_path / "out")
    assert record["images"] == 5
    assert [record["runs"][name]["unpaired"] for name in "ab"] == [3, 2]
    common = np.mean(GRAYS[3:8]) / 255
    for name in "ab":
        np.testing.assert_allclose(
            record["runs"][name]["scores"]["dice"]["mean"], common, rtol=1e-4
        )


def test_images_that_one_run_refused_are_left_out_of_the_test(runs, samples, tmp_path):
    samples[2].image_path.write_bytes(b"no image")
    paths = [runs("a", samples), runs("b", samples[:9])]
    assert main([*paths, "--out", str(tmp_path / "out")]) == 0
    record = record_of(tmp_path / "out")
    figures = paired_test(record, "dice")["figures"]
    assert (figures["n"], figures["n_left_out"]) == (8, 1)
    assert record["runs"]["a"]["failed"] == 1
    # A mean over fewer images than the table's says so.
    assert "n=8" in (tmp_path / "out" / "comparison.md").read_text()


def test_fewer_than_two_common_images_are_refused(runs, samples, tmp_path, capsys):
    paths = [runs("a", samples[:5]), runs("b", samples[4:])]
    assert main([*paths, "--out", str(tmp_path / "out")]) == 2
    (error,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert error.startswith("error: 1 images in common (a 5, b 6)")
    assert not (tmp_path / "out").exists()


def test_the_same_id_for_another_patient_is_refused(runs, samples, capsys):
    others = [dataclasses.replace(sample, group="x" + sample.group) for sample in samples]
    assert main([runs("a", samples), runs("b", others)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "image 000_HC: group is 000 in a and x000 in b" in error


def test_another_dataset_is_refused(runs, samples, capsys):
    data = {"dataset": "planes", "root": "elsewhere", "image_size": [24, 32]}
    assert main([runs("a", samples), runs("b", samples, data=data)]) == 2
    assert "b: dataset is planes, in a it is hc18" in capsys.readouterr().err


def test_metrics_may_be_chosen_and_an_unknown_one_is_named(runs, samples, tmp_path, capsys):
    paths = [runs("a", samples), runs("b", samples, predictor=Dimmed(1.05))]
    assert main([*paths, "--metrics", "hc_error_mm,hc_mm", "--out", str(tmp_path / "out")]) == 0
    record = record_of(tmp_path / "out")
    assert record["metrics"] == ["hc_error_mm", "hc_mm"]
    assert paired_test(record, "hc_error_mm")["verdict"] == "higher"
    assert main([*paths, "--metrics", "hc_eror_mm"]) == 2
    assert "hc_error_mm" in capsys.readouterr().err.splitlines()[-1]


def structures_task(*structures):
    """Dice of each structure is the brightness; their mean is one figure, of whichever they are."""

    class Task(BrightnessTask):
        classes = ("background", *structures)
        headline = ("foreground_dice", *(f"{name}_dice" for name in structures), "hc_abs_error_mm")
        columns = declare(
            figures(*headline[:-1], better="higher"), figures(headline[-1], better="lower")
        )

        def evaluate(self, probabilities, sample, letterbox, gather=None):
            row = super().evaluate(probabilities, sample, letterbox)
            dice = row.pop("dice")
            return row | dict.fromkeys(self.headline[:-1], dice)

    return Task()


def test_of_tasks_with_other_classes_only_what_means_the_same_is_tested(
    runs, samples, tmp_path, capsys
):
    paths = [
        runs("csp", samples, task=structures_task("brain", "csp")),
        runs("csp_lv", samples, task=structures_task("brain", "csp", "lv")),
    ]
    assert main([*paths, "--out", str(tmp_path / "out")]) == 0
    record = record_of(tmp_path / "out")
    assert [test["metric"] for test in record["tests"]] == [
        "brain_dice",
        "csp_dice",
        "hc_abs_error_mm",
    ]
    assert "lv_dice" not in record["runs"]["csp"]["scores"]
    assert "lv_dice" in record["runs"]["csp_lv"]["scores"]
    assert "csp_lv knows background, brain, csp, lv" in record["notes"][0]
    # Asked for, it is tested.
    command = [*paths, "--metrics", "foreground_dice", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert [t["metric"] for t in record_of(tmp_path / "out")["tests"]] == ["foreground_dice"]


def test_training_images_among_them_are_noted(runs, samples, tmp_path):
    paths = [runs("a", samples), runs("b", samples)]
    splits = runs.known[paths[1]].splits
    splits["000_HC"] = dataclasses.replace(splits["000_HC"], split="train")
    assert main([*paths, "--split", "all", "--out", str(tmp_path / "out")]) == 0
    assert record_of(tmp_path / "out")["notes"] == ["b was trained on 1 of its images."]


def test_phantom_results_are_labelled(runs, samples, tmp_path, capsys):
    (samples[0].image_path.parent / "phantom.json").write_text("{}")
    assert main([runs("a", samples), runs("b", samples), "--out", str(tmp_path / "out")]) == 0
    assert "10 PHANTOM images" in capsys.readouterr().out
    assert "PHANTOM" in (tmp_path / "out" / "comparison.md").read_text()
    assert record_of(tmp_path / "out")["phantom"] is True


@pytest.mark.parametrize("command", [["runs/a"], ["runs/a", "runs/b", "--split", "tset"]])
def test_wrong_arguments_are_refused(command):
    with pytest.raises(SystemExit) as exit_:
        main(command)
    assert exit_.value.code == 2


def test_what_is_no_run_is_one_line(runs, samples, capsys):
    assert main([runs("a", samples), "nowhere"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: nowhere: not a run"
