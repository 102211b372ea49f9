"""The Attention U-Net's own promises: the paper's gate, its place, its size, and clean int8."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from fetal_tf.edge.errors import ConfigError
from fetal_tf.exporting.convert import convert
from fetal_tf.exporting.formats import FORMATS
from fetal_tf.models import MODELS
from fetal_tf.models.attention_unet import attention_gate
from fetal_tf.models.blocks import scaled_input
from fetal_tf.training.attention_maps import gate_maps
from tests.losses.jax_process import run_on_jax

SHAPE = (32, 48, 1)
SMALL = {"base": 4, "depth": 3}


def attention_unet(shape=SHAPE, classes=4, **parameters) -> keras.Model:
    return MODELS.build("model", {"name": "attention_unet", **parameters}, shape, classes)


def frames(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, *SHAPE)).astype(np.float32)


def names(model: keras.Model, *kinds: type) -> list[str]:
    return [layer.name for layer in model.layers if isinstance(layer, kinds)]


def doubled(values: np.ndarray) -> np.ndarray:
    """Bilinear interpolation of (h, w) to (2h, 2w), pixel by pixel, the border repeated."""
    height, width = values.shape
    fine = np.empty((2 * height, 2 * width))
    for row in range(2 * height):
        for column in range(2 * width):
            y = min(max((row + 0.5) / 2 - 0.5, 0), height - 1)
            x = min(max((column + 0.5) / 2 - 0.5, 0), width - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            v, u = y - top, x - left
            fine[row, column] = (1 - v) * (
                (1 - u) * values[top, left] + u * values[top, right]
            ) + v * ((1 - u) * values[bottom, left] + u * values[bottom, right])
    return fine


def test_the_gate_is_the_papers_equation():
    random = np.random.default_rng(1)
    skip, signal = keras.Input((8, 12, 6)), keras.Input((4, 6, 5))
    gated = attention_gate(skip, signal, name="gate")
    model = keras.Model([skip, signal], gated)
    for weight in model.weights:
        spread = 0.3 if "psi" in weight.path else 1.0  # else the sigmoid is saturated everywhere
        weight.assign(random.normal(0, spread, weight.shape))
    x, g = random.uniform(0, 6, (8, 12, 6)), random.uniform(0, 6, (4, 6, 5))

    weight = {w.path: np.asarray(w, np.float64) for w in model.weights}
    wx, wg, psi = (weight[f"gate_{part}/kernel"][0, 0] for part in ("wx", "wg", "psi"))
    assert (wx.shape, wg.shape, psi.shape) == ((6, 3), (5, 3), (3, 1))
    assert "gate_wx/bias" not in weight
    between = x[::2, ::2] @ wx + g @ wg + weight["gate_wg/bias"]
    assert between.min() < 0 and between.max() > 6  # both ends of ReLU6 are tried
    logit = np.clip(between, 0, 6) @ psi + weight["gate_psi/bias"]
    attention = doubled(1 / (1 + np.exp(-logit[..., 0])))
    assert np.ptp(attention) > 0.5

    expected = x * attention[..., None]
    np.testing.assert_allclose(np.asarray(model([x[None], g[None]]))[0], expected, atol=1e-4)
    read = keras.Model(model.inputs, model.get_layer("gate_map").output)
    np.testing.assert_allclose(read([x[None], g[None]])[0, ..., 0], attention, atol=1e-5)


def test_every_skip_but_the_topmost_is_gated_by_the_level_below():
    model = attention_unet(**SMALL)
    assert names(model, keras.layers.Multiply) == ["gate_2_gated", "gate_1_gated"]
    below = {1: "decoder_2_conv1_relu6", 2: "bottleneck_conv1_relu6"}
    for level in (1, 2):
        skip = model.get_layer(f"encoder_{level}_conv1_relu6").output
        every_second = model.get_layer(f"gate_{level}_every_second")
        assert every_second.input is skip
        assert model.get_layer(f"gate_{level}_wx").input is every_second.output
        assert model.get_layer(f"gate_{level}_wg").input is model.get_layer(below[level]).output
        assert model.get_layer(f"gate_{level}_gated").input[0] is skip
        joined = model.get_layer(f"skip_{level}").input[1]
        assert joined is model.get_layer(f"gate_{level}_gated").output
    top = model.get_layer("skip_0").input[1]
    assert top is model.get_layer("encoder_0_conv1_relu6").output


@pytest.mark.parametrize("convs_per_block", [1, 2])
@pytest.mark.parametrize("upsampling", ["transpose", "bilinear"])
def test_with_open_gates_it_is_the_plain_unet(convs_per_block, upsampling):
    shared = {**SMALL, "convs_per_block": convs_per_block, "upsampling": upsampling}
    model = attention_unet(**shared, input_range="zero_one")
    plain = MODELS.build("model", {"name": "unet", "head": "softmax", **shared}, SHAPE, 4)
    for layer in plain.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    assert np.abs(model(frames(2)) - plain(frames(2))).max() > 1e-4
    for level in (1, 2):
        kernel, bias = model.get_layer(f"gate_{level}_psi").weights
        kernel.assign(0 * kernel)
        bias.assign([40.0])
    np.testing.assert_allclose(model(frames(2)), plain(frames(2)), atol=1e-6)


@pytest.mark.parametrize("convs", [1, 2])
def test_parameters_are_those_of_the_docstring(convs):
    model = attention_unet((64, 64, 1), convs_per_block=convs)
    widths = [64, 128, 256, 512, 1024]
    steps = list(pairwise(widths))
    norm = lambda filters: 4 * filters  # noqa: E731  scale, offset, and two running statistics
    three = lambda i, o: 9 * i * o + norm(o)  # noqa: E731
    expected = three(1, 64) + sum(three(fine, coarse) for fine, coarse in steps)
    for fine, coarse in steps:
        expected += 4 * coarse * fine + norm(fine) + three(2 * fine, fine)  # up, joined with skip
    if convs == 2:
        expected += sum(three(w, w) for w in widths) + sum(three(fine, fine) for fine, _ in steps)
    gates = 0
    for fine, coarse in steps[1:]:
        half = fine // 2
        gates += fine * half + (coarse + 1) * half + half + 1
    assert model.count_params() == expected + gates + 4 * (64 + 1)
    described = MODELS.get("model", "attention_unet").__doc__ or ""
    assert f"{model.count_params():,}" in described
    assert f"{gates:,}" in described


def test_the_plain_unet_kept_its_layers():
    """It shares its blocks; runs and bundles made before hold these names in this order."""
    model = MODELS.build(
        "model", {"name": "unet", "base": 4, "depth": 2, "convs_per_block": 1}, SHAPE, 1
    )
    conv = lambda name: [name, f"{name}_norm", f"{name}_relu6"]  # noqa: E731
    assert [layer.name for layer in model.layers] == [
        "pixels", "scale_0_1",
        *conv("encoder_0_conv0"), "pool_0", *conv("encoder_1_conv0"), "pool_1",
        *conv("bottleneck_conv0"), *conv("up_1"), "skip_1", *conv("decoder_1_conv0"),
        *conv("up_0"), "skip_0", *conv("decoder_0_conv0"), "probabilities",
    ]  # fmt: skip


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_scales_pixels_to_minus_one_to_one_in_float32(precision):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        model = attention_unet(**SMALL)
    finally:
        keras.config.set_dtype_policy(before)
    scaled = keras.Model(model.input, model.get_layer("scale_minus1_1").output)
    pixels = np.zeros((1, *SHAPE), np.float32)
    pixels[0, 0, :5, 0] = [0, 51, 127.5, 254, 255]
    values = np.asarray(scaled(pixels))
    assert values.dtype == np.float32
    expected = [-1, -0.6, 0, 254 / 127.5 - 1, 1]
    np.testing.assert_allclose(values[0, 0, :5, 0], expected, atol=1e-6)
    output = np.asarray(model(frames(1)))
    assert output.dtype == np.float32
    np.testing.assert_allclose(output.sum(axis=-1), 1, atol=1e-5)


def test_an_unknown_range_is_refused():
    with pytest.raises(ConfigError, match=r"model\.input_range: .*'minus_one_one'"):
        attention_unet(**SMALL, input_range="minus_one_to_one")


@pytest.mark.parametrize(
    "wrong", [{"base": 0}, {"depth": 1}, {"convs_per_block": 3}, {"dropout": 1.0}, {"norm": "no"}]
)
def test_senseless_parameters_are_refused(wrong):
    with pytest.raises(ConfigError, match=rf"model\.{next(iter(wrong))}: "):
        attention_unet(**wrong)


def run_int8(path, images: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(target["index"])[0])
    scale, zero = target["quantization"]
    return (np.stack(answers).astype(np.float32) - zero) * scale


def test_int8_keeps_every_gray_level(tmp_path):
    pixels, scaled = scaled_input((16, 16, 1), multiple=1, input_range="minus_one_one")
    same = keras.layers.Conv2D(1, 1, kernel_initializer="ones")
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    path = convert(keras.Model(pixels, same(scaled)), FORMATS["int8"], tmp_path, ramp)
    answer = run_int8(path, ramp)
    assert len(np.unique(answer)) == 256
    np.testing.assert_allclose(answer, ramp / 127.5 - 1, atol=0.5 / 127.5 + 1e-6)


def heads(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy frames of a gray ellipse with a bright and a dark box in it, and their labels."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    labels = np.zeros((count, *SHAPE[:2]), np.int64)
    for label in labels:
        y, x = random.integers(14, 18), random.integers(20, 28)
        label[((rows - y) / 12) ** 2 + ((columns - x) / 17) ** 2 < 1] = 1
        label[y - 3 : y + 3, x - 10 : x - 4] = 2
        label[y - 3 : y + 4, x + 3 : x + 11] = 3
    gray = np.array([60, 120, 220, 10])[labels] + random.normal(0, 12, labels.shape)
    return np.clip(gray, 0, 255).astype(np.uint8)[..., None], labels


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    keras.utils.set_random_seed(4)
    model = attention_unet(base=8, depth=2, convs_per_block=1)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    model.fit(*heads(64, seed=0), batch_size=8, epochs=8, verbose=0)
    return model


def dice(labels: np.ndarray, truth: np.ndarray) -> list[float]:
    pairs = [(labels == k, truth == k) for k in range(4)]
    return [2 * (p & t).sum() / (p.sum() + t.sum()) for p, t in pairs]


def test_gates_survive_int8(trained, tmp_path):
    path = convert(trained, FORMATS["int8"], tmp_path, heads(16, seed=1)[0])
    images, truth = heads(24, seed=2)
    as_float = trained.predict(images, verbose=0).argmax(axis=-1)
    as_int8 = run_int8(path, images).argmax(axis=-1)
    learnt = dice(as_float, truth)
    assert min(learnt) > 0.9  # else agreement would prove nothing
    assert (as_int8 == as_float).mean() > 0.995
    assert np.abs(np.subtract(dice(as_int8, truth), learnt)).max() <= 0.005
    maps = gate_maps(trained).predict(images, verbose=0)["gate_1"]
    assert np.ptp(maps) > 0.05  # a constant gate would survive anything


def test_int8_holds_nothing_but_convolutions_gates_and_their_glue(trained, tmp_path):
    path = convert(trained, FORMATS["int8"], tmp_path, heads(4, seed=1)[0])
    interpreter = Interpreter(
        model_path=str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    operators = [op["op_name"] for op in interpreter._get_ops_details()]
    assert {name: operators.count(name) for name in sorted(set(operators))} == {
        "ADD": 2,  # the input's shift, and the gate's sum with its ReLU6
        "CONCATENATION": 2,
        "CONV_2D": 9,  # five blocks, the gate's three, the head
        "LOGISTIC": 1,
        "MAX_POOL_2D": 3,  # two levels, and the gate's every second pixel
        "MUL": 1,
        "QUANTIZE": 2,  # uint8 to int8 and back
        "RESIZE_BILINEAR": 1,
        "SOFTMAX": 1,
        "TRANSPOSE_CONV": 2,
    }


JAX_STEP = """
import numpy as np
from fetal_tf.training.attention_maps import gate_maps
from fetal_tf.models import MODELS

model = MODELS.build(
    "model", {"name": "attention_unet", "base": 4, "depth": 2, "convs_per_block": 1}, (16, 24, 1), 3
)
random = np.random.default_rng(0)
images = random.uniform(0, 255, (2, 16, 24, 1)).astype("float32")
model.compile("adam", "sparse_categorical_crossentropy")
before = [np.array(weight) for weight in model.trainable_weights]
loss = float(model.train_on_batch(images, random.integers(0, 3, (2, 16, 24))))
assert np.isfinite(loss)
pairs = zip(model.trainable_weights, before)
assert all(not np.array_equal(weight, old) for weight, old in pairs)
maps = np.asarray(gate_maps(model)(images)["gate_1"])
assert maps.shape == (2, 8, 12, 1) and 0 < maps.min() and maps.max() < 1
print("trained without TensorFlow")
"""


def test_a_training_step_on_jax_with_tensorflow_out_of_reach():
    assert run_on_jax(JAX_STEP).strip() == "trained without TensorFlow"
