"""`python -m tools.audit`: what it writes and what it says."""

import csv
import json

import pytest

from fetal_tf.cli import audit
from fetal_tf.data.phantom.writing import write_phantom
from tests.data.readers import focus_faults
from tests.data.readers.focus_folder import write_focus, write_frame


@pytest.fixture
def root(tmp_path):
    root = write_focus(tmp_path / "focus")
    write_frame(root / "training", "009", 20)  # as training/001
    focus_faults.shifted_mask(root)
    return root


def test_it_writes_a_table_and_a_record_and_prints_a_summary(root, tmp_path, capsys):
    out = tmp_path / "audits" / "focus"
    assert audit.main(["focus", "--root", str(root), "--out", str(out)]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("6 images: 3 good, 2 suspect, 1 wrong\n")
    assert f"{out / 'audit.csv'}\n{out / 'audit.json'}\n" in printed
    with (out / "audit.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["file", "verdict", "reasons"]
    verdicts = {file: verdict for file, verdict, _ in lines[1:]}
    assert len(verdicts) == 6
    assert verdicts["training/images/002.png"] == "wrong"
    assert verdicts["training/images/009.png"] == "suspect"
    record = json.loads((out / "audit.json").read_text())
    assert record["dataset"] == "focus"
    assert record["verdicts"] == {"good": 3, "suspect": 2, "wrong": 1}
    assert record["findings"] == {"duplicate": 2, "mask_disagrees": 1}
    assert record["fingerprint"]["images"] == 6
    names = ["audit.csv", "audit.json", "index.html"]
    assert sorted(path.name for path in out.iterdir()) == names
    page = (out / "index.html").read_text(encoding="utf-8")
    assert 'id="mask_disagrees"' in page and page.count("data:image/jpeg") >= 3


def test_what_is_only_suspect_is_no_failure(tmp_path, capsys):
    root = write_focus(tmp_path / "focus")
    write_frame(root / "training", "009", 20)  # as training/001
    assert audit.main(["focus", "--root", str(root), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("6 images: 4 good, 2 suspect, 0 wrong\n")


def test_a_second_audit_replaces_the_first_and_keeps_what_else_lies_there(root, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "audit.csv").write_text("old")
    assert audit.main(["focus", "--root", str(root), "--out", str(out)]) == 1
    assert (out / "audit.csv").read_text().startswith("file,verdict,reasons\n")
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("inside", [".", "audit", "training/images"])
def test_nothing_is_written_into_the_dataset(root, capsys, inside):
    before = sorted(root.rglob("*"))
    assert audit.main(["focus", "--root", str(root), "--out", str(root / inside)]) == 2
    assert "nothing is written into a dataset" in capsys.readouterr().err
    assert sorted(root.rglob("*")) == before


def test_an_unknown_dataset_is_answered_with_those_there_are(root, tmp_path, capsys):
    assert audit.main(["focsu", "--root", str(root), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: audit.name: unknown audit 'focsu' (did you mean focus?); allowe")
    assert not (tmp_path / "out").exists()


def test_a_root_without_the_dataset_is_one_line_and_nothing_is_written(tmp_path, capsys):
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    assert audit.main(["focus", "--root", str(tmp_path / "empty"), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: data.root: {tmp_path / 'empty'} holds no training/")
    assert not out.exists()


def test_landmarks_get_their_own_verdicts_and_a_repaired_table(tmp_path):
    root, out = tmp_path / "phantom", tmp_path / "out"
    write_phantom("landmarks", root, 8, seed=4)
    assert audit.main(["landmarks", "--root", str(root), "--out", str(out)]) == 1
    with (out / "audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0].keys() == {"file", "verdict", "reasons"}
    assert {row["verdict"] for row in rows} == {"repairable", "wrong"}
    table = next((root / "landmarks").glob("*.csv"))
    with table.open(newline="") as given, (out / "repaired.csv").open(newline="") as repaired:
        header, lines = next(csv.reader(given)), list(csv.reader(repaired))
    assert lines[0] == header
    usable = [row["file"] for row in rows if row["verdict"] != "wrong"]
    assert [line[0] for line in lines[1:]] == usable
    record = json.loads((out / "audit.json").read_text())
    assert record["verdicts"]["repairable"] == len(usable)
    names = ["audit.csv", "audit.json", "index.html", "repaired.csv"]
    assert sorted(path.name for path in out.iterdir()) == names


@pytest.mark.parametrize("name", ["hc18", "planes", "fetal_head_biometry"])
def test_every_dataset_has_its_audit(tmp_path, name, capsys):
    root, out = tmp_path / "phantom", tmp_path / "out"
    write_phantom(name, root, 3, seed=4)
    assert audit.main([name, "--root", str(root), "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith("3 images: 3 good, 0 suspect, 0 wrong")
    assert "data:image/jpeg" in (out / "index.html").read_text(encoding="utf-8")
