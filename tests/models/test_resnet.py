"""The residual encoder: its sizes, its grid, and what dilation keeps."""

import keras
import numpy as np
import pytest

from fetal_tf.models.resnet import RESNET_50, encoder_layers, resnet

SHAPE = (64, 96, 3)


def encoder(blocks=(1, 2, 1, 2), shape=SHAPE, **options) -> keras.Model:
    x = keras.Input(shape)
    return keras.Model(x, resnet(x, blocks, **options))


def randomize(model: keras.Model) -> None:
    """Weights without symmetry, batch norms that are no identity, signals of unit size."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name == "kernel":
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(random.normal(0, np.sqrt(2 / fan_in), weight.shape))
        else:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))


def test_features_halve_and_double():
    basic = encoder(bottleneck=False, base=8)
    assert [f.shape[1:] for f in basic.outputs] == [
        (32, 48, 8), (16, 24, 8), (8, 12, 16), (4, 6, 32), (2, 3, 64),
    ]  # fmt: skip
    deep = encoder(bottleneck=True, base=8)
    assert [f.shape[-1] for f in deep.outputs] == [8, 32, 64, 128, 256]


def test_dilation_keeps_the_function_and_refines_its_grid():
    strided = encoder(bottleneck=True, base=8)
    dilated = encoder(bottleneck=True, base=8, output_stride=16)
    randomize(strided)
    dilated.set_weights(strided.get_weights())
    pixels = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype(np.float32)
    coarse, fine = (np.asarray(model(pixels)[-1]) for model in (strided, dilated))
    assert fine.shape == (2, 4, 6, 256)
    np.testing.assert_allclose(fine[:, ::2, ::2], coarse, rtol=1e-3, atol=1e-4)
    assert np.abs(fine[:, 1::2, 1::2] - coarse).max() > 0.1


def test_basic_blocks_are_not_dilated():
    with pytest.raises(ValueError, match="output_stride 16 is for bottleneck"):
        encoder(bottleneck=False, output_stride=16)


def test_a_turned_frame_gives_turned_features():
    """Feature i looks at pixel i * stride and alike to both sides; "same" padding would not."""
    model = encoder((1, 1), (192, 192, 3), bottleneck=False, base=8)  # sees 25 pixels far
    for layer in encoder_layers(model):
        if isinstance(layer, keras.layers.Conv2D):  # kernels that half a turn does not change
            kernel = np.asarray(layer.kernel)
            layer.kernel.assign(kernel + kernel[::-1, ::-1])
    frame = np.zeros((192, 192, 3), np.float32)
    frame[60:100, 80:140] = np.random.default_rng(2).normal(size=(40, 60, 3))
    turned = np.roll(frame[::-1, ::-1], (1, 1), axis=(0, 1))  # pixel p comes to 192 - p
    for features in model(np.stack([frame, turned])):
        straight, back = np.asarray(features)
        assert np.abs(straight).max() > 0.01
        np.testing.assert_allclose(
            back[1:, 1:], straight[::-1, ::-1][:-1, :-1], rtol=1e-3, atol=1e-3
        )


def test_encoder_layers_are_those_and_no_others():
    x = keras.Input(SHAPE)
    features = resnet(x, RESNET_50, bottleneck=True, base=8)[-1]
    model = keras.Model(x, keras.layers.Conv2D(1, 1, name="probabilities")(features))
    found = encoder_layers(model)
    assert {layer.name for layer in model.layers} - {layer.name for layer in found} == {
        model.layers[0].name, "probabilities",
    }  # fmt: skip
