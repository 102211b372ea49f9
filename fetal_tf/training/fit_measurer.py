"""Fit the measurer of a trained run: reference shapes and thresholds from the run's own images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import Measurement
from fetal_tf.evaluation.evaluate import Frame
from fetal_tf.runs.measurement_settings import read_settings, write_settings
from fetal_tf.runs.run import Run, open_run
from fetal_tf.training.refit import settings_of


def with_fitted_measurer(run: Run, data_root: Path | None = None) -> Run:
    """The run with its measurer fitted; this predicts every validation image.

    A run that already has settings for its best.keras is returned unchanged. So is a run whose task
    fits nothing; its data are not read.
    """
    if not run.task.fits_measurer or read_settings(run.path) or not fit_measurer(run, data_root):
        return run
    return open_run(run.path)


def fit_measurer(run: Run, data_root: Path | None = None) -> dict[str, Any]:
    """Fit the measurer to training masks and validation measurements; write measurement.json.

    A refit has no validation images. It copies the settings of the run that it refits.

    Args:
        run: trained. Earlier settings are ignored.
        data_root: where the run's data are, if not where its config says.

    Returns:
        The settings. They are empty, and nothing is written, where the task fits nothing.
    """
    refit = run.config.train.refit
    settings = (
        run.task.fit_measurer(
            run.samples("train", data_root), _validation_measurements(run, data_root)
        )
        if refit is None
        else settings_of(refit)
    )
    if settings:
        write_settings(run.path, settings)
    return settings


def _validation_measurements(
    run: Run, data_root: Path | None
) -> Iterator[tuple[Sample, Measurement]]:
    """A generator: a task that does not ask for measurements does not load the model."""
    predictor = run.task.measurer.prepared(run.keras_predictor())
    for sample in run.samples("val", data_root):
        frame = Frame.read(sample.image_path, run.input_shape)
        output = predictor.predict(frame.pixels[None])[0]
        measurer = run.task.measurer_of(sample)
        yield sample, measurer.measure(output, frame.letterbox, sample.mm_per_pixel)
