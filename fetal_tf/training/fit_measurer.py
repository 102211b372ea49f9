"""Fit a trained run's measurer: reference shapes and thresholds from its own images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import Measurement
from fetal_tf.evaluation.evaluate import Frame
from fetal_tf.runs.measurement_settings import read_settings, write_settings
from fetal_tf.runs.run import Run, open_run
from fetal_tf.training.refit import settings_of


def calibrated(run: Run, data_root: Path | None = None) -> Run:
    """The run with its measurer fitted, which costs a pass over training truth and validation.

    A run that holds settings for its best.keras is returned as it is, and so is one of a task that
    fits nothing: its data are not even listed.
    """
    if not run.task.fits_measurer or read_settings(run.path) or not fit_settings(run, data_root):
        return run
    return open_run(run.path)


def fit_settings(run: Run, data_root: Path | None = None) -> dict[str, Any]:
    """Fit the run's measurer to its training truth and validation measurements, and keep it.

    A refit has no validation images of its own: it takes what the run that it refits was fitted to.

    Args:
        run: trained; what it was fitted to before plays no part.
        data_root: where the run's data are, if not where its config says.

    Returns:
        The settings; empty, and nothing is written, for a task that fits none.
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
    """A generator, so that a task that fits nothing costs nothing."""
    predictor = run.task.measurer.prepared(run.keras_predictor())
    for sample in run.samples("val", data_root):
        frame = Frame.read(sample.image_path, run.input_shape)
        output = predictor.predict(frame.pixels[None])[0]
        measurer = run.task.measurer_of(sample)
        yield sample, measurer.measure(output, frame.letterbox, sample.mm_per_pixel)
