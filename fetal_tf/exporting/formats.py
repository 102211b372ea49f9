"""The formats a bundle can hold, by the names that `--formats` takes."""

from collections.abc import Iterable
from dataclasses import dataclass

from fetal_tf.config.registry import nearest
from fetal_tf.edge.errors import ConfigError, MissingExtraError
from fetal_tf.edge.extras import missing_modules
from fetal_tf.scores.columns import Precision


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        name: what `--formats`, the config and bundle.json call it.
        file_name: its name inside the bundle.
        runtime: "litert" or "onnx", the predictor that runs it.
        precision: how it computes; tasks limit each kind, see `Task.parity_limits`.
        calibrated: whether conversion needs training images.
        bytes_per_weight: the least that one convolution weight takes in the file.
        summary: one line for the model card.
    """

    name: str
    file_name: str
    runtime: str
    precision: Precision
    calibrated: bool
    bytes_per_weight: int
    summary: str


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format(
            "float32", "model_float32.tflite", "litert", "full", False, 4, "TFLite, 32-bit floats"
        ),
        Format(
            "float16", "model_float16.tflite", "litert", "half", False, 2, "TFLite, 16-bit weights"
        ),
        Format(
            "dynamic",
            "model_dynamic.tflite",
            "litert",
            "quantized",
            False,
            1,
            "TFLite, 8-bit weights",
        ),
        Format(
            "int8", "model_int8.tflite", "litert", "quantized", True, 1, "TFLite, 8-bit throughout"
        ),
        Format(
            "int16x8",
            "model_int16x8.tflite",
            "litert",
            "quantized",
            True,
            1,
            "TFLite, 16-bit activations",
        ),
        Format("onnx", "model.onnx", "onnx", "full", False, 4, "ONNX, 32-bit floats"),
        Format("onnx-int8", "model_int8.onnx", "onnx", "quantized", True, 1, "ONNX QDQ, 8-bit"),
    )
}

# The first of these that passed parity is what `predict` takes unless told otherwise.
PREFERENCE = ("int8", "float16", "float32", "onnx-int8", "onnx", "int16x8", "dynamic")


def parse_formats(names: Iterable[str], key: str) -> list[Format]:
    """The formats called `names`, each once, in the order given; `key` is the place to blame.

    Raises:
        ConfigError: an unknown name, or none at all.
    """
    chosen = []
    for name in dict.fromkeys(n.strip() for n in names if n.strip()):
        if name not in FORMATS:
            raise ConfigError(
                f"{key}: unknown format {name!r}{nearest(name, FORMATS)}; "
                f"allowed: {', '.join(FORMATS)}"
            )
        chosen.append(FORMATS[name])
    if not chosen:
        raise ConfigError(f"{key}: no format given; allowed: {', '.join(FORMATS)}")
    return chosen


def require_extras(formats: Iterable[Format]) -> None:
    """Check that the packages these formats need are installed, before any long work.

    Raises:
        MissingExtraError: with the pip line that installs them.
    """
    onnx_formats = [f.name for f in formats if f.runtime == "onnx"]
    missing = missing_modules("export")
    if onnx_formats and missing:
        raise MissingExtraError(
            f"{', '.join(onnx_formats)}: needs {', '.join(missing)}; "
            f'install with `pip install "fetal-tf[train,export]"`, or leave them out with '
            f"`--formats {','.join(f.name for f in FORMATS.values() if f.runtime != 'onnx')}`"
        )
