"""A run's rows on some images: read from its last evaluation if that fits, else made now."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fetal_tf.config.tree import PublishedConfig
from fetal_tf.data.mixture import source_and_id
from fetal_tf.edge.bundle.bundle import resolve_bundle
from fetal_tf.edge.bundle.gate import gate_name
from fetal_tf.edge.errors import DataError
from fetal_tf.evaluation.evaluate import (
    SUMMARY_SCHEMA,
    check_any_scored,
    evaluate_samples,
    summarise_rows,
)
from fetal_tf.evaluation.provenance import dataset_name, describe, fingerprint
from fetal_tf.evaluation.target import EvaluationTarget, open_target
from fetal_tf.scores.rows import read_rows
from fetal_tf.tasks.task import Task


@dataclass(frozen=True)
class Judged:
    """A run or bundle with a row per image, and what they say together.

    Attributes:
        label: what to call it.
        evaluated: what was evaluated, the fields of `fetal_tf.evaluation.provenance.Evaluated`.
        rows: one per image.
        summary: of all rows, see `fetal_tf.evaluation.evaluate.summarise_rows`; only this holds
            what is pooled over pixels.
        published: what the study says that its recipe repeats.
        stored_in: where the rows were read, None where they were made just now.
        seed: of its experiment.
    """

    label: str
    evaluated: Mapping[str, Any]
    rows: pd.DataFrame
    summary: Mapping[str, Any]
    task: Task
    seed: int
    published: PublishedConfig | None
    stored_in: Path | None


def judge(
    label: str, reference: str, format: str | None, split: str, data_root: Path | None
) -> Judged:
    """Rows of a run or bundle on a split; nothing is written.

    Stored rows are taken where they are of the same format, split and data, hold all columns and
    all pooled structures that the task has now, and are not older than the model.

    Raises:
        FetalTFError: what `open_target` and the dataset's reader find wrong.
        DataError: stored results that are damaged, or no image that could be evaluated.
    """
    target = open_target(reference, format)
    task, seed, published = target.task, target.config.seed, target.config.published
    folder = target.default_out(split, data_root=data_root)
    samples = target.samples(split, data_root)
    if not samples:
        raise DataError(f"{data_root or target.config.data.root}: no annotated image found")
    stored = _stored(
        folder, target, reference, split, dataset_name(target, data_root), fingerprint(samples)
    )
    if stored is not None:
        evaluated, rows, summary = stored
        return Judged(label, evaluated, rows, summary, task, seed, published, folder)
    gather = task.gather()
    rows = evaluate_samples(target.predictor, samples, task, progress=True, gather=gather)
    check_any_scored(rows, f"{reference}: ")
    evaluated = asdict(describe(target, samples, split, data_root, None, None))
    summary = summarise_rows(rows, task, seed, gather)
    return Judged(label, evaluated, rows, summary, task, seed, published, None)


def _stored(
    folder: Path,
    target: EvaluationTarget,
    reference: str,
    split: str,
    dataset: str,
    samples_sha256: str,
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, Any]] | None:
    summary_path, rows_path = folder / "summary.json", folder / "per_image.csv"
    if not (summary_path.is_file() and rows_path.is_file()):
        return None
    try:
        summary = json.loads(summary_path.read_text(encoding="utf-8"))
        schema, evaluated = summary["schema"], dict(summary["evaluated"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{summary_path}: cannot be read ({error}); evaluate once more, or remove {folder}"
        ) from error
    expected = {
        "subject": target.name,
        "format": target.format,
        "dataset": dataset,
        "samples_sha256": samples_sha256,
        "split": split,
        "tta": None,
        "gate": gate_name(target.predictor),
    }
    if schema != SUMMARY_SCHEMA or any(evaluated.get(k) != v for k, v in expected.items()):
        return None
    written = min(path.stat().st_mtime_ns for path in (summary_path, rows_path))
    if any(path.stat().st_mtime_ns > written for path in _model_files(target, reference)):
        return None
    rows = read_rows(rows_path)
    mixed = target.config.data.mixed_with
    from_others = any(source_and_id(id, mixed)[0] for id in rows["id"])
    expected_columns = {*target.task.metric_names, *(["source"] if from_others else [])}
    complete = expected_columns <= {*rows} and (
        target.task.gather().keys() <= summary.get("pixels", {}).keys()
    )
    return (evaluated, rows, summary) if complete else None


def _model_files(target: EvaluationTarget, reference: str) -> list[Path]:
    """Files of the model: none of them may be newer than the stored rows."""
    if target.format == "keras" and target.run_path is not None:
        paths = [target.run_path / name for name in ("best.keras", "measurement.json")]
    else:
        paths = [resolve_bundle(reference) / "bundle.json"]
    return [path for path in paths if path.is_file()]
