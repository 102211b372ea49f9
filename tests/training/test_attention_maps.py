"""Gate maps: what is read is what multiplies the skip, and it is drawn where it belongs."""

import keras
import numpy as np
import pytest

from fetal_tf.edge.draw.heatmap import COLORS, OPACITY
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.models import MODELS
from fetal_tf.training.attention_maps import draw_gates, gate_maps, has_gates

SHAPE = (32, 48, 1)
SPEC = {"name": "attention_unet", "base": 4, "depth": 3}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    return MODELS.build("model", SPEC, SHAPE, 3)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype(np.float32)


def test_the_map_is_what_multiplies_the_skip(model, frames):
    maps = gate_maps(model)(frames)
    assert list(maps) == ["gate_1", "gate_2"]
    for level in (1, 2):
        gate = model.get_layer(f"gate_{level}_gated")
        skip, gated = keras.Model(model.input, [gate.input[0], gate.output])(frames)
        values = np.asarray(maps[f"gate_{level}"])
        assert values.shape == (2, 32 // 2**level, 48 // 2**level, 1)
        assert values.min() > 0 and values.max() < 1 and values.std() > 0
        np.testing.assert_allclose(np.asarray(skip) * values, gated, atol=1e-6)


def test_the_maps_follow_the_weights(model, frames):
    """The read-out shares them: it may be made once, before training."""
    fresh = MODELS.build("model", SPEC, SHAPE, 3)
    maps = gate_maps(fresh)
    fresh.get_layer("gate_1_psi").set_weights([np.zeros((1, 1, 4, 1)), np.array([-2.0])])
    np.testing.assert_allclose(maps(frames)["gate_1"], 1 / (1 + np.exp(2.0)), atol=1e-6)


def test_a_loaded_model_gives_the_same_maps(model, frames, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True, compile=False)
    assert has_gates(loaded)
    expected, found = gate_maps(model)(frames), gate_maps(loaded)(frames)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)


def test_maps_are_float32_in_mixed_precision(frames):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        mixed = MODELS.build("model", SPEC, SHAPE, 3)
    finally:
        keras.config.set_dtype_policy(before)
    assert mixed.get_layer("gate_1_map").compute_dtype == "float16"
    values = np.asarray(gate_maps(mixed)(frames)["gate_1"])
    assert values.dtype == np.float32 and np.isfinite(values).all()


def test_a_model_without_gates_is_refused():
    plain = MODELS.build("model", {"name": "unet", "base": 4, "depth": 1}, SHAPE, 1)
    assert not has_gates(plain)
    with pytest.raises(ConfigError, match=r"^model\.name: unet has no attention gates"):
        gate_maps(plain)


def colored(drawn: np.ndarray, level: int) -> np.ndarray:
    """bool (H, W): where `drawn` has the colour of `level` / 255 over a black frame."""
    expected = np.rint(OPACITY * COLORS[level].astype(np.float32))
    return np.abs(drawn.astype(int) - expected).max(axis=-1) <= 1


def panel(drawn: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the gate's panel, found in a drawing of ones over a black frame."""
    rows, columns = np.nonzero(colored(drawn, 255))
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    assert colored(drawn, 255)[box].all()
    return box


BLACK = np.zeros((300, 480), np.uint8)
LETTERBOX = Letterbox(300, 480, 64, 64)  # 40 rows of content between 12 and 12 of padding


def test_a_panel_has_the_frames_aspect():
    box = panel(draw_gates(BLACK, {"gate_1": np.ones((32, 32))}, LETTERBOX))
    height, width = (side.stop - side.start for side in box)
    assert width >= 300
    assert height / width == pytest.approx(300 / 480, rel=0.01)


def test_a_cell_is_drawn_where_the_letterbox_says():
    box = panel(draw_gates(BLACK, {"gate_1": np.ones((16, 16))}, LETTERBOX))
    values = np.zeros((16, 16), np.float32)
    values[5, 11] = 1
    drawn = draw_gates(BLACK, {"gate_1": values}, LETTERBOX)[box]
    lit = drawn[..., 0].astype(float)  # red grows with the value from 0
    rows, columns = np.mgrid[: lit.shape[0], : lit.shape[1]]
    centre = np.array([(columns * lit).sum(), (rows * lit).sum()]) / lit.sum()
    # The cell covers 4x4 pixels of the network's input, from (44, 20).
    (expected,) = LETTERBOX.to_source(np.array([[45.5, 21.5]]))
    scale = drawn.shape[1] / 480
    np.testing.assert_allclose(centre, (expected + 0.5) * scale - 0.5, atol=1.5)


def test_the_padding_is_not_drawn():
    box = panel(draw_gates(BLACK, {"gate_1": np.ones((32, 32))}, LETTERBOX))
    values = np.zeros((32, 32), np.float32)
    values[:6] = values[-6:] = 1  # exactly the padding
    drawn = draw_gates(BLACK, {"gate_1": values}, LETTERBOX)[box]
    border = -(-drawn.shape[0] // 40) * 2  # where interpolation mixes both
    assert colored(drawn, 0)[border:-border].all()
    assert not colored(drawn, 255).any()


def test_the_frame_shows_through_and_stands_alone_above():
    image = BLACK.copy()
    image[100:200, 200:300] = 255
    values = {"gate_1": np.full((32, 32), 0.5)}
    box = panel(draw_gates(BLACK, {"gate_1": np.ones((32, 32))}, LETTERBOX))
    with_frame, without = draw_gates(image, values, LETTERBOX), draw_gates(BLACK, values, LETTERBOX)
    changed = (with_frame != without).any(axis=-1)
    assert 0.05 < changed[box].mean() < 0.1  # the square has 7 % of the frame
    white = (with_frame == 255).all(axis=-1)
    assert white[: box[0].start].sum() >= 100 * 100


def test_every_gate_has_its_panel_and_all_share_one_scale():
    ones = np.ones((32, 32, 1))
    one = draw_gates(BLACK, {"gate_1": ones}, LETTERBOX)
    two = draw_gates(BLACK, {"gate_1": ones, "gate_2": np.ones((16, 16, 1))}, LETTERBOX)
    assert colored(two, 255).sum() == pytest.approx(2 * colored(one, 255).sum(), rel=0.01)
    half = draw_gates(BLACK, {"gate_1": ones, "gate_2": 0.5 * ones}, LETTERBOX)
    assert colored(half, 255).sum() == pytest.approx(colored(one, 255).sum(), rel=0.01)
    end = one[-60:].reshape(-1, 3).astype(int)  # the scale's own strip, colours undimmed
    for level in (64, 128, 192):
        assert np.abs(end - COLORS[level]).max(axis=-1).min() <= 6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((24, 32)), r"gate_1: a map of shape \(24, 32\) is no whole fraction"),
        (np.ones((2, 32, 32)), r"gate_1: a map of shape \(2, 32, 32\)"),
        (np.ones((0, 32)), r"gate_1: a map of shape \(0, 32\)"),
        (np.full((32, 32), 1.5), r"gate_1: values 1\.5 to 1\.5, a gate's lie in 0\.\.1"),
        (np.full((32, 32), np.nan), r"gate_1: values nan to nan"),
    ],
)
def test_what_is_no_gate_map_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        draw_gates(BLACK, {"gate_1": values}, LETTERBOX)


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="no map"):
        draw_gates(BLACK, {}, LETTERBOX)
