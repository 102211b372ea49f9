"""What a measurer learns from a trained run: reference shapes and thresholds, kept in the run.

`measurement.json` holds the settings and the checksum of the `best.keras` they were fitted to. A
better epoch makes them stale; they are then fitted anew rather than used.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.files import sha256_of, write_text_atomic
from fetal_tf.edge.measurements import Measurement
from fetal_tf.evaluation import Frame

if TYPE_CHECKING:
    from fetal_tf.run import Run

SETTINGS_NAME = "measurement.json"
_FITTED_TO = "fitted_to_sha256"
_SETTINGS = "settings"


def read_settings(run: Path) -> dict[str, Any]:
    """The settings that belong to the run's best.keras; empty where there are none.

    Raises:
        FetalTFError: the file is damaged.
    """
    path = run / SETTINGS_NAME
    if not path.is_file() or not (run / "best.keras").is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        fitted_to, settings = record[_FITTED_TO], dict(record[_SETTINGS])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FetalTFError(
            f"{path}: damaged ({error}); remove it, `python -m export` makes it anew"
        ) from error
    return settings if fitted_to == sha256_of(run / "best.keras") else {}


def fit_settings(run: "Run", data_root: Path | None = None) -> dict[str, Any]:
    """Fit the run's measurer to its training truth and validation measurements, and keep it.

    Args:
        run: trained; what it was fitted to before plays no part.
        data_root: where the run's data are, if not where its config says.

    Returns:
        The settings; empty, and nothing is written, for a task that fits none.
    """
    settings = run.task.fit_measurer(
        run.samples("train", data_root), _validation_measurements(run, data_root)
    )
    if settings:
        record = {_FITTED_TO: sha256_of(run.path / "best.keras"), _SETTINGS: settings}
        text = json.dumps(record, indent=2, allow_nan=False)
        write_text_atomic(run.path / SETTINGS_NAME, text + "\n")
    return settings


def _validation_measurements(run: "Run", data_root: Path | None) -> Iterator[Measurement]:
    """A generator, so that a task that fits nothing costs nothing."""
    measurer = run.task.measurer
    predictor = measurer.prepared(run.keras_predictor())
    for sample in run.samples("val", data_root):
        frame = Frame.read(sample.image_path, run.input_shape)
        output = predictor.predict(frame.pixels[None])[0]
        yield measurer.measure(output, frame.letterbox, sample.mm_per_pixel)
