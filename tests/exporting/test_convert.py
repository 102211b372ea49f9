"""Every format on a small U-Net: what the file computes, accepts and weighs."""

import importlib.util

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from fetal_tf.exporting.convert import (
    ConversionError,
    _check_weights_are_inside,
    convert,
)
from fetal_tf.exporting.float_model import float32_model, static_batch_model
from fetal_tf.exporting.formats import FORMATS

L = keras.layers
HEIGHT, WIDTH = 16, 24
has_onnx = all(importlib.util.find_spec(m) for m in ("onnx", "tf2onnx", "onnxruntime"))
needs_onnx = pytest.mark.skipif(not has_onnx, reason="the [export] extra is not installed")


def conv(x, filters):
    x = L.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return L.ReLU(max_value=6)(L.BatchNormalization()(x))


def tiny_unet(precision="float32"):
    """Two levels, both kinds of up-sampling, a nested model; weights far from their defaults."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        keras.utils.set_random_seed(3)
        inner_in = keras.Input((HEIGHT, WIDTH, 8))
        inner = keras.Model(inner_in, conv(inner_in, 8), name="inner")
        image = keras.Input((HEIGHT, WIDTH, 1))
        skip = conv(L.Rescaling(1 / 255)(image), 8)
        x = conv(L.MaxPooling2D()(skip), 16)
        x = L.Conv2DTranspose(8, 2, strides=2, padding="same")(x)
        x = inner(L.Add()([x, skip]))
        x = conv(L.UpSampling2D(2, interpolation="bilinear")(L.MaxPooling2D()(x)), 8)
        head = L.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="probabilities")
        model = keras.Model(image, head(x), name="tiny")
    finally:
        keras.config.set_dtype_policy(before)
    rng = np.random.default_rng(0)
    for layer in model.get_layer("inner").layers + model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([w + rng.uniform(0, 0.5, w.shape) for w in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def model():
    return tiny_unet()


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(1).integers(5, 200, (6, HEIGHT, WIDTH, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def files(model, frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    names = [n for n, f in FORMATS.items() if has_onnx or f.runtime != "onnx"]
    return {name: convert(model, FORMATS[name], folder, frames) for name in names}


def run_tflite(path, frame):
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(source["index"], frame[None].astype(source["dtype"]))
    interpreter.invoke()
    result = interpreter.get_tensor(target["index"])[0]
    if target["dtype"] == np.float32:
        return result
    scale, zero = target["quantization"]
    return (result.astype(np.float32) - zero) * scale


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("float32", 1e-5), ("float16", 5e-3), ("dynamic", 0.03), ("int8", 0.03), ("int16x8", 0.01)],
)
def test_tflite_computes_what_keras_computes(files, model, frames, name, tolerance):
    expected = model.predict(frames[:1], verbose=0)[0]
    assert np.ptp(expected) > 0.1  # a constant would match a file without weights
    assert np.abs(run_tflite(files[name], frames[0]) - expected).max() < tolerance


@needs_onnx
@pytest.mark.parametrize(("name", "tolerance"), [("onnx", 1e-5), ("onnx-int8", 0.03)])
def test_onnx_computes_what_keras_computes(files, model, frames, name, tolerance):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(files[name]))
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    assert (source.name, source.shape) == ("image", [1, HEIGHT, WIDTH, 1])
    assert (target.name, target.shape) == ("probabilities", [1, HEIGHT, WIDTH, 1])
    result = session.run(None, {"image": frames[:1].astype(np.float32)})[0]
    assert np.abs(result - model.predict(frames[:1], verbose=0)).max() < tolerance


@needs_onnx
def test_onnx_int8_is_quantized_per_channel(files):
    import onnx

    graph = onnx.load(files["onnx-int8"]).graph
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    kernels = [a for a in constants.values() if a.dtype == np.int8 and a.ndim == 4]
    scales = [constants[n.input[1]] for n in graph.node if n.op_type == "DequantizeLinear"]
    assert len(kernels) >= 5
    assert max(s.size for s in scales) > 1
    activations = [n for n in graph.node if n.op_type == "QuantizeLinear"]
    assert {constants[n.input[2]].dtype for n in activations} == {np.dtype(np.uint8)}


def test_int8_takes_and_returns_raw_bytes(files):
    interpreter = Interpreter(model_path=str(files["int8"]))
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (source["dtype"], source["quantization"]) == (np.uint8, (1.0, 0))
    assert (target["dtype"], target["quantization"]) == (np.uint8, (1 / 256, 0))


def test_every_tflite_file_has_a_static_batch_of_one(files):
    for name, path in files.items():
        if FORMATS[name].runtime == "litert":
            (source,) = Interpreter(model_path=str(path)).get_input_details()
            assert list(source["shape_signature"]) == [1, HEIGHT, WIDTH, 1], name


def test_quantized_files_are_smaller(files):
    sizes = {name: path.stat().st_size for name, path in files.items()}
    assert sizes["int8"] < sizes["float16"] < sizes["float32"]


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_model_becomes_the_same_float32_function(precision, frames):
    mixed = tiny_unet(precision)
    twin = float32_model(mixed)
    layers = twin.layers + twin.get_layer("inner").layers
    assert {layer.compute_dtype for layer in layers} == {"float32"}
    # The oracle: the same architecture built in float32 with the same weights.
    plain = tiny_unet("float32")
    plain.set_weights(mixed.get_weights())
    np.testing.assert_allclose(
        twin.predict(frames, verbose=0), plain.predict(frames, verbose=0), atol=1e-6
    )


def test_float32_model_is_not_copied(model):
    assert float32_model(model) is model


def test_mixed_precision_model_exports(tmp_path, frames):
    mixed = tiny_unet("mixed_float16")
    path = convert(mixed, FORMATS["float32"], tmp_path, frames)
    expected = float32_model(mixed).predict(frames[:1], verbose=0)[0]
    assert np.abs(run_tflite(path, frames[0]) - expected).max() < 1e-5


@keras.saving.register_keras_serializable("test_convert")
class Erf(L.Layer):
    def call(self, x):
        return keras.ops.erf(x)


@pytest.mark.parametrize("name", ["float32", "int8", "int16x8"])
def test_operation_without_tablet_kernel_is_named(tmp_path, frames, name, capfd):
    image = keras.Input((HEIGHT, WIDTH, 1))
    bad = keras.Model(image, Erf()(L.Conv2D(1, 3)(image)))
    with pytest.raises(ConversionError, match=rf"{name}: .*no built-in kernel for Erf"):
        convert(bad, FORMATS[name], tmp_path, frames)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_conversion_prints_nothing(tmp_path, model, frames, capfd):
    convert(model, FORMATS["int8"], tmp_path, frames)
    assert capfd.readouterr() == ("", "")


def test_file_without_its_weights_is_refused(tmp_path, model):
    path = tmp_path / "model_float32.tflite"
    path.write_bytes(bytes(3000))
    with pytest.raises(ConversionError, match="dropped weights"):
        _check_weights_are_inside(path, static_batch_model(model), FORMATS["float32"])
