"""One evaluation for every predictor: a row per image, then a summary with intervals.

Keras, each TFLite variant and ONNX pass through the same lines, so their figures can be compared.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.gate import GatedPredictor
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.geometry.letterbox import Letterbox, letterboxed
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.edge.io.images import read_gray
from fetal_tf.scores.rows import Row, count_codes, csv_text, json_text
from fetal_tf.scores.statistics import BOOTSTRAP_RESAMPLES, finite, summarise
from fetal_tf.tasks.task import Gathered, Task

SUMMARY_SCHEMA = 1
Distortion = Callable[[np.ndarray], np.ndarray]
Average = Callable[[Predictor], Predictor]
BATCH_SIZE = 8


@dataclass(frozen=True)
class Evaluated:
    """What was evaluated, as `summary.json` and the report state it.

    Attributes:
        data_root: the folder's own name; the path before it belongs to one machine.
        samples_sha256: of ids, groups, pixel sizes, references and image files: other data in a
            folder of the same name differ in it.
        trained_on: how many of the images the model was trained on, None where nobody knows.
        date: with the time, UTC, ISO 8601: the later of two evaluations on a day is known.
        gate: the name of the gate whose flags the rows hold, None where there is none.
    """

    subject: str
    format: str
    dataset: str
    data_root: str
    split: str
    tta: str | None
    phantom: bool
    samples_sha256: str
    trained_on: int | None
    date: str
    versions: Mapping[str, str]
    gate: str | None = None


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
) -> list[Row]:
    """Predict and score every sample: one row each, in the order of `samples`.

    A file that cannot be read or scored keeps its row, with the reason in `error` and no figures,
    so nothing drops out of a mean unseen. `error` is empty for all others. A negative has no
    figures either, only `flags`, `refused`, and how many `numbers` it was given. Behind a gate a
    row has the gate's `plane_score`, and its flag before those of the measurement, as `predict`
    shows them.

    Args:
        predictor: the net; the task's measurer may look at more than one view of a frame with it.
            A `GatedPredictor` brings its gate.
        samples: what to judge on.
        task: scores an output.
        progress: show a progress bar.
        distort: what to do to an image uint8 [H, W] first, of the same shape; the truth stays.
        average: over test-time views, around what the measurer looks at: inside of it, the views
            that it compares would agree by construction.
        gather: of `Task.gather`, to be filled with what is pooled over the images' pixels.
    """
    gate = predictor if isinstance(predictor, GatedPredictor) else None
    predictor = _prepared(predictor, task, average)
    rows: list[Row] = []
    with tqdm(total=len(samples), unit="image", disable=None if progress else True) as bar:
        for start in range(0, len(samples), BATCH_SIZE):
            batch = samples[start : start + BATCH_SIZE]
            rows += _evaluate_batch(predictor, batch, task, distort, gather, gate)
            bar.update(len(batch))
    return rows


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
            row = _score(task, next(outputs), sample, frame.letterbox, gather)
            rows.append(row if gate is None else _gated(row, gate, frame.image))
        else:
            rows.append(_failed(sample, frame))
    return rows


def _frame_or_error(
    sample: Sample, input_shape: tuple[int, int, int], distort: Distortion | None
) -> Frame | Exception:
    try:
        return Frame.read(sample.image_path, input_shape, distort)
    except (FetalTFError, OSError) as error:
        return error


def _score(
    task: Task,
    probabilities: np.ndarray,
    sample: Sample,
    letterbox: Letterbox,
    gather: Gathered | None,
) -> Row:
    if not np.isfinite(probabilities).all():
        return _failed(sample, "the model's output holds NaN or infinity")
    if sample.negative:
        return _answer(task, probabilities, sample, letterbox)
    try:
        return {**task.evaluate(probabilities, sample, letterbox, gather), "error": ""}
    except (FetalTFError, OSError) as error:  # a broken annotation is read only here
        return _failed(sample, error)


def _answer(task: Task, probabilities: np.ndarray, sample: Sample, letterbox: Letterbox) -> Row:
    """What was said of a frame in which there is nothing to compare with."""
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
    """The row with the gate's flag first and its score; one that failed as it is."""
    if row["error"]:
        return row
    plane = gate.judge(image)
    flags = "; ".join([*plane.flags, *filter(None, [str(row.get("flags") or "")])])
    return {**row, "flags": flags, "plane_score": plane.plane_score}


def _failed(sample: Sample, reason: object) -> Row:
    """The folder is cut off: results are passed on, and its path belongs to one machine."""
    text = " ".join(str(reason).split()).replace(f"{sample.image_path.parent}{os.sep}", "")
    return {"id": sample.id, "group": sample.group, "error": text}


def worst_rows(rows: Iterable[Row], task: Task, count: int = 12) -> list[Row]:
    """The scored rows to look at first: refused ones, then by measurement error, then by overlap.

    Failed rows are left out: there is nothing to draw.
    """
    overlap, error = task.headline[0], task.headline[-1]

    def place(row: Row) -> tuple[float, float, float]:
        miss, hit = finite(row.get(error)), finite(row.get(overlap))
        return (
            0.0 if row.get("refused") else 1.0,
            math.inf if miss is None else -abs(miss),
            math.inf if hit is None else hit,
        )

    return sorted((row for row in rows if not row.get("error")), key=place)[:count]


def draw_rows(
    predictor: Predictor,
    samples: Iterable[Sample],
    task: Task,
    rows: Sequence[Row],
    average: Average | None = None,
) -> list[np.ndarray]:
    """Predict the samples of `rows` once more and draw truth and prediction, RGB uint8 [H, W, 3].

    A dozen second predictions cost less than keeping a thousand probability maps in memory.
    """
    predictor = _prepared(predictor, task, average)
    by_id = {sample.id: sample for sample in samples}
    overlays = []
    for row in rows:
        sample = by_id[str(row["id"])]
        frame = Frame.read(sample.image_path, predictor.input_shape)
        probabilities = predictor.predict(frame.pixels[None])[0]
        overlays.append(task.draw(frame.image, probabilities, frame.letterbox, sample))
    return overlays


def summarise_rows(
    rows: Sequence[Row], task: Task, seed: int = 0, gather: Gathered | None = None
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
    scored = [row for row in rows if not row.get("error")]
    measured = [row for row in scored if not row.get("refused")]
    unflagged = [row for row in measured if not row.get("flags")]
    pooled = {name: levels.summary(seed) for name, levels in (gather or {}).items()}
    return {
        "images": {
            "n": len(rows),
            "measured": len(measured),
            "flagged": len(measured) - len(unflagged),
            "refused": len(scored) - len(measured),
            "failed": len(rows) - len(scored),
        },
        "groups": len({row["group"] for row in rows}),
        "metrics": _summarise_columns(scored, task.metric_names, seed),
        "metrics_unflagged": _summarise_columns(unflagged, task.metric_names, seed),
        "flags": count_codes(row.get("flags") for row in scored),
        "refusals": count_codes(row.get("refused") for row in scored),
        "bootstrap": {"seed": seed, "resamples": BOOTSTRAP_RESAMPLES, "resampled": "groups"},
        **({"pixels": pooled} if pooled else {}),
        **task.summarise(scored, seed),
    }


def _summarise_columns(rows: Sequence[Row], names: Iterable[str], seed: int) -> dict[str, Any]:
    groups = [str(row["group"]) for row in rows]
    return {
        name: summarise([finite(row.get(name)) for row in rows], seed, groups) for name in names
    }


def write_evaluation(
    out: Path,
    rows: Sequence[Row],
    summary: Mapping[str, Any],
    evaluated: Evaluated,
    tables: Mapping[str, Sequence[Row]],
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
