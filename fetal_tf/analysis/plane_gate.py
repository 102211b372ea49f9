"""How well the plane score separates frames of the plane from others: AUROC and share flagged.

The reconstruction error is judged in the same way, for comparison.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.analysis.distortions import DISTORTIONS
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.evaluation.evaluate import check_any_scored, evaluate_samples
from fetal_tf.scores.detection import auroc, wilson_interval
from fetal_tf.scores.rows import numbers, scored
from fetal_tf.tasks.task import Task

SCORES = ("plane_score", "reconstruction_error")
OWN = "own"


@dataclass(frozen=True)
class FrameSet:
    """Scored frames of one origin.

    Attributes:
        name: `own`, a dataset's name, or `blur 0.005`.
        kind: `own`, `dataset` or `corruption`.
        rows: of the reconstruction task.
    """

    name: str
    kind: str
    rows: pd.DataFrame

    @property
    def scored(self) -> pd.DataFrame:
        """Without the images that could not be evaluated."""
        return scored(self.rows)

    def flagged(self) -> tuple[int, int]:
        """The number of flagged images, and that of all scored ones."""
        return int((self.scored["flags"] != "").sum()), len(self.scored)

    def lines(self) -> pd.DataFrame:
        """Rows of gate.csv."""
        columns = ["set", "kind", "id", *SCORES, "flags", "error"]
        return self.rows.assign(set=self.name, kind=self.kind).reindex(columns=columns)


def own_frames(
    predictor: Predictor, samples: Sequence[Sample], task: Task, *, progress: bool = False
) -> FrameSet:
    """Score the plane's own images.

    Raises:
        DataError: not one of them has a plane score.
    """
    own = FrameSet(OWN, OWN, evaluate_samples(predictor, samples, task, progress=progress))
    check_any_scored(own.rows)
    if np.isnan(numbers(own.scored, "plane_score")).all():
        raise DataError(
            "no plane score: the run has no threshold for its best.keras; "
            "`python -m export RUN` fits it, from at least 20 validation images"
        )
    return own


def other_frames(
    name: str,
    predictor: Predictor,
    samples: Sequence[Sample],
    task: Task,
    *,
    progress: bool = False,
) -> FrameSet:
    """Score the images of another dataset."""
    rows = evaluate_samples(predictor, samples, task, progress=progress)
    return FrameSet(name, "dataset", rows)


def corrupted_frames(
    predictor: Predictor, samples: Sequence[Sample], task: Task, *, progress: bool = False
) -> Iterator[FrameSet]:
    """Score the plane's own images under every distortion at every level."""
    for name, distortion in DISTORTIONS.items():
        for level in distortion.levels:
            distort = distortion.at(level)
            rows = evaluate_samples(predictor, samples, task, progress=progress, distort=distort)
            yield FrameSet(f"{name} {level:g}", "corruption", rows)


def judged(own: FrameSet, other: FrameSet, seed: int) -> dict[str, Any]:
    """Judge how well each score separates `other` from `own`.

    Returns:
        `set`, `kind`, `n`, `flagged`, `flagged_share` with its Wilson interval `flagged_ci95`, and
        by score the AUROC of `other` against `own` (see `fetal_tf.scores.detection.auroc`; whole
        patients are drawn: a corrupted frame is of the same patient as its original).
    """
    flagged, count = other.flagged()
    return {
        "set": other.name,
        "kind": other.kind,
        "n": count,
        "flagged": flagged,
        "flagged_share": flagged / count if count else None,
        "flagged_ci95": wilson_interval(flagged, count),
        **{name: _auroc(own, other, name, seed) for name in SCORES},
    }


def _auroc(own: FrameSet, other: FrameSet, score: str, seed: int) -> dict[str, Any]:
    # Two datasets may give their patients the same numbers.
    prefix = "" if other.kind == "corruption" else f"{other.name}/"
    groups = [*own.scored["group"], *(prefix + other.scored["group"])]
    values = np.concatenate([numbers(frames.scored, score) for frames in (own, other)])
    return auroc(values, np.arange(len(values)) >= len(own.scored), groups, seed)


def study_record(
    own: FrameSet,
    others: Sequence[FrameSet],
    settings: Mapping[str, Any],
    seed: int,
    fitted_here: bool,
) -> dict[str, Any]:
    """The content of gate.json, without `evaluated`.

    Args:
        own: the plane's own images.
        others: all other sets.
        settings: of the run's measurer.
        seed: of the bootstrap.
        fitted_here: whether the reference was fitted to these images, so that figures are too good.
    """
    flagged, count = own.flagged()
    return {
        "threshold": {key: settings.get(key) for key in ("false_alarm_rate", "n")},
        "reference_fitted_to_these_images": fitted_here,
        "own": {
            "n": count,
            "flagged": flagged,
            "flagged_share": flagged / count,
            "flagged_ci95": wilson_interval(flagged, count),
        },
        "sets": [judged(own, other, seed) for other in others],
    }
