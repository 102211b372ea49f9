from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from fetal_tf.evaluation.evaluate import summarise_rows, worst_rows
from fetal_tf.evaluation.provenance import Evaluated
from fetal_tf.evaluation.seen import seen_section, with_seen
from fetal_tf.reporting.page import Case, write_report
from fetal_tf.scores.rows import image_frame
from tests.evaluation.evaluation_fakes import BrightnessTask, row

TASK = BrightnessTask()
HISTORY = [
    {"epoch": e, "loss": 1 / e, "val_loss": 1.1 / e, "val_dice": 1 - 1 / e} for e in (1, 2, 3)
]
FULL = [
    row("001_HC", dice=0.98, hc=101.0, true=100.0),
    row("002_HC", dice=0.97, hc=198.5, true=200.0),
    row("003_HC", dice=0.91, hc=312.0, true=300.0, flags="poor_ellipse_fit: residual 3.2 %"),
    row("004_HC", dice=0.0, true=100.0, refused="no_head: nothing above 0.5"),
    row("005_HC", error="005_HC.png: truncated after 40 bytes"),
]


def evaluated(**changes):
    fields = {
        "subject": "hc18_unet",
        "format": "int8",
        "dataset": "hc18",
        "data_root": "hc18",
        "split": "test",
        "tta": None,
        "phantom": False,
        "samples_sha256": "0a1b",
        "trained_on": 0,
        "date": "2026-01-31T11:22:33+00:00",
        "versions": {"fetal_tf": "0.1.0"},
    }
    return Evaluated(**{**fields, **changes})


def report(out, rows, history=(), **changes):
    rows = image_frame(rows)
    worst = worst_rows(rows, TASK).to_dict("records")
    cases = [Case(r, np.full((54, 80, 3), 90, np.uint8)) for r in worst]
    summary = summarise_rows(rows, TASK) | seen_section(rows, TASK, 0, summarise_rows(rows, TASK))
    path = write_report(out, rows, summary, evaluated(**changes), TASK, cases, history)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The folder of a report on `FULL`, with its page."""
    out = tmp_path_factory.mktemp("report")
    return out, Page(report(out, FULL, HISTORY))


class Page(HTMLParser):
    """Collects what the tests ask of a page."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style",):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def test_page_stands_alone(full):
    _, page = full
    assert not page.open
    assert not page.all("script") and not page.all("link")
    addresses = [a[k] for _, a in page.elements for k in ("src", "href", "xlink:href") if a.get(k)]
    assert addresses
    assert all(address.startswith(("data:image/", "#")) for address in addresses)


def test_the_day_is_shown_without_the_time(full):
    text = full[1].text
    assert text.count("2026-01-31") == 2 and "11:22" not in text


def test_every_picture_has_words_for_those_who_cannot_see_it(full):
    _, page = full
    assert len(page.all("img")) == 4
    assert all(len(image["alt"]) > 20 for image in page.all("img"))
    assert len(page.all("svg")) == 4
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 20 for svg in page.all("svg"))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_page_tells_the_result_and_where_it_comes_from(full):
    text = full[1].text
    assert "On 3 images, the predicted head circumference differs" in text
    assert "by 4.83 mm in the mean" in text  # (1 + 1.5 + 12) / 3
    assert "2 of 5 images gave no measurement (1 refused, 1 failed)" in text
    assert "1 measurement carried a warning" in text
    assert "005_HC.png: truncated after 40 bytes" in text
    assert "no_head: nothing above 0.5" in text
    assert "poor_ellipse_fit" in text
    assert "fetal_tf 0.1.0" in text
    assert "hc18, folder “hc18”" in text
    assert text.count("not for diagnosis") == 2


def test_worst_cases_come_in_order_with_their_numbers(full):
    text = full[1].text
    places = [text.index(f"{rank}. {id}") for rank, id in ((1, "004_HC"), (2, "003_HC"))]
    assert places == sorted(places)
    assert "HC 312.00 mm · expert 300.00 mm · error +12.00 mm" in text


def test_files_beside_the_page(full):
    out, _ = full
    assert {p.name for p in (out / "figures").iterdir()} == {
        "dice_histogram.png",
        "hc_bland_altman.png",
        "hc_predicted_against_measured.png",
        "learning_curves.png",
    }
    assert [p.name for p in sorted((out / "overlays").iterdir())] == [
        "01_004_HC.png",
        "02_003_HC.png",
        "03_002_HC.png",
        "04_001_HC.png",
    ]
    assert Image.open(out / "overlays" / "01_004_HC.png").size == (80, 54)


def test_hostile_names_are_text_and_stay_in_the_folder(tmp_path):
    evil = "../../<script>alert(1)</script>"
    rows = [row(evil, group="g", hc=101.0, true=100.0), row("b<i>", error="<b>bold</b> & more")]
    text = report(
        tmp_path / "out", rows, subject="<script>alert(2)</script>", versions={"<i>": "1"}
    )
    page = Page(text)
    assert not page.all("script") and not page.all("i") and not page.all("b")
    assert evil in page.text
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 1


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([FULL[0]], "On one image"),
        ([FULL[3]], "every image was refused"),
        ([FULL[4]], "every image failed"),
        ([row("a", flags="no_pixel_size: unknown")], "no image has a known pixel size"),
        ([{**row("a"), "mm_per_pixel": 0.1, "hc_mm": 90.0}], "expert's measurement"),
        ([], "0 images"),
    ],
    ids=["one", "refused", "failed", "no pixel size", "no reference", "nothing"],
)
def test_page_of_what_went_wrong_says_so(tmp_path, rows, says):
    page = Page(report(tmp_path, rows))
    assert says in page.text
    assert "nan" not in page.text.lower().replace("\N{EN DASH}", "").split()


def test_phantom_and_training_images_are_called_what_they_are(tmp_path):
    seen = ["held_out", "learnt", "learnt", "learnt", "chosen_on"]
    rows = with_seen(image_frame(FULL), seen)
    text = Page(report(tmp_path, rows, phantom=True)).text
    assert "generated phantom images" in text
    assert "learnt from 3 of these 5 images: the figures over all flatter it" in text
    # What stands first is the held-out image's alone: 101.0 mm against 100.0 mm.
    assert "On one image, the predicted head circumference differs" in text
    assert "by 1.00 mm" in text and "On 3 images" not in text
    held_out, chosen, learnt, everything = (
        text.index(title)
        for title in ("Images held out", "Images chosen on", "Images learnt", "All images")
    )
    assert held_out < chosen < learnt < everything


def test_honest_evaluation_carries_no_caution(tmp_path):
    page = Page(report(tmp_path, FULL, phantom=False, trained_on=None))
    assert not [a for _, a in page.elements if a.get("class") == "notice"]


def test_long_lists_are_cut_and_say_so(tmp_path):
    rows = [row(f"{i:03d}_HC", error="gone") for i in range(75)]
    text = Page(report(tmp_path, rows)).text
    assert "059_HC" in text
    assert "060_HC" not in text
    assert "And 15 more" in text
