"""Losses of landmarks against NumPy: order, geometry, hidden landmarks, precision, files, JAX."""

import itertools
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fetal_tf.config.loading import load_config
from fetal_tf.edge.errors import ConfigError
from fetal_tf.experiment import open_experiment
from fetal_tf.losses import LOSSES
from fetal_tf.losses.coordinates import L1SmoothL1
from fetal_tf.losses.landmark_maps import soft_argmax
from tests.losses.jax_process import run_on_jax
from tests.losses.loss_checks import check_keras_file, gradient_of, mixed_precision_losses

REGRESSION = Path(__file__).parents[2] / "configs" / "landmarks_regression_small.yaml"
SIZE = 24, 32  # height, width
ASPECT_RATIO = SIZE[0] / SIZE[1]
# Ends of two axes that are perpendicular and bisect each other, in px.
HEAD = np.array([[6.0, 9.0], [24.0, 15.0], [17.0, 6.0], [13.0, 18.0]])
SWAPPED = [1, 0, 3, 2]
COORDINATES = {
    "l1_smooth_l1": [{}, {"l1_weight": 0.5, "smooth_l1_weight": 2.0, "beta": 0.05}],
    "wing": [{}, {"w": 0.1, "epsilon": 0.01}],
}
MAPS = {
    "heatmap": [{}, {"foreground_weight": 7.0, "soft_argmax_weight": 0.3, "power": 2.0}],
    "head_and_landmarks": [{}, {"landmark_weight": 3.0, "bce_weight": 0.5, "smooth": 4.0}],
}
PARAMETERS = {**COORDINATES, **MAPS}


def spec_of(name, variant, order_invariant, geometry_weight) -> dict:
    both = {"order_invariant": order_invariant, "geometry_weight": geometry_weight}
    if name in COORDINATES and geometry_weight:
        both["aspect_ratio"] = ASPECT_RATIO
    return {"name": name, **PARAMETERS[name][variant], **both}


SPECS = [
    spec_of(*choice) for choice in itertools.product(PARAMETERS, (0, 1), (False, True), (0.0, 2.0))
]
FULLEST = [spec_of(name, 1, True, 2.0) for name in PARAMETERS]
LABELS = ["-".join(str(value) for value in spec.values()) for spec in SPECS]
every_spec = pytest.mark.parametrize("spec", SPECS, ids=LABELS)
every_name = pytest.mark.parametrize("name", PARAMETERS)


def build(name: str, **parameters) -> keras.losses.Loss:
    return LOSSES.build("loss", {"name": name, **parameters}, None)


def gaussians(points: np.ndarray, sigma=1.5) -> np.ndarray:
    """Points (..., 2) in px to maps (..., h, w); NaN gives an empty one."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    squared = (x - points[..., 0, None, None]) ** 2 + (y - points[..., 1, None, None]) ** 2
    return np.nan_to_num(np.exp(-squared / (2 * sigma**2)))


def as_maps(points: np.ndarray, head: bool) -> np.ndarray:
    """(N, 4, 2) px to (N, h, w, 4), or 5 with the head's mask first."""
    maps = np.moveaxis(gaussians(points), 1, -1)
    if head:
        whole = gaussians(np.nanmean(points, axis=1), 6.0)
        maps = np.concatenate([whole[..., None], maps], axis=-1)
    return maps.astype(np.float32)


def as_coordinates(points: np.ndarray) -> np.ndarray:
    """(N, 4, 2) px to (N, 4, 3): shares and weight, 0 where NaN."""
    shares = (points + 0.5) / np.array(SIZE[::-1])
    weight = np.isfinite(points[..., :1])
    return np.concatenate([shares, weight], axis=-1).astype(np.float32)


def pair_for(name, truth, found) -> tuple[np.ndarray, np.ndarray]:
    """Points in px, (N, 4, 2) twice, as what this loss compares."""
    if name in COORDINATES:
        return as_coordinates(truth), as_coordinates(found)[..., :2]
    return tuple(as_maps(points, name == "head_and_landmarks") for points in (truth, found))


@pytest.fixture
def points() -> tuple[np.ndarray, np.ndarray]:
    """Truth and predictions in px of five images; ends are swapped, and some are not visible."""
    random = np.random.default_rng(0)
    truth = HEAD + random.normal(0, 1.0, (5, 4, 2))
    found = HEAD + random.normal(0, 1.5, (5, 4, 2))
    found[1] = found[1, SWAPPED]
    found[2, :2] = found[2, [1, 0]]
    found[3] = found[3, SWAPPED]
    truth[3, 1] = np.nan
    truth[4, :3] = np.nan
    return truth, found


def pair_of(name, points) -> tuple[np.ndarray, np.ndarray]:
    """As `pair_for`; maps get a noisy background, as networks give."""
    truth, found = pair_for(name, *points)
    if name in MAPS:
        noise = np.random.default_rng(1).uniform(0.01, 0.3, found.shape)
        found = (0.7 * found + noise).astype(np.float32)
    return truth, found


def numpy_scalar_cost(name, d, l1_weight=1.0, smooth_l1_weight=1.0, beta=1.0, w=0.15, epsilon=0.03):
    if name == "wing":
        return w * np.log(1 + d / epsilon) if d < w else d - w + w * np.log(1 + w / epsilon)
    return l1_weight * d + smooth_l1_weight * (d * d / 2 / beta if d < beta else d - beta / 2)


def numpy_geometry(points, truth) -> float:
    """Of one image, (4, 2) px twice."""
    if not np.isfinite(truth).all():
        return 0.0
    u, v = points[1] - points[0], points[3] - points[2]
    cosine = abs(u @ v) / np.linalg.norm(u) / np.linalg.norm(v)
    length = (np.linalg.norm(truth[1] - truth[0]) + np.linalg.norm(truth[3] - truth[2])) / 2
    return cosine + np.linalg.norm((points[0] + points[1] - points[2] - points[3]) / 2) / length


def orders(truth, order_invariant):
    """For each axis, the orders of its true ends that may be chosen, as indices of landmarks."""
    free = [order_invariant and np.isfinite(truth[2 * a : 2 * a + 2]).all() for a in (0, 1)]
    return [
        [[2 * axis, 2 * axis + 1], [2 * axis + 1, 2 * axis]][: 1 + free[axis]] for axis in (0, 1)
    ]


def cheapest(truth, order_invariant, cost) -> float:
    """The sum over axes of the cheapest order; `cost` takes a true and a found landmark's index."""
    return sum(
        min(sum(cost(t, 2 * axis + end) for end, t in enumerate(order)) for order in choices)
        for axis, choices in enumerate(orders(truth, order_invariant))
    )


def numpy_coordinates(name, truth, found, order_invariant, geometry_weight, **parameters) -> float:
    """Loss of points in px, one image at a time."""
    parameters.pop("aspect_ratio", None)
    losses = []
    for t, p in zip(truth, found, strict=True):
        visible = np.isfinite(t).all(axis=-1)

        def cost(i, j, t=t, p=p, visible=visible):
            if not visible[i]:
                return 0.0
            d = np.abs(t[i] - p[j]) / np.array(SIZE[::-1])
            return np.mean([numpy_scalar_cost(name, x, **parameters) for x in d])

        loss = cheapest(t, order_invariant, cost) / max(visible.sum(), 1)
        losses.append(loss + geometry_weight * numpy_geometry(p, t))
    return float(np.mean(losses))


def numpy_soft_argmax(maps, power) -> np.ndarray:
    """(h, w, K) to (K, 2)."""
    y, x = np.mgrid[: maps.shape[0], : maps.shape[1]]
    mass = maps.astype(np.float64) ** power
    return np.array([[(m * x).sum(), (m * y).sum()] / m.sum() for m in np.moveaxis(mass, -1, 0)])


def numpy_heatmap(
    truth,
    found,
    order_invariant,
    geometry_weight,
    foreground_weight=100.0,
    soft_argmax_weight=1.0,
    power=4.0,
) -> float:
    """Loss of maps (N, h, w, 4), one image at a time."""
    losses = []
    for t, p in zip(truth.astype(np.float64), found.astype(np.float64), strict=True):
        visible = t.max(axis=(0, 1)) > 0
        places = np.full((4, 2), np.nan)
        places[visible] = numpy_soft_argmax(t[..., visible], power)
        seen = numpy_soft_argmax(p, power)

        def cost(i, j, t=t, p=p, visible=visible, places=places, seen=seen):
            squared = (1 + foreground_weight * t[..., i]) * (t[..., i] - p[..., j]) ** 2
            if not visible[i]:
                return squared.mean() / 4
            apart = np.abs(places[i] - seen[j]).sum() / max(SIZE) / visible.sum()
            return squared.mean() / 4 + soft_argmax_weight * apart

        loss = cheapest(places, order_invariant, cost)
        losses.append(loss + geometry_weight * numpy_geometry(seen, places))
    return float(np.mean(losses))


def expected(spec, points, pair) -> float:
    name, parameters = spec["name"], {key: spec[key] for key in spec if key != "name"}
    if name in COORDINATES:
        return numpy_coordinates(name, *points, **parameters)
    if name == "heatmap":
        return numpy_heatmap(*pair, **parameters)
    weight = parameters.pop("landmark_weight", 1.0)
    head = {key: parameters.pop(key) for key in ("bce_weight", "smooth") if key in parameters}
    truth, found = pair
    head_loss = float(build("bce_dice", **head)(truth[..., :1], found[..., :1]))
    return head_loss + weight * numpy_heatmap(truth[..., 1:], found[..., 1:], **parameters)


@every_spec
def test_value_equals_numpy(spec, points):
    pair = pair_of(spec["name"], points)
    value = float(LOSSES.build("loss", spec, None)(*pair))
    assert value == pytest.approx(expected(spec, points, pair), rel=2e-5)


@every_spec
def test_a_small_step_along_the_gradient_lowers_the_loss(spec, points):
    truth, found = pair_of(spec["name"], points)
    loss = LOSSES.build("loss", spec, None)
    value, gradient = gradient_of(loss, truth, found)
    stepped = found - 1e-3 * gradient / np.abs(gradient).max()
    assert float(loss(truth, stepped)) < value


@every_name
def test_swapping_the_ends_of_an_axis_matters_unless_it_is_told_not_to(name, points):
    truth, found = points[0][:3], points[1][:3]
    for order, same in itertools.product(([1, 0, 2, 3], [0, 1, 3, 2], SWAPPED), (True, False)):
        loss = build(name, order_invariant=same)
        first = float(loss(*pair_for(name, truth, found)))
        for swapped in ((truth[:, order], found), (truth, found[:, order])):
            second = float(loss(*pair_for(name, *swapped)))
            assert (second == pytest.approx(first, rel=1e-5)) is same


@every_name
def test_axes_are_never_mistaken_for_each_other(name):
    loss = build(name, order_invariant=True)
    same, ends, axes = (
        float(loss(*pair_for(name, HEAD[None], HEAD[None, order])))
        for order in ([0, 1, 2, 3], SWAPPED, [2, 3, 0, 1])
    )
    assert ends == pytest.approx(same, abs=1e-6)
    assert axes > same + 0.05


@every_name
@pytest.mark.parametrize("hidden", range(4))
def test_an_axis_with_a_hidden_end_keeps_its_order(name, hidden, points):
    truth, found = points[0][:1].copy(), points[1][:1]
    truth[:, hidden] = np.nan
    axis = [0, 1] if hidden < 2 else [2, 3]
    order = np.arange(4)
    order[axis] = order[axis[::-1]]
    loss = build(name, order_invariant=True)
    straight = float(loss(*pair_for(name, truth, found)))
    assert float(loss(*pair_for(name, truth, found[:, order]))) > straight + 0.01


@pytest.mark.parametrize("name", COORDINATES)
@pytest.mark.parametrize("order_invariant", [False, True])
@pytest.mark.parametrize("anything", [0.0, 0.9, np.nan])
def test_a_landmark_without_weight_has_no_say(name, order_invariant, anything, points):
    truth, found = pair_for(name, points[0][:3], points[1][:3])
    geometry = {"geometry_weight": 1.0, "aspect_ratio": ASPECT_RATIO}
    loss = build(name, order_invariant=order_invariant, **geometry)
    truth[:, 2] = anything, anything, 0
    value, gradient = gradient_of(loss, truth, found)
    assert np.isfinite(gradient).all() and not gradient[:, 2].any()
    moved = found.copy()
    moved[:, 2] += 0.2
    assert float(loss(truth, moved)) == value
    hidden = points[0][:3].copy()
    hidden[:, 2] = np.nan
    expected = numpy_coordinates(name, hidden, points[1][:3], order_invariant, 0.0)
    assert value == pytest.approx(expected, rel=1e-5)


@every_spec
def test_nothing_visible_costs_nothing_and_sends_no_gradient(spec):
    """Of coordinates; maps of landmarks outside the frame are held to zero."""
    unseen = np.full((2, 4, 2), np.nan)
    found = np.broadcast_to(HEAD, (2, 4, 2)) + 1.3
    loss = LOSSES.build("loss", spec, None)
    if spec["name"] in COORDINATES:
        value, gradient = gradient_of(loss, *pair_for(spec["name"], unseen, found))
        assert value == 0 and not gradient.any()
        return
    channels = 5 if spec["name"] == "head_and_landmarks" else 4
    empty = np.zeros((2, *SIZE, channels), np.float32)
    value, gradient = gradient_of(loss, empty, empty)
    assert value == pytest.approx(0, abs=1e-6) and np.isfinite(gradient).all()
    value, gradient = gradient_of(loss, empty, empty + 0.5)
    assert value > 0.1 and (gradient > 0).all()


@every_spec
def test_a_perfect_prediction_costs_nothing(spec):
    """Except the cross-entropy of a fractional coverage, which is its entropy."""
    truth, found = pair_for(spec["name"], HEAD[None], HEAD[None])
    floor = 0.0
    if spec["name"] == "head_and_landmarks":
        given = {key: spec[key] for key in ("bce_weight", "smooth") if key in spec}
        floor = float(build("bce_dice", **given)(truth[..., :1], truth[..., :1]))
    value, gradient = gradient_of(LOSSES.build("loss", spec, None), truth, found)
    assert value == pytest.approx(floor, abs=2e-5)
    assert np.isfinite(gradient).all()


def geometry_loss(aspect_ratio=ASPECT_RATIO) -> keras.losses.Loss:
    """The geometry term of a coordinate loss, without its distances."""
    return L1SmoothL1(
        l1_weight=0.0, smooth_l1_weight=0.0, geometry_weight=1.0, aspect_ratio=aspect_ratio
    )


def geometry_alone(points, aspect_ratio=ASPECT_RATIO) -> tuple[float, np.ndarray]:
    """The geometry term of one image's points in px, where the truth is HEAD, and its gradient."""
    loss = geometry_loss(aspect_ratio)
    return gradient_of(loss, *pair_for("wing", HEAD[None], np.array(points)[None]))


def test_geometry_holds_in_pixels_not_in_shares():
    assert geometry_alone(HEAD)[0] == pytest.approx(0, abs=1e-6)
    assert geometry_alone(HEAD, aspect_ratio=1.0)[0] > 0.1


def test_geometry_knows_a_turn_and_a_shift_but_no_size():
    long, short = 360**0.5, 160**0.5  # of HEAD's axes
    turned = HEAD.copy()
    turned[2:] = [[15 + 6, 12 - 2], [15 - 6, 12 + 2]]  # 36.87 degrees to the long axis
    u, v = turned[1] - turned[0], turned[3] - turned[2]
    cosine = abs(u @ v) / np.linalg.norm(u) / np.linalg.norm(v)
    assert geometry_alone(turned)[0] == pytest.approx(cosine, rel=1e-5)
    shifted = HEAD + np.array([[3.0, 4.0]] * 2 + [[0.0, 0.0]] * 2)
    assert geometry_alone(shifted)[0] == pytest.approx(5 / ((long + short) / 2), rel=1e-5)
    for factor in (0.5, 2.0):
        assert geometry_alone((HEAD - 15) * factor + 15)[0] == pytest.approx(0, abs=1e-5)


def test_geometry_of_axes_that_have_collapsed_keeps_its_gradient_bounded():
    random = np.random.default_rng(0)
    for spread in (0.0, 1e-6, 1e-3):
        points = HEAD.mean(axis=0) + random.normal(0, spread, (4, 2))
        value, gradient = geometry_alone(points)
        assert value < 0.05
        assert np.abs(gradient).max() < 10


def test_a_true_axis_without_length_sets_no_geometry():
    truth, found = pair_for("wing", HEAD[None], HEAD[None] + 1.0)
    truth[:, 1] = truth[:, 0]
    loss = geometry_loss()
    value, gradient = gradient_of(loss, truth, found + np.float32(0.01) * found[:, ::-1])
    assert value == 0 and not gradient.any()


@pytest.mark.parametrize("power", [1.0, 4.0])
def test_soft_argmax_finds_a_lone_peak_to_a_hundredth_of_a_pixel(power):
    places = np.array([[8.0, 7.5], [20.3, 14.8], [11.25, 12.0]])
    maps = 0.3 * np.moveaxis(gaussians(places), 0, -1)[None]
    found = np.asarray(soft_argmax(maps.astype(np.float32), power))[0]
    np.testing.assert_allclose(found, places, atol=0.01)


def test_soft_argmax_is_biased_as_documented():
    y, x = np.mgrid[:192, :288]
    peak = np.exp(-((x - 40) ** 2 + (y - 95.5) ** 2) / (2 * 3**2))[None, ..., None]
    for power, share in ((1.0, 0.95), (4.0, 6e-4)):
        place = np.asarray(soft_argmax((peak + 0.02).astype(np.float32), power))[0, 0]
        assert (place[0] - 40) / (143.5 - 40) == pytest.approx(share, rel=0.1)
        cut = np.exp(-((x + 0.5) ** 2 + (y - 95.5) ** 2) / (2 * 6**2))[None, ..., None]
        place = np.asarray(soft_argmax(cut.astype(np.float32), power))[0, 0]
        assert place[0] + 0.5 == pytest.approx(0.8 * 6 / power**0.5, rel=0.02)


def test_soft_argmax_of_an_empty_or_flat_map_is_the_centre():
    for level in (0.0, 1e-30, 0.3):
        maps = tf.fill((1, *SIZE, 1), np.float32(level))
        with tf.GradientTape() as tape:
            tape.watch(maps)
            found = soft_argmax(maps)
        np.testing.assert_allclose(found[0, 0], [(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2], rtol=1e-5)
        assert np.isfinite(tape.gradient(found, maps)).all()


def test_a_gaussian_that_the_edge_cuts_off_is_compared_with_its_like():
    truth = as_maps(HEAD[None] - np.array([6.5, 6.0]), head=False)
    without, with_points = (
        float(build("heatmap", soft_argmax_weight=w)(truth, truth / 2)) for w in (0.0, 100.0)
    )
    assert with_points == pytest.approx(without, abs=1e-3)


def test_one_axis_is_enough_for_order_but_not_for_geometry():
    truth = as_maps(HEAD[None], head=False)[..., :2]
    turned = truth[..., ::-1].copy()
    assert float(build("heatmap", order_invariant=True)(truth, turned)) == pytest.approx(
        0, abs=1e-6
    )
    with pytest.raises(ValueError, match="2 landmark maps; heatmap needs 4 for geometry_weight"):
        build("heatmap", geometry_weight=1.0)(truth, turned)
    with pytest.raises(ValueError, match="1 landmarks are not pairs"):
        build("heatmap", order_invariant=True)(truth[..., :1], turned[..., :1])
    with pytest.raises(ValueError, match="0 landmark maps; heatmap needs at least one"):
        build("head_and_landmarks")(truth[..., :1], turned[..., :1])


@every_name
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_value_and_gradient_are_finite_at_saturation(name, dtype, level):
    truth, found = pair_for(name, HEAD[None], HEAD[None])
    geometry = {"aspect_ratio": ASPECT_RATIO} if name in COORDINATES else {}
    loss = build(name, order_invariant=True, geometry_weight=1.0, **geometry)
    prediction = tf.cast(tf.fill(found.shape, level), dtype)
    value, gradient = gradient_of(loss, truth, prediction)
    assert loss(truth, prediction).dtype == tf.float32
    assert np.isfinite(value) and value > 0.02
    assert np.isfinite(gradient).all()


def test_large_maps_do_not_overflow_in_float16():
    truth = np.ones((1, 512, 512, 4), np.float32)
    value = float(build("heatmap", geometry_weight=1.0)(truth, tf.zeros(truth.shape, tf.float16)))
    assert value == pytest.approx(101, rel=1e-4)


@pytest.mark.parametrize("spec", FULLEST, ids=list(PARAMETERS))
def test_survives_a_keras_file(spec, points, tmp_path):
    loss = LOSSES.build("loss", spec, None)
    pair = pair_of(spec["name"], points)
    if spec["name"] in MAPS:
        check_keras_file(loss, pair, "sigmoid", tmp_path / "model.keras")
        return
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss) and again.get_config() == loss.get_config()
    assert float(again(*pair)) == float(loss(*pair))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", MAPS)
def test_trains_in_mixed_precision(name, policy):
    truth = as_maps(np.repeat(HEAD[None], 4, axis=0), name == "head_and_landmarks")
    losses = mixed_precision_losses(policy, build(name), truth, truth, "sigmoid")
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_the_mask_beside_landmarks_takes_every_weight_of_its_loss():
    loss = build("head_and_landmarks", ellipse_weight=3.0, smooth=2.0, power=2.0)
    assert loss.head_loss.get_config()["ellipse_weight"] == 3.0
    assert loss.head_loss.get_config()["smooth"] == 2.0
    assert loss.landmark_loss.get_config()["power"] == 2.0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "wing", "w": 0.0}, r"loss\.w: "),
        ({"name": "l1_smooth_l1", "beta": 0.0}, r"loss\.beta: "),
        ({"name": "l1_smooth_l1", "geometry_weight": 1.0}, r"loss\.aspect_ratio: .*found nothing"),
        ({"name": "wing", "geometry_weight": 1.0}, r"loss\.aspect_ratio: "),
        ({"name": "heatmap", "power": 0.5}, r"loss\.power: "),
        ({"name": "heatmap", "aspect_ratio": 1.0}, r"loss\.aspect_ratio: unknown parameter"),
        ({"name": "head_and_landmarks", "landmark_weight": -1.0}, r"loss\.landmark_weight: "),
    ],
)
def test_senseless_parameters_are_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        LOSSES.build("loss", spec, None)


def test_an_aspect_ratio_of_another_frame_is_refused():
    """The geometry of shares would be that of a squeezed head."""
    spec = ["loss.geometry_weight=0.1", f"loss.aspect_ratio={ASPECT_RATIO}"]
    fits = [96, round(96 / ASPECT_RATIO)]
    open_experiment(load_config(REGRESSION, [*spec, f"data.image_size={fits}"]))
    with pytest.raises(ConfigError, match=r"loss\.aspect_ratio: found .*\[96, 96\] has .* 1\.0000"):
        open_experiment(load_config(REGRESSION, [*spec, "data.image_size=[96, 96]"]))


def test_the_class_refuses_a_geometry_without_an_aspect_ratio_too():
    with pytest.raises(ValueError, match="aspect_ratio: geometry_weight needs"):
        L1SmoothL1(geometry_weight=1.0)


JAX = """
import json
import jax
import numpy as np
from fetal_tf.losses import LOSSES

data = np.load(sys.argv[1])
for index, spec in enumerate(json.loads(sys.argv[2])):
    loss = LOSSES.build("loss", spec, None)
    truth, found = data[f"truth_{index}"], data[f"found_{index}"]
    value, gradient = jax.jit(jax.value_and_grad(lambda p: loss(truth, p)))(found)
    print(float(value), float(np.abs(gradient - data[f"gradient_{index}"]).max()))
"""


def test_values_and_gradients_are_the_same_on_jax(points, tmp_path):
    values, arrays = [], {}
    for index, spec in enumerate(FULLEST):
        pair = pair_of(spec["name"], points)
        value, gradient = gradient_of(LOSSES.build("loss", spec, None), *pair)
        values.append(value)
        arrays |= {f"truth_{index}": pair[0], f"found_{index}": pair[1]}
        arrays[f"gradient_{index}"] = gradient
    np.savez(tmp_path / "pairs.npz", **arrays)
    printed = run_on_jax(JAX, tmp_path / "pairs.npz", json.dumps(FULLEST))
    lines = [line.split() for line in printed.splitlines()]
    assert len(lines) == len(FULLEST)
    for index, (value, worst) in enumerate(lines):
        assert float(value) == pytest.approx(values[index], rel=1e-5)
        assert float(worst) <= 1e-5 * np.abs(arrays[f"gradient_{index}"]).max()
