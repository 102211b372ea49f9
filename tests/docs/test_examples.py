"""The examples of the documents run, and the notebook does."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(source: str, names: dict) -> None:
    exec(compile(source, "example", "exec"), names)


def test_every_example_of_the_api_runs_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    names: dict = {}
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs/api.md").read_text(), re.DOTALL)
    assert len(examples) >= 6
    for example in examples:
        run(example, names)
    assert (tmp_path / "measured.png").is_file()
    said = capsys.readouterr().out
    assert "<net zoo:hc18: measures head, int8" in said and "<HeadMeasurement: HC 18" in said


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.ipynb")), ids=lambda p: p.name)
def test_the_notebook_runs_and_holds_no_traces_of_a_machine(path, monkeypatch):
    monkeypatch.chdir(ROOT / "docs")
    notebook = json.loads(path.read_text())
    names: dict = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            run("".join(cell["source"]), names)
    assert "/home/" not in path.read_text() and "/work/" not in path.read_text()
