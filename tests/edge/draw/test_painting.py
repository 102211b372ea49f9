"""Colours are for terminals that show them."""

import io

import pytest

from fetal_tf.edge.draw.painting import painter

RED = (255, 95, 85)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def usual(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_terminal_gets_colours_and_a_pipe_none():
    assert painter(Terminal())("refused", RED) == "\x1b[38;2;255;95;85mrefused\x1b[0m"
    assert painter(io.StringIO())("refused", RED) == "refused"
    assert painter(Terminal())("HC 182 mm", (235, 235, 235)) == "HC 182 mm"


@pytest.mark.parametrize("name, value", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_none_gets_none(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert painter(Terminal())("refused", RED) == "refused"
