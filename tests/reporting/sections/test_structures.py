"""The section's tables and sentences against figures counted by hand."""

import numpy as np
import pytest

from fetal_tf.evaluation.evaluate import summarise_rows
from fetal_tf.reporting.page import SECTIONS, write_report
from fetal_tf.reporting.sections.structures import FEATURES, NAMES, SCORES, structures_section
from fetal_tf.scores.rows import image_frame
from fetal_tf.tasks import TASKS
from tests.reporting.test_page import Page, evaluated
from tests.tasks.structures.test_structures import (
    CLASSES,
    SAME_SIZE,
    build,
    label_map,
    rows_of,
    sample_of,
    sure,
)

DASH = "\N{EN DASH}"
CONDITIONS = ("normal", "normal", "normal", "large_csp", "absent_csp", "large_csp")


def section_of(task, rows):
    return structures_section(rows, summarise_rows(rows, task), task)


def tables_of(section):
    """Title → {first cell: {header: cell}}."""
    return {
        table.title: {line[0]: dict(zip(table.header, line, strict=True)) for line in table.rows}
        for table in section.tables
    }


def value_of(cell):
    return float(cell.split(" ")[0])


@pytest.fixture(scope="module")
def task():
    return build()


@pytest.fixture(scope="module")
def rows(task):
    """Six images; CSP is right in all, LV is invented in the three that show none."""
    index = np.arange(len(CONDITIONS))
    return rows_of(task, CONDITIONS).assign(
        anomaly_score=0.2 * index + 0.1, shape_score=index % 2.0
    )


@pytest.fixture(scope="module")
def section(task, rows):
    return section_of(task, rows)


def test_every_task_with_a_section_is_a_task():
    assert set(SECTIONS) <= set(TASKS.names())
    assert SECTIONS["structures"] == (structures_section,)


def test_pooled_stands_beside_every_rule_for_absent_structures(section, rows):
    table = tables_of(section)["Dice, pooled over pixels and per image"]
    assert list(table) == ["brain", "CSP", "LV"]
    lv, invented = rows["confusion_lv_lv_px"].sum(), rows["confusion_brain_lv_px"].sum()
    assert rows["true_lv_present"].sum() == 3 and invented > 0
    line = table["LV"]
    assert value_of(line["Pooled"]) == pytest.approx(2 * lv / (2 * lv + invented), abs=5e-5)
    # Three images at 1; those without a ventricle left out, at 0 since one is invented, at 0.
    cells = [
        line[f"Per image; absent: {rule}"] for rule in ("left out", "1 if nothing is found", "0")
    ]
    assert [value_of(cell) for cell in cells] == [1, 0.5, 0.5]
    assert [cell.rsplit("n = ")[1] for cell in cells] == ["3", "6", "6"]
    csp = table["CSP"]  # shown in two of six, and never invented
    assert value_of(csp["Per image; absent: 1 if nothing is found"]) == 1
    assert value_of(csp["Per image; absent: 0"]) == pytest.approx(2 / 6, abs=5e-5)


def test_raw_maps_have_a_column_of_their_own(task, rows):
    raw = rows.assign(
        raw_confusion_csp_csp_px=10, raw_confusion_csp_brain_px=30, raw_confusion_brain_csp_px=0
    )
    table = tables_of(section_of(task, raw))["Dice, pooled over pixels and per image"]["CSP"]
    assert value_of(table["Pooled"]) == 1
    assert value_of(table["Pooled, not cleaned"]) == pytest.approx(2 * 10 / (10 + 40))


def test_the_rule_of_the_metrics_is_said_in_words():
    for rule, words in (("skip", "left out"), ("one", "1 if nothing is found"), ("zero", "0")):
        task = build(absent=rule)
        section = section_of(task, rows_of(task, ("normal", "normal")))
        assert f"use the rule “{words}”" in section.tables[0].reading


def test_where_the_pixels_went_adds_up(section, rows):
    table = tables_of(section)["Where the expert's pixels went"]
    assert list(table) == [NAMES[name] for name in CLASSES]
    for name in CLASSES:
        line = dict(table[NAMES[name]])
        del line["Expert"]
        pixels = int(line.pop("pixels").replace(",", ""))
        counts = [rows[f"confusion_{name}_{other}_px"].sum() for other in CLASSES]
        assert pixels == sum(counts)
        shares = [float(cell.removesuffix(" %")) for cell in line.values()]
        assert shares == pytest.approx([100 * n / pixels for n in counts], abs=0.006)
        assert sum(shares) == pytest.approx(100, abs=0.03)


def test_per_class_figures_follow_from_the_pixels(section, rows):
    lv, invented = rows["confusion_lv_lv_px"].sum(), rows["confusion_brain_lv_px"].sum()
    line = tables_of(section)["Per class, pooled"]["LV"]
    assert value_of(line["Recall"]) == 1
    for name, value in (("Precision", lv / (lv + invented)), ("IoU", lv / (lv + invented))):
        assert value_of(line[name]) == pytest.approx(value, abs=5e-5)
    assert (
        line["F1"] == tables_of(section)["Dice, pooled over pixels and per image"]["LV"]["Pooled"]
    )


def test_presence_is_counted_by_image(section):
    table = tables_of(section)["Is the structure there at all?"]
    counts = ("Found", "Missed", "Invented", "Rightly none")
    assert [table["CSP"][c] for c in counts] == ["2", "0", "0", "4"]
    assert [table["LV"][c] for c in counts] == ["3", "0", "3", "0"]
    assert value_of(table["CSP"]["Sensitivity"]) == value_of(table["CSP"]["Specificity"]) == 1
    assert value_of(table["LV"]["Specificity"]) == 0


def test_anomaly_scores_are_judged_by_condition(section):
    table = tables_of(section)["Anomaly scores against the seeded conditions: AUROC"]
    assert len(table) == len(SCORES)
    line = table["anomaly score (no expert)"]
    sizes = {"any": 3, "absent csp": 1, "large csp": 2}
    for condition, n in sizes.items():  # the score rises with the index: perfectly ordered
        assert value_of(line[f"{condition} (n = {n})"]) == 1
    # Shape scores are 0 1 0 of the normal images, 1 0 1 of the others.
    pairs = [(a > b) + 0.5 * (a == b) for a in (1, 0, 1) for b in (0, 1, 0)]
    assert value_of(table["shape"]["any (n = 3)"]) == pytest.approx(np.mean(pairs), abs=5e-5)
    assert table["disagreement"]["any (n = 3)"] == DASH, "one view only, so nothing to judge"
    (reading,) = (t.reading for t in section.tables if t.title.startswith("Anomaly"))
    assert "one of 3 normal images" in reading


def test_images_without_conditions_have_no_anomaly_table(task):
    section = section_of(task, rows_of(task, ("",) * 3))
    assert not [title for title in tables_of(section) if title.startswith("Anomaly")]
    normal_only = section_of(task, rows_of(task, ("normal",) * 3))
    assert not [title for title in tables_of(normal_only) if title.startswith("Anomaly")]


def test_sentences_name_all_three_answers(section, task, rows):
    summary = summarise_rows(rows, task)
    pooled = summary["pooled"]["lv_dice"]["value"]
    (lv,) = (sentence for sentence in section.sentences if sentence.startswith("LV: "))
    assert f"{pooled:.4f} pooled over all pixels" in lv
    assert "1.0000 in the mean of the 3 images that show it" in lv
    assert "0.5000 over all 6 images" in lv
    assert not [s for s in section.sentences if s.startswith("brain")]


def test_a_structure_that_nobody_shows_has_no_sentence_and_no_figure(task):
    rows = rows_of(task, ("normal",) * 3)
    section = section_of(task, rows[rows["true_csp_present"] == 0])
    assert not [s for s in section.sentences if s.startswith("CSP")]
    line = tables_of(section)["Dice, pooled over pixels and per image"]["CSP"]
    assert line["Pooled"] == line["Per image; absent: left out"] == DASH
    assert value_of(line["Per image; absent: 0"]) == 0


def test_features_are_drawn_once_scores_tell_normal_from_flagged(section, task, rows):
    (plot,) = section.plots
    assert "6 images, 1 of them flagged" in plot.alt  # 0.2 · 5 + 0.1 alone reaches 1
    assert len(plot.figure.axes) == sum(rows[name].notna().sum() >= 2 for name in FEATURES)
    unscored = rows.assign(anomaly_score=np.nan)
    assert not section_of(task, unscored).plots


@pytest.mark.parametrize(
    "rows", [[], [{"id": "a", "group": "a", "error": "truncated"}]], ids=["none", "failed"]
)
def test_without_a_scored_image_the_section_says_so(task, rows):
    section = section_of(task, image_frame(rows))
    assert section.sentences == ["No image could be scored."]
    assert not section.tables and not section.plots


def cavum_section():
    task, truth = build(classes=CLASSES[:3]), label_map(lv=False)
    sample = sample_of(truth, labels=tuple(CLASSES[:3]))
    row = task.evaluate(sure(truth, 3), sample, SAME_SIZE)
    return section_of(task, image_frame([row] * 2))


def test_the_cavum_alone_has_no_row_of_ventricles():
    tables = tables_of(cavum_section())
    assert list(tables["Per class, pooled"]) == ["background", "brain", "CSP"]
    assert list(tables["Is the structure there at all?"]) == ["CSP"]
    assert "as LV" not in tables["Where the expert's pixels went"]["brain"]


def test_the_cavum_alone_has_no_word_of_ventricles():
    tables = cavum_section().tables
    assert not [c for t in tables for line in [t.header, *t.rows] for c in line if "LV" in c]


def test_the_section_stands_in_the_page(task, rows, tmp_path):
    path = write_report(tmp_path, rows, summarise_rows(rows, task), evaluated(), task)
    page = Page(path.read_text(encoding="utf-8"))
    assert not page.open
    assert {"id": "structures"} in page.all("h2")
    text = page.text
    assert text.index("Metrics") < text.index("Where the expert's pixels went")
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert (tmp_path / "figures" / "feature_distributions.png").is_file()
