"""Measured quantities with an expert's value, whose uncertainty can therefore be judged."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fetal_tf.edge.geometry.landmarks import AXES, LANDMARKS, swapped_ends

LANDMARK_POINTS = "landmarks_px"
_UNITS = ("mm", "mm2", "px", "percent")  # of lengths, areas and shares; not of directions
_TRUE = "true_"  # in front of a structure's feature: what the expert's mask says
Record = Mapping[str, float | str | None]


@dataclass(frozen=True)
class Uncertain:
    """A measured quantity with an error: a number, or the place of one or several points.

    Attributes:
        name: with its unit, `hc_mm`, `ofd_1_px`.
        columns: of a measurement's record; for points x and y in turn.
        is_place: whether they are the coordinates of points.
    """

    name: str
    columns: tuple[str, ...]
    is_place: bool = False

    def column(self, what: str) -> str:
        """A column's name: `hc_mm` → `hc_WHAT_mm`."""
        stem, _, unit = self.name.rpartition("_")
        return f"{stem}_{what}_{unit}"

    def spread(self, records: Sequence[Record]) -> float | None:
        """Spread of several measurements of one image; None for fewer than two.

        A number's standard deviation (n - 1); for points the root mean square distance to their
        mean. The ends of an axis must be named alike, see `consistent_ends`.
        """
        values = self._values(records)
        if len(values) < 2:
            return None
        if not self.is_place:
            return float(values.std(ddof=1))
        return float(np.sqrt(((values - values.mean(axis=0)) ** 2).sum(axis=-1).mean()))

    def mean(self, records: Sequence[Record]) -> float | None:
        """Mean of a number; None without any, and for places."""
        values = self._values(records)
        return None if self.is_place or not len(values) else float(values.mean())

    def _values(self, records: Sequence[Record]) -> np.ndarray:
        """[n] numbers, or points [n, P, 2], of the records that hold them."""
        rows = [[record.get(name) for name in self.columns] for record in records]
        values = np.array(rows, np.float64).reshape(-1, len(self.columns))
        known = values[np.isfinite(values).all(axis=1)]
        if not self.is_place:
            return known.reshape(-1)
        return known.reshape(-1, len(self.columns) // 2, 2)


def known_quantities(record: Record, row: Mapping[str, object]) -> list[Uncertain]:
    """Quantities of a record (lengths, areas, shares, points) whose truth the row holds."""
    numbers = [
        Uncertain(name, (name,))
        for name in record
        if name.rpartition("_")[2] in _UNITS and truth_column(name, row) is not None
    ]
    points = [
        match[1]
        for name in record
        if (match := re.fullmatch(r"(\w+)_x_px", name)) and f"{match[1]}_error_px" in row
    ]
    places = [Uncertain(f"{n}_px", (f"{n}_x_px", f"{n}_y_px"), True) for n in points]
    if tuple(points) == LANDMARKS:
        columns = tuple(column for place in places for column in place.columns)
        places.insert(0, Uncertain(LANDMARK_POINTS, columns, True))
    return [*places, *numbers]


def truth_column(name: str, row: Mapping[str, object]) -> str | None:
    """The column that holds the expert's value of a number."""
    stem, _, unit = name.rpartition("_")
    return next((c for c in (f"{stem}_true_{unit}", f"{_TRUE}{name}") if c in row), None)


def consistent_ends(records: Sequence[Record]) -> list[Record]:
    """Records in which the ends of each axis are named as in the first record.

    Which end is called the first is a convention: a small turn of an upright axis can swap them.
    """
    columns = [f"{name}_{axis}_px" for name in LANDMARKS for axis in "xy"]
    first: np.ndarray | None = None
    named: list[Record] = []
    for record in records:
        values = [record.get(column) for column in columns]
        if None in values:
            named.append(record)
            continue
        points = np.array(values, np.float64).reshape(len(LANDMARKS), 2)
        first = points if first is None else first
        other = swapped_ends(points)
        for ends in AXES.values():
            if ((other[ends] - first[ends]) ** 2).sum() < ((points[ends] - first[ends]) ** 2).sum():
                points[ends] = other[ends]
        named.append({**record, **dict(zip(columns, points.ravel().tolist(), strict=True))})
    return named


def column_name(method: str) -> str:
    """`mc-dropout` → `mc_dropout`, as columns spell it."""
    return method.replace("-", "_")
