"""Keras model → the file of one format."""

import re
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.captured_output import captured_noise
from fetal_tf.edge.io.files import write_bytes_atomic
from fetal_tf.exporting.convert_onnx import quantized_onnx, write_onnx
from fetal_tf.exporting.float_model import float32_model, static_batch_model
from fetal_tf.exporting.formats import Format
from fetal_tf.exporting.int8_ranges import full_range


class ConversionError(FetalTFError):
    """A format cannot hold the model, or the converter dropped weights."""


def convert(model: keras.Model, form: Format, folder: Path, range_frames: np.ndarray) -> Path:
    """Write `model` in one format with a static batch of 1 and return the file's path.

    Args:
        model: input (N, height, width, channels) of 0..255, output probabilities; any precision.
        form: what to write.
        folder: where `form.file_name` is put.
        range_frames: uint8 [N, height, width, channels], N ≥ 1, letterboxed training images; only
            formats of fixed ranges need them.

    Raises:
        ConversionError: an operation the format has no kernel for, or a file without its weights.
    """
    path = folder / form.file_name
    static = static_batch_model(float32_model(model))
    frames = full_range(range_frames) if form.fixed_ranges else range_frames
    with captured_noise() as noise:
        try:
            if form.runtime == "litert":
                write_bytes_atomic(path, _tflite(static, form, frames))
            elif form.fixed_ranges:
                quantized_onnx(static, path, frames)
            else:
                write_onnx(static, path)
        except FetalTFError:
            raise
        except Exception as error:
            raise ConversionError(_explain(form, error, noise())) from error
    _check_weights_are_inside(path, static, form)
    return path


def _tflite(static: keras.Model, form: Format, frames: np.ndarray) -> bytes:
    import tensorflow as tf

    def representative() -> Iterator[list[np.ndarray]]:
        for frame in frames:
            yield [frame[None].astype(np.float32)]

    # Not from_concrete_functions: with a Keras 3 model it drops the weights without a word.
    converter = tf.lite.TFLiteConverter.from_keras_model(static)
    # One set of kernels and no Flex: what a tablet cannot run must fail here.
    ops = tf.lite.OpsSet
    converter.target_spec.supported_ops = [ops.TFLITE_BUILTINS]
    if form.name != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form.name == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if form.fixed_ranges:
        converter.representative_dataset = representative
    if form.name == "int8":
        converter.target_spec.supported_ops = [ops.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    if form.name == "int16x8":
        converter.target_spec.supported_ops = [
            ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    return converter.convert()


def _explain(form: Format, error: Exception, noise: str) -> str:
    """The cause of a failure in one line; the converter's own message fills pages."""
    text = f"{error}\n{noise}"
    if found := re.search(r"(?:TF Select|Custom) ops: (.+)", text):
        return (
            f"{form.name}: TensorFlow Lite has no built-in kernel for {found[1].strip()}. "
            "Replace the layer that uses it: Flex and custom operations do not run on tablets."
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0][:300] if lines else type(error).__name__
    return f"{form.name}: the converter failed ({type(error).__name__}: {reason})"


def _check_weights_are_inside(path: Path, static: keras.Model, form: Format) -> None:
    """Refuse a file too small to hold the kernels; biases and normalisation may have folded."""
    kernels = sum(int(np.prod(w.shape)) for w in static.weights if len(w.shape) > 1)
    least = int(0.9 * kernels * form.bytes_per_weight)
    if path.stat().st_size < least:
        raise ConversionError(
            f"{path.name}: {path.stat().st_size} bytes, expected at least {least} for {kernels} "
            "weights: the converter dropped weights; do not ship this file"
        )
