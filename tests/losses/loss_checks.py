"""Checks that every loss must pass: files, mixed precision, gradients."""

import keras
import numpy as np
import tensorflow as tf


def check_keras_file(loss, pair, activation, path):
    """A saved and loaded model has the same loss with the same parameters."""
    pixels = keras.Input(pair[0].shape[1:])
    channels = pair[0].shape[-1]
    layer = keras.layers.Conv2D(channels, 1, activation=activation)
    model = keras.Model(pixels, layer(pixels))
    model.compile("sgd", loss)
    model.save(path)
    loaded = keras.saving.load_model(path, safe_mode=True)
    assert type(loaded.loss) is type(loss)
    assert loaded.loss.get_config() == loss.get_config()
    assert float(loaded.loss(*pair)) == float(loss(*pair))


def mixed_precision_losses(policy, loss, image, truth, activation, steps=8):
    """The losses (steps,) of a tiny net that learns `truth` from `image` under a dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        pixels = keras.Input(image.shape[1:])
        x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(pixels)
        last = keras.layers.Conv2D(truth.shape[-1], 1, activation=activation, dtype="float32")
        model = keras.Model(pixels, last(x))
        model.compile(keras.optimizers.Adam(0.03), loss)
        return np.array([float(model.train_on_batch(image, truth)) for _ in range(steps)])
    finally:
        keras.config.set_dtype_policy(before)


def gradient_of(loss, truth, found) -> tuple[float, np.ndarray]:
    """The loss and its gradient by the prediction, float32 whatever was given."""
    found = tf.convert_to_tensor(found)
    with tf.GradientTape() as tape:
        tape.watch(found)
        value = loss(truth, found)
    gradient = tape.gradient(value, found)
    assert gradient is not None, "no gradient reaches the prediction"
    return float(value), tf.cast(gradient, tf.float32).numpy()
