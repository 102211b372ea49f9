"""A gate in a bundle flags frames of another plane first, and is whole or refused."""

import json
import shutil

import numpy as np
import pytest

from fetal_tf.edge.bundle import bundle as bundle_module
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.bundle.gate import GatedMeasurement, gate_name
from fetal_tf.edge.errors import BundleError
from fetal_tf.edge.geometry.letterbox import letterboxed
from fetal_tf.edge.inference.runtimes import LiteRTPredictor
from fetal_tf.edge.io.files import sha256_of
from fetal_tf.edge.io.images import write_png
from fetal_tf.edge.measure.plane import WithInput, measure_plane
from fetal_tf.edge.measure.plane_features import FEATURES
from fetal_tf.predict import main as predict
from tests.edge.bundle.tiny_bundle import (
    HEIGHT,
    WIDTH,
    bright_head,
    probabilities,
    seal,
    tflite_models,
    write_bundle,
)

OTHER = np.full((130, 200), 60, np.uint8)  # nothing in it


class Net:
    input_shape = (HEIGHT, WIDTH, 1)

    def predict(self, images):
        return probabilities(images)


def settings():
    """A reference around the bright head, far from an empty frame."""
    frame, letterbox = letterboxed(bright_head(), (HEIGHT, WIDTH, 1))
    output = WithInput(Net()).predict(frame[None])[0]
    own = measure_plane(output, "head", letterbox).features
    return {
        "median": own,
        "scale": dict.fromkeys(FEATURES, 0.2),
        "correlation": np.eye(4).tolist(),
        "threshold": 3.0,
        "false_alarm_rate": 0.05,
        "n": 50,
    }


PLANE = {"measurement": "plane", "classes": ["head"], "name": "gatekeeper"}


def write_gate(folder, **changes):
    models = {"float32": tflite_models()["float32"]}
    return write_bundle(folder, models, **{**PLANE, "measurement_settings": settings(), **changes})


def add_gate(folder, **changes):
    """Put a gate into a bundle, as export does; `changes` replace keys of the gate's manifest."""
    gate = write_gate(folder / "gate", **changes)
    file = folder / "bundle.json"
    manifest = json.loads(file.read_text())
    manifest["gate"] = {"name": "gatekeeper", "seal_sha256": sha256_of(gate / "SHA256SUMS")}
    file.write_text(json.dumps(manifest))
    reseal(folder)
    return gate


def reseal(folder):
    """Like `seal`, which knows no subfolders."""
    aside = folder.with_name(folder.name + "-gate")
    shutil.move(folder / "gate", aside)
    seal(folder)
    shutil.move(aside, folder / "gate")


@pytest.fixture
def gated(tmp_path):
    folder = write_bundle(tmp_path / "gated", {"float32": tflite_models()["float32"]})
    add_gate(folder)
    return folder


@pytest.fixture
def plain(tmp_path):
    return write_bundle(tmp_path / "plain", {"float32": tflite_models()["float32"]})


def test_the_measurement_is_that_of_the_bundle_without_a_gate(gated, plain):
    with_gate, without = Bundle.open(gated), Bundle.open(plain)
    found = with_gate.measure(with_gate.predictor(), bright_head(), 0.8)
    expected = without.measure(without.predictor(), bright_head(), 0.8)
    assert isinstance(found, GatedMeasurement)
    assert found.measurement == expected and found.headline() == expected.headline()
    assert found.flags == expected.flags and found.refused is None
    record = found.as_record()
    assert record == {**expected.as_record(), "plane_score": found.plane.plane_score}
    assert record["plane_score"] == pytest.approx(0, abs=1e-2)
    assert not isinstance(expected, GatedMeasurement) and without.gate is None


def test_another_plane_is_flagged_first(gated, plain):
    with_gate, without = Bundle.open(gated), Bundle.open(plain)
    found = with_gate.measure(with_gate.predictor(), OTHER)
    expected = without.measure(without.predictor(), OTHER)
    assert found.plane.plane_score > 1
    assert found.flags[0].startswith("not_head: ") and found.flags[1:] == expected.flags
    assert found.refused == expected.refused and found.refused is not None
    assert found.as_record()["flags"] == "; ".join(found.flags)


def test_the_picture_says_so(gated):
    bundle = Bundle.open(gated)
    own, other = (
        bundle.measure(bundle.predictor(), image, 0.8) for image in (bright_head(), OTHER)
    )
    drawn = bundle.measurer.draw(bright_head(), own)
    np.testing.assert_array_equal(drawn, bundle.measurer.draw(bright_head(), own.measurement))
    flagged = bundle.measurer.draw(OTHER, other)
    bare = bundle.measurer.draw(OTHER, other.measurement)
    np.testing.assert_array_equal(flagged[: len(bare)], bare)
    red = flagged[len(bare) :].astype(int)
    assert len(red) and (red[..., 0] - red[..., 2] > 100).any()


def test_the_gate_may_see_another_frame_size(tmp_path):
    from tests.edge.bundle.tiny_bundle import HAS_ONNX, onnx_model

    if not HAS_ONNX:
        pytest.skip("the [export] extra is not installed")
    folder = write_bundle(
        tmp_path / "gated",
        {"onnx": onnx_model((1, 32, 32, 1))},
        input={"height": 32, "width": 32, "channels": 1},
    )
    add_gate(folder)
    bundle = Bundle.open(folder)
    assert bundle.input_shape != bundle.gate.input_shape
    found = bundle.measure(bundle.predictor(), bright_head(), 0.8)
    assert found.plane.plane_score == pytest.approx(0, abs=1e-2)


def test_predict_shows_flag_and_score(gated, tmp_path, capsys):
    from PIL import Image

    Image.fromarray(OTHER).save(tmp_path / "other.png")
    Image.fromarray(bright_head()).save(tmp_path / "head.png")
    paths = [str(tmp_path / name) for name in ("head.png", "other.png")]
    out = tmp_path / "out"
    assert predict([str(gated), *paths, "--mm-per-pixel", "0.8", "--json", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("not_head: ") == 1
    own, other = json.loads((out / "measurements.json").read_text())["measurements"]
    assert other["flags"][0]["code"] == "not_head" and own["flags"] == []
    assert own["plane_score"] < 1 < other["plane_score"]
    assert "plane_score" in (out / "measurements.csv").read_text().splitlines()[0].split(",")


def test_a_missing_gate(gated):
    shutil.rmtree(gated / "gate")
    with pytest.raises(BundleError, match=r"gate/SHA256SUMS: part of the bundle, but No such file"):
        Bundle.open(gated)


@pytest.mark.parametrize("name", ["bundle.json", "config.yaml"])
def test_an_altered_gate(gated, name):
    file = gated / "gate" / name
    file.write_text(file.read_text() + " ")
    with pytest.raises(BundleError, match=f"gate/{name}: altered since"):
        Bundle.open(gated)


def test_another_gate_with_a_seal_of_its_own(gated):
    shutil.rmtree(gated / "gate")
    write_gate(gated / "gate", name="impostor")
    with pytest.raises(BundleError, match="gate/SHA256SUMS: altered since the bundle was made"):
        Bundle.open(gated)


def test_an_altered_model_of_the_gate_shows_before_the_first_image(gated):
    file = gated / "gate" / "model_float32.tflite"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    bundle = Bundle.open(gated)
    with pytest.raises(BundleError, match=r"gate/model_float32\.tflite: altered"):
        bundle.predictor()


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            {"measurement": "head", "measurement_settings": {}},
            "measures 'head'; a gate is the bundle of an autoencoder",
        ),
        ({"measurement_settings": {"n": 3}}, "has no threshold, so it would flag nothing"),
        ({"measurement_settings": {"threshold": 1}}, "measurement plane: median"),
    ],
)
def test_what_cannot_be_a_gate(tmp_path, changes, said):
    folder = write_bundle(tmp_path / "gated", {"float32": tflite_models()["float32"]})
    add_gate(folder, **changes)
    with pytest.raises(BundleError, match=said):
        Bundle.open(folder)


def test_a_gate_stands_alone(tmp_path):
    folder = write_bundle(tmp_path / "gated", {"float32": tflite_models()["float32"]})
    gate = add_gate(folder)
    add_gate(gate)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["gate"]["seal_sha256"] = sha256_of(gate / "SHA256SUMS")
    (folder / "bundle.json").write_text(json.dumps(manifest))
    reseal(folder)
    with pytest.raises(BundleError, match="has a gate of its own; a gate stands alone"):
        Bundle.open(folder)


@pytest.mark.parametrize("gate", [None, {}, [], "gate", {"seal_sha256": 5}, {"name": "x"}])
def test_a_manifest_that_says_no_clear_thing_of_its_gate(gated, gate):
    file = gated / "bundle.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "gate": gate}))
    reseal(gated)
    with pytest.raises(BundleError, match="gate"):
        Bundle.open(gated)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("gates", [False, True])
def test_a_gate_trained_on_a_phantom_is_told(tmp_path, own, gates, capsys):
    models = {"float32": tflite_models()["float32"]}
    folder = write_bundle(tmp_path / "gated", models, phantom=own)
    add_gate(folder, phantom=gates)
    assert Bundle.open(folder).phantom is (own or gates)
    write_png(tmp_path / "head.png", bright_head())
    out = tmp_path / "out"
    assert predict([str(folder), str(tmp_path / "head.png"), "--json", "--out", str(out)]) == 0
    said = capsys.readouterr().err
    assert said.count("PHANTOM") == (own or gates)
    assert ("this model was trained on generated images" in said) is own
    assert ("the gate was trained on generated images" in said) is (gates and not own)
    assert json.loads((out / "measurements.json").read_text())["phantom"] is (own or gates)


def test_a_gate_that_failed_parity_is_used_with_a_warning(gated, tmp_path, capsys):
    write_png(tmp_path / "head.png", bright_head())
    command = [str(gated), str(tmp_path / "head.png"), "--out", str(tmp_path / "out")]
    assert predict(command) == 0
    assert "warning" not in capsys.readouterr().err
    file = gated / "gate" / "bundle.json"
    manifest = json.loads(file.read_text())
    manifest["files"]["float32"]["parity"] = "failed"
    file.write_text(json.dumps(manifest))
    seal(gated / "gate")
    file = gated / "bundle.json"
    manifest = json.loads(file.read_text())
    manifest["gate"]["seal_sha256"] = sha256_of(gated / "gate" / "SHA256SUMS")
    file.write_text(json.dumps(manifest))
    reseal(gated)
    assert predict([*command, "--overwrite"]) == 0
    said = capsys.readouterr().err
    assert "warning: the gate's float32 does not score as its float model does (see " in said
    assert str(gated / "gate" / "parity.json") in said
    assert "does not measure as well" not in said


def test_flagged_ones_are_counted_among_the_measured(gated, tmp_path, capsys):
    """A frame that is both refused and flagged counts as refused, as in an evaluation."""
    write_png(tmp_path / "head.png", bright_head())
    write_png(tmp_path / "other.png", OTHER)
    paths = [str(tmp_path / name) for name in ("head.png", "other.png")]
    assert predict([str(gated), *paths, "--mm-per-pixel", "1", "--out", str(tmp_path / "o")]) == 0
    shown = capsys.readouterr().out
    assert "not_head: " in shown and "1 measured (0 flagged), 1 refused" in shown


def test_the_gate_takes_as_many_threads(gated, monkeypatch):
    loaded = []

    class Recording(LiteRTPredictor):
        def __init__(self, path, threads=1):
            loaded.append((path.parent.name, threads))
            super().__init__(path, threads)

    monkeypatch.setitem(bundle_module._RUNTIMES, "litert", Recording)
    bundle = Bundle.open(gated)
    predictor = bundle.predictor(threads=3)
    bundle.measure(predictor, bright_head())
    assert loaded == [("gated", 3), ("gate", 3)]
    bundle.predictor()
    assert loaded[2:] == [("gated", 1), ("gate", 1)]


def test_a_predictor_without_the_gate_is_not_measured_with(gated):
    with pytest.raises(ValueError, match="has a gate; take the predictor that the bundle gives"):
        Bundle.open(gated).measure(Net(), bright_head())


def test_the_net_behind_a_gate_gives_what_it_gives_alone(gated, plain):
    with_gate, without = Bundle.open(gated).predictor(), Bundle.open(plain).predictor()
    frames = np.arange(2 * HEIGHT * WIDTH).reshape(2, HEIGHT, WIDTH, 1).astype(np.uint8)
    assert with_gate.input_shape == without.input_shape
    np.testing.assert_array_equal(with_gate.predict(frames), without.predict(frames))
    assert (gate_name(with_gate), gate_name(without)) == ("gatekeeper", None)
