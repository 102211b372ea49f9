"""Nets on keras-cv's backbones: the same functions as there, files that do without it, refusals."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError, MissingExtraError
from fetal_tf.edge.extras import EXTRAS
from fetal_tf.models import MODELS
from tests.losses.jax_process import run_on_jax

keras_cv = pytest.importorskip("keras_cv", reason="needs the extra keras-cv")

SHAPE = (32, 64, 1)
BRIEF = {  # a ResNet of one block a stage
    "backbone": "resnet18",
    "arguments": {"stackwise_filters": [64, 16, 16, 32], "stackwise_blocks": [1, 1, 1, 1]},
}
# Squeeze and excite, hard swish and a residual connection, of the smallest size.
MOBILE = {
    "backbone": "MobileNetV3Backbone",
    "arguments": {
        "stackwise_expansion": [1, 2, 2, 2, 2],
        "stackwise_filters": [8, 8, 8, 16, 16],
        "stackwise_kernel_size": [3] * 5,
        "stackwise_stride": [2, 2, 2, 2, 1],
        "stackwise_se_ratio": [0.25, None, None, None, 0.25],
        "stackwise_activation": ["relu"] * 3 + ["hard_swish"] * 2,
    },
}
CLASSES = {
    "ResNetV2Backbone": {
        "stackwise_filters": [64, 16, 16, 32],
        "stackwise_blocks": [2, 2, 2, 2],
        "stackwise_strides": [1, 2, 2, 2],
    },
    "DenseNetBackbone": {"stackwise_num_repeats": [1, 1, 1, 1]},
    "VGG16Backbone": {"include_top": False},
    "EfficientNetV2Backbone": {
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "stackwise_kernel_sizes": [3] * 5,
        "stackwise_num_repeats": [1] * 5,
        "stackwise_input_filters": [32, 16, 32, 48, 96],
        "stackwise_output_filters": [16, 32, 48, 96, 112],
        "stackwise_expansion_ratios": [1, 4, 4, 4, 6],
        "stackwise_squeeze_and_excite_ratios": [0, 0, 0, 0.25, 0.25],
        "stackwise_strides": [1, 2, 2, 2, 2],
        "stackwise_conv_types": ["fused"] * 3 + ["unfused"] * 2,
    },
}


def build(name="keras_cv_unet", shape=SHAPE, classes=1, **parameters) -> keras.Model:
    return MODELS.build("model", {"name": name, **parameters}, shape, classes)


def pixels(count: int = 1, channels: int = 1) -> np.ndarray:
    shape = (count, *SHAPE[:2], channels)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)


def randomize(model: keras.Model) -> None:
    """Batch norms and biases that are not the identity."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))


@pytest.mark.parametrize(
    ("name", "encoder"),
    [("keras_cv_unet", 21_301_696), ("keras_cv_deeplabv3plus", 23_561_152)],  # as keras-cv states
)
def test_parameters_are_those_of_the_docstring(name, encoder):
    model = build(name, (32, 32, 1))
    described = MODELS.get("model", name).__doc__ or ""
    assert f"{model.count_params():,}" in described
    of_backbone = [la for la in model.layers if la.name.startswith(("conv1_", "v2_stack"))]
    assert sum(la.count_params() for la in of_backbone) == encoder
    assert f"{encoder:,}" in described


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # keras-cv's presets
        ("resnet18", 11_186_112), ("resnet50_v2", 23_564_800),
        # the authors', less the classifier of 1000 classes
        ("efficientnetlite_b0", 4_652_008 - 1_281_000),
        ("efficientnetlite_b2", 6_092_072 - 1_281_000),
        # keras.applications, without its top
        ("mobilenet_v3_small", 939_120), ("mobilenet_v3_large", 2_996_352),
    ],
)  # fmt: skip
def test_a_name_means_the_published_net(name, parameters):
    from fetal_tf.models.keras_cv_encoder import _backbone

    found = _backbone(name, {}, None, (32, 32, 3))
    weights = found.trainable_weights if "lite" in name else found.weights
    assert sum(np.prod(w.shape) for w in weights) == parameters


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnetlite_b0", *CLASSES])
def test_features_are_those_of_the_backbone_whose_weights_it_takes(name, tmp_path):
    from fetal_tf.models.keras_cv_encoder import _NAMED

    class_name, arguments = _NAMED.get(name, (name, CLASSES.get(name)))
    shape = (*SHAPE[:2], 3)
    builder = getattr(keras_cv.models, class_name)
    original = builder(include_rescaling=True, input_shape=shape, **arguments)
    randomize(original)
    path = tmp_path / "backbone.weights.h5"
    original.save_weights(path)
    given = {"arguments": CLASSES[name]} if name in CLASSES else {}
    model = build(shape=shape, backbone=name, weights=str(path), **given)
    assert "keras_cv." not in model.to_json()
    joined = [model.get_layer(f"skip_{level}").input[1] for level in (1, 2, 3, 4)]
    assert [t.shape[1:3] for t in joined] == [(16, 32), (8, 16), (4, 8), (2, 4)]
    by_name = {operation.name: operation.output for operation in original.operations}
    named = original.pyramid_level_inputs
    for level, tensor in enumerate(joined, start=1):
        if f"P{level}" in named:
            theirs = keras.Model(original.input, by_name[named[f"P{level}"]])(pixels(1, 3))
            ours = np.asarray(keras.Model(model.input, tensor)(pixels(1, 3)))
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * ours.std())


def test_a_fresh_deeplab_predicts_as_it_does_outside_of_training():
    """A layer of keras-cv's pyramid puts those behind it into training mode, unless told not to."""
    model = build("keras_cv_deeplabv3plus", dropout=0.5, **BRIEF)
    randomize(model)
    np.testing.assert_array_equal(model(pixels()), model(pixels(), training=False))
    learning = [np.asarray(model(pixels(), training=True)) for _ in range(2)]
    assert np.abs(learning[0] - learning[1]).max() > 1e-3
    assert {la.momentum for la in model.layers if "batch_norm" in la.name} == {0.9}


def test_deeplab_joins_the_pyramid_with_fine_features_at_a_quarter():
    model = build("keras_cv_deeplabv3plus", dropout=0.1, **BRIEF)
    joined, fine = model.get_layer("joined").input, model.get_layer("low_level_feature_conv")
    assert joined.shape[1:] == (8, 16, 256 + 48)
    assert fine.input is model.get_layer("v2_stack_0_block1_out").output
    rates = [la.dilation_rate for la in model.layers if isinstance(la, keras.layers.Conv2D)]
    assert [rate for rate in rates if rate != (1, 1)] == [(6, 6), (12, 12), (18, 18)]
    assert [la.rate for la in model.layers if isinstance(la, keras.layers.Dropout)] == [0.1]


# Arguments: the folder of the models. Everything that keras-cv brings is out of reach.
WITHOUT = """
import json
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras_cv", "keras_core", "tensorflow_datasets"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from pathlib import Path
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from fetal_tf.models.saving import load_model

folder = Path(sys.argv[1])
image = np.load(folder / "image.npy")
for path in sorted(folder.glob("*.keras")):
    model = load_model(path)
    expected = np.load(path.with_suffix(".npy"))
    np.testing.assert_allclose(model(image), expected, atol=1e-5)
    answer = tf.function(lambda images: model(images), autograph=False)
    graph = answer.get_concrete_function(tf.TensorSpec(image.shape))
    frozen = convert_variables_to_constants_v2(graph)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    answer = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(answer, expected, atol=1e-4)
    model.compile("sgd", "binary_crossentropy", run_eagerly=True)
    assert np.isfinite(model.train_on_batch(image, (image > 128).astype("float32")))
    print("done:", path.stem)
assert "keras_cv" not in sys.modules
"""
ON_JAX = """
import numpy as np
from pathlib import Path
from fetal_tf.models.saving import load_model

folder = Path(sys.argv[1])
for path in sorted(folder.glob("*.keras")):
    answer = load_model(path).predict_on_batch(np.load(folder / "image.npy"))
    np.testing.assert_allclose(answer, np.load(path.with_suffix(".npy")), atol=1e-4)
    print(path.stem)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of saved models, an image, and their answers."""
    folder = tmp_path_factory.mktemp("saved")
    keras.utils.set_random_seed(3)
    np.save(folder / "image.npy", pixels())
    for name, model in {
        "deeplab": build("keras_cv_deeplabv3plus", **BRIEF),
        "unet": build(widths=[8] * 5, **MOBILE),
    }.items():
        randomize(model)
        model.save(folder / f"{name}.keras")
        np.save(folder / f"{name}.npy", np.asarray(model(pixels())))
    return folder


def test_a_saved_model_predicts_trains_and_converts_where_keras_cv_is_not_installed(saved):
    command = [sys.executable, "-c", WITHOUT, str(saved)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    done_with = [line for line in done.stdout.splitlines() if line.startswith("done:")]
    assert done_with == ["done: deeplab", "done: unet"]


def test_a_saved_model_predicts_alike_on_jax(saved):
    assert run_on_jax(ON_JAX, str(saved)).split() == ["deeplab", "unet"]


def test_without_the_extra_the_pip_line_is_named(monkeypatch):
    monkeypatch.setitem(EXTRAS, "keras-cv", ("surely_not_installed",))
    with pytest.raises(MissingExtraError, match=r'pip install "fetal-tf\[keras-cv\]"'):
        build()


@pytest.mark.parametrize("backbone", ["resnet35", "ResNet34Backbone", "DeepLabV3Plus"])
def test_an_unknown_backbone_is_refused(backbone):
    """ResNet34Backbone would ask the network for its configuration."""
    with pytest.raises(ConfigError, match=rf"model\.backbone: {backbone} is not known; .*resnet34"):
        build(backbone=backbone)


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match=r"model\.arguments: ResNetBackbone: .*missing 3"):
        build(backbone="ResNetBackbone")


@pytest.mark.parametrize(
    ("backbone", "arguments", "reason"),
    [
        ("MiTBackbone", {"depths": [1] * 4, "embedding_dims": [32] * 4}, "no features at one of"),
        (
            "CSPDarkNetBackbone",
            {"stackwise_channels": [16] * 4, "stackwise_depth": [1] * 4},
            "does not come apart into plain Keras layers",
        ),
    ],
)
def test_a_backbone_that_would_need_keras_cv_is_refused(backbone, arguments, reason):
    with pytest.raises(ConfigError, match=rf"model\.backbone: {backbone} .*{reason}"):
        build(backbone=backbone, arguments=arguments)


def test_weights_of_something_else_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.weights: .*none\.weights\.h5 cannot be read as"):
        build(weights=str(tmp_path / "none.weights.h5"))
    (tmp_path / "bad.weights.h5").write_bytes(b"not weights")
    with pytest.raises(ConfigError, match=r"bad\.weights\.h5 cannot be read as resnet34"):
        build(weights=str(tmp_path / "bad.weights.h5"))
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "dense.keras")
    with pytest.raises(ConfigError, match=r"dense\.keras cannot be read as resnet18"):
        build(weights=str(tmp_path / "dense.keras"), **BRIEF)


def test_a_size_that_does_not_halve_five_times_is_refused():
    with pytest.raises(ConfigError, match=r"data\.image_size: \[64, 80\].*multiples of 32"):
        build(shape=(64, 80, 1))


@pytest.mark.parametrize("upsampling", ["transpose", "bilinear"])
def test_softmax_and_both_upsamplings(upsampling):
    model = build(classes=3, upsampling=upsampling, head="softmax", **BRIEF)
    np.testing.assert_allclose(np.asarray(model(pixels())).sum(axis=-1), 1, atol=1e-5)
