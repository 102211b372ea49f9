"""Keras model → ONNX, in float32 or quantized to 8 bit with QDQ nodes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from fetal_tf.edge.io.files import write_bytes_atomic


def write_onnx(static: keras.Model, path: Path) -> None:
    """Write a static-batch model as ONNX float32, input `image`, output `probabilities`."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "model.onnx"
        signature = keras.InputSpec(shape=static.input_shape, dtype="float32", name="image")
        static.export(str(raw), format="onnx", verbose=False, input_signature=[signature])
        model = onnx.load(raw)
    _rename_output(model, "probabilities")
    onnx.checker.check_model(model)
    write_bytes_atomic(path, model.SerializeToString())


def quantized_onnx(static: keras.Model, path: Path, frames: np.ndarray) -> None:
    """Write ONNX with 8-bit weights (signed, per channel) and activations (unsigned).

    Signed activations were slower than float in onnxruntime on x86; unsigned ones are faster.

    Args:
        static: the model, input (1, height, width, channels).
        path: the file to write.
        frames: uint8 [N, height, width, channels], which set the ranges of the activations.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Frames(CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds: Iterator[dict[str, np.ndarray]] = (
                {"image": frame[None].astype(np.float32)} for frame in frames
            )

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        plain, folded, quantized = (Path(folder) / f"{n}.onnx" for n in ("plain", "folded", "q"))
        write_onnx(static, plain)
        # Every shape is static, so the symbolic pass (and its sympy) has nothing to find.
        quant_pre_process(str(plain), str(folded), skip_symbolic_shape=True)
        quantize_static(
            str(folded),
            str(quantized),
            Frames(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        write_bytes_atomic(path, quantized.read_bytes())


def _rename_output(model: "onnx.ModelProto", name: str) -> None:  # type: ignore[name-defined] # noqa: F821
    """Give the graph's one output a name that says what it is; tf2onnx calls it Identity:0."""
    old = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = [name if o == old else o for o in node.output]
        node.input[:] = [name if i == old else i for i in node.input]
    model.graph.output[0].name = name
