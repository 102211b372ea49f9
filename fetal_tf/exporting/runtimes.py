"""The predictor that runs a file, exactly as a tablet would open it."""

from pathlib import Path

from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.inference.runtimes import LiteRTPredictor, OnnxPredictor
from fetal_tf.edge.io.captured_output import captured_noise


def open_predictor(runtime: str, path: Path, threads: int) -> Predictor:
    """Open a file with "litert" or "onnx", without the runtime's greeting."""
    with captured_noise():
        if runtime == "litert":
            return LiteRTPredictor(path, threads)
        return OnnxPredictor(path, threads)
