"""Precision by device, and what is said where XLA cannot compile."""

import pytest
import tensorflow as tf

from fetal_tf.config.tree import Config
from fetal_tf.edge.errors import ConfigError
from fetal_tf.training import devices
from fetal_tf.training.devices import compiling, device_precision, on_this_device

BASE = {
    "name": "trial",
    "data": {"dataset": "hc18", "root": "phantom", "image_size": [32, 48]},
    "split": {"val": 0.2, "test": 0.2},
    "task": {"name": "segmentation", "classes": ["head"]},
    "model": {"name": "unet"},
    "loss": {"name": "bce"},
    "optimizer": {"name": "adam", "learning_rate": 1e-3},
    "schedule": {"name": "constant"},
}


def config(**train):
    return Config.model_validate({**BASE, "train": {"epochs": 1, "batch_size": 2, **train}})


@pytest.mark.parametrize(
    ("accelerated", "flags", "precision"),
    [
        (True, {"avx512_bf16"}, "mixed_float16"),
        (False, {"avx2", "avx512_bf16"}, "mixed_bfloat16"),
        (False, {"asimd", "bf16"}, "mixed_bfloat16"),
        (False, {"avx2"}, "float32"),
        (False, set(), "float32"),
    ],
)
def test_the_precision_of_a_device(accelerated, flags, precision):
    assert device_precision(accelerated, flags) == precision


def test_auto_becomes_what_the_device_does_well_and_others_stay(monkeypatch, tmp_path):
    listed = tmp_path / "cpuinfo"
    listed.write_text("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\nbugs\t\t: bf16\n")
    monkeypatch.setattr(devices, "_CPU_LIST", listed)
    found = on_this_device(config(precision="auto"))
    assert found.train.precision == "mixed_bfloat16" and found.train.batch_size == 2
    listed.write_text("flags\t\t: fpu avx2\nbugs\t\t: bf16\n")
    assert on_this_device(config(precision="auto")).train.precision == "float32"
    monkeypatch.setattr(devices, "_CPU_LIST", tmp_path / "none")
    assert on_this_device(config(precision="auto")).train.precision == "float32"
    fixed = config(precision="mixed_float16")
    assert on_this_device(fixed) is fixed


def fault():
    raise tf.errors.InternalError(None, None, "x\nduring context [Unknown]: Seen two types")


def test_what_xla_refuses_is_one_line_that_names_the_key():
    with (
        pytest.raises(
            ConfigError, match=r"train\.jit_compile: XLA does not compile unet in float32"
        ),
        compiling(config(jit_compile=True)),
    ):
        fault()


def test_other_errors_pass():
    with pytest.raises(tf.errors.InternalError), compiling(config()):
        fault()
    with pytest.raises(ZeroDivisionError), compiling(config(jit_compile=True)):
        1 / 0  # noqa: B018
