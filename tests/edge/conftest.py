"""A fresh bundle for every test that spoils one."""

import pytest

from tests.edge.bundle import tiny_bundle


@pytest.fixture
def bundle_path(tmp_path):
    models = dict(tiny_bundle.tflite_models())
    if tiny_bundle.HAS_ONNX:
        models["onnx"] = tiny_bundle.onnx_model()
    return tiny_bundle.write_bundle(tmp_path / "bundle", models)
