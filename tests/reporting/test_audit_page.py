"""The audit's page: whole, escaped, with pictures of every kind of fault."""

import re

import numpy as np
import pytest

from fetal_tf.data.audit.audit import Audit
from fetal_tf.data.audit.copies import Duplicates
from fetal_tf.data.audit.frame import AuditedFrame, Finding
from fetal_tf.data.fingerprint import look_at
from fetal_tf.edge.draw.head_overlay import MASK, OFD
from fetal_tf.edge.draw.layers import TRUTH
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.io.images import write_png
from fetal_tf.reporting.audit_page import EXAMPLES, audit_page, draw_frame

HEAD = Ellipse(300, 200, 150, 110, 0)
ENDS = np.array([[150, 200], [450, 200], [300, 90], [300, 310]], float)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    write_png(path, np.random.default_rng(1).integers(0, 90, (400, 600), np.uint8))
    return path


def _has(picture, color):
    return (np.abs(picture.astype(int) - color).sum(axis=-1) < 12).any()


def test_a_picture_shows_what_is_labelled(image):
    frame = AuditedFrame("a.png", image=image)
    plain = draw_frame(frame)[:400]
    np.testing.assert_array_equal(plain[..., 0], plain[..., 1])
    for labels, color in (
        ({"ellipses": {"head": HEAD}}, TRUTH),
        ({"axes": ENDS}, OFD),
        ({"outlines": {"head": [HEAD.points(50)]}}, MASK),
    ):
        assert _has(draw_frame(AuditedFrame("a.png", image=image, **labels))[:400], color)


def test_labels_without_an_image_are_drawn_on_black_and_without_labels_there_is_no_picture():
    drawn = draw_frame(AuditedFrame("a.png", axes=ENDS))
    assert drawn.shape[1] == 800 and _has(drawn[:540], OFD)
    assert draw_frame(AuditedFrame("a.png")) is None
    assert draw_frame(AuditedFrame("a.png", axes=np.full((4, 2), np.nan))) is None
    same = np.array([[5.0, 5.0], [5.0, 5.0], [9.0, 9.0], [50.0, 50.0]])
    assert draw_frame(AuditedFrame("a.png", axes=same)) is not None


def test_the_page_shows_each_kind_of_fault_and_the_worst_of_the_rest(image):
    wrong, doubt = Finding("torn", "is <torn>", True), Finding("odd", "rather odd", False)
    frames = [
        *(AuditedFrame(f"torn{i}.png", (wrong,), image=image, axes=ENDS) for i in range(9)),
        AuditedFrame("odd.png", (doubt,), measures={"gap_px": 3.0}, image=image),
        AuditedFrame("good.png", measures={"gap_px": 7.5}, image=image, look=look_at(image)),
        AuditedFrame("no_picture.png", (doubt,)),
    ]
    audit = Audit(
        frames,
        [Duplicates(("odd.png", "good.png"), True)],
        extremes={"gap_px": "highest"},
        tables={"repaired.csv": ""},
    )
    page = audit_page(audit, "heads", "data & more")
    assert page.count("data:image/jpeg") == EXAMPLES + 1 + 1
    assert "is &lt;torn&gt;" in page and "<torn>" not in page
    assert "data &amp; more" in page
    assert "gap_px 7.500" in page and "repaired.csv" in page and "across splits" in page
    assert re.search(r"Wrong</dt>\s*<dd class=\"value\">9", page)
    assert page.index('id="torn"') < page.index('id="odd"')
    assert "http" not in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)


def test_examples_are_frames_of_that_verdict_first_and_spread(image):
    wrong, doubt = Finding("torn", "torn", True), Finding("odd", "odd", False)
    frames = [AuditedFrame(f"both{i}.png", (doubt, wrong), image=image) for i in range(6)]
    frames += [AuditedFrame(f"odd{i:02d}.png", (doubt,), image=image) for i in range(31)]
    page = audit_page(Audit(frames), "heads", "data")
    section = page[page.index('id="odd"') :]
    shown = re.findall(r'class="id">(.*?)<', section)[:EXAMPLES]
    assert shown == ["odd00.png", "odd10.png", "odd20.png", "odd30.png"]


def test_an_audit_without_findings_or_images_is_a_page_too(image):
    page = audit_page(Audit([AuditedFrame("a.png")]), "heads", "data")
    assert "Nothing: all 1 are good." in page and "No image was there" in page
    gone = AuditedFrame("a.png", (Finding("odd", "odd", False),), image=image)
    image.unlink()
    assert "data:image" not in audit_page(Audit([gone]), "heads", "data")
