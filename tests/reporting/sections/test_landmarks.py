import pytest

from fetal_tf.edge.geometry.landmarks import LANDMARKS
from fetal_tf.reporting.sections.landmarks import landmark_section
from fetal_tf.scores.rows import image_frame
from fetal_tf.scores.wording import metric_label, number
from fetal_tf.tasks.landmark_columns import landmark_columns
from fetal_tf.tasks.landmark_columns import landmark_section as summary_of
from tests.tasks.test_landmarks import SHAPE, TRUTH


def summary(outputs, truths):
    pairs = zip(outputs, truths, strict=True)
    rows = image_frame([landmark_columns(o, t, SHAPE, 0.2) for o, t in pairs])
    return rows, summary_of(rows)


MOVED = [TRUTH + shift for shift in (-40, -10, 0, 25)]


def test_errors_are_listed_by_landmark_and_by_distance():
    rows, found = summary([TRUTH + 3.0 for _ in MOVED[:2]] + [None], [TRUTH] * 3)
    section = landmark_section(rows, found, None)
    errors, success = section.tables
    assert [line[0] for line in errors.rows][:2] == ["OFD, left end", "OFD, right end"]
    assert len(errors.rows) == len(LANDMARKS) + 1
    assert errors.rows[-1][1:4] == ["8", "4.24", "0.00"]
    shares = {line[0]: line[1] for line in success.rows}
    assert shares["≤ 2 px"] == "0.0 %"
    assert shares["≤ 5 px"] == "66.7 %"  # what was not predicted is no success
    assert "Nothing was predicted in 1 image." in section.sentences


def test_a_collapse_is_said_in_words():
    rows, found = summary([TRUTH] * 4, MOVED)
    assert any("COLLAPSED" in s for s in landmark_section(rows, found, None).sentences)
    rows, found = summary(MOVED, MOVED)
    assert any("follows the head" in s for s in landmark_section(rows, found, None).sentences)


def test_nothing_scored_is_one_sentence():
    section = landmark_section(image_frame([]), {}, None)
    assert section.sentences == ["No image could be scored."] and not section.tables


@pytest.mark.parametrize(
    ("name", "label", "shown"),
    [
        ("radial_error_px", "Radial error (px)", "9.88"),
        ("ofd_nme", "OFD, error / length", "9.8765"),
        ("success_10px", "Landmarks within 10 px", "9.8765"),
        ("bpd_error_mm", "ΔBPD (mm)", "+9.88"),
    ],
)
def test_figures_are_written_as_people_read_them(name, label, shown):
    assert metric_label(name) == label
    assert number(9.87654, name) == shown


def test_the_places_of_expert_and_model_are_drawn_side_by_side():
    rows, found = summary(MOVED, MOVED)
    (plot,) = landmark_section(rows, found, None).plots
    expert, model = plot.figure.axes
    assert (expert.get_title(), model.get_title()) == ("expert", "model")
    drawn = {line.get_label(): line.get_xydata() for line in model.lines}
    assert drawn["ofd_1"][0].tolist() == pytest.approx(
        [(MOVED[0][0, 0] + 0.5) / SHAPE[1], (MOVED[0][0, 1] + 0.5) / SHAPE[0]]
    )
    assert len(drawn["bpd_2"]) == len(MOVED)
    nothing, found = summary([None], [TRUTH])
    assert not landmark_section(nothing, found, None).plots
