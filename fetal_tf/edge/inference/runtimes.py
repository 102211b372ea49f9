"""Predictors: LiteRT and ONNX files, and the average with the mirror image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fetal_tf.edge.errors import BundleError, MissingExtraError
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.inference.views import unmirrored
from fetal_tf.edge.io.captured_output import captured_noise

MAX_THREADS = 64  # LiteRT's thread pool crashes the process where it is asked for thousands


class LiteRTPredictor:
    """Run a `.tflite` file with a static batch of one, float or quantized. Not thread-safe.

    Args:
        path: the file.
        threads: CPU threads of the interpreter, 1 to 64.

    Raises:
        ValueError: another number of threads.
        BundleError: the file is no model, or not one with one (1, H, W, C) input and one output.
    """

    def __init__(self, path: Path, threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter

        _check_threads(threads)
        try:
            # From memory: the interpreter maps a path, and a file replaced later would change it.
            content = Path(path).read_bytes()
            with captured_noise():  # it greets with an INFO line
                self._interpreter = Interpreter(model_content=content, num_threads=threads)
                self._interpreter.allocate_tensors()
        except (OSError, ValueError, RuntimeError) as error:
            raise BundleError(f"{path}: LiteRT cannot load it: {_first_line(error)}") from error
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self._input, self._output = inputs[0], outputs[0]
        self.input_shape = _frame_shape(path, list(self._input["shape"]), len(inputs), len(outputs))
        self.output_shape = tuple(int(n) for n in self._output["shape"][1:])

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Frames uint8 (N, H, W, C), 0..255, to probabilities float32 (N, h, w, K)."""
        _check_images(images, self.input_shape)
        outputs = _outputs(len(images), self._output["shape"])
        for image, output in zip(images, outputs, strict=True):
            self._interpreter.set_tensor(self._input["index"], _quantized(image[None], self._input))
            self._interpreter.invoke()
            raw = self._interpreter.get_tensor(self._output["index"])
            _dequantize(raw[0], self._output, output)
        return outputs


class OnnxPredictor:
    """Run an `.onnx` file with (1, H, W, C) float32 or uint8 input on the CPU.

    Args:
        path: the file.
        threads: threads within an operator, 1 to 64.

    Raises:
        ValueError: another number of threads.
        MissingExtraError: onnxruntime is not installed.
        BundleError: the file is no model, or not one with one (1, H, W, C) input and one output.
    """

    def __init__(self, path: Path, threads: int = 1):
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError(
                f'{path}: ONNX Runtime is not installed: pip install "fetal-tf[export]", '
                "or choose a LiteRT format"
            ) from error
        _check_threads(threads)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                Path(path).read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own exceptions share no other base
            raise BundleError(
                f"{path}: ONNX Runtime cannot load it: {_first_line(error)}"
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._name = inputs[0].name
        self._dtype = np.uint8 if inputs[0].type == "tensor(uint8)" else np.float32
        self._output_shape = outputs[0].shape
        self.input_shape = _frame_shape(path, inputs[0].shape, len(inputs), len(outputs))
        self.output_shape = tuple(self._output_shape[1:])

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Frames uint8 (N, H, W, C), 0..255, to probabilities float32 (N, h, w, K)."""
        _check_images(images, self.input_shape)
        frames = (image[None].astype(self._dtype) for image in images)
        outputs = [self._session.run(None, {self._name: frame})[0] for frame in frames]
        return np.concatenate([_outputs(0, self._output_shape), *outputs])


class FlipAverage:
    """Mean of the predictions for a frame and for its mirror image, mapped back.

    Args:
        predictor: the net.
        classes: names of its maps or points, see `views.unmirrored`.
    """

    def __init__(self, predictor: Predictor, classes: Sequence[str] = ()):
        self._predictor = predictor
        self._classes = classes
        self.input_shape = predictor.input_shape

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Frames uint8 (N, H, W, C), 0..255, to probabilities float32 (N, h, w, K)."""
        mirrored = self._predictor.predict(np.ascontiguousarray(images[:, :, ::-1]))
        own = self._predictor.predict(images)
        return (own + unmirrored(mirrored, own, self._classes)) / np.float32(2)


def _quantized(frame: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """Gray values in the input tensor's type; uint8 with scale 1 and zero point 0 stay as is."""
    dtype = tensor["dtype"]
    scale, zero_point = tensor["quantization"]
    if np.issubdtype(dtype, np.floating) or not scale:
        return frame.astype(dtype)
    if dtype == frame.dtype and scale == 1 and zero_point == 0:
        return frame
    limits = np.iinfo(dtype)
    steps = np.rint(frame.astype(np.float32) / np.float32(scale)) + zero_point
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def _dequantize(raw: np.ndarray, tensor: dict[str, Any], into: np.ndarray) -> None:
    """Write the output tensor's integers as floats to `into`, without copies, which take time."""
    scale, zero_point = tensor["quantization"]
    if np.issubdtype(raw.dtype, np.floating) or not scale:
        into[...] = raw
        return
    if zero_point:
        raw = np.subtract(raw, np.float32(zero_point), out=into)
    np.multiply(raw, np.float32(scale), out=into)


def _frame_shape(path: Path, shape: list[Any], inputs: int, outputs: int) -> tuple[int, int, int]:
    static = len(shape) == 4 and all(isinstance(n, int | np.integer) for n in shape)
    if inputs != 1 or outputs != 1 or not static or shape[0] != 1:
        raise BundleError(
            f"{path}: one input (1, height, width, channels) and one output are expected; found "
            f"{inputs} input(s), the first {list(shape)}, and {outputs} output(s)"
        )
    return int(shape[1]), int(shape[2]), int(shape[3])


def _check_images(images: np.ndarray, shape: tuple[int, int, int]) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        raise ValueError(
            f"frames are {images.dtype} {images.shape}, the model takes uint8 (N, "
            f"{', '.join(map(str, shape))})"
        )


def _outputs(count: int, shape: Any) -> np.ndarray:
    """Empty array for the outputs of `count` frames, each of `shape`; float32 (count, …)."""
    return np.empty((count, *(int(n) for n in shape[1:])), np.float32)


def _check_threads(threads: int) -> None:
    if not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads from 1 to {MAX_THREADS} are expected, found {threads}")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
