"""Links lead somewhere, every document is listed, and every command line parses."""

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest

from fetal_tf.cli.program import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")],
    key=lambda page: page.name,
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for name, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {name}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {name}#{anchor}"


def test_the_index_lists_every_document():
    listed = {name for name, _ in LINK.findall((ROOT / "docs/index.md").read_text())}
    documents = {
        path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".md", ".ipynb")
    }
    assert documents - {"index.md"} <= listed


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def commands(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?:    |\t)(fetal-tf .+)$", text, re.MULTILINE)
    return [part for line in lines for part in line.split("  #")[0].split(" && ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_parse(page):
    for line in commands(page):
        _, name, *arguments = shlex.split(line.replace("[RUN …]", "").replace("…", ""))
        if name.startswith("-"):
            continue
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            try:
                importlib.import_module(COMMANDS[name].module).parser().parse_args(arguments)
            except SystemExit:
                pytest.fail(f"{page.name}: {line}\n{said.getvalue()}")
