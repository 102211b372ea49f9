"""The tiny models, made once."""

import pytest

from tests.edge import tiny_bundle


@pytest.fixture(scope="session")
def tflite_models():
    return tiny_bundle.tflite_models()


@pytest.fixture
def bundle_path(tmp_path, tflite_models):
    models = tflite_models | {"onnx": tiny_bundle.onnx_model()}
    return tiny_bundle.write_bundle(tmp_path / "bundle", models)
