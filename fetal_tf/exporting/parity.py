"""Compare the measurements of a file with those of the float model, image by image.

The same evaluation runs over Keras and over each file. Every numeric column of its rows gives four
deltas (file minus Keras, paired by image), named after the column with the unit last:

    dice   → dice_delta_mean, dice_abs_delta_mean, dice_abs_delta_p95, dice_abs_delta_max
    hc_mm  → hc_delta_mean_mm, hc_abs_delta_mean_mm, hc_abs_delta_p95_mm, hc_abs_delta_max_mm

What a task pools over all images has one delta, `pooled_csp_dice` → `pooled_csp_dice_delta`. Beside
them stand `probability_abs_delta_max` and `_mean` (over a few frames) and `unpaired_share`:
the share of images that exactly one of the two could measure, the other having refused or failed.
Such an image has no delta, so a format that refuses the hard cases would otherwise look better.

A limit fails where the delta is larger in magnitude. It also fails where there is no delta: what
was not measured is not proven.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.config.registry import nearest
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.flag import flag_codes
from fetal_tf.exporting.formats import Format
from fetal_tf.scores.columns import UNITS, Column, ParityLimits, Precision
from fetal_tf.scores.rows import numbers
from fetal_tf.scores.wording import metric_label

_NOT_MEASURABLE = "not measurable (no image gave both values; choose another export.parity_split)"
KINDS = {  # of deltas over the images, with words for tables
    "delta_mean": "mean Δ",
    "abs_delta_mean": "mean |Δ|",
    "abs_delta_p95": "95th percentile of |Δ|",
    "abs_delta_max": "largest |Δ|",
}
SHARED = {  # by every task
    "unpaired_share": "measured by one of the two",
    "probability_abs_delta_max": "output, largest |Δ|",
    "probability_abs_delta_mean": "output, mean |Δ|",
}
_POOLED = re.compile(r"pooled_(\w+)_delta")
# Held for every format unless the config says otherwise: float arithmetic must refuse the very
# same images; rounding to 8 bit may tip one image in a hundred over a threshold of the measurer.
UNPAIRED_LIMITS: Mapping[Precision, float] = {"full": 0.0, "half": 0.0, "quantized": 0.01}


@dataclass(frozen=True)
class Check:
    """One limit and what was found; `value` is None where nothing could be measured."""

    metric: str
    limit: float
    value: float | None

    @property
    def passed(self) -> bool:
        return self.value is not None and abs(self.value) <= self.limit


@dataclass(frozen=True)
class Parity:
    """One format against Keras.

    Attributes:
        format: the format's name.
        images: how many were compared.
        unpaired: ids of the images that exactly one of the two measured.
        flags_differ: how many images carry other quality flags than under Keras.
        deltas: delta name → value, None where no image gave both numbers.
        worst: column → ids and deltas of the three images that differ most, of limited columns.
        checks: the limits, judged.
    """

    format: str
    images: int
    unpaired: list[str]
    flags_differ: int
    deltas: dict[str, float | None]
    worst: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> list[str]:
        """One line per broken limit: format, metric, value, limit."""
        return [
            f"{self.format}: {c.metric} is "
            f"{_NOT_MEASURABLE if c.value is None else f'{c.value:.4g}'}, limit {c.limit:g}"
            for c in self.checks
            if not c.passed
        ]

    def as_record(self) -> dict[str, Any]:
        """For parity.json."""
        checks = [{**asdict(c), "passed": c.passed} for c in self.checks]
        return {**asdict(self), "passed": self.passed, "checks": checks}


def compare(
    name: str,
    reference: pd.DataFrame,
    rows: pd.DataFrame,
    probability_deltas: np.ndarray,
    limits: Mapping[str, float],
    columns: Mapping[str, Column],
    pooled: Callable[[pd.DataFrame], Mapping[str, float | None]] = lambda rows: {},
) -> Parity:
    """Pair the rows of one format with Keras' and judge them.

    Args:
        name: the format.
        reference: Keras' rows, one per image.
        rows: the format's rows of the same images in the same order.
        probability_deltas: absolute differences of the outputs on some frames, any shape.
        limits: delta name → limit.
        columns: of the task; those that are compared give a delta.
        pooled: figures over all rows together, see `Task.pooled`.

    Raises:
        ValueError: rows of other images.
    """
    if list(reference["id"]) != list(rows["id"]):
        raise ValueError(f"{name}: rows are not of the same images as the reference's")
    deltas: dict[str, float | None] = {}
    worst: dict[str, list[dict[str, Any]]] = {}
    ids = rows["id"].to_numpy()
    for column in compared_columns(columns, {*reference, *rows}):
        differences = numbers(rows, column) - numbers(reference, column)
        paired = np.isfinite(differences)
        found = _statistics(column, differences[paired])
        deltas |= found
        if found.keys() & limits.keys():
            order = np.argsort(-np.abs(differences), kind="stable")[: min(3, paired.sum())]
            worst[column] = [{"id": ids[i], "delta": float(differences[i])} for i in order]
    unpaired = list(ids[(_usable(reference) != _usable(rows)).to_numpy()])
    before, after = pooled(reference), pooled(rows)
    for metric in before.keys() | after.keys():
        first, second = before.get(metric), after.get(metric)
        deltas[f"pooled_{metric}_delta"] = (
            None if first is None or second is None else second - first
        )
    deltas["unpaired_share"] = len(unpaired) / len(rows) if len(rows) else None
    deltas["probability_abs_delta_max"] = _finite(probability_deltas.max())
    deltas["probability_abs_delta_mean"] = _finite(probability_deltas.mean())
    return Parity(
        format=name,
        images=len(rows),
        unpaired=unpaired,
        flags_differ=int((_flags(reference) != _flags(rows)).sum()),
        deltas=deltas,
        worst=worst,
        checks=[Check(metric, limit, deltas.get(metric)) for metric, limit in limits.items()],
    )


def limits_for(
    form: Format,
    task_limits: ParityLimits,
    config_limits: Mapping[str, Mapping[str, float]],
) -> dict[str, float]:
    """The task's limits for one format, with the config's laid over them."""
    of_task = task_limits.get(form.precision, {})
    unpaired = UNPAIRED_LIMITS[form.precision]
    return {"unpaired_share": unpaired, **of_task, **config_limits.get(form.name, {})}


def check_limit_names(
    config_limits: Mapping[str, Mapping[str, float]],
    formats: Iterable[str],
    columns: Mapping[str, Column],
) -> None:
    """Check the names in `export.parity_limits`, before any long work.

    What a task pools is known only afterwards: any `pooled_NAME_delta` is accepted here, and fails
    as not measurable if nothing of that name is pooled.

    Raises:
        ConfigError: an unknown format, or a name that no compared column of the task gives.
    """
    known_formats = list(formats)
    compared = [name for name, column in columns.items() if column.compared]
    known = [*SHARED, *(delta_name(name, kind) for name in compared for kind in KINDS)]
    for name, limits in config_limits.items():
        if name not in known_formats:
            raise ConfigError(
                f"export.parity_limits.{name}: unknown format{nearest(name, known_formats)}; "
                f"allowed: {', '.join(known_formats)}"
            )
        for metric in limits:
            if metric not in known and not _POOLED.fullmatch(metric):
                raise ConfigError(
                    f"export.parity_limits.{name}.{metric}: not a delta{nearest(metric, known)}; "
                    f"write a column of the task with {', '.join(KINDS)} and its unit last, as in "
                    f"hc_abs_delta_mean_mm; its columns: {', '.join(compared)}"
                )


def compared_columns(columns: Mapping[str, Column], held: Iterable[str]) -> list[str]:
    """The columns that the task wants compared and that the rows hold."""
    return [name for name, column in columns.items() if column.compared and name in held]


def delta_label(delta: str, columns: Mapping[str, Column]) -> str:
    """A delta as people write it: `hc_abs_delta_mean_mm` → `HC (mm), mean |Δ|`."""
    if delta in SHARED:
        return SHARED[delta]
    if pooled := _POOLED.fullmatch(delta):
        return f"{metric_label(pooled[1])}, pooled, Δ"
    found = ((name, kind) for name in columns for kind in KINDS if delta_name(name, kind) == delta)
    name, kind = next(found, (delta, ""))
    return f"{metric_label(name)}, {KINDS[kind]}" if kind else delta


def delta_name(column: str, kind: str) -> str:
    """`("hc_mm", "abs_delta_mean")` → `hc_abs_delta_mean_mm`."""
    stem, _, last = column.rpartition("_")
    return f"{stem}_{kind}_{last}" if stem and last in UNITS else f"{column}_{kind}"


def _statistics(column: str, deltas: np.ndarray) -> dict[str, float | None]:
    names = [delta_name(column, kind) for kind in KINDS]
    if not len(deltas):
        return dict.fromkeys(names)
    size = np.abs(deltas)
    values = (np.mean(deltas), size.mean(), np.percentile(size, 95), size.max())
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _finite(value: np.floating) -> float | None:
    return float(value) if np.isfinite(value) else None


def _usable(rows: pd.DataFrame) -> pd.Series:
    return (rows["refused"] == "") & (rows["error"] == "")


def _flags(rows: pd.DataFrame) -> pd.Series:
    return rows["flags"].map(lambda text: frozenset(flag_codes(text)))
