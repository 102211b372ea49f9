"""The formats a bundle can hold, by the names that `--formats` takes."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.config.registry import nearest
from fetal_tf.edge.errors import ConfigError, MissingExtraError
from fetal_tf.edge.extras import missing_modules
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.inference.runtimes import LiteRTPredictor, OnnxPredictor
from fetal_tf.edge.io.captured_output import captured_noise
from fetal_tf.scores.columns import Precision


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        name: what `--formats`, the config and bundle.json call it.
        file_name: its name inside the bundle.
        precision: how it computes; tasks limit each kind, see `Task.parity_limits`.
        fixed_ranges: whether conversion needs training images, to fix the activations' ranges.
        bytes_per_weight: the least that one convolution weight takes in the file.
        summary: one line for the model card.
    """

    name: str
    file_name: str
    precision: Precision
    fixed_ranges: bool
    bytes_per_weight: int
    summary: str

    @property
    def runtime(self) -> str:
        """The library that runs the file: "litert" or "onnx"."""
        return "onnx" if self.file_name.endswith(".onnx") else "litert"

    def open(self, path: Path, threads: int) -> Predictor:
        """The predictor that a tablet would run the file with, without the runtime's greeting."""
        with captured_noise():
            return (LiteRTPredictor if self.runtime == "litert" else OnnxPredictor)(path, threads)


_ALL = (
    Format("float32", "model_float32.tflite", "full", False, 4, "TFLite, 32-bit floats"),
    Format("float16", "model_float16.tflite", "half", False, 2, "TFLite, 16-bit weights"),
    Format("dynamic", "model_dynamic.tflite", "quantized", False, 1, "TFLite, 8-bit weights"),
    Format("int8", "model_int8.tflite", "quantized", True, 1, "TFLite, 8-bit throughout"),
    Format("int16x8", "model_int16x8.tflite", "quantized", True, 1, "TFLite, 16-bit activations"),
    Format("onnx", "model.onnx", "full", False, 4, "ONNX, 32-bit floats"),
    Format("onnx-int8", "model_int8.onnx", "quantized", True, 1, "ONNX QDQ, 8-bit"),
)
FORMATS = {form.name: form for form in _ALL}
ALL = "all"  # in `--formats` and `export.formats`

# The first of these that passed parity is what `predict` takes unless told otherwise.
PREFERENCE = ("int8", "float16", "float32", "onnx-int8", "onnx", "int16x8", "dynamic")


def parse_formats(names: Iterable[str], key: str) -> list[Format]:
    """The formats called `names`, each once, in the order given; `all` stands for all of them.

    Errors begin with `key`.

    Raises:
        ConfigError: an unknown name, or none at all.
    """
    chosen = []
    given = [name.strip() for name in names if name.strip()]
    for name in dict.fromkeys(FORMATS if given == [ALL] else given):
        if name not in FORMATS:
            raise ConfigError(
                f"{key}: unknown format {name!r}{nearest(name, FORMATS)}; "
                f"allowed: {', '.join(FORMATS)}, or {ALL}"
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
