"""The model card's words about each measurement: its use, limits, quantities and flags."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from fetal_tf.edge.measure.four_chamber import FourChamberLimits
from fetal_tf.edge.measure.head import HeadLimits
from fetal_tf.edge.measure.landmark_doubts import LandmarkLimits
from fetal_tf.tasks.confidence_fitting import FALSE_ALARM_RATE

HEAD = HeadLimits()  # the limits that the measurers apply, quoted in the texts
CHEST = FourChamberLimits()
ENDS = LandmarkLimits()


@dataclass(frozen=True)
class CardText:
    """The words of one measurement.

    Attributes:
        title: completes "NAME: …".
        does: what goes in and what comes out.
        not_for: what it must not be used for, beside diagnosis.
        quantities: name → meaning.
        flags: code → when it is raised and what to do.
        needs: quantity or flag → the class that a model must have for it to mean anything.
    """

    title: str
    does: str
    not_for: tuple[str, ...]
    quantities: dict[str, str]
    flags: dict[str, str]
    needs: dict[str, str] = field(default_factory=dict)

    def of(self, classes: Collection[str]) -> "CardText":
        """The words that apply to a model of these classes."""

        def kept(texts: dict[str, str]) -> dict[str, str]:
            return {k: v for k, v in texts.items() if self.needs.get(k, "") in ("", *classes)}

        return replace(self, quantities=kept(self.quantities), flags=kept(self.flags))


CARD_TEXTS: dict[str, CardText] = {
    "head": CardText(
        title="fetal head circumference from one ultrasound frame",
        does=(
            "Segments the fetal head in a 2D B-mode frame, fits an ellipse to the border of the "
            "probabilities (sub-pixel 0.5 contour) and measures it: head circumference, biparietal "
            "and occipitofrontal diameter in millimetres, where the pixel size is given. The "
            "ellipse is the caliper line of the training annotations, outer edge to outer edge."
        ),
        not_for=(
            "frames without a standard head plane: the net does not judge the plane",
            "millimetres without a pixel size: they are refused, never guessed",
            "a centile from a gestational age that came out of the same circumference",
        ),
        quantities={
            "hc_mm": "head circumference, perimeter of the ellipse (Ramanujan II)",
            "bpd_mm": "biparietal diameter, minor axis, outer to outer",
            "ofd_mm": "occipitofrontal diameter, major axis, outer to outer",
            "hc_expected_error_percent": (
                "expected absolute error of the circumference, by the fit and by how soft the "
                "border is; right in the mean of the validation images, none where they were too "
                "few"
            ),
        },
        flags={
            "no_head": (
                f"refused: nothing above probability 0.5, less than "
                f"{100 * HEAD.min_area_share:g} % of the image, or no ellipse at all (IoU below "
                f"{HEAD.min_iou:g})"
            ),
            "no_pixel_size": "no pixel size was given: pixels only, no millimetres",
            "touches_border": (
                f"more than {100 * HEAD.max_border_fraction:g} % of the ellipse lies on or beyond "
                "the image's edge and is extrapolated"
            ),
            "poor_ellipse_fit": (
                f"the contour's distance to the ellipse exceeds {HEAD.max_residual_percent:g} % of "
                f"its radius, or their IoU is below {HEAD.good_iou:g}: look at the overlay"
            ),
            "fragmented": "the mask falls into several parts",
            "small_in_frame": (
                f"the head covers less than {100 * HEAD.small_area_share:g} % of the picture, as "
                "in a screenshot: crop it"
            ),
            "implausible_size": (
                f"circumference outside {HEAD.hc_mm[0]:g} to {HEAD.hc_mm[1]:g} mm: check the pixel "
                "size"
            ),
            "unusual_shape": (
                f"cephalic index outside {HEAD.cephalic_index[0]:g} to "
                f"{HEAD.cephalic_index[1]:g}: check the ends of the axes"
            ),
            "uncertain": (
                "the expected error of the circumference is above the bundle's limit, as it was in "
                f"at most {FALSE_ALARM_RATE:.0%} of the validation images: measure by hand, or "
                "take another frame"
            ),
        },
    ),
    "landmarks": CardText(
        title="ends of OFD and BPD of a fetal head from one ultrasound frame",
        does=(
            "Finds the four ends of the occipitofrontal (OFD) and of the biparietal diameter (BPD) "
            "in a 2D B-mode frame and measures between them: OFD and BPD are the distances of "
            "their ends, the head circumference is the perimeter of the ellipse through all four; "
            "in millimetres, where the pixel size is given. Which end of an axis is called the "
            "first follows from where it lies in the frame, not from the anatomy."
        ),
        not_for=(
            "frames without a standard head plane: the net does not judge the plane",
            "millimetres without a pixel size: they are refused, never guessed",
            "telling the frontal from the occipital end",
        ),
        quantities={
            "ofd_mm": "occipitofrontal diameter, distance of its ends",
            "bpd_mm": "biparietal diameter, distance of its ends",
            "hc_mm": "head circumference, perimeter of the ellipse through the four ends",
        },
        flags={
            "no_landmark": (
                f"refused: an end without coordinates, or whose map stays below {ENDS.min_peak:g}"
            ),
            "no_head": (
                "refused: the four ends make no head (outside the image, axes that do not cross or "
                "are confused, or smaller than "
                f"{100 * ENDS.min_area_share:g} % of the image); in mask_disagrees: the mask makes "
                "none"
            ),
            "no_pixel_size": "no pixel size was given: pixels only, no millimetres",
            "weak_peak": f"an end's map stays below {ENDS.good_peak:g}: look where it was put",
            "skewed_axes": (
                f"the axes are more than {ENDS.max_skew_deg:g} degrees from perpendicular"
            ),
            "off_middle": (
                f"an axis is crossed by the other more than {ENDS.max_off_middle_percent:g} % of "
                "its length from its middle"
            ),
            "touches_border": "an end lies at or beyond the image's edge, or the mask does",
            "implausible_size": (
                f"circumference outside {ENDS.hc_mm[0]:g} to {ENDS.hc_mm[1]:g} mm: check the pixel "
                "size"
            ),
            "unusual_shape": (
                f"cephalic index outside {ENDS.cephalic_index[0]:g} to "
                f"{ENDS.cephalic_index[1]:g}: check the ends of the axes"
            ),
            "mask_disagrees": (
                "the net's own mask of the head gives other diameters, by more than "
                f"{ENDS.max_mask_difference_percent:g} %, or no head at all"
            ),
            "poor_ellipse_fit": "the mask is no ellipse: look at the overlay",
            "fragmented": "the mask falls into several parts",
        },
        needs=dict.fromkeys(("mask_disagrees", "poor_ellipse_fit", "fragmented"), "head"),
    ),
    "brain": CardText(
        title="structures of the fetal brain from one trans-thalamic ultrasound frame",
        does=(
            "Labels every pixel of a 2D B-mode frame as background, brain parenchyma, cavum septi "
            "pellucidi (CSP) or, where the model has the class, lateral ventricle (LV), cleans the "
            "label map and measures each structure: area, place, shape, and the width of the "
            "ventricle, the diameter of the largest circle inside it. Areas and widths are in "
            "millimetres where the pixel size is given. An anomaly score that needs no expert "
            "judges how unusual the shapes are beside the training masks, and how far mirrored, "
            "brighter and darker views of the frame disagree."
        ),
        not_for=(
            "frames of another plane: the net does not judge the plane",
            "ruling out an anomaly: a CSP that is not seen is not flagged, since most normal "
            "planes do not show it",
            "millimetres without a pixel size: they are refused, never guessed",
        ),
        quantities={
            "brain_area_mm2": "area of the parenchyma, without the structures inside it",
            "csp_area_mm2": "area of the cavum septi pellucidi",
            "lv_area_mm2": "area of the lateral ventricles, all that are seen",
            "lv_width_mm": "width of the widest ventricle; from 10 mm it is graded",
            "anomaly_score": "1 and more is flagged; calibrated on the validation images",
        },
        flags={
            "no_brain": "refused: no brain found, or a very small one",
            "no_pixel_size": "no pixel size was given: pixels only, no millimetres",
            "touches_border": "the brain's outline lies on the edge of the image",
            "implausible_size": "circumference of the brain out of range: check the pixel size",
            "fragmented": "a structure falls into more parts than it has",
            "off_midline": "the CSP lies far from the midline: look at the overlay",
            "ventriculomegaly": (
                "LV of 10 mm and more: mild to 12, moderate below 15, severe from 15"
            ),
            "unusual_shape": "a shape descriptor far from the training masks; it is named",
            "unstable": "views of the same frame disagree: look at the heatmap",
        },
        needs={
            "csp_area_mm2": "csp",
            "off_midline": "csp",
            "lv_area_mm2": "lv",
            "lv_width_mm": "lv",
            "ventriculomegaly": "lv",
        },
    ),
    "four_chamber": CardText(
        title="heart and thorax of the fetus from one four-chamber view",
        does=(
            "Segments the heart and, where the model has the class, the thorax in a 2D B-mode "
            "frame of the four-chamber view, fits an ellipse to each and gives the cardiothoracic "
            "ratio: of the diameters (minor axes, FOCUS' official ratio), of the areas and of the "
            "circumferences, each under its own name. The heart is measured inside the thorax "
            "only. Ratios need no pixel size; axes, circumferences and areas are in millimetres "
            "where it is given."
        ),
        not_for=(
            "frames of another plane: the net itself does not judge it, only a gate before it does",
            "comparing a ratio of one kind with the normal values of another",
            "systole against diastole: the phase of the heart is not known",
            "millimetres without a pixel size: they are refused, never guessed",
        ),
        quantities={
            "ctr_diameter_percent": "cardiothoracic ratio of the minor axes",
            "ctr_area_percent": "cardiothoracic ratio of the areas",
            "ctr_circumference_percent": "cardiothoracic ratio of the circumferences",
            "ctr_diameter_expected_error_percent": (
                "expected absolute error of the ratio of the minor axes, in percentage points, by "
                "both fits and by how soft the borders are; right in the mean of the validation "
                "images, none where they were too few"
            ),
            "cardiac_circumference_mm": "perimeter of the heart's ellipse (Ramanujan II)",
            "thoracic_circumference_mm": "perimeter of the thorax' ellipse (Ramanujan II)",
        },
        flags={
            "no_heart": "refused: no heart found, a tiny one, no ellipse, or outside the thorax",
            "no_thorax": "refused: no thorax found, a small one, or no ellipse",
            "touches_border": (
                f"more than {100 * CHEST.thorax.max_border_fraction:g} % of the thorax' outline, "
                f"or {100 * CHEST.heart.max_border_fraction:g} % of the heart's, lies on or beyond "
                "the image's edge and is extrapolated"
            ),
            "poor_ellipse_fit": (
                f"the contour's distance to the ellipse exceeds "
                f"{CHEST.thorax.max_residual_percent:g} % of the thorax' radius or "
                f"{CHEST.heart.max_residual_percent:g} % of the heart's, or their IoU is below "
                f"{CHEST.thorax.good_iou:g} or {CHEST.heart.good_iou:g}: look at the overlay"
            ),
            "fragmented": "a mask falls into several parts",
            "heart_outside_thorax": "the heart reaches beyond the thorax: look at both outlines",
            "implausible_ctr": (
                f"ratio of the diameters outside {CHEST.ctr_diameter_percent[0]:g} to "
                f"{CHEST.ctr_diameter_percent[1]:g} %"
            ),
            "unusual_size": (
                "a structure covers an unusual share of the image, or the thoracic circumference "
                f"is outside {CHEST.thoracic_circumference_mm[0]:g} to "
                f"{CHEST.thoracic_circumference_mm[1]:g} mm: check depth and pixel size"
            ),
            "uncertain": (
                "the expected error of the ratio is above the bundle's limit, as it was in at most "
                f"{FALSE_ALARM_RATE:.0%} of the validation images: measure by hand, or take "
                "another frame"
            ),
        },
        needs={
            "ctr_diameter_percent": "thorax",
            "ctr_area_percent": "thorax",
            "ctr_circumference_percent": "thorax",
            "ctr_diameter_expected_error_percent": "thorax",
            "uncertain": "thorax",
            "thoracic_circumference_mm": "thorax",
            "no_thorax": "thorax",
            "heart_outside_thorax": "thorax",
            "implausible_ctr": "thorax",
        },
    ),
    "plane": CardText(
        title="does an ultrasound frame show the plane that was learnt",
        does=(
            "Reconstructs a 2D B-mode frame through a small code and compares the two. How the "
            "reconstruction fails (size, share of fine detail, grain and skewness of the error) is "
            "held against the same figures of the validation images, as a Mahalanobis distance in "
            "units of the one that flags a stated share of them. The reconstruction error alone "
            "does not tell planes apart: a dark or smooth frame is reconstructed well."
        ),
        not_for=(
            "a promise that an unflagged frame shows the plane, or is of good quality",
            "other scanners or presets than those of the validation images, unless measured there",
        ),
        quantities={
            "plane_score": "distance from the plane's own images; 1 and more is flagged",
            "reconstruction_error": "mean squared difference of gray values 0 to 1",
            "ssim": "structural similarity of frame and reconstruction",
        },
        flags={
            "not_four_chamber": (
                "plane score of 1 or more: look whether the frame shows the plane, and how well"
            ),
        },
    ),
}
