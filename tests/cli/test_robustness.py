"""`python -m tools.robustness`: what it writes, prints, compares and refuses."""

import csv
import json

import numpy as np
import pytest

from fetal_tf.analysis.distortions import DISTORTIONS
from fetal_tf.cli.robustness import main
from fetal_tf.scores.agreement import icc_2_1
from tests.evaluation.evaluation_fakes import BrightnessTask
from tests.evaluation.target_fakes import Dimmed, PoolingTask

GRAYS = [100, 130, 160, 190]
LEVELS = sum(1 + len(distortion.levels) for distortion in DISTORTIONS.values())


def lines_of(folder):
    with (folder / "robustness.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def means(lines, distortion, metric, run=None):
    return {
        float(line["level"]): float(line["mean"])
        for line in lines
        if (line["distortion"], line["metric"]) == (distortion, metric)
        and run in (None, line["run"])
    }


def test_one_run_gives_a_figure_for_every_level_and_metric(runs, samples, tmp_path, capsys):
    assert main([runs("net", samples)]) == 0
    out = tmp_path / "runs" / "net" / "robustness"
    lines = lines_of(out)
    assert len(lines) == LEVELS * (2 + 2)  # Dice and HC, flagged and unmeasured
    dice = [means(lines, name, "dice") for name in DISTORTIONS]
    for name, of_distortion in zip(DISTORTIONS, dice, strict=True):
        undistorted = of_distortion[DISTORTIONS[name].identity]
        np.testing.assert_allclose(undistorted, np.mean(GRAYS) / 255, rtol=1e-5)
    printed = capsys.readouterr().out.splitlines()
    assert [str(out / n) for n in ("robustness.csv", "robustness.png", "summary.json")] == (
        printed[-3:]
    )
    assert (out / "robustness.png").read_bytes().startswith(b"\x89PNG")
    assert {line["n"] for line in lines} == {"4"}
    summary = summary_of(out)
    assert (summary["images"], summary["groups"], summary["phantom"]) == (4, 4, False)
    assert summary["seeds"] is None
    assert summary["distortions"]["gamma"]["identity"] == 1
    assert summary["evaluated"]["net"]["data_root"] == "heads"


def test_the_frames_are_distorted_and_the_truth_is_not(runs, samples, tmp_path):
    """The fake Dice is a frame's mean brightness, which each distortion changes in its own way."""
    assert main([runs("net", samples), "--out", str(tmp_path / "out")]) == 0
    lines = lines_of(tmp_path / "out")
    gamma = means(lines, "gamma", "dice")
    for level in DISTORTIONS["gamma"].levels:
        expected = np.mean([round(255 * (gray / 255) ** level) / 255 for gray in GRAYS])
        np.testing.assert_allclose(gamma[level], expected, rtol=1e-5)
    errors = means(lines, "gamma", "hc_abs_error_mm")
    expected = np.mean([abs(100 * (g / 255) ** 2 - 100 * g / 255) for g in GRAYS])
    np.testing.assert_allclose(errors[2.0], expected, atol=0.2)
    # An even frame has no contrast to stretch and no edge to blur; shadows darken, noise does not.
    for name in ("contrast", "blur"):
        np.testing.assert_allclose(
            list(means(lines, name, "dice").values()), np.mean(GRAYS) / 255, rtol=1e-5
        )
    shadow = list(means(lines, "shadow", "dice").values())
    assert shadow == sorted(shadow, reverse=True) and shadow[-1] < shadow[0] - 0.01
    np.testing.assert_allclose(means(lines, "noise", "dice")[20.0], np.mean(GRAYS) / 255, atol=0.01)


def test_what_the_task_pools_stands_beside_the_mean(runs, samples, tmp_path, capsys):
    assert main([runs("net", samples, task=PoolingTask()), "--out", str(tmp_path / "out")]) == 0
    pooled = [line for line in lines_of(tmp_path / "out") if line["metric"] == "pooled_dice"]
    assert len(pooled) == LEVELS
    line = next(p for p in pooled if p["distortion"] == "noise" and float(p["level"]) == 0)
    product = np.prod(np.array(GRAYS) / 255)
    np.testing.assert_allclose(
        [float(line[k]) for k in ("mean", "ci95_low", "ci95_high")],
        [product, product / 2, product * 2],
        rtol=1e-4,
    )
    assert "pooled_mean_iou" not in {p["metric"] for p in lines_of(tmp_path / "out")}
    assert "Dice, pooled" in capsys.readouterr().out


def test_flagged_and_unmeasured_images_are_counted(runs, samples, tmp_path):
    class Strict(BrightnessTask):
        def evaluate(self, probabilities, sample, letterbox, gather=None):
            row = super().evaluate(probabilities, sample, letterbox)
            row["flags"] = "bright: too much" if row["dice"] > 0.7 else ""
            row["refused"] = "no_head: too dark" if row["dice"] < 0.2 else ""
            return row

    assert main([runs("net", samples, task=Strict()), "--out", str(tmp_path / "out")]) == 0
    lines = lines_of(tmp_path / "out")
    flagged, unmeasured = (means(lines, "gamma", f"{s}_share") for s in ("flagged", "unmeasured"))
    for level in (0.5, 1.0, 2.0):
        dice = np.array([(gray / 255) ** level for gray in GRAYS])
        assert flagged[level] == np.mean(dice > 0.7)
        assert unmeasured[level] == np.mean(dice < 0.2)


def test_several_runs_meet_the_same_frames_and_their_spread_is_stated(
    runs, samples, tmp_path, capsys
):
    factors = {"seed0": 1.0, "seed1": 0.96, "seed2": 0.99}
    paths = [
        runs(name, samples, predictor=Dimmed(factor), seed=k)
        for k, (name, factor) in enumerate(factors.items())
    ]
    assert main([*paths, "--out", str(tmp_path / "out")]) == 0
    frames = [np.concatenate(runs.known[path].predictor.batches) for path in paths]
    np.testing.assert_array_equal(frames[0], frames[1])
    assert len(frames[0]) == (LEVELS - len(DISTORTIONS) + 1) * len(GRAYS)

    lines = lines_of(tmp_path / "out")
    assert {line["run"] for line in lines} == set(factors)
    seeds = summary_of(tmp_path / "out")["seeds"]
    values = np.mean(GRAYS) / 255 * np.array(list(factors.values()))
    np.testing.assert_allclose(seeds["spread"]["dice"]["mean"], values.mean(), rtol=1e-4)
    np.testing.assert_allclose(seeds["spread"]["dice"]["sd"], values.std(ddof=1), rtol=1e-3)
    np.testing.assert_allclose(seeds["spread"]["dice"]["runs"]["seed1"], values[1], rtol=1e-4)
    ratings = 100 * np.outer(np.array(GRAYS) / 255, list(factors.values()))
    agreement = seeds["agreement"]["hc_mm"]
    np.testing.assert_allclose(agreement["seen_by_all"]["icc"], icc_2_1(ratings)["icc"], rtol=1e-4)
    assert (agreement["seen_by_all"]["n"], agreement["target"]) == (4, 0.9)
    assert "absent_as_zero" not in agreement  # a head that is not found has no circumference
    assert seeds["differing_sections"] == []
    printed = capsys.readouterr().out
    assert "sd over 3 runs" in printed
    icc = next(line for line in printed.splitlines() if line.startswith("ICC(2,1) of HC"))
    assert f"{agreement['seen_by_all']['icc']:.3f}" in icc
    reached = agreement["seen_by_all"]["ci95"][0] >= 0.9
    assert ("target 0.9: reached" in icc) == reached


def test_runs_that_differ_in_more_than_the_seed_are_named(runs, samples, tmp_path, capsys):
    paths = [runs("a", samples), runs("b", samples, seed=1, loss={"name": "bce_dice"})]
    assert main([*paths, "--out", str(tmp_path / "out")]) == 0
    assert "differ in more than their seed: loss" in capsys.readouterr().out


def other_split(target):
    target.splits.pop("000_HC")


def other_classes(target):
    target.experiment.task.classes = ("heart",)


def other_dataset(target):
    data = target.config.data.model_copy(update={"dataset": "planes"})
    target.experiment.config = target.config.model_copy(update={"data": data})


def test_two_runs_of_one_seed_prove_no_agreement_of_seeds(runs, samples, tmp_path, capsys):
    paths = [runs("a", samples, seed=4), runs("b", samples, seed=4)]
    assert main([*paths, "--out", str(tmp_path / "out")]) == 2
    assert "b: has the seed of a, 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_split, "splits.csv differs from that of a"),
        (other_classes, "classes ('heart',), but a has ('head',)"),
        (other_dataset, "dataset planes, but a has hc18"),
    ],
)
def test_runs_of_different_experiments_are_refused(runs, samples, tmp_path, capsys, change, said):
    paths = [runs("a", samples), runs("b", samples)]
    change(runs.known[paths[1]])
    assert main([*paths, "--out", str(tmp_path / "out")]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: b: ") and said in error
    assert not (tmp_path / "out").exists()


def test_the_same_run_twice_is_refused(runs, samples, capsys):
    path = runs("a", samples)
    assert main([path, path + "/"]) == 2
    assert "given twice" in capsys.readouterr().err


def test_a_limit_takes_images_from_all_over_the_split(runs, samples, tmp_path):
    path = runs("net", samples)
    assert main([path, "--limit", "2", "--split", "val", "--out", str(tmp_path / "out")]) == 0
    summary = summary_of(tmp_path / "out")
    assert summary["images"] == 2
    assert runs.known[path].asked["part"] == "val"
    undistorted = means(lines_of(tmp_path / "out"), "noise", "dice")[0.0]
    np.testing.assert_allclose(undistorted, (GRAYS[0] + GRAYS[-1]) / 2 / 255, rtol=1e-5)


@pytest.mark.parametrize("wrong", [["--limit", "1"], ["--limit", "x"], ["--split", "tset"]])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(SystemExit) as exit_:
        main(["runs/net", *wrong])
    assert exit_.value.code == 2


def test_nothing_but_broken_images_is_an_error_and_writes_nothing(runs, samples, tmp_path, capsys):
    for sample in samples:
        sample.image_path.write_bytes(b"no image")
    assert main([runs("net", samples), "--out", str(tmp_path / "out")]) == 2
    assert "not one of 4 images" in capsys.readouterr().err.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())


def test_no_image_is_an_error_and_writes_nothing(runs, samples, tmp_path, capsys):
    path = runs("net", samples)
    runs.known[path].samples = lambda *_: []
    assert main([path, "--out", str(tmp_path / "out")]) == 2
    assert "no annotated image" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_broken_image_is_counted_as_unmeasured(runs, samples, tmp_path):
    samples[0].image_path.write_bytes(b"no image")
    assert main([runs("net", samples), "--out", str(tmp_path / "out")]) == 0
    lines = lines_of(tmp_path / "out")
    assert set(means(lines, "noise", "unmeasured_share").values()) == {0.25}
    assert {line["n"] for line in lines if line["metric"] == "dice"} == {"3"}


def test_a_run_on_a_phantom_says_so(tmp_path, capsys):
    from fetal_tf.data.phantom.writing import write_phantom
    from fetal_tf.experiment import open_experiment
    from fetal_tf.runs.run import create_run
    from tests.evaluation.target_fakes import fake_config

    write_phantom("hc18", tmp_path / "phantom", 8, seed=1)
    config = fake_config("tiny", tmp_path / "phantom", split={"val": 0.2, "test": 0.4})
    experiment = open_experiment(config)
    run = tmp_path / "runs" / "tiny"
    create_run(run, config, experiment.data.split(experiment.data.read()), ["test"])
    experiment.build_model().save(run / "best.keras")

    assert main([str(run), "--limit", "2"]) == 0
    summary = summary_of(run / "robustness")
    assert summary["phantom"] is True and summary["images"] == 2
    assert "PHANTOM" in capsys.readouterr().out
    assert len(lines_of(run / "robustness")) == LEVELS * 4
