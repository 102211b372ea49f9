"""Which export formats compute alike, so that a task bounds three kinds and not seven formats."""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def by_format(full: T, half: T, quantized: T) -> Mapping[str, T]:
    """What holds for 32-bit floats, 16-bit weights and 8-bit weights, by the format's name."""
    return {
        "float32": full,
        "onnx": full,
        "float16": half,
        "dynamic": quantized,
        "int8": quantized,
        "int16x8": quantized,
        "onnx-int8": quantized,
    }
