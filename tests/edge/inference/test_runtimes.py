"""Predictors against the arithmetic of the tiny net, written down in NumPy."""

import builtins
import warnings

import numpy as np
import pytest

from fetal_tf.edge.errors import BundleError, MissingExtraError
from fetal_tf.edge.inference import runtimes
from fetal_tf.edge.inference.runtimes import FlipAverage, LiteRTPredictor, OnnxPredictor
from tests.edge.bundle.tiny_bundle import (
    HAS_ONNX,
    HEIGHT,
    WIDTH,
    needs_onnx,
    onnx_model,
    probabilities,
    tflite_models,
)

FRAMES = np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH, 1)).astype(np.uint8)
KINDS = [LiteRTPredictor, pytest.param(OnnxPredictor, marks=needs_onnx)]


@pytest.fixture
def files(tmp_path):
    for form, content in tflite_models().items():
        (tmp_path / form).write_bytes(content)
    if HAS_ONNX:
        (tmp_path / "onnx").write_bytes(onnx_model())
    return tmp_path


@pytest.mark.parametrize(
    "form, tolerance",
    [("float32", 1e-5), pytest.param("onnx", 1e-5, marks=needs_onnx), ("int8", 0.02)],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_each_file_computes_the_net(files, form, tolerance, threads):
    kind = OnnxPredictor if form == "onnx" else LiteRTPredictor
    predictor = kind(files / form, threads=threads)
    assert predictor.input_shape == (HEIGHT, WIDTH, 1)
    found = predictor.predict(FRAMES)
    assert found.dtype == np.float32 and found.shape == FRAMES.shape
    np.testing.assert_allclose(found, probabilities(FRAMES), atol=tolerance)
    assert predictor.predict(FRAMES[:0]).shape == (0, HEIGHT, WIDTH, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [0, 65, 100_000])
def test_numbers_of_threads_that_would_crash(files, kind, threads):
    path = files / ("onnx" if kind is OnnxPredictor else "float32")
    with pytest.raises(ValueError, match=f"threads from 1 to 64 are expected, found {threads}"):
        kind(path, threads=threads)


def test_results_are_copies(files):
    predictor = LiteRTPredictor(files / "float32")
    first = predictor.predict(FRAMES[:1])
    kept = first.copy()
    predictor.predict(255 - FRAMES[:1])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_another_kind_are_refused(files, kind):
    predictor = kind(files / ("onnx" if kind is OnnxPredictor else "int8"))
    for frames in (FRAMES.astype(np.float32), FRAMES[:, 1:], FRAMES[0]):
        with pytest.raises(ValueError, match="uint8"):
            predictor.predict(frames)


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_no_model(tmp_path, kind):
    (tmp_path / "bad.bin").write_bytes(b"not a model")
    for name in ("bad.bin", "absent.bin"):
        with pytest.raises(BundleError, match=f"{name}: .*cannot load"):
            kind(tmp_path / name)


@needs_onnx
def test_a_dynamic_batch_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_bytes(onnx_model(("N", HEIGHT, WIDTH, 1)))
    with pytest.raises(BundleError, match=r"\(1, height, width, channels\)"):
        OnnxPredictor(tmp_path / "m.onnx")


def test_without_onnxruntime_the_message_holds_the_pip_line(tmp_path, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest, **more):
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r'pip install "fetal-tf\[export\]"'):
        OnnxPredictor(tmp_path / "m.onnx")


def test_quantization_of_the_input():
    gray = np.array([0, 1, 127, 255], np.uint8)

    def tensor(dtype, scale, zero_point):
        return {"dtype": dtype, "quantization": (scale, zero_point)}

    quantized = runtimes._quantized
    np.testing.assert_array_equal(quantized(gray, tensor(np.uint8, 1.0, 0)), gray)
    np.testing.assert_array_equal(
        quantized(gray, tensor(np.int8, 1.0, -128)), [-128, -127, -1, 127]
    )
    # Calibrated up to 204 only: brighter pixels saturate instead of wrapping round.
    np.testing.assert_array_equal(quantized(gray, tensor(np.uint8, 0.8, 0)), [0, 1, 159, 255])
    np.testing.assert_array_equal(quantized(gray, tensor(np.float32, 0.0, 0)), gray)


def test_flip_average_is_the_mean_over_both_directions():
    class Ramp:
        """Adds x / 100 to the frame: not symmetric, so a forgotten un-mirroring shows."""

        input_shape = (HEIGHT, WIDTH, 1)

        def predict(self, images):
            assert images.flags.c_contiguous
            return (images + np.arange(WIDTH)[None, None, :, None] / 100).astype(np.float32)

    average = FlipAverage(Ramp())
    assert average.input_shape == (HEIGHT, WIDTH, 1)
    expected = FRAMES + (WIDTH - 1) / 200
    np.testing.assert_allclose(average.predict(FRAMES), expected, atol=1e-4)


def test_flip_average_of_a_symmetric_net_changes_nothing(files):
    plain = LiteRTPredictor(files / "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both = FlipAverage(plain).predict(FRAMES)
    np.testing.assert_allclose(both, plain.predict(FRAMES), atol=1e-6)
