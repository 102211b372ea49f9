"""Losses of exclusive classes: NumPy oracles, gradients, absent classes, precision, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fetal_tf.edge.errors import ConfigError
from fetal_tf.losses import LOSSES
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.losses.classes import (
    ClassCrossentropy,
    FocalCrossentropy,
    HybridLoss,
    WeightedDice,
)
from tests.losses.jax_process import run_on_jax
from tests.losses.loss_checks import check_keras_file, mixed_precision_losses

CLASSES = ("background", "brain", "csp", "lv")
COUNTED = ClassPixels(CLASSES, (7000, 2850, 50, 100), (10, 10, 4, 3))
INVERSE = 1 / (np.array([0.7, 0.285, 0.005, 0.01]) + 0.02)
INVERSE = INVERSE / INVERSE.mean()
WEIGHTS = [0.5, 1.0, 3.0, 2.0]


def log_of(p):
    return np.log(np.maximum(p, 1e-30))


def numpy_focal(t, p, gamma=0.0, weights=None):
    """Focal loss pixel by pixel; gamma 0 is cross-entropy."""
    weights = np.ones(t.shape[-1]) if weights is None else weights
    total = 0.0
    for truth, q in zip(t.reshape(-1, t.shape[-1]), p.reshape(-1, t.shape[-1]), strict=True):
        c = int(np.argmax(truth))
        total -= weights[c] * (1 - q[c]) ** gamma * log_of(q[c])
    return total / (t.size / t.shape[-1])


def present_mean(t, per_class, weights, first):
    used = [c for c in range(first, t.shape[-1]) if t[..., c].any()]
    weights = np.ones(t.shape[-1]) if weights is None else np.asarray(weights)
    whole = sum(weights[c] for c in used)
    return sum(weights[c] * per_class(c) for c in used) / whole if whole else 0.0


def numpy_dice(t, p, weights=None, first=0, smooth=1.0):
    def of(c):
        g, q = t[..., c], p[..., c]
        return 1 - (2 * (q * g).sum() + smooth) / ((q**2).sum() + (g**2).sum() + smooth)

    return present_mean(t, of, weights, first)


def numpy_hybrid(t, p, alpha=0.4, beta=0.2, gamma=2.0, focal=None, dice=None, first=0, smooth=1.0):
    rest = (1 - alpha - beta) * numpy_focal(t, p)
    overlap = numpy_dice(t, p, dice, first, smooth)
    return rest + beta * numpy_focal(t, p, gamma, focal) + alpha * overlap


# config → the same thing in NumPy
SPECS = [
    ({"name": "cross_entropy"}, numpy_focal),
    ({"name": "weighted_cross_entropy"}, lambda t, p: numpy_focal(t, p, 0, INVERSE)),
    ({"name": "focal"}, lambda t, p: numpy_focal(t, p, 2)),
    (
        {"name": "focal", "gamma": 0.5, "alpha": WEIGHTS},
        lambda t, p: numpy_focal(t, p, 0.5, WEIGHTS),
    ),
    (
        {"name": "weighted_cross_entropy", "class_weights": WEIGHTS},
        lambda t, p: numpy_focal(t, p, 0, WEIGHTS),
    ),
    (
        {"name": "focal", "alpha": "inverse_frequency"},
        lambda t, p: numpy_focal(t, p, 2, INVERSE),
    ),
    ({"name": "weighted_dice"}, numpy_dice),
    (
        {"name": "weighted_dice", "class_weights": WEIGHTS, "smooth": 0.3},
        lambda t, p: numpy_dice(t, p, WEIGHTS, 0, 0.3),
    ),
    (
        {
            "name": "weighted_dice",
            "class_weights": "inverse_frequency",
            "include_background": False,
        },
        lambda t, p: numpy_dice(t, p, INVERSE, 1),
    ),
    ({"name": "hybrid"}, numpy_hybrid),
    (
        {
            "name": "hybrid",
            "alpha": 0.7,
            "beta": 0.3,
            "gamma": 1.5,
            "focal_alpha": "inverse_frequency",
            "dice_weights": WEIGHTS,
            "include_background": False,
            "smooth": 2.0,
        },
        lambda t, p: numpy_hybrid(t, p, 0.7, 0.3, 1.5, INVERSE, WEIGHTS, 1, 2.0),
    ),
]
NAMES = sorted({spec["name"] for spec, _ in SPECS})
every_spec = pytest.mark.parametrize(
    ("spec", "oracle"), SPECS, ids=[f"{i}-{spec['name']}" for i, (spec, _) in enumerate(SPECS)]
)
every_loss = pytest.mark.parametrize("name", NAMES)


def build(name: str, **parameters) -> keras.losses.Loss:
    return LOSSES.build("loss", {"name": name, **parameters}, COUNTED)


def one_hot(labels) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[np.asarray(labels)]


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Blobs of brain with a little CSP in two of three images, and no LV anywhere."""
    random = np.random.default_rng(0)
    labels = np.zeros((3, 9, 12), int)
    labels[:, 2:8, 3:10] = 1
    labels[0, 3:5, 5:7] = labels[1, 5, 5] = 2
    return one_hot(labels), softmax(random.normal(0, 2, (3, 9, 12, 4))).astype(np.float32)


def gradient_of(loss, truth, p) -> tuple[float, np.ndarray]:
    p = tf.convert_to_tensor(p)
    with tf.GradientTape() as tape:
        tape.watch(p)
        value = loss(truth, p)
    return float(value), tf.cast(tape.gradient(value, p), tf.float64).numpy()


def test_every_registered_loss_is_tested():
    elsewhere = {"bce", "bce_dice", "dice", "mse"}
    elsewhere |= {"l1_smooth_l1", "wing", "heatmap", "head_and_landmarks", "head_and_axis"}
    assert {*NAMES} | elsewhere == set(LOSSES.names()), (
        "a loss has no test of its value: add it to the specs here, or to `elsewhere` with a test "
        "in a file of its own"
    )


@every_spec
def test_value_equals_numpy(spec, oracle, pair):
    got = LOSSES.build("loss", spec, COUNTED)(*pair)
    assert float(got) == pytest.approx(oracle(*(y.astype(np.float64) for y in pair)), rel=2e-5)


@every_spec
@settings(max_examples=15)
@given(
    labels=hnp.arrays(np.int64, (2, 4, 5), elements=st.integers(0, 3)),
    logits=hnp.arrays(np.float32, (2, 4, 5, 4), elements=st.floats(-12, 12, width=32)),
)
def test_value_equals_numpy_on_any_small_map(spec, oracle, labels, logits):
    truth, p = one_hot(labels), softmax(logits.astype(np.float64)).astype(np.float32)
    got = float(LOSSES.build("loss", spec, COUNTED)(truth, p))
    # A float32 sum of a hundred pixels, then a difference from 1.
    assert got == pytest.approx(oracle(truth, p.astype(np.float64)), rel=1e-4, abs=1e-6)


@every_spec
def test_per_image_values_average_to_the_loss(spec, oracle, pair):
    loss = LOSSES.build("loss", spec, COUNTED)
    values = loss.call(*(tf.constant(y) for y in pair))
    assert values.shape == (3,)
    assert float(loss(*pair)) == pytest.approx(float(tf.reduce_mean(values)), rel=1e-6)


FLOAT64 = [
    ClassCrossentropy(class_weights=WEIGHTS, dtype="float64"),
    FocalCrossentropy(class_weights=WEIGHTS, dtype="float64"),
    FocalCrossentropy(gamma=0.5, dtype="float64"),
    WeightedDice(class_weights=WEIGHTS, dtype="float64"),
    HybridLoss(focal_alpha=WEIGHTS, dice_weights=WEIGHTS, dtype="float64"),
]


@pytest.mark.parametrize("loss", FLOAT64, ids=lambda loss: loss.name)
def test_gradient_equals_finite_differences(loss, pair):
    truth = pair[0].astype(np.float64)
    logits = np.random.default_rng(1).normal(0, 2, truth.shape)

    def of(z):
        return loss(truth, keras.ops.softmax(tf.constant(z), axis=-1))

    z = tf.Variable(logits)
    with tf.GradientTape() as tape:
        value = loss(truth, keras.ops.softmax(z, axis=-1))
    analytic = tape.gradient(value, z).numpy()
    for place in [(0, 3, 5, 2), (1, 5, 5, 2), (1, 5, 5, 3), (2, 0, 0, 0), (0, 2, 3, 1)]:
        step = np.zeros_like(logits)
        step[place] = 1e-5
        difference = float(of(logits + step) - of(logits - step)) / 2e-5
        assert analytic[place] == pytest.approx(difference, rel=1e-5, abs=1e-10)


def test_cross_entropy_gradient_is_minus_weight_over_probability(pair):
    truth, p = pair
    _, gradient = gradient_of(build("weighted_cross_entropy"), truth, p)
    expected = -INVERSE * truth / p / (3 * 9 * 12)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_a_class_absent_from_the_batch_has_exactly_no_gradient(pair):
    truth, p = pair
    value, gradient = gradient_of(build("weighted_dice"), truth, p)
    assert (gradient[..., 3] == 0).all()
    assert (gradient[..., 2] != 0).any() and (gradient[..., 1] != 0).any()
    elsewhere = p.copy()
    elsewhere[..., 3] = 0.9
    assert float(build("weighted_dice")(truth, elsewhere)) == value


def test_the_hybrids_dice_term_has_no_gradient_for_an_absent_class(pair):
    truth, p = pair
    _, whole = gradient_of(build("hybrid", alpha=1.0, beta=0.0), truth, p)
    assert (whole[..., 3] == 0).all() and (whole[..., 2] != 0).any()


def test_a_class_in_one_image_is_judged_on_the_whole_batch(pair):
    """False CSP in an image without CSP counts where another image of the batch shows some."""
    truth, p = pair
    _, gradient = gradient_of(build("weighted_dice"), truth, p)
    assert (gradient[2, ..., 2] > 0).all()


def test_nothing_to_judge_is_a_loss_of_zero():
    truth = one_hot(np.zeros((2, 4, 4), int))
    p = np.full(truth.shape, 0.25, np.float32)
    value, gradient = gradient_of(build("weighted_dice", include_background=False), truth, p)
    assert value == 0 and (gradient == 0).all()


def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_something(pair):
    truth, _ = pair
    for name in NAMES:
        loss = build(name)
        assert float(loss(truth, truth)) == pytest.approx(0, abs=2e-7)
        assert float(loss(truth, np.roll(truth, 1, axis=-1))) > 0.5


@every_spec
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_value_and_gradient_are_finite_at_exactly_zero_and_one(spec, oracle, dtype, pair):
    loss, truth = LOSSES.build("loss", spec, COUNTED), pair[0]
    wrong = np.roll(truth, 1, axis=-1)
    for p in (truth, wrong, np.zeros_like(truth), np.ones_like(truth)):
        value, gradient = gradient_of(loss, truth, tf.cast(p, dtype))
        assert np.isfinite(value) and np.isfinite(gradient).all()


def test_a_confident_mistake_still_has_a_gradient():
    """Where Keras clips, at 1e-7, a pixel 40 logits wrong would never be learnt."""
    truth = one_hot(np.full((1, 1, 1), 2))
    logits = tf.Variable(np.array([[[[40.0, 0, 0, 0]]]], np.float32))
    for name in ("cross_entropy", "focal"):
        with tf.GradientTape() as tape:
            value = build(name)(truth, tf.nn.softmax(logits))
        gradient = tape.gradient(value, logits).numpy()[0, 0, 0]
        np.testing.assert_allclose(gradient, [1, 0, -1, 0], atol=1e-4)


@every_loss
def test_large_frames_hold_in_float16(name):
    """Sums over 8 x 256 x 256 are far beyond float16's 65504, and its steps of 32 there."""
    labels = np.zeros((8, 256, 256), int)
    labels[:, 40:200, 30:220] = 1
    labels[0, 100:106, 90:110] = 2
    p = softmax(3 * one_hot(labels)).astype(np.float16)
    oracle = {
        "cross_entropy": lambda t, q: -(t * np.log(q)).sum(-1).mean(),
        "weighted_cross_entropy": lambda t, q: -(INVERSE * t * np.log(q)).sum(-1).mean(),
        "focal": lambda t, q: -(t * (1 - q) ** 2 * np.log(q)).sum(-1).mean(),
        "weighted_dice": numpy_dice,
    }.get(name)
    got = float(build(name)(one_hot(labels), tf.constant(p)))
    if oracle is None:
        assert np.isfinite(got) and 0 < got < 5
    else:
        exact = oracle(one_hot(labels).astype(np.float64), p.astype(np.float64))
        assert got == pytest.approx(exact, rel=1e-4)


@every_spec
def test_survives_a_keras_file(spec, oracle, pair, tmp_path):
    loss = LOSSES.build("loss", spec, COUNTED)
    check_keras_file(loss, pair, "softmax", tmp_path / "model.keras")


@every_loss
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_trains_in_mixed_precision(name, policy, pair):
    truth = pair[0]
    image = truth @ np.array([[0.0], [1], [2], [3]], np.float32)
    losses = mixed_precision_losses(policy, build(name), image, truth, "softmax")
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ({"name": "weighted_cross_entropy"}, "name"),
        ({"name": "focal", "alpha": "inverse_frequency"}, "alpha"),
        ({"name": "weighted_dice", "class_weights": "inverse_frequency"}, "class_weights"),
        ({"name": "hybrid", "focal_alpha": "inverse_frequency"}, "focal_alpha"),
        ({"name": "hybrid", "dice_weights": "inverse_frequency"}, "dice_weights"),
    ],
)
def test_inverse_frequency_without_counts_is_refused(spec, key):
    with pytest.raises(ConfigError, match=rf"loss\.{key}: .*does not count"):
        LOSSES.build("loss", spec, None)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "focal", "alpha": [1.0, 2.0]}, r"loss\.alpha: found 2 weights for 4 classes"),
        ({"name": "weighted_dice", "class_weights": [0.0] * 4}, r"every weight is 0"),
        ({"name": "hybrid", "alpha": 0.7, "beta": 0.4}, r"loss\.alpha: .* share of -0\.1"),
        ({"name": "hybrid", "beta": -0.1}, r"loss\.beta"),
        ({"name": "focal", "gamma": -1.0}, r"loss\.gamma"),
        ({"name": "focal", "alpha": "inverse"}, r"loss\.alpha"),
        ({"name": "focal", "alpha": [1.0, -1.0, 1.0, 1.0]}, r"loss\.alpha"),
        ({"name": "weighted_cross_entropy", "smoothing": 0.0}, r"loss\.smoothing"),
        ({"name": "bce_dice", "smoothing": 0.1}, r"loss\.smoothing: unknown parameter"),
        ({"name": "cross_entropy", "smoothing": 0.1}, r"loss\.smoothing: unknown parameter"),
    ],
)
def test_senseless_parameters_are_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        LOSSES.build("loss", spec, COUNTED)


@pytest.mark.parametrize(("alpha", "beta"), [(0.6, 0.4), (0.9, 0.1), (1.0, 0.0), (0.0, 1.0)])
def test_shares_may_add_up_to_one(alpha, beta, pair):
    got = float(build("hybrid", alpha=alpha, beta=beta)(*pair))
    assert got == pytest.approx(numpy_hybrid(*pair, alpha, beta), rel=2e-5)


def test_weights_for_another_number_of_classes_are_refused(pair):
    loss = LOSSES.build("loss", {"name": "focal", "alpha": [1.0, 2.0]}, None)
    with pytest.raises(ValueError, match="2 class weights for 4 classes"):
        loss(*pair)


JAX = """
import jax
import numpy as np
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.losses import LOSSES

data = np.load(sys.argv[1])
counted = ClassPixels(("background", "brain", "csp", "lv"), (7000, 2850, 50, 100), (10, 10, 4, 3))
for name in sys.argv[2].split(","):
    loss = LOSSES.build("loss", {"name": name}, counted)
    value, gradient = jax.jit(jax.value_and_grad(lambda p: loss(data["truth"], p)))(data["p"])
    print(name, float(value), float(np.abs(gradient - data[name]).max()))
"""


def test_values_and_gradients_are_the_same_on_jax(pair, tmp_path):
    expected = {name: gradient_of(build(name), *pair) for name in NAMES}
    path = tmp_path / "pair.npz"
    gradients = {name: gradient for name, (_, gradient) in expected.items()}
    np.savez(path, truth=pair[0], p=pair[1], **gradients)
    printed = run_on_jax(JAX, path, ",".join(NAMES))
    lines = [line.split() for line in printed.splitlines()]
    assert [name for name, *_ in lines] == NAMES
    for name, value, worst in lines:
        assert float(value) == pytest.approx(expected[name][0], rel=1e-5)
        assert float(worst) <= 1e-5 * np.abs(gradients[name]).max()
