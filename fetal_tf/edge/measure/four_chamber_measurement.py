"""The measurement of one four-chamber view: two ellipses, their ratios, flags."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from fetal_tf.edge.flag import Flag, in_words
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.letterbox import Letterbox

# Column with {} for the unit → power of the unit, and the size in pixels.
_SIZES: Mapping[str, tuple[int, Callable[[Ellipse], float]]] = {
    "major_axis_{}": (1, lambda ellipse: 2 * ellipse.semi_major),
    "minor_axis_{}": (1, lambda ellipse: 2 * ellipse.semi_minor),
    "circumference_{}": (1, lambda ellipse: ellipse.perimeter),
    "area_{}2": (2, lambda ellipse: ellipse.area),
}
# Structure → adjective in the names of its columns.
ADJECTIVES: Mapping[str, str] = {"heart": "cardiac", "thorax": "thoracic"}


@dataclass(frozen=True, repr=False)
class FourChamberMeasurement:
    """The outlines of heart and thorax, or the reason why one of them is missing.

    The cardiothoracic ratio (CTR) of diameters, areas and circumferences are three different
    numbers, so each names what it is a ratio of.

    Attributes:
        heart: its outline, in pixels of the original image; None where there is none.
        thorax: its outline; None also for a network that only knows the heart.
        mm_per_pixel: as given; without it nothing is in mm. The ratios do not need it.
        fit_residual_percent: by structure, distance of the contour to the ellipse, in per cent
            of its mean radius.
        fit_iou: by structure, IoU of the mask and the ellipse, 0..1.
        expected_error_percent: of the ratio of the diameters, in points, see
            `fetal_tf.edge.measure.confidence`; None without an error model.
        error_features: input of the error model; empty where there is no ratio.
        flags: reasons to look again.
        notes: remarks that are no reason to doubt the masks.
        refused: "no_thorax: sentence", "no_heart: sentence" or both: then there is no ratio, only
            the outline that was found.
        probabilities: by structure, the map (h, w) that was measured, for drawing.
        letterbox: their geometry, for drawing.
    """

    heart: Ellipse | None = None
    thorax: Ellipse | None = None
    mm_per_pixel: float | None = None
    fit_residual_percent: Mapping[str, float] = field(default_factory=dict)
    fit_iou: Mapping[str, float] = field(default_factory=dict)
    expected_error_percent: float | None = None
    error_features: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    notes: tuple[Flag, ...] = ()
    refused: str | None = None
    probabilities: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    letterbox: Letterbox | None = field(default=None, repr=False, compare=False)

    @property
    def ctr_diameter_percent(self) -> float | None:
        """100 · cardiac minor axis / thoracic minor axis, FOCUS' official ratio."""
        return self._ratio_percent("semi_minor")

    @property
    def ctr_area_percent(self) -> float | None:
        """100 · area of the heart's ellipse / area of the thorax' ellipse."""
        return self._ratio_percent("area")

    @property
    def ctr_circumference_percent(self) -> float | None:
        """100 · cardiac circumference / thoracic circumference (Ramanujan's second formula)."""
        return self._ratio_percent("perimeter")

    def _ratio_percent(self, size: str) -> float | None:
        if self.heart is None or self.thorax is None:
            return None
        return 100 * getattr(self.heart, size) / getattr(self.thorax, size)

    def __repr__(self) -> str:
        return in_words(self, self.headline())

    def headline(self) -> str:
        """The three ratios, or the axes of a heart without a thorax; empty where refused."""
        if self.refused:
            return ""
        parts = [
            f"{ratio_percent:.1f} % ({kind})"
            for kind, ratio_percent in (
                ("diameter", self.ctr_diameter_percent),
                ("area", self.ctr_area_percent),
                ("circumference", self.ctr_circumference_percent),
            )
            if ratio_percent is not None
        ]
        if parts:
            return f"CTR {', '.join(parts)}"
        return "" if self.heart is None else f"heart {self.axes('heart')}"

    def axes(self, structure: str) -> str:
        """Long and short axis of a structure with their unit; empty where it is missing."""
        ellipse = self.ellipse(structure)
        if ellipse is None:
            return ""
        major_px, minor_px = 2 * ellipse.semi_major, 2 * ellipse.semi_minor
        if self.mm_per_pixel is None:
            return f"{major_px:.0f} x {minor_px:.0f} px"
        return f"{major_px * self.mm_per_pixel:.1f} x {minor_px * self.mm_per_pixel:.1f} mm"

    def ellipse(self, structure: str) -> Ellipse | None:
        """The outline of `heart` or `thorax`."""
        return {"heart": self.heart, "thorax": self.thorax}[structure]

    def as_record(self) -> dict[str, float | str | None]:
        """Flat row for CSV and JSON: fixed keys, units in the names, None = unknown."""
        record: dict[str, float | str | None] = {
            "ctr_diameter_percent": self.ctr_diameter_percent,
            "ctr_area_percent": self.ctr_area_percent,
            "ctr_circumference_percent": self.ctr_circumference_percent,
            "ctr_diameter_expected_error_percent": self.expected_error_percent,
        }
        for structure in ADJECTIVES:
            record |= self._sizes(structure)
        record["mm_per_pixel"] = self.mm_per_pixel
        for structure in ADJECTIVES:
            record |= self._place_and_fit(structure)
        return record | {
            "flags": "; ".join(self.flags),
            "notes": "; ".join(self.notes),
            "refused": self.refused or "",
        }

    def _sizes(self, structure: str) -> dict[str, float | str | None]:
        ellipse, adjective = self.ellipse(structure), ADJECTIVES[structure]
        record: dict[str, float | str | None] = {}
        for unit, scale in (("mm", self.mm_per_pixel), ("px", 1.0)):
            for name, (power, size) in _SIZES.items():
                record[f"{adjective}_{name.format(unit)}"] = (
                    None if ellipse is None or scale is None else size(ellipse) * scale**power
                )
        return record

    def _place_and_fit(self, structure: str) -> dict[str, float | str | None]:
        ellipse, adjective = self.ellipse(structure), ADJECTIVES[structure]
        return {
            f"{adjective}_center_x_px": None if ellipse is None else ellipse.center_x,
            f"{adjective}_center_y_px": None if ellipse is None else ellipse.center_y,
            f"{adjective}_angle_deg": None if ellipse is None else ellipse.angle_deg,
            f"{adjective}_fit_residual_percent": self.fit_residual_percent.get(structure),
            f"{adjective}_fit_iou": self.fit_iou.get(structure),
        }
