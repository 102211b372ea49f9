"""The Pareto front, and `python -m tools.pareto` on two bundles of one net."""

import csv
import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fetal_tf.cli.pareto
from fetal_tf.analysis.pareto import Contender, undominated
from fetal_tf.exporting.bundle_folder import write_checksums, write_json
from fetal_tf.reporting.plots.pareto import pareto_plot
from tests.exporting.test_export_command import export_untimed, make_run

METRIC = "hc_abs_error_mm"


def net(name, latency_ms, error):
    return Contender(name, latency_ms, error, (error - 0.1, error + 0.1), 20, 100.0, 0.1)


def test_a_net_that_another_beats_in_both_is_not_worth_its_time():
    nets = [net("slow", 9, 1), net("lazy", 9, 2), net("fast", 3, 3), net("worst", 10, 3)]
    assert [c.name for c in undominated(nets)] == ["fast", "slow"]
    assert len(undominated([net("a", 1, 1), net("b", 1, 1)])) == 2  # neither beats the other


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=12))
def test_every_net_is_on_the_front_or_beaten_by_one_that_is(pairs):
    nets = [net(str(i), *pair) for i, pair in enumerate(pairs)]
    front = undominated(nets)
    assert front
    times, errors = zip(*((c.latency_ms, c.error) for c in front), strict=True)
    assert list(times) == sorted(times) and list(errors) == sorted(errors, reverse=True)
    for c in nets:
        beaten = any(f.latency_ms <= c.latency_ms and f.error <= c.error for f in front)
        assert beaten and ((c in front) or any(f.error <= c.error for f in front if f is not c))


def test_the_plot_names_every_net():
    figure = pareto_plot([net("one", 3, 1), net("two", 4, 2)], "error", "ms")
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert texts == {"one", "two"}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A bundle, and its copy with twice the error as a refit that states another's figures."""
    folder = tmp_path_factory.mktemp("pareto")
    run = make_run(folder, formats=["int8"])
    assert export_untimed([str(run)]) == 0
    first, second = run / "bundle", folder / "second"
    shutil.copytree(first, second)
    manifest = json.loads((second / "bundle.json").read_text())
    parity = manifest["parity"] | {"measured_by": "other"}
    write_json(second / "bundle.json", manifest | {"name": "worse", "parity": parity})
    parity = json.loads((second / "parity.json").read_text())
    found = parity["formats"]["int8"]["measured"]["metrics"][METRIC]
    found["mean"] *= 2
    write_json(second / "parity.json", parity)
    write_checksums(second)
    return first, second


def test_the_command_times_all_and_writes_a_table_and_a_plot(bundles, tmp_path, capsys):
    out = tmp_path / "out"
    assert fetal_tf.cli.pareto.main([*map(str, bundles), "--out", str(out)]) == 0
    with (out / "pareto.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    refit = "worse (figures of other)"  # never shown as measured itself
    assert set(rows) == {"bright", refit}
    ratio = float(rows[refit][METRIC]) / float(rows["bright"][METRIC])
    np.testing.assert_allclose(ratio, 2, rtol=1e-4)
    assert all(float(row["latency_ms"]) > 0 for row in rows.values())
    assert min(float(row["latency_over_fastest"]) for row in rows.values()) == 1
    assert (out / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert "worth its time" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "onnx"], "no onnx in it"),
        (["--metric", "nonsense"], "nonsense was not measured"),
    ],
)
def test_what_was_not_measured_is_named(bundles, tmp_path, capsys, options, message):
    arguments = [*map(str, bundles), "--out", str(tmp_path / "out"), *options]
    assert fetal_tf.cli.pareto.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_bundle_twice_is_refused(bundles, tmp_path, capsys):
    assert fetal_tf.cli.pareto.main([str(bundles[0])] * 2 + ["--out", str(tmp_path / "out")]) == 2
    assert "one name" in capsys.readouterr().err
