"""Evaluate Keras and every file of a bundle on the same images, and compare them."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.data.sample import Sample
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.evaluation.evaluate import check_any_scored, evaluate_samples, summarise_rows
from fetal_tf.evaluation.negatives import negatives_section
from fetal_tf.exporting.formats import FORMATS
from fetal_tf.exporting.int8_ranges import read_frames
from fetal_tf.exporting.parity import Parity, compare, limits_for
from fetal_tf.tasks.task import Task

SCHEMA = 1
PROBE_IMAGES = 16


@dataclass(frozen=True)
class Comparison:
    """Every format against Keras.

    Attributes:
        split: val or test.
        images: how many images were compared.
        reference: the summary of Keras, see `summarise_rows`.
        parities: format → its deltas and verdict.
        measured: format → its own summary.
        probes: a few of the images, readable ones.
    """

    split: str
    images: int
    reference: dict[str, Any]
    parities: dict[str, Parity]
    measured: dict[str, dict[str, Any]]
    probes: list[Sample]

    @property
    def failures(self) -> list[str]:
        return [line for parity in self.parities.values() for line in parity.failures]

    def as_record(self) -> dict[str, Any]:
        """The tree of parity.json."""
        return {
            "schema": SCHEMA,
            "passed": not self.failures,
            "failures": self.failures,
            "split": self.split,
            "images": self.images,
            "keras": self.reference,
            "formats": {
                name: {**parity.as_record(), "measured": self.measured[name]}
                for name, parity in self.parities.items()
            },
        }


def compare_files(
    keras_predictor: Predictor,
    files: Mapping[str, Path],
    samples: Sequence[Sample],
    task: Task,
    *,
    negatives: Sequence[Sample] = (),
    split: str,
    config_limits: Mapping[str, Mapping[str, float]],
    seed: int,
) -> Comparison:
    """Evaluate Keras and the files that ship on the same images; hold the files to their limits.

    Args:
        keras_predictor: the float model.
        files: format → file.
        samples: the images of `split`.
        task: scores an output.
        negatives: frames of something else, held out. How each net answers to them goes into its
            summary.
        split: val or test, for the record.
        config_limits: format → delta → limit, laid over the task's.
        seed: of the bootstrap.

    Raises:
        DataError: the float model could not evaluate a single image.
    """
    reference = _rows(keras_predictor, samples, task, "keras")
    probes = spread_probes(samples, reference)
    frames = read_frames(probes, keras_predictor.input_shape)
    expected = keras_predictor.predict(frames)
    parities: dict[str, Parity] = {}
    measured: dict[str, dict[str, Any]] = {}
    for name, path in files.items():
        predictor = FORMATS[name].open(path, threads=1)
        rows = _rows(predictor, samples, task, name)
        deltas = np.abs(predictor.predict(frames) - expected)
        limits = limits_for(FORMATS[name], task.parity_limits, config_limits)
        parities[name] = compare(name, reference, rows, deltas, limits, task.columns, task.pooled)
        measured[name] = summarise_rows(rows, task, seed) | _answers(predictor, negatives, task)
    summary = summarise_rows(reference, task, seed) | _answers(keras_predictor, negatives, task)
    return Comparison(split, len(samples), summary, parities, measured, probes)


def spread_probes(
    samples: Sequence[Sample], rows: pd.DataFrame, count: int = PROBE_IMAGES
) -> list[Sample]:
    """Up to `count` samples that could be evaluated, evenly spread over the list.

    Raises:
        DataError: not one could.
    """
    check_any_scored(rows, "parity: ")
    usable = [samples[place] for place in np.flatnonzero(rows["error"] == "").tolist()]
    places = np.linspace(0, len(usable) - 1, min(count, len(usable))).round().astype(int)
    return [usable[place] for place in places]


def _answers(predictor: Predictor, negatives: Sequence[Sample], task: Task) -> dict[str, Any]:
    return negatives_section(evaluate_samples(predictor, negatives, task), negatives, trained_on=0)


def _rows(predictor: Predictor, samples: Sequence[Sample], task: Task, name: str) -> pd.DataFrame:
    print(f"parity   {name:<9}  {len(samples)} images", flush=True)
    return evaluate_samples(predictor, samples, task, progress=sys.stderr.isatty())
