"""One evaluation for every predictor: a row per image, then a summary with intervals.

Keras models, TFLite and ONNX files pass through the same code, so their figures can be compared.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.gate import GatedPredictor
from fetal_tf.edge.errors import DataError, FetalTFError, cause_of
from fetal_tf.edge.geometry.letterbox import Letterbox, letterboxed
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.edge.io.images import read_gray
from fetal_tf.evaluation.provenance import Evaluated
from fetal_tf.scores.rows import (
    Row,
    count_codes,
    csv_text,
    image_counts,
    image_frame,
    json_text,
    numbers,
    scored,
)
from fetal_tf.scores.statistics import BOOTSTRAP_RESAMPLES, summarise_columns
from fetal_tf.tasks.task import Gathered, Task

SUMMARY_SCHEMA = 1
Distortion = Callable[[np.ndarray], np.ndarray]
Average = Callable[[Predictor], Predictor]
BATCH_SIZE = 8
# What a file, or the numbers in it, can cause. Anything else is an error of the program: it ends
# the evaluation, so that no figure leaves out images because of it.
_OF_ONE_IMAGE = (FetalTFError, OSError, ArithmeticError, np.linalg.LinAlgError, cv2.error)


@dataclass(frozen=True)
class Frame:
    """An image as read, uint8 [H, W], and as the network sees it, uint8 [h, w, C]."""

    image: np.ndarray
    pixels: np.ndarray
    letterbox: Letterbox

    @classmethod
    def read(
        cls, path: Path, input_shape: tuple[int, int, int], distort: Distortion | None = None
    ) -> "Frame":
        """Read, distort and letterbox one file; raises ImageError where it cannot be read."""
        image = read_gray(path)
        if distort is not None:
            image = distort(image)
        return cls(image, *letterboxed(image, input_shape))


def evaluate_samples(
    predictor: Predictor,
    samples: Sequence[Sample],
    task: Task,
    *,
    progress: bool = False,
    distort: Distortion | None = None,
    average: Average | None = None,
    gather: Gathered | None = None,
) -> pd.DataFrame:
    """Predict and score every sample: one row each, in the order of `samples`.

    A file that cannot be read or scored keeps its row, with the reason in `error` and no figures,
    so that no image is lost without notice. `error` is empty for all others. A negative has no
    figures either, only `flags`, `refused`, and how many `numbers` it was given. Behind a gate a
    row has the gate's `plane_score`, and its flag before those of the measurement, as `predict`
    shows them.

    Args:
        predictor: the net; the task's measurer may look at more than one view of a frame with it.
            A `GatedPredictor` has a gate of its own.
        samples: what to judge on.
        task: scores an output.
        progress: show a progress bar.
        distort: what to do to an image uint8 [H, W] first, of the same shape; the truth stays.
        average: wraps a predictor that averages over test-time views. It goes around the views
            that the measurer compares: inside, they would agree by construction.
        gather: made by `Task.gather`; filled with what is pooled over the pixels of all images.
    """
    gate = predictor if isinstance(predictor, GatedPredictor) else None
    predictor = _prepared(predictor, task, average)
    rows: list[Row] = []
    with tqdm(total=len(samples), unit="image", disable=None if progress else True) as bar:
        for start in range(0, len(samples), BATCH_SIZE):
            batch = samples[start : start + BATCH_SIZE]
            rows += _evaluate_batch(predictor, batch, task, distort, gather, gate)
            bar.update(len(batch))
    return image_frame(rows)


def _prepared(predictor: Predictor, task: Task, average: Average | None) -> Predictor:
    prepared = task.measurer.prepared(predictor)
    return prepared if average is None else average(prepared)


def _evaluate_batch(
    predictor: Predictor,
    batch: Sequence[Sample],
    task: Task,
    distort: Distortion | None,
    gather: Gathered | None,
    gate: GatedPredictor | None,
) -> list[Row]:
    frames = [_frame_or_error(sample, predictor.input_shape, distort) for sample in batch]
    readable = [frame.pixels for frame in frames if isinstance(frame, Frame)]
    outputs = iter(predictor.predict(np.stack(readable)) if readable else ())
    rows = []
    for sample, frame in zip(batch, frames, strict=True):
        if isinstance(frame, Frame):
            rows.append(_row(task, next(outputs), sample, frame, gather, gate))
        else:
            rows.append(_failed(sample, cause_of(frame, sample.image_path)))
    return rows


def _frame_or_error(
    sample: Sample, input_shape: tuple[int, int, int], distort: Distortion | None
) -> Frame | Exception:
    try:
        return Frame.read(sample.image_path, input_shape, distort)
    except _OF_ONE_IMAGE as error:
        return error


def _row(
    task: Task,
    probabilities: np.ndarray,
    sample: Sample,
    frame: Frame,
    gather: Gathered | None,
    gate: GatedPredictor | None,
) -> Row:
    if not np.isfinite(probabilities).all():
        return _failed(sample, "the model's output holds NaN or infinity")
    try:
        if sample.negative:
            row = _answer(task, probabilities, sample, frame.letterbox)
        else:
            scores = task.evaluate(probabilities, sample, frame.letterbox, gather)
            row = {**scores, "error": ""}
        return row if gate is None else _gated(row, gate, frame.image)
    except _OF_ONE_IMAGE as error:  # a broken annotation is read only here
        return _failed(sample, cause_of(error, sample.image_path))


def _answer(task: Task, probabilities: np.ndarray, sample: Sample, letterbox: Letterbox) -> Row:
    """The row of a negative: its flags, its refusal, and how many numbers it was given."""
    measurement = task.measurer_of(sample).measure(probabilities, letterbox, sample.mm_per_pixel)
    record = {k: v for k, v in measurement.as_record().items() if k != "mm_per_pixel"}
    return {
        "id": sample.id,
        "group": sample.group,
        "numbers": sum(isinstance(value, (int, float)) for value in record.values()),
        "flags": "; ".join(measurement.flags),
        "refused": measurement.refused or "",
        "error": "",
    }


def _gated(row: Row, gate: GatedPredictor, image: np.ndarray) -> Row:
    """The row with the gate's flag first, and its score."""
    plane = gate.judge(image)
    flags = "; ".join([*plane.flags, *filter(None, [str(row.get("flags") or "")])])
    return {**row, "flags": flags, "plane_score": plane.plane_score}


def _failed(sample: Sample, reason: str) -> Row:
    """A row without figures. Its reason names the file without the folder, which is private."""
    text = " ".join(reason.split()).replace(f"{sample.image_path.parent}{os.sep}", "")
    return {"id": sample.id, "group": sample.group, "error": text}


def check_any_scored(rows: pd.DataFrame, what: str = "") -> None:
    """Make sure that an image could be read and scored.

    Raises:
        DataError: not one; names the first image's error, after `what`.
    """
    if scored(rows).empty:
        first = rows["error"].iloc[0]
        raise DataError(f"{what}not one of {len(rows)} images could be evaluated; {first}")


def worst_rows(rows: pd.DataFrame, task: Task, count: int = 12) -> pd.DataFrame:
    """The scored rows to look at first: refused ones, then by measurement error, then by overlap.

    Failed rows are left out: there is nothing to draw.
    """
    judged = scored(rows)
    overlap, error = numbers(judged, task.headline[0]), numbers(judged, task.headline[-1])
    order = np.lexsort((overlap, -np.abs(error), judged["refused"] == ""))
    return judged.iloc[order[:count]]


def draw_rows(
    predictor: Predictor,
    samples: Iterable[Sample],
    task: Task,
    ids: Iterable[str],
    average: Average | None = None,
) -> list[np.ndarray]:
    """Predict these samples once more, draw truth and prediction, RGB uint8 [H, W, 3] each.

    A dozen second predictions cost less than keeping a thousand probability maps in memory. A frame
    whose drawing fails is shown bare, with a warning.
    """
    predictor = _prepared(predictor, task, average)
    by_id = {sample.id: sample for sample in samples}
    overlays = []
    for id in ids:
        sample = by_id[id]
        frame = Frame.read(sample.image_path, predictor.input_shape)
        probabilities = predictor.predict(frame.pixels[None])[0]
        try:
            overlay = task.draw(frame.image, probabilities, frame.letterbox, sample)
        except _OF_ONE_IMAGE as error:
            warnings.warn(f"{id}: not drawn: {cause_of(error, sample.image_path)}", stacklevel=2)
            overlay = cv2.cvtColor(frame.image, cv2.COLOR_GRAY2RGB)
        overlays.append(overlay)
    return overlays


def summarise_rows(
    rows: pd.DataFrame, task: Task, seed: int = 0, gather: Gathered | None = None
) -> dict[str, Any]:
    """Counts and statistics of an evaluation, ready for `summary.json`.

    Args:
        rows: one per image.
        task: names the columns.
        seed: of the bootstrap.
        gather: as `evaluate_samples` has filled it.

    Returns:
        `images`: how many were asked for (`n`), measured, measured with a flag (`flagged`), refused
        by the measurement and failed: n = measured + refused + failed. `groups`: examinations among
        them. `metrics`, and `metrics_unflagged` without flagged and refused images: see
        `fetal_tf.scores.statistics.summarise`. `flags` and `refusals`: images per code.
        `bootstrap`: how the intervals were made. `pixels`: what was gathered over the images'
        pixels, where anything was. And what the task adds, see `Task.summarise`.
    """
    judged = scored(rows)
    measured = judged[judged["refused"] == ""]
    unflagged = measured[measured["flags"] == ""]
    pooled = {name: levels.summary(seed) for name, levels in (gather or {}).items()}
    return {
        "images": image_counts(rows),
        "groups": rows["group"].nunique(),
        "metrics": summarise_columns(judged, task.metric_names, seed),
        "metrics_unflagged": summarise_columns(unflagged, task.metric_names, seed),
        "flags": count_codes(judged["flags"]),
        "refusals": count_codes(judged["refused"]),
        "bootstrap": {"seed": seed, "resamples": BOOTSTRAP_RESAMPLES, "resampled": "groups"},
        **({"pixels": pooled} if pooled else {}),
        **task.summarise(judged, seed),
    }


def write_evaluation(
    out: Path,
    rows: pd.DataFrame,
    summary: Mapping[str, Any],
    evaluated: Evaluated,
    tables: Mapping[str, pd.DataFrame],
) -> list[Path]:
    """Write `summary.json`, `per_image.csv` and further tables to `out`, each whole or not at all.

    A value that is missing, NaN or infinite is null in the JSON and empty in a CSV.

    Returns:
        Their paths.
    """
    out.mkdir(parents=True, exist_ok=True)
    tree = {"schema": SUMMARY_SCHEMA, "evaluated": asdict(evaluated), **summary}
    paths = [out / "summary.json"]
    write_text_atomic(paths[0], json_text(tree))
    for name, lines in {"per_image": rows, **tables}.items():
        paths.append(out / f"{name}.csv")
        write_text_atomic(paths[-1], csv_text(lines))
    return paths
