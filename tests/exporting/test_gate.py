"""`python -m export RUN --gate BUNDLE`: the gate travels whole inside the bundle, or not at all."""

import json
import subprocess

import pytest

from fetal_tf.cli.export import main
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.errors import BundleError, ConfigError
from fetal_tf.edge.io.files import sha256_of
from fetal_tf.exporting.gate import embed, open_gate
from tests.edge.bundle.test_gate import write_gate
from tests.edge.bundle.tiny_bundle import seal
from tests.exporting.test_export_command import export_untimed, make_run


@pytest.fixture
def gate(tmp_path):
    return write_gate(tmp_path / "ae" / "bundle")


def test_an_exported_bundle_holds_its_gate(gate, tmp_path):
    run = make_run(tmp_path, formats=["float32"])
    assert export_untimed([str(run), "--gate", str(gate.parent)]) == 0
    folder = run / "bundle"
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["gate"] == {
        "name": "gatekeeper",
        "path": "gate",
        "classes": ["head"],
        "false_alarm_rate": 0.05,
        "n": 50,
        "seal_sha256": sha256_of(gate / "SHA256SUMS"),
    }
    inside = {p.name: p.read_bytes() for p in (folder / "gate").iterdir()}
    assert inside == {p.name: p.read_bytes() for p in gate.iterdir()}
    for sealed in (folder, folder / "gate"):
        assert (
            subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=sealed).returncode == 0
        )
    bundle = Bundle.open(folder)
    assert bundle.gate.name == "gatekeeper"

    # Exported again without it, the bundle is as it always was.
    assert export_untimed([str(run)]) == 0
    assert Bundle.open(folder).gate is None and not (folder / "gate").exists()
    assert "gate" not in json.loads((folder / "bundle.json").read_text(encoding="utf-8"))


def test_a_gate_that_is_none_is_told_before_any_work(gate, tmp_path, capfd):
    run = make_run(tmp_path, formats=["float32"])
    assert main([str(run), "--gate", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capfd.readouterr().err
    file = gate / "model_float32.tflite"
    file.write_bytes(file.read_bytes()[:-1])
    assert main([str(run), "--gate", str(gate)]) == 2
    assert "model_float32.tflite: altered" in capfd.readouterr().err
    assert not (run / "bundle").exists()


def test_a_bundle_that_measures_is_no_gate(tmp_path):
    other = write_gate(tmp_path / "other", measurement="head", measurement_settings={})
    with pytest.raises(BundleError, match="a gate is the bundle of an autoencoder"):
        open_gate(str(other), tmp_path / "bundle", "head")


def test_an_autoencoder_needs_no_gate(gate, tmp_path):
    with pytest.raises(ConfigError, match="--gate: this run judges planes itself"):
        open_gate(str(gate), tmp_path / "bundle", "plane")


def test_a_gate_inside_the_bundle_that_is_replaced(gate, tmp_path):
    with pytest.raises(BundleError, match="which is to be replaced"):
        open_gate(str(gate), gate.parent, "head")


def test_a_file_that_is_lost_on_the_way(gate, tmp_path):
    opened = Bundle.open(gate)
    (gate / "config.yaml").unlink()
    (tmp_path / "new").mkdir()
    with pytest.raises(BundleError, match=r"config\.yaml: part of the gate, but No such file"):
        embed(opened, tmp_path / "new")


def test_a_file_that_is_altered_on_the_way(gate, tmp_path):
    opened = Bundle.open(gate)
    (gate / "config.yaml").write_text("name: other\n")
    (tmp_path / "new").mkdir()
    with pytest.raises(BundleError, match=r"gate/config\.yaml: altered"):
        embed(opened, tmp_path / "new")


def test_a_gate_whose_default_format_failed_parity(tmp_path):
    folder = write_gate(tmp_path / "ae")
    file = folder / "bundle.json"
    manifest = json.loads(file.read_text())
    for state in ("passed", "failed"):
        manifest["files"]["float32"]["parity"] = state
        file.write_text(json.dumps(manifest))
        seal(folder)
        if state == "passed":
            assert open_gate(str(folder), tmp_path / "bundle", "head").name == "gatekeeper"
    with pytest.raises(BundleError, match=r"--gate: .*: float32 does not score as its float model"):
        open_gate(str(folder), tmp_path / "bundle", "head")
