"""The peak memory that loading and running one model file adds to a process.

`python -m fetal_tf.exporting.peak_memory FILE FORMAT` measures in a process of its own: a peak
never falls again, and that of TensorFlow would hide all others.
"""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.exporting.formats import FORMATS, Format

INFERENCES = 5
RUNTIME_MODULES = {"litert": "ai_edge_litert.interpreter", "onnx": "onnxruntime"}


def peak_memory_mib(path: Path, form: Format) -> float:
    """Peak resident memory that loading and running the file adds to a bare interpreter, MiB.

    The bare interpreter has NumPy and the runtime imported. Measured in a fresh process with one
    thread.

    Raises:
        FetalTFError: the process failed.
    """
    command = [
        sys.executable,
        "-m",
        "fetal_tf.exporting.peak_memory",
        str(path.resolve()),
        form.name,
    ]
    checkout = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    if done.returncode:
        raise FetalTFError(f"{path.name}: memory was not measured: {done.stderr.strip()[-500:]}")
    return float(done.stdout.split()[-1])


def _peak_mib() -> float:
    """This process's peak so far.

    Linux keeps the parent's peak in `ru_maxrss` across fork and exec, and the parent here is a
    TensorFlow process; VmHWM starts anew with the program.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def main(path: str, name: str) -> None:
    """Print the peak memory that the file of format `name` adds, MiB."""
    form = FORMATS[name]
    importlib.import_module(RUNTIME_MODULES[form.runtime])  # the baseline has it imported
    before = _peak_mib()
    predictor = form.open(Path(path), threads=1)
    frame = np.zeros((1, *predictor.input_shape), np.uint8)
    for _ in range(INFERENCES):
        predictor.predict(frame)
    print(_peak_mib() - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
