"""Size, latency and memory of every file beside Keras, measured in one run on one machine."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fetal_tf.edge.bundle.measurers import Measurer
from fetal_tf.exporting.formats import FORMATS
from fetal_tf.exporting.latency import interleaved_latency_ms, net_alone, percentiles, whole_way
from fetal_tf.exporting.macs import count_macs
from fetal_tf.exporting.peak_memory import peak_memory_mib
from fetal_tf.runs.environment import versions

SCHEMA = 1
THREADS = (1, 2)
KERAS = "keras predict"


def benchmark(
    files: Mapping[str, Path],
    model: keras.Model,
    images: Sequence[tuple[np.ndarray, float | None]],
    frames: np.ndarray,
    measurer: Measurer,
) -> dict[str, Any]:
    """Time every file and `model.predict` in turns; measure the size and memory of the files.

    Args:
        files: format → file.
        model: the Keras model, on all cores, as `model.predict` runs it.
        images: (uint8 [H, W], mm per pixel) as they come from the scanner.
        frames: the same images letterboxed, uint8 [N, h, w, C].
        measurer: for the whole way from image to measurement.

    Returns:
        The tree of benchmark.json. Ratios are medians over the median of float32 TFLite on one
        thread, or of `model.predict`: below 1 is faster. They are None without float32.
    """
    contenders: dict[tuple[str, str], Callable[[], object]] = {}
    for name, path in files.items():
        for threads in THREADS:
            predictor = FORMATS[name].open(path, threads)
            contenders[name, f"threads_{threads}"] = net_alone(predictor, frames)
            if threads == 1:
                contenders[name, "whole_way"] = whole_way(predictor, images, measurer)
    contenders[KERAS, "all_cores"] = _keras_predict(model, frames)
    timed = interleaved_latency_ms({f"{name}|{kind}": c for (name, kind), c in contenders.items()})
    latency = {key: percentiles(timed["|".join(key)]) for key in contenders}
    float32 = latency.get(("float32", "threads_1"))
    keras_ms = latency[KERAS, "all_cores"]
    macs = count_macs(model)
    return {
        "schema": SCHEMA,
        "machine": machine_facts(),
        "model": {
            "parameters": int(model.count_params()),
            "macs": macs.total,
            "macs_lower_bound_without": list(macs.uncounted),
            "input_shape": list(model.input_shape[1:]),
        },
        "keras_predict": keras_ms,
        "formats": {
            name: {
                "bytes": path.stat().st_size,
                **{f"threads_{t}": latency[name, f"threads_{t}"] for t in THREADS},
                "whole_way_threads_1": latency[name, "whole_way"],
                "time_over_float32": _ratio(latency[name, "threads_1"], float32),
                "time_over_keras_predict": _ratio(latency[name, "threads_1"], keras_ms),
                "peak_memory_mib": round(peak_memory_mib(path, FORMATS[name]), 1),
            }
            for name, path in files.items()
        },
    }


def machine_facts() -> dict[str, object]:
    """What latency depends on: processor model, usable cores, system, versions; no host name."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return {
        "cpu": _cpu_model(),
        "cores": len(affinity(0)) if affinity else os.cpu_count() or 1,
        "architecture": platform.machine(),
        "system": platform.system(),
        "versions": versions(),
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "Hardware"):
                return value.strip()
    return platform.processor() or "unknown"


def _ratio(one: Mapping[str, float], other: Mapping[str, float] | None) -> float | None:
    return one["p50_ms"] / other["p50_ms"] if other else None


def _keras_predict(model: keras.Model, frames: np.ndarray) -> Callable[[], object]:
    """`model.predict` of one frame, the call that a first prototype makes."""
    frame = frames[:1].astype(np.float32)
    return lambda: model.predict(frame, verbose=0)
