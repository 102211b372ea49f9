"""MACs against products written out by hand."""

import keras
import pytest

from fetal_tf.exporting.macs import count_macs

L = keras.layers


def model_of(layer, shape):
    image = keras.Input(shape)
    return keras.Model(image, layer(image))


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (L.Conv2D(5, 3, padding="same"), (8, 6, 2), 8 * 6 * 3 * 3 * 2 * 5),
        (L.Conv2D(5, 3, padding="valid"), (8, 6, 2), 6 * 4 * 3 * 3 * 2 * 5),
        (L.Conv2D(5, (3, 1), strides=2, padding="same"), (8, 6, 2), 4 * 3 * 3 * 1 * 2 * 5),
        (L.Conv2D(4, 3, groups=2, padding="same"), (8, 6, 2), 8 * 6 * 3 * 3 * 1 * 4),
        (L.DepthwiseConv2D(3, padding="same", depth_multiplier=2), (8, 6, 3), 8 * 6 * 9 * 3 * 2),
        (L.SeparableConv2D(7, 3, padding="same"), (8, 6, 3), 8 * 6 * (9 * 3 + 3 * 7)),
        (L.Conv2DTranspose(5, 2, strides=2), (4, 3, 2), 4 * 3 * 2 * 2 * 2 * 5),
        (L.Dense(7), (10,), 10 * 7),
        (L.Dense(7), (4, 3, 10), 4 * 3 * 10 * 7),
        (L.BatchNormalization(), (4, 3, 10), 0),
        (L.MaxPooling2D(), (4, 4, 10), 0),
    ],
)
def test_one_layer(layer, shape, expected):
    count = count_macs(model_of(layer, shape))
    assert count.total == expected
    assert count.uncounted == ()


def test_shared_layer_counts_at_every_call_and_at_its_own_size():
    shared = L.Conv2D(2, 3, padding="same", name="shared")
    image = keras.Input((8, 6, 2))
    x = L.MaxPooling2D()(shared(image))
    model = keras.Model(image, shared(x))
    assert count_macs(model).by_layer == {"shared": (8 * 6 + 4 * 3) * 9 * 2 * 2}


def test_models_inside_models_are_entered():
    inner = model_of(L.Conv2D(3, 1), (8, 6, 2))
    sequence = keras.Sequential([keras.Input((8, 6, 3)), L.Conv2D(4, 1), L.ReLU(), L.Dense(5)])
    image = keras.Input((8, 6, 2))
    model = keras.Model(image, sequence(inner(image)))
    assert count_macs(model).total == 8 * 6 * (2 * 3 + 3 * 4 + 4 * 5)
    assert count_macs(sequence).total == 8 * 6 * (3 * 4 + 4 * 5)


def test_a_layer_without_rule_is_named_not_forgotten():
    model = model_of(L.Conv1D(3, 3, name="odd_one"), (8, 2))
    assert count_macs(model).uncounted == ("odd_one",)


def test_the_model_is_left_as_it_was():
    model = model_of(L.Conv2D(3, 1, name="only"), (8, 6, 2))
    before = [w.path for w in model.weights]
    count_macs(model)
    assert [w.path for w in model.weights] == before
    assert model.get_layer("only").output.shape == (None, 8, 6, 3)
