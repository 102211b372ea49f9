"""What every registered model must do. A new model is done when this file passes for its name.

Nothing here needs a change for a new model: it is found through `MODELS.names()` and built with its
default parameters at 64x96, or with those of its line in PARAMETERS; one that answers with points
instead of a map is named in COORDINATES. The message of a failing assertion says what the rest of
the program relies on.
"""

import inspect
import re
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models import MODELS

SHAPE = (64, 96, 1)
# A ResNet of one block a stage, as narrow as its stem allows.
KERAS_CV = {
    "backbone": "resnet18",
    "arguments": {"stackwise_filters": [64, 16, 16, 32], "stackwise_blocks": [1, 1, 1, 1]},
}
# For a model whose defaults do not suit one class, or are too large to be trained in a test.
PARAMETERS: dict[str, dict] = {
    "attention_unet": {"base": 8, "head": "sigmoid"},
    "efficientnetb3_regressor": {"backbone": "b0"},
    "keras_cv_deeplabv3plus": KERAS_CV,
    "keras_cv_unet": KERAS_CV,
}
# Models whose answer is (N, classes, 2), x and y as shares of the frame.
COORDINATES = ("efficientnetb3_regressor",)


def build(name: str, shape: tuple[int, int, int] = SHAPE, classes: int = 1) -> keras.Model:
    if name.startswith("keras_cv"):
        pytest.importorskip("keras_cv", reason="needs the extra keras-cv")
    return MODELS.build("model", {"name": name, **PARAMETERS.get(name, {})}, shape, classes)


def pixels(count: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.float32)


def answer_shape(name: str, shape: tuple[int, int, int], classes: int) -> tuple[int, ...]:
    """Of one image's answer."""
    return (classes, 2) if name in COORDINATES else (*shape[:2], classes)


def every_layer(model: keras.Model) -> list[keras.Layer]:
    found = []
    for layer in model.layers:
        found += [layer, *(every_layer(layer) if hasattr(layer, "layers") else [])]
    return found


@pytest.fixture(scope="module", params=MODELS.names())
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name) -> keras.Model:
    """The model with its defaults, shared: a test here must not train it."""
    keras.utils.set_random_seed(1)
    return build(name)


@pytest.fixture
def policy():
    """Sets the global dtype policy, and takes it back."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def test_output_is_float32_probabilities_at_input_size_or_coordinates(name, model):
    output = np.asarray(model(pixels(2)))
    assert output.shape == (2, *answer_shape(name, SHAPE, 1)), (
        f"{name} maps (2, 64, 96, 1) to {output.shape}; expected (N, height, width, classes): "
        "letterboxed coordinates are mapped back on the assumption of equal size; or "
        "(N, classes, 2) from a model in COORDINATES"
    )
    assert output.dtype == np.float32, f"{name} returns {output.dtype}; the head must be float32"
    assert output.std() > 0, f"{name} answers every pixel of a noise image alike"
    if name in COORDINATES:
        assert np.abs(output - 0.5).max() < 1, f"{name} starts far outside of the frame: {output}"
        return
    assert output.min() >= 0 and output.max() <= 1, (
        f"{name} returns {output.min():g}..{output.max():g}; end it with blocks.probabilities: "
        "losses and the 0.5 contour take probabilities, not logits"
    )


def test_takes_any_channels_and_classes(name):
    shape, classes = (96, 64, 3), 2
    output = np.asarray(build(name, shape, classes)(pixels(1, shape)))
    assert output.shape == (1, *answer_shape(name, shape, classes)), (
        f"{name} with input {shape} and {classes} classes returns {output.shape}"
    )


def test_layout(name, model):
    assert isinstance(model, keras.Model), f"the builder of {name} returns a {type(model)}"
    assert model.input_shape == (None, *SHAPE), (
        f"{name} has input {model.input_shape}; give keras.Input the whole (height, width, "
        "channels): tablets need a static size"
    )
    assert model.inputs[0].dtype == "float32", f"{name} takes {model.inputs[0].dtype}, not float32"
    first = model.layers[1]
    assert isinstance(first, keras.layers.Rescaling), (
        f"the first layer of {name} is {type(first).__name__}; scale 0..255 inside the model "
        "(blocks.scaled_input, blocks.imagenet_input), so that an exported file takes raw pixels"
    )
    last = "landmarks" if name in COORDINATES else "probabilities"
    assert model.layers[-1].name == last, (
        f"the output layer of {name} is called {model.layers[-1].name!r}; name it {last!r}"
    )
    assert hasattr(model.layers[-1], "activation"), (
        f"the output layer of {name} has no activation, by which experiment.py knows its head; end "
        "with blocks.probabilities"
    )


def test_every_keyword_has_a_default(name):
    required = [p.name for p in MODELS.parameters("model", name).values() if p.default is p.empty]
    assert not required, f"{name}: {required} need defaults; a config may name the model alone"


def test_speaks_keras_only(name, model):
    lambdas = [layer.name for layer in every_layer(model) if type(layer).__name__ == "Lambda"]
    assert not lambdas, f"{name} has Lambda layers {lambdas}: loading one runs code; use keras.ops"
    source = inspect.getsource(sys.modules[inspect.unwrap(MODELS.get("model", name)).__module__])
    assert "import tensorflow" not in source and "from tensorflow" not in source, (
        f"the file of {name} imports tensorflow; models speak keras.ops, to run on any backend"
    )


def test_a_size_that_does_not_suit_is_refused_or_works(name):
    try:
        odd = build(name, (65, 97, 1))
    except ConfigError as error:
        assert "data.image_size" in str(error), (
            f"{name} refuses 65x97 without naming the key data.image_size: {error}"
        )
    else:
        assert odd.output_shape == (None, *answer_shape(name, (65, 97, 1), 1)), (
            f"{name} turns 65x97 into {odd.output_shape}"
        )


def test_saves_and_loads_in_safe_mode(name, model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True, compile=False)
    images = pixels(2)
    np.testing.assert_allclose(
        loaded(images),
        model(images),
        atol=1e-6,
        err_msg=f"{name} answers differently after save and load: a layer of your own needs "
        "get_config, and weights created in build()",
    )


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_runs_in_mixed_precision(name, policy, precision):
    policy(precision)
    mixed = build(name, (32, 32, 1))
    assert mixed.layers[-1].compute_dtype == "float32", (
        f"the head of {name} computes in {mixed.layers[-1].compute_dtype} under {precision}: "
        "give it dtype='float32', or the loss loses its gradients"
    )
    halves = [layer for layer in mixed.layers if layer.compute_dtype == precision[6:]]
    assert halves, f"{name} ignores the policy {precision}: no layer computes in it"
    output = np.asarray(mixed(pixels(2, (32, 32, 1))))
    assert output.dtype == np.float32, f"{name} returns {output.dtype} under {precision}"
    assert np.isfinite(output).all(), f"{name} returns NaN or infinity under {precision}"


def test_training_moves_every_weight_and_lowers_the_loss(name):
    keras.utils.set_random_seed(2)
    model = build(name, (32, 32, 1))
    truth = np.zeros((4, 32, 32, 1), np.float32)
    truth[:, 8:24, 8:24] = 1
    images = 60 + 120 * truth + 0.2 * pixels(4, (32, 32, 1))
    loss = "binary_crossentropy"
    if name in COORDINATES:
        loss, truth = "mse", np.full((4, 1, 2), 0.2, np.float32)
    # Eagerly: to trace a deep encoder's training takes ten times as long as three of its steps.
    model.compile(keras.optimizers.Adam(1e-3), loss, run_eagerly=True)
    before = [np.array(w) for w in model.trainable_weights]
    losses = [float(model.train_on_batch(images, truth)) for _ in range(3)]
    assert losses[-1] < losses[0], f"{name} does not learn a bright square: losses {losses}"
    pairs = zip(model.trainable_weights, before, strict=True)
    still = [w.path for w, old in pairs if np.array_equal(w, old)]
    assert not still, f"{name}: no gradient reaches {still}"


def test_converts_to_tflite_with_builtin_operators(name, model):
    # From a frozen graph: from_keras_model, as the export has it, traces a deep encoder four times.
    answer = tf.function(lambda images: model(images), autograph=False)
    graph = answer.get_concrete_function(tf.TensorSpec((1, *SHAPE)))
    frozen = convert_variables_to_constants_v2(graph)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        content = converter.convert()
    except Exception as error:
        wanting = sorted(set(re.findall(r"'tf\.(\w+)' op", str(error)))) or str(error)[-600:]
        pytest.fail(f"{name} does not convert to built-in TFLite operators; it needs {wanting}")
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    assert list(inputs[0]["shape"]) == [1, *SHAPE], f"{name} exports input {inputs[0]['shape']}"
    interpreter.set_tensor(inputs[0]["index"], pixels(1))
    interpreter.invoke()
    np.testing.assert_allclose(
        interpreter.get_tensor(outputs[0]["index"]),
        model(pixels(1)),
        atol=1e-4,
        err_msg=f"{name} answers differently as TFLite",
    )
