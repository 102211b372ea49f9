"""The spread of repeated measurements of an image, beside the error of a single one.

The net runs again with dropout on (Monte Carlo dropout), or on other views of the frame
(test-time augmentation). The spread has the unit of the measurement.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from fetal_tf.analysis.augmented_views import draw_views
from fetal_tf.analysis.dropout_sampling import with_dropout_on
from fetal_tf.analysis.uncertain_quantities import (
    LANDMARK_POINTS,
    Uncertain,
    column_name,
    consistent_ends,
    known_quantities,
    truth_column,
)
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.evaluation.evaluate import Frame, check_any_scored, evaluate_samples
from fetal_tf.models.predictor import KerasPredictor
from fetal_tf.scores.rows import Row, frame_of
from fetal_tf.tasks.task import Task

METHODS = ("mc-dropout", "tta")
Sampler = Callable[[np.ndarray], np.ndarray]  # a frame uint8 [h, w, C] → several outputs of it


def dropout_sampler(predictor: Predictor, task: Task, count: int, seed: int) -> Sampler:
    """Make a sampler: the outputs of `count` passes with dropout on.

    Raises:
        ConfigError: no Keras model behind the predictor, or one without dropout.
    """
    if not isinstance(predictor, KerasPredictor):
        raise ConfigError(
            "--method mc-dropout needs the Keras model, an exported file has its dropout removed; "
            "name a run, or take --method tta"
        )
    sampled = task.measurer.prepared(KerasPredictor(with_dropout_on(predictor.model, seed)))
    return lambda frame: sampled.predict(np.repeat(frame[None], count, axis=0))


def view_sampler(predictor: Predictor, task: Task, count: int, seed: int) -> Sampler:
    """Make a sampler: outputs for the frame and `count` - 1 views, mapped back to the frame."""
    prepared = task.measurer.prepared(predictor)
    views = draw_views(count, seed)

    def sample(frame: np.ndarray) -> np.ndarray:
        outputs = prepared.predict(np.stack([view.apply(frame) for view in views]))
        size = (frame.shape[0], frame.shape[1])
        return np.stack(
            [
                view.restore(output, outputs[0], size, task.classes)
                for view, output in zip(views, outputs, strict=True)
            ]
        )

    return sample


def study(
    predictor: Predictor,
    samples: Sequence[Sample],
    task: Task,
    samplers: Mapping[str, Sampler],
    *,
    progress: bool = False,
) -> tuple[pd.DataFrame, list[Uncertain]]:
    """Measure every image once as `evaluate` does, and again by each sampler.

    Args:
        predictor: its single answer is the one that is judged.
        samples: annotated images.
        task: measures and judges.
        samplers: by method.
        progress: show progress bars.

    Returns:
        A row per image: `id`, `group`, `error`; per quantity `hc_mm`, `hc_true_mm` and
        `hc_abs_error_mm` of the single answer, per method `hc_tta_spread_mm` and
        `hc_tta_abs_error_mm`, the error of the mean; `tta_unmeasured`, how many of the answers were
        refused. And the quantities, as far as the expert's values are known.

    Raises:
        DataError: no image could be evaluated, or none has a quantity to compare.
    """
    judged = evaluate_samples(predictor, samples, task, progress=progress)
    check_any_scored(judged)
    rows: list[Row] = []
    quantities: list[Uncertain] = []
    pairs = zip(samples, judged.to_dict("records"), strict=True)
    for sample, row in tqdm(
        pairs, total=len(samples), unit="image", disable=None if progress else True
    ):
        if row["error"]:
            rows.append({"id": sample.id, "group": sample.group, "error": row["error"]})
            continue
        frame = Frame.read(sample.image_path, predictor.input_shape)
        measurer = task.measurer_of(sample)
        records = {
            method: [
                measurer.measure(output, frame.letterbox, sample.mm_per_pixel).as_record()
                for output in sampler(frame.pixels)
            ]
            for method, sampler in samplers.items()
        }
        quantities = quantities or known_quantities(next(iter(records.values()))[0], row)
        rows.append(_line(sample, row, records, quantities))
    if not quantities:
        raise DataError(f"task {task.name}: measures nothing that an expert's value is known of")
    return frame_of(rows), quantities


def _line(
    sample: Sample,
    row: Mapping[str, Any],
    records: Mapping[str, list[dict[str, float | str | None]]],
    quantities: Sequence[Uncertain],
) -> Row:
    line: Row = {"id": sample.id, "group": sample.group}
    named = {method: consistent_ends(found) for method, found in records.items()}
    for method, answers in records.items():
        line[f"{column_name(method)}_unmeasured"] = sum(bool(r.get("refused")) for r in answers)
    for quantity in quantities:
        truth = None if quantity.is_place else row.get(str(truth_column(quantity.name, row)))
        if quantity.is_place:
            combined = quantity.name == LANDMARK_POINTS
            error = row.get("radial_error_px" if combined else quantity.column("error"))
        else:
            own = row.get(quantity.name)
            line |= {quantity.name: own, quantity.column("true"): truth}
            error = _distance(own, truth)
        line[quantity.column("abs_error")] = error
        for method, found in named.items():
            column = column_name(method)
            line[quantity.column(f"{column}_spread")] = quantity.spread(found)
            if not quantity.is_place:
                error_of_mean = _distance(quantity.mean(found), truth)
                line[quantity.column(f"{column}_abs_error")] = error_of_mean
    return line | {"error": ""}


def _distance(value: float | None, truth: float | None) -> float | None:
    return None if value is None or truth is None else abs(value - truth)
