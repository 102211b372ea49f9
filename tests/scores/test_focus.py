"""The FOCUS score: perfect for the truth itself, figures by hand for known offsets; categories."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.scores.focus import FOCUS_METRICS, categories, focus_score
from fetal_tf.scores.rows import image_frame

SHAPE = (220, 260)
PERFECT = dict(zip(FOCUS_METRICS, (1.0, 1.0, 0.0, 0.0, 1.0), strict=True))
THORAX = Ellipse(130.0, 110.0, 90.0, 80.0, 30.0)
HEART = Ellipse(120.0, 105.0, 50.0, 36.0, 110.0)
TRUTH = {"thorax": THORAX, "heart": HEART}


def circle(x, y, radius):
    return Ellipse(x, y, radius, radius, 0.0)


def brute_mask(ellipse):
    """Pixel centres inside, by the ellipse's equation in world axes."""
    angle = math.radians(ellipse.angle_deg)
    y, x = np.indices(SHAPE)
    dx, dy = x - ellipse.center_x, y - ellipse.center_y
    along = dx * math.cos(angle) + dy * math.sin(angle)
    across = dy * math.cos(angle) - dx * math.sin(angle)
    return (along / ellipse.semi_major) ** 2 + (across / ellipse.semi_minor) ** 2 <= 1


def brute_hd95(first, second):
    """The larger directed 95th percentile of border distances, by all pairs."""
    points = []
    for mask in (first, second):
        padded = np.pad(mask, 1)
        inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        points.append(np.argwhere(mask & ~inner))
    apart = np.hypot(*np.moveaxis(points[0][:, None] - points[1][None], -1, 0))
    return max(np.percentile(apart.min(axis=1), 95), np.percentile(apart.min(axis=0), 95))


@st.composite
def annotations(draw):
    """A thorax, partly outside the frame now and then, and a heart at its centre."""
    major = draw(st.floats(12, 120))
    thorax = Ellipse(
        draw(st.floats(0, SHAPE[1] - 1)),
        draw(st.floats(0, SHAPE[0] - 1)),
        major,
        major * draw(st.floats(0.4, 1)),
        draw(st.floats(0, 180)),
    )
    scale, angle = draw(st.floats(0.4, 0.9)), draw(st.floats(0, 180))
    minor = thorax.semi_minor * scale
    heart = Ellipse(thorax.center_x, thorax.center_y, minor, minor * 0.7, angle)
    return {"thorax": thorax, "heart": heart}


@settings(max_examples=40)
@given(annotations())
def test_annotations_fed_back_are_perfect(truth):
    assert focus_score(truth, truth, SHAPE) == PERFECT


@settings(max_examples=8)
@given(annotations(), annotations())
def test_score_equals_brute_force(predicted, truth):
    got = focus_score(predicted, truth, SHAPE)
    for structure, official in (("heart", "cardiac"), ("thorax", "thorax")):
        found, true = brute_mask(predicted[structure]), brute_mask(truth[structure])
        dice = 2 * (found & true).sum() / (found.sum() + true.sum())
        assert got[f"focus_{official}_dice"] == pytest.approx(dice, abs=1e-3)
        assert got[f"focus_{official}_hd95_px"] == pytest.approx(brute_hd95(found, true), abs=0.5)


@pytest.mark.parametrize("shift", [3.0, 10.0, 25.0])
def test_a_shifted_circle_has_the_dice_of_a_lens_and_the_distance_of_its_shift(shift):
    radius = 80.0
    # Area that two equal circles share, over the area of one: 2 acos(d/2r) - (d/2r²) √(4r²-d²)
    half = shift / (2 * radius)
    dice = (2 / math.pi) * (math.acos(half) - half * math.sqrt(1 - half**2))
    truth = {"thorax": circle(120, 110, radius)}
    got = focus_score({"thorax": circle(120 + shift, 110, radius)}, truth, SHAPE)
    assert got["focus_thorax_dice"] == pytest.approx(dice, abs=0.005)
    # To a circle around the other centre: |√(r² + d² + 2rd cos t) - r| at the angle t.
    t = np.linspace(0, 2 * np.pi, 10_000)
    far = np.abs(np.sqrt(radius**2 + shift**2 + 2 * radius * shift * np.cos(t)) - radius)
    assert got["focus_thorax_hd95_px"] == pytest.approx(np.percentile(far, 95), abs=0.8)


def test_a_concentric_circle_has_the_dice_and_the_distance_of_the_radii():
    got = focus_score({"heart": circle(100, 90, 48)}, {"heart": circle(100, 90, 60)}, SHAPE)
    assert got["focus_cardiac_dice"] == pytest.approx(2 * 48**2 / (48**2 + 60**2), abs=0.005)
    assert got["focus_cardiac_hd95_px"] == pytest.approx(12, abs=0.8)


@pytest.mark.parametrize(
    ("heart", "thorax", "agreement"),
    [
        (1.1, 1.0, 0.9),
        (0.9, 1.0, 0.9),
        (1.0, 1.25, 0.8),  # 1 / 1.25
        (0.8, 0.8, 1.0),  # both too small by the same share: the ratio is right
        (1.0, 0.5, 0.0),
        (1.2, 0.5, -0.4),  # 2.4 times the true ratio: below zero, and not clipped
    ],
)
def test_ctr_agreement_by_hand(heart, thorax, agreement):
    predicted = {
        "heart": Ellipse(120.0, 105.0, 60.0, 36.0 * heart, 0.0),
        "thorax": Ellipse(0.0, 0.0, 100.0, 80.0 * thorax, 77.0),
    }
    score = focus_score(predicted, TRUTH, SHAPE)
    assert score["focus_ctr_agreement"] == pytest.approx(agreement)


def test_ctr_is_of_the_minor_axes():
    """Major axes may be anything."""
    longer = {"thorax": Ellipse(130, 110, 95, 80, 30), "heart": Ellipse(120, 105, 79, 36, 110)}
    assert focus_score(longer, TRUTH, SHAPE)["focus_ctr_agreement"] == pytest.approx(1)


def test_a_structure_not_found_counts_zero():
    nothing = focus_score({"heart": None, "thorax": None}, TRUTH, SHAPE)
    assert nothing == dict(zip(FOCUS_METRICS, (0.0, 0.0, None, None, 0.0), strict=True))
    for missed in TRUTH:
        score = focus_score({**TRUTH, missed: None}, TRUTH, SHAPE)
        official = "cardiac" if missed == "heart" else "thorax"
        assert score == {
            **PERFECT,
            f"focus_{official}_dice": 0.0,
            f"focus_{official}_hd95_px": None,
            "focus_ctr_agreement": 0.0,
        }


@pytest.mark.parametrize(
    ("predicted", "truth"),
    [({"heart": HEART}, TRUTH), (TRUTH, {"heart": HEART}), ({"heart": HEART}, {"heart": HEART})],
    ids=["model", "annotation", "both"],
)
def test_a_structure_that_nobody_knows_is_not_measured(predicted, truth):
    expected = dict.fromkeys(FOCUS_METRICS) | {"focus_cardiac_dice": 1, "focus_cardiac_hd95_px": 0}
    assert focus_score(predicted, truth, SHAPE) == expected


def test_an_ellipse_outside_the_frame_overlaps_nothing():
    score = focus_score({**TRUTH, "heart": circle(900, 900, 30)}, TRUTH, SHAPE)
    assert score["focus_cardiac_dice"] == 0
    assert score["focus_cardiac_hd95_px"] is None


def test_an_annotation_outside_the_frame_is_an_error():
    with pytest.raises(
        DataError, match=r"annotated heart .* covers no pixel of the frame, 260x220"
    ):
        focus_score(TRUTH, {**TRUTH, "heart": circle(900, 900, 30)}, SHAPE)


def read_line(line):
    """`cx cy a b theta label`; theta is the direction of a, whichever axis is longer."""
    x, y, a, b, theta = map(float, line.split()[:5])
    return Ellipse(x, y, a, b, theta) if a >= b else Ellipse(x, y, b, a, theta + 90)


def test_real_annotations_fed_back(real_data):
    files = sorted((real_data / "focus").glob("*/annfiles_ellipse/*.txt"))
    if not files:
        pytest.skip("no focus/*/annfiles_ellipse in FETAL_TF_DATA")
    for path in files[::10]:
        lines = path.read_text().split("\n")
        truth = {
            "heart" if line.split()[5] == "cardiac" else "thorax": read_line(line)
            for line in lines
            if line
        }
        masks = path.parent.parent / "annfiles_mask"
        mask = cv2.imread(str(masks / f"{path.stem}-cardiac.png"), cv2.IMREAD_GRAYSCALE) > 127
        assert focus_score(truth, truth, mask.shape) == PERFECT, path
        # The masks are what the ellipses draw, 0.4 px larger: that much and no more is lost.
        outline = max(
            cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0],
            key=len,
        )
        (x, y), (a, b), theta = cv2.fitEllipse(outline)
        fitted = {"heart": read_line(f"{x} {y} {a / 2} {b / 2} {theta} cardiac")}
        got = focus_score(fitted, truth, mask.shape)
        assert got["focus_cardiac_dice"] > 0.98 and got["focus_cardiac_hd95_px"] <= 3, path


def rows(pairs):
    return image_frame([{"heart_dice": dice, "heart_roc_auc": area} for dice, area in pairs])


def test_shares_are_above_each_mark_and_nested():
    found = categories(rows([(0.95, 0.99), (0.8, 0.9), (0.71, 0.85), (0.2, 0.5)]), "heart")
    assert found == {
        # 0.8 is not above 0.8, 0.9 not above 0.9
        "dice": {"0.8": 0.25, "0.7": 0.75, "0.5": 0.75},
        "roc_auc": {"0.9": 0.25, "0.8": 0.75, "0.7": 0.75},
        "n": 4,
    }


@pytest.mark.parametrize("gap", [(None, 0.9), (1.0, None), (float("nan"), 0.9)])
def test_images_without_both_figures_are_left_out(gap):
    found = categories(rows([(0.6, 0.95), gap, (None, None)]), "heart")
    assert found["n"] == 1
    assert found["dice"] == {"0.8": 0, "0.7": 0, "0.5": 1}
    assert found["roc_auc"] == {"0.9": 1, "0.8": 1, "0.7": 1}


def test_nothing_scored_is_no_share():
    found = categories(rows([(0.9, 0.9)]), "thorax")
    assert found["n"] == 0
    assert set(found["dice"].values()) == set(found["roc_auc"].values()) == {None}
