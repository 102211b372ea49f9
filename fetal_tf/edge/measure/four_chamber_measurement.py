"""What was measured in one four-chamber view: two ellipses, their ratios, and as a record."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.letterbox import Letterbox

# Structure → how its measurements are called.
ADJECTIVES: Mapping[str, str] = {"heart": "cardiac", "thorax": "thoracic"}


@dataclass(frozen=True)
class FourChamberMeasurement:
    """The outlines of heart and thorax, or the reason why one of them is missing.

    A cardiothoracic ratio (CTR) always says by what: diameters, areas and circumferences give
    three different numbers.

    Attributes:
        heart: its outline, in pixels of the original image; None where there is none.
        thorax: the same of the thorax; None also for a network that only knows the heart.
        mm_per_pixel: as given; without it nothing is in mm, and the ratios are the same.
        fit_residual_percent: by structure, distance of the contour to the ellipse, in per cent
            of its mean radius.
        fit_iou: by structure, overlap of the mask and the ellipse, 0..1.
        expected_error_percent: of the ratio of the diameters, in points, see `edge.confidence`;
            None where no error model was fitted.
        error_features: what that looks at; empty where there is no ratio.
        flags: reasons to look again, each "code: sentence".
        notes: what a reader of the numbers should know; no reason to doubt the masks.
        refused: "no_thorax: sentence", "no_heart: sentence" or both: then there is no ratio, and
            the outline that was found stands alone.
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
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str | None = None
    probabilities: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    letterbox: Letterbox | None = field(default=None, repr=False, compare=False)

    @property
    def ctr_diameter_percent(self) -> float | None:
        """100 · cardiac minor axis / thoracic minor axis, FOCUS' official ratio."""
        if self.heart is None or self.thorax is None:
            return None
        return 100 * self.heart.semi_minor / self.thorax.semi_minor

    @property
    def ctr_area_percent(self) -> float | None:
        """100 · area of the heart's ellipse / area of the thorax' ellipse."""
        if self.heart is None or self.thorax is None:
            return None
        return 100 * self.heart.area / self.thorax.area

    @property
    def ctr_circumference_percent(self) -> float | None:
        """100 · cardiac circumference / thoracic circumference, both Ramanujan's second."""
        if self.heart is None or self.thorax is None:
            return None
        return 100 * self.heart.perimeter / self.thorax.perimeter

    def headline(self) -> str:
        """The three ratios, or the axes of a heart that has no thorax; empty where refused."""
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
        """Long and short axis of heart or thorax with their unit; empty where it is missing."""
        ellipse = self.ellipse(structure)
        if ellipse is None:
            return ""
        major_px, minor_px = 2 * ellipse.semi_major, 2 * ellipse.semi_minor
        if self.mm_per_pixel is None:
            return f"{major_px:.0f} x {minor_px:.0f} px"
        return f"{major_px * self.mm_per_pixel:.1f} x {minor_px * self.mm_per_pixel:.1f} mm"

    def ellipse(self, structure: str) -> Ellipse | None:
        """Of heart or thorax."""
        return {"heart": self.heart, "thorax": self.thorax}[structure]

    def as_record(self) -> dict[str, float | str | None]:
        """Flat row for CSV and JSON: always the same keys, units in the names, None = unknown."""
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
        ellipse, adjective, mm = self.ellipse(structure), ADJECTIVES[structure], self.mm_per_pixel
        sizes_px = {
            "major_axis": None if ellipse is None else 2 * ellipse.semi_major,
            "minor_axis": None if ellipse is None else 2 * ellipse.semi_minor,
            "circumference": None if ellipse is None else ellipse.perimeter,
        }
        area_px2 = None if ellipse is None else ellipse.area
        record: dict[str, float | str | None] = {}
        for name, px in sizes_px.items():
            record[f"{adjective}_{name}_mm"] = None if px is None or mm is None else px * mm
        record[f"{adjective}_area_mm2"] = (
            None if area_px2 is None or mm is None else area_px2 * mm**2
        )
        for name, px in sizes_px.items():
            record[f"{adjective}_{name}_px"] = px
        return record | {f"{adjective}_area_px2": area_px2}

    def _place_and_fit(self, structure: str) -> dict[str, float | str | None]:
        ellipse, adjective = self.ellipse(structure), ADJECTIVES[structure]
        return {
            f"{adjective}_center_x_px": None if ellipse is None else ellipse.center_x,
            f"{adjective}_center_y_px": None if ellipse is None else ellipse.center_y,
            f"{adjective}_angle_deg": None if ellipse is None else ellipse.angle_deg,
            f"{adjective}_fit_residual_percent": self.fit_residual_percent.get(structure),
            f"{adjective}_fit_iou": self.fit_iou.get(structure),
        }
