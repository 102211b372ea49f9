"""bundle.json: what a bundle holds, takes and gives, and what it was trained on."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fetal_tf.data.credit import DataCredit
from fetal_tf.edge.io.files import sha256_of
from fetal_tf.edge.measure.units import units_of
from fetal_tf.exporting.comparison import Comparison
from fetal_tf.exporting.formats import FORMATS, PREFERENCE
from fetal_tf.exporting.parity import Parity
from fetal_tf.runs.run import Run
from fetal_tf.version import __version__

SCHEMA = 1
# Measurement → the output of its models, where that is no probability.
OUTPUTS = {"plane": "gray values 0-1 of the reconstructed frame [h,w,1]"}
INTENDED_USE = (
    "Research, and integration tests of measuring software. Not a medical device; not for "
    "diagnosis, dating or any decision about a pregnancy."
)


def bundle_record(
    run: Run,
    files: Mapping[str, Path],
    comparison: Comparison,
    ranges: Mapping[str, Any],
    quantities: Iterable[str],
    data: DataCredit,
    gate: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The tree of bundle.json.

    Args:
        run: what was exported.
        files: format → file, already complete.
        comparison: every format against Keras.
        ranges: seed and ids of the images that set the ranges of the 8-bit formats.
        quantities: names that a measurement's record has, units in them.
        data: what it was trained on.
        gate: of `exporting.gate.embed`, where there is one.
    """
    height, width, channels = run.input_shape
    parities = comparison.parities
    return {
        "schema": SCHEMA,
        "name": run.config.name,
        "fetal_tf_version": __version__,
        "task": run.task.name,
        "measurement": run.task.measurement,
        "measurement_settings": dict(run.task.measurement_settings),
        "classes": list(run.task.classes),
        "input": {
            "height": height,
            "width": width,
            "channels": channels,
            "range": "0-255 uint8 gray, letterboxed, centred, zero padding",
        },
        "output": OUTPUTS.get(run.task.measurement, "probabilities [h,w,classes]"),
        "units": units_of(quantities),
        "files": {
            name: {
                "path": path.name,
                "sha256": sha256_of(path),
                "bytes": path.stat().st_size,
                "runtime": FORMATS[name].runtime,
                "parity": "passed" if parities[name].passed else "failed",
            }
            for name, path in files.items()
        },
        "default_format": default_format(parities),
        "parity": {
            "passed": not comparison.failures,
            "split": comparison.split,
            "failures": comparison.failures,
        },
        "calibration": dict(ranges),
        "attribution": list(data.attribution),
        "trained_on": data.trained_on,
        "phantom": data.phantom,
        "intended_use": INTENDED_USE,
        "splits": "splits.csv",
        "config": "config.yaml",
        **({} if gate is None else {"gate": dict(gate)}),
    }


def default_format(parities: Mapping[str, Parity]) -> str:
    """The preferred format among those that passed; where none did, the preferred of all."""
    passed = [name for name in PREFERENCE if name in parities and parities[name].passed]
    return (passed or [name for name in PREFERENCE if name in parities])[0]
