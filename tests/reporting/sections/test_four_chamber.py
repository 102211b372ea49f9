"""The section's tables and sentences against figures counted by hand."""

import numpy as np
import pytest

from fetal_tf.evaluation.evaluate import summarise_rows
from fetal_tf.reporting.page import SECTIONS, write_report
from fetal_tf.reporting.sections.confidence import confidence_section
from fetal_tf.reporting.sections.four_chamber import PIXEL_METRICS, RATIOS, four_chamber_section
from fetal_tf.scores.focus import FOCUS_METRICS
from fetal_tf.scores.pixel_levels import PixelLevels
from fetal_tf.scores.rows import image_frame
from fetal_tf.tasks.four_chamber import FourChamberTask
from tests.reporting.test_page import Page, evaluated

DASH = "\N{EN DASH}"
OFFICIAL = "Official FOCUS score, beside published figures"
RATIO = "Cardiothoracic ratio, three definitions"
PIXELS = "Pixels, per image and pooled"
CATEGORIES = "Share of images above fixed marks"
NESTED = FourChamberTask({}, classes=["thorax", "heart"])
BINARY = FourChamberTask({}, classes=["heart"])


def row(id, dice, ctr, true=40.0, task=NESTED, **changes):
    """A row with every figure `dice`; CTR by area and circumference move as that by diameter."""
    row = dict.fromkeys(task.metric_names)
    row |= {name: dice for name in row if name.split("_", 1)[1] in PIXEL_METRICS}
    row |= {name: 12.0 if name.endswith("px") else dice for name in row if name in FOCUS_METRICS}
    if task is NESTED:
        for ratio in RATIOS:
            error = None if ctr is None else ctr - true
            row |= {
                f"{ratio}_percent": ctr,
                f"{ratio}_true_percent": true,
                f"{ratio}_error_percent": error,
                f"{ratio}_abs_error_percent": None if error is None else abs(error),
            }
    common = {"id": id, "group": id, "mm_per_pixel": None, "flags": "", "refused": "", "error": ""}
    return common | row | changes


def not_found(id):
    """The net saw no heart: official Dice and agreement 0, no distance, no ratio."""
    zeros = {"focus_cardiac_dice": 0.0, "focus_cardiac_hd95_px": None, "focus_ctr_agreement": 0.0}
    return row(id, 0.4, None, **zeros, refused="no_heart: nothing above 0.5")


ROWS = [
    row("validation_001", 0.9, 42.0),
    row("validation_002", 0.75, 39.0),
    row("validation_003", 0.6, 41.0),
    not_found("validation_004"),
]


def gathered(task):
    """Pixels of three groups: the net is right on the thorax, and half right on the heart."""
    truth = np.arange(100).reshape(10, 10) < 20
    gather = task.gather()
    for group in "abc":
        for name, levels in gather.items():
            found = truth if name == "thorax" else np.roll(truth, 1, axis=0)
            levels.add(group, np.where(found, 0.9, 0.1).astype(np.float32), truth)
    return gather


def section_of(rows=ROWS, task=NESTED, gather=True):
    rows = image_frame(rows)
    summary = summarise_rows(rows, task, 0, gathered(task) if gather else None)
    return four_chamber_section(rows, summary, task)


def tables_of(section):
    """Title → {first cell: {header: cell}}."""
    return {
        table.title: {
            line[0]: dict(zip(plain(table.header), plain(line), strict=True)) for line in table.rows
        }
        for table in section.tables
    }


def plain(cells):
    """With blanks that may break."""
    return [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in cells]


@pytest.fixture(scope="module")
def section():
    return section_of()


@pytest.fixture(scope="module")
def tables(section):
    return tables_of(section)


def test_the_section_is_the_task_s():
    assert SECTIONS[NESTED.name] == (four_chamber_section, confidence_section)


def test_official_score_stands_beside_what_the_authors_report(tables):
    table = tables[OFFICIAL]
    assert list(table) == [
        "This model",
        "U-Net, dataset's authors",
        "TransUNet, dataset's authors",
    ]
    ours = table["This model"]
    mean = (0.9 + 0.75 + 0.6 + 0) / 4
    assert ours["Cardiac Dice"].startswith(f"{mean:.4f} [")
    assert ours["CTR agreement"].startswith(f"{mean:.4f} [")
    assert ours["Thorax Dice"].startswith(f"{(0.9 + 0.75 + 0.6 + 0.4) / 4:.4f} [")
    assert ours["Cardiac HD95 (px)"].startswith("12.00")
    assert [table["TransUNet, dataset's authors"][c] for c in ours if c != "Model"] == [
        "0.9248",
        "0.9648",
        "16.76",
        "16.26",
        "0.9332",
    ]
    unet = table["U-Net, dataset's authors"]
    assert unet["Cardiac Dice"] == "0.8912" and unet["Cardiac HD95 (px)"] == DASH


def test_that_the_published_images_are_others_is_said(section):
    assert "this evaluation is of other images" in section.tables[0].reading
    rows = [row(f"testing_{k:03d}", 0.9, 42.0) for k in (1, 2)]
    reading = section_of(rows).tables[0].reading
    assert "other images" not in reading and "50 test images" in reading


def test_the_score_in_words(section):
    score, missed = plain(section.sentences)
    assert score.startswith("Official FOCUS score on 4 images: cardiac Dice 0.5625 (95 % CI ")
    assert "CTR agreement 0.5625" in score and "HD95" not in score
    assert missed.startswith("No outline was found for the heart in 1 image: ")


def test_everything_found_needs_no_sentence_about_it():
    assert len(section_of(ROWS[:3]).sentences) == 1


def test_ratios_by_hand(tables):
    table = tables[RATIO]
    assert list(table) == ["By diameter", "By area", "By circumference"]
    errors = np.array([2.0, -1.0, 1.0])
    for line in table.values():
        assert line["n"] == "3", "the image without a heart has no ratio"
        assert line["Expert, mean"] == "40.00 %" and line["Model, mean"] == "40.67 %"
        spread = 1.96 * errors.std(ddof=1)
        low, high = errors.mean() - spread, errors.mean() + spread
        expected = f"{errors.mean():+.2f} pp [{low:+.2f} to {high:+.2f}]"
        assert line["Bias [limits of agreement]"] == expected.replace("-", "\N{MINUS SIGN}")
        assert line["Mean |Δ|"].startswith("1.33 pp [")


def test_pooled_stands_beside_per_image(tables):
    table = tables[PIXELS]
    dice = np.array([0.9, 0.75, 0.6, 0.4])
    expected = f"{dice.mean():.4f} ± {dice.std(ddof=1):.4f}"
    for name in ("Dice", "IoU", "Sensitivity", "Specificity", "ROC AUC", "PR AUC"):
        for structure in ("Heart", "Thorax"):
            assert table[name][f"{structure}, per image (n = 4)"] == expected
        if name.endswith("AUC"):
            assert table[name]["Thorax, pooled"] == "1.0000 [1.0000 to 1.0000]"
        else:
            assert table[name]["Thorax, pooled"] == "1.0000"
    # Two rows of ten shifted by one: half is found.
    assert table["Dice"]["Heart, pooled"] == table["Sensitivity"]["Heart, pooled"] == "0.5000"
    assert table["Specificity"]["Heart, pooled"] == "0.8750"
    error = table["Expected calibration error"]
    # 229/255 is observed 0.5, 26/255 observed 1/8; a fifth of the pixels are of the first kind.
    heart = 0.2 * abs(229 / 255 - 0.5) + 0.8 * abs(26 / 255 - 0.125)
    assert error["Heart, pooled"] == f"{heart:.4f}"
    assert error["Heart, per image (n = 4)"] == DASH


def test_categories_are_shares_and_counts(tables):
    table = tables[CATEGORIES]
    assert list(table) == [
        *(f"Dice > {mark}" for mark in (0.8, 0.7, 0.5)),
        *(f"ROC AUC > {mark}" for mark in (0.9, 0.8, 0.7)),
    ]
    cells = [line["Heart (n = 4)"] for line in table.values()]
    assert cells[:3] == ["25.0 % (1)", "50.0 % (2)", "75.0 % (3)"]
    assert cells[3:] == ["0.0 % (0)", "25.0 % (1)", "50.0 % (2)"]


def test_figures_name_their_areas(section):
    roc, pr, calibration = section.plots
    assert [plot.name for plot in section.plots] == ["roc_curves", "pr_curves", "calibration"]
    assert "Thorax 1.0000" in roc.alt and "Thorax 1.0000" in pr.alt
    assert "heart and thorax" in calibration.alt


def test_a_binary_model_has_no_word_of_the_thorax_s_figures():
    rows = [row(f"validation_{k}", 0.8, None, task=BINARY) for k in range(3)]
    section = section_of(rows, BINARY)
    tables = tables_of(section)
    assert RATIO not in tables
    assert list(tables[OFFICIAL]["This model"]) == ["Model", "Cardiac Dice", "Cardiac HD95 (px)"]
    for table in section.tables:
        texts = [table.reading, *table.header, *(cell for line in table.rows for cell in line)]
        assert not [text for text in texts if "thorax" in text.lower() or "CTR" in text]
    assert section.sentences[-1] == "Without a thorax there is no cardiothoracic ratio."
    assert all("horax" not in plot.alt for plot in section.plots)


def test_without_gathered_pixels_the_pooled_column_is_empty():
    section = section_of(gather=False)
    assert not section.plots
    table = tables_of(section)[PIXELS]
    assert "Expected calibration error" not in table
    assert table["Dice"]["Heart, pooled"] == DASH


def test_masks_without_ellipses_have_no_official_score():
    rows = [r | dict.fromkeys(FOCUS_METRICS) for r in ROWS[:3]]
    section = section_of(rows)
    assert OFFICIAL not in tables_of(section)
    assert section.sentences == [
        "No official FOCUS score: no image has an annotated ellipse to compare with."
    ]


@pytest.mark.parametrize(
    "rows", [[], [{"id": "a", "group": "a", "error": "truncated"}]], ids=["none", "failed"]
)
@pytest.mark.parametrize("task", [NESTED, BINARY], ids=["nested", "binary"])
def test_without_a_scored_image_the_section_says_so(rows, task):
    rows = image_frame(rows)
    section = four_chamber_section(rows, summarise_rows(rows, task, 0, task.gather()), task)
    assert section.sentences == ["No image could be scored."]
    assert not section.tables and not section.plots


def test_one_image_has_neither_spread_nor_interval():
    tables = tables_of(section_of(ROWS[:1]))
    assert tables[OFFICIAL]["This model"]["Cardiac Dice"] == "0.9000"
    assert tables[RATIO]["By area"]["Bias [limits of agreement]"] == "+2.00 pp"
    assert tables[PIXELS]["Dice"]["Heart, per image (n = 1)"] == "0.9000"


def test_the_section_stands_in_the_page(tmp_path):
    rows = image_frame(ROWS)
    summary = summarise_rows(rows, NESTED, 0, gathered(NESTED))
    path = write_report(tmp_path, rows, summary, evaluated(dataset="focus"), NESTED)
    page = Page(path.read_text(encoding="utf-8"))
    assert not page.open
    assert {"id": "fourchamber"} in page.all("h2")
    assert (
        "On 3 images, the predicted cardiothoracic ratio by diameter differs from the expert's by "
        "1.33 percentage points (pp) in the mean"
    ) in page.text
    assert "Error by ratio" in page.text and "fit for every heart" in page.text
    assert "|ΔCTR by diameter| (pp)" in page.text and "millimet" not in page.text
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"roc_curves", "pr_curves", "calibration", "ctr_diameter_bland_altman"} <= names
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_pooled_intervals_are_those_of_the_summary(tables):
    heart = gathered(NESTED)["heart"]
    assert isinstance(heart, PixelLevels)
    area = heart.summary(0)["roc_auc"]
    low, high = area["ci95"]
    assert tables[PIXELS]["ROC AUC"]["Heart, pooled"] == (
        f"{area['value']:.4f} [{low:.4f} to {high:.4f}]"
    )
