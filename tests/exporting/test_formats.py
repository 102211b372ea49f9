"""Names of formats, and what they need installed."""

import importlib.util

import pytest

from fetal_tf.config.tree import ExportConfig
from fetal_tf.edge.errors import ConfigError, MissingExtraError
from fetal_tf.exporting.formats import FORMATS, PREFERENCE, parse_formats, require_extras


def test_order_is_kept_and_repeats_are_dropped():
    assert [f.name for f in parse_formats(["onnx", " int8", "onnx"], "--formats")] == [
        "onnx",
        "int8",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["flaot16"], r"--formats: unknown format 'flaot16' \(did you mean float16\?\)"),
        ([""], "no format given"),
    ],
)
def test_unknown_or_no_format(names, message):
    with pytest.raises(ConfigError, match=message):
        parse_formats(names, "--formats")


def test_every_format_has_a_place_in_the_preference_and_a_file_of_its_own():
    assert set(PREFERENCE) == set(FORMATS)
    assert len({f.file_name for f in FORMATS.values()}) == len(FORMATS)


def test_missing_onnx_is_answered_with_the_pip_line(monkeypatch):
    installed = {"onnx": object(), "onnxruntime": object()}
    monkeypatch.setattr(importlib.util, "find_spec", installed.get)
    with pytest.raises(MissingExtraError, match=r"onnx: needs .*pip install") as error:
        require_extras([FORMATS["int8"], FORMATS["onnx"]])
    assert "--formats float32,float16,dynamic,int8,int16x8" in str(error.value)


def test_tflite_needs_no_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    require_extras([FORMATS["int8"]])


def test_all_stands_for_every_format_and_the_default_is_what_a_tablet_needs():
    assert [f.name for f in parse_formats(["all"], "--formats")] == list(FORMATS)
    assert ExportConfig().formats == ["float32", "float16", "int8"]
    with pytest.raises(ConfigError, match="unknown format 'all'"):
        parse_formats(["int8", "all"], "--formats")
