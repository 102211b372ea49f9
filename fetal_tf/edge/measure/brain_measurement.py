"""The measurement of one frame of a fetal brain: structures, grade, scores, flags."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fetal_tf.edge.flag import Flag, in_words
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure import clinical
from fetal_tf.edge.measure.structures import Features

# Columns of every structure; only the ventricle has a width too.
_RECORDED = (
    "area_px",
    "area_mm2",
    "centroid_x_px",
    "centroid_y_px",
    "bbox_x_px",
    "bbox_y_px",
    "bbox_width_px",
    "bbox_height_px",
    "eccentricity",
    "orientation_deg",
    "solidity",
    "fragments",
)


@dataclass(frozen=True, repr=False)
class BrainMeasurement:
    """Measured brain structures, or the reason why the frame was refused.

    Attributes:
        classes: names of the label map's values: background, brain, then the structures.
        labels: the label map that was measured, uint8 [H, W] of the original frame.
        raw_labels: the label map before cleaning.
        mm_per_pixel: as given; without it nothing is in mm.
        structures: features by class name, without background; `brain` is the parenchyma, without
            the structures inside. None = not seen, or refused.
        shape_z: robust z-score by shape descriptor; empty without a reference.
        shape_score: the largest magnitude in `shape_z`.
        disagreement_score: of the test-time views, 0..1; None for a single view.
        anomaly_score: the larger of both scores in units of its threshold; flagged from 1 on. None
            without thresholds.
        flags: reasons to look again.
        notes: remarks that are no reason to doubt the masks.
        refused: why there is no measurement, with the code no_brain, or None.
        probability: the map [h, w, K] that was measured, for drawing.
        disagreement: the map [h, w] of the views' disagreement, for drawing.
        letterbox: the geometry of both.
    """

    classes: tuple[str, ...]
    labels: np.ndarray = field(repr=False, compare=False)
    raw_labels: np.ndarray = field(repr=False, compare=False)
    mm_per_pixel: float | None
    structures: Mapping[str, Features | None]
    shape_z: Mapping[str, float] = field(default_factory=dict)
    shape_score: float | None = None
    disagreement_score: float | None = None
    anomaly_score: float | None = None
    flags: tuple[Flag, ...] = ()
    notes: tuple[Flag, ...] = ()
    refused: Flag | None = None
    probability: np.ndarray | None = field(default=None, repr=False, compare=False)
    disagreement: np.ndarray | None = field(default=None, repr=False, compare=False)
    letterbox: Letterbox | None = field(default=None, repr=False, compare=False)

    @property
    def ventriculomegaly(self) -> str:
        """none, mild, moderate or severe; empty without a ventricle or a pixel size."""
        ventricle = self.structures.get("lv")
        if ventricle is None or ventricle.width_mm is None:
            return ""
        return clinical.ventriculomegaly_grade(ventricle.width_mm)

    def __repr__(self) -> str:
        return in_words(self, self.headline())

    def headline(self) -> str:
        """Cavum and ventricle in one line; empty where refused."""
        if self.refused:
            return ""
        parts = []
        for name in self.classes[2:] or self.classes[1:]:
            structure, title = self.structures[name], name if name == "brain" else name.upper()
            if structure is None:
                parts.append(f"no {title} seen")
            elif name == "lv":
                parts.append(f"{title} width {self._width(structure)}")
            elif structure.area_mm2 is None:
                parts.append(f"{title} {structure.area_px:.0f} px²")
            else:
                parts.append(f"{title} {structure.area_mm2:.0f} mm²")
        return ", ".join(parts)

    def _width(self, ventricle: Features) -> str:
        if ventricle.width_mm is None:
            return f"{ventricle.width_px:.0f} px"
        grade = self.ventriculomegaly.replace("none", "no")
        return f"{ventricle.width_mm:.1f} mm ({grade} ventriculomegaly)"

    def as_record(self) -> dict[str, float | str | None]:
        """Flat row for CSV and JSON: fixed keys for given classes, units in the names.

        None = unknown: for a structure that is not seen, and for everything where refused.
        """
        record: dict[str, float | str | None] = {}
        for name in self.classes[1:]:
            structure = self.structures[name]
            if name != "brain":
                seen = None if self.refused else float(structure is not None)
                record[f"{name}_present"] = seen
            for key in _RECORDED:
                record[f"{name}_{key}"] = _value(structure, key)
            if name == "lv":
                record["lv_width_px"] = _value(structure, "width_px")
                record["lv_width_mm"] = _value(structure, "width_mm")
                record["ventriculomegaly"] = self.ventriculomegaly
        return record | {
            "shape_score": self.shape_score,
            "disagreement_score": self.disagreement_score,
            "anomaly_score": self.anomaly_score,
            "mm_per_pixel": self.mm_per_pixel,
            "flags": "; ".join(self.flags),
            "notes": "; ".join(self.notes),
            "refused": self.refused or "",
        }


def _value(structure: Features | None, key: str) -> float | None:
    if structure is None:
        return None
    value = getattr(structure, key)
    return None if value is None else float(value)
