"""Scores of four-chamber views: the official FOCUS score, and the source study's categories."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.scores.columns import figures
from fetal_tf.scores.overlap import overlap_metrics, surface_distances_px
from fetal_tf.scores.rows import numbers

# The dataset's names of our structures.
_OFFICIAL = {"heart": "cardiac", "thorax": "thorax"}
FOCUS_COLUMNS = (
    *figures("focus_cardiac_dice", "focus_thorax_dice", better="higher"),
    *figures("focus_cardiac_hd95_px", "focus_thorax_hd95_px", better="lower"),
    *figures("focus_ctr_agreement", better="higher"),
)
FOCUS_METRICS = tuple(column.name for column in FOCUS_COLUMNS)
MARKS = {"dice": (0.8, 0.7, 0.5), "roc_auc": (0.9, 0.8, 0.7)}


def focus_score(
    predicted: Mapping[str, Ellipse | None],
    truth: Mapping[str, Ellipse],
    shape: tuple[int, int],
) -> dict[str, float | None]:
    """Score the ellipses of one image as the FOCUS dataset does.

    The predicted and the true ellipse of a structure are rasterised in the original frame (pixels
    whose centre lies inside, clipped to the frame), and the two masks compared.

    Args:
        predicted: by structure, `heart` and `thorax`, in pixels of the original image. None: not
            found. A missing key: the model does not know the structure.
        truth: the annotated ellipses, in the same pixels.
        shape: height and width of the original image.

    Returns:
        `focus_cardiac_dice`, `focus_thorax_dice`: Dice, 0..1; 0 for a structure not found.
        `focus_cardiac_hd95_px`, `focus_thorax_hd95_px`: the larger of the two directed 95th
        percentiles of the border distances (see `scores.overlap.surface_distances_px`); None for a
        structure not found, which has no border.
        `focus_ctr_agreement`: 1 - |CTR - CTR_true| / CTR_true, CTR = minor axis of the heart over
        minor axis of the thorax; 0 if one of them was not found. It is not clipped: it is
        below 0 where CTR is more than twice the true one.
        All keys are always there: None if the model does not know a structure, or if it is not
        annotated.

    Raises:
        DataError: an annotated ellipse that covers no pixel of the frame.

    Source: FOCUS, Zenodo 14597550.
    """
    score: dict[str, float | None] = dict.fromkeys(FOCUS_METRICS)
    for structure, official in _OFFICIAL.items():
        if structure not in truth or structure not in predicted:
            continue
        true_mask = rasterise(truth[structure], shape)
        if not true_mask.any():
            raise DataError(
                f"the annotated {structure} {truth[structure]} covers no pixel of the frame, "
                f"{shape[1]}x{shape[0]}: correct the annotation, or leave the image out"
            )
        found = predicted[structure]
        if found is None:
            score[f"focus_{official}_dice"] = 0.0
            continue
        mask = rasterise(found, shape)
        score[f"focus_{official}_dice"] = overlap_metrics(mask, true_mask)["dice"]
        score[f"focus_{official}_hd95_px"] = surface_distances_px(mask, true_mask)["hd95_px"]
    score["focus_ctr_agreement"] = _ctr_agreement(predicted, truth)
    return score


def _ctr_agreement(
    predicted: Mapping[str, Ellipse | None], truth: Mapping[str, Ellipse]
) -> float | None:
    if not all(name in truth and name in predicted for name in _OFFICIAL):
        return None
    heart, thorax = predicted["heart"], predicted["thorax"]
    if heart is None or thorax is None:
        return 0.0
    ctr = heart.semi_minor / thorax.semi_minor
    true = truth["heart"].semi_minor / truth["thorax"].semi_minor
    return 1 - abs(ctr - true) / true


def categories(rows: pd.DataFrame, structure: str) -> dict[str, Any]:
    """The share of images above fixed marks of Dice and ROC AUC, as the source study states them.

    Args:
        rows: one per image, with `STRUCTURE_dice` and `STRUCTURE_roc_auc`.
        structure: `heart` or `thorax`.

    Returns:
        `dice` and `roc_auc`, each mark → share of the images strictly above it, so an image above
        0.8 counts for 0.7 and 0.5 as well; `n`: the images that have both figures. Shares are None
        where none has.
    """
    values = numbers(rows, *(f"{structure}_{metric}" for metric in MARKS))
    known = values[np.isfinite(values).all(axis=1)]
    shares: dict[str, Any] = {
        metric: {str(mark): _share(of_metric > mark) for mark in marks}
        for (metric, marks), of_metric in zip(MARKS.items(), known.T, strict=True)
    }
    return shares | {"n": len(known)}


def _share(above: np.ndarray) -> float | None:
    return float(above.mean()) if len(above) else None
