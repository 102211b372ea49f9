"""A bundle is whole, unaltered and understood, or it is not used."""

import itertools
import json

import numpy as np
import pytest

from fetal_tf.edge.bundle import bundle as bundle_module
from fetal_tf.edge.bundle.bundle import Bundle, resolve_bundle
from fetal_tf.edge.bundle.seal import MANIFEST
from fetal_tf.edge.errors import BundleError
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from tests.edge.bundle.tiny_bundle import (
    HAS_ONNX,
    HEIGHT,
    WIDTH,
    bright_head,
    probabilities,
    seal,
    tflite_models,
    write_bundle,
)


def change(folder, **changes):
    """Rewrite bundle.json and seal it again, as a careful maker of a wrong bundle would."""
    file = folder / "bundle.json"
    manifest = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in manifest.items() if v is not None}))
    seal(folder)


BRAIN = {"measurement": "brain", "classes": ["background", "brain", "csp"]}


def test_what_it_says_about_itself(bundle_path):
    bundle = Bundle.open(bundle_path)
    assert bundle.name == "tiny"
    assert bundle.classes == ("head",)
    assert bundle.formats == ("float32", "int8", *["onnx"] * HAS_ONNX)
    assert bundle.default_format == "float32"
    assert bundle.input_shape == (HEIGHT, WIDTH, 1)


def test_every_format_measures_the_same_head(bundle_path):
    bundle = Bundle.open(bundle_path)
    image = bright_head()
    for form in bundle.formats:
        head = bundle.measure(bundle.predictor(form), image, mm_per_pixel=0.8, ga_weeks=30)
        expected = np.pi * (60 + 46) * 0.8  # within half a per cent of the ellipse's perimeter
        assert head.hc_mm == pytest.approx(expected, rel=0.01)
        assert head.refused is None and head.as_record()["hc_z"] is not None


CONFIDENCE = {
    "weights": {"intercept": 0.2, "misfit": 0.3, "border_softness_px": 0.5},
    "limit_percent": 0.01,
    "n": 40,
}


def test_a_head_bundle_says_what_error_to_expect_where_one_was_fitted(bundle_path):
    without = Bundle.open(bundle_path)
    plain = without.measure(without.predictor(), bright_head(), 0.8)
    assert plain.expected_error_percent is None and plain.flags == ()
    change(bundle_path, measurement_settings=CONFIDENCE)
    bundle = Bundle.open(bundle_path)
    for form in bundle.formats:
        head = bundle.measure(bundle.predictor(form), bright_head(), 0.8)
        features = head.error_features
        expected = np.exp(0.2) * (features["misfit"] + 0.001) ** 0.3
        expected *= (features["border_softness_px"] + 0.1) ** 0.5
        assert head.expected_error_percent == pytest.approx(expected)
        assert [flag.split(":")[0] for flag in head.flags] == ["uncertain"]
        assert head.hc_mm == pytest.approx(plain.hc_mm, rel=0.01)


def test_a_head_bundle_whose_settings_are_broken_is_not_opened(bundle_path):
    weights = CONFIDENCE["weights"] | {"misfit": None}
    change(bundle_path, measurement_settings=CONFIDENCE | {"weights": weights})
    with pytest.raises(BundleError, match=r"measurement head: weights\.misfit: "):
        Bundle.open(bundle_path)


def test_the_net_sees_the_letterboxed_frame(bundle_path):
    """Twice as high as the net wants: the bars left and right stay dark."""
    bundle = Bundle.open(bundle_path)
    seen = []

    class Spy:
        input_shape = bundle.input_shape

        def predict(self, images):
            seen.append(images)
            return probabilities(images)

    bundle.measure(Spy(), np.full((2 * HEIGHT, WIDTH), 200, np.uint8))
    (frame,) = seen
    assert frame.shape == (1, HEIGHT, WIDTH, 1) and frame.dtype == np.uint8
    bar = WIDTH // 4
    assert frame[:, :, :bar].max() == 0 and frame[:, :, bar:-bar].min() == 200


@pytest.mark.parametrize("form", ["float32", "int8"])
def test_one_flipped_bit_in_a_model(bundle_path, form):
    bundle = Bundle.open(bundle_path)
    file = bundle_path / bundle.manifest["files"][form]["path"]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    for other in set(bundle.formats) - {form}:
        bundle.predictor(other)
    with pytest.raises(BundleError, match=rf"{file.name}: altered.*expected [0-9a-f]{{64}}, found"):
        Bundle.open(bundle_path).predictor(form)


@pytest.mark.parametrize("name", ["bundle.json", "config.yaml"])
def test_one_changed_byte_elsewhere(bundle_path, name):
    file = bundle_path / name
    file.write_text(file.read_text().replace("tiny", "tinY"))
    with pytest.raises(BundleError, match=f"{name}: altered"):
        Bundle.open(bundle_path)


def test_missing_files(bundle_path):
    (bundle_path / "model_int8.tflite").unlink()
    with pytest.raises(BundleError, match=r"model_int8\.tflite: part of the bundle"):
        Bundle.open(bundle_path).predictor("int8")
    (bundle_path / "config.yaml").unlink()
    with pytest.raises(BundleError, match=r"config\.yaml: part of the bundle"):
        Bundle.open(bundle_path)


def test_a_newer_schema_asks_for_an_upgrade(bundle_path):
    change(bundle_path, schema=2, fetal_tf_version="9.1")
    with pytest.raises(BundleError, match=r"schema 2 was written by fetal_tf 9\.1.*upgrade"):
        Bundle.open(bundle_path)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"schema": None}, "found None"),
        ({"schema": "1"}, "found '1'"),
        ({"classes": None, "input": None}, "classes, input missing"),
        ({"schema": True}, "found True"),
        ({"schema": {}}, "found {}"),
        ({"name": 5}, "name: a text is expected, found 5"),
        ({"input": {}}, "input: an object with keys is expected, found {}"),
        ({"input": 5}, "input: an object with keys is expected, found 5"),
        ({"input": {"height": 64, "width": 0, "channels": 1}}, "input.width: a whole number"),
        ({"input": {"height": 64, "width": "96", "channels": 1}}, "input.width: .* found '96'"),
        ({"input": {"height": 64, "width": 96}}, "input.channels: .* found None"),
        ({"measurement": ["head"]}, r"measurement: a text is expected, found \['head'\]"),
        ({"default_format": ["a"]}, r"default_format: a text is expected, found \['a'\]"),
        ({"classes": "head"}, "classes: a list with entries is expected, found 'head'"),
        ({"classes": [{}]}, "classes: a text is expected, found {}"),
        ({"files": []}, r"files: an object with keys is expected, found \[\]"),
        ({"files": {}}, "files: an object with keys is expected, found {}"),
        ({"files": {"a": "model.tflite"}, "default_format": "a"}, "files.a: an object"),
        (
            {
                "files": {"a": {"path": ["a"], "sha256": "0", "runtime": "litert"}},
                "default_format": "a",
            },
            r"files.a.path: a text is expected, found \['a'\]",
        ),
        (
            {
                "files": {"a": {"path": "a", "sha256": "0", "runtime": ["litert"]}},
                "default_format": "a",
            },
            "files.a.runtime: a text is expected",
        ),
        ({"measurement": "femur"}, "'femur' is unknown here; known: head"),
        ({"measurement_settings": []}, "measurement_settings: an object with keys is expected"),
        ({"measurement_settings": "none"}, "measurement_settings: an object with keys"),
        (
            BRAIN | {"measurement_settings": {"cleaning": {"min_aera": 1}}},
            "brain: .*min_aera",
        ),
        (
            BRAIN | {"measurement_settings": {"thresholds": {"shape_score": "2"}}},
            "measurement brain: thresholds.shape_score",
        ),
        (
            {"measurement_settings": {"scale": 1.1}},
            "settings scale: unknown here; known: weig",
        ),
        (
            BRAIN | {"measurement_settings": {"n": 3}},
            "settings n: unknown here; known: clean",
        ),
        ({"classes": ["brain"]}, "classes brain: a head is measured in the map head"),
        ({"classes": ["head", "head"]}, "classes head, head: a head is measured"),
        ({"default_format": "int4"}, "'int4' is not among the files float32, int8"),
        ({"files": {"a": {"path": "a"}}, "default_format": "a"}, "files.a: sha256, runtime"),
        (
            {
                "files": {"a": {"path": "../a", "sha256": "0", "runtime": "litert"}},
                "default_format": "a",
            },
            "leaves the bundle",
        ),
        (
            {
                "files": {"a": {"path": "a", "sha256": "0", "runtime": "coreml"}},
                "default_format": "a",
            },
            "'coreml' is unknown; known: litert, onnx",
        ),
    ],
)
def test_manifests_that_make_no_sense(bundle_path, changes, said):
    change(bundle_path, **changes)
    with pytest.raises(BundleError, match=rf"bundle\.json: .*{said}") as error:
        Bundle.open(bundle_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ["head", "axis_cos", "axis_sin"]},
        {"measurement": "four_chamber", "classes": ["thorax", "heart"]},
        {"measurement": "landmarks", "classes": ["ofd_1", "ofd_2", "bpd_1", "bpd_2"]},
        BRAIN,
    ],
)
def test_classes_that_the_model_does_not_give(bundle_path, changes):
    change(bundle_path, **changes)
    bundle = Bundle.open(bundle_path)
    for form in bundle.formats:
        with pytest.raises(BundleError, match=rf"gives \({HEIGHT}, {WIDTH}, 1\); the classes .*"):
            bundle.predictor(form)


def test_a_folder_gate_that_the_manifest_does_not_name(bundle_path):
    (bundle_path / "gate").mkdir()
    with pytest.raises(BundleError, match="gate: SHA256SUMS does not name it"):
        Bundle.open(bundle_path)


def test_a_bundle_without_measurement_settings_has_none(bundle_path):
    bundle = Bundle.open(bundle_path)
    assert "measurement_settings" not in bundle.manifest, "as bundles were written before"
    assert bundle.measurement_settings == {}


def test_measurement_settings_are_what_the_measurer_uses(bundle_path):
    """A reference of 20 mild shapes: the score of a bundle with it is the z-score by hand."""
    reference = {"brain_axis_ratio": {"median": -0.5, "scale": 0.05, "n": 20}}
    settings = {"cleaning": None, "reference": reference, "thresholds": {"shape_score": 4.0}}
    change(bundle_path, **BRAIN, measurement_settings=settings)
    bundle = Bundle.open(bundle_path)
    assert bundle.measurement_settings == settings
    assert bundle.measurer is bundle.measurer, "made once, not for every frame"
    ellipse = rasterise(Ellipse(48.0, 32.0, 36.0, 24.0, 0.0), (HEIGHT, WIDTH))

    class Net:
        input_shape = bundle.input_shape

        def predict(self, images):
            labels = np.where(ellipse, 1, 0)
            labels[30:35, 20:25] = labels[5:6, 40:41] = 2  # and a speck outside of the brain
            return np.repeat(np.eye(3, dtype=np.float32)[labels][None], len(images), axis=0)

    found = bundle.measure(Net(), np.full((HEIGHT, WIDTH), 90, np.uint8))
    assert found.shape_score == pytest.approx(abs(np.log(24 / 36) + 0.5) / 0.05, rel=0.25)
    assert found.anomaly_score == pytest.approx(found.shape_score / 4)
    assert found.structures["csp"].fragments == 2, "uncleaned"
    change(bundle_path, measurement_settings={})
    plain = Bundle.open(bundle_path).measure(Net(), np.full((HEIGHT, WIDTH), 90, np.uint8))
    assert plain.shape_score is None and plain.structures["csp"].fragments == 1


@pytest.mark.parametrize("opening", ["[", '{"schema": '])
def test_deeply_nested_json(bundle_path, opening):
    (bundle_path / "bundle.json").write_text(opening * 100_000)
    with pytest.raises(BundleError, match=r"bundle\.json: nested too deeply"):
        Bundle.open(bundle_path)


def test_without_its_seal_a_bundle_is_refused(bundle_path):
    (bundle_path / "SHA256SUMS").unlink()
    with pytest.raises(BundleError, match=r"SHA256SUMS: missing.*export it again"):
        Bundle.open(bundle_path)


def test_any_flipped_byte_of_the_seal_is_refused(bundle_path):
    file = bundle_path / "SHA256SUMS"
    whole = file.read_bytes()
    # One bit; the case of a letter; line feed to carriage return, to NUL and to beyond ASCII.
    for at, mask in itertools.product(range(len(whole)), (0x01, 0x20, 0x07, 0x0A, 0x80)):
        flipped = bytearray(whole)
        flipped[at] ^= mask
        file.write_bytes(flipped)
        with pytest.raises(BundleError):
            Bundle.open(bundle_path)
            pytest.fail(f"byte {at} xor {mask:#x} passed: {bytes(flipped)!r}")
    file.write_bytes(whole)
    Bundle.open(bundle_path)


@pytest.mark.parametrize("name", ["bundle.json", "model_int8.tflite"])
def test_the_seal_names_the_manifest_and_every_model(bundle_path, name):
    file = bundle_path / "SHA256SUMS"
    kept = [line for line in file.read_text().splitlines() if not line.endswith(name)]
    file.write_text("".join(f"{line}\n" for line in kept))
    with pytest.raises(BundleError, match=f"SHA256SUMS: no line for {name}"):
        Bundle.open(bundle_path)


def test_seal_and_manifest_must_agree_about_a_model(bundle_path):
    """A model exchanged with its line of the seal, but not in the manifest: seen on opening."""
    (bundle_path / "model_int8.tflite").write_bytes(b"another")
    seal(bundle_path)
    with pytest.raises(BundleError, match=r"SHA256SUMS: model_int8\.tflite: SHA-256 expected"):
        Bundle.open(bundle_path)


def test_broken_json_and_a_broken_seal(bundle_path):
    (bundle_path / "SHA256SUMS").write_text("nonsense\n")
    with pytest.raises(BundleError, match="SHA256SUMS: not a line"):
        Bundle.open(bundle_path)
    seal(bundle_path)
    whole = (bundle_path / "SHA256SUMS").read_text()
    for spoilt, said in ((whole + whole, "not a line"), (whole[:-1], "ends within a line")):
        (bundle_path / "SHA256SUMS").write_text(spoilt)
        with pytest.raises(BundleError, match=f"SHA256SUMS: {said}"):
            Bundle.open(bundle_path)
    (bundle_path / "bundle.json").write_text('{"schema": 1,')
    with pytest.raises(BundleError, match="not valid JSON"):
        Bundle.open(bundle_path)


def test_unknown_format_lists_the_known(bundle_path):
    with pytest.raises(BundleError, match="no format 'int4'; the bundle holds float32, int8"):
        Bundle.open(bundle_path).predictor("int4")


def test_a_model_of_another_size_than_the_manifest_says(tmp_path):
    folder = write_bundle(
        tmp_path / "b",
        tflite_models(),
        input={"height": HEIGHT, "width": HEIGHT, "channels": 1},
    )
    with pytest.raises(BundleError, match=r"takes \(64, 96, 1\), bundle.json says \(64, 64, 1\)"):
        Bundle.open(folder).predictor()


def test_references(tmp_path, bundle_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(BundleError, match="python -m export RUN"):
        resolve_bundle(str(run))
    bundle_path.rename(run / "bundle")
    assert resolve_bundle(str(run)) == run / "bundle"
    assert resolve_bundle(str(run / "bundle")) == run / "bundle"
    for name in ("absent", "n" * 300):
        with pytest.raises(BundleError, match="no such folder"):
            resolve_bundle(str(tmp_path / name))

    monkeypatch.setattr(bundle_module, "ZOO", run.parent)
    (tmp_path / "zoo-entry").mkdir()
    (run / "bundle").rename(tmp_path / "hc18")
    assert resolve_bundle("zoo:hc18") == tmp_path / "hc18"
    for name in ("nope", "", "../hc18", "zoo-entry"):
        with pytest.raises(BundleError, match="there is hc18"):
            resolve_bundle(f"zoo:{name}")


@pytest.mark.parametrize("kind", ["file", "folder", "hidden", "link", "linked model"])
def test_what_the_seal_does_not_name_is_refused(bundle_path, tmp_path, kind):
    stray = bundle_path / (".hidden" if kind == "hidden" else "stray")
    if kind == "folder":
        stray.mkdir()
    elif kind == "link":
        stray.symlink_to(bundle_path / MANIFEST)
    elif kind == "linked model":
        stray = bundle_path / "model_int8.tflite"
        stray.rename(tmp_path / "elsewhere.tflite")
        stray.symlink_to(tmp_path / "elsewhere.tflite")
    else:
        stray.write_text("more")
    with pytest.raises(BundleError, match=stray.name):
        Bundle.open(bundle_path)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e400", "-1e400", "NaN", "Infinity", "1e16"])
@pytest.mark.parametrize("key", ["schema", "input", "measurement_settings"])
def test_numbers_that_nothing_has_are_refused_at_once(bundle_path, number, key):
    manifest = bundle_path / MANIFEST
    text = json.dumps({**json.loads(manifest.read_text()), "MARK": 0})
    value = {"schema": "N", "input": '{"height": N, "width": 9, "channels": 1}',
             "measurement_settings": '{"limit_percent": N}'}[key]  # fmt: skip
    text = text.replace('"MARK": 0', f'"{key}": {value.replace("N", number)}')
    manifest.write_text(text)
    with pytest.raises(BundleError, match=r"bundle\.json: not valid JSON: a number"):
        Bundle.open(bundle_path)
