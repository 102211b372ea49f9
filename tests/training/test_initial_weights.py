"""`model.init`: what is taken over, what stays fresh, what is refused."""

import shutil

import keras
import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models import MODELS
from fetal_tf.training.initial_weights import start_from


def unet(classes=1, size=(32, 48), **parameters):
    spec = {"name": "unet", "base": 4, "depth": 2} | parameters
    return MODELS.build("model", spec, (*size, 1), classes)


@pytest.fixture
def trained(tmp_path):
    """A run's folder with a model whose weights are known."""
    model = unet()
    for number, weight in enumerate(model.weights):
        weight.assign(np.full(weight.shape, 0.01 * (number + 1)))
    run = tmp_path / "heads"
    run.mkdir()
    model.save(run / "best.keras")
    return run, model


def test_every_layer_but_the_head_of_another_task_is_taken_over(trained):
    run, source = trained
    model = unet(classes=2, size=(48, 64))  # another number of classes, another frame
    before = model.get_layer("probabilities").get_weights()
    start = start_from(model, run)
    assert start.fresh == ("probabilities",)
    for layer in source.layers:
        if layer.weights and layer.name != "probabilities":
            assert layer.name in start.copied
            for here, there in zip(
                model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True
            ):
                np.testing.assert_array_equal(here, there)
    for here, there in zip(model.get_layer("probabilities").get_weights(), before, strict=True):
        np.testing.assert_array_equal(here, there)
    assert "best.keras; fresh: probabilities" in str(start)


def test_the_same_architecture_is_taken_over_whole(trained):
    run, source = trained
    model = unet()
    assert start_from(model, run / "best.keras").fresh == ()
    frame = np.random.default_rng(0).uniform(0, 255, (1, 32, 48, 1)).astype(np.float32)
    np.testing.assert_array_equal(model(frame), source(frame))


def test_gates_that_the_source_does_not_have_stay_fresh(trained):
    spec = {"name": "attention_unet", "base": 4, "depth": 2, "head": "sigmoid"}
    model = MODELS.build("model", spec, (32, 48, 1), 1)
    start = start_from(model, trained[0])
    assert start.fresh
    assert all(name.startswith("gate_") for name in start.fresh)


def test_a_deeper_net_starts_from_a_shallower_one(trained):
    """What was the bottleneck at a quarter of the size is the encoder's level there."""
    run, source = trained
    model = unet(depth=3)
    start = start_from(model, run)
    assert {name.partition("_conv")[0] for name in start.fresh} == {
        "bottleneck", "up_2", "up_2_norm", "decoder_2",
    }  # fmt: skip
    for here, there in (("encoder_2_conv1", "bottleneck_conv1"), ("up_1", "up_1")):
        for one, other in zip(
            model.get_layer(here).get_weights(),
            source.get_layer(there).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


def mobile(size=(32, 48), **parameters):
    return MODELS.build("model", {"name": "mobile_unet"} | parameters, (*size, 1), 1)


def test_a_coarser_first_grid_starts_with_the_levels_of_its_own_grids(tmp_path):
    """The source's second level is the first one here; what looked at finer pixels has no place."""
    source = mobile(widths=[4, 6, 8, 10])
    source.save(tmp_path / "fine.keras")
    model = mobile(widths=[6, 8, 10], stem_stride=4, stem_filters=4)
    start = start_from(model, tmp_path / "fine.keras")
    assert start.fresh == ("stem", "logits")
    assert "encoder_0_conv0" not in start.unused  # its name is another layer's here
    assert {"stem of the finer grid", "encoder_0_conv0 of the finer grid"} <= {*start.unused}
    for here, there in (
        ("stem_norm", "stem_norm"),
        ("encoder_0_conv0", "encoder_1_conv0"),
        ("encoder_1_conv1_norm", "encoder_2_conv1_norm"),
        ("bottleneck_conv1", "bottleneck_conv1"),
        ("up_1", "up_2"),
        ("decoder_0_conv0", "decoder_1_conv0"),
    ):
        for one, other in zip(
            model.get_layer(here).get_weights(),
            source.get_layer(there).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


def test_a_coarser_grid_with_a_stem_of_another_width_is_named(tmp_path):
    mobile(widths=[4, 6, 8]).save(tmp_path / "fine.keras")
    with pytest.raises(ConfigError, match=r"stem_norm holds 4, 4, 4, 4 there and 6, 6, 6, 6 here"):
        start_from(mobile(widths=[6, 8], stem_stride=4), tmp_path / "fine.keras")


def test_a_layer_of_another_width_is_named(trained):
    with pytest.raises(ConfigError, match=r"model\.init: .*encoder_0_conv0 holds 3x3x1x4 there"):
        start_from(unet(base=8), trained[0])


def test_another_architecture_is_refused(trained):
    other = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, name="dense")])
    with pytest.raises(ConfigError, match="has 0 of this model's 1 layers"):
        start_from(other, trained[0])


@pytest.mark.parametrize("damage", ["missing", "truncated", "text"])
def test_what_is_no_model_is_named(trained, tmp_path, damage):
    run, _ = trained
    file = run / "best.keras"
    if damage == "missing":
        shutil.rmtree(run)
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:2000])
    else:
        file.write_text("weights")
    with pytest.raises(ConfigError, match=r"^model\.init: .*heads"):
        start_from(unet(), run)


def test_the_last_weights_need_not_be_the_last_layer(tmp_path):
    """A softmax of its own, or a resize, may come after the layer that knows the classes."""

    def net(classes):
        pixels = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(4, 3, padding="same", name="body")(pixels)
        x = keras.layers.Conv2D(classes, 1, name="logits")(x)
        return keras.Model(pixels, keras.layers.Activation("sigmoid", name="probabilities")(x))

    net(1).save(tmp_path / "one.keras")
    start = start_from(net(3), tmp_path / "one.keras")
    assert (start.copied, start.fresh) == (("body",), ("logits",))
