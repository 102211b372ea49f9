"""A bundle whose net says "head" where the image is bright: enough for every path but learning."""

import importlib.util
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.io.files import sha256_of

HEIGHT, WIDTH = 64, 96
SLOPE = 0.1  # per gray value, about mid-gray
HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="the [export] extra is not installed")


def probabilities(frames: np.ndarray) -> np.ndarray:
    """What the net computes, written down once more: uint8 (N, H, W, 1) to float32."""
    return (1 / (1 + np.exp(-SLOPE * (frames.astype(np.float64) - 127.5)))).astype(np.float32)


def bright_head() -> np.ndarray:
    """A gray image 130 by 200 with a bright ellipse of semi-axes 60 and 46 on dark, uint8."""
    ellipse = Ellipse(101.0, 63.0, 60.0, 46.0, 20.0)
    dark = np.where(np.arange(200) // 8 % 2, 30, 10)  # a flat one would be taken for a screen
    return np.where(rasterise(ellipse, (130, 200)), 230, dark).astype(np.uint8)


@lru_cache
def tflite_models() -> dict[str, bytes]:
    """float32 and full int8 (uint8 in and out), converted from one Keras model."""
    import keras
    import tensorflow as tf

    frame = keras.Input(batch_shape=(1, HEIGHT, WIDTH, 1))
    conv = keras.layers.Conv2D(1, 1, activation="sigmoid")
    model = keras.Model(frame, conv(frame))
    conv.set_weights([np.full((1, 1, 1, 1), SLOPE), np.array([-127.5 * SLOPE])])
    plain = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    ramp = np.resize(np.arange(256, dtype=np.float32), (1, HEIGHT, WIDTH, 1))
    converter.representative_dataset = lambda: iter([[ramp]])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return {"float32": plain, "int8": converter.convert()}


def onnx_model(shape=(1, HEIGHT, WIDTH, 1)) -> bytes:
    """The same net as ONNX, float32."""
    from onnx import TensorProto, helper

    def scalar(name, value):
        return helper.make_tensor(name, TensorProto.FLOAT, [1], [value])

    graph = helper.make_graph(
        [
            helper.make_node("Sub", ["frame", "middle"], ["centred"]),
            helper.make_node("Mul", ["centred", "slope"], ["scaled"]),
            helper.make_node("Sigmoid", ["scaled"], ["probabilities"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("frame", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape)],
        [scalar("middle", 127.5), scalar("slope", SLOPE)],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


def write_bundle(folder: Path, models: dict[str, bytes], **changes) -> Path:
    """A bundle with these models by format; `changes` replace keys of bundle.json."""
    folder.mkdir(parents=True)
    files = {}
    for form, content in models.items():
        runtime = "onnx" if form.startswith("onnx") else "litert"
        path = folder / f"model_{form}.{'onnx' if runtime == 'onnx' else 'tflite'}"
        path.write_bytes(content)
        files[form] = {
            "path": path.name,
            "sha256": sha256_of(path),
            "bytes": len(content),
            "runtime": runtime,
        }
    manifest = {
        "schema": 1,
        "name": "tiny",
        "fetal_tf_version": "0.1.0",
        "task": "segmentation",
        "measurement": "head",
        "classes": ["head"],
        "input": {"height": HEIGHT, "width": WIDTH, "channels": 1},
        "output": "probabilities [h,w,classes]",
        "units": {"hc_mm": "mm"},
        "files": files,
        "default_format": next(iter(models)),
    } | changes
    (folder / "config.yaml").write_text("name: tiny\n")
    (folder / "bundle.json").write_text(json.dumps(manifest))
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    """Write SHA256SUMS over what is there now."""
    paths = sorted(p for p in folder.iterdir() if p.name != "SHA256SUMS")
    lines = [f"{sha256_of(path)}  {path.name}\n" for path in paths]
    (folder / "SHA256SUMS").write_text("".join(lines))
